//! `Route`: create, update, delete, and the deletion of one of its request parameters.

use serde_json::{Value, json};

use super::super::call::{Call, compact};
use super::super::error::ApiError;
use super::super::members::Members;
use super::{
    EXPRESSION_CHARS_MAX, NAME_CHARS_MAX, Shown, api, check_entries, check_quota, not_on, part, part_id,
};
use crate::change::{Change, View};
use crate::model::{
    ApiProtocol, AuthorizerKind, HttpApi, HttpAuthorizer, HttpIntegration, HttpModel, HttpRoute, Part,
    RouteAuthorization, RouteKey, check_route_parameter, check_selection,
};

/// The grammar has its own, smaller bound.
const ROUTE_KEY_CHARS_MAX: usize = 10_000;
const TARGET_CHARS_MAX: usize = 128;
const OPERATION_NAME_CHARS_MAX: usize = 64;
const SCOPE_CHARS_MAX: usize = 64;
/// AWS's limit.
const SCOPES_MAX: usize = 10;
const AUTHORIZATION_TYPES: [&str; 4] = ["NONE", "AWS_IAM", "CUSTOM", "JWT"];

pub(in super::super) fn create(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let mut members = call.members()?;
    let key = parse_key(api.protocol, &members.required("routeKey", ROUTE_KEY_CHARS_MAX)?)?;
    let mut route = HttpRoute::new(part_id()?, key);
    apply(change, &api, &mut members, &mut route)?;
    members.finish()?;
    let max = change.settings.quotas.routes_per_api_max;
    check_quota::<HttpRoute>(change, &api.id, max, "routes", "routes_per_api_max")?;
    check_free(change, &api.id, &route)?;
    change.tx.put_part(&api.id, &route)?;
    change.redeploy(&api.id);
    Ok(route.answer())
}

pub(in super::super) fn update(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let mut route: HttpRoute = part(change, &api.id, call.parameter(1))?;
    let mut members = call.members()?;
    let key = members.string("routeKey", ROUTE_KEY_CHARS_MAX)?.filter(|key| !key.is_empty());
    let key = key.map(|key| parse_key(api.protocol, &key)).transpose()?;
    if let Some(key) = key.filter(|key| *key != route.key) {
        if route.managed {
            return Err(ApiError::bad_request(
                "The route was made by quick create: change its key with UpdateApi",
            ));
        }
        route.key = key;
        check_free(change, &api.id, &route)?;
    }
    apply(change, &api, &mut members, &mut route)?;
    members.finish()?;
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

pub(in super::super) fn delete_request_parameter(
    change: &mut Change<'_>,
    call: &Call,
) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let mut route: HttpRoute = part(change, &api.id, call.parameter(1))?;
    let key = call.parameter(2);
    route.request_parameters.remove(key).ok_or_else(|| super::no_such("RequestParameter", key))?;
    change.tx.put_part(&api.id, &route)?;
    change.redeploy(&api.id);
    Ok(Value::Null)
}

pub(super) fn parse_key(protocol: ApiProtocol, text: &str) -> Result<RouteKey, ApiError> {
    let key = match protocol {
        ApiProtocol::Http => RouteKey::parse(text),
        ApiProtocol::WebSocket => RouteKey::parse_message(text),
    };
    key.map_err(|error| ApiError::bad_request(error.to_string()))
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

/// What create and update share, with the route's key as it will be.
fn apply(
    view: &View<'_>,
    api: &HttpApi,
    members: &mut Members,
    route: &mut HttpRoute,
) -> Result<(), ApiError> {
    members.set_text("operationName", OPERATION_NAME_CHARS_MAX, &mut route.operation_name)?;
    if let Some(target) = members.string("target", TARGET_CHARS_MAX)? {
        route.integration_id = integration_of(view, &api.id, &target)?;
    }
    apply_authorization(view, api, members, route)?;
    // AWS has it on WebSocket APIs alone.
    route.api_key_required = members.boolean("apiKeyRequired")?.unwrap_or(route.api_key_required);
    apply_messages(view, api, members, route)
}

/// The id of the integration in `target`; an empty one leads nowhere.
fn integration_of(view: &View<'_>, api_id: &str, target: &str) -> Result<Option<String>, ApiError> {
    if target.is_empty() {
        return Ok(None);
    }
    let id = target.strip_prefix("integrations/").filter(|id| !id.is_empty());
    let id = id.ok_or_else(|| {
        ApiError::bad_request(format!("target has to be integrations/<integration id>, not '{target}'"))
    })?;
    Ok(Some(part::<HttpIntegration>(view, api_id, id)?.id))
}

fn apply_authorization(
    view: &View<'_>,
    api: &HttpApi,
    members: &mut Members,
    route: &mut HttpRoute,
) -> Result<(), ApiError> {
    let name = members.choice("authorizationType", &AUTHORIZATION_TYPES)?;
    let id = members.string("authorizerId", NAME_CHARS_MAX)?;
    let scopes = members.list("authorizationScopes")?;
    if name.is_some() || id.is_some() || scopes.is_some() {
        let before = &route.authorization;
        let name = name.unwrap_or_else(|| before.name().to_owned());
        let id = id.or_else(|| before.authorizer_id().map(str::to_owned)).filter(|id| !id.is_empty());
        // What scopes there were go with the type that they are for.
        let kept = || if name == before.name() { before.scopes().to_vec() } else { Vec::new() };
        let scopes = scopes.unwrap_or_else(kept);
        route.authorization = authorization(view, api, &name, id, scopes)?;
    }
    let is_open = route.authorization == RouteAuthorization::None;
    if api.protocol == ApiProtocol::WebSocket && !is_open && !route.key.is_connect() {
        return Err(ApiError::bad_request(
            "Currently, authorization is restricted to the $connect route only",
        ));
    }
    Ok(())
}

fn authorization(
    view: &View<'_>,
    api: &HttpApi,
    name: &str,
    authorizer_id: Option<String>,
    scopes: Vec<String>,
) -> Result<RouteAuthorization, ApiError> {
    check_scopes(&scopes)?;
    if name != "JWT" && !scopes.is_empty() {
        return Err(ApiError::bad_request("authorizationScopes need authorizationType JWT"));
    }
    // What the type has no use for goes, as in AWS.
    match name {
        "NONE" => Ok(RouteAuthorization::None),
        "AWS_IAM" => Ok(RouteAuthorization::AwsIam),
        _ => {
            let id = authorizer_id.filter(|id| !id.is_empty()).ok_or_else(|| {
                ApiError::bad_request(format!("authorizerId is required with authorizationType {name}"))
            })?;
            let authorizer: HttpAuthorizer = part(view, &api.id, &id)?;
            match (name, &authorizer.kind) {
                ("CUSTOM", AuthorizerKind::Request { .. }) => {
                    Ok(RouteAuthorization::Custom { authorizer_id: id })
                }
                ("JWT", AuthorizerKind::Jwt(_)) => Ok(RouteAuthorization::Jwt { authorizer_id: id, scopes }),
                (_, kind) => Err(ApiError::bad_request(format!(
                    "The authorizer {id} has the type {}, which authorizationType {name} can't use",
                    kind.name()
                ))),
            }
        }
    }
}

fn check_scopes(scopes: &[String]) -> Result<(), ApiError> {
    if scopes.len() > SCOPES_MAX {
        return Err(ApiError::bad_request(format!(
            "A route can have at most {SCOPES_MAX} authorizationScopes"
        )));
    }
    match scopes.iter().find(|scope| !(1..=SCOPE_CHARS_MAX).contains(&scope.chars().count())) {
        None => Ok(()),
        Some(scope) => Err(ApiError::bad_request(format!(
            "An authorization scope has 1 to {SCOPE_CHARS_MAX} characters: '{scope}'"
        ))),
    }
}

/// What only messages of WebSocket APIs have.
fn apply_messages(
    view: &View<'_>,
    api: &HttpApi,
    members: &mut Members,
    route: &mut HttpRoute,
) -> Result<(), ApiError> {
    let selection = &mut route.response_selection;
    members.set_choice("routeResponseSelectionExpression", &["$default"], selection)?;
    members.set_text("modelSelectionExpression", EXPRESSION_CHARS_MAX, &mut route.model_selection)?;
    let model = route.model_selection.as_deref();
    model.map_or(Ok(()), |text| check_selection(text, &["request.body"])).map_err(ApiError::bad_request)?;
    if let Some(models) = members.texts("requestModels", NAME_CHARS_MAX)? {
        check_entries(models.len(), "requestModels")?;
        check_models(view, &api.id, models.values())?;
        route.request_models = models;
    }
    for (key, mut constraints) in members.objects_by_name("requestParameters")?.unwrap_or_default() {
        check_route_parameter(&key).map_err(ApiError::bad_request)?;
        let required = constraints.boolean("required")?.unwrap_or(false);
        constraints.finish()?;
        route.request_parameters.insert(key, required);
    }
    check_entries(route.request_parameters.len(), "requestParameters")?;
    let given = [
        ("routeResponseSelectionExpression", route.response_selection.is_some()),
        ("modelSelectionExpression", route.model_selection.is_some()),
        ("requestModels", !route.request_models.is_empty()),
        ("requestParameters", !route.request_parameters.is_empty()),
    ];
    match given.iter().find(|(_, given)| *given && api.protocol == ApiProtocol::Http) {
        None => Ok(()),
        Some((name, _)) => Err(not_on(api.protocol, name)),
    }
}

/// Models go by their names here, not by their ids.
pub(super) fn check_models<'n>(
    view: &View<'_>,
    api_id: &str,
    mut names: impl Iterator<Item = &'n String>,
) -> Result<(), ApiError> {
    names.try_for_each(|name| match view.tx.part_named::<HttpModel>(api_id, name)? {
        Some(_) => Ok(()),
        None => Err(ApiError::not_found(format!("Invalid Model name specified {name}"))),
    })
}

/// As the wire has parameters that may be required.
pub(super) fn parameters_answer(parameters: &std::collections::BTreeMap<String, bool>) -> Option<Value> {
    let constraints = parameters.iter().map(|(key, required)| (key.clone(), json!({"required": required})));
    (!parameters.is_empty()).then(|| constraints.collect())
}

impl Shown for HttpRoute {
    const NOUN: &'static str = "Route";

    fn answer(&self) -> Value {
        let scopes = self.authorization.scopes();
        compact(json!({
            "apiGatewayManaged": self.managed.then_some(true),
            "apiKeyRequired": self.api_key_required,
            "authorizationScopes": (!scopes.is_empty()).then_some(scopes),
            "authorizationType": self.authorization.name(),
            "authorizerId": self.authorization.authorizer_id(),
            "modelSelectionExpression": self.model_selection,
            "operationName": self.operation_name,
            "requestModels": (!self.request_models.is_empty()).then_some(&self.request_models),
            "requestParameters": parameters_answer(&self.request_parameters),
            "routeId": self.id,
            "routeKey": self.key.to_string(),
            "routeResponseSelectionExpression": self.response_selection,
            "target": self.integration_id.as_ref().map(|id| format!("integrations/{id}")),
        }))
    }
}
