//! Response caches of REST stages, up to the units that come of them.

use serde_json::json;
use turnpike_snapshot::{
    CacheKeyPart, Freshness, Invalidation, RouteCache, StageCache, StageUnit, Unauthorized,
};

use crate::support::inside::{Inside, settings};

/// A started control, and the id of an API whose `/{id}` has a GET and a POST, deployed to `prod`.
fn start() -> (tempfile::TempDir, Inside, String) {
    let dir = tempfile::tempdir().expect("a directory");
    let inside = Inside::start(settings(dir.path().join("data")));
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
