//! A stage's canary serves its share of the clients, and the same ones each time.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use turnpike_tests::{Client, DataPlane, Options, Origin, StageBuilder, account, request, rest_api, until};

const CLIENTS: u8 = 200;

fn addresses() -> impl Iterator<Item = IpAddr> {
    (1..=CLIENTS).map(|last| Ipv4Addr::new(127, 0, 3, last).into())
}

/// What serves a client that comes from this address.
fn served(plane: &DataPlane, from: IpAddr) -> String {
    let mut client = Client::connect_from(from, plane.gateway.address);
    let answers: Vec<_> =
        (0..2).map(|_| client.exchange(request("GET", "r1", "/prod/x")).echo().target).collect();
    assert_eq!(answers[0], answers[1], "a client stays on its side");
    answers[0].clone()
}

/// The clients that the canary serves.
fn canary_s(plane: &DataPlane) -> BTreeSet<IpAddr> {
    addresses().filter(|from| served(plane, *from) == "/new").collect()
}

fn stage(origin: &Origin, share: u16) -> StageBuilder {
    let trial = rest_api("r1", "prod").deployment("d2").route("GET /x", &origin.url("/new"));
    rest_api("r1", "prod")
        .access_log("canary", "$context.requestId $context.deploymentId $context.isCanaryRequest")
        .route("GET /x", &origin.url("/old"))
        .canary(share, trial)
}

#[test]
fn a_share_of_the_clients_is_served_by_the_canary() {
    let origin = Origin::echo();
    let mut plane = DataPlane::serving(&[stage(&origin, 2_500)]);
    let quarter = canary_s(&plane);
    assert!((25..=75).contains(&quarter.len()), "{} of {CLIENTS}", quarter.len());

    plane.publish(&[stage(&origin, 5_000)]);
    let half = canary_s(&plane);
    assert!((70..=130).contains(&half.len()), "{} of {CLIENTS}", half.len());
    assert!(quarter.is_subset(&half), "a larger share takes nobody out");
    for (share, expected) in [(10_000, CLIENTS.into()), (0, 0)] {
        plane.publish(&[stage(&origin, share)]);
        assert_eq!(canary_s(&plane).len(), expected);
    }
    plane.publish(&[rest_api("r1", "prod").route("GET /x", &origin.url("/old"))]);
    assert_eq!(canary_s(&plane).len(), 0);
    plane.assert_at_rest();
}

#[test]
fn another_gateway_and_other_shards_choose_alike() {
    let origin = Origin::echo();
    let mut plane = DataPlane::serving(&[stage(&origin, 5_000)]);
    let before = canary_s(&plane);
    plane.gateway.process().terminate();
    plane.gateway.process().wait();
    plane.restart_gateway(&Options::new().shards(2));
    assert_eq!(canary_s(&plane), before);
    plane.assert_at_rest();
}

#[test]
fn the_trusted_address_is_the_client_s() {
    let origin = Origin::echo();
    let options = Options::new().set("trusted_proxies", "127.0.0.1/32");
    let plane = DataPlane::with(&options, &[stage(&origin, 5_000)]);
    let mut proxy = plane.connect();
    let mut behind = |client: &str| {
        let host = turnpike_tests::host("r1");
        let request = format!("GET /prod/x HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-For: {client}\r\n\r\n");
        proxy.exchange(request).echo().target
    };
    let through: BTreeSet<IpAddr> =
        addresses().filter(|client| behind(&client.to_string()) == "/new").collect();
    drop(proxy);
    assert_eq!(through, canary_s(&plane), "with or without a proxy between");
    plane.assert_at_rest();
}

#[test]
fn logs_and_figures_tell_the_canary_apart() {
    let origin = Origin::echo();
    let plane = DataPlane::serving(&[
        stage(&origin, 5_000),
        rest_api("r2", "prod")
            .access_log("none", "$context.isCanaryRequest")
            .route("GET /x", &origin.url("/x")),
    ]);
    let new = canary_s(&plane).len() * 2;
    let _ = plane.exchange(request("GET", "r2", "/prod/x"));
    let old = usize::from(CLIENTS) * 2 - new;
    let directory = plane.gateway.data_dir.join("access-logs");
    let lines = until("all lines", || {
        let text = std::fs::read_to_string(directory.join("canary.log")).ok()?;
        (text.lines().count() == usize::from(CLIENTS) * 2).then_some(text)
    });
    let ending = |end: &str| lines.lines().filter(|line| line.ends_with(end)).count();
    assert_eq!((ending(" d2 true"), ending(" d1 false")), (new, old));
    let other = until("the other stage's line", || {
        std::fs::read_to_string(directory.join("none.log")).ok().filter(|text| !text.is_empty())
    });
    assert_eq!(other, "-\n");

    let metrics = plane.gateway.metrics();
    let count =
        |stage: &str| metrics.sum("turnpike_count_total", &[r#"api_id="r1""#, &format!("stage=\"{stage}\"")]);
    assert_eq!((count("prod"), count("prod/Canary")), ((old + new) as f64, new as f64));
    assert_eq!(metrics.sum("turnpike_shard_requests_total", &[]), (old + new + 1) as f64);
    plane.assert_at_rest();
}

#[test]
fn a_canary_has_routes_of_its_own_at_every_address() {
    let origin = Origin::echo();
    let trial = rest_api("r1", "prod")
        .deployment("d2")
        .route("GET /added", &origin.url("/added"))
        .refused("GET /x", "its authorizer isn't enforced yet");
    let stage = rest_api("r1", "prod").route("GET /x", &origin.url("/old")).canary(10_000, trial);
    let domains = account(&[("api.example.com", &[("v1", "r1", "prod")])]);
    let mut plane = DataPlane::with_account(&Options::new(), &[stage], domains);
    let at = |host: &str, path: &str| plane.exchange(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    let own = turnpike_tests::host("r1");
    for (host, base) in
        [(own.as_str(), "/prod"), ("api.example.com", "/v1"), ("127.0.0.1", "/_aws/execute-api/r1/prod")]
    {
        assert_eq!(at(host, &format!("{base}/added")).echo().target, "/added", "{host}");
        assert_eq!(at(host, &format!("{base}/x")).status, 500, "{host}");
    }
    plane.gateway.process().wait_for_log("answers 500 to GET /x of stage prod of API r1 (deployment d2)");
    assert_eq!(plane.gateway.metrics().sum("turnpike_refused_routes", &[]), 1.0);
    plane.assert_at_rest();
}
