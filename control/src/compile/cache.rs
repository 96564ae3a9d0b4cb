//! Response caches: a stage's, and what tells the answers of its methods apart. (AWS: Cache settings for REST APIs.)

use std::collections::BTreeMap;

use turnpike_snapshot::{
    CacheKeyPart, Freshness, Invalidation, RouteCache, StageCache, TagPurge, Unauthorized,
};

use crate::model::{INTEGRATION_REQUEST, METHOD_REQUEST, MethodSetting, RestIntegration, RestStage};

/// AWS's sizes are in GB, the smallest where nobody said one.
const GB_BYTES: f64 = (1_u64 << 30) as f64;
const SMALLEST_GB: f64 = 0.5;

pub(super) fn of_stage(stage: &RestStage) -> Option<StageCache> {
    if !stage.cache_cluster_enabled {
        return None;
    }
    let size_gb = stage.cache_cluster_size.as_deref().and_then(|size| size.parse().ok());
    let purge = |(tag, before): (&String, &u64)| TagPurge { tag: tag.clone(), purged_before: *before };
    Some(StageCache {
        bytes_max: (size_gb.unwrap_or(SMALLEST_GB) * GB_BYTES) as u64,
        generation: stage.cache.generation,
        flushed_before: stage.cache.flushed_before,
        purges: stage.cache.purges.iter().map(purge).collect(),
        freshness: Freshness::Route,
        coalesced: true,
    })
}

/// Of the method of a resource with this path.
pub(super) fn of_method(
    stage: &RestStage,
    (path, method): (&str, &str),
    integration: &RestIntegration,
) -> Option<RouteCache> {
    let setting = stage.caching(path, method)?;
    Some(RouteCache {
        ttl_s: setting.cache_ttl_s,
        namespace: integration.cache_namespace.clone(),
        key: key_of(integration),
        invalidation: invalidation_of(setting),
    })
}

/// The path as requested, which has its parameters in it, and the query strings and headers that the integration names.
/// What no request fills says nothing of it.
fn key_of(integration: &RestIntegration) -> Vec<CacheKeyPart> {
    let mut key = vec![CacheKeyPart::Path];
    for parameter in &integration.cache_key_parameters {
        let part = source_of(parameter, &integration.request_parameters).and_then(part_of);
        key.extend(part.filter(|part| !key.contains(part)));
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
    Invalidation::Authorized(match setting.unauthorized_cache_control.as_str() {
        "SUCCEED_WITH_RESPONSE_HEADER" => Unauthorized::Warned,
        "SUCCEED_WITHOUT_RESPONSE_HEADER" => Unauthorized::Ignored,
        // FAIL_WITH_403, which alone gives nobody what they may not have.
        _ => Unauthorized::Refused,
    })
}
