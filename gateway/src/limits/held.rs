//! A shard's tokens, and its requests that wait for some.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use rustc_hash::FxHashMap;
use turnpike_limits::{Begun, Holder, LeaseCounts, LeaseRules, Leases, Limit, Refused, Taken, Ticket};
use turnpike_rt::Clock;

use super::LimiterLine;
use crate::mailbox::Mailbox;
use crate::settings::Settings;

/// Of asking and being answered, one after the other: what is asked then is asked with the next request, or tick.
const ROUNDS_MAX: usize = 4;
/// And of asks that are answered at once.
const ANSWERS_MAX: usize = 64;

/// What a shard knows of throttles.
#[derive(Debug)]
pub(crate) struct Limits {
    leases: RefCell<Leases>,
    seats: RefCell<FxHashMap<Ticket, Rc<Seat>>>,
    shard: usize,
    line: LimiterLine,
    /// The shard's own.
    mailbox: Mailbox,
    clock: Clock,
}

/// Where a request waits.
#[derive(Debug, Default)]
struct Seat {
    verdict: Cell<Option<Result<(), Refused>>>,
    waker: RefCell<Option<Waker>>,
}

impl Limits {
    pub(crate) fn new(
        shard: usize,
        settings: &Settings,
        line: LimiterLine,
        mailbox: Mailbox,
        clock: Clock,
    ) -> Self {
        let rules = LeaseRules {
            holder: Holder(shard as u16),
            holders: settings.cores.len(),
            wait_us: settings.limit_wait_ms * 1_000,
            waiting_max: settings.limit_waiting_max,
            leases_max: settings.limit_leases_max,
        };
        let leases = RefCell::new(Leases::new(rules));
        Self { leases, seats: RefCell::default(), shard, line, mailbox, clock }
    }

    /// Takes a token of each limit, the broadest first, or none; it has to wait for the limiter where another shard has it.
    pub(crate) fn take(&self, limits: &[Limit], version: u64) -> Take<'_> {
        let (begun, is_silent) = self.step(|leases, now_us| {
            let spend = |unknown: &[Limit]| self.line.spend_at_once(unknown, version, now_us);
            leases.begin_at_hand(limits, version, now_us, spend)
        });
        match begun {
            Begun::Admitted => self.tell(Ok(()), is_silent),
            Begun::Refused(refused) => self.tell(Err(refused), is_silent),
            Begun::Lacks => self.ask(limits, version),
        }
    }

    /// Mostly the limiter answers at once: then the request needn't be put in line to be told by it.
    fn ask(&self, limits: &[Limit], version: u64) -> Take<'_> {
        self.converse();
        let (taken, is_silent) = self.step(|leases, now_us| leases.go_on(limits, version, now_us));
        match taken {
            Taken::Admitted => self.tell(Ok(()), is_silent),
            Taken::Refused(refused) => self.tell(Err(refused), is_silent),
            Taken::Waits(ticket) => Take::Waits(self.seat(ticket)),
        }
    }

    /// What comes of `step`, and whether it leaves nothing to tell the limiter.
    fn step<T>(&self, step: impl FnOnce(&mut Leases, u64) -> T) -> (T, bool) {
        let mut leases = self.leases.borrow_mut();
        let outcome = step(&mut leases, self.clock.now_us());
        (outcome, leases.is_silent())
    }

    fn tell(&self, told: Result<(), Refused>, is_silent: bool) -> Take<'_> {
        if !is_silent {
            self.converse();
        }
        Take::Told(told)
    }

    /// Whether the limiter has answered.
    pub(crate) fn hear(&self) {
        if self.hear_answers() {
            self.converse();
        }
    }

    /// To be called with each tick of the shard.
    pub(crate) fn tick(&self) {
        self.leases.borrow_mut().tick(self.clock.now_us());
        self.send_reports();
        // Also what others have left.
        self.line.attend(self.shard);
        self.hear_answers();
        self.converse();
    }

    /// The shard ends.
    pub(crate) fn close(&self) {
        self.leases.borrow_mut().close();
        self.converse();
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
        self.converse();
        Wait { limits: self, ticket, seat }
    }

    /// Tells the limiter what there is to tell, takes what it answers at once, and tells those who waited.
    fn converse(&self) {
        for _ in 0..ROUNDS_MAX {
            if !self.send_reports() {
                break;
            }
            self.line.attend(self.shard);
            self.hear_answers();
        }
        self.tell_verdicts();
    }

    /// Whether the limiter was told anything that it hasn't answered.
    fn send_reports(&self) -> bool {
        let mut leases = self.leases.borrow_mut();
        let (mut sent, mut answered) = (false, 0);
        while answered < ANSWERS_MAX
            && let Some(report) = leases.poll_report()
        {
            if report.ask.is_some()
                && let Some((answer, now_us)) = self.line.ask_at_once(&report)
            {
                leases.handle_answer(&answer, now_us);
                answered += 1;
                continue;
            }
            if let Err(report) = self.line.report(self.shard, report) {
                leases.handle_unsent(report);
                // What was sent before may have its answers.
                return true;
            }
            sent = true;
        }
        sent
    }

    /// Whether there was any.
    fn hear_answers(&self) -> bool {
        let Some(first) = self.mailbox.receive_answer() else { return false };
        let mut leases = self.leases.borrow_mut();
        let now_us = self.clock.now_us();
        leases.handle_answer(&first, now_us);
        while let Some(answer) = self.mailbox.receive_answer() {
            leases.handle_answer(&answer, now_us);
        }
        true
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

/// What becomes of a request.
#[derive(Debug)]
#[must_use = "a request that isn't awaited leaves the line"]
pub(crate) enum Take<'l> {
    Told(Result<(), Refused>),
    Waits(Wait<'l>),
}

impl Future for Take<'_> {
    type Output = Result<(), Refused>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Told(told) => Poll::Ready(*told),
            Self::Waits(wait) => Pin::new(wait).poll(context),
        }
    }
}

/// A request that waits for its verdict; dropped, it leaves the line.
#[derive(Debug)]
pub(crate) struct Wait<'l> {
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
