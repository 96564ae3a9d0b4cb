//! Section `routes`: what 10,000 routes in 200 APIs cost against one route, and how long a one-route change takes to
//! be served everywhere while load runs.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::load::{Load, LoadGenerator};
use super::probe::Probe;
use super::results::{Check, Section};
use super::rounds::{Case, interleave};
use super::stats::median;
use super::turnpike::{Turnpike, host};
use super::{Bench, PeerName, SectionName, skipped};

const APIS: usize = 200;
const ROUTES_EACH: usize = 50;
const CONNECTIONS: usize = 64;
const LABEL: &str = "64 connections";
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
    let mut many = Turnpike::start("many-routes", &bench.binaries, &dir, &bench.layout)?;
    let (one_case, _) = make_case(bench, &mut one, "1 route", 1, 1)?;
    let began = Instant::now();
    let (many_case, api_ids) = make_case(bench, &mut many, "10,000 routes", APIS, ROUTES_EACH)?;
    let mut section = Section::new(name.name());
    section.notes.push(format!(
        "{} routes in {APIS} APIs were made in {:.1} s",
        APIS * ROUTES_EACH,
        began.elapsed().as_secs_f64()
    ));
    section.rows = interleave(&[one_case, many_case.clone()], bench.rounds(), &bench.generator)?;
    if let Some(ratio) =
        section.ratio(LABEL, "10,000 routes", "1 route", |sample| sample.report.replies_per_s)
    {
        section.checks.push(Check::at_least("routes: requests/s with 10,000 over one", ratio, 0.95));
    }
    change_under_load(bench, &mut many, &many_case, &api_ids[0], &mut section)?;
    section.print_requests();
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
    // The load outlasts the changes; it is what a change must not disturb.
    let duration = bench.generator.duration + CHANGE_PAUSE * CHANGES as u32 * 2;
    let generator = LoadGenerator { duration, ..bench.generator.clone() };
    let load = generator.start(&case.target, &case.load)?;
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
    section.notes.push(format!(
        "{CHANGES} changes under load: served everywhere {typical:.1} ms (median) after the call's return; \
         {} requests meanwhile, {} failed",
        report.replies,
        report.failed()
    ));
    section.checks.push(Check::at_most("routes: a change is live after, ms (worst)", worst, CHANGE_MS_MAX));
    let failed = report.failed() + report.unfinished;
    section.checks.push(Check::at_most("routes: requests failed during changes", failed as f64, 0.0));
    Ok(())
}
