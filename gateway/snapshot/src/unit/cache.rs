//! How answers are kept for further requests: of a stage, and of a route.

use rkyv::{Archive, Deserialize, Serialize};

/// A stage's response cache; each shard of a gateway has one of its own.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct StageCache {
    /// All entries of the stage on one gateway, shards together: heads, bodies and keys.
    pub bytes_max: u64,
    /// Grows with each flush and each purge. An entry keeps the one that it was asked for under.
    pub generation: u64,
    /// Entries of an older generation than this are gone.
    pub flushed_before: u64,
    /// Entries with this tag are gone that are older than its purge.
    pub purges: Vec<TagPurge>,
    pub freshness: Freshness,
    /// Requests for an answer that is already on its way wait for it.
    pub coalesced: bool,
}

#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct TagPurge {
    /// As a word of an answer's `Cache-Tag` field.
    pub tag: String,
    /// Entries of an older generation than this are gone.
    pub purged_before: u64,
}

/// Who says how long an answer may be used again.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub enum Freshness {
    /// The route's `ttl_s`, whatever the answer says: AWS's way.
    Route,
    /// The answer itself (RFC 9111, RFC 5861), up to the route's `ttl_s`.
    Origin,
}

/// How answers of a route are used again.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct RouteCache {
    /// 0 keeps nothing; at most 3,600.
    pub ttl_s: u32,
    /// Routes of a stage that have the same namespace share entries (AWS's `cacheNamespace`).
    pub namespace: String,
    /// What of a request tells entries apart, beside the namespace and the method that it came with. As AWS has it, a
    /// path variable that isn't named here doesn't.
    pub key: Vec<CacheKeyPart>,
    pub invalidation: Invalidation,
}

#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub enum CacheKeyPart {
    /// The whole path below the stage.
    Path,
    PathParameter(String),
    /// All values of it, in their order.
    Query(String),
    /// All values of it, in their order. Lower case.
    Header(String),
}

/// Who may have an answer made anew by `Cache-Control: max-age=0`.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub enum Invalidation {
    Anyone,
    /// Who has the permission `execute-api:InvalidateCache`; for others, what this says.
    Authorized(Unauthorized),
}

#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub enum Unauthorized {
    /// 403
    Refused,
    /// Served as if they hadn't asked, and told so by a `Warning` field.
    Warned,
    /// Served as if they hadn't asked.
    Ignored,
}
