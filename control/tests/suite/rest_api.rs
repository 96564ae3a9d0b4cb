//! REST APIs through the management API, up to the units that come of it.

use crate::support::inside::{Inside, settings};
use serde_json::{Value, json};
use turnpike_snapshot::{Protocol, TargetPart};

fn start() -> (tempfile::TempDir, Inside) {
    let dir = tempfile::tempdir().expect("a directory");
    let inside = Inside::start(settings(dir.path().join("data")));
    (dir, inside)
}

/// A REST API and the id of its root resource.
fn api(inside: &Inside) -> (String, String) {
    let made = inside.client.expect(201, "POST", "/restapis", r#"{"name":"pets"}"#);
    (made.text("id"), made.text("rootResourceId"))
}

fn resource(inside: &Inside, api: &str, parent: &str, part: &str) -> String {
    let body = json!({"pathPart": part}).to_string();
    inside.client.expect(201, "POST", &format!("/restapis/{api}/resources/{parent}"), &body).text("id")
}

/// A GET that passes `{id}` on.
fn get_by_id(inside: &Inside, api: &str, resource: &str, uri: &str) {
    let method = format!("/restapis/{api}/resources/{resource}/methods/GET");
    let body = r#"{"authorizationType":"NONE","requestParameters":{"method.request.path.id":true}}"#;
    inside.client.expect(201, "PUT", &method, body);
    let body = json!({
        "type": "HTTP_PROXY", "httpMethod": "GET", "uri": uri, "timeoutInMillis": 1000,
        "requestParameters": {"integration.request.path.x": "method.request.path.id"},
    });
    inside.client.expect(201, "PUT", &format!("{method}/integration"), &body.to_string());
}

#[test]
fn a_tree_is_deployed_to_a_stage() {
    let (_dir, inside) = start();
    let (id, root) = api(&inside);
    let pets = resource(&inside, &id, &root, "pets");
    let by_id = resource(&inside, &id, &pets, "{id}");
    get_by_id(&inside, &id, &by_id, "http://${stageVariables.host}/animals/{x}?a=b");
    let deployments = format!("/restapis/{id}/deployments");
    let bad = "BadRequestException";
    inside.client.refused(400, bad, "'host'", "POST", &deployments, r#"{"stageName":"prod"}"#);
    assert_eq!(inside.stages(), []);

    let body = r#"{"stageName":"prod","description":"one","variables":{"host":"127.0.0.1:3000"}}"#;
    let deployment = inside.client.expect(201, "POST", &deployments, body);
    assert!(deployment.body["createdDate"].is_i64(), "{deployment:?}");
    let unit = inside.stage(&id, "prod");
    assert_eq!(unit.protocol, Protocol::Rest);
    assert_eq!(unit.deployment_id, deployment.text("id"));
    assert_eq!((unit.routes[0].method.as_str(), unit.routes[0].path.as_str()), ("GET", "/pets/{id}"));
    let proxy = unit.integrations[0].kind.proxy().expect("a proxy");
    let target = [TargetPart::Literal("/animals/".to_owned()), TargetPart::PathParameter("id".to_owned())];
    assert_eq!((proxy.port, proxy.query.as_str(), &proxy.target[..]), (3000, "a=b", &target[..]));
    assert_eq!((proxy.method.as_deref(), unit.integrations[0].timeout_ms), (Some("GET"), 1000));

    let stages = inside.client.expect(200, "GET", &format!("/restapis/{id}/stages"), "");
    assert_eq!(stages.body["item"][0]["stageName"], "prod");
    let none = inside.client.expect(200, "GET", &format!("/restapis/{id}/stages?deploymentId=none"), "");
    assert_eq!(none.body["item"], json!([]));
    let summary = format!("{deployments}/{}?embed=apisummary", unit.deployment_id);
    let summary = inside.client.expect(200, "GET", &summary, "");
    assert_eq!(summary.body["apiSummary"]["/pets/{id}"]["GET"]["authorizationType"], "NONE");
}

#[test]
fn a_deployment_is_frozen_and_a_stage_moves() {
    let (_dir, inside) = start();
    let (id, root) = api(&inside);
    let by_id = resource(&inside, &id, &root, "{id}");
    get_by_id(&inside, &id, &by_id, "http://h/{x}");
    let base = format!("/restapis/{id}");
    let deployments = format!("{base}/deployments");
    let first = inside.client.expect(201, "POST", &deployments, "{}").text("id");
    let stage = json!({"stageName": "prod", "deploymentId": first, "variables": {"a": "b"}}).to_string();
    inside.client.expect(201, "POST", &format!("{base}/stages"), &stage);
    let unit = inside.stage(&id, "prod");

    inside.client.expect(204, "DELETE", &format!("{base}/resources/{by_id}/methods/GET/integration"), "");
    assert_eq!(inside.stage(&id, "prod"), unit);
    let bad = "BadRequestException";
    inside.client.refused(400, bad, "GET /{id}", "POST", &deployments, "{}");
    inside.client.expect(204, "DELETE", &format!("{base}/resources/{by_id}/methods/GET"), "");
    inside.client.refused(400, bad, "any methods", "POST", &deployments, "{}");

    get_by_id(&inside, &id, &by_id, "http://other/{x}");
    let body = r#"{"stageName":"prod"}"#;
    let second = inside.client.expect(201, "POST", &deployments, body).text("id");
    assert_eq!(inside.stage(&id, "prod").deployment_id, second);
    let stage = inside.client.expect(200, "GET", &format!("{base}/stages/prod"), "");
    assert_eq!(stage.body["variables"], json!({"a": "b"}), "a deployment keeps the stage's variables");
    inside.client.refused(400, bad, "prod", "DELETE", &format!("{deployments}/{second}"), "");
    inside.client.expect(202, "DELETE", &format!("{deployments}/{first}"), "");
    inside.client.expect(202, "DELETE", &format!("{base}/stages/prod"), "");
    assert_eq!(inside.stages(), []);
    assert_eq!(inside.client.expect(202, "DELETE", &base, "").body, Value::Null);
}

#[test]
fn resources_embed_methods_on_request() {
    let (_dir, inside) = start();
    let (id, root) = api(&inside);
    let by_id = resource(&inside, &id, &root, "{id}");
    get_by_id(&inside, &id, &by_id, "http://h/{x}");
    let target = format!("/restapis/{id}/resources/{by_id}");
    let plain = inside.client.expect(200, "GET", &target, "");
    assert_eq!(plain.body["resourceMethods"], json!({"GET": {}}));
    assert_eq!((plain.text("parentId"), plain.text("path")), (root, "/{id}".to_owned()));
    let full = inside.client.expect(200, "GET", &format!("/restapis/{id}/resources?embed=methods"), "");
    let items = full.body["item"].as_array().expect("items");
    let child = items.iter().find(|item| item["path"] == "/{id}").expect("the child");
    let integration = &child["resourceMethods"]["GET"]["methodIntegration"];
    assert_eq!(integration["type"], "HTTP_PROXY");
    assert_eq!(integration["requestParameters"]["integration.request.path.x"], "method.request.path.id");
}

#[test]
fn deleting_a_resource_takes_those_below() {
    let (_dir, inside) = start();
    let (id, root) = api(&inside);
    let a = resource(&inside, &id, &root, "a");
    let ab = resource(&inside, &id, &root, "ab");
    let below = resource(&inside, &id, &a, "x");
    let base = format!("/restapis/{id}/resources");
    inside.client.expect(202, "DELETE", &format!("{base}/{a}"), "");
    inside.client.expect(404, "GET", &format!("{base}/{below}"), "");
    inside.client.expect(200, "GET", &format!("{base}/{ab}"), "");
    inside.client.refused(400, "BadRequestException", "root", "DELETE", &format!("{base}/{root}"), "");
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let (_dir, inside) = start();
    let (id, root) = api(&inside);
    let pets = resource(&inside, &id, &root, "pets");
    let by_id = resource(&inside, &id, &pets, "{id}");
    let greedy = resource(&inside, &id, &root, "{rest+}");
    get_by_id(&inside, &id, &by_id, "http://h/{x}");
    let at = |resource: &str| format!("/restapis/{id}/resources/{resource}");
    let method = |name: &str| format!("{}/methods/{name}", at(&by_id));
    let integration = format!("{}/integration", method("GET"));
    let http = |rest: &str| format!(r#"{{"type":"HTTP_PROXY","httpMethod":"GET",{rest}}}"#);
    let bad = "BadRequestException";
    let conflict = "ConflictException";
    let table: Vec<(u16, &str, &str, &str, String, String)> = vec![
        (400, bad, "name is required", "POST", "/restapis".to_owned(), "{}".to_owned()),
        (
            400,
            bad,
            "Invalid policy document",
            "POST",
            "/restapis".to_owned(),
            r#"{"name":"a","policy":"{}"}"#.to_owned(),
        ),
        (400, bad, "path part", "POST", at(&root), r#"{"pathPart":"a/b"}"#.to_owned()),
        (409, conflict, "already has this name", "POST", at(&root), r#"{"pathPart":"pets"}"#.to_owned()),
        (400, bad, "only one is allowed", "POST", at(&pets), r#"{"pathPart":"{name}"}"#.to_owned()),
        (400, bad, "only one is allowed", "POST", at(&root), r#"{"pathPart":"{id}"}"#.to_owned()),
        (400, bad, "greedy", "POST", at(&greedy), r#"{"pathPart":"x"}"#.to_owned()),
        (400, bad, "variable of the name", "POST", at(&by_id), r#"{"pathPart":"{id+}"}"#.to_owned()),
        (404, "NotFoundException", "Resource", "POST", at("none"), r#"{"pathPart":"x"}"#.to_owned()),
        (
            409,
            conflict,
            "Method already exists",
            "PUT",
            method("GET"),
            r#"{"authorizationType":"NONE"}"#.to_owned(),
        ),
        (400, bad, "Invalid HttpMethod", "PUT", method("get"), r#"{"authorizationType":"NONE"}"#.to_owned()),
        (400, bad, "authorizationType is required", "PUT", method("PUT"), "{}".to_owned()),
        (
            400,
            bad,
            "mapping expression",
            "PUT",
            method("PUT"),
            r#"{"authorizationType":"NONE","requestParameters":{"x":true}}"#.to_owned(),
        ),
        (
            404,
            "NotFoundException",
            "Method",
            "PUT",
            format!("{}/integration", method("PUT")),
            "{}".to_owned(),
        ),
        (400, bad, "type is required", "PUT", integration.clone(), "{}".to_owned()),
        (
            400,
            bad,
            "HttpMethod must be non-empty",
            "PUT",
            integration.clone(),
            r#"{"type":"HTTP_PROXY","uri":"http://h"}"#.to_owned(),
        ),
        (400, bad, "uri is required", "PUT", integration.clone(), http(r#""timeoutInMillis":50"#)),
        (
            400,
            bad,
            "50 to 29000",
            "PUT",
            integration.clone(),
            http(r#""uri":"http://h","timeoutInMillis":30000"#),
        ),
        (400, bad, "{y}", "PUT", integration.clone(), http(r#""uri":"http://h/{y}""#)),
        (
            400,
            bad,
            "parameter specified: method.request.path.other",
            "PUT",
            integration.clone(),
            http(
                r#""uri":"http://h/{y}","requestParameters":{"integration.request.path.y":"method.request.path.other"}"#,
            ),
        ),
        (
            400,
            bad,
            "parameter specified: method.request.header.h",
            "PUT",
            integration.clone(),
            http(
                r#""uri":"http://h","requestParameters":{"integration.request.header.h":"method.request.header.h"}"#,
            ),
        ),
        (
            400,
            bad,
            "VPC_LINK",
            "PUT",
            integration.clone(),
            http(r#""uri":"http://h","connectionType":"VPC_LINK""#),
        ),
        (400, bad, "Invalid ARN", "PUT", integration.clone(), http(r#""uri":"http://h","credentials":"me""#)),
        (
            400,
            bad,
            "stageName must be provided for canary deployment",
            "POST",
            format!("/restapis/{id}/deployments"),
            r#"{"canarySettings":{"percentTraffic":1}}"#.to_owned(),
        ),
        (
            404,
            "NotFoundException",
            "Deployment",
            "POST",
            format!("/restapis/{id}/stages"),
            r#"{"stageName":"x","deploymentId":"none"}"#.to_owned(),
        ),
        (400, bad, "limit", "GET", "/restapis?limit=501".to_owned(), String::new()),
    ];
    for (status, error, text, method, target, body) in table {
        inside.client.refused(status, error, text, method, &target, &body);
    }
    let quota = inside.client.expect(200, "GET", &format!("/restapis/{id}/resources?limit=2"), "");
    assert_eq!(quota.body["item"].as_array().map(Vec::len), Some(2));
    assert!(quota.body["position"].is_string());
}

#[test]
fn a_quota_is_aws_limit_exceeded() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut settings = settings(dir.path().join("data"));
    settings.quotas.resources_per_api_max = 1;
    let inside = Inside::start(settings);
    let (id, root) = api(&inside);
    let target = format!("/restapis/{id}/resources/{root}");
    let error = "LimitExceededException";
    inside.client.refused(429, error, "resources_per_api_max", "POST", &target, r#"{"pathPart":"x"}"#);
}

#[test]
fn a_path_has_as_many_variables_as_a_gateway_can_route() {
    let (_dir, inside) = start();
    let api = inside.client.expect(201, "POST", "/restapis", r#"{"name":"a"}"#);
    let (id, mut parent) = (api.text("id"), api.text("rootResourceId"));
    let target = |parent: &str| format!("/restapis/{id}/resources/{parent}");
    for n in 0..turnpike_snapshot::VARIABLES_PER_ROUTE_MAX {
        let body = format!(r#"{{"pathPart":"{{v{n}}}"}}"#);
        parent = inside.client.expect(201, "POST", &target(&parent), &body).text("id");
    }
    inside.client.expect(201, "POST", &target(&parent), r#"{"pathPart":"x"}"#);
    let (bad, named) = ("BadRequestException", "already has 25 variables");
    for part in ["{one}", "{rest+}"] {
        let body = format!(r#"{{"pathPart":"{part}"}}"#);
        inside.client.refused(400, bad, named, "POST", &target(&parent), &body);
    }
}
