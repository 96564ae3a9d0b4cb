//! Routes of HTTP and WebSocket APIs: keys, who may call, models, parameters and responses.

use serde_json::{Value, json};
use turnpike_snapshot::IntegrationKind;

use crate::support::http::{
    BAD, CONFLICT, FUNCTION, MISSING, api, change, integration, kind, make, quick, read, refused, route,
    start, websocket,
};
use crate::support::inside::Inside;

fn authorizer(inside: &Inside, api: &str, body: &Value) -> String {
    make(&inside.client, &format!("/v2/apis/{api}/authorizers"), body).text("authorizerId")
}

fn jwt(inside: &Inside, api: &str) -> String {
    authorizer(
        inside,
        api,
        &json!({
            "authorizerType": "JWT", "name": "jwt", "identitySource": ["$request.header.Authorization"],
            "jwtConfiguration": {"issuer": "https://issuer.example", "audience": ["a"]},
        }),
    )
}

#[test]
fn routes_that_ask_for_protection_are_never_served_open() {
    let (_dir, inside) = start();
    let id = quick(&inside);
    let target = integration(&inside, &id, "http://h/x");
    let made = format!("/v2/apis/{id}/routes/{}", route(&inside, &id, "GET /x", &target));
    let function = authorizer(
        &inside,
        &id,
        &json!({
            "authorizerType": "REQUEST", "name": "f", "identitySource": [], "authorizerUri": FUNCTION,
            "authorizerPayloadFormatVersion": "2.0",
        }),
    );
    let jwt = jwt(&inside, &id);
    let leads = |path: &str| {
        let unit = inside.stage(&id, "$default");
        let at = unit.routes.iter().position(|route| route.path == path).expect("the route");
        kind(&unit, at).clone()
    };
    let served = || leads("/x");
    for (body, name) in [
        (json!({"authorizationType": "AWS_IAM"}), "AWS_IAM"),
        (json!({"authorizationType": "CUSTOM", "authorizerId": function}), "CUSTOM"),
        (json!({"authorizationType": "JWT", "authorizerId": jwt, "authorizationScopes": ["a", "b"]}), "JWT"),
    ] {
        let told = change(&inside.client, &made, &body);
        assert_eq!(told["authorizationType"], name);
        assert_eq!(
            (&told["authorizerId"], &told["authorizationScopes"]),
            (&body["authorizerId"], &body["authorizationScopes"])
        );
        assert_eq!(read(&inside.client, &made), told);
        match served() {
            IntegrationKind::Refused { reason } => assert!(reason.contains(name), "{reason}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    let open = change(&inside.client, &made, &json!({"authorizationType": "NONE"}));
    assert_eq!((&open["authorizerId"], &open["authorizationScopes"]), (&Value::Null, &Value::Null));
    assert_eq!(served().proxy().expect("a proxy").host, "h");
    assert_eq!(leads("$default").proxy().expect("a proxy").port, 3_000, "others go on");
}

#[test]
fn what_a_route_cannot_be_is_refused_by_name() {
    let (_dir, inside) = start();
    let id = api(&inside);
    let target = integration(&inside, &id, "http://h/x");
    let made = route(&inside, &id, "GET /pets/{id}", &target);
    let jwt = jwt(&inside, &id);
    let routes = format!("/v2/apis/{id}/routes");
    let with = |member: &str, value: Value| json!({"routeKey": "GET /x", member: value});
    refused(
        &inside.client,
        "POST",
        &routes,
        &[
            (400, BAD, "routeKey is required", json!({})),
            (409, CONFLICT, "already exists", json!({"routeKey": "GET /pets/{id}"})),
            (409, CONFLICT, "same requests", json!({"routeKey": "GET /pets/{name}"})),
            (400, BAD, "route key", json!({"routeKey": "$connect"})),
            (404, MISSING, "Integration", with("target", json!("integrations/none"))),
            (400, BAD, "integrations/<", with("target", json!("none"))),
            (400, BAD, "authorizerId is required", with("authorizationType", json!("JWT"))),
            (400, BAD, "authorizationType has to be one of", with("authorizationType", json!("COGNITO"))),
            (
                404,
                MISSING,
                "Authorizer",
                json!({"routeKey": "GET /x", "authorizationType": "CUSTOM", "authorizerId": "none"}),
            ),
            (
                400,
                BAD,
                "has the type JWT",
                json!({"routeKey": "GET /x", "authorizationType": "CUSTOM", "authorizerId": jwt}),
            ),
            (400, BAD, "authorizationScopes need", with("authorizationScopes", json!(["a"]))),
            (400, BAD, "at most 10 authorizationScopes", with("authorizationScopes", json!(vec!["a"; 11]))),
            (
                400,
                BAD,
                "requestParameters is not supported on",
                with("requestParameters", json!({"route.request.header.a": {"required": true}})),
            ),
            (
                400,
                BAD,
                "modelSelectionExpression is not supported on",
                with("modelSelectionExpression", json!("$request.body.x")),
            ),
            (
                400,
                BAD,
                "routeResponseSelectionExpression is not supported on",
                with("routeResponseSelectionExpression", json!("$default")),
            ),
            (404, MISSING, "Model name", with("requestModels", json!({"a": "none"}))),
        ],
    );
    for method in ["GET", "DELETE"] {
        inside.client.refused(404, MISSING, "none", method, &format!("{routes}/none"), "");
    }
    let responses = format!("{routes}/{made}/routeresponses");
    refused(
        &inside.client,
        "POST",
        &responses,
        &[(400, BAD, "not supported on protocolType HTTP", json!({"routeResponseKey": "$default"}))],
    );
    let cleared =
        change(&inside.client, &format!("{routes}/{made}"), &json!({"target": "", "operationName": "op"}));
    assert_eq!((&cleared["target"], &cleared["operationName"]), (&Value::Null, &json!("op")));
}

#[test]
fn routes_of_websocket_apis() {
    let (_dir, inside) = start();
    let id = websocket(&inside);
    let base = format!("/v2/apis/{id}");
    let routes = format!("{base}/routes");
    let model =
        json!({"name": "Join", "schema": "{}", "contentType": "application/json", "description": "d"});
    let model = make(&inside.client, &format!("{base}/models"), &model);
    assert_eq!(model.body["contentType"], "application/json");
    let function = authorizer(
        &inside,
        &id,
        &json!({
            "authorizerType": "REQUEST", "name": "f", "identitySource": ["route.request.header.Auth"], "authorizerUri": FUNCTION,
        }),
    );
    let connect = json!({
        "routeKey": "$connect", "authorizationType": "CUSTOM", "authorizerId": function, "apiKeyRequired": true,
        "requestParameters": {"route.request.querystring.t": {"required": true}, "route.request.header.h": {"required": false}},
        "operationName": "connect",
    });
    let join = json!({
        "routeKey": "join", "modelSelectionExpression": "$request.body.kind", "requestModels": {"$default": "Join"},
        "routeResponseSelectionExpression": "$default",
    });
    let mut made = Vec::new();
    for body in [&connect, &join] {
        let answer = make(&inside.client, &routes, body);
        for (member, value) in body.as_object().expect("an object") {
            assert_eq!(answer.body[member], *value, "{member}");
        }
        made.push(format!("{routes}/{}", answer.text("routeId")));
        assert_eq!(read(&inside.client, &made[made.len() - 1]), answer.body);
    }
    for key in ["$disconnect", "$default", "GET /{a}", "GET /{b}"] {
        make(&inside.client, &routes, &json!({"routeKey": key}));
    }
    refused(
        &inside.client,
        "POST",
        &routes,
        &[
            (409, CONFLICT, "already exists", json!({"routeKey": "join"})),
            (400, BAD, "WEBSOCKET protocol", json!({"routeKey": "$other"})),
            (
                400,
                BAD,
                "restricted to the $connect route",
                json!({"routeKey": "x", "authorizationType": "AWS_IAM"}),
            ),
            (
                400,
                BAD,
                "Invalid selection",
                json!({"routeKey": "x", "modelSelectionExpression": "$request.header.x"}),
            ),
            (
                400,
                BAD,
                "routeResponseSelectionExpression has to be",
                json!({"routeKey": "x", "routeResponseSelectionExpression": "$request.body.x"}),
            ),
            (
                400,
                BAD,
                "'header.x'",
                json!({"routeKey": "x", "requestParameters": {"header.x": {"required": true}}}),
            ),
            (
                400,
                "SerializationException",
                "requestParameters.route.request.header.x.y",
                json!({"routeKey": "x", "requestParameters": {"route.request.header.x": {"y": 1}}}),
            ),
        ],
    );
    inside.client.refused(
        400,
        BAD,
        "restricted to the $connect route",
        "PATCH",
        &made[0],
        r#"{"routeKey":"other"}"#,
    );

    let parameter = format!("{}/requestparameters/route.request.querystring.t", made[0]);
    inside.client.expect(204, "DELETE", &parameter, "");
    inside.client.refused(404, MISSING, "querystring.t", "DELETE", &parameter, "");
    let left = read(&inside.client, &made[0]);
    assert_eq!(left["requestParameters"], json!({"route.request.header.h": {"required": false}}));
    let told =
        change(&inside.client, &made[1], &json!({"requestModels": {}, "modelSelectionExpression": ""}));
    assert_eq!((&told["requestModels"], &told["modelSelectionExpression"]), (&Value::Null, &Value::Null));
}

#[test]
fn route_responses_live_with_their_route() {
    let (_dir, inside) = start();
    let id = websocket(&inside);
    let base = format!("/v2/apis/{id}");
    make(&inside.client, &format!("{base}/models"), &json!({"name": "Pet", "schema": "{}"}));
    let of_route =
        make(&inside.client, &format!("{base}/routes"), &json!({"routeKey": "join"})).text("routeId");
    let responses = format!("{base}/routes/{of_route}/routeresponses");
    let body = json!({
        "routeResponseKey": "$default", "responseModels": {"application/json": "Pet"},
        "responseParameters": {"route.response.header.h": {"required": true}},
    });
    let made = make(&inside.client, &responses, &body);
    for (member, value) in body.as_object().expect("an object") {
        assert_eq!(made.body[member], *value, "{member}");
    }
    let one = format!("{responses}/{}", made.text("routeResponseId"));
    assert_eq!(
        (read(&inside.client, &one), read(&inside.client, &responses)["items"][0].clone()),
        (made.body.clone(), made.body)
    );
    refused(
        &inside.client,
        "POST",
        &responses,
        &[
            (409, CONFLICT, "$default already exists", json!({"routeResponseKey": "$default"})),
            (400, BAD, "has to be $default", json!({"routeResponseKey": "200"})),
            (
                400,
                BAD,
                "modelSelectionExpression",
                json!({"routeResponseKey": "$default", "modelSelectionExpression": "x"}),
            ),
            (
                404,
                MISSING,
                "Model name",
                json!({"routeResponseKey": "$default", "responseModels": {"a": "none"}}),
            ),
        ],
    );
    let models = format!("{base}/models");
    let model = read(&inside.client, &models)["items"][0]["modelId"].as_str().expect("an id").to_owned();
    let model = format!("{models}/{model}");
    inside.client.refused(409, CONFLICT, "referenced in route", "DELETE", &model, "");
    let told = change(&inside.client, &one, &json!({"responseModels": {}}));
    assert_eq!(
        (&told["responseModels"], &told["responseParameters"]),
        (&Value::Null, &body["responseParameters"])
    );
    inside.client.expect(204, "DELETE", &model, "");
    inside.client.expect(204, "DELETE", &one, "");
    for (method, body) in [("GET", ""), ("PATCH", "{}"), ("DELETE", "")] {
        inside.client.refused(404, MISSING, "RouteResponse", method, &one, body);
    }
}
