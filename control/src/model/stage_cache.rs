//! What a stage's response cache remembers, and how it is told what is gone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A stage's cache, as far as it isn't the deployment's or a method's. Generations only grow, over the stage's deletion
/// too, since they begin with the time: what a gateway keeps from before a flush is told by them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StageCache {
    /// Grows with each flush and purge.
    pub generation: u64,
    /// What was asked for under an older generation is gone.
    pub flushed_before: u64,
    /// By tag: what was asked for under an older generation is gone, if it has it.
    pub purges: BTreeMap<String, u64>,
    /// The origin says how long its answers are kept, up to the route's time.
    #[serde(default)]
    pub by_origin: bool,
    /// Requests for the same don't wait for the first of them.
    #[serde(default)]
    pub uncoalesced: bool,
}

/// Whose answers an HTTP API's stage keeps, which a REST API's says with its cluster and method settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpCaching {
    /// On one gateway.
    pub size_bytes: u64,
    pub ttl_s: u32,
    /// `$request.querystring.x` and `$request.header.x`.
    pub key_parameters: Vec<String>,
    /// `ANYONE`, or what becomes of `Cache-Control: max-age=0` of who may not, as in a method's setting.
    pub invalidation: String,
    /// By route key; GET routes are cached without one.
    pub routes: BTreeMap<String, RouteCaching>,
}

/// What a route has of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteCaching {
    pub enabled: bool,
    pub ttl_s: Option<u32>,
    pub key_parameters: Option<Vec<String>>,
}

impl HttpCaching {
    /// Seconds and key parameters of a route that is cached.
    #[must_use]
    pub fn of_route(&self, route_key: &str) -> Option<(u32, &[String])> {
        let own = self.routes.get(route_key);
        let enabled = own.map_or_else(|| route_key.starts_with("GET "), |own| own.enabled);
        let ttl_s = own.and_then(|own| own.ttl_s).unwrap_or(self.ttl_s);
        let parameters = own.and_then(|own| own.key_parameters.as_ref()).unwrap_or(&self.key_parameters);
        (enabled && ttl_s > 0).then_some((ttl_s, parameters))
    }
}

impl StageCache {
    /// Of a stage that is made now.
    #[must_use]
    pub fn new(now_s: i64) -> Self {
        let generation = u64::try_from(now_s).unwrap_or_default();
        Self { generation, flushed_before: generation, ..Self::default() }
    }

    pub fn flush(&mut self) {
        self.generation += 1;
        self.flushed_before = self.generation;
        self.purges.clear();
    }

    /// More tags than may be remembered flush the cache.
    pub fn purge(&mut self, tags: impl IntoIterator<Item = String>, tags_max: usize) {
        self.generation += 1;
        self.purges.extend(tags.into_iter().map(|tag| (tag, self.generation)));
        if self.purges.len() > tags_max {
            self.flush();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purge_is_remembered_until_a_flush() {
        let mut cache = StageCache::new(100);
        cache.purge(["a".to_owned(), "b".to_owned()], 2);
        cache.purge(["b".to_owned()], 2);
        assert_eq!((cache.generation, cache.flushed_before), (102, 100));
        assert_eq!((cache.purges["a"], cache.purges["b"]), (101, 102));
        cache.flush();
        assert_eq!((cache.generation, cache.flushed_before, cache.purges.len()), (103, 103, 0));
    }

    #[test]
    fn get_routes_are_cached_unless_it_is_said_otherwise() {
        let route = |enabled, ttl_s| RouteCaching { enabled, ttl_s, key_parameters: None };
        let caching = HttpCaching {
            size_bytes: 1,
            ttl_s: 300,
            key_parameters: vec!["$request.header.a".to_owned()],
            invalidation: "ANYONE".to_owned(),
            routes: BTreeMap::from([
                ("GET /off".to_owned(), route(false, None)),
                ("GET /zero".to_owned(), route(true, Some(0))),
                ("$default".to_owned(), route(true, Some(5))),
            ]),
        };
        let ttl_s = |key| caching.of_route(key).map(|(ttl_s, _)| ttl_s);
        assert_eq!((ttl_s("GET /"), ttl_s("POST /"), ttl_s("ANY /")), (Some(300), None, None));
        assert_eq!((ttl_s("GET /off"), ttl_s("GET /zero"), ttl_s("$default")), (None, None, Some(5)));
    }

    #[test]
    fn more_tags_than_are_remembered_flush() {
        let mut cache = StageCache::default();
        cache.purge((0..5).map(|tag| tag.to_string()), 5);
        assert_eq!((cache.purges.len(), cache.flushed_before), (5, 0));
        cache.purge(["more".to_owned()], 5);
        assert!(cache.purges.is_empty() && cache.flushed_before == cache.generation);
    }
}
