//! `Stage`: create, update, delete.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use turnpike_snapshot::ACCESS_LOG_FORMAT_BYTES_MAX;

use super::super::access_log::{ARN_CHARS_MAX, check_destination, check_format};
use super::super::call::{Call, compact};
use super::super::domains::mappings::check_unmapped;
use super::super::error::ApiError;
use super::super::members::Members;
use super::{DESCRIPTION_CHARS_MAX, NAME_CHARS_MAX, Shown, api, check_quota, part};
use crate::change::{Change, View};
use crate::model::{
    AccessLogSettings, HttpDeployment, HttpStage, Variables, check_stage_name, check_variables,
};
use crate::time::iso8601;

pub(in super::super) fn create(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let mut members = call.members()?;
    let name = members.required("stageName", NAME_CHARS_MAX)?;
    let tags = members.tags()?.unwrap_or_default();
    let taken = Taken::take(change, &api.id, &mut members)?;
    refuse_the_rest(members)?;
    if name != "$default" {
        check_stage_name(&name).map_err(ApiError::bad_request)?;
    }
    if change.tx.part::<HttpStage>(&api.id, &name)?.is_some() {
        return Err(ApiError::conflict(format!("Stage {name} already exists")));
    }
    let max = change.settings.quotas.stages_per_api_max;
    check_quota::<HttpStage>(change, &api.id, max, "stages", "stages_per_api_max")?;
    let mut stage = HttpStage {
        name,
        managed: false,
        description: None,
        auto_deploy: false,
        deployment_id: None,
        variables: Variables::new(),
        access_log: None,
        tags,
        created_at_s: change.now_s,
        updated_at_s: change.now_s,
        last_deployment_message: None,
    };
    taken.apply(&mut stage)?;
    change.tx.put_part(&api.id, &stage)?;
    follow(change, &api.id, &stage, stage.auto_deploy)
}

pub(in super::super) fn update(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let mut stage: HttpStage = part(change, &api.id, call.parameter(1))?;
    let mut members = call.members()?;
    let taken = Taken::take(change, &api.id, &mut members)?;
    refuse_the_rest(members)?;
    let was_automatic = stage.auto_deploy;
    taken.apply(&mut stage)?;
    stage.updated_at_s = change.now_s;
    change.tx.put_part(&api.id, &stage)?;
    follow(change, &api.id, &stage, stage.auto_deploy && !was_automatic)
}

pub(in super::super) fn delete(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let stage: HttpStage = part(change, &api.id, call.parameter(1))?;
    if stage.managed {
        return Err(ApiError::bad_request(
            "The $default stage was made by quick create: delete the API instead",
        ));
    }
    check_unmapped(change, &api.id, Some(&stage.name))?;
    change.tx.delete_part::<HttpStage>(&api.id, &stage.name)?;
    change.recompile(&api.id, &stage.name);
    Ok(Value::Null)
}

/// What has to happen once the stage is stored; the answer then.
fn follow(change: &mut Change<'_>, api_id: &str, stage: &HttpStage, deploy: bool) -> Result<Value, ApiError> {
    change.recompile(api_id, &stage.name);
    if deploy {
        change.redeploy(api_id);
    }
    Ok(stage.answer())
}

/// What create and update share, checked.
struct Taken {
    description: Option<String>,
    auto_deploy: Option<bool>,
    deployment_id: Option<String>,
    variables: Option<BTreeMap<String, String>>,
    /// The inner `None` switches the log off.
    access_log: Option<Option<AccessLogSettings>>,
}

impl Taken {
    fn take(view: &View<'_>, api_id: &str, members: &mut Members) -> Result<Self, ApiError> {
        let taken = Self {
            description: members.string("description", DESCRIPTION_CHARS_MAX)?,
            auto_deploy: members.boolean("autoDeploy")?,
            deployment_id: members.string("deploymentId", NAME_CHARS_MAX)?.filter(|id| !id.is_empty()),
            variables: members.strings("stageVariables")?,
            access_log: take_access_log(members)?,
        };
        taken.variables.as_ref().map_or(Ok(()), check_variables).map_err(ApiError::bad_request)?;
        if let Some(id) = &taken.deployment_id {
            part::<HttpDeployment>(view, api_id, id)?;
        }
        Ok(taken)
    }

    fn apply(self, stage: &mut HttpStage) -> Result<(), ApiError> {
        stage.auto_deploy = self.auto_deploy.unwrap_or(stage.auto_deploy);
        if let Some(id) = self.deployment_id {
            if stage.auto_deploy {
                return Err(ApiError::bad_request(
                    "deploymentId can't be set on a stage with autoDeploy, which chooses its deployments",
                ));
            }
            stage.deployment_id = Some(id);
        }
        if stage.managed && !stage.auto_deploy {
            return Err(ApiError::bad_request("autoDeploy can't be turned off on a quick-created stage"));
        }
        stage.description = self.description.or_else(|| stage.description.take());
        // As in AWS, the given variables replace those of the same name; an empty value removes one.
        for (name, value) in self.variables.unwrap_or_default() {
            if value.is_empty() {
                stage.variables.remove(&name);
            } else {
                stage.variables.insert(name, value);
            }
        }
        if let Some(access_log) = self.access_log {
            stage.access_log = access_log;
        }
        check_variables(&stage.variables).map_err(ApiError::bad_request)
    }
}

fn take_access_log(members: &mut Members) -> Result<Option<Option<AccessLogSettings>>, ApiError> {
    let Some(mut settings) = members.object("accessLogSettings")? else { return Ok(None) };
    let destination_arn = settings.string("destinationArn", ARN_CHARS_MAX)?.unwrap_or_default();
    let format = settings.string("format", ACCESS_LOG_FORMAT_BYTES_MAX)?.unwrap_or_default();
    settings.finish()?;
    if destination_arn.is_empty() && format.is_empty() {
        return Ok(Some(None));
    }
    check_destination(&destination_arn)?;
    check_format(&format)?;
    Ok(Some(Some(AccessLogSettings { destination_arn, format })))
}

fn refuse_the_rest(mut members: Members) -> Result<(), ApiError> {
    members.unsupported(&["clientCertificateId", "defaultRouteSettings", "routeSettings"])?;
    members.finish()
}

impl Shown for HttpStage {
    const NOUN: &'static str = "stage";

    fn answer(&self) -> Value {
        let access_log = self
            .access_log
            .as_ref()
            .map(|log| json!({"destinationArn": log.destination_arn, "format": log.format}));
        compact(json!({
            "accessLogSettings": access_log,
            "apiGatewayManaged": self.managed.then_some(true),
            "autoDeploy": self.auto_deploy,
            "createdDate": iso8601(self.created_at_s),
            "defaultRouteSettings": {"detailedMetricsEnabled": false},
            "deploymentId": self.deployment_id,
            "description": self.description,
            "lastDeploymentStatusMessage": self.last_deployment_message,
            "lastUpdatedDate": iso8601(self.updated_at_s),
            "routeSettings": {},
            "stageName": self.name,
            "stageVariables": self.variables,
            "tags": self.tags,
        }))
    }
}
