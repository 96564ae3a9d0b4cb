//! Which connections are open, and which of them rest.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use rustls::ClientConfig;

use super::Connection;
use super::group::Groups;
use super::http2;
use super::resting::{Idle, Resting};
use super::room::{Line, Lines, Open, Room};
use crate::housekeeper::resolver::Unresolved;
use crate::shard::Shard;
use crate::table::{Member, Upstream};
use turnpike_snapshot::HttpVersion;

/// One upstream's connections on this shard.
#[derive(Debug)]
pub(super) struct Pool {
    /// A copy, so that no shard's pool is what keeps another's.
    pub(super) upstream: Upstream,
    /// Whether a table still leads to it.
    served: std::sync::Weak<Upstream>,
    /// Where it leads, if not to the upstream's host.
    pub(super) member: Option<Arc<Member>>,
    pub(super) idle: RefCell<Resting>,
    /// Over HTTP/2, all that are open.
    pub(super) shared: http2::Shared,
    pub(super) room: Rc<Room>,
    /// Rotates through the upstream's addresses.
    pub(super) turn: Cell<usize>,
    /// Connections to addresses of the upstream's name.
    named: RefCell<Vec<Weak<Open>>>,
    /// With the sessions that new connections go on from.
    pub(super) tls: Option<Arc<ClientConfig>>,
}

/// All upstreams of a shard.
#[derive(Debug, Default)]
pub(crate) struct Pools {
    by_slot: RefCell<Vec<Option<Rc<Pool>>>>,
    pub(crate) groups: Groups,
    pub(super) lines: Lines,
}

impl Pools {
    pub(super) fn of(&self, upstream: &Arc<Upstream>) -> Rc<Pool> {
        let mut pools = self.by_slot.borrow_mut();
        let slot = upstream.slot as usize;
        if slot >= pools.len() {
            pools.resize_with(slot + 1, || None);
        }
        let pool =
            pools[slot].get_or_insert_with(|| Pool::new(upstream, None, Room::new(Rc::new(Line::default()))));
        Rc::clone(pool)
    }

    /// Drops connections that have rested too long or that the upstream has ended, and pools that no
    /// snapshot needs any more. Called about once a second.
    pub(crate) fn sweep(&self, shard: &Rc<Shard>) {
        self.groups.sweep(shard);
        let mut dropped = Vec::new();
        for slot in self.by_slot.borrow_mut().iter_mut() {
            let Some(pool) = slot else { continue };
            let swept = dropped.len();
            let unneeded = pool.served.strong_count() == 0;
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
        self.groups.clear(shard);
        let pools = std::mem::take(&mut *self.by_slot.borrow_mut());
        for pool in pools.into_iter().flatten() {
            http2::sweep(shard, &pool, true);
            let idle = pool.idle.take();
            shard.stats.borrow_mut().gauges.upstream_connections_idle -= idle.len() as u64;
        }
    }
}

impl Pool {
    fn new(upstream: &Arc<Upstream>, member: Option<&Arc<Member>>, room: Rc<Room>) -> Rc<Self> {
        Rc::new(Self {
            upstream: Upstream::clone(upstream),
            served: Arc::downgrade(upstream),
            member: member.cloned(),
            idle: RefCell::default(),
            shared: RefCell::default(),
            room,
            turn: Cell::new(0),
            named: RefCell::default(),
            tls: upstream.security.as_ref().map(|security| security.of_pool()),
        })
    }

    /// Connections to one target of the upstream's group.
    pub(super) fn to_member(upstream: &Arc<Upstream>, member: &Arc<Member>, room: &Rc<Room>) -> Rc<Self> {
        Self::new(upstream, Some(member), Rc::clone(room))
    }

    /// Whether exchanges share its connections, so that a connection is none's own.
    pub(super) fn is_shared(&self) -> bool {
        self.upstream.version == HttpVersion::Http2
    }

    /// Whether [`take_idle`](Self::take_idle) would find one.
    pub(super) fn has_idle(&self, shard: &Shard) -> bool {
        if self.is_shared() { http2::has_room(shard, self) } else { self.idle.borrow().len() > 0 }
    }

    /// Ends a connection that rests, if there is one.
    pub(super) fn evict(&self, shard: &Shard) -> bool {
        if self.is_shared() {
            http2::evict(self)
        } else {
            self.take_idle(shard, shard.clock.now_us()).is_some()
        }
    }

    #[inline]
    pub(super) fn take_idle(&self, shard: &Shard, now_us: u64) -> Option<Connection> {
        if self.is_shared() {
            return http2::take(shard, self);
        }
        let seen = self.idle.borrow_mut().take_seen(now_us);
        let Some(idle) = seen else { return self.look_for_idle(shard, now_us) };
        shard.stats.borrow_mut().gauges.upstream_connections_idle -= 1;
        Some(Connection { reused: true, ..idle.connection })
    }

    #[inline(never)]
    fn look_for_idle(&self, shard: &Shard, now_us: u64) -> Option<Connection> {
        // What is dropped may let a request in that waits: after the pool is let go of.
        let mut gone = Vec::new();
        let taken = self.idle.borrow_mut().take(now_us, Idle::stream, &mut gone);
        let fewer = gone.len() + usize::from(taken.is_some());
        shard.stats.borrow_mut().gauges.upstream_connections_idle -= fewer as u64;
        taken.map(|idle| Connection { reused: true, ..idle.connection })
    }

    /// Remembers where a connection leads that has just been opened.
    pub(super) fn note_address(&self, open: &Rc<Open>, address: IpAddr) {
        if self.upstream.ip.is_none() {
            open.address.set(Some(address));
            open.outdated.set(false);
            self.named.borrow_mut().push(Rc::downgrade(open));
        }
    }

    /// Connections carry no further exchanges to addresses that the name doesn't have any more, so that a name that
    /// moves takes busy connections along.
    fn leave_old_addresses(&self, shard: &Shard) {
        let mut named = self.named.borrow_mut();
        named.retain(|open| open.strong_count() > 0);
        if named.is_empty() {
            return;
        }
        let addresses = shard.addresses.load();
        let current: &[IpAddr] = match addresses.of(&self.upstream.host) {
            Ok(current) => current,
            Err(Unresolved::Failed(_)) => &[],
            Err(Unresolved::Pending) => return,
        };
        for open in named.iter().filter_map(Weak::upgrade) {
            let is_current = open.address.get().is_none_or(|address| current.contains(&address));
            open.outdated.set(!is_current);
        }
    }

    /// Moves what shouldn't rest any longer to `dropped`.
    pub(super) fn sweep(&self, shard: &Shard, unneeded: bool, dropped: &mut Vec<Idle>) {
        self.leave_old_addresses(shard);
        http2::sweep(shard, self, unneeded);
        let idle_timeout_ms = shard.settings.upstream_idle_timeout_ms;
        let now_ms = shard.wheel.now_ms();
        let is_over = |idle: &mut Idle| {
            unneeded
                || idle.connection.open.outdated.get()
                || now_ms.saturating_sub(idle.since_ms) >= idle_timeout_ms
                || !idle.connection.stream.is_quiet()
        };
        self.idle.borrow_mut().sweep(is_over, dropped);
    }
}
