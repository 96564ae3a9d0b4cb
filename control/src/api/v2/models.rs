//! `Model`: create, update, delete, and a template made of one.

use serde_json::{Value, json};

use super::super::call::{Call, compact};
use super::super::error::ApiError;
use super::super::members::Members;
use super::super::model_template;
use super::{
    DESCRIPTION_CHARS_MAX, NAME_CHARS_MAX, Shown, TEMPLATE_CHARS_MAX, api, check_name, check_quota, part,
    part_id,
};
use crate::change::{Change, View};
use crate::model::{HttpModel, HttpRoute, check_model_name, check_model_schema};

const CONTENT_TYPE_CHARS_MAX: usize = 256;
const CONTENT_TYPE: &str = "application/json";

pub(in super::super) fn create(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let mut members = call.members()?;
    let mut model = HttpModel {
        id: part_id()?,
        name: members.required("name", NAME_CHARS_MAX)?,
        content_type: CONTENT_TYPE.to_owned(),
        description: None,
        schema: members.required("schema", TEMPLATE_CHARS_MAX)?,
    };
    apply(&mut members, &mut model)?;
    members.finish()?;
    let max = change.settings.quotas.models_per_api_max;
    check_quota::<HttpModel>(change, &api.id, max, "models", "models_per_api_max")?;
    put(change, &api.id, &model)
}

pub(in super::super) fn update(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let mut model: HttpModel = part(change, &api.id, call.parameter(1))?;
    let mut members = call.members()?;
    let name = members.string("name", NAME_CHARS_MAX)?.filter(|name| !name.is_empty());
    if let Some(name) = name.filter(|name| *name != model.name) {
        check_unused(change, &api.id, &model.name, "rename")?;
        model.name = name;
    }
    let schema = members.string("schema", TEMPLATE_CHARS_MAX)?.filter(|schema| !schema.is_empty());
    model.schema = schema.unwrap_or(model.schema);
    apply(&mut members, &mut model)?;
    members.finish()?;
    put(change, &api.id, &model)
}

pub(in super::super) fn delete(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let model: HttpModel = part(change, &api.id, call.parameter(1))?;
    check_unused(change, &api.id, &model.name, "delete")?;
    change.tx.delete_part::<HttpModel>(&api.id, &model.id)?;
    change.redeploy(&api.id);
    Ok(Value::Null)
}

pub(in super::super) fn template(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(view, call.parameter(0))?;
    let model: HttpModel = part(view, &api.id, call.parameter(1))?;
    model_template::answer(&model.name, &model.schema)
}

fn apply(members: &mut Members, model: &mut HttpModel) -> Result<(), ApiError> {
    members.set_text("description", DESCRIPTION_CHARS_MAX, &mut model.description)?;
    let content_type = members.string("contentType", CONTENT_TYPE_CHARS_MAX)?;
    if let Some(content_type) = content_type.filter(|content_type| !content_type.is_empty()) {
        model.content_type = content_type;
    }
    Ok(())
}

fn put(change: &mut Change<'_>, api_id: &str, model: &HttpModel) -> Result<Value, ApiError> {
    check_model_name(&model.name).map_err(ApiError::bad_request)?;
    check_model_schema(&model.content_type, &model.schema).map_err(ApiError::bad_request)?;
    check_name(change, api_id, model)?;
    change.tx.put_part(api_id, model)?;
    change.redeploy(api_id);
    Ok(model.answer())
}

/// Routes have models by their names.
fn check_unused(view: &View<'_>, api_id: &str, name: &str, what: &str) -> Result<(), ApiError> {
    let routes: Vec<HttpRoute> = view.tx.parts(api_id)?;
    match routes.iter().find(|route| route.uses_model(name)) {
        None => Ok(()),
        Some(route) => Err(ApiError::conflict(format!(
            "Cannot {what} model '{name}', is referenced in route: {} ({})",
            route.id, route.key
        ))),
    }
}

impl Shown for HttpModel {
    const NOUN: &'static str = "Model";

    fn answer(&self) -> Value {
        compact(json!({
            "contentType": self.content_type,
            "description": self.description,
            "modelId": self.id,
            "name": self.name,
            "schema": self.schema,
        }))
    }
}
