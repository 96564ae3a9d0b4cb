//! Policies of users: PutUserPolicy, GetUserPolicy, ListUserPolicies, DeleteUserPolicy.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use turnpike_auth::{Kind, Policy};

use super::form::{Form, page};
use super::{limit_exceeded, named_user, no_such_entity, validation};
use crate::api::access::{Caller, check_condition_keys};
use crate::api::error::ApiError;
use crate::api::json;
use crate::change::{Change, View};
use crate::model::{User, UserPolicy, check_user_name};

const NAME_CHARS_MAX: usize = 128;
/// AWS's own, white space included: what a document may weigh beside [`check_size`].
const DOCUMENT_CHARS_MAX: usize = 131_072;
/// AWS's answers have documents encoded by RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(super) fn put(change: &mut Change<'_>, form: &mut Form, _: &Caller) -> Result<Value, ApiError> {
    let user = named_user(change, form)?;
    let name = form.required("PolicyName")?;
    check_user_name(&name, "policyName", NAME_CHARS_MAX).map_err(validation)?;
    let document = form.required("PolicyDocument")?;
    if document.chars().count() > DOCUMENT_CHARS_MAX {
        return Err(limit_exceeded(format!("A policy document has at most {DOCUMENT_CHARS_MAX} characters")));
    }
    check(&document)?;
    check_size(change, &user, &name, &document)?;
    change.tx.put_entity(&UserPolicy { user_id: user.id, name, document })?;
    Ok(Value::Null)
}

pub(super) fn get(view: &View<'_>, form: &mut Form, _: &Caller) -> Result<Value, ApiError> {
    let user = named_user(view, form)?;
    let policy = take_policy(view, form, &user)?;
    Ok(json!({
        "UserName": user.name,
        "PolicyName": policy.name,
        "PolicyDocument": utf8_percent_encode(&policy.document, RESERVED).to_string(),
    }))
}

pub(super) fn list(view: &View<'_>, form: &mut Form, _: &Caller) -> Result<Value, ApiError> {
    let user = named_user(view, form)?;
    let policies: Vec<UserPolicy> = view.tx.entities_of(&user.id)?;
    let (policies, marker) = page(policies, |policy| policy.name.clone(), form.paging()?);
    let names: Vec<String> = policies.into_iter().map(|policy| policy.name).collect();
    Ok(json!({"PolicyNames": names, "IsTruncated": marker.is_some(), "Marker": marker}))
}

pub(super) fn delete(change: &mut Change<'_>, form: &mut Form, _: &Caller) -> Result<Value, ApiError> {
    let user = named_user(change, form)?;
    let policy = take_policy(change, form, &user)?;
    change.tx.delete_entity::<UserPolicy>(&user.id, &policy.name)?;
    Ok(Value::Null)
}

fn take_policy(view: &View<'_>, form: &mut Form, user: &User) -> Result<UserPolicy, ApiError> {
    let name = form.required("PolicyName")?;
    let found: Option<UserPolicy> = view.tx.entity(&user.id, &name)?;
    found.ok_or_else(|| no_such_entity(format!("The user policy with name {name} cannot be found.")))
}

/// Whether it will be read without an error when it has to decide.
fn check(document: &str) -> Result<(), ApiError> {
    let malformed = |message: String| ApiError { status: 400, code: "MalformedPolicyDocument", message };
    let parsed = json::parse(document.as_bytes())
        .map_err(|error| malformed(format!("The policy is not in the valid JSON format: {error}")))?;
    let policy = Policy::parse(&parsed, Kind::Identity).map_err(|error| malformed(error.to_string()))?;
    check_condition_keys(&policy).map_err(malformed)
}

/// All of a user's policies together, white space apart, as AWS counts.
fn check_size(view: &View<'_>, user: &User, name: &str, document: &str) -> Result<(), ApiError> {
    let chars = |document: &str| document.chars().filter(|c| !c.is_whitespace()).count();
    let others: Vec<UserPolicy> = view.tx.entities_of(&user.id)?;
    let others: usize =
        others.iter().filter(|other| other.name != name).map(|other| chars(&other.document)).sum();
    let chars_max = view.settings.quotas.user_policies_chars_max;
    match others + chars(document) {
        sum if sum > chars_max => {
            let name = &user.name;
            Err(limit_exceeded(format!("Maximum policy size of {chars_max} bytes exceeded for user {name}")))
        }
        _ => Ok(()),
    }
}
