//! `RouteSettings`: taking, showing and deleting what a stage says of its routes.

use serde_json::{Value, json};

use super::super::call::{Call, compact};
use super::super::error::ApiError;
use super::super::members::Members;
use super::{api, check_entries, part};
use crate::change::{Change, View};
use crate::model::{ApiProtocol, HttpApi, HttpRoute, HttpStage, LOGGING_LEVELS, RouteSettings};

pub(super) fn take_default(
    members: &mut Members,
    protocol: ApiProtocol,
) -> Result<Option<RouteSettings>, ApiError> {
    members.object("defaultRouteSettings")?.map(|given| take_one(given, protocol)).transpose()
}

/// Each by the key of a route that the API has.
pub(super) fn take(
    view: &View<'_>,
    members: &mut Members,
    api: &HttpApi,
) -> Result<Vec<(String, RouteSettings)>, ApiError> {
    let given = members.objects_by_name("routeSettings")?.unwrap_or_default();
    check_entries(given.len(), "routeSettings")?;
    if given.is_empty() {
        return Ok(Vec::new());
    }
    let routes: Vec<HttpRoute> = view.tx.parts(&api.id)?;
    let known: std::collections::HashSet<String> =
        routes.into_iter().map(|route| route.key.to_string()).collect();
    let one = |(key, members): (String, Members)| match known.contains(&key) {
        true => Ok((key, take_one(members, api.protocol)?)),
        false => Err(ApiError::not_found(format!(
            "Unable to find Route by key {key} within the provided RouteSettings"
        ))),
    };
    given.into_iter().map(one).collect()
}

fn take_one(mut members: Members, protocol: ApiProtocol) -> Result<RouteSettings, ApiError> {
    let mut logging_level = None;
    members.set_choice("loggingLevel", &LOGGING_LEVELS, &mut logging_level)?;
    let settings = RouteSettings {
        data_trace_enabled: members.boolean("dataTraceEnabled")?,
        detailed_metrics_enabled: members.boolean("detailedMetricsEnabled")?,
        logging_level,
        throttling_burst_tokens: members.integer("throttlingBurstLimit", 0..=i32::MAX.unsigned_abs())?,
        throttling_rate: members.number("throttlingRateLimit")?,
    };
    members.finish()?;
    let logs = settings.logging_level.is_some() || settings.data_trace_enabled == Some(true);
    if protocol == ApiProtocol::Http && logs {
        return Err(ApiError::bad_request("Execution logs are not supported on protocolType HTTP"));
    }
    Ok(settings)
}

/// What isn't given stays as it was.
pub(super) fn merge(into: &mut RouteSettings, given: RouteSettings) {
    into.data_trace_enabled = given.data_trace_enabled.or(into.data_trace_enabled);
    into.detailed_metrics_enabled = given.detailed_metrics_enabled.or(into.detailed_metrics_enabled);
    into.logging_level = given.logging_level.or_else(|| into.logging_level.take());
    into.throttling_burst_tokens = given.throttling_burst_tokens.or(into.throttling_burst_tokens);
    into.throttling_rate = given.throttling_rate.or(into.throttling_rate);
}

pub(super) fn answer(settings: &RouteSettings) -> Value {
    compact(json!({
        "dataTraceEnabled": settings.data_trace_enabled,
        "detailedMetricsEnabled": settings.detailed_metrics_enabled,
        "loggingLevel": settings.logging_level,
        "throttlingBurstLimit": settings.throttling_burst_tokens,
        "throttlingRateLimit": settings.throttling_rate,
    }))
}

pub(in super::super) fn delete(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let mut stage: HttpStage = part(change, &api.id, call.parameter(1))?;
    let key = call.parameter(2);
    if stage.route_settings.remove(key).is_none() {
        return Err(ApiError::not_found(format!(
            "Stage {} has no RouteSettings for the key {key}",
            stage.name
        )));
    }
    stage.updated_at_s = change.now_s;
    change.tx.put_part(&api.id, &stage)?;
    change.recompile(&api.id, &stage.name);
    Ok(Value::Null)
}
