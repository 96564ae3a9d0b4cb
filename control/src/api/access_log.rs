//! What an access log of a stage has to be, in both versions of the API.

use turnpike_snapshot::check_access_log_format;

use super::error::ApiError;
use crate::model::log_group_of_arn;

/// What an ARN can have.
pub(super) const ARN_CHARS_MAX: usize = 1_024;

pub(super) fn check_destination(arn: &str) -> Result<(), ApiError> {
    log_group_of_arn(arn).map(drop).map_err(ApiError::bad_request)
}

/// A line has to say which request it is of.
pub(super) fn check_format(format: &str) -> Result<(), ApiError> {
    let names_request =
        ["$context.requestId", "$context.extendedRequestId"].iter().any(|v| format.contains(v));
    if !names_request {
        return Err(ApiError::bad_request(
            "format: the access log format has to contain $context.requestId or $context.extendedRequestId",
        ));
    }
    check_access_log_format(format).map_err(|error| ApiError::bad_request(format!("format: {error}")))
}
