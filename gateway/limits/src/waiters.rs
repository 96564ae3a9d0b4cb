//! Requests that wait for tokens: a slab, in it one line for each lease.

use crate::Limit;
use crate::leases::LIMITS_PER_REQUEST_MAX;

const NONE: u32 = u32::MAX;

/// A request that waits; its number is another's again when its verdict was polled, or it left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket(pub(crate) u32);

/// The first and the last of those who wait for the same lease.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line {
    first: u32,
    last: u32,
    pub(crate) len: u32,
}

impl Default for Line {
    fn default() -> Self {
        Self { first: NONE, last: NONE, len: 0 }
    }
}

/// What a request asks for, as long as it waits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish {
    limits: [Limit; LIMITS_PER_REQUEST_MAX],
    count: usize,
    pub(crate) version: u64,
}

impl Wish {
    pub(crate) fn new(limits: &[Limit], version: u64) -> Self {
        let mut copy = [limits[0]; LIMITS_PER_REQUEST_MAX];
        copy[..limits.len()].copy_from_slice(limits);
        Self { limits: copy, count: limits.len(), version }
    }

    pub(crate) fn limits(&self) -> &[Limit] {
        &self.limits[..self.count]
    }
}

#[derive(Debug)]
struct Waiter {
    wish: Wish,
    deadline_us: u64,
    next: u32,
    /// Has its verdict, or has left; taken out when its line is gone through.
    gone: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Waiters {
    slab: Vec<Waiter>,
    free: Vec<u32>,
    /// Those who aren't gone.
    waiting: usize,
}

impl Waiters {
    /// In lines, the gone among them.
    pub(crate) fn len(&self) -> usize {
        self.slab.len() - self.free.len()
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    pub(crate) fn join(&mut self, line: &mut Line, wish: Wish, deadline_us: u64) -> Ticket {
        let waiter = Waiter { wish, deadline_us, next: NONE, gone: false };
        let number = match self.free.pop() {
            Some(number) => {
                self.slab[number as usize] = waiter;
                number
            }
            None => {
                self.slab.push(waiter);
                self.slab.len() as u32 - 1
            }
        };
        self.waiting += 1;
        self.append(line, number);
        Ticket(number)
    }

    /// The first that isn't gone.
    pub(crate) fn first(&mut self, line: &mut Line) -> Option<(Ticket, Wish)> {
        loop {
            let waiter = self.slab.get(line.first as usize)?;
            if !waiter.gone {
                return Some((Ticket(line.first), waiter.wish));
            }
            let number = self.unlink_first(line);
            self.free.push(number);
        }
    }

    /// The first in line has its verdict.
    pub(crate) fn dismiss_first(&mut self, line: &mut Line) {
        let number = self.unlink_first(line);
        self.slab[number as usize].gone = true;
        self.waiting -= 1;
        self.free.push(number);
    }

    /// The first in one line waits in another from now on.
    pub(crate) fn move_first(&mut self, line: &mut Line, to: &mut Line) {
        let number = self.unlink_first(line);
        self.append(to, number);
    }

    pub(crate) fn leave(&mut self, ticket: Ticket) {
        let waiter = &mut self.slab[ticket.0 as usize];
        self.waiting -= usize::from(!waiter.gone);
        waiter.gone = true;
    }

    /// Those whose time is over, who are gone from now on.
    pub(crate) fn expire(&mut self, now_us: u64, mut expired: impl FnMut(Ticket, &Wish)) {
        if self.waiting == 0 {
            return;
        }
        for (number, waiter) in (0..).zip(&mut self.slab) {
            if !waiter.gone && waiter.deadline_us <= now_us {
                waiter.gone = true;
                self.waiting -= 1;
                expired(Ticket(number), &waiter.wish);
            }
        }
    }

    fn append(&mut self, line: &mut Line, number: u32) {
        match self.slab.get_mut(line.last as usize) {
            Some(last) => last.next = number,
            None => line.first = number,
        }
        line.last = number;
        line.len += 1;
    }

    fn unlink_first(&mut self, line: &mut Line) -> u32 {
        let number = line.first;
        line.first = std::mem::replace(&mut self.slab[number as usize].next, NONE);
        if line.first == NONE {
            line.last = NONE;
        }
        line.len -= 1;
        number
    }
}
