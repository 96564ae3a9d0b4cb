//! Checks of usage plans, API keys and throttles.

use std::collections::HashSet;

use super::{Checked, Problem, count, path, path_parts, text, within, wrong};
use crate::limits::Limits;
use crate::unit::{ApiKey, ApiKeysUnit, PlanRoute, PlanStage, Quota, QuotaPeriod, Throttle, UsagePlanUnit};

/// A billion requests a second: more than any host serves, and far from where sums of tokens overflow.
const REQUESTS_PER_1000_S_MAX: u64 = 1_000_000_000_000;

pub(super) fn check(plan: &UsagePlanUnit, limits: &Limits) -> Checked {
    text::id("usage plan id", &plan.id, limits.id_bytes_max)?;
    check_plan(plan, limits).map_err(|e| e.within(&format!("usage plan {}", plan.id)))
}

fn check_plan(plan: &UsagePlanUnit, limits: &Limits) -> Checked {
    plan.throttle.as_ref().map_or(Ok(()), check_throttle)?;
    plan.quota.as_ref().map_or(Ok(()), check_quota)?;
    count("stages", plan.stages.len(), limits.stages_per_plan_max)?;
    let mut seen = HashSet::with_capacity(plan.stages.len());
    for stage in &plan.stages {
        let place = format!("stage {} of api {}", stage.stage, stage.api_id);
        if !seen.insert((&stage.api_id, &stage.stage)) {
            return Err(wrong("stages", Problem::Duplicate { found: place }));
        }
        check_stage(stage, limits).map_err(|e| e.within(&place))?;
    }
    Ok(())
}

fn check_stage(stage: &PlanStage, limits: &Limits) -> Checked {
    text::api_id("api id", &stage.api_id)?;
    if stage.stage != "$default" {
        text::stage("stage name", &stage.stage)?;
    }
    count("routes", stage.routes.len(), limits.routes_per_plan_stage_max)?;
    let mut seen = HashSet::with_capacity(stage.routes.len());
    for route in &stage.routes {
        let place = format!("{} {}", route.method, route.path);
        if !seen.insert((&route.method, &route.path)) {
            return Err(wrong("routes", Problem::Duplicate { found: place }));
        }
        check_route(route, limits).map_err(|e| e.within(&place))?;
    }
    Ok(())
}

fn check_route(route: &PlanRoute, limits: &Limits) -> Checked {
    text::method("method", &route.method)?;
    if route.path != "$default" {
        path::check(&route.path, &path_parts(&route.path)?, limits)?;
    }
    check_throttle(&route.throttle)
}

pub(super) fn check_throttle(throttle: &Throttle) -> Checked {
    let (found, max) = (throttle.requests_per_1000_s, REQUESTS_PER_1000_S_MAX);
    if found <= max { Ok(()) } else { Err(wrong("throttle", Problem::TooFast { found, max })) }
}

fn check_quota(quota: &Quota) -> Checked {
    let max = match quota.period {
        QuotaPeriod::Day => 0,
        QuotaPeriod::Week => 6,
        QuotaPeriod::Month => 27,
    };
    within("quota's offset in days", quota.offset_days.into(), 0, max)
}

/// In the order of their digests and each in its slice: so no two keys of a snapshot have one value.
pub(super) fn check_keys(unit: &ApiKeysUnit, limits: &Limits) -> Checked {
    if unit.slices == 0 {
        return Err(wrong("slices of API keys", Problem::Zero));
    }
    within("slice of API keys", unit.slice, 0, unit.slices - 1)?;
    check_slice(unit, limits).map_err(|e| e.within(&format!("slice {} of the API keys", unit.slice)))
}

fn check_slice(unit: &ApiKeysUnit, limits: &Limits) -> Checked {
    count("keys", unit.keys.len(), limits.keys_per_slice_max)?;
    // Each is a unit of the snapshot.
    count("usage plans", unit.plans.len(), limits.units_max)?;
    let mut plans = HashSet::with_capacity(unit.plans.len());
    for plan in &unit.plans {
        text::id("usage plan id", plan, limits.id_bytes_max)?;
        if !plans.insert(plan) {
            return Err(wrong("usage plans", Problem::Duplicate { found: plan.clone() }));
        }
    }
    if !unit.keys.is_sorted_by(|one, next| one.value_sha256 < next.value_sha256) {
        return Err(wrong("keys", Problem::OutOfOrder));
    }
    unit.keys.iter().try_for_each(|key| {
        check_key(key, unit, limits).map_err(|e| e.within(&format!("API key {}", key.id)))
    })
}

fn check_key(key: &ApiKey, unit: &ApiKeysUnit, limits: &Limits) -> Checked {
    text::id("id", &key.id, limits.id_bytes_max)?;
    let expected = ApiKey::slice_of(&key.value_sha256, unit.slices);
    if expected != unit.slice {
        return Err(wrong("digest", Problem::OtherSlice { found: unit.slice, expected }));
    }
    count("usage plans", key.plans.len(), limits.plans_per_key_max)?;
    match key.plans.iter().find(|plan| **plan as usize >= unit.plans.len()) {
        Some(found) => {
            Err(wrong("usage plan", Problem::PlanOutOfRange { found: *found, len: unit.plans.len() }))
        }
        None => Ok(()),
    }
}
