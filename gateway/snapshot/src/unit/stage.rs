//! A compiled stage: its routes, and its canary's.

use rkyv::{Archive, Deserialize, Serialize};

use super::{Integration, RouteCache, StageCache, Throttle};

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

impl StageUnit {
    /// The canary's too.
    pub fn all_integrations(&self) -> impl Iterator<Item = &Integration> {
        self.integrations.iter().chain(self.canary.iter().flat_map(|canary| &canary.integrations))
    }
}

#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub enum Protocol {
    Rest,
    Http,
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

/// Answers' bodies are compressed for clients that take them so, and requests' compressed bodies are decompressed (AWS:
/// payload compression for REST APIs).
#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct Compression {
    /// Smaller bodies are left alone, either way; 0 to [`crate::Limits::compression_bytes_min_max`].
    pub bytes_min: u32,
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
