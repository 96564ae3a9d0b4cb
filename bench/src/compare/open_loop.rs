//! Section `open-loop`: latencies at rates that don't wait for replies, so a proxy that stalls shows it in its tail. All
//! at half of HAProxy's peak; all at 70 % of Turnpike's; and each at 50, 70 and 90 % of its own.

use super::load::{Load, Target};
use super::results::{Check, Section};
use super::rounds::{Case, Row, find, interleave, labels};
use super::{Bench, PeerName, SectionName, small, stats};

/// Whose peak sets a rate for all, and the share of it.
const COMMON: [(PeerName, f64); 2] = [(PeerName::Haproxy, 0.5), (PeerName::Turnpike, 0.7)];
const OWN_SHARES: [f64; 3] = [0.5, 0.7, 0.9];
/// A proxy that sends less than this of the rate doesn't carry it: its tail isn't compared.
const CARRIED_MIN: f64 = 0.99;

pub(super) fn run(bench: &Bench, earlier: &[Section]) -> Result<Section, String> {
    let connections = bench.args.connections.first().copied().unwrap_or(64);
    let peaks = peaks(bench, earlier, connections)?;
    let proxies: Vec<&(Target, f64)> =
        peaks.iter().filter(|(target, _)| target.name != PeerName::Responder.name()).collect();
    let case = |label: String, target: &Target, rate: f64| Case {
        label,
        target: target.clone(),
        load: Load { rate: Some(rate.round()), ..Load::get("/", connections) },
    };
    let mut cases = Vec::new();
    for (of, share) in COMMON {
        let Some((_, peak)) = peaks.iter().find(|(target, _)| target.name == of.name()) else { continue };
        let label = common_label(of, share, peak * share);
        cases.extend(proxies.iter().map(|(target, _)| case(label.clone(), target, peak * share)));
    }
    for share in OWN_SHARES {
        let label = format!("{:.0} % of its own peak", share * 100.0);
        cases.extend(proxies.iter().map(|(target, peak)| case(label.clone(), target, peak * share)));
    }
    let mut section = Section::new(SectionName::OpenLoop.name());
    section.rows = interleave(&cases, bench.rounds(), &bench.generator)?;
    check(&mut section);
    section.tabulate_requests();
    Ok(section)
}

fn common_label(of: PeerName, share: f64, rate: f64) -> String {
    format!("{} requests/s, {:.0} % of {}'s peak", stats::grouped(rate.round()), share * 100.0, of.name())
}

fn check(section: &mut Section) {
    let names: Vec<String> = labels(&section.rows).into_iter().map(str::to_owned).collect();
    let of_peak = |name: &str| names.iter().find(|label| label.ends_with(&format!("of {name}'s peak")));
    if let Some(label) = of_peak("haproxy")
        && let Some(ratio) =
            section.ratio(label, "turnpike", "haproxy", |sample| sample.report.latency_us.p99)
    {
        section.checks.push(Check::at_most("open loop: p99 over haproxy's", ratio, 1.0));
    }
    let Some(label) = of_peak("turnpike") else { return };
    let Some(best) = best_peer(&section.rows, label) else {
        section.notes.push(format!("no peer carries {label}"));
        return;
    };
    if let Some(ratio) = section.ratio(label, "turnpike", best, |sample| sample.report.latency_us.p99_9) {
        let figure = format!("open loop, 70 % of our peak: p99.9 over the best peer's ({best})");
        section.checks.push(Check::at_most(figure, ratio, 1.0));
    }
}

/// The peer with the lowest p99.9 among those that carry the rate; floors aren't peers.
fn best_peer<'a>(rows: &'a [Row], label: &str) -> Option<&'a str> {
    let carries = |row: &Row| {
        let asked = find(rows, label, "turnpike").map_or(0.0, |turnpike| turnpike.replies_per_s);
        row.replies_per_s >= asked * CARRIED_MIN
    };
    rows.iter()
        .filter(|row| {
            row.label == label && !["turnpike", "passthrough"].contains(&&*row.proxy) && carries(row)
        })
        .min_by(|one, other| one.p99_9_us.total_cmp(&other.p99_9_us))
        .map(|row| &*row.proxy)
}

/// Requests/s of each in the closed loop: from the section `small` where it ran, or measured now.
fn peaks(bench: &Bench, earlier: &[Section], connections: usize) -> Result<Vec<(Target, f64)>, String> {
    let label = small::label(connections);
    let peak = |target: &Target| -> Result<f64, String> {
        let row = earlier.iter().find_map(|section| find(&section.rows, &label, &target.name));
        match row {
            Some(row) => Ok(row.replies_per_s),
            None => Ok(bench.generator.measure(target, &Load::get("/", connections))?.report.replies_per_s),
        }
    };
    bench.targets.iter().map(|target| Ok((target.clone(), peak(target)?))).collect()
}
