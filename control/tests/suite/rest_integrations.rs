//! Integrations of REST APIs and their responses.

use serde_json::{Value, json};
use turnpike_snapshot::IntegrationKind;

use crate::support::rest::{ABSENT, BAD, INVALID, Rest};

/// Why gateways refuse the only route of the stage `s`, if they do.
pub(crate) fn refusal(rest: &Rest) -> Option<String> {
    let unit = rest.inside.stage(&rest.id, "s");
    match &unit.integrations[..] {
        [one] => match &one.kind {
            IntegrationKind::Refused { reason } => Some(reason.clone()),
            IntegrationKind::HttpProxy(_) => None,
        },
        _ => panic!("one integration, not {:?}", unit.integrations),
    }
}

fn function() -> String {
    "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:f/invocations".to_owned()
}

#[test]
fn every_type_of_integration_is_kept_told_and_refused_where_it_cannot_be_run() {
    let rest = Rest::start();
    let path = rest.method("GET", json!({"requestParameters": {"method.request.querystring.q": true}}));
    let integration = format!("{path}/integration");
    let filled = |mut members: Value| {
        let defaults = json!({
            "cacheKeyParameters": [], "cacheNamespace": rest.root, "passthroughBehavior": "WHEN_NO_MATCH",
            "timeoutInMillis": 29_000,
        });
        for (name, value) in defaults.as_object().expect("an object") {
            members.as_object_mut().expect("an object").entry(name).or_insert(value.clone());
        }
        members
    };
    let internet = |mut members: Value| {
        members["connectionType"] = "INTERNET".into();
        filled(members)
    };
    let mock = json!({"type": "MOCK", "requestTemplates": {"application/json": "{\"statusCode\": 200}"}});
    let http = json!({
        "type": "HTTP", "httpMethod": "POST", "uri": "http://h/x", "passthroughBehavior": "NEVER",
        "requestTemplates": {"text/plain": "x"}, "contentHandling": "CONVERT_TO_TEXT", "timeoutInMillis": 50,
        "cacheNamespace": "shared", "cacheKeyParameters": ["method.request.querystring.q"],
        "responseTransferMode": "STREAM",
    });
    let aws = json!({
        "type": "AWS", "httpMethod": "POST", "uri": "arn:aws:apigateway:us-east-1:sqs:action/SendMessage",
        "credentials": "arn:aws:iam::000000000000:role/r",
        "requestParameters": {"integration.request.header.Content-Type": "'application/x-www-form-urlencoded'"},
    });
    let proxy = json!({"type": "AWS_PROXY", "httpMethod": "POST", "uri": function()});
    for (body, expected, reason) in [
        (mock.clone(), filled(mock), "integrations of the type MOCK aren't run yet"),
        (http.clone(), internet(http), "integrations of the type HTTP aren't run yet"),
        (aws.clone(), filled(aws), "integrations of the type AWS aren't run yet"),
        (proxy.clone(), filled(proxy), "integrations of the type AWS_PROXY aren't run yet"),
    ] {
        assert_eq!(rest.call(201, "PUT", &integration, &body).body, expected);
        assert_eq!(rest.get(&integration), expected);
        assert_eq!(rest.get(&path)["methodIntegration"], expected);
        rest.deploy();
        assert_eq!(refusal(&rest).as_deref(), Some(reason));
    }
}

#[test]
fn mappings_beyond_the_path_are_kept_and_refuse_the_route() {
    let rest = Rest::start();
    let parameters = json!({"method.request.querystring.q": true, "method.request.header.h": false});
    let path = rest.method("GET", json!({"requestParameters": parameters}));
    let integration = format!("{path}/integration");
    for (target, source, reason) in [
        ("integration.request.header.x", "'static'", "integration.request.header isn't done yet"),
        (
            "integration.request.querystring.x",
            "context.stage",
            "integration.request.querystring isn't done yet",
        ),
        ("integration.request.path.x", "method.request.header.h", "from method.request.path only"),
        ("integration.request.path.x", "stageVariables.v", "from method.request.path only"),
    ] {
        let uri = if target.contains("path") { "http://h/{x}" } else { "http://h/" };
        let body = json!({
            "type": "HTTP_PROXY", "httpMethod": "GET", "uri": uri, "requestParameters": {target: source},
        });
        let made = rest.call(201, "PUT", &integration, &body);
        assert_eq!(made.body["requestParameters"], json!({target: source}));
        rest.deploy();
        let refusal = refusal(&rest).expect(source);
        assert!(refusal.contains(reason), "{refusal}");
    }
    rest.patch(
        &integration,
        &json!([
            {"op": "replace", "path": "/uri", "value": "http://h/"},
            {"op": "remove", "path": "/requestParameters/integration.request.path.x"},
        ]),
    );
    rest.deploy();
    assert_eq!(refusal(&rest), None);
}

#[test]
fn an_integration_is_patched_member_by_member() {
    let rest = Rest::start();
    let link =
        rest.inside.client.expect(202, "POST", "/vpclinks", r#"{"name":"l","targetArns":["arn:aws:x"]}"#);
    let path = rest.method("GET", json!({"requestParameters": {"method.request.querystring.q": true}}));
    let integration = format!("{path}/integration");
    let body = json!({"type": "HTTP_PROXY", "httpMethod": "GET", "uri": "http://h/"});
    rest.call(201, "PUT", &integration, &body);
    let set = |path: &str, value: &str| json!({"op": "replace", "path": path, "value": value});
    let patched = rest.patch(
        &integration,
        &json!([
            set("/uri", "https://h/y"),
            set("/httpMethod", "ANY"),
            set("/timeoutInMillis", "60"),
            set("/passthroughBehavior", "NEVER"),
            set("/contentHandling", "CONVERT_TO_BINARY"),
            set("/cacheNamespace", "n"),
            set("/credentials", "arn:aws:iam::*:user/*"),
            set("/connectionType", "VPC_LINK"),
            set("/connectionId", &link.text("id")),
            set("/integrationTarget", "arn:aws:elasticloadbalancing:x"),
            set("/tlsConfig/insecureSkipVerification", "true"),
            set("/responseTransferMode", "BUFFERED"),
            {"op": "add", "path": "/cacheKeyParameters/method.request.querystring.q", "value": ""},
            {"op": "add", "path": "/requestTemplates/application~1json", "value": "{}"},
            {"op": "add", "path": "/requestTemplates/text~1plain"},
            {"op": "add", "path": "/requestParameters/integration.request.header.x", "value": "'y'"},
        ]),
    );
    let expected = json!({
        "type": "HTTP_PROXY", "httpMethod": "ANY", "uri": "https://h/y", "timeoutInMillis": 60,
        "passthroughBehavior": "NEVER", "contentHandling": "CONVERT_TO_BINARY", "cacheNamespace": "n",
        "credentials": "arn:aws:iam::*:user/*", "connectionType": "VPC_LINK", "connectionId": link.text("id"),
        "integrationTarget": "arn:aws:elasticloadbalancing:x", "tlsConfig": {"insecureSkipVerification": true},
        "responseTransferMode": "BUFFERED", "cacheKeyParameters": ["method.request.querystring.q"],
        "requestTemplates": {"application/json": "{}", "text/plain": null},
        "requestParameters": {"integration.request.header.x": "'y'"},
    });
    assert_eq!(patched, expected);
    assert_eq!(rest.get(&integration), expected);
    let patched = rest.patch(
        &integration,
        &json!([
            set("/connectionType", "INTERNET"),
            set("/connectionId", ""),
            set("/contentHandling", ""),
            set("/credentials", ""),
            {"op": "remove", "path": "/cacheKeyParameters/method.request.querystring.q"},
            {"op": "remove", "path": "/requestTemplates/application~1json"},
            {"op": "test", "path": "/uri", "value": "https://h/y"},
        ]),
    );
    for gone in ["connectionId", "contentHandling", "credentials"] {
        assert_eq!(patched[gone], Value::Null, "{gone}");
    }
    assert_eq!(
        (&patched["connectionType"], &patched["cacheKeyParameters"]),
        (&json!("INTERNET"), &json!([]))
    );
    for (status, error, text, operation) in [
        (400, BAD, "Invalid patch path /type", set("/type", "MOCK")),
        (400, BAD, "Must be one of: [replace]", json!({"op": "remove", "path": "/uri"})),
        (400, BAD, "from 50 to 29000", set("/timeoutInMillis", "29001")),
        (400, BAD, "/timeoutInMillis has to be an integer from 50", set("/timeoutInMillis", "49")),
        (400, BAD, "Invalid HTTP endpoint specified for URI", set("/uri", "ftp://h")),
        (400, BAD, "Invalid HttpMethod specified", set("/httpMethod", "get")),
        (400, BAD, "HttpMethod must be non-empty", set("/httpMethod", "")),
        (400, BAD, "Invalid VpcLink identifier specified: none", set("/connectionId", "none")),
        (400, BAD, "connectionId is required", set("/connectionType", "VPC_LINK")),
        (400, BAD, "needs a value", json!({"op": "replace", "path": "/passthroughBehavior"})),
        (400, BAD, "Invalid ARN specified", set("/credentials", "me")),
        (404, ABSENT, "cache key parameter", json!({"op": "remove", "path": "/cacheKeyParameters/x"})),
        (
            400,
            BAD,
            "Invalid cache key parameter specified: x",
            json!({"op": "add", "path": "/cacheKeyParameters/x"}),
        ),
        (
            404,
            ABSENT,
            "there is none",
            json!({"op": "remove", "path": "/requestTemplates/application~1json"}),
        ),
        (
            400,
            BAD,
            "expression parameter specified: method.request.header.z",
            json!({"op": "add", "path": "/requestParameters/integration.request.header.z",
                   "value": "method.request.header.z"}),
        ),
    ] {
        rest.unpatched(status, error, text, &integration, &operation);
    }
    rest.call(201, "PUT", &integration, &json!({"type": "MOCK"}));
    rest.unpatched(400, BAD, "MOCK has none", &integration, &set("/uri", "http://h/"));
}

#[test]
fn what_cannot_be_integrated_is_refused_in_the_words_of_aws() {
    let rest = Rest::start();
    let path = rest.method("GET", json!({}));
    let integration = format!("{path}/integration");
    let aws = |kind: &str, uri: &str| json!({"type": kind, "httpMethod": "POST", "uri": uri});
    let arn = |rest: &str| format!("arn:aws:apigateway:us-east-1:{rest}");
    for (error, text, body) in [
        (
            INVALID,
            "Value 'HTTPS_PROXY' at 'putIntegrationInput.type' failed to satisfy constraint: Member must satisfy enum \
             value set: [HTTP, MOCK, AWS_PROXY, HTTP_PROXY, AWS]",
            json!({"type": "HTTPS_PROXY"}),
        ),
        (INVALID, "'putIntegrationInput.contentHandling'", json!({"type": "MOCK", "contentHandling": "x"})),
        (INVALID, "'putIntegrationInput.connectionType'", json!({"type": "MOCK", "connectionType": "x"})),
        (BAD, "type is required", json!({})),
        (BAD, "HttpMethod must be non-empty", json!({"type": "AWS", "uri": arn("sqs:action/x")})),
        (BAD, "Invalid ARN specified in the request", aws("AWS", "http://h/")),
        (BAD, "must contain path or action", aws("AWS", &arn("sqs:x"))),
        (BAD, "currently only supports Lambda function and Firehose", aws("AWS_PROXY", &arn("sqs:action/x"))),
        (
            BAD,
            "Validation Result: warnings : [], errors : [Invalid content type specified: 123]",
            json!({"type": "MOCK", "requestTemplates": {"123": "x"}}),
        ),
        (BAD, "passthroughBehavior has to be one of", json!({"type": "MOCK", "passthroughBehavior": "x"})),
    ] {
        rest.refused(400, error, text, "PUT", &integration, &body);
    }
    let gone = "Invalid Integration identifier specified";
    rest.refused(404, ABSENT, gone, "GET", &integration, &Value::Null);
    rest.refused(404, ABSENT, gone, "GET", &format!("{integration}/responses/200"), &Value::Null);
    rest.unpatched(
        404,
        ABSENT,
        gone,
        &integration,
        &json!({"op": "replace", "path": "/uri", "value": "http://h/"}),
    );
}

#[test]
fn an_integrations_responses_are_made_patched_and_deleted() {
    let rest = Rest::start();
    let path = rest.method("GET", json!({}));
    let integration = format!("{path}/integration");
    let at = |code: &str| format!("{integration}/responses/{code}");
    let body = json!({"selectionPattern": "", "responseTemplates": {"application/json": "\"created\""}});
    rest.refused(404, ABSENT, "Invalid Integration identifier", "PUT", &at("200"), &body);
    rest.call(201, "PUT", &integration, &json!({"type": "MOCK"}));
    let mut expected = body.clone();
    expected["statusCode"] = "200".into();
    assert_eq!(rest.call(201, "PUT", &at("200"), &body).body, expected);
    assert_eq!(rest.get(&at("200")), expected);
    let patched = rest.patch(
        &at("200"),
        &json!([
            {"op": "replace", "path": "/selectionPattern", "value": "2.."},
            {"op": "replace", "path": "/contentHandling", "value": "CONVERT_TO_TEXT"},
            {"op": "add", "path": "/responseTemplates/text~1plain", "value": ""},
            {"op": "remove", "path": "/responseTemplates/application~1json"},
        ]),
    );
    let expected = json!({
        "contentHandling": "CONVERT_TO_TEXT", "responseTemplates": {"text/plain": null}, "selectionPattern": "2..",
        "statusCode": "200",
    });
    assert_eq!(patched, expected);
    assert_eq!(rest.get(&path)["methodIntegration"]["integrationResponses"], json!({"200": expected}));

    let allow = json!({"responseParameters": {"method.response.header.a": "'*'"}});
    let no_response = "errors : [No method response exists for method.]";
    rest.refused(400, BAD, no_response, "PUT", &at("200"), &allow);
    let responses = format!("{path}/responses/200");
    rest.call(201, "PUT", &responses, &json!({}));
    let undeclared = "Invalid mapping expression specified: Validation Result: warnings : [], errors : [Invalid mapping \
                      expression parameter specified: method.response.header.a]";
    rest.refused(400, BAD, undeclared, "PUT", &at("200"), &allow);
    rest.patch(
        &responses,
        &json!([{"op": "add", "path": "/responseParameters/method.response.header.a", "value": "true"}]),
    );
    let replaced = rest.call(201, "PUT", &at("200"), &allow).body;
    assert_eq!(
        replaced,
        json!({"responseParameters": {"method.response.header.a": "'*'"}, "statusCode": "200"})
    );
    rest.unpatched(
        400,
        BAD,
        "Invalid patch path /x",
        &at("200"),
        &json!({"op": "replace", "path": "/x", "value": ""}),
    );

    rest.refused(404, ABSENT, "Invalid Response status code", "DELETE", &at("201"), &Value::Null);
    rest.refused(400, INVALID, "[1-5]\\d\\d", "PUT", &at("wrong"), &json!({}));
    rest.call(204, "DELETE", &at("200"), &Value::Null);
    rest.refused(404, ABSENT, "Invalid Response status code", "GET", &at("200"), &Value::Null);
}
