//! Access keys of users: CreateAccessKey, ListAccessKeys, UpdateAccessKey, DeleteAccessKey. The secret is shown once.

use serde_json::{Value, json};

use super::form::{Form, page};
use super::{limit_exceeded, no_such_entity, subject, validation};
use crate::api::access::Caller;
use crate::api::error::ApiError;
use crate::change::{Change, View};
use crate::model::{User, UserAccessKey};
use crate::root_key;
use crate::time::iso8601;

pub(super) fn create(change: &mut Change<'_>, form: &mut Form, caller: &Caller) -> Result<Value, ApiError> {
    let user = subject(change, form, caller)?;
    let keys_max = change.settings.quotas.access_keys_per_user_max;
    if change.tx.entities_using::<UserAccessKey>(&user.id)?.len() >= keys_max {
        return Err(limit_exceeded(format!("Cannot exceed quota for AccessKeysPerUser: {keys_max}")));
    }
    let made = root_key::new_access_key().map_err(|error| ApiError::internal(&error))?;
    let secret = change.tx.seal(&UserAccessKey::secret_context(&made.id), made.secret.as_bytes())?;
    let key = UserAccessKey {
        id: made.id,
        user_id: user.id.clone(),
        secret,
        active: true,
        created_at_s: change.now_s,
    };
    change.tx.put_entity(&key)?;
    let mut shown = shown(&user, &key);
    shown["SecretAccessKey"] = made.secret.into();
    Ok(json!({"AccessKey": shown}))
}

pub(super) fn list(view: &View<'_>, form: &mut Form, caller: &Caller) -> Result<Value, ApiError> {
    let user = subject(view, form, caller)?;
    let keys: Vec<UserAccessKey> = view.tx.entities_using(&user.id)?;
    let (keys, marker) = page(keys, |key| key.id.clone(), form.paging()?);
    let items: Vec<Value> = keys.iter().map(|key| shown(&user, key)).collect();
    Ok(json!({
        "UserName": user.name, "AccessKeyMetadata": items, "IsTruncated": marker.is_some(), "Marker": marker
    }))
}

pub(super) fn update(change: &mut Change<'_>, form: &mut Form, caller: &Caller) -> Result<Value, ApiError> {
    let user = subject(change, form, caller)?;
    let mut key = take_key(change, form, &user)?;
    key.active = match form.required("Status")?.as_str() {
        "Active" => true,
        "Inactive" => false,
        other => return Err(validation(format!("Status has to be Active or Inactive, not '{other}'"))),
    };
    change.tx.put_entity(&key)?;
    Ok(Value::Null)
}

pub(super) fn delete(change: &mut Change<'_>, form: &mut Form, caller: &Caller) -> Result<Value, ApiError> {
    let user = subject(change, form, caller)?;
    let key = take_key(change, form, &user)?;
    change.tx.delete_entity::<UserAccessKey>("", &key.id)?;
    Ok(Value::Null)
}

/// The key that the call names, if it is the user's.
fn take_key(view: &View<'_>, form: &mut Form, user: &User) -> Result<UserAccessKey, ApiError> {
    let id = form.required("AccessKeyId")?;
    let key: Option<UserAccessKey> = view.tx.entity("", &id)?;
    let found = key.filter(|key| key.user_id == user.id);
    found.ok_or_else(|| no_such_entity(format!("The Access Key with id {id} cannot be found.")))
}

fn shown(user: &User, key: &UserAccessKey) -> Value {
    json!({
        "UserName": user.name,
        "AccessKeyId": key.id,
        "Status": if key.active { "Active" } else { "Inactive" },
        "CreateDate": iso8601(key.created_at_s),
    })
}
