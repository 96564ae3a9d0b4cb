//! A small language for snapshots: `http_api("a1").route("GET /pets/{id}", &origin.url("/x/{id}"))`.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

use ring::digest::{SHA256, digest};
use turnpike_snapshot::{
    AccessLog, AccountUnit, ApiKey, ApiKeysUnit, Balancing, CacheKeyPart, Canary, CircuitBreaker,
    Compression, Domain, DomainTls, Endpoint, Freshness, HeaderCondition, HeaderMatch, HealthCheck,
    HttpProxy, HttpVersion, Integration, IntegrationKind, Invalidation, Mapping, OutlierEjection, PlanStage,
    Probe, Protocol, RetryPolicy, Route, RouteCache, RouteSettings, RoutingRule, Scheme, StageCache,
    StageUnit, Target, TargetGroupUnit, TargetPart, Throttle, TlsVersion, Unit, UpstreamTls, UsagePlanUnit,
};

/// The region of every test's account.
pub const REGION: &str = "us-east-1";
/// What hosts of the default form end with.
const ENDPOINT_SUFFIX: &str = "localhost";
/// What integrations wait for, unless a test says otherwise.
const TIMEOUT_MS: u32 = 29_000;

/// An HTTP API with a `$default` stage.
#[must_use]
pub fn http_api(api_id: &str) -> StageBuilder {
    StageBuilder::new(api_id, Protocol::Http, "$default")
}

/// A REST API with the given stage.
#[must_use]
pub fn rest_api(api_id: &str, stage: &str) -> StageBuilder {
    StageBuilder::new(api_id, Protocol::Rest, stage)
}

/// The host of the default form of address.
#[must_use]
pub fn host(api_id: &str) -> String {
    format!("{api_id}.execute-api.{REGION}.{ENDPOINT_SUFFIX}")
}

/// What a custom domain maps: (key, API's id, stage).
pub type Mapped<'a> = (&'a str, &'a str, &'a str);

/// An account with these custom domains and their mappings.
#[must_use]
pub fn account(domains: &[(&str, &[Mapped<'_>])]) -> Unit {
    let mapping = |&(key, api_id, stage): &Mapped<'_>| Mapping {
        key: key.to_owned(),
        api_id: api_id.to_owned(),
        stage: stage.to_owned(),
    };
    let domain = |&(name, mappings): &(&str, &[_])| Domain {
        name: str::to_owned(name),
        rules: Vec::new(),
        mappings: mappings.iter().map(mapping).collect(),
        tls: None,
    };
    Unit::Account(AccountUnit {
        domains: domains.iter().map(domain).collect(),
        ..AccountUnit::plain("000000000000", REGION, ENDPOINT_SUFFIX)
    })
}

/// As [`account`]; each domain with its TLS.
#[must_use]
pub fn account_with_tls(domains: &[(&str, &[Mapped<'_>], DomainTls)]) -> Unit {
    let plain: Vec<_> = domains.iter().map(|&(name, mappings, _)| (name, mappings)).collect();
    let Unit::Account(mut unit) = account(&plain) else { unreachable!("an account was made") };
    for (domain, (_, _, tls)) in unit.domains.iter_mut().zip(domains) {
        domain.tls = Some(tls.clone());
    }
    Unit::Account(unit)
}

/// As [`account`]; each domain with rules, in front of its mappings.
#[must_use]
pub fn account_with_rules(domains: &[(&str, &[Mapped<'_>], &[RoutingRule])]) -> Unit {
    let plain: Vec<_> = domains.iter().map(|&(name, mappings, _)| (name, mappings)).collect();
    let Unit::Account(mut unit) = account(&plain) else { unreachable!("an account was made") };
    for (domain, (_, _, rules)) in unit.domains.iter_mut().zip(domains) {
        domain.rules = rules.to_vec();
    }
    Unit::Account(unit)
}

/// As [`account`], without domains; so many requests get through.
#[must_use]
pub fn account_with_throttle(throttle: Throttle) -> Unit {
    let Unit::Account(unit) = account(&[]) else { unreachable!("an account was made") };
    Unit::Account(AccountUnit { throttle: Some(throttle), ..unit })
}

/// Full with `burst_requests`, and with hardly more for the time of a test: one in a quarter of an hour.
#[must_use]
pub const fn burst(burst_requests: u32) -> Throttle {
    Throttle::new(1, burst_requests)
}

/// A rule for whatever has all of these headers, by name and glob, and one of these base paths, which it takes off.
#[must_use]
pub fn rule(priority: u32, headers: &[(&str, &str)], base_paths: &[&str], to: (&str, &str)) -> RoutingRule {
    let condition = |&(name, value_glob): &(&str, &str)| HeaderCondition {
        any_of: vec![HeaderMatch { name: name.to_owned(), value_glob: value_glob.to_owned() }],
    };
    RoutingRule {
        id: format!("rule{priority}"),
        priority,
        headers: headers.iter().map(condition).collect(),
        base_paths: base_paths.iter().map(|&path| path.to_owned()).collect(),
        api_id: to.0.to_owned(),
        stage: to.1.to_owned(),
        strip_base_path: true,
    }
}

/// TLS 1.2 and 1.3 with the certificate of this id.
#[must_use]
pub fn domain_tls(certificate: &str) -> DomainTls {
    DomainTls {
        certificate: certificate.to_owned(),
        version_min: TlsVersion::Tls12,
        cipher_suites: Vec::new(),
        client_trust_store: None,
    }
}

/// As [`domain_tls`], for clients whose certificates the trust store of this id has issued.
#[must_use]
pub fn mutual_tls(certificate: &str, trust_store: &str) -> DomainTls {
    DomainTls { client_trust_store: Some(trust_store.to_owned()), ..domain_tls(certificate) }
}

/// What an https integration has by default.
#[must_use]
pub const fn upstream_tls() -> UpstreamTls {
    UpstreamTls {
        server_name: None,
        insecure_skip_verification: false,
        trust_store: None,
        client_certificate: None,
    }
}

/// A stage in the making.
#[derive(Debug, Clone)]
pub struct StageBuilder {
    unit: StageUnit,
}

impl StageBuilder {
    fn new(api_id: &str, protocol: Protocol, stage: &str) -> Self {
        Self { unit: StageUnit::plain(api_id, protocol, stage, "d1") }
    }

    /// Another stage than `$default`.
    #[must_use]
    pub fn stage(mut self, stage: &str) -> Self {
        stage.clone_into(&mut self.unit.stage);
        self
    }

    #[must_use]
    pub fn endpoint_disabled(mut self) -> Self {
        self.unit.execute_api_endpoint_disabled = true;
        self
    }

    #[must_use]
    pub fn access_log(mut self, destination: &str, format: &str) -> Self {
        self.unit.access_log =
            Some(AccessLog { destination: destination.to_owned(), format: format.to_owned() });
        self
    }

    /// Sends `key` (`GET /pets/{id}`, `ANY /{proxy+}`, `$default`) to `url`, in which `{id}` stands for a path
    /// variable and `{request.path}` for the whole path.
    ///
    /// # Panics
    /// For a `url` that isn't `http://address:port/…`.
    #[must_use]
    pub fn route(self, key: &str, url: &str) -> Self {
        self.route_as(key, proxy(url), TIMEOUT_MS)
    }

    /// As [`Self::route`], to an origin that speaks HTTP/2.
    #[must_use]
    pub fn route_http2(self, key: &str, url: &str) -> Self {
        self.route_as(key, HttpProxy { version: HttpVersion::Http2, ..proxy(url) }, TIMEOUT_MS)
    }

    /// As [`Self::route_http2`]; the integration gives up after `timeout_ms`.
    #[must_use]
    pub fn route_http2_within(self, key: &str, url: &str, timeout_ms: u32) -> Self {
        self.route_as(key, HttpProxy { version: HttpVersion::Http2, ..proxy(url) }, timeout_ms)
    }

    /// As [`Self::route`]; the integration gives up after `timeout_ms`.
    #[must_use]
    pub fn route_within(self, key: &str, url: &str, timeout_ms: u32) -> Self {
        self.route_as(key, proxy(url), timeout_ms)
    }

    /// As [`Self::route`]; the origin sees `method`, whatever the client sent.
    #[must_use]
    pub fn route_with_method(self, key: &str, url: &str, method: &str) -> Self {
        self.route_as(key, HttpProxy { method: Some(method.to_owned()), ..proxy(url) }, TIMEOUT_MS)
    }

    /// As [`Self::route`]; the request goes to a target of `group`, and `url` only says what `Host` says.
    #[must_use]
    pub fn route_to_group(self, key: &str, url: &str, group: &str) -> Self {
        self.route_to_group_within(key, url, group, TIMEOUT_MS)
    }

    /// As [`Self::route_to_group`]; the target is talked to over TLS, and `url` is https and says which name it has.
    #[must_use]
    pub fn route_to_group_with_tls(self, key: &str, url: &str, group: &str, tls: UpstreamTls) -> Self {
        let mut stage = self.route_with_tls(key, url, tls);
        let integration = stage.unit.integrations.last_mut().expect("the route's");
        let IntegrationKind::HttpProxy(proxy) = &mut integration.kind else {
            unreachable!("a proxy was made")
        };
        proxy.target_group = Some(group.to_owned());
        stage
    }

    /// As [`Self::route_to_group`]; the integration gives up after `timeout_ms`.
    #[must_use]
    pub fn route_to_group_within(self, key: &str, url: &str, group: &str, timeout_ms: u32) -> Self {
        self.route_as(key, HttpProxy { target_group: Some(group.to_owned()), ..proxy(url) }, timeout_ms)
    }

    /// As [`Self::route`], for a URL with https; this is how its certificate is verified, and what it is shown.
    #[must_use]
    pub fn route_with_tls(self, key: &str, url: &str, tls: UpstreamTls) -> Self {
        self.route_as(key, HttpProxy { tls: Some(tls), ..proxy(url) }, TIMEOUT_MS)
    }

    /// As [`Self::route_with_tls`], to an origin that speaks HTTP/2.
    #[must_use]
    pub fn route_http2_with_tls(self, key: &str, url: &str, tls: UpstreamTls) -> Self {
        let proxy = HttpProxy { tls: Some(tls), version: HttpVersion::Http2, ..proxy(url) };
        self.route_as(key, proxy, TIMEOUT_MS)
    }

    /// Answers `key` with 500, for this reason.
    #[must_use]
    pub fn refused(self, key: &str, reason: &str) -> Self {
        self.route_of_kind(key, IntegrationKind::Refused { reason: reason.to_owned() }, TIMEOUT_MS)
    }

    /// Another deployment.
    #[must_use]
    pub fn deployment(mut self, id: &str) -> Self {
        id.clone_into(&mut self.unit.deployment_id);
        self
    }

    /// Serves so many of 10,000 clients with what `trial` has.
    #[must_use]
    pub fn canary(mut self, clients_per_10_000: u16, trial: Self) -> Self {
        let StageUnit { deployment_id, integrations, routes, compression, .. } = trial.unit;
        self.unit.canary = Some(Canary {
            clients_per_10_000,
            shares_cache: false,
            deployment_id,
            integrations,
            routes,
            compression,
        });
        self
    }

    /// The canary and the stage answer from what either has kept.
    #[must_use]
    pub fn canary_shares_cache(mut self) -> Self {
        self.unit.canary.as_mut().expect("a canary").shares_cache = true;
        self
    }

    /// Bodies of at least so many bytes are compressed, and decompressed.
    #[must_use]
    pub fn compressed(mut self, bytes_min: u32) -> Self {
        self.unit.compression = Some(Compression { bytes_min });
        self
    }

    /// The last route's settings.
    #[must_use]
    pub fn settings(mut self, settings: RouteSettings) -> Self {
        self.unit.routes.last_mut().expect("a route").settings = settings;
        self
    }

    /// The last route asks for an API key.
    #[must_use]
    pub fn api_key_required(self) -> Self {
        self.settings(RouteSettings { api_key_required: true, ..RouteSettings::default() })
    }

    /// The last route lets so many requests through.
    #[must_use]
    pub fn throttled(self, throttle: Throttle) -> Self {
        self.settings(RouteSettings { throttle: Some(throttle), ..RouteSettings::default() })
    }

    fn route_as(self, key: &str, proxy: HttpProxy, timeout_ms: u32) -> Self {
        self.route_of_kind(key, IntegrationKind::HttpProxy(proxy), timeout_ms)
    }

    fn route_of_kind(mut self, key: &str, kind: IntegrationKind, timeout_ms: u32) -> Self {
        let (method, path) = key.split_once(' ').unwrap_or(("ANY", key));
        let number = self.unit.integrations.len();
        self.unit.integrations.push(Integration { id: format!("i{number}"), timeout_ms, kind });
        let integration = u32::try_from(number).expect("few routes");
        self.unit.routes.push(Route::plain(method, path, &format!("r{number}"), integration));
        self
    }

    /// A cache for the stage, whose routes' answers are kept as the operator says.
    #[must_use]
    pub fn cache(self) -> Self {
        self.cache_with(|_| {})
    }

    /// As [`Self::cache`], and different.
    #[must_use]
    pub fn cache_with(mut self, change: impl FnOnce(&mut StageCache)) -> Self {
        let mut cache = StageCache {
            bytes_max: 512 << 20,
            generation: 1,
            flushed_before: 0,
            purges: Vec::new(),
            freshness: Freshness::Route,
            coalesced: true,
        };
        change(&mut cache);
        self.unit.cache = Some(cache);
        self
    }

    /// Keeps the answers of the route that was added last, by path and by whatever else is part of the key.
    #[must_use]
    pub fn cached(self, ttl_s: u32, key: &[CacheKeyPart]) -> Self {
        self.cached_for(ttl_s, key, Invalidation::Anyone)
    }

    /// As [`Self::cached`], with who may have an answer made anew.
    ///
    /// # Panics
    /// Without a route.
    #[must_use]
    pub fn cached_for(mut self, ttl_s: u32, key: &[CacheKeyPart], invalidation: Invalidation) -> Self {
        let route = self.unit.routes.last_mut().expect("a route was added");
        let key = std::iter::once(CacheKeyPart::Path).chain(key.iter().cloned()).collect();
        route.settings.cache = Some(RouteCache { ttl_s, namespace: "cache".to_owned(), key, invalidation });
        self
    }

    #[must_use]
    pub fn unit(&self) -> Unit {
        Unit::Stage(self.unit.clone())
    }
}

/// A usage plan without limits, for stages by API and name.
#[must_use]
pub fn usage_plan(id: &str, stages: &[(&str, &str)]) -> UsagePlanUnit {
    let stage = |(api_id, stage): &(&str, &str)| PlanStage {
        api_id: (*api_id).to_owned(),
        stage: (*stage).to_owned(),
        routes: Vec::new(),
    };
    let stages = stages.iter().map(stage).collect();
    UsagePlanUnit { id: id.to_owned(), throttle: None, quota: None, stages }
}

/// API keys by their values, each with its plans, in so many slices; a key's id is its value's place in the list.
#[must_use]
pub fn api_keys(keys: &[(&str, &[&str])], slices: u32) -> Vec<Unit> {
    let plans: BTreeSet<&str> = keys.iter().flat_map(|(_, plans)| *plans).copied().collect();
    let index = |plan: &&str| plans.iter().position(|known| known == plan).expect("it is among them");
    let key = |(n, (value, plans)): (usize, &(&str, &[&str]))| ApiKey {
        id: format!("key{n}"),
        value_sha256: digest(&SHA256, value.as_bytes()).as_ref().try_into().expect("32 bytes"),
        plans: plans.iter().map(|plan| u32::try_from(index(plan)).expect("few plans")).collect(),
    };
    let mut all: Vec<ApiKey> = keys.iter().enumerate().map(key).collect();
    all.sort_by_key(|key| key.value_sha256);
    let slice = |slice| {
        let keys = all.iter().filter(|key| ApiKey::slice_of(&key.value_sha256, slices) == slice);
        let plans = plans.iter().map(|plan| (*plan).to_owned()).collect();
        Unit::ApiKeys(ApiKeysUnit { slice, slices, plans, keys: keys.cloned().collect() })
    };
    (0..slices).map(slice).collect()
}

/// A target group in the making: round robin, every feature off, one try.
#[derive(Debug, Clone)]
pub struct GroupBuilder {
    unit: TargetGroupUnit,
}

/// A group of this id.
#[must_use]
pub fn target_group(id: &str) -> GroupBuilder {
    GroupBuilder {
        unit: TargetGroupUnit {
            id: id.to_owned(),
            targets: Vec::new(),
            balancing: Balancing::RoundRobin,
            slow_start_ms: 0,
            health_check: None,
            outlier_ejection: None,
            panic_threshold_percent: 0,
            retry: RetryPolicy {
                tries_max: 1,
                try_timeout_ms: 0,
                budget_percent: 100,
                retries_min: 10,
                statuses: Vec::new(),
            },
            circuit_breaker: CircuitBreaker { connections_max: 0, pending_requests_max: 0, requests_max: 0 },
        },
    }
}

impl GroupBuilder {
    #[must_use]
    pub fn target(self, address: SocketAddr) -> Self {
        self.weighted(address, 1)
    }

    #[must_use]
    pub fn weighted(self, address: SocketAddr, weight: u32) -> Self {
        self.endpoint(Endpoint::Host { host: address.ip().to_string(), port: address.port() }, weight)
    }

    #[must_use]
    pub fn host(self, host: &str, port: u16) -> Self {
        self.endpoint(Endpoint::Host { host: host.to_owned(), port }, 1)
    }

    #[must_use]
    pub fn srv(self, name: &str) -> Self {
        self.endpoint(Endpoint::Srv { name: name.to_owned() }, 1)
    }

    #[must_use]
    pub fn unix(self, path: &Path) -> Self {
        let path = path.to_str().expect("a path of text").to_owned();
        self.endpoint(Endpoint::Unix { path }, 1)
    }

    fn endpoint(mut self, endpoint: Endpoint, weight: u32) -> Self {
        self.unit.targets.push(Target { endpoint, weight });
        self
    }

    #[must_use]
    pub fn balancing(mut self, balancing: Balancing) -> Self {
        self.unit.balancing = balancing;
        self
    }

    /// Every 20 ms, one answer decides.
    #[must_use]
    pub fn checked(mut self, probe: Probe) -> Self {
        self.unit.health_check = Some(HealthCheck {
            probe,
            port: None,
            interval_ms: 20,
            timeout_ms: 5_000,
            healthy_threshold: 1,
            unhealthy_threshold: 1,
        });
        self
    }

    #[must_use]
    pub fn check_port(mut self, port: u16) -> Self {
        self.unit.health_check.as_mut().expect("checked first").port = Some(port);
        self
    }

    #[must_use]
    pub fn check_timeout(mut self, timeout_ms: u32) -> Self {
        self.unit.health_check.as_mut().expect("checked first").timeout_ms = timeout_ms;
        self
    }

    /// For ten minutes.
    #[must_use]
    pub fn ejecting(self, consecutive_failures: u32, ejected_percent_max: u8) -> Self {
        self.ejecting_for(600_000, consecutive_failures, ejected_percent_max)
    }

    #[must_use]
    pub fn ejecting_for(
        mut self,
        ejection_ms: u32,
        consecutive_failures: u32,
        ejected_percent_max: u8,
    ) -> Self {
        self.unit.outlier_ejection = Some(OutlierEjection {
            consecutive_failures,
            ejection_ms,
            ejection_ms_max: ejection_ms,
            ejected_percent_max,
        });
        self
    }

    #[must_use]
    pub fn panic_threshold(mut self, percent: u8) -> Self {
        self.unit.panic_threshold_percent = percent;
        self
    }

    #[must_use]
    pub fn tries(mut self, tries_max: u32) -> Self {
        self.unit.retry.tries_max = tries_max;
        self
    }

    #[must_use]
    pub fn try_timeout(mut self, try_timeout_ms: u32) -> Self {
        self.unit.retry.try_timeout_ms = try_timeout_ms;
        self
    }

    #[must_use]
    pub fn retrying(mut self, statuses: &[u16]) -> Self {
        self.unit.retry.statuses = statuses.to_vec();
        self
    }

    #[must_use]
    pub fn budget(mut self, budget_percent: u32, retries_min: u32) -> Self {
        (self.unit.retry.budget_percent, self.unit.retry.retries_min) = (budget_percent, retries_min);
        self
    }

    #[must_use]
    pub fn circuit(mut self, connections_max: u32, pending_requests_max: u32, requests_max: u32) -> Self {
        self.unit.circuit_breaker = CircuitBreaker { connections_max, pending_requests_max, requests_max };
        self
    }

    #[must_use]
    pub fn unit(&self) -> Unit {
        Unit::TargetGroup(self.unit.clone())
    }
}

fn proxy(url: &str) -> HttpProxy {
    let (scheme, rest) = match url.split_once("://") {
        Some(("http", rest)) => (Scheme::Http, rest),
        Some(("https", rest)) => (Scheme::Https, rest),
        _ => panic!("'{url}' is neither http nor https"),
    };
    let (authority, path) = rest.find(['/', '{']).map_or((rest, "/"), |at| rest.split_at(at));
    let (host, port) = authority.rsplit_once(':').unwrap_or_else(|| panic!("'{url}' has no port"));
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let port = port.parse().unwrap_or_else(|_| panic!("'{url}' has no port"));
    HttpProxy {
        scheme,
        tls: (scheme == Scheme::Https).then(upstream_tls),
        query: query.to_owned(),
        ..HttpProxy::plain(host.trim_matches(['[', ']']), port, parts(path))
    }
}

fn parts(path: &str) -> Vec<TargetPart> {
    let mut parts = Vec::new();
    let mut rest = path;
    while let Some((literal, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap_or_else(|| panic!("'{path}' has an open brace"));
        if !literal.is_empty() {
            parts.push(TargetPart::Literal(literal.to_owned()));
        }
        parts.push(match name {
            "request.path" => TargetPart::RequestPath,
            name => TargetPart::PathParameter(name.to_owned()),
        });
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(TargetPart::Literal(rest.to_owned()));
    }
    parts
}
