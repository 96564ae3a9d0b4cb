//! A stage of a REST API.

use turnpike_snapshot::{
    Canary, Compression, Integration, IntegrationKind, Protocol, Route, RouteSettings, StageUnit, TargetPart,
};

use super::enforcement::{RestAsked, refused_method};
use super::http::access_log;
use super::target::{exact, http_proxy};
use super::throttle;
use super::upstreams::{Upstreams, Wishes};
use super::{CompileError, cache};
use crate::model::{
    IntegrationUri, METHOD_REQUEST, Resource, RestApi, RestContent, RestIntegration, RestStage, link_id,
    path_variables, rest_integration_id,
};

/// Compiles `stage` serving `content`, the deployment that it names, and `trial`, its canary's.
///
/// # Errors
/// When the stage lacks a variable, a method lacks an integration, a URI's variable has no source, or an
/// integration's link is gone.
pub fn rest_stage(
    api: &RestApi,
    stage: &RestStage,
    content: &RestContent,
    trial: Option<&RestContent>,
    upstreams: &Upstreams,
) -> Result<StageUnit, CompileError> {
    let (integrations, routes) = deployed(api, stage, content, upstreams)?;
    Ok(StageUnit {
        api_id: api.id.clone(),
        protocol: Protocol::Rest,
        stage: stage.name.clone(),
        deployment_id: content.deployment_id.clone(),
        execute_api_endpoint_disabled: api.execute_api_endpoint_disabled,
        access_log: stage.access_log.settings().as_ref().map(access_log).transpose()?,
        integrations,
        routes,
        cache: cache::of_rest_stage(stage),
        compression: compression(content),
        canary: trial.map_or(Ok(None), |content| canary(api, stage, content, upstreams))?,
    })
}

fn canary(
    api: &RestApi,
    stage: &RestStage,
    content: &RestContent,
    upstreams: &Upstreams,
) -> Result<Option<Canary>, CompileError> {
    let (Some(settings), Some(trial)) = (&stage.canary, stage.on_trial()) else { return Ok(None) };
    let (integrations, routes) = deployed(api, &trial, content, upstreams)?;
    Ok(Some(Canary {
        clients_per_10_000: settings.clients_per_10_000(),
        // AWS: requests that one deployment serves have one cache key, whichever side they are on.
        shares_cache: trial.cache_cluster_enabled && trial.deployment_id == stage.deployment_id,
        deployment_id: content.deployment_id.clone(),
        integrations,
        routes,
        compression: compression(content),
    }))
}

fn compression(content: &RestContent) -> Option<Compression> {
    content.compression_bytes_min.map(|bytes_min| Compression { bytes_min })
}

/// A deployment with the stage's variables.
fn deployed(
    api: &RestApi,
    stage: &RestStage,
    content: &RestContent,
    upstreams: &Upstreams,
) -> Result<(Vec<Integration>, Vec<Route>), CompileError> {
    let mut integrations = Vec::new();
    let mut routes = Vec::new();
    for resource in &content.resources {
        for (name, method) in &resource.methods {
            let place = format!("the method {name} {}", resource.path);
            let integration =
                method.integration.as_ref().ok_or_else(|| CompileError::NoIntegration(place.clone()))?;
            let index =
                u32::try_from(integrations.len()).map_err(|_| CompileError::TooManyIntegrations(u32::MAX))?;
            let id = rest_integration_id(&resource.id, name);
            let kind = match refused_method(&RestAsked { api, content, stage, resource, name, method }) {
                Some(reason) => IntegrationKind::Refused { reason },
                None => proxy_of(api, stage, resource, (&id, &place, integration), upstreams)?,
            };
            integrations.push(Integration { id, timeout_ms: integration.timeout_ms, kind });
            routes.push(Route {
                method: name.clone(),
                path: resource.path.clone(),
                id: resource.id.clone(),
                integration: index,
                settings: RouteSettings {
                    api_key_required: method.api_key_required,
                    throttle: throttle::partitioned(
                        stage.method_setting(&resource.path, name).and_then(throttle::of_method),
                        &stage.partitions,
                        &format!("{name} {}", resource.path),
                    ),
                    cache: cache::of_method(stage, (&resource.path, name), integration),
                },
            });
        }
    }
    Ok((integrations, routes))
}

/// What the method's integration, of this id, passes requests to; `place` names the method.
fn proxy_of(
    api: &RestApi,
    stage: &RestStage,
    resource: &Resource,
    (id, place, integration): (&str, &str, &RestIntegration),
    upstreams: &Upstreams,
) -> Result<IntegrationKind, CompileError> {
    let wishes = Wishes {
        link: link_of(stage, place, integration)?,
        server_name: None,
        insecure_skip_verification: integration.insecure_skip_verification,
    };
    let upstream = upstreams.of(&api.id, id, wishes)?;
    let (uri, target) = resolve(stage, resource, place, integration)?;
    // Only MOCK goes without one, which isn't passed to anything.
    let method = integration.method.as_deref().unwrap_or("ANY");
    Ok(http_proxy(method, uri, target, &upstream))
}

/// The link that the integration leads through, if it does.
fn link_of<'a>(
    stage: &'a RestStage,
    place: &str,
    integration: &'a RestIntegration,
) -> Result<Option<&'a str>, CompileError> {
    let Some(connection_id) = &integration.connection_id else { return Ok(None) };
    let link = link_id(connection_id, &stage.variables);
    link.map(Some).map_err(|variable| CompileError::NoLinkVariable {
        route: place.to_owned(),
        variable: variable.to_owned(),
        stage: stage.name.clone(),
    })
}

/// The bare name of a parameter of the method's path.
fn path_parameter(source: &str) -> Option<&str> {
    source.strip_prefix(METHOD_REQUEST)?.strip_prefix("path.")
}

/// The URI with the stage's variables, and the path that is sent.
fn resolve(
    stage: &RestStage,
    resource: &Resource,
    place: &str,
    integration: &RestIntegration,
) -> Result<(IntegrationUri, Vec<TargetPart>), CompileError> {
    let template = integration.uri.as_deref().unwrap_or_default();
    let uri = IntegrationUri::resolve(template, &stage.name, &stage.variables)?;
    let known = path_variables(&resource.path);
    let target = exact(&uri, |variable| {
        let source = integration.path_source(variable).and_then(path_parameter);
        let source = source.ok_or_else(|| CompileError::UnmappedPathVariable {
            uri: template.to_owned(),
            variable: variable.to_owned(),
            route: place.to_owned(),
        })?;
        if known.contains(&source) {
            return Ok(source.to_owned());
        }
        Err(CompileError::UnknownPathVariable {
            uri: template.to_owned(),
            variable: source.to_owned(),
            route: place.to_owned(),
        })
    })?;
    Ok((uri, target))
}
