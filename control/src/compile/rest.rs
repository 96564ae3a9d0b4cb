//! A stage of a REST API.

use turnpike_snapshot::{Integration, Protocol, Route, StageUnit};

use super::CompileError;
use super::target::{exact, http_proxy};
use crate::model::{
    IntegrationUri, Resource, RestApi, RestContent, RestIntegration, RestStage, path_variables,
};

/// Compiles `stage` serving `content`, the deployment that it names.
///
/// # Errors
/// When the stage lacks a variable, a method lacks an integration, or a URI's variable has no source.
pub fn rest_stage(
    api: &RestApi,
    stage: &RestStage,
    content: &RestContent,
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
            integrations.push(compile(stage, resource, name, &place, integration)?);
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
        access_log: None,
        integrations,
        routes,
    })
}

fn compile(
    stage: &RestStage,
    resource: &Resource,
    method: &str,
    place: &str,
    integration: &RestIntegration,
) -> Result<Integration, CompileError> {
    let uri = IntegrationUri::resolve(&integration.uri, &stage.name, &stage.variables)?;
    let known = path_variables(&resource.path);
    let target = exact(&uri, |variable| {
        let source = integration.path_parameters.get(variable);
        let source = source.ok_or_else(|| CompileError::UnmappedPathVariable {
            uri: integration.uri.clone(),
            variable: variable.to_owned(),
            route: place.to_owned(),
        })?;
        if known.contains(&source.as_str()) {
            return Ok(source.clone());
        }
        Err(CompileError::UnknownPathVariable {
            uri: integration.uri.clone(),
            variable: source.clone(),
            route: place.to_owned(),
        })
    })?;
    Ok(Integration {
        id: format!("{}-{method}", resource.id),
        timeout_ms: integration.timeout_ms,
        kind: http_proxy(&integration.method, uri, target),
    })
}
