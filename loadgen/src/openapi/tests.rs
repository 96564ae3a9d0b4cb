//! Documents of each version become scenarios that can be loaded.

use std::path::Path;

use super::import;
use crate::limits::Limits;
use crate::scenario::{Scenario, Target};
use crate::target::Url;

fn loaded(text: &str) -> Scenario {
    let url = Url::parse("http://a.test/v1").unwrap();
    let target = Target::new(&url);
    Scenario::parse(text, Path::new(""), &target).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn assert_has(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|found| found == *line), "{line} is missing in\n{text}");
    }
}

const PETS: &str = r#"
openapi: 3.0.3
info: {title: "Pets\nand more", version: "1.2"}
servers:
  - url: https://{region}.pets.test/v1
    variables: {region: {default: eu}}
security: [{key: []}]
paths:
  /pets:
    parameters:
      - {name: x-tenant, in: header, required: true, schema: {type: string, format: uuid}}
    get:
      operationId: listPets
      parameters:
        - {name: limit, in: query, required: true, schema: {type: integer, minimum: 5, maximum: 50}}
        - {name: kind, in: query, required: true, schema: {type: string, enum: [cat, 'big dog']}}
        - {name: page, in: query, schema: {type: integer}}
      responses: {'200': {description: ok}, '404': {description: none}, default: {description: x}}
    post:
      security: [{token: [write]}]
      requestBody:
        content:
          text/plain: {schema: {type: string}}
          application/json: {schema: {$ref: '#/components/schemas/Pet'}}
      responses: {2XX: {description: ok}}
  /pets/{petId}/files/{name+}:
    get:
      security: [{}]
      parameters:
        - {name: petId, in: path, required: true, schema: {type: integer}}
        - {name: name, in: path, required: true, example: a/b, schema: {type: string}}
  /pets/{petId}:
    delete:
      security: [{user: []}, {key: []}]
      parameters: [{name: petId, in: path, required: true, schema: {type: string}}]
      responses: {'204': {description: gone}}
    put:
      requestBody:
        content: {application/json: {example: {name: "{{x}}", tags: ["{{"]}}}
components:
  securitySchemes:
    key: {type: apiKey, in: header, name: X-API-Key}
    user: {type: http, scheme: basic}
    token: {type: oauth2, flows: {clientCredentials: {scopes: {write: Write}}}}
  schemas:
    Base: {type: object, required: [id], properties: {id: {type: string, format: uuid}, made: {type: string, readOnly: true}}}
    Pet:
      allOf:
        - $ref: '#/components/schemas/Base'
        - type: object
          properties:
            name: {type: string, maxLength: 4}
            age: {type: [integer, 'null'], minimum: 3}
            mother: {$ref: '#/components/schemas/Pet'}
"#;

#[test]
fn an_openapi_3_document_becomes_a_scenario() {
    let text = import(PETS, None, &Limits::default()).unwrap();
    assert_has(
        &text,
        &[
            "# Pets and more 1.2: each operation is a request of the same weight. Run it with",
            "#   turnpike-loadgen https://eu.pets.test/v1 --scenario THIS-FILE",
            "# optional query parameter: page",
            "url = \"/pets?limit={{limit | url}}&kind={{kind | url}}\"",
            "limit = \"{{integer(5, 50)}}\"",
            "kind = \"{{pick('cat', 'big dog')}}\"",
            "petId = \"{{string(8)}}\"",
            "petId_2 = \"{{integer(1, 1000)}}\"",
            "expect = { status = [200] }",
            "expect = { status = [\"200-299\"] }",
            "url = \"/pets/{{petId_2 | url}}/files/{{name}}\"",
            "url = \"/pets/{{petId | url}}\"",
            "# the document offers other ways to authenticate as well",
            "# scopes of token: write",
        ],
    );
    assert!(text.contains("authorization = \"Basic {{user | base64}}\""), "{text}");
    assert!(text.contains("authorization = \"Bearer {{token}}\""), "{text}");
    assert!(text.contains("x-api-key = \"{{key}}\"") && text.contains("x-tenant = \"{{x-tenant}}\""));
    assert!(text.contains("\"id\":\"{{uuid()}}\"") && text.contains("\"name\":\"{{string(4)}}\""), "{text}");
    assert!(!text.contains("\"made\""), "a read-only member is the server's");
    let scenario = loaded(&text);
    let listed = ["listPets", "POST /pets", "DELETE /pets/{petId}", "PUT /pets/{petId}"];
    assert!(
        listed.iter().all(|name| scenario.labels.iter().any(|label| label == name)),
        "{:?}",
        scenario.labels
    );
    assert_eq!(scenario.labels.len(), 5);
    assert!(
        import(PETS, Some("http://127.0.0.1:8080/x"), &Limits::default())
            .unwrap()
            .contains("loadgen http://127.0.0.1:8080/x --sc")
    );
}

#[test]
fn a_swagger_2_document_becomes_a_scenario() {
    let text = r##"{
        "swagger": "2.0", "info": {"title": "T", "version": "1"}, "host": "t.test", "basePath": "/b",
        "schemes": ["https"], "consumes": ["application/json"],
        "securityDefinitions": {
            "sig": {"type": "apiKey", "in": "header", "name": "Authorization", "x-amazon-apigateway-authtype": "awsSigv4"}
        },
        "parameters": {"id": {"name": "id", "in": "path", "required": true, "type": "string", "enum": ["a"]}},
        "definitions": {"Order": {"type": "object", "properties": {"n": {"type": "number", "default": 2.5}}}},
        "paths": {
            "/orders/{id}": {
                "parameters": [{"$ref": "#/parameters/id"}],
                "put": {
                    "security": [{"sig": []}],
                    "parameters": [{"name": "o", "in": "body", "schema": {"$ref": "#/definitions/Order"}}],
                    "responses": {"200": {}, "301": {}}
                },
                "post": {
                    "parameters": [
                        {"name": "a b", "in": "formData", "type": "string"},
                        {"name": "f", "in": "formData", "type": "file"}
                    ]
                },
                "x-amazon-apigateway-any-method": {}
            },
            "x-own": {}
        }
    }"##;
    let written = import(text, None, &Limits::default()).unwrap();
    assert_has(
        &written,
        &[
            "#   turnpike-loadgen https://t.test/b --scenario THIS-FILE",
            "body = '{\"n\":2.5}'",
            "body = \"a%20b={{string(8)}}\"",
            "# the form's file 'f' is left out",
            "# signed with SigV4 (sig): add a [signer.NAME] and sign = \"NAME\"",
            "expect = { status = [200, 301] }",
            "# stands for any method (x-amazon-apigateway-any-method); here it is GET",
        ],
    );
    assert_eq!(loaded(&written).labels.len(), 3);
}

#[test]
fn a_large_document_raises_the_limits_that_it_needs() {
    let paths: String = (0..300)
        .map(|index| format!("  /{index}:\n    get: {{responses: {{'200': {{description: ok}}}}}}\n"))
        .collect();
    let text = import(&format!("openapi: 3.0.3\npaths:\n{paths}"), None, &Limits::default()).unwrap();
    assert!(text.contains("[limits]\nnames_max = 300 # names of requests"), "{text}");
    assert_eq!(loaded(&text).labels.len(), 300);
}

#[test]
fn what_can_not_be_imported_is_told() {
    let cases = [
        ("a: 1", "neither an OpenAPI"),
        ("openapi: 4.0.0", "OpenAPI 4.0.0 isn't known"),
        ("{", "no JSON"),
        ("openapi: 3.1.0\npaths: {}", "no operation"),
        (
            "openapi: 3.1.0\npaths: {/a: {get: {parameters: [{$ref: 'b.yaml#/x'}]}}}",
            "GET /a: the reference 'b.yaml#/x'",
        ),
        ("openapi: 3.1.0\npaths: {/a: {$ref: '#/nowhere'}}", "leads nowhere"),
        ("openapi: 3.1.0\npaths: {/a: {$ref: '#/paths/~1a'}}", "more than 32 references in a chain"),
        ("openapi: 3.1.0\nsecurity: [{x: []}]\npaths: {/a: {get: {}}}", "'x' isn't defined"),
    ];
    for (text, reason) in cases {
        let error = import(text, None, &Limits::default()).unwrap_err();
        assert!(error.contains(reason), "{text}: {error}");
    }
    assert!(import(PETS, Some("pets"), &Limits::default()).unwrap_err().contains("--base-url"));
}
