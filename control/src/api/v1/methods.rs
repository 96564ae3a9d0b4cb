//! `Method`: put, get, delete.

use serde_json::{Value, json};

use super::super::call::{Call, compact};
use super::super::error::ApiError;
use super::super::members::Members;
use super::{NAME_CHARS_MAX, api, integrations, method, resource};
use crate::change::{Change, View};
use crate::model::{METHODS, Method};

const REQUEST_PARAMETERS_MAX: usize = 100;

pub(in super::super) fn put(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let mut resource = resource(change, &api.id, call.parameter(1))?;
    let name = call.parameter(2);
    if !METHODS.contains(&name) {
        return Err(ApiError::bad_request(format!(
            "Invalid HTTP method '{name}': it has to be GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS or ANY"
        )));
    }
    if resource.methods.contains_key(name) {
        return Err(ApiError::conflict("Method already exists for this resource"));
    }
    let method = take(call.members()?)?;
    let answer = answer(name, &method);
    resource.methods.insert(name.to_owned(), method);
    change.tx.put_part(&api.id, &resource)?;
    Ok(answer)
}

pub(in super::super) fn get(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(view, call.parameter(0))?;
    let mut resource = resource(view, &api.id, call.parameter(1))?;
    Ok(answer(call.parameter(2), method(&mut resource, call.parameter(2))?))
}

pub(in super::super) fn delete(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let mut resource = resource(change, &api.id, call.parameter(1))?;
    method(&mut resource, call.parameter(2))?;
    resource.methods.remove(call.parameter(2));
    change.tx.put_part(&api.id, &resource)?;
    change.trim_targets(&api.id);
    Ok(Value::Null)
}

/// What asks for protection that can't be given yet is refused, so that nobody believes to have it.
fn take(mut members: Members) -> Result<Method, ApiError> {
    if members.one_of("authorizationType", &["NONE"])?.is_none() {
        return Err(ApiError::bad_request("authorizationType is required; this version supports NONE"));
    }
    let method = Method {
        operation_name: members.string("operationName", NAME_CHARS_MAX)?,
        request_parameters: members.booleans("requestParameters")?.unwrap_or_default(),
        integration: None,
    };
    members.unsupported(&[
        "apiKeyRequired",
        "authorizationScopes",
        "authorizerId",
        "requestModels",
        "requestValidatorId",
    ])?;
    members.finish()?;
    if method.request_parameters.len() > REQUEST_PARAMETERS_MAX {
        let message = format!("A method can have at most {REQUEST_PARAMETERS_MAX} request parameters");
        return Err(ApiError::bad_request(message));
    }
    method.request_parameters.keys().try_for_each(|name| check_parameter(name))?;
    Ok(method)
}

fn check_parameter(name: &str) -> Result<(), ApiError> {
    let known = ["path.", "querystring.", "header."].iter().any(|location| {
        let rest = name.strip_prefix("method.request.").and_then(|rest| rest.strip_prefix(location));
        rest.is_some_and(|name| !name.is_empty())
    });
    if known {
        return Ok(());
    }
    Err(ApiError::bad_request(format!(
        "Invalid mapping expression specified: '{name}' has to be method.request.path, .querystring or .header \
         with a name"
    )))
}

pub(super) fn answer(name: &str, method: &Method) -> Value {
    let parameters = &method.request_parameters;
    compact(json!({
        "apiKeyRequired": false,
        "authorizationType": "NONE",
        "httpMethod": name,
        "methodIntegration": method.integration.as_ref().map(integrations::answer),
        "operationName": method.operation_name,
        "requestParameters": (!parameters.is_empty()).then_some(parameters),
    }))
}
