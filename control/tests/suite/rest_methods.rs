//! Methods of REST APIs and the responses that they declare.

use serde_json::{Value, json};

use crate::support::rest::{ABSENT, BAD, CONFLICT, INVALID, Rest};

#[test]
fn a_method_is_patched_member_by_member() {
    let rest = Rest::start();
    let path = rest.method("ANY", json!({"apiKeyRequired": true}));
    let bare = json!({"apiKeyRequired": true, "authorizationType": "NONE", "httpMethod": "ANY"});
    assert_eq!(rest.get(&path), bare);
    let patched = rest.patch(
        &path,
        &json!([
            {"op": "replace", "path": "/apiKeyRequired", "value": "false"},
            {"op": "replace", "path": "/authorizationType", "value": "AWS_IAM"},
            {"op": "replace", "path": "/operationName", "value": "ListPets"},
            {"op": "add", "path": "/requestParameters/method.request.querystring.a", "value": "true"},
            {"op": "add", "path": "/requestParameters/method.request.header.b", "value": "false"},
            {"op": "replace", "path": "/requestParameters/method.request.querystring.a", "value": "false"},
            // AWS drops an authorizer that the type doesn't ask.
            {"op": "replace", "path": "/authorizerId", "value": "abc123"},
        ]),
    );
    let expected = json!({
        "apiKeyRequired": false, "authorizationType": "AWS_IAM", "httpMethod": "ANY", "operationName": "ListPets",
        "requestParameters": {"method.request.header.b": false, "method.request.querystring.a": false},
    });
    assert_eq!(patched, expected);
    assert_eq!(rest.get(&path), expected);
    let patched = rest.patch(
        &path,
        &json!([
            {"op": "remove", "path": "/requestParameters/method.request.header.b"},
            {"op": "move", "from": "/requestParameters/method.request.querystring.a",
             "path": "/requestParameters/method.request.querystring.c"},
        ]),
    );
    assert_eq!(patched["requestParameters"], json!({"method.request.querystring.c": false}));
    // No value is as good as an empty one where a member can be unset.
    let unset = json!([
        {"op": "replace", "path": "/operationName"},
        {"op": "replace", "path": "/requestValidatorId", "value": null},
        {"op": "replace", "path": "/authorizerId", "value": ""},
    ]);
    assert_eq!(rest.patch(&path, &unset)["operationName"], Value::Null);
}

#[test]
fn dangling_references_and_bad_members_are_refused_in_the_words_of_aws() {
    let rest = Rest::start();
    let at = |name: &str| format!("/resources/{}/methods/{name}", rest.root);
    let with = |members: Value| {
        let mut body = json!({"authorizationType": "NONE"});
        body.as_object_mut().expect("an object").extend(members.as_object().expect("an object").clone());
        body
    };
    let authorizer = "Invalid authorizer ID specified. Setting the authorization type to CUSTOM or COGNITO_USER_POOLS \
                      requires a valid authorizer.";
    for (text, name, members) in [
        ("Invalid HttpMethod specified. Valid options are GET,PUT,POST", "WRONG", json!({})),
        ("Invalid authorization type specified", "GET", json!({"authorizationType": "BASIC"})),
        (authorizer, "GET", json!({"authorizationType": "CUSTOM"})),
        (authorizer, "GET", json!({"authorizationType": "CUSTOM", "authorizerId": "none"})),
        (authorizer, "GET", json!({"authorizationType": "COGNITO_USER_POOLS", "authorizerId": "none"})),
        ("Invalid Request Validator identifier specified", "GET", json!({"requestValidatorId": "none"})),
        (
            "Invalid model identifier specified: petModel",
            "GET",
            json!({"requestModels": {"application/json": "petModel"}}),
        ),
        ("authorizationScopes are for", "GET", json!({"authorizationScopes": ["a"]})),
        (
            "Parameter names must be unique across querystring, header and path",
            "GET",
            json!({"requestParameters": {"method.request.querystring.a": true, "method.request.header.a": true}}),
        ),
    ] {
        rest.refused(400, BAD, text, "PUT", &at(name), &with(members));
    }
    let path = rest.method("GET", json!({}));
    rest.refused(409, CONFLICT, "Method already exists", "PUT", &path, &with(json!({})));
    let set = |path: &str, value: &str| json!({"op": "replace", "path": path, "value": value});
    for (status, error, text, operation) in [
        (
            400,
            BAD,
            "Invalid patch path /httpMethod",
            json!({"op": "add", "path": "/httpMethod", "value": "PUT"}),
        ),
        (400, BAD, "Invalid patch path /requestParameters", set("/requestParameters", "x")),
        (
            400,
            BAD,
            "Invalid patch path /requestModels/application/json",
            json!({"op": "add", "path": "/requestModels/application/json", "value": "Empty"}),
        ),
        (
            400,
            BAD,
            "Invalid patch operation specified. Must be one of: [replace]",
            json!({"op": "add", "path": "/operationName", "value": "x"}),
        ),
        (400, BAD, authorizer, set("/authorizationType", "CUSTOM")),
        (400, BAD, "Request Validator", set("/requestValidatorId", "none")),
        (400, BAD, "true or false", set("/apiKeyRequired", "whatever")),
        (404, ABSENT, "Invalid parameter name", set("/requestParameters/method.request.header.x", "true")),
        (
            404,
            ABSENT,
            "Content-Type specified was not found",
            json!({"op": "remove", "path": "/requestModels/application~1json"}),
        ),
    ] {
        rest.unpatched(status, error, text, &path, &operation);
    }
    rest.unpatched(404, ABSENT, "Invalid Method identifier", &at("PUT"), &set("/operationName", "x"));
}

#[test]
fn models_of_a_method_are_counted() {
    let rest = Rest::start();
    let path = rest.method("GET", json!({}));
    rest.call(201, "PUT", &format!("{path}/responses/200"), &json!({}));
    let models = |count: usize| -> Value {
        (0..count).map(|n| (format!("a/{n}"), json!("Empty"))).collect::<serde_json::Map<_, _>>().into()
    };
    let put = format!("/resources/{}/methods/PUT", rest.root);
    let body = json!({"authorizationType": "NONE", "requestModels": models(101)});
    rest.refused(400, BAD, "requestModels can have at most 100 entries", "PUT", &put, &body);
    let body = json!({"responseModels": models(101)});
    let response = format!("{path}/responses/201");
    rest.refused(400, BAD, "responseModels can have at most 100 entries", "PUT", &response, &body);
    let add =
        |name: &str, n: usize| json!({"op": "add", "path": format!("/{name}/a~1{n}"), "value": "Empty"});
    for (name, place) in
        [("requestModels", path.clone()), ("responseModels", format!("{path}/responses/200"))]
    {
        rest.patch(&place, &(0..100).map(|n| add(name, n)).collect());
        rest.unpatched(400, BAD, "at most 100 entries", &place, &add(name, 100));
    }
}

#[test]
fn a_methods_responses_are_made_patched_and_deleted() {
    let rest = Rest::start();
    let path = rest.method("GET", json!({}));
    let at = |code: &str| format!("{path}/responses/{code}");
    assert_eq!(rest.call(201, "PUT", &at("200"), &json!({})).body, json!({"statusCode": "200"}));
    let declared = json!({"responseParameters": {"method.response.header.a": false}});
    rest.call(201, "PUT", &at("404"), &declared);
    rest.refused(409, CONFLICT, "Response already exists", "PUT", &at("200"), &json!({}));
    let patched = rest.patch(
        &at("404"),
        &json!([
            {"op": "replace", "path": "/responseParameters/method.response.header.a", "value": "true"},
            {"op": "add", "path": "/responseParameters/method.response.header.b", "value": "false"},
        ]),
    );
    let parameters = json!({"method.response.header.a": true, "method.response.header.b": false});
    assert_eq!(patched, json!({"statusCode": "404", "responseParameters": parameters}));
    assert_eq!(rest.get(&at("404")), patched);
    assert_eq!(rest.get(&path)["methodResponses"], json!({"200": {"statusCode": "200"}, "404": patched}));
    let resources = rest.get("/resources?embed=methods");
    assert_eq!(resources["item"][0]["resourceMethods"]["GET"]["methodResponses"]["404"], patched);

    let pattern = "Value 'wrong' at 'statusCode' failed to satisfy constraint: Member must satisfy regular expression \
                   pattern: [1-5]\\d\\d";
    rest.refused(400, INVALID, pattern, "PUT", &at("wrong"), &json!({}));
    rest.refused(400, INVALID, pattern, "GET", &at("wrong"), &Value::Null);
    let body = json!({"responseModels": {"application/json": "none"}});
    rest.refused(400, BAD, "Invalid model identifier specified: none", "PUT", &at("500"), &body);
    let body = json!({"responseParameters": {"method.request.header.a": true}});
    let malformed = "errors : [Invalid mapping expression specified: method.request.header.a]";
    rest.refused(400, BAD, malformed, "PUT", &at("500"), &body);
    let gone = "Invalid Response status code specified";
    rest.refused(404, ABSENT, gone, "GET", &at("201"), &Value::Null);
    rest.refused(404, ABSENT, gone, "DELETE", &at("201"), &Value::Null);
    for (status, error, text, operation) in [
        (
            404,
            ABSENT,
            "Invalid parameter name specified",
            json!({"op": "remove", "path": "/responseParameters/x"}),
        ),
        (
            404,
            ABSENT,
            "Content-Type specified was not found",
            json!({"op": "replace", "path": "/responseModels/x", "value": "Empty"}),
        ),
        (
            400,
            BAD,
            "Invalid patch path /statusCode",
            json!({"op": "replace", "path": "/statusCode", "value": "1"}),
        ),
        (
            400,
            INVALID,
            "'updateMethodResponseInput.patchOperations.1.member.op'",
            json!({"op": "x", "path": "/y"}),
        ),
    ] {
        rest.unpatched(status, error, text, &at("404"), &operation);
    }
    rest.call(204, "DELETE", &at("404"), &Value::Null);
    rest.refused(404, ABSENT, gone, "GET", &at("404"), &Value::Null);
}

/// Who may call is part of what a deployment freezes and a gateway is told.
#[test]
fn a_method_that_asks_for_protection_is_refused_until_it_is_redeployed_without() {
    let rest = Rest::start();
    let path = rest.method("GET", json!({"authorizationType": "AWS_IAM"}));
    let body = json!({"type": "HTTP_PROXY", "httpMethod": "GET", "uri": "http://h/"});
    rest.call(201, "PUT", &format!("{path}/integration"), &body);
    let first = rest.deploy();
    let refusal = || crate::rest_integrations::refusal(&rest);
    assert_eq!(refusal().as_deref(), Some("the authorization AWS_IAM isn't enforced yet"));
    let summary = rest.get(&format!("/deployments/{first}?embed=apisummary"));
    let expected = json!({"/": {"GET": {"authorizationType": "AWS_IAM", "apiKeyRequired": false}}});
    assert_eq!(summary["apiSummary"], expected);
    rest.patch(&path, &json!([{"op": "replace", "path": "/authorizationType", "value": "NONE"}]));
    assert!(refusal().is_some(), "a deployment is frozen");
    rest.deploy();
    assert_eq!(refusal(), None);
    rest.patch("/stages/s", &json!([{"op": "replace", "path": "/deploymentId", "value": first}]));
    assert!(refusal().is_some(), "back to the first");
}

#[test]
fn a_method_refers_to_what_is_there_and_a_clone_takes_it_along() {
    let rest = Rest::start();
    let token = json!({
        "name": "a", "type": "TOKEN", "identitySource": "method.request.header.Authorization",
        "authorizerUri": "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:f/invocations",
    });
    let authorizer = rest.call(201, "POST", "/authorizers", &token).text("id");
    let validator = json!({"name": "v", "validateRequestBody": true});
    let validator = rest.call(201, "POST", "/requestvalidators", &validator).text("id");
    let members = json!({"requestModels": {"application/json": "Empty"}, "requestValidatorId": validator});
    let path = rest.method("GET", members);
    let set = |path: &str, value: &str| json!({"op": "replace", "path": path, "value": value});
    let patched =
        rest.patch(&path, &json!([set("/authorizationType", "CUSTOM"), set("/authorizerId", &authorizer)]));
    let expected = json!({
        "apiKeyRequired": false, "authorizationType": "CUSTOM", "authorizerId": authorizer, "httpMethod": "GET",
        "requestModels": {"application/json": "Empty"}, "requestValidatorId": validator,
    });
    assert_eq!(patched, expected);
    let other = "Invalid authorizer ID specified";
    rest.unpatched(400, BAD, other, &path, &set("/authorizationType", "COGNITO_USER_POOLS"));
    let declared = json!({"responseModels": {"application/json": "Error"}});
    rest.call(201, "PUT", &format!("{path}/responses/500"), &declared);

    let clone = json!({"name": "copy", "cloneFrom": rest.id}).to_string();
    let clone = rest.inside.client.expect(201, "POST", "/restapis", &clone).text("id");
    let of_clone =
        |path: &str| rest.inside.client.expect(200, "GET", &format!("/restapis/{clone}{path}"), "").body;
    assert_eq!(of_clone(&path), rest.get(&path));
    for parts in ["/authorizers", "/models", "/requestvalidators"] {
        assert_eq!(of_clone(parts), rest.get(parts), "{parts}");
    }

    let integration = json!({"type": "HTTP_PROXY", "httpMethod": "GET", "uri": "http://h/"});
    rest.call(201, "PUT", &format!("{path}/integration"), &integration);
    let refusal = |members: &Value| {
        rest.patch(&path, members);
        rest.deploy();
        crate::rest_integrations::refusal(&rest)
    };
    assert_eq!(refusal(&json!([])).as_deref(), Some("Lambda authorizers aren't asked yet"));
    let open = json!([set("/authorizationType", "NONE")]);
    assert_eq!(refusal(&open).as_deref(), Some("the request validator isn't enforced yet"));
    assert_eq!(rest.get(&path)["authorizerId"], Value::Null);
    assert_eq!(refusal(&json!([set("/requestValidatorId", "")])), None);
}
