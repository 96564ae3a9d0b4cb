//! Section `shards`: the gateway on two shards against one, and how evenly connections spread over two.

use super::layout::Layout;
use super::load::{Load, LoadGenerator};
use super::results::{Check, Section};
use super::rounds::{Case, interleave};
use super::turnpike::Turnpike;
use super::{Bench, PeerName, SectionName, peers, skipped};

const LABEL: &str = "256 connections";
const CONNECTIONS: usize = 256;
const REQUESTS_METRIC: &str = "turnpike_shard_requests_total";

pub(super) fn run(bench: &Bench) -> Result<Section, String> {
    let name = SectionName::Shards;
    if !bench.compares(PeerName::Turnpike) {
        return Ok(skipped(name, "Turnpike is not among --peers"));
    }
    let Some(two) = Layout::two_proxy_cores(&bench.cores) else {
        return Ok(skipped(name, "two shards, an origin and the load generator need four cores"));
    };
    // Both are measured with the same origin and generator, so both have what two shards leave over.
    let one = Layout { proxy: two.proxy[..1].to_vec(), ..two.clone() };
    let dir = bench.dir.path().join("shards");
    std::fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let (_origin, origin) = peers::start_origin(&dir, &two.origin)?;
    let mut single = Turnpike::start("one-shard", &bench.binaries, &dir, &one)?;
    let mut double = Turnpike::start("two-shards", &bench.binaries, &dir, &two)?;
    let generator = LoadGenerator { cores: two.loadgen.clone(), ..bench.generator.clone() };
    let mut cases = Vec::new();
    for (turnpike, shards) in [(&mut single, "1 shard"), (&mut double, "2 shards")] {
        let mut target = turnpike.make_default_api(origin)?;
        target.name = shards.to_owned();
        cases.push(Case { label: LABEL.to_owned(), target, load: Load::get("/", CONNECTIONS) });
    }
    let before = double.shard_metric(REQUESTS_METRIC)?;
    let mut section = Section::new(name.name());
    section.rows = interleave(&cases, bench.rounds(), &generator)?;
    let after = double.shard_metric(REQUESTS_METRIC)?;
    let spread = busiest_over_mean(&before, &after)
        .ok_or("the shards' request counters didn't move during the measurement")?;
    if let Some(ratio) = section.ratio(LABEL, "2 shards", "1 shard", |sample| sample.report.replies_per_s) {
        section.checks.push(Check::at_least("shards: requests/s of two over one", ratio, 1.8));
    }
    section.checks.push(Check::at_most("shards: busiest of two over their mean", spread, 1.15));
    section.notes.push(format!("two shards, one origin core, load generator on {:?}", two.loadgen));
    section.print_requests();
    Ok(section)
}

/// From counters before and after, of each shard.
fn busiest_over_mean(before: &[f64], after: &[f64]) -> Option<f64> {
    let done: Vec<f64> = after.iter().zip(before).map(|(after, before)| after - before).collect();
    let mean = done.iter().sum::<f64>() / done.len() as f64;
    (mean > 0.0).then(|| done.iter().copied().fold(0.0, f64::max) / mean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_shard_is_compared_to_the_mean() {
        assert_eq!(busiest_over_mean(&[10.0, 10.0], &[20.0, 40.0]), Some(1.5));
        assert_eq!(busiest_over_mean(&[1.0, 1.0], &[1.0, 1.0]), None);
        assert_eq!(busiest_over_mean(&[], &[]), None);
    }
}
