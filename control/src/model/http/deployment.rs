//! A deployment of an HTTP or WebSocket API, and what it froze.

use serde::{Deserialize, Serialize};

use super::super::Part;
use super::{Cors, HttpAuthorizer, HttpIntegration, HttpModel, HttpRoute, is_default};

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
    #[serde(default, skip_serializing_if = "is_default")]
    pub authorizers: Vec<HttpAuthorizer>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub models: Vec<HttpModel>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub cors: Option<Cors>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub route_selection: Option<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub api_key_selection: Option<String>,
}

impl HttpContent {
    /// Routes and where they lead, and nothing else.
    #[must_use]
    pub fn new(deployment_id: String, routes: Vec<HttpRoute>, integrations: Vec<HttpIntegration>) -> Self {
        Self {
            deployment_id,
            routes,
            integrations,
            authorizers: Vec::new(),
            models: Vec::new(),
            cors: None,
            route_selection: None,
            api_key_selection: None,
        }
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
