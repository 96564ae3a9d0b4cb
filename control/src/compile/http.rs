//! A stage of an HTTP API.

use std::collections::HashMap;

use turnpike_snapshot::{AccessLog, Integration, Protocol, Route, StageUnit, TargetPart};

use super::CompileError;
use super::target::{exact, http_proxy, with_request_path};
use super::upstreams::{Upstreams, Wishes};
use crate::model::{
    AccessLogSettings, HttpApi, HttpContent, HttpIntegration, HttpRoute, HttpStage, IntegrationUri, RouteKey,
    log_group_of_arn,
};

/// Compiles `stage` serving `content`, the deployment that it names.
///
/// # Errors
/// When the stage lacks a variable, a route lacks an integration, or an integration's link is gone.
pub fn http_stage(
    api: &HttpApi,
    stage: &HttpStage,
    content: &HttpContent,
    upstreams: &Upstreams,
) -> Result<StageUnit, CompileError> {
    let mut compiled = Compiled { api, stage, upstreams, integrations: Vec::new(), by_use: HashMap::new() };
    let known: HashMap<&str, &HttpIntegration> =
        content.integrations.iter().map(|i| (i.id.as_str(), i)).collect();
    let mut routes = Vec::with_capacity(content.routes.len());
    for route in &content.routes {
        let integration = route.integration_id.as_deref().and_then(|id| known.get(id));
        let integration =
            integration.ok_or_else(|| CompileError::NoIntegration(format!("the route '{}'", route.key)))?;
        routes.push(compiled.route(route, integration)?);
    }
    Ok(StageUnit {
        api_id: api.id.clone(),
        protocol: Protocol::Http,
        stage: stage.name.clone(),
        deployment_id: content.deployment_id.clone(),
        execute_api_endpoint_disabled: api.execute_api_endpoint_disabled,
        access_log: stage.access_log.as_ref().map(access_log).transpose()?,
        integrations: compiled.integrations,
        routes,
    })
}

struct Compiled<'a> {
    api: &'a HttpApi,
    stage: &'a HttpStage,
    upstreams: &'a Upstreams,
    integrations: Vec<Integration>,
    /// Where an integration of this id is, for `$default` routes and for others: their targets differ.
    by_use: HashMap<(&'a str, bool), u32>,
}

impl<'a> Compiled<'a> {
    fn route(&mut self, route: &HttpRoute, integration: &'a HttpIntegration) -> Result<Route, CompileError> {
        let (method, uri) = called(route, integration)?;
        let uri = IntegrationUri::resolve(uri, &self.stage.name, &self.stage.variables)?;
        check_variables(route, integration, &uri)?;
        let index = self.integration(integration, method, uri, route.key == RouteKey::Default)?;
        let (method, path) = match &route.key {
            RouteKey::Default => ("ANY", "$default"),
            RouteKey::Path { method, path } => (method.as_str(), path.as_str()),
            RouteKey::Message(key) => return Err(CompileError::MessageRoute(key.clone())),
        };
        Ok(Route {
            method: method.to_owned(),
            path: path.to_owned(),
            id: route.id.clone(),
            integration: index,
        })
    }

    /// The index of the integration as this kind of route uses it.
    fn integration(
        &mut self,
        integration: &'a HttpIntegration,
        method: &str,
        uri: IntegrationUri,
        for_default: bool,
    ) -> Result<u32, CompileError> {
        let key = (integration.id.as_str(), for_default);
        if let Some(index) = self.by_use.get(&key) {
            return Ok(*index);
        }
        let index = u32::try_from(self.integrations.len())
            .map_err(|_| CompileError::TooManyIntegrations(u32::MAX))?;
        let target = target_of(&uri, for_default);
        let wishes = Wishes {
            link: integration.link_id.as_deref(),
            server_name: integration.server_name.as_deref(),
            insecure_skip_verification: false,
        };
        let upstream = self.upstreams.of(&self.api.id, &integration.id, wishes)?;
        self.integrations.push(Integration {
            id: integration.id.clone(),
            timeout_ms: integration.timeout_ms,
            kind: http_proxy(method, uri, target, &upstream),
        });
        self.by_use.insert(key, index);
        Ok(index)
    }
}

/// A `$default` route sends the whole request path below the integration's; every other route sends
/// exactly the integration's path.
fn target_of(uri: &IntegrationUri, for_default: bool) -> Vec<TargetPart> {
    if for_default {
        return with_request_path(uri);
    }
    let Ok(target) = exact(uri, |name| Ok::<_, std::convert::Infallible>(name.to_owned()));
    target
}

/// The method and the URI that an integration of HTTP has.
fn called<'i>(
    route: &HttpRoute,
    integration: &'i HttpIntegration,
) -> Result<(&'i str, &'i str), CompileError> {
    let called = integration.method.as_deref().zip(integration.uri.as_deref());
    called.ok_or_else(|| CompileError::NoIntegration(format!("the route '{}'", route.key)))
}

fn check_variables(
    route: &HttpRoute,
    integration: &HttpIntegration,
    uri: &IntegrationUri,
) -> Result<(), CompileError> {
    let known = route.key.variables();
    match uri.variables().find(|name| !known.contains(name)) {
        None => Ok(()),
        Some(variable) => Err(CompileError::UnknownPathVariable {
            uri: integration.uri.clone().unwrap_or_default(),
            variable: variable.to_owned(),
            route: format!("the route '{}'", route.key),
        }),
    }
}

fn access_log(settings: &AccessLogSettings) -> Result<AccessLog, CompileError> {
    let destination = log_group_of_arn(&settings.destination_arn).map_err(CompileError::AccessLog)?;
    Ok(AccessLog { destination: destination.to_owned(), format: settings.format.clone() })
}
