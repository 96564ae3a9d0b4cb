//! A whole configuration at once: planned, then applied as it was planned, or not at all.

use crate::support::inside::{Inside, settings};
use serde_json::{Value, json};

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
