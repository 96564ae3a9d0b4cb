//! API keys and usage plans through the management API: what Rust's own tests look at beside those of AWS's clients.

use serde_json::json;

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
