//! `Route`: create, update, delete.

use serde_json::{Value, json};

use super::super::call::{Call, compact};
use super::super::error::ApiError;
use super::super::members::Members;
use super::{Shown, api, check_quota, part};
use crate::change::{Change, View};
use crate::model::{HttpIntegration, HttpRoute, Part, RouteKey, new_id};

pub(super) const ROUTE_ID_LEN: usize = 7;
/// The grammar has its own, smaller bound.
const ROUTE_KEY_CHARS_MAX: usize = 10_000;
const TARGET_CHARS_MAX: usize = 128;
const OPERATION_NAME_CHARS_MAX: usize = 64;

pub(in super::super) fn create(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let mut members = call.members()?;
    let key = parse_key(&members.required("routeKey", ROUTE_KEY_CHARS_MAX)?)?;
    let (integration_id, operation_name) = take(change, &api.id, &mut members)?;
    refuse_the_rest(members)?;
    let max = change.settings.quotas.routes_per_api_max;
    check_quota::<HttpRoute>(change, &api.id, max, "routes", "routes_per_api_max")?;
    let id = new_id(ROUTE_ID_LEN).map_err(|error| ApiError::internal(&error))?;
    let route = HttpRoute { id, managed: false, key, operation_name, integration_id };
    check_free(change, &api.id, &route)?;
    change.tx.put_part(&api.id, &route)?;
    change.redeploy(&api.id);
    Ok(route.answer())
}

pub(in super::super) fn update(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let mut route: HttpRoute = part(change, &api.id, call.parameter(1))?;
    let mut members = call.members()?;
    let key = members.string("routeKey", ROUTE_KEY_CHARS_MAX)?.map(|key| parse_key(&key)).transpose()?;
    let (integration_id, operation_name) = take(change, &api.id, &mut members)?;
    refuse_the_rest(members)?;
    if let Some(key) = key.filter(|key| *key != route.key) {
        if route.managed {
            return Err(ApiError::bad_request(
                "The route was made by quick create: change its key with UpdateApi",
            ));
        }
        route.key = key;
        check_free(change, &api.id, &route)?;
    }
    route.integration_id = integration_id.or(route.integration_id);
    route.operation_name = operation_name.or(route.operation_name);
    change.tx.put_part(&api.id, &route)?;
    change.redeploy(&api.id);
    Ok(route.answer())
}

pub(in super::super) fn delete(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let route: HttpRoute = part(change, &api.id, call.parameter(1))?;
    change.tx.delete_part::<HttpRoute>(&api.id, &route.id)?;
    change.redeploy(&api.id);
    Ok(Value::Null)
}

pub(super) fn parse_key(text: &str) -> Result<RouteKey, ApiError> {
    RouteKey::parse(text).map_err(|error| ApiError::bad_request(error.to_string()))
}

/// Refuses a key that another route has, or that matches the same requests as another's.
pub(super) fn check_free(view: &View<'_>, api_id: &str, route: &HttpRoute) -> Result<(), ApiError> {
    let Some(name) = route.name() else { return Ok(()) };
    match view.tx.part_named::<HttpRoute>(api_id, &name)? {
        Some(other) if other.id != route.id && other.key == route.key => {
            Err(ApiError::conflict(format!("Route with key {} already exists for this API", route.key)))
        }
        Some(other) if other.id != route.id => Err(ApiError::conflict(format!(
            "Route with key {} would match the same requests as {}, which already exists for this API",
            route.key, other.key
        ))),
        _ => Ok(()),
    }
}

/// The id of the integration in `target`, and the operation's name.
fn take(
    view: &View<'_>,
    api_id: &str,
    members: &mut Members,
) -> Result<(Option<String>, Option<String>), ApiError> {
    let target = members.string("target", TARGET_CHARS_MAX)?.filter(|target| !target.is_empty());
    let operation_name = members.string("operationName", OPERATION_NAME_CHARS_MAX)?;
    let Some(target) = target else { return Ok((None, operation_name)) };
    let id = target.strip_prefix("integrations/").filter(|id| !id.is_empty());
    let id = id.ok_or_else(|| {
        ApiError::bad_request(format!("target has to be integrations/<integration id>, not '{target}'"))
    })?;
    part::<HttpIntegration>(view, api_id, id)?;
    Ok((Some(id.to_owned()), operation_name))
}

/// What asks for protection that can't be given yet is refused, so that nobody believes to have it.
fn refuse_the_rest(mut members: Members) -> Result<(), ApiError> {
    members.one_of("authorizationType", &["NONE"])?;
    members.unsupported(&[
        "routeResponseSelectionExpression",
        "apiKeyRequired",
        "authorizationScopes",
        "authorizerId",
        "modelSelectionExpression",
        "requestModels",
        "requestParameters",
    ])?;
    members.finish()
}

impl Shown for HttpRoute {
    const NOUN: &'static str = "Route";

    fn answer(&self) -> Value {
        compact(json!({
            "apiGatewayManaged": self.managed.then_some(true),
            "apiKeyRequired": false,
            "authorizationType": "NONE",
            "operationName": self.operation_name,
            "routeId": self.id,
            "routeKey": self.key.to_string(),
            "target": self.integration_id.as_ref().map(|id| format!("integrations/{id}")),
        }))
    }
}
