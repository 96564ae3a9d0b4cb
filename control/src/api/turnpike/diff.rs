//! What a deployment would change in the data plane: the routes of a stage as gateways have them, against those that they
//! would get of the API as it is now.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use turnpike_snapshot::{
    HttpProxy, HttpVersion, Integration, IntegrationKind, Route, Scheme, StageUnit, TargetPart, UpstreamTls,
};

use super::super::call::{Call, compact};
use super::super::content::Content;
use super::super::error::ApiError;
use super::super::{v1, v2};
use crate::change::Change;
use crate::model::{HttpApi, HttpStage, RestApi, RestStage};

/// Deploys, looks, and is undone: what a deployment would be refused for, this is refused for.
pub(in super::super) fn of_stage(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let (api_id, stage) = (call.parameter(0), call.parameter(1));
    let live = change.stage_unit(api_id, stage)?;
    deploy(change, call)?;
    let next = change.stage_unit(api_id, stage)?;
    Ok(difference(live.as_ref(), next.as_ref()))
}

fn deploy(change: &mut Change<'_>, call: &Call) -> Result<(), ApiError> {
    let (api_id, stage) = (call.parameter(0), call.parameter(1));
    let no_stage = || ApiError::not_found("Invalid stage identifier specified");
    let deployment = Call { content: Content::of(&json!({"stageName": stage})), ..call.clone() };
    if change.tx.api::<RestApi>(api_id)?.is_some() {
        change.tx.part::<RestStage>(api_id, stage)?.ok_or_else(no_stage)?;
        return v1::deployments::create(change, &deployment).map(drop);
    }
    if change.tx.api::<HttpApi>(api_id)?.is_none() {
        return Err(ApiError::not_found(format!("Invalid API identifier specified {api_id}")));
    }
    let found: HttpStage = change.tx.part(api_id, stage)?.ok_or_else(no_stage)?;
    match found.auto_deploy {
        // It serves the API as it is now.
        true => Ok(()),
        false => v2::deployments::create(change, &deployment).map(drop),
    }
}

/// Either may be nothing that is served.
pub(super) fn difference(live: Option<&StageUnit>, next: Option<&StageUnit>) -> Value {
    let (before, after) = (routes(live), routes(next));
    let (mut added, mut removed, mut changed) = (Vec::new(), Vec::new(), Vec::new());
    for (key, leads) in &after {
        match before.get(key) {
            None => added.push(json!({"route": key, "leadsTo": told(leads)})),
            Some(led) if led.is_same(leads) => {}
            Some(led) => changed.push(json!({"route": key, "before": told(led), "after": told(leads)})),
        }
    }
    for (key, led) in before.iter().filter(|(key, _)| !after.contains_key(*key)) {
        removed.push(json!({"route": key, "leadsTo": told(led)}));
    }
    compact(json!({
        "deploymentId": live.map(|unit| &unit.deployment_id),
        "added": added,
        "removed": removed,
        "changed": changed,
    }))
}

/// A route with what it leads to, without the identifiers that only logs have.
struct Leads<'u> {
    route: &'u Route,
    integration: &'u Integration,
}

impl Leads<'_> {
    fn is_same(&self, other: &Self) -> bool {
        let route = |leads: &Self| Route { id: String::new(), integration: 0, ..leads.route.clone() };
        let integration = |leads: &Self| Integration { id: String::new(), ..leads.integration.clone() };
        route(self) == route(other) && integration(self) == integration(other)
    }
}

fn routes(unit: Option<&StageUnit>) -> BTreeMap<String, Leads<'_>> {
    let Some(unit) = unit else { return BTreeMap::new() };
    let leads = unit.routes.iter().filter_map(|route| {
        let integration = unit.integrations.get(route.integration as usize)?;
        let key = match route.path.starts_with('$') {
            true => route.path.clone(),
            false => format!("{} {}", route.method, route.path),
        };
        Some((key, Leads { route, integration }))
    });
    leads.collect()
}

/// For people and programs: where it leads, and how long that may take.
fn told(leads: &Leads<'_>) -> Value {
    let mut told = match &leads.integration.kind {
        IntegrationKind::HttpProxy(proxy) => proxied(proxy),
        IntegrationKind::Refused { reason } => json!({"refused": reason}),
    };
    told["timeoutMs"] = leads.integration.timeout_ms.into();
    compact(told)
}

fn proxied(proxy: &HttpProxy) -> Value {
    json!({
        "method": proxy.method,
        "url": url(proxy),
        "targets": proxy.target_group,
        "version": (proxy.version == HttpVersion::Http2).then_some("HTTP2"),
        "tls": proxy.tls.as_ref().map(tls),
    })
}

fn url(proxy: &HttpProxy) -> String {
    let scheme = match proxy.scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    };
    let host = if proxy.host.contains(':') { format!("[{}]", proxy.host) } else { proxy.host.clone() };
    let path: String = proxy.target.iter().map(part).collect();
    let query = if proxy.query.is_empty() { String::new() } else { format!("?{}", proxy.query) };
    format!("{scheme}://{host}:{}{path}{query}", proxy.port)
}

fn part(part: &TargetPart) -> String {
    match part {
        TargetPart::Literal(text) => text.clone(),
        TargetPart::PathParameter(name) => format!("{{{name}}}"),
        TargetPart::RequestPath => "{the request's path}".to_owned(),
    }
}

fn tls(tls: &UpstreamTls) -> Value {
    let mut told = Map::new();
    for (name, value) in [
        ("serverName", &tls.server_name),
        ("trustStore", &tls.trust_store),
        ("clientCertificate", &tls.client_certificate),
    ] {
        told.extend(value.as_ref().map(|value| (name.to_owned(), value.clone().into())));
    }
    if tls.insecure_skip_verification {
        told.insert("insecureSkipVerification".to_owned(), true.into());
    }
    Value::Object(told)
}
