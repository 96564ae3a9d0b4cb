//! Routing rules through the management API, up to the account's unit.

use serde_json::{Value, json};
use turnpike_snapshot::{HeaderCondition, HeaderMatch, RoutingRule};

use super::domains::{domain, http_api, import, map, served, start};
use crate::support::inside::Inside;

const NAME: &str = "api.example.com";

fn rule(priority: u32, conditions: &Value, api: &str, stage: &str) -> String {
    let action = json!({"invokeApi": {"apiId": api, "stage": stage, "stripBasePath": true}});
    json!({"priority": priority, "conditions": conditions, "actions": [action]}).to_string()
}

fn mode(inside: &Inside, mode: &str) {
    let body = json!({"routingMode": mode}).to_string();
    inside.client.expect(200, "PATCH", &format!("/v2/domainnames/{NAME}"), &body);
}

fn with_domain() -> (tempfile::TempDir, Inside, String) {
    let (dir, inside) = start();
    let arn = import(&inside, &[NAME], None);
    domain(&inside, NAME, &json!({"certificateArn": arn}));
    let api = http_api(&inside);
    map(&inside, NAME, "", &api, "$default");
    (dir, inside, api)
}

#[test]
fn the_mode_says_what_a_gateway_gets() {
    let (_dir, inside, api) = with_domain();
    let rules = format!("/v2/domainnames/{NAME}/routingrules");
    let headers = json!({"matchHeaders": {"anyOf": [{"header": "X-Version", "valueGlob": "beta*"}]}});
    let paths = json!({"matchBasePaths": {"anyOf": ["pets/cats"]}});
    let body = rule(20, &json!([headers, paths]), &api, "$default");
    let id = inside.client.expect(201, "POST", &rules, &body).text("routingRuleId");
    inside.client.expect(201, "POST", &rules, &rule(10, &json!([]), &api, "$default"));
    let counts = || {
        let domain = served(&inside, NAME);
        (domain.rules.len(), domain.mappings.len())
    };
    assert_eq!(counts(), (0, 1), "mappings alone, unless the domain says otherwise");
    mode(&inside, "ROUTING_RULE_ONLY");
    assert_eq!(counts(), (2, 0));
    mode(&inside, "ROUTING_RULE_THEN_API_MAPPING");
    assert_eq!(counts(), (2, 1));
    let glob = HeaderMatch { name: "x-version".to_owned(), value_glob: "beta*".to_owned() };
    let expected = RoutingRule {
        id: id.clone(),
        priority: 20,
        headers: vec![HeaderCondition { any_of: vec![glob] }],
        base_paths: vec!["pets/cats".to_owned()],
        api_id: api,
        stage: "$default".to_owned(),
        strip_base_path: true,
    };
    assert!(served(&inside, NAME).rules.contains(&expected), "{:?}", served(&inside, NAME).rules);
    inside.client.expect(204, "DELETE", &format!("{rules}/{id}"), "");
    assert_eq!(counts(), (1, 1));
    mode(&inside, "API_MAPPING_ONLY");
    assert_eq!(counts(), (0, 1));
}

/// What has nothing deployed is nowhere else than in its rule, which a gateway refuses requests by.
#[test]
fn a_rule_waits_for_its_stage() {
    let (_dir, inside, api) = with_domain();
    inside.client.expect(201, "POST", &format!("/v2/apis/{api}/stages"), r#"{"stageName":"later"}"#);
    mode(&inside, "ROUTING_RULE_THEN_API_MAPPING");
    let rules = format!("/v2/domainnames/{NAME}/routingrules");
    let made = inside.client.expect(201, "POST", &rules, &rule(1, &json!([]), &api, "later"));
    assert!(inside.stages().iter().all(|stage| stage.stage != "later"));
    assert_eq!(served(&inside, NAME).rules[0].stage, "later");
    let stage = format!("/v2/apis/{api}/stages/later");
    inside.client.refused(400, "BadRequestException", "routing rules", "DELETE", &stage, "");
    inside.client.expect(204, "DELETE", &format!("{rules}/{}", made.text("routingRuleId")), "");
    inside.client.expect(204, "DELETE", &stage, "");
}
