//! An HTTP API (apigatewayv2) and its parts.

use serde::{Deserialize, Serialize};

use super::{AccessLogSettings, Api, Part, RouteKey, Tags, Variables};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpApi {
    pub id: String,
    pub name: String,
    pub description: Option<String>,
    pub version: Option<String>,
    pub tags: Tags,
    pub execute_api_endpoint_disabled: bool,
    /// Seconds since 1970.
    pub created_at_s: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpIntegration {
    pub id: String,
    /// Made by quick create: can be changed, not deleted.
    pub managed: bool,
    pub description: Option<String>,
    /// `ANY` passes the client's method on.
    pub method: String,
    /// Checked by [`super::check_uri_template`].
    pub uri: String,
    pub timeout_ms: u32,
    /// Id of the VPC link that it leads through.
    #[serde(default)]
    pub link_id: Option<String>,
    /// The name that an https:// upstream's certificate must have, in lower case; `None`: the URI's host.
    #[serde(default)]
    pub server_name: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpRoute {
    pub id: String,
    /// Made by quick create: its key can't be changed.
    pub managed: bool,
    pub key: RouteKey,
    pub operation_name: Option<String>,
    /// Without one, the route can't be deployed.
    pub integration_id: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpStage {
    /// Also its identifier.
    pub name: String,
    /// Made by quick create: can't be deleted.
    pub managed: bool,
    pub description: Option<String>,
    /// Each change of the API becomes a deployment, and this stage serves it.
    pub auto_deploy: bool,
    /// Without one, the stage isn't served.
    pub deployment_id: Option<String>,
    pub variables: Variables,
    pub access_log: Option<AccessLogSettings>,
    pub tags: Tags,
    pub created_at_s: i64,
    pub updated_at_s: i64,
    /// What became of the last automatic deployment.
    pub last_deployment_message: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpDeployment {
    pub id: String,
    pub description: Option<String>,
    pub auto_deployed: bool,
    pub created_at_s: i64,
}

/// What a deployment froze, kept apart so that listing deployments doesn't read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpContent {
    pub deployment_id: String,
    pub routes: Vec<HttpRoute>,
    pub integrations: Vec<HttpIntegration>,
}

impl Api for HttpApi {
    const KIND: &'static str = "http";

    fn id(&self) -> &str {
        &self.id
    }
}

impl Part for HttpIntegration {
    const KIND: &'static str = "http-integration";

    fn id(&self) -> &str {
        &self.id
    }
}

impl Part for HttpRoute {
    const KIND: &'static str = "http-route";

    fn id(&self) -> &str {
        &self.id
    }

    fn name(&self) -> Option<String> {
        Some(self.key.shape())
    }
}

impl Part for HttpStage {
    const KIND: &'static str = "http-stage";

    fn id(&self) -> &str {
        &self.name
    }
}

impl Part for HttpDeployment {
    const KIND: &'static str = "http-deployment";

    fn id(&self) -> &str {
        &self.id
    }
}

impl Part for HttpContent {
    const KIND: &'static str = "http-content";

    fn id(&self) -> &str {
        &self.deployment_id
    }
}
