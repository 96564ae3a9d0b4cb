//! REST APIs: the operations of apigateway.

pub(super) mod account;
pub(super) mod api_keys;
mod api_settings;
pub(super) mod apis;
pub(super) mod authorizers;
pub(super) mod base_path_mappings;
mod canary;
pub(super) mod client_certificates;
pub(super) mod deployments;
pub(super) mod documentation_parts;
pub(super) mod documentation_versions;
mod documented;
pub(super) mod domain_access;
pub(super) mod domain_names;
pub(super) mod exports;
mod expressions;
pub(super) mod flush;
pub(super) mod gateway_responses;
mod import_settings;
pub(super) mod imports;
pub(super) mod integration_responses;
pub(super) mod integrations;
pub(super) mod method_responses;
pub(super) mod methods;
pub(super) mod models;
pub(super) mod parts;
mod patch;
mod references;
pub(super) mod request_validators;
pub(super) mod resources;
pub(super) mod sdk;
mod stage_settings;
pub(super) mod stages;
pub(super) mod test_invoke;
pub(super) mod usage;
pub(super) mod usage_plan_keys;
pub(super) mod usage_plans;
mod users;
pub(super) mod vpc_links;

use super::call::{Paging, PagingNames};
use super::error::ApiError;
use crate::change::View;
use crate::model::{Entity, Method, Part, Resource, RestApi};
use crate::store::{Page, StoreError};

const PAGING: PagingNames =
    PagingNames { limit: "limit", token: "position", limit_default: 25, items: "item" };

/// AWS's limits of texts, in characters.
const NAME_CHARS_MAX: usize = 1_024;
const DESCRIPTION_CHARS_MAX: usize = 1_024;
const URI_CHARS_MAX: usize = 2_048;

fn api(view: &View<'_>, id: &str) -> Result<RestApi, ApiError> {
    let api = view.tx.api(id)?;
    api.ok_or_else(|| {
        ApiError::not_found(format!("Invalid API identifier specified {}:{id}", view.settings.account.id))
    })
}

/// A part of an API that is known to exist; `noun` is AWS's for the error.
fn part<P: Part>(view: &View<'_>, api_id: &str, id: &str, noun: &str) -> Result<P, ApiError> {
    let part = view.tx.part(api_id, id)?;
    part.ok_or_else(|| ApiError::not_found(format!("Invalid {noun} identifier specified")))
}

fn resource(view: &View<'_>, api_id: &str, id: &str) -> Result<Resource, ApiError> {
    part(view, api_id, id, "Resource")
}

fn method<'r>(resource: &'r mut Resource, name: &str) -> Result<&'r mut Method, ApiError> {
    let method = resource.methods.get_mut(name);
    method.ok_or_else(|| ApiError::not_found("Invalid Method identifier specified"))
}

/// AWS's error for one thing too many; `setting` raises the ceiling.
fn over_quota(max: usize, noun: &str, setting: &str) -> ApiError {
    ApiError::limit_exceeded(format!("There are already {max} {noun}: raise {setting} for more"))
}

/// How many are read at once where not all of them are asked for.
const SCANNED_AT_ONCE: usize = 500;

/// A page of those entities that `keep` keeps.
fn page_where<E: Entity>(
    view: &View<'_>,
    owner: &str,
    paging: &Paging,
    keep: impl Fn(&E) -> bool,
) -> Result<Page<E>, StoreError> {
    let mut items: Vec<E> = Vec::new();
    let mut after = paging.after.clone();
    loop {
        let scanned = view.tx.entity_page(owner, &after, SCANNED_AT_ONCE)?;
        for item in scanned.items.into_iter().filter(&keep) {
            if items.len() == paging.limit {
                return Ok(Page { last: items.last().map(|item| item.id().to_owned()), items });
            }
            items.push(item);
        }
        match scanned.last {
            Some(last) => after = last,
            None => return Ok(Page { items, last: None }),
        }
    }
}

/// Whether a list of things to embed, repeated or with commas, has this one.
fn embeds(list: &[String], what: &str) -> bool {
    list.iter().flat_map(|value| value.split(',')).any(|value| value == what)
}
