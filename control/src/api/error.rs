//! The one error that the management API answers with: status, AWS's name, message.

use crate::change::ChangeError;
use crate::compile::CompileError;
use crate::sigv4::AuthError;
use crate::store::StoreError;

/// Not AWS's: see [`ApiError::outcome_unknown`].
const OUTCOME_UNKNOWN: &str = "OutcomeUnknownException";

/// An error as the caller sees it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ApiError {
    pub status: u16,
    /// AWS's name of the error, as SDKs map it to their types.
    pub code: &'static str,
    pub message: String,
}

impl ApiError {
    #[must_use]
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self { status: 400, code: "BadRequestException", message: message.into() }
    }

    /// A member or value that AWS has and this version doesn't.
    #[must_use]
    pub fn unsupported(what: impl std::fmt::Display) -> Self {
        Self::bad_request(format!("{what} is not supported by this version of Turnpike"))
    }

    /// Values outside of what the service's model allows, each described, as AWS's validation sums them up.
    #[must_use]
    pub fn validation(errors: &[String]) -> Self {
        let noun = if errors.len() == 1 { "error" } else { "errors" };
        let message = format!("{} validation {noun} detected: {}", errors.len(), errors.join("; "));
        Self { status: 400, code: "ValidationException", message }
    }

    #[must_use]
    pub fn not_found(message: impl Into<String>) -> Self {
        Self { status: 404, code: "NotFoundException", message: message.into() }
    }

    #[must_use]
    pub fn conflict(message: impl Into<String>) -> Self {
        Self { status: 409, code: "ConflictException", message: message.into() }
    }

    /// More of something than a REST API may have.
    #[must_use]
    pub fn limit_exceeded(message: impl Into<String>) -> Self {
        Self { status: 429, code: "LimitExceededException", message: message.into() }
    }

    /// A body that isn't what the operation's JSON has to look like.
    #[must_use]
    pub fn serialization(message: impl Into<String>) -> Self {
        Self { status: 400, code: "SerializationException", message: message.into() }
    }

    /// An operation that AWS has and this version doesn't. 501 is the one 5xx that no AWS SDK retries.
    #[must_use]
    pub fn unsupported_operation(service: &str, operation: &str) -> Self {
        let message = format!("{operation} ({service}) is not supported by this version of Turnpike");
        Self { status: 501, code: "UnsupportedOperationException", message }
    }

    #[must_use]
    pub fn unknown_operation(method: &str, path: &str) -> Self {
        let message = format!("No operation of apigateway or apigatewayv2 answers {method} {path}");
        Self { status: 404, code: "UnknownOperationException", message }
    }

    #[must_use]
    pub fn unknown_target(target: &str) -> Self {
        let message = format!("No service here has the operation '{target}'");
        Self { status: 400, code: "UnknownOperationException", message }
    }

    #[must_use]
    pub fn body_too_large(bytes_max: usize) -> Self {
        let message = format!("The request's body has more than {bytes_max} bytes (body_bytes_max)");
        Self { status: 413, code: "RequestEntityTooLargeException", message }
    }

    #[must_use]
    pub fn unsupported_coding(coding: &str) -> Self {
        let message =
            format!("Bodies with the Content-Encoding '{coding}' aren't supported: send them as they are");
        Self { status: 415, code: "UnsupportedMediaTypeException", message }
    }

    /// It isn't framed as it says, or the client broke off.
    #[must_use]
    pub fn body_broken(error: &dyn std::error::Error) -> Self {
        let cause = std::iter::successors(Some(error), |error| error.source()).last().unwrap_or(error);
        Self::bad_request(format!("The request's body can't be read: {cause}"))
    }

    #[must_use]
    pub fn body_timeout(timeout_ms: u64) -> Self {
        let message = format!("The request's body didn't arrive within {timeout_ms} ms (body_timeout_ms)");
        Self { status: 408, code: "RequestTimeoutException", message }
    }

    #[must_use]
    pub fn body_too_slow(bytes_per_s_min: u64) -> Self {
        let message = format!(
            "The request's body came at less than {bytes_per_s_min} bytes per second (body_rate_bytes_per_s_min)"
        );
        Self { status: 408, code: "RequestTimeoutException", message }
    }

    /// The connection is closed in favour of another, and hears nothing of it.
    #[must_use]
    pub fn place_taken() -> Self {
        let message = "Too many connections: this one is closed (connections_max)".to_owned();
        Self { status: 503, code: "ServiceUnavailableException", message }
    }

    /// What was asked for is done, and some gateways haven't said yet that they know.
    #[must_use]
    pub fn gateways_late(ids: &[String], timeout_ms: u64) -> Self {
        let message = format!(
            "The change is made; no answer to it by the gateways {} within {timeout_ms} ms (flush_timeout_ms): \
             'turnpike-control gateways' says when they serve it",
            ids.join(", ")
        );
        Self { status: 503, code: "ServiceUnavailableException", message }
    }

    /// What was asked for is done, and a gateway goes on with what was before it.
    #[must_use]
    pub fn gateway_refuses(id: &str, reason: &str) -> Self {
        let message = format!(
            "The change is made; the gateway {id} refuses the configuration and serves the one before it: {reason}. \
             Mend that, and the next change brings this one along"
        );
        Self { status: 503, code: "ServiceUnavailableException", message }
    }

    /// Whether the change was made isn't known. AWS's SDKs retry 500, 502, 503 and 504, whatever was called: what makes
    /// something would make it twice, and whoever called would never hear that they have to look.
    #[must_use]
    pub fn outcome_unknown(message: String) -> Self {
        Self { status: 409, code: OUTCOME_UNKNOWN, message }
    }

    /// Whether it is for control's log: nothing that the caller did wrong.
    #[must_use]
    pub fn is_logged(&self) -> bool {
        matches!(self.status, 500 | 503) || self.code == OUTCOME_UNKNOWN
    }

    /// No policy allows it, or one denies it.
    #[must_use]
    pub fn access_denied(message: impl Into<String>) -> Self {
        Self { status: 403, code: "AccessDeniedException", message: message.into() }
    }

    /// The details go to the log, under the request's id.
    #[must_use]
    pub fn internal(error: &dyn std::error::Error) -> Self {
        Self::internal_text(error.to_string())
    }

    /// As [`Self::internal`].
    #[must_use]
    pub fn internal_text(message: String) -> Self {
        Self { status: 500, code: "InternalFailure", message }
    }
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        Self { status: 403, code: error.code(), message: error.to_string() }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Root(_) | StoreError::NulInText => Self::bad_request(error.to_string()),
            // Nothing was changed, and a later call may succeed.
            StoreError::Unreachable { .. }
            | StoreError::Slow(_)
            | StoreError::Busy { .. }
            | StoreError::Locked(_)
            | StoreError::DiskFull(_)
            | StoreError::DiskFailed(_)
            | StoreError::ReadOnly(_)
            | StoreError::Undone
            | StoreError::TakenOver { .. } => {
                Self { status: 503, code: "ServiceUnavailableException", message: error.to_string() }
            }
            StoreError::OutcomeUnknown { .. } => Self::outcome_unknown(error.to_string()),
            error => Self::internal(&error),
        }
    }
}

impl From<CompileError> for ApiError {
    fn from(error: CompileError) -> Self {
        Self::bad_request(error.to_string())
    }
}

impl From<ChangeError> for ApiError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Store(error) => error.into(),
            ChangeError::Compile(error) => error.into(),
            ChangeError::Random(error) => Self::internal(&error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_have_been_done_is_not_done_again_by_a_client_s_own_retry() {
        let lost = || (String::from("a place"), String::from("it was closed"));
        let (place, reason) = lost();
        let unknown = ApiError::from(StoreError::OutcomeUnknown { place, reason });
        assert_eq!(
            (unknown.status, unknown.code, unknown.is_logged()),
            (409, "OutcomeUnknownException", true)
        );
        assert!(unknown.message.contains("Look before repeating it"), "{unknown}");
        let (place, reason) = lost();
        let nothing_done = ApiError::from(StoreError::Unreachable { place, reason });
        assert_eq!((nothing_done.status, nothing_done.is_logged()), (503, true));
        assert!(!ApiError::conflict("theirs").is_logged());
    }
}
