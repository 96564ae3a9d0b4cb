//! What a decoded configuration must mean, so that serving it can't fail at request time: indexes that
//! resolve, paths that route, and nothing in a target that could end or split the request that is sent.

mod access_log;
mod account;
mod cache;
mod path;
mod plan;
mod stage;
mod target_group;
mod text;
mod tls;

use std::collections::HashSet;

pub use access_log::{
    ACCESS_LOG_FORMAT_BYTES_MAX, LOG_GROUP_ESCAPED_BYTES_MAX, check_access_log_format, check_log_group,
    escaped_log_group,
};
pub use path::{PathPart, path_parts};

use crate::codec::ENVELOPE_BYTES;
use crate::error::Blame;
use crate::limits::Limits;
use crate::unit::{HttpProxy, Root, Unit, UnitHash};

/// Where a configuration can't be served, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct SemanticError {
    /// From the outside in: `stage prod of api a1b2c3, route 4 (GET /pets/{id})`.
    pub place: String,
    pub problem: Problem,
}

impl SemanticError {
    pub(crate) fn within(self, outer: &str) -> Self {
        Self { place: format!("{outer}, {}", self.place), problem: self.problem }
    }

    /// Who has to act.
    #[must_use]
    pub fn blame(&self) -> Blame {
        match self.problem {
            Problem::TooMany { .. } | Problem::TooLarge { .. } | Problem::TooLong { .. } => Blame::Operator,
            _ => Blame::Writer,
        }
    }
}

/// What is wrong at a place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("{found} of them, the limit is {max}")]
    TooMany { found: usize, max: usize },
    #[error("{bytes} bytes, the limit is {bytes_max}")]
    TooLarge { bytes: u64, bytes_max: u64 },
    #[error("{found} ms, the limit is {max} ms")]
    TooLong { found: u32, max: u32 },
    #[error("is zero")]
    Zero,
    #[error("{found} isn't from {min} to {max}")]
    OutOfBounds { found: u32, min: u32, max: u32 },
    #[error("{found:?} isn't in the snapshot")]
    Dangling { found: String },
    #[error("only an https integration has it, and each of them does")]
    TlsMismatch,
    #[error("is empty")]
    Empty,
    #[error("a line break after {bytes} bytes; a record is one line, so write the format as one")]
    LineBreak { bytes: usize },
    #[error("{found:?} isn't {expected}")]
    Text { found: String, expected: &'static str },
    #[error("{found:?} is there twice")]
    Duplicate { found: String },
    #[error("the same method and path as route {other}")]
    DuplicateRoute { other: usize },
    #[error("index {found} points past the {len} integrations")]
    OutOfRange { found: u32, len: usize },
    #[error("integration {integration:?} asks for the path variable {name:?}, which this route hasn't")]
    UnknownVariable { integration: String, name: String },
    #[error("the same endpoint as target {other}")]
    DuplicateTarget { other: usize },
    #[error("the slice is {found}, a key of it belongs into slice {expected}")]
    OtherSlice { found: u32, expected: u32 },
    #[error("cut into {found}, another slice into {expected}")]
    OtherCut { found: u32, expected: u32 },
    #[error("index {found} points past the {len} usage plans")]
    PlanOutOfRange { found: u32, len: usize },
    #[error("API keys aren't in the order of their digests, each once")]
    OutOfOrder,
    #[error("{found} requests in 1,000 s, the limit is {max}")]
    TooFast { found: u64, max: u64 },
    #[error("is ahead of the cache's own generation")]
    Ahead,
    #[error("the route hasn't the path variable {name:?}")]
    NoSuchVariable { name: String },
    #[error("only in a stage with a cache")]
    NoStageCache,
    #[error("only HTTP APIs have it")]
    HttpOnly,
    #[error("its method is {found:?}; a $default route has ANY")]
    DefaultMethod { found: String },
    #[error("only the last segment can be greedy")]
    GreedyBeforeEnd,
    #[error("it must begin with a literal '/' or with the request's path")]
    RelativeTarget,
    #[error("{bytes_len} bytes is shorter than an envelope")]
    TooShort { bytes_len: u32 },
    #[error("version 0 is the empty configuration, but {found} units are listed")]
    UnitsInVersionZero { found: usize },
    #[error("{found} account units; it must be one")]
    AccountUnits { found: usize },
}

pub type Checked = Result<(), SemanticError>;

pub(crate) fn wrong(place: impl Into<String>, problem: Problem) -> SemanticError {
    SemanticError { place: place.into(), problem }
}

/// Checks what one unit can show by itself. [`crate::decode_unit`] has done so.
///
/// # Errors
/// The first problem found, with its place.
pub fn check_unit(unit: &Unit, limits: &Limits) -> Result<(), SemanticError> {
    match unit {
        Unit::Stage(stage) => stage::check(stage, limits),
        Unit::Account(account) => account::check(account, limits),
        Unit::Certificate(certificate) => tls::check_certificate(certificate, limits),
        Unit::TrustStore(store) => tls::check_trust_store(store, limits),
        Unit::TargetGroup(group) => target_group::check(group, limits),
        Unit::UsagePlan(plan) => plan::check(plan, limits),
        Unit::ApiKeys(keys) => plan::check_keys(keys, limits),
    }
}

/// Checks a root's list. [`crate::decode_root`] has done so.
///
/// # Errors
/// The first problem found, with its place.
pub fn check_root(root: &Root, limits: &Limits) -> Result<(), SemanticError> {
    count("units", root.units.len(), limits.units_max)?;
    if root.version == 0 && !root.units.is_empty() {
        return Err(wrong("the root", Problem::UnitsInVersionZero { found: root.units.len() }));
    }
    let mut seen = HashSet::with_capacity(root.units.len());
    let mut bytes = 0;
    for unit in &root.units {
        check_unit_len(&unit.hash, unit.bytes_len, limits)?;
        bytes += u64::from(unit.bytes_len);
        if !seen.insert(unit.hash) {
            return Err(wrong("units", Problem::Duplicate { found: unit.hash.to_string() }));
        }
    }
    size("all units together", bytes, limits.snapshot_bytes_max)
}

/// Checks what only all units of a root together can show: one account unit, no stage or id twice, and that what is
/// referred to is there.
///
/// # Errors
/// The first problem found, with its place.
pub fn check_snapshot<'a>(
    version: u64,
    units: impl IntoIterator<Item = &'a Unit> + Clone,
) -> Result<(), SemanticError> {
    let names = Names::of_snapshot(version, units.clone())?;
    units.into_iter().try_for_each(|unit| names.resolve(unit))
}

/// As [`check_snapshot`], of a snapshot that follows one which was checked: `new` are the units that it has and the one
/// before hadn't, `gone` those that only the one before had. What both have is looked into only if something that can be
/// referred to is gone, so that a small change of a large snapshot is a small check.
///
/// # Errors
/// The first problem found, with its place.
pub fn check_next_snapshot<'a>(
    version: u64,
    units: impl IntoIterator<Item = &'a Unit> + Clone,
    new: impl IntoIterator<Item = &'a Unit>,
    gone: impl IntoIterator<Item = &'a Unit>,
) -> Result<(), SemanticError> {
    let names = Names::of_snapshot(version, units.clone())?;
    match gone.into_iter().any(|unit| names.lack(unit)) {
        true => units.into_iter().try_for_each(|unit| names.resolve(unit)),
        false => new.into_iter().try_for_each(|unit| names.resolve(unit)),
    }
}

/// What the units of a root are called.
#[derive(Default)]
struct Names<'a> {
    accounts: usize,
    stages: HashSet<(&'a str, &'a str)>,
    certificates: HashSet<&'a str>,
    trust_stores: HashSet<&'a str>,
    target_groups: HashSet<&'a str>,
    usage_plans: HashSet<&'a str>,
    key_slices: HashSet<u32>,
    /// How many slices the API keys are cut into, as the first of them says.
    slices: Option<u32>,
}

impl<'a> Names<'a> {
    fn of_snapshot(version: u64, units: impl IntoIterator<Item = &'a Unit>) -> Result<Self, SemanticError> {
        let names = Self::gather(units)?;
        let expected = usize::from(version > 0);
        if names.accounts != expected {
            return Err(wrong("units", Problem::AccountUnits { found: names.accounts }));
        }
        Ok(names)
    }

    fn gather(units: impl IntoIterator<Item = &'a Unit>) -> Result<Self, SemanticError> {
        let mut names = Self::default();
        for unit in units {
            let (place, new, found) = match unit {
                Unit::Account(_) => {
                    names.accounts += 1;
                    continue;
                }
                Unit::Stage(stage) => {
                    let new = names.stages.insert((&stage.api_id, &stage.stage));
                    ("stages", new, format!("{}/{}", stage.api_id, stage.stage))
                }
                Unit::Certificate(unit) => {
                    ("certificates", names.certificates.insert(&unit.id), unit.id.clone())
                }
                Unit::TrustStore(unit) => {
                    ("trust stores", names.trust_stores.insert(&unit.id), unit.id.clone())
                }
                Unit::TargetGroup(unit) => {
                    ("target groups", names.target_groups.insert(&unit.id), unit.id.clone())
                }
                Unit::UsagePlan(unit) => ("usage plans", names.usage_plans.insert(&unit.id), unit.id.clone()),
                Unit::ApiKeys(unit) => {
                    let slices = *names.slices.get_or_insert(unit.slices);
                    if slices != unit.slices {
                        let problem = Problem::OtherCut { found: unit.slices, expected: slices };
                        return Err(wrong(format!("slice {} of the API keys", unit.slice), problem));
                    }
                    ("API keys", names.key_slices.insert(unit.slice), format!("slice {}", unit.slice))
                }
            };
            if !new {
                return Err(wrong(place, Problem::Duplicate { found }));
            }
        }
        Ok(names)
    }

    /// Whether others may refer to the unit ([`Self::resolve`]), and its name isn't among these.
    fn lack(&self, unit: &Unit) -> bool {
        match unit {
            Unit::Account(_) | Unit::Stage(_) | Unit::ApiKeys(_) => false,
            Unit::Certificate(unit) => !self.certificates.contains(unit.id.as_str()),
            Unit::TrustStore(unit) => !self.trust_stores.contains(unit.id.as_str()),
            Unit::TargetGroup(unit) => !self.target_groups.contains(unit.id.as_str()),
            Unit::UsagePlan(unit) => !self.usage_plans.contains(unit.id.as_str()),
        }
    }

    fn resolve(&self, unit: &Unit) -> Checked {
        match unit {
            Unit::Account(account) => account.domains.iter().try_for_each(|domain| {
                let place = || format!("domain {}", domain.name);
                let Some(tls) = &domain.tls else { return Ok(()) };
                known(&self.certificates, Some(&tls.certificate), "certificate")
                    .map_err(|e| e.within(&place()))?;
                known(&self.trust_stores, tls.client_trust_store.as_ref(), "client trust store")
                    .map_err(|e| e.within(&place()))
            }),
            Unit::Stage(stage) => stage.all_integrations().try_for_each(|integration| {
                let Some(proxy) = integration.kind.proxy() else { return Ok(()) };
                self.resolve_proxy(proxy).map_err(|e| {
                    let place = format!("stage {} of api {}", stage.stage, stage.api_id);
                    e.within(&format!("{place}, integration {}", integration.id))
                })
            }),
            Unit::ApiKeys(unit) => unit.plans.iter().try_for_each(|plan| {
                known(&self.usage_plans, Some(plan), "usage plan")
                    .map_err(|e| e.within(&format!("slice {} of the API keys", unit.slice)))
            }),
            Unit::Certificate(_) | Unit::TrustStore(_) | Unit::TargetGroup(_) | Unit::UsagePlan(_) => Ok(()),
        }
    }

    fn resolve_proxy(&self, proxy: &HttpProxy) -> Checked {
        known(&self.target_groups, proxy.target_group.as_ref(), "target group")?;
        let Some(tls) = &proxy.tls else { return Ok(()) };
        known(&self.trust_stores, tls.trust_store.as_ref(), "trust store")?;
        known(&self.certificates, tls.client_certificate.as_ref(), "client certificate")
    }
}

fn known(names: &HashSet<&str>, name: Option<&String>, place: &str) -> Checked {
    match name {
        Some(name) if !names.contains(name.as_str()) => {
            Err(wrong(place, Problem::Dangling { found: name.clone() }))
        }
        _ => Ok(()),
    }
}

fn check_unit_len(hash: &UnitHash, bytes_len: u32, limits: &Limits) -> Checked {
    let place = || format!("unit {hash}");
    if (bytes_len as usize) < ENVELOPE_BYTES {
        return Err(wrong(place(), Problem::TooShort { bytes_len }));
    }
    if bytes_len as usize > limits.unit_bytes_max {
        let problem =
            Problem::TooLarge { bytes: u64::from(bytes_len), bytes_max: limits.unit_bytes_max as u64 };
        return Err(wrong(place(), problem));
    }
    Ok(())
}

pub(crate) fn count(place: &str, found: usize, max: usize) -> Checked {
    if found <= max { Ok(()) } else { Err(wrong(place, Problem::TooMany { found, max })) }
}

pub(crate) fn within(place: &str, found: u32, min: u32, max: u32) -> Checked {
    let is_within = (min..=max).contains(&found);
    if is_within { Ok(()) } else { Err(wrong(place, Problem::OutOfBounds { found, min, max })) }
}

/// Of a time that isn't none, against what the operator allows.
pub(crate) fn time(place: &str, found_ms: u32, max_ms: u32) -> Checked {
    if found_ms == 0 { Err(wrong(place, Problem::Zero)) } else { time_or_none(place, found_ms, max_ms) }
}

pub(crate) fn time_or_none(place: &str, found_ms: u32, max_ms: u32) -> Checked {
    let is_within = found_ms <= max_ms;
    if is_within { Ok(()) } else { Err(wrong(place, Problem::TooLong { found: found_ms, max: max_ms })) }
}

pub(crate) fn size(place: &str, bytes: u64, bytes_max: u64) -> Checked {
    if bytes <= bytes_max { Ok(()) } else { Err(wrong(place, Problem::TooLarge { bytes, bytes_max })) }
}
