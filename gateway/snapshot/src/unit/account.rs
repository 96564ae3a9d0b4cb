//! What all stages of an account share, and what its custom domains lead to.

use rkyv::{Archive, Deserialize, Serialize};

use super::{DomainTls, Throttle};

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
