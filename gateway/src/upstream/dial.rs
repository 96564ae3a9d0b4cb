//! Opens a connection: finds the upstream's addresses, and tries them in turn.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use turnpike_rt::Transport;

use super::ConnectError;
use super::pool::Pool;
use crate::housekeeper::resolver::Unresolved;
use crate::shard::Shard;
use crate::table::{Member, MemberAddress};
use crate::wheel::TICK_MS;

impl Pool {
    /// Opens a connection to where the pool leads.
    pub(super) async fn dial(&self, shard: &Shard, give_up_ms: u64) -> Result<Transport, ConnectError> {
        match &self.member {
            None => self.dial_host(shard, give_up_ms).await,
            Some(member) => dial_member(shard, member, give_up_ms).await,
        }
    }

    /// Tries each address once, beginning with the next one in turn.
    async fn dial_host(&self, shard: &Shard, give_up_ms: u64) -> Result<Transport, ConnectError> {
        let addresses = self.addresses(shard, give_up_ms).await?;
        let turn = self.turn.get();
        self.turn.set(turn.wrapping_add(1));
        for attempt in 0..addresses.len() {
            let left_ms = give_up_ms.saturating_sub(shard.now_ms());
            if left_ms == 0 {
                return Err(ConnectError::TimedOut);
            }
            let address = SocketAddr::new(addresses[(turn + attempt) % addresses.len()], self.upstream.port);
            let timeout_ms = shard.settings.connect_timeout_ms.min(left_ms);
            if let Ok(stream) = turnpike_rt::connect(address, Duration::from_millis(timeout_ms)).await {
                return Ok(Transport::Plain(stream));
            }
        }
        if shard.now_ms() >= give_up_ms { Err(ConnectError::TimedOut) } else { Err(ConnectError::Failed) }
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

async fn dial_member(shard: &Shard, member: &Member, give_up_ms: u64) -> Result<Transport, ConnectError> {
    let left_ms = give_up_ms.saturating_sub(shard.now_ms());
    let timeout = Duration::from_millis(shard.settings.connect_timeout_ms.min(left_ms));
    let connected = match &member.address {
        MemberAddress::Ip(address) => turnpike_rt::connect(*address, timeout).await,
        MemberAddress::Unix(path) => turnpike_rt::connect_unix(path, timeout).await,
    };
    match connected {
        Ok(stream) => Ok(Transport::Plain(stream)),
        Err(_) if shard.now_ms() >= give_up_ms => Err(ConnectError::TimedOut),
        Err(_) => Err(ConnectError::Failed),
    }
}
