//! HTTP APIs: the operations of apigatewayv2.

pub(super) mod api_mappings;
pub(super) mod apis;
pub(super) mod deployments;
pub(super) mod domain_names;
pub(super) mod exports;
pub(super) mod imports;
pub(super) mod integrations;
mod quick;
pub(super) mod routes;
pub(super) mod stages;
pub(super) mod vpc_links;

use serde_json::Value;

use super::call::{Call, PagingNames, page_answer};
use super::error::ApiError;
use crate::change::View;
use crate::model::{HttpApi, Part};

const PAGING: PagingNames =
    PagingNames { limit: "maxResults", token: "nextToken", limit_default: 100, items: "items" };

/// AWS's limits of texts, in characters.
const NAME_CHARS_MAX: usize = 128;
const DESCRIPTION_CHARS_MAX: usize = 1_024;
const VERSION_CHARS_MAX: usize = 64;
const URI_CHARS_MAX: usize = 2_048;

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
    let part = view.tx.part(api_id, id)?;
    part.ok_or_else(|| ApiError::not_found(format!("Invalid {} identifier specified {id}", P::NOUN)))
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
    if view.tx.part_count::<P>(api_id)? < max {
        return Ok(());
    }
    Err(ApiError::bad_request(format!("The API already has {max} {noun}: raise {setting} for more")))
}
