//! Throttles let as many requests through as they say, over all connections and shards together, and not one more.

use std::time::Instant;

use turnpike_snapshot::{PlanRoute, RouteSettings, Throttle, Unit, encode_unit};
use turnpike_tests::{
    Client, Curl, DataPlane, Options, Origin, Reply, StageBuilder, account, account_with_throttle, api_keys,
    burst, host, http_api, request, rest_api, until, usage_plan,
};

/// Shards that the host's cores allow, two at most. On a busy host the limiter may answer late: requests wait for it.
fn options() -> Options {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Options::new().shards(cores.min(2)).set("limit_wait_ms", "10000")
}

fn stages(origin: &Origin, throttle: Throttle) -> Vec<StageBuilder> {
    vec![
        rest_api("r1", "prod")
            .route("GET /some", &origin.url("/some"))
            .throttled(throttle)
            .route("POST /some", &origin.url("/some"))
            .throttled(throttle)
            .route("GET /any", &origin.url("/any"))
            .access_log("throttled", "$context.status $context.error.responseType"),
        rest_api("r1", "test").route("GET /some", &origin.url("/some")).throttled(throttle),
        http_api("a1").route("$default", &origin.url("/")).throttled(throttle),
    ]
}

fn plane(origin: &Origin, throttle: Throttle) -> DataPlane {
    DataPlane::with(&options(), &stages(origin, throttle))
}

/// Sends requests over several connections in turn until so many got through, and more of them, which all are refused
/// as AWS refuses; how many were. A token that another shard holds comes home within some milliseconds: a refusal
/// meanwhile is no mistake, and one token more would be.
fn exhaust(plane: &DataPlane, tokens: usize, request: &str) -> usize {
    let mut clients: Vec<Client> = (0..8).map(|_| plane.connect()).collect();
    let (mut admitted, mut refused) = (0, 0);
    let mut round = || {
        for client in &mut clients {
            let through = is_admitted(&client.exchange(request));
            (admitted, refused) = (admitted + usize::from(through), refused + usize::from(!through));
        }
        (admitted, refused)
    };
    until("the throttle's tokens to be used up", || (round().0 >= tokens).then_some(()));
    for _ in 0..4 {
        round();
    }
    assert_eq!(admitted, tokens);
    refused
}

/// How many of so many requests get through where there is no throttle.
fn admitted(plane: &DataPlane, requests: usize, request: &str) -> usize {
    let mut client = plane.connect();
    (0..requests).filter(|_| is_admitted(&client.exchange(request))).count()
}

fn is_admitted(reply: &Reply) -> bool {
    if reply.status != 200 {
        assert_eq!((reply.status, reply.text()), (429, r#"{"message":"Too Many Requests"}"#));
    }
    reply.status == 200
}

fn refusals(plane: &DataPlane, kind: &str) -> f64 {
    plane.gateway.metrics().sum("turnpike_shard_refusals_total", &[&format!("kind=\"{kind}\"")])
}

#[test]
fn a_route_lets_its_burst_through_and_not_one_more() {
    let origin = Origin::echo();
    let plane = plane(&origin, burst(25));
    let mut refused = 0;
    for (method, api_id, path) in [
        ("GET", "r1", "/prod/some"),
        ("POST", "r1", "/prod/some"),
        ("GET", "r1", "/test/some"),
        ("PUT", "a1", "/x"),
    ] {
        refused += exhaust(&plane, 25, &request(method, api_id, path));
    }
    assert_eq!(admitted(&plane, 40, &request("GET", "r1", "/prod/any")), 40, "has no throttle");
    assert_eq!((origin.seen().len(), refusals(&plane, "throttled_route")), (4 * 25 + 40, refused as f64));
    plane.assert_at_rest();
}

#[test]
fn a_refusal_is_awss() {
    let origin = Origin::echo();
    let plane = plane(&origin, burst(0));
    let mut client = plane.connect();
    let reply = client.exchange(request("GET", "r1", "/prod/some"));
    assert!(!is_admitted(&reply));
    assert_eq!(reply.headers.one("x-amzn-errortype"), Some("TooManyRequestsException"));
    let reply = client.exchange(request("GET", "a1", "/"));
    assert!(!is_admitted(&reply));
    assert_eq!(reply.headers.one("x-amzn-errortype"), None);
    let log = plane.gateway.data_dir.join("access-logs/throttled.log");
    until("the refusal to be logged", || {
        let lines = std::fs::read_to_string(&log).unwrap_or_default();
        (lines == "429 THROTTLED\n").then_some(())
    });
    assert_eq!(origin.seen(), []);
}

/// Ten requests a thousand seconds, so that an empty bucket says the same for a while.
fn told(plane: &DataPlane, request: &str) -> Reply {
    let mut client = plane.connect();
    until("a refusal that knows when the next token comes", || {
        let reply = client.exchange(request);
        assert_eq!(reply.headers.one("retry-after").is_some(), reply.status == 429, "{reply:?}");
        let after: u64 = reply.headers.one("retry-after")?.parse().unwrap();
        // As long as a token is on its way to or from a core, it may come home at once.
        (after > 1).then_some(reply)
    })
}

#[test]
fn who_is_throttled_is_told_by_what_and_until_when_where_that_is_turned_on() {
    let origin = Origin::echo();
    let throttle = Throttle::new(10, 3);
    let stages = stages(&origin, throttle);
    let silent = plane(&origin, throttle);
    let plane = DataPlane::with(&options().set("rate_limit_fields", "true"), &stages);
    for some in [request("GET", "r1", "/prod/some"), request("PUT", "a1", "/x")] {
        let reply = told(&plane, &some);
        let after = reply.headers.one("retry-after").unwrap();
        assert!(after.parse::<u64>().unwrap() <= 100, "{after}");
        let policy = reply.headers.one("ratelimit-policy").unwrap();
        let bucket = policy.strip_prefix("\"route\";q=3;w=300;").expect(policy);
        assert_eq!((&bucket[..4], bucket.len()), ("pk=:", 17), "{bucket}");
        let limit = format!("\"route\";r=0;t={after};{bucket}");
        assert_eq!(reply.headers.one("ratelimit"), Some(&*limit));
        exhaust(&silent, 3, &some);
        let reply = silent.exchange(&some);
        for field in ["retry-after", "ratelimit", "ratelimit-policy"] {
            assert_eq!(reply.headers.all(field), [""; 0], "{field}");
        }
    }
    let reply = Curl::http2(plane.gateway.address, &host("r1"), "/prod/some").reply();
    assert_eq!((reply.status, reply.headers.all("ratelimit").len()), (429, 1));
    assert!(reply.headers.one("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    let admitted = plane.exchange(request("GET", "r1", "/test/some"));
    assert_eq!((admitted.status, admitted.headers.one("ratelimit-policy")), (200, None));
}

#[test]
fn who_shows_a_key_is_told_of_its_plan_s_throttles() {
    let origin = Origin::echo();
    let plane = with_plan(&options().set("rate_limit_fields", "true"), &origin);
    let pets = format!(
        "GET /prod/pets/7 HTTP/1.1\r\nHost: {}\r\nX-API-Key: first-key-of-a-customer\r\n\r\n",
        host("r1")
    );
    exhaust(&plane, 5, &pets);
    let reply = plane.exchange(&pets);
    let names = |field| -> Vec<String> {
        let members = reply.headers.one(field).unwrap().split(", ");
        members.map(|member| member.split_once(";w=").unwrap_or((member, "")).0.to_owned()).collect()
    };
    assert_eq!(names("ratelimit-policy"), ["\"usage-plan\";q=20", "\"usage-plan-route\";q=5"]);
    assert!(names("ratelimit")[0].starts_with("\"usage-plan-route\";r=0;t="), "{reply:?}");
}

#[test]
fn a_rate_of_nothing_refuses_everything() {
    let origin = Origin::echo();
    for throttle in [burst(0), Throttle::new(0, 5), Throttle::new(0, 0)] {
        let plane = plane(&origin, throttle);
        assert_eq!(admitted(&plane, 10, &request("GET", "r1", "/prod/some")), 0, "{throttle:?}");
    }
    assert_eq!(origin.seen(), []);
}

#[test]
fn an_account_s_burst_is_that_of_all_its_apis() {
    let origin = Origin::echo();
    let stages = stages(&origin, burst(10));
    let plane = DataPlane::with_account(&options(), &stages, account_with_throttle(burst(25)));
    let through = |api_id, path, tokens| exhaust(&plane, tokens, &request("GET", api_id, path)) as f64;
    let of_routes = through("r1", "/prod/some", 10) + through("a1", "/x", 10);
    let of_account = through("r1", "/prod/any", 5);
    assert_eq!(refusals(&plane, "throttled_route"), of_routes);
    assert_eq!(refusals(&plane, "throttled_account"), of_account);
    let of_both = through("r1", "/prod/some", 0);
    let named = refusals(&plane, "throttled_route") + refusals(&plane, "throttled_account");
    assert_eq!(named, of_routes + of_account + of_both);
    assert_eq!(plane.exchange(request("GET", "r1", "/prod/nowhere")).status, 403, "no route, no token");
    plane.assert_at_rest();
}

#[test]
fn a_canary_shares_its_stage_s_throttles() {
    let origin = Origin::echo();
    let stage = |share| {
        let trial = rest_api("r1", "prod").route("GET /some", &origin.url("/new")).throttled(burst(20));
        rest_api("r1", "prod")
            .route("GET /some", &origin.url("/old"))
            .throttled(burst(20))
            .canary(share, trial)
    };
    let mut plane = DataPlane::with(&options(), &[stage(0)]);
    let some = request("GET", "r1", "/prod/some");
    assert_eq!(admitted(&plane, 15, &some), 15);
    plane.publish(&[stage(10_000)]);
    exhaust(&plane, 5, &some);
}

#[test]
fn a_change_keeps_what_was_used_up() {
    let origin = Origin::echo();
    let mut plane = plane(&origin, burst(10));
    let some = request("GET", "r1", "/prod/some");
    exhaust(&plane, 10, &some);
    for (throttle, through) in [(burst(15), 5), (burst(5), 0), (burst(20), 5), (burst(20), 0)] {
        plane.publish(&stages(&origin, throttle));
        exhaust(&plane, through, &some);
    }
    plane.publish_units(
        &[rest_api("r1", "prod").route("GET /some", &origin.url("/"))],
        account(&[]),
        Vec::new(),
    );
    assert_eq!(admitted(&plane, 15, &some), 15, "without a throttle");
}

/// Control is the authority, also after it was restored from a backup.
#[test]
fn a_change_counts_though_its_version_is_older() {
    let origin = Origin::echo();
    let mut plane = plane(&origin, burst(10));
    let some = request("GET", "r1", "/prod/some");
    exhaust(&plane, 10, &some);
    for (version, throttle, through) in [(50, burst(15), 5), (7, burst(25), 10), (6, burst(20), 0)] {
        let stages = stages(&origin, throttle);
        let units = std::iter::once(account(&[])).chain(stages.iter().map(StageBuilder::unit));
        let encoded = units.map(|unit| encode_unit(&unit).unwrap()).collect();
        plane.publisher.publish_encoded(version, encoded).unwrap();
        plane.gateway.wait_for_version(version);
        exhaust(&plane, through, &some);
    }
}

#[test]
fn a_rate_holds_while_more_is_asked_for() {
    let origin = Origin::replying("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let plane = plane(&origin, Throttle::new(500_000, 50));
    let some = request("GET", "r1", "/prod/some");
    let begun = Instant::now();
    let admitted: usize = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(|| admitted(&plane, 2_000, &some))).collect();
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    let allowed = 50.0 + 500.0 * begun.elapsed().as_secs_f64();
    assert!(admitted as f64 <= allowed, "{admitted} of {allowed}");
    assert!(admitted >= 50, "{admitted}");
    plane.assert_at_rest();
}

#[test]
fn streams_of_one_connection_are_throttled_too() {
    let origin = Origin::echo();
    let plane = plane(&origin, burst(3));
    let status = || Curl::http2(plane.gateway.address, &host("r1"), "/prod/some").status();
    assert_eq!([status(), status(), status(), status()], [200, 200, 200, 429]);
}

#[test]
fn more_throttles_than_may_be_kept_are_refused_and_counted() {
    let origin = Origin::echo();
    let options = options().set("limits_max", 1);
    let plane = DataPlane::with(&options, &stages(&origin, burst(5)));
    assert_eq!(admitted(&plane, 4, &request("GET", "r1", "/prod/some")), 4);
    assert_eq!(admitted(&plane, 4, &request("POST", "r1", "/prod/some")), 0);
    let metrics = plane.gateway.metrics();
    assert!(metrics.sum("turnpike_limiter_crowded_total", &[]) >= 1.0);
    assert_eq!(metrics.sum("turnpike_limits", &[]), 1.0);
    plane.assert_at_rest();
}

/// Two keys of a plan that gives each 20 over all stages, and 5 of them for one route.
fn with_plan(options: &Options, origin: &Origin) -> DataPlane {
    let closed = |throttle| RouteSettings { api_key_required: true, throttle, ..RouteSettings::default() };
    let stages = [
        rest_api("r1", "prod")
            .route("GET /some", &origin.url("/some"))
            .settings(closed(None))
            .route("GET /pets/{id}", &origin.url("/pets"))
            .settings(closed(None))
            .route("GET /open", &origin.url("/open")),
        http_api("a1").route("$default", &origin.url("/")).settings(closed(Some(burst(30)))),
    ];
    let mut plan = usage_plan("p1", &[("r1", "prod"), ("a1", "$default")]);
    plan.throttle = Some(burst(20));
    plan.stages[0].routes =
        vec![PlanRoute { method: "GET".to_owned(), path: "/pets/{id}".to_owned(), throttle: burst(5) }];
    let mut units = vec![Unit::UsagePlan(plan)];
    units.extend(api_keys(&[("first-key-of-a-customer", &["p1"]), ("other-key-of-a-customer", &["p1"])], 2));
    DataPlane::with_units(options, &stages, account(&[]), units)
}

#[test]
fn a_plan_throttles_each_key_over_all_of_its_stages() {
    let origin = Origin::echo();
    let plane = with_plan(&options(), &origin);
    let shows = |value: &str, api_id: &str, path: &str| {
        format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nX-API-Key: {value}-key-of-a-customer\r\n\r\n",
            host(api_id)
        )
    };
    let of_route = exhaust(&plane, 5, &shows("first", "r1", "/prod/pets/7"));
    let mut of_plan = exhaust(&plane, 15, &shows("first", "r1", "/prod/some"));
    of_plan += exhaust(&plane, 0, &shows("first", "a1", "/any"));
    assert_eq!(admitted(&plane, 30, &request("GET", "r1", "/prod/open")), 30, "asks for no key");
    of_plan += exhaust(&plane, 20, &shows("other", "a1", "/any"));
    assert_eq!(refusals(&plane, "throttled_plan_route"), of_route as f64);
    assert_eq!(refusals(&plane, "throttled_plan"), of_plan as f64);
    assert_eq!(refusals(&plane, "throttled_route"), 0.0);
    plane.assert_at_rest();
}
