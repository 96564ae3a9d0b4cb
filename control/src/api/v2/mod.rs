//! HTTP and WebSocket APIs: the operations of apigatewayv2.

pub(super) mod api_mappings;
pub(super) mod apis;
pub(super) mod authorizers;
pub(super) mod cors;
pub(super) mod deployments;
pub(super) mod domain_names;
pub(super) mod exports;
pub(super) mod imports;
pub(super) mod integration_responses;
mod integration_rules;
pub(super) mod integrations;
pub(super) mod models;
mod quick;
pub(super) mod responses;
pub(super) mod route_responses;
pub(super) mod route_settings;
pub(super) mod routes;
pub(super) mod routing_rules;
pub(super) mod stages;
pub(super) mod vpc_links;

use serde_json::Value;

use super::call::{Call, PagingNames, page_answer};
use super::error::ApiError;
use crate::change::View;
use crate::model::{ApiProtocol, HttpApi, Part, new_id};

const PAGING: PagingNames =
    PagingNames { limit: "maxResults", token: "nextToken", limit_default: 100, items: "items" };

/// AWS's limits of texts, in characters.
const NAME_CHARS_MAX: usize = 128;
const DESCRIPTION_CHARS_MAX: usize = 1_024;
const VERSION_CHARS_MAX: usize = 64;
const URI_CHARS_MAX: usize = 2_048;
const ARN_CHARS_MAX: usize = 2_048;
const TEMPLATE_CHARS_MAX: usize = 32_768;
const MAPPING_CHARS_MAX: usize = 512;
const EXPRESSION_CHARS_MAX: usize = 2_048;

/// An arbitrary bound of what a map of an entity holds.
const ENTRIES_MAX: usize = 300;

const PART_ID_LEN: usize = 7;

fn api(view: &View<'_>, id: &str) -> Result<HttpApi, ApiError> {
    let api = view.tx.api(id)?;
    api.ok_or_else(|| ApiError::not_found(format!("Invalid API identifier specified {id}")))
}

/// A part of an API as callers see it.
pub(super) trait Shown: Part {
    /// AWS's word for it in errors.
    const NOUN: &'static str;

    /// What answers about it are.
    fn answer(&self) -> Value;
}

/// A part of an API that is known to exist.
fn part<P: Shown>(view: &View<'_>, api_id: &str, id: &str) -> Result<P, ApiError> {
    view.tx.part(api_id, id)?.ok_or_else(|| no_such(P::NOUN, id))
}

fn no_such(noun: &str, id: &str) -> ApiError {
    ApiError::not_found(format!("Invalid {noun} identifier specified {id}"))
}

fn part_id() -> Result<String, ApiError> {
    new_id(PART_ID_LEN).map_err(|error| ApiError::internal(&error))
}

/// Answers a get: the part of an API that the path names.
pub(super) fn show_part<P: Shown>(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(view, call.parameter(0))?;
    Ok(part::<P>(view, &api.id, call.parameter(1))?.answer())
}

/// Answers a list: the page of an API's parts that the query asks for.
pub(super) fn list_parts<P: Shown>(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(view, call.parameter(0))?;
    let paging = call.paging(&PAGING)?;
    let page = view.tx.part_page(&api.id, &paging.after, paging.limit)?;
    Ok(page_answer(&page, &PAGING, P::answer))
}

/// Refuses one more part than the quota allows.
fn check_quota<P: Part>(
    view: &View<'_>,
    api_id: &str,
    max: usize,
    noun: &str,
    setting: &str,
) -> Result<(), ApiError> {
    check_room(view.tx.part_count::<P>(api_id)?, max, "API", noun, setting)
}

fn check_room(count: usize, max: usize, owner: &str, noun: &str, setting: &str) -> Result<(), ApiError> {
    match count < max {
        true => Ok(()),
        false => Err(ApiError::bad_request(format!(
            "The {owner} already has {max} {noun}: raise {setting} for more"
        ))),
    }
}

/// Refuses a second part of the same name.
fn check_name<P: Shown>(view: &View<'_>, api_id: &str, part: &P) -> Result<(), ApiError> {
    let Some(name) = part.name() else { return Ok(()) };
    match view.tx.part_named::<P>(api_id, &name)? {
        Some(other) if other.id() != part.id() => {
            Err(ApiError::conflict(format!("{} with name {name} already exists for this API", P::NOUN)))
        }
        _ => Ok(()),
    }
}

/// Refuses a member that APIs of this protocol don't have.
fn not_on(protocol: ApiProtocol, what: &str) -> ApiError {
    ApiError::bad_request(format!("{what} is not supported on protocolType {}", protocol.name()))
}

fn check_entries(count: usize, name: &str) -> Result<(), ApiError> {
    match count > ENTRIES_MAX {
        true => Err(ApiError::bad_request(format!("{name} can have at most {ENTRIES_MAX} entries"))),
        false => Ok(()),
    }
}
