//! Upstreams by DNS name, A, AAAA and SRV, as the answers and the snapshots change.

use std::net::IpAddr;

use turnpike_tests::{
    Client, DataPlane, DnsServer, GroupBuilder, Options, Origin, Record, StageBuilder, http_api, request,
    target_group, until,
};

fn stage() -> StageBuilder {
    http_api("a1").route_to_group("$default", "http://pool:80/", "g")
}

fn options(dns: &DnsServer) -> Options {
    // Short, so that answers are asked for again while the test runs.
    Options::new().set("dns_servers", dns.address()).set("dns_ttl_min_ms", 20).set("dns_failure_ttl_ms", 20)
}

fn plane(dns: &DnsServer, group: GroupBuilder) -> DataPlane {
    DataPlane::with_groups(&options(dns), &[stage()], &[group])
}

/// Answers with its name, at any loopback address.
fn named_at(address: &str, name: &str) -> Origin {
    let reply = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len());
    Origin::scripted_at(address.parse().unwrap(), move |connection, _| {
        while let Ok(Some(_)) = connection.request() {
            if connection.send(&reply).is_err() {
                return;
            }
        }
    })
}

fn address(ip: &str) -> Record {
    Record::Address(ip.parse::<IpAddr>().unwrap())
}

fn service(priority: u16, weight: u16, origin: &Origin, target: &str) -> Record {
    Record::Service { priority, weight, port: origin.address().port(), target: target.to_owned() }
}

fn bodies(client: &mut Client, count: usize) -> Vec<String> {
    (0..count)
        .map(|_| {
            let reply = client.exchange(request("GET", "a1", "/"));
            assert_eq!(reply.status, 200, "{}", reply.text());
            reply.text().to_owned()
        })
        .collect()
}

fn distinct(mut bodies: Vec<String>) -> Vec<String> {
    bodies.sort();
    bodies.dedup();
    bodies
}

/// Waits until exactly these targets are the group's.
fn wait_for_targets(plane: &DataPlane, expected: &[String]) {
    let mut expected = expected.to_vec();
    expected.sort();
    turnpike_tests::until(&format!("the targets {expected:?}"), || {
        let metrics = plane.gateway.metrics();
        let mut found: Vec<String> = metrics
            .series("turnpike_targets", &[r#"target_group="g""#])
            .map(|(series, _)| {
                series.split(r#",target=""#).nth(1).unwrap().trim_end_matches(r#""}"#).to_owned()
            })
            .collect();
        found.sort();
        (found == expected).then_some(())
    });
}

#[test]
fn each_address_of_a_name_is_a_target_and_changes_with_its_answers() {
    let dns = DnsServer::start();
    let one = named_at("127.0.0.1:0", "one");
    let port = one.address().port();
    let two = named_at(&format!("127.0.0.2:{port}"), "two");
    dns.set("pool.test", 0, &[address("127.0.0.1")]);
    let plane = plane(&dns, target_group("g").host("pool.test", port));
    let mut client = plane.connect();
    assert_eq!(distinct(bodies(&mut client, 4)), ["one"]);
    dns.set("pool.test", 0, &[address("127.0.0.2"), address("127.0.0.1")]);
    wait_for_targets(&plane, &[one.address().to_string(), two.address().to_string()]);
    assert_eq!(distinct(bodies(&mut client, 4)), ["one", "two"]);
    dns.set("pool.test", 0, &[address("127.0.0.2")]);
    wait_for_targets(&plane, &[two.address().to_string()]);
    assert_eq!(distinct(bodies(&mut client, 4)), ["two"]);
    turnpike_tests::until("connections to the one that left to close", || {
        (one.open_connections() == 0).then_some(())
    });
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn a_ttl_is_respected() {
    let dns = DnsServer::start();
    let origin = named_at("127.0.0.1:0", "one");
    dns.set("long.test", 3_600, &[address("127.0.0.1")]);
    dns.set("short.test", 0, &[address("127.0.0.1")]);
    let port = origin.address().port();
    let plane = plane(&dns, target_group("g").host("long.test", port).host("short.test", port));
    assert_eq!(bodies(&mut plane.connect(), 1), ["one"]);
    turnpike_tests::until("the short one to be asked for ten times", || {
        (dns.asked("short.test") >= 20).then_some(())
    });
    assert_eq!(dns.asked("long.test"), 2, "A and AAAA, once");
    plane.assert_at_rest();
}

#[test]
fn both_kinds_of_address_are_targets() {
    let dns = DnsServer::start();
    let four = named_at("127.0.0.1:0", "four");
    let six = named_at(&format!("[::1]:{}", four.address().port()), "six");
    dns.set("dual.test", 60, &[address("127.0.0.1"), address("::1")]);
    let plane = plane(&dns, target_group("g").host("dual.test", four.address().port()));
    wait_for_targets(&plane, &[four.address().to_string(), six.address().to_string()]);
    assert_eq!(distinct(bodies(&mut plane.connect(), 4)), ["four", "six"]);
    plane.assert_at_rest();
}

#[test]
fn the_best_priority_is_used_by_weight_and_the_next_when_it_is_gone() {
    let dns = DnsServer::start();
    let (heavy, light, spare) = (
        named_at("127.0.0.1:0", "heavy"),
        named_at("127.0.0.1:0", "light"),
        named_at("127.0.0.1:0", "spare"),
    );
    let spare_record = service(20, 1, &spare, "c.test");
    dns.set(
        "_http._tcp.test",
        0,
        &[spare_record.clone(), service(10, 3, &heavy, "a.test"), service(10, 1, &light, "b.test")],
    );
    for name in ["a.test", "b.test", "c.test"] {
        dns.set(name, 0, &[address("127.0.0.1")]);
    }
    let plane = plane(&dns, target_group("g").srv("_http._tcp.test"));
    let mut client = plane.connect();
    let served = bodies(&mut client, 40);
    let heavies = served.iter().filter(|body| *body == "heavy").count();
    assert!((29..=31).contains(&heavies), "{heavies} of 40");
    assert_eq!(distinct(served), ["heavy", "light"]);
    dns.set("_http._tcp.test", 0, &[spare_record]);
    wait_for_targets(&plane, &[spare.address().to_string()]);
    assert_eq!(distinct(bodies(&mut client, 4)), ["spare"]);
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn a_group_whose_names_do_not_resolve_is_unavailable_until_they_do() {
    let dns = DnsServer::start();
    let origin = named_at("127.0.0.1:0", "late");
    let mut plane = plane(&dns, target_group("g").host("late.test", origin.address().port()));
    assert_eq!(plane.exchange(request("GET", "a1", "/")).status, 503);
    plane.gateway.process().wait_for_log("cannot resolve host name `late.test`");
    dns.set("late.test", 0, &[address("127.0.0.1")]);
    wait_for_targets(&plane, &[origin.address().to_string()]);
    assert_eq!(bodies(&mut plane.connect(), 1), ["late"]);
    plane.assert_at_rest();
}

#[test]
fn a_group_has_no_more_targets_than_it_may() {
    let dns = DnsServer::start();
    let origin = named_at("127.0.0.1:0", "one");
    let addresses: Vec<Record> = (1..=9).map(|last| address(&format!("127.0.0.{last}"))).collect();
    dns.set("many.test", 60, &addresses);
    let options = options(&dns).set("target_group_addresses_max", 1).set("target_metrics_max", 1);
    let group = target_group("g").host("many.test", origin.address().port());
    let mut plane = DataPlane::with_groups(&options, &[stage()], &[group]);
    assert_eq!(distinct(bodies(&mut plane.connect(), 3)), ["one"]);
    plane.gateway.process().wait_for_log(
        "target group g: its names resolve to 9 targets, of which target_group_addresses_max lets 1 be used",
    );
    plane.assert_at_rest();
}

#[test]
fn no_request_fails_while_a_snapshot_brings_a_new_name() {
    let dns = DnsServer::start();
    let (old, new) = (named_at("127.0.0.1:0", "old"), named_at("127.0.0.1:0", "new"));
    for name in ["old.test", "new.test"] {
        dns.set(name, 60, &[address("127.0.0.1")]);
    }
    let group = |name: &str, origin: &Origin| target_group("g").host(name, origin.address().port());
    let mut plane = plane(&dns, group("old.test", &old));
    let mut client = plane.connect();
    assert_eq!(distinct(bodies(&mut client, 4)), ["old"]);
    plane.publish_groups(&[stage()], &[group("new.test", &new)]);
    turnpike_tests::until("the new target to serve", || {
        bodies(&mut client, 1).contains(&"new".to_owned()).then_some(())
    });
    assert_eq!(distinct(bodies(&mut client, 4)), ["new"]);
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn a_request_gets_the_names_of_the_snapshot_that_it_began_with() {
    let dns = DnsServer::start();
    let origin = named_at("127.0.0.1:0", "before");
    dns.hold("slow.test");
    let before = format!("http://slow.test:{}/", origin.address().port());
    let other = http_api("b1").route("$default", &origin.url("/"));
    let stages = [http_api("a1").route("$default", &before), other.clone()];
    let mut plane = DataPlane::with(&options(&dns), &[other]);
    plane.publish(&stages);
    let mut client = plane.connect();
    client.send(request("GET", "a1", "/"));
    let sum = |plane: &DataPlane, name: &str| plane.gateway.metrics().sum(name, &[]);
    until("the request to wait", || (sum(&plane, "turnpike_shard_exchanges_in_flight") == 1.0).then_some(()));
    plane.publish(&stages[1..]);
    assert_eq!(plane.exchange(request("GET", "a1", "/")).status, 403);
    dns.set("slow.test", 60, &[address("127.0.0.1")]);
    assert_eq!(client.reply().text(), "before");
    until("the name to be forgotten", || (sum(&plane, "turnpike_dns_hosts") == 1.0).then_some(()));
    drop(client);
    plane.assert_at_rest();
}

/// A name that an integration calls without a group.
fn called_by_name(dns: &DnsServer, port: u16) -> DataPlane {
    let stage = http_api("a1").route("$default", &format!("http://moving.test:{port}/"));
    DataPlane::with(&options(dns), &[stage])
}

#[test]
fn a_name_that_moves_takes_busy_connections_along() {
    let dns = DnsServer::start();
    let one = named_at("127.0.0.1:0", "one");
    let port = one.address().port();
    let two = named_at(&format!("127.0.0.2:{port}"), "two");
    dns.set("moving.test", 0, &[address("127.0.0.1")]);
    let plane = called_by_name(&dns, port);
    let mut client = plane.connect();
    assert_eq!(distinct(bodies(&mut client, 4)), ["one"]);
    dns.set("moving.test", 0, &[address("127.0.0.2")]);
    // Never idle for long, so that no time of rest ends the old connection.
    until("an answer of the new address", || (bodies(&mut client, 1) == ["two"]).then_some(()));
    until("the connection to the old address to close", || (one.open_connections() == 0).then_some(()));
    dns.set("moving.test", 0, &[address("127.0.0.1"), address("127.0.0.2")]);
    let asked = dns.asked("moving.test");
    until("the name to be looked up again", || (dns.asked("moving.test") > asked + 4).then_some(()));
    assert_eq!(
        distinct(bodies(&mut client, 4)),
        ["two"],
        "an address that is still there keeps its connection"
    );
    assert_eq!(two.connections(), 1);
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn a_name_that_vanishes_is_unavailable_until_it_is_back() {
    let dns = DnsServer::start();
    let one = named_at("127.0.0.1:0", "one");
    dns.set("moving.test", 0, &[address("127.0.0.1")]);
    let plane = called_by_name(&dns, one.address().port());
    let mut client = plane.connect();
    let mut status = || client.exchange(request("GET", "a1", "/")).status;
    assert_eq!(status(), 200);
    dns.set("moving.test", 0, &[]);
    until("the name to be missed", || (status() == 503).then_some(()));
    dns.set("moving.test", 0, &[address("127.0.0.1")]);
    until("the name to be back", || (status() == 200).then_some(()));
    drop(client);
    plane.assert_at_rest();
}
