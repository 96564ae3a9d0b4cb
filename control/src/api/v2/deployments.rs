//! `Deployment`: create, update, delete.

use serde_json::{Value, json};

use super::super::call::{Call, compact};
use super::super::error::ApiError;
use super::{DESCRIPTION_CHARS_MAX, NAME_CHARS_MAX, Shown, api, part};
use crate::change::{Change, DEPLOYMENT_ID_LEN, View};
use crate::model::{HttpApi, HttpContent, HttpDeployment, HttpRoute, HttpStage, new_id};
use crate::time::iso8601;

pub(in super::super) fn create(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let mut members = call.members()?;
    let description = members.string("description", DESCRIPTION_CHARS_MAX)?;
    let stage = members.string("stageName", NAME_CHARS_MAX)?.filter(|name| !name.is_empty());
    members.finish()?;
    check_quota(change, &api.id)?;
    let id = new_id(DEPLOYMENT_ID_LEN).map_err(|error| ApiError::internal(&error))?;
    let content = freeze(change, &api, &id)?;
    let deployment = HttpDeployment { id, description, auto_deployed: false, created_at_s: change.now_s };
    change.tx.put_part(&api.id, &deployment)?;
    change.tx.put_part(&api.id, &content)?;
    if let Some(name) = stage {
        serve(change, &api.id, &name, &deployment.id)?;
    }
    Ok(deployment.answer())
}

pub(in super::super) fn update(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let mut deployment: HttpDeployment = part(change, &api.id, call.parameter(1))?;
    let mut members = call.members()?;
    members.set_text("description", DESCRIPTION_CHARS_MAX, &mut deployment.description)?;
    members.finish()?;
    change.tx.put_part(&api.id, &deployment)?;
    Ok(deployment.answer())
}

pub(in super::super) fn delete(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let deployment: HttpDeployment = part(change, &api.id, call.parameter(1))?;
    let stages: Vec<HttpStage> = change.tx.parts(&api.id)?;
    if let Some(stage) = stages.iter().find(|stage| stage.deployment_id.as_ref() == Some(&deployment.id)) {
        return Err(ApiError::bad_request(format!(
            "Active stages pointing to this deployment must be moved or deleted: {}",
            stage.name
        )));
    }
    change.tx.delete_part::<HttpDeployment>(&api.id, &deployment.id)?;
    change.tx.delete_part::<HttpContent>(&api.id, &deployment.id)?;
    Ok(Value::Null)
}

fn check_quota(view: &View<'_>, api_id: &str) -> Result<(), ApiError> {
    let max = view.settings.quotas.deployments_per_api_max;
    let all: Vec<HttpDeployment> = view.tx.parts(api_id)?;
    if all.iter().filter(|deployment| !deployment.auto_deployed).count() < max {
        return Ok(());
    }
    Err(ApiError::bad_request(format!(
        "The API already has {max} deployments: delete some, or raise deployments_per_api_max"
    )))
}

/// The API's routes as they are; each has to be ready to be served.
fn freeze(view: &View<'_>, api: &HttpApi, deployment_id: &str) -> Result<HttpContent, ApiError> {
    let routes: Vec<HttpRoute> = view.tx.parts(&api.id)?;
    if routes.is_empty() {
        return Err(ApiError::bad_request("At least one route is required before deploying the Api."));
    }
    if let Some(route) = routes.iter().find(|route| route.integration_id.is_none()) {
        return Err(ApiError::bad_request(format!(
            "No integration defined for the route '{}': set its target, or delete it",
            route.key
        )));
    }
    Ok(view.http_content(api, deployment_id.to_owned(), routes)?)
}

fn serve(change: &mut Change<'_>, api_id: &str, stage: &str, deployment_id: &str) -> Result<(), ApiError> {
    let mut stage: HttpStage = part(change, api_id, stage)?;
    if stage.auto_deploy {
        return Err(ApiError::bad_request(format!(
            "Stage {} has autoDeploy, which chooses its deployments",
            stage.name
        )));
    }
    stage.deployment_id = Some(deployment_id.to_owned());
    stage.updated_at_s = change.now_s;
    change.tx.put_part(api_id, &stage)?;
    change.recompile(api_id, &stage.name);
    Ok(())
}

impl Shown for HttpDeployment {
    const NOUN: &'static str = "Deployment";

    fn answer(&self) -> Value {
        compact(json!({
            "autoDeployed": self.auto_deployed,
            "createdDate": iso8601(self.created_at_s),
            "deploymentId": self.id,
            "deploymentStatus": "DEPLOYED",
            "description": self.description,
        }))
    }
}
