//! `Integration` of a method: put, get, delete.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use turnpike_snapshot::Scheme;

use super::super::call::{Call, compact};
use super::super::error::ApiError;
use super::super::members::Members;
use super::{NAME_CHARS_MAX, URI_CHARS_MAX, api, method, resource};
use crate::change::{Change, View};
use crate::model::{
    IntegrationTargets, METHODS, Method, RestIntegration, check_uri_template, link_variable,
    rest_integration_id,
};

const TIMEOUT_MS_MIN: u32 = 50;
const TARGET_PREFIX: &str = "integration.request.path.";
const SOURCE_PREFIX: &str = "method.request.path.";
const PASSTHROUGH_DEFAULT: &str = "WHEN_NO_MATCH";

/// Replaces the integration that the method had.
pub(in super::super) fn put(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let mut resource = resource(change, &api.id, call.parameter(1))?;
    let resource_id = resource.id.clone();
    let method = method(&mut resource, call.parameter(2))?;
    let integration = take(change, call.members()?, &resource_id)?;
    check_variables(method, &integration)?;
    check_one_way(change, call, &integration)?;
    let answer = answer(&integration);
    method.integration = Some(integration);
    change.tx.put_part(&api.id, &resource)?;
    Ok(answer)
}

pub(in super::super) fn get(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    Ok(answer(&of_call(view, call)?))
}

/// The integration that the path names.
pub(in super::super) fn of_call(view: &View<'_>, call: &Call) -> Result<RestIntegration, ApiError> {
    let api = api(view, call.parameter(0))?;
    let mut resource = resource(view, &api.id, call.parameter(1))?;
    method(&mut resource, call.parameter(2))?.integration.take().ok_or_else(no_integration)
}

pub(in super::super) fn delete(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let mut resource = resource(change, &api.id, call.parameter(1))?;
    method(&mut resource, call.parameter(2))?.integration.take().ok_or_else(no_integration)?;
    change.tx.put_part(&api.id, &resource)?;
    change.trim_targets(&api.id);
    Ok(Value::Null)
}

fn no_integration() -> ApiError {
    ApiError::not_found("No integration defined for method")
}

fn take(view: &View<'_>, mut members: Members, resource_id: &str) -> Result<RestIntegration, ApiError> {
    if members.one_of("type", &["HTTP_PROXY"])?.is_none() {
        return Err(ApiError::bad_request("type is required; this version supports HTTP_PROXY"));
    }
    let method = members.required("httpMethod", NAME_CHARS_MAX)?;
    if !METHODS.contains(&method.as_str()) {
        return Err(ApiError::bad_request(format!("Invalid HTTP method '{method}' for the integration")));
    }
    let uri = members.required("uri", URI_CHARS_MAX)?;
    let scheme = check_uri_template(&uri).map_err(|error| ApiError::bad_request(error.to_string()))?.scheme;
    let ceiling = view.settings.quotas.integration_timeout_ms_max;
    let integration = RestIntegration {
        method,
        uri,
        timeout_ms: members.integer("timeoutInMillis", TIMEOUT_MS_MIN..=ceiling)?.unwrap_or(ceiling),
        path_parameters: take_path_parameters(&mut members)?,
        passthrough_behavior: members
            .one_of("passthroughBehavior", &[PASSTHROUGH_DEFAULT, "WHEN_NO_TEMPLATES", "NEVER"])?
            .unwrap_or_else(|| PASSTHROUGH_DEFAULT.to_owned()),
        cache_namespace: members
            .string("cacheNamespace", NAME_CHARS_MAX)?
            .unwrap_or_else(|| resource_id.to_owned()),
        connection_id: take_connection(view, &mut members)?,
        insecure_skip_verification: take_tls_config(&mut members, scheme)?,
    };
    refuse_the_rest(members)?;
    Ok(integration)
}

/// `connectionType` and `connectionId`, which go together; a stage variable's value is looked at in each stage.
fn take_connection(view: &View<'_>, members: &mut Members) -> Result<Option<String>, ApiError> {
    let kind = members.one_of("connectionType", &["INTERNET", "VPC_LINK"])?;
    let id = members.string("connectionId", NAME_CHARS_MAX)?.filter(|id| !id.is_empty());
    match (kind.as_deref(), id) {
        (Some("VPC_LINK"), Some(id)) if link_variable(&id).is_some() || view.has_link(&id)? => Ok(Some(id)),
        (Some("VPC_LINK"), Some(id)) => {
            Err(ApiError::bad_request(format!("Invalid VpcLink identifier specified: {id}")))
        }
        (Some("VPC_LINK"), None) => {
            Err(ApiError::bad_request("connectionId is required with connectionType VPC_LINK"))
        }
        (_, Some(_)) => Err(ApiError::bad_request("connectionId needs connectionType VPC_LINK")),
        (_, None) => Ok(None),
    }
}

/// Whether an upstream's certificate may be of any issuer.
fn take_tls_config(members: &mut Members, scheme: Scheme) -> Result<bool, ApiError> {
    let Some(mut config) = members.object("tlsConfig")? else { return Ok(false) };
    let insecure = config.boolean("insecureSkipVerification")?.unwrap_or(false);
    config.finish()?;
    if insecure && scheme == Scheme::Http {
        return Err(ApiError::bad_request("tlsConfig.insecureSkipVerification needs a uri with https://"));
    }
    Ok(insecure)
}

/// A link's targets or its own, not both.
fn check_one_way(view: &View<'_>, call: &Call, integration: &RestIntegration) -> Result<(), ApiError> {
    let id = rest_integration_id(call.parameter(1), call.parameter(2));
    let own: Option<IntegrationTargets> = view.tx.part(call.parameter(0), &id)?;
    if integration.connection_id.is_none() || own.is_none() {
        return Ok(());
    }
    Err(ApiError::bad_request(format!(
        "The method's integration has targets of its own ({id}): delete them before it leads through a VPC link"
    )))
}

fn refuse_the_rest(mut members: Members) -> Result<(), ApiError> {
    // Bodies always stream here, which gives everything that buffering promises.
    members.one_of("responseTransferMode", &["BUFFERED", "STREAM"])?;
    members.unsupported(&[
        "cacheKeyParameters",
        "contentHandling",
        "credentials",
        "integrationTarget",
        "requestTemplates",
    ])?;
    members.finish()
}

/// The path mappings by bare names; every other mapping is refused.
fn take_path_parameters(members: &mut Members) -> Result<BTreeMap<String, String>, ApiError> {
    let mappings = members.strings("requestParameters")?.unwrap_or_default();
    let path_only = mappings.into_iter().map(|(target, source)| {
        let names = target.strip_prefix(TARGET_PREFIX).zip(source.strip_prefix(SOURCE_PREFIX));
        match names {
            Some((variable, parameter)) if !variable.is_empty() && !parameter.is_empty() => {
                Ok((variable.to_owned(), parameter.to_owned()))
            }
            _ => Err(ApiError::unsupported(format!(
                "The request parameter '{target}' from '{source}' (only {TARGET_PREFIX}X from {SOURCE_PREFIX}Y is)"
            ))),
        }
    });
    path_only.collect()
}

/// Each variable of the URI needs a mapping, each mapping a parameter that the method declares.
fn check_variables(method: &Method, integration: &RestIntegration) -> Result<(), ApiError> {
    let uri =
        check_uri_template(&integration.uri).map_err(|error| ApiError::bad_request(error.to_string()))?;
    if let Some(variable) = uri.variables().find(|name| !integration.path_parameters.contains_key(*name)) {
        return Err(ApiError::bad_request(format!(
            "The URI's variable '{{{variable}}}' needs the request parameter '{TARGET_PREFIX}{variable}'"
        )));
    }
    let declared =
        |parameter: &str| method.request_parameters.contains_key(&format!("{SOURCE_PREFIX}{parameter}"));
    match integration.path_parameters.values().find(|parameter| !declared(parameter)) {
        None => Ok(()),
        Some(parameter) => Err(ApiError::bad_request(format!(
            "Invalid mapping expression specified: the method doesn't declare '{SOURCE_PREFIX}{parameter}' in its \
             requestParameters"
        ))),
    }
}

pub(super) fn answer(integration: &RestIntegration) -> Value {
    let full_names = integration.path_parameters.iter().map(|(variable, parameter)| {
        (format!("{TARGET_PREFIX}{variable}"), format!("{SOURCE_PREFIX}{parameter}").into())
    });
    let parameters: Map<String, Value> = full_names.collect();
    compact(json!({
        "cacheKeyParameters": [],
        "cacheNamespace": integration.cache_namespace,
        "connectionId": integration.connection_id,
        "connectionType": if integration.connection_id.is_some() { "VPC_LINK" } else { "INTERNET" },
        "httpMethod": integration.method,
        "passthroughBehavior": integration.passthrough_behavior,
        "requestParameters": if parameters.is_empty() { Value::Null } else { parameters.into() },
        "timeoutInMillis": integration.timeout_ms,
        "tlsConfig": integration.insecure_skip_verification.then(|| json!({"insecureSkipVerification": true})),
        "type": "HTTP_PROXY",
        "uri": integration.uri,
    }))
}
