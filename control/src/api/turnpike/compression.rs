//! Payload compression of an HTTP API's stage, which AWS has for REST APIs alone: the same, under the same name, but set
//! per stage and in force at once.

use serde_json::{Value, json};

use super::super::call::Call;
use super::super::error::ApiError;
use super::stage::{Stage, http_stage};
use crate::change::{Change, View};
use crate::model::{HttpStage, RestApi};

/// AWS's.
const BYTES_MIN_MAX: u32 = 10_485_760;
const MEMBER: &str = "minimumCompressionSize";

fn stage_of(view: &View<'_>, call: &Call) -> Result<HttpStage, ApiError> {
    if view.tx.api::<RestApi>(call.parameter(0))?.is_some() {
        return Err(ApiError::bad_request(
            "The compression of a REST API is set by UpdateRestApi (/minimumCompressionSize)",
        ));
    }
    http_stage(view, call, "payload compression")
}

pub(in super::super) fn put(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let mut stage = stage_of(change, call)?;
    let mut members = call.members()?;
    let bytes_min = members.integer(MEMBER, 0..=BYTES_MIN_MAX)?;
    members.finish()?;
    let Some(bytes_min) = bytes_min else {
        return Err(ApiError::bad_request(format!(
            "{MEMBER} has to be an integer from 0 to {BYTES_MIN_MAX}"
        )));
    };
    stage.compression_bytes_min = Some(bytes_min);
    Stage::Http(stage).keep(change, call)?;
    Ok(json!({ MEMBER: bytes_min }))
}

pub(in super::super) fn get(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    match stage_of(view, call)?.compression_bytes_min {
        Some(bytes_min) => Ok(json!({ MEMBER: bytes_min })),
        None => Err(ApiError::not_found("The stage has no payload compression")),
    }
}

pub(in super::super) fn delete(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let mut stage = stage_of(change, call)?;
    if stage.compression_bytes_min.take().is_none() {
        return Err(ApiError::not_found("The stage has no payload compression"));
    }
    Stage::Http(stage).keep(change, call)?;
    Ok(Value::Null)
}
