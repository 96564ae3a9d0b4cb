//! Takes targets out that fail in traffic, for a time that grows with each time.

use std::cell::Cell;

/// When a target is taken out, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutlierRules {
    /// At least 1.
    pub consecutive_failures: u32,
    /// How long the first time, and how much longer each time.
    pub ejection_ms: u64,
    pub ejection_ms_max: u64,
    /// Invariant: `ejected * 100 <= targets * ejected_percent_max` after each ejection.
    pub ejected_percent_max: u8,
}

/// A target was taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ejection {
    pub failures: u32,
    pub until_ms: u64,
    pub for_ms: u64,
}

/// One target's failures.
#[derive(Debug, Default)]
pub(crate) struct Outlier {
    failures: Cell<u32>,
    /// Times that are remembered; one is forgotten for each `ejection_ms` in use.
    ejections: Cell<u32>,
    /// 0: it is in use.
    ejected_until_ms: Cell<u64>,
    returned_ms: Cell<u64>,
}

impl Outlier {
    pub(crate) fn is_ejected(&self) -> bool {
        self.ejected_until_ms.get() > 0
    }

    pub(crate) fn note_success(&self) {
        self.failures.set(0);
    }

    /// Whether the target has failed often enough to be taken out.
    pub(crate) fn note_failure(&self, rules: &OutlierRules) -> bool {
        self.failures.set(self.failures.get().saturating_add(1));
        self.failures.get() >= rules.consecutive_failures && !self.is_ejected()
    }

    pub(crate) fn eject(&self, rules: &OutlierRules, now_ms: u64) -> Ejection {
        let forgotten = now_ms.saturating_sub(self.returned_ms.get()) / rules.ejection_ms.max(1);
        let remembered = u64::from(self.ejections.get()).saturating_sub(forgotten);
        let times = u32::try_from(remembered + 1).unwrap_or(u32::MAX);
        let for_ms = rules.ejection_ms.saturating_mul(times.into()).min(rules.ejection_ms_max).max(1);
        let until_ms = now_ms.saturating_add(for_ms);
        self.ejections.set(times);
        self.ejected_until_ms.set(until_ms);
        Ejection { failures: self.failures.take(), until_ms, for_ms }
    }

    /// Ends an ejection whose time is over; when it ends, if it goes on.
    pub(crate) fn let_back(&self, now_ms: u64) -> LetBack {
        match self.ejected_until_ms.get() {
            0 => LetBack::WasThere,
            until_ms if until_ms > now_ms => LetBack::At(until_ms),
            until_ms => {
                self.ejected_until_ms.set(0);
                self.returned_ms.set(until_ms);
                self.failures.set(0);
                LetBack::Now
            }
        }
    }
}

/// What a look at an ejected target found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LetBack {
    WasThere,
    Now,
    At(u64),
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: OutlierRules = OutlierRules {
        consecutive_failures: 3,
        ejection_ms: 1_000,
        ejection_ms_max: 2_500,
        ejected_percent_max: 100,
    };

    fn fails_until_ejected(outlier: &Outlier, now_ms: u64) -> u64 {
        assert!(!outlier.note_failure(&RULES) && !outlier.note_failure(&RULES));
        assert!(outlier.note_failure(&RULES));
        outlier.eject(&RULES, now_ms).for_ms
    }

    #[test]
    fn each_time_is_longer_up_to_a_bound_and_good_times_are_forgiving() {
        let outlier = Outlier::default();
        let mut now_ms = 0;
        for expected_ms in [1_000, 2_000, 2_500, 2_500] {
            assert_eq!(fails_until_ejected(&outlier, now_ms), expected_ms);
            assert_eq!(outlier.let_back(now_ms + expected_ms - 1), LetBack::At(now_ms + expected_ms));
            now_ms += expected_ms;
            assert_eq!(outlier.let_back(now_ms), LetBack::Now);
        }
        assert_eq!(fails_until_ejected(&outlier, now_ms + 10_000), 1_000);
    }

    #[test]
    fn a_success_in_between_starts_the_count_again() {
        let outlier = Outlier::default();
        for _ in 0..10 {
            assert!(!outlier.note_failure(&RULES) && !outlier.note_failure(&RULES));
            outlier.note_success();
        }
    }

    #[test]
    fn what_fails_on_while_it_is_out_is_not_ejected_twice() {
        let outlier = Outlier::default();
        fails_until_ejected(&outlier, 5);
        assert!((0..10).all(|_| !outlier.note_failure(&RULES)));
        assert!(outlier.is_ejected());
    }
}
