//! REST APIs themselves: settings, patches, clones.

use serde_json::{Value, json};

use crate::support::rest::{ABSENT, BAD, INVALID, Rest};

const POLICY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"execute-api:Invoke","Resource":"*"}]}"#;

fn made(rest: &Rest, members: &Value) -> Value {
    rest.inside.client.expect(201, "POST", "/restapis", &members.to_string()).body
}

fn unmade(rest: &Rest, error: &str, text: &str, members: &Value) {
    rest.inside.client.refused(400, error, text, "POST", "/restapis", &members.to_string());
}

#[test]
fn every_setting_is_kept_and_told() {
    let rest = Rest::start();
    let answer = made(
        &rest,
        &json!({
            "name": "a", "description": "d", "version": "v1", "binaryMediaTypes": ["image/png", "*/*"],
            "minimumCompressionSize": 0, "apiKeySource": "AUTHORIZER", "policy": POLICY,
            "endpointConfiguration": {"types": ["PRIVATE"], "vpcEndpointIds": ["vpce-1"]},
            "disableExecuteApiEndpoint": true, "securityPolicy": "SecurityPolicy_TLS13_2025_EDGE",
            "endpointAccessMode": "STRICT", "tags": {"a": "b"},
        }),
    );
    let mut expected = json!({
        "apiKeySource": "AUTHORIZER", "apiStatus": "AVAILABLE", "binaryMediaTypes": ["image/png", "*/*"],
        "createdDate": answer["createdDate"], "description": "d", "disableExecuteApiEndpoint": true,
        "endpointAccessMode": "STRICT",
        "endpointConfiguration": {"types": ["PRIVATE"], "ipAddressType": "dualstack", "vpcEndpointIds": ["vpce-1"]},
        "id": answer["id"], "minimumCompressionSize": 0, "name": "a", "rootResourceId": answer["rootResourceId"],
        "policy": POLICY.replace('"', "\\\""), "securityPolicy": "SecurityPolicy_TLS13_2025_EDGE",
        "tags": {"a": "b"}, "version": "v1",
    });
    assert_eq!(answer, expected, "a policy is told as the inside of a JSON string");
    let id = answer["id"].as_str().expect("an id");
    let path = format!("/restapis/{id}");
    assert_eq!(rest.inside.client.expect(200, "GET", &path, "").body, expected);
    let patched = json!({"patchOperations": [
        {"op": "replace", "path": "/name", "value": "b"},
        {"op": "remove", "path": "/description"},
        {"op": "replace", "path": "/apiKeySource", "value": "HEADER"},
        {"op": "add", "path": "/binaryMediaTypes/image~1gif"},
        {"op": "replace", "path": "/binaryMediaTypes/image~1png", "value": "image/webp"},
        {"op": "remove", "path": "/binaryMediaTypes/*~1*"},
        {"op": "replace", "path": "/minimumCompressionSize"},
        {"op": "replace", "path": "/policy", "value": ""},
        {"op": "remove", "path": "/endpointConfiguration/vpcEndpointIds", "value": "vpce-1"},
        {"op": "replace", "path": "/endpointConfiguration/types/PRIVATE", "value": "EDGE"},
        {"op": "replace", "path": "/endpointConfiguration/types/0", "value": "REGIONAL"},
        {"op": "replace", "path": "/endpointConfiguration/ipAddressType", "value": "ipv4"},
        {"op": "replace", "path": "/disableExecuteApiEndpoint", "value": "false"},
        {"op": "replace", "path": "/endpointAccessMode", "value": "BASIC"},
        {"op": "replace", "path": "/securityPolicy", "value": "SecurityPolicy_TLS12_2018_EDGE"},
    ]});
    let members = expected.as_object_mut().expect("an object");
    for gone in ["description", "minimumCompressionSize", "policy"] {
        members.remove(gone);
    }
    for (name, value) in [
        ("name", json!("b")),
        ("apiKeySource", json!("HEADER")),
        ("binaryMediaTypes", json!(["image/gif", "image/webp"])),
        ("endpointConfiguration", json!({"types": ["REGIONAL"], "ipAddressType": "ipv4"})),
        ("disableExecuteApiEndpoint", json!(false)),
        ("endpointAccessMode", json!("BASIC")),
        ("securityPolicy", json!("SecurityPolicy_TLS12_2018_EDGE")),
    ] {
        members.insert(name.to_owned(), value);
    }
    assert_eq!(rest.inside.client.expect(200, "PATCH", &path, &patched.to_string()).body, expected);
    assert_eq!(rest.inside.client.expect(200, "GET", &path, "").body, expected);
}

#[test]
fn what_cannot_be_made_is_refused_in_the_words_of_aws() {
    let rest = Rest::start();
    let endpoint = |endpoint: Value| json!({"name": "a", "endpointConfiguration": endpoint});
    for (error, text, members) in [
        (BAD, "Description cannot be an empty string", json!({"name": "a", "description": ""})),
        (BAD, "must be between 0 and 10485760", json!({"name": "a", "minimumCompressionSize": 10_485_761})),
        (BAD, "must be between 0 and 10485760", json!({"name": "a", "minimumCompressionSize": -1})),
        (BAD, "Invalid policy document", json!({"name": "a", "policy": "no"})),
        (BAD, "cannot be both DISABLED", endpoint(json!({"types": []}))),
        (BAD, "multiple Endpoint Types", endpoint(json!({"types": ["EDGE", "REGIONAL"]}))),
        (BAD, "Only dualstack", endpoint(json!({"types": ["PRIVATE"], "ipAddressType": "ipv4"}))),
        (BAD, "Only Private APIs", endpoint(json!({"vpcEndpointIds": ["vpce-1"]}))),
        (BAD, "begins with SecurityPolicy_", json!({"name": "a", "endpointAccessMode": "STRICT"})),
        (
            INVALID,
            "Value '[x]' at 'createRestApiInput.endpointConfiguration.types' failed",
            endpoint(json!({"types": ["x"]})),
        ),
        (
            INVALID,
            "1 validation error detected: Value 'x' at 'createRestApiInput.endpointConfiguration.ipAddressType' failed",
            endpoint(json!({"ipAddressType": "x"})),
        ),
        (INVALID, "'createRestApiInput.apiKeySource'", json!({"name": "a", "apiKeySource": "x"})),
        (INVALID, "'createRestApiInput.securityPolicy'", json!({"name": "a", "securityPolicy": "x"})),
    ] {
        unmade(&rest, error, text, &members);
    }
}

#[test]
fn what_cannot_be_patched_is_refused_in_the_words_of_aws() {
    let rest = Rest::start();
    for (status, error, text, operation) in [
        (400, BAD, "Invalid patch path /binaryMediaTypes", json!({"op": "add", "path": "/binaryMediaTypes"})),
        (400, BAD, "Invalid patch path /id", json!({"op": "replace", "path": "/id", "value": "x"})),
        (400, BAD, "Must be one of: [replace]", json!({"op": "add", "path": "/name", "value": "x"})),
        (400, BAD, "Name cannot be empty", json!({"op": "replace", "path": "/name", "value": ""})),
        (
            400,
            BAD,
            "0 and 10485760",
            json!({"op": "replace", "path": "/minimumCompressionSize", "value": "x"}),
        ),
        (400, BAD, "Invalid patch path null", json!({"op": "replace"})),
        (404, ABSENT, "image/png", json!({"op": "remove", "path": "/binaryMediaTypes/image~1png"})),
        (
            400,
            BAD,
            "Valid options are REGIONAL,EDGE,PRIVATE",
            json!({"op": "replace", "path": "/endpointConfiguration/types/0", "value": "x"}),
        ),
        (
            400,
            BAD,
            "must be either ipv4 or dualstack",
            json!({"op": "replace", "path": "/endpointConfiguration/ipAddressType", "value": "x"}),
        ),
        (
            400,
            BAD,
            "Only Private APIs",
            json!({"op": "add", "path": "/endpointConfiguration/vpcEndpointIds", "value": "vpce-1"}),
        ),
        (
            400,
            INVALID,
            "1 validation error detected: Value 'put' at 'updateRestApiInput.patchOperations.1.member.op' failed",
            json!({"op": "put", "path": "/name", "value": "x"}),
        ),
    ] {
        rest.unpatched(status, error, text, "", &operation);
    }
    assert_eq!(rest.get("")["name"], "pets");
}

#[test]
fn a_clone_has_the_tree_and_the_settings_but_no_stage() {
    let rest = Rest::start();
    let pets = rest.resource(&rest.root, "pets");
    let members = json!({"requestParameters": {"method.request.header.a": true}});
    let method = rest.method("GET", members);
    let body = json!({"type": "HTTP_PROXY", "httpMethod": "GET", "uri": "http://h/"});
    rest.call(201, "PUT", &format!("{method}/integration"), &body);
    rest.patch("", &json!([{"op": "add", "path": "/binaryMediaTypes/a~1b"}]));
    rest.deploy();
    let clone = made(&rest, &json!({"name": "copy", "cloneFrom": rest.id}));
    let at = |path: &str| {
        let path = format!("/restapis/{}{path}", clone["id"].as_str().expect("an id"));
        rest.inside.client.expect(200, "GET", &path, "").body
    };
    assert_ne!(clone["id"], rest.id.as_str());
    assert_eq!((&clone["name"], &clone["binaryMediaTypes"]), (&json!("copy"), &json!(["a/b"])));
    assert_eq!(at("/resources?embed=methods"), rest.get("/resources?embed=methods"));
    assert_eq!((&at("/stages")["item"], &at("/deployments")["item"]), (&json!([]), &json!([])));
    rest.call(202, "DELETE", &format!("/resources/{pets}"), &Value::Null);
    assert_eq!(at("/resources")["item"].as_array().map(Vec::len), Some(2), "a copy, not the same");
    let none = json!({"name": "copy", "cloneFrom": "none"}).to_string();
    rest.inside.client.refused(404, ABSENT, "Invalid API identifier", "POST", "/restapis", &none);
}

#[test]
fn a_private_api_needs_a_policy_and_a_policy_closes_its_routes() {
    let rest = Rest::start();
    let method = rest.method("GET", json!({}));
    let body = json!({"type": "HTTP_PROXY", "httpMethod": "GET", "uri": "http://h/"});
    rest.call(201, "PUT", &format!("{method}/integration"), &body);
    rest.patch("", &json!([{"op": "replace", "path": "/endpointConfiguration/types/0", "value": "PRIVATE"}]));
    rest.refused(400, BAD, "resource policy", "POST", "/deployments", &json!({"stageName": "s"}));
    rest.patch("", &json!([{"op": "replace", "path": "/policy", "value": POLICY}]));
    rest.deploy();
    let refusal = crate::rest_integrations::refusal(&rest);
    assert_eq!(refusal.as_deref(), Some("the API's resource policy isn't enforced yet"));
}

#[test]
fn a_policy_that_is_taken_away_counts_with_the_next_deployment() {
    let rest = Rest::start();
    let method = rest.method("GET", json!({}));
    let body = json!({"type": "HTTP_PROXY", "httpMethod": "GET", "uri": "http://h/"});
    rest.call(201, "PUT", &format!("{method}/integration"), &body);
    let is_refused = || crate::rest_integrations::refusal(&rest).is_some();
    let policy = |value: &str| {
        rest.patch("", &json!([{"op": "replace", "path": "/policy", "value": value}]));
    };
    let serve = |deployment: &str| {
        rest.patch("/stages/s", &json!([{"op": "replace", "path": "/deploymentId", "value": deployment}]));
    };
    let open = rest.deploy();
    assert!(!is_refused());
    policy(POLICY);
    assert!(is_refused(), "a policy closes at once");
    let guarded = rest.deploy();
    policy("");
    assert!(is_refused(), "the stage serves a deployment with a policy");
    rest.deploy();
    assert!(!is_refused());
    serve(&guarded);
    assert!(is_refused(), "a rollback brings the policy back");
    serve(&open);
    assert!(!is_refused());
}
