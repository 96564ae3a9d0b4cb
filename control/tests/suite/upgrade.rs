//! What a store of yesterday holds and this version can't compile: it is served as it was or refused, and all else goes on.

use serde_json::json;
use turnpike_control::compile::Encoded;
use turnpike_control::model::{Certificate, Endpoint, HttpContent, HttpStage, IntegrationTargets};
use turnpike_control::store::{Slot, StoreError, Tx};
use turnpike_snapshot::{IntegrationKind, StageUnit, TargetGroupUnit, Unit, UnitHash};

use crate::domains;
use crate::support::inside::{Inside, settings};

/// An HTTP API with a route to this URI, deployed to `prod`; its id.
fn api(inside: &Inside, uri: &str) -> String {
    let client = &inside.client;
    let api = client.expect(201, "POST", "/v2/apis", r#"{"name":"a","protocolType":"HTTP"}"#).text("apiId");
    let integration = json!({
        "integrationType": "HTTP_PROXY", "integrationMethod": "ANY", "integrationUri": uri,
        "payloadFormatVersion": "1.0",
    });
    let integrations = format!("/v2/apis/{api}/integrations");
    let id = client.expect(201, "POST", &integrations, &integration.to_string()).text("integrationId");
    let route = json!({"routeKey": "GET /pets", "target": format!("integrations/{id}")});
    client.expect(201, "POST", &format!("/v2/apis/{api}/routes"), &route.to_string());
    client.expect(201, "POST", &format!("/v2/apis/{api}/stages"), r#"{"stageName":"prod"}"#);
    client.expect(201, "POST", &format!("/v2/apis/{api}/deployments"), r#"{"stageName":"prod"}"#);
    api
}

/// As another version may have written it: one that took this URI.
fn lead(tx: &Tx<'_>, api: &str, uri: &str) -> Result<(), StoreError> {
    let stage: HttpStage = tx.part(api, "prod")?.expect("a stage");
    let mut content: HttpContent =
        tx.part(api, stage.deployment_id.as_deref().expect("deployed"))?.expect("a deployment");
    content.integrations[0].uri = Some(uri.to_owned());
    tx.put_part(api, &content)
}

fn upgrade(
    dir: &tempfile::TempDir,
    inside: Inside,
    write: impl Fn(&Tx<'_>) -> Result<(), StoreError>,
) -> Inside {
    let written = inside.control.store().write(|tx| {
        write(tx)?;
        tx.set_compiler_revision(0)
    });
    written.unwrap_or_else(|error: StoreError| panic!("{error}"));
    drop(inside);
    Inside::start(settings(dir.path().join("data")))
}

fn hosts(stage: &StageUnit) -> Vec<&str> {
    let proxies = stage.integrations.iter().filter_map(|integration| integration.kind.proxy());
    proxies.map(|proxy| proxy.host.as_str()).collect()
}

#[test]
fn a_stage_that_cannot_be_compiled_keeps_what_it_served() {
    let dir = tempfile::tempdir().expect("a directory");
    let inside = Inside::start(settings(dir.path().join("data")));
    let (broken, sound) = (api(&inside, "http://a.test/"), api(&inside, "http://b.test/"));
    let before = inside.stage(&broken, "prod");
    let inside = upgrade(&dir, inside, |tx| {
        lead(tx, &broken, "nowhere")?;
        lead(tx, &sound, "http://c.test/")
    });
    assert_eq!(inside.stage(&broken, "prod"), before);
    assert_eq!(hosts(&inside.stage(&sound, "prod")), ["c.test"], "the other one is compiled anew");

    // Who changes the stage is told, and mends it by a deployment.
    let stage = format!("/v2/apis/{broken}/stages/prod");
    let change = r#"{"stageVariables":{"a":"b"}}"#;
    inside.client.refused(400, "BadRequestException", "nowhere", "PATCH", &stage, change);
    let deployments = format!("/v2/apis/{broken}/deployments");
    inside.client.expect(201, "POST", &deployments, r#"{"stageName":"prod"}"#);
    inside.client.expect(200, "PATCH", &stage, change);
    assert_eq!(hosts(&inside.stage(&broken, "prod")), ["a.test"]);
}

#[test]
fn a_stage_whose_unit_cannot_be_read_either_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let inside = Inside::start(settings(dir.path().join("data")));
    let (broken, sound) = (with_targets(&inside), api(&inside, "http://b.test/"));
    // Only what is deployed leads to its targets any more.
    for kind in ["routes", "integrations"] {
        let place = format!("/v2/apis/{broken}/{kind}");
        let list = inside.client.expect(200, "GET", &place, "").body;
        let [route, integration] = ["routeId", "integrationId"].map(|id| list["items"][0][id].as_str());
        let id = route.or(integration).expect("an id");
        inside.client.expect(204, "DELETE", &format!("{place}/{id}"), "");
    }
    let inside = upgrade(&dir, inside, |tx| {
        lead(tx, &broken, "nowhere")?;
        let slot = Slot::Stage { api_id: broken.clone(), stage: "prod".to_owned() };
        let old = Encoded { hash: UnitHash([7; 32]), bytes: b"of long ago".to_vec(), secret: false };
        tx.set_slot(&slot, Some(&old)).map(drop)
    });
    assert_eq!(hosts(&inside.stage(&sound, "prod")), ["b.test"]);
    let unit = inside.stage(&broken, "prod");
    let [route] = &unit.routes[..] else { panic!("{unit:?}") };
    assert_eq!((route.path.as_str(), unit.integrations.len()), ("$default", 1));
    let IntegrationKind::Refused { reason } = &unit.integrations[0].kind else { panic!("{unit:?}") };
    assert!(reason.contains("nowhere"), "{reason}");
    let held = inside.control.store().read(|tx| tx.parts::<IntegrationTargets>(&broken));
    assert_eq!(held.map_err(|error: StoreError| error.to_string()).map(|held| held.len()), Ok(1));
    let status = inside.client.expect(200, "GET", "/_turnpike/status", "").body;
    assert_eq!(status["refused_routes"][0]["api_id"], broken.as_str(), "{status}");
}

/// Leads the API's integration to a target that another version may have taken.
fn break_targets(tx: &Tx<'_>, api: &str) -> Result<(), StoreError> {
    let mut held: Vec<IntegrationTargets> = tx.parts(api)?;
    let mut held = held.pop().expect("targets");
    held.targets.targets[0].endpoint = Endpoint::Host { host: "no host".to_owned(), port: 1 };
    tx.put_part(api, &held)
}

fn with_targets(inside: &Inside) -> String {
    let api = api(inside, "http://a.test/");
    let list = inside.client.expect(200, "GET", &format!("/v2/apis/{api}/integrations"), "").body;
    let id = list["items"][0]["integrationId"].as_str().expect("an integration").to_owned();
    let body = r#"{"targets":[{"host":"t.test","port":80}]}"#;
    inside.client.expect(200, "PUT", &format!("/turnpike/v1/apis/{api}/integrations/{id}/targets"), body);
    api
}

fn groups(inside: &Inside) -> Vec<TargetGroupUnit> {
    let group = |unit| match unit {
        Unit::TargetGroup(group) => Some(group),
        _ => None,
    };
    inside.units().into_iter().filter_map(group).collect()
}

#[test]
fn what_stages_refer_to_keeps_what_it_was_or_they_are_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let inside = Inside::start(settings(dir.path().join("data")));
    let (kept, lost) = (with_targets(&inside), with_targets(&inside));
    let before = inside.stage(&kept, "prod");
    assert_eq!(groups(&inside).len(), 2);
    let inside = upgrade(&dir, inside, |tx| {
        break_targets(tx, &kept)?;
        break_targets(tx, &lost)?;
        let lost = tx.references_of_api(&lost)?.pop().expect("a group");
        let slot = Slot::Shared { family: lost.kind.family(), id: lost.id };
        let old = Encoded { hash: UnitHash([7; 32]), bytes: b"of long ago".to_vec(), secret: false };
        tx.set_slot(&slot, Some(&old)).map(drop)
    });
    assert_eq!(inside.stage(&kept, "prod"), before);
    let refused = inside.stage(&lost, "prod");
    assert!(matches!(refused.integrations[0].kind, IntegrationKind::Refused { .. }), "{refused:?}");
    let [group] = &groups(&inside)[..] else { panic!("one group") };
    assert!(format!("{group:?}").contains("t.test"), "{group:?}");
}

#[test]
fn a_domain_s_certificate_that_cannot_be_compiled_stays_as_it_was() {
    let dir = tempfile::tempdir().expect("a directory");
    let inside = Inside::start(settings(dir.path().join("data")));
    let arn = domains::import(&inside, &["api.example.com"], None);
    let id = arn.rsplit('/').next().expect("an id");
    domains::domain(&inside, "api.example.com", &json!({"certificateArn": arn}));
    let before = inside.units();
    let inside = upgrade(&dir, inside, |tx| {
        let mut certificate: Certificate = tx.entity("", id)?.expect("a certificate");
        certificate.issued.as_mut().expect("issued").chain = vec!["no PEM".to_owned()];
        tx.put_entity(&certificate)
    });
    assert_eq!(inside.units(), before);
    // Another one in its place is served.
    domains::import(&inside, &["api.example.com"], Some(&arn));
    assert_ne!(inside.units(), before);
}
