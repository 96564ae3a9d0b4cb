//! A stage of an HTTP API.

use std::collections::HashMap;

use turnpike_snapshot::{
    AccessLog, Compression, Integration, IntegrationKind, Protocol, Route, RouteSettings, StageUnit,
    TargetPart, Throttle,
};

use super::enforcement::{HttpAsked, refused_route};
use super::target::{exact, http_proxy, with_request_path};
use super::throttle;
use super::upstreams::{Upstreams, Wishes};
use super::{CompileError, cache};
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
    let (integrations, by_use) = (Vec::new(), HashMap::new());
    let mut compiled = Compiled { api, stage, content, upstreams, integrations, by_use };
    let known: HashMap<&str, &HttpIntegration> =
        content.integrations.iter().map(|i| (i.id.as_str(), i)).collect();
    let mut routes = Vec::with_capacity(content.routes.len());
    for route in &content.routes {
        let integration = route.integration_id.as_deref().and_then(|id| known.get(id).copied());
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
        canary: None,
        cache: cache::of_http_stage(stage),
        compression: stage.compression_bytes_min.map(|bytes_min| Compression { bytes_min }),
    })
}

/// Why a route with a protection is refused that leads nowhere yet.
const NO_INTEGRATION: &str = "the route has no integration";
/// Of what is never called.
const TIMEOUT_MS_MIN: u32 = 1;

struct Compiled<'a> {
    api: &'a HttpApi,
    stage: &'a HttpStage,
    content: &'a HttpContent,
    upstreams: &'a Upstreams,
    integrations: Vec<Integration>,
    by_use: HashMap<Use<'a>, u32>,
}

/// What one of the unit's integrations is for.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Use<'a> {
    /// By its id. `$default` routes have other targets than the rest.
    Proxy { id: &'a str, for_default: bool },
    /// The reason.
    Refusal(String),
}

impl<'a> Compiled<'a> {
    fn route(
        &mut self,
        route: &HttpRoute,
        integration: Option<&'a HttpIntegration>,
    ) -> Result<Route, CompileError> {
        let index = match integration {
            Some(integration) => self.leading_to(route, integration)?,
            // Left out, its requests would be another route's, which may be open.
            None if route.is_protected() => {
                self.refusal(&route.id, TIMEOUT_MS_MIN, NO_INTEGRATION.to_owned())?
            }
            None => return Err(CompileError::NoIntegration(format!("the route '{}'", route.key))),
        };
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
            settings: RouteSettings {
                api_key_required: route.api_key_required,
                throttle: self.throttle(route),
                cache: cache::of_route(self.stage, route),
            },
        })
    }

    fn leading_to(
        &mut self,
        route: &HttpRoute,
        integration: &'a HttpIntegration,
    ) -> Result<u32, CompileError> {
        let Self { api, stage, content, .. } = *self;
        match refused_route(&HttpAsked { api, content, stage, route, integration }) {
            Some(reason) => self.refusal(&integration.id, integration.timeout_ms, reason),
            None => self.proxy(route, integration),
        }
    }

    fn throttle(&self, route: &HttpRoute) -> Option<Throttle> {
        let key = route.key.to_string();
        let own = self.stage.route_settings.get(&key);
        let throttle = throttle::of_route(own, &self.stage.default_route_settings);
        throttle::partitioned(throttle, &self.stage.partitions, &key)
    }

    /// The index of the integration as this kind of route uses it.
    fn proxy(&mut self, route: &HttpRoute, integration: &'a HttpIntegration) -> Result<u32, CompileError> {
        let (method, uri) = called(route, integration)?;
        let uri = IntegrationUri::resolve(uri, &self.stage.name, &self.stage.variables)?;
        check_variables(route, integration, &uri)?;
        let for_default = route.key == RouteKey::Default;
        let wanted = Use::Proxy { id: &integration.id, for_default };
        if let Some(index) = self.by_use.get(&wanted) {
            return Ok(*index);
        }
        let target = target_of(&uri, for_default);
        let wishes = Wishes {
            link: integration.link_id.as_deref(),
            server_name: integration.server_name.as_deref(),
            insecure_skip_verification: false,
        };
        let upstream = self.upstreams.of(&self.api.id, &integration.id, wishes)?;
        let kind = http_proxy(method, uri, target, &upstream);
        self.add(wanted, (&integration.id, integration.timeout_ms), kind)
    }

    /// The index of what refuses for this reason.
    fn refusal(&mut self, id: &str, timeout_ms: u32, reason: String) -> Result<u32, CompileError> {
        let wanted = Use::Refusal(reason.clone());
        match self.by_use.get(&wanted) {
            Some(index) => Ok(*index),
            None => self.add(wanted, (id, timeout_ms), IntegrationKind::Refused { reason }),
        }
    }

    fn add(
        &mut self,
        wanted: Use<'a>,
        (id, timeout_ms): (&str, u32),
        kind: IntegrationKind,
    ) -> Result<u32, CompileError> {
        let index = u32::try_from(self.integrations.len())
            .map_err(|_| CompileError::TooManyIntegrations(u32::MAX))?;
        self.integrations.push(Integration { id: id.to_owned(), timeout_ms, kind });
        self.by_use.insert(wanted, index);
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

pub(super) fn access_log(settings: &AccessLogSettings) -> Result<AccessLog, CompileError> {
    let destination = log_group_of_arn(&settings.destination_arn).map_err(CompileError::AccessLog)?;
    Ok(AccessLog { destination: destination.to_owned(), format: settings.format.clone() })
}
