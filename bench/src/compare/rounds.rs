//! Interleaved rounds: each round measures every case once, beginning with another one each time, so that what the
//! machine does meanwhile falls on all of them alike. A row is the medians over the rounds.

use serde::Serialize;

use super::load::{Load, LoadGenerator, Sample, Target};
use super::stats::median;

/// One thing to measure.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// What it is compared under: cases with the same label stand side by side.
    pub(crate) label: String,
    pub(crate) target: Target,
    pub(crate) load: Load,
}

/// Medians of one case; times in microseconds, 0 where cases were measured side by side.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    pub(crate) label: String,
    pub(crate) proxy: String,
    pub(crate) replies_per_s: f64,
    pub(crate) content_bytes_per_s: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p99_9_us: f64,
    pub(crate) proxy_cpu_share: f64,
    /// Of all rounds together.
    pub(crate) failed: u64,
    pub(crate) unsent: u64,
    /// The generator, not the proxy, set the limit in at least one round.
    pub(crate) generator_was_bottleneck: bool,
    pub(crate) samples: Vec<Sample>,
}

/// Measures all with the load generator.
pub(crate) fn interleave(
    cases: &[Case],
    rounds: usize,
    generator: &LoadGenerator,
) -> Result<Vec<Row>, String> {
    let samples = rotate(cases, rounds, |case| {
        let sample = generator.measure(&case.target, &case.load)?;
        Ok((progress(&case.label, &case.target.name, sample.report.replies_per_s), sample))
    })?;
    Ok(cases.iter().zip(samples).map(|(case, samples)| Row::new(case, samples)).collect())
}

/// Measures each case once a round: its samples, and on the way what `measure` says about each.
pub(crate) fn rotate<C, S>(
    cases: &[C],
    rounds: usize,
    mut measure: impl FnMut(&C) -> Result<(String, S), String>,
) -> Result<Vec<Vec<S>>, String> {
    let mut samples: Vec<Vec<S>> = cases.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        for index in order(cases.len(), round) {
            let (progress, sample) = measure(&cases[index])?;
            eprintln!("  round {}/{rounds}  {progress}", round + 1);
            samples[index].push(sample);
        }
    }
    Ok(samples)
}

/// A line that says how far a section is.
pub(crate) fn progress(label: &str, proxy: &str, requests_per_s: f64) -> String {
    format!("{label:<16} {proxy:<12} {requests_per_s:>10.0} requests/s")
}

/// The cases of one round, rotated by the round's number.
pub(crate) fn order(cases: usize, round: usize) -> impl Iterator<Item = usize> {
    (0..cases).map(move |index| (index + round) % cases)
}

impl Row {
    pub(crate) fn new(case: &Case, samples: Vec<Sample>) -> Self {
        let of = |figure: fn(&Sample) -> f64| median(samples.iter().map(figure)).unwrap_or(0.0);
        Self {
            label: case.label.clone(),
            proxy: case.target.name.clone(),
            replies_per_s: of(|sample| sample.report.replies_per_s),
            content_bytes_per_s: of(|sample| sample.report.content_bytes_per_s),
            p50_us: of(|sample| sample.report.latency_us.p50),
            p99_us: of(|sample| sample.report.latency_us.p99),
            p99_9_us: of(|sample| sample.report.latency_us.p99_9),
            proxy_cpu_share: of(|sample| sample.proxy.cpu_share),
            failed: samples.iter().map(|sample| sample.report.failed()).sum(),
            unsent: samples.iter().map(|sample| sample.report.unsent).sum(),
            generator_was_bottleneck: samples.iter().any(|sample| sample.report.generator_was_bottleneck()),
            samples,
        }
    }
}

/// The row of one proxy under one label.
pub(crate) fn find<'a>(rows: &'a [Row], label: &str, proxy: &str) -> Option<&'a Row> {
    rows.iter().find(|row| row.label == label && row.proxy == proxy)
}

/// The labels in the order in which they were measured first.
pub(crate) fn labels(rows: &[Row]) -> Vec<&str> {
    let mut labels = Vec::new();
    for row in rows {
        if !labels.contains(&row.label.as_str()) {
            labels.push(row.label.as_str());
        }
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_round_measures_all_and_begins_elsewhere() {
        let rounds: Vec<Vec<usize>> = (0..4).map(|round| order(3, round).collect()).collect();
        assert_eq!(rounds, [vec![0, 1, 2], vec![1, 2, 0], vec![2, 0, 1], vec![0, 1, 2]]);
    }
}
