//! Units that tests share.
#![allow(dead_code, reason = "each test binary uses a part")]

use turnpike_snapshot::{
    AccessLog, AccountUnit, AcmeChallenge, ApiKey, ApiKeysUnit, Balancing, CacheKeyPart, Canary,
    CertificateUnit, CircuitBreaker, Compression, Domain, DomainTls, Endpoint, Freshness, HeaderCondition,
    HeaderMatch, HealthCheck, HttpProxy, HttpVersion, Integration, IntegrationKind, Invalidation, Mapping,
    OutlierEjection, PlanRoute, PlanStage, Probe, Protocol, Quota, QuotaPeriod, RetryPolicy, Root, Route,
    RouteCache, RouteSettings, RoutingRule, Scheme, StageCache, StageUnit, TagPurge, Target, TargetGroupUnit,
    TargetPart, Throttle, TlsVersion, TrustStoreUnit, Unauthorized, Unit, UnitHash, UnitRef, UpstreamTls,
    UsagePlanUnit,
};

/// A stage with one route of each form.
pub(crate) fn stage() -> StageUnit {
    StageUnit {
        access_log: Some(AccessLog {
            destination: "/aws/apigateway/first".to_owned(),
            format: "$context.requestId $context.status".to_owned(),
        }),
        integrations: vec![
            integration("i0", vec![TargetPart::RequestPath]),
            integration("i1", vec![literal("/pets/"), TargetPart::PathParameter("id".to_owned())]),
            integration("i2", vec![literal("/files/"), TargetPart::PathParameter("path".to_owned())]),
        ],
        routes: vec![
            route("ANY", "$default", 0),
            route("GET", "/", 0),
            route("GET", "/pets/{id}", 1),
            route("DELETE", "/pets/{id}", 1),
            route("ANY", "/files/{path+}", 2),
        ],
        ..StageUnit::plain("a1b2c3d4e5", Protocol::Http, "$default", "d1")
    }
}

/// A stage with a canary, both with a route that is refused.
pub(crate) fn canary_stage() -> StageUnit {
    let mut stage = rest_stage();
    stage.stage = "trial".to_owned();
    stage.integrations.push(refused("i3"));
    stage.routes.push(route("PUT", "/pets/{id}", 3));
    stage.canary = Some(Canary {
        clients_per_10_000: 2_500,
        shares_cache: false,
        deployment_id: "d2".to_owned(),
        integrations: vec![refused("i3"), integration("i0", vec![TargetPart::RequestPath])],
        routes: vec![route("GET", "/", 1), route("PUT", "/pets/{id}", 0)],
        compression: Some(Compression { bytes_min: 0 }),
    });
    stage
}

pub(crate) fn refused(id: &str) -> Integration {
    let reason = "its authorizer isn't enforced yet".to_owned();
    Integration {
        kind: IntegrationKind::Refused { reason },
        ..integration(id, vec![TargetPart::RequestPath])
    }
}

pub(crate) fn rest_stage() -> StageUnit {
    let mut stage = stage();
    stage.protocol = Protocol::Rest;
    stage.stage = "prod".to_owned();
    stage.routes.remove(0);
    stage
}

pub(crate) fn account() -> AccountUnit {
    AccountUnit {
        domains: vec![Domain {
            name: "api.example.com".to_owned(),
            rules: vec![rule(1), rule(20)],
            mappings: vec![Mapping {
                key: "v1/pets".to_owned(),
                api_id: "a1b2c3d4e5".to_owned(),
                stage: "prod".to_owned(),
            }],
            tls: Some(DomainTls {
                certificate: "c1".to_owned(),
                version_min: TlsVersion::Tls12,
                cipher_suites: vec![0x1301, 0xc02b],
                client_trust_store: Some("t1".to_owned()),
            }),
        }],
        acme_challenges: vec![AcmeChallenge {
            host: "api.example.com".to_owned(),
            token: "evaGxfADs6pSRb2LAv9IZ".to_owned(),
            key_authorization: "evaGxfADs6pSRb2LAv9IZ.9jg46WB3rR".to_owned(),
        }],
        throttle: Some(throttle(10_000_000, 5_000)),
        ..AccountUnit::plain("000000000000", "us-east-1", "localhost")
    }
}

/// Asks for two headers and a base path.
pub(crate) fn rule(priority: u32) -> RoutingRule {
    let header = |name: &str, value_glob: &str| HeaderMatch {
        name: name.to_owned(),
        value_glob: value_glob.to_owned(),
    };
    RoutingRule {
        id: format!("rule{priority}"),
        priority,
        headers: vec![
            HeaderCondition { any_of: vec![header("x-version", "beta*"), header("x-test", "*")] },
            HeaderCondition { any_of: vec![header("x-tenant", "blue green")] },
        ],
        base_paths: vec!["v2/pets".to_owned()],
        api_id: "a1b2c3d4e5".to_owned(),
        stage: "prod".to_owned(),
        strip_base_path: true,
    }
}

/// Stands for DER, which the contract doesn't look into.
pub(crate) fn certificate() -> CertificateUnit {
    CertificateUnit {
        id: "c1".to_owned(),
        chain: vec![vec![0x30, 1], vec![0x30, 2]],
        private_key: vec![0x30, 3],
    }
}

pub(crate) fn trust_store() -> TrustStoreUnit {
    TrustStoreUnit { id: "t1".to_owned(), certificates: vec![vec![0x30, 4]] }
}

/// A target of each kind.
pub(crate) fn target_group() -> TargetGroupUnit {
    let target = |endpoint, weight| Target { endpoint, weight };
    TargetGroupUnit {
        id: "g1".to_owned(),
        targets: vec![
            target(Endpoint::Host { host: "10.0.0.1".to_owned(), port: 8080 }, 1),
            target(Endpoint::Srv { name: "_http._tcp.pets.internal".to_owned() }, 2),
            target(Endpoint::Unix { path: "/run/pets.sock".to_owned() }, 1_000),
        ],
        balancing: Balancing::HashHeader { name: "x-session".to_owned() },
        slow_start_ms: 30_000,
        health_check: Some(HealthCheck {
            probe: Probe::Http {
                path: "/health?deep".to_owned(),
                host: None,
                status_min: 200,
                status_max: 299,
            },
            port: Some(8081),
            interval_ms: 10_000,
            timeout_ms: 2_000,
            healthy_threshold: 2,
            unhealthy_threshold: 3,
        }),
        outlier_ejection: Some(OutlierEjection {
            consecutive_failures: 5,
            ejection_ms: 30_000,
            ejection_ms_max: 300_000,
            ejected_percent_max: 50,
        }),
        panic_threshold_percent: 50,
        retry: RetryPolicy {
            tries_max: 3,
            try_timeout_ms: 1_000,
            budget_percent: 20,
            retries_min: 3,
            statuses: vec![503],
        },
        circuit_breaker: CircuitBreaker {
            connections_max: 100,
            pending_requests_max: 0,
            requests_max: 1_000,
        },
    }
}

/// A stage whose integration uses all of the above.
pub(crate) fn tls_stage() -> StageUnit {
    let mut stage = rest_stage();
    stage.stage = "tls".to_owned();
    let IntegrationKind::HttpProxy(proxy) = &mut stage.integrations[0].kind else { unreachable!() };
    proxy.scheme = Scheme::Https;
    proxy.version = HttpVersion::Http2;
    proxy.target_group = Some("g1".to_owned());
    proxy.tls = Some(UpstreamTls {
        server_name: Some("pets.internal".to_owned()),
        insecure_skip_verification: false,
        trust_store: Some("t1".to_owned()),
        client_certificate: Some("c1".to_owned()),
    });
    stage
}

pub(crate) fn throttle(requests_per_1000_s: u64, burst_requests: u32) -> Throttle {
    Throttle::new(requests_per_1000_s, burst_requests)
}

/// A stage whose routes are cached, throttled, and for holders of API keys.
pub(crate) fn cached_stage() -> StageUnit {
    let mut stage = rest_stage();
    stage.stage = "cached".to_owned();
    stage.cache = Some(StageCache {
        bytes_max: 512 << 20,
        generation: 9,
        flushed_before: 4,
        purges: vec![TagPurge { tag: "pets".to_owned(), purged_before: 9 }],
        freshness: Freshness::Origin,
        coalesced: true,
    });
    stage.compression = Some(Compression { bytes_min: 1_024 });
    let part = |make: fn(String) -> CacheKeyPart, name: &str| make(name.to_owned());
    stage.routes[1].settings = RouteSettings {
        api_key_required: true,
        throttle: Some(throttle(500, 1)),
        cache: Some(RouteCache {
            ttl_s: 300,
            namespace: "r1".to_owned(),
            key: vec![
                CacheKeyPart::Path,
                part(CacheKeyPart::PathParameter, "id"),
                part(CacheKeyPart::Query, "page size"),
                part(CacheKeyPart::Header, "accept"),
            ],
            invalidation: Invalidation::Authorized(Unauthorized::Warned),
        }),
    };
    stage
}

pub(crate) fn usage_plan() -> UsagePlanUnit {
    let route =
        PlanRoute { method: "GET".to_owned(), path: "/pets/{id}".to_owned(), throttle: throttle(10_000, 20) };
    let stage =
        |name: &str, routes| PlanStage { api_id: "a1b2c3d4e5".to_owned(), stage: name.to_owned(), routes };
    UsagePlanUnit {
        id: "p1".to_owned(),
        throttle: Some(throttle(100_000, 200)),
        quota: Some(Quota { requests: 1_000_000, period: QuotaPeriod::Month, offset_days: 27 }),
        stages: vec![stage("cached", vec![route]), stage("$default", Vec::new())],
    }
}

pub(crate) fn api_keys() -> ApiKeysUnit {
    let key = |first: u8, plans| ApiKey { id: format!("k{first}"), value_sha256: [first; 32], plans };
    ApiKeysUnit {
        slice: 1,
        slices: 2,
        plans: vec!["p1".to_owned()],
        keys: vec![key(0x80, vec![0]), key(0xff, Vec::new())],
    }
}

pub(crate) fn units() -> Vec<Unit> {
    vec![
        Unit::Account(account()),
        Unit::Stage(stage()),
        Unit::Stage(rest_stage()),
        Unit::Stage(tls_stage()),
        Unit::Certificate(certificate()),
        Unit::TrustStore(trust_store()),
        Unit::TargetGroup(target_group()),
        Unit::Stage(canary_stage()),
        Unit::Stage(cached_stage()),
        Unit::UsagePlan(usage_plan()),
        Unit::ApiKeys(api_keys()),
    ]
}

pub(crate) fn root() -> Root {
    let units = (1..=3).map(|n| UnitRef { hash: UnitHash([n; 32]), bytes_len: 1000 + u32::from(n) });
    Root { version: 7, units: units.collect() }
}

pub(crate) fn integration(id: &str, target: Vec<TargetPart>) -> Integration {
    Integration {
        id: id.to_owned(),
        timeout_ms: 29_000,
        kind: IntegrationKind::HttpProxy(HttpProxy {
            query: "from=turnpike".to_owned(),
            ..HttpProxy::plain("127.0.0.1", 3000, target)
        }),
    }
}

pub(crate) fn route(method: &str, path: &str, integration: u32) -> Route {
    Route::plain(method, path, "r1", integration)
}

pub(crate) fn literal(text: &str) -> TargetPart {
    TargetPart::Literal(text.to_owned())
}
