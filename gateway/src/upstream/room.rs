//! How many connections may be open to a target, and who waits until one comes free.
//!
//! A connection that is released or closed while requests wait goes to the first of them, and not to a newcomer.
//! Invariants: `open <= max` unless `max` was lowered meanwhile; whoever waits is served or sent away by its
//! integration's deadline.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::{Rc, Weak};

use turnpike_balance::Queue;

use super::{ConnectError, Connection};
use crate::shard::Shard;

/// Requests that wait for a connection: of one upstream, or of a target group.
pub(super) type Line = Queue<Grant>;

/// What a request that waits is given.
#[derive(Debug)]
pub(super) enum Grant {
    /// One that has just been released.
    Connection(Connection),
    /// Leave to open one.
    Room(Open),
}

/// The connections to one target, from one shard.
#[derive(Debug)]
pub(super) struct Room {
    open: Cell<usize>,
    /// 0: `upstream_connections_max`.
    max: Cell<usize>,
    /// Who waits may be given what comes free here.
    usable: Cell<bool>,
    /// Its target is none any more: no connection to it is kept.
    closed: Cell<bool>,
    line: Rc<Line>,
}

/// Counts an open connection for as long as it lives.
#[derive(Debug)]
pub(super) struct Open {
    shard: Rc<Shard>,
    pub(super) room: Rc<Room>,
    /// What it leads to, if that is an address of a name.
    pub(super) address: Cell<Option<IpAddr>>,
    /// The name doesn't have the address any more: it carries no further exchange.
    pub(super) outdated: Cell<bool>,
}

impl Room {
    pub(super) fn new(line: Rc<Line>) -> Rc<Self> {
        Rc::new(Self {
            open: Cell::new(0),
            max: Cell::new(0),
            usable: Cell::new(true),
            closed: Cell::new(false),
            line,
        })
    }

    pub(super) fn set_max(&self, max: usize) {
        self.max.set(max);
    }

    pub(super) fn set_usable(&self, usable: bool) {
        self.usable.set(usable);
    }

    pub(super) fn close(&self) {
        self.usable.set(false);
        self.closed.set(true);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    pub(super) fn open(&self) -> usize {
        self.open.get()
    }

    pub(super) fn line(&self) -> &Rc<Line> {
        &self.line
    }

    pub(super) fn is_left(&self, shard: &Shard) -> bool {
        let max = if self.max.get() == 0 { shard.settings.upstream_connections_max } else { self.max.get() };
        self.open.get() < max
    }

    pub(super) fn take(self: &Rc<Self>, shard: &Rc<Shard>) -> Option<Open> {
        if !self.is_left(shard) {
            return None;
        }
        self.open.set(self.open.get() + 1);
        shard.stats.borrow_mut().gauges.upstream_connections_open += 1;
        Some(Open {
            shard: Rc::clone(shard),
            room: Rc::clone(self),
            address: Cell::new(None),
            outdated: Cell::new(false),
        })
    }

    /// Whether a released connection would find somebody who waits for it.
    pub(super) fn is_wanted(&self) -> bool {
        self.usable.get() && !self.line.is_empty()
    }

    /// Lets those in who wait, as far as there is room.
    pub(super) fn let_in(self: &Rc<Self>, shard: &Rc<Shard>) {
        while self.is_wanted()
            && let Some(open) = self.take(shard)
        {
            // Somebody waits, so that nothing is given back.
            drop(self.line.grant(Grant::Room(open)));
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.room.open.set(self.room.open.get() - 1);
        self.shard.stats.borrow_mut().gauges.upstream_connections_open -= 1;
        self.room.let_in(&self.shard);
    }
}

/// The lines of a shard in which somebody waits, for their deadlines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    waited_in: RefCell<Vec<Weak<Line>>>,
}

impl Lines {
    /// Waits until something comes free.
    pub(super) async fn wait(
        &self,
        shard: &Shard,
        line: &Rc<Line>,
        waiting_max: usize,
        give_up_ms: u64,
    ) -> Result<Grant, ConnectError> {
        let was_empty = line.is_empty();
        let ticket = line.join(waiting_max, give_up_ms).map_err(|_| ConnectError::TooMany)?;
        if was_empty {
            self.waited_in.borrow_mut().push(Rc::downgrade(line));
        }
        shard.stats.borrow_mut().gauges.upstream_requests_pending += 1;
        let granted = ticket.await;
        shard.stats.borrow_mut().gauges.upstream_requests_pending -= 1;
        granted.map_err(|_| ConnectError::TimedOut)
    }

    /// Sends those away whose time is over. Called with each tick.
    pub(super) fn expire(&self, now_ms: u64) {
        if self.waited_in.borrow().is_empty() {
            return;
        }
        let lines = self.waited_in.take();
        let mut kept: Vec<Weak<Line>> = Vec::with_capacity(lines.len());
        for line in lines {
            let Some(line) = line.upgrade() else { continue };
            line.expire(now_ms);
            if !line.is_empty() && kept.iter().all(|known| known.as_ptr() != Rc::as_ptr(&line)) {
                kept.push(Rc::downgrade(&line));
            }
        }
        self.waited_in.borrow_mut().append(&mut kept);
    }
}
