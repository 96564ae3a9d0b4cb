//! A stage's response cache beyond what AWS has: kept for as long as the origin says, purged by tags; and the cache of an
//! HTTP API's stage, which AWS has none of.
//!
//! Of a REST API's stage, size, time and key are AWS's to say (UpdateStage, PutIntegration); here is the rest.

use serde_json::{Value, json};

use super::super::call::{Call, compact};
use super::super::error::ApiError;
use super::super::members::Members;
use super::stage::{Stage, check_route_keys};
use crate::change::{Change, View};
use crate::model::{HttpCaching, RouteCaching, StageCache};

/// AWS's longest time and usual one.
const TTL_S_MAX: u32 = 3_600;
const TTL_S: u32 = 300;
const FRESHNESS: [&str; 2] = ["ROUTE", "ORIGIN"];
/// Who may have an answer made anew: everybody, or nobody, and what becomes of the wish (AWS's words).
const INVALIDATION: [&str; 4] =
    ["ANYONE", "FAIL_WITH_403", "SUCCEED_WITH_RESPONSE_HEADER", "SUCCEED_WITHOUT_RESPONSE_HEADER"];
const KEY_PARAMETERS_MAX: usize = 50;
const NAME_CHARS_MAX: usize = 128;
/// In one call.
const TAGS_MAX: usize = 100;
/// What there is none of where a stage can't have it.
const FEATURE: &str = "response cache";

impl Stage {
    fn cache(&mut self) -> &mut StageCache {
        match self {
            Self::Rest(stage) => &mut stage.cache,
            Self::Http(stage) => &mut stage.cache,
        }
    }

    fn answer(&self) -> Result<Value, ApiError> {
        let (cache, caching) = match self {
            Self::Rest(stage) => (&stage.cache, None),
            Self::Http(stage) => match &stage.caching {
                Some(caching) => (&stage.cache, Some(caching)),
                None => return Err(ApiError::not_found("The stage has no response cache")),
            },
        };
        let routes = |caching: &HttpCaching| {
            let shown = |(key, route): (&String, &RouteCaching)| {
                let members = json!({
                    "enabled": route.enabled, "ttlInSeconds": route.ttl_s, "keyParameters": route.key_parameters,
                });
                (key.clone(), compact(members))
            };
            Value::Object(caching.routes.iter().map(shown).collect())
        };
        Ok(compact(json!({
            "freshness": FRESHNESS[usize::from(cache.by_origin)],
            "coalesced": !cache.uncoalesced,
            "sizeBytes": caching.map(|caching| caching.size_bytes),
            "ttlInSeconds": caching.map(|caching| caching.ttl_s),
            "keyParameters": caching.map(|caching| &caching.key_parameters),
            "invalidation": caching.map(|caching| &caching.invalidation),
            "routes": caching.map(routes),
        })))
    }
}

pub(in super::super) fn put(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let mut stage = Stage::of(change, call, FEATURE)?;
    let mut members = call.members()?;
    let freshness = members.choice("freshness", &FRESHNESS)?;
    let coalesced = members.boolean("coalesced")?.unwrap_or(true);
    if let Stage::Http(stage) = &mut stage {
        stage.caching = Some(take_caching(&mut members)?);
    }
    members.finish()?;
    let cache = stage.cache();
    let by_origin = freshness.as_deref() == Some(FRESHNESS[1]);
    if cache.by_origin != by_origin {
        // What was kept under other rules isn't used under these.
        cache.flush();
    }
    (cache.by_origin, cache.uncoalesced) = (by_origin, !coalesced);
    stage.keep(change, call)?;
    stage.answer()
}

fn take_caching(members: &mut Members) -> Result<HttpCaching, ApiError> {
    let size = members.value("sizeBytes");
    let size_bytes = size.as_ref().and_then(Value::as_u64).filter(|size| *size > 0);
    let mut routes = members.objects_by_name("routes")?.unwrap_or_default();
    check_route_keys(routes.iter().map(|(key, _)| key))?;
    let routes = routes.drain(..).map(|(key, members)| Ok((key, take_route(members)?)));
    Ok(HttpCaching {
        size_bytes: size_bytes
            .ok_or_else(|| ApiError::bad_request("sizeBytes has to be an integer from 1 on"))?,
        ttl_s: members.integer("ttlInSeconds", 0..=TTL_S_MAX)?.unwrap_or(TTL_S),
        key_parameters: take_key(members)?.unwrap_or_default(),
        invalidation: members
            .choice("invalidation", &INVALIDATION)?
            .unwrap_or_else(|| INVALIDATION[2].to_owned()),
        routes: routes.collect::<Result<_, ApiError>>()?,
    })
}

fn take_route(mut members: Members) -> Result<RouteCaching, ApiError> {
    let route = RouteCaching {
        enabled: members.boolean("enabled")?.unwrap_or(true),
        ttl_s: members.integer("ttlInSeconds", 0..=TTL_S_MAX)?,
        key_parameters: take_key(&mut members)?,
    };
    members.finish()?;
    Ok(route)
}

fn take_key(members: &mut Members) -> Result<Option<Vec<String>>, ApiError> {
    let Some(key) = members.list("keyParameters")? else { return Ok(None) };
    let names_part = |parameter: &String| {
        let name =
            ["$request.querystring.", "$request.header."].iter().find_map(|p| parameter.strip_prefix(p));
        name.is_some_and(|name| (1..=NAME_CHARS_MAX).contains(&name.chars().count()))
    };
    if key.len() > KEY_PARAMETERS_MAX || !key.iter().all(names_part) {
        return Err(ApiError::bad_request(format!(
            "{} has to be a list of at most {KEY_PARAMETERS_MAX} of $request.querystring.NAME and \
             $request.header.NAME",
            members.full("keyParameters")
        )));
    }
    Ok(Some(key))
}

pub(in super::super) fn get(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    Stage::of(view, call, FEATURE)?.answer()
}

/// The stage keeps nothing any more.
pub(in super::super) fn delete(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let mut stage = Stage::of(change, call, FEATURE)?;
    stage.answer()?;
    match &mut stage {
        Stage::Rest(_) => {
            return Err(ApiError::bad_request(
                "The cache of a REST API's stage is turned off by UpdateStage (/cacheClusterEnabled)",
            ));
        }
        Stage::Http(stage) => {
            stage.caching = None;
            stage.cache.flush();
        }
    }
    stage.keep(change, call)?;
    Ok(Value::Null)
}

pub(in super::super) fn flush(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let mut stage = Stage::of(change, call, FEATURE)?;
    stage.cache().flush();
    stage.keep(change, call)?;
    Ok(Value::Null)
}

/// What has one of the tags is gone.
pub(in super::super) fn purge(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let mut stage = Stage::of(change, call, FEATURE)?;
    let mut members = call.members()?;
    let tags = members.list("tags")?.unwrap_or_default();
    members.finish()?;
    let is_tag = |tag: &String| {
        (1..=NAME_CHARS_MAX).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_graphic() && b != b',')
    };
    if !(1..=TAGS_MAX).contains(&tags.len()) || !tags.iter().all(is_tag) {
        return Err(ApiError::bad_request(format!(
            "tags has to be a list of 1 to {TAGS_MAX} words of at most {NAME_CHARS_MAX} visible ASCII characters \
             without commas"
        )));
    }
    stage.cache().purge(tags, change.settings.quotas.purged_tags_per_stage_max);
    stage.keep(change, call)?;
    Ok(Value::Null)
}
