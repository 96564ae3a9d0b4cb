//! What throttles let through while gateways can't share them: chosen by Turnpike's own calls, up to the units that come of
//! it.

use serde_json::{Value, json};
use turnpike_snapshot::{Partition, StageUnit, Throttle, Unit};

use crate::support::inside::{Inside, settings};

/// A started control, and the ids of a REST and of an HTTP API, each with a stage `prod` whose routes are throttled.
fn start() -> (tempfile::TempDir, Inside, [String; 2]) {
    let dir = tempfile::tempdir().expect("a directory");
    let inside = Inside::start(settings(dir.path().join("data")));
    let client = &inside.client;
    let made = client.expect(201, "POST", "/restapis", r#"{"name":"rest"}"#);
    let (rest, root) = (made.text("id"), made.text("rootResourceId"));
    for method in ["GET", "POST"] {
        let place = format!("/restapis/{rest}/resources/{root}/methods/{method}");
        client.expect(201, "PUT", &place, r#"{"authorizationType":"NONE"}"#);
        let integration = json!({"type": "HTTP_PROXY", "httpMethod": method, "uri": "http://h.test/"});
        client.expect(201, "PUT", &format!("{place}/integration"), &integration.to_string());
    }
    client.expect(201, "POST", &format!("/restapis/{rest}/deployments"), r#"{"stageName":"prod"}"#);
    let patches = json!({"patchOperations": [
        {"op": "replace", "path": "/*/*/throttling/rateLimit", "value": "10"},
        {"op": "replace", "path": "/*/*/throttling/burstLimit", "value": "5"},
    ]});
    client.expect(200, "PATCH", &format!("/restapis/{rest}/stages/prod"), &patches.to_string());

    let made = client.expect(201, "POST", "/v2/apis", r#"{"name":"http","protocolType":"HTTP"}"#);
    let http = made.text("apiId");
    let integration = json!({
        "integrationType": "HTTP_PROXY", "integrationMethod": "ANY", "integrationUri": "http://h.test/",
        "payloadFormatVersion": "1.0",
    });
    let made = client.expect(201, "POST", &format!("/v2/apis/{http}/integrations"), &integration.to_string());
    let integration = made.text("integrationId");
    for key in ["GET /pets", "$default"] {
        let route = json!({"routeKey": key, "target": format!("integrations/{integration}")});
        client.expect(201, "POST", &format!("/v2/apis/{http}/routes"), &route.to_string());
    }
    let stage = json!({
        "stageName": "prod", "autoDeploy": true,
        "defaultRouteSettings": {"throttlingRateLimit": 10.0, "throttlingBurstLimit": 5},
    });
    client.expect(201, "POST", &format!("/v2/apis/{http}/stages"), &stage.to_string());
    (dir, inside, [rest, http])
}

fn limits(api: &str) -> String {
    format!("/turnpike/v1/apis/{api}/stages/prod/limits")
}

/// Of each route, by method and path.
fn chosen(unit: &StageUnit) -> Vec<(String, Partition)> {
    let partition = |throttle: Option<Throttle>| throttle.expect("a throttle").partition;
    let routes = unit.routes.iter();
    let mut chosen: Vec<_> = routes
        .map(|route| (format!("{} {}", route.method, route.path), partition(route.settings.throttle)))
        .collect();
    chosen.sort_by(|one, other| one.0.cmp(&other.0));
    chosen
}

#[test]
fn a_stage_s_choice_and_its_routes_are_compiled() {
    let (_dir, inside, [rest, http]) = start();
    let (client, unsaid) = (&inside.client, Partition::Unsaid);
    let routes = [["GET /", "POST /"], ["ANY $default", "GET /pets"]];
    for (id, [first, second]) in [&rest, &http].into_iter().zip(routes) {
        let expected = |one, other| vec![(first.to_owned(), one), (second.to_owned(), other)];
        assert_eq!(chosen(&inside.stage(id, "prod")), expected(unsaid, unsaid));
        assert_eq!(client.expect(200, "GET", &limits(id), "").body, json!({"routes": {}}));
        let document = json!({"partition": "CLOSED", "routes": {second: "OPEN"}});
        let put = client.expect(200, "PUT", &limits(id), &document.to_string());
        assert_eq!(put.body, document);
        assert_eq!(client.expect(200, "GET", &limits(id), "").body, document);
        assert_eq!(chosen(&inside.stage(id, "prod")), expected(Partition::Closed, Partition::Open));
        // What else is set on the stage takes nothing of it.
        client.expect(200, "PUT", &limits(id), r#"{"partition":"SHARE"}"#);
        assert_eq!(chosen(&inside.stage(id, "prod")), expected(Partition::Share, Partition::Share));
        client.expect(204, "DELETE", &limits(id), "");
        assert_eq!(chosen(&inside.stage(id, "prod")), expected(unsaid, unsaid));
    }
    let patch = r#"{"patchOperations":[{"op":"replace","path":"/description","value":"d"}]}"#;
    client.expect(200, "PUT", &limits(&rest), r#"{"partition":"OPEN"}"#);
    client.expect(200, "PATCH", &format!("/restapis/{rest}/stages/prod"), patch);
    let all = chosen(&inside.stage(&rest, "prod"));
    assert!(all.iter().all(|(_, partition)| *partition == Partition::Open), "{all:?}");
}

#[test]
fn a_usage_plan_s_choice_is_all_its_throttles() {
    let (_dir, inside, [rest, _]) = start();
    let client = &inside.client;
    let limit = json!({"rateLimit": 1.0, "burstLimit": 1});
    let body = json!({
        "name": "p", "throttle": limit,
        "apiStages": [{"apiId": rest, "stage": "prod", "throttle": {"//GET": limit}}],
    });
    let id = client.expect(201, "POST", "/usageplans", &body.to_string()).text("id");
    let place = format!("/turnpike/v1/usageplans/{id}/limits");
    let compiled = || {
        let plan = inside.units().into_iter().find_map(|unit| match unit {
            Unit::UsagePlan(plan) => Some(plan),
            _ => None,
        });
        let plan = plan.expect("a plan");
        [plan.throttle.expect("a throttle"), plan.stages[0].routes[0].throttle].map(|each| each.partition)
    };
    assert_eq!((compiled(), client.expect(200, "GET", &place, "").body), ([Partition::Unsaid; 2], json!({})));
    let document = json!({"partition": "OPEN"});
    assert_eq!(client.expect(200, "PUT", &place, &document.to_string()).body, document);
    assert_eq!((compiled(), client.expect(200, "GET", &place, "").body), ([Partition::Open; 2], document));
    let patch = r#"{"patchOperations":[{"op":"replace","path":"/throttle/burstLimit","value":"7"}]}"#;
    let answer = client.expect(200, "PATCH", &format!("/usageplans/{id}"), patch);
    assert_eq!(compiled(), [Partition::Open; 2]);
    assert_eq!(answer.body.get("partition"), None::<&Value>, "AWS's answers are AWS's");
    client.expect(204, "DELETE", &place, "");
    assert_eq!(compiled(), [Partition::Unsaid; 2]);
}

#[test]
fn what_cant_be_chosen_is_refused_by_name() {
    let (_dir, inside, [rest, _]) = start();
    let client = &inside.client;
    let made = client.expect(
        201,
        "POST",
        "/v2/apis",
        r#"{"name":"w","protocolType":"WEBSOCKET","routeSelectionExpression":"$request.body.action"}"#,
    );
    let socket = made.text("apiId");
    client.expect(201, "POST", &format!("/v2/apis/{socket}/stages"), r#"{"stageName":"prod"}"#);
    let none = "/turnpike/v1/usageplans/none/limits";
    for (status, error, message, place, document) in [
        (
            400,
            "BadRequestException",
            "SHARE, CLOSED, OPEN, not 'HALF'",
            limits(&rest),
            r#"{"partition":"HALF"}"#,
        ),
        (
            400,
            "BadRequestException",
            "routes.GET / has to be one of SHARE, CLOSED, OPEN, not 'open'",
            limits(&rest),
            r#"{"routes":{"GET /":"open"}}"#,
        ),
        (400, "BadRequestException", "pets", limits(&rest), r#"{"routes":{"pets":"OPEN"}}"#),
        (400, "SerializationException", "policy", limits(&rest), r#"{"policy":"OPEN"}"#),
        (400, "BadRequestException", "A WebSocket API has no", limits(&socket), "{}"),
        (404, "NotFoundException", "Invalid API identifier", limits("none"), "{}"),
        (404, "NotFoundException", "Usage Plan", none.to_owned(), "{}"),
    ] {
        client.refused(status, error, message, "PUT", &place, document);
    }
}
