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

/// Errors in a hundred of what ended; an unexpected reply is both a reply and an error.
fn error_share(interval: &Interval) -> f64 {
    let ended = interval.replies.max(interval.errors);
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
