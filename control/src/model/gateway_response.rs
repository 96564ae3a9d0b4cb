//! What a REST API's clients get when the gateway itself answers. A type that nobody customised has AWS's default,
//! which isn't stored. Source: AWS's developer guide, "Gateway response types".

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Part;

/// One that somebody customised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayResponse {
    /// One of [`gateway_response_types`].
    pub response_type: String,
    /// `None` keeps the status that the occasion has.
    pub status: Option<u16>,
    /// `gatewayresponse.header.X`, by what its value is.
    pub parameters: BTreeMap<String, String>,
    /// By content type.
    pub templates: BTreeMap<String, String>,
}

/// Type and default status; the two general types have none of their own.
const TYPES: [(&str, Option<u16>); 21] = [
    ("ACCESS_DENIED", Some(403)),
    ("API_CONFIGURATION_ERROR", Some(500)),
    ("AUTHORIZER_CONFIGURATION_ERROR", Some(500)),
    ("AUTHORIZER_FAILURE", Some(500)),
    ("BAD_REQUEST_BODY", Some(400)),
    ("BAD_REQUEST_PARAMETERS", Some(400)),
    ("DEFAULT_4XX", None),
    ("DEFAULT_5XX", None),
    ("EXPIRED_TOKEN", Some(403)),
    ("INTEGRATION_FAILURE", Some(504)),
    ("INTEGRATION_TIMEOUT", Some(504)),
    ("INVALID_API_KEY", Some(403)),
    ("INVALID_SIGNATURE", Some(403)),
    ("MISSING_AUTHENTICATION_TOKEN", Some(403)),
    ("QUOTA_EXCEEDED", Some(429)),
    ("REQUEST_TOO_LARGE", Some(413)),
    ("RESOURCE_NOT_FOUND", Some(404)),
    ("THROTTLED", Some(429)),
    ("UNAUTHORIZED", Some(401)),
    ("UNSUPPORTED_MEDIA_TYPE", Some(415)),
    ("WAF_FILTERED", Some(403)),
];

const DEFAULT_TEMPLATE: &str = r#"{"message":$context.error.messageString}"#;

/// All types, in alphabetical order.
pub fn gateway_response_types() -> impl Iterator<Item = &'static str> {
    TYPES.iter().map(|(name, _)| *name)
}

impl GatewayResponse {
    /// What a type has that nobody customised; `None` when there is no such type.
    #[must_use]
    pub fn default_of(response_type: &str) -> Option<Self> {
        let (name, status) = TYPES.iter().find(|(name, _)| *name == response_type)?;
        Some(Self {
            response_type: (*name).to_owned(),
            status: *status,
            parameters: BTreeMap::new(),
            templates: BTreeMap::from([("application/json".to_owned(), DEFAULT_TEMPLATE.to_owned())]),
        })
    }
}

impl Part for GatewayResponse {
    const KIND: &'static str = "rest-gateway-response";

    fn id(&self) -> &str {
        &self.response_type
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_in_order() {
        assert!(gateway_response_types().is_sorted());
        for name in gateway_response_types() {
            let default = GatewayResponse::default_of(name).expect("a type");
            assert_eq!(default.status.is_none(), name.starts_with("DEFAULT_"), "{name}");
        }
        assert_eq!(GatewayResponse::default_of("DEFAULT"), None);
    }
}
