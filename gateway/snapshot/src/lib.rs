//! The contract between control and gateway: a compiled configuration as checked rkyv bytes.
//!
//! Control compiles what its users wrote into **units** and lists them, by hash, in a **root**; the
//! gateway checks every byte before it uses one. Nothing in here does I/O, and nothing in here knows
//! how either side stores or serves what it holds.
//!
//! The types say what a gateway runs, not what a user typed: stage variables are already
//! substituted, deployments already chosen, addresses already parsed.

mod check;
mod codec;
mod error;
pub mod frame;
mod hash;
mod limits;
mod past;
mod plain;
mod unit;

pub use check::{
    ACCESS_LOG_FORMAT_BYTES_MAX, Checked, LOG_GROUP_ESCAPED_BYTES_MAX, PathPart, Problem, SemanticError,
    check_access_log_format, check_log_group, check_next_snapshot, check_root, check_snapshot, check_unit,
    escaped_log_group, path_parts,
};
pub use codec::{
    ENVELOPE_BYTES, FORMAT_VERSION, OLDEST_FORMAT_VERSION, decode_root, decode_unit, encode_root, encode_unit,
};
pub use error::{Blame, DecodeError, EncodeError};
pub use hash::{ParseUnitHashError, hash};
pub use limits::{Limits, VARIABLES_PER_ROUTE_MAX};
pub use unit::{
    AccessLog, AccountUnit, AcmeChallenge, ApiKey, ApiKeysUnit, Balancing, CacheKeyPart, Canary,
    CertificateUnit, CircuitBreaker, Compression, Domain, DomainTls, Endpoint, Freshness, HeaderCondition,
    HeaderMatch, HealthCheck, HttpProxy, HttpVersion, Integration, IntegrationKind, Invalidation, Mapping,
    OutlierEjection, Partition, PlanRoute, PlanStage, Probe, Protocol, Quota, QuotaPeriod, RetryPolicy, Root,
    Route, RouteCache, RouteSettings, RoutingRule, Scheme, StageCache, StageUnit, TagPurge, Target,
    TargetGroupUnit, TargetPart, Throttle, TlsVersion, TrustStoreUnit, Unauthorized, Unit, UnitHash, UnitRef,
    UpstreamTls, UsagePlanUnit,
};
