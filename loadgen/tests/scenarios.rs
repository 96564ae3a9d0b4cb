//! Scenarios and checks against a real HTTP server of another make (Python's), which keeps what it got.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use turnpike_loadgen::report::Report;
use turnpike_loadgen::scenario::{Scenario, Target};
use turnpike_loadgen::target::Url;

/// The server, killed when it is dropped.
struct Echo {
    child: Child,
    url: String,
    folder: TempDir,
}

impl Echo {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new("python3")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/echo.py"))
            .arg(folder.path().join("seen"))
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Self { child, url: format!("http://127.0.0.1:{}", port.trim()), folder }
    }

    fn write(&self, name: &str, content: &str) -> String {
        let file = self.folder.path().join(name);
        std::fs::write(&file, content).unwrap();
        file.to_str().unwrap().to_owned()
    }

    fn run(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_turnpike-loadgen"))
            .args([self.url.as_str(), "--json"])
            .args(args)
            .output()
            .unwrap()
    }

    fn report(&self, args: &[&str]) -> Report {
        let output = self.run(args);
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
    }

    fn seen(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.folder.path().join("seen")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn text<'a>(seen: &'a Value, pointer: &str) -> &'a str {
    seen.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

#[test]
fn a_flow_carries_values_from_reply_to_request() {
    let echo = Echo::start();
    let scenario = echo.write(
        "flow.toml",
        "[[flow]]\nname = 'buy'\n[[flow.step]]\nname = 'open'\nmethod = 'POST'\nurl = '/carts'\nbody = '{}'\n\
         extract = { cart = { json = '/id' } }\n\
         [[flow.step]]\nname = 'pay'\nurl = '/pay/{{cart | url}}'\nheaders = { x-cart = '{{cart}}' }\n\
         expect = { status = 200, header_present = ['content-type'], body_contains = '/pay/cart%2F' }\n",
    );
    let report = echo.report(&["-c", "4", "-t", "2", "-n", "60", "--scenario", &scenario]);
    assert_eq!((report.replies, report.succeeded), (60, 60), "{:?}", report.first_errors);
    let opened = report.labels["buy: open"].replies;
    let paid = report.labels["buy: pay"].replies;
    assert!(opened + paid == 60 && opened >= paid && opened - paid <= 4, "{opened} opened, {paid} paid");
    assert!(report.labels["buy: pay"].latency_us.p50 > 0.0);
    let mut carts: Vec<String> = echo
        .seen()
        .iter()
        .filter(|seen| text(seen, "/method") == "GET")
        .map(|seen| {
            let cart = text(seen, "/headers/x-cart").to_owned();
            assert_eq!(text(seen, "/path"), format!("/pay/{}", cart.replace('/', "%2F")));
            cart
        })
        .collect();
    carts.sort_unstable();
    carts.dedup();
    assert_eq!(carts.len() as u64, paid, "each user pays for its own cart");
}

#[test]
fn sequences_and_keys_are_taken_once_over_all_reactors() {
    let echo = Echo::start();
    echo.write("keys", "a\nb\nc\n");
    let scenario = echo.write(
        "keys.toml",
        "requests_per_connection = 5\n[[request]]\nname = 'get'\nurl = '/items/{{sequence(1, 60)}}'\n\
         headers = { x-api-key = '{{next_line(keys)}}' }\n",
    );
    let report = echo.report(&["-c", "4", "-t", "2", "-n", "60", "--scenario", &scenario]);
    assert_eq!(report.labels["get"].succeeded, 60);
    let seen = echo.seen();
    let mut items: Vec<u32> =
        seen.iter().map(|seen| text(seen, "/path")["/items/".len()..].parse().unwrap()).collect();
    items.sort_unstable();
    assert_eq!(items, (1..=60).collect::<Vec<_>>());
    for key in ["a", "b", "c"] {
        let uses = seen.iter().filter(|seen| text(seen, "/headers/x-api-key") == key).count();
        assert_eq!(uses, 20, "{key}");
    }
    let mut ports: Vec<i64> = seen.iter().map(|seen| seen["port"].as_i64().unwrap()).collect();
    ports.sort_unstable();
    assert!(ports.chunk_by(|a, b| a == b).all(|of_one| of_one.len() <= 5), "5 requests a connection");
}

#[test]
fn think_time_keeps_a_user_from_sending() {
    let echo = Echo::start();
    let scenario = echo.write("think.toml", "think = '50ms'\n[[request]]\nurl = '/'\n");
    let report = echo.report(&["-c", "2", "-t", "1", "-n", "8", "--scenario", &scenario]);
    // Each of two users thinks three times between its four requests.
    assert!(report.duration_s >= 0.15, "{}", report.duration_s);
    assert_eq!(report.succeeded, 8);
    let refused = echo.run(&["--rate", "10", "--scenario", &scenario]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("think times need the closed loop"));
}

#[test]
fn mismatches_are_counted_by_check_with_a_sample() {
    let echo = Echo::start();
    let scenario = echo.write(
        "checks.toml",
        "[[flow]]\n[[flow.step]]\nname = 'tea'\nurl = '/teapot'\nexpect = { status = 200, body_contains = 'GET' }\n\
         extract = { pot = { json = '/pot' } }\n[[flow.step]]\nname = 'never'\nurl = '/{{pot}}'\n",
    );
    let report = echo.report(&["-c", "1", "-n", "6", "--scenario", &scenario, "--expect-body-bytes", "1"]);
    assert_eq!((report.replies, report.succeeded, report.errors["unexpected"]), (6, 0, 6));
    let shown: Vec<String> = report
        .mismatches
        .iter()
        .map(|missed| format!("{}, {}, {}: {}", missed.request, missed.check, missed.count, missed.sample))
        .collect();
    assert_eq!(shown.len(), 3, "{shown:?}");
    assert_eq!(shown[0], "tea, status, 6: wanted 200, came 418");
    assert!(shown[1].starts_with("tea, body's length, 6: wanted 1 bytes, came "), "{shown:?}");
    assert!(
        shown[2].starts_with("tea, extract pot, 6: wanted a value at the JSON pointer '/pot', came a JSON")
    );
    assert!(!report.labels.contains_key("never") || report.labels["never"].replies == 0);
}

#[test]
fn plain_runs_check_fields_and_bodies() {
    let echo = Echo::start();
    const LONG: &str = "x-long: 01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789";
    let good = ["-n", "4", "-c", "1", "--expect-header", "Content-Type: application/json"];
    let report = echo.report(&[&good[..], &["--expect-body-contains", "\"path\": \"/\""]].concat());
    assert_eq!((report.succeeded, report.mismatches.len()), (4, 0));
    let report =
        echo.report(&[&good[..], &["--expect-body", "x", "--expect-header", "etag", "-H", LONG]].concat());
    assert_eq!((report.succeeded, report.errors["unexpected"]), (0, 4));
    let checks: Vec<_> =
        report.mismatches.iter().map(|missed| (missed.check.as_str(), missed.count)).collect();
    assert_eq!(checks, [("header etag is present", 4), ("body", 4)]);
    assert!(report.mismatches[1].sample.came.contains("… ("), "{:?}", report.mismatches[1]);
}

#[test]
fn the_same_seed_sends_the_same_requests() {
    let echo = Echo::start();
    let scenario = echo.write(
        "random.toml",
        "[[request]]\nurl = '/{{integer(1, 1000000)}}'\n[[request]]\nmethod = 'PUT'\nurl = '/'\nbody = '{{uuid()}}'\n",
    );
    let runs = ["3", "3", "4"].map(|seed| {
        let before = echo.seen_count();
        echo.report(&["-c", "4", "-t", "2", "-n", "40", "--scenario", &scenario, "--seed", seed]);
        let mut sent: Vec<String> = echo.seen()[before..]
            .iter()
            .map(|seen| format!("{} {} {}", text(seen, "/method"), text(seen, "/path"), text(seen, "/body")))
            .collect();
        sent.sort_unstable();
        sent
    });
    assert_eq!(runs[0].len(), 40);
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}

impl Echo {
    fn seen_count(&self) -> usize {
        std::fs::read_to_string(self.folder.path().join("seen")).map_or(0, |text| text.lines().count())
    }
}

#[test]
fn a_wrong_scenario_is_told_with_file_line_and_key() {
    let echo = Echo::start();
    let file = echo.write("wrong.toml", "[[request]]\nurl = '/{{id}}'\n");
    let output = echo.run(&["--scenario", &file]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(error.contains("wrong.toml:2: url: there is no variable 'id'"), "{error}");
}

#[test]
fn a_user_has_a_connection_to_each_host() {
    let (echo, other) = (Echo::start(), Echo::start());
    let flow = format!(
        "[[flow]]\n[[flow.step]]\nname = 'here'\nurl = '/a'\n[[flow.step]]\nname = 'there'\nurl = '{}/b'\n",
        other.url
    );
    let scenario = echo.write("hosts.toml", &flow);
    let report = echo.report(&["-c", "3", "-t", "1", "-n", "60", "--scenario", &scenario]);
    assert_eq!((report.succeeded, report.connections), (60, 3), "{:?}", report.first_errors);
    for (echo, path) in [(&echo, "/a"), (&other, "/b")] {
        let seen = echo.seen();
        assert!(seen.len() >= 27 && seen.iter().all(|seen| text(seen, "/path") == path), "{}", seen.len());
        let host = &echo.url["http://".len()..];
        assert!(seen.iter().all(|seen| text(seen, "/headers/host") == host));
        let ports: BTreeSet<_> = seen.iter().map(|seen| seen["port"].as_i64().unwrap()).collect();
        assert!(ports.len() <= 3, "connections are kept: {ports:?}");
    }
    let refused = echo.run(&["--http2", "--scenario", &scenario]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("need a scenario of one host"));
}

#[test]
fn a_host_that_is_gone_fails_its_own_requests_only() {
    let echo = Echo::start();
    // Nobody listens where a listener has just been closed.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let requests = format!(
        "[[request]]\nname = 'here'\nurl = '/'\n[[request]]\nname = 'gone'\nurl = 'http://{gone}/'\n"
    );
    let scenario = echo.write("gone.toml", &requests);
    let output = echo.run(&["-c", "2", "-n", "20", "--scenario", &scenario]);
    let report: Report = serde_json::from_slice(&output.stdout).unwrap();
    let (here, lost) = (&report.labels["here"], &report.labels["gone"]);
    assert!(here.succeeded > 0 && here.errors.values().sum::<u64>() == 0, "{here:?}");
    assert!(lost.errors["connect"] > 0 && lost.replies == 0, "{lost:?}");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        told.contains(&format!("2 of 4 connections could not be opened at once; the first to {gone}")),
        "{told}"
    );
}

#[test]
fn the_example_scenarios_are_right() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios"));
    let url = Url::parse("http://127.0.0.1:8080").unwrap();
    let mut parsed = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_some_and(|extension| extension == "toml") {
            let target = Target::new(&url);
            Scenario::load(&file, &target).unwrap();
            parsed += 1;
        }
    }
    assert_eq!(parsed, 4);
}

#[test]
fn an_imported_document_is_a_scenario_that_runs() {
    let echo = Echo::start();
    let document = echo.write(
        "api.yaml",
        "openapi: 3.1.0\ninfo: {title: Pets, version: 1}\npaths:\n  /pets/{id}:\n    get:\n      operationId: pet\n      \
         parameters: [{name: id, in: path, required: true, schema: {type: integer, minimum: 5, maximum: 5}}]\n      \
         responses: {'200': {description: ok}}\n",
    );
    let import = |args: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_turnpike-loadgen"))
            .arg("import-openapi")
            .args(args)
            .output()
            .unwrap()
    };
    let imported = import(&[&document, "--base-url", &echo.url]);
    let scenario = echo.write("api.toml", std::str::from_utf8(&imported.stdout).unwrap());
    let report = echo.report(&["-c", "1", "-n", "3", "--scenario", &scenario]);
    assert_eq!((report.succeeded, report.labels["pet"].replies), (3, 3));
    assert!(echo.seen().iter().all(|seen| text(seen, "/path") == "/pets/5"));
    let error = import(&[&scenario]).stderr;
    assert!(String::from_utf8_lossy(&error).contains("api.toml: "), "{}", String::from_utf8_lossy(&error));
}
