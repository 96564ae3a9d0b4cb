//! `IntegrationResponse`: put, get, update, delete.

use serde_json::{Value, json};

use super::super::call::{Call, compact};
use super::super::error::ApiError;
use super::expressions::{check_response_parameters, check_status_code, check_templates};
use super::integrations::{
    CONTENT_HANDLINGS, no_integration, of_call, patch_content_handling, patch_text, templates_answer,
};
use super::method_responses::change_method;
use super::patch::{self, ADD_REPLACE_REMOVE, REPLACE, Table, Wording, rule};
use crate::change::{Change, View};
use crate::model::{IntegrationResponse, Method, RestIntegration};

const PATTERN_CHARS_MAX: usize = 1_024;

/// Replaces the response that the integration had for the status. AWS takes one that the method doesn't declare, unless it
/// fills headers.
pub(in super::super) fn put(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let code = call.parameter(3);
    check_status_code(code)?;
    let mut members = call.members()?;
    let response = IntegrationResponse {
        selection_pattern: members.string("selectionPattern", PATTERN_CHARS_MAX)?,
        parameters: members.strings("responseParameters")?.unwrap_or_default(),
        templates: members.strings_or_null("responseTemplates")?.unwrap_or_default(),
        content_handling: members.enumerated(
            "putIntegrationResponseInput",
            "contentHandling",
            &CONTENT_HANDLINGS,
        )?,
    };
    members.finish()?;
    change_method(change, call, |_, _, method| {
        check(method, code, &response)?;
        let shown = answer(code, &response);
        integration(method)?.responses.insert(code.to_owned(), response);
        Ok(shown)
    })
}

pub(in super::super) fn get(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    let code = call.parameter(3);
    check_status_code(code)?;
    let integration = of_call(view, call)?;
    integration.responses.get(code).map(|response| answer(code, response)).ok_or_else(no_response)
}

const PATCHES: Table<IntegrationResponse> = Table {
    input: "updateIntegrationResponseInput",
    wording: Wording::Bare,
    rules: &[
        rule("/contentHandling", REPLACE, |response, patch| {
            response.content_handling = patch_content_handling(patch)?;
            Ok(())
        }),
        rule("/responseParameters/{name}", ADD_REPLACE_REMOVE, |response, patch| {
            patch_text(&mut response.parameters, patch)
        }),
        rule("/responseTemplates/{type}", ADD_REPLACE_REMOVE, |response, patch| {
            patch_text(&mut response.templates, patch)
        }),
        rule("/selectionPattern", REPLACE, |response, patch| {
            response.selection_pattern = Some(patch.text(PATTERN_CHARS_MAX)?);
            Ok(())
        }),
    ],
};

pub(in super::super) fn update(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let code = call.parameter(3);
    check_status_code(code)?;
    change_method(change, call, |_, _, method| {
        let mut response = integration(method)?.responses.remove(code).ok_or_else(no_response)?;
        patch::apply(&PATCHES, &mut response, call.members()?, |response| answer(code, response))?;
        check(method, code, &response)?;
        let shown = answer(code, &response);
        integration(method)?.responses.insert(code.to_owned(), response);
        Ok(shown)
    })
}

pub(in super::super) fn delete(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let code = call.parameter(3);
    check_status_code(code)?;
    change_method(change, call, |_, _, method| {
        integration(method)?.responses.remove(code).ok_or_else(no_response)?;
        Ok(Value::Null)
    })
}

fn integration(method: &mut Method) -> Result<&mut RestIntegration, ApiError> {
    method.integration.as_mut().ok_or_else(no_integration)
}

fn no_response() -> ApiError {
    ApiError::not_found("Invalid Response status code specified")
}

fn check(method: &Method, code: &str, response: &IntegrationResponse) -> Result<(), ApiError> {
    check_response_parameters(method.responses.get(code), &response.parameters)?;
    check_templates("responseTemplates", &response.templates)
}

pub(super) fn answer(code: &str, response: &IntegrationResponse) -> Value {
    let parameters = &response.parameters;
    compact(json!({
        "contentHandling": response.content_handling,
        "responseParameters": (!parameters.is_empty()).then_some(parameters),
        "responseTemplates": templates_answer(&response.templates),
        "selectionPattern": response.selection_pattern,
        "statusCode": code,
    }))
}
