//! What has to hold of an integration as a whole, with the method that it belongs to.

use crate::api::call::Call;
use crate::api::error::ApiError;
use crate::change::View;
use crate::model::{
    IntegrationTargets, Method, RestIntegration, RestIntegrationKind, check_uri_template, link_variable,
    rest_integration_id,
};

use super::super::expressions::{
    check_cache_key_parameters, check_http_method, check_request_parameters, check_templates,
};
use turnpike_snapshot::Scheme;

/// The method that an integration belongs to.
pub(super) struct Place<'c> {
    api_id: &'c str,
    resource_id: &'c str,
    method: &'c str,
}

impl<'c> Place<'c> {
    pub(super) fn of(call: &'c Call) -> Self {
        Self { api_id: call.parameter(0), resource_id: call.parameter(1), method: call.parameter(2) }
    }
}

pub(super) fn check(
    view: &View<'_>,
    place: &Place<'_>,
    method: &Method,
    integration: &RestIntegration,
) -> Result<(), ApiError> {
    check_timeout(view, integration)?;
    check_method(integration)?;
    check_uri(integration)?;
    check_connection(view, place, integration)?;
    check_credentials(integration)?;
    check_request_parameters(method, &integration.request_parameters)?;
    check_variables(integration)?;
    check_templates("requestTemplates", &integration.request_templates)?;
    check_cache_key_parameters(method, &integration.request_parameters, &integration.cache_key_parameters)
}

fn check_timeout(view: &View<'_>, integration: &RestIntegration) -> Result<(), ApiError> {
    let (ceiling, min) = (view.settings.quotas.integration_timeout_ms_max, super::TIMEOUT_MS_MIN);
    match integration.timeout_ms {
        ms if ms <= ceiling => Ok(()),
        _ => Err(ApiError::bad_request(format!(
            "timeoutInMillis has to be an integer from {min} to {ceiling}"
        ))),
    }
}

fn check_method(integration: &RestIntegration) -> Result<(), ApiError> {
    match &integration.method {
        Some(name) => check_http_method(name),
        None if integration.kind == RestIntegrationKind::Mock => Ok(()),
        None => Err(ApiError::bad_request("Enumeration value for HttpMethod must be non-empty")),
    }
}

fn check_uri(integration: &RestIntegration) -> Result<(), ApiError> {
    let uri = integration.uri.as_deref();
    match (integration.kind, uri) {
        (RestIntegrationKind::Mock, _) => Ok(()),
        (_, None) => Err(ApiError::bad_request("Invalid HTTP endpoint specified for URI: uri is required")),
        (RestIntegrationKind::Http | RestIntegrationKind::HttpProxy, Some(uri)) => {
            check_http_uri(integration, uri)
        }
        (RestIntegrationKind::Aws | RestIntegrationKind::AwsProxy, Some(uri)) => {
            check_aws_uri(integration.kind, uri)
        }
    }
}

fn check_http_uri(integration: &RestIntegration, uri: &str) -> Result<(), ApiError> {
    let scheme = check_uri_template(uri).map_err(|error| ApiError::bad_request(error.to_string()))?.scheme;
    if integration.insecure_skip_verification && scheme == Scheme::Http {
        return Err(ApiError::bad_request("tlsConfig.insecureSkipVerification needs a uri with https://"));
    }
    Ok(())
}

/// `arn:aws:apigateway:{region}:{subdomain.service|service}:path|action/{service_api}`.
fn check_aws_uri(kind: RestIntegrationKind, uri: &str) -> Result<(), ApiError> {
    let fields: Vec<&str> = uri.splitn(6, ':').collect();
    let ["arn", _, "apigateway", _, service, rest] = fields[..] else {
        return Err(ApiError::bad_request("Invalid ARN specified in the request"));
    };
    if !(rest.starts_with("path/") || rest.starts_with("action/")) {
        return Err(ApiError::bad_request("AWS ARN for integration must contain path or action"));
    }
    let proxied = matches!(service.rsplit('.').next(), Some("lambda" | "firehose"));
    if kind == RestIntegrationKind::AwsProxy && !proxied {
        return Err(ApiError::bad_request(
            "Integrations of type 'AWS_PROXY' currently only supports Lambda function and Firehose stream invocations.",
        ));
    }
    Ok(())
}

/// A link has to be there, unless a stage variable names it. A link's targets or its own, not both.
fn check_connection(
    view: &View<'_>,
    place: &Place<'_>,
    integration: &RestIntegration,
) -> Result<(), ApiError> {
    let Some(id) = integration.connection_id.as_deref() else { return Ok(()) };
    if id.is_empty() {
        return Err(ApiError::bad_request("connectionId is required with connectionType VPC_LINK"));
    }
    if link_variable(id).is_none() && !view.has_link(id)? {
        return Err(ApiError::bad_request(format!("Invalid VpcLink identifier specified: {id}")));
    }
    let own = rest_integration_id(place.resource_id, place.method);
    match view.tx.part::<IntegrationTargets>(place.api_id, &own)? {
        None => Ok(()),
        Some(_) => Err(ApiError::bad_request(format!(
            "The method's integration has targets of its own ({own}): delete them before it leads through a VPC link"
        ))),
    }
}

/// A role, or what stands for the caller.
fn check_credentials(integration: &RestIntegration) -> Result<(), ApiError> {
    match integration.credentials.as_deref() {
        Some(arn) if !arn.starts_with("arn:") && !arn.contains("${stageVariables.") => {
            Err(ApiError::bad_request("Invalid ARN specified in the request"))
        }
        _ => Ok(()),
    }
}

/// Each variable of an HTTP URI needs a mapping.
fn check_variables(integration: &RestIntegration) -> Result<(), ApiError> {
    let Some(uri) = integration.uri.as_deref().filter(|_| integration.kind.is_http()) else { return Ok(()) };
    let uri = check_uri_template(uri).map_err(|error| ApiError::bad_request(error.to_string()))?;
    let unfilled = uri.variables().find(|name| integration.path_source(name).is_none());
    match unfilled {
        None => Ok(()),
        Some(variable) => Err(ApiError::bad_request(format!(
            "The URI's variable '{{{variable}}}' needs the request parameter 'integration.request.path.{variable}'"
        ))),
    }
}
