//! An authorizer of an HTTP or WebSocket API: who decides whether a request may pass.

use serde::{Deserialize, Serialize};

use super::super::Part;

/// AWS's default of how long an HTTP API remembers a function's answer, where it can tell callers apart.
pub const FUNCTION_AUTHORIZER_TTL_S: u32 = 300;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpAuthorizer {
    pub id: String,
    /// No other authorizer of the API has it.
    pub name: String,
    /// Where a request has what tells its caller; of a token, exactly one.
    pub identity_sources: Vec<String>,
    /// Kept for the caller: AWS doesn't use it either.
    pub identity_validation_expression: Option<String>,
    pub kind: AuthorizerKind,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuthorizerKind {
    /// A token's signature and claims decide.
    Jwt(JwtIssuer),
    /// A function decides.
    Request {
        /// An ARN that names the function's invocation.
        uri: String,
        credentials_arn: Option<String>,
        /// Of HTTP APIs: `1.0` or `2.0`.
        payload_format_version: Option<String>,
        /// The function may answer with true or false instead of a policy.
        simple_responses: bool,
        /// Of HTTP APIs: how long an answer is remembered; 0 isn't.
        ttl_s: Option<u32>,
    },
}

/// Whose tokens are taken, and for whom they have to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JwtIssuer {
    pub issuer: String,
    pub audience: Vec<String>,
}

impl AuthorizerKind {
    /// AWS's word.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Jwt(_) => "JWT",
            Self::Request { .. } => "REQUEST",
        }
    }
}

impl Part for HttpAuthorizer {
    const KIND: &'static str = "http-authorizer";

    fn id(&self) -> &str {
        &self.id
    }

    fn name(&self) -> Option<String> {
        Some(self.name.clone())
    }
}
