//! `RestApi` from OpenAPI: import, and put into an API that there is, by merging or overwriting.

mod fill;

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::call::Call;
use super::super::error::ApiError;
use super::super::imports::{self, Import, text};
use super::super::operations::Service;
use super::super::prepared::Prepared;
use super::api;
use super::import_settings::patches;
use crate::change::Change;
use crate::openapi::{BasePathMode, Document, Place, RestPlan, plan_rest};
use crate::settings::Settings;
use fill::Fill;

/// Names of query parameters that these operations have; AWS's clients send any.
const PARAMETERS: [&str; 7] = [
    "mode",
    "failonwarnings",
    "basepath",
    "basePath",
    "ignore",
    "endpointConfigurationTypes",
    "endpointConfigurationVpcEndpointIds",
];

/// The body's document.
fn read(settings: &Settings, call: &Call) -> Result<Arc<Document>, ApiError> {
    Asked::take(call)?;
    let read = call.document.as_ref().map(|read| Ok(Arc::clone(read)));
    read.unwrap_or_else(|| imports::read(settings, call.content.bytes()))
}

pub(in super::super) fn import(settings: &Settings, call: &Call) -> Result<Prepared, ApiError> {
    Ok(Prepared::of_document(read(settings, call)?, put_new))
}

pub(in super::super) fn put(settings: &Settings, call: &Call) -> Result<Prepared, ApiError> {
    Ok(Prepared::of_document(read(settings, call)?, put_into))
}

fn put_new(change: &mut Change<'_>, call: &Call, document: &Document) -> Result<Value, ApiError> {
    let asked = Asked::take(call)?;
    let mut import = Import::new(change, Service::V1, asked.fail_on_warnings);
    let plan = asked.plan(&mut import, document)?;
    let mut members = plan.api.clone();
    asked.set_endpoint(&mut members);
    let Some(api) = import.run(&Place::default(), "create the API", "CreateRestApi", &[], &members)? else {
        return import.check().map(|()| Value::Null);
    };
    let id = text(&api, "id");
    Fill { import: &mut import, api_id: &id, plan: &plan, overwrite: true }.run()?;
    answer(&mut import, &id)
}

fn put_into(change: &mut Change<'_>, call: &Call, document: &Document) -> Result<Value, ApiError> {
    let asked = Asked::take(call)?;
    let overwrite = match call.query_value("mode")?.as_deref() {
        None | Some("merge") => false,
        Some("overwrite") => true,
        Some(other) => {
            return Err(ApiError::bad_request(format!("mode has to be merge or overwrite, not '{other}'")));
        }
    };
    let id = call.parameter(0);
    let mut import = Import::new(change, Service::V1, asked.fail_on_warnings);
    let before = import.call("GetRestApi", &[id], &Value::Null)?;
    let plan = asked.plan(&mut import, document)?;
    let patches = patches(&before, &plan.api, overwrite);
    import.run(&Place::default(), "update the API", "UpdateRestApi", &[id], &patches)?;
    put_version(import.change, id, &plan)?;
    asked.warn_of_endpoint(&mut import, &before);
    Fill { import: &mut import, api_id: id, plan: &plan, overwrite }.run()?;
    answer(&mut import, id)
}

/// AWS patches everything but the version.
fn put_version(change: &Change<'_>, api_id: &str, plan: &RestPlan) -> Result<(), ApiError> {
    let mut api = api(change, api_id)?;
    api.version = plan.api["version"].as_str().map(str::to_owned).or(api.version);
    Ok(change.tx.put_api(&api)?)
}

/// What the query says of an import.
struct Asked {
    fail_on_warnings: bool,
    base_path: BasePathMode,
    documentation: bool,
    endpoint_types: Option<String>,
    vpc_endpoint_ids: Option<String>,
}

impl Asked {
    fn take(call: &Call) -> Result<Self, ApiError> {
        imports::check_parameters(call, &PARAMETERS)?;
        let documentation = match call.query_value("ignore")?.as_deref() {
            None => true,
            Some("documentation") => false,
            Some(other) => {
                return Err(ApiError::bad_request(format!("ignore has to be documentation, not '{other}'")));
            }
        };
        let written = if call.query_values("basePath").is_empty() { "basepath" } else { "basePath" };
        Ok(Self {
            fail_on_warnings: call.query_flag("failonwarnings")?,
            base_path: imports::base_path_mode(call, written)?,
            documentation,
            endpoint_types: call.query_value("endpointConfigurationTypes")?,
            vpc_endpoint_ids: call.query_value("endpointConfigurationVpcEndpointIds")?,
        })
    }

    /// The document as a plan without errors.
    fn plan(&self, import: &mut Import<'_, '_>, document: &Document) -> Result<RestPlan, ApiError> {
        let mut plan = plan_rest(document, self.base_path, &mut import.problems)?;
        import.check()?;
        if !self.documentation {
            plan.documentation = None;
        }
        Ok(plan)
    }

    fn set_endpoint(&self, api: &mut Value) {
        let listed = |text: &str| text.split(',').map(str::trim).map(str::to_owned).collect::<Value>();
        if let Some(types) = &self.endpoint_types {
            api["endpointConfiguration"]["types"] = listed(types);
        }
        if let Some(ids) = &self.vpc_endpoint_ids {
            api["endpointConfiguration"]["vpcEndpointIds"] = listed(ids);
        }
    }

    /// The kind of endpoint of an API that there is stays: whoever asks for another one is told.
    fn warn_of_endpoint(&self, import: &mut Import<'_, '_>, before: &Value) {
        let mut wanted = before.clone();
        self.set_endpoint(&mut wanted);
        for (member, parameter) in [
            ("types", "endpointConfigurationTypes"),
            ("vpcEndpointIds", "endpointConfigurationVpcEndpointIds"),
        ] {
            let member = |api: &Value| api["endpointConfiguration"].get(member).cloned();
            if member(&wanted) != member(before) {
                let place = Place::default();
                import
                    .problems
                    .warn(&place, format_args!("{parameter} changes nothing of an API that there is"));
            }
        }
    }
}

fn answer(import: &mut Import<'_, '_>, api_id: &str) -> Result<Value, ApiError> {
    import.check()?;
    let mut api = import.call("GetRestApi", &[api_id], &Value::Null)?;
    let warnings = import.problems.warnings();
    if !warnings.is_empty() {
        api["warnings"] = json!(warnings);
    }
    Ok(api)
}
