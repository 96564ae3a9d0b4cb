//! `Api`: create (with quick create), get, list, update, delete.

use serde_json::{Value, json};

use super::super::call::{Call, compact, page_answer};
use super::super::entities;
use super::super::error::ApiError;
use super::super::members::Members;
use super::quick::{self, QuickMembers};
use super::{
    DESCRIPTION_CHARS_MAX, EXPRESSION_CHARS_MAX, NAME_CHARS_MAX, PAGING, VERSION_CHARS_MAX, api, cors, not_on,
};
use crate::change::{Change, View};
use crate::model::{API_KEY_HEADER, ApiProtocol, HttpApi, check_selection, new_id};
use crate::time::iso8601;

const API_ID_LEN: usize = 10;
/// The one route selection of HTTP APIs, in both of the ways in which it may be written.
const ROUTE_SELECTIONS: [&str; 2] = ["$request.method $request.path", "${request.method} ${request.path}"];
/// Where API keys may be; the first is the default.
const API_KEY_SELECTIONS: [&str; 2] = [API_KEY_HEADER, "$context.authorizer.usageIdentifierKey"];

pub(in super::super) fn create(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let mut members = call.members()?;
    let name = members.required("name", NAME_CHARS_MAX)?;
    let protocol = protocol_of(&members.required("protocolType", NAME_CHARS_MAX)?)?;
    let tags = members.tags()?.unwrap_or_default();
    let mut api = HttpApi::new(new_api_id(change)?, name, protocol, change.now_s);
    api.tags = tags;
    apply(&mut members, &mut api)?;
    let quick = QuickMembers::take(&mut members, protocol)?;
    members.finish()?;
    if protocol == ApiProtocol::WebSocket && api.route_selection.is_none() {
        return Err(ApiError::bad_request("routeSelectionExpression is required for a WebSocket API"));
    }
    let apis_max = change.settings.quotas.apis_max;
    if change.tx.api_count::<HttpApi>()? >= apis_max {
        return Err(ApiError::bad_request(format!(
            "There are already {apis_max} HTTP and WebSocket APIs: raise apis_max for more"
        )));
    }
    change.tx.put_api(&api)?;
    quick::create(change, &api.id, quick)?;
    Ok(answer(change, &api))
}

pub(in super::super) fn get(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    Ok(answer(view, &api(view, call.parameter(0))?))
}

pub(in super::super) fn list(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    let paging = call.paging(&PAGING)?;
    let page = view.tx.apis::<HttpApi>(&paging.after, paging.limit)?;
    Ok(page_answer(&page, &PAGING, |api| answer(view, api)))
}

pub(in super::super) fn update(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let before = api(change, call.parameter(0))?;
    let mut api = before.clone();
    let mut members = call.members()?;
    let name = members.string("name", NAME_CHARS_MAX)?.filter(|name| !name.is_empty());
    api.name = name.unwrap_or(api.name);
    apply(&mut members, &mut api)?;
    let quick = QuickMembers::take(&mut members, api.protocol)?;
    members.finish()?;
    change.tx.put_api(&api)?;
    if api.execute_api_endpoint_disabled != before.execute_api_endpoint_disabled {
        change.recompile_api(&api.id)?;
    }
    if is_redeployed(&before, &api) {
        change.redeploy(&api.id);
    }
    quick::update(change, &api.id, quick)?;
    Ok(answer(change, &api))
}

pub(in super::super) fn delete(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    entities::delete_api(change, &api.id)
}

/// An id that no API of either kind has, since it names a host.
pub(in super::super) fn new_api_id(view: &View<'_>) -> Result<String, ApiError> {
    loop {
        let id = new_id(API_ID_LEN).map_err(|error| ApiError::internal(&error))?;
        if !view.tx.has_api(&id)? {
            return Ok(id);
        }
    }
}

fn protocol_of(name: &str) -> Result<ApiProtocol, ApiError> {
    let known = [ApiProtocol::Http, ApiProtocol::WebSocket].into_iter().find(|known| known.name() == name);
    known.ok_or_else(|| {
        ApiError::bad_request(format!(
            "Invalid protocol specified. Must be one of [HTTP, WEBSOCKET]: '{name}'"
        ))
    })
}

/// What create and update share.
fn apply(members: &mut Members, api: &mut HttpApi) -> Result<(), ApiError> {
    members.set_text("description", DESCRIPTION_CHARS_MAX, &mut api.description)?;
    members.set_text("version", VERSION_CHARS_MAX, &mut api.version)?;
    if let Some(disabled) = members.boolean("disableExecuteApiEndpoint")? {
        api.execute_api_endpoint_disabled = disabled;
    }
    if let Some(kind) = members.choice("ipAddressType", &["ipv4", "dualstack"])? {
        api.dual_stack = kind == "dualstack";
    }
    members.set_choice("apiKeySelectionExpression", &API_KEY_SELECTIONS, &mut api.api_key_selection)?;
    apply_route_selection(members, api)?;
    if let Some(disabled) = members.boolean("disableSchemaValidation")? {
        if disabled && api.protocol == ApiProtocol::Http {
            return Err(not_on(api.protocol, "disableSchemaValidation"));
        }
        api.schema_validation_disabled = disabled;
    }
    if let Some(cors) = cors::take(members)? {
        if api.protocol == ApiProtocol::WebSocket {
            return Err(not_on(api.protocol, "corsConfiguration"));
        }
        api.cors = Some(cors);
    }
    Ok(())
}

fn apply_route_selection(members: &mut Members, api: &mut HttpApi) -> Result<(), ApiError> {
    let given = members.string("routeSelectionExpression", EXPRESSION_CHARS_MAX)?;
    let Some(given) = given.filter(|given| !given.is_empty()) else { return Ok(()) };
    match api.protocol {
        ApiProtocol::Http if ROUTE_SELECTIONS.contains(&given.as_str()) => Ok(()),
        ApiProtocol::Http => Err(ApiError::bad_request(format!(
            "Invalid routeSelectionExpression '{given}': it has to be {} for HTTP APIs",
            ROUTE_SELECTIONS[1]
        ))),
        ApiProtocol::WebSocket => {
            check_selection(&given, &["request.body"]).map_err(ApiError::bad_request)?;
            api.route_selection = Some(given);
            Ok(())
        }
    }
}

/// Whether what a deployment takes of an API itself has changed.
fn is_redeployed(before: &HttpApi, after: &HttpApi) -> bool {
    let frozen =
        |api: &HttpApi| (api.cors.clone(), api.route_selection.clone(), api.api_key_selection.clone());
    frozen(before) != frozen(after)
}

/// A WebSocket API's is that over TLS, as in AWS, unless gateways have none.
fn endpoint(view: &View<'_>, api: &HttpApi) -> String {
    let account = &view.settings.account;
    let (region, suffix) = (&account.region, &account.endpoint_suffix);
    let (scheme, port) = match (api.protocol, view.endpoint_tls_port) {
        (ApiProtocol::Http, _) => ("http", view.endpoint_port),
        (ApiProtocol::WebSocket, Some(port)) => ("wss", port),
        (ApiProtocol::WebSocket, None) => ("ws", view.endpoint_port),
    };
    format!("{scheme}://{}.execute-api.{region}.{suffix}:{port}", api.id)
}

fn answer(view: &View<'_>, api: &HttpApi) -> Value {
    compact(json!({
        "apiId": api.id,
        "apiEndpoint": endpoint(view, api),
        "apiKeySelectionExpression": api.api_key_selection.as_deref().unwrap_or(API_KEY_SELECTIONS[0]),
        "corsConfiguration": api.cors.as_ref().map(cors::answer),
        "createdDate": iso8601(api.created_at_s),
        "description": api.description,
        "disableExecuteApiEndpoint": api.execute_api_endpoint_disabled,
        "disableSchemaValidation": api.schema_validation_disabled.then_some(true),
        "ipAddressType": if api.dual_stack { "dualstack" } else { "ipv4" },
        "name": api.name,
        "protocolType": api.protocol.name(),
        "routeSelectionExpression": api.route_selection.as_deref().unwrap_or(ROUTE_SELECTIONS[0]),
        "tags": api.tags,
        "version": api.version,
    }))
}
