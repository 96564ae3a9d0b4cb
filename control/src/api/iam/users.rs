//! Users: CreateUser, GetUser, ListUsers, UpdateUser, DeleteUser, and their tags.

use serde_json::{Value, json};

use super::form::{Form, checked, page};
use super::{limit_exceeded, named_user, no_such_user, validation};
use crate::api::access::{Caller, Who};
use crate::api::call::compact;
use crate::api::error::ApiError;
use crate::change::{Change, View};
use crate::model::{User, UserAccessKey, UserPolicy, check_user_name, check_user_path};
use crate::root_key;
use crate::store::StoreError;
use crate::time::iso8601;

const NAME_CHARS_MAX: usize = 64;

pub(super) fn create(change: &mut Change<'_>, form: &mut Form, _: &Caller) -> Result<Value, ApiError> {
    let name = take_name(form, "UserName")?;
    let path = form.text("Path").unwrap_or_else(|| "/".to_owned());
    check_user_path(&path).map_err(validation)?;
    let tags = form.tags()?;
    check_free(change, &name)?;
    let users_max = change.settings.quotas.users_max;
    if change.tx.entity_count::<User>("")? >= users_max {
        return Err(limit_exceeded(format!("Cannot exceed quota for UsersPerAccount: {users_max}")));
    }
    let id = root_key::new_user_id().map_err(|error| ApiError::internal(&error))?;
    let user = User { id, name, path, tags, created_at_s: change.now_s };
    change.tx.put_entity(&user)?;
    Ok(json!({"User": shown(change, &user, true)}))
}

/// Root without a name gets itself, as in AWS.
pub(super) fn get(view: &View<'_>, form: &mut Form, caller: &Caller) -> Result<Value, ApiError> {
    let account = &view.settings.account.id;
    let user = match (form.text("UserName"), &caller.who) {
        (Some(name), _) => find(view, &name)?.ok_or_else(|| no_such_user(&name))?,
        (None, Who::User(known)) => known.user.clone(),
        (None, Who::Root) => return Ok(json!({"User": {"UserId": account, "Arn": caller.arn(account)}})),
    };
    Ok(json!({"User": shown(view, &user, true)}))
}

pub(super) fn list(view: &View<'_>, form: &mut Form, _: &Caller) -> Result<Value, ApiError> {
    let prefix = form.text("PathPrefix").unwrap_or_else(|| "/".to_owned());
    if !prefix.starts_with('/') {
        return Err(validation(format!("PathPrefix has to begin with /, not '{prefix}'")));
    }
    let mut users: Vec<User> = view.tx.entities()?;
    users.retain(|user| user.path.starts_with(&prefix));
    let (users, marker) = page(users, |user| User::key_of(&user.name), form.paging()?);
    let items: Vec<Value> = users.iter().map(|user| shown(view, user, false)).collect();
    Ok(json!({"Users": items, "IsTruncated": marker.is_some(), "Marker": marker}))
}

pub(super) fn update(change: &mut Change<'_>, form: &mut Form, _: &Caller) -> Result<Value, ApiError> {
    let mut user = named_user(change, form)?;
    if let Some(path) = form.text("NewPath") {
        check_user_path(&path).map_err(validation)?;
        user.path = path;
    }
    if form.peek("NewUserName").is_some() {
        let name = take_name(form, "NewUserName")?;
        if User::key_of(&name) != User::key_of(&user.name) {
            check_free(change, &name)?;
        }
        user.name = name;
    }
    change.tx.put_entity(&user)?;
    Ok(Value::Null)
}

pub(super) fn delete(change: &mut Change<'_>, form: &mut Form, _: &Caller) -> Result<Value, ApiError> {
    let user = named_user(change, form)?;
    let conflict = |what: &str| {
        let message = format!("Cannot delete entity, must delete {what} first.");
        Err(ApiError { status: 409, code: "DeleteConflict", message })
    };
    if !change.tx.entities_using::<UserAccessKey>(&user.id)?.is_empty() {
        return conflict("access keys");
    }
    if change.tx.entity_count::<UserPolicy>(&user.id)? > 0 {
        return conflict("policies");
    }
    change.tx.delete_entity::<User>("", &user.id)?;
    Ok(Value::Null)
}

pub(super) fn tag(change: &mut Change<'_>, form: &mut Form, _: &Caller) -> Result<Value, ApiError> {
    let mut user = named_user(change, form)?;
    user.tags.extend(form.tags()?);
    checked(&user.tags).map_err(|error| limit_exceeded(error.message))?;
    change.tx.put_entity(&user)?;
    Ok(Value::Null)
}

pub(super) fn untag(change: &mut Change<'_>, form: &mut Form, _: &Caller) -> Result<Value, ApiError> {
    let mut user = named_user(change, form)?;
    for key in form.list("TagKeys") {
        user.tags.remove(&key);
    }
    change.tx.put_entity(&user)?;
    Ok(Value::Null)
}

pub(super) fn list_tags(view: &View<'_>, form: &mut Form, _: &Caller) -> Result<Value, ApiError> {
    let user = named_user(view, form)?;
    let tags: Vec<(String, String)> = user.tags.into_iter().collect();
    let (tags, marker) = page(tags, |(key, _)| key.clone(), form.paging()?);
    let tags: Vec<Value> = tags.iter().map(shown_tag).collect();
    Ok(json!({"Tags": tags, "IsTruncated": marker.is_some(), "Marker": marker}))
}

/// By name, in any case.
pub(super) fn find(view: &View<'_>, name: &str) -> Result<Option<User>, StoreError> {
    view.tx.entity_named("", &User::key_of(name))
}

fn take_name(form: &mut Form, member: &str) -> Result<String, ApiError> {
    let name = form.required(member)?;
    let of = if member == "UserName" { "userName" } else { "newUserName" };
    check_user_name(&name, of, NAME_CHARS_MAX).map_err(validation)?;
    Ok(name)
}

fn check_free(view: &View<'_>, name: &str) -> Result<(), ApiError> {
    match find(view, name)? {
        None => Ok(()),
        Some(_) => {
            let message = format!("User with name {name} already exists.");
            Err(ApiError { status: 409, code: "EntityAlreadyExists", message })
        }
    }
}

/// As AWS, lists show no tags.
fn shown(view: &View<'_>, user: &User, with_tags: bool) -> Value {
    let tags: Vec<Value> =
        user.tags.iter().map(|(key, value)| shown_tag(&(key.clone(), value.clone()))).collect();
    compact(json!({
        "Path": user.path,
        "UserName": user.name,
        "UserId": user.id,
        "Arn": user.arn(&view.settings.account.id),
        "CreateDate": iso8601(user.created_at_s),
        "Tags": Some(tags).filter(|tags| with_tags && !tags.is_empty()),
    }))
}

fn shown_tag((key, value): &(String, String)) -> Value {
    json!({"Key": key, "Value": value})
}
