//! What belongs to a REST API beside its tree, through the management API, up to what a stage makes of it.

use crate::support::inside::{Inside, settings};
use serde_json::{Value, json};
use turnpike_snapshot::IntegrationKind;

const FUNCTION: &str = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:0:function:f/invocations";
const BAD: &str = "BadRequestException";
const CONFLICT: &str = "ConflictException";

struct Api {
    _dir: tempfile::TempDir,
    inside: Inside,
    id: String,
    root: String,
}

fn start() -> Api {
    start_with(|_| {})
}

fn start_with(change: impl FnOnce(&mut turnpike_control::settings::Settings)) -> Api {
    let dir = tempfile::tempdir().expect("a directory");
    let mut settings = settings(dir.path().join("data"));
    change(&mut settings);
    let inside = Inside::start(settings);
    let made = inside.client.expect(201, "POST", "/restapis", r#"{"name":"parts"}"#);
    let (id, root) = (made.text("id"), made.text("rootResourceId"));
    Api { _dir: dir, inside, id, root }
}

impl Api {
    fn at(&self, path: &str) -> String {
        format!("/restapis/{}/{path}", self.id)
    }

    fn make(&self, path: &str, body: &Value) -> String {
        self.inside.client.expect(201, "POST", &self.at(path), &body.to_string()).text("id")
    }

    fn list(&self, path: &str) -> Vec<Value> {
        let answer = self.inside.client.expect(200, "GET", &self.at(path), "");
        answer.body["item"].as_array().unwrap_or_else(|| panic!("no list in {answer:?}")).clone()
    }

    fn refused(&self, status: u16, error: &str, text: &str, method: &str, path: &str, body: &Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.inside.client.refused(status, error, text, method, &self.at(path), &body);
    }

    fn authorizer(&self) -> String {
        let body = json!({"name": "check", "type": "TOKEN", "authorizerUri": FUNCTION,
                          "identitySource": "method.request.header.Authorization"});
        self.make("authorizers", &body)
    }

    /// `GET /`, with these members too.
    fn method(&self, more: Value) -> String {
        let path = format!("resources/{}/methods/GET", self.root);
        let mut body = json!({"authorizationType": "NONE"});
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        self.inside.client.expect(201, "PUT", &self.at(&path), &body.to_string());
        let integration = json!({"type": "HTTP_PROXY", "httpMethod": "GET", "uri": "http://127.0.0.1:1/"});
        let target = format!("{}/integration", self.at(&path));
        self.inside.client.expect(201, "PUT", &target, &integration.to_string());
        path
    }

    fn deploy(&self) {
        self.inside.client.expect(201, "POST", &self.at("deployments"), r#"{"stageName":"s"}"#);
    }

    fn reason(&self) -> String {
        match &self.inside.stage(&self.id, "s").integrations[0].kind {
            IntegrationKind::Refused { reason } => reason.clone(),
            IntegrationKind::HttpProxy(_) => String::new(),
        }
    }
}

#[test]
fn a_route_with_a_protection_is_not_served_open() {
    let api = start();
    let authorizer = api.authorizer();
    let validator = api.make("requestvalidators", &json!({"name": "all", "validateRequestBody": true}));
    let path = api.method(json!({"authorizationType": "CUSTOM", "authorizerId": authorizer}));
    api.deploy();
    assert!(api.reason().contains("authorizers"), "{}", api.reason());
    api.inside.client.expect(204, "DELETE", &api.at(&path), "");
    api.method(json!({"requestValidatorId": validator}));
    api.deploy();
    assert!(api.reason().contains("validator"), "{}", api.reason());
    api.inside.client.expect(204, "DELETE", &api.at(&path), "");
    api.method(json!({}));
    api.deploy();
    assert_eq!(api.reason(), "");
}

#[test]
fn what_is_in_use_stays() {
    let api = start();
    let authorizer = api.authorizer();
    let validator = api.make("requestvalidators", &json!({"name": "all"}));
    api.make("models", &json!({"name": "Pet", "contentType": "application/json", "schema": "{}"}));
    let path = api.method(json!({
        "authorizationType": "CUSTOM",
        "authorizerId": authorizer,
        "requestValidatorId": validator,
        "requestModels": {"application/json": "Pet"},
    }));
    let users = [
        (
            format!("authorizers/{authorizer}"),
            "Cannot delete authorizer 'check', is referenced in method: GET//",
        ),
        (format!("requestvalidators/{validator}"), "is referenced in method: GET//"),
        ("models/Pet".to_owned(), "Cannot delete model 'Pet', is referenced in method request: //GET"),
    ];
    for (part, text) in &users {
        api.refused(409, CONFLICT, text, "DELETE", part, &Value::Null);
    }
    let response = format!("{path}/responses/200");
    let body = json!({"responseModels": {"application/json": "Error"}}).to_string();
    api.inside.client.expect(201, "PUT", &api.at(&response), &body);
    api.refused(409, CONFLICT, "method response: //GET", "DELETE", "models/Error", &Value::Null);
    api.inside.client.expect(204, "DELETE", &api.at(&path), "");
    for (part, _) in &users {
        api.inside.client.expect(202, "DELETE", &api.at(part), "");
        assert_eq!(api.inside.client.call("GET", &api.at(part), "").error(), "NotFoundException");
    }
}

#[test]
fn a_clone_has_the_parts_and_not_the_versions() {
    let api = start();
    api.authorizer();
    api.make("documentation/parts", &json!({"location": {"type": "API"}, "properties": "{}"}));
    let version = json!({"documentationVersion": "1"}).to_string();
    api.inside.client.expect(201, "POST", &api.at("documentation/versions"), &version);
    let response = json!({"statusCode": "404"}).to_string();
    api.inside.client.expect(201, "PUT", &api.at("gatewayresponses/ACCESS_DENIED"), &response);
    let body = json!({"name": "clone", "cloneFrom": api.id}).to_string();
    let clone = Api { id: api.inside.client.expect(201, "POST", "/restapis", &body).text("id"), ..api };
    assert_eq!(clone.list("authorizers").len(), 1);
    assert_eq!(clone.list("models").len(), 2);
    assert_eq!(clone.list("documentation/parts").len(), 1);
    assert_eq!(clone.list("documentation/versions").len(), 0);
    let custom: Vec<Value> = clone.list("gatewayresponses");
    assert_eq!(custom.iter().filter(|item| item["defaultResponse"] == false).count(), 1);
}

#[test]
fn a_clones_models_refer_to_its_own() {
    let api = start();
    let model = |name: &str, schema: &Value| json!({"name": name, "contentType": "application/json", "schema": schema.to_string()});
    let address =
        |id: &str, name: &str| format!("https://apigateway.amazonaws.com/restapis/{id}/models/{name}");
    api.make("models", &model("Pet", &json!({"type": "object"})));
    let pets = json!({"type": "array", "items": {"$ref": address(&api.id, "Pet")}, "example": address(&api.id, "Pet")});
    api.make("models", &model("Pets", &pets));
    let foreign = json!({"$ref": "https://apigateway.amazonaws.com/restapis/other/models/Pet"});
    api.make("models", &model("Foreign", &foreign));
    let body = json!({"name": "clone", "cloneFrom": api.id}).to_string();
    let id = api.inside.client.expect(201, "POST", "/restapis", &body).text("id");
    let schema = |id: &str, name: &str| -> Value {
        let model = api.inside.client.expect(200, "GET", &format!("/restapis/{id}/models/{name}"), "");
        serde_json::from_str(&model.text("schema")).expect("JSON")
    };
    assert_eq!(schema(&id, "Pets")["items"]["$ref"], address(&id, "Pet"));
    assert_eq!(schema(&id, "Pets")["example"], address(&api.id, "Pet"), "text is no reference");
    assert_eq!((schema(&id, "Foreign"), schema(&api.id, "Pets")), (foreign, pets));
    let used = "is referenced in model: Pets";
    api.inside.client.refused(409, CONFLICT, used, "DELETE", &format!("/restapis/{id}/models/Pet"), "");
}

#[test]
fn quotas_are_settings() {
    let api = start_with(|settings| {
        settings.quotas.authorizers_per_api_max = 1;
        settings.quotas.models_per_api_max = 2;
        settings.quotas.request_validators_per_api_max = 1;
        settings.quotas.documentation_parts_per_api_max = 1;
        settings.quotas.documentation_versions_per_api_max = 1;
    });
    let authorizer = |name: &str| json!({"name": name, "type": "REQUEST", "authorizerUri": FUNCTION, "authorizerResultTtlInSeconds": 0});
    let part = |kind: &str| json!({"location": {"type": kind}, "properties": "{}"});
    let version = |name: &str| json!({"documentationVersion": name}).to_string();
    api.make("authorizers", &authorizer("a"));
    api.make("requestvalidators", &json!({}));
    api.make("documentation/parts", &part("API"));
    api.inside.client.expect(201, "POST", &api.at("documentation/versions"), &version("1"));
    let model = json!({"name": "Third", "contentType": "application/json", "schema": "{}"});
    for (setting, path, body) in [
        ("authorizers_per_api_max", "authorizers", authorizer("b")),
        ("models_per_api_max", "models", model),
        ("request_validators_per_api_max", "requestvalidators", json!({})),
        ("documentation_parts_per_api_max", "documentation/parts", part("RESOURCE")),
        (
            "documentation_versions_per_api_max",
            "documentation/versions",
            json!({"documentationVersion": "2"}),
        ),
    ] {
        api.refused(429, "LimitExceededException", setting, "POST", path, &body);
    }
}

#[test]
fn documentation_has_its_bound_however_it_comes() {
    let api = start();
    let document = |name: &str, chars: usize| {
        let properties = json!({name: "x".repeat(chars)});
        let parts = json!([{"location": {"type": "API"}, "properties": properties}]);
        json!({"swagger": "2.0", "x-amazon-apigateway-documentation": {"documentationParts": parts}})
    };
    let refused =
        |body: &Value| api.refused(400, BAD, "at most 307200 characters", "PUT", "documentation/parts", body);
    refused(&document("a", 307_200));
    let fits = document("a", 200_000).to_string();
    api.inside.client.expect(200, "PUT", &api.at("documentation/parts"), &fits);
    refused(&document("b", 200_000));
    let part = json!({"location": {"type": "API", "path": ""}, "properties": format!("{{\"a\":\"{}\"}}", "x".repeat(307_200))});
    api.refused(400, BAD, "at most 307200 characters", "POST", "documentation/parts", &part);
}

#[test]
fn an_authorizers_lists_are_bounded() {
    let api = start();
    let pool = |n: usize| format!("arn:aws:cognito-idp:us-east-1:0:userpool/us-east-1_{n}");
    let pools = |arns: Vec<String>| json!({"name": "p", "type": "COGNITO_USER_POOLS", "identitySource": "method.request.header.A", "providerARNs": arns});
    let many: Vec<String> = (0..100).map(pool).collect();
    let id = api.make("authorizers", &pools(many.clone()));
    let more = json!({"patchOperations": [{"op": "add", "path": "/providerARNs", "value": pool(100)}]});
    let text = "at most 100 providerARNs";
    api.refused(400, BAD, text, "PATCH", &format!("authorizers/{id}"), &more);
    api.refused(400, BAD, text, "POST", "authorizers", &pools([many, vec![pool(100)]].concat()));
    let long = format!("arn:aws:cognito-idp:us-east-1:0:userpool/{}", "x".repeat(2_048));
    api.refused(400, BAD, "at most 2048 characters", "POST", "authorizers", &pools(vec![long]));
    let jwt = |issuers: usize, audiences: usize| {
        let issuer = |n: usize| {
            let audiences: Vec<String> = (0..audiences).map(|n| n.to_string()).collect();
            json!({"issuer": format!("https://h/{n}"), "audiences": audiences})
        };
        let issuers: Vec<Value> = (0..issuers).map(issuer).collect();
        json!({"name": "j", "type": "JWT", "jwtConfiguration": {"issuers": issuers, "defaultAlgorithms": ["RS256"]}})
    };
    api.refused(400, BAD, "at most 100 issuers", "POST", "authorizers", &jwt(101, 1));
    api.refused(400, BAD, "at most 100 audiences", "POST", "authorizers", &jwt(1, 101));
    api.make("authorizers", &jwt(100, 1));
}

#[test]
fn a_schema_that_can_be_made_can_be_patched() {
    let api = start();
    let schema = |chars: usize| json!({"description": "x".repeat(chars)}).to_string();
    api.make(
        "models",
        &json!({"name": "Large", "contentType": "application/json", "schema": schema(400_000)}),
    );
    let patch =
        |chars| json!({"patchOperations": [{"op": "replace", "path": "/schema", "value": schema(chars)}]});
    let large = patch(401_000).to_string();
    let patched = api.inside.client.expect(200, "PATCH", &api.at("models/Large"), &large);
    assert_eq!(patched.text("schema"), schema(401_000));
    api.refused(400, BAD, "at most 409600", "PATCH", "models/Large", &patch(410_000));
}

#[test]
fn an_import_is_whole_or_nothing() {
    let api = start_with(|settings| settings.quotas.documentation_parts_per_api_max = 2);
    api.make("documentation/parts", &json!({"location": {"type": "API"}, "properties": "{\"a\":1}"}));
    let document = |kinds: &[&str]| {
        let parts = kinds.iter().map(|kind| json!({"location": {"type": kind}, "properties": {"b": 2}}));
        let parts: Vec<Value> = parts.collect();
        json!({"swagger": "2.0", "x-amazon-apigateway-documentation": {"documentationParts": parts}})
    };
    let too_many = document(&["API", "RESOURCE", "METHOD"]);
    let path = "documentation/parts?mode=overwrite";
    api.refused(429, "LimitExceededException", "documentation_parts_per_api_max", "PUT", path, &too_many);
    api.refused(400, BAD, "mode", "PUT", "documentation/parts?mode=replace", &document(&[]));
    assert_eq!(api.list("documentation/parts")[0]["properties"], "{\"a\":1}");
    let merged = document(&["API", "RESOURCE"]).to_string();
    api.inside.client.expect(200, "PUT", &api.at("documentation/parts?mode=merge"), &merged);
    assert_eq!(api.list("documentation/parts?type=API")[0]["properties"], "{\"a\":1,\"b\":2}");
}
