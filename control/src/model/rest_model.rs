//! What a REST API says of bodies: models (JSON schemas by name) and request validators.

use serde::{Deserialize, Serialize};

use super::Part;

/// A schema that bodies of a content type have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestModel {
    pub id: String,
    /// Letters and digits; what everything refers to it by.
    pub name: String,
    pub description: Option<String>,
    pub content_type: String,
    /// As it was written; JSON where the content type is.
    pub schema: String,
}

/// Which of a request's pieces are checked before the integration sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestValidator {
    pub id: String,
    /// Unique among the validators of the API, unless it is absent.
    pub name: Option<String>,
    pub body: bool,
    pub parameters: bool,
}

impl Part for RestModel {
    const KIND: &'static str = "rest-model";

    #[expect(clippy::misnamed_getters, reason = "callers and other parts know a model by its name alone")]
    fn id(&self) -> &str {
        &self.name
    }
}

impl Part for RequestValidator {
    const KIND: &'static str = "rest-request-validator";

    fn id(&self) -> &str {
        &self.id
    }

    fn name(&self) -> Option<String> {
        self.name.clone()
    }
}
