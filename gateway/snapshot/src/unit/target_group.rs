//! Where requests go when it isn't one host, and how they are shared out.

use rkyv::{Archive, Deserialize, Serialize};

/// Where an integration's requests go when it isn't one host: a VPC link's pool, or an integration's own.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct TargetGroupUnit {
    /// No other target group of the root has it.
    pub id: String,
    pub targets: Vec<Target>,
    pub balancing: Balancing,
    /// A target that has become healthy gets its full share only after this long; 0 turns it off.
    pub slow_start_ms: u32,
    pub health_check: Option<HealthCheck>,
    pub outlier_ejection: Option<OutlierEjection>,
    /// Below this share of healthy targets, all of them are used; 0 turns it off, so that no healthy target is no target.
    pub panic_threshold_percent: u8,
    pub retry: RetryPolicy,
    pub circuit_breaker: CircuitBreaker,
}

#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct Target {
    pub endpoint: Endpoint,
    /// Its share relative to the others'; 1 to 1,000. Of an SRV name it multiplies the records' own weights.
    pub weight: u32,
}

#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Hash)]
#[rkyv(derive(Debug))]
pub enum Endpoint {
    /// A DNS name (A and AAAA, each address a target of its own) or an address; an IPv6 address without brackets.
    Host { host: String, port: u16 },
    /// A DNS name with SRV records (RFC 2782), each a target of its own.
    Srv { name: String },
    /// A Unix stream socket's absolute path.
    Unix { path: String },
}

#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub enum Balancing {
    RoundRobin,
    /// The less loaded of two that are drawn at random.
    LeastRequest,
    /// One target for all requests with the same value; without the field, at random. Lower case.
    HashHeader {
        name: String,
    },
    HashSourceAddress,
}

/// Sent by the housekeeper to each target.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct HealthCheck {
    pub probe: Probe,
    /// Another port than the target's.
    pub port: Option<u16>,
    /// Both 1 to [`crate::Limits::timeout_ms_max`].
    pub interval_ms: u32,
    pub timeout_ms: u32,
    /// Good answers in a row that make a target healthy; at least 1.
    pub healthy_threshold: u32,
    /// Bad ones in a row that make it unhealthy; at least 1.
    pub unhealthy_threshold: u32,
}

#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub enum Probe {
    /// A connection that is accepted.
    Tcp,
    /// `GET`; good is a status from `status_min` to `status_max`.
    Http { path: String, host: Option<String>, status_min: u16, status_max: u16 },
}

/// Takes targets out that fail in traffic.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct OutlierEjection {
    /// Failures in a row (connect errors, resets, timeouts, 5xx) that eject a target; at least 1.
    pub consecutive_failures: u32,
    /// How long the first time; each further time as much longer.
    pub ejection_ms: u32,
    pub ejection_ms_max: u32,
    /// No more than this share of the group is ejected at once.
    pub ejected_percent_max: u8,
}

/// Sends a request again that a target failed, where that is safe.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct RetryPolicy {
    /// Tries in all, at most 10; 1 never retries.
    pub tries_max: u32,
    /// One try's time; 0 leaves it to the integration's timeout, which bounds all tries together.
    pub try_timeout_ms: u32,
    /// Retries as a share of the requests under way, beyond `retries_min`.
    pub budget_percent: u32,
    /// Retries under way at once that are always allowed, per shard.
    pub retries_min: u32,
    /// Answers that are retried as failures are: 502, 503 and 504 at most.
    pub statuses: Vec<u16>,
}

/// What may go to one target at once, from one shard; 0 leaves a bound to the gateway's settings.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct CircuitBreaker {
    pub connections_max: u32,
    /// Waiting for a connection, of the whole group.
    pub pending_requests_max: u32,
    pub requests_max: u32,
}
