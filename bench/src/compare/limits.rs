//! Sections `limits` and `shared-limits`: whether throttles hold and let through all that they allow, on one gateway and on
//! three, and what they and quotas cost where they are never reached.

mod admission;
mod ceiling;
mod gateways;

use std::path::Path;
use std::time::Duration;

use turnpike_loadgen::report::show_us;

use super::layout::Layout;
use super::load::{Load, LoadGenerator};
use super::rest::{Limit, STAGE};
use super::results::{Check, Section};
use super::rounds::{Case, Row};
use super::side_by_side::side_by_side;
use super::turnpike::{Options, Turnpike};
use super::{Bench, PeerName, SectionName, peers, skipped};

const CONNECTIONS: usize = 64;
const LABEL: &str = "64 connections";
const KEYS: usize = 100_000;
/// Each with how long it is met, in seconds: beyond what a machine carries; AWS's for an account; and a low one, for so
/// long that 0.1 % of what it allows is more than a request.
const ADMISSIONS: [(Limit, u64); 3] = [
    (Limit { rate_per_s: 1_000_000, burst_requests: 5_000 }, 5),
    (Limit { rate_per_s: 10_000, burst_requests: 5_000 }, 5),
    (Limit { rate_per_s: 100, burst_requests: 100 }, 20),
];

const NO_KEY: &str = "no key";
const NO_LIMITS: &str = "one key";
const LIMITS: &str = "one key, limits";
const QUOTA: &str = "one key, quota";
const MANY_NO_LIMITS: &str = "100,000 keys";
const MANY: &str = "100,000 keys, limits";
/// What may cost how many percent over what, all of it with keys to look up; the last one has in it what it takes to find
/// one of many.
const COSTS: [(&str, &str, f64); 4] =
    [(LIMITS, NO_LIMITS, 3.0), (QUOTA, NO_LIMITS, 3.0), (MANY, MANY_NO_LIMITS, 6.0), (MANY, NO_LIMITS, 6.0)];
/// Calls a month that no measurement reaches.
const FREE_QUOTA: u64 = 2_000_000_000;

pub(super) fn run(bench: &Bench) -> Result<Section, String> {
    within(bench, SectionName::Limits, |dir, section| {
        ceiling::measure(bench, section)?;
        admit(bench, dir, section)?;
        cost(bench, dir, section)
    })
}

/// Three gateways on one store.
pub(super) fn run_shared(bench: &Bench) -> Result<Section, String> {
    within(bench, SectionName::SharedLimits, |dir, section| gateways::measure(bench, dir, section))
}

fn within(
    bench: &Bench,
    name: SectionName,
    measure: impl FnOnce(&Path, &mut Section) -> Result<(), String>,
) -> Result<Section, String> {
    if !bench.compares(PeerName::Turnpike) {
        return Ok(skipped(name, "Turnpike is not among --peers"));
    }
    let dir = bench.dir.path().join(name.name());
    std::fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let mut section = Section::new(name.name());
    measure(&dir, &mut section)?;
    section.tabulate_requests();
    Ok(section)
}

/// One key under each limit in turn, on two shards where there are cores for them: each holds a part of what the limit
/// allows.
fn admit(bench: &Bench, dir: &Path, section: &mut Section) -> Result<(), String> {
    let layout = Layout::two_proxy_cores(&bench.cores).unwrap_or_else(|| bench.layout.clone());
    let (_origin, origin) = peers::start_origin(dir, &layout.origin)?;
    let mut turnpike = Turnpike::start("admission", &bench.binaries, dir, &layout)?;
    let generator =
        LoadGenerator { cores: layout.loadgen.clone(), warmup: Duration::ZERO, ..bench.generator.clone() };
    let api_id = turnpike.make_rest_api(origin, true)?;
    for (limit, seconds) in ADMISSIONS {
        turnpike.reconnect()?;
        let plan_id = turnpike.make_plan(&api_id, Some(limit))?;
        let key = header(&turnpike.import_keys(&plan_id, 1)?[0]);
        turnpike.await_served_to(&api_id, &path(), &format!("{key}\r\n"))?;
        let target = turnpike.target("turnpike", &api_id);
        let load = Load { header: Some(key), ..Load::get(&path(), CONNECTIONS) };
        let generator = LoadGenerator { duration: Duration::from_secs(seconds), ..generator.clone() };
        admission::measure(limit, &generator, (&target, &load), origin)?.report(limit, section);
    }
    section.notes.push(format!(
        "admission: {} shards, load generator on {:?}",
        layout.proxy.len(),
        layout.loadgen
    ));
    Ok(())
}

/// Throughput of one core with limits of account, route and plan that are never reached, or with a quota, against none.
fn cost(bench: &Bench, dir: &Path, section: &mut Section) -> Result<(), String> {
    let options = Options { throttle: Some(Limit::FREE), ..Options::default() };
    let (binaries, layout) = (&bench.binaries, &bench.layout);
    let mut without = Turnpike::start("without-limits", binaries, dir, layout)?;
    let mut with = Turnpike::start_with("with-limits", binaries, dir, layout, &options)?;

    let open = without.make_rest_api(bench.origin, false)?;
    without.await_served(&open, &path())?;
    let target = without.target(NO_KEY, &open);
    let mut cases = vec![Case { label: LABEL.to_owned(), target, load: Load::get(&path(), CONNECTIONS) }];
    for (turnpike, throttle, names) in
        [(&mut without, None, [NO_LIMITS, MANY_NO_LIMITS]), (&mut with, Some(Limit::FREE), [LIMITS, MANY])]
    {
        cases.extend(keyed(bench, dir, turnpike, throttle, names)?);
    }
    cases.push(counted(bench, &mut without)?);
    section.rows = side_by_side(&cases, bench.rounds(), &bench.generator)?;
    for (of, to, cost_percent_max) in COSTS {
        if let Some(ratio) = section.ratio(LABEL, of, to, |sample| sample.report.replies_per_s) {
            let figure = format!("limits: {of} against {to}: requests/s lost, %");
            section.checks.push(Check::at_most(figure, (1.0 - ratio) * 100.0, cost_percent_max));
        }
    }
    section.checks.push(section.failures());
    section.notes.push(format!("a core's time for a request: {}", core_times(&section.rows).join("; ")));
    Ok(())
}

/// Less touched by what else a machine does than requests/s are.
fn core_times(rows: &[Row]) -> Vec<String> {
    let time = |row: &Row| show_us(row.proxy_cpu_share / row.replies_per_s * 1e6);
    rows.iter().map(|row| format!("{} {}", row.proxy, time(row))).collect()
}

/// An API whose callers need a key: one key, and 100,000 taken in turn. Its routes are throttled where its plan is.
fn keyed(
    bench: &Bench,
    dir: &Path,
    turnpike: &mut Turnpike,
    throttle: Option<Limit>,
    [one, many]: [&str; 2],
) -> Result<[Case; 2], String> {
    turnpike.reconnect()?;
    let api_id = turnpike.make_rest_api(bench.origin, true)?;
    if let Some(limit) = throttle {
        turnpike.throttle_methods(&api_id, limit)?;
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

/// The same with one key that has a quota.
fn counted(bench: &Bench, turnpike: &mut Turnpike) -> Result<Case, String> {
    turnpike.reconnect()?;
    let api_id = turnpike.make_rest_api(bench.origin, true)?;
    let plan_id = turnpike.make_quota_plan(&api_id, FREE_QUOTA)?;
    let field = header(&turnpike.import_keys(&plan_id, 1)?[0]);
    turnpike.await_served_to(&api_id, &path(), &format!("{field}\r\n"))?;
    let load = Load { header: Some(field), ..Load::get(&path(), CONNECTIONS) };
    Ok(Case { label: LABEL.to_owned(), target: turnpike.target(QUOTA, &api_id), load })
}

fn path() -> String {
    format!("/{STAGE}/small")
}

fn header(key: &str) -> String {
    format!("x-api-key: {key}")
}
