//! Which connections are open, and which of them rest.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use super::Connection;
use super::http2;
use super::room::{Line, Lines, Room};
use crate::shard::Shard;
use crate::table::Upstream;
use turnpike_snapshot::HttpVersion;

/// One upstream's connections on this shard.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) upstream: Arc<Upstream>,
    pub(super) idle: RefCell<Vec<Idle>>,
    /// Over HTTP/2, all that are open.
    pub(super) shared: http2::Shared,
    pub(super) room: Rc<Room>,
    /// Rotates through the upstream's addresses.
    pub(super) turn: Cell<usize>,
}

#[derive(Debug)]
pub(super) struct Idle {
    pub(super) connection: Connection,
    pub(super) since_ms: u64,
}

/// All upstreams of a shard.
#[derive(Debug, Default)]
pub(crate) struct Pools {
    by_slot: RefCell<Vec<Option<Rc<Pool>>>>,
    pub(super) lines: Lines,
}

impl Pools {
    pub(super) fn of(&self, upstream: &Arc<Upstream>) -> Rc<Pool> {
        let mut pools = self.by_slot.borrow_mut();
        let slot = upstream.slot as usize;
        if slot >= pools.len() {
            pools.resize_with(slot + 1, || None);
        }
        let pool = pools[slot].get_or_insert_with(|| {
            Rc::new(Pool {
                upstream: Arc::clone(upstream),
                idle: RefCell::default(),
                shared: RefCell::default(),
                room: Room::new(Rc::new(Line::default())),
                turn: Cell::new(0),
            })
        });
        Rc::clone(pool)
    }

    /// Drops connections that have rested too long or that the upstream has ended, and pools that no
    /// snapshot needs any more. Called about once a second.
    pub(crate) fn sweep(&self, shard: &Shard) {
        let mut dropped = Vec::new();
        for slot in self.by_slot.borrow_mut().iter_mut() {
            let Some(pool) = slot else { continue };
            let swept = dropped.len();
            let unneeded = Arc::strong_count(&pool.upstream) == 1;
            pool.sweep(shard, unneeded, &mut dropped);
            if unneeded && pool.room.open() == dropped.len() - swept {
                *slot = None;
            }
        }
        shard.stats.borrow_mut().gauges.upstream_connections_idle -= dropped.len() as u64;
    }

    /// Sends requests away that have waited too long for a connection. Called with each tick.
    pub(crate) fn expire(&self, now_ms: u64) {
        self.lines.expire(now_ms);
    }

    /// Ends all pooled connections, when the shard ends.
    pub(crate) fn clear(&self, shard: &Shard) {
        let pools = std::mem::take(&mut *self.by_slot.borrow_mut());
        for pool in pools.into_iter().flatten() {
            http2::sweep(shard, &pool, true);
            let idle = pool.idle.take();
            shard.stats.borrow_mut().gauges.upstream_connections_idle -= idle.len() as u64;
        }
    }
}

impl Pool {
    /// Whether exchanges share its connections, so that a connection is none's own.
    pub(super) fn is_shared(&self) -> bool {
        self.upstream.version == HttpVersion::Http2
    }

    pub(super) fn take_idle(&self, shard: &Shard) -> Option<Connection> {
        if self.is_shared() {
            return http2::take(shard, self);
        }
        loop {
            let mut idle = self.idle.borrow_mut().pop()?;
            shard.stats.borrow_mut().gauges.upstream_connections_idle -= 1;
            if idle.connection.stream.is_quiet() {
                idle.connection.reused = true;
                return Some(idle.connection);
            }
        }
    }

    /// Moves what shouldn't rest any longer to `dropped`.
    fn sweep(&self, shard: &Shard, unneeded: bool, dropped: &mut Vec<Idle>) {
        http2::sweep(shard, self, unneeded);
        let idle_timeout_ms = shard.settings.upstream_idle_timeout_ms;
        let now_ms = shard.wheel.now_ms();
        let kept = |idle: &mut Idle| {
            !unneeded
                && now_ms.saturating_sub(idle.since_ms) < idle_timeout_ms
                && idle.connection.stream.is_quiet()
        };
        dropped.extend(self.idle.borrow_mut().extract_if(.., |idle| !kept(idle)));
    }
}
