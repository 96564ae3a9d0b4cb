//! Checks of response caches.

use super::{Checked, PathPart, Problem, count, text, within, wrong};
use crate::limits::Limits;
use crate::unit::{CacheKeyPart, RouteCache, StageCache};

/// AWS's.
const TTL_S_MAX: u32 = 3_600;

pub(super) fn check(cache: &StageCache, limits: &Limits) -> Checked {
    if cache.bytes_max == 0 {
        return Err(wrong("cache size", Problem::Zero));
    }
    if cache.flushed_before > cache.generation {
        return Err(wrong("cache flush", Problem::Ahead));
    }
    count("cache purges", cache.purges.len(), limits.cache_purges_max)?;
    for purge in &cache.purges {
        text::cache_tag("cache tag", &purge.tag, limits.id_bytes_max)?;
        if purge.purged_before > cache.generation {
            return Err(wrong(format!("cache purge of {:?}", purge.tag), Problem::Ahead));
        }
    }
    Ok(())
}

/// Of a route with this path.
pub(super) fn check_route(cache: &RouteCache, parts: &[PathPart<'_>], limits: &Limits) -> Checked {
    within("cache TTL in seconds", cache.ttl_s, 0, TTL_S_MAX)?;
    text::id("cache namespace", &cache.namespace, limits.id_bytes_max)?;
    count("cache key", cache.key.len(), limits.cache_key_parts_max)?;
    cache.key.iter().try_for_each(|part| match part {
        CacheKeyPart::Path => Ok(()),
        CacheKeyPart::PathParameter(name) if parts.iter().any(|part| part.variable() == Some(name)) => Ok(()),
        CacheKeyPart::PathParameter(name) => {
            Err(wrong("cache key", Problem::NoSuchVariable { name: name.clone() }))
        }
        CacheKeyPart::Query(name) => text::sized("cache key", name, limits.id_bytes_max),
        CacheKeyPart::Header(name) => text::field_name("cache key", name),
    })
}
