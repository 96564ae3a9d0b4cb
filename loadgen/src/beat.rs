//! What a reactor and the main thread tell each other while a run lasts, without waiting for each other.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::failure::Kind;
use crate::tally::Outcome;

/// Counters that only one reactor changes and the main thread reads; and the other way, the end of the run.
#[derive(Debug, Default)]
pub(crate) struct Beat {
    replies: AtomicU64,
    /// Requests that have ended, whatever became of them.
    ended: AtomicU64,
    failures: [AtomicU64; Kind::ALL.len()],
    /// Open loop: due and not sent.
    waiting: AtomicU64,
    called_off: AtomicBool,
}

/// The counters of all reactors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) replies: u64,
    pub(crate) ended: u64,
    pub(crate) failures: [u64; Kind::ALL.len()],
    pub(crate) waiting: u64,
}

impl Beat {
    /// Counts a recorded request that has ended.
    pub(crate) fn count(&self, outcome: &Outcome<'_>) {
        increment(&self.ended);
        if outcome.is_reply() {
            increment(&self.replies);
        }
        if let Some(kind) = outcome.failure() {
            increment(&self.failures[kind as usize]);
        }
    }

    pub(crate) fn tell_waiting(&self, waiting: u64) {
        self.waiting.store(waiting, Ordering::Relaxed);
    }

    /// Ends the run early.
    pub(crate) fn call_off(&self) {
        self.called_off.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_called_off(&self) -> bool {
        self.called_off.load(Ordering::Relaxed)
    }
}

/// By the only thread that changes it: cheaper than an atomic addition.
fn increment(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

impl Totals {
    pub(crate) fn of<'a>(beats: impl IntoIterator<Item = &'a Beat>) -> Self {
        let mut totals = Self::default();
        for beat in beats {
            totals.replies += beat.replies.load(Ordering::Relaxed);
            totals.ended += beat.ended.load(Ordering::Relaxed);
            totals.waiting += beat.waiting.load(Ordering::Relaxed);
            for (sum, count) in totals.failures.iter_mut().zip(&beat.failures) {
                *sum += count.load(Ordering::Relaxed);
            }
        }
        totals
    }

    pub(crate) fn failed(&self) -> u64 {
        self.failures.iter().sum()
    }
}
