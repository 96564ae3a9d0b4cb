//! Who calls, and whether they may: between a request's signature and its operation.
//!
//! Root may do everything. A user may do what the user's policies allow and none denies; a call that isn't allowed is
//! refused in AWS's words, and, if it would have changed something, noted in the audit log.

mod ask;
mod caller;
mod conditions;
mod sensitive;
mod tags;

use sensitive::{add_sensitive, asks_for_policy};
use tags::of_import;
use turnpike_auth::{Decision, Request, evaluate};

pub(super) use ask::Ask;
pub use caller::Peer;
pub(super) use caller::{Caller, Who, identify, is_claimed};
pub(super) use conditions::check_condition_keys;
pub(super) use sensitive::overwrites;
pub(super) use tags::{RequestTags, of_json};

use serde_json::Value;

use super::error::ApiError;
use super::operations::Match;
use crate::openapi::Document;
use crate::settings::Account;

/// All that an operation asks of a user, and the tags that it gives. `has_policy` says whether an API that it overwrites
/// has a resource policy.
pub(super) fn asked_of_user(
    account: &Account,
    found: &Match<'_>,
    (members, query): (&Value, &str),
    document: Option<&Document>,
    has_policy: bool,
) -> (Vec<Ask>, RequestTags) {
    let mut tags = of_json(members, query);
    tags.extend(of_import(found.operation, document));
    let mut asks = Ask::of_operation(account, found, !tags.is_empty());
    add_sensitive(&mut asks, found.operation, members, document);
    if has_policy {
        asks_for_policy(&mut asks);
    }
    (asks, tags)
}

/// Whether the caller may do all of `asks`, which one call needs together.
///
/// # Errors
/// The first that the caller may not, in AWS's words.
pub(super) fn authorize(
    account: &Account,
    caller: &Caller,
    asks: &[Ask],
    tags: &RequestTags,
    now_s: i64,
) -> Result<(), ApiError> {
    let Who::User(known) = &caller.who else { return Ok(()) };
    let context = conditions::context(account, caller, known, tags, now_s);
    let arn = known.user.arn(&account.id);
    for Ask { action, resource } in asks {
        let request = Request { principal: Some(&arn), action, resource, context: &context };
        let why = match evaluate(&known.policies, &request) {
            Decision::Allowed(_) => continue,
            Decision::Denied(_) => "with an explicit deny in an identity-based policy".to_owned(),
            Decision::NotAllowed => format!("because no identity-based policy allows the {action} action"),
        };
        return Err(ApiError::access_denied(format!(
            "User: {arn} is not authorized to perform: {action} on resource: {resource} {why}"
        )));
    }
    Ok(())
}
