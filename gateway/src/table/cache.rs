//! Response caches as a snapshot has them: what a stage may keep and what of it is gone, and what of a request tells a
//! route's answers apart.

use ring::digest::{Context, SHA256};
use turnpike_cache::{Mode, OriginRules, RouteName, Terms, TtlRules, Unpermitted};
use turnpike_snapshot::{CacheKeyPart, Freshness, Invalidation, StageUnit, Unauthorized};

/// A stage's cache; each shard has its share of it.
#[derive(Debug)]
pub(crate) struct StageCache {
    /// Of the gateway, shards together.
    pub(crate) terms: Terms,
    /// Tags, and the generation before which what has them is gone.
    pub(crate) purges: Box<[(Box<str>, u64)]>,
    pub(crate) coalesced: bool,
}

/// A route's use of its stage's cache.
#[derive(Debug)]
pub(crate) struct RouteCache {
    pub(crate) mode: Mode,
    /// False where only unsafe methods come, which take out of the cache what they may have changed.
    pub(crate) stores: bool,
    /// Of a route for any method, what is safe to ask twice.
    pub(crate) gets_only: bool,
    /// Of what its keys begin with.
    pub(crate) name: RouteName,
    pub(crate) key: Box<[KeyPart]>,
    /// Fields that are part of the key, in lower case. Answers vary by them where the origin decides what is kept.
    pub(crate) headers: Box<[Box<str>]>,
    /// Whether who asks for a new answer needs a permission, and what becomes of who hasn't got it.
    pub(crate) permission: Option<Unpermitted>,
}

/// Beside header fields.
#[derive(Debug)]
pub(crate) enum KeyPart {
    Path,
    PathParameter(Box<str>),
    Query(Box<str>),
}

impl StageCache {
    pub(super) fn compile(unit: &turnpike_snapshot::StageCache) -> Self {
        let purge = |purge: &turnpike_snapshot::TagPurge| (purge.tag.as_str().into(), purge.purged_before);
        Self {
            terms: Terms {
                bytes_max: unit.bytes_max,
                generation: unit.generation,
                flushed_before: unit.flushed_before,
            },
            purges: unit.purges.iter().map(purge).collect(),
            coalesced: unit.coalesced,
        }
    }
}

impl RouteCache {
    /// `None` where a route's requests have nothing to do with its stage's cache.
    pub(super) fn compile(stage: &StageUnit, route: &turnpike_snapshot::Route) -> Option<Box<Self>> {
        let by_origin = stage.cache.as_ref()?.freshness == Freshness::Origin;
        match &route.settings.cache {
            Some(cache) if cache.ttl_s > 0 => {
                let gets_only = by_origin || route.method == "ANY";
                let name = name(stage, cache, by_origin);
                Some(Box::new(Self::storing(cache, name, by_origin, gets_only)))
            }
            _ if by_origin && !matches!(&*route.method, "GET" | "HEAD" | "OPTIONS") => {
                Some(Box::new(Self::invalidating()))
            }
            _ => None,
        }
    }

    fn storing(
        cache: &turnpike_snapshot::RouteCache,
        name: RouteName,
        by_origin: bool,
        gets_only: bool,
    ) -> Self {
        use CacheKeyPart as Part;
        let ttl_ms = u64::from(cache.ttl_s) * 1_000;
        let mode = if by_origin {
            Mode::Origin(OriginRules {
                lifetime_ms_max: ttl_ms,
                stale_while_revalidate_ms: 0,
                stale_if_error_ms: 0,
            })
        } else {
            Mode::Ttl(TtlRules { ttl_ms })
        };
        let parts = cache.key.iter().filter_map(|part| match part {
            Part::Path => Some(KeyPart::Path),
            Part::PathParameter(name) => Some(KeyPart::PathParameter(name.as_str().into())),
            Part::Query(name) => Some(KeyPart::Query(name.as_str().into())),
            Part::Header(_) => None,
        });
        let headers = cache.key.iter().filter_map(|part| match part {
            Part::Header(name) => Some(name.as_str().into()),
            Part::Path | Part::PathParameter(_) | Part::Query(_) => None,
        });
        Self {
            mode,
            stores: true,
            gets_only,
            name,
            key: parts.collect(),
            headers: headers.collect(),
            permission: match cache.invalidation {
                Invalidation::Anyone => None,
                Invalidation::Authorized(Unauthorized::Refused) => Some(Unpermitted::Refuse),
                Invalidation::Authorized(Unauthorized::Warned) => Some(Unpermitted::IgnoreWithWarning),
                Invalidation::Authorized(Unauthorized::Ignored) => Some(Unpermitted::Ignore),
            },
        }
    }

    fn invalidating() -> Self {
        Self {
            mode: Mode::Ttl(TtlRules { ttl_ms: 0 }),
            stores: false,
            gets_only: false,
            name: RouteName::default(),
            key: Box::default(),
            headers: Box::default(),
            permission: None,
        }
    }

    pub(crate) fn by_origin(&self) -> bool {
        matches!(self.mode, Mode::Origin(_))
    }
}

/// Of all that a route's keys don't say of it: the same at every shard and for as long as nothing of it changes. 128 bits
/// are enough for names that nobody outside chooses.
fn name(stage: &StageUnit, cache: &turnpike_snapshot::RouteCache, by_origin: bool) -> RouteName {
    let mut context = Context::new(&SHA256);
    let mut add = |kind: u8, text: &str| {
        context.update(&[kind]);
        context.update(&(text.len() as u64).to_le_bytes());
        context.update(text.as_bytes());
    };
    for text in [&stage.api_id, &stage.stage, &cache.namespace] {
        add(u8::from(by_origin), text);
    }
    // Where the origin decides, keys are made of the path and the whole query.
    for part in cache.key.iter().filter(|_| !by_origin) {
        match part {
            CacheKeyPart::Path => add(2, ""),
            CacheKeyPart::PathParameter(name) => add(3, name),
            CacheKeyPart::Query(name) => add(4, name),
            CacheKeyPart::Header(name) => add(5, name),
        }
    }
    let mut name = RouteName::default();
    name.copy_from_slice(&context.finish().as_ref()[..size_of::<RouteName>()]);
    name
}
