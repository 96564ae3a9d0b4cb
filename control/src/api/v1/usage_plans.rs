//! `UsagePlan`: create, get, list, update, delete.

mod changes;

use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value, json};

use super::super::call::{Call, compact, page_answer};
use super::super::error::ApiError;
use super::super::members::Members;
use super::patch;
use super::{
    DESCRIPTION_CHARS_MAX, NAME_CHARS_MAX, PAGING, api_keys, over_quota, page_where, usage_plan_keys,
};
use crate::change::{Change, View};
use crate::model::{
    HttpStage, Period, PlanQuota, PlanStage, RestStage, Throttle, UsagePlan, UsagePlanKey, method_key,
};

use changes::{CHANGES, Draft};

const ID_LEN: usize = 6;
/// The largest of AWS's integers.
const INTEGER_MAX: u32 = i32::MAX.unsigned_abs();

pub(in super::super) fn create(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let mut members = call.members()?;
    let name = members.required("name", NAME_CHARS_MAX)?;
    let description = members.string("description", DESCRIPTION_CHARS_MAX)?;
    let stages = take_stages(&mut members)?;
    let throttle = members.object("throttle")?.map(take_throttle).transpose()?;
    let quota = members.object("quota")?.map(take_quota).transpose()?;
    let tags = members.tags()?.unwrap_or_default();
    members.finish()?;
    let max = change.settings.quotas.usage_plans_max;
    if change.tx.entity_count::<UsagePlan>("")? >= max {
        return Err(over_quota(max, "usage plans", "usage_plans_max"));
    }
    let id = change.new_entity_id::<UsagePlan>(ID_LEN)?;
    let mut plan = UsagePlan {
        id,
        name,
        description,
        stages: Vec::new(),
        throttle,
        partition: None,
        quota,
        product_code: None,
        tags,
    };
    for stage in stages {
        add_stage(change, &Rivals::default(), &mut plan, stage)?;
    }
    put(change, &plan)?;
    Ok(answer(&plan))
}

pub(in super::super) fn get(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    Ok(answer(&plan(view, call.parameter(0))?))
}

/// All of them, or those that one key is in.
pub(in super::super) fn list(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    let paging = call.paging(&PAGING)?;
    let of_key = match call.query_value("keyId")? {
        None => None,
        Some(key_id) => Some(view.tx.entities_using::<UsagePlanKey>(&key_id)?),
    };
    let page = page_where(view, "", &paging, |plan: &UsagePlan| {
        of_key.as_ref().is_none_or(|keys| keys.iter().any(|key| key.plan_id == plan.id))
    })?;
    Ok(page_answer(&page, &PAGING, answer))
}

pub(in super::super) fn update(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let before = plan(change, call.parameter(0))?;
    let mut draft = Draft::of(before.clone());
    patch::apply(&CHANGES, &mut draft, call.members()?, |draft| answer(&draft.plan))?;
    let mut plan = draft.finish()?;
    // What the patch left of the stages stays; what it brought is looked at, one by one.
    let wanted = std::mem::take(&mut plan.stages);
    let rivals = Rivals::of(change, &plan.id, &wanted)?;
    for stage in wanted {
        match before.stage(&stage.api_id, &stage.stage) {
            Some(_) => plan.stages.push(stage),
            None => add_stage(change, &rivals, &mut plan, stage)?,
        }
    }
    put(change, &plan)?;
    Ok(answer(&plan))
}

/// With its keys in it, but not while it has stages, as in AWS.
pub(in super::super) fn delete(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let plan = plan(change, call.parameter(0))?;
    if let Some(stage) = plan.stages.first() {
        return Err(ApiError::bad_request(format!(
            "Cannot delete Usage Plan {} because there are API Stages associated with it, including {}",
            plan.id,
            stage.key()
        )));
    }
    for in_plan in change.tx.entities_of::<UsagePlanKey>(&plan.id)? {
        let key = api_keys::key(change, &in_plan.key_id)?;
        change.recompile_key(&key)?;
    }
    change.tx.delete_entities_of::<UsagePlanKey>(&plan.id)?;
    change.tx.delete_entity::<UsagePlan>("", &plan.id)?;
    change.recompile_plan(&plan.id);
    Ok(Value::Null)
}

/// One that is known to exist.
pub(in super::super) fn plan(view: &View<'_>, id: &str) -> Result<UsagePlan, ApiError> {
    let plan = view.tx.entity("", id)?;
    plan.ok_or_else(|| ApiError::not_found("Invalid Usage Plan ID specified"))
}

/// The keys of a plan, and the other plans that have stages which it is to have; a new plan has no keys.
#[derive(Default)]
struct Rivals {
    keys: HashSet<String>,
    /// With the keys in them.
    plans: Vec<(UsagePlan, Vec<UsagePlanKey>)>,
}

impl Rivals {
    fn of(view: &View<'_>, plan_id: &str, wanted: &[PlanStage]) -> Result<Self, ApiError> {
        let keys = view.tx.entities_of::<UsagePlanKey>(plan_id)?;
        let keys: HashSet<String> = keys.into_iter().map(|key| key.key_id).collect();
        let mut plans = Vec::new();
        for plan in view.tx.entities::<UsagePlan>()? {
            let shares = wanted.iter().any(|stage| plan.stage(&stage.api_id, &stage.stage).is_some());
            if plan.id != plan_id && shares {
                let theirs = view.tx.entities_of(&plan.id)?;
                plans.push((plan, theirs));
            }
        }
        Ok(Self { keys, plans })
    }

    /// A key that is in this plan and in another one of the stage.
    fn shared_key(&self, stage: &PlanStage) -> Option<&str> {
        let of_stage =
            self.plans.iter().filter(|(plan, _)| plan.stage(&stage.api_id, &stage.stage).is_some());
        let mut keys = of_stage.flat_map(|(_, keys)| keys).map(|key| key.key_id.as_str());
        keys.find(|key| self.keys.contains(*key))
    }
}

/// Adds a stage that exists and is in no other plan of the keys in this one.
fn add_stage(
    view: &View<'_>,
    rivals: &Rivals,
    plan: &mut UsagePlan,
    stage: PlanStage,
) -> Result<(), ApiError> {
    if !is_there(view, &stage)? {
        return Err(ApiError::not_found(format!("API Stage not found: {}", stage.key())));
    }
    if plan.stage(&stage.api_id, &stage.stage).is_some() {
        return Err(ApiError::conflict(format!(
            "API Stage {} is already in usage plan {}",
            stage.key(),
            plan.id
        )));
    }
    let max = view.settings.quotas.stages_per_usage_plan_max;
    if plan.stages.len() >= max {
        return Err(over_quota(max, "stages in the usage plan", "stages_per_usage_plan_max"));
    }
    if let Some(key_id) = rivals.shared_key(&stage) {
        return Err(usage_plan_keys::not_alone(&plan.id, key_id, &stage));
    }
    plan.stages.push(stage);
    Ok(())
}

/// Whether it is a stage of an API. AWS takes those of REST and WebSocket APIs alone; here HTTP APIs' routes can ask for
/// a key too.
fn is_there(view: &View<'_>, stage: &PlanStage) -> Result<bool, ApiError> {
    if view.tx.part::<RestStage>(&stage.api_id, &stage.stage)?.is_some() {
        return Ok(true);
    }
    Ok(view.tx.part::<HttpStage>(&stage.api_id, &stage.stage)?.is_some())
}

/// Keeps a plan whose quota and numbers fit.
fn put(change: &mut Change<'_>, plan: &UsagePlan) -> Result<(), ApiError> {
    if let Some(quota) = &plan.quota {
        quota.check().map_err(ApiError::bad_request)?;
    }
    let max = change.settings.quotas.throttled_methods_per_usage_plan_stage_max;
    if plan.stages.iter().any(|stage| stage.throttle.len() > max) {
        let setting = "throttled_methods_per_usage_plan_stage_max";
        return Err(over_quota(max, "throttled methods of the stage in the usage plan", setting));
    }
    change.tx.put_entity(plan)?;
    change.recompile_plan(&plan.id);
    Ok(())
}

fn take_stages(members: &mut Members) -> Result<Vec<PlanStage>, ApiError> {
    let stages = members.objects("apiStages")?.unwrap_or_default().into_iter();
    stages.map(take_stage).collect()
}

fn take_stage(mut members: Members) -> Result<PlanStage, ApiError> {
    let api_id = members.required("apiId", NAME_CHARS_MAX)?;
    let stage = members.required("stage", NAME_CHARS_MAX)?;
    let mut throttle = BTreeMap::new();
    if let Some(mut by_method) = members.object("throttle")? {
        for key in by_method.names() {
            let (path, method) = key.rsplit_once('/').unwrap_or((&key, ""));
            let checked = method_key(path, method).map_err(ApiError::bad_request)?;
            let settings = by_method.object(&key)?.map(take_throttle).transpose()?;
            throttle.insert(checked, settings.unwrap_or_default());
        }
        by_method.finish()?;
    }
    members.finish()?;
    Ok(PlanStage { api_id, stage, throttle })
}

fn take_throttle(mut members: Members) -> Result<Throttle, ApiError> {
    let throttle = Throttle {
        rate_per_s: members.number("rateLimit")?.unwrap_or_default(),
        burst_requests: members.integer("burstLimit", 0..=INTEGER_MAX)?.unwrap_or_default(),
    };
    members.finish()?;
    Ok(throttle)
}

fn take_quota(mut members: Members) -> Result<PlanQuota, ApiError> {
    let requests = members.integer("limit", 0..=INTEGER_MAX)?;
    let offset_days = members.integer("offset", 0..=INTEGER_MAX)?.unwrap_or_default();
    let period = members.required("period", NAME_CHARS_MAX)?;
    members.finish()?;
    Ok(PlanQuota {
        requests: requests.ok_or_else(|| ApiError::bad_request("quota.limit is required"))?,
        offset_days,
        period: Period::parse(&period).map_err(ApiError::bad_request)?,
    })
}

fn answer(plan: &UsagePlan) -> Value {
    compact(json!({
        "apiStages": plan.stages.iter().map(stage_answer).collect::<Vec<_>>(),
        "description": plan.description,
        "id": plan.id,
        "name": plan.name,
        "productCode": plan.product_code,
        "quota": plan.quota.as_ref().map(|quota| json!({
            "limit": quota.requests,
            "offset": quota.offset_days,
            "period": quota.period.as_str(),
        })),
        "tags": plan.tags,
        "throttle": plan.throttle.as_ref().map(throttle_answer),
    }))
}

fn stage_answer(stage: &PlanStage) -> Value {
    let throttle: Map<String, Value> =
        stage.throttle.iter().map(|(method, throttle)| (method.clone(), throttle_answer(throttle))).collect();
    compact(json!({
        "apiId": stage.api_id,
        "stage": stage.stage,
        "throttle": (!throttle.is_empty()).then_some(throttle),
    }))
}

fn throttle_answer(throttle: &Throttle) -> Value {
    json!({"burstLimit": throttle.burst_requests, "rateLimit": throttle.rate_per_s})
}
