//! A shard's connections to upstreams: a pool for each host and port.
//!
//! A pooled connection is looked at when it is taken: one whose upstream has closed it, or has sent bytes that
//! nobody asked for, is dropped and never used, so that no answer is ever taken for another's. (A read kept
//! pending on resting connections would tell as well, but costs a busy connection more than the look: the
//! kernel has to arm it and wake for it each time, where a read posted after the request finds the answer there.)

mod dial;
mod group;
mod http2;
mod lease;
mod pool;
mod resting;
mod room;

use std::rc::Rc;
use std::sync::Arc;

use turnpike_rt::{Channel, Transport};

pub(crate) use group::{Adopted, Group, TargetError, Wish};
pub(crate) use lease::{Lease, Retry};
use pool::Pool;
pub(crate) use pool::Pools;
use resting::Idle;
use room::{Grant, Open};

use crate::shard::Shard;
use crate::table::Upstream;
use crate::tls::UpstreamTlsFailure;
use crate::wheel::Watch;

/// An open connection to an upstream, in use by one exchange.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: Rc<Transport>,
    pub(crate) watch: Rc<Watch>,
    /// It has carried an exchange before: the upstream may be about to close it.
    pub(crate) reused: bool,
    /// On a target of a group, while it is in use.
    pub(crate) lease: Option<Rc<Lease>>,
    pool: Rc<Pool>,
    open: Rc<Open>,
}

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectError {
    /// The host name has no address.
    Unresolved,
    /// Refused, unreachable, or timed out.
    Failed,
    Tls(UpstreamTlsFailure),
    TimedOut,
    /// As many are open as may be, and as many requests wait for one as may.
    TooMany,
    /// None of the group's targets is in use.
    NoTarget,
    /// All of the group's targets have as many requests as they may have.
    CircuitOpen,
}

/// The connection to `upstream` that was used last, if one rests.
#[inline]
pub(crate) fn take_pooled(
    shard: &Rc<Shard>,
    upstream: &Arc<Upstream>,
    reuse: bool,
    now_us: u64,
) -> Option<Connection> {
    let pool = shard.pools.of(upstream);
    // A connection that is shared and broken isn't in the pool any more.
    if !reuse && !pool.is_shared() {
        return None;
    }
    let mut connection = pool.take_idle(shard, now_us)?;
    shard.stats.borrow_mut().counters.upstream_reuses_total += 1;
    connection.reused = reuse;
    Some(connection)
}

/// A new connection, unless one is given up meanwhile that may be reused; if as many are open as may be, the next that
/// comes free.
pub(crate) async fn open(
    shard: &Rc<Shard>,
    upstream: &Arc<Upstream>,
    reuse: bool,
    give_up_ms: u64,
) -> Result<Connection, ConnectError> {
    let pool = &shard.pools.of(upstream);
    if !pool.room.is_left(shard) {
        // One that rests is in the way; there is none if any would do.
        pool.evict(shard);
    }
    let room = match pool.room.take(shard) {
        Some(room) => Rc::new(room),
        None => {
            let waiting_max = shard.settings.upstream_pending_requests_max;
            match shard.pools.lines.wait(shard, pool.room.line(), waiting_max, give_up_ms).await? {
                Grant::Connection(connection)
                    if (reuse || pool.is_shared()) && connection.stream.is_quiet() =>
                {
                    shard.stats.borrow_mut().counters.upstream_reuses_total += 1;
                    return Ok(Connection { reused: reuse, ..connection });
                }
                Grant::Connection(connection) => connection.open,
                Grant::Room(room) => Rc::new(room),
            }
        }
    };
    establish(shard, pool, room, give_up_ms).await
}

/// A new connection, for which there is room.
async fn establish(
    shard: &Rc<Shard>,
    pool: &Rc<Pool>,
    room: Rc<Open>,
    give_up_ms: u64,
) -> Result<Connection, ConnectError> {
    let dialled = if pool.is_shared() {
        http2::establish(shard, pool, room, give_up_ms).await
    } else {
        pool.dial(shard, &room, give_up_ms).await.map(|stream| Connection::over(stream, pool, room))
    };
    let mut stats = shard.stats.borrow_mut();
    match dialled {
        Ok(connection) => {
            stats.counters.upstream_connects_total += 1;
            Ok(connection)
        }
        Err(error) => {
            stats.counters.upstream_connect_failures_total += 1;
            drop(stats);
            // Dropping `room` may let the next request in, which counts.
            Err(error)
        }
    }
}

impl Connection {
    fn over(stream: Transport, pool: &Rc<Pool>, open: Rc<Open>) -> Self {
        let stream = Rc::new(stream);
        let watch = Watch::new(Rc::clone(&stream));
        Self { stream, watch, reused: false, lease: None, pool: Rc::clone(pool), open }
    }

    fn leased(self, lease: &Rc<Lease>) -> Self {
        Self { lease: Some(Rc::clone(lease)), ..self }
    }

    /// An answer is overdue: what it shares, if it does, is for no further exchanges.
    pub(crate) fn distrust(&self) {
        if let Some(channel) = self.stream.channel() {
            channel.distrust();
        }
    }

    /// Whether the upstream did nothing of what it was asked, and said so.
    pub(crate) fn is_unprocessed(&self) -> bool {
        self.stream.channel().is_some_and(Channel::is_unprocessed)
    }

    /// Gives the connection back after an exchange that ended where its framing said: to a request that waits
    /// for one, or to its pool.
    pub(crate) fn release(mut self, shard: &Shard) {
        self.lease = None;
        self.watch.disown();
        if self.stream.channel().is_some() {
            // What it shares is released with the last that shares it.
            return;
        }
        self.watch.disarm();
        if self.open.room.is_closed() || self.open.outdated.get() {
            return;
        }
        let connection = if self.open.room.is_wanted() {
            match self.grant() {
                Some(connection) => connection,
                None => return,
            }
        } else {
            self
        };
        let pool = Rc::clone(&connection.pool);
        if pool.idle.borrow().len() >= shard.settings.upstream_idle_connections_max || shard.is_draining() {
            return;
        }
        shard.stats.borrow_mut().gauges.upstream_connections_idle += 1;
        pool.idle.borrow_mut().push(Idle { connection, since_ms: shard.wheel.now_ms() });
    }

    /// Gives the connection to who waits for one; back, if nobody does any more.
    #[cold]
    fn grant(self) -> Option<Self> {
        let room = Rc::clone(&self.open.room);
        match room.line().grant(Grant::Connection(self)) {
            Ok(()) => None,
            Err(Grant::Connection(connection)) => Some(connection),
            Err(Grant::Room(_)) => unreachable!("a connection was granted"),
        }
    }
}
