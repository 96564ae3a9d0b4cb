//! A shard's connections to upstreams: a pool for each host and port.
//!
//! A pooled connection is looked at when it is taken: one whose upstream has closed it, or has sent bytes that
//! nobody asked for, is dropped and never used, so that no answer is ever taken for another's. (A read kept
//! pending on resting connections would tell as well, but costs a busy connection more than the look: the
//! kernel has to arm it and wake for it each time, where a read posted after the request finds the answer there.)

mod dial;
mod pool;

use std::rc::Rc;
use std::sync::Arc;

use turnpike_rt::Transport;

pub(crate) use pool::Pools;
use pool::{Idle, Open};

use crate::shard::Shard;
use crate::table::Upstream;
use crate::wheel::Watch;

/// An open connection to an upstream, in use by one exchange.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: Rc<Transport>,
    pub(crate) watch: Rc<Watch>,
    /// It has carried an exchange before: the upstream may be about to close it.
    pub(crate) reused: bool,
    open: Open,
}

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectError {
    /// The host name has no address.
    Unresolved,
    /// Refused, unreachable, or timed out.
    Failed,
    TimedOut,
    /// `upstream_connections_max` are open.
    TooMany,
}

/// A connection to `upstream`: the pooled one that was used last, or a new one.
pub(crate) async fn connect(
    shard: &Rc<Shard>,
    upstream: &Arc<Upstream>,
    reuse: bool,
    give_up_ms: u64,
) -> Result<Connection, ConnectError> {
    let pool = shard.pools.of(upstream);
    if reuse && let Some(connection) = pool.take_idle(shard) {
        shard.stats.borrow_mut().counters.upstream_reuses_total += 1;
        return Ok(connection);
    }
    if pool.open.get() >= shard.settings.upstream_connections_max {
        return Err(ConnectError::TooMany);
    }
    pool.open.set(pool.open.get() + 1);
    shard.stats.borrow_mut().gauges.upstream_connections_open += 1;
    let open = Open { shard: Rc::clone(shard), pool: Rc::clone(&pool) };
    // Boxed: rare, and larger than all that a request on a pooled connection needs.
    let connected = Box::pin(pool.dial(shard, give_up_ms)).await;
    let mut stats = shard.stats.borrow_mut();
    match connected {
        Ok(stream) => {
            stats.counters.upstream_connects_total += 1;
            let stream = Rc::new(stream);
            let watch = Watch::new(Rc::clone(&stream));
            Ok(Connection { stream, watch, reused: false, open })
        }
        Err(error) => {
            stats.counters.upstream_connect_failures_total += 1;
            drop(stats);
            drop(open);
            Err(error)
        }
    }
}

impl Connection {
    /// Puts the connection back after an exchange that ended where its framing said.
    pub(crate) fn release(self, shard: &Shard) {
        self.watch.disown();
        let pool = Rc::clone(&self.open.pool);
        if pool.idle.borrow().len() >= shard.settings.upstream_idle_connections_max || shard.is_draining() {
            return;
        }
        self.watch.disarm();
        shard.stats.borrow_mut().gauges.upstream_connections_idle += 1;
        pool.idle.borrow_mut().push(Idle { connection: self, since_ms: shard.wheel.now_ms() });
    }
}
