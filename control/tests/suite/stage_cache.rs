//! Response caches of REST stages, up to the units that come of them.

use serde_json::{Value, json};
use turnpike_control::settings::{Quotas, Settings};
use turnpike_snapshot::frame::FromGateway;
use turnpike_snapshot::{
    CacheKeyPart, Freshness, Invalidation, RouteCache, StageCache, StageUnit, Unauthorized,
};

use crate::support::gateway::Gateway;
use crate::support::inside::{Inside, settings};

/// A started control, and the id of an API whose `/{id}` has a GET and a POST, deployed to `prod`.
fn start() -> (tempfile::TempDir, Inside, String) {
    start_with(Quotas::default())
}

fn start_with(quotas: Quotas) -> (tempfile::TempDir, Inside, String) {
    let dir = tempfile::tempdir().expect("a directory");
    let inside = Inside::start(Settings { quotas, ..settings(dir.path().join("data")) });
    let client = &inside.client;
    let made = client.expect(201, "POST", "/restapis", r#"{"name":"pets"}"#);
    let (id, root) = (made.text("id"), made.text("rootResourceId"));
    let resource = format!("/restapis/{id}/resources/{root}");
    let resource = client.expect(201, "POST", &resource, r#"{"pathPart":"{id}"}"#).text("id");
    for method in ["GET", "POST"] {
        let place = format!("/restapis/{id}/resources/{resource}/methods/{method}");
        let parameters = json!({"authorizationType": "NONE", "requestParameters": {
            "method.request.path.id": true, "method.request.querystring.type": false,
            "method.request.header.X-Kind": false,
        }});
        client.expect(201, "PUT", &place, &parameters.to_string());
        let integration = json!({
            "type": "HTTP_PROXY", "httpMethod": method, "uri": "http://h.test/{id}",
            "requestParameters": {"integration.request.path.id": "method.request.path.id"},
            "cacheNamespace": "pets", "cacheKeyParameters": [
                "method.request.querystring.type", "method.request.header.X-Kind", "method.request.path.id",
                "integration.request.path.id",
            ],
        });
        client.expect(201, "PUT", &format!("{place}/integration"), &integration.to_string());
    }
    client.expect(201, "POST", &format!("/restapis/{id}/deployments"), r#"{"stageName":"prod"}"#);
    (dir, inside, id)
}

fn patch(inside: &Inside, id: &str, patches: &[(&str, &str)]) {
    let patches: Vec<_> =
        patches.iter().map(|(path, value)| json!({"op": "replace", "path": path, "value": value})).collect();
    let body = json!({"patchOperations": patches}).to_string();
    inside.client.expect(200, "PATCH", &format!("/restapis/{id}/stages/prod"), &body);
}

fn of_method<'u>(unit: &'u StageUnit, method: &str) -> Option<&'u RouteCache> {
    let route = unit.routes.iter().find(|route| route.method == method).expect("a route");
    route.settings.cache.as_ref()
}

#[test]
fn a_stages_cache_and_its_methods_settings_are_compiled() {
    let (_dir, inside, id) = start();
    assert_eq!(inside.stage(&id, "prod").cache, None);
    patch(&inside, &id, &[("/cacheClusterEnabled", "true"), ("/*/*/caching/enabled", "true")]);
    let unit = inside.stage(&id, "prod");
    let cache = unit.cache.as_ref().expect("a cache");
    assert_eq!((cache.bytes_max, cache.freshness, cache.coalesced), (512 << 20, Freshness::Route, true));
    assert!(cache.generation > 1_700_000_000 && cache.flushed_before == cache.generation);
    let expected = RouteCache {
        ttl_s: 300,
        namespace: "pets".to_owned(),
        key: vec![
            CacheKeyPart::Path,
            CacheKeyPart::Query("type".to_owned()),
            CacheKeyPart::Header("x-kind".to_owned()),
        ],
        invalidation: Invalidation::Authorized(Unauthorized::Warned),
    };
    assert_eq!(of_method(&unit, "GET"), Some(&expected));
    assert_eq!(of_method(&unit, "POST"), None, "methods other than GET are only cached where that is said");

    patch(
        &inside,
        &id,
        &[
            ("/cacheClusterSize", "1.6"),
            ("/~1{id}/POST/caching/enabled", "true"),
            ("/~1{id}/POST/caching/ttlInSeconds", "7"),
            ("/~1{id}/POST/caching/requireAuthorizationForCacheControl", "false"),
            ("/~1{id}/GET/caching/unauthorizedCacheControlHeaderStrategy", "FAIL_WITH_403"),
        ],
    );
    let unit = inside.stage(&id, "prod");
    assert_eq!(unit.cache.as_ref().map(|cache| cache.bytes_max), Some(1_717_986_918));
    let post = of_method(&unit, "POST").expect("cached");
    assert_eq!((post.ttl_s, post.invalidation), (7, Invalidation::Anyone));
    let get = of_method(&unit, "GET").expect("cached");
    assert_eq!(get.invalidation, Invalidation::Authorized(Unauthorized::Refused));

    patch(&inside, &id, &[("/~1{id}/GET/caching/ttlInSeconds", "0")]);
    assert_eq!(of_method(&inside.stage(&id, "prod"), "GET"), None);
    patch(&inside, &id, &[("/cacheClusterEnabled", "false")]);
    let unit = inside.stage(&id, "prod");
    assert!(unit.cache.is_none() && of_method(&unit, "POST").is_none());
}

/// A canary has the stage's cache where it is told to, and its answers are the stage's where both serve one deployment.
#[test]
fn a_canary_uses_its_stages_cache_where_it_is_told_to() {
    let (_dir, inside, id) = start();
    patch(&inside, &id, &[("/canarySettings/percentTraffic", "50"), ("/cacheClusterEnabled", "true")]);
    let canary = || {
        let canary = inside.stage(&id, "prod").canary.expect("a canary");
        let get = canary.routes.iter().find(|route| route.method == "GET").expect("a route");
        (get.settings.cache.clone(), canary.shares_cache)
    };
    patch(&inside, &id, &[("/*/*/caching/enabled", "true")]);
    let kept = of_method(&inside.stage(&id, "prod"), "GET").cloned();
    assert!(kept.is_some());
    assert_eq!(canary(), (None, false));
    patch(&inside, &id, &[("/canarySettings/useStageCache", "true")]);
    assert_eq!(canary(), (kept.clone(), true));
    assert_eq!(of_method(&inside.stage(&id, "prod"), "GET"), kept.as_ref());

    let body = json!({
        "stageName": "prod", "canarySettings": {"percentTraffic": 50, "useStageCache": true},
    });
    inside.client.expect(201, "POST", &format!("/restapis/{id}/deployments"), &body.to_string());
    assert_eq!(canary(), (kept, false), "answers of two deployments aren't mixed");
    let promoted = r#"{"patchOperations":[
        {"op":"copy","from":"/canarySettings/deploymentId","path":"/deploymentId"}]}"#;
    inside.client.expect(200, "PATCH", &format!("/restapis/{id}/stages/prod"), promoted);
    assert!(canary().1);
    patch(&inside, &id, &[("/cacheClusterEnabled", "false")]);
    assert_eq!(canary(), (None, false));
    let status = inside.client.expect(200, "GET", "/_turnpike/status", "").body;
    assert!(!status["unenforced"].to_string().contains("useStageCache"), "{status}");
}

/// No caller can be given the permission yet, which isn't passed over in silence.
#[test]
fn status_names_a_permission_that_nobody_has() {
    let (_dir, inside, id) = start();
    let is_named = || {
        let status = inside.client.expect(200, "GET", "/_turnpike/status", "").body;
        let named = |one: &Value| {
            let setting = one["setting"].as_str().expect("a setting");
            one["api_id"] == *id && setting.contains("requireAuthorizationForCacheControl")
        };
        status["unenforced"].as_array().expect("a list").iter().any(named)
    };
    patch(&inside, &id, &[("/cacheClusterEnabled", "true")]);
    assert!(!is_named());
    patch(&inside, &id, &[("/*/*/caching/enabled", "true")]);
    assert!(is_named());
    patch(&inside, &id, &[("/*/*/caching/requireAuthorizationForCacheControl", "false")]);
    assert!(!is_named());
}

#[test]
fn a_flush_is_a_new_generation_of_one_stage() {
    let (_dir, inside, id) = start();
    patch(&inside, &id, &[("/cacheClusterEnabled", "true"), ("/*/*/caching/enabled", "true")]);
    let cache = |inside: &Inside| inside.stage(&id, "prod").cache.expect("a cache");
    let (before, root): (StageCache, _) = (cache(&inside), inside.root());
    let flush = format!("/restapis/{id}/stages/prod/cache/data");
    inside.client.expect(202, "DELETE", &flush, "");
    let after = cache(&inside);
    assert_eq!((after.generation, after.flushed_before), (before.generation + 1, before.generation + 1));
    assert!(inside.root().version > root.version);
    let missing = format!("/restapis/{id}/stages/none/cache/data");
    inside.client.refused(404, "NotFoundException", "", "DELETE", &missing, "");
    let (root, authorizers) = (inside.root(), format!("/restapis/{id}/stages/prod/cache/authorizers"));
    inside.client.expect(202, "DELETE", &authorizers, "");
    assert_eq!(inside.root(), root);
}

/// A flush that a gateway won't hear of isn't told as done.
#[test]
fn a_flush_that_a_gateway_refuses_says_so() {
    let (dir, inside, id) = start();
    patch(&inside, &id, &[("/cacheClusterEnabled", "true")]);
    let mut gateway = Gateway::connect(&dir.path().join("data/publish.sock"), "gw-7");
    // It comes to gateways that are known.
    let version = gateway.root().version + 1;
    gateway.tell(&FromGateway::Refuse { version, reason: "it is too hard".to_owned() });
    let flush = format!("/restapis/{id}/stages/prod/cache/data");
    let error = "the gateway gw-7 refuses the configuration and serves the one before it: it is too hard";
    inside.client.refused(503, "ServiceUnavailableException", error, "DELETE", &flush, "");
}

/// An HTTP API with a GET, a POST and a default route, deployed at once; its id.
fn http_api(inside: &Inside) -> String {
    let client = &inside.client;
    let made = client.expect(201, "POST", "/v2/apis", r#"{"name":"h","protocolType":"HTTP"}"#);
    let api = format!("/v2/apis/{}", made.text("apiId"));
    let integration = json!({
        "integrationType": "HTTP_PROXY", "integrationMethod": "ANY", "integrationUri": "http://h.test/",
        "payloadFormatVersion": "1.0",
    });
    let integrations = format!("{api}/integrations");
    let integration =
        client.expect(201, "POST", &integrations, &integration.to_string()).text("integrationId");
    for key in ["GET /pets", "POST /pets", "$default"] {
        let route = json!({"routeKey": key, "target": format!("integrations/{integration}")});
        client.expect(201, "POST", &format!("{api}/routes"), &route.to_string());
    }
    client.expect(201, "POST", &format!("{api}/stages"), r#"{"stageName":"prod","autoDeploy":true}"#);
    made.text("apiId")
}

#[test]
fn a_stage_of_an_http_api_has_a_cache_too() {
    let dir = tempfile::tempdir().expect("a directory");
    let inside = Inside::start(settings(dir.path().join("data")));
    let (client, id) = (&inside.client, http_api(&inside));
    let cache = format!("/turnpike/v1/apis/{id}/stages/prod/cache");
    client.refused(404, "NotFoundException", "The stage has no response cache", "GET", &cache, "");
    assert_eq!(inside.stage(&id, "prod").cache, None);

    let document = json!({
        "freshness": "ORIGIN", "coalesced": false, "sizeBytes": 1_000_000, "ttlInSeconds": 60,
        "keyParameters": ["$request.querystring.type"], "invalidation": "FAIL_WITH_403",
        "routes": {"$default": {"enabled": true, "ttlInSeconds": 5, "keyParameters": ["$request.header.X-Kind"]}},
    });
    let put = client.expect(200, "PUT", &cache, &document.to_string()).body;
    assert_eq!(put, document);
    assert_eq!(client.expect(200, "GET", &cache, "").body, document);
    let unit = inside.stage(&id, "prod");
    let compiled = unit.cache.as_ref().expect("a cache");
    let seen = (compiled.bytes_max, compiled.freshness, compiled.coalesced);
    assert_eq!(seen, (1_000_000, Freshness::Origin, false));
    let route = |path: &str, method: &str| {
        let found = unit.routes.iter().find(|route| route.path == path && route.method == method);
        found.expect("a route").settings.cache.clone()
    };
    let get = route("/pets", "GET").expect("cached");
    assert_eq!((get.ttl_s, get.key), (60, vec![CacheKeyPart::Path, CacheKeyPart::Query("type".to_owned())]));
    assert_eq!(get.invalidation, Invalidation::Authorized(Unauthorized::Refused));
    assert_eq!(route("/pets", "POST"), None);
    let default = route("$default", "ANY").expect("cached");
    assert_eq!((default.ttl_s, &default.key[1]), (5, &CacheKeyPart::Header("x-kind".to_owned())));

    client.expect(204, "DELETE", &cache, "");
    assert_eq!(inside.stage(&id, "prod").cache, None);
    client.refused(404, "NotFoundException", "", "DELETE", &cache, "");
}

#[test]
fn what_a_cache_can_not_be_is_refused() {
    let (_dir, inside, rest) = start();
    let http = http_api(&inside);
    let place = |id: &str, stage: &str| format!("/turnpike/v1/apis/{id}/stages/{stage}/cache");
    for (id, stage, body) in
        [(&http, "none", r#"{"sizeBytes":1}"#), (&"nothing".to_owned(), "prod", r#"{"sizeBytes":1}"#)]
    {
        inside.client.refused(404, "NotFoundException", "", "PUT", &place(id, stage), body);
    }
    for body in [
        "{}",
        r#"{"sizeBytes":0}"#,
        r#"{"sizeBytes":1,"freshness":"MINE"}"#,
        r#"{"sizeBytes":1,"ttlInSeconds":3601}"#,
        r#"{"sizeBytes":1,"keyParameters":["type"]}"#,
        r#"{"sizeBytes":1,"keyParameters":["$request.header."]}"#,
        r#"{"sizeBytes":1,"keyParameters":["$request.header.a b"]}"#,
        r#"{"sizeBytes":1,"invalidation":"FAIL"}"#,
        r#"{"sizeBytes":1,"routes":{"pets":{"enabled":true}}}"#,
        r#"{"sizeBytes":1,"routes":{"get /pets":{"enabled":true}}}"#,
    ] {
        inside.client.refused(400, "BadRequestException", "", "PUT", &place(&http, "prod"), body);
    }
    let said_elsewhere = r#"{"freshness":"ORIGIN","sizeBytes":1}"#;
    inside.client.refused(
        400,
        "SerializationException",
        "sizeBytes",
        "PUT",
        &place(&rest, "prod"),
        said_elsewhere,
    );
    inside.client.refused(400, "BadRequestException", "UpdateStage", "DELETE", &place(&rest, "prod"), "");
    for tags in [json!([]), json!([""]), json!(["a,b"]), json!(["a b"]), json!(vec!["a"; 101])] {
        let (purge, body) = (format!("{}/purge", place(&rest, "prod")), json!({"tags": tags}).to_string());
        inside.client.refused(400, "BadRequestException", "tags has to be", "POST", &purge, &body);
    }
}

#[test]
fn a_rest_stage_may_leave_it_to_the_origin_and_be_purged_by_tags() {
    let (_dir, inside, id) = start();
    patch(&inside, &id, &[("/cacheClusterEnabled", "true"), ("/*/*/caching/enabled", "true")]);
    let place = format!("/turnpike/v1/apis/{id}/stages/prod/cache");
    let cache = || inside.stage(&id, "prod").cache.expect("a cache");
    let before = cache();
    let answer = inside.client.expect(200, "PUT", &place, r#"{"freshness":"ORIGIN"}"#).body;
    assert_eq!(answer, json!({"freshness": "ORIGIN", "coalesced": true}));
    let by_origin = cache();
    assert_eq!(by_origin.freshness, Freshness::Origin);
    assert!(by_origin.flushed_before > before.generation, "what was kept under other rules is gone");

    inside.client.expect(204, "POST", &format!("{place}/purge"), r#"{"tags":["red","blue"]}"#);
    let purged = cache();
    assert_eq!(purged.generation, by_origin.generation + 1);
    let purges: Vec<_> =
        purged.purges.iter().map(|purge| (purge.tag.as_str(), purge.purged_before)).collect();
    assert_eq!(purges, [("blue", purged.generation), ("red", purged.generation)]);
    assert_eq!(purged.flushed_before, by_origin.flushed_before);

    inside.client.expect(204, "DELETE", &format!("{place}/data"), "");
    let flushed = cache();
    assert!(flushed.purges.is_empty() && flushed.flushed_before == flushed.generation);
}

#[test]
fn more_purged_tags_than_are_remembered_flush() {
    let (_dir, inside, id) = start_with(Quotas { purged_tags_per_stage_max: 2, ..Quotas::default() });
    patch(&inside, &id, &[("/cacheClusterEnabled", "true")]);
    let purge = |tags: &str| {
        let place = format!("/turnpike/v1/apis/{id}/stages/prod/cache/purge");
        inside.client.expect(204, "POST", &place, &format!(r#"{{"tags":{tags}}}"#));
        let cache = inside.stage(&id, "prod").cache.expect("a cache");
        (cache.purges.len(), cache.flushed_before == cache.generation)
    };
    assert_eq!(purge(r#"["red","blue"]"#), (2, false));
    assert_eq!(purge(r#"["green"]"#), (0, true));
}
