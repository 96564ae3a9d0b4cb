//! A plain line each second.

use std::io::{Write, stderr};
use std::time::Duration;

use crate::beat::Totals;

const INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Lines {
    next: Duration,
    replies_before: u64,
}

impl Lines {
    pub(super) fn new() -> Self {
        Self { next: INTERVAL, replies_before: 0 }
    }

    pub(super) fn show(&mut self, elapsed: Duration, totals: &Totals) {
        if elapsed < self.next {
            return;
        }
        // Whoever read the lines may have gone; the run goes on.
        let _ = writeln!(
            stderr(),
            "{:>4.0} s   {:>9} replies/s   errors {}   waiting {}",
            elapsed.as_secs_f64(),
            totals.replies - self.replies_before,
            totals.failed(),
            totals.waiting
        );
        self.replies_before = totals.replies;
        self.next += INTERVAL;
    }
}
