//! A REST API (apigateway) and its parts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Api, GatewayResponse, Method, Part, RequestValidator, RestAuthorizer, RestModel, Tags};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestApi {
    pub id: String,
    pub name: String,
    pub description: Option<String>,
    pub version: Option<String>,
    pub tags: Tags,
    /// `EDGE`, `REGIONAL` or `PRIVATE`: kept for the caller, the same thing here.
    pub endpoint_type: String,
    /// `ipv4` or `dualstack`, kept for the caller.
    #[serde(default = "ipv4")]
    pub ip_address_type: String,
    /// Of a private API, kept for the caller.
    #[serde(default)]
    pub vpc_endpoint_ids: Vec<String>,
    pub execute_api_endpoint_disabled: bool,
    /// In the order in which they came.
    #[serde(default)]
    pub binary_media_types: Vec<String>,
    /// Bodies from this size on are compressed; `None` compresses none.
    #[serde(default)]
    pub compression_bytes_min: Option<u32>,
    #[serde(default)]
    pub api_key_source: ApiKeySource,
    /// Who may call the API: JSON, as it was given.
    #[serde(default)]
    pub policy: Option<String>,
    #[serde(default)]
    pub security_policy: Option<String>,
    #[serde(default)]
    pub endpoint_access_mode: Option<String>,
    pub root_resource_id: String,
    /// Seconds since 1970.
    pub created_at_s: i64,
}

impl RestApi {
    /// With AWS's defaults.
    #[must_use]
    pub fn new(id: String, name: String, root_resource_id: String, created_at_s: i64) -> Self {
        Self {
            id,
            name,
            description: None,
            version: None,
            tags: Tags::new(),
            endpoint_type: "EDGE".to_owned(),
            ip_address_type: ipv4(),
            vpc_endpoint_ids: Vec::new(),
            execute_api_endpoint_disabled: false,
            binary_media_types: Vec::new(),
            compression_bytes_min: None,
            api_key_source: ApiKeySource::Header,
            policy: None,
            security_policy: None,
            endpoint_access_mode: None,
            root_resource_id,
            created_at_s,
        }
    }

    /// The resource that the API begins with.
    #[must_use]
    pub fn root_resource(&self) -> Resource {
        Resource {
            id: self.root_resource_id.clone(),
            parent_id: None,
            path_part: None,
            path: "/".to_owned(),
            methods: BTreeMap::new(),
        }
    }
}

/// Where a request's API key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ApiKeySource {
    /// In `x-api-key`.
    #[default]
    Header,
    /// In what the authorizer answers.
    Authorizer,
}

impl ApiKeySource {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Header => "HEADER",
            Self::Authorizer => "AUTHORIZER",
        }
    }

    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Header, Self::Authorizer].into_iter().find(|source| source.name() == name)
    }
}

fn ipv4() -> String {
    "ipv4".to_owned()
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

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestDeployment {
    pub id: String,
    pub description: Option<String>,
    pub created_at_s: i64,
}

/// What a deployment froze, kept apart so that listing deployments doesn't read it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RestContent {
    pub deployment_id: String,
    /// The API's policy then. A change of it counts with the next deployment.
    #[serde(default)]
    pub policy: Option<String>,
    /// Likewise; empty in a store that is older than this.
    #[serde(default)]
    pub endpoint_type: String,
    /// Where its methods' keys were then; likewise.
    #[serde(default)]
    pub api_key_source: ApiKeySource,
    /// Likewise (AWS: a change of it takes a new deployment).
    #[serde(default)]
    pub compression_bytes_min: Option<u32>,
    pub resources: Vec<Resource>,
    #[serde(default)]
    pub authorizers: Vec<RestAuthorizer>,
    #[serde(default)]
    pub models: Vec<RestModel>,
    #[serde(default)]
    pub request_validators: Vec<RequestValidator>,
    /// Those that were customised.
    #[serde(default)]
    pub gateway_responses: Vec<GatewayResponse>,
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
