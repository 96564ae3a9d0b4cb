//! What methods and stages refer to by name or id has to be there.

use super::super::error::ApiError;
use crate::change::View;
use crate::model::{
    AuthorizationType, DocumentationVersion, RequestValidator, RestAuthorizer, RestAuthorizerKind, RestModel,
};

/// An authorizer of a kind that the authorization type asks.
pub(super) fn check_authorizer(
    view: &View<'_>,
    api_id: &str,
    kind: AuthorizationType,
    id: Option<&str>,
) -> Result<(), ApiError> {
    if !kind.asks_authorizer() {
        return Ok(());
    }
    let authorizer = id.map(|id| view.tx.part::<RestAuthorizer>(api_id, id)).transpose()?.flatten();
    match authorizer.is_some_and(|authorizer| asks(kind, authorizer.kind)) {
        true => Ok(()),
        false => Err(ApiError::bad_request(
            "Invalid authorizer ID specified. Setting the authorization type to CUSTOM or COGNITO_USER_POOLS requires \
             a valid authorizer.",
        )),
    }
}

fn asks(kind: AuthorizationType, authorizer: RestAuthorizerKind) -> bool {
    match authorizer {
        RestAuthorizerKind::Token | RestAuthorizerKind::Request => kind == AuthorizationType::Custom,
        RestAuthorizerKind::CognitoUserPools => kind == AuthorizationType::CognitoUserPools,
        RestAuthorizerKind::Jwt => kind == AuthorizationType::Jwt,
    }
}

pub(super) fn check_request_validator(view: &View<'_>, api_id: &str, id: &str) -> Result<(), ApiError> {
    match view.tx.part::<RequestValidator>(api_id, id)? {
        Some(_) => Ok(()),
        None => Err(ApiError::bad_request("Invalid Request Validator identifier specified")),
    }
}

/// Models are known by their names.
pub(super) fn check_models<'n>(
    view: &View<'_>,
    api_id: &str,
    names: impl Iterator<Item = &'n String>,
) -> Result<(), ApiError> {
    for name in names {
        if view.tx.part::<RestModel>(api_id, name)?.is_none() {
            return Err(ApiError::bad_request(format!("Invalid model identifier specified: {name}")));
        }
    }
    Ok(())
}

pub(super) fn check_documentation_version(
    view: &View<'_>,
    api_id: &str,
    version: &str,
) -> Result<(), ApiError> {
    match view.tx.part::<DocumentationVersion>(api_id, version)? {
        Some(_) => Ok(()),
        None => Err(ApiError::not_found("Invalid Documentation version specified")),
    }
}
