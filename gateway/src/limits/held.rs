//! A shard's tokens, and its requests that wait for some.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use rustc_hash::FxHashMap;
use turnpike_limits::{Answer, Holder, LeaseCounts, LeaseRules, Leases, Limit, Refused, Taken, Ticket};

use super::LimiterLine;
use crate::settings::Settings;

/// What a shard knows of throttles.
#[derive(Debug)]
pub(crate) struct Limits {
    leases: RefCell<Leases>,
    seats: RefCell<FxHashMap<Ticket, Rc<Seat>>>,
    line: LimiterLine,
}

/// Where a request waits.
#[derive(Debug, Default)]
struct Seat {
    verdict: Cell<Option<Result<(), Refused>>>,
    waker: RefCell<Option<Waker>>,
}

impl Limits {
    pub(crate) fn new(shard: usize, settings: &Settings, line: LimiterLine) -> Self {
        let rules = LeaseRules {
            holder: Holder(shard as u16),
            holders: settings.cores.len(),
            wait_us: settings.limit_wait_ms * 1_000,
            waiting_max: settings.limit_waiting_max,
            leases_max: settings.limit_leases_max,
        };
        Self { leases: RefCell::new(Leases::new(rules)), seats: RefCell::default(), line }
    }

    /// Takes a token of each limit, the broadest first, or none; waits for the limiter where it has to.
    pub(crate) async fn take(&self, limits: &[Limit], version: u64, now_us: u64) -> Result<(), Refused> {
        let taken = self.leases.borrow_mut().take(limits, version, now_us);
        match taken {
            Taken::Admitted => {
                self.send_reports();
                Ok(())
            }
            Taken::Refused(refused) => {
                self.send_reports();
                Err(refused)
            }
            Taken::Waits(ticket) => self.seat(ticket).await,
        }
    }

    /// What the limiter has answered.
    pub(crate) fn hear(&self, answers: impl Iterator<Item = Answer>, now_us: u64) {
        for answer in answers {
            self.leases.borrow_mut().handle_answer(&answer, now_us);
        }
        self.send_reports();
        self.tell_verdicts();
    }

    /// To be called with each tick of the shard.
    pub(crate) fn tick(&self, now_us: u64) {
        self.leases.borrow_mut().tick(now_us);
        self.send_reports();
        self.tell_verdicts();
    }

    /// The shard ends.
    pub(crate) fn close(&self) {
        self.leases.borrow_mut().close();
        self.send_reports();
        self.tell_verdicts();
    }

    /// What was counted since the last time.
    pub(crate) fn take_counts(&self) -> LeaseCounts {
        self.leases.borrow_mut().take_counts()
    }

    pub(crate) fn waiting(&self) -> usize {
        self.leases.borrow().waiting()
    }

    pub(crate) fn leases(&self) -> usize {
        self.leases.borrow().len()
    }

    fn seat(&self, ticket: Ticket) -> Wait<'_> {
        let seat = Rc::new(Seat::default());
        // Before the limiter is asked, which may fail.
        self.seats.borrow_mut().insert(ticket, Rc::clone(&seat));
        self.send_reports();
        self.tell_verdicts();
        Wait { limits: self, ticket, seat }
    }

    fn send_reports(&self) {
        let mut leases = self.leases.borrow_mut();
        while let Some(report) = leases.poll_report() {
            if let Err(report) = self.line.report(report) {
                leases.handle_unsent(report);
                drop(leases);
                // Those who waited for it, before their tickets are given away again.
                return self.tell_verdicts();
            }
        }
    }

    fn tell_verdicts(&self) {
        loop {
            let next = self.leases.borrow_mut().poll_verdict();
            let Some((ticket, verdict)) = next else { return };
            let seat = self.seats.borrow_mut().remove(&ticket);
            if let Some(seat) = seat {
                seat.end(verdict);
            }
        }
    }
}

impl Seat {
    fn end(&self, verdict: Result<(), Refused>) {
        self.verdict.set(Some(verdict));
        let waker = self.waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// A request that waits for its verdict; dropped, it leaves the line.
#[derive(Debug)]
struct Wait<'l> {
    limits: &'l Limits,
    ticket: Ticket,
    seat: Rc<Seat>,
}

impl Future for Wait<'_> {
    type Output = Result<(), Refused>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.seat.verdict.get() {
            Some(verdict) => Poll::Ready(verdict),
            None => {
                self.seat.waker.replace(Some(context.waker().clone()));
                Poll::Pending
            }
        }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        // Without a verdict the ticket is still its own.
        if self.seat.verdict.get().is_none() {
            self.limits.seats.borrow_mut().remove(&self.ticket);
            self.limits.leases.borrow_mut().leave(self.ticket);
        }
    }
}
