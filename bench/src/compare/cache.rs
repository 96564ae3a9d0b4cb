//! Section `cache`: hits of 1 KiB and 100 KiB on one core, against a responder that sends the same bodies from memory and
//! against caches of others; and whether a flush of 100,000 entries stalls a shard.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::http::Client;
use super::load::{Load, LoadGenerator, Target};
use super::peers::{Peer, Role, origin_count};
use super::rest::STAGE;
use super::results::{Check, Section};
use super::rounds::Case;
use super::side_by_side::side_by_side;
use super::turnpike::{Options, Turnpike};
use super::{Bench, PeerName, SectionName, skipped};

const CONNECTIONS: usize = 64;
const SIZES: [(&str, usize); 2] = [("1 KiB", 1 << 10), ("100 KiB", 100 << 10)];
/// Least ratio of Turnpike's requests/s to each of these.
const GOALS: [(&str, f64); 3] = [("responder", 0.9), ("nginx", 1.2), ("varnish", 1.2)];

const ENTRIES: usize = 100_000;
/// Room for all entries, and more than is used.
const GATEWAY: [&str; 2] = ["--cache-bytes-max", "1073741824"];
/// Of the open loop that a flush must not disturb; it is far from what a core carries.
const RATE_PER_S: f64 = 10_000.0;
/// Longer than it takes until the memory of what was flushed is given back.
const LOOP_DURATION: Duration = Duration::from_secs(5);
const STALL_MS_MAX: f64 = 1.0;
const METRIC: &str = "turnpike_shard_cache_responses";
const METRIC_TIMEOUT: Duration = Duration::from_secs(20);
const METRIC_POLL: Duration = Duration::from_millis(100);

pub(super) fn run(bench: &Bench) -> Result<Section, String> {
    let name = SectionName::Cache;
    if !bench.compares(PeerName::Turnpike) {
        return Ok(skipped(name, "Turnpike is not among --peers"));
    }
    let dir = bench.dir.path().join("cache");
    std::fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let options = Options { gateway: &GATEWAY, ..Options::default() };
    let mut turnpike = Turnpike::start_with("cache", &bench.binaries, &dir, &bench.layout, &options)?;
    let api_id = turnpike.make_rest_api(bench.origin, false)?;
    turnpike.cache_methods(&api_id)?;
    turnpike.await_served(&api_id, &format!("/{STAGE}/small"))?;
    let mut section = Section::new(name.name());
    hits(bench, &dir, &turnpike.target("turnpike", &api_id), &mut section)?;
    flushes(bench, &dir, &mut turnpike, &api_id, &mut section)?;
    section.tabulate_requests();
    Ok(section)
}

fn hits(bench: &Bench, dir: &Path, turnpike: &Target, section: &mut Section) -> Result<(), String> {
    let mut all_peers = Vec::new();
    let mut cases = Vec::new();
    for (label, bytes) in SIZES {
        let peers = start_peers(bench, dir, bytes)?;
        let others = peers.iter().map(|peer| &peer.target).chain(bench.target(PeerName::Responder));
        for target in others.chain([turnpike]) {
            let prefix = if target.name == "turnpike" { format!("/{STAGE}") } else { String::new() };
            let path = format!("{prefix}/bytes/{bytes}");
            let load = Load { expect_body_bytes: Some(bytes as u64), ..Load::get(&path, CONNECTIONS) };
            fill(target, &path)?;
            cases.push(Case { label: label.to_owned(), target: target.clone(), load });
        }
        all_peers.push(peers);
    }
    let mut origin = Client::connect(bench.origin)?;
    let before = origin_count(&mut origin)?;
    // The origin has nothing to do, so the generator has its core as well.
    let mut generator = bench.generator.clone();
    generator.cores.extend(bench.layout.origin.iter().filter(|core| !bench.layout.loadgen.contains(core)));
    section.rows = side_by_side(&cases, bench.rounds(), &generator)?;
    let missed = origin_count(&mut Client::connect(bench.origin)?)? - before;
    for (label, _) in SIZES {
        for (reference, goal) in GOALS {
            let ratio = section.ratio(label, "turnpike", reference, |sample| sample.report.replies_per_s);
            if let Some(ratio) = ratio {
                let figure = format!("cache, hits of {label}: requests/s over {reference}'s");
                section.checks.push(Check::at_least(figure, ratio, goal));
            }
        }
    }
    section.checks.push(Check::at_most(
        "cache: requests that came to the origin meanwhile",
        missed as f64,
        0.0,
    ));
    section.checks.push(section.failures());
    Ok(())
}

/// Set up for bodies of this length.
fn start_peers(bench: &Bench, dir: &Path, bytes: usize) -> Result<Vec<Peer>, String> {
    let dir = dir.join(bytes.to_string());
    std::fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let role = Role { cached_body_bytes: Some(bytes), ..bench.role(&dir) };
    let caches = [PeerName::Nginx, PeerName::Varnish].into_iter().filter(|peer| bench.compares(*peer));
    caches.map(|peer| bench.start_proxy(peer, &role)).collect()
}

/// The response is kept from now on.
fn fill(target: &Target, path: &str) -> Result<(), String> {
    let host = target.host.clone().unwrap_or_else(|| target.address.to_string());
    let status =
        Client::connect(target.address)?.call("GET", path, &format!("host: {host}\r\n"), b"")?.status;
    if status == 200 { Ok(()) } else { Err(format!("{} answers {status} for {path}", target.name)) }
}

/// Rounds of filling the cache, an open loop to a route that isn't cached, the same again with a flush in it, and how
/// much worse the worst latency was.
fn flushes(
    bench: &Bench,
    dir: &Path,
    turnpike: &mut Turnpike,
    api_id: &str,
    section: &mut Section,
) -> Result<(), String> {
    let generator =
        LoadGenerator { warmup: Duration::ZERO, duration: LOOP_DURATION, ..bench.generator.clone() };
    let list = write_paths(dir)?;
    // Each of the generator's cores begins at its own part of the list.
    let requests = Some(ENTRIES + generator.cores.len());
    let fill = Load { requests, path_list: Some(list), ..Load::get("/", CONNECTIONS) };
    let cached = turnpike.target("turnpike", api_id);
    turnpike.reconnect()?;
    let other = turnpike.make_default_api(bench.origin)?;
    let steady = Load { rate: Some(RATE_PER_S), ..Load::get("/", CONNECTIONS) };
    let (mut quiet_ms, mut flushed_ms) = (Vec::new(), Vec::new());
    for round in 0..bench.rounds() {
        let failed = generator.measure(&cached, &fill)?.report.failed();
        if failed > 0 {
            return Err(format!("{failed} of {ENTRIES} requests that fill the cache failed"));
        }
        await_responses(turnpike, "all are kept", |responses| responses >= ENTRIES as f64)?;
        quiet_ms.push(generator.measure(&other, &steady)?.report.latency_us.max / 1e3);
        let running = generator.start(&other, &steady)?;
        std::thread::sleep(LOOP_DURATION / 10);
        flush(turnpike, api_id)?;
        flushed_ms.push(running.finish()?.report.latency_us.max / 1e3);
        await_responses(turnpike, "all are gone", |responses| responses < ENTRIES as f64 / 100.0)?;
        eprintln!(
            "  round {}  worst {:.2} ms, with a flush {:.2} ms",
            round + 1,
            quiet_ms[round],
            flushed_ms[round]
        );
    }
    // What a flush does is there in each round, and what else the machine does is not.
    let (quiet, flushed) = (least(&quiet_ms), least(&flushed_ms));
    let stall = flushed - quiet;
    section.notes.push(format!(
        "flushes of {ENTRIES} entries at {RATE_PER_S} requests/s: worst latency {flushed:.2} ms with, {quiet:.2} ms \
         without (in the best of {} rounds)",
        quiet_ms.len()
    ));
    let figure = "cache: a flush of 100,000 entries adds to the worst latency, ms";
    section.checks.push(Check::at_most(figure, stall, STALL_MS_MAX));
    Ok(())
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::MAX, f64::min)
}

fn write_paths(dir: &Path) -> Result<PathBuf, String> {
    let list = dir.join("entries.txt");
    let lines: String = (0..ENTRIES).map(|entry| format!("/{STAGE}/entries/{entry}\n")).collect();
    std::fs::write(&list, lines).map_err(|error| format!("{}: {error}", list.display()))?;
    Ok(list)
}

fn flush(turnpike: &Turnpike, api_id: &str) -> Result<(), String> {
    let path = format!("/restapis/{api_id}/stages/{STAGE}/cache/data");
    match turnpike.client()?.send("DELETE", &path, b"")? {
        (202, _) => Ok(()),
        (status, body) => Err(format!("a flush was answered {status}: {}", String::from_utf8_lossy(&body))),
    }
}

/// Waits until the number of cached responses, of all shards, is as it should be.
fn await_responses(turnpike: &Turnpike, what: &str, is: impl Fn(f64) -> bool) -> Result<(), String> {
    let deadline = Instant::now() + METRIC_TIMEOUT;
    loop {
        let responses: f64 = turnpike.shard_metric(METRIC)?.iter().sum();
        if is(responses) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(format!("{responses} responses are in the cache, where {what}"));
        }
        std::thread::sleep(METRIC_POLL);
    }
}
