//! Who calls, and whether they may: between a request's signature and its operation.
//!
//! Root may do everything. A user may do what the user's policies allow and none denies; a call that isn't allowed is
//! refused in AWS's words, and, if it would have changed something, noted in the audit log.

mod ask;
mod caller;
mod conditions;
mod sensitive;
mod tags;

use turnpike_auth::{Decision, Request, evaluate};

pub(super) use ask::Ask;
pub use caller::Peer;
pub(super) use caller::{Caller, Who, identify, is_claimed};
pub(super) use conditions::check_condition_keys;
pub(super) use sensitive::{add_sensitive, asks_for_policy, overwrites};
pub(super) use tags::{RequestTags, of_import, of_json};

use super::error::ApiError;
use crate::settings::Account;

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
