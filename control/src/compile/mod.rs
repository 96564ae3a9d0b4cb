//! Turns what users configured into units: a stage and its deployment become one `StageUnit` with the
//! stage's variables filled in and every address parsed, so that serving it can't fail for want of
//! meaning. Pure: what it needs is passed in. A failure is the caller's to mend and is told to them.

mod cache;
mod callers;
mod domains;
pub mod enforcement;
mod http;
mod reference;
mod refusal;
mod rest;
#[cfg(test)]
pub(crate) mod routable;
mod target;
mod target_group;
#[cfg(test)]
mod tests;
mod throttle;
mod trust;
mod upstreams;

use turnpike_snapshot::{EncodeError, Limits, SemanticError, Unit, UnitHash, check_unit, encode_unit};

pub use callers::{API_KEY_SLICES, KeyInPlans, KeysByDigest, api_keys, key_digest, keys_of, usage_plan};
pub use domains::{RoutedDomain, account, certificate, mappings, trust_store};
pub use http::http_stage;
pub use reference::{Reference, ReferenceKind, references};
pub use refusal::refused_stage;
pub use rest::rest_stage;
pub use target_group::{GroupOwner, check_targets, target_group};
pub use trust::{
    client_certificate, client_certificate_of_unit_id, client_certificate_unit_id, upstream_trust_store,
};
pub use upstreams::Upstreams;

use crate::model::{SecurityPolicyError, UriError};
use crate::pki::PkiError;

/// Grows with every change of what this module makes of the same input: a store that was compiled by
/// another revision is compiled again when it is opened.
pub const COMPILER_REVISION: i64 = 15;

/// Why a stage can't be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    #[error("{0}")]
    Uri(#[from] UriError),
    #[error("No integration defined for {0}")]
    NoIntegration(String),
    #[error("The integration URI '{uri}' uses the path variable '{variable}', which {route} doesn't have")]
    UnknownPathVariable { uri: String, variable: String, route: String },
    #[error("The integration URI '{uri}' of {route} uses '{{{variable}}}', which no request parameter fills")]
    UnmappedPathVariable { uri: String, variable: String, route: String },
    #[error("The route '{0}' is a WebSocket API's, which gateways don't serve")]
    MessageRoute(String),
    #[error("The access log's destination can't be used: {0}")]
    AccessLog(String),
    #[error("There is no VPC link '{0}', which an integration leads through")]
    NoVpcLink(String),
    #[error(
        "The connectionId of {route} needs the stage variable '{variable}', which the stage '{stage}' doesn't have"
    )]
    NoLinkVariable { route: String, variable: String, stage: String },
    #[error("The configuration refers to the {0}, which isn't there")]
    Missing(Reference),
    #[error("A certificate or trust store can't be used: {0}")]
    Pki(#[from] PkiError),
    #[error(transparent)]
    SecurityPolicy(#[from] SecurityPolicyError),
    #[error("The configuration can't be served: {0}")]
    Semantic(#[from] SemanticError),
    #[error("The configuration can't be encoded: {0}")]
    Encode(#[from] EncodeError),
    #[error("The stage has more than {0} integrations")]
    TooManyIntegrations(u32),
}

/// A unit as it is stored and sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    pub hash: UnitHash,
    pub bytes: Vec<u8>,
    /// Whether it holds a private key, or digests of API keys.
    pub secret: bool,
}

/// Checks a unit as a gateway will, and encodes it.
///
/// # Errors
/// When a gateway would refuse it.
pub fn encode(unit: &Unit) -> Result<Encoded, CompileError> {
    check_unit(unit, &Limits::default())?;
    let (hash, bytes) = encode_unit(unit)?;
    Ok(Encoded { hash, bytes, secret: matches!(unit, Unit::Certificate(_) | Unit::ApiKeys(_)) })
}
