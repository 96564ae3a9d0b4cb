//! What the entities of a REST API have in common: how they are found, shown and listed.

use serde_json::Value;

use super::super::call::{Call, Paging, page_answer};
use super::super::error::ApiError;
use super::{PAGING, api};
use crate::change::View;
use crate::model::Part;
use crate::store::Page;

/// Length of the identifiers of a REST API's entities.
const PART_ID_LEN: usize = 6;

/// A part of a REST API as callers see it.
pub(in super::super) trait Shown: Part {
    /// The error when there is none of this identifier.
    fn missing(id: &str) -> ApiError;

    /// What answers about it are.
    fn answer(&self) -> Value;
}

/// Answers a get: the part of an API that the path names.
pub(in super::super) fn show_part<P: Shown>(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    Ok(of_call::<P>(view, call)?.1.answer())
}

/// Answers a list: the page of an API's parts that the query asks for.
pub(in super::super) fn list_parts<P: Shown>(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(view, call.parameter(0))?;
    let paging = call.paging(&PAGING)?;
    let page = view.tx.part_page(&api.id, &paging.after, paging.limit)?;
    Ok(page_answer(&page, &PAGING, P::answer))
}

/// The id of the API and the part of it that the path names, which exist.
pub(super) fn of_call<P: Shown>(view: &View<'_>, call: &Call) -> Result<(String, P), ApiError> {
    let api = api(view, call.parameter(0))?;
    let id = call.parameter(1);
    let part = view.tx.part(&api.id, id)?.ok_or_else(|| P::missing(id))?;
    Ok((api.id, part))
}

/// An identifier that no part of this kind has.
pub(super) fn new_part_id<P: Part>(view: &View<'_>, api_id: &str) -> Result<String, ApiError> {
    Ok(view.new_part_id::<P>(api_id, PART_ID_LEN)?)
}

/// Refuses a second part of a name; `noun` is AWS's for it.
pub(super) fn check_name<P: Part>(
    view: &View<'_>,
    api_id: &str,
    id: &str,
    name: &str,
    noun: &str,
) -> Result<(), ApiError> {
    match view.tx.part_named::<P>(api_id, name)? {
        Some(other) if other.id() != id => Err(ApiError::conflict(format!(
            "{noun} name must be unique. {noun} {name} already exists in this RestApi."
        ))),
        _ => Ok(()),
    }
}

/// Part of a list that was made just now; `items` are in the order of their identifiers.
pub(super) fn page_of<T>(items: Vec<T>, paging: &Paging, id: impl Fn(&T) -> &str) -> Page<T> {
    let mut items: Vec<T> = items.into_iter().filter(|item| id(item) > paging.after.as_str()).collect();
    let more = items.len() > paging.limit;
    items.truncate(paging.limit);
    let last = items.last().filter(|_| more).map(|item| id(item).to_owned());
    Page { items, last }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other() {
        let all = || vec!["a", "b", "c"];
        let page =
            |after: &str, limit| page_of(all(), &Paging { after: after.to_owned(), limit }, |item| item);
        assert_eq!(page("", 2), Page { items: vec!["a", "b"], last: Some("b".to_owned()) });
        assert_eq!(page("b", 2), Page { items: vec!["c"], last: None });
        assert_eq!(page("", 3), Page { items: all(), last: None });
    }
}
