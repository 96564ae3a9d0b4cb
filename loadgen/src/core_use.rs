//! What a thread has of its core: the time that it used, and the time that it was ready to run but had to wait.
//!
//! Shares are those of the whole run, also of a thread whose part of it is over sooner: what it did in its first
//! milliseconds doesn't say that it was busy.

use std::time::Duration;

/// Of a thread, up to now or over a span of time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CoreUse {
    used: Duration,
    waited: Duration,
}

/// Shares of a span of time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct CoreShares {
    pub(crate) used: f64,
    /// Other work was on the core; 0 where the kernel doesn't tell.
    pub(crate) waited: f64,
}

impl CoreUse {
    /// Of the calling thread, up to now.
    pub(crate) fn now() -> Self {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        Self { used: Duration::new(time.tv_sec as u64, time.tv_nsec as u32), waited: waited(&schedstat) }
    }

    /// What came to it since `before`.
    pub(crate) fn since(&self, before: &Self) -> Self {
        Self {
            used: self.used.saturating_sub(before.used),
            waited: self.waited.saturating_sub(before.waited),
        }
    }

    /// What it is of a span of time.
    pub(crate) fn shares_of(&self, elapsed: Duration) -> CoreShares {
        let share = |part: Duration| part.as_secs_f64() / elapsed.max(Duration::from_nanos(1)).as_secs_f64();
        CoreShares { used: share(self.used), waited: share(self.waited) }
    }
}

/// The second field: nanoseconds on a run queue (the kernel's Documentation/scheduler/sched-stats.rst).
fn waited(schedstat: &str) -> Duration {
    let ns = schedstat.split_whitespace().nth(1).and_then(|field| field.parse().ok());
    Duration::from_nanos(ns.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_those_of_the_span() {
        let at = |used, waited| CoreUse {
            used: Duration::from_millis(used),
            waited: Duration::from_millis(waited),
        };
        let shares = at(1_500, 400).since(&at(1_000, 300)).shares_of(Duration::from_secs(1));
        assert!((shares.used - 0.5).abs() < 1e-9 && (shares.waited - 0.1).abs() < 1e-9);
        assert_eq!((waited("12 34567 8\n"), waited("")), (Duration::from_nanos(34_567), Duration::ZERO));
    }
}
