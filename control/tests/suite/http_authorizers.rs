//! Authorizers and models of HTTP and WebSocket APIs.

use serde_json::{Value, json};

use crate::support::http::{
    BAD, CONFLICT, FUNCTION, MISSING, api, change, make, read, refused, start, websocket,
};
use crate::support::inside::{Inside, settings};

fn jwt(name: &str) -> Value {
    json!({
        "authorizerType": "JWT", "name": name, "identitySource": ["$request.header.Authorization"],
        "jwtConfiguration": {"issuer": "https://issuer.example/pool", "audience": ["a", "b"]},
    })
}

fn function(member: &str, value: Value) -> Value {
    let mut body = json!({
        "authorizerType": "REQUEST", "name": "f", "identitySource": ["$request.header.Auth", "$context.routeKey"],
        "authorizerUri": FUNCTION, "authorizerPayloadFormatVersion": "2.0",
    });
    body[member] = value;
    body
}

#[test]
fn authorizers_are_kept_as_they_are_told() {
    let (_dir, inside) = start();
    let (http, socket) = (api(&inside), websocket(&inside));
    let of_socket = json!({
        "authorizerType": "REQUEST", "name": "w", "authorizerUri": FUNCTION,
        "identitySource": ["route.request.header.Auth", "route.request.querystring.Name"],
        "authorizerCredentialsArn": "arn:aws:iam::000000000000:role/invoke",
    });
    let none = json!({"enableSimpleResponses": null, "authorizerResultTtlInSeconds": null, "authorizerPayloadFormatVersion": null});
    for (api, body, filled_in) in [
        (&http, jwt("j"), json!({"authorizerUri": null, "authorizerResultTtlInSeconds": null})),
        (&http, function("enableSimpleResponses", json!(true)), json!({"authorizerResultTtlInSeconds": 300})),
        (&http, function("authorizerResultTtlInSeconds", json!(0)), json!({"enableSimpleResponses": false})),
        (&http, function("identitySource", json!([])), json!({"authorizerResultTtlInSeconds": 0})),
        (&socket, of_socket, none),
    ] {
        let authorizers = format!("/v2/apis/{api}/authorizers");
        let made = make(&inside.client, &authorizers, &body);
        for (member, value) in body.as_object().into_iter().chain(filled_in.as_object()).flatten() {
            assert_eq!(made.body[member], *value, "{member} of {body}");
        }
        let one = format!("{authorizers}/{}", made.text("authorizerId"));
        assert_eq!(read(&inside.client, &one), made.body);
        assert_eq!(read(&inside.client, &authorizers)["items"], json!([made.body]));
        assert_eq!(change(&inside.client, &one, &json!({})), made.body);
        inside.client.expect(204, "DELETE", &one, "");
        inside.client.refused(404, MISSING, "Authorizer", "GET", &one, "");
    }
}

#[test]
fn updates_keep_what_they_leave_out() {
    let (_dir, inside) = start();
    let id = api(&inside);
    let authorizers = format!("/v2/apis/{id}/authorizers");
    let role = "arn:aws:iam::000000000000:role/invoke";
    let made = make(&inside.client, &authorizers, &function("authorizerCredentialsArn", json!(role)));
    let one = format!("{authorizers}/{}", made.text("authorizerId"));
    let told = change(
        &inside.client,
        &one,
        &json!({"name": "g", "authorizerResultTtlInSeconds": 600, "authorizerCredentialsArn": ""}),
    );
    assert_eq!((&told["name"], &told["authorizerResultTtlInSeconds"]), (&json!("g"), &json!(600)));
    assert_eq!((&told["authorizerCredentialsArn"], &told["authorizerUri"]), (&Value::Null, &json!(FUNCTION)));
    refused(
        &inside.client,
        "PATCH",
        &one,
        &[
            (400, BAD, "without an identitySource", json!({"identitySource": []})),
            (
                400,
                BAD,
                "needs authorizerPayloadFormatVersion 2.0",
                json!({"enableSimpleResponses": true, "authorizerPayloadFormatVersion": "1.0"}),
            ),
        ],
    );
    let other = make(&inside.client, &authorizers, &jwt("j"));
    let other = format!("{authorizers}/{}", other.text("authorizerId"));
    inside.client.refused(409, CONFLICT, "g already exists", "PATCH", &other, r#"{"name":"g"}"#);
    let changed = change(
        &inside.client,
        &other,
        &json!({
            "jwtConfiguration": {"issuer": "http://127.0.0.1:8000/realm", "audience": ["c"]},
        }),
    );
    assert_eq!(
        changed["jwtConfiguration"],
        json!({"issuer": "http://127.0.0.1:8000/realm", "audience": ["c"]})
    );

    let used =
        json!({"routeKey": "GET /", "authorizationType": "JWT", "authorizerId": changed["authorizerId"]});
    make(&inside.client, &format!("/v2/apis/{id}/routes"), &used);
    inside.client.refused(409, CONFLICT, "referenced in route", "DELETE", &other, "");
    let another = function("authorizerResultTtlInSeconds", json!(0)).to_string();
    inside.client.refused(409, CONFLICT, "change the type", "PATCH", &other, &another);
}

#[test]
fn what_an_authorizer_cannot_be_is_refused_by_name() {
    let (_dir, inside) = start();
    let (http, socket) = (api(&inside), websocket(&inside));
    let token = |member: &str, value: Value| {
        let mut body = jwt("j");
        body[member] = value;
        body
    };
    let audience = |audience: Value| json!({"issuer": "https://i", "audience": audience});
    refused(
        &inside.client,
        "POST",
        &format!("/v2/apis/{http}/authorizers"),
        &[
            (400, BAD, "name is required", json!({"authorizerType": "JWT"})),
            (400, BAD, "authorizerType is required", json!({"name": "a"})),
            (400, BAD, "authorizerType has to be one of", function("authorizerType", json!("TOKEN"))),
            (400, BAD, "jwtConfiguration is required", token("jwtConfiguration", Value::Null)),
            (
                400,
                BAD,
                "Invalid issuer",
                token("jwtConfiguration", json!({"issuer": "issuer", "audience": ["a"]})),
            ),
            (400, BAD, "audience has to have 1 to 50", token("jwtConfiguration", audience(json!([])))),
            (
                400,
                BAD,
                "audience has to have 1 to 50",
                token("jwtConfiguration", audience(json!(vec!["a"; 51]))),
            ),
            (400, BAD, "identitySource of a JWT", token("identitySource", json!([]))),
            (400, BAD, "identitySource of a JWT", token("identitySource", json!(["$context.x"]))),
            (400, BAD, "authorizerUri is for REQUEST", token("authorizerUri", json!(FUNCTION))),
            (400, BAD, "authorizerUri is required", function("authorizerUri", json!(""))),
            (
                400,
                BAD,
                "Invalid Authorizer URI",
                function("authorizerUri", json!("arn:aws:lambda:r:1:function:f")),
            ),
            (
                400,
                BAD,
                "authorizerPayloadFormatVersion is required",
                function("authorizerPayloadFormatVersion", Value::Null),
            ),
            (
                400,
                BAD,
                "authorizerPayloadFormatVersion has to be",
                function("authorizerPayloadFormatVersion", json!("3.0")),
            ),
            (400, BAD, "from 0 to 3600", function("authorizerResultTtlInSeconds", json!(3_601))),
            (
                400,
                BAD,
                "Invalid identitySource",
                function("identitySource", json!(["route.request.header.Auth"])),
            ),
            (400, BAD, "jwtConfiguration is for JWT", function("jwtConfiguration", audience(json!(["a"])))),
            (400, BAD, "credentialsArn", function("authorizerCredentialsArn", json!("me"))),
        ],
    );
    let of_socket = |member: &str, value: Value| {
        let mut body = json!({"authorizerType": "REQUEST", "name": "w", "authorizerUri": FUNCTION, "identitySource": []});
        body[member] = value;
        body
    };
    refused(
        &inside.client,
        "POST",
        &format!("/v2/apis/{socket}/authorizers"),
        &[
            (400, BAD, "A JWT authorizer is not supported on", jwt("j")),
            (
                400,
                BAD,
                "Invalid identitySource",
                of_socket("identitySource", json!(["$request.header.Auth"])),
            ),
            (
                400,
                BAD,
                "enableSimpleResponses is not supported on",
                of_socket("enableSimpleResponses", json!(true)),
            ),
            (
                400,
                BAD,
                "authorizerResultTtlInSeconds is not supported on",
                of_socket("authorizerResultTtlInSeconds", json!(5)),
            ),
        ],
    );
}

#[test]
fn models_are_schemas_with_names() {
    let (_dir, inside) = start();
    let id = websocket(&inside);
    let models = format!("/v2/apis/{id}/models");
    let body = json!({"name": "Pet", "schema": "{\"type\":\"object\"}", "contentType": "application/json", "description": "d"});
    let made = make(&inside.client, &models, &body);
    let one = format!("{models}/{}", made.text("modelId"));
    assert_eq!(read(&inside.client, &one), made.body);
    let told = change(
        &inside.client,
        &one,
        &json!({"name": "Cat", "schema": "{\"type\":\"string\"}", "description": ""}),
    );
    assert_eq!((&told["name"], &told["description"]), (&json!("Cat"), &Value::Null));
    assert_eq!(told["schema"], "{\"type\":\"string\"}");
    let template = read(&inside.client, &format!("{one}/template"));
    assert!(template["value"].as_str().expect("a template").contains("$inputRoot"), "{template}");
    let xml = json!({"name": "Xml", "schema": "<x/>", "contentType": "application/xml"});
    let xml = make(&inside.client, &models, &xml).text("modelId");
    inside.client.refused(400, BAD, "no JSON schema", "GET", &format!("{models}/{xml}/template"), "");
    refused(
        &inside.client,
        "POST",
        &models,
        &[
            (400, BAD, "schema is required", json!({"name": "a"})),
            (400, BAD, "alphanumeric", json!({"name": "a b", "schema": "{}"})),
            (400, BAD, "Invalid model schema", json!({"name": "a", "schema": "{"})),
            (400, BAD, "at most 32768 characters", json!({"name": "a", "schema": " ".repeat(32_769)})),
            (409, CONFLICT, "Cat already exists", json!({"name": "Cat", "schema": "{}"})),
        ],
    );
    let used = json!({"routeKey": "join", "requestModels": {"a": "Cat"}});
    make(&inside.client, &format!("/v2/apis/{id}/routes"), &used);
    inside.client.refused(409, CONFLICT, "Cannot delete model 'Cat'", "DELETE", &one, "");
    inside.client.refused(409, CONFLICT, "Cannot rename model 'Cat'", "PATCH", &one, r#"{"name":"Dog"}"#);
    inside.client.refused(404, MISSING, "Model", "GET", &format!("{models}/none"), "");
}

#[test]
fn quotas_of_authorizers_models_and_responses_hold() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut settings = settings(dir.path().join("data"));
    settings.quotas.authorizers_per_api_max = 1;
    settings.quotas.models_per_api_max = 1;
    settings.quotas.responses_per_integration_max = 1;
    let inside = Inside::start(settings);
    let (http, socket) = (api(&inside), websocket(&inside));
    let authorizers = format!("/v2/apis/{http}/authorizers");
    make(&inside.client, &authorizers, &jwt("a"));
    refused(&inside.client, "POST", &authorizers, &[(400, BAD, "authorizers_per_api_max", jwt("b"))]);
    let models = format!("/v2/apis/{socket}/models");
    make(&inside.client, &models, &json!({"name": "a", "schema": "{}"}));
    refused(
        &inside.client,
        "POST",
        &models,
        &[(400, BAD, "models_per_api_max", json!({"name": "b", "schema": "{}"}))],
    );
    let mock = json!({"integrationType": "MOCK"});
    let mock = make(&inside.client, &format!("/v2/apis/{socket}/integrations"), &mock).text("integrationId");
    let responses = format!("/v2/apis/{socket}/integrations/{mock}/integrationresponses");
    make(&inside.client, &responses, &json!({"integrationResponseKey": "/a/"}));
    let one_more = json!({"integrationResponseKey": "/b/"});
    refused(&inside.client, "POST", &responses, &[(400, BAD, "responses_per_integration_max", one_more)]);
}
