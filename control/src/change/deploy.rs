//! Automatic deployments of HTTP and WebSocket APIs, and what any deployment of one freezes.

use std::collections::HashSet;

use super::{Change, ChangeError, View};
use crate::model::{HttpApi, HttpContent, HttpDeployment, HttpRoute, HttpStage};
use crate::store::StoreError;

/// Length of a deployment's id.
pub(crate) const DEPLOYMENT_ID_LEN: usize = 6;

impl Change<'_> {
    /// Deploys the API as it is now to its stages with `autoDeploy`.
    pub(super) fn auto_deploy(&mut self, api_id: &str) -> Result<(), ChangeError> {
        let mut stages: Vec<HttpStage> = self.tx.parts(api_id)?;
        stages.retain(|stage| stage.auto_deploy);
        if stages.is_empty() {
            return Ok(());
        }
        let Some(api) = self.tx.api::<HttpApi>(api_id)? else { return Ok(()) };
        let frozen = Frozen::of(self, api_id)?;
        // A stage that has served routes goes on to serve none; a new one waits for its first.
        let wanting: Vec<HttpStage> = stages
            .into_iter()
            .filter(|stage| stage.deployment_id.is_some() || !frozen.routes.is_empty())
            .collect();
        if wanting.is_empty() {
            return Ok(());
        }
        let left_out = frozen.left_out;
        let deployment_id = self.deploy(&api, frozen.routes)?;
        let message = message(&deployment_id, &left_out);
        for mut stage in wanting {
            stage.deployment_id = Some(deployment_id.clone());
            stage.last_deployment_message = Some(message.clone());
            stage.updated_at_s = self.now_s;
            self.tx.put_part(api_id, &stage)?;
            self.recompile(api_id, &stage.name);
        }
        self.prune(api_id)?;
        Ok(())
    }

    fn deploy(&self, api: &HttpApi, routes: Vec<HttpRoute>) -> Result<String, ChangeError> {
        let deployment = HttpDeployment {
            id: self.new_part_id::<HttpDeployment>(&api.id, DEPLOYMENT_ID_LEN)?,
            description: Some(
                "Automatic deployment triggered by changes to the Api configuration".to_owned(),
            ),
            auto_deployed: true,
            created_at_s: self.now_s,
        };
        let content = self.http_content(api, deployment.id.clone(), routes)?;
        self.tx.put_part(&api.id, &deployment)?;
        self.tx.put_part(&api.id, &content)?;
        Ok(deployment.id)
    }

    /// Drops the oldest automatic deployments that no stage serves, down to the number that is kept.
    fn prune(&self, api_id: &str) -> Result<(), StoreError> {
        let stages: Vec<HttpStage> = self.tx.parts(api_id)?;
        let used: HashSet<String> = stages.into_iter().filter_map(|stage| stage.deployment_id).collect();
        let mut unused: Vec<HttpDeployment> = self.tx.parts(api_id)?;
        unused.retain(|deployment| deployment.auto_deployed && !used.contains(&deployment.id));
        unused.sort_by(|a, b| (b.created_at_s, &b.id).cmp(&(a.created_at_s, &a.id)));
        for deployment in unused.iter().skip(self.settings.quotas.auto_deployments_kept) {
            self.tx.delete_part::<HttpDeployment>(api_id, &deployment.id)?;
            self.tx.delete_part::<HttpContent>(api_id, &deployment.id)?;
        }
        Ok(())
    }
}

impl View<'_> {
    /// All that a deployment with these routes needs of the API, as it is now.
    ///
    /// # Errors
    /// The store's.
    pub fn http_content(
        &self,
        api: &HttpApi,
        deployment_id: String,
        routes: Vec<HttpRoute>,
    ) -> Result<HttpContent, StoreError> {
        Ok(HttpContent {
            authorizers: self.tx.parts(&api.id)?,
            models: self.tx.parts(&api.id)?,
            cors: api.cors.clone(),
            route_selection: api.route_selection.clone(),
            api_key_selection: api.api_key_selection.clone(),
            ..HttpContent::new(deployment_id, routes, self.tx.parts(&api.id)?)
        })
    }
}

/// The routes that an automatic deployment takes of an API.
struct Frozen {
    routes: Vec<HttpRoute>,
    /// Keys of routes that can't be deployed yet, since they have no integration. One with a protection is deployed
    /// nevertheless, and refuses: its requests aren't to be another route's.
    left_out: Vec<String>,
}

impl Frozen {
    fn of(change: &Change<'_>, api_id: &str) -> Result<Self, StoreError> {
        let all: Vec<HttpRoute> = change.tx.parts(api_id)?;
        let (routes, without): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|route| route.integration_id.is_some() || route.is_protected());
        let left_out = without.iter().map(|route| route.key.to_string()).collect();
        Ok(Self { routes, left_out })
    }
}

fn message(deployment_id: &str, left_out: &[String]) -> String {
    let done = format!("Successfully deployed stage with deployment ID '{deployment_id}'");
    match left_out.is_empty() {
        true => done,
        false => format!("{done}, without the routes that have no integration: {}", left_out.join(", ")),
    }
}
