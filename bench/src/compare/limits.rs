//! Section `limits`: whether throttles hold and let through all that they allow, and what they cost where they are never
//! reached.

mod admission;

use std::path::Path;

use super::layout::Layout;
use super::load::{Load, LoadGenerator};
use super::rest::{FREE_PER_S, STAGE};
use super::results::{Check, Section};
use super::rounds::{Case, interleave};
use super::turnpike::{Options, Turnpike};
use super::{Bench, PeerName, SectionName, peers, skipped};

const CONNECTIONS: usize = 64;
const LABEL: &str = "64 connections";
const KEYS: usize = 100_000;
/// Rate and burst: beyond what any machine here carries, AWS's for an account, and one that a client soon meets.
const ADMISSIONS: [(u32, u32); 3] = [(1_000_000, 5_000), (10_000, 5_000), (100, 100)];

/// Names of rows, which the checks compare.
const NO_KEY: &str = "no key, no limits";
const NO_LIMITS: &str = "no limits";
const LIMITS: &str = "limits";
const MANY_NO_LIMITS: &str = "100,000 keys, no limits";
const MANY: &str = "100,000 keys, limits";

pub(super) fn run(bench: &Bench) -> Result<Section, String> {
    let name = SectionName::Limits;
    if !bench.compares(PeerName::Turnpike) {
        return Ok(skipped(name, "Turnpike is not among --peers"));
    }
    let dir = bench.dir.path().join("limits");
    std::fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let mut section = Section::new(name.name());
    admit(bench, &dir, &mut section)?;
    cost(bench, &dir, &mut section)?;
    section.print_requests();
    Ok(section)
}

/// One key under each limit in turn, on two shards where there are cores for them: each holds a part of what the limit
/// allows.
fn admit(bench: &Bench, dir: &Path, section: &mut Section) -> Result<(), String> {
    let layout = Layout::two_proxy_cores(&bench.cores).unwrap_or_else(|| bench.layout.clone());
    let (_origin, origin) = peers::start_origin(dir, &layout.origin)?;
    let mut turnpike = Turnpike::start("admission", &bench.binaries, dir, &layout)?;
    let generator = LoadGenerator {
        cores: layout.loadgen.clone(),
        warmup: std::time::Duration::ZERO,
        ..bench.generator.clone()
    };
    let api_id = turnpike.make_rest_api(origin, true)?;
    for (rate_per_s, burst_requests) in ADMISSIONS {
        turnpike.reconnect()?;
        let plan_id = turnpike.make_plan(&api_id, Some((rate_per_s, burst_requests)))?;
        let key = header(&turnpike.import_keys(&plan_id, 1)?[0]);
        turnpike.await_served_to(&api_id, &path(), &format!("{key}\r\n"))?;
        let target = turnpike.target("turnpike", &api_id);
        let load = Load { header: Some(key), ..Load::get(&path(), CONNECTIONS) };
        let limit = admission::Limit { rate_per_s, burst_requests };
        admission::measure(limit, &generator, (&target, &load), origin)?.report(limit, section);
    }
    section.notes.push(format!(
        "admission: {} shards, load generator on {:?}",
        layout.proxy.len(),
        layout.loadgen
    ));
    Ok(())
}

/// Throughput of one core with limits of account, route and plan that are never reached against none.
fn cost(bench: &Bench, dir: &Path, section: &mut Section) -> Result<(), String> {
    let free = FREE_PER_S.to_string();
    let account = [
        ("TURNPIKE_CONTROL_ACCOUNT_THROTTLE_RATE_PER_S", &*free),
        ("TURNPIKE_CONTROL_ACCOUNT_THROTTLE_BURST_REQUESTS", &*free),
    ];
    let options = Options { control: &account, ..Options::default() };
    let (binaries, layout) = (&bench.binaries, &bench.layout);
    let mut without = Turnpike::start("without-limits", binaries, dir, layout)?;
    let mut with = Turnpike::start_with("with-limits", binaries, dir, layout, &options)?;

    let open = without.make_rest_api(bench.origin, false)?;
    without.await_served(&open, &path())?;
    let target = without.target(NO_KEY, &open);
    let mut cases = vec![Case { label: LABEL.to_owned(), target, load: Load::get(&path(), CONNECTIONS) }];
    for (turnpike, throttle, names) in [
        (&mut without, None, [NO_LIMITS, MANY_NO_LIMITS]),
        (&mut with, Some((FREE_PER_S, FREE_PER_S)), [LIMITS, MANY]),
    ] {
        cases.extend(keyed(bench, dir, turnpike, throttle, names)?);
    }
    section.rows = interleave(&cases, bench.rounds(), &bench.generator)?;
    for (of, cost_max) in [(LIMITS, 0.03), (MANY, 0.06)] {
        let ratio = |to| section.ratio(LABEL, of, to, |sample| sample.report.replies_per_s);
        if let Some(over_none) = ratio(NO_LIMITS) {
            let figure = format!("limits: cost of {of}, share of the requests/s without");
            section.checks.push(Check::at_most(figure, 1.0 - over_none, cost_max));
        }
    }
    Ok(())
}

/// An API whose callers need a key: one key, and 100,000 taken in turn. Its routes are throttled where its plan is.
fn keyed(
    bench: &Bench,
    dir: &Path,
    turnpike: &mut Turnpike,
    throttle: Option<(u32, u32)>,
    [one, many]: [&str; 2],
) -> Result<[Case; 2], String> {
    turnpike.reconnect()?;
    let api_id = turnpike.make_rest_api(bench.origin, true)?;
    if let Some((rate_per_s, burst_requests)) = throttle {
        let (rate, burst) = (rate_per_s.to_string(), burst_requests.to_string());
        let limits = [("/*/*/throttling/rateLimit", &*rate), ("/*/*/throttling/burstLimit", &*burst)];
        turnpike.patch_stage(&api_id, &limits)?;
    }
    let plan_id = turnpike.make_plan(&api_id, throttle)?;
    let keys = turnpike.import_keys(&plan_id, KEYS)?;
    let fields: Vec<String> = keys.iter().map(|key| header(key)).collect();
    for field in [&fields[0], &fields[KEYS - 1]] {
        turnpike.await_served_to(&api_id, &path(), &format!("{field}\r\n"))?;
    }
    let list = dir.join(format!("{plan_id}.txt"));
    std::fs::write(&list, fields.join("\n")).map_err(|error| format!("{}: {error}", list.display()))?;
    let case = |name: &str, load: Load| Case {
        label: LABEL.to_owned(),
        target: turnpike.target(name, &api_id),
        load,
    };
    let load = Load::get(&path(), CONNECTIONS);
    Ok([
        case(one, Load { header: Some(fields[0].clone()), ..load.clone() }),
        case(many, Load { header_list: Some(list), ..load }),
    ])
}

fn path() -> String {
    format!("/{STAGE}/small")
}

fn header(key: &str) -> String {
    format!("x-api-key: {key}")
}
