//! Which parts of a file are free: the shortest that is long enough is given out, and neighbours grow together again.

use std::collections::{BTreeMap, BTreeSet};

/// Invariants: free ranges are longer than 0 and neither overlap nor touch; both sets have the same.
#[derive(Debug)]
pub(super) struct Ranges {
    /// Start to bytes.
    by_start: BTreeMap<u64, u64>,
    /// Bytes and start.
    by_bytes: BTreeSet<(u64, u64)>,
}

impl Ranges {
    pub(super) fn new(bytes: u64) -> Self {
        let mut ranges = Self { by_start: BTreeMap::new(), by_bytes: BTreeSet::new() };
        ranges.add(0, bytes);
        ranges
    }

    /// Where so many bytes are; `None` if nowhere.
    pub(super) fn take(&mut self, bytes: u64) -> Option<u64> {
        let &(found_bytes, start) = self.by_bytes.range((bytes, 0)..).next()?;
        self.remove(start, found_bytes);
        self.add(start + bytes, found_bytes - bytes);
        Some(start)
    }

    /// Takes back what was taken, or a part of it.
    pub(super) fn give(&mut self, mut start: u64, mut bytes: u64) {
        let before = self.by_start.range(..start).next_back().map(|(start, bytes)| (*start, *bytes));
        if let Some((before_start, before_bytes)) = before
            && before_start + before_bytes == start
        {
            self.remove(before_start, before_bytes);
            (start, bytes) = (before_start, before_bytes + bytes);
        }
        if let Some(behind_bytes) = self.by_start.get(&(start + bytes)).copied() {
            self.remove(start + bytes, behind_bytes);
            bytes += behind_bytes;
        }
        self.add(start, bytes);
    }

    fn add(&mut self, start: u64, bytes: u64) {
        if bytes > 0 {
            self.by_start.insert(start, bytes);
            self.by_bytes.insert((bytes, start));
        }
    }

    fn remove(&mut self, start: u64, bytes: u64) {
        self.by_start.remove(&start);
        self.by_bytes.remove(&(bytes, start));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_that_is_long_enough_is_given_out() {
        let mut ranges = Ranges::new(100);
        assert_eq!([10, 30, 20, 40].map(|bytes| ranges.take(bytes).unwrap()), [0, 10, 40, 60]);
        assert_eq!(ranges.take(1), None);
        ranges.give(10, 30);
        ranges.give(60, 40);
        assert_eq!((ranges.take(20), ranges.take(40), ranges.take(11)), (Some(10), Some(60), None));
    }

    #[test]
    fn neighbours_grow_together_in_any_order() {
        let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        for order in orders {
            let mut ranges = Ranges::new(30);
            let starts = [10, 10, 10].map(|bytes| ranges.take(bytes).unwrap());
            order.into_iter().for_each(|index: usize| ranges.give(starts[index], 10));
            assert_eq!((ranges.take(31), ranges.take(30)), (None, Some(0)), "{order:?}");
        }
    }

    #[test]
    fn what_is_taken_never_overlaps_and_all_of_it_comes_back() {
        let mut seed = 7_u64;
        let mut random = move |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        let (mut ranges, mut taken) = (Ranges::new(1_000), Vec::<(u64, u64)>::new());
        for _ in 0..20_000 {
            if random(2) == 0 {
                let bytes = 1 + random(60);
                let Some(start) = ranges.take(bytes) else { continue };
                assert!(start + bytes <= 1_000);
                assert!(taken.iter().all(|(at, len)| start + bytes <= *at || at + len <= start));
                taken.push((start, bytes));
            } else if !taken.is_empty() {
                let at = random(taken.len() as u64) as usize;
                let (start, bytes) = taken.swap_remove(at);
                ranges.give(start, bytes);
            }
        }
        taken.into_iter().for_each(|(start, bytes)| ranges.give(start, bytes));
        assert_eq!(ranges.take(1_000), Some(0));
    }
}
