//! Routes that ask for what can't be done answer 500, whatever comes, and say so once in the log.

use turnpike_tests::{DataPlane, Origin, StageBuilder, http_api, request, rest_api};

const REASON: &str = "its authorizer isn't enforced yet";
const REFUSED_ROUTES: &str = "turnpike_refused_routes";

fn stages(origin: &Origin) -> Vec<StageBuilder> {
    vec![
        rest_api("r1", "prod").refused("GET /pets/{id}", REASON).route("GET /open", &origin.url("/open")),
        http_api("a1").refused("$default", "a MOCK can't be run").route("GET /open", &origin.url("/open")),
    ]
}

#[test]
fn a_refused_route_never_reaches_the_origin() {
    let origin = Origin::echo();
    let plane = DataPlane::serving(&stages(&origin));
    let mut client = plane.connect();
    for _ in 0..3 {
        let reply = client.exchange(request("GET", "r1", "/prod/pets/7"));
        assert_eq!((reply.status, reply.text()), (500, r#"{"message":"Internal server error"}"#));
        assert_eq!(reply.headers.one("x-amzn-errortype"), Some("InternalServerErrorException"));
        assert!(reply.headers.has("x-amzn-requestid") && reply.headers.has("x-amz-apigw-id"));

        let reply = client.exchange(request("GET", "a1", "/any/thing"));
        assert_eq!((reply.status, reply.text()), (500, r#"{"message":"Internal Server Error"}"#));
        assert!(reply.headers.has("apigw-requestid") && !reply.headers.has("x-amzn-errortype"));
    }
    let host = turnpike_tests::host("a1");
    let post = format!("POST /x HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(client.exchange(post).status, 500);
    assert_eq!(origin.seen(), []);
    // The connection went on all along, and so do the other routes.
    assert_eq!(client.exchange(request("GET", "r1", "/prod/open")).echo().target, "/open");
    assert_eq!(client.exchange(request("GET", "a1", "/open")).echo().target, "/open");
    drop(client);

    let metrics = plane.gateway.metrics();
    assert_eq!(metrics.sum(REFUSED_ROUTES, &[]), 2.0);
    assert_eq!(metrics.sum("turnpike_shard_refusals_total", &[r#"kind="route_refused""#]), 7.0);
    assert_eq!(metrics.sum("turnpike_5xx_error_total", &[r#"api_id="r1""#]), 3.0);
    plane.assert_at_rest();
}

#[test]
fn each_refused_route_is_logged_once() {
    let origin = Origin::echo();
    let mut plane = DataPlane::serving(&stages(&origin));
    for _ in 0..10 {
        assert_eq!(plane.exchange(request("GET", "r1", "/prod/pets/7")).status, 500);
    }
    // The stage changes, but not what it refuses; then there is one more.
    let mut changed = stages(&origin);
    changed[0] = changed[0].clone().route("GET /more", &origin.url("/more"));
    plane.publish(&changed);
    changed[0] = changed[0].clone().refused("PUT /late", "its API key isn't checked yet");
    plane.publish(&changed);
    let log = plane.gateway.process().log();
    let lines =
        |of: &str| log.lines().filter(|line| line.contains(of)).map(str::to_owned).collect::<Vec<_>>();
    let place = "of stage prod of API r1 (deployment d1)";
    assert_eq!(
        lines("GET /pets/{id}"),
        [format!("turnpike-gateway: answers 500 to GET /pets/{{id}} {place}: {REASON}")]
    );
    assert_eq!(lines("a MOCK can't be run").len(), 1, "{log}");
    assert_eq!(lines("PUT /late").len(), 1, "{log}");
    assert_eq!(plane.gateway.metrics().sum(REFUSED_ROUTES, &[]), 3.0);

    plane.publish(&[http_api("a1").route("$default", &origin.url("/open"))]);
    assert_eq!(plane.exchange(request("GET", "a1", "/any")).status, 200);
    assert_eq!(plane.gateway.metrics().sum(REFUSED_ROUTES, &[]), 0.0);
    plane.assert_at_rest();
}

#[test]
fn a_flood_of_refused_routes_is_a_bounded_log() {
    let many = |count: usize| {
        (0..count).fold(http_api("a1"), |stage, n| stage.refused(&format!("GET /{n}"), REASON))
    };
    let mut plane = DataPlane::serving(&[many(250)]);
    let log = plane.gateway.process().log();
    assert_eq!(log.matches(REASON).count(), 100, "{log}");
    assert!(log.contains("answers 500 to 150 more routes of this snapshot"), "{log}");
    plane.assert_at_rest();
}
