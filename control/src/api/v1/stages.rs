//! `Stage`: create, get, list, delete.

use serde_json::{Value, json};

use super::super::call::{Call, compact};
use super::super::domains::mappings::check_unmapped;
use super::super::error::ApiError;
use super::super::members::Members;
use super::{DESCRIPTION_CHARS_MAX, NAME_CHARS_MAX, api, over_quota, part};
use crate::change::{Change, View};
use crate::model::{RestDeployment, RestStage, Tags, Variables, check_stage_name, check_variables};

const NOUN: &str = "stage";

pub(in super::super) fn create(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let mut members = call.members()?;
    let name = members.required("stageName", NAME_CHARS_MAX)?;
    let deployment_id = members.required("deploymentId", NAME_CHARS_MAX)?;
    let settings = StageMembers {
        description: members.string("description", DESCRIPTION_CHARS_MAX)?,
        variables: members.strings("variables")?,
        tags: members.tags()?.unwrap_or_default(),
    };
    members.unsupported(&["documentationVersion"])?;
    refuse_unsupported(&mut members)?;
    members.finish()?;
    if change.tx.part::<RestStage>(&api.id, &name)?.is_some() {
        return Err(ApiError::conflict("Stage already exists"));
    }
    part::<RestDeployment>(change, &api.id, &deployment_id, "Deployment")?;
    Ok(answer(&put(change, &api.id, name, deployment_id, settings)?))
}

pub(in super::super) fn get(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(view, call.parameter(0))?;
    Ok(answer(&part(view, &api.id, call.parameter(1), NOUN)?))
}

/// All of them, or those that serve one deployment; AWS has no pages here.
pub(in super::super) fn list(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(view, call.parameter(0))?;
    let deployment = call.query_value("deploymentId")?;
    let mut stages: Vec<RestStage> = view.tx.parts(&api.id)?;
    stages.retain(|stage| deployment.as_ref().is_none_or(|id| stage.deployment_id == *id));
    Ok(json!({"item": stages.iter().map(answer).collect::<Vec<_>>()}))
}

pub(in super::super) fn delete(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let stage: RestStage = part(change, &api.id, call.parameter(1), NOUN)?;
    check_unmapped(change, &api.id, Some(&stage.name))?;
    change.tx.delete_part::<RestStage>(&api.id, &stage.name)?;
    change.recompile(&api.id, &stage.name);
    Ok(Value::Null)
}

/// What making a stage and deploying to one have in common.
pub(super) struct StageMembers {
    /// `None` keeps an existing stage's.
    pub(super) description: Option<String>,
    /// `None` keeps an existing stage's.
    pub(super) variables: Option<Variables>,
    /// Of a new stage; an existing one keeps its own.
    pub(super) tags: Tags,
}

/// Makes the stage, or points the one of that name at the deployment.
pub(super) fn put(
    change: &mut Change<'_>,
    api_id: &str,
    name: String,
    deployment_id: String,
    settings: StageMembers,
) -> Result<RestStage, ApiError> {
    check_stage_name(&name).map_err(ApiError::bad_request)?;
    let before = change.tx.part::<RestStage>(api_id, &name)?;
    if before.is_none() {
        check_quota(change, api_id)?;
    }
    let (description, variables, tags, created_at_s) = match before {
        Some(stage) => (stage.description, stage.variables, stage.tags, stage.created_at_s),
        None => (None, Variables::new(), settings.tags, change.now_s),
    };
    let stage = RestStage {
        name,
        deployment_id,
        description: settings.description.or(description),
        variables: settings.variables.unwrap_or(variables),
        tags,
        created_at_s,
        updated_at_s: change.now_s,
    };
    check_variables(&stage.variables).map_err(ApiError::bad_request)?;
    change.tx.put_part(api_id, &stage)?;
    change.recompile(api_id, &stage.name);
    Ok(stage)
}

fn check_quota(view: &View<'_>, api_id: &str) -> Result<(), ApiError> {
    let max = view.settings.quotas.stages_per_api_max;
    if view.tx.part_count::<RestStage>(api_id)? < max {
        return Ok(());
    }
    Err(over_quota(max, "stages in the API", "stages_per_api_max"))
}

pub(super) fn refuse_unsupported(members: &mut Members) -> Result<(), ApiError> {
    members.unsupported(&["cacheClusterEnabled", "cacheClusterSize", "canarySettings", "tracingEnabled"])
}

fn answer(stage: &RestStage) -> Value {
    compact(json!({
        "cacheClusterEnabled": false,
        "cacheClusterStatus": "NOT_AVAILABLE",
        "createdDate": stage.created_at_s,
        "deploymentId": stage.deployment_id,
        "description": stage.description,
        "lastUpdatedDate": stage.updated_at_s,
        "methodSettings": {},
        "stageName": stage.name,
        "tags": stage.tags,
        "tracingEnabled": false,
        "variables": if stage.variables.is_empty() { Value::Null } else { json!(stage.variables) },
    }))
}
