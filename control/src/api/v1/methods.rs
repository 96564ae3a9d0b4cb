//! `Method`: put, get, update, delete.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::call::{Call, compact};
use super::super::error::ApiError;
use super::super::members::Members;
use super::expressions::{check_content_types, check_http_method, check_method_parameters};
use super::patch::{self, ADD_REMOVE, ADD_REPLACE_REMOVE, Op, Patch, REPLACE, Table, Wording, rule};
use super::references::{check_authorizer, check_models, check_request_validator};
use super::{NAME_CHARS_MAX, api, integrations, method, method_responses, resource};
use crate::change::{Change, View};
use crate::model::{AuthorizationType, Method};

/// Arbitrary, far above what a method in use has.
const SCOPES_MAX: usize = 100;

pub(in super::super) fn put(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let mut resource = resource(change, &api.id, call.parameter(1))?;
    let name = call.parameter(2);
    check_http_method(name)?;
    if resource.methods.contains_key(name) {
        return Err(ApiError::conflict("Method already exists for this resource"));
    }
    let mut method = take(call.members()?)?;
    check(change, &api.id, &mut method)?;
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

pub(in super::super) fn update(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let mut resource = resource(change, &api.id, call.parameter(1))?;
    let name = call.parameter(2);
    let method = method(&mut resource, name)?;
    patch::apply(&PATCHES, method, call.members()?, |method| answer(name, method))?;
    check(change, &api.id, method)?;
    let answer = answer(name, method);
    change.tx.put_part(&api.id, &resource)?;
    Ok(answer)
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

fn take(mut members: Members) -> Result<Method, ApiError> {
    let authorization = members.required("authorizationType", NAME_CHARS_MAX)?;
    let method = Method {
        operation_name: members.text("operationName", NAME_CHARS_MAX)?,
        authorization_type: authorization_type(&authorization)?,
        authorizer_id: members.text("authorizerId", NAME_CHARS_MAX)?,
        authorization_scopes: members.list("authorizationScopes")?.unwrap_or_default(),
        api_key_required: members.boolean("apiKeyRequired")?.unwrap_or(false),
        request_validator_id: members.text("requestValidatorId", NAME_CHARS_MAX)?,
        request_models: members.strings("requestModels")?.unwrap_or_default(),
        request_parameters: members.booleans("requestParameters")?.unwrap_or_default(),
        integration: None,
        responses: BTreeMap::new(),
    };
    members.finish()?;
    Ok(method)
}

fn authorization_type(name: &str) -> Result<AuthorizationType, ApiError> {
    AuthorizationType::named(name).ok_or_else(|| {
        let known = AuthorizationType::ALL.map(AuthorizationType::name).join(",");
        ApiError::bad_request(format!("Invalid authorization type specified. Valid options are {known}"))
    })
}

const PATCHES: Table<Method> = Table {
    input: "updateMethodInput",
    wording: Wording::Bare,
    rules: &[
        rule("/authorizationScopes", ADD_REMOVE, |method, patch| {
            let scope = patch.required_text(NAME_CHARS_MAX)?;
            patch_scope(method, patch.op, &scope)
        }),
        rule("/authorizationScopes/{scope}", ADD_REMOVE, |method, patch| {
            patch_scope(method, patch.op, patch.name())
        }),
        rule("/authorizationType", REPLACE, |method, patch| {
            method.authorization_type = authorization_type(patch.value()?)?;
            Ok(())
        }),
        rule("/authorizerId", REPLACE, |method, patch| {
            method.authorizer_id = patch.optional_text(NAME_CHARS_MAX)?;
            Ok(())
        }),
        rule("/apiKeyRequired", REPLACE, |method, patch| {
            method.api_key_required = patch.boolean()?;
            Ok(())
        }),
        rule("/operationName", REPLACE, |method, patch| {
            method.operation_name = patch.optional_text(NAME_CHARS_MAX)?;
            Ok(())
        }),
        rule("/requestParameters/{name}", ADD_REPLACE_REMOVE, |method, patch| {
            patch_parameter(&mut method.request_parameters, patch)
        }),
        rule("/requestModels/{type}", ADD_REPLACE_REMOVE, |method, patch| {
            patch_model(&mut method.request_models, patch)
        }),
        rule("/requestValidatorId", REPLACE, |method, patch| {
            method.request_validator_id = patch.optional_text(NAME_CHARS_MAX)?;
            Ok(())
        }),
    ],
};

fn patch_scope(method: &mut Method, op: Op, scope: &str) -> Result<(), ApiError> {
    let before = method.authorization_scopes.len();
    method.authorization_scopes.retain(|known| known != scope);
    match op {
        Op::Remove if method.authorization_scopes.len() == before => {
            Err(ApiError::not_found(format!("Invalid authorization scope specified: {scope}")))
        }
        Op::Remove => Ok(()),
        _ => {
            method.authorization_scopes.push(scope.to_owned());
            Ok(())
        }
    }
}

/// Whether a parameter is required.
pub(super) fn patch_parameter(
    parameters: &mut BTreeMap<String, bool>,
    patch: &Patch,
) -> Result<(), ApiError> {
    let known = parameters.remove(patch.name()).is_some();
    if !known && patch.op != Op::Add {
        return Err(ApiError::not_found("Invalid parameter name specified"));
    }
    if patch.op != Op::Remove {
        parameters.insert(patch.name().to_owned(), patch.boolean()?);
    }
    Ok(())
}

pub(super) fn patch_model(models: &mut BTreeMap<String, String>, patch: &Patch) -> Result<(), ApiError> {
    let missing = || ApiError::not_found("Content-Type specified was not found");
    match patch.op {
        Op::Remove => models.remove(patch.name()).map(drop).ok_or_else(missing)?,
        Op::Replace if !models.contains_key(patch.name()) => return Err(missing()),
        _ => {
            models.insert(patch.name().to_owned(), patch.required_text(NAME_CHARS_MAX)?);
        }
    }
    Ok(())
}

/// What has to hold of a method as a whole. An authorizer that the type doesn't ask is dropped, as AWS does.
fn check(view: &View<'_>, api_id: &str, method: &mut Method) -> Result<(), ApiError> {
    check_method_parameters(&method.request_parameters)?;
    if !method.authorization_type.asks_authorizer() {
        method.authorizer_id = None;
    }
    check_authorizer(view, api_id, method.authorization_type, method.authorizer_id.as_deref())?;
    check_scopes(method)?;
    if let Some(id) = &method.request_validator_id {
        check_request_validator(view, api_id, id)?;
    }
    check_content_types("requestModels", &method.request_models)?;
    check_models(view, api_id, method.request_models.values())
}

/// A scope that nothing looks at would protect nothing.
fn check_scopes(method: &Method) -> Result<(), ApiError> {
    let scoped =
        matches!(method.authorization_type, AuthorizationType::CognitoUserPools | AuthorizationType::Jwt);
    match method.authorization_scopes.len() {
        0 => Ok(()),
        1..=SCOPES_MAX if scoped => Ok(()),
        1..=SCOPES_MAX => Err(ApiError::bad_request(
            "authorizationScopes are for the authorization types COGNITO_USER_POOLS and JWT only",
        )),
        _ => {
            Err(ApiError::bad_request(format!("A method can have at most {SCOPES_MAX} authorizationScopes")))
        }
    }
}

pub(super) fn answer(name: &str, method: &Method) -> Value {
    let responses = method.responses.iter();
    let responses: Map<String, Value> =
        responses.map(|(code, response)| (code.clone(), method_responses::answer(code, response))).collect();
    let (parameters, models) = (&method.request_parameters, &method.request_models);
    let scopes = &method.authorization_scopes;
    compact(json!({
        "apiKeyRequired": method.api_key_required,
        "authorizationScopes": (!scopes.is_empty()).then_some(scopes),
        "authorizationType": method.authorization_type.name(),
        "authorizerId": method.authorizer_id,
        "httpMethod": name,
        "methodIntegration": method.integration.as_ref().map(integrations::answer),
        "methodResponses": (!responses.is_empty()).then_some(responses),
        "operationName": method.operation_name,
        "requestModels": (!models.is_empty()).then_some(models),
        "requestParameters": (!parameters.is_empty()).then_some(parameters),
        "requestValidatorId": method.request_validator_id,
    }))
}
