//! `Integration`: create, update, delete.

use serde_json::{Value, json};
use turnpike_snapshot::Scheme;

use super::super::call::{Call, compact};
use super::super::error::ApiError;
use super::super::members::Members;
use super::{DESCRIPTION_CHARS_MAX, NAME_CHARS_MAX, Shown, URI_CHARS_MAX, api, check_quota, part};
use crate::change::{Change, View};
use crate::model::{
    HttpIntegration, HttpRoute, HttpVpcLink, IntegrationTargets, METHODS, check_uri_template, new_id,
    server_name,
};

pub(super) const INTEGRATION_ID_LEN: usize = 7;
const TIMEOUT_MS_MIN: u32 = 50;

pub(in super::super) fn create(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let mut members = call.members()?;
    let taken = Taken::take(change, &mut members)?;
    refuse_the_rest(members)?;
    if !taken.typed {
        return Err(ApiError::bad_request("integrationType is required"));
    }
    let max = change.settings.quotas.integrations_per_api_max;
    check_quota::<HttpIntegration>(change, &api.id, max, "integrations", "integrations_per_api_max")?;
    let missing =
        |name: &str| ApiError::bad_request(format!("{name} is required for an HTTP_PROXY integration"));
    let integration = HttpIntegration {
        id: new_id(INTEGRATION_ID_LEN).map_err(|error| ApiError::internal(&error))?,
        managed: false,
        description: taken.description,
        method: taken.method.ok_or_else(|| missing("integrationMethod"))?,
        uri: taken.uri.ok_or_else(|| missing("integrationUri"))?,
        timeout_ms: taken.timeout_ms.unwrap_or_else(|| default_timeout_ms(change)),
        link_id: taken.connection.flatten(),
        server_name: taken.server_name.flatten(),
    };
    check_tls(&integration)?;
    change.tx.put_part(&api.id, &integration)?;
    change.redeploy(&api.id);
    Ok(integration.answer())
}

pub(in super::super) fn update(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let mut integration: HttpIntegration = part(change, &api.id, call.parameter(1))?;
    let mut members = call.members()?;
    let taken = Taken::take(change, &mut members)?;
    refuse_the_rest(members)?;
    integration.description = taken.description.or(integration.description);
    integration.method = taken.method.unwrap_or(integration.method);
    integration.uri = taken.uri.unwrap_or(integration.uri);
    integration.timeout_ms = taken.timeout_ms.unwrap_or(integration.timeout_ms);
    integration.link_id = taken.connection.unwrap_or(integration.link_id);
    integration.server_name = taken.server_name.unwrap_or(integration.server_name);
    check_tls(&integration)?;
    check_one_way(change, &api.id, &integration)?;
    change.tx.put_part(&api.id, &integration)?;
    change.redeploy(&api.id);
    Ok(integration.answer())
}

pub(in super::super) fn delete(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let integration: HttpIntegration = part(change, &api.id, call.parameter(1))?;
    let id = &integration.id;
    if integration.managed {
        return Err(ApiError::bad_request(format!(
            "Integration {id} was made by quick create: change it with UpdateApi, or delete the API"
        )));
    }
    let routes: Vec<HttpRoute> = change.tx.parts(&api.id)?;
    if let Some(route) = routes.iter().find(|route| route.integration_id.as_ref() == Some(id)) {
        return Err(ApiError::conflict(format!(
            "Cannot delete Integration '{id}': Route '{}' ({}) uses it",
            route.id, route.key
        )));
    }
    change.tx.delete_part::<HttpIntegration>(&api.id, id)?;
    change.redeploy(&api.id);
    Ok(Value::Null)
}

/// The integration that the path names.
pub(in super::super) fn of_call(view: &View<'_>, call: &Call) -> Result<HttpIntegration, ApiError> {
    let api = api(view, call.parameter(0))?;
    part(view, &api.id, call.parameter(1))
}

/// The ceiling, as AWS's default is.
pub(super) fn default_timeout_ms(view: &View<'_>) -> u32 {
    view.settings.quotas.integration_timeout_ms_max
}

pub(super) fn check_uri(uri: &str) -> Result<(), ApiError> {
    check_uri_template(uri).map(drop).map_err(|error| ApiError::bad_request(error.to_string()))
}

/// What create and update share, checked.
struct Taken {
    /// Whether the type was given; there is only one.
    typed: bool,
    description: Option<String>,
    method: Option<String>,
    uri: Option<String>,
    timeout_ms: Option<u32>,
    /// The inner `None` leads to the URI's host.
    connection: Option<Option<String>>,
    /// The inner `None` goes by the URI's host.
    server_name: Option<Option<String>>,
}

impl Taken {
    fn take(view: &View<'_>, members: &mut Members) -> Result<Self, ApiError> {
        let typed = members.one_of("integrationType", &["HTTP_PROXY"])?.is_some();
        members.one_of("payloadFormatVersion", &["1.0"])?;
        let timeout_ms_max = view.settings.quotas.integration_timeout_ms_max;
        let taken = Self {
            typed,
            description: members.string("description", DESCRIPTION_CHARS_MAX)?,
            method: members.string("integrationMethod", NAME_CHARS_MAX)?,
            uri: members.string("integrationUri", URI_CHARS_MAX)?,
            timeout_ms: members.integer("timeoutInMillis", TIMEOUT_MS_MIN..=timeout_ms_max)?,
            connection: take_connection(view, members)?,
            server_name: take_tls_config(members)?,
        };
        taken.uri.as_deref().map_or(Ok(()), check_uri_of_link)?;
        match taken.method.as_deref() {
            Some(method) if !METHODS.contains(&method) => {
                Err(ApiError::bad_request(format!("Invalid HTTP method specified: '{method}'")))
            }
            _ => Ok(taken),
        }
    }
}

/// AWS's ARNs of load balancers and of Cloud Map services name nothing here.
fn check_uri_of_link(uri: &str) -> Result<(), ApiError> {
    if !uri.starts_with("arn:") {
        return check_uri(uri);
    }
    Err(ApiError::bad_request(format!(
        "integrationUri can't be the ARN '{uri}' in this version of Turnpike: give an http:// or https:// URL, whose host is what \
         the targets see, and put the VPC link's targets at /turnpike/v1/vpclinks/<id>/targets"
    )))
}

/// `connectionType` and `connectionId`, which go together.
fn take_connection(view: &View<'_>, members: &mut Members) -> Result<Option<Option<String>>, ApiError> {
    let kind = members.one_of("connectionType", &["INTERNET", "VPC_LINK"])?;
    let id = members.string("connectionId", NAME_CHARS_MAX)?.filter(|id| !id.is_empty());
    match (kind.as_deref(), id) {
        (None, None) => Ok(None),
        (Some("VPC_LINK"), Some(id)) => {
            let link: Option<HttpVpcLink> = view.tx.entity("", &id)?;
            let unknown = || ApiError::bad_request(format!("Invalid VpcLink identifier specified: {id}"));
            Ok(Some(Some(link.ok_or_else(unknown)?.id)))
        }
        (Some("VPC_LINK"), None) => {
            Err(ApiError::bad_request("connectionId is required with connectionType VPC_LINK"))
        }
        (Some(_), None) => Ok(Some(None)),
        (_, Some(_)) => Err(ApiError::bad_request("connectionId needs connectionType VPC_LINK")),
    }
}

/// `tlsConfig`: one without a name, or with an empty one, takes the name away.
fn take_tls_config(members: &mut Members) -> Result<Option<Option<String>>, ApiError> {
    let Some(mut config) = members.object("tlsConfig")? else { return Ok(None) };
    let name = config.string("serverNameToVerify", NAME_CHARS_MAX)?.filter(|name| !name.is_empty());
    let place = config.full("serverNameToVerify");
    config.finish()?;
    let checked = name.map(|name| server_name(&name)).transpose();
    checked.map(Some).map_err(|why| ApiError::bad_request(format!("{place} {why}")))
}

fn check_tls(integration: &HttpIntegration) -> Result<(), ApiError> {
    let uri =
        check_uri_template(&integration.uri).map_err(|error| ApiError::bad_request(error.to_string()))?;
    if integration.server_name.is_some() && uri.scheme == Scheme::Http {
        return Err(ApiError::bad_request(
            "tlsConfig.serverNameToVerify needs an integrationUri with https://",
        ));
    }
    Ok(())
}

/// A link's targets or its own, not both.
fn check_one_way(view: &View<'_>, api_id: &str, integration: &HttpIntegration) -> Result<(), ApiError> {
    let id = &integration.id;
    if integration.link_id.is_none() || view.tx.part::<IntegrationTargets>(api_id, id)?.is_none() {
        return Ok(());
    }
    Err(ApiError::bad_request(format!(
        "Integration {id} has targets of its own: delete them before it leads through a VPC link"
    )))
}

fn refuse_the_rest(mut members: Members) -> Result<(), ApiError> {
    members.unsupported(&[
        "contentHandlingStrategy",
        "credentialsArn",
        "integrationSubtype",
        "passthroughBehavior",
        "requestParameters",
        "requestTemplates",
        "responseParameters",
        "templateSelectionExpression",
    ])?;
    members.finish()
}

impl Shown for HttpIntegration {
    const NOUN: &'static str = "Integration";

    fn answer(&self) -> Value {
        compact(json!({
            "apiGatewayManaged": self.managed.then_some(true),
            "connectionId": self.link_id,
            "connectionType": if self.link_id.is_some() { "VPC_LINK" } else { "INTERNET" },
            "description": self.description,
            "integrationId": self.id,
            "integrationMethod": self.method,
            "integrationType": "HTTP_PROXY",
            "integrationUri": self.uri,
            "payloadFormatVersion": "1.0",
            "timeoutInMillis": self.timeout_ms,
            "tlsConfig": self.server_name.as_ref().map(|name| json!({"serverNameToVerify": name})),
        }))
    }
}
