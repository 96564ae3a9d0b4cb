//! Requests to target groups: shares, retries where they are safe, ejections, circuits, stickiness, replacement.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use turnpike_snapshot::Balancing;
use turnpike_tests::{
    Client, DataPlane, GroupBuilder, Metrics, Options, Origin, Unreachable, host, http_api, refusing_url,
    request, target_group,
};

const BUSY: &str = "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy";

/// An origin that answers with its name.
fn named(name: &str) -> Origin {
    Origin::replying(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len()))
}

fn stage() -> turnpike_tests::StageBuilder {
    http_api("a1").route_to_group("$default", "http://pool:80/", "g")
}

fn plane(group: &GroupBuilder) -> DataPlane {
    DataPlane::with_groups(&Options::new(), &[stage()], std::slice::from_ref(group))
}

fn refusing() -> SocketAddr {
    let url = refusing_url("/");
    url.trim_start_matches("http://").trim_end_matches('/').parse().unwrap()
}

fn resetting() -> Origin {
    Origin::scripted(|connection, _| {
        if let Ok(Some(seen)) = connection.request() {
            let _ = connection.body(&seen);
            connection.reset();
        }
    })
}

fn hanging() -> Origin {
    Origin::scripted(|connection, _| connection.wait_for_close())
}

fn get(client: &mut Client) -> (u16, String) {
    let reply = client.exchange(request("GET", "a1", "/"));
    (reply.status, reply.text().to_owned())
}

fn post(body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n{body}", host("a1"), body.len())
}

fn of_target(metrics: &Metrics, name: &str, target: SocketAddr) -> f64 {
    metrics.sum(name, &[r#"target_group="g""#, &format!(r#"target="{target}""#)])
}

fn of_group(plane: &DataPlane, name: &str) -> f64 {
    plane.gateway.metrics().sum(&format!("turnpike_target_group_{name}"), &[r#"target_group="g""#])
}

#[test]
fn requests_go_to_targets_by_weight_and_keep_their_connections() {
    let (small, large) = (named("small"), named("large"));
    let plane = plane(&target_group("g").weighted(small.address(), 1).weighted(large.address(), 3));
    let mut client = plane.connect();
    let mut counts = HashMap::<String, usize>::new();
    for _ in 0..40 {
        let (status, body) = get(&mut client);
        assert_eq!(status, 200);
        *counts.entry(body).or_default() += 1;
    }
    assert!((29..=31).contains(&counts["large"]), "{counts:?}");
    assert_eq!((small.connections(), large.connections()), (1, 1));
    assert_eq!(small.seen()[0].headers.one("host"), Some("pool"), "the integration says what Host says");
    let metrics = plane.gateway.metrics();
    let sent = |origin: &Origin| of_target(&metrics, "turnpike_target_requests_total", origin.address());
    assert_eq!(sent(&small) + sent(&large), 40.0);
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn a_target_that_refuses_is_passed_over_whatever_the_method_and_then_ejected() {
    let good = named("good");
    let bad = refusing();
    let mut plane = plane(&target_group("g").target(bad).target(good.address()).tries(2).ejecting(3, 50));
    let mut client = plane.connect();
    for _ in 0..20 {
        assert_eq!(get(&mut client), (200, "good".to_owned()));
        assert_eq!(client.exchange(post("pay 5")).status, 200, "no byte of it had been sent");
    }
    let metrics = plane.gateway.metrics();
    assert_eq!(of_target(&metrics, "turnpike_target_failures_total", bad), 3.0);
    assert_eq!(of_target(&metrics, "turnpike_target_ejections_total", bad), 1.0);
    assert_eq!(of_target(&metrics, "turnpike_target_ejected_shards", bad), 1.0);
    assert_eq!(of_group(&plane, "retries_total"), 3.0);
    let line =
        format!("target group g: shard 0 sends nothing to {bad} for 600000 ms, after 3 failures in a row");
    plane.gateway.process().wait_for_log(&line);
    // The same group in another snapshot: the ejection holds.
    plane.publish(&[stage(), http_api("a2").route("$default", &good.url("/"))]);
    for _ in 0..10 {
        assert_eq!(get(&mut client).0, 200);
    }
    assert_eq!(of_target(&plane.gateway.metrics(), "turnpike_target_failures_total", bad), 3.0);
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn server_errors_in_a_row_eject_a_target_for_a_while() {
    let answered = AtomicUsize::new(0);
    let mending = Origin::scripted(move |connection, _| {
        while let Ok(Some(_)) = connection.request() {
            let status = if answered.fetch_add(1, Ordering::SeqCst) < 2 { "500 Oops" } else { "200 OK" };
            if connection.send(format!("HTTP/1.1 {status}\r\nContent-Length: 7\r\n\r\nmending")).is_err() {
                return;
            }
        }
    });
    let good = named("good");
    let group = target_group("g").target(mending.address()).target(good.address());
    let mut plane = plane(&group.ejecting_for(200, 2, 50));
    let mut client = plane.connect();
    let statuses: Vec<u16> = (0..4).map(|_| get(&mut client).0).collect();
    assert_eq!(
        statuses.iter().filter(|status| **status == 500).count(),
        2,
        "they are passed on: {statuses:?}"
    );
    let line = "after 2 failures in a row (it answered with a server error); the group has 2 targets";
    plane.gateway.process().wait_for_log(line);
    // Without a request, too.
    plane.gateway.process().wait_for_log(&format!("sends requests to {} again", mending.address()));
    let mut bodies: Vec<(u16, String)> = (0..4).map(|_| get(&mut client)).collect();
    bodies.sort();
    bodies.dedup();
    assert_eq!(bodies, [(200, "good".to_owned()), (200, "mending".to_owned())]);
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn a_reset_is_retried_elsewhere_only_if_the_request_may_be_repeated() {
    let (bad, good) = (resetting(), named("good"));
    let plane = plane(&target_group("g").target(bad.address()).target(good.address()).tries(2));
    let mut client = plane.connect();
    for _ in 0..10 {
        assert_eq!(get(&mut client), (200, "good".to_owned()));
    }
    let tried = bad.seen().len();
    assert!((5..=10).contains(&tried), "at least each second one began there");
    let statuses: Vec<u16> = (0..10).map(|_| client.exchange(post("pay 5")).status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 502).count(), 5, "{statuses:?}");
    assert_eq!((bad.seen().len() - tried, good.seen().len()), (5, 15), "no POST was sent twice");
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn a_try_has_a_time_of_its_own_and_all_tries_one_together() {
    let (slow, good) = (hanging(), named("good"));
    let group = target_group("g").target(slow.address()).target(good.address()).tries(2).try_timeout(50);
    let slow_only = target_group("h").target(slow.address()).tries(10).try_timeout(1_000);
    let stages = [stage().route_to_group_within("GET /slow", "http://pool:80/", "h", 200)];
    let plane = DataPlane::with_groups(&Options::new(), &stages, &[group, slow_only]);
    let mut client = plane.connect();
    for _ in 0..4 {
        assert_eq!(get(&mut client), (200, "good".to_owned()));
    }
    assert_eq!(client.exchange(request("GET", "a1", "/slow")).status, 504);
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn configured_statuses_are_retried_and_the_last_answer_is_passed_on() {
    let (busy, good) = (Origin::replying(BUSY), named("good"));
    let both = target_group("g").target(busy.address()).target(good.address()).tries(2).retrying(&[503]);
    let mut plane = plane(&both);
    let mut client = plane.connect();
    for _ in 0..10 {
        assert_eq!(get(&mut client), (200, "good".to_owned()));
    }
    assert_eq!(busy.connections(), 1, "an answer that nobody got leaves its connection whole");
    let statuses: Vec<u16> = (0..10).map(|_| client.exchange(post("pay 5")).status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 503).count(), 5, "a POST isn't repeated");
    let before = busy.seen().len();
    plane.publish_groups(&[stage()], &[target_group("g").target(busy.address()).tries(3).retrying(&[503])]);
    assert_eq!(get(&mut client), (503, "busy".to_owned()));
    assert_eq!(busy.seen().len() - before, 3, "tries_max, all at the only target");
    plane.publish_groups(&[stage()], &[target_group("g").target(busy.address()).tries(3).retrying(&[502])]);
    assert_eq!(get(&mut client), (503, "busy".to_owned()));
    assert_eq!(busy.seen().len() - before, 4, "503 isn't configured");
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn retries_end_with_their_budget() {
    let busy = Origin::replying(BUSY);
    let plane = plane(&target_group("g").target(busy.address()).tries(10).retrying(&[503]).budget(0, 0));
    let mut client = plane.connect();
    for _ in 0..5 {
        assert_eq!(get(&mut client).0, 503);
    }
    assert_eq!(busy.seen().len(), 5);
    assert_eq!(of_group(&plane, "retries_total"), 0.0);
    assert_eq!(of_group(&plane, "retry_budget_exhausted_total"), 5.0);
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn an_answer_that_trickles_in_is_judged_when_its_status_is_there() {
    let trickling = Origin::scripted(|connection, _| {
        while let Ok(Some(_)) = connection.request() {
            for byte in BUSY.as_bytes() {
                if connection.send([*byte]).is_err() {
                    return;
                }
            }
        }
    });
    let good = named("good");
    let group = target_group("g").target(trickling.address()).target(good.address());
    let plane = plane(&group.tries(2).retrying(&[503]));
    let mut client = plane.connect();
    for _ in 0..10 {
        assert_eq!(get(&mut client), (200, "good".to_owned()));
    }
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn a_body_that_streams_goes_to_a_target_too() {
    let (echo, bad) = (Origin::echo(), refusing());
    let plane = plane(&target_group("g").target(bad).target(echo.address()).tries(2));
    let mut client = plane.connect();
    for _ in 0..4 {
        let body = "x".repeat(300_000);
        client.send(format!("POST / HTTP/1.1\r\nHost: {}\r\nContent-Length: 300000\r\n\r\n", host("a1")));
        client.send(&body);
        assert_eq!(client.reply().echo().body, body);
    }
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn a_client_that_leaves_its_body_unfinished_is_no_failure_of_the_target() {
    let origin = Origin::echo();
    let plane = plane(&target_group("g").target(origin.address()).ejecting(1, 100));
    for round in 1..=3 {
        let mut client = plane.connect();
        client.send(format!("POST / HTTP/1.1\r\nHost: {}\r\nContent-Length: 9\r\n\r\nabc", host("a1")));
        origin.wait_for_requests(round);
        drop(client);
        plane.assert_at_rest();
    }
    let metrics = plane.gateway.metrics();
    assert_eq!(of_target(&metrics, "turnpike_target_failures_total", origin.address()), 0.0);
    assert_eq!(get(&mut plane.connect()).0, 200);
    plane.assert_at_rest();
}

#[test]
fn a_target_takes_no_more_requests_than_it_may() {
    let slow = hanging();
    let plane = plane(&target_group("g").target(slow.address()).circuit(0, 0, 2));
    let mut stuck: Vec<Client> = (0..2).map(|_| plane.connect()).collect();
    stuck.iter_mut().for_each(|client| client.send(request("GET", "a1", "/")));
    turnpike_tests::until("both to be sent", || (slow.connections() == 2).then_some(()));
    assert_eq!(get(&mut plane.connect()).0, 503);
    assert_eq!(of_group(&plane, "circuit_open_total"), 1.0);
    drop((stuck, slow));
    plane.assert_at_rest();
}

#[test]
fn requests_wait_for_a_connection_to_any_target() {
    let origins: Vec<Origin> = (0..2).map(|_| Origin::echo()).collect();
    let group = origins.iter().fold(target_group("g"), |group, origin| group.target(origin.address()));
    let plane = plane(&group.circuit(1, 1_000, 0));
    std::thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| {
                let mut client = plane.connect();
                for number in 0..20 {
                    let reply = client.exchange(post(&number.to_string()));
                    assert_eq!(reply.echo().body, number.to_string());
                }
            });
        }
    });
    assert!(origins.iter().all(|origin| origin.connections() == 1));
    plane.assert_at_rest();
}

#[test]
fn as_many_wait_as_the_group_lets() {
    let slow = hanging();
    let plane = plane(&target_group("g").target(slow.address()).circuit(1, 2, 0));
    let mut stuck: Vec<Client> = (0..3).map(|_| plane.connect()).collect();
    stuck.iter_mut().for_each(|client| client.send(request("GET", "a1", "/")));
    turnpike_tests::until("two to wait", || (of_group(&plane, "pending_requests") == 2.0).then_some(()));
    assert_eq!(get(&mut plane.connect()).0, 503);
    assert_eq!(of_group(&plane, "pending_overflows_total"), 1.0);
    drop((stuck, slow));
}

#[test]
fn the_same_value_goes_to_the_same_target_from_every_connection_and_shard() {
    let origins: Vec<Origin> = (0..4).map(|number| named(&number.to_string())).collect();
    let group = origins.iter().fold(target_group("g"), |group, origin| group.target(origin.address()));
    let group = group.balancing(Balancing::HashHeader { name: "x-user".to_owned() });
    let plane = DataPlane::with_groups(&Options::new().shards(2), &[stage()], &[group]);
    let mut homes = HashMap::<usize, String>::new();
    for _ in 0..6 {
        let mut client = plane.connect();
        for user in 0..40 {
            let request = format!("GET / HTTP/1.1\r\nHost: {}\r\nX-User: user-{user}\r\n\r\n", host("a1"));
            let home = client.exchange(request).text().to_owned();
            assert_eq!(*homes.entry(user).or_insert_with(|| home.clone()), home, "user {user}");
        }
    }
    let used: std::collections::HashSet<&String> = homes.values().collect();
    assert_eq!(used.len(), 4, "40 users are spread over all: {homes:?}");
    plane.assert_at_rest();
}

#[test]
fn one_source_address_keeps_its_target() {
    let origins: Vec<Origin> = (0..4).map(|number| named(&number.to_string())).collect();
    let group = origins.iter().fold(target_group("g"), |group, origin| group.target(origin.address()));
    let plane = plane(&group.balancing(Balancing::HashSourceAddress));
    let mut bodies: Vec<String> = (0..10).map(|_| get(&mut plane.connect()).1).collect();
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    plane.assert_at_rest();
}

#[test]
fn a_unix_socket_is_a_target_like_others() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("origin.sock");
    let origin = Origin::scripted_at_path(&path, |connection, _| {
        while let Ok(Some(seen)) = connection.request() {
            if connection.echo(&seen).is_err() {
                return;
            }
        }
    });
    for driver in ["auto", "epoll"] {
        let options = Options::new().set("driver", driver);
        let plane = DataPlane::with_groups(&options, &[stage()], &[target_group("g").unix(&path)]);
        let mut client = plane.connect();
        let before = origin.connections();
        for number in 0..20 {
            let body = "y".repeat(number * 10_000);
            assert_eq!(client.exchange(post(&body)).echo().body, body);
        }
        assert_eq!(origin.connections() - before, 1, "connections are kept");
        drop(client);
        plane.assert_at_rest();
    }
}

#[test]
fn no_request_fails_while_targets_are_replaced() {
    let origins: Vec<Origin> = (0..6).map(|number| named(&number.to_string())).collect();
    let pair = |at: usize| {
        target_group("g").target(origins[at % 6].address()).target(origins[(at + 1) % 6].address())
    };
    let mut plane = DataPlane::with_groups(&Options::new().shards(2), &[stage()], &[pair(0)]);
    let (done, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    let address = plane.gateway.address;
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut client = Client::connect(address);
                while !done.load(Ordering::Relaxed) {
                    let reply = client.exchange(post("x"));
                    assert_eq!(reply.status, 200, "{}", reply.text());
                    served.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for at in 1..30 {
            let before = served.load(Ordering::Relaxed);
            plane.publish_groups(&[stage()], &[pair(at)]);
            turnpike_tests::until("some requests", || {
                (served.load(Ordering::Relaxed) > before + 50).then_some(())
            });
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(origins.iter().all(|origin| !origin.seen().is_empty()));
    plane.assert_at_rest();
}

#[test]
fn a_group_is_given_up_with_its_last_snapshot() {
    let (origin, other) = (named("old"), named("new"));
    let mut plane = plane(&target_group("g").target(origin.address()));
    assert_eq!(get(&mut plane.connect()).1, "old");
    plane.publish_groups(&[http_api("a1").route("$default", &other.url("/"))], &[]);
    assert_eq!(get(&mut plane.connect()).1, "new");
    turnpike_tests::until("its connection to be closed", || (origin.open_connections() == 0).then_some(()));
    assert!(plane.gateway.metrics().series("turnpike_targets", &[]).next().is_none());
    plane.assert_at_rest();
}

#[test]
fn a_connect_that_hangs_costs_its_try_and_no_more() {
    let (unreachable, good) = (Unreachable::start(), named("good"));
    let bad: SocketAddr =
        unreachable.url("/").trim_start_matches("http://").trim_end_matches('/').parse().unwrap();
    let plane = plane(&target_group("g").target(bad).target(good.address()).tries(2).try_timeout(50));
    let mut client = plane.connect();
    for _ in 0..4 {
        assert_eq!(client.exchange(post("x")).status, 200, "nothing of it had been sent");
    }
    drop(client);
    plane.assert_at_rest();
}
