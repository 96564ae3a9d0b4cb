//! HTTP APIs through the management API, up to the units that come of it.

use crate::support::inside::{Inside, settings};
use serde_json::{Value, json};
use turnpike_snapshot::{HttpProxy, Protocol, StageUnit, TargetPart};

fn start() -> (tempfile::TempDir, Inside) {
    let dir = tempfile::tempdir().expect("a directory");
    let inside = Inside::start(settings(dir.path().join("data")));
    (dir, inside)
}

/// A new API without anything in it.
fn api(inside: &Inside) -> String {
    let body = r#"{"name":"a","protocolType":"HTTP"}"#;
    inside.client.expect(201, "POST", "/v2/apis", body).text("apiId")
}

fn quick(inside: &Inside) -> String {
    let body = r#"{"name":"a","protocolType":"HTTP","target":"http://127.0.0.1:3000"}"#;
    inside.client.expect(201, "POST", "/v2/apis", body).text("apiId")
}

fn integration(inside: &Inside, api: &str, uri: &str) -> String {
    let body = json!({"integrationType": "HTTP_PROXY", "integrationMethod": "ANY", "integrationUri": uri});
    let target = format!("/v2/apis/{api}/integrations");
    inside.client.expect(201, "POST", &target, &body.to_string()).text("integrationId")
}

fn route(inside: &Inside, api: &str, key: &str, integration: &str) -> String {
    let body = json!({"routeKey": key, "target": format!("integrations/{integration}")});
    inside.client.expect(201, "POST", &format!("/v2/apis/{api}/routes"), &body.to_string()).text("routeId")
}

fn proxy(unit: &StageUnit, route: usize) -> &HttpProxy {
    unit.integrations[unit.routes[route].integration as usize].kind.proxy().expect("a proxy")
}

#[test]
fn quick_create_serves_at_once() {
    let (_dir, inside) = start();
    let body =
        r#"{"name":"first","protocolType":"HTTP","target":"http://127.0.0.1:3000/base/","tags":{"a":"b"}}"#;
    let made = inside.client.expect(201, "POST", "/v2/apis", body);
    let id = made.text("apiId");
    assert_eq!(made.text("apiEndpoint"), format!("http://{id}.execute-api.us-east-1.localhost:8080"));
    assert_eq!((made.body["name"].as_str(), made.body["tags"]["a"].as_str()), (Some("first"), Some("b")));
    assert_eq!(made.header("content-type"), Some("application/json"));
    assert!(made.text("createdDate").ends_with('Z'));

    let unit = inside.stage(&id, "$default");
    assert_eq!(unit.protocol, Protocol::Http);
    assert_eq!((unit.routes[0].method.as_str(), unit.routes[0].path.as_str()), ("ANY", "$default"));
    assert_eq!((proxy(&unit, 0).host.as_str(), proxy(&unit, 0).port), ("127.0.0.1", 3000));
    assert_eq!(proxy(&unit, 0).target, [TargetPart::Literal("/base".to_owned()), TargetPart::RequestPath]);

    for part in ["routes", "integrations", "stages"] {
        let list = inside.client.expect(200, "GET", &format!("/v2/apis/{id}/{part}"), "");
        assert_eq!(list.body["items"].as_array().map(Vec::len), Some(1), "{part}");
        assert_eq!(list.body["items"][0]["apiGatewayManaged"], Value::Bool(true), "{part}");
    }
    let stage = inside.client.expect(200, "GET", &format!("/v2/apis/{id}/stages/%24default"), "");
    assert_eq!(stage.text("deploymentId"), unit.deployment_id);
}

#[test]
fn what_quick_create_made_follows_the_api() {
    let (_dir, inside) = start();
    let id = quick(&inside);
    let target = format!("/v2/apis/{id}");
    let body = r#"{"target":"http://10.0.0.1/x","routeKey":"GET /pets","description":"d"}"#;
    assert_eq!(inside.client.expect(200, "PATCH", &target, body).text("description"), "d");
    let unit = inside.stage(&id, "$default");
    assert_eq!((unit.routes[0].method.as_str(), unit.routes[0].path.as_str()), ("GET", "/pets"));
    assert_eq!(proxy(&unit, 0).target, [TargetPart::Literal("/x".to_owned())]);

    inside.client.expect(200, "PATCH", &target, r#"{"disableExecuteApiEndpoint":true}"#);
    assert!(inside.stage(&id, "$default").execute_api_endpoint_disabled);

    let integration = inside.client.expect(200, "GET", &format!("{target}/integrations"), "");
    let integration = integration.body["items"][0]["integrationId"].as_str().expect("an id").to_owned();
    let managed = "quick create";
    let bad = "BadRequestException";
    inside.client.refused(400, bad, managed, "DELETE", &format!("{target}/integrations/{integration}"), "");
    inside.client.refused(400, bad, managed, "DELETE", &format!("{target}/stages/%24default"), "");
    let plain = api(&inside);
    let body = r#"{"target":"http://h"}"#;
    inside.client.refused(400, bad, "quick-created", "PATCH", &format!("/v2/apis/{plain}"), body);
}

#[test]
fn deleting_an_api_takes_everything_with_it() {
    let (_dir, inside) = start();
    let (kept, gone) = (quick(&inside), quick(&inside));
    assert_eq!(inside.client.expect(204, "DELETE", &format!("/v2/apis/{gone}"), "").body, Value::Null);
    let left: Vec<String> = inside.stages().into_iter().map(|stage| stage.api_id).collect();
    assert_eq!(left, [kept]);
    inside.client.refused(404, "NotFoundException", &gone, "GET", &format!("/v2/apis/{gone}/routes"), "");
}

#[test]
fn a_change_moves_one_unit() {
    let (_dir, inside) = start();
    let (changed, _other) = (quick(&inside), quick(&inside));
    let before = inside.root();
    inside.client.expect(200, "PATCH", &format!("/v2/apis/{changed}"), r#"{"target":"http://h:1"}"#);
    let after = inside.root();
    assert_eq!(after.version, before.version + 1);
    let moved = after.units.iter().filter(|unit| !before.units.contains(unit)).count();
    assert_eq!((after.units.len(), moved), (before.units.len(), 1));

    inside.client.expect(
        200,
        "PATCH",
        &format!("/v2/apis/{changed}"),
        r#"{"description":"no unit says so"}"#,
    );
    assert_eq!(inside.root(), after);
}

#[test]
fn explicit_deployments_freeze_the_api() {
    let (_dir, inside) = start();
    let id = api(&inside);
    let base = format!("/v2/apis/{id}");
    let uri = integration(&inside, &id, "http://${stageVariables.host}/pets/{id}");
    let bad = "BadRequestException";
    let deploy = |body: &str| inside.client.call("POST", &format!("{base}/deployments"), body);
    assert!(deploy("{}").message().contains("At least one route"));
    let pets = route(&inside, &id, "GET /pets/{id}", &uri);
    let deployment = deploy(r#"{"description":"one"}"#).text("deploymentId");

    let stage = |body: Value| body.to_string();
    let without = stage(json!({"stageName": "dev", "deploymentId": deployment}));
    inside.client.refused(400, bad, "'host'", "POST", &format!("{base}/stages"), &without);
    let version = inside.root().version;
    inside.client.refused(404, "NotFoundException", "stage", "GET", &format!("{base}/stages/dev"), "");

    let with = stage(
        json!({"stageName": "dev", "deploymentId": deployment, "stageVariables": {"host": "10.0.0.1:81"}}),
    );
    inside.client.expect(201, "POST", &format!("{base}/stages"), &with);
    assert_eq!(inside.root().version, version + 1);
    let unit = inside.stage(&id, "dev");
    assert_eq!((proxy(&unit, 0).host.as_str(), proxy(&unit, 0).port), ("10.0.0.1", 81));

    inside.client.expect(204, "DELETE", &format!("{base}/routes/{pets}"), "");
    assert_eq!(inside.stage(&id, "dev"), unit, "a stage serves its deployment, not the API");
    let in_use = format!("{base}/deployments/{deployment}");
    inside.client.refused(400, bad, "dev", "DELETE", &in_use, "");

    route(&inside, &id, "GET /cats/{id}", &uri);
    let second = deploy(r#"{"stageName":"dev"}"#).text("deploymentId");
    assert_eq!(inside.stage(&id, "dev").routes[0].path, "/cats/{id}");
    let back = json!({"deploymentId": deployment}).to_string();
    inside.client.expect(200, "PATCH", &format!("{base}/stages/dev"), &back);
    assert_eq!(inside.stage(&id, "dev"), unit, "a rollback is the same unit");
    inside.client.expect(204, "DELETE", &format!("{base}/deployments/{second}"), "");

    inside.client.refused(
        400,
        bad,
        "'host'",
        "PATCH",
        &format!("{base}/stages/dev"),
        r#"{"stageVariables":{"host":""}}"#,
    );
    assert_eq!(inside.stage(&id, "dev"), unit, "what was refused has changed nothing");
    inside.client.expect(204, "DELETE", &format!("{base}/stages/dev"), "");
    assert_eq!(inside.stages(), []);
}

#[test]
fn automatic_stages_follow_each_change() {
    let (_dir, inside) = start();
    let id = api(&inside);
    let base = format!("/v2/apis/{id}");
    let made = inside.client.expect(
        201,
        "POST",
        &format!("{base}/stages"),
        r#"{"stageName":"$default","autoDeploy":true}"#,
    );
    assert_eq!(made.body["autoDeploy"], Value::Bool(true));
    assert_eq!(inside.stages(), [], "nothing to serve yet");
    let target = integration(&inside, &id, "http://h/x");
    let first = route(&inside, &id, "GET /a", &target);
    route(&inside, &id, "GET /b", &target);
    assert_eq!(inside.stage(&id, "$default").routes.len(), 2);
    inside.client.expect(204, "DELETE", &format!("{base}/routes/{first}"), "");
    assert_eq!(inside.stage(&id, "$default").routes.len(), 1);

    let body = r#"{"routeKey":"GET /later"}"#;
    inside.client.expect(201, "POST", &format!("{base}/routes"), body);
    assert_eq!(inside.stage(&id, "$default").routes.len(), 1, "not without an integration");
    let stage = inside.client.expect(200, "GET", &format!("{base}/stages/%24default"), "");
    assert!(stage.text("lastDeploymentStatusMessage").contains("GET /later"));

    let update = json!({"deploymentId": stage.text("deploymentId")}).to_string();
    inside.client.refused(
        400,
        "BadRequestException",
        "autoDeploy",
        "PATCH",
        &format!("{base}/stages/%24default"),
        &update,
    );
    let version = inside.root().version;
    let broken = json!({"integrationUri": "http://${stageVariables.missing}/"}).to_string();
    inside.client.refused(
        400,
        "BadRequestException",
        "'missing'",
        "PATCH",
        &format!("{base}/integrations/{target}"),
        &broken,
    );
    assert_eq!(inside.root().version, version);
}

#[test]
fn old_automatic_deployments_go() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut settings = settings(dir.path().join("data"));
    settings.quotas.auto_deployments_kept = 2;
    let inside = Inside::start(settings);
    let id = quick(&inside);
    for port in 1..8 {
        let body = json!({"target": format!("http://h:{port}")}).to_string();
        inside.client.expect(200, "PATCH", &format!("/v2/apis/{id}"), &body);
    }
    let list = inside.client.expect(200, "GET", &format!("/v2/apis/{id}/deployments"), "");
    assert_eq!(list.body["items"].as_array().map(Vec::len), Some(3), "two, and the one that is served");
}

#[test]
fn access_logs_reach_the_unit() {
    let (_dir, inside) = start();
    let id = quick(&inside);
    let stage = format!("/v2/apis/{id}/stages/%24default");
    let arn = "arn:aws:logs:us-east-1:000000000000:log-group:access";
    let set = |arn: &str, format: &str| {
        json!({"accessLogSettings": {"destinationArn": arn, "format": format}}).to_string()
    };
    inside.client.expect(200, "PATCH", &stage, &set(arn, "$context.requestId $context.status"));
    let log = inside.stage(&id, "$default").access_log.expect("a log");
    assert_eq!(
        (log.destination.as_str(), log.format.as_str()),
        ("access", "$context.requestId $context.status")
    );
    let bad = "BadRequestException";
    inside.client.refused(400, bad, "requestId", "PATCH", &stage, &set(arn, "$context.status"));
    inside.client.refused(400, bad, "destinationArn", "PATCH", &stage, &set("access", "$context.requestId"));
    inside.client.expect(200, "PATCH", &stage, r#"{"accessLogSettings":{}}"#);
    assert_eq!(inside.stage(&id, "$default").access_log, None);
}

/// A gateway takes what is stored here, deployed or not: one that it refused would hold up every later change.
#[test]
fn access_logs_have_the_gateways_limits() {
    let (_dir, inside) = start();
    let (served, waiting) = (quick(&inside), api(&inside));
    let stages = format!("/v2/apis/{waiting}/stages");
    inside.client.expect(201, "POST", &stages, r#"{"stageName":"dev"}"#);
    let arn = |group: &str| format!("arn:aws:logs:us-east-1:000000000000:log-group:{group}");
    let format = |bytes: usize| format!("{:x<bytes$}", "$context.requestId ");
    let set = |group: &str, format: &str| {
        json!({"accessLogSettings": {"destinationArn": arn(group), "format": format}}).to_string()
    };
    for stage in [format!("/v2/apis/{served}/stages/%24default"), format!("{stages}/dev")] {
        inside.client.expect(200, "PATCH", &stage, &set(&"/".repeat(83), &format(3_000)));
        let version = inside.root().version;
        for (body, named) in [
            (set("a", &format(3_001)), "format can have at most 3000"),
            (set("a", &format(2_999).replace("xx", "é!")), "format: access log format"),
            (set("a", "$context.requestId\n"), "format: access log format: a line break after 18 bytes"),
            (set("a", "$context.requestId \u{1b}[2J"), "format: access log format"),
            (set(&"/".repeat(84), "$context.requestId"), "destinationArn: log group (with %2F for '/'): 252"),
            (set("a/../b", "$context.requestId"), "destinationArn: log group"),
        ] {
            inside.client.refused(400, "BadRequestException", named, "PATCH", &stage, &body);
        }
        assert_eq!(inside.root().version, version);
    }
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let (_dir, inside) = start();
    let id = api(&inside);
    let target = integration(&inside, &id, "http://h/x");
    route(&inside, &id, "GET /pets/{id}", &target);
    inside.client.expect(201, "POST", &format!("/v2/apis/{id}/stages"), r#"{"stageName":"dev"}"#);
    let base = format!("/v2/apis/{id}");
    let (routes, integrations, stages) =
        (format!("{base}/routes"), format!("{base}/integrations"), format!("{base}/stages"));
    let http = |rest: &str| format!(r#"{{"integrationType":"HTTP_PROXY","integrationMethod":"GET",{rest}}}"#);
    let bad = "BadRequestException";
    let table: Vec<(u16, &str, &str, &str, &str, String)> = vec![
        (400, bad, "name is required", "POST", "/v2/apis", r#"{"protocolType":"HTTP"}"#.to_owned()),
        (400, bad, "WEBSOCKET", "POST", "/v2/apis", r#"{"name":"a","protocolType":"WEBSOCKET"}"#.to_owned()),
        (
            400,
            bad,
            "corsConfiguration",
            "POST",
            "/v2/apis",
            r#"{"name":"a","protocolType":"HTTP","corsConfiguration":{"maxAge":1}}"#.to_owned(),
        ),
        (
            400,
            bad,
            "needs a target",
            "POST",
            "/v2/apis",
            r#"{"name":"a","protocolType":"HTTP","routeKey":"GET /"}"#.to_owned(),
        ),
        (
            400,
            bad,
            "has to begin with http:// or https://",
            "POST",
            "/v2/apis",
            r#"{"name":"a","protocolType":"HTTP","target":"ftp://h"}"#.to_owned(),
        ),
        (
            400,
            bad,
            "arn:aws:lambda",
            "POST",
            "/v2/apis",
            r#"{"name":"a","protocolType":"HTTP","target":"arn:aws:lambda:x"}"#.to_owned(),
        ),
        (
            400,
            "SerializationException",
            "'nmae'",
            "POST",
            "/v2/apis",
            r#"{"nmae":"a","name":"a","protocolType":"HTTP"}"#.to_owned(),
        ),
        (400, "SerializationException", "JSON", "POST", "/v2/apis", r#"{"name":"#.to_owned()),
        (400, bad, "maxResults", "GET", "/v2/apis?maxResults=x", String::new()),
        (400, bad, "nextToken", "GET", "/v2/apis?nextToken=zz", String::new()),
        (400, bad, "integrationType", "POST", &integrations, "{}".to_owned()),
        (400, bad, "AWS_PROXY", "POST", &integrations, r#"{"integrationType":"AWS_PROXY"}"#.to_owned()),
        (400, bad, "integrationUri", "POST", &integrations, http(r#""description":"d""#)),
        (
            400,
            bad,
            "VPC_LINK",
            "POST",
            &integrations,
            http(r#""integrationUri":"http://h","connectionType":"VPC_LINK""#),
        ),
        (
            400,
            bad,
            "50 to 29000",
            "POST",
            &integrations,
            http(r#""integrationUri":"http://h","timeoutInMillis":49"#),
        ),
        (
            400,
            bad,
            "50 to 29000",
            "POST",
            &integrations,
            http(r#""integrationUri":"http://h","timeoutInMillis":29001"#),
        ),
        (
            400,
            bad,
            "requestParameters",
            "POST",
            &integrations,
            http(r#""integrationUri":"http://h","requestParameters":{"overwrite:path":"/"}"#),
        ),
        (
            400,
            bad,
            "tlsConfig",
            "POST",
            &integrations,
            http(r#""integrationUri":"http://h","tlsConfig":{"serverNameToVerify":"h"}"#),
        ),
        (
            409,
            "ConflictException",
            "already exists",
            "POST",
            &routes,
            r#"{"routeKey":"GET /pets/{id}"}"#.to_owned(),
        ),
        (
            409,
            "ConflictException",
            "same requests",
            "POST",
            &routes,
            r#"{"routeKey":"GET /pets/{name}"}"#.to_owned(),
        ),
        (400, bad, "route key", "POST", &routes, r#"{"routeKey":"$connect"}"#.to_owned()),
        (
            404,
            "NotFoundException",
            "Integration",
            "POST",
            &routes,
            r#"{"routeKey":"GET /x","target":"integrations/none"}"#.to_owned(),
        ),
        (400, bad, "integrations/<", "POST", &routes, r#"{"routeKey":"GET /x","target":"none"}"#.to_owned()),
        (400, bad, "JWT", "POST", &routes, r#"{"routeKey":"GET /x","authorizationType":"JWT"}"#.to_owned()),
        (
            400,
            bad,
            "apiKeyRequired",
            "POST",
            &routes,
            r#"{"routeKey":"GET /x","apiKeyRequired":true}"#.to_owned(),
        ),
        (409, "ConflictException", "dev", "POST", &stages, r#"{"stageName":"dev"}"#.to_owned()),
        (400, bad, "Stage name", "POST", &stages, r#"{"stageName":"a b"}"#.to_owned()),
        (
            404,
            "NotFoundException",
            "Deployment",
            "POST",
            &stages,
            r#"{"stageName":"x","deploymentId":"none"}"#.to_owned(),
        ),
        (
            400,
            bad,
            "routeSettings",
            "POST",
            &stages,
            r#"{"stageName":"x","routeSettings":{"GET /":{"throttlingBurstLimit":1}}}"#.to_owned(),
        ),
        (
            400,
            bad,
            "Stage variable names",
            "POST",
            &stages,
            r#"{"stageName":"x","stageVariables":{"a-b":"c"}}"#.to_owned(),
        ),
    ];
    let version = inside.root().version;
    for (status, error, text, method, target, body) in table {
        inside.client.refused(status, error, text, method, target, &body);
    }
    let used = format!("{integrations}/{target}");
    inside.client.refused(409, "ConflictException", "GET /pets/{id}", "DELETE", &used, "");
    for part in ["routes", "integrations", "stages", "deployments"] {
        let target = format!("{base}/{part}/none");
        inside.client.refused(404, "NotFoundException", "none", "GET", &target, "");
        inside.client.refused(404, "NotFoundException", "none", "DELETE", &target, "");
    }
    assert_eq!(inside.root().version, version);
}

#[test]
fn lists_come_in_pages() {
    let (_dir, inside) = start();
    let mut made: Vec<String> = (0..5).map(|_| api(&inside)).collect();
    made.sort();
    let mut found = Vec::new();
    let mut target = "/v2/apis?maxResults=2".to_owned();
    loop {
        let page = inside.client.expect(200, "GET", &target, "");
        let items = page.body["items"].as_array().expect("items");
        found.extend(items.iter().map(|item| item["apiId"].as_str().expect("an id").to_owned()));
        let Some(token) = page.body["nextToken"].as_str() else { break };
        target = format!("/v2/apis?maxResults=2&nextToken={token}");
    }
    assert_eq!(found, made);
}

#[test]
fn quotas_hold_and_name_their_setting() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut settings = settings(dir.path().join("data"));
    settings.quotas.apis_max = 1;
    settings.quotas.routes_per_api_max = 1;
    let inside = Inside::start(settings);
    let id = quick(&inside);
    let bad = "BadRequestException";
    inside.client.refused(400, bad, "apis_max", "POST", "/v2/apis", r#"{"name":"b","protocolType":"HTTP"}"#);
    let routes = format!("/v2/apis/{id}/routes");
    inside.client.refused(400, bad, "routes_per_api_max", "POST", &routes, r#"{"routeKey":"GET /x"}"#);
}

#[test]
fn a_restart_changes_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let inside = Inside::start(settings(dir.path().join("data")));
    let id = quick(&inside);
    let (root, units) = (inside.root(), inside.units());
    drop(inside);
    let inside = Inside::start(settings(dir.path().join("data")));
    assert_eq!((inside.root(), inside.units()), (root, units));
    inside.client.expect(200, "GET", &format!("/v2/apis/{id}"), "");
}

#[test]
fn a_new_region_is_published() {
    let dir = tempfile::tempdir().expect("a directory");
    drop(Inside::start(settings(dir.path().join("data"))));
    let mut settings = settings(dir.path().join("data"));
    settings.account.endpoint_suffix = "gateway.test".to_owned();
    let inside = Inside::start(settings);
    assert_eq!(inside.root().version, 2);
}
