//! API keys and usage plans through the management API: what Rust's own tests look at beside those of AWS's clients.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use turnpike_control::compile::key_digest;
use turnpike_control::store::StoreError;
use turnpike_snapshot::{PlanRoute, Quota, QuotaPeriod, Throttle, Unit};

use crate::support::inside::{Inside, settings};

fn start() -> (tempfile::TempDir, Inside) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut settings = settings(dir.path().join("data"));
    settings.quotas.api_keys_max = 3;
    settings.quotas.usage_plans_max = 3;
    settings.quotas.usage_plans_per_api_key_max = 2;
    settings.quotas.stages_per_usage_plan_max = 1;
    settings.quotas.throttled_methods_per_usage_plan_stage_max = 1;
    (dir, Inside::start(settings))
}

fn key(inside: &Inside) -> String {
    inside.client.expect(201, "POST", "/apikeys", r#"{"name":"k"}"#).text("id")
}

fn plan(inside: &Inside) -> String {
    inside.client.expect(201, "POST", "/usageplans", r#"{"name":"p"}"#).text("id")
}

fn put(inside: &Inside, plan: &str, key: &str) -> u16 {
    let body = json!({"keyId": key, "keyType": "API_KEY"}).to_string();
    inside.client.call("POST", &format!("/usageplans/{plan}/keys"), &body).status
}

/// An API with two stages.
fn api(inside: &Inside) -> String {
    let made = inside.client.expect(201, "POST", "/restapis", r#"{"name":"a"}"#);
    let (api, root) = (made.text("id"), made.text("rootResourceId"));
    let method = format!("/restapis/{api}/resources/{root}/methods/GET");
    inside.client.expect(201, "PUT", &method, r#"{"authorizationType":"NONE"}"#);
    let integration = r#"{"type":"HTTP_PROXY","httpMethod":"GET","uri":"http://127.0.0.1:3000/"}"#;
    inside.client.expect(201, "PUT", &format!("{method}/integration"), integration);
    for stage in ["one", "two"] {
        let body = json!({"stageName": stage}).to_string();
        inside.client.expect(201, "POST", &format!("/restapis/{api}/deployments"), &body);
    }
    api
}

#[test]
fn there_is_a_ceiling_to_everything() {
    let (_dir, inside) = start();
    let (exceeded, client) = ("LimitExceededException", &inside.client);
    let (keys, plans) = ([(); 3].map(|()| key(&inside)), [(); 3].map(|()| plan(&inside)));
    client.refused(429, exceeded, "api_keys_max", "POST", "/apikeys", "{}");
    client.refused(429, exceeded, "usage_plans_max", "POST", "/usageplans", r#"{"name":"p"}"#);
    assert_eq!((put(&inside, &plans[0], &keys[0]), put(&inside, &plans[1], &keys[0])), (201, 201));
    assert_eq!(put(&inside, &plans[2], &keys[0]), 429);
    let api = api(&inside);
    let update = format!("/usageplans/{}", plans[0]);
    let add = |stage: &str| json!({"op": "add", "path": "/apiStages", "value": format!("{api}:{stage}")});
    let body = json!({"patchOperations": [add("one"), add("two")]}).to_string();
    client.refused(429, exceeded, "stages_per_usage_plan_max", "PATCH", &update, &body);
    client.expect(200, "PATCH", &update, &json!({"patchOperations": [add("one")]}).to_string());
    let rate = |method: &str| {
        let path = format!("/apiStages/{api}:one/throttle/~1pets/{method}/rateLimit");
        json!({"op": "add", "path": path, "value": "1"})
    };
    let body = json!({"patchOperations": [rate("GET"), rate("PUT")]}).to_string();
    client.refused(429, exceeded, "throttled_methods_per_usage_plan_stage_max", "PATCH", &update, &body);
    client.expect(200, "PATCH", &update, &json!({"patchOperations": [rate("GET")]}).to_string());
}

#[test]
fn a_key_is_in_one_plan_of_a_stage() {
    let (_dir, inside) = start();
    let api = api(&inside);
    let [one, two] = [(); 2].map(|()| plan(&inside));
    let keys = [(); 2].map(|()| key(&inside));
    for key in &keys {
        assert_eq!(put(&inside, &one, key), 201);
    }
    assert_eq!(put(&inside, &two, &keys[1]), 201);
    let change = |op: &str, stage: &str| {
        let value = format!("{api}:{stage}");
        json!({"patchOperations": [{"op": op, "path": "/apiStages", "value": value}]}).to_string()
    };
    let update = |plan: &str| format!("/usageplans/{plan}");
    inside.client.expect(200, "PATCH", &update(&one), &change("add", "one"));
    let shared = format!(
        "API Key {} cannot reference multiple Usage Plans with the same API Stage: {api}:one",
        keys[1]
    );
    let add = change("add", "one");
    inside.client.refused(409, "ConflictException", &shared, "PATCH", &update(&two), &add);
    inside.client.expect(200, "PATCH", &update(&two), &change("add", "two"));
    inside.client.expect(200, "PATCH", &update(&two), &change("remove", "two"));
    inside.client.expect(202, "DELETE", &format!("/usageplans/{one}/keys/{}", keys[1]), "");
    inside.client.expect(200, "PATCH", &update(&two), &add);
    assert_eq!(put(&inside, &two, &keys[0]), 409);
}

#[test]
fn what_an_import_may_not_do_it_does_not_do_in_part() {
    let (_dir, inside) = start();
    let rows: String = (0..4).map(|at| format!("k{at},value-{at}-0123456789abcdef\n")).collect();
    let target = "/apikeys?mode=import&format=csv";
    let text = "api_keys_max";
    inside.client.refused(429, "LimitExceededException", text, "POST", target, &format!("name,key\n{rows}"));
    assert_eq!(inside.client.expect(200, "GET", "/apikeys", "").body["item"], json!([]));
    for (target, text) in [
        ("/apikeys?mode=import", "format is required"),
        ("/apikeys?mode=import&format=json", "'json'"),
        ("/apikeys?mode=import&format=csv&failonwarnings=1", "failonwarnings"),
    ] {
        inside.client.refused(400, "BadRequestException", text, "POST", target, "name,key\n");
    }
}

#[test]
fn keys_and_plans_are_there_after_a_restart() {
    let (dir, inside) = start();
    let (key, plan) = (key(&inside), plan(&inside));
    assert_eq!(put(&inside, &plan, &key), 201);
    let look = |inside: &Inside| {
        let with_value = format!("/apikeys/{key}?includeValue=true");
        let member = format!("/usageplans/{plan}/keys/{key}");
        [with_value, member].map(|target| inside.client.expect(200, "GET", &target, "").body)
    };
    let before = look(&inside);
    let value = before[0]["value"].as_str().expect("a value").to_owned();
    assert_eq!((value.len(), before[1]["value"].as_str()), (40, Some(value.as_str())));
    drop(inside);
    let again = Inside::start(settings(dir.path().join("data")));
    assert_eq!(look(&again), before);
    let body = json!({"value": value}).to_string();
    again.client.refused(409, "ConflictException", "already exists", "POST", "/apikeys", &body);
}

/// What gateways know: ids of keys by their values' digests with their plans, and stages and routes of each plan.
type Known = (BTreeMap<[u8; 32], (String, Vec<String>)>, BTreeMap<String, Vec<String>>);

fn known(inside: &Inside) -> Known {
    let mut known = Known::default();
    for unit in inside.units() {
        match unit {
            Unit::ApiKeys(unit) => {
                assert!(!unit.keys.is_empty(), "a slice without keys has no unit");
                for key in unit.keys {
                    let plans = key.plans.iter().map(|plan| unit.plans[*plan as usize].clone()).collect();
                    known.0.insert(key.value_sha256, (key.id, plans));
                }
            }
            Unit::UsagePlan(plan) => {
                let stages = plan.stages.iter().map(|stage| format!("{}/{}", stage.api_id, stage.stage));
                known.1.insert(plan.id, stages.collect());
            }
            _ => {}
        }
    }
    known
}

fn patch(inside: &Inside, target: &str, op: &str, path: &str, value: &str) -> Value {
    let body = json!({"patchOperations": [{"op": op, "path": path, "value": value}]}).to_string();
    inside.client.expect(200, "PATCH", target, &body).body
}

#[test]
fn gateways_know_the_keys_that_can_open_something() {
    let (dir, inside) = start();
    let api = api(&inside);
    let [first, second] = ["value-of-the-first-key", "value-of-the-second-key"].map(|value| {
        let body = json!({"value": value, "enabled": true}).to_string();
        (inside.client.expect(201, "POST", "/apikeys", &body).text("id"), key_digest(value.as_bytes()))
    });
    assert_eq!(known(&inside), Known::default(), "a key alone opens nothing");
    let [one, two] = [plan(&inside), plan(&inside)];
    patch(&inside, &format!("/usageplans/{one}"), "add", "/apiStages", &format!("{api}:one"));
    assert_eq!(put(&inside, &one, &first.0), 201);
    assert_eq!(put(&inside, &two, &first.0), 201);
    assert_eq!(put(&inside, &two, &second.0), 201);
    let entry = |(id, digest): &(String, [u8; 32]), plans: &[&String]| {
        let mut plans: Vec<String> = plans.iter().map(|plan| (*plan).clone()).collect();
        plans.sort();
        (*digest, (id.clone(), plans))
    };
    let plans = |stages: &[&str]| {
        let stages = stages.iter().map(|stage| format!("{api}/{stage}")).collect();
        BTreeMap::from([(one.clone(), stages), (two.clone(), Vec::new())])
    };
    let both = BTreeMap::from([entry(&first, &[&one, &two]), entry(&second, &[&two])]);
    assert_eq!(known(&inside), (both.clone(), plans(&["one"])));

    // A key that is disabled is unknown, and known again once it is enabled.
    patch(&inside, &format!("/apikeys/{}", second.0), "replace", "/enabled", "false");
    assert_eq!(known(&inside).0, BTreeMap::from([entry(&first, &[&one, &two])]));
    patch(&inside, &format!("/apikeys/{}", second.0), "replace", "/enabled", "true");
    assert_eq!(known(&inside).0, both);
    // So is one that an import disables.
    let target = "/apikeys?mode=import&format=csv";
    inside.client.expect(201, "POST", target, "name,key,enabled\nx,value-of-the-second-key,false\n");
    assert_eq!(known(&inside).0.len(), 1);
    let row = format!("name,key,enabled,usageplanIds\nx,value-of-the-second-key,true,{two}\n");
    inside.client.expect(201, "POST", target, &row);
    assert_eq!(known(&inside).0, both);

    // What an upgrade makes anew from the store is what the changes have made of it.
    let before = inside.units();
    inside
        .control
        .store()
        .write(|tx| tx.set_compiler_revision(0))
        .unwrap_or_else(|error: StoreError| panic!("{error}"));
    drop(inside);
    let mut again = settings(dir.path().join("data"));
    again.quotas.api_keys_max = 3;
    let inside = Inside::start(again);
    assert_eq!(inside.units(), before);

    // Out of a plan, the stage gone, the plan gone, the key gone.
    inside.client.expect(202, "DELETE", &format!("/usageplans/{two}/keys/{}", first.0), "");
    assert_eq!(known(&inside).0, BTreeMap::from([entry(&first, &[&one]), entry(&second, &[&two])]));
    inside.client.expect(202, "DELETE", &format!("/restapis/{api}/stages/one"), "");
    assert_eq!(known(&inside).1, plans(&[]));
    inside.client.expect(202, "DELETE", &format!("/usageplans/{two}"), "");
    assert_eq!(
        known(&inside),
        (BTreeMap::from([entry(&first, &[&one])]), BTreeMap::from([(one, Vec::new())]))
    );
    inside.client.expect(202, "DELETE", &format!("/apikeys/{}", first.0), "");
    assert_eq!(known(&inside).0, BTreeMap::new());
}

#[test]
fn a_plan_is_compiled_with_its_limits() {
    let (_dir, inside) = start();
    let api = api(&inside);
    let body = json!({
        "name": "p",
        "throttle": {"rateLimit": 12.5, "burstLimit": 30},
        "quota": {"limit": 1000, "offset": 2, "period": "WEEK"},
        "apiStages": [{"apiId": api, "stage": "one", "throttle": {"//GET": {"rateLimit": 0.25, "burstLimit": 1}}}],
    });
    inside.client.expect(201, "POST", "/usageplans", &body.to_string());
    let plans: Vec<_> = inside
        .units()
        .into_iter()
        .filter_map(|unit| match unit {
            Unit::UsagePlan(plan) => Some(plan),
            _ => None,
        })
        .collect();
    let [plan] = &plans[..] else { panic!("{plans:?}") };
    assert_eq!(plan.throttle, Some(Throttle::new(12_500, 30)));
    assert_eq!(plan.quota, Some(Quota { requests: 1_000, period: QuotaPeriod::Week, offset_days: 2 }));
    let throttle = Throttle::new(250, 1);
    let root = PlanRoute { method: "GET".to_owned(), path: "/".to_owned(), throttle };
    assert_eq!(plan.stages[0].routes, [root]);
}
