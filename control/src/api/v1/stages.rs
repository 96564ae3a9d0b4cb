//! `Stage`: create, get, list, update, delete.

use serde_json::{Value, json};

use super::super::call::{Call, compact};
use super::super::domains::mappings::check_unmapped;
use super::super::error::ApiError;
use super::super::members::Members;
use super::references::check_documentation_version;
use super::stage_settings::{self, PATCHES, check_access_log};
use super::{
    DESCRIPTION_CHARS_MAX, NAME_CHARS_MAX, api, canary, client_certificates, over_quota, part, patch,
};
use crate::change::{Change, View};
use crate::model::{Canary, RestDeployment, RestStage, Tags, Variables, check_stage_name, check_variables};

const NOUN: &str = "stage";
/// In GB, as AWS sells them.
pub(super) const CACHE_CLUSTER_SIZES: [&str; 8] = ["0.5", "1.6", "6.1", "13.5", "28.4", "58.2", "118", "237"];

pub(in super::super) fn create(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let mut members = call.members()?;
    let name = members.required("stageName", NAME_CHARS_MAX)?;
    let deployment_id = members.required("deploymentId", NAME_CHARS_MAX)?;
    let wishes = StageWishes {
        canary: canary::of_new_stage(&mut members, &deployment_id)?,
        client_certificate_id: take_client_certificate(change, &mut members)?,
        documentation_version: members.string("documentationVersion", NAME_CHARS_MAX)?,
        tags: members.tags()?.unwrap_or_default(),
        ..StageWishes::take(&mut members, "createStageInput", "description")?
    };
    members.finish()?;
    if change.tx.part::<RestStage>(&api.id, &name)?.is_some() {
        return Err(ApiError::conflict("Stage already exists"));
    }
    Ok(answer(&put(change, &api.id, name, deployment_id, wishes)?))
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

pub(in super::super) fn update(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let mut stage: RestStage = part(change, &api.id, call.parameter(1), NOUN)?;
    patch::apply(&PATCHES, &mut stage, call.members()?, stage_settings::shown)?;
    stage.updated_at_s = change.now_s;
    keep(change, &api.id, &stage)?;
    Ok(answer(&stage))
}

pub(in super::super) fn delete(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let stage: RestStage = part(change, &api.id, call.parameter(1), NOUN)?;
    check_unmapped(change, &api.id, Some(&stage.name))?;
    change.tx.delete_part::<RestStage>(&api.id, &stage.name)?;
    change.forget_stage(&api.id, Some(&stage.name))?;
    change.recompile(&api.id, &stage.name);
    Ok(Value::Null)
}

/// What making a stage and deploying to one say of it. What they leave out stays, or has a default.
#[derive(Default)]
pub(super) struct StageWishes {
    description: Option<String>,
    variables: Option<Variables>,
    cache_cluster_enabled: Option<bool>,
    cache_cluster_size: Option<String>,
    tracing_enabled: Option<bool>,
    client_certificate_id: Option<String>,
    documentation_version: Option<String>,
    canary: Option<Canary>,
    /// Of a new stage; an existing one keeps its own.
    tags: Tags,
}

impl StageWishes {
    /// What both can say; `input` is AWS's name of the call's input.
    pub(super) fn take(members: &mut Members, input: &str, description: &str) -> Result<Self, ApiError> {
        Ok(Self {
            description: members.string(description, DESCRIPTION_CHARS_MAX)?,
            variables: members.strings("variables")?,
            cache_cluster_enabled: members.boolean("cacheClusterEnabled")?,
            cache_cluster_size: members.enumerated(input, "cacheClusterSize", &CACHE_CLUSTER_SIZES)?,
            tracing_enabled: members.boolean("tracingEnabled")?,
            ..Self::default()
        })
    }

    pub(super) fn with_canary(self, canary: Canary) -> Self {
        Self { canary: Some(canary), ..self }
    }

    fn apply(self, stage: &mut RestStage) {
        stage.canary = self.canary.or(stage.canary.take());
        stage.description = self.description.or(stage.description.take());
        stage.variables = self.variables.unwrap_or(std::mem::take(&mut stage.variables));
        stage.cache_cluster_enabled = self.cache_cluster_enabled.unwrap_or(stage.cache_cluster_enabled);
        stage.cache_cluster_size = self.cache_cluster_size.or(stage.cache_cluster_size.take());
        stage.tracing_enabled = self.tracing_enabled.unwrap_or(stage.tracing_enabled);
        stage.client_certificate_id = self.client_certificate_id.or(stage.client_certificate_id.take());
        stage.documentation_version = self.documentation_version.or(stage.documentation_version.take());
    }
}

/// AWS sets it by a patch only; here a new stage can have it at once.
fn take_client_certificate(view: &View<'_>, members: &mut Members) -> Result<Option<String>, ApiError> {
    let id = members.text("clientCertificateId", NAME_CHARS_MAX)?;
    id.map(|id| Ok(client_certificates::certificate(view, &id)?.id)).transpose()
}

/// Makes the stage, or points the one of that name at the deployment.
pub(super) fn put(
    change: &mut Change<'_>,
    api_id: &str,
    name: String,
    deployment_id: String,
    mut wishes: StageWishes,
) -> Result<RestStage, ApiError> {
    let mut stage = match change.tx.part::<RestStage>(api_id, &name)? {
        Some(stage) => stage,
        None => {
            check_stage_name(&name).map_err(ApiError::bad_request)?;
            check_quota(change, api_id)?;
            let tags = std::mem::take(&mut wishes.tags);
            RestStage { tags, ..RestStage::new(name, deployment_id.clone(), change.now_s) }
        }
    };
    stage.deployment_id = deployment_id;
    stage.updated_at_s = change.now_s;
    wishes.apply(&mut stage);
    keep(change, api_id, &stage)?;
    Ok(stage)
}

/// Keeps a stage once all that it refers to is there, and serves it.
fn keep(change: &mut Change<'_>, api_id: &str, stage: &RestStage) -> Result<(), ApiError> {
    part::<RestDeployment>(change, api_id, &stage.deployment_id, "Deployment")?;
    check_variables(&stage.variables).map_err(ApiError::bad_request)?;
    if let Some(id) = &stage.client_certificate_id {
        client_certificates::certificate(change, id)?;
    }
    if let Some(version) = &stage.documentation_version {
        check_documentation_version(change, api_id, version)?;
    }
    check_access_log(&stage.access_log)?;
    stage.canary.as_ref().map_or(Ok(()), |canary| canary::check(change, api_id, canary))?;
    change.tx.put_part(api_id, stage)?;
    change.recompile(api_id, &stage.name);
    Ok(())
}

fn check_quota(view: &View<'_>, api_id: &str) -> Result<(), ApiError> {
    let max = view.settings.quotas.stages_per_api_max;
    if view.tx.part_count::<RestStage>(api_id)? < max {
        return Ok(());
    }
    Err(over_quota(max, "stages in the API", "stages_per_api_max"))
}

pub(super) fn answer(stage: &RestStage) -> Value {
    let status = if stage.cache_cluster_enabled { "AVAILABLE" } else { "NOT_AVAILABLE" };
    compact(json!({
        "accessLogSettings": stage_settings::access_log_answer(&stage.access_log),
        "cacheClusterEnabled": stage.cache_cluster_enabled,
        "cacheClusterSize": stage_settings::cache_cluster_size(stage),
        "cacheClusterStatus": status,
        "canarySettings": stage.canary.as_ref().map(canary::answer),
        "clientCertificateId": stage.client_certificate_id,
        "createdDate": stage.created_at_s,
        "deploymentId": stage.deployment_id,
        "description": stage.description,
        "documentationVersion": stage.documentation_version,
        "lastUpdatedDate": stage.updated_at_s,
        "methodSettings": stage_settings::method_settings_answer(stage),
        "stageName": stage.name,
        "tags": stage.tags,
        "tracingEnabled": stage.tracing_enabled,
        "variables": if stage.variables.is_empty() { Value::Null } else { json!(stage.variables) },
    }))
}
