//! What the operations of both services on the account's own entities share.

use serde_json::Value;

use super::call::{Call, PagingNames, page_answer};
use super::error::ApiError;
use crate::change::View;
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
