//! Section `routes`: what 10,000 routes in 200 APIs, and 100,000 in 2,000, cost against one route, and how long a one-route
//! change takes to be served everywhere while load runs, and what it does to latencies.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use turnpike_loadgen::report::{Report, show_us};

use super::load::{Load, LoadGenerator};
use super::probe::Probe;
use super::results::{Check, Section};
use super::rounds::{Case, find};
use super::side_by_side::side_by_side;
use super::stats::median;
use super::turnpike::{Turnpike, host};
use super::{Bench, PeerName, SectionName, skipped};

/// How many APIs of [`ROUTES_EACH`] routes, the name, and the least share of one route's requests/s.
const TABLES: [(usize, &str, f64); 2] = [(200, "10,000 routes", 0.95), (2_000, "100,000 routes", 0.97)];
const ROUTES_EACH: usize = 50;
const CONNECTIONS: usize = 64;
const LABEL: &str = "64 connections";
const ONE: &str = "1 route";
const CHANGES: usize = 20;
const CHANGE_PAUSE: Duration = Duration::from_millis(200);
const PROBE_CONNECTIONS: usize = 32;
const CHANGE_MS_MAX: f64 = 50.0;

pub(super) fn run(bench: &mut Bench) -> Result<Section, String> {
    let name = SectionName::Routes;
    if !bench.compares(PeerName::Turnpike) {
        return Ok(skipped(name, "Turnpike is not among --peers"));
    }
    let dir = bench.dir.path().join("routes");
    std::fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let mut one = Turnpike::start("one-route", &bench.binaries, &dir, &bench.layout)?;
    let (one_case, _) = make_case(bench, &mut one, ONE, 1, 1)?;
    let mut section = Section::new(name.name());
    let mut cases = vec![one_case];
    let mut tables = Vec::new();
    for (apis, name, _) in TABLES {
        let began = Instant::now();
        let mut many = Turnpike::start(&format!("{apis}-apis"), &bench.binaries, &dir, &bench.layout)?;
        let (case, api_ids) = make_case(bench, &mut many, name, apis, ROUTES_EACH)?;
        section
            .notes
            .push(format!("{name} in {apis} APIs were made in {:.1} s", began.elapsed().as_secs_f64()));
        cases.push(case.clone());
        tables.push((many, case, api_ids));
    }
    section.rows = side_by_side(&cases, bench.rounds(), &bench.generator)?;
    for (_, name, share_min) in TABLES {
        if let Some(ratio) = section.ratio(LABEL, name, ONE, |sample| sample.report.replies_per_s) {
            let figure = format!("routes: requests/s with {name} over one");
            section.checks.push(Check::at_least(figure, ratio, share_min));
        }
    }
    for (many, case, api_ids) in &mut tables {
        many.reconnect()?;
        change_under_load(bench, many, case, &api_ids[0], &mut section)?;
    }
    section.tabulate_requests();
    Ok(section)
}

fn route_path(route: usize) -> String {
    format!("/service{route:02}/items")
}

/// Makes the APIs, whose ids it returns as well, and the list of all their paths.
fn make_case(
    bench: &Bench,
    turnpike: &mut Turnpike,
    name: &str,
    apis: usize,
    routes_each: usize,
) -> Result<(Case, Vec<String>), String> {
    let route_keys: Vec<String> =
        (0..routes_each).map(|route| format!("GET {}/{{id}}", route_path(route))).collect();
    let mut api_ids = Vec::new();
    for _ in 0..apis {
        api_ids.push(turnpike.make_api(bench.origin, &route_keys)?);
    }
    for api_id in &api_ids {
        turnpike.await_served(api_id, &format!("{}/1", route_path(0)))?;
    }
    let list = bench.dir.path().join(format!("paths-{apis}.txt"));
    write_paths(&list, &api_ids, routes_each)?;
    let mut target = turnpike.target(name, &api_ids[0]);
    // The Host field is each path's own.
    target.host = None;
    let load = Load { path_list: Some(list), ..Load::get("/", CONNECTIONS) };
    Ok((Case { label: LABEL.to_owned(), target, load }, api_ids))
}

/// One line a route, neighbours in different APIs.
fn write_paths(list: &PathBuf, api_ids: &[String], routes_each: usize) -> Result<(), String> {
    let mut text = String::new();
    for route in 0..routes_each {
        for (number, api_id) in api_ids.iter().enumerate() {
            text += &format!("{} {}/{}\n", host(api_id), route_path(route), 1000 + number);
        }
    }
    std::fs::write(list, text).map_err(|error| format!("{}: {error}", list.display()))
}

/// Adds routes to one API, one by one, while all routes are under load; no request may fail.
fn change_under_load(
    bench: &Bench,
    turnpike: &mut Turnpike,
    case: &Case,
    api_id: &str,
    section: &mut Section,
) -> Result<(), String> {
    let integration_id = turnpike.integration_id(api_id)?;
    let mut probe = Probe::connect(turnpike.gateway.address, &host(api_id), PROBE_CONNECTIONS)?;
    // The load outlasts the changes; it is what a change must not disturb. At half of what this core carries, so that its
    // tail is the gateway's and not a full queue's.
    let duration = bench.generator.duration + CHANGE_PAUSE * CHANGES as u32 * 2;
    let generator = LoadGenerator { duration, ..bench.generator.clone() };
    let peak = find(&section.rows, LABEL, &case.target.name).map(|row| row.replies_per_s / 2.0);
    let steady = Load { rate: peak, ..case.load.clone() };
    let quiet = generator.measure(&case.target, &steady)?.report;
    let load = generator.start(&case.target, &steady)?;
    std::thread::sleep(generator.warmup);
    let mut times_ms = Vec::new();
    for change in 0..CHANGES {
        let path = format!("/change{change}");
        if probe.count(&path, 404)? != PROBE_CONNECTIONS {
            return Err(format!("{path} is served before its route was made"));
        }
        turnpike.make_route(api_id, &format!("GET {path}"), &integration_id)?;
        let returned = Instant::now();
        times_ms.push(probe.await_everywhere(&path, returned)?.as_secs_f64() * 1e3);
        std::thread::sleep(CHANGE_PAUSE);
    }
    let report = load.finish()?.report;
    let worst = times_ms.iter().copied().fold(0.0, f64::max);
    let typical = median(times_ms).unwrap_or(0.0);
    let name = &case.target.name;
    let p99 = |report: &Report| show_us(report.latency_us.p99);
    section.notes.push(format!(
        "{name}, {CHANGES} changes under load: served everywhere {typical:.1} ms (median) after the call's return; \
         {} requests meanwhile, {} failed; p99 {} with changes, {} without",
        report.replies,
        report.failed(),
        p99(&report),
        p99(&quiet)
    ));
    let figure = format!("{name}: a change is live after, ms (worst)");
    section.checks.push(Check::at_most(figure, worst, CHANGE_MS_MAX));
    let failed = report.failed() + report.unfinished;
    let figure = format!("{name}: requests failed during changes");
    section.checks.push(Check::at_most(figure, failed as f64, 0.0));
    Ok(())
}
