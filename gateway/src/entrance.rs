//! Entrance: from an accepted descriptor to a connection that is known to be from somebody.
//!
//! Stands before TLS and HTTP. On a listener that enables the PROXY protocol, a balancer's header comes first,
//! and its addresses count instead of the connection's own; a connection without one, or from a peer that isn't
//! in `proxy_protocol_from`, is closed without a word. The header is taken from the socket to its last byte and no
//! further. A peer with `connections_per_address_max` connections gets no further one, unless it is a proxy
//! that many come through. Not more than `proxy_header_bytes_max` is read in at most `proxy_header_timeout_ms`.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use turnpike_http::{PROXY_TEXT_BYTES_MAX, ProxiedEnds, ProxyProgress, parse_proxy_header};
use turnpike_rt::Stream;

use crate::crowd::Place;
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

/// A connection that may stay.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) ends: Ends,
    /// Held for as long as the connection is open; `None` for proxies.
    pub(crate) place: Option<Place>,
}

impl Ends {
    fn new(peer: SocketAddr, local: SocketAddr) -> Self {
        let canonical = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
        Self { peer: canonical(peer), local: canonical(local) }
    }
}

/// Whom the connection is from; `None` for one that is broken or refused, which is counted.
pub(crate) async fn admit(
    shard: &Shard,
    stream: &Stream,
    peer: SocketAddr,
    entrance: Entrance,
) -> Option<Admitted> {
    // A connection that broke before it was served needs no reply and no report.
    let local = stream.local_address().ok()?;
    let own = Ends::new(peer, local);
    let (ends, is_balancer) = if entrance.proxy_protocol {
        // Boxed: rare, and over before the connection's first request.
        Box::pin(introduced(shard, stream, own)).await?
    } else {
        (own, false)
    };
    if is_balancer || shard.settings.trusted_proxies.contains(ends.peer.ip()) {
        return Some(Admitted { ends, place: None });
    }
    let place = shard.crowd.enter(ends.peer.ip());
    if place.is_none() {
        refuse(shard, RefusalKind::ConnectionsPerAddress);
    }
    place.map(|place| Admitted { ends, place: Some(place) })
}

fn refuse(shard: &Shard, kind: RefusalKind) {
    shard.stats.borrow_mut().counters.refusals.count(kind);
}

/// Whom a balancer says that the connection is from, and whether that is the balancer itself.
async fn introduced(shard: &Shard, stream: &Stream, own: Ends) -> Option<(Ends, bool)> {
    if !shard.settings.proxy_protocol_from.contains(own.peer.ip()) {
        refuse(shard, RefusalKind::ProxyPeer);
        return None;
    }
    match read_header(shard, stream).await {
        Ok(Some(ends)) => Some((Ends::new(ends.source, ends.destination), false)),
        Ok(None) => Some((own, true)),
        Err(_) => {
            refuse(shard, RefusalKind::ProxyHeader);
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
