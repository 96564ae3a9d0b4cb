//! `Deployment`: create (to a stage, if one is named), get, list, update, delete.

use serde_json::{Map, Value, json};

use super::super::call::{Call, compact, page_answer};
use super::super::error::ApiError;
use super::canary;
use super::patch::{self, REPLACE, Table, Wording, rule};
use super::stages::{StageWishes, put};
use super::{DESCRIPTION_CHARS_MAX, NAME_CHARS_MAX, PAGING, api, embeds, over_quota, part};
use crate::change::{Change, DEPLOYMENT_ID_LEN, View};
use crate::model::{Canary, Method, Resource, RestApi, RestContent, RestDeployment, RestStage};

const NOUN: &str = "Deployment";

pub(in super::super) fn create(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let mut members = call.members()?;
    let description = members.string("description", DESCRIPTION_CHARS_MAX)?;
    let stage_name = members.string("stageName", NAME_CHARS_MAX)?;
    let canary = canary::of_deployment(&mut members, stage_name.as_ref())?;
    let wishes = StageWishes::take(&mut members, "createDeploymentInput", "stageDescription")?;
    members.finish()?;
    check_private(&api)?;
    let max = change.settings.quotas.deployments_per_api_max;
    if change.tx.part_count::<RestDeployment>(&api.id)? >= max {
        return Err(over_quota(max, "deployments of the API", "deployments_per_api_max"));
    }
    let id = change.new_part_id::<RestDeployment>(&api.id, DEPLOYMENT_ID_LEN)?;
    let content = freeze(change, &api, &id)?;
    let deployment = RestDeployment { id, description, created_at_s: change.now_s };
    change.tx.put_part(&api.id, &deployment)?;
    change.tx.put_part(&api.id, &content)?;
    if let Some(name) = stage_name.filter(|name| !name.is_empty()) {
        deploy_to(change, &api.id, name, &deployment.id, wishes, canary)?;
    }
    Ok(answer(&deployment, None))
}

/// The stage serves the deployment, or has it as its canary.
fn deploy_to(
    change: &mut Change<'_>,
    api_id: &str,
    name: String,
    deployment_id: &str,
    wishes: StageWishes,
    canary: Option<Canary>,
) -> Result<RestStage, ApiError> {
    let deployment_id = deployment_id.to_owned();
    let stage: Option<RestStage> = change.tx.part(api_id, &name)?;
    let Some(canary) = canary else {
        stage.as_ref().map_or(Ok(()), canary::check_free)?;
        return put(change, api_id, name, deployment_id, wishes);
    };
    let stage = stage.ok_or_else(|| canary::no_stage(&name))?;
    put(change, api_id, name, stage.deployment_id, wishes.with_canary(Canary { deployment_id, ..canary }))
}

pub(in super::super) fn get(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(view, call.parameter(0))?;
    let deployment: RestDeployment = part(view, &api.id, call.parameter(1), NOUN)?;
    let content = if embeds(&call.query_values("embed"), "apisummary") {
        view.tx.part::<RestContent>(&api.id, &deployment.id)?
    } else {
        None
    };
    Ok(answer(&deployment, content.as_ref()))
}

pub(in super::super) fn list(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(view, call.parameter(0))?;
    let paging = call.paging(&PAGING)?;
    let page = view.tx.part_page(&api.id, &paging.after, paging.limit)?;
    Ok(page_answer(&page, &PAGING, |deployment| answer(deployment, None)))
}

const PATCHES: Table<RestDeployment> = Table {
    input: "updateDeploymentInput",
    wording: Wording::Listed,
    rules: &[rule("/description", REPLACE, |deployment, patch| {
        deployment.description = patch.optional_text(DESCRIPTION_CHARS_MAX)?;
        Ok(())
    })],
};

pub(in super::super) fn update(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let mut deployment: RestDeployment = part(change, &api.id, call.parameter(1), NOUN)?;
    patch::apply(&PATCHES, &mut deployment, call.members()?, |deployment| answer(deployment, None))?;
    change.tx.put_part(&api.id, &deployment)?;
    Ok(answer(&deployment, None))
}

pub(in super::super) fn delete(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let deployment: RestDeployment = part(change, &api.id, call.parameter(1), NOUN)?;
    let stages: Vec<RestStage> = change.tx.parts(&api.id)?;
    if let Some(stage) = stages.iter().find(|stage| stage.serves(&deployment.id)) {
        return Err(ApiError::bad_request(format!(
            "Active stages pointing to this deployment must be moved or deleted: {}",
            stage.name
        )));
    }
    change.tx.delete_part::<RestDeployment>(&api.id, &deployment.id)?;
    change.tx.delete_part::<RestContent>(&api.id, &deployment.id)?;
    Ok(Value::Null)
}

/// A private API that says nothing of who may call it would be closed to everybody.
fn check_private(api: &RestApi) -> Result<(), ApiError> {
    match api.endpoint_type == "PRIVATE" && api.policy.is_none() {
        true => Err(ApiError::bad_request("Private REST API doesn't have a resource policy attached to it")),
        false => Ok(()),
    }
}

/// The API's tree as it is; each method has to be ready to be served.
fn freeze(view: &View<'_>, api: &RestApi, deployment_id: &str) -> Result<RestContent, ApiError> {
    let api_id = &api.id;
    let mut resources: Vec<Resource> = view.tx.parts(api_id)?;
    resources.retain(|resource| !resource.methods.is_empty());
    if resources.is_empty() {
        return Err(ApiError::bad_request("The REST API doesn't contain any methods"));
    }
    for resource in &resources {
        if let Some((name, _)) = resource.methods.iter().find(|(_, method)| method.integration.is_none()) {
            let path = &resource.path;
            return Err(ApiError::bad_request(format!("No integration defined for method {name} {path}")));
        }
    }
    Ok(RestContent {
        deployment_id: deployment_id.to_owned(),
        policy: api.policy.clone(),
        endpoint_type: api.endpoint_type.clone(),
        api_key_source: api.api_key_source,
        compression_bytes_min: api.compression_bytes_min,
        resources,
        authorizers: view.tx.parts(api_id)?,
        models: view.tx.parts(api_id)?,
        request_validators: view.tx.parts(api_id)?,
        gateway_responses: view.tx.parts(api_id)?,
    })
}

fn answer(deployment: &RestDeployment, content: Option<&RestContent>) -> Value {
    compact(json!({
        "apiSummary": content.map(summary),
        "createdDate": deployment.created_at_s,
        "description": deployment.description,
        "id": deployment.id,
    }))
}

/// Methods by path.
fn summary(content: &RestContent) -> Value {
    let methods = |resource: &Resource| -> Map<String, Value> {
        let shown = |method: &Method| {
            json!({
                "apiKeyRequired": method.api_key_required,
                "authorizationType": method.authorization_type.name(),
            })
        };
        resource.methods.iter().map(|(name, method)| (name.clone(), shown(method))).collect()
    };
    let paths: Map<String, Value> =
        content.resources.iter().map(|r| (r.path.clone(), methods(r).into())).collect();
    paths.into()
}
