//! An authorizer of a REST API: who is asked whether a request may pass.

use serde::{Deserialize, Serialize};

use super::Part;

/// How long an answer is remembered when nobody says.
pub const AUTHORIZER_RESULT_TTL_S_DEFAULT: u32 = 300;
/// AWS's limit.
pub const AUTHORIZER_RESULT_TTL_S_MAX: u32 = 3_600;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestAuthorizer {
    pub id: String,
    /// Unique among the authorizers of the API.
    pub name: String,
    pub kind: RestAuthorizerKind,
    /// For exports only.
    pub auth_type: String,
    /// The function that is asked: for `TOKEN` and `REQUEST`, which always have one.
    pub uri: Option<String>,
    /// The role as which it is asked.
    pub credentials: Option<String>,
    /// User pools: for `COGNITO_USER_POOLS`, which always has one.
    pub provider_arns: Vec<String>,
    /// Mapping expressions with commas between them; `JWT` can go without.
    pub identity_source: Option<String>,
    /// What a token has to match before anybody is asked.
    pub identity_validation_expression: Option<String>,
    /// `None` where AWS tells none unless it was set; 0 remembers nothing.
    pub result_ttl_s: Option<u32>,
    /// For `JWT`, which always has one.
    pub jwt: Option<RestJwt>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RestAuthorizerKind {
    Token,
    Request,
    CognitoUserPools,
    Jwt,
}

/// Whose tokens a `JWT` authorizer takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestJwt {
    pub issuers: Vec<RestJwtIssuer>,
    pub algorithms: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestJwtIssuer {
    pub issuer: String,
    pub audiences: Vec<String>,
    pub claims: Vec<RestJwtClaim>,
}

/// What a token has to say besides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestJwtClaim {
    pub name: String,
    pub required: bool,
    pub expected_values: Vec<String>,
}

impl RestAuthorizerKind {
    pub const NAMES: [&'static str; 4] = ["TOKEN", "REQUEST", "COGNITO_USER_POOLS", "JWT"];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Token => "TOKEN",
            Self::Request => "REQUEST",
            Self::CognitoUserPools => "COGNITO_USER_POOLS",
            Self::Jwt => "JWT",
        }
    }

    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        [Self::Token, Self::Request, Self::CognitoUserPools, Self::Jwt]
            .into_iter()
            .find(|kind| kind.name() == name)
    }

    /// Whether a function is asked.
    #[must_use]
    pub fn is_function(self) -> bool {
        matches!(self, Self::Token | Self::Request)
    }
}

impl Part for RestAuthorizer {
    const KIND: &'static str = "rest-authorizer";

    fn id(&self) -> &str {
        &self.id
    }

    fn name(&self) -> Option<String> {
        Some(self.name.clone())
    }
}
