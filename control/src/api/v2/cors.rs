//! `Cors`: taking, showing and deleting an HTTP API's configuration.

use serde_json::{Value, json};

use super::super::call::{Call, compact};
use super::super::error::ApiError;
use super::super::members::Members;
use super::api;
use crate::change::Change;
use crate::model::{Cors, check_cors};

/// Any whole number; what it may be is the model's to check.
const MAX_AGE_S: std::ops::RangeInclusive<i32> = i32::MIN..=i32::MAX;

/// What `corsConfiguration` says, which replaces what was there.
pub(super) fn take(members: &mut Members) -> Result<Option<Cors>, ApiError> {
    let Some(mut given) = members.object("corsConfiguration")? else { return Ok(None) };
    let cors = Cors {
        allow_credentials: given.boolean("allowCredentials")?,
        allow_headers: given.list("allowHeaders")?.unwrap_or_default(),
        allow_methods: given.list("allowMethods")?.unwrap_or_default(),
        allow_origins: given.list("allowOrigins")?.unwrap_or_default(),
        expose_headers: given.list("exposeHeaders")?.unwrap_or_default(),
        max_age_s: given.signed("maxAge", MAX_AGE_S)?,
    };
    given.finish()?;
    check_cors(&cors).map_err(ApiError::bad_request)?;
    Ok(Some(cors))
}

pub(super) fn answer(cors: &Cors) -> Value {
    let list = |list: &Vec<String>| (!list.is_empty()).then(|| list.clone());
    compact(json!({
        "allowCredentials": cors.allow_credentials,
        "allowHeaders": list(&cors.allow_headers),
        "allowMethods": list(&cors.allow_methods),
        "allowOrigins": list(&cors.allow_origins),
        "exposeHeaders": list(&cors.expose_headers),
        "maxAge": cors.max_age_s,
    }))
}

pub(in super::super) fn delete(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let mut api = api(change, call.parameter(0))?;
    if api.cors.take().is_some() {
        change.tx.put_api(&api)?;
        change.redeploy(&api.id);
    }
    Ok(Value::Null)
}
