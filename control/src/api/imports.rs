//! Running a plan of an import: each entity through its own operation's handler, all within one change, so that an
//! import obeys every rule of the management API and happens as a whole or not at all.

use std::sync::Arc;

use serde_json::Value;

use super::call::Call;
use super::dispatch::run_within;
use super::error::ApiError;
use super::operations::Service;
use crate::change::Change;
use crate::openapi::{BasePathMode, Document, DocumentError, Place, Problems, Substitutes, TooLarge};
use crate::settings::Settings;

impl From<DocumentError> for ApiError {
    fn from(error: DocumentError) -> Self {
        Self::bad_request(error.to_string())
    }
}

impl From<TooLarge> for ApiError {
    fn from(error: TooLarge) -> Self {
        Self::bad_request(error.to_string())
    }
}

/// # Errors
/// When the body isn't an OpenAPI document.
pub(super) fn read(settings: &Settings, body: &[u8]) -> Result<Arc<Document>, ApiError> {
    let account = &settings.account;
    let substitutes = Substitutes { account: &account.id, region: &account.region };
    Ok(Arc::new(Document::read(body, settings.quotas.openapi_limits(), &substitutes)?))
}

/// What is made of the base path.
///
/// # Errors
/// When there is no such mode, or it comes twice.
pub(super) fn base_path_mode(call: &Call, name: &str) -> Result<BasePathMode, ApiError> {
    let Some(text) = call.query_value(name)? else { return Ok(BasePathMode::default()) };
    BasePathMode::parse(&text).ok_or_else(|| {
        ApiError::bad_request(format!("{name} has to be ignore, prepend or split, not '{text}'"))
    })
}

/// Refuses parameters of the query that an import doesn't have.
///
/// # Errors
/// The first of them.
pub(super) fn check_parameters(call: &Call, known: &[&str]) -> Result<(), ApiError> {
    let names = call.query.split('&').map(|pair| pair.split('=').next().unwrap_or_default());
    match names.into_iter().find(|name| !name.is_empty() && !known.contains(name)) {
        None => Ok(()),
        Some(name) => Err(ApiError::bad_request(format!("An import has no parameter '{name}'"))),
    }
}

/// The text of an answer's member.
pub(super) fn text(answer: &Value, name: &str) -> String {
    answer[name].as_str().unwrap_or_default().to_owned()
}

/// An import under way.
#[derive(Debug)]
pub(super) struct Import<'i, 'c> {
    pub(super) change: &'i mut Change<'c>,
    service: Service,
    fail_on_warnings: bool,
    pub(super) problems: Problems,
}

impl<'i, 'c> Import<'i, 'c> {
    pub(super) fn new(change: &'i mut Change<'c>, service: Service, fail_on_warnings: bool) -> Self {
        Self { change, service, fail_on_warnings, problems: Problems::default() }
    }

    /// Ends the import if it can't succeed any more.
    ///
    /// # Errors
    /// What has been found wrong.
    pub(super) fn check(&self) -> Result<(), ApiError> {
        match self.problems.refusal(self.fail_on_warnings) {
            Some(message) => Err(ApiError::bad_request(message)),
            None => Ok(()),
        }
    }

    /// Runs an operation for something in the document. What the operation finds wrong with it is noted, and `None`.
    ///
    /// # Errors
    /// What no other document would mend: a limit that is reached, an operation that doesn't exist, a broken store.
    pub(super) fn run(
        &mut self,
        place: &Place,
        what: &str,
        operation: &str,
        parameters: &[&str],
        members: &Value,
    ) -> Result<Option<Value>, ApiError> {
        self.run_call(place, what, operation, &Call::inner(parameters, members))
    }

    /// As [`Self::run`], with a call of any shape.
    ///
    /// # Errors
    /// As [`Self::run`]'s.
    pub(super) fn run_call(
        &mut self,
        place: &Place,
        what: &str,
        operation: &str,
        call: &Call,
    ) -> Result<Option<Value>, ApiError> {
        match run_within(self.change, self.service, operation, call) {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if [400, 404, 409].contains(&error.status) => {
                self.problems.error(place, format_args!("Unable to {what}: {}", error.message));
                Ok(None)
            }
            Err(error) => {
                Err(ApiError { message: format!("{place}: Unable to {what}: {}", error.message), ..error })
            }
        }
    }

    /// Runs an operation that the document isn't to blame for.
    ///
    /// # Errors
    /// The operation's.
    pub(super) fn call(
        &mut self,
        operation: &str,
        parameters: &[&str],
        members: &Value,
    ) -> Result<Value, ApiError> {
        run_within(self.change, self.service, operation, &Call::inner(parameters, members))
    }
}
