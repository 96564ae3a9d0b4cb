//! Where a VPC link or one integration leads: targets, and how they are used. Every default is filled in.

use serde::{Deserialize, Serialize};

use super::Part;

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Targets {
    pub targets: Vec<Target>,
    pub balancing: Balancing,
    pub slow_start_ms: u32,
    pub health_check: Option<HealthCheck>,
    pub outlier_ejection: Option<OutlierEjection>,
    pub panic_threshold_percent: u8,
    pub retry: Retry,
    pub circuit_breaker: CircuitBreaker,
    pub protocol_version: ProtocolVersion,
    pub tls: TargetsTls,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    pub endpoint: Endpoint,
    pub weight: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    Host { host: String, port: u16 },
    Srv { name: String },
    Unix { path: String },
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Balancing {
    #[default]
    RoundRobin,
    LeastRequest,
    /// The header's name in lower case.
    HashHeader(String),
    HashSourceAddress,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    pub probe: Probe,
    pub port: Option<u16>,
    pub interval_ms: u32,
    pub timeout_ms: u32,
    pub healthy_threshold: u32,
    pub unhealthy_threshold: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    Tcp,
    Http { path: String, host: Option<String>, status_min: u16, status_max: u16 },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutlierEjection {
    pub consecutive_failures: u32,
    pub ejection_ms: u32,
    pub ejection_ms_max: u32,
    pub ejected_percent_max: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    pub tries_max: u32,
    /// 0 leaves it to the integration's timeout.
    pub try_timeout_ms: u32,
    pub budget_percent: u32,
    pub retries_min: u32,
    pub statuses: Vec<u16>,
}

/// 0 leaves a bound to the gateway's settings.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CircuitBreaker {
    pub connections_max: u32,
    pub pending_requests_max: u32,
    pub requests_max: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProtocolVersion {
    #[default]
    Http1,
    Http2,
    /// Spoken as HTTP/2 is.
    Grpc,
}

/// How https:// integrations trust these targets, and what they show them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TargetsTls {
    /// Lower case.
    pub server_name: Option<String>,
    pub insecure_skip_verification: bool,
    /// As the user wrote it: one certificate or more, each of which can be trusted.
    pub ca_pem: Option<String>,
    /// Id of a client certificate.
    pub client_certificate: Option<String>,
}

/// The targets of one integration. They are in use at once, whatever is deployed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntegrationTargets {
    /// The integration's id; of a REST API [`rest_integration_id`].
    pub integration_id: String,
    pub targets: Targets,
}

impl Part for IntegrationTargets {
    const KIND: &'static str = "integration-targets";

    fn id(&self) -> &str {
        &self.integration_id
    }
}

/// What names the integration of a REST API's method within the API.
#[must_use]
pub fn rest_integration_id(resource_id: &str, method: &str) -> String {
    format!("{resource_id}-{method}")
}

impl HealthCheck {
    /// What is left out of a health check.
    #[must_use]
    pub fn of(probe: Probe) -> Self {
        Self {
            probe,
            port: None,
            interval_ms: 10_000,
            timeout_ms: 5_000,
            healthy_threshold: 2,
            unhealthy_threshold: 3,
        }
    }
}

impl Default for OutlierEjection {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            ejection_ms: 30_000,
            ejection_ms_max: 300_000,
            ejected_percent_max: 50,
        }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self { tries_max: 2, try_timeout_ms: 0, budget_percent: 20, retries_min: 3, statuses: Vec::new() }
    }
}
