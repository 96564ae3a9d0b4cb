//! Checks of a stage unit.

use std::collections::HashMap;

use super::{
    Checked, PathPart, Problem, access_log, cache, count, path, path_parts, plan, size, text, time, tls,
    within, wrong,
};
use crate::limits::Limits;
use crate::unit::{
    Canary, Compression, HttpProxy, Integration, IntegrationKind, Protocol, Route, Scheme, StageUnit,
    TargetPart,
};

/// All of a stage's clients.
const CLIENTS: u32 = 10_000;

/// A route's method and path without its variables' names; no parts at all for `$default`.
type RouteKey<'a> = (&'a str, Option<Vec<PathPart<'a>>>);

pub(super) fn check(stage: &StageUnit, limits: &Limits) -> Checked {
    check_stage(stage, limits)
        .map_err(|e| e.within(&format!("stage {} of api {}", stage.stage, stage.api_id)))
}

fn check_stage(stage: &StageUnit, limits: &Limits) -> Checked {
    text::api_id("api id", &stage.api_id)?;
    check_stage_name(&stage.stage, stage.protocol)?;
    text::id("deployment id", &stage.deployment_id, limits.id_bytes_max)?;
    stage.access_log.as_ref().map_or(Ok(()), access_log::check)?;
    stage.cache.as_ref().map_or(Ok(()), |cache| cache::check(cache, limits))?;
    check_compression(stage.compression, limits)?;
    let own = Served {
        protocol: stage.protocol,
        has_cache: stage.cache.is_some(),
        integrations: &stage.integrations,
        routes: &stage.routes,
    };
    own.check(limits)?;
    let Some(canary) = &stage.canary else { return Ok(()) };
    let served = Served { integrations: &canary.integrations, routes: &canary.routes, ..own };
    check_canary(canary, &served, limits).map_err(|e| e.within("canary"))
}

fn check_canary(canary: &Canary, served: &Served<'_>, limits: &Limits) -> Checked {
    within("clients per 10,000", canary.clients_per_10_000.into(), 0, CLIENTS)?;
    if canary.shares_cache && !served.has_cache {
        return Err(wrong("shared cache", Problem::NoStageCache));
    }
    text::id("deployment id", &canary.deployment_id, limits.id_bytes_max)?;
    check_compression(canary.compression, limits)?;
    served.check(limits)
}

fn check_compression(compression: Option<Compression>, limits: &Limits) -> Checked {
    let bytes = compression.map_or(0, |compression| compression.bytes_min);
    size("smallest body to compress", bytes.into(), limits.compression_bytes_min_max.into())
}

/// What a stage, or its canary, serves.
struct Served<'a> {
    protocol: Protocol,
    has_cache: bool,
    integrations: &'a [Integration],
    routes: &'a [Route],
}

impl Served<'_> {
    fn check(&self, limits: &Limits) -> Checked {
        count("integrations", self.integrations.len(), limits.integrations_per_stage_max)?;
        for (index, integration) in self.integrations.iter().enumerate() {
            check_integration(integration, limits)
                .map_err(|e| e.within(&format!("integration {index} ({})", integration.id)))?;
        }
        check_routes(self, limits)
    }
}

fn check_stage_name(name: &str, protocol: Protocol) -> Checked {
    match (name, protocol) {
        ("$default", Protocol::Http) => Ok(()),
        ("$default", Protocol::Rest) => Err(wrong("stage $default", Problem::HttpOnly)),
        _ => text::stage("stage name", name),
    }
}

fn check_integration(integration: &Integration, limits: &Limits) -> Checked {
    text::id("id", &integration.id, limits.id_bytes_max)?;
    time("timeout", integration.timeout_ms, limits.timeout_ms_max)?;
    match &integration.kind {
        IntegrationKind::HttpProxy(proxy) => check_http_proxy(proxy, limits),
        IntegrationKind::Refused { reason } => text::reason("reason", reason, limits.reason_bytes_max),
    }
}

fn check_http_proxy(proxy: &HttpProxy, limits: &Limits) -> Checked {
    match proxy.method.as_deref() {
        // A forgotten translation: `ANY` would be sent as it stands.
        Some("ANY") => {
            return Err(text_problem("method", "ANY", "a method to send; leave it out to pass it on"));
        }
        Some(method) => text::method("method", method)?,
        None => {}
    }
    text::host("host", &proxy.host)?;
    if proxy.port == 0 {
        return Err(wrong("port", Problem::Zero));
    }
    match (proxy.scheme, &proxy.tls) {
        (Scheme::Http, None) => {}
        (Scheme::Https, Some(tls)) => tls::check_upstream_tls(tls, limits)?,
        (Scheme::Http, Some(_)) | (Scheme::Https, None) => return Err(wrong("TLS", Problem::TlsMismatch)),
    }
    if let Some(group) = &proxy.target_group {
        text::id("target group", group, limits.id_bytes_max)?;
    }
    check_target(proxy, limits)?;
    text::query("query", &proxy.query)
}

fn check_target(proxy: &HttpProxy, limits: &Limits) -> Checked {
    count("target parts", proxy.target.len(), limits.target_parts_max)?;
    match proxy.target.first() {
        Some(TargetPart::RequestPath) => {}
        Some(TargetPart::Literal(text)) if text.starts_with('/') => {}
        _ => return Err(wrong("target", Problem::RelativeTarget)),
    }
    let mut bytes = proxy.query.len();
    for part in &proxy.target {
        match part {
            TargetPart::Literal(text) => {
                text::target_literal("target", text)?;
                bytes += text.len();
            }
            // Whether the name exists depends on the route: `check_variables`.
            TargetPart::PathParameter(_) | TargetPart::RequestPath => {}
        }
    }
    size("target and query", bytes as u64, limits.target_bytes_max as u64)
}

fn check_routes(served: &Served<'_>, limits: &Limits) -> Checked {
    count("routes", served.routes.len(), limits.routes_per_stage_max)?;
    let mut seen = HashMap::with_capacity(served.routes.len());
    for (index, route) in served.routes.iter().enumerate() {
        let place = || format!("route {index} ({} {})", route.method, route.path);
        let key = check_route(route, served, limits).map_err(|e| e.within(&place()))?;
        if let Some(other) = seen.insert(key, index) {
            return Err(wrong(place(), Problem::DuplicateRoute { other }));
        }
    }
    Ok(())
}

fn check_route<'a>(
    route: &'a Route,
    served: &Served<'_>,
    limits: &Limits,
) -> Result<RouteKey<'a>, super::SemanticError> {
    text::id("id", &route.id, limits.id_bytes_max)?;
    text::method("method", &route.method)?;
    let out_of_range = Problem::OutOfRange { found: route.integration, len: served.integrations.len() };
    let integration = served.integrations.get(route.integration as usize);
    let integration = integration.ok_or_else(|| wrong("integration", out_of_range))?;
    if route.path == "$default" {
        check_default_route(route, served.protocol)?;
        check_variables(integration, &[])?;
        check_settings(route, &[], served, limits)?;
        return Ok((&route.method, None));
    }
    let parts = path_parts(&route.path)?;
    path::check(&route.path, &parts, limits)?;
    check_variables(integration, &parts)?;
    check_settings(route, &parts, served, limits)?;
    Ok((&route.method, Some(parts.into_iter().map(PathPart::shape).collect())))
}

fn check_settings(route: &Route, parts: &[PathPart<'_>], served: &Served<'_>, limits: &Limits) -> Checked {
    route.settings.throttle.as_ref().map_or(Ok(()), plan::check_throttle)?;
    match &route.settings.cache {
        None => Ok(()),
        Some(_) if !served.has_cache => Err(wrong("cache", Problem::NoStageCache)),
        Some(cache) => cache::check_route(cache, parts, limits),
    }
}

fn check_default_route(route: &Route, protocol: Protocol) -> Checked {
    if protocol != Protocol::Http {
        return Err(wrong("path $default", Problem::HttpOnly));
    }
    if route.method != "ANY" {
        return Err(wrong("path $default", Problem::DefaultMethod { found: route.method.clone() }));
    }
    Ok(())
}

/// An integration can serve several routes; each of them has every variable that it asks for.
fn check_variables(integration: &Integration, parts: &[PathPart<'_>]) -> Checked {
    let Some(proxy) = integration.kind.proxy() else { return Ok(()) };
    for part in &proxy.target {
        let TargetPart::PathParameter(name) = part else { continue };
        if !parts.iter().any(|part| part.variable() == Some(name)) {
            let problem =
                Problem::UnknownVariable { integration: integration.id.clone(), name: name.clone() };
            return Err(wrong("integration", problem));
        }
    }
    Ok(())
}

fn text_problem(place: &str, found: &str, expected: &'static str) -> super::SemanticError {
    wrong(place, Problem::Text { found: found.to_owned(), expected })
}
