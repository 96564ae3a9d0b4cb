//! The routes that gateways answer 500 to, as the newest root has them.

use std::sync::Arc;

use turnpike_snapshot::{Integration, IntegrationKind, Limits, Route, Unit, decode_root, decode_unit};

use super::{Control, blocking};
use crate::publish::SourceError;

/// A route that asks for what can't be done.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RefusedRoute {
    pub api_id: String,
    pub stage: String,
    /// The stage's, or its canary's.
    pub deployment_id: String,
    /// `GET /pets/{id}`, `$default`
    pub route: String,
    pub reason: String,
}

impl Control {
    /// Sorted. Reads every unit of the root, off the runtime's threads.
    ///
    /// # Errors
    /// The store's; or what it holds can't be read.
    ///
    /// # Panics
    /// When reading does.
    pub async fn refused_routes(self: &Arc<Self>) -> Result<Vec<RefusedRoute>, SourceError> {
        let control = Arc::clone(self);
        blocking(move || control.read_refused_routes()).await
    }

    fn read_refused_routes(&self) -> Result<Vec<RefusedRoute>, SourceError> {
        let Some(root) = self.store.root()? else { return Ok(Vec::new()) };
        let limits = Limits::default();
        let mut refused = Vec::new();
        for unit in decode_root(&root, &limits)?.units {
            // One that a change has dropped meanwhile is no longer served.
            let Some(bytes) = self.store.unit(unit.hash)? else { continue };
            let Unit::Stage(stage) = decode_unit(&bytes, &limits)? else { continue };
            let canary = stage.canary.as_ref();
            let canary = canary.map(|canary| (&canary.deployment_id, &canary.routes, &canary.integrations));
            let own = (&stage.deployment_id, &stage.routes, &stage.integrations);
            for (deployment_id, routes, integrations) in std::iter::once(own).chain(canary) {
                refused.extend(of_deployment(routes, integrations).map(|(route, reason)| RefusedRoute {
                    api_id: stage.api_id.clone(),
                    stage: stage.stage.clone(),
                    deployment_id: deployment_id.clone(),
                    route,
                    reason,
                }));
            }
        }
        refused.sort_unstable();
        Ok(refused)
    }
}

/// Each with its reason.
fn of_deployment<'a>(
    routes: &'a [Route],
    integrations: &'a [Integration],
) -> impl Iterator<Item = (String, String)> + 'a {
    routes.iter().filter_map(|route| match &integrations.get(route.integration as usize)?.kind {
        IntegrationKind::Refused { reason } => Some((route_key(route), reason.clone())),
        IntegrationKind::HttpProxy(_) => None,
    })
}

fn route_key(route: &Route) -> String {
    match route.path.as_str() {
        "$default" => route.path.clone(),
        path => format!("{} {path}", route.method),
    }
}
