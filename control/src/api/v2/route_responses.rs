//! `RouteResponse`: create, get, list, update, delete, in the route that they are a part of. WebSocket APIs only.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::call::{Call, compact, page_answer, page_of};
use super::super::error::ApiError;
use super::super::members::Members;
use super::routes::{check_models, parameters_answer};
use super::{
    EXPRESSION_CHARS_MAX, NAME_CHARS_MAX, PAGING, Shown, api, check_entries, no_such, not_on, part, part_id,
};
use crate::change::{Change, View};
use crate::model::{ApiProtocol, HttpApi, HttpRoute, RouteResponse};

const NOUN: &str = "RouteResponse";
const KEY_CHARS_MAX: usize = 128;
/// The one key that there is, as in AWS.
const KEY: &str = "$default";

pub(in super::super) fn create(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let (api, mut route) = owner(change, call)?;
    if api.protocol == ApiProtocol::Http {
        return Err(not_on(api.protocol, "A route response"));
    }
    let mut members = call.members()?;
    let mut response = RouteResponse {
        id: part_id()?,
        key: members.required("routeResponseKey", KEY_CHARS_MAX)?,
        models: BTreeMap::new(),
        parameters: BTreeMap::new(),
    };
    apply(change, &api, &mut members, &mut response)?;
    members.finish()?;
    put(change, &api, &mut route, response)
}

pub(in super::super) fn get(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    let (_, route) = owner(view, call)?;
    Ok(answer(response(&route, call.parameter(2))?))
}

pub(in super::super) fn list(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    let (_, route) = owner(view, call)?;
    let page = page_of(route.responses.into_iter(), &call.paging(&PAGING)?);
    Ok(page_answer(&page, &PAGING, answer))
}

pub(in super::super) fn update(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let (api, mut route) = owner(change, call)?;
    let mut response = response(&route, call.parameter(2))?.clone();
    let mut members = call.members()?;
    let key = members.string("routeResponseKey", KEY_CHARS_MAX)?.filter(|key| !key.is_empty());
    response.key = key.unwrap_or(response.key);
    apply(change, &api, &mut members, &mut response)?;
    members.finish()?;
    put(change, &api, &mut route, response)
}

pub(in super::super) fn delete(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let (api, mut route) = owner(change, call)?;
    let id = call.parameter(2);
    route.responses.remove(id).ok_or_else(|| no_such(NOUN, id))?;
    change.tx.put_part(&api.id, &route)?;
    change.redeploy(&api.id);
    Ok(Value::Null)
}

fn owner(view: &View<'_>, call: &Call) -> Result<(HttpApi, HttpRoute), ApiError> {
    let api = api(view, call.parameter(0))?;
    let route = part(view, &api.id, call.parameter(1))?;
    Ok((api, route))
}

fn response<'r>(route: &'r HttpRoute, id: &str) -> Result<&'r RouteResponse, ApiError> {
    route.responses.get(id).ok_or_else(|| no_such(NOUN, id))
}

fn put(
    change: &mut Change<'_>,
    api: &HttpApi,
    route: &mut HttpRoute,
    response: RouteResponse,
) -> Result<Value, ApiError> {
    if response.key != KEY {
        return Err(ApiError::bad_request(format!(
            "routeResponseKey has to be {KEY}, not '{}'",
            response.key
        )));
    }
    let taken = |other: &RouteResponse| other.id != response.id && other.key == response.key;
    if route.responses.values().any(taken) {
        return Err(ApiError::conflict(format!(
            "{NOUN} with key {} already exists for {} {}",
            response.key,
            HttpRoute::NOUN,
            route.id
        )));
    }
    let answer = answer(&response);
    route.responses.insert(response.id.clone(), response);
    change.tx.put_part(&api.id, route)?;
    change.redeploy(&api.id);
    Ok(answer)
}

fn apply(
    view: &View<'_>,
    api: &HttpApi,
    members: &mut Members,
    response: &mut RouteResponse,
) -> Result<(), ApiError> {
    let mut selection = None;
    members.set_text("modelSelectionExpression", EXPRESSION_CHARS_MAX, &mut selection)?;
    if selection.is_some() {
        return Err(ApiError::bad_request("modelSelectionExpression is not supported for route responses"));
    }
    if let Some(models) = members.texts("responseModels", NAME_CHARS_MAX)? {
        check_entries(models.len(), "responseModels")?;
        check_models(view, &api.id, models.values())?;
        response.models = models;
    }
    for (key, mut constraints) in members.objects_by_name("responseParameters")?.unwrap_or_default() {
        check_parameter(&key)?;
        let required = constraints.boolean("required")?.unwrap_or(false);
        constraints.finish()?;
        response.parameters.insert(key, required);
    }
    check_entries(response.parameters.len(), "responseParameters")
}

fn check_parameter(key: &str) -> Result<(), ApiError> {
    let name = key.strip_prefix("route.response.header.");
    match name.is_some_and(|name| !name.is_empty()) {
        true => Ok(()),
        false => Err(ApiError::bad_request(format!(
            "Invalid mapping expression specified: '{key}': a response parameter is route.response.header. and a name"
        ))),
    }
}

fn answer(response: &RouteResponse) -> Value {
    compact(json!({
        "responseModels": (!response.models.is_empty()).then_some(&response.models),
        "responseParameters": parameters_answer(&response.parameters),
        "routeResponseId": response.id,
        "routeResponseKey": response.key,
    }))
}
