//! `RestApi`: create, clone, get, list, update, delete.

use serde_json::{Value, json};

use super::super::call::{Call, compact, page_answer};
use super::super::entities;
use super::super::error::ApiError;
use super::super::members::Members;
use super::super::v2::apis::new_api_id;
use super::api_settings::{self, PATCHES, check, check_policy};
use super::{DESCRIPTION_CHARS_MAX, NAME_CHARS_MAX, PAGING, api, models, over_quota, patch};
use crate::change::{Change, View};
use crate::model::{
    DocumentationPart, GatewayResponse, IntegrationTargets, Part, RequestValidator, Resource, RestApi,
    RestAuthorizer, RestModel, new_id,
};

const ROOT_RESOURCE_ID_LEN: usize = 10;
const VERSION_CHARS_MAX: usize = 64;

pub(in super::super) fn create(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let mut members = call.members()?;
    let source = take_source(change, &mut members)?;
    let api = take(change, members, source.as_ref())?;
    check(&api)?;
    check_policy(&api)?;
    let max = change.settings.quotas.apis_max;
    if change.tx.api_count::<RestApi>()? >= max {
        return Err(over_quota(max, "REST APIs", "apis_max"));
    }
    change.tx.put_api(&api)?;
    match source {
        Some(source) => clone_parts(change, &source.id, &api.id)?,
        None => {
            change.tx.put_part(&api.id, &api.root_resource())?;
            models::put_defaults(change, &api.id)?;
        }
    }
    Ok(answer(&api))
}

pub(in super::super) fn get(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    Ok(answer(&api(view, call.parameter(0))?))
}

pub(in super::super) fn list(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    let paging = call.paging(&PAGING)?;
    let page = view.tx.apis(&paging.after, paging.limit)?;
    Ok(page_answer(&page, &PAGING, answer))
}

pub(in super::super) fn update(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let mut api = api(change, call.parameter(0))?;
    patch::apply(&PATCHES, &mut api, call.members()?, answer)?;
    check(&api)?;
    check_policy(&api)?;
    change.tx.put_api(&api)?;
    change.recompile_api(&api.id)?;
    Ok(answer(&api))
}

pub(in super::super) fn delete(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    entities::delete_api(change, &api.id)
}

/// The API that is cloned, if one is named.
fn take_source(view: &View<'_>, members: &mut Members) -> Result<Option<RestApi>, ApiError> {
    let id = members.text("cloneFrom", NAME_CHARS_MAX)?;
    id.map(|id| api(view, &id)).transpose()
}

/// What isn't said is the source's, or AWS's default.
fn take(view: &View<'_>, mut members: Members, source: Option<&RestApi>) -> Result<RestApi, ApiError> {
    let (id, name) = (new_api_id(view)?, members.required("name", NAME_CHARS_MAX)?);
    let mut new = match source {
        Some(source) => RestApi { id, name, created_at_s: view.now_s, ..source.clone() },
        None => {
            let root = new_id(ROOT_RESOURCE_ID_LEN).map_err(|error| ApiError::internal(&error))?;
            RestApi::new(id, name, root, view.now_s)
        }
    };
    api_settings::take(&mut members, &mut new)?;
    new.description = members.string("description", DESCRIPTION_CHARS_MAX)?.or(new.description);
    if new.description.as_deref() == Some("") {
        return Err(ApiError::bad_request("Description cannot be an empty string"));
    }
    new.version = members.string("version", VERSION_CHARS_MAX)?.or(new.version);
    new.tags = members.tags()?.unwrap_or_default();
    members.finish()?;
    Ok(new)
}

/// Everything that a deployment would freeze: neither deployments nor stages, as in AWS. Identifiers are an API's own, so
/// that what refers to another part goes on to; models alone name their API.
fn clone_parts(change: &Change<'_>, from: &str, to: &str) -> Result<(), ApiError> {
    clone_kind::<Resource>(change, from, to)?;
    clone_kind::<RestAuthorizer>(change, from, to)?;
    for model in change.tx.parts::<RestModel>(from)? {
        change.tx.put_part(to, &models::moved(model, from, to))?;
    }
    clone_kind::<RequestValidator>(change, from, to)?;
    clone_kind::<GatewayResponse>(change, from, to)?;
    clone_kind::<DocumentationPart>(change, from, to)?;
    clone_kind::<IntegrationTargets>(change, from, to)
}

fn clone_kind<P: Part>(change: &Change<'_>, from: &str, to: &str) -> Result<(), ApiError> {
    for part in change.tx.parts::<P>(from)? {
        change.tx.put_part(to, &part)?;
    }
    Ok(())
}

pub(super) fn answer(api: &RestApi) -> Value {
    let media_types = (!api.binary_media_types.is_empty()).then_some(&api.binary_media_types);
    compact(json!({
        "apiKeySource": api.api_key_source.name(),
        "apiStatus": "AVAILABLE",
        "binaryMediaTypes": media_types,
        "createdDate": api.created_at_s,
        "description": api.description,
        "disableExecuteApiEndpoint": api.execute_api_endpoint_disabled,
        "endpointAccessMode": api.endpoint_access_mode,
        "endpointConfiguration": api_settings::endpoint_answer(api),
        "id": api.id,
        "minimumCompressionSize": api.compression_bytes_min,
        "name": api.name,
        "policy": api.policy.as_deref().map(escaped),
        "rootResourceId": api.root_resource_id,
        "securityPolicy": api.security_policy,
        "tags": api.tags,
        "version": api.version,
    }))
}

/// AWS answers a policy as the inside of a JSON string, which clients unescape.
fn escaped(policy: &str) -> String {
    let quoted = Value::from(policy).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}
