//! What a root and its units hold.

use rkyv::{Archive, Deserialize, Serialize};

/// SHA-256 of an encoded unit, envelope included: its name everywhere.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[rkyv(derive(Debug))]
pub struct UnitHash(pub [u8; 32]);

/// One published configuration: the complete list of the units that a gateway serves.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct Root {
    /// Grows by one with each publication, rollbacks included; 0 is the empty configuration, without units.
    pub version: u64,
    pub units: Vec<UnitRef>,
}

/// A unit as a root lists it.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct UnitRef {
    pub hash: UnitHash,
    /// Length of the encoded unit in bytes, so that a gateway knows what it is about to ask for.
    pub bytes_len: u32,
}

#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub enum Unit {
    Stage(StageUnit),
    /// Exactly one in each root above version 0.
    Account(AccountUnit),
    Certificate(CertificateUnit),
    TrustStore(TrustStoreUnit),
    TargetGroup(TargetGroupUnit),
    UsagePlan(UsagePlanUnit),
    ApiKeys(ApiKeysUnit),
}

/// What all stages share.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct AccountUnit {
    /// Twelve digits.
    pub account_id: String,
    pub region: String,
    /// APIs answer at `{api-id}.execute-api.{region}.{endpoint_suffix}`; lower case.
    pub endpoint_suffix: String,
    pub domains: Vec<Domain>,
    /// Answered at `http://{host}/.well-known/acme-challenge/{token}` (RFC 8555 8.3), whatever else the host serves.
    pub acme_challenges: Vec<AcmeChallenge>,
    /// Of all requests together; `None` doesn't limit them.
    pub throttle: Option<Throttle>,
}

/// A token bucket: a request takes a token.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct Throttle {
    /// What the bucket gets in 1,000 seconds: AWS takes fractions of a request a second. 0 refuses everything.
    pub requests_per_1000_s: u64,
    /// What the bucket holds; 0 refuses everything.
    pub burst_requests: u32,
    /// In what was padding, and 0 there, in all formats before it was a member: it needed no new one.
    pub partition: Partition,
}

impl Throttle {
    /// With what a gateway's own setting says of partitions.
    #[must_use]
    pub const fn new(requests_per_1000_s: u64, burst_requests: u32) -> Self {
        Self { requests_per_1000_s, burst_requests, partition: Partition::Unsaid }
    }
}

/// What a throttle lets through at a gateway that can't reach the store which it shares its throttles in.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[rkyv(derive(Debug))]
#[repr(u8)]
pub enum Partition {
    /// What the gateway's own setting says.
    #[default]
    Unsaid = 0,
    /// Its share of rate and burst.
    Share = 1,
    Closed = 2,
    Open = 3,
}

/// Alignment leaves four bytes, of which `partition` takes one.
const _: () = assert!(size_of::<ArchivedThrottle>() == 16);

/// Who may use which stages, how fast and how much.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct UsagePlanUnit {
    /// No other usage plan of the root has it.
    pub id: String,
    /// Of each key, over all stages of the plan.
    pub throttle: Option<Throttle>,
    /// Of each key, over all stages of the plan.
    pub quota: Option<Quota>,
    /// Each stage once; they needn't be in the root.
    pub stages: Vec<PlanStage>,
}

#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct Quota {
    pub requests: u64,
    pub period: QuotaPeriod,
    /// On which day of the week (0 is Sunday, up to 6) or of the month (0 is the first, up to 27) a period begins, at
    /// midnight UTC; 0 of a day.
    pub offset_days: u8,
}

#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub enum QuotaPeriod {
    Day,
    Week,
    Month,
}

#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct PlanStage {
    pub api_id: String,
    pub stage: String,
    pub routes: Vec<PlanRoute>,
}

/// A further throttle of each key, of one route.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct PlanRoute {
    /// As in [`Route`]; the stage needn't have such a route.
    pub method: String,
    pub path: String,
    pub throttle: Throttle,
}

/// A slice of the API keys that are enabled and in a usage plan: a change of one key moves one slice. A root leaves those
/// out that no key is in.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct ApiKeysUnit {
    /// Which one of `slices`: of each key, [`ApiKey::slice_of`] yields it.
    pub slice: u32,
    /// The same in all units of the root.
    pub slices: u32,
    /// Ids of the usage plans that keys point at.
    pub plans: Vec<String>,
    /// In order of their values' digests, each once.
    pub keys: Vec<ApiKey>,
}

#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct ApiKey {
    pub id: String,
    /// Of the value that callers show: values themselves are nowhere in a snapshot.
    pub value_sha256: [u8; 32],
    /// Indexes into the unit's plans. At most one of them has a given stage.
    pub plans: Vec<u32>,
}

impl ApiKey {
    /// The slice of a key with this digest: digests in order are slices in order.
    #[must_use]
    pub fn slice_of(value_sha256: &[u8; 32], slices: u32) -> u32 {
        let [first, second, third, fourth, ..] = *value_sha256;
        let leading = u64::from(u32::from_be_bytes([first, second, third, fourth]));
        // Below `slices`, since `leading` is below 2^32.
        ((leading * u64::from(slices)) >> 32) as u32
    }
}

/// What a certificate authority asks for to see that the gateway answers at a host.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct AcmeChallenge {
    /// Lower case, without a port.
    pub host: String,
    /// Base64url.
    pub token: String,
    pub key_authorization: String,
}

/// A custom domain and what it maps to.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct Domain {
    /// Lower case, without a port; `*.` in front stands for exactly one label.
    pub name: String,
    /// Of those that match, the one with the lowest priority decides; without any, the mappings do.
    pub rules: Vec<RoutingRule>,
    pub mappings: Vec<Mapping>,
    /// `None` answers over HTTP only, and over HTTPS with the gateway's own certificate.
    pub tls: Option<DomainTls>,
}

/// How a domain answers over HTTPS.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct DomainTls {
    /// Id of a [`CertificateUnit`].
    pub certificate: String,
    pub version_min: TlsVersion,
    /// IANA's numbers, in order of preference, at most 256; empty allows all that the gateway has.
    pub cipher_suites: Vec<u16>,
    /// Id of the [`TrustStoreUnit`] that clients' certificates are verified against; `None` asks for none.
    pub client_trust_store: Option<String>,
}

#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[rkyv(derive(Debug))]
pub enum TlsVersion {
    Tls12,
    Tls13,
}

/// A certificate with its private key: a domain's, or the one that an upstream is shown.
#[derive(Archive, Serialize, Deserialize, Clone, PartialEq, Eq)]
pub struct CertificateUnit {
    /// No other certificate of the root has it.
    pub id: String,
    /// DER, the owner's first, each signed by the next.
    pub chain: Vec<Vec<u8>>,
    /// PKCS#8, DER.
    pub private_key: Vec<u8>,
}

// The key stays out of logs.
impl std::fmt::Debug for CertificateUnit {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("CertificateUnit").field("id", &self.id).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for ArchivedCertificateUnit {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ArchivedCertificateUnit").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Certificate authorities that peers are verified against.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct TrustStoreUnit {
    /// No other trust store of the root has it.
    pub id: String,
    /// DER.
    pub certificates: Vec<Vec<u8>>,
}

/// Where an integration's requests go when it isn't one host: a VPC link's pool, or an integration's own.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct TargetGroupUnit {
    /// No other target group of the root has it.
    pub id: String,
    pub targets: Vec<Target>,
    pub balancing: Balancing,
    /// A target that has become healthy gets its full share only after this long; 0 turns it off.
    pub slow_start_ms: u32,
    pub health_check: Option<HealthCheck>,
    pub outlier_ejection: Option<OutlierEjection>,
    /// Below this share of healthy targets, all of them are used; 0 turns it off, so that no healthy target is no target.
    pub panic_threshold_percent: u8,
    pub retry: RetryPolicy,
    pub circuit_breaker: CircuitBreaker,
}

#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct Target {
    pub endpoint: Endpoint,
    /// Its share relative to the others'; 1 to 1,000. Of an SRV name it multiplies the records' own weights.
    pub weight: u32,
}

#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Hash)]
#[rkyv(derive(Debug))]
pub enum Endpoint {
    /// A DNS name (A and AAAA, each address a target of its own) or an address; an IPv6 address without brackets.
    Host { host: String, port: u16 },
    /// A DNS name with SRV records (RFC 2782), each a target of its own.
    Srv { name: String },
    /// A Unix stream socket's absolute path.
    Unix { path: String },
}

#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub enum Balancing {
    RoundRobin,
    /// The less loaded of two that are drawn at random.
    LeastRequest,
    /// One target for all requests with the same value; without the field, at random. Lower case.
    HashHeader {
        name: String,
    },
    HashSourceAddress,
}

/// Sent by the housekeeper to each target.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct HealthCheck {
    pub probe: Probe,
    /// Another port than the target's.
    pub port: Option<u16>,
    /// Both 1 to [`crate::Limits::timeout_ms_max`].
    pub interval_ms: u32,
    pub timeout_ms: u32,
    /// Good answers in a row that make a target healthy; at least 1.
    pub healthy_threshold: u32,
    /// Bad ones in a row that make it unhealthy; at least 1.
    pub unhealthy_threshold: u32,
}

#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub enum Probe {
    /// A connection that is accepted.
    Tcp,
    /// `GET`; good is a status from `status_min` to `status_max`.
    Http { path: String, host: Option<String>, status_min: u16, status_max: u16 },
}

/// Takes targets out that fail in traffic.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct OutlierEjection {
    /// Failures in a row (connect errors, resets, timeouts, 5xx) that eject a target; at least 1.
    pub consecutive_failures: u32,
    /// How long the first time; each further time as much longer.
    pub ejection_ms: u32,
    pub ejection_ms_max: u32,
    /// No more than this share of the group is ejected at once.
    pub ejected_percent_max: u8,
}

/// Sends a request again that a target failed, where that is safe.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct RetryPolicy {
    /// Tries in all, at most 10; 1 never retries.
    pub tries_max: u32,
    /// One try's time; 0 leaves it to the integration's timeout, which bounds all tries together.
    pub try_timeout_ms: u32,
    /// Retries as a share of the requests under way, beyond `retries_min`.
    pub budget_percent: u32,
    /// Retries under way at once that are always allowed, per shard.
    pub retries_min: u32,
    /// Answers that are retried as failures are: 502, 503 and 504 at most.
    pub statuses: Vec<u16>,
}

/// What may go to one target at once, from one shard; 0 leaves a bound to the gateway's settings.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct CircuitBreaker {
    pub connections_max: u32,
    /// Waiting for a connection, of the whole group.
    pub pending_requests_max: u32,
    pub requests_max: u32,
}

#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct Mapping {
    /// Whole leading path segments, without slashes at either end; empty maps the domain's root.
    pub key: String,
    pub api_id: String,
    pub stage: String,
}

/// Leads requests of a custom domain to a stage by their headers and their path.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct RoutingRule {
    /// For logs.
    pub id: String,
    /// No other rule of the domain has it.
    pub priority: u32,
    /// Every one has to hold; without any, whatever the headers are.
    pub headers: Vec<HeaderCondition>,
    /// One has to lead the path, as a mapping's key does; without any, whatever the path is.
    pub base_paths: Vec<String>,
    /// A stage that isn't in the snapshot refuses what the rule matches.
    pub api_id: String,
    pub stage: String,
    /// The base path is taken off before the stage looks for a route.
    pub strip_base_path: bool,
}

/// Holds where one of these matches.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct HeaderCondition {
    pub any_of: Vec<HeaderMatch>,
}

#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct HeaderMatch {
    /// Lower case.
    pub name: String,
    /// Compared as it is written; a `*` at either end stands for anything, nothing included.
    pub value_glob: String,
}

#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub enum Protocol {
    Rest,
    Http,
}

/// One compiled stage: its deployment with the stage's settings resolved.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct StageUnit {
    pub api_id: String,
    pub protocol: Protocol,
    /// `$default` is served without a path prefix (HTTP APIs).
    pub stage: String,
    pub deployment_id: String,
    /// Closes both default forms of address; custom domains go on.
    pub execute_api_endpoint_disabled: bool,
    pub access_log: Option<AccessLog>,
    pub integrations: Vec<Integration>,
    pub routes: Vec<Route>,
    /// Another deployment that some of the stage's clients are served with.
    pub canary: Option<Canary>,
    /// Where routes with a cache keep their answers.
    pub cache: Option<StageCache>,
    /// `None` leaves bodies as they are.
    pub compression: Option<Compression>,
}

/// Answers' bodies are compressed for clients that take them so, and requests' compressed bodies are decompressed (AWS:
/// payload compression for REST APIs).
#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct Compression {
    /// Smaller bodies are left alone, either way; 0 to [`crate::Limits::compression_bytes_min_max`].
    pub bytes_min: u32,
}

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

impl StageUnit {
    /// The canary's too.
    pub fn all_integrations(&self) -> impl Iterator<Item = &Integration> {
        self.integrations.iter().chain(self.canary.iter().flat_map(|canary| &canary.integrations))
    }
}

/// A deployment on trial, compiled with the stage's settings and its own.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct Canary {
    /// Of 10,000 clients, about as many are served by it; which ones, their addresses say.
    pub clients_per_10_000: u16,
    /// Its routes find what the stage's keep, and the other way round; otherwise those of them that have a cache keep
    /// answers of their own there. Only with a cache of the stage. In what was padding, and 0 there, in all formats
    /// before it was a member: it needed no new one.
    pub shares_cache: bool,
    pub deployment_id: String,
    pub integrations: Vec<Integration>,
    /// Their integrations are the canary's.
    pub routes: Vec<Route>,
    /// Instead of the stage's.
    pub compression: Option<Compression>,
}

/// Alignment leaves two bytes behind `clients_per_10_000`, of which `shares_cache` takes one.
const _: () = assert!(size_of::<ArchivedCanary>() == 36);

#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct AccessLog {
    /// Log group name; the gateway writes it to a file of that name.
    pub destination: String,
    /// A `$context` format, as the user wrote it.
    pub format: String,
}

/// A method of a REST resource, or an HTTP API's route.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct Route {
    /// An upper-case HTTP method, or `ANY`.
    pub method: String,
    /// `/`, `/pets/{id}`, `/files/{path+}`; or `$default` (HTTP APIs), with method `ANY`. No other route
    /// of the stage has this method and this path, whatever the variables' names.
    pub path: String,
    /// The REST resource's id or the HTTP API's route id, for logs.
    pub id: String,
    /// Index into the stage's integrations, or the canary's.
    pub integration: u32,
    pub settings: RouteSettings,
}

/// What is done for a route's requests beside integrating them.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
#[rkyv(derive(Debug))]
pub struct RouteSettings {
    /// Requests show an API key, in `x-api-key`, whose usage plan has the stage; others are refused.
    pub api_key_required: bool,
    /// Of all requests of the route in the stage, its canary's among them.
    pub throttle: Option<Throttle>,
    /// Only with a cache of the stage.
    pub cache: Option<RouteCache>,
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

#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct Integration {
    pub id: String,
    /// 1 to [`crate::Limits::timeout_ms_max`]; AWS's narrower bounds are control's to apply.
    pub timeout_ms: u32,
    pub kind: IntegrationKind,
}

#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub enum IntegrationKind {
    HttpProxy(HttpProxy),
    /// Answers every request with 500: the route asks for what can't be done, such as a protection that isn't
    /// enforced yet.
    Refused {
        /// For logs; one line.
        reason: String,
    },
}

impl IntegrationKind {
    /// What it passes requests to, if it does.
    #[must_use]
    pub fn proxy(&self) -> Option<&HttpProxy> {
        match self {
            Self::HttpProxy(proxy) => Some(proxy),
            Self::Refused { .. } => None,
        }
    }
}

#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub enum Scheme {
    Http,
    Https,
}

#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[rkyv(derive(Debug))]
pub enum HttpVersion {
    Http1,
    /// By ALPN over TLS, by prior knowledge otherwise (RFC 9113 3).
    Http2,
}

/// How an upstream's certificate is verified, and what the upstream is shown.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Hash)]
#[rkyv(derive(Debug))]
pub struct UpstreamTls {
    /// The name that the certificate must have, and that is sent as SNI; `None`: the host.
    pub server_name: Option<String>,
    /// Takes certificates of any issuer (AWS's `insecureSkipVerification`); dates and name are still checked.
    pub insecure_skip_verification: bool,
    /// Id of a [`TrustStoreUnit`] whose authorities are trusted besides the system's.
    pub trust_store: Option<String>,
    /// Id of the [`CertificateUnit`] that is shown to an upstream that asks.
    pub client_certificate: Option<String>,
}

/// Passes the request to an HTTP endpoint and its answer back.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct HttpProxy {
    /// `None` passes the client's method on.
    pub method: Option<String>,
    pub scheme: Scheme,
    pub version: HttpVersion,
    /// With [`Scheme::Https`], and only then.
    pub tls: Option<UpstreamTls>,
    /// A DNS name or an address; an IPv6 address without brackets.
    pub host: String,
    pub port: u16,
    /// Id of the [`TargetGroupUnit`] that is connected to; `host` and `port` then only say what `Host` says.
    pub target_group: Option<String>,
    /// The path that is sent, in order; it begins with a literal `/` or the request's path, so that it starts
    /// with `/` whatever the parts yield.
    pub target: Vec<TargetPart>,
    /// Sent before the client's own query; without `?`, possibly empty.
    pub query: String,
}

/// A piece of an integration's path.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub enum TargetPart {
    /// Already percent-encoded.
    Literal(String),
    /// The route's path variable of this name, as the client encoded it.
    PathParameter(String),
    /// The request's whole path below the stage or base path (a `$default` route).
    RequestPath,
}
