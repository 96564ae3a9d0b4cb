//! Section `management`: how fast control imports and deploys a document of 300 paths, how it carries 1,000 APIs of 100
//! routes, and what 32 clients get out of it at once, without a lost update.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::probe::Probe;
use super::results::{Check, Section};
use super::stats::median;
use super::turnpike::{Management, Turnpike, host, text};
use super::{Bench, PeerName, SectionName, skipped};

const PATHS: usize = 300;
const IMPORT_ROUNDS: usize = 3;
const IMPORT_S_MAX: f64 = 1.0;

const APIS: usize = 1_000;
const ROUTES_EACH: usize = 100;
/// Clients that make the APIs.
const MAKERS: usize = 4;
const CREATE_S_MAX: f64 = 300.0;
const CONTROL_MIB_MAX: f64 = 1_024.0;
const CHANGES: usize = 20;
const CHANGE_MS_MAX: f64 = 100.0;
const PROBE_CONNECTIONS: usize = 8;

const CLIENTS: usize = 32;
const MIX_DURATION: Duration = Duration::from_secs(20);
const CALLS_PER_S_MIN: f64 = 500.0;

pub(super) fn run(bench: &Bench) -> Result<Section, String> {
    let name = SectionName::Management;
    if !bench.compares(PeerName::Turnpike) {
        return Ok(skipped(name, "Turnpike is not among --peers"));
    }
    let dir = bench.dir.path().join("management");
    std::fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let mut section = Section::new(name.name());
    let mut small = Turnpike::start("management", &bench.binaries, &dir, &bench.layout)?;
    import(bench, &mut small, &mut section)?;
    mix(bench, &mut small, &mut section)?;
    drop(small);
    let mut large = Turnpike::start("management-large", &bench.binaries, &dir, &bench.layout)?;
    carry(bench, &mut large, &mut section)?;
    Ok(section)
}

/// OpenAPI 3 with one GET a path, all of them to one URL.
fn document(bench: &Bench, paths: usize) -> Value {
    let operation = json!({
        "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}],
        "responses": {"200": {"description": "fine"}},
        "x-amazon-apigateway-integration": {
            "type": "http_proxy", "httpMethod": "GET", "uri": format!("http://{}/", bench.origin),
            "payloadFormatVersion": "1.0",
        },
    });
    let paths: Map<String, Value> =
        (0..paths).map(|path| (format!("{}/{{id}}", path_of(path)), json!({"get": operation}))).collect();
    json!({"openapi": "3.0.1", "info": {"title": "bench", "version": "1"}, "paths": paths})
}

fn path_of(path: usize) -> String {
    format!("/service{path:03}")
}

/// Into a new API of each kind, up to the answer of the deployment.
fn import(bench: &Bench, turnpike: &mut Turnpike, section: &mut Section) -> Result<(), String> {
    // A REST API's path with a variable is two resources, and not more than 300 paths are wanted.
    let document = document(bench, PATHS);
    let (mut http_s, mut rest_s) = (Vec::new(), Vec::new());
    for _ in 0..IMPORT_ROUNDS {
        let began = Instant::now();
        import_http(turnpike, &document)?;
        http_s.push(began.elapsed().as_secs_f64());
        let began = Instant::now();
        let api = turnpike.call("POST", "/restapis", Some(&json!({"name": "bench"})))?;
        let id = text(&api, "id")?;
        turnpike.call("PUT", &format!("/restapis/{id}"), Some(&document))?;
        let deployments = format!("/restapis/{id}/deployments");
        turnpike.call("POST", &deployments, Some(&json!({"stageName": "prod"})))?;
        rest_s.push(began.elapsed().as_secs_f64());
        turnpike.await_served(&id, &format!("/prod{}/1", path_of(PATHS - 1)))?;
    }
    for (kind, seconds) in [("an HTTP", http_s), ("a REST", rest_s)] {
        let figure = format!("management: import of {PATHS} paths into {kind} API, deployed, s");
        section.checks.push(Check::at_most(figure, median(seconds).unwrap_or(f64::MAX), IMPORT_S_MAX));
    }
    Ok(())
}

/// The id of the new API, which serves the document.
fn import_http(turnpike: &mut Turnpike, document: &Value) -> Result<String, String> {
    let api = turnpike.call("PUT", "/v2/apis", Some(&json!({"body": document.to_string()})))?;
    let id = text(&api, "apiId")?;
    deploy_http(|method, path, body| turnpike.call(method, path, body), &id)?;
    Ok(id)
}

fn deploy_http(
    mut call: impl FnMut(&str, &str, Option<&Value>) -> Result<Value, String>,
    api_id: &str,
) -> Result<(), String> {
    let stage = json!({"stageName": "$default"});
    call("POST", &format!("/v2/apis/{api_id}/stages"), Some(&stage))?;
    call("POST", &format!("/v2/apis/{api_id}/deployments"), Some(&stage))?;
    Ok(())
}

/// 1,000 APIs from nothing until the last one is served; then further changes among them.
fn carry(bench: &Bench, turnpike: &mut Turnpike, section: &mut Section) -> Result<(), String> {
    let body = json!({"body": document(bench, ROUTES_EACH).to_string()});
    let made = AtomicUsize::new(0);
    let began = Instant::now();
    let clients: Vec<Management> = (0..MAKERS).map(|_| turnpike.client()).collect::<Result<_, _>>()?;
    let ids = together(clients, |_, client| {
        let mut ids = Vec::new();
        while made.fetch_add(1, Ordering::Relaxed) < APIS {
            let api = client.call("PUT", "/v2/apis", Some(&body))?;
            let id = text(&api, "apiId")?;
            deploy_http(|method, path, body| client.call(method, path, body), &id)?;
            ids.push(id);
        }
        Ok(ids)
    })?;
    let ids = ids.concat();
    turnpike.reconnect()?;
    for id in &ids {
        turnpike.await_served(id, &format!("{}/1", path_of(ROUTES_EACH - 1)))?;
    }
    let figure = format!("management: {APIS} APIs of {ROUTES_EACH} routes, create to live, s");
    section.checks.push(Check::at_most(figure, began.elapsed().as_secs_f64(), CREATE_S_MAX));
    let (returned_ms, times_ms) = changes(turnpike, &ids)?;
    let worst = times_ms.iter().copied().fold(0.0, f64::max);
    section.notes.push(format!(
        "among {APIS} APIs, {CHANGES} calls returned after {:.1} ms and their changes were served everywhere after \
         {:.1} ms (medians)",
        median(returned_ms).unwrap_or(0.0),
        median(times_ms).unwrap_or(0.0)
    ));
    let figure = "management: a change among them is live, ms from the call (worst)";
    section.checks.push(Check::at_most(figure, worst, CHANGE_MS_MAX));
    let mib = turnpike.control_rss_bytes()? as f64 / f64::from(1 << 20);
    section.checks.push(Check::at_most("management: control's memory then, MiB", mib, CONTROL_MIB_MAX));
    Ok(())
}

/// Adds a route to one API after the other and deploys it; how long until the call returns, and until every connection
/// sees it.
fn changes(turnpike: &mut Turnpike, ids: &[String]) -> Result<(Vec<f64>, Vec<f64>), String> {
    let (mut returned_ms, mut times_ms) = (Vec::new(), Vec::new());
    for id in ids.iter().take(CHANGES) {
        let integration_id = turnpike.integration_id(id)?;
        let mut probe = Probe::connect(turnpike.gateway.address, &host(id), PROBE_CONNECTIONS)?;
        let path = "/change";
        if probe.count(path, 404)? != PROBE_CONNECTIONS {
            return Err(format!("{path} is served before its route was made"));
        }
        turnpike.make_route(id, &format!("GET {path}"), &integration_id)?;
        let began = Instant::now();
        let stage = json!({"stageName": "$default"});
        turnpike.call("POST", &format!("/v2/apis/{id}/deployments"), Some(&stage))?;
        returned_ms.push(began.elapsed().as_secs_f64() * 1e3);
        times_ms.push(probe.await_everywhere(path, began)?.as_secs_f64() * 1e3);
    }
    Ok((returned_ms, times_ms))
}

/// What a client of the mix has done.
#[derive(Debug, Default)]
struct Done {
    calls: usize,
    server_errors: usize,
    /// The last value that was acknowledged of what it writes.
    acknowledged: usize,
    routes: usize,
}

/// Clients that read and write at once, all of them the same stage and the same API; what was acknowledged has to be
/// there afterwards.
fn mix(bench: &Bench, turnpike: &mut Turnpike, section: &mut Section) -> Result<(), String> {
    let routes_api = import_http(turnpike, &document(bench, 1))?;
    let integration_id = turnpike.integration_id(&routes_api)?;
    let stage_api = text(&turnpike.call("POST", "/restapis", Some(&json!({"name": "mix"})))?, "id")?;
    turnpike.call("PUT", &format!("/restapis/{stage_api}"), Some(&document(bench, 10)))?;
    let deployments = format!("/restapis/{stage_api}/deployments");
    turnpike.call("POST", &deployments, Some(&json!({"stageName": "prod"})))?;

    let clients: Vec<Management> = (0..CLIENTS).map(|_| turnpike.client()).collect::<Result<_, _>>()?;
    let began = Instant::now();
    let done = together(clients, |number, client| {
        let mut done = Done::default();
        while began.elapsed() < MIX_DURATION {
            round(client, number, &routes_api, &integration_id, &stage_api, &mut done)?;
        }
        Ok(done)
    })?;
    let seconds = began.elapsed().as_secs_f64();
    let calls: usize = done.iter().map(|done| done.calls).sum();
    let errors: usize = done.iter().map(|done| done.server_errors).sum();
    turnpike.reconnect()?;
    let lost = lost_updates(turnpike, &routes_api, &stage_api, &done)?;
    section
        .notes
        .push(format!("{CLIENTS} clients made {calls} calls in {seconds:.0} s, half of them writes"));
    let figure = format!("management: calls/s of {CLIENTS} clients, half of them writes");
    section.checks.push(Check::at_least(figure, calls as f64 / seconds, CALLS_PER_S_MIN));
    section.checks.push(Check::at_most("management: answers of 5xx meanwhile", errors as f64, 0.0));
    section.checks.push(Check::at_most("management: updates lost meanwhile", lost as f64, 0.0));
    Ok(())
}

/// A read and a write of a stage that all clients share, a read and a write of an API that all share.
fn round(
    client: &mut Management,
    number: usize,
    routes_api: &str,
    integration_id: &str,
    stage_api: &str,
    done: &mut Done,
) -> Result<(), String> {
    let stage = format!("/restapis/{stage_api}/stages/prod");
    let value = done.acknowledged + 1;
    let patch =
        json!({"op": "replace", "path": format!("/variables/client{number}"), "value": value.to_string()});
    let update = json!({"patchOperations": [patch]}).to_string();
    let route = json!({
        "routeKey": format!("GET /client{number}/{}", done.routes), "target": format!("integrations/{integration_id}"),
    });
    done.count(client.send("GET", &stage, b"")?.0);
    if done.count(client.send("PATCH", &stage, update.as_bytes())?.0) {
        done.acknowledged = value;
    }
    done.count(client.send("GET", &format!("/v2/apis/{routes_api}"), b"")?.0);
    let routes = format!("/v2/apis/{routes_api}/routes");
    if done.count(client.send("POST", &routes, route.to_string().as_bytes())?.0) {
        done.routes += 1;
    }
    Ok(())
}

impl Done {
    /// Whether the call succeeded.
    fn count(&mut self, status: u16) -> bool {
        self.calls += 1;
        self.server_errors += usize::from(status >= 500);
        (200..300).contains(&status)
    }
}

/// Acknowledged writes that aren't there.
fn lost_updates(
    turnpike: &mut Turnpike,
    routes_api: &str,
    stage_api: &str,
    done: &[Done],
) -> Result<usize, String> {
    let stage = turnpike.call("GET", &format!("/restapis/{stage_api}/stages/prod"), None)?;
    let variable = |number: usize| stage["variables"][format!("client{number}")].as_str().map(str::to_owned);
    let of_stage = done.iter().enumerate().filter(|(number, done)| {
        done.acknowledged > 0 && variable(*number) != Some(done.acknowledged.to_string())
    });
    let mut lost = of_stage.count();
    for (number, done) in done.iter().enumerate() {
        if done.routes > 0 {
            let last = json!({"routeKey": format!("GET /client{number}/{}", done.routes - 1)});
            // A key that is there can't be made again.
            let made = turnpike.call("POST", &format!("/v2/apis/{routes_api}/routes"), Some(&last));
            lost += usize::from(made.is_ok());
        }
    }
    Ok(lost)
}

/// Runs `work` for each client on a thread of its own.
fn together<T: Send>(
    clients: Vec<Management>,
    work: impl Fn(usize, &mut Management) -> Result<T, String> + Sync,
) -> Result<Vec<T>, String> {
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = clients
            .into_iter()
            .enumerate()
            .map(|(number, mut client)| scope.spawn(move || work(number, &mut client)))
            .collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| "a client panicked".to_owned())?).collect()
    })
}
