//! A method of a REST API's resource: what it asks of a request, where it leads, and what comes back.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

/// Where the parameters of a method's request and of an integration's begin in mapping expressions.
pub const METHOD_REQUEST: &str = "method.request.";
pub const INTEGRATION_REQUEST: &str = "integration.request.";

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Method {
    pub operation_name: Option<String>,
    #[serde(default)]
    pub authorization_type: AuthorizationType,
    /// With the types that ask an authorizer, and only with them.
    #[serde(default)]
    pub authorizer_id: Option<String>,
    #[serde(default)]
    pub authorization_scopes: Vec<String>,
    #[serde(default)]
    pub api_key_required: bool,
    #[serde(default)]
    pub request_validator_id: Option<String>,
    /// The model's name by content type.
    #[serde(default)]
    pub request_models: BTreeMap<String, String>,
    /// `method.request.path.x` and the like; the value says whether it is required.
    pub request_parameters: BTreeMap<String, bool>,
    pub integration: Option<RestIntegration>,
    /// By status code.
    #[serde(default)]
    pub responses: BTreeMap<String, MethodResponse>,
}

/// Who may call a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AuthorizationType {
    #[default]
    None,
    AwsIam,
    Custom,
    CognitoUserPools,
    Jwt,
}

/// A response that a method declares.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MethodResponse {
    /// `method.response.header.x`; the value says whether it is required.
    pub parameters: BTreeMap<String, bool>,
    /// The model's name by content type.
    pub models: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RestIntegration {
    #[serde(default)]
    pub kind: RestIntegrationKind,
    /// `ANY` passes the client's method on. Only `MOCK` can go without.
    pub method: Option<String>,
    /// Of HTTP integrations checked by [`super::check_uri_template`]. Only `MOCK` can go without.
    pub uri: Option<String>,
    pub timeout_ms: u32,
    /// `integration.request.header.x` and the like: what it is filled with.
    #[serde(alias = "path_parameters", deserialize_with = "full_names")]
    pub request_parameters: BTreeMap<String, String>,
    /// By content type; empty passes the body on.
    #[serde(default)]
    pub request_templates: BTreeMap<String, String>,
    pub passthrough_behavior: String,
    #[serde(default)]
    pub content_handling: Option<String>,
    #[serde(default)]
    pub credentials: Option<String>,
    pub cache_namespace: String,
    /// `method.request.querystring.x` and the like.
    #[serde(default)]
    pub cache_key_parameters: Vec<String>,
    /// The VPC link that it leads through: its id, or the stage variable that holds it.
    #[serde(default)]
    pub connection_id: Option<String>,
    /// ARN of a load balancer, kept for the caller: a link leads to its targets.
    #[serde(default)]
    pub integration_target: Option<String>,
    /// An https:// upstream's certificate may be of any issuer.
    #[serde(default)]
    pub insecure_skip_verification: bool,
    /// `BUFFERED` or `STREAM`, where the caller said.
    #[serde(default)]
    pub response_transfer_mode: Option<String>,
    /// By status code.
    #[serde(default)]
    pub responses: BTreeMap<String, IntegrationResponse>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RestIntegrationKind {
    Http,
    #[default]
    HttpProxy,
    Aws,
    AwsProxy,
    Mock,
}

/// What a method's client gets for a response of its integration.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct IntegrationResponse {
    /// A regular expression that the integration's response has to match; empty is the default response.
    pub selection_pattern: Option<String>,
    /// `method.response.header.x`: what it is filled with.
    pub parameters: BTreeMap<String, String>,
    /// By content type; empty passes the body on.
    pub templates: BTreeMap<String, String>,
    pub content_handling: Option<String>,
}

impl AuthorizationType {
    pub const ALL: [Self; 5] = [Self::None, Self::AwsIam, Self::Custom, Self::CognitoUserPools, Self::Jwt];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::AwsIam => "AWS_IAM",
            Self::Custom => "CUSTOM",
            Self::CognitoUserPools => "COGNITO_USER_POOLS",
            Self::Jwt => "JWT",
        }
    }

    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    #[must_use]
    pub fn asks_authorizer(self) -> bool {
        match self {
            Self::None | Self::AwsIam => false,
            Self::Custom | Self::CognitoUserPools | Self::Jwt => true,
        }
    }
}

impl RestIntegrationKind {
    pub const ALL: [Self; 5] = [Self::Http, Self::Mock, Self::AwsProxy, Self::HttpProxy, Self::Aws];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::HttpProxy => "HTTP_PROXY",
            Self::Aws => "AWS",
            Self::AwsProxy => "AWS_PROXY",
            Self::Mock => "MOCK",
        }
    }

    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether its URI is one of HTTP.
    #[must_use]
    pub fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::HttpProxy)
    }
}

impl RestIntegration {
    /// The request parameter that fills this variable of the URI.
    #[must_use]
    pub fn path_source(&self, variable: &str) -> Option<&str> {
        self.request_parameters.get(&format!("{INTEGRATION_REQUEST}path.{variable}")).map(String::as_str)
    }
}

/// Stores of before this had only path parameters, by bare names on both sides.
fn full_names<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    let stored = BTreeMap::<String, String>::deserialize(from)?;
    let full = stored.into_iter().map(|(target, source)| match target.starts_with(INTEGRATION_REQUEST) {
        true => (target, source),
        false => (format!("{INTEGRATION_REQUEST}path.{target}"), format!("{METHOD_REQUEST}path.{source}")),
    });
    Ok(full.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_of_an_older_store_is_read() {
        let stored = r#"{"operation_name":null,"request_parameters":{"method.request.path.id":true},"integration":{
            "method":"GET","uri":"http://h/{x}","timeout_ms":50,"path_parameters":{"x":"id"},
            "passthrough_behavior":"NEVER","cache_namespace":"n"}}"#;
        let method: Method = serde_json::from_str(stored).expect("readable");
        assert_eq!(method.authorization_type, AuthorizationType::None);
        let integration = method.integration.as_ref().expect("given");
        assert_eq!(integration.kind, RestIntegrationKind::HttpProxy);
        assert_eq!(integration.path_source("x"), Some("method.request.path.id"));
        assert_eq!(
            (integration.method.as_deref(), integration.uri.as_deref()),
            (Some("GET"), Some("http://h/{x}"))
        );
        let again = serde_json::to_string(&method).expect("writable");
        assert_eq!(serde_json::from_str::<Method>(&again).expect("readable"), method);
    }

    #[test]
    fn names_are_those_of_the_store() {
        for kind in AuthorizationType::ALL {
            assert_eq!(serde_json::to_value(kind).expect("a name"), kind.name());
            assert_eq!(AuthorizationType::named(kind.name()), Some(kind));
        }
        for kind in RestIntegrationKind::ALL {
            assert_eq!(serde_json::to_value(kind).expect("a name"), kind.name());
            assert_eq!(RestIntegrationKind::named(kind.name()), Some(kind));
        }
    }
}
