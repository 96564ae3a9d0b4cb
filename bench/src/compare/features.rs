//! Section `features`, the feature tax: what a bare proxy loses as an API key with its usage plan, throttles that are never
//! reached, an access log and metrics come on, one after the other; and what nginx loses to the same as plugins in Lua.
//! Turnpike's metrics can't be turned off, so its first row has them already.

use std::path::{Path, PathBuf};

use super::load::{Load, Target};
use super::peers::{self, Downstream, Peer, Plugins, Role};
use super::rest::{Limit, STAGE};
use super::results::{Check, Section};
use super::rounds::{Case, interleave};
use super::turnpike::{Options, Turnpike};
use super::{Bench, CONNECTIONS_MAX, PeerName, SectionName};

const CONNECTIONS: usize = 64;
const LABEL: &str = "64 connections";
/// What no measurement reaches.
const FREE: Limit = Limit { rate_per_s: 10_000_000, burst_requests: 10_000_000 };
const LUA_KEY: &str = "key-of-the-only-client-00000000";
/// Steps of both; each has what the one before has.
const STEPS: [&str; 4] = ["bare", "key", "throttles", "log"];
/// Least share of the bare proxy's requests/s that is left with everything on.
const LEFT_MIN: f64 = 0.9;
/// Least ratio of requests/s with everything on to nginx's with plugins.
const OVER_LUA_MIN: f64 = 1.5;

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
    for (step, name) in STEPS.into_iter().enumerate() {
        if bench.compares(PeerName::Turnpike) {
            cases.push(start_turnpike(bench, &dir, step, name, &mut started)?);
        }
        if bench.compares(PeerName::NginxLua) {
            cases.push(start_lua(bench, &dir, step, name, &mut started)?);
        }
    }
    let mut section = Section::new(SectionName::Features.name());
    section.rows = interleave(&cases, bench.rounds(), &bench.generator)?;
    check(&mut section);
    section.tabulate_requests();
    Ok(section)
}

fn check(section: &mut Section) {
    let ratio = |of: &str, to: &str| section.ratio(LABEL, of, to, |sample| sample.report.replies_per_s);
    let [first, .., last] = STEPS;
    let mut notes = Vec::new();
    for proxy in ["turnpike", "nginx-lua"] {
        for step in &STEPS[1..] {
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

fn start_turnpike(
    bench: &Bench,
    dir: &Path,
    step: usize,
    name: &str,
    started: &mut Started,
) -> Result<Case, String> {
    let [with_key, with_throttles, with_log] = [1, 2, 3].map(|needed| step >= needed);
    let (rate, burst) = FREE.texts();
    let account = [
        ("TURNPIKE_CONTROL_ACCOUNT_THROTTLE_RATE_PER_S", &*rate),
        ("TURNPIKE_CONTROL_ACCOUNT_THROTTLE_BURST_REQUESTS", &*burst),
    ];
    let log = dir.join(format!("{name}.access.log")).display().to_string();
    let options = Options {
        control: if with_throttles { &account } else { &[] },
        gateway: if with_log { &["--access-log", &log] } else { &[] },
        ..Options::default()
    };
    let mut turnpike = Turnpike::start_with(name, &bench.binaries, dir, &bench.layout, &options)?;
    let api_id = turnpike.make_rest_api(bench.origin, with_key)?;
    if with_throttles {
        let limits = [("/*/*/throttling/rateLimit", &*rate), ("/*/*/throttling/burstLimit", &*burst)];
        turnpike.patch_stage(&api_id, &limits)?;
    }
    let path = format!("/{STAGE}/small");
    let mut load = Load::get(&path, CONNECTIONS);
    let mut lines = String::new();
    if with_key {
        let plan_id = turnpike.make_plan(&api_id, with_throttles.then_some(FREE))?;
        let field = format!("x-api-key: {}", turnpike.import_keys(&plan_id, 1)?[0]);
        lines = format!("{field}\r\n");
        load.header = Some(field);
    }
    turnpike.await_served_to(&api_id, &path, &lines)?;
    let target = turnpike.target(&format!("turnpike {name}"), &api_id);
    started.turnpikes.push(turnpike);
    Ok(case(target, load))
}

fn start_lua(
    bench: &Bench,
    dir: &Path,
    step: usize,
    name: &str,
    started: &mut Started,
) -> Result<Case, String> {
    let [with_key, with_throttles, with_log] = [1, 2, 3].map(|needed| step >= needed);
    let name = format!("nginx-lua {name}");
    let home = name.replace(' ', "-");
    let log: PathBuf = dir.join(format!("{home}.access.log"));
    let plugins = Plugins {
        key: with_key.then_some(LUA_KEY),
        throttles: with_throttles,
        metrics: with_log,
        access_log: with_log.then_some(&*log),
    };
    let role = Role {
        dir,
        core: bench.layout.proxy[0],
        origin: bench.origin,
        downstream: Downstream::Http,
        connections_max: CONNECTIONS_MAX,
        cached_body_bytes: None,
    };
    let peer = peers::start_nginx_lua(&home, &role, &plugins)?;
    let target = Target { name, ..peer.target.clone() };
    started.peers.push(peer);
    let header = with_key.then(|| format!("x-api-key: {LUA_KEY}"));
    Ok(case(target, Load { header, ..Load::get("/", CONNECTIONS) }))
}

fn case(target: Target, load: Load) -> Case {
    Case { label: LABEL.to_owned(), target, load }
}
