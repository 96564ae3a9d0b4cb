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
}

/// A custom domain and what it maps to.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct Domain {
    /// Lower case, without a port.
    pub name: String,
    pub mappings: Vec<Mapping>,
}

#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct Mapping {
    /// Whole leading path segments, without slashes at either end; empty maps the domain's root.
    pub key: String,
    pub api_id: String,
    pub stage: String,
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
}

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
    /// Index into the stage's integrations.
    pub integration: u32,
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
}

#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub enum Scheme {
    Http,
}

/// Passes the request to an HTTP endpoint and its answer back.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct HttpProxy {
    /// `None` passes the client's method on.
    pub method: Option<String>,
    pub scheme: Scheme,
    /// A DNS name or an address; an IPv6 address without brackets.
    pub host: String,
    pub port: u16,
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
