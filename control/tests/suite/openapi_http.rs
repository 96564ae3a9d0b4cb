//! HTTP APIs from and to OpenAPI documents.

use crate::support::inside::{Inside, settings};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

const BAD: &str = "BadRequestException";

fn start() -> (tempfile::TempDir, Inside) {
    let dir = tempfile::tempdir().expect("a directory");
    let inside = Inside::start(settings(dir.path().join("data")));
    (dir, inside)
}

fn body(document: &Value) -> String {
    json!({"body": document.to_string()}).to_string()
}

/// Two routes that share an integration, one of their own, a default, and one without.
fn pets() -> Value {
    json!({
        "openapi": "3.0.1",
        "info": {"title": "pets", "version": "1.0", "description": "of all sorts"},
        "servers": [{"url": "https://example.com/{basePath}", "variables": {"basePath": {"default": "shop/v1"}}}],
        "tags": [{"name": "Owner", "x-amazon-apigateway-tag-value": "Admin"}, {"name": "Prod"}],
        "paths": {
            "/pets": {
                "get": {"operationId": "list", "x-amazon-apigateway-integration": {"$ref": "#/components/x-amazon-apigateway-integrations/pets"}},
                "post": {"x-amazon-apigateway-integration": {"$ref": "#/components/x-amazon-apigateway-integrations/pets"}},
            },
            "/pets/{id}": {
                "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}],
                "x-amazon-apigateway-any-method": {
                    "responses": {"default": {"description": "any"}},
                    "x-amazon-apigateway-integration": {
                        "type": "http_proxy", "httpMethod": "ANY", "uri": "http://127.0.0.1:3000/pets/{id}",
                        "payloadFormatVersion": 1.0, "timeoutInMillis": 1000, "connectionType": "INTERNET",
                    },
                },
            },
            "/$default": {"x-amazon-apigateway-any-method": {
                "isDefaultRoute": true,
                "x-amazon-apigateway-integration": {"type": "HTTP_PROXY", "httpMethod": "ANY", "uri": "http://127.0.0.1:3000/"},
            }},
            "/planned": {"get": {"responses": {}}},
        },
        "components": {"x-amazon-apigateway-integrations": {
            "pets": {"type": "http_proxy", "httpMethod": "ANY", "uri": "http://127.0.0.1:3000/pets", "payloadFormatVersion": "1.0"},
            "spare": {"type": "http_proxy", "httpMethod": "GET", "uri": "http://127.0.0.1:3000/spare", "payloadFormatVersion": "1.0"},
        }},
    })
}

fn export(inside: &Inside, id: &str, query: &str) -> Value {
    inside.client.expect(200, "GET", &format!("/v2/apis/{id}/exports/OAS30?outputType=JSON{query}"), "").body
}

fn route_keys(inside: &Inside, id: &str) -> Vec<String> {
    let routes = inside.client.expect(200, "GET", &format!("/v2/apis/{id}/routes"), "").body;
    let keys = routes["items"].as_array().expect("items").iter();
    let mut keys: Vec<String> = keys.map(|r| r["routeKey"].as_str().expect("a key").to_owned()).collect();
    keys.sort();
    keys
}

#[test]
fn a_document_becomes_an_api_and_back() {
    let (_dir, inside) = start();
    let made = inside.client.expect(201, "PUT", "/v2/apis?failOnWarnings=true", &body(&pets()));
    let id = made.text("apiId");
    assert_eq!((made.text("name"), made.text("version")), ("pets".to_owned(), "1.0".to_owned()));
    assert_eq!(made.body["tags"], json!({"Owner": "Admin", "Prod": ""}));
    assert_eq!(made.body.get("warnings"), None);
    let keys = ["$default", "ANY /pets/{id}", "GET /pets", "GET /planned", "POST /pets"];
    assert_eq!(route_keys(&inside, &id), keys);
    let integrations = inside.client.expect(200, "GET", &format!("/v2/apis/{id}/integrations"), "").body;
    assert_eq!(integrations["items"].as_array().map(Vec::len), Some(4), "{integrations}");

    let first = export(&inside, &id, "");
    assert_eq!(first["openapi"], "3.0.1");
    assert_eq!(first["paths"]["/pets"]["get"]["operationId"], "list");
    let again = inside.client.expect(201, "PUT", "/v2/apis?failOnWarnings=true", &body(&first)).text("apiId");
    let mut second = export(&inside, &again, "");
    second["servers"] = first["servers"].clone();
    // Which of them is the first depends on their ids.
    let sort = |document: &Value| {
        let all = &document["components"]["x-amazon-apigateway-integrations"];
        let mut all: Vec<String> = all.as_object().expect("some").values().map(Value::to_string).collect();
        all.sort();
        all
    };
    assert_eq!(sort(&first), sort(&second));
    assert_eq!(first["paths"]["/pets/{id}"], second["paths"]["/pets/{id}"]);
    let plain = export(&inside, &id, "&includeExtensions=false");
    assert!(!plain.to_string().contains("x-amazon-apigateway-integration"), "{plain}");
}

/// Routes that look alike stay what they are.
#[test]
fn paths_are_taken_as_they_are() {
    let (_dir, inside) = start();
    let path = |n: u16| {
        let uri = format!("http://127.0.0.1:3000/{n}");
        let integration =
            json!({"type": "http_proxy", "httpMethod": "GET", "uri": uri, "payloadFormatVersion": "1.0"});
        json!({"x-amazon-apigateway-any-method": {"x-amazon-apigateway-integration": integration}})
    };
    let document = json!({
        "openapi": "3.0.1", "info": {"title": "alike", "version": "1"},
        "servers": [{"url": "https://example.com/v1"}],
        "paths": {"/": path(1), "/a": path(2), "/a/": path(3), "/a/$default": path(4), "/$default": path(5)},
    });
    let id = inside.client.expect(201, "PUT", "/v2/apis?failOnWarnings=true", &body(&document)).text("apiId");
    let keys = ["$default", "ANY /", "ANY /a", "ANY /a/", "ANY /a/$default"];
    assert_eq!(route_keys(&inside, &id), keys);
    let exported = export(&inside, &id, "");
    let again = inside.client.expect(201, "PUT", "/v2/apis", &body(&exported)).text("apiId");
    assert_eq!(route_keys(&inside, &again), keys);
    let below = inside.client.expect(201, "PUT", "/v2/apis?basepath=prepend", &body(&document)).text("apiId");
    let keys = ["$default", "ANY /v1", "ANY /v1/a", "ANY /v1/a/", "ANY /v1/a/$default"];
    assert_eq!(route_keys(&inside, &below), keys);
    let odd = r#"{"routeKey":"GET /$default"}"#;
    inside.client.expect(201, "POST", &format!("/v2/apis/{id}/routes"), odd);
    let target = format!("/v2/apis/{id}/exports/OAS30?outputType=JSON");
    inside.client.refused(400, BAD, "GET /$default can't be told from the default route", "GET", &target, "");
}

#[test]
fn base_paths_go_before_the_paths() {
    let (_dir, inside) = start();
    for (mode, expected) in
        [("prepend", "GET /shop/v1/pets"), ("split", "GET /v1/pets"), ("ignore", "GET /pets")]
    {
        let target = format!("/v2/apis?basepath={mode}");
        let id = inside.client.expect(201, "PUT", &target, &body(&pets())).text("apiId");
        assert!(route_keys(&inside, &id).contains(&expected.to_owned()), "{mode}");
    }
    inside.client.refused(400, BAD, "'no'", "PUT", "/v2/apis?basepath=no", &body(&pets()));
}

#[test]
fn a_stage_is_exported_as_it_serves() {
    let (_dir, inside) = start();
    let mut document = pets();
    document["paths"].as_object_mut().expect("paths").remove("/planned");
    let id = inside.client.expect(201, "PUT", "/v2/apis", &body(&document)).text("apiId");
    let stages = format!("/v2/apis/{id}/stages");
    inside.client.expect(201, "POST", &stages, r#"{"stageName":"prod"}"#);
    let target = format!("/v2/apis/{id}/exports/OAS30?outputType=YAML&stageName=prod");
    inside.client.refused(400, BAD, "nothing deployed", "GET", &target, "");
    inside.client.expect(201, "POST", &format!("/v2/apis/{id}/deployments"), r#"{"stageName":"prod"}"#);
    let before = export(&inside, &id, "&stageName=prod");
    assert_eq!(before["servers"][0]["variables"]["basePath"]["default"], "prod");
    document["paths"].as_object_mut().expect("paths").remove("/pets/{id}");
    inside.client.expect(201, "PUT", &format!("/v2/apis/{id}"), &body(&document));
    assert_eq!(export(&inside, &id, "&stageName=prod"), before);
    assert_eq!(export(&inside, &id, "")["paths"].get("/pets/{id}"), None);
    assert_eq!(inside.stage(&id, "prod").routes.len(), 4);
}

#[test]
fn a_reimport_keeps_what_stays_the_same() {
    let (_dir, inside) = start();
    let mut shared = pets();
    shared["x-amazon-apigateway-cors"] = json!({"allowOrigins": ["*"]});
    let id = inside.client.expect(201, "PUT", "/v2/apis", &body(&shared)).text("apiId");
    let integrations = || inside.client.expect(200, "GET", &format!("/v2/apis/{id}/integrations"), "").body;
    let before = integrations();
    inside.client.expect(201, "PUT", &format!("/v2/apis/{id}"), &body(&pets()));
    assert_eq!(integrations(), before);
    let mut document = pets();
    document["info"] = json!({"title": "other", "version": "2"});
    document["paths"] = json!({"/only": {"get": {"responses": {}}}});
    document["components"] = json!({});
    let changed = inside.client.expect(201, "PUT", &format!("/v2/apis/{id}"), &body(&document));
    assert_eq!((changed.text("name"), changed.text("version")), ("other".to_owned(), "2".to_owned()));
    assert_eq!(changed.body["tags"], json!({"Owner": "Admin", "Prod": ""}));
    assert_eq!(changed.body.get("corsConfiguration"), None);
    assert_eq!(route_keys(&inside, &id), ["GET /only"]);
    assert_eq!(integrations()["items"], json!([]));
}

/// What goes makes room for what comes.
#[test]
fn a_full_api_is_reimported() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut settings = settings(dir.path().join("data"));
    settings.quotas.integrations_per_api_max = 3;
    let inside = Inside::start(settings);
    let document = |port: u16| {
        let path = |n: u16| {
            let uri = format!("http://127.0.0.1:{port}/{n}");
            let integration =
                json!({"type": "http_proxy", "httpMethod": "GET", "uri": uri, "payloadFormatVersion": "1.0"});
            (format!("/p{n}"), json!({"get": {"x-amazon-apigateway-integration": integration}}))
        };
        let paths: Value = (0..3).map(path).collect();
        body(&json!({"openapi": "3.0.1", "info": {"title": "full", "version": "1"}, "paths": paths}))
    };
    let id = inside.client.expect(201, "PUT", "/v2/apis", &document(3000)).text("apiId");
    let integrations = || inside.client.expect(200, "GET", &format!("/v2/apis/{id}/integrations"), "").body;
    let before = integrations();
    let first = before["items"][0]["integrationId"].as_str().expect("an id").to_owned();
    let own = format!("/v2/apis/{id}/integrations/{first}");
    inside.client.expect(200, "PATCH", &own, r#"{"description":"which no document has"}"#);
    let targets = format!("/turnpike/v1/apis/{id}/integrations/{first}/targets");
    inside.client.expect(200, "PUT", &targets, r#"{"targets":[{"host":"10.0.0.1","port":80}]}"#);
    inside.client.expect(201, "PUT", &format!("/v2/apis/{id}"), &document(3000));
    inside.client.expect(200, "GET", &targets, "");
    inside.client.expect(200, "PATCH", &own, r#"{"description":""}"#);
    assert_eq!(integrations(), before);
    inside.client.expect(201, "PUT", &format!("/v2/apis/{id}"), &document(3001));
    assert_eq!(integrations()["items"].as_array().map(Vec::len), Some(3));
}

#[test]
fn what_quick_create_made_is_reimported_like_all_else() {
    let (_dir, inside) = start();
    let made = r#"{"name":"quick","protocolType":"HTTP","target":"http://127.0.0.1:3000/"}"#;
    let id = inside.client.expect(201, "POST", "/v2/apis", made).text("apiId");
    let target = format!("/v2/apis/{id}");
    let items =
        |name: &str| inside.client.expect(200, "GET", &format!("{target}/{name}"), "").body["items"].clone();
    let (integrations, stages) = (items("integrations"), items("stages"));

    // What the export says is what there is.
    let exported = export(&inside, &id, "");
    inside.client.expect(201, "PUT", &target, &body(&exported));
    assert_eq!(items("integrations"), integrations);
    assert_eq!(items("routes")[0]["apiGatewayManaged"], true);
    inside.client.expect(200, "PATCH", &target, r#"{"target":"http://127.0.0.1:3001/","routeKey":"GET /a"}"#);
    assert_eq!(route_keys(&inside, &id), ["GET /a"]);

    let mut document = pets();
    document["paths"].as_object_mut().expect("paths").remove("/planned");
    inside.client.expect(201, "PUT", &target, &body(&document));
    let sorted = |id: &str| {
        let mut keys = route_keys(&inside, id);
        keys.sort();
        keys
    };
    let wanted = sorted(&inside.client.expect(201, "PUT", "/v2/apis", &body(&document)).text("apiId"));
    assert_eq!(sorted(&id), wanted);
    for part in ["routes", "integrations"] {
        assert!(!items(part).to_string().contains("apiGatewayManaged"), "{part}: {}", items(part));
    }
    assert_eq!(items("stages")[0]["apiGatewayManaged"], stages[0]["apiGatewayManaged"]);
    assert_eq!(inside.stage(&id, "$default").routes.len(), wanted.len(), "the stage follows");
    inside.client.refused(400, BAD, "quick-created", "PATCH", &target, r#"{"target":"http://h"}"#);
}

/// Each document, and what is said of it.
#[test]
fn what_cannot_be_imported_is_named_by_place() {
    let (_dir, inside) = start();
    let operation = |operation: Value| json!({"openapi": "3.0.1", "info": {"title": "t", "version": "1"}, "paths": {"/a": {"get": operation}}});
    let proxy =
        json!({"type": "http_proxy", "httpMethod": "GET", "uri": "http://h/", "payloadFormatVersion": "1.0"});
    let served =
        |security: Value| operation(json!({"security": security, "x-amazon-apigateway-integration": proxy}));
    for (document, expected) in [
        (json!({"swagger": "2.0", "info": {"title": "t"}, "paths": {}}), "/swagger: HTTP APIs are imported"),
        (json!({"openapi": "3.0.1", "info": {}, "paths": {}}), "/info/title: an API needs a title"),
        (
            json!({"openapi": "3.0.1", "info": {"title": "t"}, "paths": {"a": {}}}),
            "/paths/a: a path has to begin",
        ),
        (
            operation(
                json!({"x-amazon-apigateway-integration": {"type": "http_proxy", "httpMethod": "GET", "uri": "ftp://h"}}),
            ),
            "/paths/~1a/get/x-amazon-apigateway-integration: Unable to create the integration: ",
        ),
        (
            operation(json!({"x-amazon-apigateway-integration": {"$ref": "#/components/none"}})),
            "/paths/~1a/get/x-amazon-apigateway-integration: the reference '#/components/none' leads nowhere",
        ),
        (
            served(json!([{"oauth": []}])),
            "/paths/~1a/get/security/0/oauth: there is no security scheme 'oauth'",
        ),
        (
            json!({"openapi": "3.0.1", "info": {"title": "t"}, "paths": {}, "x-amazon-apigateway-policy": {}}),
            "/x-amazon-apigateway-policy: HTTP APIs have no resource policy",
        ),
    ] {
        inside.client.refused(400, BAD, expected, "PUT", "/v2/apis", &body(&document));
    }
    inside.client.refused(400, BAD, "Invalid OpenAPI input", "PUT", "/v2/apis", r#"{"body":"{"}"#);
    inside.client.refused(400, BAD, "body is required", "PUT", "/v2/apis", "{}");
    let apis = inside.client.expect(200, "GET", "/v2/apis", "").body;
    assert_eq!(apis["items"], json!([]), "a refused import leaves nothing");

    let odd = operation(json!({"x-amazon-apigateway-integrations": {}, "requestBody": {}}));
    let warning =
        "/paths/~1a/get/x-amazon-apigateway-integrations: the extension isn't known here, and is left out";
    let target = "/v2/apis?failOnWarnings=true";
    inside.client.refused(
        400,
        BAD,
        &format!("Warnings found during import:\n\t{warning}"),
        "PUT",
        target,
        &body(&odd),
    );
    let made = inside.client.expect(201, "PUT", "/v2/apis", &body(&odd));
    assert_eq!(made.body["warnings"], json!([warning]));
    let info = "/paths/~1a/get/requestBody: HTTP APIs don't check bodies; it is left out";
    assert_eq!(made.body["importInfo"], json!([info]));
}

/// What the API is, by what it leads to instead of ids.
/// Slips of the pen that YAML makes easy: none of them may leave the operation open.
#[test]
fn a_requirement_that_is_not_one_is_an_error() {
    let (_dir, inside) = start();
    let document = |security: &Value| {
        json!({
            "openapi": "3.0.1", "info": {"title": "t", "version": "1"},
            "paths": {"/a": {"get": {"security": security, "x-amazon-apigateway-integration": {
                "type": "http_proxy", "httpMethod": "GET", "uri": "http://127.0.0.1:3000/", "payloadFormatVersion": "1.0",
            }}}},
            "components": {"securitySchemes": {"auth": {"type": "oauth2", "flows": {}, "x-amazon-apigateway-authorizer": {
                "type": "jwt", "identitySource": "$request.header.Authorization",
                "jwtConfiguration": {"issuer": "https://issuer.example", "audience": ["a"]},
            }}}},
        })
    };
    for (security, place, expected) in [
        (json!({"auth": []}), "", "security has to be a list"),
        (json!("auth"), "", "security has to be a list"),
        (json!(["auth"]), "/0", "a security requirement has to be an object"),
        (json!([[{"auth": []}]]), "/0", "a security requirement has to be an object"),
        (json!([null]), "/0", "a security requirement has to be an object"),
        (json!([{"auth": "read"}]), "/0/auth", "a list of texts"),
        (json!([{"auth": [{"read": 1}]}]), "/0/auth", "a list of texts"),
    ] {
        let told = inside.client.expect(400, "PUT", "/v2/apis", &body(&document(&security)));
        let message = told.message();
        assert!(message.contains(&format!("/paths/~1a/get/security{place}: ")), "{security}: {message}");
        assert!(message.contains(expected), "{security}: {message}");
    }
    let nothing_said = document(&json!([{"auth": null}]));
    let id =
        inside.client.expect(201, "PUT", "/v2/apis?failOnWarnings=true", &body(&nothing_said)).text("apiId");
    let routes = inside.client.expect(200, "GET", &format!("/v2/apis/{id}/routes"), "").body;
    assert_eq!(routes["items"][0]["authorizationType"], "JWT", "{routes}");
}

fn picture(inside: &Inside, id: &str) -> Value {
    let list = |name: &str| {
        let target = format!("/v2/apis/{id}/{name}?maxResults=500");
        inside.client.expect(200, "GET", &target, "").body["items"].as_array().cloned().unwrap_or_default()
    };
    let mut named = std::collections::HashMap::new();
    let mut without_id = |mut item: Value, member: &str, prefix: &str| {
        let id = item.as_object_mut().and_then(|item| item.remove(member));
        named
            .insert(format!("{prefix}{}", id.as_ref().and_then(Value::as_str).expect("an id")), item.clone());
        item
    };
    let mut integrations: Vec<Value> =
        list("integrations").into_iter().map(|i| without_id(i, "integrationId", "integrations/")).collect();
    integrations.sort_by_key(Value::to_string);
    let authorizers: Vec<Value> =
        list("authorizers").into_iter().map(|a| without_id(a, "authorizerId", "")).collect();
    let mut routes: Vec<Value> = list("routes");
    for route in &mut routes {
        route.as_object_mut().expect("an object").remove("routeId");
        for member in ["target", "authorizerId"] {
            if let Some(found) = route[member].as_str().and_then(|id| named.get(id)) {
                route[member] = found.clone();
            }
        }
    }
    routes.sort_by_key(|route| route["routeKey"].to_string());
    let mut api = inside.client.expect(200, "GET", &format!("/v2/apis/{id}"), "").body;
    for member in ["apiId", "apiEndpoint", "createdDate"] {
        api.as_object_mut().expect("an object").remove(member);
    }
    json!({"api": api, "routes": routes, "integrations": integrations, "authorizers": authorizers.len()})
}

const FUNCTION: &str = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:f/invocations";

fn integration() -> impl Strategy<Value = Value> {
    // Not every name of a header can be mapped to: `te` can't.
    let mapped = prop::collection::btree_map("append:header\\.x-[a-z]{1,6}", "[a-z]{1,9}", 0..3);
    let answered = prop::option::of(prop::sample::select(vec![
        json!({"200": {"overwrite:statuscode": "202"}}),
        json!({"404": {"remove:header.x": ""}, "500": {"append:header.y": "z"}}),
    ]));
    (prop::sample::select(vec!["http_proxy", "aws_proxy"]), mapped, answered, 50..29_000u32, "[a-z]{1,5}")
        .prop_map(|(kind, mapped, answered, timeout, path)| {
            let mut integration = json!({"type": kind, "timeoutInMillis": timeout});
            if kind == "aws_proxy" {
                integration["uri"] = FUNCTION.into();
                integration["payloadFormatVersion"] = "2.0".into();
            } else {
                integration["uri"] = format!("https://127.0.0.1/{path}").into();
                integration["httpMethod"] = "ANY".into();
                integration["payloadFormatVersion"] = "1.0".into();
                integration["tlsConfig"] = json!({"serverNameToVerify": "example.com"});
                if !mapped.is_empty() {
                    integration["requestParameters"] = json!(mapped);
                }
                if let Some(answered) = answered {
                    integration["responseParameters"] = answered;
                }
            }
            integration
        })
}

fn document() -> impl Strategy<Value = Value> {
    let path = prop::sample::select(vec!["/", "/a", "/a/{id}", "/b/{rest+}", "/$default"]);
    let method = prop::sample::select(vec!["get", "put", "x-amazon-apigateway-any-method"]);
    let own = prop_oneof![
        (0..2usize)
            .prop_map(|n| json!({"$ref": format!("#/components/x-amazon-apigateway-integrations/i{n}")})),
        integration(),
    ];
    let security = prop::option::of(prop::sample::select(vec![
        json!([{"jwt": ["read", "write"]}]),
        json!([{"function": []}]),
        json!([{"iam": []}]),
        json!([{"key": []}]),
        json!([{"jwt": ["read"]}, {"key": []}]),
    ]));
    let route = (path, method, own, security, prop::option::of("[a-z]{1,8}"));
    let shared = prop::collection::vec(integration(), 2);
    let cors = prop::option::of(Just(json!({"allowOrigins": ["*"], "allowHeaders": ["x"], "maxAge": 5})));
    (prop::collection::vec(route, 1..6), shared, cors, any::<bool>()).prop_map(|(routes, shared, cors, disabled)| {
        let mut paths = json!({});
        for (path, method, integration, security, name) in routes {
            let method = if path == "/$default" { "x-amazon-apigateway-any-method" } else { method };
            let mut operation = json!({"x-amazon-apigateway-integration": integration});
            if let Some(security) = security {
                operation["security"] = security;
            }
            if let Some(name) = name {
                operation["operationId"] = name.into();
            }
            paths[path][method] = operation;
        }
        let mut document = json!({
            "openapi": "3.0.1", "info": {"title": "generated", "version": "1"}, "paths": paths,
            "components": {
                "x-amazon-apigateway-integrations": {"i0": shared[0], "i1": shared[1]},
                "securitySchemes": {
                    "jwt": {"type": "oauth2", "x-amazon-apigateway-authorizer": {
                        "type": "jwt", "identitySource": "$request.querystring.t",
                        "jwtConfiguration": {"issuer": "https://i.example.com", "audience": ["a", "b"]},
                    }},
                    "function": {"type": "apiKey", "name": "Auth", "in": "query", "x-amazon-apigateway-authorizer": {
                        "type": "request", "authorizerUri": FUNCTION, "authorizerPayloadFormatVersion": "2.0",
                        "authorizerResultTtlInSeconds": 60, "enableSimpleResponses": true,
                    }},
                    "iam": {"type": "apiKey", "name": "Authorization", "in": "header", "x-amazon-apigateway-authtype": "awsSigv4"},
                    "key": {"type": "apiKey", "name": "x-api-key", "in": "header"},
                },
            },
            "servers": [{"url": "/", "x-amazon-apigateway-endpoint-configuration": {"disableExecuteApiEndpoint": disabled}}],
        });
        if let Some(cors) = cors {
            document["x-amazon-apigateway-cors"] = cors;
        }
        document
    })
}

#[test]
fn generated_apis_survive_export_and_import() {
    let (_dir, inside) = start();
    let import = |document: &Value| {
        inside.client.expect(201, "PUT", "/v2/apis?failOnWarnings=true", &body(document)).text("apiId")
    };
    let mut runner = TestRunner::new(Config { cases: 40, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&document(), |document| {
        let first = import(&document);
        let expected = picture(&inside, &first);
        let exported = export(&inside, &first, "");
        let second = import(&exported);
        assert_eq!(picture(&inside, &second), expected, "{exported:#}");
        inside.client.expect(201, "PUT", &format!("/v2/apis/{first}?failOnWarnings=true"), &body(&exported));
        assert_eq!(picture(&inside, &first), expected, "{exported:#}");
        for id in [first, second] {
            inside.client.expect(204, "DELETE", &format!("/v2/apis/{id}"), "");
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn websocket_apis_have_no_documents() {
    let (_dir, inside) = start();
    let body_of_api =
        r#"{"name":"w","protocolType":"WEBSOCKET","routeSelectionExpression":"$request.body.action"}"#;
    let id = inside.client.expect(201, "POST", "/v2/apis", body_of_api).text("apiId");
    let target = format!("/v2/apis/{id}/exports/OAS30?outputType=JSON");
    inside.client.refused(400, BAD, "Only HTTP APIs", "GET", &target, "");
    inside.client.refused(400, BAD, "Only HTTP APIs", "PUT", &format!("/v2/apis/{id}"), &body(&pets()));
    for (query, expected) in [("outputType=XML", "'XML'"), ("outputType=JSON&exportVersion=2.0", "'2.0'")] {
        inside.client.refused(400, BAD, "", "GET", &format!("/v2/apis/{id}/exports/OAS30?{query}"), "");
        let http = inside.client.expect(201, "PUT", "/v2/apis", &body(&pets())).text("apiId");
        inside.client.refused(
            400,
            BAD,
            expected,
            "GET",
            &format!("/v2/apis/{http}/exports/OAS30?{query}"),
            "",
        );
    }
}
