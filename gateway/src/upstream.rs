//! A shard's connections to upstreams: a pool for each host and port.
//!
//! A pooled connection is looked at when it is taken: one whose upstream has closed it, or has sent bytes that
//! nobody asked for, is dropped and never used, so that no answer is ever taken for another's. (A read kept
//! pending on resting connections would tell as well, but costs a busy connection more than the look: the
//! kernel has to arm it and wake for it each time, where a read posted after the request finds the answer there.)

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use turnpike_rt::Transport;

use crate::housekeeper::resolver::Unresolved;
use crate::shard::Shard;
use crate::table::Upstream;
use crate::wheel::{TICK_MS, Watch};

/// An open connection to an upstream, in use by one exchange.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: Rc<Transport>,
    pub(crate) watch: Rc<Watch>,
    /// It has carried an exchange before: the upstream may be about to close it.
    pub(crate) reused: bool,
    open: Open,
}

/// Counts an open connection for as long as it lives.
#[derive(Debug)]
struct Open {
    shard: Rc<Shard>,
    pool: Rc<Pool>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.pool.open.set(self.pool.open.get() - 1);
        self.shard.stats.borrow_mut().gauges.upstream_connections_open -= 1;
    }
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

/// One upstream's connections on this shard.
#[derive(Debug)]
struct Pool {
    upstream: Arc<Upstream>,
    idle: RefCell<Vec<Idle>>,
    open: Cell<usize>,
    /// Rotates through the upstream's addresses.
    turn: Cell<usize>,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since_ms: u64,
}

/// All upstreams of a shard.
#[derive(Debug, Default)]
pub(crate) struct Pools {
    by_slot: RefCell<Vec<Option<Rc<Pool>>>>,
}

impl Pools {
    fn of(&self, upstream: &Arc<Upstream>) -> Rc<Pool> {
        let mut pools = self.by_slot.borrow_mut();
        let slot = upstream.slot as usize;
        if slot >= pools.len() {
            pools.resize_with(slot + 1, || None);
        }
        let pool = pools[slot].get_or_insert_with(|| {
            Rc::new(Pool {
                upstream: Arc::clone(upstream),
                idle: RefCell::default(),
                open: Cell::new(0),
                turn: Cell::new(0),
            })
        });
        Rc::clone(pool)
    }

    /// Drops connections that have rested too long or that the upstream has ended, and pools that no
    /// snapshot needs any more. Called about once a second.
    pub(crate) fn sweep(&self, shard: &Shard) {
        let idle_timeout_ms = shard.settings.upstream_idle_timeout_ms;
        let now_ms = shard.wheel.now_ms();
        let mut dropped = Vec::new();
        for slot in self.by_slot.borrow_mut().iter_mut() {
            let Some(pool) = slot else { continue };
            let kept = |idle: &mut Idle| {
                now_ms.saturating_sub(idle.since_ms) < idle_timeout_ms && idle.connection.stream.is_quiet()
            };
            dropped.extend(pool.idle.borrow_mut().extract_if(.., |idle| !kept(idle)));
            let unneeded = Arc::strong_count(&pool.upstream) == 1;
            if unneeded {
                dropped.append(&mut pool.idle.borrow_mut());
            }
            if unneeded && pool.open.get() == dropped_of(&dropped, pool) {
                *slot = None;
            }
        }
        shard.stats.borrow_mut().gauges.upstream_connections_idle -= dropped.len() as u64;
    }

    /// Ends all pooled connections, when the shard ends.
    pub(crate) fn clear(&self, shard: &Shard) {
        let pools = std::mem::take(&mut *self.by_slot.borrow_mut());
        for pool in pools.into_iter().flatten() {
            let idle = pool.idle.take();
            shard.stats.borrow_mut().gauges.upstream_connections_idle -= idle.len() as u64;
        }
    }
}

fn dropped_of(dropped: &[Idle], pool: &Rc<Pool>) -> usize {
    dropped.iter().filter(|idle| Rc::ptr_eq(&idle.connection.open.pool, pool)).count()
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

impl Pool {
    fn take_idle(&self, shard: &Shard) -> Option<Connection> {
        loop {
            let mut idle = self.idle.borrow_mut().pop()?;
            shard.stats.borrow_mut().gauges.upstream_connections_idle -= 1;
            if idle.connection.stream.is_quiet() {
                idle.connection.reused = true;
                return Some(idle.connection);
            }
        }
    }

    /// Tries each address once, beginning with the next one in turn.
    async fn dial(&self, shard: &Shard, give_up_ms: u64) -> Result<Transport, ConnectError> {
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

impl Connection {
    /// Puts the connection back after an exchange that ended where its framing said.
    pub(crate) fn release(self, shard: &Shard) {
        let pool = Rc::clone(&self.open.pool);
        if pool.idle.borrow().len() >= shard.settings.upstream_idle_connections_max || shard.is_draining() {
            return;
        }
        self.watch.disarm();
        shard.stats.borrow_mut().gauges.upstream_connections_idle += 1;
        pool.idle.borrow_mut().push(Idle { connection: self, since_ms: shard.wheel.now_ms() });
    }
}
