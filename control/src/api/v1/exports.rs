//! `RestApi` to OpenAPI: what a stage serves.

use serde_json::Value;

use super::super::call::Call;
use super::super::dispatch::look_within;
use super::super::error::ApiError;
use super::super::exports::download;
use super::super::operations::Service;
use super::super::reply::Download;
use super::parts::Shown;
use super::{api, gateway_responses, part, resources};
use crate::change::View;
use crate::model::{DocumentationSnapshot, RestContent, RestDeployment, RestStage};
use crate::openapi::{Dialect, Extensions, Format, RestExport, export_rest};
use crate::time::iso8601;

pub(in super::super) fn export(view: &View<'_>, call: &Call) -> Result<Download, ApiError> {
    let api = api(view, call.parameter(0))?;
    let stage: RestStage = part(view, &api.id, call.parameter(1), "stage")?;
    let dialect = match call.parameter(2) {
        "swagger" => Dialect::Swagger2,
        "oas30" => Dialect::OpenApi30,
        other => {
            let message = format!("The export type has to be swagger or oas30, not '{other}'");
            return Err(ApiError::bad_request(message));
        }
    };
    let format = format(&call.accept)?;
    let extensions = extensions(call)?;
    let deployment: RestDeployment = part(view, &api.id, &stage.deployment_id, "Deployment")?;
    let content: RestContent = part(view, &api.id, &stage.deployment_id, "Deployment")?;
    let account = &view.settings.account;
    let host = format!(
        "{}.execute-api.{}.{}:{}",
        api.id, account.region, account.endpoint_suffix, view.endpoint_port
    );
    let documentation = documentation(view, &api.id, &stage)?;
    let document = export_rest(&RestExport {
        dialect,
        extensions,
        api: &look_within(view, Service::V1, "GetRestApi", &Call::inner(&[&api.id], &Value::Null))?,
        stage: &stage.name,
        deployed_at: &iso8601(deployment.created_at_s),
        host: &host,
        region: &account.region,
        resources: &all(&content.resources, |resource| resources::answer(resource, true)),
        models: &all(&content.models, Shown::answer),
        authorizers: &all(&content.authorizers, Shown::answer),
        validators: &all(&content.request_validators, Shown::answer),
        gateway_responses: &all(&content.gateway_responses, gateway_responses::custom_answer),
        documentation: documentation.as_ref().map(|(version, parts)| (version.as_str(), &parts[..])),
    })?;
    let kind = call.parameter(2);
    let ending = if format == Format::Json { "json" } else { "yaml" };
    Ok(download(&document, format, Some(format!("{kind}_{}.{ending}", deployment.created_at_s))))
}

fn all<T>(items: &[T], answer: impl Fn(&T) -> Value) -> Vec<Value> {
    items.iter().map(answer).collect()
}

/// The documentation version that the stage names, and its parts.
fn documentation(
    view: &View<'_>,
    api_id: &str,
    stage: &RestStage,
) -> Result<Option<(String, Vec<Value>)>, ApiError> {
    let Some(version) = &stage.documentation_version else { return Ok(None) };
    let snapshot: DocumentationSnapshot = part(view, api_id, version, "Documentation version")?;
    Ok(Some((snapshot.version, snapshot.parts.iter().map(Shown::answer).collect())))
}

/// JSON, unless YAML is asked for; a browser's list of everything is no wish.
fn format(accept: &str) -> Result<Format, ApiError> {
    let kinds = accept.split(',').map(|kind| kind.split(';').next().unwrap_or_default().trim());
    for kind in kinds {
        match kind {
            "" | "*/*" | "application/*" | "application/json" => return Ok(Format::Json),
            "application/yaml" => return Ok(Format::Yaml),
            _ => {}
        }
    }
    Err(ApiError::bad_request(format!(
        "Accept has to be application/json or application/yaml, not '{accept}'"
    )))
}

fn extensions(call: &Call) -> Result<Extensions, ApiError> {
    let mut extensions = Extensions::default();
    let listed = call.query_values("extensions");
    for name in listed.iter().flat_map(|list| list.split(',')).map(str::trim).filter(|name| !name.is_empty())
    {
        match name {
            "integrations" => extensions.integrations = true,
            "authorizers" => extensions.authorizers = true,
            "documentation" => extensions.documentation = true,
            "validators" => extensions.validators = true,
            "gatewayresponses" => extensions.gateway_responses = true,
            "postman" => extensions.postman = true,
            "apigateway" => extensions = Extensions { postman: extensions.postman, ..Extensions::AWS },
            other => {
                return Err(ApiError::bad_request(format!("There is no extension '{other}' to export")));
            }
        }
    }
    Ok(extensions)
}
