//! What is compared: one value for each interval of a run.

use crate::report::Report;
use crate::timeline::Interval;

#[derive(Debug, Clone, Copy)]
pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) unit: Unit,
    pub(super) more_is_better: bool,
    /// An interval must have so many latencies for its value to mean what the name says.
    latencies_min: u64,
    value: fn(&Interval) -> f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    PerSecond,
    Microseconds,
    /// 0 to 1.
    Share,
}

pub(super) const METRICS: [Metric; 8] = [
    rate("replies/s", Interval::replies_per_s),
    latency("mean", 1, |interval| interval.latency_us.mean),
    latency("p50", 2, |interval| interval.latency_us.p50),
    latency("p90", 10, |interval| interval.latency_us.p90),
    latency("p99", 100, |interval| interval.latency_us.p99),
    latency("p99.9", 1_000, |interval| interval.latency_us.p99_9),
    latency("max", 1, |interval| interval.latency_us.max),
    Metric { name: "errors", unit: Unit::Share, more_is_better: false, latencies_min: 0, value: error_share },
];

const fn rate(name: &'static str, value: fn(&Interval) -> f64) -> Metric {
    Metric { name, unit: Unit::PerSecond, more_is_better: true, latencies_min: 0, value }
}

const fn latency(name: &'static str, latencies_min: u64, value: fn(&Interval) -> f64) -> Metric {
    Metric { name, unit: Unit::Microseconds, more_is_better: false, latencies_min, value }
}

/// Errors of what ended: replies, expected or not, and what had none. Reports of builds that kept no `lost` count too few of
/// these, so that errors are at least as many.
fn error_share(interval: &Interval) -> f64 {
    let ended = (interval.replies + interval.lost).max(interval.errors);
    if ended == 0 { 0.0 } else { interval.errors as f64 / ended as f64 }
}

impl Metric {
    /// The values of a run's whole intervals. One that was cut short, as the last may be, isn't like the others.
    pub(super) fn values(&self, report: &Report) -> Vec<f64> {
        let whole =
            report.intervals.iter().filter(|interval| interval.duration_s > 0.999 * report.interval_s);
        let fit = whole.filter(|interval| interval.latency_us.count >= self.latencies_min);
        fit.map(self.value).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Brief;

    #[test]
    fn errors_are_a_share_of_all_that_ended() {
        let of = |replies, errors, lost| {
            let latency_us = Brief::default();
            error_share(&Interval { start_s: 0.0, duration_s: 1.0, replies, errors, lost, latency_us })
        };
        assert_eq!([of(0, 0, 0), of(10, 5, 0), of(10, 10, 10), of(0, 3, 3)], [0.0, 0.5, 0.5, 1.0]);
        assert_eq!(of(2, 4, 0), 1.0, "an old report's");
    }
}
