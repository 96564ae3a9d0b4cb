//! What methods refer to by name or id has to be there.

use super::super::error::ApiError;
use crate::change::View;
use crate::model::AuthorizationType;

/// An authorizer of a kind that the authorization type asks; of the others, none.
pub(super) fn check_authorizer(
    _view: &View<'_>,
    _api_id: &str,
    kind: AuthorizationType,
    _id: Option<&str>,
) -> Result<(), ApiError> {
    if !kind.asks_authorizer() {
        return Ok(());
    }
    Err(ApiError::bad_request(
        "Invalid authorizer ID specified. Setting the authorization type to CUSTOM or COGNITO_USER_POOLS requires a \
         valid authorizer.",
    ))
}

pub(super) fn check_request_validator(_view: &View<'_>, _api_id: &str, _id: &str) -> Result<(), ApiError> {
    Err(ApiError::bad_request("Invalid Request Validator identifier specified"))
}

pub(super) fn check_models<'n>(
    _view: &View<'_>,
    _api_id: &str,
    mut names: impl Iterator<Item = &'n String>,
) -> Result<(), ApiError> {
    match names.next() {
        None => Ok(()),
        Some(name) => Err(ApiError::bad_request(format!("Invalid model identifier specified: {name}"))),
    }
}

pub(super) fn check_documentation_version(
    _view: &View<'_>,
    _api_id: &str,
    version: &str,
) -> Result<(), ApiError> {
    Err(ApiError::not_found(format!("Invalid Documentation version specified: {version}")))
}
