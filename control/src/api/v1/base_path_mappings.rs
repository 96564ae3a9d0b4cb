//! `BasePathMapping`: create, get, list, update, delete. `(none)` stands for an empty base path, and for no stage.

use serde_json::{Value, json};

use super::super::call::{Call, compact};
use super::super::domains::{self, mappings};
use super::super::entities;
use super::super::error::ApiError;
use super::patch::{self, Patch, REPLACE, REPLACE_REMOVE, Table, Wording, rule};
use super::{NAME_CHARS_MAX, PAGING, over_quota};
use crate::change::{Change, View};
use crate::model::{ApiMapping, DomainName, RestApi};

const NONE: &str = "(none)";

pub(in super::super) fn create(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let domain = domains::of_call(change, call)?;
    let mut members = call.members()?;
    let api_id = members.required("restApiId", NAME_CHARS_MAX)?;
    let key = base_path(members.string("basePath", NAME_CHARS_MAX)?.unwrap_or_default())?;
    let stage = given(members.string("stage", NAME_CHARS_MAX)?.unwrap_or_default());
    members.finish()?;
    check_api(change, &api_id)?;
    let too_many =
        |max| over_quota(max, "base path mappings of the domain name", "mappings_per_domain_name_max");
    let mapping = mappings::create(change, &domain, key, api_id, stage, too_many)?;
    Ok(answer(&mapping))
}

pub(in super::super) fn get(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    let domain = domains::of_call(view, call)?;
    Ok(answer(&mapping(view, &domain, call.parameter(1))?))
}

/// Those of more than one segment too, which only version 2 of the API makes.
pub(in super::super) fn list(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    let domain = domains::of_call(view, call)?;
    entities::list(view, call, &domain.name, &PAGING, answer)
}

/// AWS's table has the first two in other spellings than the answer, and clients use both.
const PATCHES: Table<ApiMapping> = Table {
    input: "updateBasePathMappingInput",
    wording: Wording::Listed,
    rules: &[
        rule("/basePath", REPLACE, set_base_path),
        rule("/basepath", REPLACE, set_base_path),
        rule("/restapiId", REPLACE, set_api_id),
        rule("/restApiId", REPLACE, set_api_id),
        rule("/stage", REPLACE_REMOVE, |mapping, patch| {
            mapping.stage = patch.optional_text(NAME_CHARS_MAX)?.and_then(given);
            Ok(())
        }),
    ],
};

fn set_base_path(mapping: &mut ApiMapping, patch: &Patch) -> Result<(), ApiError> {
    mapping.key = base_path(patch.text(NAME_CHARS_MAX)?)?;
    Ok(())
}

fn set_api_id(mapping: &mut ApiMapping, patch: &Patch) -> Result<(), ApiError> {
    mapping.api_id = patch.text(NAME_CHARS_MAX)?;
    Ok(())
}

pub(in super::super) fn update(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let domain = domains::of_call(change, call)?;
    let mut mapping = mapping(change, &domain, call.parameter(1))?;
    patch::apply(&PATCHES, &mut mapping, call.members()?, answer)?;
    check_api(change, &mapping.api_id)?;
    mappings::put(change, &mapping)?;
    Ok(answer(&mapping))
}

pub(in super::super) fn delete(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let domain = domains::of_call(change, call)?;
    let mapping = mapping(change, &domain, call.parameter(1))?;
    mappings::delete(change, &mapping)
}

fn mapping(view: &View<'_>, domain: &DomainName, base_path: &str) -> Result<ApiMapping, ApiError> {
    let found = view.tx.entity_named(&domain.name, &given(base_path.to_owned()).unwrap_or_default())?;
    found.ok_or_else(|| ApiError::not_found("Invalid base path mapping identifier specified"))
}

fn check_api(view: &View<'_>, api_id: &str) -> Result<(), ApiError> {
    match view.tx.api::<RestApi>(api_id)? {
        Some(_) => Ok(()),
        None => Err(ApiError::bad_request("Invalid REST API identifier specified")),
    }
}

/// One segment: AWS leaves more of them to version 2.
fn base_path(text: String) -> Result<String, ApiError> {
    let key = given(text).unwrap_or_default();
    match key.contains('/') {
        true => Err(ApiError::bad_request(format!(
            "A base path is one segment: make '{key}' with CreateApiMapping of apigatewayv2"
        ))),
        false => Ok(key),
    }
}

fn given(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty() && text != NONE)
}

fn answer(mapping: &ApiMapping) -> Value {
    compact(json!({
        "basePath": if mapping.key.is_empty() { NONE } else { mapping.key.as_str() },
        "restApiId": mapping.api_id,
        "stage": mapping.stage.as_deref().unwrap_or(NONE),
    }))
}
