//! The audit log: the newest records first, by who, what, where and when.

use serde_json::{Map, Value};

use super::super::call::{Call, PagingNames, id_token};
use super::super::error::ApiError;
use crate::change::View;
use crate::store::AuditFilter;

const NAMES: PagingNames =
    PagingNames { limit: "maxResults", token: "nextToken", limit_default: 100, items: "records" };
const PARAMETERS: [&str; 8] =
    ["user", "operation", "resource", "outcome", "since", "until", NAMES.limit, NAMES.token];

pub(in super::super) fn list(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    check_parameters(call)?;
    let paging = call.paging(&NAMES)?;
    let filter = AuditFilter {
        actor: call.query_value("user")?,
        operation: call.query_value("operation")?,
        resource: call.query_value("resource")?,
        refused: match call.query_value("outcome")?.as_deref() {
            None => None,
            Some("success") => Some(false),
            Some("refused") => Some(true),
            Some(other) => {
                return Err(ApiError::bad_request(format!(
                    "outcome has to be success or refused, not '{other}'"
                )));
            }
        },
        since_us: time(call, "since")?,
        until_us: time(call, "until")?,
    };
    let before = Some(paging.after.as_str()).filter(|after| !after.is_empty());
    let (docs, last) = view.tx.audit_page(&filter, before, paging.limit)?;
    let records = docs.iter().map(|doc| serde_json::from_str::<Value>(doc));
    let records: Vec<Value> =
        records.collect::<Result<_, _>>().map_err(|error| ApiError::internal(&error))?;
    let mut answer = Map::new();
    answer.insert(NAMES.items.to_owned(), records.into());
    if let Some(last) = last {
        answer.insert(NAMES.token.to_owned(), id_token(&last).into());
    }
    Ok(Value::Object(answer))
}

fn check_parameters(call: &Call) -> Result<(), ApiError> {
    let names = call.query.split('&').filter(|pair| !pair.is_empty());
    let mut names = names.map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name));
    match names.find(|name| !PARAMETERS.contains(name)) {
        None => Ok(()),
        Some(name) => Err(ApiError::bad_request(format!(
            "The audit log can't be asked by '{name}': {PARAMETERS:?} are known"
        ))),
    }
}

fn time(call: &Call, name: &str) -> Result<Option<i64>, ApiError> {
    let Some(text) = call.query_value(name)? else { return Ok(None) };
    let at_ms = turnpike_auth::parse_date(&text).ok_or_else(|| {
        ApiError::bad_request(format!(
            "{name} has to be a time such as 2026-11-21T08:00:00Z, or seconds since 1970"
        ))
    })?;
    Ok(Some(at_ms * 1_000))
}
