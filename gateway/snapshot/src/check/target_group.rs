//! Checks of a target group.

use std::collections::HashMap;

use super::{Checked, Problem, count, text, time, time_or_none, within, wrong};
use crate::limits::Limits;
use crate::unit::{
    Balancing, Endpoint, HealthCheck, OutlierEjection, Probe, RetryPolicy, Target, TargetGroupUnit,
};

const WEIGHT_MAX: u32 = 1_000;
/// Arbitrary: each further one keeps the client waiting.
const TRIES_MAX: u32 = 10;
/// `sun_path` holds 108 bytes, the final NUL among them.
const UNIX_PATH_BYTES_MAX: usize = 107;

pub(super) fn check(group: &TargetGroupUnit, limits: &Limits) -> Checked {
    text::id("target group id", &group.id, limits.id_bytes_max)?;
    check_group(group, limits).map_err(|e| e.within(&format!("target group {}", group.id)))
}

fn check_group(group: &TargetGroupUnit, limits: &Limits) -> Checked {
    count("targets", group.targets.len(), limits.targets_per_group_max)?;
    let mut seen = HashMap::with_capacity(group.targets.len());
    for (index, target) in group.targets.iter().enumerate() {
        let place = || format!("target {index}");
        check_target(target).map_err(|e| e.within(&place()))?;
        if let Some(other) = seen.insert(&target.endpoint, index) {
            return Err(wrong(place(), Problem::DuplicateTarget { other }));
        }
    }
    if let Balancing::HashHeader { name } = &group.balancing {
        text::field_name("balancing header", name)?;
    }
    within("panic threshold in percent", u32::from(group.panic_threshold_percent), 0, 100)?;
    time_or_none("slow start", group.slow_start_ms, limits.timeout_ms_max)?;
    group.health_check.as_ref().map_or(Ok(()), |check| check_health_check(check, limits))?;
    group.outlier_ejection.as_ref().map_or(Ok(()), check_outlier_ejection)?;
    check_retry(&group.retry, limits)
}

fn check_target(target: &Target) -> Checked {
    within("weight", target.weight, 1, WEIGHT_MAX)?;
    match &target.endpoint {
        Endpoint::Host { port: 0, .. } => Err(wrong("port", Problem::Zero)),
        Endpoint::Host { host, .. } => text::host("host", host),
        Endpoint::Srv { name } => text::dns_name("SRV name", &name.to_ascii_lowercase()),
        Endpoint::Unix { path } => text::unix_path("Unix socket", path, UNIX_PATH_BYTES_MAX),
    }
}

fn check_health_check(check: &HealthCheck, limits: &Limits) -> Checked {
    if check.port == Some(0) {
        return Err(wrong("health check port", Problem::Zero));
    }
    time("health check interval", check.interval_ms, limits.timeout_ms_max)?;
    time("health check timeout", check.timeout_ms, limits.timeout_ms_max)?;
    within("healthy threshold", check.healthy_threshold, 1, u32::MAX)?;
    within("unhealthy threshold", check.unhealthy_threshold, 1, u32::MAX)?;
    let Probe::Http { path, host, status_min, status_max } = &check.probe else { return Ok(()) };
    text::probe_path("health check path", path)?;
    host.as_ref().map_or(Ok(()), |host| text::host("health check host", host))?;
    within("health check status", u32::from(*status_min), 100, u32::from(*status_max))?;
    within("health check status", u32::from(*status_max), 100, 599)
}

fn check_outlier_ejection(ejection: &OutlierEjection) -> Checked {
    within("consecutive failures", ejection.consecutive_failures, 1, u32::MAX)?;
    within("ejection time in ms", ejection.ejection_ms, 1, ejection.ejection_ms_max)?;
    within("share that is ejected in percent", u32::from(ejection.ejected_percent_max), 0, 100)
}

fn check_retry(retry: &RetryPolicy, limits: &Limits) -> Checked {
    within("tries", retry.tries_max, 1, TRIES_MAX)?;
    time_or_none("try timeout", retry.try_timeout_ms, limits.timeout_ms_max)?;
    within("retry budget in percent", retry.budget_percent, 0, 100)?;
    retry.statuses.iter().try_for_each(|status| within("retried status", u32::from(*status), 502, 504))
}
