//! Section `shards`: the gateway on two shards, and on four where there are eight cores, against one, and against the peers
//! with as many workers; and how evenly connections spread over the shards.

use std::net::SocketAddr;
use std::path::Path;

use super::layout::Layout;
use super::load::{Load, LoadGenerator, Target};
use super::peers::{Peer, Role};
use super::results::{Check, Section};
use super::rounds::{Case, interleave};
use super::turnpike::Turnpike;
use super::{Bench, PeerName, SectionName, peers, skipped};

const ONE: &str = "one shard";
const SEVERAL: &str = "turnpike";
const CONNECTIONS: usize = 256;
/// Who is compared on several cores as well.
const PEERS: [PeerName; 5] =
    [PeerName::Haproxy, PeerName::Nginx, PeerName::Caddy, PeerName::Envoy, PeerName::Pingora];
const REQUESTS_METRIC: &str = "turnpike_shard_requests_total";

/// How many, and the least ratio of their requests/s to one shard's.
const SHARDS: [(usize, f64); 2] = [(2, 1.8), (4, 3.4)];
const BUSIEST_OVER_MEAN_MAX: f64 = 1.15;

pub(super) fn run(bench: &Bench) -> Result<Section, String> {
    let name = SectionName::Shards;
    if !bench.compares(PeerName::Turnpike) {
        return Ok(skipped(name, "Turnpike is not among --peers"));
    }
    let mut section = Section::new(name.name());
    for (shards, ratio_min) in SHARDS {
        match Layout::proxy_cores(&bench.cores, shards) {
            Some(layout) => measure(bench, shards, &layout, ratio_min, &mut section)?,
            None => section.notes.push(format!(
                "{shards} shards skipped: with an origin and the load generator they need {} cores, and {} are here",
                2 * shards,
                bench.cores.len()
            )),
        }
    }
    section.tabulate_requests();
    Ok(section)
}

fn measure(
    bench: &Bench,
    shards: usize,
    layout: &Layout,
    ratio_min: f64,
    section: &mut Section,
) -> Result<(), String> {
    // Both are measured with the same origin and generator, so both have what the many shards leave over.
    let one = Layout { proxy: layout.proxy[..1].to_vec(), ..layout.clone() };
    let dir = bench.dir.path().join(format!("shards-{shards}"));
    std::fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let (_origin, origin) = peers::start_origin(&dir, &layout.origin)?;
    let mut single = Turnpike::start("one-shard", &bench.binaries, &dir, &one)?;
    let mut several = Turnpike::start("several-shards", &bench.binaries, &dir, layout)?;
    let generator = LoadGenerator { cores: layout.loadgen.clone(), ..bench.generator.clone() };
    let label = format!("{CONNECTIONS} connections, {shards} cores");
    let mut cases = Vec::new();
    for (turnpike, name) in [(&mut single, ONE), (&mut several, SEVERAL)] {
        let target = Target { name: name.to_owned(), ..turnpike.make_default_api(origin)? };
        cases.push(Case { label: label.clone(), target, load: Load::get("/", CONNECTIONS) });
    }
    let peers = start_peers(bench, &dir, layout, origin)?;
    cases.extend(peers.iter().map(|peer| Case {
        label: label.clone(),
        target: peer.target.clone(),
        load: Load::get("/", CONNECTIONS),
    }));
    let before = several.shard_metric(REQUESTS_METRIC)?;
    section.rows.extend(interleave(&cases, bench.rounds(), &generator)?);
    let after = several.shard_metric(REQUESTS_METRIC)?;
    let spread = busiest_over_mean(&before, &after)
        .ok_or("the shards' request counters didn't move during the measurement")?;
    if let Some(ratio) = section.ratio(&label, SEVERAL, ONE, |sample| sample.report.replies_per_s) {
        let figure = format!("shards: requests/s of {shards} over one");
        section.checks.push(Check::at_least(figure, ratio, ratio_min));
    }
    let figure = format!("shards: busiest of {shards} over their mean");
    section.checks.push(Check::at_most(figure, spread, BUSIEST_OVER_MEAN_MAX));
    section.notes.push(format!(
        "{shards} shards: {} origin core(s), load generator on {:?}",
        layout.origin.len(),
        layout.loadgen
    ));
    Ok(())
}

/// With a worker on each of the cores.
fn start_peers(bench: &Bench, dir: &Path, layout: &Layout, origin: SocketAddr) -> Result<Vec<Peer>, String> {
    let role = Role { cores: &layout.proxy, origin, ..bench.role(dir) };
    let wanted = PEERS.iter().filter(|peer| bench.compares(**peer));
    let mut started = wanted.map(|peer| bench.start_proxy(*peer, &role)).collect::<Result<Vec<_>, _>>()?;
    if bench.compares(PeerName::Passthrough) {
        started.push(peers::start_floor(dir, &layout.proxy, Some(origin))?);
    }
    Ok(started)
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
