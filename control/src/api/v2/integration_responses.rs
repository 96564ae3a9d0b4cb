//! `IntegrationResponse`: create, get, list, update, delete, in the integration that they are a part of. WebSocket APIs
//! only.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::call::{Call, compact, page_answer, page_of};
use super::super::error::ApiError;
use super::super::members::Members;
use super::integrations::CONTENT_HANDLING;
use super::{
    EXPRESSION_CHARS_MAX, MAPPING_CHARS_MAX, PAGING, Shown, TEMPLATE_CHARS_MAX, api, check_entries,
    check_room, no_such, not_on, part, part_id,
};
use crate::change::{Change, View};
use crate::model::{
    ApiProtocol, HttpApi, HttpIntegration, HttpIntegrationResponse, check_message_response_mapping,
    check_selection,
};

const NOUN: &str = "IntegrationResponse";
const KEY_CHARS_MAX: usize = 128;
/// What can select a template of an answer.
const ROOTS: [&str; 4] = [
    "request.body",
    "integration.response.statuscode",
    "integration.response.header.",
    "integration.response.multivalueheader.",
];

pub(in super::super) fn create(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let (api, mut integration) = owner(change, call)?;
    if api.protocol == ApiProtocol::Http {
        return Err(not_on(api.protocol, "An integration response"));
    }
    if integration.kind.is_proxy() {
        return Err(ApiError::bad_request(format!(
            "{} integrations have no integration responses: their upstream's answers are passed on as they are",
            integration.kind.name()
        )));
    }
    let mut members = call.members()?;
    let mut response = HttpIntegrationResponse {
        id: part_id()?,
        key: members.required("integrationResponseKey", KEY_CHARS_MAX)?,
        content_handling: None,
        parameters: BTreeMap::new(),
        templates: BTreeMap::new(),
        template_selection: None,
    };
    apply(&mut members, &mut response)?;
    members.finish()?;
    let max = change.settings.quotas.responses_per_integration_max;
    let count = integration.responses.len();
    check_room(count, max, "integration", "integration responses", "responses_per_integration_max")?;
    put(change, &api, &mut integration, response)
}

pub(in super::super) fn get(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    let (_, integration) = owner(view, call)?;
    Ok(answer(response(&integration, call.parameter(2))?))
}

pub(in super::super) fn list(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    let (_, integration) = owner(view, call)?;
    let page = page_of(integration.responses.into_iter(), &call.paging(&PAGING)?);
    Ok(page_answer(&page, &PAGING, answer))
}

pub(in super::super) fn update(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let (api, mut integration) = owner(change, call)?;
    let mut response = response(&integration, call.parameter(2))?.clone();
    let mut members = call.members()?;
    let key = members.string("integrationResponseKey", KEY_CHARS_MAX)?.filter(|key| !key.is_empty());
    response.key = key.unwrap_or(response.key);
    apply(&mut members, &mut response)?;
    members.finish()?;
    put(change, &api, &mut integration, response)
}

pub(in super::super) fn delete(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let (api, mut integration) = owner(change, call)?;
    let id = call.parameter(2);
    integration.responses.remove(id).ok_or_else(|| no_such(NOUN, id))?;
    change.tx.put_part(&api.id, &integration)?;
    change.redeploy(&api.id);
    Ok(Value::Null)
}

fn owner(view: &View<'_>, call: &Call) -> Result<(HttpApi, HttpIntegration), ApiError> {
    let api = api(view, call.parameter(0))?;
    let integration = part(view, &api.id, call.parameter(1))?;
    Ok((api, integration))
}

fn response<'i>(integration: &'i HttpIntegration, id: &str) -> Result<&'i HttpIntegrationResponse, ApiError> {
    integration.responses.get(id).ok_or_else(|| no_such(NOUN, id))
}

fn put(
    change: &mut Change<'_>,
    api: &HttpApi,
    integration: &mut HttpIntegration,
    response: HttpIntegrationResponse,
) -> Result<Value, ApiError> {
    check_key(&response.key)?;
    let taken = |other: &HttpIntegrationResponse| other.id != response.id && other.key == response.key;
    if integration.responses.values().any(taken) {
        return Err(ApiError::conflict(format!(
            "{NOUN} with key {} already exists for {} {}",
            response.key,
            HttpIntegration::NOUN,
            integration.id
        )));
    }
    let answer = answer(&response);
    integration.responses.insert(response.id.clone(), response);
    change.tx.put_part(&api.id, integration)?;
    change.redeploy(&api.id);
    Ok(answer)
}

fn apply(members: &mut Members, response: &mut HttpIntegrationResponse) -> Result<(), ApiError> {
    members.set_choice("contentHandlingStrategy", &CONTENT_HANDLING, &mut response.content_handling)?;
    let selection = &mut response.template_selection;
    members.set_text("templateSelectionExpression", EXPRESSION_CHARS_MAX, selection)?;
    selection
        .as_deref()
        .map_or(Ok(()), |text| check_selection(text, &ROOTS))
        .map_err(ApiError::bad_request)?;
    if let Some(templates) = members.texts("responseTemplates", TEMPLATE_CHARS_MAX)? {
        check_entries(templates.len(), "responseTemplates")?;
        response.templates = templates;
    }
    if let Some(parameters) = members.texts("responseParameters", MAPPING_CHARS_MAX)? {
        check_entries(parameters.len(), "responseParameters")?;
        for (key, value) in &parameters {
            check_message_response_mapping(key, value).map_err(ApiError::bad_request)?;
        }
        response.parameters = parameters;
    }
    Ok(())
}

/// `$default`, or an expression between slashes.
fn check_key(key: &str) -> Result<(), ApiError> {
    let is_expression = key.len() > 2 && key.starts_with('/') && key.ends_with('/');
    match key == "$default" || is_expression {
        true => Ok(()),
        false => Err(ApiError::bad_request(format!(
            "integrationResponseKey has to be $default, or an expression between slashes such as /2\\d\\d/, not '{key}'"
        ))),
    }
}

fn answer(response: &HttpIntegrationResponse) -> Value {
    let some = |map: &BTreeMap<String, String>| (!map.is_empty()).then(|| map.clone());
    compact(json!({
        "contentHandlingStrategy": response.content_handling,
        "integrationResponseId": response.id,
        "integrationResponseKey": response.key,
        "responseParameters": some(&response.parameters),
        "responseTemplates": some(&response.templates),
        "templateSelectionExpression": response.template_selection,
    }))
}
