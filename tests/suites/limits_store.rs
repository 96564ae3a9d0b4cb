//! Gateways that share a Redis let as many requests through as one alone would, and not one more, whoever dies.

use std::time::Instant;

use turnpike_snapshot::{Partition, Throttle};
use turnpike_tests::{
    Client, DataPlane, Gateway, Options, Origin, Redis, StageBuilder, burst, request, rest_api, until,
};

/// On a busy host the store may answer late: requests wait for it.
fn options(redis: &Redis) -> Options {
    Options::new()
        .set("limits_store", redis.url())
        .set("limit_wait_ms", "10000")
        .set("limits_store_timeout_ms", "10000")
        .set("limits_store_lease_ms", "20000")
}

fn stages(origin: &Origin, throttle: Throttle) -> Vec<StageBuilder> {
    vec![rest_api("r1", "prod").route("GET /some", &origin.url("/some")).throttled(throttle)]
}

fn planes(count: usize, options: &Options, origin: &Origin, throttle: Throttle) -> Vec<DataPlane> {
    (0..count).map(|_| DataPlane::with(options, &stages(origin, throttle))).collect()
}

fn some() -> String {
    request("GET", "r1", "/prod/some")
}

/// How many of so many requests get through.
fn admitted(client: &mut Client, requests: usize) -> usize {
    (0..requests).filter(|_| is_admitted(client)).count()
}

fn is_admitted(client: &mut Client) -> bool {
    let reply = client.exchange(some());
    if reply.status != 200 {
        assert_eq!((reply.status, reply.text()), (429, r#"{"message":"Too Many Requests"}"#));
    }
    reply.status == 200
}

/// Sends requests to all in turn until so many got through, and some more, none of which may.
fn exhaust(planes: &[DataPlane], tokens: usize) {
    let mut clients: Vec<Client> = planes.iter().map(DataPlane::connect).collect();
    let mut admitted = 0;
    let mut round = || {
        admitted += clients.iter_mut().map(|client| usize::from(is_admitted(client))).sum::<usize>();
        admitted
    };
    until("the throttle's tokens to be used up", || (round() >= tokens).then_some(()));
    for _ in 0..20 {
        round();
    }
    assert_eq!(admitted, tokens);
}

fn gauge(gateway: &Gateway, name: &str) -> f64 {
    gateway.metrics().sum(&format!("turnpike_limits_store_{name}"), &[])
}

fn wait_for(gateway: &Gateway, name: &str, value: f64) {
    until(&format!("{name} to be {value}"), || (gauge(gateway, name) == value).then_some(()));
}

#[test]
fn three_gateways_share_a_burst_exactly() {
    let (redis, origin) = (Redis::start(), Origin::echo());
    let planes = planes(3, &options(&redis), &origin, burst(40));
    planes.iter().for_each(|plane| wait_for(&plane.gateway, "gateways", 3.0));
    exhaust(&planes, 40);
    assert_eq!(origin.seen().len(), 40);
    planes.iter().for_each(DataPlane::assert_at_rest);
    assert!(planes.iter().all(|plane| gauge(&plane.gateway, "exchanges_total") > 0.0));
    assert!(planes.iter().all(|plane| gauge(&plane.gateway, "errors_total") == 0.0));
}

#[test]
fn a_rate_holds_over_two_gateways_that_are_asked_for_more() {
    let (redis, origin) = (Redis::start(), Origin::replying("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    let throttle = Throttle::new(200_000, 50);
    let planes = planes(2, &options(&redis), &origin, throttle);
    let begun = Instant::now();
    let admitted: usize = std::thread::scope(|scope| {
        let clients = planes.iter().flat_map(|plane| [plane, plane]);
        let clients: Vec<_> =
            clients.map(|plane| scope.spawn(|| admitted(&mut plane.connect(), 2_000))).collect();
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    let allowed = 50.0 + 200.0 * begun.elapsed().as_secs_f64();
    assert!(admitted as f64 <= allowed, "{admitted} of {allowed}");
    assert!(admitted >= 50, "{admitted}");
}

#[test]
fn what_a_killed_gateway_held_is_nobody_s_and_what_it_returned_is_the_others() {
    let (redis, origin) = (Redis::start(), Origin::echo());
    let options = options(&redis).set("limits_store_timeout_ms", "1000").set("limits_store_lease_ms", "2000");
    let mut planes = planes(2, &options, &origin, burst(30));
    let before = admitted(&mut planes[0].connect(), 10);
    assert_eq!(before, 10);
    planes[0].gateway.process().kill();
    // Held when it died: at most what one busy shard had taken ahead of need, which is never given twice.
    let mut client = planes[1].connect();
    let after = admitted(&mut client, 200);
    assert!(after <= 20, "{after}");
    planes[0].restart_gateway(&options);
    let again = admitted(&mut planes[0].connect(), 20);
    assert!(before + after + again <= 30, "{before} {after} {again}");
    planes[0].assert_at_rest();
    planes.remove(0).gateway.process().kill();
    exhaust(&planes, 0);
}

fn partition(policy: &str) -> (Redis, Origin, Vec<DataPlane>) {
    let (mut redis, origin) = (Redis::start(), Origin::echo());
    let options = options(&redis).set("limits_partition", policy);
    let mut planes = planes(2, &options, &origin, burst(12));
    planes.iter().for_each(|plane| wait_for(&plane.gateway, "gateways", 2.0));
    exhaust(&planes, 12);
    planes.iter().for_each(DataPlane::assert_at_rest);
    redis.kill();
    for plane in &mut planes {
        wait_for(&plane.gateway, "partitioned", 1.0);
        plane.gateway.process().wait_for_log(&format!("limits_partition = {policy}"));
    }
    (redis, origin, planes)
}

/// What the store knew before holds again.
fn assert_mended(redis: &mut Redis, planes: &mut [DataPlane]) {
    redis.resume();
    for plane in &mut *planes {
        wait_for(&plane.gateway, "partitioned", 0.0);
        plane.gateway.process().wait_for_log("is reached");
    }
    exhaust(planes, 0);
}

#[test]
fn a_partition_that_means_closed_lets_nothing_through() {
    let (mut redis, _origin, mut planes) = partition("closed");
    exhaust(&planes, 0);
    assert_mended(&mut redis, &mut planes);
}

#[test]
fn a_partition_that_means_open_lets_everything_through() {
    let (mut redis, _origin, mut planes) = partition("open");
    for plane in &planes {
        let mut client = plane.connect();
        until("the store's last word to be forgotten", || is_admitted(&mut client).then_some(()));
        assert_eq!(admitted(&mut client, 50), 50);
    }
    assert_mended(&mut redis, &mut planes);
}

#[test]
fn a_partition_that_means_share_lets_a_share_through() {
    let (mut redis, _origin, mut planes) = partition("share");
    for plane in &planes {
        exhaust(std::slice::from_ref(plane), 6);
    }
    assert_mended(&mut redis, &mut planes);
}

/// Two gateways whose own settings differ, and four stages, of which three choose for themselves.
#[test]
fn a_partition_means_what_was_chosen_for_each_throttle() {
    let (mut redis, origin) = (Redis::start(), Origin::echo());
    let chosen = [
        ("unsaid", Partition::Unsaid),
        ("share", Partition::Share),
        ("closed", Partition::Closed),
        ("open", Partition::Open),
    ];
    let stage = |(id, partition)| {
        let throttle = Throttle { partition, ..burst(12) };
        rest_api(id, "prod").route("GET /some", &origin.url("/some")).throttled(throttle)
    };
    let stages: Vec<StageBuilder> = chosen.map(stage).into();
    let mut planes =
        ["open", "closed"].map(|own| DataPlane::with(&options(&redis).set("limits_partition", own), &stages));
    planes.iter().for_each(|plane| wait_for(&plane.gateway, "gateways", 2.0));
    redis.kill();
    for plane in &mut planes {
        wait_for(&plane.gateway, "partitioned", 1.0);
    }
    let admitted = |plane: &DataPlane, id: &str| {
        let mut client = plane.connect();
        (0..40).filter(|_| client.exchange(request("GET", id, "/prod/some")).status == 200).count()
    };
    for (plane, unsaid) in planes.iter().zip([40, 0]) {
        let all = chosen.map(|(id, _)| admitted(plane, id));
        assert_eq!(all, [unsaid, 6, 0, 40]);
    }
    // Another choice holds at once, also while it lasts.
    let stages: Vec<StageBuilder> = chosen.map(|(id, _)| stage((id, Partition::Open))).into();
    planes[1].publish(&stages);
    assert_eq!(chosen.map(|(id, _)| admitted(&planes[1], id)), [40; 4]);
}

#[test]
fn a_store_that_hangs_is_out_of_reach_until_it_answers() {
    let (redis, origin) = (Redis::start(), Origin::echo());
    let options = options(&redis).set("limits_partition", "open").set("limits_store_timeout_ms", "100");
    let mut plane = DataPlane::with(&options, &stages(&origin, burst(6)));
    wait_for(&plane.gateway, "gateways", 1.0);
    // It knows the scripts then.
    assert_eq!(admitted(&mut plane.connect(), 1), 1);
    plane.assert_at_rest();
    redis.hang();
    assert_eq!(admitted(&mut plane.connect(), 20), 20, "the first waits until it is known");
    assert_eq!(gauge(&plane.gateway, "partitioned"), 1.0);
    plane.gateway.process().wait_for_log("can't be used");
    redis.wake();
    wait_for(&plane.gateway, "partitioned", 0.0);
    plane.assert_at_rest();
    // What it was asked for before it hung, it has lent when it wakes, and nobody takes it any more.
    let after = admitted(&mut plane.connect(), 50);
    assert!((1..=4).contains(&after), "{after}");
}

#[test]
fn a_gateway_that_never_reached_its_store_doesn_t_know_its_share() {
    let (mut redis, origin) = (Redis::start(), Origin::echo());
    redis.kill();
    let plane = DataPlane::with(&options(&redis), &stages(&origin, burst(5)));
    wait_for(&plane.gateway, "partitioned", 1.0);
    exhaust(std::slice::from_ref(&plane), 0);
    redis.resume();
    exhaust(&[plane], 5);
}

#[test]
fn a_password_comes_from_the_environment() {
    let (redis, origin) = (Redis::with(&[("requirepass", "open-sesame")]), Origin::echo());
    let variable = "TURNPIKE_GATEWAY_LIMITS_STORE_PASSWORD";
    let plane =
        DataPlane::with(&options(&redis).environment(variable, "open-sesame"), &stages(&origin, burst(5)));
    exhaust(&[plane], 5);
    let mut plane =
        DataPlane::with(&options(&redis).environment(variable, "wrong"), &stages(&origin, burst(5)));
    wait_for(&plane.gateway, "partitioned", 1.0);
    plane.gateway.process().wait_for_log("can't be used");
    assert!(!plane.gateway.process().log().contains("wrong"));
}

#[test]
fn what_cant_be_a_store_is_refused_by_name() {
    for (url, problem) in [
        ("redis-sentinel://127.0.0.1:6379", "`redis-sentinel` is no scheme"),
        ("redis://127.0.0.1:6379,127.0.0.1:6380/1", "no databases"),
        ("http://127.0.0.1:6379", "`http` is no scheme"),
        ("127.0.0.1:6379", "is no scheme"),
        ("redis://:secret@127.0.0.1:6379", "TURNPIKE_GATEWAY_LIMITS_STORE_PASSWORD"),
    ] {
        let (status, log) = Gateway::start_in_vain(&Options::new().set("limits_store", url));
        assert!(!status.success() && log.contains("limits_store: ") && log.contains(problem), "{log}");
        assert!(!log.contains("secret"), "{log}");
    }
}
