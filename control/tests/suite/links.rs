//! VPC links and targets through the management API, up to the units that come of them.

use crate::support::inside::{Inside, settings};
use serde_json::{Value, json};
use turnpike_control::change::ChangeError;
use turnpike_control::model::{IntegrationTargets, LinkTargets, Targets};
use turnpike_snapshot::{Balancing, Endpoint, HttpProxy, HttpVersion, StageUnit, TargetGroupUnit, Unit};

const BAD: &str = "BadRequestException";
const ABSENT: &str = "NotFoundException";

fn start() -> (tempfile::TempDir, Inside) {
    let dir = tempfile::tempdir().expect("a directory");
    let inside = Inside::start(settings(dir.path().join("data")));
    (dir, inside)
}

fn http_link(inside: &Inside) -> String {
    let body = r#"{"name":"pool","subnetIds":["subnet-1"]}"#;
    inside.client.expect(201, "POST", "/v2/vpclinks", body).text("vpcLinkId")
}

fn rest_link(inside: &Inside) -> String {
    let body =
        r#"{"name":"pool","targetArns":["arn:aws:elasticloadbalancing:us-east-1:0:loadbalancer/net/x/1"]}"#;
    inside.client.expect(202, "POST", "/vpclinks", body).text("id")
}

/// An HTTP API whose `$default` stage deploys each change.
fn http_api(inside: &Inside) -> String {
    let body = r#"{"name":"a","protocolType":"HTTP"}"#;
    let id = inside.client.expect(201, "POST", "/v2/apis", body).text("apiId");
    let stage = r#"{"stageName":"$default","autoDeploy":true}"#;
    inside.client.expect(201, "POST", &format!("/v2/apis/{id}/stages"), stage);
    id
}

fn integration(inside: &Inside, api: &str, more: Value) -> String {
    let mut body = json!({"integrationType": "HTTP_PROXY", "integrationMethod": "ANY",
                          "integrationUri": "http://pets.internal/v1"});
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    let target = format!("/v2/apis/{api}/integrations");
    let id = inside.client.expect(201, "POST", &target, &body.to_string()).text("integrationId");
    let route = json!({"routeKey": format!("GET /{id}"), "target": format!("integrations/{id}")});
    inside.client.expect(201, "POST", &format!("/v2/apis/{api}/routes"), &route.to_string());
    id
}

fn through(link: &str) -> Value {
    json!({"connectionType": "VPC_LINK", "connectionId": link})
}

/// A REST API with `GET /`, and the path of that method's integration.
fn rest_api(inside: &Inside) -> (String, String) {
    let made = inside.client.expect(201, "POST", "/restapis", r#"{"name":"a"}"#);
    let (id, root) = (made.text("id"), made.text("rootResourceId"));
    let method = format!("/restapis/{id}/resources/{root}/methods/GET");
    inside.client.expect(201, "PUT", &method, r#"{"authorizationType":"NONE"}"#);
    (id, format!("{method}/integration"))
}

fn rest_integration(connection: &str) -> String {
    json!({"type": "HTTP_PROXY", "httpMethod": "GET", "uri": "http://pets.internal/v1",
           "connectionType": "VPC_LINK", "connectionId": connection})
    .to_string()
}

fn groups(inside: &Inside) -> Vec<TargetGroupUnit> {
    let group = |unit| match unit {
        Unit::TargetGroup(group) => Some(group),
        _ => None,
    };
    inside.units().into_iter().filter_map(group).collect()
}

fn proxy(unit: &StageUnit) -> &HttpProxy {
    unit.integrations[0].kind.proxy().expect("a proxy")
}

fn host(port: u16) -> String {
    json!({"targets": [{"host": "10.0.0.1", "port": port}]}).to_string()
}

#[test]
fn a_link_is_made_read_changed_and_deleted() {
    let (_dir, inside) = start();
    let client = &inside.client;
    let body = r#"{"name":"pool","subnetIds":["subnet-1"],"securityGroupIds":["sg-1"],"tags":{"a":"b"}}"#;
    let made = client.expect(201, "POST", "/v2/vpclinks", body);
    let path = format!("/v2/vpclinks/{}", made.text("vpcLinkId"));
    assert_eq!((made.text("vpcLinkStatus"), made.text("vpcLinkVersion")), ("AVAILABLE".into(), "V2".into()));
    assert_eq!(client.expect(200, "GET", &path, "").body, made.body);
    assert_eq!(client.expect(200, "PATCH", &path, r#"{"name":"lake"}"#).text("name"), "lake");
    let list = client.expect(200, "GET", "/v2/vpclinks", "");
    assert_eq!(list.body["items"][0]["name"], "lake");
    client.expect(202, "DELETE", &path, "");
    client.refused(404, ABSENT, "VpcLink", "GET", &path, "");

    let made = rest_link(&inside);
    let path = format!("/vpclinks/{made}");
    let read = client.expect(200, "GET", &path, "");
    assert_eq!((read.text("status"), read.text("name")), ("AVAILABLE".into(), "pool".into()));
    let patch = |op: &str, path: &str, value: &str| {
        json!({"patchOperations": [{"op": op, "path": path, "value": value}]}).to_string()
    };
    let changed = client.expect(200, "PATCH", &path, &patch("replace", "/description", "d"));
    assert_eq!(changed.text("description"), "d");
    client.refused(400, BAD, "/name, /description", "PATCH", &path, &patch("replace", "/targetArns", "x"));
    assert_eq!(client.expect(200, "GET", "/vpclinks", "").body["item"][0]["id"], made.as_str());
    client.expect(202, "DELETE", &path, "");
    client.refused(404, ABSENT, "Vpc link", "DELETE", &path, "");
    client.refused(400, BAD, "exactly one", "POST", "/vpclinks", r#"{"name":"x","targetArns":[]}"#);
    client.refused(400, BAD, "subnetIds is required", "POST", "/v2/vpclinks", r#"{"name":"x"}"#);
}

#[test]
fn a_link_leads_to_its_targets() {
    let (_dir, inside) = start();
    let (link, api) = (http_link(&inside), http_api(&inside));
    assert_eq!(groups(&inside), [], "a link that nothing leads through isn't published");
    let id = integration(&inside, &api, through(&link));
    let group_id = format!("vpclink/{link}");
    let unit = inside.stage(&api, "$default");
    assert_eq!(proxy(&unit).target_group.as_deref(), Some(group_id.as_str()));
    assert_eq!((proxy(&unit).host.as_str(), proxy(&unit).port), ("pets.internal", 80));
    assert_eq!(groups(&inside)[0].targets, [], "nobody has said where it leads");

    let targets = format!("/turnpike/v1{}/targets", format_args!("/vpclinks/{link}"));
    inside.client.refused(404, ABSENT, "has no targets", "GET", &targets, "");
    let document =
        r#"{"targets":[{"unix":"/run/pets.sock","weight":3}],"balancing":{"algorithm":"least_request"}}"#;
    let put = inside.client.expect(200, "PUT", &targets, document);
    assert_eq!(inside.client.expect(200, "GET", &targets, "").body, put.body);
    let [group] = &groups(&inside)[..] else { panic!("one group") };
    assert_eq!((group.id.as_str(), &group.balancing), (group_id.as_str(), &Balancing::LeastRequest));
    assert_eq!(group.targets[0].endpoint, Endpoint::Unix { path: "/run/pets.sock".to_owned() });
    assert_eq!(group.targets[0].weight, 3);

    let read = inside.client.expect(200, "GET", &format!("/v2/apis/{api}/integrations/{id}"), "");
    assert_eq!((read.text("connectionType"), read.text("connectionId")), ("VPC_LINK".into(), link.clone()));
    let path = format!("/v2/vpclinks/{link}");
    inside.client.refused(409, "ConflictException", &id, "DELETE", &path, "");

    let to_internet = r#"{"connectionType":"INTERNET"}"#;
    inside.client.expect(200, "PATCH", &format!("/v2/apis/{api}/integrations/{id}"), to_internet);
    assert_eq!(proxy(&inside.stage(&api, "$default")).target_group, None);
    assert_eq!(groups(&inside), [], "nothing leads through it any more");
    inside.client.expect(202, "DELETE", &path, "");
    inside.client.refused(404, ABSENT, &link, "GET", &targets, "");
}

#[test]
fn a_change_of_one_group_moves_one_unit() {
    let (_dir, inside) = start();
    let (link, other) = (http_link(&inside), http_link(&inside));
    let api = http_api(&inside);
    for link in [&link, &other] {
        integration(&inside, &api, through(link));
    }
    let own = integration(&inside, &api, json!({}));
    let own_targets = format!("/turnpike/v1/apis/{api}/integrations/{own}/targets");
    inside.client.expect(200, "PUT", &own_targets, &host(1));
    for path in [format!("/turnpike/v1/vpclinks/{link}/targets"), own_targets] {
        let before = inside.root();
        inside.client.expect(200, "PUT", &path, &host(2));
        let after = inside.root();
        let moved = after.units.iter().filter(|unit| !before.units.contains(unit)).count();
        assert_eq!((after.version, moved), (before.version + 1, 1), "{path}");
        assert_eq!(after.units.len(), before.units.len());
        inside.client.expect(200, "PUT", &path, &host(2));
        assert_eq!(inside.root(), after, "nothing has changed");
    }
}

#[test]
fn how_targets_are_spoken_to_is_the_stages() {
    let (_dir, inside) = start();
    let (link, api) = (http_link(&inside), http_api(&inside));
    integration(&inside, &api, through(&link));
    let targets = format!("/turnpike/v1/vpclinks/{link}/targets");
    for (version, spoken) in
        [("HTTP2", HttpVersion::Http2), ("GRPC", HttpVersion::Http2), ("HTTP1", HttpVersion::Http1)]
    {
        let document = json!({"targets": [], "protocolVersion": version}).to_string();
        assert_eq!(inside.client.expect(200, "PUT", &targets, &document).text("protocolVersion"), version);
        assert_eq!(proxy(&inside.stage(&api, "$default")).version, spoken, "{version}");
    }
}

#[test]
fn an_integration_has_targets_of_its_own() {
    let (_dir, inside) = start();
    let api = http_api(&inside);
    let id = integration(&inside, &api, json!({}));
    let targets = format!("/turnpike/v1/apis/{api}/integrations/{id}/targets");
    inside.client.refused(404, ABSENT, "has no targets", "GET", &targets, "");
    inside.client.refused(404, ABSENT, "has no targets", "DELETE", &targets, "");
    inside.client.expect(200, "PUT", &targets, &host(81));
    let group_id = format!("integration/{api}/{id}");
    assert_eq!(proxy(&inside.stage(&api, "$default")).target_group.as_deref(), Some(group_id.as_str()));
    assert_eq!(groups(&inside)[0].id, group_id);

    let link = http_link(&inside);
    let path = format!("/v2/apis/{api}/integrations/{id}");
    inside.client.refused(400, BAD, "targets of its own", "PATCH", &path, &through(&link).to_string());
    inside.client.expect(204, "DELETE", &targets, "");
    assert_eq!(proxy(&inside.stage(&api, "$default")).target_group, None);
    inside.client.expect(200, "PATCH", &path, &through(&link).to_string());
    inside.client.refused(400, BAD, &link, "PUT", &targets, &host(81));
    // What is the case already needn't be said again.
    let other = http_link(&inside);
    let moved = inside.client.expect(200, "PATCH", &path, &json!({"connectionId": other}).to_string());
    assert_eq!((moved.text("connectionType"), moved.text("connectionId")), ("VPC_LINK".to_owned(), other));
    inside.client.expect(200, "PATCH", &path, r#"{"connectionType":"VPC_LINK"}"#);
    inside.client.refused(400, BAD, "Invalid VpcLink", "PATCH", &path, r#"{"connectionId":"none"}"#);
    let none = format!("/turnpike/v1/apis/{api}/integrations/none/targets");
    inside.client.refused(404, ABSENT, "Integration", "PUT", &none, &host(81));
}

/// Targets that no request would ever go to are refused.
#[test]
fn only_what_calls_http_has_targets() {
    let (_dir, inside) = start();
    let (_, path) = rest_api(&inside);
    let targets = format!("/turnpike/v1{path}/targets");
    inside.client.expect(201, "PUT", &path, r#"{"type":"MOCK"}"#);
    inside.client.refused(400, BAD, "of the type MOCK has no targets", "PUT", &targets, &host(81));
    inside.client.expect(
        201,
        "PUT",
        &path,
        r#"{"type":"HTTP","httpMethod":"GET","uri":"http://pets.internal"}"#,
    );
    inside.client.expect(200, "PUT", &targets, &host(81));
    inside.client.expect(201, "PUT", &path, r#"{"type":"MOCK"}"#);
    inside.client.expect(204, "DELETE", &targets, "");

    let api = http_api(&inside);
    let id = integration(&inside, &api, json!({}));
    let targets = format!("/turnpike/v1/apis/{api}/integrations/{id}/targets");
    inside.client.expect(200, "PUT", &targets, &host(81));
    let function = json!({
        "integrationType": "AWS_PROXY", "payloadFormatVersion": "2.0",
        "integrationUri": "arn:aws:lambda:us-east-1:000000000000:function:f",
    });
    let path = format!("/v2/apis/{api}/integrations/{id}");
    inside.client.refused(400, BAD, "targets of its own", "PATCH", &path, &function.to_string());
    inside.client.expect(204, "DELETE", &targets, "");
    inside.client.expect(200, "PATCH", &path, &function.to_string());
}

#[test]
fn targets_go_with_what_leads_to_them() {
    let (_dir, inside) = start();
    let (api, path) = rest_api(&inside);
    let body = r#"{"type":"HTTP_PROXY","httpMethod":"GET","uri":"http://pets.internal"}"#;
    inside.client.expect(201, "PUT", &path, body);
    let targets = format!("/turnpike/v1{path}/targets");
    inside.client.expect(200, "PUT", &targets, &host(81));
    let deployments = format!("/restapis/{api}/deployments");
    inside.client.expect(201, "POST", &deployments, r#"{"stageName":"prod"}"#);
    assert!(proxy(&inside.stage(&api, "prod")).target_group.is_some());

    inside.client.expect(204, "DELETE", &path, "");
    inside.client.refused(404, ABSENT, "Invalid Integration identifier", "GET", &targets, "");
    assert_eq!(groups(&inside).len(), 1, "the stage still leads to them");
    inside.client.expect(201, "PUT", &path, body);
    inside.client.expect(200, "GET", &targets, "");
    inside.client.expect(204, "DELETE", &path, "");
    inside.client.expect(202, "DELETE", &format!("/restapis/{api}/stages/prod"), "");
    assert_eq!(groups(&inside), []);
    inside.client.expect(201, "PUT", &path, body);
    inside.client.refused(404, ABSENT, "has no targets", "GET", &targets, "");
}

#[test]
fn what_calls_no_upstream_has_no_targets() {
    let (_dir, inside) = start();
    let (_, path) = rest_api(&inside);
    let targets = format!("/turnpike/v1{path}/targets");
    inside.client.expect(201, "PUT", &path, r#"{"type":"MOCK"}"#);
    inside.client.refused(400, BAD, "of the type MOCK has no targets", "PUT", &targets, &host(81));
    inside.client.refused(404, ABSENT, "has no targets", "GET", &targets, "");
}

/// Before anything else is looked at, which takes longer the more there are.
#[test]
fn targets_are_counted_first() {
    let (_dir, inside) = start();
    let targets = format!("/turnpike/v1/vpclinks/{}/targets", http_link(&inside));
    let many = json!({"targets": vec![json!({"unix": "/run/pets"}); 1_001]}).to_string();
    inside.client.refused(400, BAD, "1001 of them, the limit is 1000", "PUT", &targets, &many);
}

#[test]
fn an_identifier_that_is_taken_is_not_given_again() {
    let (_dir, inside) = start();
    let (api, _) = rest_api(&inside);
    let given = inside.control.change(|change| {
        for taken in 'a'..='y' {
            let targets = Targets::default();
            change.tx.put_entity(&LinkTargets { link_id: taken.into(), targets: targets.clone() })?;
            change.tx.put_part(&api, &IntegrationTargets { integration_id: taken.into(), targets })?;
        }
        let part = change.new_part_id::<IntegrationTargets>(&api, 1)?;
        Ok::<_, ChangeError>((change.new_entity_id::<LinkTargets>(1)?, part))
    });
    assert_eq!(given.expect("done"), ("z".to_owned(), "z".to_owned()));
}

#[test]
fn a_stage_chooses_its_link_by_a_variable() {
    let (_dir, inside) = start();
    let (api, path) = rest_api(&inside);
    let (one, two) = (rest_link(&inside), http_link(&inside));
    let read = inside.client.expect(201, "PUT", &path, &rest_integration("${stageVariables.link}"));
    assert_eq!(read.text("connectionId"), "${stageVariables.link}");
    let deployments = format!("/restapis/{api}/deployments");
    inside.client.refused(400, BAD, "'link'", "POST", &deployments, r#"{"stageName":"prod"}"#);
    let with = |stage: &str, link: &str| json!({"stageName": stage, "variables": {"link": link}}).to_string();
    inside.client.refused(400, BAD, "no VPC link 'none'", "POST", &deployments, &with("prod", "none"));
    for (stage, link) in [("blue", &one), ("green", &two)] {
        inside.client.expect(201, "POST", &deployments, &with(stage, link));
        let group = format!("vpclink/{link}");
        assert_eq!(proxy(&inside.stage(&api, stage)).target_group.as_deref(), Some(group.as_str()));
    }
    assert_eq!(groups(&inside).len(), 2);
    inside.client.refused(400, BAD, "stage blue", "DELETE", &format!("/vpclinks/{one}"), "");
    inside.client.expect(202, "DELETE", &format!("/restapis/{api}/stages/blue"), "");
    inside.client.expect(202, "DELETE", &format!("/vpclinks/{one}"), "");
}

#[test]
fn connections_are_checked() {
    let (_dir, inside) = start();
    let (api, link) = (http_api(&inside), rest_link(&inside));
    let target = format!("/v2/apis/{api}/integrations");
    let arn = "arn:aws:elasticloadbalancing:us-east-1:0:listener/app/x/1/2";
    for (more, expected) in [
        (json!({"connectionType": "VPC_LINK"}), "connectionId is required"),
        (json!({"connectionId": "x"}), "needs connectionType"),
        (through("none"), "Invalid VpcLink"),
        (through(&link), "Invalid VpcLink"),
        (json!({"connectionType": "TUNNEL"}), "not 'TUNNEL'"),
        (json!({"integrationUri": arn}), "can't be the ARN"),
    ] {
        let mut body = json!({"integrationType": "HTTP_PROXY", "integrationMethod": "GET",
                              "integrationUri": "http://pets.internal"});
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        inside.client.refused(400, BAD, expected, "POST", &target, &body.to_string());
    }
    let (_, path) = rest_api(&inside);
    inside.client.refused(400, BAD, "Invalid VpcLink", "PUT", &path, &rest_integration("none"));
    inside.client.expect(201, "PUT", &path, &rest_integration(&link));
    inside.client.refused(400, BAD, "method GET /", "DELETE", &format!("/vpclinks/{link}"), "");
}

#[test]
fn links_are_limited_and_listed_in_pages() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut settings = settings(dir.path().join("data"));
    settings.quotas.vpc_links_max = 3;
    let inside = Inside::start(settings);
    for _ in 0..3 {
        http_link(&inside);
        rest_link(&inside);
    }
    let (v1, v2) = (r#"{"name":"x","targetArns":["arn:x"]}"#, r#"{"name":"x","subnetIds":[]}"#);
    inside.client.refused(429, "LimitExceededException", "vpc_links_max", "POST", "/vpclinks", v1);
    inside.client.refused(400, BAD, "vpc_links_max", "POST", "/v2/vpclinks", v2);
    let page = inside.client.expect(200, "GET", "/v2/vpclinks?maxResults=2", "");
    assert_eq!(page.body["items"].as_array().map(Vec::len), Some(2));
    let rest = format!("/v2/vpclinks?nextToken={}", page.text("nextToken"));
    assert_eq!(inside.client.expect(200, "GET", &rest, "").body["items"].as_array().map(Vec::len), Some(1));
}

/// What a document says survives a restart, its units included.
#[test]
fn targets_are_kept() {
    let dir = tempfile::tempdir().expect("a directory");
    let inside = Inside::start(settings(dir.path().join("data")));
    let (link, api) = (http_link(&inside), http_api(&inside));
    integration(&inside, &api, through(&link));
    let targets = format!("/turnpike/v1/vpclinks/{link}/targets");
    let put = inside.client.expect(200, "PUT", &targets, &host(80)).body;
    let root = inside.root();
    drop(inside);
    let inside = Inside::start(settings(dir.path().join("data")));
    assert_eq!(inside.root(), root);
    assert_eq!(inside.client.expect(200, "GET", &targets, "").body, put);
}
