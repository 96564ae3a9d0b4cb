//! Payload compression: of REST APIs by AWS's member, of HTTP APIs' stages by Turnpike's own operations.

use serde_json::{Value, json};
use turnpike_snapshot::Compression;

use crate::support::inside::{Inside, settings};

fn start() -> (tempfile::TempDir, Inside) {
    let dir = tempfile::tempdir().expect("a directory");
    let inside = Inside::start(settings(dir.path().join("data")));
    (dir, inside)
}

fn bytes_min(compression: Option<Compression>) -> Option<u32> {
    compression.map(|compression| compression.bytes_min)
}

#[test]
fn a_rest_api_compresses_as_it_was_deployed() {
    let (_dir, inside) = start();
    let client = &inside.client;
    let made = client.expect(201, "POST", "/restapis", r#"{"name":"a","minimumCompressionSize":7}"#);
    let (id, root) = (made.text("id"), made.text("rootResourceId"));
    let method = format!("/restapis/{id}/resources/{root}/methods/GET");
    client.expect(201, "PUT", &method, r#"{"authorizationType":"NONE"}"#);
    let integration = r#"{"type":"HTTP_PROXY","httpMethod":"GET","uri":"http://h.test/"}"#;
    client.expect(201, "PUT", &format!("{method}/integration"), integration);
    let deploy = |body: &str| client.expect(201, "POST", &format!("/restapis/{id}/deployments"), body);
    deploy(r#"{"stageName":"prod"}"#);
    assert_eq!(bytes_min(inside.stage(&id, "prod").compression), Some(7));
    let patch = r#"{"patchOperations":[{"op":"replace","path":"/minimumCompressionSize","value":"0"}]}"#;
    client.expect(200, "PATCH", &format!("/restapis/{id}"), patch);
    assert_eq!(bytes_min(inside.stage(&id, "prod").compression), Some(7), "it takes a deployment");
    deploy(r#"{"stageName":"prod","canarySettings":{"percentTraffic":50}}"#);
    let unit = inside.stage(&id, "prod");
    let canary = unit.canary.expect("a canary");
    assert_eq!((bytes_min(unit.compression), bytes_min(canary.compression)), (Some(7), Some(0)));
    let place = format!("/turnpike/v1/apis/{id}/stages/prod/compression");
    let body = r#"{"minimumCompressionSize":5}"#;
    client.refused(400, "BadRequestException", "UpdateRestApi", "PUT", &place, body);
}

#[test]
fn an_http_apis_stage_is_told_at_once() {
    let (_dir, inside) = start();
    let client = &inside.client;
    let quick = r#"{"name":"a","protocolType":"HTTP","target":"http://h.test/"}"#;
    let id = client.expect(201, "POST", "/v2/apis", quick).text("apiId");
    let place = format!("/turnpike/v1/apis/{id}/stages/$default/compression");
    let compiled = || bytes_min(inside.stage(&id, "$default").compression);
    client.refused(404, "NotFoundException", "no payload compression", "GET", &place, "");
    client.refused(404, "NotFoundException", "no payload compression", "DELETE", &place, "");
    for size in [0, 1_024, 10_485_760] {
        let document = json!({"minimumCompressionSize": size});
        assert_eq!(client.expect(200, "PUT", &place, &document.to_string()).body, document);
        assert_eq!(client.expect(200, "GET", &place, "").body, document);
        assert_eq!(compiled(), Some(size));
    }
    for refused in
        [json!({}), json!({"minimumCompressionSize": 10_485_761}), json!({"minimumCompressionSize": -1})]
    {
        let message = "minimumCompressionSize has to be an integer from 0 to 10485760";
        client.refused(400, "BadRequestException", message, "PUT", &place, &refused.to_string());
    }
    assert_eq!(client.expect(204, "DELETE", &place, "").body, Value::Null);
    assert_eq!(compiled(), None);
    let nowhere = "/turnpike/v1/apis/nothing/stages/x/compression";
    client.refused(404, "NotFoundException", "", "GET", nowhere, "");
    let other = place.replace("$default", "none");
    client.refused(404, "NotFoundException", "", "GET", &other, "");
}
