//! Opens a connection: finds the upstream's addresses, and tries them in turn.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use turnpike_rt::{Stream, TlsStream, Transport};

use super::ConnectError;
use super::pool::Pool;
use super::room::Open;
use crate::housekeeper::resolver::Unresolved;
use crate::shard::Shard;
use crate::table::{Member, MemberAddress};
use crate::tls::UpstreamTlsFailure;
use crate::wheel::TICK_MS;

impl Pool {
    /// Opens a connection to where the pool leads, in the place that `open` is.
    pub(super) async fn dial(
        &self,
        shard: &Shard,
        open: &Rc<Open>,
        give_up_ms: u64,
    ) -> Result<Transport, ConnectError> {
        match &self.member {
            None => self.dial_host(shard, open, give_up_ms).await,
            Some(member) => self.dial_member(shard, member, give_up_ms).await,
        }
    }

    /// Tries each address once, beginning with the next one in turn.
    async fn dial_host(
        &self,
        shard: &Shard,
        open: &Rc<Open>,
        give_up_ms: u64,
    ) -> Result<Transport, ConnectError> {
        let addresses = self.addresses(shard, give_up_ms).await?;
        let turn = self.turn.get();
        self.turn.set(turn.wrapping_add(1));
        let mut failed = ConnectError::Failed;
        for attempt in 0..addresses.len() {
            if shard.now_ms() >= give_up_ms {
                return Err(ConnectError::TimedOut);
            }
            let address = SocketAddr::new(addresses[(turn + attempt) % addresses.len()], self.upstream.port);
            let until_ms = give_up_ms.min(shard.now_ms() + shard.settings.connect_timeout_ms);
            let timeout = Duration::from_millis(until_ms.saturating_sub(shard.now_ms()));
            let connected = turnpike_rt::connect(address, timeout).await;
            match self.secure(shard, connected.map_err(|_| ConnectError::Failed), until_ms).await {
                Ok(stream) => {
                    self.note_address(open, address.ip());
                    return Ok(stream);
                }
                Err(error) => failed = error,
            }
        }
        if shard.now_ms() >= give_up_ms { Err(ConnectError::TimedOut) } else { Err(failed) }
    }

    /// Shakes hands where the upstream has TLS, by `until_ms`.
    async fn secure(
        &self,
        shard: &Shard,
        connected: Result<Stream, ConnectError>,
        until_ms: u64,
    ) -> Result<Transport, ConnectError> {
        let stream = connected?;
        let (Some(security), Some(config)) = (&self.upstream.security, &self.tls) else {
            return Ok(Transport::Plain(stream));
        };
        let buffers = Rc::clone(&shard.cipher_buffers);
        let stream = TlsStream::client(stream, Arc::clone(config), security.name(), buffers);
        let stream = stream.map_err(|_| ConnectError::Tls(UpstreamTlsFailure::Protocol))?;
        let left = Duration::from_millis(until_ms.saturating_sub(shard.now_ms()));
        let Some(outcome) = turnpike_rt::within(left, stream.connect()).await else {
            return Err(ConnectError::Failed);
        };
        outcome.map_err(|error| ConnectError::Tls(UpstreamTlsFailure::of(&error)))?;
        if !security.agrees(stream.protocol().as_deref()) {
            return Err(ConnectError::Tls(UpstreamTlsFailure::Protocol));
        }
        let mut stats = shard.stats.borrow_mut();
        stats.counters.upstream_tls_handshakes_total += 1;
        stats.counters.upstream_tls_handshakes_resumed_total += u64::from(stream.is_resumed());
        Ok(Transport::Tls(Box::new(stream)))
    }

    /// Connects to one target of a group.
    async fn dial_member(
        &self,
        shard: &Shard,
        member: &Member,
        give_up_ms: u64,
    ) -> Result<Transport, ConnectError> {
        let until_ms = give_up_ms.min(shard.now_ms() + shard.settings.connect_timeout_ms);
        let timeout = Duration::from_millis(until_ms.saturating_sub(shard.now_ms()));
        let connected = match &member.address {
            MemberAddress::Ip(address) => turnpike_rt::connect(*address, timeout).await,
            MemberAddress::Unix(path) => turnpike_rt::connect_unix(path, timeout).await,
        };
        match self.secure(shard, connected.map_err(|_| ConnectError::Failed), until_ms).await {
            Err(_) if shard.now_ms() >= give_up_ms => Err(ConnectError::TimedOut),
            outcome => outcome,
        }
    }

    /// The housekeeper resolves names before a snapshot is served, so that waiting here is for the first
    /// moments after a start, or for a name that has never had an answer.
    async fn addresses(&self, shard: &Shard, give_up_ms: u64) -> Result<Arc<[IpAddr]>, ConnectError> {
        if let Some(ip) = self.upstream.ip {
            return Ok(Arc::new([ip]));
        }
        loop {
            match shard.addresses.load().of(&self.upstream.host) {
                Ok(addresses) => return Ok(Arc::clone(addresses)),
                Err(Unresolved::Failed(_)) => return Err(ConnectError::Unresolved),
                Err(Unresolved::Pending) if shard.now_ms() >= give_up_ms => {
                    return Err(ConnectError::TimedOut);
                }
                Err(Unresolved::Pending) => {}
            }
            turnpike_rt::sleep(Duration::from_millis(TICK_MS)).await;
        }
    }
}
