//! `MethodResponse`: put, get, update, delete.

use serde_json::{Value, json};

use super::super::call::{Call, compact};
use super::super::error::ApiError;
use super::expressions::{check_content_types, check_response_headers, check_status_code};
use super::methods::{patch_model, patch_parameter};
use super::patch::{self, ADD_REPLACE_REMOVE, Table, Wording, rule};
use super::references::check_models;
use super::{api, method, resource};
use crate::change::{Change, View};
use crate::model::{Method, MethodResponse, Resource};

pub(in super::super) fn put(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let code = call.parameter(3);
    check_status_code(code)?;
    let mut members = call.members()?;
    let response = MethodResponse {
        parameters: members.booleans("responseParameters")?.unwrap_or_default(),
        models: members.strings("responseModels")?.unwrap_or_default(),
    };
    members.finish()?;
    change_method(change, call, |change, api_id, method| {
        if method.responses.contains_key(code) {
            return Err(ApiError::conflict("Response already exists for this resource"));
        }
        check(change, api_id, &response)?;
        let shown = answer(code, &response);
        method.responses.insert(code.to_owned(), response);
        Ok(shown)
    })
}

pub(in super::super) fn get(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    let code = call.parameter(3);
    check_status_code(code)?;
    let api = api(view, call.parameter(0))?;
    let mut resource = resource(view, &api.id, call.parameter(1))?;
    Ok(answer(code, response(method(&mut resource, call.parameter(2))?, code)?))
}

const PATCHES: Table<MethodResponse> = Table {
    input: "updateMethodResponseInput",
    wording: Wording::Bare,
    rules: &[
        rule("/responseModels/{type}", ADD_REPLACE_REMOVE, |response, patch| {
            patch_model(&mut response.models, patch)
        }),
        rule("/responseParameters/{name}", ADD_REPLACE_REMOVE, |response, patch| {
            patch_parameter(&mut response.parameters, patch)
        }),
    ],
};

pub(in super::super) fn update(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let code = call.parameter(3);
    check_status_code(code)?;
    change_method(change, call, |change, api_id, method| {
        let response = response(method, code)?;
        patch::apply(&PATCHES, response, call.members()?, |response| answer(code, response))?;
        check(change, api_id, response)?;
        Ok(answer(code, response))
    })
}

pub(in super::super) fn delete(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let code = call.parameter(3);
    check_status_code(code)?;
    change_method(change, call, |_, _, method| {
        response(method, code)?;
        method.responses.remove(code);
        Ok(Value::Null)
    })
}

/// Changes the method that the path names, and keeps it.
pub(super) fn change_method(
    change: &Change<'_>,
    call: &Call,
    with: impl FnOnce(&View<'_>, &str, &mut Method) -> Result<Value, ApiError>,
) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let mut resource: Resource = resource(change, &api.id, call.parameter(1))?;
    let answer = with(change, &api.id, method(&mut resource, call.parameter(2))?)?;
    change.tx.put_part(&api.id, &resource)?;
    Ok(answer)
}

fn response<'m>(method: &'m mut Method, code: &str) -> Result<&'m mut MethodResponse, ApiError> {
    let response = method.responses.get_mut(code);
    response.ok_or_else(|| ApiError::not_found("Invalid Response status code specified"))
}

fn check(view: &View<'_>, api_id: &str, response: &MethodResponse) -> Result<(), ApiError> {
    check_response_headers(&response.parameters)?;
    check_content_types("responseModels", &response.models)?;
    check_models(view, api_id, response.models.values())
}

pub(super) fn answer(code: &str, response: &MethodResponse) -> Value {
    let MethodResponse { parameters, models } = response;
    compact(json!({
        "responseModels": (!models.is_empty()).then_some(models),
        "responseParameters": (!parameters.is_empty()).then_some(parameters),
        "statusCode": code,
    }))
}
