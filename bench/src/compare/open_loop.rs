//! Section `open-loop`: latencies of all proxies at one and the same rate, half of HAProxy's peak. The slots of the
//! schedule don't wait for replies, so a proxy that stalls shows it in its tail.

use super::load::Load;
use super::results::{Check, Section};
use super::rounds::{Case, find, interleave};
use super::{Bench, PeerName, SectionName, skipped, small, stats};

const RATE_SHARE: f64 = 0.5;

pub(super) fn run(bench: &Bench, earlier: &[Section]) -> Result<Section, String> {
    let name = SectionName::OpenLoop;
    let Some(peak) = haproxy_peak(bench, earlier)? else {
        return Ok(skipped(name, "the rate is half of HAProxy's, which is not among --peers"));
    };
    let rate = (peak * RATE_SHARE).round();
    let connections = bench.args.connections.first().copied().unwrap_or(64);
    let label = format!("{} requests/s", stats::grouped(rate));
    let cases: Vec<Case> = bench
        .targets
        .iter()
        .map(|target| Case {
            label: label.clone(),
            target: target.clone(),
            load: Load { rate: Some(rate), ..Load::get("/", connections) },
        })
        .collect();
    let mut section = Section::new(name.name());
    section.rows = interleave(&cases, bench.rounds(), &bench.generator)?;
    if let Some(ratio) = section.ratio(&label, "turnpike", "haproxy", |sample| sample.report.latency_us.p99) {
        section.checks.push(Check::at_most("open loop: p99 over haproxy's", ratio, 1.0));
    }
    section.print_requests();
    Ok(section)
}

/// From the section `small` where it ran, or measured now.
fn haproxy_peak(bench: &Bench, earlier: &[Section]) -> Result<Option<f64>, String> {
    let Some(target) = bench.target(PeerName::Haproxy) else { return Ok(None) };
    let connections = bench.args.connections.first().copied().unwrap_or(64);
    let label = small::label(connections);
    if let Some(row) = earlier.iter().find_map(|section| find(&section.rows, &label, "haproxy")) {
        return Ok(Some(row.replies_per_s));
    }
    let sample = bench.generator.measure(target, &Load::get("/", connections))?;
    Ok(Some(sample.report.replies_per_s))
}
