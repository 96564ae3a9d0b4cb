//! A stage of an HTTP or WebSocket API, with its settings for routes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::{AccessLogSettings, HttpCaching, LimitsPartitions, Part, StageCache, Tags, Variables};
use super::{ApiProtocol, is_default};

pub const LOGGING_LEVELS: [&str; 3] = ["ERROR", "INFO", "OFF"];

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HttpStage {
    /// Also its identifier.
    pub name: String,
    /// Made by quick create: can't be deleted.
    pub managed: bool,
    pub description: Option<String>,
    /// Each change of the API becomes a deployment, and this stage serves it.
    pub auto_deploy: bool,
    /// Without one, the stage isn't served.
    pub deployment_id: Option<String>,
    pub variables: Variables,
    pub access_log: Option<AccessLogSettings>,
    /// Of routes that have none of their own.
    #[serde(default = "RouteSettings::of_http_stage")]
    pub default_route_settings: RouteSettings,
    /// By route key.
    #[serde(default, skip_serializing_if = "is_default")]
    pub route_settings: BTreeMap<String, RouteSettings>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub partitions: LimitsPartitions,
    /// Of a WebSocket API's stage: what its upstreams are shown.
    #[serde(default, skip_serializing_if = "is_default")]
    pub client_certificate_id: Option<String>,
    #[serde(default)]
    pub cache: StageCache,
    /// Without it, nothing is kept.
    #[serde(default, skip_serializing_if = "is_default")]
    pub caching: Option<HttpCaching>,
    /// Bodies from this size on are compressed; `None` compresses none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub compression_bytes_min: Option<u32>,
    pub tags: Tags,
    pub created_at_s: i64,
    pub updated_at_s: i64,
    /// What became of the last automatic deployment.
    pub last_deployment_message: Option<String>,
}

/// What is absent hasn't been said.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RouteSettings {
    pub data_trace_enabled: Option<bool>,
    pub detailed_metrics_enabled: Option<bool>,
    /// One of [`LOGGING_LEVELS`].
    pub logging_level: Option<String>,
    pub throttling_burst_tokens: Option<u32>,
    /// Requests per second; not negative.
    pub throttling_rate: Option<f64>,
}

impl HttpStage {
    /// One that serves nothing yet.
    #[must_use]
    pub fn new(name: String, protocol: ApiProtocol, now_s: i64) -> Self {
        Self {
            name,
            managed: false,
            description: None,
            auto_deploy: false,
            deployment_id: None,
            variables: Variables::new(),
            access_log: None,
            default_route_settings: RouteSettings::of_stage(protocol),
            route_settings: BTreeMap::new(),
            partitions: LimitsPartitions::default(),
            client_certificate_id: None,
            cache: StageCache::new(now_s),
            caching: None,
            compression_bytes_min: None,
            tags: Tags::new(),
            created_at_s: now_s,
            updated_at_s: now_s,
            last_deployment_message: None,
        }
    }

    /// The default ones, and those of single routes.
    pub fn all_route_settings(&self) -> impl Iterator<Item = &RouteSettings> {
        std::iter::once(&self.default_route_settings).chain(self.route_settings.values())
    }
}

impl RouteSettings {
    /// AWS's defaults of a stage.
    #[must_use]
    pub fn of_stage(protocol: ApiProtocol) -> Self {
        let logged = protocol == ApiProtocol::WebSocket;
        Self {
            data_trace_enabled: logged.then_some(false),
            detailed_metrics_enabled: Some(false),
            logging_level: logged.then(|| "OFF".to_owned()),
            ..Self::default()
        }
    }

    /// Those of a stage that was made before there were any.
    fn of_http_stage() -> Self {
        Self::of_stage(ApiProtocol::Http)
    }

    /// Whether something of requests is to be logged.
    #[must_use]
    pub fn logs(&self) -> bool {
        self.data_trace_enabled == Some(true)
            || self.logging_level.as_deref().is_some_and(|level| level != "OFF")
    }
}

impl Part for HttpStage {
    const KIND: &'static str = "http-stage";

    fn id(&self) -> &str {
        &self.name
    }
}
