//! Cases measured side by side. All generators of a round run at once, and all but one of them are stopped (SIGSTOP) at
//! any instant: each goes on for a slice of time in turn. What else a shared machine does comes and goes within seconds,
//! which moves a measurement of seconds by a third; slices of some ten milliseconds it hits alike.
//!
//! Only what is counted over the whole time is told, requests/s above all: latencies would have the stops in them.

use std::thread;
use std::time::Duration;

use turnpike_loadgen::report::{Curve, Latency, Report};

use super::load::{LoadGenerator, Running, Sample};
use super::rounds::{Case, Row, order, progress};

/// Long against what a proxy needs to find its memory in the caches again, and what is under way when it stops.
const SLICE: Duration = Duration::from_millis(40);

/// Each case gets the generator's duration and warm-up in slices, beside those of its label, which stand together.
pub(crate) fn side_by_side(
    cases: &[Case],
    rounds: usize,
    generator: &LoadGenerator,
) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for cases in cases.chunk_by(|one, next| one.label == next.label) {
        rows.extend(compared(cases, rounds, generator)?);
    }
    Ok(rows)
}

fn compared(cases: &[Case], rounds: usize, generator: &LoadGenerator) -> Result<Vec<Row>, String> {
    let parts = u32::try_from(cases.len()).map_err(|error| error.to_string())?;
    let generator = LoadGenerator {
        duration: generator.duration * parts,
        warmup: generator.warmup * parts,
        ..generator.clone()
    };
    let mut samples: Vec<Vec<Sample>> = cases.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        for (index, sample) in measure(cases, order(cases.len(), round), &generator)? {
            let sample = undivided(sample, f64::from(parts));
            let Case { label, target, .. } = &cases[index];
            let progress = progress(label, &target.name, sample.report.replies_per_s);
            eprintln!("  round {}/{rounds}  {progress}", round + 1);
            samples[index].push(sample);
        }
    }
    Ok(cases.iter().zip(samples).map(|(case, samples)| Row::new(case, samples)).collect())
}

/// One round, in this order.
fn measure(
    cases: &[Case],
    order: impl Iterator<Item = usize>,
    generator: &LoadGenerator,
) -> Result<Vec<(usize, Sample)>, String> {
    let mut running: Vec<(usize, Running)> = Vec::new();
    for index in order {
        let Case { target, load, .. } = &cases[index];
        let started = generator.start_as(&format!("loadgen-{index}"), target, load)?;
        thread::sleep(SLICE);
        started.stop()?;
        running.push((index, started));
    }
    let mut any_runs = true;
    while any_runs {
        any_runs = false;
        for (_, running) in &mut running {
            // One that has ended keeps its slice, so that the others get no more than before.
            if running.has_ended()? {
                thread::sleep(SLICE);
                continue;
            }
            any_runs = true;
            running.go_on()?;
            thread::sleep(SLICE);
            running.stop()?;
        }
    }
    running.into_iter().map(|(index, running)| Ok((index, running.finish()?))).collect()
}

/// As if it had run all the time.
fn undivided(sample: Sample, parts: f64) -> Sample {
    let Sample { mut report, mut proxy } = sample;
    report.duration_s /= parts;
    report.replies_per_s *= parts;
    report.content_bytes_per_s *= parts;
    let generator = &mut report.generator;
    for share in
        [&mut generator.cpu_share_max, &mut generator.wait_share_max, &mut generator.occupied_share_max]
    {
        *share *= parts;
    }
    proxy.cpu_share *= parts;
    let report = Report {
        latency_us: Latency::default(),
        service_us: Latency::default(),
        latency_curve_us: Curve::default(),
        service_curve_us: Curve::default(),
        intervals: Vec::new(),
        ..report
    };
    Sample { report, proxy }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::metered::ProxyUse;

    #[test]
    fn a_part_of_the_time_is_told_as_all_of_it() {
        let mut report = Report { duration_s: 6.0, replies: 600, replies_per_s: 100.0, ..Report::default() };
        report.latency_us.p99 = 80_000.0;
        report.generator.occupied_share_max = 0.3;
        let proxy = ProxyUse { cpu_share: 0.25, rss_before_bytes: 1, rss_peak_bytes: 2, rss_after_bytes: 1 };
        let Sample { report, proxy } = undivided(Sample { report, proxy }, 3.0);
        assert_eq!((report.duration_s, report.replies, report.replies_per_s), (2.0, 600, 300.0));
        assert_eq!((report.latency_us.p99, proxy.cpu_share), (0.0, 0.75));
        assert!((report.generator.occupied_share_max - 0.9).abs() < 1e-9);
    }
}
