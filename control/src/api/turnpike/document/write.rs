//! Targets as their JSON document, every default written out.

use serde_json::{Value, json};

use crate::model::{Balancing, Endpoint, HealthCheck, Probe, ProtocolVersion, Target, Targets};

pub(in super::super) fn write(targets: &Targets) -> Value {
    json!({
        "targets": targets.targets.iter().map(write_target).collect::<Vec<_>>(),
        "balancing": write_balancing(&targets.balancing),
        "slowStartMs": targets.slow_start_ms,
        "healthCheck": targets.health_check.as_ref().map(write_health_check),
        "outlierEjection": targets.outlier_ejection.as_ref().map(|ejection| json!({
            "consecutiveFailures": ejection.consecutive_failures,
            "ejectionMs": ejection.ejection_ms,
            "ejectionMsMax": ejection.ejection_ms_max,
            "ejectedPercentMax": ejection.ejected_percent_max,
        })),
        "panicThresholdPercent": targets.panic_threshold_percent,
        "retry": {
            "triesMax": targets.retry.tries_max,
            "tryTimeoutMs": targets.retry.try_timeout_ms,
            "budgetPercent": targets.retry.budget_percent,
            "retriesMin": targets.retry.retries_min,
            "statuses": targets.retry.statuses,
        },
        "circuitBreaker": {
            "connectionsMax": targets.circuit_breaker.connections_max,
            "pendingRequestsMax": targets.circuit_breaker.pending_requests_max,
            "requestsMax": targets.circuit_breaker.requests_max,
        },
        "protocolVersion": match targets.protocol_version {
            ProtocolVersion::Http1 => "HTTP1",
            ProtocolVersion::Http2 => "HTTP2",
            ProtocolVersion::Grpc => "GRPC",
        },
        "tls": {
            "serverName": targets.tls.server_name,
            "insecureSkipVerification": targets.tls.insecure_skip_verification,
            "caPem": targets.tls.ca_pem,
            "clientCertificate": targets.tls.client_certificate,
        },
    })
}

fn write_target(target: &Target) -> Value {
    let weight = target.weight;
    match &target.endpoint {
        Endpoint::Host { host, port } => json!({"host": host, "port": port, "weight": weight}),
        Endpoint::Srv { name } => json!({"srv": name, "weight": weight}),
        Endpoint::Unix { path } => json!({"unix": path, "weight": weight}),
    }
}

fn write_balancing(balancing: &Balancing) -> Value {
    match balancing {
        Balancing::RoundRobin => json!({"algorithm": "round_robin"}),
        Balancing::LeastRequest => json!({"algorithm": "least_request"}),
        Balancing::HashHeader(name) => json!({"algorithm": "hash_header", "header": name}),
        Balancing::HashSourceAddress => json!({"algorithm": "hash_source_address"}),
    }
}

fn write_health_check(check: &HealthCheck) -> Value {
    let mut written = json!({
        "port": check.port,
        "intervalMs": check.interval_ms,
        "timeoutMs": check.timeout_ms,
        "healthyThreshold": check.healthy_threshold,
        "unhealthyThreshold": check.unhealthy_threshold,
    });
    match &check.probe {
        Probe::Tcp => written["protocol"] = "TCP".into(),
        Probe::Http { path, host, status_min, status_max } => {
            written["protocol"] = "HTTP".into();
            written["path"] = path.as_str().into();
            written["host"] = host.as_deref().into();
            written["matcher"] = format!("{status_min}-{status_max}").into();
        }
    }
    written
}
