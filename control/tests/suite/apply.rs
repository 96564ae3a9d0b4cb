//! A whole configuration at once: planned, then applied as it was planned, or not at all.

use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};
use turnpike_control::change::ChangeError;

use crate::support::inside::{Inside, settings};

/// Long enough never to matter where something is expected to happen.
const PATIENCE: Duration = Duration::from_secs(60);

const PLAN: &str = "/turnpike/v1/configuration/plan";
const APPLY: &str = "/turnpike/v1/configuration/apply";

fn document(path: &str) -> String {
    let integration = json!({
        "type": "http_proxy", "httpMethod": "GET", "uri": "http://127.0.0.1:3000/", "payloadFormatVersion": "1.0",
    });
    let paths = json!({path: {"get": {"x-amazon-apigateway-integration": integration}}});
    json!({"openapi": "3.0.1", "info": {"title": "pets", "version": "1"}, "paths": paths}).to_string()
}

#[test]
fn nothing_is_done_that_was_not_planned() {
    let dir = tempfile::tempdir().expect("a directory");
    let inside = Inside::start(settings(dir.path().join("data")));
    let mut wanted = json!({"apis": [{"document": document("/a"), "stages": [{"name": "prod"}]}], "keys": [{"name": "k"}]});
    let changes = |target: &str, wanted: &Value| {
        inside.client.expect(200, "POST", target, &wanted.to_string()).body["changes"].clone()
    };
    wanted["plan"] = changes(PLAN, &wanted);
    assert_eq!(changes(APPLY, &wanted), wanted["plan"]);

    let mut other = json!({"apis": [{"document": document("/b"), "stages": [{"name": "prod"}]}], "keys": [{"name": "k"}]});
    other["plan"] = changes(PLAN, &other);
    let apis = inside.client.expect(200, "GET", "/v2/apis", "").body;
    let id = apis["items"][0]["apiId"].as_str().expect("an API").to_owned();
    let route = format!("/v2/apis/{id}/routes");
    inside.client.expect(201, "POST", &route, r#"{"routeKey":"GET /mine"}"#);
    let conflict = "ConflictException";
    inside.client.refused(409, conflict, "what was planned", "POST", APPLY, &other.to_string());
    let routes = inside.client.expect(200, "GET", &route, "").body;
    assert_eq!(routes["items"].as_array().map(Vec::len), Some(2), "nothing was applied: {routes}");

    // What is said to be unchanged is left alone.
    let kept = json!({"apis": [{"document": document("/b"), "unchanged": true}]});
    assert_eq!(changes(APPLY, &kept), json!([]));
    inside.client.expect(204, "DELETE", &format!("/v2/apis/{id}"), "");
    inside.client.refused(409, conflict, "no API 'pets' any more", "POST", APPLY, &kept.to_string());
}

/// What can't be read is refused while another change holds the store: nobody's change waits for the reading.
#[test]
fn documents_are_read_before_the_change_begins() {
    let dir = tempfile::tempdir().expect("a directory");
    let inside = Inside::start(settings(dir.path().join("data")));
    let (begun, has_begun) = mpsc::channel();
    let (answered, is_answered) = mpsc::channel();
    let wanted = json!({"apis": [{"document": "no document"}]}).to_string();
    std::thread::scope(|scope| {
        let control = &inside.control;
        let other = scope.spawn(move || {
            control.change(|_| {
                begun.send(()).expect("the test waits");
                Ok::<_, ChangeError>(is_answered.recv_timeout(PATIENCE).is_ok())
            })
        });
        has_begun.recv().expect("begun");
        for target in [PLAN, APPLY] {
            inside.client.refused(400, "BadRequestException", "", "POST", target, &wanted);
        }
        // Nobody listens any more if the answers came too late.
        let _ = answered.send(());
        assert!(
            other.join().expect("no panic").expect("a change"),
            "the answers waited for the other change"
        );
    });
}

#[test]
fn a_quota_s_period_may_begin_on_any_day() {
    let dir = tempfile::tempdir().expect("a directory");
    let inside = Inside::start(settings(dir.path().join("data")));
    let plan = |members: Value| {
        let mut plan = json!({"name": "p"});
        plan.as_object_mut().expect("an object").extend(members.as_object().expect("an object").clone());
        json!({"plans": [plan]}).to_string()
    };
    let quota = || inside.client.expect(200, "GET", "/usageplans", "").body["item"][0]["quota"].clone();
    for (offset, expected) in [(json!(3), 3), (json!(6), 6), (Value::Null, 0)] {
        let wanted = plan(json!({"quota": 100, "period": "week", "offset": offset}));
        inside.client.expect(200, "POST", APPLY, &wanted);
        assert_eq!(quota(), json!({"limit": 100, "offset": expected, "period": "WEEK"}));
        let again = inside.client.expect(200, "POST", PLAN, &wanted).body;
        assert_eq!(again["changes"], json!([]), "it is as wanted");
    }
    for (members, problem) in [
        (json!({"quota": 1, "period": "week", "offset": 7}), "between 0 and 6"),
        (json!({"offset": 1}), "offset is a quota's"),
    ] {
        inside.client.refused(400, "BadRequestException", problem, "POST", APPLY, &plan(members));
    }
}
