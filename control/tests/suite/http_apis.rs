//! HTTP and WebSocket APIs themselves: quick create, CORS, what deployments follow, restarts.

use serde_json::{Value, json};
use turnpike_snapshot::{Protocol, TargetPart};

use crate::support::http::{
    BAD, MISSING, api, change, kind, make, proxy, quick, read, refused, route, start, websocket,
};
use crate::support::inside::{Inside, settings};

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
fn websocket_apis_are_told_the_port_of_tls() {
    let (_dir, inside) = start();
    let id = websocket(&inside);
    let endpoint = || read(&inside.client, &format!("/v2/apis/{id}"))["apiEndpoint"].clone();
    let at = |origin: &str, port: u16| {
        Value::from(format!("{origin}://{id}.execute-api.us-east-1.localhost:{port}"))
    };
    assert_eq!(endpoint(), at("wss", 8443));
    inside.control.set_endpoint_ports(81, Some(444));
    assert_eq!(endpoint(), at("wss", 444));
    inside.control.set_endpoint_ports(81, None);
    assert_eq!(endpoint(), at("ws", 81), "without TLS there is no wss");
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

/// A target that is a function makes an integration of functions, which no gateway runs: the route is refused.
#[test]
fn quick_create_of_a_function() {
    let (_dir, inside) = start();
    let function = "arn:aws:lambda:us-east-1:000000000000:function:hello";
    let role = "arn:aws:iam::000000000000:role/invoke";
    let body = json!({
        "name": "f", "protocolType": "HTTP", "target": function, "routeKey": "POST /f", "credentialsArn": role,
    });
    let id = make(&inside.client, "/v2/apis", &body).text("apiId");
    let integrations = read(&inside.client, &format!("/v2/apis/{id}/integrations"));
    let made = &integrations["items"][0];
    assert_eq!(made["integrationType"], "AWS_PROXY");
    assert_eq!(made["payloadFormatVersion"], "2.0");
    assert_eq!((&made["integrationUri"], &made["integrationMethod"]), (&json!(function), &json!("POST")));
    assert_eq!(made["credentialsArn"], role);
    let unit = inside.stage(&id, "$default");
    assert_eq!((unit.routes[0].method.as_str(), unit.routes[0].path.as_str()), ("POST", "/f"));
    assert!(format!("{:?}", kind(&unit, 0)).contains("AWS_PROXY"), "{unit:?}");

    change(&inside.client, &format!("/v2/apis/{id}"), &json!({"target": "http://h:1/x"}));
    assert_eq!(proxy(&inside.stage(&id, "$default"), 0).port, 1);
}

#[test]
fn cors_is_kept_checked_and_deleted() {
    let (_dir, inside) = start();
    let cors = json!({
        "allowCredentials": true, "allowHeaders": ["x-a", "*"], "allowMethods": ["GET", "*"],
        "allowOrigins": ["https://a.example", "http://localhost:3000"], "exposeHeaders": ["date"], "maxAge": -1,
    });
    let body = json!({"name": "c", "protocolType": "HTTP", "target": "http://h", "corsConfiguration": cors});
    let made = make(&inside.client, "/v2/apis", &body);
    assert_eq!(made.body["corsConfiguration"], cors);
    let target = format!("/v2/apis/{}", made.text("apiId"));
    let deployment = || read(&inside.client, &format!("{target}/stages/%24default"))["deploymentId"].clone();
    let before = deployment();
    let less = json!({"corsConfiguration": {"allowOrigins": ["*"], "allowHeaders": []}});
    assert_eq!(change(&inside.client, &target, &less)["corsConfiguration"], json!({"allowOrigins": ["*"]}));
    assert_ne!(deployment(), before, "CORS is a deployment's");
    refused(
        &inside.client,
        "PATCH",
        &target,
        &[
            (
                400,
                BAD,
                "allow-credentials",
                json!({"corsConfiguration": {"allowCredentials": true, "allowOrigins": ["*"]}}),
            ),
            (400, BAD, "allowMethods takes", json!({"corsConfiguration": {"allowMethods": ["ANY"]}})),
            (
                400,
                BAD,
                "Invalid format for origin a.example",
                json!({"corsConfiguration": {"allowOrigins": ["a.example"]}}),
            ),
            (400, BAD, "from -1 to 86400", json!({"corsConfiguration": {"maxAge": 86_401}})),
            (400, "SerializationException", "corsConfiguration.x", json!({"corsConfiguration": {"x": 1}})),
        ],
    );
    assert_eq!(read(&inside.client, &target)["corsConfiguration"], json!({"allowOrigins": ["*"]}));
    for _ in 0..2 {
        inside.client.expect(204, "DELETE", &format!("{target}/cors"), "");
        assert_eq!(read(&inside.client, &target)["corsConfiguration"], Value::Null);
    }
}

#[test]
fn websocket_apis_are_kept_and_not_served() {
    let (_dir, inside) = start();
    let body = json!({
        "name": "w", "protocolType": "WEBSOCKET", "routeSelectionExpression": "${request.body.action}",
        "apiKeySelectionExpression": "$context.authorizer.usageIdentifierKey", "disableSchemaValidation": true,
        "ipAddressType": "dualstack",
    });
    let made = make(&inside.client, "/v2/apis", &body);
    let id = made.text("apiId");
    assert_eq!(made.text("apiEndpoint"), format!("wss://{id}.execute-api.us-east-1.localhost:8443"));
    for (member, value) in body.as_object().expect("an object") {
        assert_eq!(made.body[member], *value, "{member}");
    }
    assert_eq!(read(&inside.client, &format!("/v2/apis/{id}")), made.body);

    let base = format!("/v2/apis/{id}");
    let target = make(&inside.client, &format!("{base}/integrations"), &json!({"integrationType": "MOCK"}));
    route(&inside, &id, "$connect", &target.text("integrationId"));
    let deployment = make(&inside.client, &format!("{base}/deployments"), &json!({})).text("deploymentId");
    let stage = json!({"stageName": "dev", "deploymentId": deployment});
    make(&inside.client, &format!("{base}/stages"), &stage);
    assert_eq!(inside.stages(), [], "gateways have no WebSocket APIs");
    let automatic = json!({"stageName": "auto", "autoDeploy": true});
    make(&inside.client, &format!("{base}/stages"), &automatic);
    let automatic = read(&inside.client, &format!("{base}/stages/auto"));
    assert!(automatic["deploymentId"].is_string(), "{automatic}");
    let changed = change(&inside.client, &base, &json!({"routeSelectionExpression": "$request.body.kind"}));
    assert_eq!(changed["routeSelectionExpression"], "$request.body.kind");
    inside.client.expect(204, "DELETE", &base, "");
    inside.client.refused(404, MISSING, &id, "GET", &base, "");
}

#[test]
fn updates_change_what_they_name() {
    let (_dir, inside) = start();
    let body = json!({"name": "a", "protocolType": "HTTP", "description": "d", "version": "1"});
    let made = make(&inside.client, "/v2/apis", &body);
    let target = format!("/v2/apis/{}", made.text("apiId"));
    let changed = change(
        &inside.client,
        &target,
        &json!({"name": "b", "description": "", "ipAddressType": "dualstack"}),
    );
    assert_eq!((&changed["name"], &changed["version"]), (&json!("b"), &json!("1")));
    assert_eq!((&changed["description"], &changed["ipAddressType"]), (&Value::Null, &json!("dualstack")));
    assert_eq!(change(&inside.client, &target, &json!({})), changed);
    assert_eq!(read(&inside.client, &target), changed);
}

#[test]
fn what_an_api_cannot_be_is_refused_by_name() {
    let (_dir, inside) = start();
    let http = |rest: Value| merged(json!({"name": "a", "protocolType": "HTTP"}), rest);
    let socket = |rest: Value| merged(json!({"name": "a", "protocolType": "WEBSOCKET"}), rest);
    let selection = json!({"routeSelectionExpression": "$request.body.x"});
    let selected = |rest: Value| socket(merged(selection.clone(), rest));
    refused(
        &inside.client,
        "POST",
        "/v2/apis",
        &[
            (400, BAD, "name is required", json!({"protocolType": "HTTP"})),
            (400, BAD, "Must be one of [HTTP, WEBSOCKET]", json!({"name": "a", "protocolType": "REST"})),
            (400, BAD, "needs a target", http(json!({"routeKey": "GET /"}))),
            (
                400,
                BAD,
                "credentialsArn is for quick create",
                http(json!({"credentialsArn": "arn:aws:iam::1:role/x"})),
            ),
            (400, BAD, "has to begin with http:// or https://", http(json!({"target": "ftp://h"}))),
            (400, BAD, "arn:aws:lambda", http(json!({"target": "arn:aws:lambda:x"}))),
            (400, BAD, "route key", http(json!({"target": "http://h", "routeKey": "$connect"}))),
            (400, BAD, "for HTTP APIs", http(selection.clone())),
            (
                400,
                BAD,
                "disableSchemaValidation is not supported on",
                http(json!({"disableSchemaValidation": true})),
            ),
            (400, BAD, "ipAddressType", http(json!({"ipAddressType": "ipv6"}))),
            (
                400,
                BAD,
                "apiKeySelectionExpression",
                http(json!({"apiKeySelectionExpression": "$request.header.x"})),
            ),
            (400, BAD, "routeSelectionExpression is required", socket(json!({}))),
            (
                400,
                BAD,
                "Invalid selection",
                socket(json!({"routeSelectionExpression": "$request.method $request.path"})),
            ),
            (
                400,
                BAD,
                "corsConfiguration is not supported on",
                selected(json!({"corsConfiguration": {"maxAge": 1}})),
            ),
            (400, BAD, "Quick create", selected(json!({"target": "http://h"}))),
            (400, "SerializationException", "'nmae'", http(json!({"nmae": "a"}))),
        ],
    );
    inside.client.refused(400, "SerializationException", "JSON", "POST", "/v2/apis", r#"{"name":"#);
    inside.client.refused(400, BAD, "maxResults", "GET", "/v2/apis?maxResults=x", "");
    inside.client.refused(400, BAD, "nextToken", "GET", "/v2/apis?nextToken=zz", "");
    assert_eq!(read(&inside.client, "/v2/apis")["items"], json!([]));
}

fn merged(mut into: Value, from: Value) -> Value {
    let (Value::Object(into_map), Value::Object(from)) = (&mut into, from) else { panic!("objects") };
    into_map.extend(from);
    into
}

#[test]
fn status_names_what_does_nothing_yet() {
    let (_dir, inside) = start();
    let cors = json!({"name": "c", "protocolType": "HTTP", "corsConfiguration": {"allowOrigins": ["*"]}});
    let cors = make(&inside.client, "/v2/apis", &cors).text("apiId");
    let socket = websocket(&inside);
    change(&inside.client, &format!("/v2/apis/{socket}"), &json!({"disableSchemaValidation": true}));
    let stage = json!({
        "stageName": "dev",
        "defaultRouteSettings": {"loggingLevel": "INFO", "detailedMetricsEnabled": true, "throttlingBurstLimit": 5},
    });
    make(&inside.client, &format!("/v2/apis/{socket}/stages"), &stage);
    let status = read(&inside.client, "/_turnpike/status");
    let named: Vec<(&str, &str)> = status["unenforced"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| (one["api_id"].as_str().expect("an API"), one["setting"].as_str().expect("a setting")))
        .collect();
    for wanted in [
        (cors.as_str(), "corsConfiguration"),
        (&socket, "protocolType WEBSOCKET"),
        (&socket, "disableSchemaValidation"),
        (&socket, "route settings: detailedMetricsEnabled"),
        (&socket, "route settings: loggingLevel, dataTraceEnabled"),
    ] {
        assert!(named.contains(&wanted), "{wanted:?} in {named:?}");
    }
}
