//! A bounded line of tasks that wait for something of which there isn't enough, such as connections. What comes
//! free is handed to the first in line, so that a newcomer can't take it from under its hands.
//!
//! For the tasks of one thread. Invariant: what is granted to a task that has gone away is dropped, and its
//! `Drop` may well grant what it stands for to the next; the line is never borrowed while that happens.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// A line of waiting tasks.
#[derive(Debug)]
pub struct Queue<G> {
    line: RefCell<VecDeque<Rc<Waiter<G>>>>,
}

impl<G> Default for Queue<G> {
    fn default() -> Self {
        Self { line: RefCell::default() }
    }
}

/// As many wait as may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// The task's time was over before its turn came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expired;

#[derive(Debug)]
struct Waiter<G> {
    deadline_ms: u64,
    outcome: RefCell<Option<Result<G, Expired>>>,
    waker: RefCell<Option<Waker>>,
}

/// A place in the line; as a future, what was waited for.
#[derive(Debug)]
pub struct Ticket<'q, G> {
    queue: &'q Queue<G>,
    waiter: Rc<Waiter<G>>,
}

impl<G> Queue<G> {
    #[must_use]
    pub fn len(&self) -> usize {
        self.line.borrow().len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.line.borrow().is_empty()
    }

    /// Stands in line until `deadline_ms`, which [`expire`](Self::expire) enforces.
    ///
    /// # Errors
    /// `waiting_max` wait already.
    pub fn join(&self, waiting_max: usize, deadline_ms: u64) -> Result<Ticket<'_, G>, Full> {
        let mut line = self.line.borrow_mut();
        if line.len() >= waiting_max {
            return Err(Full);
        }
        let waiter = Waiter { deadline_ms, outcome: RefCell::default(), waker: RefCell::default() };
        let waiter = Rc::new(waiter);
        line.push_back(Rc::clone(&waiter));
        Ok(Ticket { queue: self, waiter })
    }

    /// Hands `granted` to the first in line.
    ///
    /// # Errors
    /// Nobody waits: it is given back.
    pub fn grant(&self, granted: G) -> Result<(), G> {
        let first = self.line.borrow_mut().pop_front();
        match first {
            Some(waiter) => {
                waiter.end(Ok(granted));
                Ok(())
            }
            None => Err(granted),
        }
    }

    /// Sends those away whose time is over; how many.
    pub fn expire(&self, now_ms: u64) -> usize {
        let mut expired = Vec::new();
        self.line.borrow_mut().retain(|waiter| {
            let kept = waiter.deadline_ms > now_ms;
            if !kept {
                expired.push(Rc::clone(waiter));
            }
            kept
        });
        expired.iter().for_each(|waiter| waiter.end(Err(Expired)));
        expired.len()
    }
}

impl<G> Waiter<G> {
    fn end(&self, outcome: Result<G, Expired>) {
        self.outcome.replace(Some(outcome));
        let waker = self.waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<G> Future for Ticket<'_, G> {
    type Output = Result<G, Expired>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = self.waiter.outcome.borrow_mut().take();
        match outcome {
            Some(outcome) => Poll::Ready(outcome),
            None => {
                self.waiter.waker.replace(Some(context.waker().clone()));
                Poll::Pending
            }
        }
    }
}

impl<G> Drop for Ticket<'_, G> {
    fn drop(&mut self) {
        self.queue.line.borrow_mut().retain(|waiter| !Rc::ptr_eq(waiter, &self.waiter));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll<G>(ticket: &mut Ticket<'_, G>) -> Poll<Result<G, Expired>> {
        Pin::new(ticket).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn first_come_first_served_up_to_a_bound() {
        let queue = Queue::default();
        let (mut first, mut second) = (queue.join(2, 100).unwrap(), queue.join(2, 100).unwrap());
        assert_eq!(queue.join(2, 100).unwrap_err(), Full);
        assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
        assert_eq!((queue.grant('a'), queue.grant('b'), queue.grant('c')), (Ok(()), Ok(()), Err('c')));
        assert_eq!((poll(&mut second), poll(&mut first)), (Poll::Ready(Ok('b')), Poll::Ready(Ok('a'))));
    }

    #[test]
    fn those_whose_time_is_over_leave_and_the_others_stay() {
        let queue = Queue::<char>::default();
        let (mut short, mut long) = (queue.join(9, 50).unwrap(), queue.join(9, 60).unwrap());
        assert_eq!((queue.expire(49), queue.expire(50), queue.len()), (0, 1, 1));
        assert_eq!(poll(&mut short), Poll::Ready(Err(Expired)));
        assert!(poll(&mut long).is_pending());
    }

    #[test]
    fn who_leaves_gives_up_the_place_and_drops_what_was_granted() {
        let queue = Queue::default();
        let gone = queue.join(9, 50).unwrap();
        let mut next = queue.join(9, 50).unwrap();
        drop(gone);
        assert_eq!(queue.len(), 1);
        let granted = Rc::new(());
        queue.grant(Rc::clone(&granted)).unwrap();
        assert_eq!(Rc::strong_count(&granted), 2);
        assert!(matches!(poll(&mut next), Poll::Ready(Ok(_))));
        let unpolled = queue.join(9, 50).unwrap();
        queue.grant(Rc::clone(&granted)).unwrap();
        drop(unpolled);
        assert_eq!(Rc::strong_count(&granted), 1);
    }
}
