//! Section `upgrade`: the gateway is replaced several times by a new process under half of its peak load, open loop, and
//! every request counts. The old processes drain meanwhile.

use std::thread;
use std::time::{Duration, Instant};

use super::load::{Load, LoadGenerator};
use super::results::{Check, Section};
use super::stats::grouped;
use super::turnpike::Turnpike;
use super::{Bench, PeerName, SectionName, skipped};

const CONNECTIONS: usize = 64;
const REQUESTS_MIN: f64 = 500_000.0;
/// Some more, because an open loop may end with a few unsent.
const REQUESTS: f64 = 1.05 * REQUESTS_MIN;
const RATE_SHARE: f64 = 0.5;
const UPGRADES: u32 = 4;

pub(super) fn run(bench: &Bench) -> Result<Section, String> {
    let name = SectionName::Upgrade;
    if !bench.compares(PeerName::Turnpike) {
        return Ok(skipped(name, "Turnpike is not among --peers"));
    }
    let mut turnpike = Turnpike::start("upgraded", &bench.binaries, bench.dir.path(), &bench.layout)?;
    let target = turnpike.make_default_api(bench.origin)?;
    let load = Load::get("/", CONNECTIONS);
    let peak = bench.generator.measure(&target, &load)?.report.replies_per_s;
    let rate = (peak * RATE_SHARE).round();
    let duration = Duration::from_secs_f64(REQUESTS / rate);
    let generator = LoadGenerator { duration, warmup: Duration::ZERO, ..bench.generator.clone() };
    let running = generator.start(&target, &Load { rate: Some(rate), ..load })?;
    let mut slowest = Duration::ZERO;
    for _ in 0..UPGRADES {
        thread::sleep(duration / (UPGRADES + 1));
        let began = Instant::now();
        turnpike.upgrade()?;
        slowest = slowest.max(began.elapsed());
    }
    let report = running.finish()?.report;
    let mut section = Section::new(name.name());
    let failed = report.failed() as f64;
    section.checks.push(Check::at_most(format!("upgrade: failed of {}", report.replies), failed, 0.0));
    section.checks.push(Check::at_least("upgrade: requests answered", report.replies as f64, REQUESTS_MIN));
    section.notes.push(format!(
        "{UPGRADES} upgrades at {} requests/s, half of the peak, over {:.0} s: {} requests answered, {} failed, {} unsent; \
         the slowest upgrade took {} ms; p99 {:.0} us, highest latency {:.1} ms",
        grouped(rate),
        duration.as_secs_f64(),
        grouped(report.replies as f64),
        report.failed(),
        report.unsent,
        slowest.as_millis(),
        report.latency_us.p99,
        report.latency_us.max / 1_000.0,
    ));
    for (kind, error) in &report.first_errors {
        section.notes.push(format!("first {kind} error: {error}"));
    }
    Ok(section)
}
