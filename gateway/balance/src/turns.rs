//! Round robin by weights, smoothly: stride scheduling (C. Waldspurger and W. Weihl, "Stride Scheduling:
//! Deterministic Proportional-Share Resource Management", MIT/LCS/TM-528, 1995).
//!
//! Each target is due at a time of its own and moves on by one over its weight when it was picked, so that a
//! pick costs a logarithm and shares are off by a request or two at any moment.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// When a target's turn comes, in strides of the heaviest target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Turn {
    pub(crate) due: f64,
    pub(crate) index: usize,
}

impl Eq for Turn {}

impl Ord for Turn {
    fn cmp(&self, other: &Self) -> Ordering {
        self.due.total_cmp(&other.due).then(self.index.cmp(&other.index))
    }
}

impl PartialOrd for Turn {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The turns of all targets in use.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    waiting: BinaryHeap<Reverse<Turn>>,
    passed_over: Vec<Turn>,
    now: f64,
}

impl Turns {
    /// Where the next turn is taken.
    pub(crate) fn now(&self) -> f64 {
        self.now
    }

    /// Starts over with these turns; time goes on.
    pub(crate) fn set(&mut self, turns: impl Iterator<Item = Turn>) {
        self.waiting.clear();
        self.waiting.extend(turns.map(Reverse));
    }

    /// The first in turn that `accept` takes; `stride` says how far its next turn is.
    pub(crate) fn take(
        &mut self,
        accept: impl Fn(usize) -> bool,
        stride: impl Fn(usize) -> f64,
    ) -> Option<Turn> {
        let taken = loop {
            let Some(Reverse(turn)) = self.waiting.pop() else { break None };
            if accept(turn.index) {
                break Some(turn);
            }
            self.passed_over.push(turn);
        };
        let next = taken.map(|turn| {
            self.now = self.now.max(turn.due);
            Turn { due: self.now + stride(turn.index), index: turn.index }
        });
        self.waiting.extend(next.map(Reverse));
        // They are next, and gather no claim to many turns in a row.
        let now = self.now;
        let passed_over = self.passed_over.drain(..);
        self.waiting.extend(passed_over.map(|turn| Reverse(Turn { due: turn.due.max(now), ..turn })));
        next
    }
}
