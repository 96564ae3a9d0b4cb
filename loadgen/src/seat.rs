//! A connection task's place at its reactor: what wakes it, and what ends an exchange that takes too long.
//!
//! No timer a request: the reactor's sweep compares deadlines, and a task looks at its seat when it is polled.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use crate::schedule::Ticket;

pub(crate) const NO_DEADLINE: u64 = u64::MAX;

/// Why an exchange was ended from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    Timeout,
    /// The run's grace is over.
    RunOver,
}

/// What a parked connection is woken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wake {
    Send(Ticket),
    RunOver,
}

#[derive(Debug)]
pub(crate) struct Seat {
    waker: RefCell<Option<Waker>>,
    /// One for each parked lane at most.
    wakes: RefCell<VecDeque<Wake>>,
    deadline_ns: Cell<u64>,
    cut: Cell<Option<Cut>>,
}

impl Seat {
    pub(crate) fn new() -> Self {
        Self {
            waker: RefCell::new(None),
            wakes: RefCell::new(VecDeque::new()),
            deadline_ns: Cell::new(NO_DEADLINE),
            cut: Cell::new(None),
        }
    }

    /// Waits, parked, for the pacer or the end of the run.
    pub(crate) async fn parked(&self) -> Wake {
        poll_fn(|context| match self.next_wake() {
            Some(wake) => Poll::Ready(wake),
            None => self.sleep(context),
        })
        .await
    }

    /// What a parked lane was woken for.
    pub(crate) fn next_wake(&self) -> Option<Wake> {
        self.wakes.borrow_mut().pop_front()
    }

    /// Wakes a parked connection. That the run is over needs to be said only once.
    pub(crate) fn wake(&self, wake: Wake) {
        let mut wakes = self.wakes.borrow_mut();
        if wake != Wake::RunOver || wakes.back() != Some(&Wake::RunOver) {
            wakes.push_back(wake);
        }
        drop(wakes);
        self.rouse();
    }

    /// Says by when the connection wants to be looked at again by the sweep.
    pub(crate) fn watch(&self, deadline_ns: u64) {
        self.deadline_ns.set(deadline_ns);
    }

    pub(crate) fn is_watched(&self) -> bool {
        self.deadline_ns.get() != NO_DEADLINE
    }

    /// What the sweep has found, once.
    pub(crate) fn take_cut(&self) -> Option<Cut> {
        self.cut.take()
    }

    /// Runs `exchange` until it ends or the sweep cuts it off, which drops it.
    pub(crate) async fn until<F: Future>(&self, deadline_ns: u64, exchange: F) -> Result<F::Output, Cut> {
        let mut exchange = pin!(exchange);
        self.deadline_ns.set(deadline_ns);
        self.cut.set(None);
        let result = poll_fn(|context| {
            if let Poll::Ready(output) = exchange.as_mut().poll(context) {
                return Poll::Ready(Ok(output));
            }
            match self.cut.get() {
                Some(cut) => Poll::Ready(Err(cut)),
                None => self.sleep(context),
            }
        })
        .await;
        self.deadline_ns.set(NO_DEADLINE);
        result
    }

    /// Cuts the exchange off if its deadline has passed, or in any case when the run is over.
    pub(crate) fn sweep(&self, now_ns: u64, run_over: bool) {
        let deadline_ns = self.deadline_ns.get();
        if deadline_ns == NO_DEADLINE {
            return;
        }
        let cut = if now_ns >= deadline_ns { Some(Cut::Timeout) } else { run_over.then_some(Cut::RunOver) };
        if cut.is_some() && self.cut.get().is_none() {
            self.cut.set(cut);
            self.rouse();
        }
    }

    /// Remembers whom to wake.
    pub(crate) fn sleep<T>(&self, context: &Context<'_>) -> Poll<T> {
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            *waker = Some(context.waker().clone());
        }
        Poll::Pending
    }

    pub(crate) fn rouse(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
        std::pin::Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn only_an_exchange_past_its_deadline_is_cut_off() {
        let seat = Seat::new();
        let mut exchange = Box::pin(seat.until(100, pending::<()>()));
        assert!(poll_once(&mut exchange).is_pending());
        seat.sweep(99, false);
        assert!(poll_once(&mut exchange).is_pending());
        seat.sweep(100, false);
        assert_eq!(poll_once(&mut exchange), Poll::Ready(Err(Cut::Timeout)));
    }

    #[test]
    fn the_end_of_the_run_cuts_an_exchange_off_but_not_the_next() {
        let seat = Seat::new();
        let mut exchange = Box::pin(seat.until(100, pending::<()>()));
        assert!(poll_once(&mut exchange).is_pending());
        seat.sweep(50, true);
        assert_eq!(poll_once(&mut exchange), Poll::Ready(Err(Cut::RunOver)));
        drop(exchange);
        seat.sweep(60, true);
        let mut next = Box::pin(seat.until(200, pending::<()>()));
        assert!(poll_once(&mut next).is_pending());
    }

    #[test]
    fn a_parked_connection_gets_its_ticket_once() {
        let seat = Seat::new();
        let mut parked = Box::pin(seat.parked());
        assert!(poll_once(&mut parked).is_pending());
        let ticket = Ticket { intended_ns: 7, recorded: true };
        seat.wake(Wake::Send(ticket));
        assert_eq!(poll_once(&mut parked), Poll::Ready(Wake::Send(ticket)));
        drop(parked);
        assert!(poll_once(&mut Box::pin(seat.parked())).is_pending());
    }
}
