//! One change of a process at a time; the others wait for as long as they would for those of other processes.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

#[derive(Debug)]
pub(super) struct Turns {
    /// The number of the last change's mark; `None` while a change is under way.
    last: Mutex<Option<u64>>,
    ended: Condvar,
}

/// A change is under way until this is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    /// Of the last mark.
    pub(super) number: u64,
}

impl Turns {
    pub(super) fn new() -> Self {
        Self { last: Mutex::new(Some(0)), ended: Condvar::new() }
    }

    /// `None` when it takes longer.
    pub(super) fn take(&self, patience: Duration) -> Option<Turn<'_>> {
        let waited = self.ended.wait_timeout_while(self.last(), patience, |last| last.is_none());
        let (mut last, _) = waited.unwrap_or_else(PoisonError::into_inner);
        last.take().map(|number| Turn { turns: self, number })
    }

    fn last(&self) -> MutexGuard<'_, Option<u64>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.turns.last() = Some(self.number);
        self.turns.ended.notify_one();
    }
}
