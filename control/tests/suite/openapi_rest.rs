//! REST APIs from and to OpenAPI documents.

use crate::support::inside::{Inside, settings};
use serde_json::{Value, json};

const BAD: &str = "BadRequestException";
const IMPORT: &str = "/restapis?mode=import";

fn start() -> (tempfile::TempDir, Inside) {
    let dir = tempfile::tempdir().expect("a directory");
    let inside = Inside::start(settings(dir.path().join("data")));
    (dir, inside)
}

fn proxy(uri: &str) -> Value {
    json!({"type": "http_proxy", "httpMethod": "GET", "uri": uri, "passthroughBehavior": "when_no_match"})
}

/// Swagger 2, with what a REST API has beside paths.
fn pets() -> Value {
    json!({
        "swagger": "2.0",
        "info": {"title": "pets", "version": "1.0", "description": "of all sorts"},
        "basePath": "/shop/v1",
        "paths": {
            "/pets": {
                "parameters": [{"name": "trace", "in": "header", "type": "string"}],
                "get": {
                    "operationId": "listPets",
                    "parameters": [{"$ref": "#/parameters/page"}, {"name": "kind", "in": "query", "required": true, "type": "string"}],
                    "responses": {"200": {"description": "200 response", "headers": {"X-Total": {"type": "string"}}}},
                    "x-amazon-apigateway-integration": {
                        "type": "http_proxy", "httpMethod": "GET", "uri": "http://127.0.0.1:3000/pets",
                        "timeoutInMillis": "1000", "connectionType": "internet",
                        "requestParameters": {"integration.request.querystring.p": "method.request.querystring.page"},
                        "responses": {"default": {"statusCode": 200}},
                    },
                },
            },
            "/pets/{id}": {
                "get": {
                    "parameters": [{"name": "id", "in": "path", "required": true, "type": "string"}],
                    "x-amazon-apigateway-integration": {
                        "type": "http_proxy", "httpMethod": "GET", "uri": "http://127.0.0.1:3000/pets/{id}",
                        "requestParameters": {"integration.request.path.id": "method.request.path.id"},
                    },
                    "responses": {"default": {"description": "whatever"}},
                },
                "x-amazon-apigateway-any-method": {"responses": {}, "x-amazon-apigateway-integration": proxy("http://127.0.0.1:3000/any")},
            },
        },
        "parameters": {"page": {"name": "page", "in": "query", "type": "integer"}},
        "x-amazon-apigateway-binary-media-types": ["image/png"],
        "x-amazon-apigateway-minimum-compression-size": 100,
        "x-amazon-apigateway-endpoint-configuration": {"disableExecuteApiEndpoint": true},
    })
}

fn get(inside: &Inside, target: &str) -> Value {
    inside.client.expect(200, "GET", target, "").body
}

fn resources(inside: &Inside, id: &str) -> Vec<Value> {
    let (mut all, mut position) = (Vec::new(), String::new());
    loop {
        let page = get(inside, &format!("/restapis/{id}/resources?embed=methods&limit=500{position}"));
        all.extend(page["item"].as_array().expect("items").clone());
        let Some(next) = page["position"].as_str() else { return all };
        position = format!("&position={next}");
    }
}

/// The resources with their methods, by path and without ids.
fn tree(inside: &Inside, id: &str) -> Value {
    let mut tree = json!({});
    for resource in resources(inside, id) {
        let mut methods = resource["resourceMethods"].clone();
        for method in methods.as_object_mut().into_iter().flat_map(|methods| methods.values_mut()) {
            if let Some(integration) = method["methodIntegration"].as_object_mut() {
                integration.remove("cacheNamespace");
            }
        }
        tree[resource["path"].as_str().expect("a path")] = methods;
    }
    tree
}

fn export(inside: &Inside, id: &str, kind: &str) -> Value {
    get(inside, &format!("/restapis/{id}/stages/prod/exports/{kind}?extensions=apigateway"))
}

fn deploy(inside: &Inside, id: &str) {
    inside.client.expect(201, "POST", &format!("/restapis/{id}/deployments"), r#"{"stageName":"prod"}"#);
}

#[test]
fn a_document_becomes_an_api() {
    let (_dir, inside) = start();
    let target =
        format!("{IMPORT}&failonwarnings=true&ignore=documentation&endpointConfigurationTypes=REGIONAL");
    let made = inside.client.expect(201, "POST", &target, &pets().to_string());
    let id = made.text("id");
    assert_eq!((made.text("name"), made.text("description")), ("pets".to_owned(), "of all sorts".to_owned()));
    assert_eq!(made.body["binaryMediaTypes"], json!(["image/png"]));
    assert_eq!(made.body["endpointConfiguration"]["types"], json!(["REGIONAL"]));
    assert_eq!(
        (&made.body["disableExecuteApiEndpoint"], &made.body["minimumCompressionSize"]),
        (&json!(true), &json!(100))
    );
    assert_eq!(made.body.get("warnings"), None);
    let tree = tree(&inside, &id);
    assert_eq!(tree.as_object().map(|tree| tree.len()), Some(3));
    let list = &tree["/pets"]["GET"];
    let parameters = json!({
        "method.request.header.trace": false, "method.request.querystring.kind": true,
        "method.request.querystring.page": false,
    });
    assert_eq!((&list["requestParameters"], &list["operationName"]), (&parameters, &json!("listPets")));
    assert_eq!(
        list["methodResponses"]["200"]["responseParameters"],
        json!({"method.response.header.X-Total": false})
    );
    assert_eq!(list["methodIntegration"]["timeoutInMillis"], 1000);
    assert_eq!(list["methodIntegration"]["integrationResponses"]["200"], json!({"statusCode": "200"}));
    assert_eq!(tree["/pets/{id}"]["ANY"]["methodIntegration"]["uri"], "http://127.0.0.1:3000/any");
    deploy(&inside, &id);
    assert_eq!(inside.stage(&id, "prod").routes.len(), 3);
}

/// Import, export, import again: in both dialects, in both formats.
#[test]
fn what_is_exported_is_imported_as_the_same() {
    let (_dir, inside) = start();
    let first = inside
        .client
        .expect(201, "POST", &format!("{IMPORT}&ignore=documentation"), &pets().to_string())
        .text("id");
    deploy(&inside, &first);
    let expected = tree(&inside, &first);
    for kind in ["swagger", "oas30"] {
        let exported = export(&inside, &first, kind);
        let target = format!("{IMPORT}&failonwarnings=true");
        let again = inside.client.expect(201, "POST", &target, &exported.to_string());
        let id = again.text("id");
        let mut tree = tree(&inside, &id);
        tree["/"] = expected["/"].clone();
        assert_eq!(tree, expected, "{exported}");
        for member in [
            "name",
            "version",
            "description",
            "binaryMediaTypes",
            "minimumCompressionSize",
            "disableExecuteApiEndpoint",
        ] {
            assert_eq!(again.body[member], get(&inside, &format!("/restapis/{first}"))[member]);
        }
        deploy(&inside, &id);
        let mut second = export(&inside, &id, kind);
        for member in ["host", "servers"] {
            if let Some(value) = exported.get(member) {
                second[member] = value.clone();
            }
        }
        assert_eq!(second, exported);
    }
}

#[test]
fn base_paths_become_resources() {
    let (_dir, inside) = start();
    for (mode, expected) in
        [("prepend", "/shop/v1/pets/{id}"), ("split", "/v1/pets/{id}"), ("ignore", "/pets/{id}")]
    {
        let target = format!("{IMPORT}&ignore=documentation&basepath={mode}");
        let id = inside.client.expect(201, "POST", &target, &pets().to_string()).text("id");
        assert!(tree(&inside, &id)[expected]["GET"].is_object(), "{mode}");
    }
}

#[test]
fn merging_keeps_and_overwriting_drops() {
    let (_dir, inside) = start();
    let id = inside
        .client
        .expect(201, "POST", &format!("{IMPORT}&ignore=documentation"), &pets().to_string())
        .text("id");
    let ids = |path: &str| {
        let resources = get(&inside, &format!("/restapis/{id}/resources"));
        let items = resources["item"].as_array().expect("items").iter();
        items.into_iter().find(|item| item["path"] == path).map(|item| item["id"].clone())
    };
    let pets_id = ids("/pets");
    deploy(&inside, &id);
    let other = json!({
        "openapi": "3.0.1", "info": {"title": "other", "version": "2"},
        "paths": {
            "/pets": {"get": {"x-amazon-apigateway-integration": proxy("http://127.0.0.1:3000/new")}},
            "/owners": {"post": {"x-amazon-apigateway-integration": proxy("http://127.0.0.1:3000/owners")}},
        },
    });
    let merged = inside.client.expect(
        200,
        "PUT",
        &format!("/restapis/{id}?mode=merge&ignore=documentation"),
        &other.to_string(),
    );
    assert_eq!((merged.text("name"), merged.text("version")), ("other".to_owned(), "2".to_owned()));
    assert_eq!(merged.body["binaryMediaTypes"], json!(["image/png"]));
    let tree_now = tree(&inside, &id);
    assert_eq!(tree_now["/pets"]["GET"]["methodIntegration"]["uri"], "http://127.0.0.1:3000/new");
    assert_eq!(tree_now["/pets"]["GET"].get("requestParameters"), None);
    assert!(tree_now["/pets/{id}"]["GET"].is_object() && tree_now["/owners"]["POST"].is_object());

    let target = format!("/restapis/{id}?mode=overwrite&ignore=documentation");
    let overwritten = inside.client.expect(200, "PUT", &target, &other.to_string());
    assert_eq!(overwritten.body.get("binaryMediaTypes"), None);
    assert_eq!(overwritten.body.get("minimumCompressionSize"), None);
    assert_eq!(overwritten.body["disableExecuteApiEndpoint"], false);
    let tree_now = tree(&inside, &id);
    let paths: Vec<&String> = tree_now.as_object().expect("a tree").keys().collect();
    assert_eq!(paths, ["/", "/owners", "/pets"]);
    assert_eq!(ids("/pets"), pets_id, "what stays keeps its id");
    assert_eq!(inside.stage(&id, "prod").routes.len(), 3, "stages serve what was deployed");
    inside.client.refused(400, BAD, "'no'", "PUT", &format!("/restapis/{id}?mode=no"), &other.to_string());
}

/// Each document, and what is said of it.
/// The kind of endpoint is said when an API is made: to say it of one that there is warns.
#[test]
fn an_endpoint_that_stays_is_told_of() {
    let (_dir, inside) = start();
    let id = inside.client.expect(201, "POST", IMPORT, &pets().to_string()).text("id");
    let put = |parameters: &str| {
        let target = format!("/restapis/{id}?mode=merge&{parameters}");
        inside.client.expect(200, "PUT", &target, &pets().to_string()).body
    };
    assert_eq!(put("endpointConfigurationTypes=EDGE").get("warnings"), None);
    for parameters in ["endpointConfigurationTypes=REGIONAL", "endpointConfigurationVpcEndpointIds=vpce-1"] {
        let answer = put(parameters);
        let name = parameters.split('=').next().expect("a name");
        assert!(answer["warnings"][0].as_str().is_some_and(|told| told.contains(name)), "{answer}");
        assert_eq!(answer["endpointConfiguration"]["types"], json!(["EDGE"]));
        let failing = format!("/restapis/{id}?failonwarnings=true&{parameters}");
        inside.client.refused(400, BAD, name, "PUT", &failing, &pets().to_string());
    }
}

#[test]
fn what_cannot_be_imported_is_named_by_place() {
    let (_dir, inside) = start();
    let operation = |operation: Value| json!({"openapi": "3.0.1", "info": {"title": "t", "version": "1"}, "paths": {"/a": {"get": operation}}});
    let served = |more: Value| {
        let mut operation = json!({"x-amazon-apigateway-integration": proxy("http://h/")});
        operation.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        operation
    };
    for (document, expected) in [
        (json!({"swagger": "1.2"}), "1.2"),
        (json!({"swagger": "2.0", "info": {}, "paths": {}}), "/info/title: an API needs a title"),
        (
            json!({"swagger": "2.0", "info": {"title": "t"}, "paths": {"/a/{b}": {}, "/a/{c}": {}}}),
            "/paths/~1a~1{c}: Unable to create resource at path '/a/{c}': A sibling ({b}) of this resource already has a \
             variable path part -- only one is allowed",
        ),
        (
            operation(
                json!({"x-amazon-apigateway-integration": {"type": "http_proxy", "httpMethod": "GET", "uri": "http://h/{x}"}}),
            ),
            "/paths/~1a/get/x-amazon-apigateway-integration: Unable to put integration 'GET' on resource at path '/a': ",
        ),
        (
            operation(served(json!({"security": [{"token": []}]}))),
            "/paths/~1a/get/security/0/token: there is no security scheme 'token': the operation would be open",
        ),
        (
            operation(served(json!({"x-amazon-apigateway-auth": {"type": "magic"}}))),
            "/paths/~1a/get/x-amazon-apigateway-auth: type has to be NONE or AWS_IAM",
        ),
        (
            operation(served(json!({"x-amazon-apigateway-request-validator": "all"}))),
            "there is no request validator 'all'",
        ),
        (
            operation(served(json!({"x-amazon-apigateway-request-validator": ["all"]}))),
            "/paths/~1a/get/x-amazon-apigateway-request-validator: a request validator is referred to by its name",
        ),
        (
            operation(served(json!({"parameters": [{"name": "q", "in": "query", "required": "true"}]}))),
            "/paths/~1a/get/parameters/0/required: whether a parameter is required is true or false",
        ),
        (
            json!({"swagger": "2.0", "info": {"title": "t"}, "x-amazon-apigateway-api-key-source": ["HEADER"]}),
            "apiKeySource has to be",
        ),
        (
            json!({"swagger": "2.0", "info": {"title": "t"}, "paths": {"/a": {"get": {}}, "/a/": {"get": {}}}}),
            "/paths/~1a~1/get: GET /a is at /paths/~1a/get, too",
        ),
    ] {
        inside.client.refused(400, BAD, expected, "POST", IMPORT, &document.to_string());
    }
    inside.client.refused(400, BAD, "no parameter 'basepaht'", "POST", &format!("{IMPORT}&basepaht=x"), "{}");
    inside.client.refused(400, BAD, "more than", "POST", IMPORT, &hostile_yaml());
    assert_eq!(get(&inside, "/restapis")["item"], json!([]), "a refused import leaves nothing");

    let odd = operation(json!({"x-amazon-apigateway-authorizer": {}, "responses": {"2XX": {"headers": {}}}}));
    let warnings = [
        "/paths/~1a/get/x-amazon-apigateway-authorizer: the extension isn't known here, and is left out",
        "/paths/~1a/get/responses/2XX: a method's response needs a status code; this one is left out",
    ];
    let made = inside.client.expect(201, "POST", IMPORT, &odd.to_string());
    assert_eq!(made.body["warnings"], json!(warnings));
    let target = format!("{IMPORT}&failonwarnings=true");
    inside.client.refused(400, BAD, "Warnings found during import:\n\t", "POST", &target, &odd.to_string());
}

/// What one place says of the API's own address doesn't make another's unsaid.
#[test]
fn an_address_is_closed_wherever_that_is_said() {
    let (_dir, inside) = start();
    let extension = "x-amazon-apigateway-endpoint-configuration";
    let mut document = json!({
        "openapi": "3.0.1", "info": {"title": "t", "version": "1"}, "paths": {},
        extension: {"disableExecuteApiEndpoint": true},
        "servers": [{"url": "/", extension: {"ipAddressType": "ipv4"}}],
    });
    let send = |document: &Value, status| {
        let v2 = json!({"body": document.to_string()}).to_string();
        [
            inside.client.expect(status, "POST", IMPORT, &document.to_string()),
            inside.client.expect(status, "PUT", "/v2/apis", &v2),
        ]
    };
    for made in send(&document, 201) {
        assert_eq!(made.body["disableExecuteApiEndpoint"], true, "{made:?}");
    }
    document["servers"][0][extension]["disableExecuteApiEndpoint"] = false.into();
    for made in send(&document, 201) {
        assert_eq!(made.body["disableExecuteApiEndpoint"], false, "the server has the last word: {made:?}");
    }
    document["servers"][0][extension] = "closed".into();
    for refused in send(&document, 400) {
        let expected = format!("/servers/0/{extension}: an endpoint configuration has to be an object");
        assert!(refused.message().contains(&expected), "{refused:?}");
    }
}

/// A shop of many departments: every path with a model of its own, in YAML as people write it.
fn shop(paths: usize) -> String {
    let mut text = "openapi: 3.0.1\ninfo:\n  title: shop\n  version: '1'\npaths:\n".to_owned();
    for n in 0..paths {
        text.push_str(&format!(
            "  /departments{n}/{{id}}:
    parameters:
    - {{name: id, in: path, required: true, schema: {{type: string}}}}
    get:
      operationId: get{n}
      description: One of department {n}
      responses:
        200:
          description: One
          content: {{application/json: {{schema: {{$ref: '#/components/schemas/Thing{n}'}}}}}}
      x-amazon-apigateway-integration: &i{n}
        type: http_proxy
        httpMethod: ANY
        uri: http://127.0.0.1:3000/{n}/{{id}}
        requestParameters: {{integration.request.path.id: method.request.path.id}}
    put:
      responses: {{}}
      requestBody: {{content: {{application/json: {{schema: {{$ref: '#/components/schemas/Thing{n}'}}}}}}}}
      x-amazon-apigateway-integration: *i{n}
"
        ));
    }
    text.push_str("components:\n  schemas:\n");
    for n in 0..paths {
        text.push_str(&format!(
            "    Thing{n}: {{type: object, properties: {{name: {{type: string}}, n: {{type: integer}}}}}}\n"
        ));
    }
    text
}

#[test]
fn a_large_document_is_imported_and_deployed() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut settings = settings(dir.path().join("data"));
    settings.quotas.resources_per_api_max = 1_000;
    settings.quotas.models_per_api_max = 1_000;
    let inside = Inside::start(settings);
    let shop = shop(300);
    let id = inside.client.expect(201, "POST", &format!("{IMPORT}&failonwarnings=true"), &shop).text("id");
    deploy(&inside, &id);
    assert_eq!(inside.stage(&id, "prod").routes.len(), 600);
    let again = export(&inside, &id, "oas30");
    let target = format!("{IMPORT}&failonwarnings=true");
    let second = inside.client.expect(201, "POST", &target, &again.to_string()).text("id");
    assert_eq!(tree(&inside, &second)["/departments7/{id}"], tree(&inside, &id)["/departments7/{id}"]);
    let target = format!("/restapis/{id}?mode=overwrite");
    inside.client.expect(200, "PUT", &target, &shop);
}

/// As people publish it, with nothing of AWS's: forms, files, OAuth, formats, defaults, references of every kind.
fn published() -> Value {
    let error = json!({"$ref": "#/responses/Error"});
    json!({
        "swagger": "2.0",
        "info": {
            "title": "Published pets", "version": "1.0.3", "termsOfService": "http://example.com/terms",
            "contact": {"email": "pets@example.com"}, "description": "long ".repeat(300),
        },
        "host": "pets.example.com", "basePath": "/v2", "schemes": ["https", "http"],
        "tags": [{"name": "pet", "description": "Everything about them", "externalDocs": {"url": "http://example.com"}}],
        "consumes": ["application/json", "application/xml"], "produces": ["application/json"],
        "paths": {
            "/pet": {"post": {
                "tags": ["pet"], "summary": "Add one", "operationId": "addPet", "deprecated": true,
                "parameters": [{"$ref": "#/parameters/PetBody"}],
                "responses": {"405": {"description": "Invalid input"}, "default": error},
                "security": [{"petstore_auth": ["write:pets", "read:pets"]}],
            }},
            "/pet/{petId}": {
                "get": {
                    "parameters": [{"name": "petId", "in": "path", "required": true, "type": "integer", "format": "int64"}],
                    "responses": {
                        "200": {"description": "One", "schema": {"$ref": "#/definitions/Pet"}},
                        "404": error,
                    },
                    "security": [{"api_key": []}],
                },
                "post": {
                    "consumes": ["multipart/form-data"],
                    "parameters": [
                        {"name": "petId", "in": "path", "required": true, "type": "integer"},
                        {"name": "file", "in": "formData", "type": "file"},
                    ],
                    "responses": {"200": {"description": "Uploaded", "schema": {"type": "array", "items": {"$ref": "#/definitions/Tag"}}}},
                },
            },
        },
        "parameters": {"PetBody": {"in": "body", "name": "body", "required": true, "schema": {"$ref": "#/definitions/Pet"}}},
        "responses": {"Error": {"description": "What went wrong", "schema": {"$ref": "#/definitions/ApiResponse"}}},
        "securityDefinitions": {
            "petstore_auth": {"type": "oauth2", "authorizationUrl": "http://example.com/oauth", "flow": "implicit", "scopes": {"write:pets": "modify", "read:pets": "read"}},
            "api_key": {"type": "apiKey", "name": "api_key", "in": "header"},
        },
        "definitions": {
            "Pet": {
                "type": "object", "required": ["name"],
                "properties": {
                    "id": {"type": "integer", "format": "int64"}, "name": {"type": "string", "example": "doggie"},
                    "tags": {"type": "array", "xml": {"name": "tag", "wrapped": true}, "items": {"$ref": "#/definitions/Tag"}},
                    "status": {"type": "string", "enum": ["available", "sold"]},
                },
                "xml": {"name": "Pet"},
            },
            "Tag": {"type": "object", "properties": {"name": {"type": "string"}}},
            "ApiResponse": {"type": "object", "properties": {"code": {"type": "integer", "format": "int32"}}},
        },
    })
}

#[test]
fn a_published_document_is_imported_with_what_cannot_be_told() {
    let (_dir, inside) = start();
    let made = inside.client.expect(201, "POST", IMPORT, &published().to_string());
    let oauth = "the security scheme of type 'oauth2' has no x-amazon-apigateway-authorizer, isn't the header x-api-key and \
                 isn't awsSigv4: it protects nothing";
    let warnings = [
        "/info/description: description can have 1024 characters, and this one is left out".to_owned(),
        format!("/paths/~1pet/post/security/0/petstore_auth: {oauth}"),
        "/responses/Error: a method's response needs a status code; this one is left out".to_owned(),
        format!("/paths/~1pet~1{{petId}}/get/security/0/api_key: {}", oauth.replace("oauth2", "apiKey")),
        "/paths/~1pet~1{petId}/post/parameters/1: a REST API has no parameters in 'formData', and it is left out".to_owned(),
    ];
    assert_eq!(made.body["warnings"], json!(warnings));
    let id = made.text("id");
    let tree = tree(&inside, &id);
    let models = json!({"application/json": "Pet", "application/xml": "Pet"});
    assert_eq!(tree["/pet"]["POST"]["requestModels"], models);
    let responses = &tree["/pet/{petId}"]["GET"]["methodResponses"];
    assert_eq!(responses["404"]["responseModels"], json!({"application/json": "ApiResponse"}));
    let parts = get(&inside, &format!("/restapis/{id}/documentation/parts?type=API"));
    let api = parts["item"][0]["properties"].as_str().expect("text");
    assert!(api.contains("long long") && api.contains("pets@example.com"), "{api}");
    // Nothing of it is served before it has integrations.
    let deployment = inside.client.call("POST", &format!("/restapis/{id}/deployments"), "{}");
    assert_eq!(deployment.status, 400, "{deployment:?}");
}

#[test]
fn openapi_31_is_read() {
    let (_dir, inside) = start();
    let document = json!({
        "openapi": "3.1.0", "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {"title": "new", "version": "1", "summary": "In short"},
        "paths": {"/a": {"$ref": "#/components/pathItems/A"}},
        "webhooks": {"later": {"post": {}}},
        "components": {
            "pathItems": {"A": {"put": {
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Maybe"}}, "text/plain": {"schema": true}}},
                "responses": {"200": {"description": "ok", "content": {"application/json": {"schema": {"const": 1}}}}},
                "x-amazon-apigateway-integration": proxy("http://127.0.0.1:3000/a"),
            }}},
            "schemas": {"Maybe": {"type": ["object", "null"], "properties": {"at": {"type": "string", "examples": [{"$ref": "#/none"}]}}}},
        },
    });
    let id = inside
        .client
        .expect(201, "POST", &format!("{IMPORT}&failonwarnings=true"), &document.to_string())
        .text("id");
    let put = &tree(&inside, &id)["/a"]["PUT"];
    assert_eq!(put["requestModels"]["application/json"], "Maybe");
    assert!(
        put["requestModels"]["text/plain"].as_str().is_some_and(|name| name.starts_with("MODEL")),
        "{put}"
    );
}

/// A response that every operation repeats, and references that lead nowhere: all bounded, none fatal.
#[test]
fn references_cannot_unfold_without_end() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut settings = settings(dir.path().join("data"));
    settings.quotas.openapi_values_max = 20_000;
    let inside = Inside::start(settings);
    let operation = json!({"responses": {"200": {"$ref": "#/components/responses/R"}}});
    let paths: Value = (0..200).map(|n| (format!("/p{n}"), json!({"get": operation}))).collect();
    let document = json!({
        "openapi": "3.0.1", "info": {"title": "t"}, "paths": paths,
        "components": {"responses": {"R": {"description": "x".repeat(100_000)}}},
    });
    inside.client.refused(400, BAD, "(openapi_values_max)", "POST", IMPORT, &document.to_string());
    for (what, document) in repeating() {
        let answer = inside.client.call("POST", &format!("{IMPORT}&basepath=prepend"), &document.to_string());
        let told = answer.status == 400 && answer.message().contains("(openapi_values_max)");
        assert!(told, "{what}: {answer:?}");
    }
    let circles = json!({
        "openapi": "3.0.1", "info": {"title": "t"},
        "paths": {
            "/a": {"$ref": "#/paths/~1b"}, "/b": {"$ref": "#/paths/~1a"},
            "/c": {"get": {"parameters": [{"$ref": "#/components/parameters/P"}]}},
            "/d": {"get": {"x-amazon-apigateway-integration": {"$ref": "#/paths/~1d/get/x-amazon-apigateway-integration"}}},
        },
        "components": {"parameters": {"P": {"$ref": "#/components/parameters/P"}}},
    });
    let answer = inside.client.expect(400, "POST", IMPORT, &circles.to_string());
    let circle = "the reference leads in a circle, or through too many others";
    for place in [
        "/paths/~1a",
        "/paths/~1b",
        "/paths/~1c/get/parameters/0",
        "/paths/~1d/get/x-amazon-apigateway-integration",
    ] {
        assert!(answer.message().contains(&format!("\t{place}: {circle}")), "{place}: {answer:?}");
    }
    for deep in [format!("{{\"a\":{}", "[".repeat(100_000)), "[".repeat(100_000), "- ".repeat(100_000)] {
        inside.client.refused(400, BAD, "Invalid OpenAPI input", "POST", IMPORT, &deep);
    }
    let large = "x".repeat(2 << 20);
    let answer = inside.client.call("POST", IMPORT, &large);
    assert_eq!((answer.status, answer.error()), (413, "RequestEntityTooLargeException"));
}

/// Documents of which every operation repeats something large.
fn repeating() -> Vec<(&'static str, Value)> {
    let operations = |operation: Value| -> Value {
        (0..300).map(|n| (format!("/p{n}"), json!({"get": operation}))).collect()
    };
    let document = |paths: Value, more: Value| {
        let mut document =
            json!({"openapi": "3.0.1", "info": {"title": "t", "version": "1"}, "paths": paths});
        document.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        document
    };
    let referring = || operations(json!({"x-amazon-apigateway-integration": {"$ref": "#/x-shared"}}));
    let (long, none) = ("x".repeat(10_000), json!({}));
    let scheme = json!({"type": "apiKey", "name": "Authorization", "in": "header", "x-amazon-apigateway-authorizer": {
        "type": "cognito_user_pools", "providerARNs": ["arn:aws:cognito-idp:us-east-1:000000000000:userpool/p"],
    }});
    let responses: Value =
        (0..300).map(|n| (format!("p{n}"), json!({"statusCode": n.to_string()}))).collect();
    let paths: Value = (0..300).map(|n| (format!("/p{n}"), json!({"$ref": "#/x-shared"}))).collect();
    let body = json!({"parameters": [{"in": "body", "name": "b", "schema": {"$ref": "#/definitions/M"}}]});
    vec![
        (
            "scopes",
            document(
                operations(none.clone()),
                json!({
                    "security": [{"s": vec!["a"; 1_000]}], "components": {"securitySchemes": {"s": scheme}},
                }),
            ),
        ),
        (
            "the name of a scheme",
            document(
                operations(none.clone()),
                json!({
                    "security": [{&long: []}], "components": {"securitySchemes": {&long: scheme}},
                }),
            ),
        ),
        (
            "the name of a validator",
            document(
                operations(none.clone()),
                json!({
                    "x-amazon-apigateway-request-validator": long, "x-amazon-apigateway-request-validators": {&long: {}},
                }),
            ),
        ),
        (
            "the responses of an integration",
            document(referring(), json!({"x-shared": {"responses": responses}})),
        ),
        ("a member of an integration", document(referring(), json!({"x-shared": {"connectionType": long}}))),
        (
            "parameters",
            document(
                paths.clone(),
                json!({"x-shared": {"get": {}, "parameters": vec![none.clone(); 1_000]}}),
            ),
        ),
        (
            "a reference",
            document(
                paths,
                json!({
                    "x-shared": {"get": {"parameters": [{"$ref": format!("#/{long}")}]}},
                }),
            ),
        ),
        (
            "content types",
            json!({
                "swagger": "2.0", "info": {"title": "t"}, "consumes": [long], "paths": operations(body),
                "definitions": {"M": {"type": "object"}},
            }),
        ),
        (
            "the base path",
            json!({
                "swagger": "2.0", "info": {"title": "t"}, "basePath": format!("/{}", "b".repeat(2_000)),
                "paths": operations(none),
            }),
        ),
    ]
}

fn hostile_yaml() -> String {
    let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for n in 1..10 {
        text.push_str(&format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 10].join(",")));
    }
    text
}

#[test]
fn exports_are_of_what_is_asked_for() {
    let (_dir, inside) = start();
    let id = inside
        .client
        .expect(201, "POST", &format!("{IMPORT}&ignore=documentation"), &pets().to_string())
        .text("id");
    deploy(&inside, &id);
    let base = format!("/restapis/{id}/stages/prod/exports");
    let plain = inside.client.expect(200, "GET", &format!("{base}/swagger"), "");
    assert_eq!(plain.header("content-type"), Some("application/json"));
    assert!(
        plain.header("content-disposition").is_some_and(|d| d.starts_with("attachment; filename=\"swagger_"))
    );
    assert!(!plain.body.to_string().contains("x-amazon-apigateway-integration"), "{plain:?}");
    let integrations = get(&inside, &format!("{base}/oas30?extensions=integrations"));
    assert!(integrations["paths"]["/pets"]["get"]["x-amazon-apigateway-integration"].is_object());
    assert_eq!(integrations.get("x-amazon-apigateway-binary-media-types"), None);
    for (target, expected) in
        [(format!("{base}/oas31"), "'oas31'"), (format!("{base}/swagger?extensions=all"), "'all'")]
    {
        inside.client.refused(400, BAD, expected, "GET", &target, "");
    }
    inside.client.expect(404, "GET", &format!("/restapis/{id}/stages/none/exports/swagger"), "");
}
