//! Requests for the same that come while the first of them is at the origin: they wait for what it brings.
//!
//! For the tasks of one core. Invariants: at most `waiting_max` tasks wait in all; each waits at most as long as it
//! said; who fills and fails, in whatever way, lets the others go. A waiter is told what became of the fill and looks
//! for itself; nothing is handed from one request to another. For a fill that somebody has waited for in vain, or whose
//! answer is to be thrown away, nobody waits any more: the next one to come is the first of another. So a client that
//! reads slowly what it has asked for first holds others up once.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::hash::BuildHasher;
use std::hash::RandomState;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use rustc_hash::FxHashMap;

/// What is being fetched.
#[derive(Debug, Default)]
pub struct Fills {
    hasher: RandomState,
    /// By hash; those of one hash are told apart by their keys.
    under_way: RefCell<FxHashMap<u64, Vec<Rc<Fill>>>>,
    waiting: Cell<usize>,
}

/// Something that is being fetched.
#[derive(Debug)]
struct Fill {
    stage: u32,
    key: Box<[u8]>,
    /// What it brings is to be thrown away.
    outdated: Cell<bool>,
    /// Somebody has waited for it in vain.
    late: Cell<bool>,
    waiters: RefCell<Vec<Rc<Waiter>>>,
}

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is stored.
    Stored,
    /// It can't be stored: everybody fetches for themselves.
    NotStored,
    /// Who was to fetch it didn't get it.
    Failed,
    TimedOut,
}

/// What a request does about something that isn't stored.
#[derive(Debug)]
pub enum Turn<'f> {
    /// It is the first: it fetches.
    Fill(Filling<'f>),
    Wait(Waiting<'f>),
    /// As many wait as may: it fetches for itself alone.
    Alone,
}

/// Held by who fetches.
#[derive(Debug)]
pub struct Filling<'f> {
    fills: &'f Fills,
    hash: u64,
    fill: Rc<Fill>,
    ended: bool,
}

/// Held by who waits; as a future, how the wait ended.
#[derive(Debug)]
pub struct Waiting<'f> {
    fills: &'f Fills,
    fill: Rc<Fill>,
    waiter: Rc<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    deadline_ms: u64,
    outcome: Cell<Option<Outcome>>,
    waker: RefCell<Option<Waker>>,
}

impl Fills {
    /// Takes part in the fetching of what lies at a key.
    pub fn join(&self, stage: u32, key: &[u8], waiting_max: usize, deadline_ms: u64) -> Turn<'_> {
        let hash = self.hasher.hash_one(key);
        let mut under_way = self.under_way.borrow_mut();
        let same = under_way.entry(hash).or_default();
        if let Some(fill) = same.iter().find(|fill| fill.is_of(stage, key) && fill.is_awaited()) {
            if self.waiting.get() >= waiting_max {
                return Turn::Alone;
            }
            let waiter = Waiter { deadline_ms, outcome: Cell::new(None), waker: RefCell::default() };
            let waiter = Rc::new(waiter);
            fill.waiters.borrow_mut().push(Rc::clone(&waiter));
            self.waiting.set(self.waiting.get() + 1);
            return Turn::Wait(Waiting { fills: self, fill: Rc::clone(fill), waiter });
        }
        let (outdated, late) = (Cell::new(false), Cell::new(false));
        let fill = Rc::new(Fill { stage, key: key.into(), outdated, late, waiters: RefCell::default() });
        same.push(Rc::clone(&fill));
        Turn::Fill(Filling { fills: self, hash, fill, ended: false })
    }

    /// What lies at keys that begin with this one has changed: what is being fetched is too old to be stored.
    pub fn outdate(&self, stage: u32, key: &[u8]) {
        let under_way = self.under_way.borrow();
        let same = under_way.values().flatten().filter(|fill| fill.stage == stage);
        same.filter(|fill| fill.key.starts_with(key)).for_each(|fill| fill.outdated.set(true));
    }

    /// Whether there is something to wait for.
    #[must_use]
    pub fn is_under_way(&self, stage: u32, key: &[u8]) -> bool {
        let hash = self.hasher.hash_one(key);
        let under_way = self.under_way.borrow();
        under_way
            .get(&hash)
            .is_some_and(|same| same.iter().any(|fill| fill.is_of(stage, key) && fill.is_awaited()))
    }

    #[must_use]
    pub fn count(&self) -> usize {
        self.under_way.borrow().values().map(Vec::len).sum()
    }

    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.get()
    }

    /// Lets those go whose time is over; how many. To be called regularly.
    pub fn expire(&self, now_ms: u64) -> usize {
        if self.waiting.get() == 0 {
            return 0;
        }
        let mut expired = Vec::new();
        for fill in self.under_way.borrow().values().flatten() {
            fill.waiters.borrow_mut().retain(|waiter| {
                let kept = waiter.deadline_ms > now_ms;
                if !kept {
                    fill.late.set(true);
                    expired.push(Rc::clone(waiter));
                }
                kept
            });
        }
        expired.iter().for_each(|waiter| waiter.end(Outcome::TimedOut));
        expired.len()
    }
}

impl Fill {
    fn is_of(&self, stage: u32, key: &[u8]) -> bool {
        self.stage == stage && *self.key == *key
    }

    fn is_awaited(&self) -> bool {
        !self.outdated.get() && !self.late.get()
    }
}

impl Filling<'_> {
    /// What it brings isn't to be stored.
    #[must_use]
    pub fn is_outdated(&self) -> bool {
        self.fill.outdated.get()
    }

    /// Tells those who wait.
    pub fn end(mut self, outcome: Outcome) {
        self.settle(outcome);
    }

    fn settle(&mut self, outcome: Outcome) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let mut waiters = self.fill.waiters.take();
        let mut under_way = self.fills.under_way.borrow_mut();
        if let Some(same) = under_way.get_mut(&self.hash) {
            if outcome == Outcome::Stored {
                let earlier = same.iter().take_while(|fill| !Rc::ptr_eq(fill, &self.fill));
                for fill in earlier.filter(|fill| fill.is_of(self.fill.stage, &self.fill.key)) {
                    // It doesn't take this one's place, and who waits for it has what there is.
                    fill.outdated.set(true);
                    waiters.append(&mut fill.waiters.borrow_mut());
                }
            }
            same.retain(|fill| !Rc::ptr_eq(fill, &self.fill));
            if same.is_empty() {
                under_way.remove(&self.hash);
            }
        }
        drop(under_way);
        waiters.iter().for_each(|waiter| waiter.end(outcome));
    }
}

impl Drop for Filling<'_> {
    fn drop(&mut self) {
        self.settle(Outcome::Failed);
    }
}

impl Waiter {
    fn end(&self, outcome: Outcome) {
        self.outcome.set(Some(outcome));
        let waker = self.waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Future for Waiting<'_> {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        match self.waiter.outcome.get() {
            Some(outcome) => Poll::Ready(outcome),
            None => {
                self.waiter.waker.replace(Some(context.waker().clone()));
                Poll::Pending
            }
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.fills.waiting.set(self.fills.waiting.get() - 1);
        self.fill.waiters.borrow_mut().retain(|waiter| !Rc::ptr_eq(waiter, &self.waiter));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(waiting: &mut Waiting<'_>) -> Poll<Outcome> {
        Pin::new(waiting).poll(&mut Context::from_waker(Waker::noop()))
    }

    fn fill<'f>(fills: &'f Fills, key: &[u8]) -> Filling<'f> {
        match fills.join(1, key, 9, 100) {
            Turn::Fill(filling) => filling,
            other => panic!("{other:?}"),
        }
    }

    fn wait<'f>(fills: &'f Fills, key: &[u8], deadline_ms: u64) -> Waiting<'f> {
        match fills.join(1, key, 9, deadline_ms) {
            Turn::Wait(waiting) => waiting,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_fetches_and_the_others_wait_until_it_is_there() {
        let fills = Fills::default();
        let filling = fill(&fills, b"a");
        let mut waiting: Vec<_> = (0..3).map(|_| wait(&fills, b"a", 100)).collect();
        assert!(waiting.iter_mut().all(|waiting| poll(waiting).is_pending()));
        assert!(matches!(fills.join(1, b"b", 9, 100), Turn::Fill(_)));
        assert!(matches!(fills.join(2, b"a", 9, 100), Turn::Fill(_)));
        filling.end(Outcome::Stored);
        assert!(waiting.iter_mut().all(|waiting| poll(waiting) == Poll::Ready(Outcome::Stored)));
        drop(waiting);
        assert_eq!((fills.count(), fills.waiting()), (0, 0));
        assert!(matches!(fills.join(1, b"a", 9, 100), Turn::Fill(_)));
    }

    #[test]
    fn who_fails_lets_the_others_go() {
        let fills = Fills::default();
        let filling = fill(&fills, b"a");
        let mut waiting = wait(&fills, b"a", 100);
        drop(filling);
        assert_eq!(poll(&mut waiting), Poll::Ready(Outcome::Failed));
        assert!(!fills.is_under_way(1, b"a"));
    }

    #[test]
    fn nobody_waits_longer_than_it_said() {
        let fills = Fills::default();
        let _filling = fill(&fills, b"a");
        let (mut short, mut long) = (wait(&fills, b"a", 50), wait(&fills, b"a", 60));
        assert_eq!((fills.expire(49), fills.expire(50), fills.waiting()), (0, 1, 2));
        assert_eq!(poll(&mut short), Poll::Ready(Outcome::TimedOut));
        assert!(poll(&mut long).is_pending());
    }

    #[test]
    fn nobody_waits_for_what_was_waited_for_in_vain() {
        let fills = Fills::default();
        let slow = fill(&fills, b"a");
        let _short = wait(&fills, b"a", 50);
        let mut long = wait(&fills, b"a", 100);
        fills.expire(50);
        assert!(!fills.is_under_way(1, b"a"));
        let next = fill(&fills, b"a");
        let mut of_next = wait(&fills, b"a", 100);
        assert!(fills.is_under_way(1, b"a"));
        next.end(Outcome::Stored);
        assert_eq!(poll(&mut of_next), Poll::Ready(Outcome::Stored));
        // What is there now was asked for later, and serves those who still wait for the slow one.
        assert_eq!((slow.is_outdated(), poll(&mut long)), (true, Poll::Ready(Outcome::Stored)));
        drop(slow);
        assert_eq!((poll(&mut long), fills.count()), (Poll::Ready(Outcome::Stored), 0));
    }

    #[test]
    fn what_was_waited_for_in_vain_is_stored_if_nothing_newer_is() {
        let fills = Fills::default();
        let slow = fill(&fills, b"a");
        let _short = wait(&fills, b"a", 50);
        fills.expire(50);
        let next = fill(&fills, b"a");
        let mut of_next = wait(&fills, b"a", 100);
        slow.end(Outcome::Stored);
        assert!(!next.is_outdated() && poll(&mut of_next).is_pending());
        next.end(Outcome::Stored);
    }

    #[test]
    fn nobody_waits_for_what_is_to_be_thrown_away() {
        let fills = Fills::default();
        let old = fill(&fills, b"a");
        fills.outdate(1, b"a");
        assert!(!fills.is_under_way(1, b"a"));
        let new = fill(&fills, b"a");
        assert_eq!((old.is_outdated(), new.is_outdated()), (true, false));
    }

    #[test]
    fn what_changes_meanwhile_is_outdated() {
        let fills = Fills::default();
        let (one, variant, other) = (fill(&fills, b"a"), fill(&fills, b"a in German"), fill(&fills, b"b"));
        fills.outdate(2, b"a");
        assert!(!one.is_outdated());
        fills.outdate(1, b"a");
        assert_eq!([&one, &variant, &other].map(Filling::is_outdated), [true, true, false]);
    }

    #[test]
    fn no_more_wait_than_may() {
        let fills = Fills::default();
        let filling = fill(&fills, b"a");
        let first = match fills.join(1, b"a", 1, 100) {
            Turn::Wait(waiting) => waiting,
            other => panic!("{other:?}"),
        };
        assert!(matches!(fills.join(1, b"a", 1, 100), Turn::Alone));
        drop(first);
        assert!(matches!(fills.join(1, b"a", 1, 100), Turn::Wait(_)));
        drop(filling);
        assert_eq!((fills.count(), fills.waiting()), (0, 0));
    }
}
