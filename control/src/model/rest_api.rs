//! A REST API (apigateway) and its parts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Api, Part, Tags, Variables};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestApi {
    pub id: String,
    pub name: String,
    pub description: Option<String>,
    pub version: Option<String>,
    pub tags: Tags,
    /// `EDGE` or `REGIONAL`: kept for the caller, the same thing here.
    pub endpoint_type: String,
    pub execute_api_endpoint_disabled: bool,
    pub root_resource_id: String,
    /// Seconds since 1970.
    pub created_at_s: i64,
}

/// A node of the tree, with its methods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    pub id: String,
    /// `None` for the root.
    pub parent_id: Option<String>,
    /// `None` for the root; else checked by [`super::PathPart::parse`].
    pub path_part: Option<String>,
    /// The whole path from the root.
    pub path: String,
    /// By upper-case HTTP method, or `ANY`.
    pub methods: BTreeMap<String, Method>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Method {
    pub operation_name: Option<String>,
    /// `method.request.path.x` and the like; the value says whether it is required.
    pub request_parameters: BTreeMap<String, bool>,
    pub integration: Option<RestIntegration>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestIntegration {
    /// `ANY` passes the client's method on.
    pub method: String,
    /// Checked by [`super::check_uri_template`].
    pub uri: String,
    pub timeout_ms: u32,
    /// Which path parameter of the method fills which variable of the URI, both by bare name.
    pub path_parameters: BTreeMap<String, String>,
    pub passthrough_behavior: String,
    pub cache_namespace: String,
    /// The VPC link that it leads through: its id, or the stage variable that holds it.
    #[serde(default)]
    pub connection_id: Option<String>,
    /// An https:// upstream's certificate may be of any issuer.
    #[serde(default)]
    pub insecure_skip_verification: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestStage {
    /// Also its identifier.
    pub name: String,
    pub deployment_id: String,
    pub description: Option<String>,
    pub variables: Variables,
    /// What https:// upstreams are shown.
    #[serde(default)]
    pub client_certificate_id: Option<String>,
    pub tags: Tags,
    pub created_at_s: i64,
    pub updated_at_s: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestDeployment {
    pub id: String,
    pub description: Option<String>,
    pub created_at_s: i64,
}

/// What a deployment froze, kept apart so that listing deployments doesn't read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestContent {
    pub deployment_id: String,
    pub resources: Vec<Resource>,
}

impl Api for RestApi {
    const KIND: &'static str = "rest";

    fn id(&self) -> &str {
        &self.id
    }
}

impl Part for Resource {
    const KIND: &'static str = "rest-resource";

    fn id(&self) -> &str {
        &self.id
    }

    fn name(&self) -> Option<String> {
        Some(self.path.clone())
    }
}

impl Part for RestStage {
    const KIND: &'static str = "rest-stage";

    fn id(&self) -> &str {
        &self.name
    }
}

impl Part for RestDeployment {
    const KIND: &'static str = "rest-deployment";

    fn id(&self) -> &str {
        &self.id
    }
}

impl Part for RestContent {
    const KIND: &'static str = "rest-content";

    fn id(&self) -> &str {
        &self.deployment_id
    }
}
