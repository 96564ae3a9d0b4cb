//! What a root and its units hold: a file for each kind of unit, and for what several kinds share.
//!
//! Members, their types and their order are the archived layout, wherever a type stands: a change of them is a new format,
//! and puts what they were in `past`.

mod account;
mod cache;
mod integration;
mod plan;
mod stage;
mod target_group;
mod throttle;
mod tls;

use rkyv::{Archive, Deserialize, Serialize};

pub use account::{AccountUnit, AcmeChallenge, Domain, HeaderCondition, HeaderMatch, Mapping, RoutingRule};
pub use cache::{CacheKeyPart, Freshness, Invalidation, RouteCache, StageCache, TagPurge, Unauthorized};
pub use integration::{HttpProxy, HttpVersion, Integration, IntegrationKind, Scheme, TargetPart};
pub use plan::{ApiKey, ApiKeysUnit, PlanRoute, PlanStage, Quota, QuotaPeriod, UsagePlanUnit};
pub use stage::{AccessLog, Canary, Compression, Protocol, Route, RouteSettings, StageUnit};
pub use target_group::{
    Balancing, CircuitBreaker, Endpoint, HealthCheck, OutlierEjection, Probe, RetryPolicy, Target,
    TargetGroupUnit,
};
pub use throttle::{Partition, Throttle};
pub use tls::{CertificateUnit, DomainTls, TlsVersion, TrustStoreUnit, UpstreamTls};

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
