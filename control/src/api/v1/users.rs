//! What of a REST API's methods refers to its other entities: none of those goes while one does.

use super::super::error::ApiError;
use crate::change::View;
use crate::model::{Method, Resource};

/// A reference that a method can have.
#[derive(Debug, Clone, Copy)]
pub(super) enum Use<'a> {
    /// By id.
    Authorizer(&'a str),
    /// By name.
    Model(&'a str),
    /// By id.
    RequestValidator(&'a str),
}

/// Refuses the deletion of `what` while a method has this reference, in AWS's words.
pub(super) fn check_unused(view: &View<'_>, api_id: &str, what: &str, used: Use<'_>) -> Result<(), ApiError> {
    for resource in view.tx.parts::<Resource>(api_id)? {
        for (name, method) in &resource.methods {
            if let Some(place) = used.place(method, &resource.path, name) {
                return Err(ApiError::conflict(format!("Cannot delete {what}, is referenced in {place}")));
            }
        }
    }
    Ok(())
}

impl Use<'_> {
    /// Where the method refers to it, as AWS says it.
    fn place(self, method: &Method, path: &str, name: &str) -> Option<String> {
        let is = |id: &Option<String>, wanted: &str| id.as_deref() == Some(wanted);
        let has_model = |wanted: &str, models: &std::collections::BTreeMap<String, String>| {
            models.values().any(|model| model == wanted)
        };
        match self {
            Self::Authorizer(id) => is(&method.authorizer_id, id).then(|| format!("method: {name}/{path}")),
            Self::RequestValidator(id) => {
                is(&method.request_validator_id, id).then(|| format!("method: {name}/{path}"))
            }
            Self::Model(model) if has_model(model, &method.request_models) => {
                Some(format!("method request: {path}/{name}"))
            }
            Self::Model(model) => {
                let mut responses = method.responses.values();
                responses
                    .any(|response| has_model(model, &response.models))
                    .then(|| format!("method response: {path}/{name}"))
            }
        }
    }
}
