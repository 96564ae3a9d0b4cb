//! `Stage`: create, get, list, update, delete.

use serde_json::{Value, json};

use super::super::call::{Call, compact};
use super::super::domains::mappings::check_unmapped;
use super::super::error::ApiError;
use super::super::members::Members;
use super::patch::{self, Op, Patch};
use super::{DESCRIPTION_CHARS_MAX, NAME_CHARS_MAX, api, client_certificates, over_quota, part};
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
        client_certificate_id: take_client_certificate(change, &mut members)?,
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

/// What AWS lets a patch change of a stage, as far as this version has it.
const PATCHED: [&str; 4] = ["/clientCertificateId", "/deploymentId", "/description", "/variables/<name>"];

pub(in super::super) fn update(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let mut stage: RestStage = part(change, &api.id, call.parameter(1), NOUN)?;
    for patch in patch::take(call.members()?)? {
        apply(change, &api.id, &mut stage, patch)?;
    }
    check_variables(&stage.variables).map_err(ApiError::bad_request)?;
    stage.updated_at_s = change.now_s;
    change.tx.put_part(&api.id, &stage)?;
    change.recompile(&api.id, &stage.name);
    Ok(answer(&stage))
}

fn apply(view: &View<'_>, api_id: &str, stage: &mut RestStage, patch: Patch) -> Result<(), ApiError> {
    let Patch { op, path, value } = &patch;
    match (op, path.as_str()) {
        (Op::Set, "/description") => stage.description = Some(value.clone()),
        (Op::Remove, "/description") => stage.description = None,
        (Op::Set, "/deploymentId") => {
            stage.deployment_id = part::<RestDeployment>(view, api_id, value, "Deployment")?.id;
        }
        (Op::Set, "/clientCertificateId") if !value.is_empty() => {
            stage.client_certificate_id = Some(client_certificates::certificate(view, value)?.id);
        }
        (Op::Set | Op::Remove, "/clientCertificateId") => stage.client_certificate_id = None,
        _ => {
            let name = patch.below("/variables/").ok_or_else(|| patch.refused(&PATCHED))?;
            match op {
                Op::Set => stage.variables.insert(name, value.clone()),
                Op::Remove => stage.variables.remove(&name),
            };
        }
    }
    Ok(())
}

/// AWS sets it by a patch only; here a new stage can have it at once.
fn take_client_certificate(view: &View<'_>, members: &mut Members) -> Result<Option<String>, ApiError> {
    let id = members.string("clientCertificateId", NAME_CHARS_MAX)?.filter(|id| !id.is_empty());
    id.map(|id| Ok(client_certificates::certificate(view, &id)?.id)).transpose()
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
    /// `None` keeps an existing stage's.
    pub(super) client_certificate_id: Option<String>,
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
    let (description, variables, certificate, tags, created_at_s) = match before {
        Some(stage) => {
            let certificate = stage.client_certificate_id;
            (stage.description, stage.variables, certificate, stage.tags, stage.created_at_s)
        }
        None => (None, Variables::new(), None, settings.tags, change.now_s),
    };
    let stage = RestStage {
        name,
        deployment_id,
        description: settings.description.or(description),
        variables: settings.variables.unwrap_or(variables),
        client_certificate_id: settings.client_certificate_id.or(certificate),
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
        "clientCertificateId": stage.client_certificate_id,
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
