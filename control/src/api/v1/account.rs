//! `Account`: get, update. Logs are files here, so that the role is only kept.

use serde_json::{Value, json};

use super::super::call::{Call, compact};
use super::super::error::ApiError;
use super::URI_CHARS_MAX;
use super::patch::{self, ADD_REMOVE, Op, REPLACE, Table, Wording, rule};
use crate::change::{Change, View};
use crate::model::AccountSettings;

/// The form of API keys that AWS makes today.
const API_KEY_VERSION: &str = "4";
const USAGE_PLANS: &str = "UsagePlans";

pub(in super::super) fn get(view: &View<'_>, _: &Call) -> Result<Value, ApiError> {
    Ok(answer(view, &settings(view)?))
}

const PATCHES: Table<AccountSettings> = Table {
    input: "updateAccountInput",
    wording: Wording::Listed,
    rules: &[
        rule("/cloudwatchRoleArn", REPLACE, |settings, patch| {
            let arn = patch.optional_text(URI_CHARS_MAX)?;
            if let Some(arn) = arn.as_ref().filter(|arn| !is_role(arn)) {
                return Err(ApiError::bad_request(format!(
                    "Role arn '{arn}' has to be arn:aws:iam::ACCOUNT:role/NAME"
                )));
            }
            settings.cloudwatch_role_arn = arn;
            Ok(())
        }),
        rule("/features", ADD_REMOVE, |settings, patch| match (patch.op, patch.value()?) {
            (Op::Add, USAGE_PLANS) => {
                settings.usage_plans = true;
                Ok(())
            }
            (_, USAGE_PLANS) => Err(ApiError::bad_request("Usage Plans cannot be disabled once enabled")),
            (_, other) => {
                Err(ApiError::bad_request(format!("Invalid feature '{other}': there is {USAGE_PLANS}")))
            }
        }),
    ],
};

pub(in super::super) fn update(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let mut settings = settings(change)?;
    patch::apply(&PATCHES, &mut settings, call.members()?, |settings| answer(change, settings))?;
    change.tx.put_entity(&settings)?;
    Ok(answer(change, &settings))
}

fn settings(view: &View<'_>) -> Result<AccountSettings, ApiError> {
    Ok(view.tx.entities()?.pop().unwrap_or_default())
}

fn is_role(arn: &str) -> bool {
    let fields: Vec<&str> = arn.splitn(6, ':').collect();
    matches!(fields[..], ["arn", _, "iam", "", account, role]
        if account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit())
            && role.strip_prefix("role/").is_some_and(|name| !name.is_empty()))
}

/// The limits of the account are the operator's to set.
fn answer(view: &View<'_>, settings: &AccountSettings) -> Value {
    let throttle = view.settings.account.throttle;
    let throttle = throttle
        .map(|throttle| json!({"burstLimit": throttle.burst_requests, "rateLimit": f64::from(throttle.rate_per_s)}));
    let features: &[&str] = if settings.usage_plans { &[USAGE_PLANS] } else { &[] };
    compact(json!({
        "apiKeyVersion": API_KEY_VERSION,
        "cloudwatchRoleArn": settings.cloudwatch_role_arn,
        "features": features,
        "throttleSettings": throttle,
    }))
}
