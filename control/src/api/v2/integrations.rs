//! `Integration`: create, update, delete. What one may be is in `integration_rules`.

use serde_json::{Value, json};

use super::super::call::{Call, compact};
use super::super::error::ApiError;
use super::super::members::Members;
use super::integration_rules::{self, TIMEOUT_MS_MIN, default_timeout_ms};
use super::{
    ARN_CHARS_MAX, DESCRIPTION_CHARS_MAX, EXPRESSION_CHARS_MAX, MAPPING_CHARS_MAX, NAME_CHARS_MAX, Shown,
    TEMPLATE_CHARS_MAX, URI_CHARS_MAX, api, check_entries, check_quota, part, part_id,
};
use crate::change::{Change, View};
use crate::model::{
    ApiProtocol, HttpIntegration, HttpIntegrationType, HttpRoute, HttpVpcLink, IntegrationTargets,
    RestVpcLink, check_status, link_variable, server_name,
};

const METHOD_CHARS_MAX: usize = 64;
const CONNECTION_CHARS_MAX: usize = 1_024;
const SERVER_NAME_CHARS_MAX: usize = 512;
const PAYLOAD_FORMATS: [&str; 2] = ["1.0", "2.0"];
const PASSTHROUGH: [&str; 3] = ["WHEN_NO_MATCH", "NEVER", "WHEN_NO_TEMPLATES"];
pub(super) const CONTENT_HANDLING: [&str; 2] = ["CONVERT_TO_BINARY", "CONVERT_TO_TEXT"];

pub(in super::super) fn create(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let mut members = call.members()?;
    let kind = take_type(&mut members)?;
    let kind = kind.ok_or_else(|| ApiError::bad_request("integrationType is required"))?;
    let mut integration = HttpIntegration::new(part_id()?, kind, default_timeout_ms(change, api.protocol));
    let version = apply(change, &mut members, api.protocol, &mut integration)?;
    members.finish()?;
    let is_function = kind == HttpIntegrationType::AwsProxy && integration.subtype.is_none();
    if version.is_none() && is_function && api.protocol == ApiProtocol::Http {
        return Err(ApiError::bad_request(
            "payloadFormatVersion is required for an AWS_PROXY integration: 1.0 or 2.0",
        ));
    }
    integration_rules::check(api.protocol, &integration)?;
    let max = change.settings.quotas.integrations_per_api_max;
    check_quota::<HttpIntegration>(change, &api.id, max, "integrations", "integrations_per_api_max")?;
    change.tx.put_part(&api.id, &integration)?;
    change.redeploy(&api.id);
    Ok(integration.answer())
}

pub(in super::super) fn update(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let mut integration: HttpIntegration = part(change, &api.id, call.parameter(1))?;
    let mut members = call.members()?;
    integration.kind = take_type(&mut members)?.unwrap_or(integration.kind);
    apply(change, &mut members, api.protocol, &mut integration)?;
    members.finish()?;
    integration_rules::check(api.protocol, &integration)?;
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

fn take_type(members: &mut Members) -> Result<Option<HttpIntegrationType>, ApiError> {
    let name = members.choice("integrationType", &HttpIntegrationType::NAMES)?;
    Ok(name.and_then(|name| HttpIntegrationType::of_name(&name)))
}

/// What create and update share; the payload's format if it is given.
fn apply(
    view: &View<'_>,
    members: &mut Members,
    protocol: ApiProtocol,
    integration: &mut HttpIntegration,
) -> Result<Option<String>, ApiError> {
    members.set_text("description", DESCRIPTION_CHARS_MAX, &mut integration.description)?;
    members.set_text("integrationMethod", METHOD_CHARS_MAX, &mut integration.method)?;
    members.set_text("integrationUri", URI_CHARS_MAX, &mut integration.uri)?;
    members.set_text("integrationSubtype", NAME_CHARS_MAX, &mut integration.subtype)?;
    members.set_text("credentialsArn", ARN_CHARS_MAX, &mut integration.credentials_arn)?;
    let timeout_ms_max = default_timeout_ms(view, protocol);
    let timeout_ms = members.integer("timeoutInMillis", TIMEOUT_MS_MIN..=timeout_ms_max)?;
    integration.timeout_ms = timeout_ms.unwrap_or(integration.timeout_ms);
    if let Some(link) = take_connection(view, members, protocol, integration.link_id.as_deref())? {
        integration.link_id = link;
    }
    if let Some(name) = take_tls_config(members)? {
        integration.server_name = name;
    }
    apply_parameters(members, integration)?;
    apply_templates(members, integration)?;
    let version = members.choice("payloadFormatVersion", &PAYLOAD_FORMATS)?;
    if let Some(version) = &version {
        integration.payload_format_version.clone_from(version);
    }
    integration_rules::fill_defaults(protocol, integration);
    Ok(version)
}

/// As in AWS, what is given replaces what has the same name; an empty text, or an empty object, removes it.
fn apply_parameters(members: &mut Members, integration: &mut HttpIntegration) -> Result<(), ApiError> {
    for (key, value) in members.texts("requestParameters", MAPPING_CHARS_MAX)?.unwrap_or_default() {
        match value.is_empty() {
            true => integration.request_parameters.remove(&key),
            false => integration.request_parameters.insert(key, value),
        };
    }
    for (status, mappings) in members.objects_by_name("responseParameters")?.unwrap_or_default() {
        check_status(&status).map_err(ApiError::bad_request)?;
        let mut mappings = mappings.into_texts(MAPPING_CHARS_MAX)?;
        mappings.retain(|_, value| !value.is_empty());
        match mappings.is_empty() {
            true => integration.response_parameters.remove(&status),
            false => integration.response_parameters.insert(status, mappings),
        };
    }
    check_entries(integration.request_parameters.len(), "requestParameters")?;
    check_entries(integration.response_parameters.values().map(|of| of.len()).sum(), "responseParameters")
}

fn apply_templates(members: &mut Members, integration: &mut HttpIntegration) -> Result<(), ApiError> {
    if let Some(templates) = members.texts("requestTemplates", TEMPLATE_CHARS_MAX)? {
        check_entries(templates.len(), "requestTemplates")?;
        integration.request_templates = templates;
    }
    let selection = &mut integration.template_selection;
    members.set_text("templateSelectionExpression", EXPRESSION_CHARS_MAX, selection)?;
    members.set_choice("passthroughBehavior", &PASSTHROUGH, &mut integration.passthrough_behavior)?;
    members.set_choice("contentHandlingStrategy", &CONTENT_HANDLING, &mut integration.content_handling)
}

/// `connectionType` and `connectionId`, of which an integration that has a link may be told one; the inner `None` leads to
/// the URI's host.
fn take_connection(
    view: &View<'_>,
    members: &mut Members,
    protocol: ApiProtocol,
    link: Option<&str>,
) -> Result<Option<Option<String>>, ApiError> {
    let kind = members.choice("connectionType", &["INTERNET", "VPC_LINK"])?;
    let id = members.string("connectionId", CONNECTION_CHARS_MAX)?.filter(|id| !id.is_empty());
    match (kind.as_deref(), id) {
        (None, None) => Ok(None),
        (Some("VPC_LINK"), None) if link.is_some() => Ok(None),
        (None, Some(id)) if link.is_some() => {
            check_link(view, protocol, &id)?;
            Ok(Some(Some(id)))
        }
        (Some("VPC_LINK"), Some(id)) => {
            check_link(view, protocol, &id)?;
            Ok(Some(Some(id)))
        }
        (Some("VPC_LINK"), None) => {
            Err(ApiError::bad_request("connectionId is required with connectionType VPC_LINK"))
        }
        (Some(_), None) => Ok(Some(None)),
        (_, Some(_)) => Err(ApiError::bad_request("connectionId needs connectionType VPC_LINK")),
    }
}

/// WebSocket APIs lead through links of version 1, which a stage's variable may name.
fn check_link(view: &View<'_>, protocol: ApiProtocol, id: &str) -> Result<(), ApiError> {
    let there = match protocol {
        ApiProtocol::Http => view.tx.entity::<HttpVpcLink>("", id)?.is_some(),
        ApiProtocol::WebSocket => {
            link_variable(id).is_some() || view.tx.entity::<RestVpcLink>("", id)?.is_some()
        }
    };
    match there {
        true => Ok(()),
        false => Err(ApiError::bad_request(format!("Invalid VpcLink identifier specified: {id}"))),
    }
}

/// `tlsConfig`: one without a name, or with an empty one, takes the name away.
fn take_tls_config(members: &mut Members) -> Result<Option<Option<String>>, ApiError> {
    let Some(mut config) = members.object("tlsConfig")? else { return Ok(None) };
    let name = config.string("serverNameToVerify", SERVER_NAME_CHARS_MAX)?.filter(|name| !name.is_empty());
    let place = config.full("serverNameToVerify");
    config.finish()?;
    let checked = name.map(|name| server_name(&name)).transpose();
    checked.map(Some).map_err(|why| ApiError::bad_request(format!("{place} {why}")))
}

/// A link's targets or its own, not both; and none of those where nothing is called over HTTP.
fn check_one_way(view: &View<'_>, api_id: &str, integration: &HttpIntegration) -> Result<(), ApiError> {
    let HttpIntegration { id, kind, link_id, .. } = integration;
    let other = match (link_id.is_some(), kind.calls_http()) {
        (true, _) => "it leads through a VPC link".to_owned(),
        (false, false) => format!("its type becomes {}", kind.name()),
        (false, true) => return Ok(()),
    };
    match view.tx.part::<IntegrationTargets>(api_id, id)? {
        None => Ok(()),
        Some(_) => Err(ApiError::bad_request(format!(
            "Integration {id} has targets of its own: delete them before {other}"
        ))),
    }
}

/// What of an answer tells the answers of an integration that isn't a proxy apart.
fn response_selection(kind: HttpIntegrationType) -> Option<&'static str> {
    match kind {
        HttpIntegrationType::Aws => Some("${integration.response.body.errorMessage}"),
        HttpIntegrationType::Http | HttpIntegrationType::Mock => Some("${integration.response.statuscode}"),
        HttpIntegrationType::HttpProxy | HttpIntegrationType::AwsProxy => None,
    }
}

impl Shown for HttpIntegration {
    const NOUN: &'static str = "Integration";

    fn answer(&self) -> Value {
        let some = |empty: bool, value: Value| if empty { Value::Null } else { value };
        compact(json!({
            "apiGatewayManaged": self.managed.then_some(true),
            "connectionId": self.link_id,
            "connectionType": if self.link_id.is_some() { "VPC_LINK" } else { "INTERNET" },
            "contentHandlingStrategy": self.content_handling,
            "credentialsArn": self.credentials_arn,
            "description": self.description,
            "integrationId": self.id,
            "integrationMethod": self.method,
            "integrationResponseSelectionExpression": response_selection(self.kind),
            "integrationSubtype": self.subtype,
            "integrationType": self.kind.name(),
            "integrationUri": self.uri,
            "passthroughBehavior": self.passthrough_behavior,
            "payloadFormatVersion": self.payload_format_version,
            "requestParameters": some(self.request_parameters.is_empty(), json!(self.request_parameters)),
            "requestTemplates": some(self.request_templates.is_empty(), json!(self.request_templates)),
            "responseParameters": some(self.response_parameters.is_empty(), json!(self.response_parameters)),
            "templateSelectionExpression": self.template_selection,
            "timeoutInMillis": self.timeout_ms,
            "tlsConfig": self.server_name.as_ref().map(|name| json!({"serverNameToVerify": name})),
        }))
    }
}
