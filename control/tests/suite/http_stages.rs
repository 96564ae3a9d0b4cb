//! Stages and deployments of HTTP and WebSocket APIs, with access logs and settings of routes.

use serde_json::{Value, json};

use crate::support::http::{
    BAD, CONFLICT, MISSING, api, change, integration, make, proxy, quick, read, refused, route, start,
    websocket,
};
use crate::support::inside::{Inside, settings};

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
fn access_logs_are_deleted_by_themselves() {
    let (_dir, inside) = start();
    let id = quick(&inside);
    let stage = format!("/v2/apis/{id}/stages/%24default");
    let arn = "arn:aws:logs:us-east-1:000000000000:log-group:access";
    let set = json!({"accessLogSettings": {"destinationArn": arn, "format": "$context.requestId"}});
    change(&inside.client, &stage, &set);
    assert!(inside.stage(&id, "$default").access_log.is_some());
    inside.client.expect(204, "DELETE", &format!("{stage}/accesslogsettings"), "");
    assert_eq!(inside.stage(&id, "$default").access_log, None);
    assert_eq!(read(&inside.client, &stage)["accessLogSettings"], Value::Null);
    let missing = format!("/v2/apis/{id}/stages/none/accesslogsettings");
    inside.client.refused(404, MISSING, "none", "DELETE", &missing, "");
}

/// Settings stay when their routes go, and count.
#[test]
fn route_settings_are_limited_however_they_come() {
    let (_dir, inside) = start();
    let document = |first: u16, count: u16| {
        let paths: Value = (first..first + count).map(|n| (format!("/p{n}"), json!({"get": {}}))).collect();
        let document = json!({"openapi": "3.0.1", "info": {"title": "many", "version": "1"}, "paths": paths});
        json!({"body": document.to_string()}).to_string()
    };
    let settings = |first: u16, count: u16| {
        let each = (first..first + count).map(|n| (format!("GET /p{n}"), json!({"throttlingRateLimit": n})));
        json!({"routeSettings": each.collect::<Value>()}).to_string()
    };
    let id = inside.client.expect(201, "PUT", "/v2/apis", &document(0, 300)).text("apiId");
    let stage = format!("/v2/apis/{id}/stages/prod");
    make(&inside.client, &format!("/v2/apis/{id}/stages"), &json!({"stageName": "prod"}));
    inside.client.expect(200, "PATCH", &stage, &settings(0, 300));
    inside.client.expect(201, "PUT", &format!("/v2/apis/{id}"), &document(300, 1));
    inside.client.refused(400, BAD, "at most 300 entries", "PATCH", &stage, &settings(300, 1));
    let gone = format!("{stage}/routesettings/GET%20%2Fp0");
    inside.client.expect(204, "DELETE", &gone, "");
    inside.client.expect(200, "PATCH", &stage, &settings(300, 1));
}

#[test]
fn route_settings_are_merged_and_deleted() {
    let (_dir, inside) = start();
    let id = quick(&inside);
    let target = integration(&inside, &id, "http://h/x");
    route(&inside, &id, "GET /pets/{id}", &target);
    let stage = format!("/v2/apis/{id}/stages/%24default");
    assert_eq!(
        read(&inside.client, &stage)["defaultRouteSettings"],
        json!({"detailedMetricsEnabled": false})
    );
    let settings = json!({
        "defaultRouteSettings": {"throttlingBurstLimit": 10, "throttlingRateLimit": 2.5},
        "routeSettings": {"GET /pets/{id}": {"throttlingBurstLimit": 1}},
    });
    change(&inside.client, &stage, &settings);
    let more = json!({
        "defaultRouteSettings": {"detailedMetricsEnabled": true, "throttlingBurstLimit": 0},
        "routeSettings": {"GET /pets/{id}": {"throttlingRateLimit": 3}, "$default": {"detailedMetricsEnabled": true}},
    });
    let told = change(&inside.client, &stage, &more);
    let default =
        json!({"detailedMetricsEnabled": true, "throttlingBurstLimit": 0, "throttlingRateLimit": 2.5});
    assert_eq!(told["defaultRouteSettings"], default);
    let of_pets = json!({"throttlingBurstLimit": 1, "throttlingRateLimit": 3.0});
    assert_eq!(
        told["routeSettings"],
        json!({
            "GET /pets/{id}": of_pets, "$default": {"detailedMetricsEnabled": true},
        })
    );
    assert_eq!(read(&inside.client, &stage)["routeSettings"], told["routeSettings"]);

    let of_route = format!("{stage}/routesettings/GET%20%2Fpets%2F%7Bid%7D");
    inside.client.expect(204, "DELETE", &of_route, "");
    inside.client.refused(404, MISSING, "GET /pets/{id}", "DELETE", &of_route, "");
    assert_eq!(
        read(&inside.client, &stage)["routeSettings"],
        json!({"$default": {"detailedMetricsEnabled": true}})
    );
    refused(
        &inside.client,
        "PATCH",
        &stage,
        &[
            (
                404,
                MISSING,
                "Unable to find Route by key GET /none",
                json!({"routeSettings": {"GET /none": {}}}),
            ),
            (
                400,
                BAD,
                "Execution logs are not supported",
                json!({"defaultRouteSettings": {"loggingLevel": "INFO"}}),
            ),
            (
                400,
                BAD,
                "Execution logs are not supported",
                json!({"defaultRouteSettings": {"dataTraceEnabled": true}}),
            ),
            (
                400,
                BAD,
                "throttlingBurstLimit has to be",
                json!({"defaultRouteSettings": {"throttlingBurstLimit": -1}}),
            ),
            (
                400,
                BAD,
                "throttlingRateLimit can't be negative",
                json!({"defaultRouteSettings": {"throttlingRateLimit": -0.5}}),
            ),
            (
                400,
                "SerializationException",
                "routeSettings.$default.x",
                json!({"routeSettings": {"$default": {"x": 1}}}),
            ),
            (400, BAD, "clientCertificateId is not supported on", json!({"clientCertificateId": "abc"})),
        ],
    );
}

#[test]
fn stages_of_websocket_apis() {
    let (_dir, inside) = start();
    let id = websocket(&inside);
    let stages = format!("/v2/apis/{id}/stages");
    let made = make(&inside.client, &stages, &json!({"stageName": "dev", "tags": {"a": "b"}}));
    let default = json!({"dataTraceEnabled": false, "detailedMetricsEnabled": false, "loggingLevel": "OFF"});
    assert_eq!(made.body["defaultRouteSettings"], default);
    let stage = format!("{stages}/dev");
    let logs = json!({"defaultRouteSettings": {"loggingLevel": "ERROR", "dataTraceEnabled": true}});
    assert_eq!(change(&inside.client, &stage, &logs)["defaultRouteSettings"]["loggingLevel"], "ERROR");

    let certificate =
        inside.client.expect(201, "POST", "/clientcertificates", "{}").text("clientCertificateId");
    let shown = json!({"clientCertificateId": certificate});
    assert_eq!(change(&inside.client, &stage, &shown)["clientCertificateId"], certificate.as_str());
    let used = format!("/clientcertificates/{certificate}");
    inside.client.refused(400, BAD, "stage dev", "DELETE", &used, "");
    assert_eq!(
        change(&inside.client, &stage, &json!({"clientCertificateId": ""}))["clientCertificateId"],
        Value::Null
    );
    inside.client.expect(202, "DELETE", &used, "");
    refused(
        &inside.client,
        "POST",
        &stages,
        &[
            (400, BAD, "Stage name", json!({"stageName": "$default"})),
            (400, BAD, "client certificate", json!({"stageName": "x", "clientCertificateId": "none"})),
            (
                400,
                BAD,
                "loggingLevel has to be one of",
                json!({"stageName": "x", "defaultRouteSettings": {"loggingLevel": "ALL"}}),
            ),
        ],
    );
    assert!(
        inside
            .client
            .call("POST", &format!("/v2/apis/{id}/deployments"), "{}")
            .message()
            .contains("At least one route")
    );
}

#[test]
fn what_a_stage_cannot_be_is_refused_by_name() {
    let (_dir, inside) = start();
    let id = api(&inside);
    let stages = format!("/v2/apis/{id}/stages");
    make(&inside.client, &stages, &json!({"stageName": "dev"}));
    refused(
        &inside.client,
        "POST",
        &stages,
        &[
            (409, CONFLICT, "dev", json!({"stageName": "dev"})),
            (400, BAD, "Stage name", json!({"stageName": "a b"})),
            (404, MISSING, "Deployment", json!({"stageName": "x", "deploymentId": "none"})),
            (400, BAD, "Stage variable names", json!({"stageName": "x", "stageVariables": {"a-b": "c"}})),
            (
                404,
                MISSING,
                "by key GET /",
                json!({"stageName": "x", "routeSettings": {"GET /": {"throttlingBurstLimit": 1}}}),
            ),
        ],
    );
    for part in ["stages", "deployments"] {
        let target = format!("/v2/apis/{id}/{part}/none");
        inside.client.refused(404, MISSING, "none", "GET", &target, "");
        inside.client.refused(404, MISSING, "none", "DELETE", &target, "");
    }
    inside.client.expect(204, "DELETE", &format!("{stages}/dev/cache/authorizers"), "");
    inside.client.refused(404, MISSING, "none", "DELETE", &format!("{stages}/none/cache/authorizers"), "");
}

/// Beside `$default`, which is open.
#[test]
fn a_protected_route_that_leads_nowhere_is_refused_and_not_left_to_another() {
    let (_dir, inside) = start();
    let id = quick(&inside);
    for body in [
        json!({"routeKey": "GET /secret", "authorizationType": "AWS_IAM"}),
        json!({"routeKey": "GET /keyed", "apiKeyRequired": true}),
        json!({"routeKey": "GET /planned"}),
    ] {
        inside.client.expect(201, "POST", &format!("/v2/apis/{id}/routes"), &body.to_string());
    }
    let unit = inside.stage(&id, "$default");
    let mut served: Vec<(&str, bool)> = unit
        .routes
        .iter()
        .map(|route| {
            (route.path.as_str(), unit.integrations[route.integration as usize].kind.proxy().is_some())
        })
        .collect();
    served.sort_unstable();
    assert_eq!(served, [("$default", true), ("/keyed", false), ("/secret", false)]);
    let stage = read(&inside.client, &format!("/v2/apis/{id}/stages/$default"));
    let message = stage["lastDeploymentStatusMessage"].as_str().expect("a message");
    assert!(message.ends_with("without the routes that have no integration: GET /planned"), "{message}");
}
