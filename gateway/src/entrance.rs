//! Entrance: from an accepted descriptor to a connection that is known to be from somebody.
//!
//! Stands before TLS and HTTP. On a listener that enables the PROXY protocol, a balancer's header comes first,
//! and its addresses count instead of the connection's own; a connection without one, or from a peer that isn't
//! in `proxy_protocol_from`, is closed without a word. The header is taken from the socket to its last byte and no
//! further. Not more than `proxy_header_bytes_max` is read in at most `proxy_header_timeout_ms`.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use turnpike_http::{PROXY_TEXT_BYTES_MAX, ProxiedEnds, ProxyProgress, parse_proxy_header};
use turnpike_rt::Stream;

use crate::shard::Shard;
use crate::stats::RefusalKind;

/// What a listener asks of its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entrance {
    /// A PROXY protocol header comes first.
    pub(crate) proxy_protocol: bool,
    /// TLS comes next.
    pub(crate) tls: bool,
}

/// A connection as the kernel handed it out.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) descriptor: OwnedFd,
    pub(crate) peer: SocketAddr,
    pub(crate) entrance: Entrance,
}

/// Whom a connection is from, and where it came to; IPv4 addresses are written as such.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ends {
    /// The client's, as far as is known.
    pub(crate) peer: SocketAddr,
    /// What the client connected to.
    pub(crate) local: SocketAddr,
}

impl Ends {
    fn new(peer: SocketAddr, local: SocketAddr) -> Self {
        let canonical = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
        Self { peer: canonical(peer), local: canonical(local) }
    }
}

/// Whom the connection is from; `None` for one that is broken or refused, which is counted.
pub(crate) async fn identify(
    shard: &Shard,
    stream: &Stream,
    peer: SocketAddr,
    entrance: Entrance,
) -> Option<Ends> {
    let local = stream.local_address().ok()?;
    let own = Ends::new(peer, local);
    if !entrance.proxy_protocol {
        return Some(own);
    }
    let refuse = |kind| shard.stats.borrow_mut().counters.refusals.count(kind);
    if !shard.settings.proxy_protocol_from.contains(own.peer.ip()) {
        refuse(RefusalKind::ProxyPeer);
        return None;
    }
    // Boxed: rare, and over before the connection's first request.
    match Box::pin(read_header(shard, stream)).await {
        Ok(ends) => Some(ends.map_or(own, |ends| Ends::new(ends.source, ends.destination))),
        Err(_) => {
            refuse(RefusalKind::ProxyHeader);
            None
        }
    }
}

async fn read_header(shard: &Shard, stream: &Stream) -> io::Result<Option<ProxiedEnds>> {
    let bytes_max = shard.settings.proxy_header_bytes_max;
    let give_up_ms = shard.now_ms() + shard.settings.proxy_header_timeout_ms;
    let mut header = Vec::with_capacity(PROXY_TEXT_BYTES_MAX);
    loop {
        let left_ms = give_up_ms.saturating_sub(shard.now_ms());
        stream.readable_within(Duration::from_millis(left_ms)).await?;
        let read = header.len();
        header.reserve(PROXY_TEXT_BYTES_MAX);
        match stream.peek_at_once(&mut header)? {
            Some(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Some(_) => {}
            None => continue,
        }
        match parse_proxy_header(&header, bytes_max).map_err(io::Error::other)? {
            ProxyProgress::Partial => take(stream, header.len() - read)?,
            ProxyProgress::Complete { bytes, ends } => {
                take(stream, bytes - read)?;
                return Ok(ends);
            }
        }
    }
}

/// Takes from the socket what has been looked at.
fn take(stream: &Stream, bytes: usize) -> io::Result<()> {
    let mut taken = Vec::with_capacity(bytes);
    match stream.recv_at_once(&mut taken, bytes)? {
        Some(count) if count == bytes => Ok(()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
