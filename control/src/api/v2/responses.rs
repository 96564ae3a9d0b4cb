//! What integration responses and route responses have in common: each lies in the part that it belongs to, under an id
//! of its own, and no two of that part have one key. WebSocket APIs only.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::call::{Call, page_answer, page_of};
use super::super::error::ApiError;
use super::super::members::Members;
use super::{PAGING, Shown, api, no_such, part};
use crate::change::{Change, View};
use crate::model::{HttpApi, Part as _};

const KEY_CHARS_MAX: usize = 128;

/// A response that a part of an API says it gives.
pub(in super::super) trait Response: Clone {
    type Owner: Shown;

    /// AWS's word for it in errors.
    const NOUN: &'static str;
    /// The member that holds its key.
    const KEY: &'static str;

    fn all(owner: &Self::Owner) -> &BTreeMap<String, Self>;
    fn all_mut(owner: &mut Self::Owner) -> &mut BTreeMap<String, Self>;
    fn id(&self) -> &str;
    fn key(&self) -> &str;
    fn set_key(&mut self, key: String);

    /// # Errors
    /// It isn't one that such a response can have.
    fn check_key(&self) -> Result<(), ApiError>;

    /// Takes all members but the key.
    ///
    /// # Errors
    /// What is wrong with them.
    fn apply(&mut self, view: &View<'_>, api: &HttpApi, members: &mut Members) -> Result<(), ApiError>;

    /// What answers about it are.
    fn answer(&self) -> Value;
}

pub(in super::super) fn get<R: Response>(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    let (_, owner) = owner::<R>(view, call)?;
    Ok(named::<R>(&owner, call.parameter(2))?.answer())
}

pub(in super::super) fn list<R: Response>(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    let (_, mut owner) = owner::<R>(view, call)?;
    let all = std::mem::take(R::all_mut(&mut owner));
    let page = page_of(all.into_iter(), &call.paging(&PAGING)?);
    Ok(page_answer(&page, &PAGING, R::answer))
}

pub(in super::super) fn update<R: Response>(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let (api, owner) = owner::<R>(change, call)?;
    let mut response = named::<R>(&owner, call.parameter(2))?.clone();
    let mut members = call.members()?;
    if let Some(key) = members.string(R::KEY, KEY_CHARS_MAX)?.filter(|key| !key.is_empty()) {
        response.set_key(key);
    }
    put(change, &api, owner, response, members)
}

pub(in super::super) fn delete<R: Response>(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let (api, mut owner) = owner::<R>(change, call)?;
    let id = call.parameter(2);
    R::all_mut(&mut owner).remove(id).ok_or_else(|| no_such(R::NOUN, id))?;
    change.tx.put_part(&api.id, &owner)?;
    change.redeploy(&api.id);
    Ok(Value::Null)
}

/// The API and its part that the path names.
pub(super) fn owner<R: Response>(view: &View<'_>, call: &Call) -> Result<(HttpApi, R::Owner), ApiError> {
    let api = api(view, call.parameter(0))?;
    let owner = part(view, &api.id, call.parameter(1))?;
    Ok((api, owner))
}

/// The key that a new response has to have.
pub(super) fn take_key<R: Response>(members: &mut Members) -> Result<String, ApiError> {
    members.required(R::KEY, KEY_CHARS_MAX)
}

/// Takes the other members, and keeps the response.
pub(super) fn put<R: Response>(
    change: &mut Change<'_>,
    api: &HttpApi,
    mut owner: R::Owner,
    mut response: R,
    mut members: Members,
) -> Result<Value, ApiError> {
    response.apply(change, api, &mut members)?;
    members.finish()?;
    response.check_key()?;
    let taken = |other: &R| other.id() != response.id() && other.key() == response.key();
    if R::all(&owner).values().any(taken) {
        let (noun, key) = (R::NOUN, response.key());
        let of = format!("{} {}", <R::Owner as Shown>::NOUN, owner.id());
        return Err(ApiError::conflict(format!("{noun} with key {key} already exists for {of}")));
    }
    let answer = response.answer();
    R::all_mut(&mut owner).insert(response.id().to_owned(), response);
    change.tx.put_part(&api.id, &owner)?;
    change.redeploy(&api.id);
    Ok(answer)
}

fn named<'o, R: Response>(owner: &'o R::Owner, id: &str) -> Result<&'o R, ApiError> {
    R::all(owner).get(id).ok_or_else(|| no_such(R::NOUN, id))
}
