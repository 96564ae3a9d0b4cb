//! `Api` to OpenAPI 3: export, of what is there now or of what a stage serves.

use serde_json::Value;

use super::super::call::Call;
use super::super::dispatch::look_within;
use super::super::error::ApiError;
use super::super::exports::{all_items, download};
use super::super::operations::Service;
use super::super::reply::Download;
use super::{Shown, api, cors, part};
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
    let stage = call.query_value("stageName")?;
    let mut exported = Exported::now(view, &api.id)?;
    if let Some(stage) = &stage {
        exported.serve(view, &api.id, stage)?;
    }
    let document = export_http(&HttpExport {
        api: &exported.api,
        routes: &exported.routes,
        integrations: &exported.integrations,
        authorizers: &exported.authorizers,
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

/// What the operations answer.
struct Exported {
    api: Value,
    routes: Vec<Value>,
    integrations: Vec<Value>,
    authorizers: Vec<Value>,
}

impl Exported {
    /// The API as it is.
    fn now(view: &View<'_>, api_id: &str) -> Result<Self, ApiError> {
        let items = |operation: &str| all_items(view, Service::V2, operation, &[api_id], "");
        Ok(Self {
            api: look_within(view, Service::V2, "GetApi", &Call::inner(&[api_id], &Value::Null))?,
            routes: items("GetRoutes")?,
            integrations: items("GetIntegrations")?,
            authorizers: items("GetAuthorizers")?,
        })
    }

    /// As the stage serves it.
    fn serve(&mut self, view: &View<'_>, api_id: &str, stage: &str) -> Result<(), ApiError> {
        let stage: HttpStage = part(view, api_id, stage)?;
        let content = match &stage.deployment_id {
            Some(deployment) => view.tx.part::<HttpContent>(api_id, deployment)?,
            None => None,
        };
        let content = content.ok_or_else(|| {
            ApiError::bad_request(format!("The stage {} has nothing deployed to it", stage.name))
        })?;
        self.routes = content.routes.iter().map(Shown::answer).collect();
        self.integrations = content.integrations.iter().map(Shown::answer).collect();
        self.authorizers = content.authorizers.iter().map(Shown::answer).collect();
        match &content.cors {
            Some(cors) => self.api["corsConfiguration"] = cors::answer(cors),
            None => {
                self.api.as_object_mut().and_then(|api| api.remove("corsConfiguration"));
            }
        }
        Ok(())
    }
}
