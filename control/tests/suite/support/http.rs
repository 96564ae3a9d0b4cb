//! An HTTP or WebSocket API, as the suites make one.

use serde_json::{Value, json};
use turnpike_snapshot::{HttpProxy, IntegrationKind, StageUnit};

use super::client::{Answer, Client};
use super::inside::{Inside, settings};

pub(crate) const BAD: &str = "BadRequestException";
pub(crate) const MISSING: &str = "NotFoundException";
pub(crate) const CONFLICT: &str = "ConflictException";
/// A function's invocation.
pub(crate) const FUNCTION: &str = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/\
                                   arn:aws:lambda:us-east-1:000000000000:function:hello/invocations";

pub(crate) fn start() -> (tempfile::TempDir, Inside) {
    let dir = tempfile::tempdir().expect("a directory");
    let inside = Inside::start(settings(dir.path().join("data")));
    (dir, inside)
}

/// A new HTTP API without anything in it.
pub(crate) fn api(inside: &Inside) -> String {
    let body = r#"{"name":"a","protocolType":"HTTP"}"#;
    inside.client.expect(201, "POST", "/v2/apis", body).text("apiId")
}

pub(crate) fn quick(inside: &Inside) -> String {
    let body = r#"{"name":"a","protocolType":"HTTP","target":"http://127.0.0.1:3000"}"#;
    inside.client.expect(201, "POST", "/v2/apis", body).text("apiId")
}

/// A new WebSocket API without anything in it.
pub(crate) fn websocket(inside: &Inside) -> String {
    let body = json!({
        "name": "w", "protocolType": "WEBSOCKET", "routeSelectionExpression": "$request.body.action",
    });
    make(&inside.client, "/v2/apis", &body).text("apiId")
}

pub(crate) fn integration(inside: &Inside, api: &str, uri: &str) -> String {
    let body = json!({"integrationType": "HTTP_PROXY", "integrationMethod": "ANY", "integrationUri": uri});
    make(&inside.client, &format!("/v2/apis/{api}/integrations"), &body).text("integrationId")
}

pub(crate) fn route(inside: &Inside, api: &str, key: &str, integration: &str) -> String {
    let body = json!({"routeKey": key, "target": format!("integrations/{integration}")});
    make(&inside.client, &format!("/v2/apis/{api}/routes"), &body).text("routeId")
}

/// A create that has to succeed.
pub(crate) fn make(client: &Client, target: &str, body: &Value) -> Answer {
    client.expect(201, "POST", target, &body.to_string())
}

/// An update that has to succeed, and what it answers.
pub(crate) fn change(client: &Client, target: &str, body: &Value) -> Value {
    client.expect(200, "PATCH", target, &body.to_string()).body
}

/// What a get answers.
pub(crate) fn read(client: &Client, target: &str) -> Value {
    client.expect(200, "GET", target, "").body
}

/// Calls that are refused, each for a reason that its error names.
pub(crate) fn refused(client: &Client, method: &str, target: &str, table: &[(u16, &str, &str, Value)]) {
    for (status, error, text, body) in table {
        client.refused(*status, error, text, method, target, &body.to_string());
    }
}

pub(crate) fn kind(unit: &StageUnit, route: usize) -> &IntegrationKind {
    &unit.integrations[unit.routes[route].integration as usize].kind
}

pub(crate) fn proxy(unit: &StageUnit, route: usize) -> &HttpProxy {
    kind(unit, route).proxy().expect("a proxy")
}
