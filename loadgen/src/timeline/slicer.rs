//! One reactor's slices of time: counts into the current one and hands it over once it has passed. Sans-I/O.

use hdrhistogram::Histogram;

use super::options::Slicing;
use crate::tally::histogram;

/// What one reactor saw in one slice of time.
#[derive(Debug, Clone)]
pub(crate) struct Slice {
    pub(crate) reactor: usize,
    /// Since the end of the warm-up.
    pub(crate) index: u64,
    pub(crate) replies: u64,
    pub(crate) errors: u64,
    /// Those of them without a complete reply.
    pub(crate) lost: u64,
    /// Response times in nanoseconds.
    pub(crate) latency: Histogram<u64>,
}

#[derive(Debug, Clone)]
pub(crate) struct Slicer {
    slice_ns: u64,
    warmup_end_ns: u64,
    /// What ends later, in the run's grace, belongs to the last slice.
    last_index: u64,
    /// When the current slice is over, so that most calls need no division.
    over_ns: u64,
    current: Slice,
}

impl Slicer {
    pub(crate) fn new(
        slicing: &Slicing,
        reactor: usize,
        warmup_end_ns: u64,
        end_ns: Option<u64>,
    ) -> Result<Self, String> {
        let current = Slice { reactor, index: 0, replies: 0, errors: 0, lost: 0, latency: histogram()? };
        let mut slicer =
            Self { slice_ns: slicing.slice_ns, warmup_end_ns, last_index: u64::MAX, over_ns: 0, current };
        if let Some(end_ns) = end_ns {
            slicer.end_at(end_ns);
        }
        Ok(slicer)
    }

    /// The run ends at this time: no slice begins then or later.
    pub(crate) fn end_at(&mut self, end_ns: u64) {
        let last_index = end_ns.saturating_sub(self.warmup_end_ns + 1) / self.slice_ns;
        self.last_index = self.last_index.min(last_index).max(self.current.index);
        self.over_ns = 0;
    }

    /// Goes on to the slice of `now_ns`; the slice that has passed with it.
    pub(crate) fn advance(&mut self, now_ns: u64) -> Option<Slice> {
        if now_ns < self.over_ns {
            return None;
        }
        let index = (now_ns.saturating_sub(self.warmup_end_ns) / self.slice_ns).min(self.last_index);
        self.over_ns = match index < self.last_index {
            true => self.warmup_end_ns + (index + 1) * self.slice_ns,
            false => u64::MAX,
        };
        if index <= self.current.index {
            return None;
        }
        // What can't fail once can't fail again: the bounds are the same.
        let latency = histogram().ok()?;
        let next = Slice { reactor: self.current.reactor, index, replies: 0, errors: 0, lost: 0, latency };
        Some(std::mem::replace(&mut self.current, next))
    }

    /// Counts a response time into the current slice.
    pub(crate) fn count_latency(&mut self, latency_ns: u64) {
        self.current.latency.saturating_record(latency_ns);
    }

    pub(crate) fn count_reply(&mut self) {
        self.current.replies += 1;
    }

    /// Of a complete reply that isn't the expected one, or without a reply.
    pub(crate) fn count_error(&mut self, replied: bool) {
        self.current.errors += 1;
        self.current.lost += u64::from(!replied);
    }

    /// The last slice.
    pub(crate) fn finish(self) -> Slice {
        self.current
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLICING: Slicing = Slicing { slice_ns: 100, slices_each: 1 };

    #[test]
    fn a_slice_is_handed_over_once_it_has_passed() {
        let mut slicer = Slicer::new(&SLICING, 3, 1_000, None).unwrap();
        assert!(slicer.advance(0).is_none() && slicer.advance(1_099).is_none());
        slicer.count_latency(7);
        slicer.count_reply();
        let slice = slicer.advance(1_100).unwrap();
        assert_eq!((slice.reactor, slice.index, slice.replies, slice.latency.len()), (3, 0, 1, 1));
        slicer.count_error(false);
        let slice = slicer.advance(1_450).unwrap();
        assert_eq!((slice.index, slice.replies, slice.errors, slice.latency.len()), (1, 0, 1, 0));
        assert_eq!(slicer.finish().index, 4, "nothing ended in the slices between");
    }

    #[test]
    fn what_ends_in_the_grace_belongs_to_the_last_slice() {
        let mut slicer = Slicer::new(&SLICING, 0, 0, Some(200)).unwrap();
        assert_eq!(slicer.advance(150).unwrap().index, 0);
        assert!(slicer.advance(250).is_none());
        let mut called_off = Slicer::new(&SLICING, 0, 0, Some(1_000)).unwrap();
        assert_eq!(called_off.advance(250).unwrap().index, 0);
        called_off.end_at(260);
        assert!(called_off.advance(400).is_none());
        assert_eq!(called_off.finish().index, 2);
    }
}
