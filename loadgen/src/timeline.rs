//! What happened when: each reactor counts slices of time by itself and hands each over when it has passed; the main
//! thread adds those of all reactors up by their index, into intervals.
//!
//! Memory: a reactor holds one histogram (at most 280 KB), the main thread one for each interval that some reactor
//! hasn't passed yet, which is one or two, and a row of about 100 bytes for each interval that is over; of those there
//! are INTERVALS_MAX at most. Nothing is shared: a slice is a message. Times are nanoseconds since the run began.

mod options;
mod slicer;

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

pub use options::IntervalArgs;
pub(crate) use options::Slicing;
pub(crate) use slicer::{Slice, Slicer};

use crate::report::Brief;
use crate::tally::{add, histogram};

/// Most intervals of which a row is kept.
pub const INTERVALS_MAX: u64 = 100_000;

/// The number of slices that a reactor has passed once it is done.
const DONE: u64 = u64::MAX;

/// One interval of a run, over all reactors. A request belongs to the interval in which it ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Since the end of the warm-up.
    pub start_s: f64,
    pub duration_s: f64,
    /// Complete replies.
    pub replies: u64,
    /// All errors, unexpected replies included.
    pub errors: u64,
    /// Errors without a complete reply.
    #[serde(default)]
    pub lost: u64,
    /// Response times.
    pub latency_us: Brief,
}

impl Interval {
    pub fn replies_per_s(&self) -> f64 {
        if self.duration_s > 0.0 { self.replies as f64 / self.duration_s } else { 0.0 }
    }
}

/// An interval that every reactor has passed, and its response times in nanoseconds.
#[derive(Debug)]
pub(crate) struct Closed {
    pub(crate) row: Interval,
    pub(crate) latency: Histogram<u64>,
}

/// The intervals of a run as its reactors report them.
#[derive(Debug)]
pub(crate) struct Timeline {
    slicing: Slicing,
    /// How many slices each reactor has passed.
    passed: Vec<u64>,
    /// By index; those that a reactor hasn't passed.
    open: BTreeMap<u64, Sum>,
    /// Index of the next interval to be closed.
    next: u64,
}

#[derive(Debug)]
struct Sum {
    replies: u64,
    errors: u64,
    lost: u64,
    latency: Histogram<u64>,
}

impl Timeline {
    pub(crate) fn new(slicing: Slicing, reactors: usize) -> Self {
        Self { slicing, passed: vec![0; reactors], open: BTreeMap::new(), next: 0 }
    }

    /// Adds a reactor's slice; the intervals that are over with it.
    pub(crate) fn add(&mut self, slice: &Slice) -> Result<Vec<Closed>, String> {
        self.sum_up(slice)?;
        self.passed[slice.reactor] = slice.index + 1;
        self.close_passed()
    }

    /// Adds the last slice of a reactor, which passes everything with it: what is still open waits for the others only.
    pub(crate) fn add_last(&mut self, slice: &Slice) -> Result<Vec<Closed>, String> {
        self.sum_up(slice)?;
        self.passed[slice.reactor] = DONE;
        self.close_passed()
    }

    fn sum_up(&mut self, slice: &Slice) -> Result<(), String> {
        let interval = slice.index / self.slicing.slices_each;
        let sum = match self.open.entry(interval) {
            std::collections::btree_map::Entry::Occupied(sum) => sum.into_mut(),
            std::collections::btree_map::Entry::Vacant(free) => free.insert(Sum::new()?),
        };
        sum.replies += slice.replies;
        sum.errors += slice.errors;
        sum.lost += slice.lost;
        add(&mut sum.latency, &slice.latency)?;
        Ok(())
    }

    fn close_passed(&mut self) -> Result<Vec<Closed>, String> {
        let passed = match self.passed.iter().min() {
            // The last interval ends with the run: `finish` closes it.
            None | Some(&DONE) => self.next,
            Some(slices) => slices / self.slicing.slices_each,
        };
        (self.next..passed).map(|_| self.close_next(None)).collect()
    }

    /// Closes what is left at the end of a run, so long after the warm-up.
    pub(crate) fn finish(mut self, duration_s: f64) -> Result<Vec<Closed>, String> {
        let end = self.open.keys().next_back().map_or(self.next, |last| last + 1);
        (self.next..end).map(|_| self.close_next(Some(duration_s))).collect()
    }

    fn close_next(&mut self, run_s: Option<f64>) -> Result<Closed, String> {
        let index = self.next;
        self.next += 1;
        let sum = match self.open.remove(&index) {
            Some(sum) => sum,
            None => Sum::new()?,
        };
        let interval_s = self.slicing.interval_s();
        let start_s = (index * self.slicing.interval_ns()) as f64 / 1e9;
        let row = Interval {
            start_s,
            duration_s: run_s.map_or(interval_s, |run_s| interval_s.min(run_s - start_s)),
            replies: sum.replies,
            errors: sum.errors,
            lost: sum.lost,
            latency_us: Brief::of(&sum.latency),
        };
        Ok(Closed { row, latency: sum.latency })
    }
}

impl Sum {
    fn new() -> Result<Self, String> {
        Ok(Self { replies: 0, errors: 0, lost: 0, latency: histogram()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(reactor: usize, index: u64, latencies_ns: &[u64]) -> Slice {
        let mut latency = histogram().unwrap();
        latencies_ns.iter().for_each(|ns| latency.saturating_record(*ns));
        Slice { reactor, index, replies: latencies_ns.len() as u64, errors: index, lost: index / 2, latency }
    }

    fn closed(timeline: &mut Timeline, slice: &Slice) -> Vec<(f64, u64)> {
        let closed = timeline.add(slice).unwrap();
        closed.iter().map(|closed| (closed.row.start_s, closed.row.replies)).collect()
    }

    #[test]
    fn an_interval_is_over_when_the_last_reactor_has_passed_it() {
        let slicing = Slicing { slice_ns: 500_000_000, slices_each: 2 };
        let mut timeline = Timeline::new(slicing, 2);
        assert_eq!(closed(&mut timeline, &slice(0, 0, &[1_000])), []);
        assert_eq!(closed(&mut timeline, &slice(0, 1, &[2_000])), []);
        assert_eq!(closed(&mut timeline, &slice(0, 2, &[7_000])), []);
        assert_eq!(closed(&mut timeline, &slice(1, 0, &[3_000, 4_000])), []);
        assert_eq!(closed(&mut timeline, &slice(1, 1, &[])), [(0.0, 4)]);
        // A reactor that skips slices had nothing in them.
        assert_eq!(closed(&mut timeline, &slice(0, 6, &[])), []);
        assert_eq!(closed(&mut timeline, &slice(1, 5, &[9_000])), [(1.0, 1), (2.0, 1)]);
    }

    #[test]
    fn a_reactor_that_is_done_holds_nothing_open() {
        let mut timeline = Timeline::new(Slicing { slice_ns: 1_000_000_000, slices_each: 1 }, 2);
        assert!(timeline.add_last(&slice(0, 0, &[1_000])).unwrap().is_empty(), "the other has not passed it");
        assert_eq!(closed(&mut timeline, &slice(1, 1, &[2_000])), [(0.0, 1), (1.0, 1)]);
        assert!(
            timeline.add_last(&slice(1, 2, &[3_000])).unwrap().is_empty(),
            "the run's end closes the last one"
        );
        let rest = timeline.finish(2.5).unwrap();
        assert_eq!((rest.len(), rest[0].row.duration_s), (1, 0.5));
    }

    #[test]
    fn the_end_closes_what_is_left_and_cuts_the_last_interval() {
        let slicing = Slicing { slice_ns: 1_000_000_000, slices_each: 1 };
        let mut timeline = Timeline::new(slicing, 2);
        assert_eq!(closed(&mut timeline, &slice(0, 0, &[1_000])), []);
        assert_eq!(closed(&mut timeline, &slice(1, 2, &[5_000])), [(0.0, 1)]);
        let rest = timeline.finish(2.25).unwrap();
        let rows: Vec<_> = rest.iter().map(|closed| &closed.row).collect();
        assert_eq!(
            rows.iter().map(|row| (row.start_s, row.replies)).collect::<Vec<_>>(),
            [(1.0, 0), (2.0, 1)]
        );
        assert_eq!((rows[1].duration_s, rows[1].errors, rows[1].lost), (0.25, 2, 1));
        assert!((rows[1].latency_us.p99 - 5.0).abs() < 0.01);
    }
}
