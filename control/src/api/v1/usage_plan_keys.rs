//! `UsagePlanKey`: puts an API key into a usage plan, shows it there, takes it out.

use serde_json::{Value, json};

use super::super::call::{Call, compact, page_answer};
use super::super::error::ApiError;
use super::{NAME_CHARS_MAX, PAGING, api_keys, over_quota, page_where, usage_plans};
use crate::change::{Change, View};
use crate::model::{ApiKey, PlanStage, UsagePlan, UsagePlanKey};

/// The only type that there is.
const API_KEY: &str = "API_KEY";

/// What it is to add a key that is in the plan already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    Conflict,
    Fine,
}

pub(in super::super) fn create(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let plan = usage_plans::plan(change, call.parameter(0))?;
    let mut members = call.members()?;
    let key_id = members.required("keyId", NAME_CHARS_MAX)?;
    let key_type = members.required("keyType", NAME_CHARS_MAX)?;
    members.finish()?;
    if key_type != API_KEY {
        return Err(ApiError::bad_request(format!("keyType has to be {API_KEY}, not '{key_type}'")));
    }
    let key = api_keys::key(change, &key_id)?;
    add(change, &plan.id, &key, Again::Conflict)?;
    answer(change, &key)
}

pub(in super::super) fn get(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    let plan = usage_plans::plan(view, call.parameter(0))?;
    let (key, _) = in_plan(view, &plan, call.parameter(1))?;
    answer(view, &key)
}

pub(in super::super) fn list(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    let plan = usage_plans::plan(view, call.parameter(0))?;
    let paging = call.paging(&PAGING)?;
    let name = call.query_value("name")?;
    // A key isn't deleted without those that are in plans: all of these have one.
    let named = |in_plan: &UsagePlanKey| match (&name, view.tx.entity::<ApiKey>("", &in_plan.key_id)) {
        (None, _) | (_, Err(_)) => true,
        (_, Ok(key)) => api_keys::begins(key.as_ref().and_then(|key| key.name.as_deref()), name.as_deref()),
    };
    let page = page_where(view, &plan.id, &paging, named)?;
    let keys: Vec<ApiKey> =
        page.items.iter().map(|in_plan| api_keys::key(view, &in_plan.key_id)).collect::<Result<_, _>>()?;
    let mut answers = page_answer(&page, &PAGING, |_| Value::Null);
    answers[PAGING.items] = keys.iter().map(|key| answer(view, key)).collect::<Result<_, _>>()?;
    Ok(answers)
}

pub(in super::super) fn delete(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let plan = usage_plans::plan(change, call.parameter(0))?;
    let (key, _) = in_plan(change, &plan, call.parameter(1))?;
    change.tx.delete_entity::<UsagePlanKey>(&plan.id, &key.id)?;
    change.recompile_key(&key)?;
    Ok(Value::Null)
}

/// Puts the key into the plan.
///
/// # Errors
/// When another plan of a stage has the key, or the key is in too many plans.
pub(super) fn add(
    change: &mut Change<'_>,
    plan_id: &str,
    key: &ApiKey,
    again: Again,
) -> Result<(), ApiError> {
    let plan = usage_plans::plan(change, plan_id)?;
    if change.tx.entity::<UsagePlanKey>(&plan.id, &key.id)?.is_some() {
        return match again {
            Again::Fine => Ok(()),
            Again::Conflict => {
                Err(ApiError::conflict(format!("API Key {} is already in Usage Plan {}", key.id, plan.id)))
            }
        };
    }
    let max = change.settings.quotas.usage_plans_per_api_key_max;
    if change.tx.entities_using::<UsagePlanKey>(&key.id)?.len() >= max {
        return Err(over_quota(max, "usage plans of the API key", "usage_plans_per_api_key_max"));
    }
    check_alone(change, &plan.id, &plan.stages, &key.id)?;
    let in_plan = UsagePlanKey { plan_id: plan.id, key_id: key.id.clone(), granted: None };
    change.tx.put_entity(&in_plan)?;
    Ok(change.recompile_key(key)?)
}

/// Refuses that a key is in this plan and another one of one of these stages: nobody could say which counts.
///
/// # Errors
/// Names the stage, as AWS does.
fn check_alone(view: &View<'_>, plan_id: &str, stages: &[PlanStage], key_id: &str) -> Result<(), ApiError> {
    for other in view.tx.entities_using::<UsagePlanKey>(key_id)? {
        if other.plan_id == plan_id {
            continue;
        }
        let other: UsagePlan = usage_plans::plan(view, &other.plan_id)?;
        let shared = stages.iter().find(|stage| other.stage(&stage.api_id, &stage.stage).is_some());
        if let Some(stage) = shared {
            return Err(not_alone(plan_id, key_id, stage));
        }
    }
    Ok(())
}

/// The error for a key that is in this plan and another one of the stage.
pub(super) fn not_alone(plan_id: &str, key_id: &str, stage: &PlanStage) -> ApiError {
    ApiError::conflict(format!(
        "Usage Plan {plan_id} cannot be added because API Key {key_id} cannot reference multiple Usage Plans with the \
         same API Stage: {}",
        stage.key()
    ))
}

/// A key that is known to exist and to be in the plan.
pub(super) fn in_plan(
    view: &View<'_>,
    plan: &UsagePlan,
    key_id: &str,
) -> Result<(ApiKey, UsagePlanKey), ApiError> {
    let key = api_keys::key(view, key_id)?;
    match view.tx.entity(&plan.id, &key.id)? {
        Some(in_plan) => Ok((key, in_plan)),
        None => Err(ApiError::not_found("Invalid Usage Plan Key identifier specified")),
    }
}

fn answer(view: &View<'_>, key: &ApiKey) -> Result<Value, ApiError> {
    let value = api_keys::value(view, key)?;
    Ok(compact(json!({"id": key.id, "name": key.name, "type": API_KEY, "value": value})))
}
