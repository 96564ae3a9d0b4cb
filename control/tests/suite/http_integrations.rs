//! Integrations of HTTP and WebSocket APIs: every type, parameter mappings, what they may be, and their responses.

use serde_json::{Value, json};
use turnpike_snapshot::IntegrationKind;

use crate::support::http::{
    BAD, CONFLICT, FUNCTION, MISSING, api, change, integration, kind, make, proxy, quick, read, refused,
    route, start, websocket,
};
use crate::support::inside::Inside;

const ROLE: &str = "arn:aws:iam::000000000000:role/api";

/// Why the only route of the API's `$default` stage is refused.
fn reason(inside: &Inside, api: &str, key: &str) -> String {
    let unit = inside.stage(api, "$default");
    let method = key.split(' ').next().expect("a method");
    let at = unit.routes.iter().position(|route| route.method == method).expect("the route");
    match kind(&unit, at) {
        IntegrationKind::Refused { reason } => reason.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_type_is_kept_as_it_is_told() {
    let (_dir, inside) = start();
    let (http, socket) = (api(&inside), websocket(&inside));
    let sqs = "arn:aws:apigateway:us-east-1:sqs:path/000000000000/queue";
    let table = [
        (
            &http,
            json!({
                "integrationType": "HTTP_PROXY", "integrationMethod": "GET", "integrationUri": "http://h/x",
                "requestParameters": {"append:header.h": "$context.requestId", "overwrite:path": "/y"},
                "responseParameters": {"500": {"overwrite:statuscode": "403"}, "404": {"append:header.e": "x"}},
            }),
            json!({"payloadFormatVersion": "1.0", "timeoutInMillis": 30_000, "connectionType": "INTERNET"}),
        ),
        (
            &http,
            json!({
                "integrationType": "AWS_PROXY", "integrationUri": FUNCTION, "payloadFormatVersion": "2.0",
                "description": "d", "timeoutInMillis": 50, "credentialsArn": ROLE,
            }),
            json!({"integrationMethod": "POST"}),
        ),
        (
            &http,
            json!({
                "integrationType": "AWS_PROXY", "integrationSubtype": "SQS-SendMessage", "credentialsArn": ROLE,
                "payloadFormatVersion": "1.0", "requestParameters": {"QueueUrl": "$request.header.q", "MessageBody": "$request.body"},
            }),
            json!({"integrationMethod": null, "integrationUri": null, "timeoutInMillis": 30_000}),
        ),
        (
            &socket,
            json!({"integrationType": "MOCK"}),
            json!({
                "integrationResponseSelectionExpression": "${integration.response.statuscode}", "integrationMethod": null,
                "passthroughBehavior": "WHEN_NO_MATCH", "payloadFormatVersion": "1.0", "timeoutInMillis": 29_000,
            }),
        ),
        (
            &socket,
            json!({
                "integrationType": "HTTP", "integrationMethod": "GET", "integrationUri": "http://www.example.com",
                "contentHandlingStrategy": "CONVERT_TO_TEXT", "passthroughBehavior": "NEVER", "timeoutInMillis": 28_999,
                "requestTemplates": {"application/json": ""}, "templateSelectionExpression": "$request.body.name",
                "requestParameters": {"integration.request.querystring.stage": "'value1'"},
            }),
            json!({"integrationResponseSelectionExpression": "${integration.response.statuscode}"}),
        ),
        (
            &socket,
            json!({"integrationType": "AWS", "integrationUri": sqs, "credentialsArn": ROLE}),
            json!({
                "integrationMethod": "POST", "integrationResponseSelectionExpression": "${integration.response.body.errorMessage}",
            }),
        ),
        (
            &socket,
            json!({"integrationType": "AWS_PROXY", "integrationUri": FUNCTION}),
            json!({
                "integrationMethod": "POST", "integrationResponseSelectionExpression": null,
            }),
        ),
        (
            &socket,
            json!({
                "integrationType": "HTTP_PROXY", "integrationMethod": "PUT", "integrationUri": "http://www.example.net",
                "connectionType": "VPC_LINK", "connectionId": "${stageVariables.link}",
            }),
            json!({"connectionId": "${stageVariables.link}"}),
        ),
    ];
    for (api, given, filled_in) in table {
        let base = format!("/v2/apis/{api}/integrations");
        let made = make(&inside.client, &base, &given);
        for (member, value) in given.as_object().into_iter().chain(filled_in.as_object()).flatten() {
            assert_eq!(made.body[member], *value, "{member} of {given}");
        }
        let target = format!("{base}/{}", made.text("integrationId"));
        assert_eq!(read(&inside.client, &target), made.body);
        assert_eq!(
            change(&inside.client, &target, &json!({"integrationType": given["integrationType"]})),
            made.body
        );
        inside.client.expect(204, "DELETE", &target, "");
    }
}

/// What no gateway can do is refused by it: never served without.
#[test]
fn what_cannot_be_run_refuses_its_route() {
    let (_dir, inside) = start();
    let id = quick(&inside);
    let base = format!("/v2/apis/{id}");
    let http = |rest: Value| {
        let mut body = json!({"integrationType": "HTTP_PROXY", "integrationMethod": "ANY", "integrationUri": "http://h/x"});
        body.as_object_mut().expect("an object").extend(rest.as_object().cloned().expect("an object"));
        body
    };
    let function =
        json!({"integrationType": "AWS_PROXY", "integrationUri": FUNCTION, "payloadFormatVersion": "1.0"});
    for (body, expected) in [
        (http(json!({"requestParameters": {"overwrite:path": "/y"}})), "requestParameters"),
        (http(json!({"responseParameters": {"200": {"append:header.a": "b"}}})), "responseParameters"),
        (function, "AWS_PROXY"),
    ] {
        let made = make(&inside.client, &format!("{base}/integrations"), &body).text("integrationId");
        let of_route = route(&inside, &id, "GET /x", &made);
        assert!(reason(&inside, &id, "GET /x").contains(expected), "{body}");
        inside.client.expect(204, "DELETE", &format!("{base}/routes/{of_route}"), "");
    }
    let mapped = make(
        &inside.client,
        &format!("{base}/integrations"),
        &json!({
            "integrationType": "AWS_PROXY", "integrationUri": FUNCTION, "payloadFormatVersion": "2.0",
        }),
    );
    let targets = format!("/turnpike/v1/apis/{id}/integrations/{}/targets", mapped.text("integrationId"));
    inside.client.refused(400, BAD, "AWS_PROXY has no targets", "PUT", &targets, r#"{"targets":[]}"#);
    let plain = integration(&inside, &id, "http://h/x");
    route(&inside, &id, "GET /x", &plain);
    let target = format!("{base}/integrations/{plain}");
    change(
        &inside.client,
        &target,
        &json!({"requestParameters": {"overwrite:path": "/y", "append:header.a": "b"}}),
    );
    assert!(reason(&inside, &id, "GET /x").contains("requestParameters"));
    let left = change(&inside.client, &target, &json!({"requestParameters": {"append:header.a": ""}}));
    assert_eq!(left["requestParameters"], json!({"overwrite:path": "/y"}));
    let none = change(&inside.client, &target, &json!({"requestParameters": {"overwrite:path": ""}}));
    assert_eq!(none["requestParameters"], Value::Null);
    let unit = inside.stage(&id, "$default");
    let at = unit.routes.iter().position(|route| route.method == "GET").expect("the route");
    assert_eq!(proxy(&unit, at).host, "h", "served once nothing is asked for that can't be done");
}

#[test]
fn response_parameters_go_with_an_empty_object() {
    let (_dir, inside) = start();
    let id = api(&inside);
    let target = format!("/v2/apis/{id}/integrations/{}", integration(&inside, &id, "http://h/x"));
    let both =
        json!({"responseParameters": {"500": {"append:header.a": "b"}, "404": {"append:header.a": "c"}}});
    assert_eq!(change(&inside.client, &target, &both)["responseParameters"], both["responseParameters"]);
    let one = change(&inside.client, &target, &json!({"responseParameters": {"500": {}}}));
    assert_eq!(one["responseParameters"], json!({"404": {"append:header.a": "c"}}));
}

#[test]
fn what_an_http_integration_cannot_be_is_refused_by_name() {
    let (_dir, inside) = start();
    let id = api(&inside);
    let integrations = format!("/v2/apis/{id}/integrations");
    let target = integration(&inside, &id, "http://h/x");
    route(&inside, &id, "GET /pets/{id}", &target);
    let http = |member: &str, value: Value| {
        let mut body = json!({"integrationType": "HTTP_PROXY", "integrationMethod": "GET", "integrationUri": "http://h"});
        body[member] = value;
        body
    };
    let action = |member: &str, value: Value| {
        let mut body = json!({
            "integrationType": "AWS_PROXY", "integrationSubtype": "SQS-PurgeQueue", "credentialsArn": ROLE,
            "requestParameters": {"QueueUrl": "u"},
        });
        body[member] = value;
        body
    };
    refused(
        &inside.client,
        "POST",
        &integrations,
        &[
            (400, BAD, "integrationType", json!({})),
            (
                400,
                BAD,
                "integrationUri is required for an AWS_PROXY",
                json!({"integrationType": "AWS_PROXY", "payloadFormatVersion": "2.0"}),
            ),
            (
                400,
                BAD,
                "payloadFormatVersion is required",
                json!({"integrationType": "AWS_PROXY", "integrationUri": FUNCTION}),
            ),
            (400, BAD, "MOCK is not supported on protocolType HTTP", json!({"integrationType": "MOCK"})),
            (
                400,
                BAD,
                "integrationUri",
                json!({"integrationType": "HTTP_PROXY", "integrationMethod": "GET"}),
            ),
            (
                400,
                BAD,
                "integrationMethod",
                json!({"integrationType": "HTTP_PROXY", "integrationUri": "http://h"}),
            ),
            (400, BAD, "connectionId is required", http("connectionType", json!("VPC_LINK"))),
            (400, BAD, "connectionType VPC_LINK", http("connectionId", json!("x"))),
            (400, BAD, "50 to 30000", http("timeoutInMillis", json!(49))),
            (400, BAD, "50 to 30000", http("timeoutInMillis", json!(30_001))),
            (
                400,
                BAD,
                "restricted",
                http("requestParameters", json!({"overwrite:header.host2": "x", "remove:header.via": "''"})),
            ),
            (400, BAD, "'set:header.a'", http("requestParameters", json!({"set:header.a": "x"}))),
            (
                400,
                BAD,
                "status codes from 200",
                http("responseParameters", json!({"100": {"append:header.a": "x"}})),
            ),
            (
                400,
                BAD,
                "'append:querystring.a'",
                http("responseParameters", json!({"200": {"append:querystring.a": "x"}})),
            ),
            (400, BAD, "tlsConfig", http("tlsConfig", json!({"serverNameToVerify": "h"}))),
            (400, BAD, "payloadFormatVersion 2.0", http("payloadFormatVersion", json!("2.0"))),
            (400, BAD, "payloadFormatVersion has to be one of", http("payloadFormatVersion", json!("3.0"))),
            (400, BAD, "requestTemplates is not supported on", http("requestTemplates", json!({"a": "b"}))),
            (
                400,
                BAD,
                "passthroughBehavior is not supported on",
                http("passthroughBehavior", json!("NEVER")),
            ),
            (
                400,
                BAD,
                "contentHandlingStrategy is not supported on",
                http("contentHandlingStrategy", json!("CONVERT_TO_TEXT")),
            ),
            (400, BAD, "integrationSubtype needs", http("integrationSubtype", json!("SQS-PurgeQueue"))),
            (400, BAD, "Invalid HTTP method", http("integrationMethod", json!("TRACE"))),
            (400, BAD, "credentialsArn", http("credentialsArn", json!("me"))),
            (
                400,
                BAD,
                "requires the requestParameters QueueUrl",
                action("requestParameters", json!({"Region": "r"})),
            ),
            (
                400,
                BAD,
                "no request parameter 'X'",
                action("requestParameters", json!({"QueueUrl": "u", "X": "x"})),
            ),
            (400, BAD, "Invalid integrationSubtype", action("integrationSubtype", json!("SQS-X"))),
            (400, BAD, "credentialsArn is required", action("credentialsArn", json!(""))),
            (400, BAD, "has no integrationUri", action("integrationUri", json!(FUNCTION))),
        ],
    );
    let used = format!("{integrations}/{target}");
    inside.client.refused(409, CONFLICT, "GET /pets/{id}", "DELETE", &used, "");
    for method in ["GET", "DELETE"] {
        inside.client.refused(404, MISSING, "none", method, &format!("{integrations}/none"), "");
    }
    let passed = http("passthroughBehavior", json!("WHEN_NO_MATCH"));
    assert_eq!(make(&inside.client, &integrations, &passed).body["passthroughBehavior"], Value::Null);
}

#[test]
fn what_a_websocket_integration_cannot_be_is_refused_by_name() {
    let (_dir, inside) = start();
    let id = websocket(&inside);
    let link = json!({"name": "l", "subnetIds": ["s"]});
    let link = make(&inside.client, "/v2/vpclinks", &link).text("vpcLinkId");
    let http = |member: &str, value: Value| {
        let mut body =
            json!({"integrationType": "HTTP", "integrationMethod": "GET", "integrationUri": "http://h"});
        body[member] = value;
        body
    };
    let mut linked = http("connectionType", json!("VPC_LINK"));
    linked["connectionId"] = json!(link);
    refused(
        &inside.client,
        "POST",
        &format!("/v2/apis/{id}/integrations"),
        &[
            (400, BAD, "50 to 29000", http("timeoutInMillis", json!(29_001))),
            (
                400,
                BAD,
                "responseParameters is not supported on",
                http("responseParameters", json!({"200": {"append:header.a": "x"}})),
            ),
            (
                400,
                BAD,
                "integrationSubtype is not supported on",
                http("integrationSubtype", json!("SQS-PurgeQueue")),
            ),
            (
                400,
                BAD,
                "payloadFormatVersion 2.0 is not supported on",
                http("payloadFormatVersion", json!("2.0")),
            ),
            (400, BAD, "'overwrite:path'", http("requestParameters", json!({"overwrite:path": "/"}))),
            (400, BAD, "Invalid selection", http("templateSelectionExpression", json!("$context.x"))),
            (400, BAD, "VpcLink identifier", linked),
            (400, BAD, "arn:aws:apigateway", json!({"integrationType": "AWS", "integrationUri": "http://h"})),
            (400, BAD, "no integrationUri", json!({"integrationType": "MOCK", "integrationUri": "http://h"})),
        ],
    );
}

#[test]
fn integration_responses_live_with_their_integration() {
    let (_dir, inside) = start();
    let id = websocket(&inside);
    let integrations = format!("/v2/apis/{id}/integrations");
    let mock = make(&inside.client, &integrations, &json!({"integrationType": "MOCK"})).text("integrationId");
    let responses = format!("{integrations}/{mock}/integrationresponses");
    let default = json!({
        "integrationResponseKey": "$default", "contentHandlingStrategy": "CONVERT_TO_BINARY",
        "responseTemplates": {"$default": "{}"}, "templateSelectionExpression": "${integration.response.statuscode}",
        "responseParameters": {"method.response.header.a": "integration.response.header.b"},
    });
    let made = make(&inside.client, &responses, &default);
    for (member, value) in default.as_object().expect("an object") {
        assert_eq!(made.body[member], *value, "{member}");
    }
    let one = format!("{responses}/{}", made.text("integrationResponseId"));
    assert_eq!(read(&inside.client, &one), made.body);
    make(&inside.client, &responses, &json!({"integrationResponseKey": "/2\\d\\d/"}));
    let page = read(&inside.client, &format!("{responses}?maxResults=1"));
    let token = page["nextToken"].as_str().expect("more");
    let rest = read(&inside.client, &format!("{responses}?maxResults=1&nextToken={token}"));
    let keys: Vec<&Value> = [&page, &rest].map(|page| &page["items"][0]["integrationResponseKey"]).to_vec();
    assert!(keys.contains(&&json!("$default")) && keys.contains(&&json!("/2\\d\\d/")), "{keys:?}");
    assert_eq!(rest["nextToken"], Value::Null);

    let changed = change(
        &inside.client,
        &one,
        &json!({"contentHandlingStrategy": "", "responseTemplates": {"x": "y"}}),
    );
    assert_eq!(
        (&changed["contentHandlingStrategy"], &changed["responseTemplates"]),
        (&Value::Null, &json!({"x": "y"}))
    );
    refused(
        &inside.client,
        "POST",
        &responses,
        &[
            (409, CONFLICT, "$default already exists", json!({"integrationResponseKey": "$default"})),
            (400, BAD, "integrationResponseKey is required", json!({})),
            (400, BAD, "between slashes", json!({"integrationResponseKey": "200"})),
            (
                400,
                BAD,
                "Invalid selection",
                json!({"integrationResponseKey": "/x/", "templateSelectionExpression": "$context.x"}),
            ),
            (400, BAD, "'a'", json!({"integrationResponseKey": "/x/", "responseParameters": {"a": "'b'"}})),
        ],
    );
    inside.client.refused(
        409,
        CONFLICT,
        "/2\\d\\d/",
        "PATCH",
        &one,
        r#"{"integrationResponseKey":"/2\\d\\d/"}"#,
    );
    inside.client.expect(204, "DELETE", &one, "");
    for (method, body) in [("GET", ""), ("PATCH", "{}"), ("DELETE", "")] {
        inside.client.refused(404, MISSING, "IntegrationResponse", method, &one, body);
    }
    let proxied =
        json!({"integrationType": "HTTP_PROXY", "integrationMethod": "GET", "integrationUri": "http://h"});
    let proxied = make(&inside.client, &integrations, &proxied).text("integrationId");
    let target = format!("{integrations}/{proxied}/integrationresponses");
    refused(&inside.client, "POST", &target, &[(400, BAD, "no integration responses", default.clone())]);
    let http = api(&inside);
    let target = format!(
        "/v2/apis/{http}/integrations/{}/integrationresponses",
        integration(&inside, &http, "http://h")
    );
    refused(&inside.client, "POST", &target, &[(400, BAD, "not supported on protocolType HTTP", default)]);
    assert_eq!(read(&inside.client, &target)["items"], json!([]));
}
