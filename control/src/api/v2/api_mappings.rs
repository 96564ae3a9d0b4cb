//! `ApiMapping`: create, get, list, update, delete.

use serde_json::{Value, json};

use super::super::call::{Call, compact};
use super::super::domains::{self, mappings};
use super::super::entities;
use super::super::error::ApiError;
use super::{NAME_CHARS_MAX, PAGING};
use crate::change::{Change, View};
use crate::model::{ApiMapping, DomainName};

const KEY_CHARS_MAX: usize = 1_024;

pub(in super::super) fn create(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let domain = domains::named(change, call.parameter(0))?;
    let mut members = call.members()?;
    let api_id = members.required("apiId", NAME_CHARS_MAX)?;
    let stage = members.required("stage", NAME_CHARS_MAX)?;
    let key = members.string("apiMappingKey", KEY_CHARS_MAX)?.unwrap_or_default();
    members.finish()?;
    let mapping = mappings::create(change, &domain, key, api_id, Some(stage), over_quota)?;
    Ok(answer(&mapping))
}

pub(in super::super) fn get(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    let domain = domains::named(view, call.parameter(0))?;
    Ok(answer(&mapping(view, &domain, call.parameter(1))?))
}

pub(in super::super) fn list(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    let domain = domains::named(view, call.parameter(0))?;
    entities::list(view, call, &domain.name, &PAGING, answer)
}

pub(in super::super) fn update(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let domain = domains::named(change, call.parameter(0))?;
    let mut mapping = mapping(change, &domain, call.parameter(1))?;
    let mut members = call.members()?;
    mapping.api_id = members.required("apiId", NAME_CHARS_MAX)?;
    let stage = members.string("stage", NAME_CHARS_MAX)?.filter(|stage| !stage.is_empty());
    mapping.stage = stage.or(mapping.stage);
    mapping.key = members.string("apiMappingKey", KEY_CHARS_MAX)?.unwrap_or(mapping.key);
    members.finish()?;
    mappings::put(change, &mapping)?;
    Ok(answer(&mapping))
}

pub(in super::super) fn delete(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let domain = domains::named(change, call.parameter(0))?;
    let mapping = mapping(change, &domain, call.parameter(1))?;
    mappings::delete(change, &mapping)
}

fn mapping(view: &View<'_>, domain: &DomainName, id: &str) -> Result<ApiMapping, ApiError> {
    let found = view.tx.entity(&domain.name, id)?;
    found.ok_or_else(|| ApiError::not_found(format!("Invalid API mapping identifier specified {id}")))
}

fn over_quota(max: usize) -> ApiError {
    ApiError::bad_request(format!(
        "The domain name already has {max} API mappings: raise mappings_per_domain_name_max for more"
    ))
}

fn answer(mapping: &ApiMapping) -> Value {
    compact(json!({
        "apiId": mapping.api_id,
        "apiMappingId": mapping.id,
        "apiMappingKey": mapping.key,
        "stage": mapping.stage,
    }))
}
