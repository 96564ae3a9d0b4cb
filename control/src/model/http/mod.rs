//! HTTP and WebSocket APIs (apigatewayv2) and their parts, an entity a file.

mod authorizer;
mod cors;
mod deployment;
mod integration;
mod models;
mod route;
mod stage;
mod subtypes;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::{Api, Tags};

pub use authorizer::{AuthorizerKind, FUNCTION_AUTHORIZER_TTL_S, HttpAuthorizer, JwtIssuer};
pub use cors::{Cors, check_cors};
pub use deployment::{HttpContent, HttpDeployment};
pub use integration::{HttpIntegration, HttpIntegrationResponse, HttpIntegrationType};
pub use models::{HttpModel, check_model_name, check_model_schema};
pub use route::{HttpRoute, RouteAuthorization, RouteResponse};
pub use stage::{HttpStage, LOGGING_LEVELS, RouteSettings};
pub use subtypes::check_subtype;

/// Where API keys are unless an API says otherwise.
pub const API_KEY_HEADER: &str = "$request.header.x-api-key";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpApi {
    pub id: String,
    pub name: String,
    #[serde(default, skip_serializing_if = "is_default")]
    pub protocol: ApiProtocol,
    pub description: Option<String>,
    pub version: Option<String>,
    pub tags: Tags,
    pub execute_api_endpoint_disabled: bool,
    /// Of a WebSocket API: what of a message selects its route. HTTP APIs have but one.
    #[serde(default, skip_serializing_if = "is_default")]
    pub route_selection: Option<String>,
    /// Where callers have their API key; `None` is [`API_KEY_HEADER`].
    #[serde(default, skip_serializing_if = "is_default")]
    pub api_key_selection: Option<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub cors: Option<Cors>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub schema_validation_disabled: bool,
    /// Kept for the caller: a gateway answers at the addresses that it is given.
    #[serde(default, skip_serializing_if = "is_default")]
    pub dual_stack: bool,
    /// Seconds since 1970.
    pub created_at_s: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum ApiProtocol {
    #[default]
    Http,
    WebSocket,
}

impl HttpApi {
    /// One without anything in it.
    #[must_use]
    pub fn new(id: String, name: String, protocol: ApiProtocol, created_at_s: i64) -> Self {
        Self {
            id,
            name,
            protocol,
            description: None,
            version: None,
            tags: Tags::new(),
            execute_api_endpoint_disabled: false,
            route_selection: None,
            api_key_selection: None,
            cors: None,
            schema_validation_disabled: false,
            dual_stack: false,
            created_at_s,
        }
    }
}

impl ApiProtocol {
    /// AWS's word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::WebSocket => "WEBSOCKET",
        }
    }
}

/// Documents leave out what says nothing: a deployment holds hundreds of routes.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Api for HttpApi {
    const KIND: &'static str = "http";

    fn id(&self) -> &str {
        &self.id
    }
}
