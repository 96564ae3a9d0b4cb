//! What the operations of both services share: lists of the account's entities, and the deletion of APIs.

use serde_json::Value;

use super::call::{Call, PagingNames, page_answer};
use super::domains::mappings::check_unmapped;
use super::error::ApiError;
use crate::change::{Change, View};
use crate::model::Entity;

/// Answers a list: the page of the owner's entities that the query asks for.
pub(super) fn list<E: Entity>(
    view: &View<'_>,
    call: &Call,
    owner: &str,
    names: &PagingNames,
    answer: impl Fn(&E) -> Value,
) -> Result<Value, ApiError> {
    let paging = call.paging(names)?;
    let page = view.tx.entity_page(owner, &paging.after, paging.limit)?;
    Ok(page_answer(&page, names, answer))
}

/// Removes an API of either kind, with its parts, unless a domain leads to it.
pub(super) fn delete_api(change: &mut Change<'_>, api_id: &str) -> Result<Value, ApiError> {
    check_unmapped(change, api_id, None)?;
    change.recompile_api(api_id)?;
    change.tx.delete_api(api_id)?;
    change.forget_stage(api_id, None)?;
    Ok(Value::Null)
}
