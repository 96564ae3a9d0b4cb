//! Who a caller is: STS's GetCallerIdentity.

use serde_json::{Value, json};

use super::form::Form;
use crate::api::access::{Caller, Who};
use crate::api::error::ApiError;
use crate::change::View;

pub(super) fn caller(view: &View<'_>, _: &mut Form, caller: &Caller) -> Result<Value, ApiError> {
    let account = &view.settings.account.id;
    let id = match &caller.who {
        Who::Root => account,
        Who::User(known) => &known.user.id,
    };
    Ok(json!({"UserId": id, "Account": account, "Arn": caller.arn(account)}))
}
