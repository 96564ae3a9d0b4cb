//! `Stage`: create, update, delete, and the deletion of its access log's settings.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use turnpike_snapshot::ACCESS_LOG_FORMAT_BYTES_MAX;

use super::super::access_log::{ARN_CHARS_MAX, check_destination, check_format};
use super::super::call::{Call, compact};
use super::super::domains::mappings::check_unmapped;
use super::super::error::ApiError;
use super::super::members::Members;
use super::{
    DESCRIPTION_CHARS_MAX, NAME_CHARS_MAX, Shown, api, check_entries, check_quota, not_on, part,
    route_settings,
};
use crate::change::{Change, View};
use crate::model::{
    AccessLogSettings, ApiProtocol, ClientCertificate, HttpApi, HttpDeployment, HttpStage, RouteSettings,
    check_stage_name, check_variables,
};
use crate::time::iso8601;

const DEFAULT: &str = "$default";

pub(in super::super) fn create(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let mut members = call.members()?;
    let name = members.required("stageName", NAME_CHARS_MAX)?;
    let tags = members.tags()?.unwrap_or_default();
    let taken = Taken::take(change, &api, &mut members)?;
    members.finish()?;
    if name != DEFAULT || api.protocol == ApiProtocol::WebSocket {
        check_stage_name(&name).map_err(ApiError::bad_request)?;
    }
    if change.tx.part::<HttpStage>(&api.id, &name)?.is_some() {
        return Err(ApiError::conflict(format!("Stage {name} already exists")));
    }
    let max = change.settings.quotas.stages_per_api_max;
    check_quota::<HttpStage>(change, &api.id, max, "stages", "stages_per_api_max")?;
    let mut stage = HttpStage::new(name, api.protocol, change.now_s);
    stage.tags = tags;
    taken.apply(&mut stage)?;
    change.tx.put_part(&api.id, &stage)?;
    follow(change, &api.id, &stage, stage.auto_deploy)
}

pub(in super::super) fn update(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let mut stage: HttpStage = part(change, &api.id, call.parameter(1))?;
    let mut members = call.members()?;
    let taken = Taken::take(change, &api, &mut members)?;
    members.finish()?;
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
    change.forget_stage(&api.id, Some(&stage.name))?;
    change.recompile(&api.id, &stage.name);
    Ok(Value::Null)
}

pub(in super::super) fn delete_access_log(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let mut stage: HttpStage = part(change, &api.id, call.parameter(1))?;
    stage.access_log = None;
    stage.updated_at_s = change.now_s;
    change.tx.put_part(&api.id, &stage)?;
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
    /// The inner `None` takes it away, here and below.
    description: Option<Option<String>>,
    auto_deploy: Option<bool>,
    deployment_id: Option<String>,
    variables: Option<BTreeMap<String, String>>,
    access_log: Option<Option<AccessLogSettings>>,
    client_certificate_id: Option<Option<String>>,
    /// Only what is given of them.
    default_route_settings: Option<RouteSettings>,
    route_settings: Vec<(String, RouteSettings)>,
}

impl Taken {
    fn take(view: &View<'_>, api: &HttpApi, members: &mut Members) -> Result<Self, ApiError> {
        let description = members.string("description", DESCRIPTION_CHARS_MAX)?;
        let taken = Self {
            description: description.map(|text| Some(text).filter(|text| !text.is_empty())),
            auto_deploy: members.boolean("autoDeploy")?,
            deployment_id: members.string("deploymentId", NAME_CHARS_MAX)?.filter(|id| !id.is_empty()),
            variables: members.strings("stageVariables")?,
            access_log: take_access_log(members)?,
            client_certificate_id: take_client_certificate(view, api.protocol, members)?,
            default_route_settings: route_settings::take_default(members, api.protocol)?,
            route_settings: route_settings::take(view, members, api)?,
        };
        taken.variables.as_ref().map_or(Ok(()), check_variables).map_err(ApiError::bad_request)?;
        if let Some(id) = &taken.deployment_id {
            part::<HttpDeployment>(view, &api.id, id)?;
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
        if let Some(description) = self.description {
            stage.description = description;
        }
        if let Some(certificate) = self.client_certificate_id {
            stage.client_certificate_id = certificate;
        }
        if let Some(settings) = self.default_route_settings {
            route_settings::merge(&mut stage.default_route_settings, settings);
        }
        for (key, settings) in self.route_settings {
            route_settings::merge(stage.route_settings.entry(key).or_default(), settings);
        }
        // Those of routes that the API had once count, too: a deployment may have them.
        check_entries(stage.route_settings.len(), "routeSettings")?;
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

/// What upstreams of a WebSocket API are shown.
fn take_client_certificate(
    view: &View<'_>,
    protocol: ApiProtocol,
    members: &mut Members,
) -> Result<Option<Option<String>>, ApiError> {
    let Some(id) = members.string("clientCertificateId", NAME_CHARS_MAX)? else { return Ok(None) };
    if id.is_empty() {
        return Ok(Some(None));
    }
    if protocol == ApiProtocol::Http {
        return Err(not_on(protocol, "clientCertificateId"));
    }
    match view.tx.entity::<ClientCertificate>("", &id)? {
        Some(_) => Ok(Some(Some(id))),
        None => Err(ApiError::bad_request(format!("Invalid client certificate identifier specified {id}"))),
    }
}

impl Shown for HttpStage {
    const NOUN: &'static str = "stage";

    fn answer(&self) -> Value {
        let access_log = self
            .access_log
            .as_ref()
            .map(|log| json!({"destinationArn": log.destination_arn, "format": log.format}));
        let of_routes: BTreeMap<&String, Value> = self
            .route_settings
            .iter()
            .map(|(key, settings)| (key, route_settings::answer(settings)))
            .collect();
        compact(json!({
            "accessLogSettings": access_log,
            "apiGatewayManaged": self.managed.then_some(true),
            "autoDeploy": self.auto_deploy,
            "clientCertificateId": self.client_certificate_id,
            "createdDate": iso8601(self.created_at_s),
            "defaultRouteSettings": route_settings::answer(&self.default_route_settings),
            "deploymentId": self.deployment_id,
            "description": self.description,
            "lastDeploymentStatusMessage": self.last_deployment_message,
            "lastUpdatedDate": iso8601(self.updated_at_s),
            "routeSettings": of_routes,
            "stageName": self.name,
            "stageVariables": self.variables,
            "tags": self.tags,
        }))
    }
}
