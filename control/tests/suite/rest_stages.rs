//! Stages and deployments of REST APIs: settings, patches, what reaches gateways.

use serde_json::{Value, json};

use crate::support::rest::{ABSENT, BAD, CONFLICT, INVALID, Rest};

/// An API that is deployed to the stage `s`.
fn deployed() -> Rest {
    let rest = Rest::start();
    let path = rest.method("GET", json!({}));
    let body = json!({"type": "HTTP_PROXY", "httpMethod": "GET", "uri": "http://h/"});
    rest.call(201, "PUT", &format!("{path}/integration"), &body);
    rest.deploy();
    rest
}

fn set(path: &str, value: &str) -> Value {
    json!({"op": "replace", "path": path, "value": value})
}

#[test]
fn a_stage_has_what_it_is_made_with() {
    let rest = deployed();
    let deployment = rest.get("/deployments")["item"][0]["id"].clone();
    let made = rest.call(
        201,
        "POST",
        "/stages",
        &json!({
            "stageName": "t", "deploymentId": deployment, "description": "d", "variables": {"a": "1"},
            "cacheClusterEnabled": true, "cacheClusterSize": "6.1", "tracingEnabled": true, "tags": {"k": "v"},
        }),
    );
    let expected = json!({
        "stageName": "t", "deploymentId": deployment, "description": "d", "variables": {"a": "1"},
        "cacheClusterEnabled": true, "cacheClusterSize": "6.1", "cacheClusterStatus": "AVAILABLE",
        "tracingEnabled": true, "tags": {"k": "v"}, "methodSettings": {},
        "createdDate": made.body["createdDate"], "lastUpdatedDate": made.body["lastUpdatedDate"],
    });
    assert_eq!(made.body, expected);
    assert_eq!(rest.get("/stages/t"), expected);
    let body = json!({
        "stageName": "t", "stageDescription": "e", "cacheClusterEnabled": false, "tracingEnabled": false,
        "description": "mine",
    });
    let second = rest.call(201, "POST", "/deployments", &body);
    assert_eq!(second.text("description"), "mine");
    let stage = rest.get("/stages/t");
    assert_eq!((&stage["description"], &stage["deploymentId"]), (&json!("e"), &second.body["id"]));
    assert_eq!((&stage["variables"], &stage["tags"]), (&json!({"a": "1"}), &json!({"k": "v"})));
    assert_eq!((&stage["cacheClusterEnabled"], &stage["cacheClusterSize"]), (&json!(false), &json!("6.1")));

    let path = format!("/deployments/{}", second.text("id"));
    let patched = rest.patch(&path, &json!([set("/description", "yours")]));
    assert_eq!((&patched["description"], &patched["id"]), (&json!("yours"), &second.body["id"]));
    rest.unpatched(400, BAD, "Must be one of: [/description]", &path, &set("/id", "x"));
    for (status, error, text, members) in [
        (400, INVALID, "'createStageInput.cacheClusterSize'", json!({"cacheClusterSize": "1"})),
        (404, ABSENT, "Invalid Documentation version", json!({"documentationVersion": "none"})),
        (404, ABSENT, "Invalid Deployment identifier", json!({"deploymentId": "none"})),
        (400, BAD, "Stage name only allows", json!({"stageName": "a b"})),
    ] {
        let mut body = json!({"stageName": "u", "deploymentId": deployment});
        body.as_object_mut().expect("an object").extend(members.as_object().expect("an object").clone());
        rest.refused(status, error, text, "POST", "/stages", &body);
    }
}

#[test]
fn a_stages_members_are_patched() {
    let rest = deployed();
    let patched = rest.patch(
        "/stages/s",
        &json!([
            set("/description", "d"),
            set("/variables/a", "1"),
            set("/variables/b", "2"),
            {"op": "remove", "path": "/variables/a"},
            set("/cacheClusterEnabled", "true"),
            set("/tracingEnabled", "true"),
        ]),
    );
    assert_eq!((&patched["description"], &patched["variables"]), (&json!("d"), &json!({"b": "2"})));
    assert_eq!(
        (&patched["cacheClusterSize"], &patched["cacheClusterStatus"]),
        (&json!("0.5"), &json!("AVAILABLE"))
    );
    assert_eq!(patched["tracingEnabled"], true);
    let part = json!({"location": {"type": "API"}, "properties": "{\"description\": \"d\"}"});
    rest.call(201, "POST", "/documentation/parts", &part);
    rest.call(201, "POST", "/documentation/versions", &json!({"documentationVersion": "v1"}));
    let documented = rest.patch("/stages/s", &json!([set("/documentationVersion", "v1")]));
    assert_eq!(documented["documentationVersion"], "v1");
    let bare = rest.patch("/stages/s", &json!([set("/documentationVersion", "")]));
    assert_eq!(bare["documentationVersion"], Value::Null);
    let cleared = json!([{"op": "remove", "path": "/variables"}, set("/cacheClusterSize", "237")]);
    let cleared = rest.patch("/stages/s", &cleared);
    assert_eq!((&cleared["variables"], &cleared["cacheClusterSize"]), (&Value::Null, &json!("237")));

    let unknown = "Invalid method setting path: /tags/tag1. Must be one of: [/deploymentId, /description, \
                   /cacheClusterEnabled, /cacheClusterSize, /clientCertificateId,";
    let not_added = json!({"op": "add", "path": "/description", "value": "x"});
    for (status, error, text, operation) in [
        (400, BAD, unknown, set("/tags/tag1", "x")),
        (400, BAD, "Invalid method setting path: /stageName.", set("/stageName", "x")),
        (400, BAD, "Invalid add operation with path: /description", not_added),
        (
            400,
            BAD,
            "Cannot remove method setting a/b because there is no method setting for this method ",
            json!({"op": "remove", "path": "/a/b"}),
        ),
        (400, BAD, "/cacheClusterSize has to be one of", set("/cacheClusterSize", "1")),
        (404, ABSENT, "Documentation version", set("/documentationVersion", "none")),
        (404, ABSENT, "Deployment", set("/deploymentId", "none")),
        (400, BAD, "'a'", set("/variables/a", "{}")),
    ] {
        rest.unpatched(status, error, text, "/stages/s", &operation);
    }
}

#[test]
fn methods_are_set_one_by_one_and_all_at_once() {
    let rest = deployed();
    let patched = rest.patch(
        "/stages/s",
        &json!([
            set("/*/*/throttling/burstLimit", "123"),
            set("/*/*/caching/enabled", "true"),
            set("/test/GET/throttling/burstLimit", "124"),
            set("/~1pets~1{id}/PUT/logging/loglevel", "INFO"),
            set("/~1pets~1{id}/PUT/logging/dataTrace", "true"),
            set("/~1pets~1{id}/PUT/metrics/enabled", "true"),
            set("/~1pets~1{id}/PUT/throttling/rateLimit", "0.5"),
            set("/~1pets~1{id}/PUT/caching/ttlInSeconds", "3600"),
            set("/~1pets~1{id}/PUT/caching/dataEncrypted", "true"),
            set("/~1pets~1{id}/PUT/caching/requireAuthorizationForCacheControl", "false"),
            set("/~1pets~1{id}/PUT/caching/unauthorizedCacheControlHeaderStrategy", "FAIL_WITH_403"),
        ]),
    );
    let defaults = json!({
        "cacheDataEncrypted": false, "cacheTtlInSeconds": 300, "cachingEnabled": true, "dataTraceEnabled": false,
        "metricsEnabled": false, "requireAuthorizationForCacheControl": true, "throttlingBurstLimit": 123,
        "throttlingRateLimit": 10000.0, "unauthorizedCacheControlHeaderStrategy": "SUCCEED_WITH_RESPONSE_HEADER",
    });
    let settings = &patched["methodSettings"];
    assert_eq!(settings["*/*"], defaults);
    let mut own = defaults.clone();
    own["throttlingBurstLimit"] = 124.into();
    assert_eq!(settings["test/GET"], own, "the rest is that of all methods");
    let expected = json!({
        "cacheDataEncrypted": true, "cacheTtlInSeconds": 3600, "cachingEnabled": true, "dataTraceEnabled": true,
        "loggingLevel": "INFO", "metricsEnabled": true, "requireAuthorizationForCacheControl": false,
        "throttlingBurstLimit": 123, "throttlingRateLimit": 0.5,
        "unauthorizedCacheControlHeaderStrategy": "FAIL_WITH_403",
    });
    assert_eq!(settings["~1pets~1{id}/PUT"], expected);
    let patched = rest.patch(
        "/stages/s",
        &json!([
            set("/*/*/throttling/burstLimit", "100"),
            {"op": "test", "path": "/~1pets~1{id}/PUT/throttling/rateLimit", "value": "0.5"},
            {"op": "remove", "path": "/~1pets~1{id}/PUT"},
        ]),
    );
    let settings = &patched["methodSettings"];
    let burst = |key: &str| settings[key]["throttlingBurstLimit"].clone();
    assert_eq!((burst("*/*"), burst("test/GET")), (json!(100), json!(124)));
    assert_eq!(settings["~1pets~1{id}/PUT"], Value::Null);
    let left = rest.patch("/stages/s", &json!([{"op": "remove", "path": "/*/*"}]));
    assert_eq!(left["methodSettings"].as_object().map(serde_json::Map::len), Some(1));
    let gone = "Cannot remove method setting */* because there is no method setting for this method ";
    rest.unpatched(400, BAD, gone, "/stages/s", &json!({"op": "remove", "path": "/*/*"}));
    for (text, operation) in [
        ("Invalid method setting path: /test/WRONG/", set("/test/WRONG/throttling/burstLimit", "1")),
        ("Invalid method setting path: /test/GET/throttling/x", set("/test/GET/throttling/x", "1")),
        ("integer from -1 on", set("/test/GET/throttling/burstLimit", "-2")),
        ("number from 0 on, or -1", set("/test/GET/throttling/rateLimit", "NaN")),
        ("from 0 to 3600", set("/test/GET/caching/ttlInSeconds", "3601")),
        ("OFF, ERROR, INFO", set("/test/GET/logging/loglevel", "DEBUG")),
        ("true or false", set("/test/GET/caching/enabled", "1")),
    ] {
        rest.unpatched(400, BAD, text, "/stages/s", &operation);
    }
}

#[test]
fn a_resource_can_be_called_like_a_member_of_its_stage() {
    let rest = deployed();
    let limit = |path: &str| set(&format!("{path}/throttling/burstLimit"), "7");
    rest.patch(
        "/stages/s",
        &json!([set("/description", "d"), limit("/description/GET"), limit("/stageName/GET")]),
    );
    let test = |path: &str, value: &str| json!({"op": "test", "path": path, "value": value});
    let patched = rest.patch(
        "/stages/s",
        &json!([
            test("/description", "d"),
            limit("/createdDate/GET"),
            limit("/pets/GET"),
            limit("/pets/PUT"),
            test("/pets/GET/throttling/burstLimit", "7"),
            test("/pets/PUT/throttling/burstLimit", "7"),
        ]),
    );
    assert_eq!(patched["methodSettings"]["description/GET"]["throttlingBurstLimit"], 7);
    let hidden = test("/stageName/GET/throttling/burstLimit", "7");
    rest.unpatched(409, CONFLICT, "it holds nothing", "/stages/s", &hidden);
}

#[test]
fn an_access_log_is_whole_once_both_halves_are_there() {
    let rest = deployed();
    let log = || rest.inside.stage(&rest.id, "s").access_log;
    let arn = "arn:aws:logs:us-east-1:000000000000:log-group:pets";
    let add = |path: &str, value: &str| json!([{"op": "add", "path": path, "value": value}]);
    let half = rest.patch("/stages/s", &add("/accessLogSettings/destinationArn", arn));
    assert_eq!(half["accessLogSettings"], json!({"destinationArn": arn}));
    assert_eq!(log(), None);
    let format = "$context.requestId $context.status";
    let whole = rest.patch("/stages/s", &add("/accessLogSettings/format", format));
    assert_eq!(whole["accessLogSettings"], json!({"destinationArn": arn, "format": format}));
    let served = log().expect("both halves");
    assert_eq!((served.destination.as_str(), served.format.as_str()), ("pets", format));
    let one_of = "Invalid accessLogSettings path. Must be one of : [/accessLogSettings/destinationArn, \
                  /accessLogSettings/format]";
    for (text, operation) in [
        (one_of, set("/accessLogSettings/x", "y")),
        (one_of, set("/accessLogSettings", "y")),
        (one_of, json!({"op": "add", "path": "/accessLogSettings/*", "value": "y"})),
        ("Access Log value must not be empty", set("/accessLogSettings/format", "")),
        ("requestId", set("/accessLogSettings/format", "$context.status")),
        ("destinationArn has to be", set("/accessLogSettings/destinationArn", "arn:aws:s3:::x")),
        (
            "Cannot remove method setting accessLogSettings/x because",
            json!({"op": "remove", "path": "/accessLogSettings/x"}),
        ),
    ] {
        rest.unpatched(400, BAD, text, "/stages/s", &operation);
    }
    let off = rest.patch("/stages/s", &json!([{"op": "remove", "path": "/accessLogSettings"}]));
    assert_eq!(off["accessLogSettings"], Value::Null);
    assert_eq!(log(), None);
}
