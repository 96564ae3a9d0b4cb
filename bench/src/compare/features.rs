//! Section `features`, the feature tax: what a bare proxy loses as an API key with its usage plan, throttles that are never
//! reached, an access log and metrics come on, one after the other; and what nginx loses to the same as plugins in Lua.
//! Turnpike's metrics can't be turned off, so its first row has them already.

use std::path::{Path, PathBuf};

use super::load::{Load, Target};
use super::peers::{self, Peer, Plugins};
use super::rest::{Limit, STAGE};
use super::results::{Check, Section};
use super::rounds::Case;
use super::side_by_side::side_by_side;
use super::turnpike::{Options, Turnpike};
use super::{Bench, PeerName, SectionName};

const CONNECTIONS: usize = 64;
const LABEL: &str = "64 connections";
const LUA_KEY: &str = "key-of-the-only-client-00000000";
/// Steps of both; each has what the one before has.
const STEPS: [Step; 4] = [
    Step { name: "bare", key: false, throttles: false, log: false },
    Step { name: "key", key: true, throttles: false, log: false },
    Step { name: "throttles", key: true, throttles: true, log: false },
    Step { name: "log", key: true, throttles: true, log: true },
];
/// Least share of the bare proxy's requests/s that is left with everything on.
const LEFT_MIN: f64 = 0.9;
/// Least ratio of requests/s with everything on to nginx's with plugins.
const OVER_LUA_MIN: f64 = 1.5;

/// What is on.
#[derive(Debug, Clone, Copy)]
struct Step {
    name: &'static str,
    /// With its usage plan.
    key: bool,
    throttles: bool,
    /// And metrics, where they aren't always on.
    log: bool,
}

/// Killed when dropped.
#[derive(Debug, Default)]
struct Started {
    turnpikes: Vec<Turnpike>,
    peers: Vec<Peer>,
}

pub(super) fn run(bench: &Bench) -> Result<Section, String> {
    let dir = bench.dir.path().join("features");
    std::fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let mut started = Started::default();
    let mut cases = Vec::new();
    for step in STEPS {
        if bench.compares(PeerName::Turnpike) {
            cases.push(start_turnpike(bench, &dir, step, &mut started)?);
        }
        if bench.compares(PeerName::NginxLua) {
            cases.push(start_lua(bench, &dir, step, &mut started)?);
        }
    }
    let mut section = Section::new(SectionName::Features.name());
    section.rows = side_by_side(&cases, bench.rounds(), &bench.generator)?;
    check(&mut section);
    section.tabulate_requests();
    Ok(section)
}

fn check(section: &mut Section) {
    let ratio = |of: &str, to: &str| section.ratio(LABEL, of, to, |sample| sample.report.replies_per_s);
    let [first, .., last] = STEPS.map(|step| step.name);
    let mut notes = Vec::new();
    for proxy in ["turnpike", "nginx-lua"] {
        for Step { name: step, .. } in &STEPS[1..] {
            if let Some(left) = ratio(&format!("{proxy} {step}"), &format!("{proxy} {first}")) {
                notes.push(format!(
                    "{proxy} with {step}: {:.1} % of its bare requests/s are left",
                    left * 100.0
                ));
            }
        }
    }
    let all = format!("turnpike {last}");
    let mut checks = Vec::new();
    if let Some(left) = ratio(&all, &format!("turnpike {first}")) {
        checks.push(Check::at_least(
            "features: share of the requests/s that is left with all",
            left,
            LEFT_MIN,
        ));
    }
    if let Some(over) = ratio(&all, &format!("nginx-lua {last}")) {
        let figure = "features: requests/s with all over nginx's with Lua plugins";
        checks.push(Check::at_least(figure, over, OVER_LUA_MIN));
    }
    section.notes.extend(notes);
    section.checks.extend(checks);
    section.checks.push(section.failures());
}

fn start_turnpike(bench: &Bench, dir: &Path, step: Step, started: &mut Started) -> Result<Case, String> {
    let Step { name, .. } = step;
    let throttle = step.throttles.then_some(Limit::FREE);
    let log = dir.join(format!("{name}.access.log")).display().to_string();
    let gateway: &[&str] = if step.log { &["--access-log", &log] } else { &[] };
    let options = Options { throttle, gateway, ..Options::default() };
    let mut turnpike = Turnpike::start_with(name, &bench.binaries, dir, &bench.layout, &options)?;
    let api_id = turnpike.make_rest_api(bench.origin, step.key)?;
    if let Some(limit) = throttle {
        turnpike.throttle_methods(&api_id, limit)?;
    }
    let path = format!("/{STAGE}/small");
    let mut load = Load::get(&path, CONNECTIONS);
    let mut lines = String::new();
    if step.key {
        let plan_id = turnpike.make_plan(&api_id, throttle)?;
        let field = format!("x-api-key: {}", turnpike.import_keys(&plan_id, 1)?[0]);
        lines = format!("{field}\r\n");
        load.header = Some(field);
    }
    turnpike.await_served_to(&api_id, &path, &lines)?;
    let target = turnpike.target(&format!("turnpike {name}"), &api_id);
    started.turnpikes.push(turnpike);
    Ok(case(target, load))
}

fn start_lua(bench: &Bench, dir: &Path, step: Step, started: &mut Started) -> Result<Case, String> {
    let home = format!("nginx-lua-{}", step.name);
    let log: PathBuf = dir.join(format!("{home}.access.log"));
    let plugins = Plugins {
        key: step.key.then_some(LUA_KEY),
        throttles: step.throttles,
        metrics: step.log,
        access_log: step.log.then_some(&*log),
    };
    let peer = peers::start_nginx_lua(&home, &bench.role(dir), &plugins)?;
    let target = Target { name: format!("nginx-lua {}", step.name), ..peer.target.clone() };
    started.peers.push(peer);
    let header = step.key.then(|| format!("x-api-key: {LUA_KEY}"));
    Ok(case(target, Load { header, ..Load::get("/", CONNECTIONS) }))
}

fn case(target: Target, load: Load) -> Case {
    Case { label: LABEL.to_owned(), target, load }
}
