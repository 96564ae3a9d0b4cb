//! Health checks of target groups: who is asked what, and what the answers change.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use turnpike_snapshot::Probe;
use turnpike_tests::{
    Client, Connection, DataPlane, GroupBuilder, Options, Origin, StageBuilder, http_api, request,
    target_group,
};

fn stage() -> StageBuilder {
    http_api("a1").route_to_group("$default", "http://pool:80/", "g")
}

fn plane(group: GroupBuilder) -> DataPlane {
    DataPlane::with_groups(&Options::new(), &[stage()], &[group])
}

fn http(path: &str) -> Probe {
    Probe::Http { path: path.to_owned(), host: None, status_min: 200, status_max: 299 }
}

/// Answers `/health` with 200 or, while `sick`, with 500; everything else with its name.
fn answer(connection: &mut Connection, name: &str, sick: &AtomicBool) {
    while let Ok(Some(seen)) = connection.request() {
        let (status, body) = match seen.target.as_str() {
            "/health" if sick.load(Ordering::SeqCst) => ("500 Sick", "sick"),
            "/health" => ("200 OK", "well"),
            _ => ("200 OK", name),
        };
        let length = body.len();
        if connection.send(format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}")).is_err() {
            return;
        }
    }
}

struct Patient {
    origin: Origin,
    sick: Arc<AtomicBool>,
}

fn patient(name: &'static str) -> Patient {
    let sick = Arc::new(AtomicBool::new(false));
    let state = Arc::clone(&sick);
    Patient { origin: Origin::scripted(move |connection, _| answer(connection, name, &state)), sick }
}

impl Patient {
    fn set_sick(&self, sick: bool) {
        self.sick.store(sick, Ordering::SeqCst);
    }
}

fn wait_for_health(plane: &DataPlane, target: &str, healthy: bool) {
    turnpike_tests::until(&format!("{target} to be healthy: {healthy}"), || {
        let metrics = plane.gateway.metrics();
        let now = metrics.sum_or_zero("turnpike_target_healthy", &[&format!(r#"target="{target}""#)]);
        (now == f64::from(u8::from(healthy))).then_some(())
    });
}

fn bodies(client: &mut Client, count: usize) -> Vec<String> {
    let mut bodies: Vec<String> = (0..count)
        .map(|_| {
            let reply = client.exchange(request("GET", "a1", "/"));
            assert_eq!(reply.status, 200, "{}", reply.text());
            reply.text().to_owned()
        })
        .collect();
    bodies.sort();
    bodies.dedup();
    bodies
}

#[test]
fn a_target_that_fails_its_checks_gets_nothing_until_it_passes_them() {
    let (one, two) = (patient("one"), patient("two"));
    let group = target_group("g").target(one.origin.address()).target(two.origin.address());
    let mut plane = plane(group.checked(http("/health")));
    let mut client = plane.connect();
    wait_for_health(&plane, &one.origin.address().to_string(), true);
    wait_for_health(&plane, &two.origin.address().to_string(), true);
    assert_eq!(bodies(&mut client, 10), ["one", "two"]);

    two.set_sick(true);
    wait_for_health(&plane, &two.origin.address().to_string(), false);
    assert_eq!(bodies(&mut client, 10), ["one"]);
    let line = format!(
        "target group g: {} is unhealthy after 1 failed checks in a row, the last: it answered 500; 1 of 2 \
         targets are healthy; see that it runs and answers GET /health with 200 to 299",
        two.origin.address()
    );
    plane.gateway.process().wait_for_log(&line);
    // A snapshot that changes something else changes nothing here.
    plane.publish(&[stage(), http_api("a2").route("$default", &one.origin.url("/"))]);
    assert_eq!(bodies(&mut client, 10), ["one"]);

    two.set_sick(false);
    wait_for_health(&plane, &two.origin.address().to_string(), true);
    assert_eq!(bodies(&mut client, 10), ["one", "two"]);
    plane
        .gateway
        .process()
        .wait_for_log(&format!("{} is healthy again; 2 of 2 targets are", two.origin.address()));
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn an_origin_that_is_killed_and_revived_is_noticed_without_a_failed_request() {
    let steady = patient("steady");
    let mortal = patient("mortal");
    let address = mortal.origin.address();
    let group = target_group("g").target(steady.origin.address()).target(address).tries(2);
    let plane = plane(group.checked(Probe::Tcp));
    let mut client = plane.connect();
    wait_for_health(&plane, &address.to_string(), true);
    assert_eq!(bodies(&mut client, 10), ["mortal", "steady"]);
    drop(mortal);
    assert_eq!(bodies(&mut client, 10), ["steady"]);
    wait_for_health(&plane, &address.to_string(), false);
    let well = AtomicBool::new(false);
    let revived = Origin::scripted_at(address, move |connection, _| answer(connection, "revived", &well));
    wait_for_health(&plane, &address.to_string(), true);
    assert_eq!(bodies(&mut client, 10), ["revived", "steady"]);
    drop((client, revived));
    plane.assert_at_rest();
}

#[test]
fn what_was_never_checked_is_used_only_while_nothing_better_is_known() {
    let well = patient("well");
    // Takes connections and never answers.
    let silent = Origin::scripted(|connection, _| connection.wait_for_close());
    let group = target_group("g").target(well.origin.address()).target(silent.address());
    let plane = plane(group.checked(http("/health")).check_timeout(600_000));
    wait_for_health(&plane, &well.origin.address().to_string(), true);
    assert_eq!(bodies(&mut plane.connect(), 10), ["well"]);
    drop(silent);
    plane.assert_at_rest();
}

#[test]
fn a_check_that_gets_no_answer_in_time_has_failed() {
    let well = patient("well");
    let silent = Origin::scripted(|connection, _| connection.wait_for_close());
    let group = target_group("g").target(well.origin.address()).target(silent.address());
    let mut plane = plane(group.checked(http("/health")).check_timeout(50));
    plane.gateway.process().wait_for_log(&format!(
        "{} is unhealthy after 1 failed checks in a row, the last: no answer within 50 ms",
        silent.address()
    ));
}

#[test]
fn without_a_healthy_target_all_are_used_or_none() {
    let ill = patient("ill");
    ill.set_sick(true);
    let address = ill.origin.address().to_string();
    let group = target_group("g").target(ill.origin.address()).checked(http("/health"));
    let mut plane = plane(group.clone());
    plane.gateway.process().wait_for_log(&format!("{address} is unhealthy"));
    let reply = plane.exchange(request("GET", "a1", "/"));
    assert_eq!((reply.status, reply.text()), (503, r#"{"message":"Service Unavailable"}"#));
    let metrics = plane.gateway.metrics();
    assert_eq!(metrics.sum("turnpike_target_group_no_target_total", &[]), 1.0);
    assert_eq!(metrics.sum("turnpike_shard_refusals_total", &[r#"kind="upstream_no_target""#]), 1.0);

    plane.publish_groups(&[stage()], &[group.panic_threshold(50)]);
    assert_eq!(bodies(&mut plane.connect(), 3), ["ill"]);
    assert_eq!(plane.gateway.metrics().sum("turnpike_target_group_panics_total", &[]), 3.0);
    plane
        .gateway
        .process()
        .wait_for_log("target group g: fewer than 50 % of its targets are healthy, so that all");
    plane.assert_at_rest();
}

#[test]
fn a_check_may_have_a_port_a_host_and_statuses_of_its_own() {
    let serving = patient("serving");
    let checking = Origin::replying("HTTP/1.1 418 Teapot\r\nContent-Length: 0\r\n\r\n");
    let probe = Probe::Http {
        path: "/ready?deep=1".to_owned(),
        host: Some("health.example".to_owned()),
        status_min: 418,
        status_max: 418,
    };
    let group = target_group("g").target(serving.origin.address()).checked(probe);
    let plane = plane(group.check_port(checking.address().port()));
    wait_for_health(&plane, &serving.origin.address().to_string(), true);
    let seen = &checking.seen()[0];
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("GET", "/ready?deep=1"));
    assert_eq!(seen.headers.one("host"), Some("health.example"));
    assert_eq!(serving.origin.connections(), 0);
}

#[test]
fn unix_sockets_are_checked_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("origin.sock");
    let listen = |name: &'static str| {
        Origin::scripted_at_path(&path, move |connection, _| {
            answer(connection, name, &AtomicBool::new(false))
        })
    };
    let first = listen("first");
    let plane = plane(target_group("g").unix(&path).checked(http("/health")));
    let target = format!("unix:{}", path.display());
    wait_for_health(&plane, &target, true);
    assert_eq!(bodies(&mut plane.connect(), 3), ["first"]);
    drop(first);
    wait_for_health(&plane, &target, false);
    assert_eq!(plane.exchange(request("GET", "a1", "/")).status, 503);
    let _second = listen("second");
    wait_for_health(&plane, &target, true);
    assert_eq!(bodies(&mut plane.connect(), 3), ["second"]);
    plane.assert_at_rest();
}

#[test]
fn no_more_checks_are_under_way_than_may() {
    let (go, told) = mpsc::channel::<()>();
    let told = Mutex::new(told);
    let checked = Origin::scripted_at(SocketAddr::from(([0, 0, 0, 0], 0)), move |connection, _| {
        if let Ok(Some(_)) = connection.request() {
            // The test has ended if nobody tells any more.
            let _ = told.lock().unwrap().recv();
            let _ = connection.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let port = checked.address().port();
    let addresses = (1..=20).map(|last| SocketAddr::from(([127, 0, 0, last], port)));
    let group = addresses.fold(target_group("g"), GroupBuilder::target);
    let options = Options::new().set("health_checks_in_flight_max", 3);
    let group = group.checked(http("/health")).check_timeout(600_000);
    let _plane = DataPlane::with_groups(&options, &[stage()], &[group]);
    for answered in 0..20 {
        checked.wait_for_requests(3 + answered);
        assert!(checked.connections() <= 3 + answered, "{} at once", checked.connections() - answered);
        go.send(()).unwrap();
    }
    drop(go);
}
