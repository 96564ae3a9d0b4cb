//! What the reactors' slices of about the last second say: a slice counts once every reactor has passed it.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};

use hdrhistogram::Histogram;

use crate::report::us;
use crate::tally::{add, histogram};
use crate::timeline::{Slice, Slicing};

/// How much of the past the figures are about.
const WINDOW_NS: u64 = 1_000_000_000;
/// Most slices of which the 99th percentile is remembered.
const HISTORY_MAX: usize = 1_000;

#[derive(Debug)]
pub(super) struct Recent {
    slice_ns: u64,
    /// How many slices each reactor has passed.
    passed: Vec<u64>,
    /// Slices that some reactor hasn't passed.
    open: BTreeMap<u64, Part>,
    /// The latest slices that all have passed.
    window: VecDeque<Part>,
    window_slices: usize,
    /// The window's latencies.
    latency: Histogram<u64>,
    /// In microseconds.
    pub(super) p99_history: VecDeque<f64>,
    /// How many slices all have passed.
    pub(super) slices: u64,
}

#[derive(Debug)]
struct Part {
    replies: u64,
    latency: Histogram<u64>,
}

impl Recent {
    pub(super) fn new(slicing: Slicing, reactors: usize) -> Result<Self, String> {
        Ok(Self {
            slice_ns: slicing.slice_ns,
            passed: vec![0; reactors],
            open: BTreeMap::new(),
            window: VecDeque::new(),
            window_slices: (WINDOW_NS / slicing.slice_ns).max(1) as usize,
            latency: histogram()?,
            p99_history: VecDeque::new(),
            slices: 0,
        })
    }

    pub(super) fn add(&mut self, slice: &Slice) -> Result<(), String> {
        let part = match self.open.entry(slice.index) {
            Entry::Occupied(part) => part.into_mut(),
            Entry::Vacant(free) => free.insert(Part { replies: 0, latency: histogram()? }),
        };
        part.replies += slice.replies;
        add(&mut part.latency, &slice.latency)?;
        self.passed[slice.reactor] = slice.index + 1;
        let passed = self.passed.iter().copied().min().unwrap_or(0);
        while let Some(first) = self.open.first_entry().filter(|first| *first.key() < passed) {
            let part = first.remove();
            push_bounded(&mut self.p99_history, us(part.latency.value_at_quantile(0.99)), HISTORY_MAX);
            push_bounded(&mut self.window, part, self.window_slices);
            self.slices += 1;
        }
        self.latency.reset();
        self.window.iter().try_for_each(|part| add(&mut self.latency, &part.latency))
    }

    /// A reactor is done, and passes everything that comes.
    pub(super) fn end(&mut self, reactor: usize) {
        self.passed[reactor] = u64::MAX;
    }

    pub(super) fn replies_per_s(&self) -> f64 {
        let window_s = self.window.len() as f64 * self.slice_ns as f64 / 1e9;
        let replies: u64 = self.window.iter().map(|part| part.replies).sum();
        if window_s > 0.0 { replies as f64 / window_s } else { 0.0 }
    }

    /// In microseconds.
    pub(super) fn quantile_us(&self, quantile: f64) -> f64 {
        us(self.latency.value_at_quantile(quantile))
    }
}

fn push_bounded<T>(queue: &mut VecDeque<T>, item: T, max: usize) {
    if queue.len() >= max {
        queue.pop_front();
    }
    queue.push_back(item);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(reactor: usize, index: u64, latencies_us: &[u64]) -> Slice {
        let mut latency = histogram().unwrap();
        latencies_us.iter().for_each(|us| latency.saturating_record(us * 1_000));
        Slice { reactor, index, replies: latencies_us.len() as u64, errors: 0, lost: 0, latency }
    }

    #[test]
    fn a_slice_counts_once_all_reactors_have_passed_it() {
        let slicing = Slicing { slice_ns: 500_000_000, slices_each: 2 };
        let mut recent = Recent::new(slicing, 2).unwrap();
        recent.add(&slice(0, 0, &[100, 100])).unwrap();
        assert_eq!((recent.slices, recent.replies_per_s()), (0, 0.0));
        recent.add(&slice(1, 0, &[300])).unwrap();
        assert_eq!((recent.slices, recent.replies_per_s()), (1, 6.0));
        assert!((recent.quantile_us(1.0) - 300.0).abs() < 1.0);
        recent.end(1);
        recent.add(&slice(0, 1, &[900])).unwrap();
        assert_eq!((recent.slices, recent.replies_per_s()), (2, 4.0));
        recent.add(&slice(0, 2, &[])).unwrap();
        assert_eq!(recent.replies_per_s(), 1.0, "the window is a second");
        assert_eq!(recent.p99_history.len(), 3);
    }
}
