//! `Api` to OpenAPI 3: export, of what is there now or of what a stage serves.

use serde_json::Value;

use super::super::call::Call;
use super::super::dispatch::look_within;
use super::super::error::ApiError;
use super::super::exports::{all_items, download};
use super::super::operations::Service;
use super::super::reply::Download;
use super::{Shown as _, api, part};
use crate::change::View;
use crate::model::{ApiProtocol, HttpContent, HttpStage};
use crate::openapi::{Format, HttpExport, export_http};

pub(in super::super) fn export(view: &View<'_>, call: &Call) -> Result<Download, ApiError> {
    let api = api(view, call.parameter(0))?;
    if api.protocol != ApiProtocol::Http {
        return Err(ApiError::bad_request("Only HTTP APIs can be exported"));
    }
    check(call)?;
    let format = format(call)?;
    let extensions =
        call.query_value("includeExtensions")?.is_none() || call.query_flag("includeExtensions")?;
    let shown = look_within(view, Service::V2, "GetApi", &Call::inner(&[&api.id], &Value::Null))?;
    let stage = call.query_value("stageName")?;
    let (routes, integrations) = match &stage {
        Some(name) => deployed(view, &api.id, name)?,
        None => (
            all_items(view, Service::V2, "GetRoutes", &[&api.id], "")?,
            all_items(view, Service::V2, "GetIntegrations", &[&api.id], "")?,
        ),
    };
    let document = export_http(&HttpExport {
        api: &shown,
        routes: &routes,
        integrations: &integrations,
        authorizers: &all_items(view, Service::V2, "GetAuthorizers", &[&api.id], "")?,
        stage: stage.as_deref(),
        extensions,
    })?;
    Ok(download(&document, format, None))
}

fn check(call: &Call) -> Result<(), ApiError> {
    match (call.parameter(1), call.query_value("exportVersion")?.as_deref()) {
        ("OAS30", None | Some("1.0")) => Ok(()),
        ("OAS30", Some(version)) => {
            Err(ApiError::bad_request(format!("exportVersion has to be 1.0, not '{version}'")))
        }
        (other, _) => Err(ApiError::bad_request(format!("The specification has to be OAS30, not '{other}'"))),
    }
}

fn format(call: &Call) -> Result<Format, ApiError> {
    match call.query_value("outputType")?.as_deref() {
        Some("JSON") => Ok(Format::Json),
        Some("YAML") => Ok(Format::Yaml),
        other => {
            let other = other.unwrap_or_default();
            Err(ApiError::bad_request(format!("outputType has to be JSON or YAML, not '{other}'")))
        }
    }
}

/// The routes and integrations that the stage serves.
fn deployed(view: &View<'_>, api_id: &str, stage: &str) -> Result<(Vec<Value>, Vec<Value>), ApiError> {
    let stage: HttpStage = part(view, api_id, stage)?;
    let content = match &stage.deployment_id {
        Some(deployment) => view.tx.part::<HttpContent>(api_id, deployment)?,
        None => None,
    };
    let content = content.ok_or_else(|| {
        ApiError::bad_request(format!("The stage {} has nothing deployed to it", stage.name))
    })?;
    let routes = content.routes.iter().map(|route| route.answer()).collect();
    Ok((routes, content.integrations.iter().map(|integration| integration.answer()).collect()))
}
