//! The JSON document of targets: read with its defaults, and written with all of them.

#[cfg(test)]
mod tests;
mod write;

use std::ops::RangeInclusive;

use turnpike_snapshot::Limits;

pub(super) use write::write;

use super::super::error::ApiError;
use super::super::members::Members;
use crate::compile::check_targets;
use crate::model::{
    Balancing, CircuitBreaker, Endpoint, HealthCheck, OutlierEjection, Probe, ProtocolVersion, Retry, Target,
    Targets, TargetsTls, server_name,
};
use crate::pki::trust_anchors;

const WEIGHT_DEFAULT: u32 = 1;
const WEIGHTS: RangeInclusive<u32> = 1..=1_000;
const PANIC_THRESHOLD_PERCENT_DEFAULT: u32 = 50;
const COUNTS: RangeInclusive<u32> = 0..=1_000_000;
const TRIES: RangeInclusive<u32> = 1..=10;
const PERCENT: RangeInclusive<u32> = 0..=100;
const THRESHOLDS: RangeInclusive<u32> = 1..=1_000;
const PORTS: RangeInclusive<u32> = 1..=65_535;
const RETRIED_STATUSES: RangeInclusive<u32> = 502..=504;
const PROBE_PATH_DEFAULT: &str = "/";
const MATCHER_DEFAULT: (u16, u16) = (200, 399);
/// The contract has narrower bounds for what these hold.
const TEXT_CHARS_MAX: usize = 1_024;
const PEM_CHARS_MAX: usize = 1 << 20;

/// # Errors
/// Which member is wrong, and what it has to be.
pub(super) fn read(mut members: Members) -> Result<Targets, ApiError> {
    let targets = members.objects("targets")?;
    let targets = targets.ok_or_else(|| ApiError::bad_request("targets is required: a list of objects"))?;
    let protocol_version = read_protocol_version(&mut members)?;
    let ejection = members.object_or_null("outlierEjection")?;
    let panic_threshold = members.integer("panicThresholdPercent", PERCENT)?;
    let read = Targets {
        targets: targets.into_iter().map(read_target).collect::<Result<_, _>>()?,
        balancing: members.object("balancing")?.map_or(Ok(Balancing::default()), read_balancing)?,
        slow_start_ms: members.integer("slowStartMs", times_ms(0))?.unwrap_or(0),
        health_check: members.object("healthCheck")?.map(read_health_check).transpose()?,
        // Only an explicit null turns it off.
        outlier_ejection: match ejection {
            None => Some(OutlierEjection::default()),
            Some(None) => None,
            Some(Some(members)) => Some(read_outlier_ejection(members)?),
        },
        panic_threshold_percent: percent(panic_threshold.unwrap_or(PANIC_THRESHOLD_PERCENT_DEFAULT)),
        retry: members.object("retry")?.map_or(Ok(Retry::default()), read_retry)?,
        circuit_breaker: members
            .object("circuitBreaker")?
            .map_or(Ok(CircuitBreaker::default()), read_circuit_breaker)?,
        protocol_version,
        tls: members.object("tls")?.map_or(Ok(TargetsTls::default()), read_tls)?,
    };
    members.finish()?;
    check_health_check_version(&read)?;
    check_targets(&read).map_err(ApiError::bad_request)?;
    Ok(read)
}

fn read_target(mut members: Members) -> Result<Target, ApiError> {
    let host = members.string("host", TEXT_CHARS_MAX)?;
    let port = members.integer("port", PORTS)?;
    let srv = members.string("srv", TEXT_CHARS_MAX)?;
    let unix = members.string("unix", TEXT_CHARS_MAX)?;
    let weight = members.integer("weight", WEIGHTS)?.unwrap_or(WEIGHT_DEFAULT);
    let place = members.full("");
    members.finish()?;
    let endpoint = match (host, port, srv, unix) {
        (Some(host), Some(port), None, None) => Endpoint::Host { host, port: port_of(port) },
        (None, None, Some(name), None) => Endpoint::Srv { name },
        (None, None, None, Some(path)) => Endpoint::Unix { path },
        _ => {
            let place = place.trim_end_matches('.');
            return Err(ApiError::bad_request(format!(
                "{place} has to have either host and port, or srv, or unix"
            )));
        }
    };
    Ok(Target { endpoint, weight })
}

fn read_balancing(mut members: Members) -> Result<Balancing, ApiError> {
    let algorithms = ["round_robin", "least_request", "hash_header", "hash_source_address"];
    let algorithm = members.choice("algorithm", &algorithms)?;
    let header = members.string("header", TEXT_CHARS_MAX)?;
    let (algorithm_name, header_name) = (members.full("algorithm"), members.full("header"));
    members.finish()?;
    match (algorithm.as_deref(), header) {
        (None, _) => Err(ApiError::bad_request(format!("{algorithm_name} is required"))),
        (Some("hash_header"), Some(name)) => Ok(Balancing::HashHeader(name.to_ascii_lowercase())),
        (Some("hash_header"), None) => {
            Err(ApiError::bad_request(format!("{header_name} is required with hash_header")))
        }
        (Some(_), Some(_)) => Err(ApiError::bad_request(format!("{header_name} is for hash_header only"))),
        (Some("least_request"), None) => Ok(Balancing::LeastRequest),
        (Some("hash_source_address"), None) => Ok(Balancing::HashSourceAddress),
        (Some(_), None) => Ok(Balancing::RoundRobin),
    }
}

fn read_health_check(mut members: Members) -> Result<HealthCheck, ApiError> {
    let protocol = members.choice("protocol", &["TCP", "HTTP"])?;
    let path = members.string("path", TEXT_CHARS_MAX)?;
    let host = members.string("host", TEXT_CHARS_MAX)?;
    let matcher = members.string("matcher", TEXT_CHARS_MAX)?;
    let about_http = path.is_some() || host.is_some() || matcher.is_some();
    let probe = match protocol.as_deref() {
        None => return Err(ApiError::bad_request(format!("{} is required", members.full("protocol")))),
        Some("TCP") if about_http => {
            return Err(ApiError::bad_request("healthCheck: path, host and matcher are for HTTP only"));
        }
        Some("TCP") => Probe::Tcp,
        Some(_) => {
            let (status_min, status_max) =
                matcher.map_or(Ok(MATCHER_DEFAULT), |text| read_matcher(&members.full("matcher"), &text))?;
            let path = path.unwrap_or_else(|| PROBE_PATH_DEFAULT.to_owned());
            Probe::Http { path, host, status_min, status_max }
        }
    };
    let default = HealthCheck::of(probe);
    let check = HealthCheck {
        port: members.integer("port", PORTS)?.map(port_of),
        interval_ms: members.integer("intervalMs", times_ms(1))?.unwrap_or(default.interval_ms),
        timeout_ms: members.integer("timeoutMs", times_ms(1))?.unwrap_or(default.timeout_ms),
        healthy_threshold: members
            .integer("healthyThreshold", THRESHOLDS)?
            .unwrap_or(default.healthy_threshold),
        unhealthy_threshold: members
            .integer("unhealthyThreshold", THRESHOLDS)?
            .unwrap_or(default.unhealthy_threshold),
        probe: default.probe,
    };
    members.finish()?;
    Ok(check)
}

/// `200` or `200-399`.
fn read_matcher(name: &str, text: &str) -> Result<(u16, u16), ApiError> {
    let (min, max) = text.split_once('-').unwrap_or((text, text));
    let status = |text: &str| {
        let digits = text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit());
        text.parse().ok().filter(|status| digits && (100..=599).contains(status))
    };
    match (status(min), status(max)) {
        (Some(min), Some(max)) if min <= max => Ok((min, max)),
        _ => Err(ApiError::bad_request(format!(
            "{name} has to be a status or a range of them, such as 200 or 200-399, from 100 to 599"
        ))),
    }
}

/// Health checks speak HTTP/1.1, which such targets needn't on the port that requests go to.
fn check_health_check_version(targets: &Targets) -> Result<(), ApiError> {
    let Some(check) = &targets.health_check else { return Ok(()) };
    let same_port = check.probe != Probe::Tcp && check.port.is_none();
    if same_port && targets.protocol_version != ProtocolVersion::Http1 {
        return Err(ApiError::bad_request(
            "healthCheck: with protocolVersion HTTP2 or GRPC, either protocol has to be TCP, or port another one that \
             speaks plain HTTP/1.1, as the check does",
        ));
    }
    Ok(())
}

fn read_outlier_ejection(mut members: Members) -> Result<OutlierEjection, ApiError> {
    let default = OutlierEjection::default();
    let failures = members.integer("consecutiveFailures", THRESHOLDS)?;
    let ejection_ms = members.integer("ejectionMs", 1..=86_400_000)?.unwrap_or(default.ejection_ms);
    let ejection_ms_max = members.integer("ejectionMsMax", 1..=86_400_000)?;
    let percent_max = members.integer("ejectedPercentMax", PERCENT)?;
    let name = members.full("ejectionMsMax");
    members.finish()?;
    if ejection_ms_max.is_some_and(|max| max < ejection_ms) {
        return Err(ApiError::bad_request(format!("{name} can't be less than ejectionMs ({ejection_ms})")));
    }
    Ok(OutlierEjection {
        consecutive_failures: failures.unwrap_or(default.consecutive_failures),
        ejection_ms,
        ejection_ms_max: ejection_ms_max.unwrap_or_else(|| default.ejection_ms_max.max(ejection_ms)),
        ejected_percent_max: percent_max.map_or(default.ejected_percent_max, percent),
    })
}

fn read_retry(mut members: Members) -> Result<Retry, ApiError> {
    let default = Retry::default();
    let statuses = members.integers("statuses", RETRIED_STATUSES)?.unwrap_or_default();
    let retry = Retry {
        tries_max: members.integer("triesMax", TRIES)?.unwrap_or(default.tries_max),
        try_timeout_ms: members.integer("tryTimeoutMs", times_ms(0))?.unwrap_or(default.try_timeout_ms),
        budget_percent: members.integer("budgetPercent", PERCENT)?.unwrap_or(default.budget_percent),
        retries_min: members.integer("retriesMin", COUNTS)?.unwrap_or(default.retries_min),
        statuses: statuses.into_iter().filter_map(|status| u16::try_from(status).ok()).collect(),
    };
    members.finish()?;
    Ok(retry)
}

fn read_circuit_breaker(mut members: Members) -> Result<CircuitBreaker, ApiError> {
    let breaker = CircuitBreaker {
        connections_max: members.integer("connectionsMax", COUNTS)?.unwrap_or(0),
        pending_requests_max: members.integer("pendingRequestsMax", COUNTS)?.unwrap_or(0),
        requests_max: members.integer("requestsMax", COUNTS)?.unwrap_or(0),
    };
    members.finish()?;
    Ok(breaker)
}

fn read_protocol_version(members: &mut Members) -> Result<ProtocolVersion, ApiError> {
    let version = members.choice("protocolVersion", &["HTTP1", "HTTP2", "GRPC"])?;
    Ok(match version.as_deref() {
        Some("HTTP2") => ProtocolVersion::Http2,
        Some("GRPC") => ProtocolVersion::Grpc,
        _ => ProtocolVersion::Http1,
    })
}

fn read_tls(mut members: Members) -> Result<TargetsTls, ApiError> {
    let name = members.string("serverName", TEXT_CHARS_MAX)?.filter(|name| !name.is_empty());
    let name = name.map(|name| server_name(&name)).transpose();
    let tls = TargetsTls {
        server_name: name
            .map_err(|why| ApiError::bad_request(format!("{} {why}", members.full("serverName"))))?,
        insecure_skip_verification: members.boolean("insecureSkipVerification")?.unwrap_or(false),
        ca_pem: members.string("caPem", PEM_CHARS_MAX)?.filter(|pem| !pem.is_empty()),
        client_certificate: members.string("clientCertificate", TEXT_CHARS_MAX)?.filter(|id| !id.is_empty()),
    };
    members.finish()?;
    if let Some(pem) = &tls.ca_pem {
        trust_anchors(pem.as_bytes(), "tls.caPem")
            .map_err(|error| ApiError::bad_request(error.to_string()))?;
    }
    Ok(tls)
}

/// Up to the contract's longest time.
fn times_ms(min: u32) -> RangeInclusive<u32> {
    min..=Limits::default().timeout_ms_max
}

/// Of a number that its range has bounded.
fn port_of(port: u32) -> u16 {
    u16::try_from(port).unwrap_or(u16::MAX)
}

/// Of a number that its range has bounded.
fn percent(number: u32) -> u8 {
    u8::try_from(number).unwrap_or(100)
}
