//! Cases measured side by side. All generators of a round run at once, and all but one of them are stopped (SIGSTOP) at
//! any instant: each goes on for a slice of time in turn. What else a shared machine does comes and goes within seconds,
//! which moves a measurement of seconds by a third; slices of some ten milliseconds it hits alike.
//!
//! When a generator is stopped, each of its connections has a request under way. The proxy ends those in a pause before the
//! next slice, so that nobody works in another's time; and as they were not done in a slice, they aren't counted.
//!
//! Only what is counted over the whole time is told, requests/s above all: latencies would have the stops in them.
//!
//! It is for closed loops that run for a time. A generator's clock runs while it is stopped: in the open loop (`rate`) it would
//! send in its next slice what was due in the others', and so many `requests` would be done in slices of its own number.
//! Such loads are refused.

use std::thread;
use std::time::Duration;

use turnpike_loadgen::report::{Curve, Latency, Report};

use super::load::{LoadGenerator, Sample};
use super::rounds::{Case, Row, order, progress};

/// Long against what a proxy needs to find its memory in the caches again.
const SLICE: Duration = Duration::from_millis(40);
/// For each connection, the pause for what is under way on it: all is done by a proxy of 5,000 requests/s and more.
const PAUSE_PER_CONNECTION: Duration = Duration::from_micros(200);

/// Each case gets the generator's duration and warm-up in slices, beside those of its label, which stand together.
pub(crate) fn side_by_side(
    cases: &[Case],
    rounds: usize,
    generator: &LoadGenerator,
) -> Result<Vec<Row>, String> {
    if let Some(case) = cases.iter().find(|case| !case.load.is_closed_for_a_time()) {
        return Err(format!("{}: only closed loops that run for a time go side by side", case.label));
    }
    let mut rows = Vec::new();
    for cases in cases.chunk_by(|one, next| one.label == next.label) {
        rows.extend(compared(cases, rounds, generator)?);
    }
    Ok(rows)
}

fn compared(cases: &[Case], rounds: usize, generator: &LoadGenerator) -> Result<Vec<Row>, String> {
    let connections = cases.iter().map(|case| case.load.connections).max().unwrap_or_default();
    let turns = Turns::of(cases.len(), connections, generator.duration);
    let warmup = Turns::of(cases.len(), connections, generator.warmup);
    let generator = LoadGenerator {
        duration: turns.length(turns.count),
        warmup: warmup.length(warmup.count),
        ..generator.clone()
    };
    let mut samples: Vec<Vec<Sample>> = cases.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        let running = take_turns(order(cases.len(), round), turns.pause, |index| {
            let Case { target, load, .. } = &cases[index];
            generator.start_as(&format!("loadgen-{index}"), target, load)
        })?;
        for (index, running) in running {
            let Case { label, target, load } = &cases[index];
            let sample = turns.in_slices(running.finish()?, load.connections);
            let progress = progress(label, &target.name, sample.report.replies_per_s);
            eprintln!("  round {}/{rounds}  {progress}", round + 1);
            samples[index].push(sample);
        }
    }
    Ok(cases.iter().zip(samples).map(|(case, samples)| Row::new(case, samples)).collect())
}

/// How a measurement is divided: each case has so many slices.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turns {
    cases: u32,
    pub(crate) pause: Duration,
    pub(crate) count: u32,
}

impl Turns {
    /// Slices for at least `time` of each case, of which none has more connections.
    pub(crate) fn of(cases: usize, connections: usize, time: Duration) -> Self {
        Self {
            cases: cases as u32,
            pause: PAUSE_PER_CONNECTION * connections as u32,
            count: time.as_nanos().div_ceil(SLICE.as_nanos()) as u32,
        }
    }

    /// Of so many slices of each case.
    pub(crate) fn length(self, count: u32) -> Duration {
        (SLICE + self.pause) * self.cases * count
    }

    /// As many slices as each case has in so many seconds.
    pub(crate) fn within(self, seconds: f64) -> Self {
        Self { count: (seconds / self.length(1).as_secs_f64()) as u32, ..self }
    }

    /// How many times longer than its slices a case runs.
    pub(crate) fn parts(self) -> f64 {
        self.length(1).as_secs_f64() / SLICE.as_secs_f64()
    }

    /// The share of all replies that came within the slices.
    pub(crate) fn share(self, replies: f64, connections: usize) -> f64 {
        let in_pauses = f64::from(self.count) * connections as f64;
        if replies > 0.0 { (replies - in_pauses).max(0.0) / replies } else { 0.0 }
    }

    /// What was done in the slices, as if they had been all the time.
    pub(crate) fn in_slices(self, sample: Sample, connections: usize) -> Sample {
        let Sample { mut report, mut proxy } = sample;
        let share = self.share(report.replies as f64, connections);
        let parts = self.parts();
        report.duration_s /= parts;
        report.replies_per_s *= parts * share;
        report.content_bytes_per_s *= parts * share;
        let generator = &mut report.generator;
        for used in
            [&mut generator.cpu_share_max, &mut generator.wait_share_max, &mut generator.occupied_share_max]
        {
            *used *= parts;
        }
        proxy.cpu_share *= parts * share;
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
}

/// What goes in turns.
pub(crate) trait Stoppable {
    fn has_ended(&mut self) -> Result<bool, String>;
    /// It does nothing until `go_on`; its clock runs.
    fn stop(&self) -> Result<(), String>;
    fn go_on(&self) -> Result<(), String>;
}

/// One round: starts each in this order, and lets them go on in turn until all have ended.
pub(crate) fn take_turns<R: Stoppable>(
    order: impl Iterator<Item = usize>,
    pause: Duration,
    mut start: impl FnMut(usize) -> Result<R, String>,
) -> Result<Vec<(usize, R)>, String> {
    let mut running: Vec<(usize, R)> = Vec::new();
    for index in order {
        let started = start(index)?;
        thread::sleep(SLICE);
        started.stop()?;
        thread::sleep(pause);
        running.push((index, started));
    }
    let mut any_runs = true;
    while any_runs {
        any_runs = false;
        for (_, running) in &mut running {
            // One that has ended keeps its slice, so that the others get no more than before.
            if running.has_ended()? {
                thread::sleep(SLICE + pause);
                continue;
            }
            any_runs = true;
            running.go_on()?;
            thread::sleep(SLICE);
            running.stop()?;
            thread::sleep(pause);
        }
    }
    Ok(running)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::load::{Load, Target};
    use crate::compare::metered::ProxyUse;

    #[test]
    fn loads_that_a_stopped_clock_would_spoil_are_refused() {
        let address = "127.0.0.1:1".parse().unwrap();
        let origin = "http://127.0.0.1:1".to_owned();
        let target = Target { name: "x".into(), origin, address, host: None, group: 0 };
        let generator = LoadGenerator {
            binary: "none".into(),
            dir: "/".into(),
            cores: vec![0],
            duration: SLICE,
            warmup: Duration::ZERO,
        };
        for load in
            [Load { rate: Some(1.0), ..Load::get("/", 1) }, Load { requests: Some(1), ..Load::get("/", 1) }]
        {
            let case = Case { label: "fast".into(), target: target.clone(), load };
            let refused = side_by_side(&[case], 1, &generator).unwrap_err();
            assert_eq!(refused, "fast: only closed loops that run for a time go side by side");
        }
    }

    #[test]
    fn what_was_done_in_slices_is_told_as_if_they_were_all_the_time() {
        let turns = Turns { cases: 2, pause: Duration::from_millis(10), count: 25 };
        assert_eq!(turns.length(25), Duration::from_millis(2_500));
        assert_eq!(turns.within(3.05).count, 30);
        let mut report =
            Report { duration_s: 2.5, replies: 1_250, replies_per_s: 500.0, ..Report::default() };
        report.latency_us.p99 = 80_000.0;
        report.generator.occupied_share_max = 0.3;
        let proxy = ProxyUse { cpu_share: 0.4, rss_before_bytes: 1, rss_peak_bytes: 2, rss_after_bytes: 1 };
        // Of the 1,250 replies in 25 slices of 40 ms, 250 were made in the pauses after them.
        let Sample { report, proxy } = turns.in_slices(Sample { report, proxy }, 10);
        assert!((report.duration_s - 1.0).abs() < 1e-9 && (report.replies_per_s - 1_000.0).abs() < 1e-6);
        assert!((proxy.cpu_share - 0.8).abs() < 1e-9 && report.latency_us.p99 == 0.0);
        assert!((report.generator.occupied_share_max - 0.75).abs() < 1e-9);
    }
}
