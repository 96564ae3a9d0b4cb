//! Canaries of REST stages, up to the units that come of them.

use serde_json::json;
use turnpike_snapshot::{Canary, Integration, IntegrationKind, StageUnit, Unit};

use crate::support::inside::{Inside, settings};

/// A started control, the API's id, and where its one method is.
fn start() -> (tempfile::TempDir, Inside, String, String) {
    let dir = tempfile::tempdir().expect("a directory");
    let inside = Inside::start(settings(dir.path().join("data")));
    let made = inside.client.expect(201, "POST", "/restapis", r#"{"name":"pets"}"#);
    let (id, root) = (made.text("id"), made.text("rootResourceId"));
    let method = format!("/restapis/{id}/resources/{root}/methods/GET");
    inside.client.expect(201, "PUT", &method, r#"{"authorizationType":"NONE"}"#);
    (dir, inside, id, method)
}

fn lead_to(inside: &Inside, method: &str, uri: &str) {
    let body = json!({"type": "HTTP_PROXY", "httpMethod": "GET", "uri": uri}).to_string();
    inside.client.expect(201, "PUT", &format!("{method}/integration"), &body);
}

fn deploy(inside: &Inside, id: &str, body: &str) -> String {
    inside.client.expect(201, "POST", &format!("/restapis/{id}/deployments"), body).text("id")
}

/// Where the stage's requests go, and the canary's.
fn hosts(unit: &StageUnit) -> (String, Option<String>) {
    let host = |integrations: &[Integration]| {
        let [integration] = integrations else { panic!("{integrations:?}") };
        integration.kind.proxy().expect("a proxy").host.clone()
    };
    (host(&unit.integrations), unit.canary.as_ref().map(|canary| host(&canary.integrations)))
}

#[test]
fn a_canary_is_part_of_its_stages_unit() {
    let (_dir, inside, id, method) = start();
    lead_to(&inside, &method, "http://${stageVariables.host}/");
    let first = deploy(&inside, &id, r#"{"stageName":"prod","variables":{"host":"old.test"}}"#);
    assert_eq!(inside.stage(&id, "prod").canary, None);
    let before = inside.root();

    lead_to(&inside, &method, "http://${stageVariables.host}:81/");
    let body = r#"{"stageName":"prod","canarySettings":{"percentTraffic":12.5,
        "stageVariableOverrides":{"host":"new.test","more":"x"}}}"#;
    let second = deploy(&inside, &id, body);
    let unit = inside.stage(&id, "prod");
    assert_eq!((unit.deployment_id.as_str(), unit.routes.len()), (first.as_str(), 1));
    assert_eq!(hosts(&unit), ("old.test".to_owned(), Some("new.test".to_owned())));
    let canary = unit.canary.as_ref().expect("a canary");
    assert_eq!((canary.clients_per_10_000, &canary.deployment_id), (1_250, &second));
    assert_eq!(canary.routes, unit.routes);

    let stage = format!("/restapis/{id}/stages/prod");
    let shown = inside.client.expect(200, "GET", &stage, "").body;
    let expected = json!({
        "percentTraffic": 12.5, "deploymentId": second, "useStageCache": false,
        "stageVariableOverrides": {"host": "new.test", "more": "x"},
    });
    assert_eq!(shown["canarySettings"], expected);
    let in_use = "Active stages pointing to this deployment must be moved or deleted";
    let deployment = format!("/restapis/{id}/deployments/{second}");
    inside.client.refused(400, "BadRequestException", in_use, "DELETE", &deployment, "");

    // A variable that the canary lacks is refused, and nothing has changed.
    let root = inside.root();
    let stale = r#"{"patchOperations":[{"op":"replace","path":"/canarySettings/stageVariableOverrides/host","value":"?"}]}"#;
    inside.client.refused(400, "BadRequestException", "", "PATCH", &stage, stale);
    assert_eq!(inside.root(), root);

    let removed = r#"{"patchOperations":[{"op":"remove","path":"/canarySettings"}]}"#;
    inside.client.expect(200, "PATCH", &stage, removed);
    assert_eq!(inside.root().units, before.units, "as if it had never been");
    inside.client.expect(202, "DELETE", &deployment, "");
}

#[test]
fn a_promotion_makes_the_canarys_the_stages() {
    let (_dir, inside, id, method) = start();
    lead_to(&inside, &method, "http://${stageVariables.host}/");
    deploy(&inside, &id, r#"{"stageName":"prod","variables":{"host":"old.test","kept":"x"}}"#);
    let body = r#"{"stageName":"prod","canarySettings":{"percentTraffic":50,
        "stageVariableOverrides":{"host":"new.test"}}}"#;
    let second = deploy(&inside, &id, body);
    let promotion = r#"{"patchOperations":[
        {"op":"replace","path":"/canarySettings/percentTraffic","value":"0.0"},
        {"op":"copy","from":"/canarySettings/stageVariableOverrides","path":"/variables"},
        {"op":"copy","from":"/canarySettings/deploymentId","path":"/deploymentId"}]}"#;
    let stage = inside.client.expect(200, "PATCH", &format!("/restapis/{id}/stages/prod"), promotion).body;
    assert_eq!(stage["deploymentId"], second);
    assert_eq!(stage["variables"], json!({"host": "new.test", "kept": "x"}));
    let unit = inside.stage(&id, "prod");
    assert_eq!(unit.deployment_id, second);
    assert_eq!(hosts(&unit), ("new.test".to_owned(), Some("new.test".to_owned())));
    let Some(Canary { clients_per_10_000, .. }) = unit.canary else { panic!("a canary") };
    assert_eq!(clients_per_10_000, 0);
}

/// What a canary leads to stays in the root while the canary does.
#[test]
fn a_canary_keeps_the_links_that_it_leads_through() {
    let (_dir, inside, id, method) = start();
    let link =
        r#"{"name":"l","targetArns":["arn:aws:elasticloadbalancing:us-east-1:1:loadbalancer/net/x/1"]}"#;
    let link = inside.client.expect(202, "POST", "/vpclinks", link).text("id");
    lead_to(&inside, &method, "http://old.test/");
    deploy(&inside, &id, r#"{"stageName":"prod"}"#);
    let groups = || inside.units().iter().filter(|unit| matches!(unit, Unit::TargetGroup(_))).count();
    assert_eq!(groups(), 0);
    let body = json!({
        "type": "HTTP_PROXY", "httpMethod": "GET", "uri": "http://new.test/", "connectionType": "VPC_LINK",
        "connectionId": "${stageVariables.link}",
    });
    inside.client.expect(201, "PUT", &format!("{method}/integration"), &body.to_string());
    let canary = json!({
        "stageName": "prod",
        "canarySettings": {"percentTraffic": 1, "stageVariableOverrides": {"link": link}},
    });
    deploy(&inside, &id, &canary.to_string());
    assert_eq!(groups(), 1);
    let removed = r#"{"patchOperations":[{"op":"remove","path":"/canarySettings"}]}"#;
    inside.client.expect(200, "PATCH", &format!("/restapis/{id}/stages/prod"), removed);
    assert_eq!(groups(), 0);
}

#[test]
fn a_protection_that_is_not_enforced_refuses_its_side_alone() {
    let (_dir, inside, id, method) = start();
    lead_to(&inside, &method, "http://old.test/");
    deploy(&inside, &id, r#"{"stageName":"prod"}"#);
    let protect = r#"{"patchOperations":[{"op":"replace","path":"/authorizationType","value":"AWS_IAM"}]}"#;
    inside.client.expect(200, "PATCH", &method, protect);
    deploy(&inside, &id, r#"{"stageName":"prod","canarySettings":{"percentTraffic":50}}"#);
    let unit = inside.stage(&id, "prod");
    assert!(unit.integrations[0].kind.proxy().is_some());
    let canary = unit.canary.expect("a canary");
    assert!(
        matches!(&canary.integrations[0].kind, IntegrationKind::Refused { reason } if reason.contains("AWS_IAM")),
        "{canary:?}"
    );
}
