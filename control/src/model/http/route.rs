//! A route of an HTTP or WebSocket API: who may call it, what it takes, and where it leads.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::{Part, RouteKey};
use super::is_default;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpRoute {
    pub id: String,
    /// Made by quick create: its key can't be changed.
    pub managed: bool,
    pub key: RouteKey,
    pub operation_name: Option<String>,
    /// Without one, the route can't be deployed.
    pub integration_id: Option<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub authorization: RouteAuthorization,
    #[serde(default, skip_serializing_if = "is_default")]
    pub api_key_required: bool,
    /// Selects one of `request_models`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub model_selection: Option<String>,
    /// Names of models by what `model_selection` yields.
    #[serde(default, skip_serializing_if = "is_default")]
    pub request_models: BTreeMap<String, String>,
    /// `route.request.header.x` and the like; the value says whether it is required.
    #[serde(default, skip_serializing_if = "is_default")]
    pub request_parameters: BTreeMap<String, bool>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub response_selection: Option<String>,
    /// By id.
    #[serde(default, skip_serializing_if = "is_default")]
    pub responses: BTreeMap<String, RouteResponse>,
}

/// Who may call.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum RouteAuthorization {
    #[default]
    None,
    AwsIam,
    /// Whom a function lets in.
    Custom {
        authorizer_id: String,
    },
    /// Who has a token, with one of the scopes if there are any.
    Jwt {
        authorizer_id: String,
        scopes: Vec<String>,
    },
}

/// What a WebSocket route answers a message with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteResponse {
    pub id: String,
    /// No other response of the route has it.
    pub key: String,
    /// Names of models by content type.
    pub models: BTreeMap<String, String>,
    /// The value says whether it is required.
    pub parameters: BTreeMap<String, bool>,
}

impl HttpRoute {
    /// Whether it isn't for everybody.
    #[must_use]
    pub fn is_protected(&self) -> bool {
        self.authorization != RouteAuthorization::None || self.api_key_required
    }

    /// One that anybody may call and that leads nowhere yet.
    #[must_use]
    pub fn new(id: String, key: RouteKey) -> Self {
        Self {
            id,
            managed: false,
            key,
            operation_name: None,
            integration_id: None,
            authorization: RouteAuthorization::None,
            api_key_required: false,
            model_selection: None,
            request_models: BTreeMap::new(),
            request_parameters: BTreeMap::new(),
            response_selection: None,
            responses: BTreeMap::new(),
        }
    }

    /// Whether the route or one of its responses names the model.
    #[must_use]
    pub fn uses_model(&self, name: &str) -> bool {
        let of_responses = self.responses.values().flat_map(|response| response.models.values());
        self.request_models.values().chain(of_responses).any(|model| model == name)
    }
}

impl RouteAuthorization {
    /// AWS's word.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::AwsIam => "AWS_IAM",
            Self::Custom { .. } => "CUSTOM",
            Self::Jwt { .. } => "JWT",
        }
    }

    #[must_use]
    pub fn authorizer_id(&self) -> Option<&str> {
        match self {
            Self::None | Self::AwsIam => None,
            Self::Custom { authorizer_id } | Self::Jwt { authorizer_id, .. } => Some(authorizer_id),
        }
    }

    /// What a token has to have one of.
    #[must_use]
    pub fn scopes(&self) -> &[String] {
        match self {
            Self::Jwt { scopes, .. } => scopes,
            Self::None | Self::AwsIam | Self::Custom { .. } => &[],
        }
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
