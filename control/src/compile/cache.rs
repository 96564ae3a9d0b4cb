//! Response caches: a stage's, and what tells the answers of its methods and routes apart. (AWS: Cache settings for REST APIs.)

use std::collections::BTreeMap;

use turnpike_snapshot::{
    CacheKeyPart, Freshness, Invalidation, RouteCache, StageCache, TagPurge, Unauthorized,
};

use crate::model::{
    self, HttpRoute, HttpStage, INTEGRATION_REQUEST, METHOD_REQUEST, MethodSetting, RestIntegration,
    RestStage,
};

/// What HTTP APIs name parts of a request by.
const REQUEST: &str = "$request.";
/// Everybody may have an answer made anew.
const ANYONE: &str = "ANYONE";

/// AWS's sizes are in GB, the smallest where nobody said one.
const GB_BYTES: f64 = (1_u64 << 30) as f64;
const SMALLEST_GB: f64 = 0.5;

pub(super) fn of_rest_stage(stage: &RestStage) -> Option<StageCache> {
    let size_gb = stage.cache_cluster_size.as_deref().and_then(|size| size.parse().ok());
    let bytes_max = (size_gb.unwrap_or(SMALLEST_GB) * GB_BYTES) as u64;
    stage.cache_cluster_enabled.then(|| of_stage(&stage.cache, bytes_max))
}

pub(super) fn of_http_stage(stage: &HttpStage) -> Option<StageCache> {
    stage.caching.as_ref().map(|caching| of_stage(&stage.cache, caching.size_bytes))
}

fn of_stage(cache: &model::StageCache, bytes_max: u64) -> StageCache {
    let purge = |(tag, before): (&String, &u64)| TagPurge { tag: tag.clone(), purged_before: *before };
    StageCache {
        bytes_max,
        generation: cache.generation,
        flushed_before: cache.flushed_before,
        purges: cache.purges.iter().map(purge).collect(),
        freshness: if cache.by_origin { Freshness::Origin } else { Freshness::Route },
        coalesced: !cache.uncoalesced,
    }
}

/// Of an HTTP API's route.
pub(super) fn of_route(stage: &HttpStage, route: &HttpRoute) -> Option<RouteCache> {
    let caching = stage.caching.as_ref()?;
    let (ttl_s, parameters) = caching.of_route(&route.key.to_string())?;
    let sources = parameters.iter().filter_map(|parameter| parameter.strip_prefix(REQUEST));
    let invalidation = match caching.invalidation.as_str() {
        ANYONE => Invalidation::Anyone,
        strategy => Invalidation::Authorized(unauthorized(strategy)),
    };
    Some(RouteCache { ttl_s, namespace: route.id.clone(), key: key_of(sources), invalidation })
}

/// Of the method of a resource with this path.
pub(super) fn of_method(
    stage: &RestStage,
    (path, method): (&str, &str),
    integration: &RestIntegration,
) -> Option<RouteCache> {
    let setting = stage.caching(path, method)?;
    let mapped = &integration.request_parameters;
    let sources =
        integration.cache_key_parameters.iter().filter_map(|parameter| source_of(parameter, mapped));
    Some(RouteCache {
        ttl_s: setting.cache_ttl_s,
        namespace: integration.cache_namespace.clone(),
        key: key_of(sources),
        invalidation: invalidation_of(setting),
    })
}

/// The path as requested, which has its parameters in it, and query strings and headers.
fn key_of<'s>(sources: impl Iterator<Item = &'s str>) -> Vec<CacheKeyPart> {
    let mut key = vec![CacheKeyPart::Path];
    for part in sources.filter_map(part_of) {
        if !key.contains(&part) {
            key.push(part);
        }
    }
    key
}

/// What of the request a parameter is, or is filled with.
fn source_of<'p>(parameter: &'p str, mapped: &'p BTreeMap<String, String>) -> Option<&'p str> {
    let parameter = match parameter.starts_with(INTEGRATION_REQUEST) {
        true => mapped.get(parameter)?,
        false => parameter,
    };
    parameter.strip_prefix(METHOD_REQUEST)
}

fn part_of(source: &str) -> Option<CacheKeyPart> {
    let (place, name) = source.split_once('.')?;
    match place {
        "querystring" | "multivaluequerystring" => Some(CacheKeyPart::Query(name.to_owned())),
        "header" | "multivalueheader" => Some(CacheKeyPart::Header(name.to_ascii_lowercase())),
        _ => None,
    }
}

fn invalidation_of(setting: &MethodSetting) -> Invalidation {
    if !setting.authorization_for_cache_control {
        return Invalidation::Anyone;
    }
    Invalidation::Authorized(unauthorized(&setting.unauthorized_cache_control))
}

fn unauthorized(strategy: &str) -> Unauthorized {
    match strategy {
        "SUCCEED_WITH_RESPONSE_HEADER" => Unauthorized::Warned,
        "SUCCEED_WITHOUT_RESPONSE_HEADER" => Unauthorized::Ignored,
        // FAIL_WITH_403, which alone gives nobody what they may not have.
        _ => Unauthorized::Refused,
    }
}
