//! A VPC link's or an integration's targets as the unit that gateways balance over.

use turnpike_snapshot::{
    Balancing, CircuitBreaker, Endpoint, HealthCheck, HttpVersion, Limits, OutlierEjection, Probe,
    RetryPolicy, SemanticError, Target, TargetGroupUnit, Unit, check_unit,
};

use super::{Reference, ReferenceKind};
use crate::model;

/// Who has the targets of a group.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GroupOwner {
    Link { id: String },
    Integration { api_id: String, integration_id: String },
}

impl GroupOwner {
    /// Names the group in the root; no other group has it, since ids have no slash.
    #[must_use]
    pub fn unit_id(&self) -> String {
        match self {
            Self::Link { id } => format!("vpclink/{id}"),
            Self::Integration { api_id, integration_id } => format!("integration/{api_id}/{integration_id}"),
        }
    }

    /// Whose group this is; `None` when it was named elsewhere.
    #[must_use]
    pub fn of_unit_id(unit_id: &str) -> Option<Self> {
        let fields: Vec<&str> = unit_id.split('/').collect();
        match &fields[..] {
            ["vpclink", id] => Some(Self::Link { id: (*id).to_owned() }),
            ["integration", api_id, integration_id] => Some(Self::Integration {
                api_id: (*api_id).to_owned(),
                integration_id: (*integration_id).to_owned(),
            }),
            _ => None,
        }
    }

    #[must_use]
    pub fn reference(&self, kind: ReferenceKind) -> Reference {
        Reference { kind, id: self.unit_id() }
    }
}

#[must_use]
pub fn target_group(owner: &GroupOwner, targets: &model::Targets) -> TargetGroupUnit {
    TargetGroupUnit {
        id: owner.unit_id(),
        targets: targets.targets.iter().map(target).collect(),
        balancing: balancing(&targets.balancing),
        slow_start_ms: targets.slow_start_ms,
        health_check: targets.health_check.as_ref().map(health_check),
        outlier_ejection: targets.outlier_ejection.as_ref().map(|ejection| OutlierEjection {
            consecutive_failures: ejection.consecutive_failures,
            ejection_ms: ejection.ejection_ms,
            ejection_ms_max: ejection.ejection_ms_max,
            ejected_percent_max: ejection.ejected_percent_max,
        }),
        panic_threshold_percent: targets.panic_threshold_percent,
        retry: RetryPolicy {
            tries_max: targets.retry.tries_max,
            try_timeout_ms: targets.retry.try_timeout_ms,
            budget_percent: targets.retry.budget_percent,
            retries_min: targets.retry.retries_min,
            statuses: targets.retry.statuses.clone(),
        },
        circuit_breaker: CircuitBreaker {
            connections_max: targets.circuit_breaker.connections_max,
            pending_requests_max: targets.circuit_breaker.pending_requests_max,
            requests_max: targets.circuit_breaker.requests_max,
        },
    }
}

/// Whether gateways would take these targets.
///
/// # Errors
/// What they would refuse, and which target it is about.
pub fn check_targets(targets: &model::Targets) -> Result<(), String> {
    let owner = GroupOwner::Link { id: "checked".to_owned() };
    let group = Unit::TargetGroup(target_group(&owner, targets));
    check_unit(&group, &Limits::default()).map_err(|error| describe(&error))
}

/// What is wrong with the document: the group has no name there, and its targets are members of a list.
fn describe(error: &SemanticError) -> String {
    let (_, place) = error.place.split_once(", ").unwrap_or(("", &error.place));
    match place.strip_prefix("target ").map(|target| target.split_once(", ").unwrap_or((target, ""))) {
        Some((at, _)) => format!("targets[{at}]: {}", error.problem),
        None => format!("{place}: {}", error.problem),
    }
}

pub(super) fn http_version(version: model::ProtocolVersion) -> HttpVersion {
    match version {
        model::ProtocolVersion::Http1 => HttpVersion::Http1,
        model::ProtocolVersion::Http2 | model::ProtocolVersion::Grpc => HttpVersion::Http2,
    }
}

fn target(target: &model::Target) -> Target {
    let endpoint = match &target.endpoint {
        model::Endpoint::Host { host, port } => Endpoint::Host { host: host.clone(), port: *port },
        model::Endpoint::Srv { name } => Endpoint::Srv { name: name.clone() },
        model::Endpoint::Unix { path } => Endpoint::Unix { path: path.clone() },
    };
    Target { endpoint, weight: target.weight }
}

fn balancing(balancing: &model::Balancing) -> Balancing {
    match balancing {
        model::Balancing::RoundRobin => Balancing::RoundRobin,
        model::Balancing::LeastRequest => Balancing::LeastRequest,
        model::Balancing::HashHeader(name) => Balancing::HashHeader { name: name.clone() },
        model::Balancing::HashSourceAddress => Balancing::HashSourceAddress,
    }
}

fn health_check(check: &model::HealthCheck) -> HealthCheck {
    let probe = match &check.probe {
        model::Probe::Tcp => Probe::Tcp,
        model::Probe::Http { path, host, status_min, status_max } => Probe::Http {
            path: path.clone(),
            host: host.clone(),
            status_min: *status_min,
            status_max: *status_max,
        },
    };
    HealthCheck {
        probe,
        port: check.port,
        interval_ms: check.interval_ms,
        timeout_ms: check.timeout_ms,
        healthy_threshold: check.healthy_threshold,
        unhealthy_threshold: check.unhealthy_threshold,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_read_back() {
        let integration =
            GroupOwner::Integration { api_id: "a1".to_owned(), integration_id: "r1-GET".to_owned() };
        for owner in [GroupOwner::Link { id: "l1".to_owned() }, integration] {
            assert_eq!(GroupOwner::of_unit_id(&owner.unit_id()), Some(owner));
        }
        for other in ["", "vpclink", "vpclink/a/b", "integration/a", "acm/x"] {
            assert_eq!(GroupOwner::of_unit_id(other), None, "{other}");
        }
    }

    /// What the documentation says of the defaults is what the contract takes.
    #[test]
    fn defaults_can_be_served() {
        let check = model::HealthCheck::of(model::Probe::Tcp);
        let targets = model::Targets {
            health_check: Some(check),
            outlier_ejection: Some(model::OutlierEjection::default()),
            ..model::Targets::default()
        };
        assert_eq!(check_targets(&targets), Ok(()));
    }
}
