//! Everything that a REST API can have, from a document and back, and generated APIs.

use crate::support::inside::{Inside, settings};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

const IMPORT: &str = "/restapis?mode=import";
const FUNCTION: &str = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:f/invocations";

fn start() -> (tempfile::TempDir, Inside) {
    let dir = tempfile::tempdir().expect("a directory");
    let inside = Inside::start(settings(dir.path().join("data")));
    (dir, inside)
}

fn import(inside: &Inside, document: &Value) -> String {
    let target = format!("{IMPORT}&failonwarnings=true");
    inside.client.expect(201, "POST", &target, &document.to_string()).text("id")
}

fn items(inside: &Inside, id: &str, list: &str) -> Vec<Value> {
    let target = format!("/restapis/{id}/{list}");
    let answer = inside.client.expect(200, "GET", &target, "").body;
    answer["item"].as_array().cloned().unwrap_or_default()
}

/// What the API is, by names instead of ids.
fn picture(inside: &Inside, id: &str) -> Value {
    let mut api = inside.client.expect(200, "GET", &format!("/restapis/{id}"), "").body;
    for name in ["id", "createdDate", "rootResourceId"] {
        api.as_object_mut().expect("an object").remove(name);
    }
    let mut names = std::collections::HashMap::new();
    let mut lists = json!({});
    for list in ["authorizers", "requestvalidators", "models", "gatewayresponses", "documentation/parts"] {
        let mut all = items(inside, id, &format!("{list}?limit=500"));
        for item in &mut all {
            let removed = item.as_object_mut().expect("an object").remove("id");
            if let (Some(id), Some(name)) = (removed, item.get("name")) {
                names.insert(id.to_string(), name.clone());
            }
        }
        all.sort_by_key(Value::to_string);
        let text = Value::from(all).to_string().replace(&format!("/restapis/{id}/"), "/restapis/API/");
        lists[list] = serde_json::from_str(&text).expect("JSON");
    }
    let mut methods = json!({});
    for resource in items(inside, id, "resources?embed=methods&limit=500") {
        for (name, method) in resource["resourceMethods"].as_object().into_iter().flatten() {
            let mut method = method.clone();
            for reference in ["authorizerId", "requestValidatorId"] {
                if let Some(name) = method.get(reference).and_then(|id| names.get(&id.to_string())) {
                    method[reference] = name.clone();
                }
            }
            if method["methodIntegration"]["cacheNamespace"] == resource["id"] {
                method["methodIntegration"].as_object_mut().expect("an object").remove("cacheNamespace");
            }
            methods[format!("{name} {}", resource["path"].as_str().expect("a path"))] = method;
        }
    }
    json!({"api": api, "lists": lists, "methods": methods})
}

fn deploy(inside: &Inside, id: &str) {
    inside.client.expect(201, "POST", &format!("/restapis/{id}/deployments"), r#"{"stageName":"prod"}"#);
    let version = json!({"documentationVersion": "v", "stageName": "prod"}).to_string();
    inside.client.expect(201, "POST", &format!("/restapis/{id}/documentation/versions"), &version);
}

/// Imports what is exported, and compares.
fn check_round_trip(inside: &Inside, id: &str, kinds: &[&str]) {
    let expected = picture(inside, id);
    deploy(inside, id);
    for kind in kinds {
        let target = format!("/restapis/{id}/stages/prod/exports/{kind}?extensions=apigateway");
        let document = inside.client.expect(200, "GET", &target, "").body;
        let again = import(inside, &document);
        let found = picture(inside, &again);
        for part in ["api", "lists", "methods"] {
            assert_eq!(found[part], expected[part], "{kind} {part} of {document:#}");
        }
        inside.client.expect(202, "DELETE", &format!("/restapis/{again}"), "");
    }
}

/// OpenAPI 3, with all that AWS's extensions can say of a REST API.
fn bank() -> Value {
    let method = json!({
        "operationId": "transfer",
        "summary": "Moves money", "description": "At once", "tags": ["money"],
        "parameters": [
            {"name": "account", "in": "path", "required": true, "schema": {"type": "string"}, "description": "From where"},
            {"name": "dry", "in": "query", "schema": {"type": "boolean"}},
            {"name": "X-Trace", "in": "header", "required": true, "schema": {"type": "string"}, "description": "For logs"},
        ],
        "requestBody": {"description": "How much", "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/Transfer"}},
            "application/xml": {"schema": {"type": "object", "properties": {"amount": {"type": "number"}}}},
        }},
        "responses": {
            "200": {
                "description": "Done",
                "headers": {"X-Id": {"schema": {"type": "string"}, "required": true, "description": "The transfer's"}},
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Receipt"}}},
            },
            "400": {"description": "400 response", "content": {"application/json": {"schema": {"type": "object"}}}},
        },
        "security": [{"function": []}, {"key": []}],
        "x-amazon-apigateway-request-validator": "body",
        "x-amazon-apigateway-integration": {
            "type": "http", "httpMethod": "post", "uri": "http://127.0.0.1:3000/{to}", "timeoutInMillis": 500,
            "credentials": "arn:aws:iam::000000000000:role/r", "passthroughBehavior": "when_no_templates",
            "contentHandling": "CONVERT_TO_TEXT", "cacheNamespace": "shared",
            "cacheKeyParameters": ["method.request.path.account"],
            "requestParameters": {
                "integration.request.path.to": "method.request.path.account",
                "integration.request.header.X-Static": "'yes'",
            },
            "requestTemplates": {"application/json": "{\"a\": $input.json('$.amount')}", "text/plain": null},
            "responses": {
                "default": {
                    "statusCode": "200",
                    "responseParameters": {"method.response.header.X-Id": "integration.response.header.Id"},
                    "responseTemplates": {"application/json": "#set($x = 1)\n$x"},
                },
                "4\\d{2}": {"statusCode": "400", "contentHandling": "CONVERT_TO_BINARY"},
            },
        },
    });
    json!({
        "openapi": "3.0.1",
        "info": {"title": "bank", "version": "2024", "description": "Of money", "license": {"name": "none"}},
        "servers": [{"url": "https://example.com"}],
        "tags": [{"name": "money", "description": "All of it"}],
        "paths": {
            "/accounts/{account}": {
                "summary": "An account",
                "post": method,
                "get": {
                    "security": [{"pool": ["read", "write"]}],
                    "responses": {},
                    "x-amazon-apigateway-integration": {"type": "mock", "requestTemplates": {"application/json": "{\"statusCode\": 200}"}},
                },
                "delete": {
                    "security": [{"iam": []}],
                    "responses": {},
                    "x-amazon-apigateway-integration": {"type": "aws_proxy", "httpMethod": "POST", "uri": FUNCTION},
                },
            },
            "/": {"x-amazon-apigateway-any-method": {
                "security": [{"request": []}],
                "x-amazon-apigateway-request-validator": "all",
                "x-amazon-apigateway-integration": {
                    "type": "http_proxy", "httpMethod": "ANY", "uri": "https://127.0.0.1/",
                    "tlsConfig": {"insecureSkipVerification": true},
                },
            }},
            "/open": {"get": {
                "x-amazon-apigateway-auth": {"type": "NONE"}, "responses": {},
                "x-amazon-apigateway-integration": {"type": "mock"},
            }},
        },
        "security": [{"iam": []}],
        "components": {
            "schemas": {
                "Transfer": {"type": "object", "required": ["amount"], "properties": {"amount": {"type": "number"}, "to": {"$ref": "#/components/schemas/Account"}}},
                "Account": {"type": "object", "properties": {"owner": {"$ref": "#/components/schemas/Owner"}}},
                "Owner": {"type": "object", "properties": {"accounts": {"type": "array", "items": {"$ref": "#/components/schemas/Account"}}}},
                "Receipt": {"type": "object", "properties": {"next": {"$ref": "#/components/schemas/Receipt"}, "$ref": {"type": "string"}}},
            },
            "securitySchemes": {
                "function": {
                    "type": "apiKey", "name": "Authorization", "in": "header", "x-amazon-apigateway-authtype": "custom", "description": "A token",
                    "x-amazon-apigateway-authorizer": {
                        "type": "token", "authorizerUri": FUNCTION, "authorizerResultTtlInSeconds": "60", "identityValidationExpression": "^x-[a-z]+",
                        "authorizerCredentials": "arn:aws:iam::000000000000:role/r",
                    },
                },
                "request": {
                    "type": "apiKey", "name": "Unused", "in": "header",
                    "x-amazon-apigateway-authorizer": {
                        "type": "request", "authorizerUri": FUNCTION,
                        "identitySource": "method.request.header.A, method.request.querystring.B", "authorizerResultTtlInSeconds": 300,
                    },
                },
                "pool": {
                    "type": "apiKey", "name": "Authorization", "in": "header", "x-amazon-apigateway-authtype": "cognito_user_pools",
                    "x-amazon-apigateway-authorizer": {
                        "type": "cognito_user_pools", "providerARNs": ["arn:aws:cognito-idp:us-east-1:000000000000:userpool/us-east-1_x"],
                    },
                },
                "key": {"type": "apiKey", "name": "x-api-key", "in": "header"},
                "iam": {"type": "apiKey", "name": "Authorization", "in": "header", "x-amazon-apigateway-authtype": "awsSigv4"},
            },
        },
        "x-amazon-apigateway-request-validators": {
            "all": {"validateRequestBody": true, "validateRequestParameters": true},
            "body": {"validateRequestBody": true, "validateRequestParameters": false},
        },
        "x-amazon-apigateway-gateway-responses": {
            "DEFAULT_4XX": {"responseParameters": {"gatewayresponse.header.X": "'y'"}, "responseTemplates": {"application/json": "{\"m\":1}"}},
            "INVALID_API_KEY": {"statusCode": "429"},
        },
        "x-amazon-apigateway-documentation": {"version": "1", "documentationParts": [
            {"location": {"type": "MODEL", "name": "Transfer"}, "properties": {"title": "A transfer"}},
            {"location": {"type": "METHOD", "path": "/accounts/{account}", "method": "POST"}, "properties": {"summary": "The extension's"}},
        ]},
        "x-amazon-apigateway-api-key-source": "header",
        "x-amazon-apigateway-binary-media-types": ["image/png", "*/*"],
        "x-amazon-apigateway-minimum-compression-size": 1024,
        "x-amazon-apigateway-policy": {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": "*", "Action": "execute-api:Invoke", "Resource": ["execute-api:/*"]},
        ]},
        "x-amazon-apigateway-security-policy": "TLS_1_2",
    })
}

#[test]
fn all_that_a_rest_api_has_comes_from_a_document() {
    let (_dir, inside) = start();
    let id = import(&inside, &bank());
    let found = picture(&inside, &id);
    let post = &found["methods"]["POST /accounts/{account}"];
    assert_eq!(post["authorizationType"], "CUSTOM");
    assert_eq!((&post["authorizerId"], &post["apiKeyRequired"]), (&json!("function"), &json!(true)));
    assert_eq!(post["requestValidatorId"], "body");
    assert_eq!(post["requestModels"]["application/json"], "Transfer");
    let inline = post["requestModels"]["application/xml"].as_str().expect("a model");
    assert!(inline.len() == 11 && inline.starts_with("MODEL"), "{inline}");
    assert_eq!(post["methodResponses"]["200"]["responseModels"], json!({"application/json": "Receipt"}));
    assert_eq!(
        post["methodResponses"]["200"]["responseParameters"],
        json!({"method.response.header.X-Id": true})
    );
    let integration = &post["methodIntegration"];
    assert_eq!((&integration["type"], &integration["httpMethod"]), (&json!("HTTP"), &json!("POST")));
    assert_eq!(integration["requestTemplates"]["text/plain"], Value::Null);
    assert_eq!(integration["integrationResponses"]["400"]["selectionPattern"], "4\\d{2}");
    let get = &found["methods"]["GET /accounts/{account}"];
    assert_eq!(get["authorizationType"], "COGNITO_USER_POOLS");
    assert_eq!(get["authorizationScopes"], json!(["read", "write"]));
    assert_eq!(found["methods"]["DELETE /accounts/{account}"]["authorizationType"], "AWS_IAM");
    assert_eq!(found["methods"]["ANY /"]["authorizerId"], "request");
    assert_eq!(found["methods"]["GET /open"]["authorizationType"], "NONE");
    let models = found["lists"]["models"].as_array().expect("models");
    assert_eq!(models.len(), 6, "{models:?}");
    let account = models.iter().find(|model| model["name"] == "Account").expect("a model");
    let schema: Value = serde_json::from_str(account["schema"].as_str().expect("text")).expect("JSON");
    assert_eq!(
        schema["properties"]["owner"]["$ref"],
        "https://apigateway.amazonaws.com/restapis/API/models/Owner"
    );
    let parts = found["lists"]["documentation/parts"].to_string();
    for said in [
        "Moves money",
        "From where",
        "For logs",
        "How much",
        "Done",
        "The transfer's",
        "A token",
        "An account",
        "All of it",
        "A transfer",
        "The extension's",
    ] {
        assert_eq!(parts.contains(said), said != "Moves money", "{said}: {parts}");
    }
    assert!(!parts.contains("400 response"), "{parts}");
    check_round_trip(&inside, &id, &["oas30"]);
}

/// Swagger 2 can't tell a body's content types apart.
#[test]
fn swagger_2_says_all_but_schemas_by_content_type() {
    let (_dir, inside) = start();
    let mut document = bank();
    document["paths"]["/accounts/{account}"]["post"]["requestBody"]["content"]
        .as_object_mut()
        .expect("content")
        .remove("application/xml");
    let headers = &mut document["paths"]["/accounts/{account}"]["post"]["responses"]["200"]["headers"];
    headers["X-Id"].as_object_mut().expect("a header").remove("required");
    check_round_trip(&inside, &import(&inside, &document), &["swagger", "oas30"]);
}

/// What documentation says stands where OpenAPI has it, unless the extension is asked for.
#[test]
fn documentation_is_written_in_place() {
    let (_dir, inside) = start();
    let id = import(&inside, &bank());
    deploy(&inside, &id);
    let target = format!("/restapis/{id}/stages/prod/exports/oas30");
    let document = inside.client.expect(200, "GET", &target, "").body;
    assert_eq!(document.get("x-amazon-apigateway-documentation"), None);
    let post = &document["paths"]["/accounts/{account}"]["post"];
    assert_eq!((&post["summary"], &post["description"]), (&json!("The extension's"), &json!("At once")));
    assert_eq!(post["responses"]["200"]["description"], "Done");
    assert_eq!(post["responses"]["200"]["headers"]["X-Id"]["description"], "The transfer's");
    assert_eq!(post["requestBody"]["description"], "How much");
    assert_eq!(document["paths"]["/accounts/{account}"]["summary"], "An account");
    assert_eq!(document["info"]["license"]["name"], "none");
    assert_eq!(document["components"]["securitySchemes"]["function"]["description"], "A token");
    assert_eq!(document["tags"][0]["description"], "All of it");
}

#[test]
fn an_overwrite_makes_it_the_documents_and_a_merge_adds() {
    let (_dir, inside) = start();
    let id = import(&inside, &bank());
    let before = picture(&inside, &id);
    deploy(&inside, &id);
    let exported = || {
        let target = format!("/restapis/{id}/stages/prod/exports/oas30?extensions=apigateway");
        inside.client.expect(200, "GET", &target, "").body
    };
    let served = exported();
    let other = json!({
        "openapi": "3.0.1", "info": {"title": "bank", "version": "2024", "description": "Of money"},
        "paths": {"/open": {"get": {
            "security": [{"function": []}], "responses": {},
            "x-amazon-apigateway-integration": {"type": "mock"}, "x-amazon-apigateway-request-validator": "body",
        }}},
        "components": {
            "schemas": {"Account": {"type": "string"}},
            "securitySchemes": {"function": {
                "type": "apiKey", "name": "Other", "in": "header",
                "x-amazon-apigateway-authorizer": {"type": "token", "authorizerUri": FUNCTION},
            }},
        },
        "x-amazon-apigateway-request-validators": {"body": {"validateRequestBody": true, "validateRequestParameters": true}},
    });
    inside.client.expect(
        200,
        "PUT",
        &format!("/restapis/{id}?mode=merge&failonwarnings=true"),
        &other.to_string(),
    );
    let merged = picture(&inside, &id);
    assert_eq!(merged["api"], before["api"]);
    assert_eq!(merged["methods"]["POST /accounts/{account}"], before["methods"]["POST /accounts/{account}"]);
    assert_eq!(merged["methods"]["GET /open"]["authorizerId"], "function");
    let function =
        &items(&inside, &id, "authorizers").into_iter().find(|a| a["name"] == "function").expect("kept");
    assert_eq!(function["identitySource"], "method.request.header.Other");
    assert_eq!(function.get("identityValidationExpression"), None);
    assert_eq!(items(&inside, &id, "models?limit=500").len(), 6);

    inside.client.expect(
        200,
        "PUT",
        &format!("/restapis/{id}?mode=overwrite&failonwarnings=true"),
        &other.to_string(),
    );
    let fresh = picture(&inside, &import(&inside, &other));
    let overwritten = picture(&inside, &id);
    for part in ["lists", "methods"] {
        assert_eq!(overwritten[part], fresh[part], "{part}");
    }
    assert_eq!(overwritten["api"].get("policy"), None);
    let still = exported();
    for part in [
        "paths",
        "components",
        "x-amazon-apigateway-gateway-responses",
        "x-amazon-apigateway-request-validators",
    ] {
        assert_eq!(still[part], served[part], "a stage is exported as it was deployed: {part}");
    }
    inside.client.expect(200, "PUT", &format!("/restapis/{id}?mode=overwrite"), &bank().to_string());
    assert_eq!(picture(&inside, &id), before);
}

/// An authorizer of another kind is another one, whatever has its name.
#[test]
fn an_authorizer_becomes_one_of_another_type() {
    let (_dir, inside) = start();
    let document = |authorizer: &Value| {
        json!({
            "openapi": "3.0.1", "info": {"title": "kinds", "version": "1"},
            "paths": {"/a": {"get": {
                "security": [{"who": []}], "responses": {}, "x-amazon-apigateway-integration": {"type": "mock"},
            }}},
            "components": {"securitySchemes": {"who": {
                "type": "apiKey", "name": "Authorization", "in": "header", "x-amazon-apigateway-authorizer": authorizer,
            }}},
        })
    };
    let token = json!({"type": "token", "authorizerUri": FUNCTION, "identityValidationExpression": "x.*"});
    let request = json!({"type": "request", "authorizerUri": FUNCTION, "authorizerResultTtlInSeconds": 0});
    let pool = "arn:aws:cognito-idp:us-east-1:000000000000:userpool/p";
    let pools = json!({"type": "cognito_user_pools", "providerARNs": [pool]});
    let jwt = json!({"type": "jwt", "jwtConfiguration": {"issuers": [{"issuer": "https://issuer.example", "audiences": ["a"]}], "defaultAlgorithms": ["RS256"]}});
    let id = import(&inside, &document(&token));
    let all = [&token, &request, &pools, &jwt];
    for authorizer in all.into_iter().chain(all.into_iter().rev()).chain([&pools, &token, &jwt, &request]) {
        let target = format!("/restapis/{id}?mode=overwrite&failonwarnings=true");
        inside.client.expect(200, "PUT", &target, &document(authorizer).to_string());
        let fresh = picture(&inside, &import(&inside, &document(authorizer)));
        assert_eq!(picture(&inside, &id), fresh, "{authorizer}");
    }
}

/// What goes makes room for what comes.
#[test]
fn a_full_api_is_overwritten() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut settings = settings(dir.path().join("data"));
    settings.quotas.models_per_api_max = 2;
    settings.quotas.authorizers_per_api_max = 1;
    settings.quotas.request_validators_per_api_max = 1;
    let inside = Inside::start(settings);
    let document = |name: &str| {
        let authorizer = json!({
            "type": "apiKey", "name": "Authorization", "in": "header",
            "x-amazon-apigateway-authorizer": {"type": "token", "authorizerUri": FUNCTION},
        });
        let refers = json!({"$ref": format!("#/components/schemas/{name}")});
        json!({
            "openapi": "3.0.1", "info": {"title": "full", "version": "1"}, "paths": {},
            "components": {
                "schemas": {name: {"type": "string"}, format!("{name}List"): {"type": "array", "items": refers}},
                "securitySchemes": {name: authorizer},
            },
            "x-amazon-apigateway-request-validators": {name: {"validateRequestBody": true}},
        })
    };
    let id = import(&inside, &document("Old"));
    let target = format!("/restapis/{id}?mode=overwrite&failonwarnings=true");
    inside.client.expect(200, "PUT", &target, &document("New").to_string());
    assert_eq!(picture(&inside, &id)["lists"], picture(&inside, &import(&inside, &document("New")))["lists"]);
}

/// Each extension is there when it is asked for, and no other.
#[test]
fn extensions_are_exported_as_asked() {
    let (_dir, inside) = start();
    let id = import(&inside, &bank());
    deploy(&inside, &id);
    let all = [
        ("integrations", "x-amazon-apigateway-integration\":"),
        ("authorizers", "x-amazon-apigateway-authorizer\":"),
        ("documentation", "x-amazon-apigateway-documentation\":"),
        ("validators", "x-amazon-apigateway-request-validators\":"),
        ("gatewayresponses", "x-amazon-apigateway-gateway-responses\":"),
        ("postman", "x-postman-meta\":"),
    ];
    let export = |extensions: &str| {
        let target = format!("/restapis/{id}/stages/prod/exports/swagger?extensions={extensions}");
        inside.client.expect(200, "GET", &target, "").body.to_string()
    };
    for (asked, _) in all {
        let document = export(asked);
        for (name, member) in all {
            assert_eq!(document.contains(member), name == asked, "{asked}: {member}");
        }
        assert!(!document.contains("x-amazon-apigateway-policy"), "{asked}");
    }
    let document = export("postman,apigateway");
    assert!(all.iter().all(|(_, member)| document.contains(member)), "{document}");
    assert!(document.contains("x-amazon-apigateway-policy"));
    let meta = r#""helperAttributes":{"id":"awsSigV4","region":"us-east-1","saveToRequest":true,"service":"execute-api"}"#;
    assert!(document.contains(meta), "{document}");
    // Without its authorizers, a document can't be imported as if its operations were open.
    let open = export("integrations");
    inside.client.refused(400, "BadRequestException", "the operation would be open", "POST", IMPORT, &open);
}

fn name() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9]{0,5}"
}

fn schema() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({"type": "object"})),
        name().prop_map(
            |name| json!({"type": "object", "properties": {name: {"type": "string", "example": "x"}}})
        ),
        (0..4usize).prop_map(|n| json!({"$ref": format!("#/components/schemas/Model{n}")})),
        (0..4usize).prop_map(
            |n| json!({"type": "array", "items": {"$ref": format!("#/components/schemas/Model{n}")}})
        ),
    ]
}

fn content() -> impl Strategy<Value = Value> {
    let kinds =
        prop::sample::subsequence(vec!["application/json", "text/plain", "application/vnd.x+json"], 0..3);
    (kinds, prop::collection::vec(schema(), 3)).prop_map(|(kinds, schemas)| {
        kinds
            .into_iter()
            .zip(schemas)
            .map(|(kind, schema)| (kind.to_owned(), json!({"schema": schema})))
            .collect()
    })
}

fn integration() -> impl Strategy<Value = Value> {
    let templates = prop::collection::btree_map(
        prop::sample::select(vec!["application/json".to_owned(), "a/b".to_owned()]),
        any::<String>().prop_map(|text| text.replace('\0', "")),
        0..2,
    );
    let responses =
        prop::sample::subsequence(vec![("default", "200"), ("4\\d{2}", "400"), (".*x.*", "500")], 0..3);
    let kind = prop::sample::select(vec!["http", "http_proxy", "mock", "aws_proxy", "aws"]);
    (kind, templates, responses, 50..29_000u32).prop_map(|(kind, templates, responses, timeout)| {
        let uri = if kind.starts_with("aws") { FUNCTION } else { "http://127.0.0.1:3000/x" };
        let responses: Value = responses
            .into_iter()
            .map(|(pattern, code)| (pattern.to_owned(), json!({"statusCode": code, "responseTemplates": {"a/b": "$x"}})))
            .collect();
        let mut integration =
            json!({"type": kind, "timeoutInMillis": timeout, "requestTemplates": templates, "responses": responses});
        if kind != "mock" {
            integration["uri"] = uri.into();
            integration["httpMethod"] = "POST".into();
        }
        integration
    })
}

fn operation() -> impl Strategy<Value = Value> {
    let security = prop::sample::subsequence(vec!["key", "function"], 0..=2);
    let codes = prop::sample::subsequence(vec!["200", "404", "500"], 0..3);
    let parameters = prop::collection::btree_map(
        name(),
        (prop::sample::select(vec!["query", "header"]), any::<bool>()),
        0..4,
    );
    (security, codes, parameters, content(), content(), integration(), prop::option::of(name()), prop::option::of(any::<bool>()))
        .prop_map(|(security, codes, parameters, body, answer, integration, id, validated)| {
            let parameter = |(name, (within, required)): (String, (&str, bool))| {
                json!({"name": name, "in": within, "required": required, "schema": {"type": "string"}})
            };
            let mut operation = json!({
                "parameters": parameters.into_iter().map(parameter).collect::<Vec<_>>(),
                "requestBody": {"content": body},
                "responses": codes.into_iter().map(|code| (code.to_owned(), json!({"description": format!("{code} response"), "content": answer}))).collect::<Value>(),
                "security": security.into_iter().map(|name| json!({name: []})).collect::<Vec<_>>(),
                "x-amazon-apigateway-integration": integration,
            });
            if let Some(id) = id {
                operation["operationId"] = id.into();
            }
            if let Some(validated) = validated {
                let name = if validated { "all" } else { "none" };
                operation["x-amazon-apigateway-request-validator"] = name.into();
            }
            operation
        })
}

fn document() -> impl Strategy<Value = Value> {
    let method =
        prop::sample::select(vec!["get", "put", "post", "options", "x-amazon-apigateway-any-method"]);
    let path = prop::sample::select(vec!["/", "/a", "/a/{id}", "/a/{id}/b", "/c/d/{proxy+}", "/a.b:c"]);
    let operations = prop::collection::vec((path, method, operation()), 1..6);
    (operations, prop::collection::vec(schema(), 4)).prop_map(|(operations, schemas)| {
        let mut paths = json!({});
        for (path, method, operation) in operations {
            paths[path][method] = operation;
        }
        let schemas: Value =
            schemas.into_iter().enumerate().map(|(n, schema)| (format!("Model{n}"), schema)).collect();
        json!({
            "openapi": "3.0.1", "info": {"title": "generated", "version": "1"}, "paths": paths,
            "components": {
                "schemas": schemas,
                "securitySchemes": {
                    "key": {"type": "apiKey", "name": "x-api-key", "in": "header"},
                    "function": {
                        "type": "apiKey", "name": "Auth", "in": "header", "x-amazon-apigateway-authtype": "custom",
                        "x-amazon-apigateway-authorizer": {"type": "token", "authorizerUri": FUNCTION, "authorizerResultTtlInSeconds": 0},
                    },
                },
            },
            "x-amazon-apigateway-request-validators": {
                "all": {"validateRequestBody": true, "validateRequestParameters": true},
                "none": {"validateRequestBody": false, "validateRequestParameters": false},
            },
        })
    })
}

#[test]
fn generated_apis_survive_export_and_import() {
    let (_dir, inside) = start();
    let mut runner = TestRunner::new(Config { cases: 40, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&document(), |document| {
        let id = import(&inside, &document);
        check_round_trip(&inside, &id, &["oas30"]);
        inside.client.expect(202, "DELETE", &format!("/restapis/{id}"), "");
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}
