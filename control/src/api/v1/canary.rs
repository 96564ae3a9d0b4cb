//! `canarySettings`: what CreateStage, CreateDeployment and patches of a stage say of its canary. (AWS: set up a canary
//! release deployment; its errors as observed.)

use serde_json::{Value, json};

use super::super::call::compact;
use super::super::error::ApiError;
use super::super::members::Members;
use super::NAME_CHARS_MAX;
use super::patch::{Op, Patch};
use crate::change::View;
use crate::model::{Canary, RestDeployment, RestStage, check_variables};

/// Where a promotion copies from.
const DEPLOYMENT: &str = "/canarySettings/deploymentId";
const OVERRIDES: &str = "/canarySettings/stageVariableOverrides";

/// As a new stage has it: of the stage's own deployment, unless it names another.
pub(super) fn of_new_stage(members: &mut Members, deployment_id: &str) -> Result<Option<Canary>, ApiError> {
    let Some(mut settings) = members.object("canarySettings")? else { return Ok(None) };
    let named = settings.string("deploymentId", NAME_CHARS_MAX)?.filter(|id| !id.is_empty());
    let canary = take(settings, named.as_deref().unwrap_or(deployment_id))?;
    Ok(Some(canary))
}

/// What a deployment says of the canary that it becomes; its own id is put in once it has one.
pub(super) fn of_deployment(
    members: &mut Members,
    stage_name: Option<&String>,
) -> Result<Option<Canary>, ApiError> {
    let Some(settings) = members.object("canarySettings")? else { return Ok(None) };
    if stage_name.is_none_or(String::is_empty) {
        let provided = stage_name.map_or("null", String::as_str);
        return Err(ApiError::bad_request(format!(
            "Invalid deployment content specified.Non null and non empty stageName must be provided for canary \
             deployment. Provided value is {provided}"
        )));
    }
    take(settings, "").map(Some)
}

fn take(mut settings: Members, deployment_id: &str) -> Result<Canary, ApiError> {
    let new = Canary::of_deployment(deployment_id);
    let canary = Canary {
        percent_traffic: settings.number("percentTraffic")?.unwrap_or(new.percent_traffic),
        variables: settings.strings("stageVariableOverrides")?.unwrap_or_default(),
        use_stage_cache: settings.boolean("useStageCache")?.unwrap_or(false),
        ..new
    };
    settings.finish()?;
    Ok(canary)
}

/// The error for a canary that is deployed to a stage that isn't there.
pub(super) fn no_stage(name: &str) -> ApiError {
    ApiError::bad_request(format!(
        "Invalid deployment content specified.Stage {name} must already be created before making a canary release \
         deployment"
    ))
}

/// A stage with a canary takes no deployment that isn't one.
pub(super) fn check_free(stage: &RestStage) -> Result<(), ApiError> {
    match stage.canary {
        None => Ok(()),
        Some(_) => Err(ApiError::bad_request(format!(
            "Stage {} has a canary: deploy with canarySettings, or remove the canary first",
            stage.name
        ))),
    }
}

/// What has to hold of a stage's canary before it is kept.
pub(super) fn check(view: &View<'_>, api_id: &str, canary: &Canary) -> Result<(), ApiError> {
    if !(0.0..=100.0).contains(&canary.percent_traffic) {
        return Err(ApiError::bad_request(format!(
            "Invalid canary percentTraffic {}: it has to be from 0.0 to 100.0",
            canary.percent_traffic
        )));
    }
    if view.tx.part::<RestDeployment>(api_id, &canary.deployment_id)?.is_none() {
        return Err(ApiError::bad_request("Deployment id does not exist"));
    }
    check_variables(&canary.variables).map_err(ApiError::bad_request)
}

pub(super) fn answer(canary: &Canary) -> Value {
    compact(json!({
        "deploymentId": canary.deployment_id,
        "percentTraffic": canary.percent_traffic,
        "stageVariableOverrides": Some(&canary.variables).filter(|variables| !variables.is_empty()),
        "useStageCache": canary.use_stage_cache,
    }))
}

/// The canary that a patch sets something of; AWS makes one where there is none, of the stage's own deployment.
fn entry(stage: &mut RestStage) -> &mut Canary {
    stage.canary.get_or_insert_with(|| Canary::of_deployment(&stage.deployment_id))
}

/// `/canarySettings`
pub(super) fn remove(stage: &mut RestStage, _: &Patch) -> Result<(), ApiError> {
    stage.canary = None;
    Ok(())
}

/// `/canarySettings/percentTraffic`
pub(super) fn set_percent(stage: &mut RestStage, patch: &Patch) -> Result<(), ApiError> {
    let percent = patch.value()?.parse::<f64>().ok().filter(|percent| percent.is_finite());
    entry(stage).percent_traffic = percent.ok_or_else(|| {
        let path = patch.path();
        ApiError::bad_request(format!("{path} has to be a number from 0.0 to 100.0"))
    })?;
    Ok(())
}

/// `/canarySettings/deploymentId`
pub(super) fn set_deployment(stage: &mut RestStage, patch: &Patch) -> Result<(), ApiError> {
    entry(stage).deployment_id = patch.text(NAME_CHARS_MAX)?;
    Ok(())
}

/// `/canarySettings/useStageCache`
pub(super) fn set_use_of_cache(stage: &mut RestStage, patch: &Patch) -> Result<(), ApiError> {
    entry(stage).use_stage_cache = patch.boolean()?;
    Ok(())
}

/// `/canarySettings/stageVariableOverrides/{name}`
pub(super) fn set_variable(stage: &mut RestStage, patch: &Patch) -> Result<(), ApiError> {
    match patch.op {
        Op::Remove => {
            stage.canary.as_mut().map(|canary| canary.variables.remove(patch.name()));
        }
        _ => {
            let value = patch.value()?.to_owned();
            entry(stage).variables.insert(patch.name().to_owned(), value);
        }
    }
    Ok(())
}

/// `/deploymentId` and `/variables`, by a copy: what the canary has becomes the stage's; the canary stays.
pub(super) fn promote(stage: &mut RestStage, patch: &Patch) -> Result<(), ApiError> {
    let promoted = match (patch.path(), patch.from()) {
        ("/deploymentId", Some(DEPLOYMENT)) => Promoted::Deployment,
        ("/variables", Some(OVERRIDES)) => Promoted::Variables,
        _ => return Err(refuse_copy(patch)),
    };
    let canary = stage.canary.as_ref();
    let canary =
        canary.ok_or_else(|| ApiError::bad_request("Promotion not available. Canary does not exist."))?;
    match promoted {
        Promoted::Deployment => stage.deployment_id.clone_from(&canary.deployment_id),
        Promoted::Variables => stage.variables.extend(canary.variables.clone()),
    }
    Ok(())
}

enum Promoted {
    Deployment,
    Variables,
}

/// AWS's words.
pub(super) fn refuse_copy(patch: &Patch) -> ApiError {
    ApiError::bad_request(format!(
        "Invalid copy operation with path: {} and from {}. Valid copy:path are [/deploymentId, /variables] and valid \
         copy:from are [{DEPLOYMENT}, {OVERRIDES}]",
        patch.path(),
        patch.from().unwrap_or("null")
    ))
}
