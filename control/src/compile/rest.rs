//! A stage of a REST API.

use turnpike_snapshot::{Integration, Protocol, Route, StageUnit, TargetPart};

use super::CompileError;
use super::http::access_log;
use super::target::{exact, http_proxy};
use super::upstreams::{Upstreams, Wishes};
use crate::model::{
    AuthorizationType, INTEGRATION_REQUEST, IntegrationUri, METHOD_REQUEST, Method, Resource, RestApi,
    RestContent, RestIntegration, RestIntegrationKind, RestStage, link_id, path_variables,
    rest_integration_id,
};

/// Compiles `stage` serving `content`, the deployment that it names.
///
/// # Errors
/// When the stage lacks a variable, a method lacks an integration, a URI's variable has no source, or an
/// integration's link is gone.
pub fn rest_stage(
    api: &RestApi,
    stage: &RestStage,
    content: &RestContent,
    upstreams: &Upstreams,
) -> Result<StageUnit, CompileError> {
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
            let wishes = Wishes {
                link: link_of(stage, &place, integration)?,
                server_name: None,
                insecure_skip_verification: integration.insecure_skip_verification,
            };
            let upstream = upstreams.of(&api.id, &id, wishes)?;
            if let Some(reason) = unserved(method, integration) {
                return Err(CompileError::Unserved { route: place, reason });
            }
            let (uri, target) = resolve(stage, resource, &place, integration)?;
            let method = integration.method.as_deref().unwrap_or("ANY");
            integrations.push(Integration {
                id,
                timeout_ms: integration.timeout_ms,
                kind: http_proxy(method, uri, target, &upstream),
            });
            routes.push(Route {
                method: name.clone(),
                path: resource.path.clone(),
                id: resource.id.clone(),
                integration: index,
            });
        }
    }
    Ok(StageUnit {
        api_id: api.id.clone(),
        protocol: Protocol::Rest,
        stage: stage.name.clone(),
        deployment_id: content.deployment_id.clone(),
        execute_api_endpoint_disabled: api.execute_api_endpoint_disabled,
        access_log: stage.access_log.settings().as_ref().map(access_log).transpose()?,
        integrations,
        routes,
    })
}

/// Why a gateway can't serve the method as its owner asked for it.
fn unserved(method: &Method, integration: &RestIntegration) -> Option<String> {
    if method.authorization_type != AuthorizationType::None {
        return Some(format!("the authorization {} isn't enforced yet", method.authorization_type.name()));
    }
    if method.api_key_required {
        return Some("API keys aren't enforced yet".to_owned());
    }
    if let Some(id) = &method.request_validator_id {
        return Some(format!("the request validator {id} isn't enforced yet"));
    }
    if integration.kind != RestIntegrationKind::HttpProxy {
        return Some(format!("integrations of the type {} aren't run yet", integration.kind.name()));
    }
    let unmapped =
        integration.request_parameters.iter().find(|(target, source)| !is_path_mapping(target, source));
    unmapped.map(|(target, source)| format!("the mapping of {source} to {target} isn't done yet"))
}

/// What gateways can do: a variable of the URI from one of the path.
fn is_path_mapping(target: &str, source: &str) -> bool {
    let is_path =
        |text: &str, prefix: &str| text.strip_prefix(prefix).is_some_and(|rest| rest.starts_with("path."));
    is_path(target, INTEGRATION_REQUEST) && is_path(source, METHOD_REQUEST)
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
