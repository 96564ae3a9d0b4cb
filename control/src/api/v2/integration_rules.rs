//! What an integration may be, by the protocol of its API and by its type.

use turnpike_snapshot::Scheme;

use super::super::error::ApiError;
use super::super::functions::{is_action_arn, is_function_arn};
use super::not_on;
use crate::change::View;
use crate::model::{
    ApiProtocol, HttpIntegration, HttpIntegrationType, METHODS, check_action_parameter,
    check_message_mapping, check_request_mapping, check_response_mapping, check_selection, check_subtype,
    check_uri_template,
};

pub(super) const TIMEOUT_MS_MIN: u32 = 50;
/// What HTTP integrations do anyway, so that saying it changes nothing.
const PASSTHROUGH_DEFAULT: &str = "WHEN_NO_MATCH";

/// The ceiling of a timeout, as AWS's default is.
pub(super) fn default_timeout_ms(view: &View<'_>, protocol: ApiProtocol) -> u32 {
    match protocol {
        ApiProtocol::Http => view.settings.quotas.http_integration_timeout_ms_max,
        ApiProtocol::WebSocket => view.settings.quotas.integration_timeout_ms_max,
    }
}

/// What AWS fills in.
pub(super) fn fill_defaults(protocol: ApiProtocol, integration: &mut HttpIntegration) {
    if integration.kind.calls_aws() && integration.subtype.is_none() {
        integration.method.get_or_insert_with(|| "POST".to_owned());
    }
    let passthrough = &mut integration.passthrough_behavior;
    match protocol {
        ApiProtocol::Http if passthrough.as_deref() == Some(PASSTHROUGH_DEFAULT) => *passthrough = None,
        ApiProtocol::Http => {}
        ApiProtocol::WebSocket => {
            passthrough.get_or_insert_with(|| PASSTHROUGH_DEFAULT.to_owned());
        }
    }
}

/// # Errors
/// Says what can't be so.
pub(super) fn check(protocol: ApiProtocol, integration: &HttpIntegration) -> Result<(), ApiError> {
    if let Some(arn) = &integration.credentials_arn {
        check_credentials(arn)?;
    }
    if let Some(method) = integration.method.as_deref().filter(|method| !METHODS.contains(method)) {
        return Err(ApiError::bad_request(format!("Invalid HTTP method specified: '{method}'")));
    }
    match protocol {
        ApiProtocol::Http => check_http(integration),
        ApiProtocol::WebSocket => check_websocket(integration),
    }
}

/// A role to be taken on, or the caller's own identity.
pub(super) fn check_credentials(arn: &str) -> Result<(), ApiError> {
    let fields: Vec<&str> = arn.splitn(6, ':').collect();
    let names_one = match fields[..] {
        ["arn", partition, "iam", "", _, resource] if partition.starts_with("aws") => {
            resource == "user/*" || resource.strip_prefix("role/").is_some_and(|name| !name.is_empty())
        }
        _ => false,
    };
    match names_one {
        true => Ok(()),
        false => Err(ApiError::bad_request(format!(
            "Invalid credentialsArn '{arn}': it has to be arn:aws:iam::ACCOUNT:role/NAME, or arn:aws:iam::*:user/*"
        ))),
    }
}

fn check_http(integration: &HttpIntegration) -> Result<(), ApiError> {
    refuse_foreign(
        ApiProtocol::Http,
        &[
            ("contentHandlingStrategy", integration.content_handling.is_some()),
            ("passthroughBehavior", integration.passthrough_behavior.is_some()),
            ("requestTemplates", !integration.request_templates.is_empty()),
            ("templateSelectionExpression", integration.template_selection.is_some()),
        ],
    )?;
    match integration.kind {
        HttpIntegrationType::HttpProxy => check_url(integration)?,
        HttpIntegrationType::AwsProxy if integration.subtype.is_some() => return check_action(integration),
        HttpIntegrationType::AwsProxy => check_function(integration)?,
        kind => return Err(not_on(ApiProtocol::Http, &format!("integrationType {}", kind.name()))),
    }
    if integration.subtype.is_some() {
        return Err(ApiError::bad_request("integrationSubtype needs integrationType AWS_PROXY"));
    }
    for (key, value) in &integration.request_parameters {
        check_request_mapping(key, value).map_err(ApiError::bad_request)?;
    }
    check_answers(integration)
}

fn check_answers(integration: &HttpIntegration) -> Result<(), ApiError> {
    for (status, mappings) in &integration.response_parameters {
        for (key, value) in mappings {
            check_response_mapping(status, key, value).map_err(ApiError::bad_request)?;
        }
    }
    Ok(())
}

/// A service's action by name.
fn check_action(integration: &HttpIntegration) -> Result<(), ApiError> {
    let subtype = integration.subtype.as_deref().unwrap_or_default();
    if integration.uri.is_some() || integration.method.is_some() || integration.link_id.is_some() {
        return Err(ApiError::bad_request(
            "An integration with integrationSubtype has no integrationUri, integrationMethod and connectionId",
        ));
    }
    if integration.payload_format_version != "1.0" {
        return Err(ApiError::bad_request("payloadFormatVersion has to be 1.0 with integrationSubtype"));
    }
    if integration.credentials_arn.is_none() {
        return Err(ApiError::bad_request("credentialsArn is required with integrationSubtype"));
    }
    check_subtype(subtype, &integration.request_parameters).map_err(ApiError::bad_request)?;
    for (key, value) in &integration.request_parameters {
        check_action_parameter(key, value).map_err(ApiError::bad_request)?;
    }
    check_answers(integration)
}

fn check_websocket(integration: &HttpIntegration) -> Result<(), ApiError> {
    refuse_foreign(
        ApiProtocol::WebSocket,
        &[
            ("integrationSubtype", integration.subtype.is_some()),
            ("responseParameters", !integration.response_parameters.is_empty()),
            ("tlsConfig", integration.server_name.is_some()),
            ("payloadFormatVersion 2.0", integration.payload_format_version != "1.0"),
        ],
    )?;
    match integration.kind {
        HttpIntegrationType::HttpProxy | HttpIntegrationType::Http => check_url(integration)?,
        HttpIntegrationType::AwsProxy | HttpIntegrationType::Aws => {
            let uri = required(integration.uri.as_deref(), "integrationUri", integration)?;
            if !is_action_arn(uri) {
                return Err(ApiError::bad_request(format!(
                    "Invalid integrationUri '{uri}': it has to be arn:aws:apigateway:REGION:SERVICE:path/… or :action/…"
                )));
            }
        }
        HttpIntegrationType::Mock if integration.uri.is_some() || integration.link_id.is_some() => {
            return Err(ApiError::bad_request(
                "A MOCK integration has no integrationUri and no connectionId",
            ));
        }
        HttpIntegrationType::Mock => {}
    }
    for (key, value) in &integration.request_parameters {
        check_message_mapping(key, value).map_err(ApiError::bad_request)?;
    }
    let selection = integration.template_selection.as_deref();
    selection.map_or(Ok(()), |text| check_selection(text, &["request.body"])).map_err(ApiError::bad_request)
}

fn refuse_foreign(protocol: ApiProtocol, given: &[(&str, bool)]) -> Result<(), ApiError> {
    match given.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((name, _)) => Err(not_on(protocol, name)),
    }
}

/// An HTTP endpoint. AWS's ARNs of load balancers and of Cloud Map services name nothing here.
fn check_url(integration: &HttpIntegration) -> Result<(), ApiError> {
    required(integration.method.as_deref(), "integrationMethod", integration)?;
    let uri = required(integration.uri.as_deref(), "integrationUri", integration)?;
    if uri.starts_with("arn:") {
        return Err(ApiError::bad_request(format!(
            "integrationUri can't be the ARN '{uri}' in this version of Turnpike: give an http:// or https:// URL, whose host is \
             what the targets see, and put the VPC link's targets at /turnpike/v1/vpclinks/<id>/targets"
        )));
    }
    let parsed = check_uri_template(uri).map_err(|error| ApiError::bad_request(error.to_string()))?;
    if integration.server_name.is_some() && parsed.scheme == Scheme::Http {
        return Err(ApiError::bad_request(
            "tlsConfig.serverNameToVerify needs an integrationUri with https://",
        ));
    }
    match integration.payload_format_version.as_str() {
        "1.0" => Ok(()),
        version => Err(ApiError::bad_request(format!(
            "payloadFormatVersion {version} is for AWS_PROXY integrations: of HTTP_PROXY it is 1.0"
        ))),
    }
}

/// A function by its own ARN, or by that of its invocation.
fn check_function(integration: &HttpIntegration) -> Result<(), ApiError> {
    let uri = required(integration.uri.as_deref(), "integrationUri", integration)?;
    if integration.link_id.is_some() || integration.server_name.is_some() {
        return Err(ApiError::bad_request("connectionId and tlsConfig are for HTTP_PROXY integrations"));
    }
    match is_function_arn(uri) {
        true => Ok(()),
        false => Err(ApiError::bad_request(format!(
            "Invalid integrationUri '{uri}': it has to be a function's ARN, arn:aws:lambda:REGION:ACCOUNT:function:NAME, or \
             arn:aws:apigateway:REGION:lambda:path/2015-03-31/functions/FUNCTION-ARN/invocations"
        ))),
    }
}

fn required<'i>(
    value: Option<&'i str>,
    name: &str,
    integration: &HttpIntegration,
) -> Result<&'i str, ApiError> {
    value.ok_or_else(|| {
        let kind = integration.kind.name();
        let article = if kind.starts_with('M') { "a" } else { "an" };
        ApiError::bad_request(format!("{name} is required for {article} {kind} integration"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_name_a_role() {
        for arn in ["arn:aws:iam::000000000000:role/a/b", "arn:aws:iam::*:user/*", "arn:aws-cn:iam::1:role/x"]
        {
            assert_eq!(check_credentials(arn), Ok(()), "{arn}");
        }
        for arn in ["role", "arn:aws:iam::1:user/x", "arn:aws:s3:::b", "arn:aws:iam:::group/x"] {
            assert!(check_credentials(arn).is_err(), "{arn}");
        }
    }
}
