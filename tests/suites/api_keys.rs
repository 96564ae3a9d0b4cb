//! Routes that ask for an API key serve who shows one whose usage plan has the stage, and nobody else.

use turnpike_snapshot::Unit;
use turnpike_tests::{
    Client, DataPlane, Options, Origin, Reply, StageBuilder, account, api_keys, host, http_api, request,
    rest_api, until, usage_plan,
};

const FIRST: &str = "first-key-of-a-customer";
const OTHER: &str = "other-key-of-a-customer";
const NOWHERE: &str = "key-without-a-usage-plan";

fn stages(origin: &Origin) -> Vec<StageBuilder> {
    vec![
        rest_api("r1", "prod")
            .route("GET /open", &origin.url("/open"))
            .route("ANY /closed", &origin.url("/closed"))
            .api_key_required()
            .access_log("keys", "$context.identity.apiKeyId $context.status $context.error.responseType"),
        http_api("a1").route("$default", &origin.url("/a1")).api_key_required(),
    ]
}

/// `FIRST` may use both APIs, `OTHER` the HTTP API alone.
fn callers(slices: u32) -> Vec<Unit> {
    let mut units = vec![
        Unit::UsagePlan(usage_plan("p1", &[("r1", "prod"), ("gone", "prod")])),
        Unit::UsagePlan(usage_plan("p2", &[("a1", "$default")])),
    ];
    units.extend(api_keys(&[(FIRST, &["p1", "p2"]), (OTHER, &["p2"]), (NOWHERE, &[])], slices));
    units
}

fn plane(origin: &Origin) -> DataPlane {
    let mut plane = DataPlane::with(&Options::new(), &[]);
    plane.publish_units(&stages(origin), account(&[]), callers(3));
    plane
}

fn call(client: &mut Client, api_id: &str, path: &str, lines: &str) -> Reply {
    client.exchange(format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{lines}\r\n", host(api_id)))
}

fn shows(value: &str) -> String {
    format!("X-API-Key: {value}\r\n")
}

fn assert_forbidden(reply: &Reply) {
    assert_eq!((reply.status, reply.text()), (403, r#"{"message":"Forbidden"}"#));
}

#[test]
fn a_key_opens_the_stages_of_its_plans_and_no_others() {
    let origin = Origin::echo();
    let plane = plane(&origin);
    let mut client = plane.connect();
    for (api_id, path, opened_by) in
        [("r1", "/prod/closed", &[FIRST][..]), ("a1", "/any", &[FIRST, OTHER][..])]
    {
        for value in [FIRST, OTHER, NOWHERE, "no-such-key-anywhere-here", ""] {
            let reply = call(&mut client, api_id, path, &shows(value));
            if opened_by.contains(&value) {
                assert_eq!(reply.status, 200, "{api_id} {value}");
            } else {
                assert_forbidden(&reply);
            }
        }
    }
    assert_eq!(call(&mut client, "r1", "/prod/open", "").status, 200, "asks for none");
    drop(client);
    let refused = &[r#"kind="api_key""#];
    assert_eq!(plane.gateway.metrics().sum("turnpike_shard_refusals_total", refused), 7.0);
    plane.assert_at_rest();
}

/// Who may call is asked before what is kept is looked at.
#[test]
fn a_kept_answer_is_for_holders_of_keys_alone() {
    let origin = Origin::echo();
    let stages = [
        rest_api("r1", "prod")
            .route("ANY /closed", &origin.url("/closed"))
            .api_key_required()
            .cached(300, &[])
            .cache(),
        http_api("a1").route("$default", &origin.url("/a1")).api_key_required().cached(300, &[]).cache(),
    ];
    let mut plane = DataPlane::with(&Options::new(), &[]);
    plane.publish_units(&stages, account(&[]), callers(3));
    let mut client = plane.connect();
    for (seen, (api_id, path, opened_by)) in
        [("r1", "/prod/closed", &[FIRST][..]), ("a1", "/any", &[FIRST, OTHER][..])].into_iter().enumerate()
    {
        for value in [FIRST, FIRST, OTHER, NOWHERE, "no-such-key-anywhere-here", "", FIRST] {
            let reply = call(&mut client, api_id, path, &shows(value));
            if opened_by.contains(&value) {
                assert_eq!(reply.status, 200, "{api_id} {value}");
            } else {
                assert_forbidden(&reply);
            }
        }
        assert_forbidden(&call(&mut client, api_id, path, ""));
        assert_eq!(origin.seen().len(), seen + 1);
    }
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn what_is_no_key_reaches_no_origin() {
    let origin = Origin::echo();
    let plane = plane(&origin);
    let mut client = plane.connect();
    let twice = format!("{}{}", shows(FIRST), shows(FIRST));
    let either = format!("{}{}", shows(OTHER), shows(FIRST));
    for lines in [
        "",
        &twice,
        &either,
        &shows(&FIRST.to_uppercase()),
        &shows(&format!("{FIRST},")),
        "X-Api-Keys: x\r\n",
    ] {
        let reply = call(&mut client, "r1", "/prod/closed", lines);
        assert_forbidden(&reply);
        assert_eq!(reply.headers.one("x-amzn-errortype"), Some("ForbiddenException"));
    }
    let query = format!("/prod/closed?x-api-key={FIRST}");
    assert_forbidden(&call(&mut client, "r1", &query, ""));
    assert_forbidden(&call(&mut client, "a1", "/", ""));
    assert_eq!(origin.seen(), []);
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn a_route_that_is_unknown_says_so_whoever_asks() {
    let origin = Origin::echo();
    let plane = plane(&origin);
    let reply = plane.exchange(request("GET", "r1", "/prod/nowhere"));
    assert_eq!((reply.status, reply.text()), (403, r#"{"message":"Missing Authentication Token"}"#));
}

#[test]
fn keys_that_come_and_go_are_taken_and_refused_from_then_on() {
    let origin = Origin::echo();
    let mut plane = plane(&origin);
    let mut client = plane.connect();
    let stages = stages(&origin);
    let mut status = |value: &str| call(&mut client, "r1", "/prod/closed", &shows(value)).status;
    assert_eq!((status(FIRST), status(OTHER)), (200, 403));
    // Cut anew, and `FIRST` is gone.
    let mut units = vec![Unit::UsagePlan(usage_plan("p1", &[("r1", "prod")]))];
    units.extend(api_keys(&[(OTHER, &["p1"])], 1));
    plane.publish_units(&stages, account(&[]), units);
    assert_eq!((status(FIRST), status(OTHER)), (403, 200));
    // The plan loses the stage.
    let mut units = vec![Unit::UsagePlan(usage_plan("p1", &[("r1", "test")]))];
    units.extend(api_keys(&[(OTHER, &["p1"])], 1));
    plane.publish_units(&stages, account(&[]), units);
    assert_eq!((status(FIRST), status(OTHER)), (403, 403));
    plane.publish_units(&stages, account(&[]), Vec::new());
    assert_eq!(status(OTHER), 403, "without any keys");
    plane.publish_units(&stages, account(&[]), callers(64));
    assert_eq!((status(FIRST), status(OTHER)), (200, 403));
}

#[test]
fn logs_name_the_key_and_never_its_value() {
    let origin = Origin::echo();
    let plane = plane(&origin);
    let mut client = plane.connect();
    assert_eq!(call(&mut client, "r1", "/prod/closed", &shows(FIRST)).status, 200);
    assert_forbidden(&call(&mut client, "r1", "/prod/closed", &shows(OTHER)));
    assert_eq!(call(&mut client, "r1", "/prod/open", &shows(FIRST)).status, 200);
    drop(client);
    let file = plane.gateway.data_dir.join("access-logs/keys.log");
    let log =
        until("all lines", || std::fs::read_to_string(&file).ok().filter(|text| text.lines().count() == 3));
    assert_eq!(log, "key0 200 -\n- 403 INVALID_API_KEY\n- 200 -\n");
}
