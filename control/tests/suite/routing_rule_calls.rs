//! The calls of routing rules and routing modes: what they take, tell and refuse.

use serde_json::{Value, json};

use crate::domains::{domain, http_api, import, served, start};
use crate::support::http::{BAD, CONFLICT, MISSING, change, make, read, refused};
use crate::support::inside::Inside;

const RULES: &str = "/v2/domainnames/api.example.com/routingrules";

/// A domain, and an API with the stage `$default`.
fn ready(inside: &Inside) -> String {
    let arn = import(inside, &["api.example.com"], None);
    domain(inside, "api.example.com", &json!({"certificateArn": arn}));
    http_api(inside)
}

fn rule(api: &str, priority: u32, conditions: Value) -> Value {
    let invoke = json!({"apiId": api, "stage": "$default", "stripBasePath": true});
    json!({"priority": priority, "conditions": conditions, "actions": [{"invokeApi": invoke}]})
}

fn headers(list: &[(&str, &str)]) -> Value {
    let any_of: Vec<Value> =
        list.iter().map(|(name, glob)| json!({"header": name, "valueGlob": glob})).collect();
    json!({"matchHeaders": {"anyOf": any_of}})
}

fn paths(list: &[&str]) -> Value {
    json!({"matchBasePaths": {"anyOf": list}})
}

fn mode(inside: &Inside, mode: &str) -> Value {
    change(&inside.client, "/v2/domainnames/api.example.com", &json!({"routingMode": mode}))
}

#[test]
fn rules_and_modes_are_told_as_they_were_given() {
    let (_dir, inside) = start();
    let api = ready(&inside);
    let conditions = json!([
        headers(&[("X-Version", "beta*"), ("x-other", "*")]),
        headers(&[("cookie", "*a*")]),
        paths(&["users", "a/b"]),
    ]);
    let made = make(&inside.client, RULES, &rule(&api, 50, conditions.clone()));
    assert_eq!((&made.body["conditions"], &made.body["priority"]), (&conditions, &json!(50)));
    assert_eq!(made.body["actions"], rule(&api, 1, json!([]))["actions"]);
    let id = made.text("routingRuleId");
    let arn = format!("arn:aws:apigateway:us-east-1::/domainnames/api.example.com/routingrules/{id}");
    assert_eq!(made.text("routingRuleArn"), arn);

    let mode = mode(&inside, "ROUTING_RULE_THEN_API_MAPPING");
    assert_eq!(mode["routingMode"], "ROUTING_RULE_THEN_API_MAPPING");
    let of_version_1 = read(&inside.client, "/domainnames/api.example.com");
    assert_eq!(of_version_1["routingMode"], "ROUTING_RULE_THEN_BASE_PATH_MAPPING");
    let patch = json!({"patchOperations": [
        {"op": "replace", "path": "/routingMode", "value": "ROUTING_RULE_ONLY"},
    ]});
    let told = change(&inside.client, "/domainnames/api.example.com", &patch);
    assert_eq!(told["routingMode"], "ROUTING_RULE_ONLY");
    let rules = served(&inside, "api.example.com").rules;
    assert_eq!((rules[0].headers.len(), rules[0].headers[0].any_of.len()), (2, 2));
    assert_eq!(rules[0].base_paths, ["users", "a/b"]);
}

#[test]
fn rules_are_put_listed_and_deleted() {
    let (_dir, inside) = start();
    let api = ready(&inside);
    mode(&inside, "ROUTING_RULE_ONLY");
    let ids: Vec<String> = [30, 10, 1_000_000, 20]
        .iter()
        .map(|priority| make(&inside.client, RULES, &rule(&api, *priority, json!([]))).text("routingRuleId"))
        .collect();
    let priorities = |page: &Value| -> Vec<u64> {
        page["routingRules"]
            .as_array()
            .expect("rules")
            .iter()
            .map(|rule| rule["priority"].as_u64().expect("one"))
            .collect()
    };
    let first = read(&inside.client, &format!("{RULES}?maxResults=3"));
    let token = first["nextToken"].as_str().expect("more");
    let rest = read(&inside.client, &format!("{RULES}?maxResults=3&nextToken={token}"));
    assert_eq!((priorities(&first), priorities(&rest)), (vec![10, 20, 30], vec![1_000_000]));
    assert_eq!(rest["nextToken"], Value::Null);

    let one = format!("{RULES}/{}", ids[0]);
    let put = inside.client.expect(200, "PUT", &one, &rule(&api, 15, json!([paths(&["x"])])).to_string());
    assert_eq!((&put.body["priority"], put.text("routingRuleId")), (&json!(15), ids[0].clone()));
    assert_eq!(read(&inside.client, &one), put.body);
    inside.client.refused(409, CONFLICT, &ids[1], "PUT", &one, &rule(&api, 10, json!([])).to_string());
    let served_by = || served(&inside, "api.example.com").rules.len();
    assert_eq!(served_by(), 4);
    inside.client.expect(204, "DELETE", &one, "");
    assert_eq!(served_by(), 3);
    for (method, body) in
        [("GET", String::new()), ("PUT", rule(&api, 5, json!([])).to_string()), ("DELETE", String::new())]
    {
        inside.client.refused(404, MISSING, "RoutingRule", method, &one, &body);
    }
    inside.client.expect(204, "DELETE", "/v2/domainnames/api.example.com", "");
    inside.client.expect(204, "DELETE", &format!("/v2/apis/{api}"), "");
}

#[test]
fn what_a_rule_leads_to_stays() {
    let (_dir, inside) = start();
    let api = ready(&inside);
    make(&inside.client, &format!("/v2/apis/{api}/stages"), &json!({"stageName": "dev"}));
    let mut body = rule(&api, 1, json!([]));
    body["actions"][0]["invokeApi"]["stage"] = json!("dev");
    let made = make(&inside.client, RULES, &body).text("routingRuleId");
    for target in [format!("/v2/apis/{api}"), format!("/v2/apis/{api}/stages/dev")] {
        inside.client.refused(400, BAD, "api.example.com", "DELETE", &target, "");
    }
    inside.client.expect(204, "DELETE", &format!("{RULES}/{made}"), "");
    inside.client.expect(204, "DELETE", &format!("/v2/apis/{api}/stages/dev"), "");
}

#[test]
fn what_a_rule_cannot_be_is_refused_by_name() {
    let (_dir, inside) = start();
    let api = ready(&inside);
    make(&inside.client, RULES, &rule(&api, 7, json!([])));
    let with = |member: &str, value: Value| {
        let mut body = rule(&api, 8, json!([]));
        body[member] = value;
        body
    };
    let when = |conditions: Value| rule(&api, 8, conditions);
    let to = |api: &str, stage: &str| json!([{"invokeApi": {"apiId": api, "stage": stage}}]);
    let version = headers(&[("x-version", "a")]);
    refused(
        &inside.client,
        "POST",
        RULES,
        &[
            (409, CONFLICT, "priority 7", rule(&api, 7, json!([]))),
            (400, BAD, "priority is required", with("priority", Value::Null)),
            (400, BAD, "from 1 to 1000000", with("priority", json!(0))),
            (400, BAD, "from 1 to 1000000", with("priority", json!(1_000_001))),
            (400, BAD, "conditions is required", with("conditions", Value::Null)),
            (400, BAD, "exactly one entry", with("actions", json!([]))),
            (400, BAD, "invokeApi is required", with("actions", json!([{}]))),
            (400, BAD, "Invalid API identifier", with("actions", to("none", "x"))),
            (400, BAD, "Invalid stage identifier", with("actions", to(&api, "none"))),
            (400, BAD, "at most 2 conditions matchHeaders", when(json!([version, version, version]))),
            (400, BAD, "one matchBasePaths", when(json!([paths(&["a"]), paths(&["b"])]))),
            (400, BAD, "either conditions[0].matchHeaders or", when(json!([{}]))),
            (400, BAD, "1 to 10 entries", when(json!([headers(&[])]))),
            (400, BAD, "matchBasePaths.anyOf has to have 1 to 10", when(json!([paths(&[])]))),
            (400, BAD, "only at its beginning or end", when(json!([headers(&[("a", "x*y")])]))),
            (400, BAD, "A header of matchHeaders", when(json!([headers(&[("a b", "x")])]))),
            (400, BAD, "A base path of", when(json!([paths(&["/users"])]))),
            (
                400,
                "SerializationException",
                "invokeApi.x",
                with("actions", json!([{"invokeApi": {"apiId": api, "stage": "s", "x": 1}}])),
            ),
        ],
    );
    let none = "/v2/domainnames/none.example.com/routingrules";
    inside.client.refused(404, MISSING, "domain name", "GET", none, "");
    let other = format!("{RULES}?domainNameId=x");
    inside.client.refused(404, MISSING, "domain name", "GET", &other, "");
    let domain = "/v2/domainnames/api.example.com";
    inside.client.refused(400, BAD, "ROUTING_RULE_ONLY", "PATCH", domain, r#"{"routingMode":"RULES"}"#);
}

#[test]
fn address_types_of_domains_are_kept() {
    let (_dir, inside) = start();
    ready(&inside);
    let dual = json!({"domainNameConfigurations": [{"ipAddressType": "dualstack"}]});
    let told = change(&inside.client, "/v2/domainnames/api.example.com", &dual);
    assert_eq!(told["domainNameConfigurations"][0]["ipAddressType"], "dualstack");
    let patch = json!({"patchOperations": [
        {"op": "replace", "path": "/endpointConfiguration/ipAddressType", "value": "ipv4"},
    ]});
    let told = change(&inside.client, "/domainnames/api.example.com", &patch);
    assert_eq!(told["endpointConfiguration"]["ipAddressType"], "ipv4");
}

#[test]
fn rules_have_a_quota() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut settings = crate::support::inside::settings(dir.path().join("data"));
    settings.quotas.routing_rules_per_domain_name_max = 1;
    let inside = Inside::start(settings);
    let api = ready(&inside);
    make(&inside.client, RULES, &rule(&api, 1, json!([])));
    let one_more = rule(&api, 2, json!([]));
    refused(&inside.client, "POST", RULES, &[(400, BAD, "routing_rules_per_domain_name_max", one_more)]);
}
