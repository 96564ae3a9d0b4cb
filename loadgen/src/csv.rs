//! `--csv`: the intervals, a line each.

use std::fmt::Write as _;

use crate::report::Report;

const HEAD: &str =
    "start_s,duration_s,replies,replies_per_s,errors,latencies,mean_us,p50_us,p90_us,p99_us,p99_9_us,max_us";

pub(crate) fn intervals(report: &Report) -> String {
    let mut text = format!("{HEAD}\n");
    for interval in &report.intervals {
        let latency = &interval.latency_us;
        let written = writeln!(
            text,
            "{},{},{},{:.3},{},{},{},{},{},{},{},{}",
            interval.start_s,
            interval.duration_s,
            interval.replies,
            interval.replies_per_s(),
            interval.errors,
            latency.count,
            latency.mean,
            latency.p50,
            latency.p90,
            latency.p99,
            latency.p99_9,
            latency.max
        );
        debug_assert!(written.is_ok(), "a string takes any text");
    }
    text
}
