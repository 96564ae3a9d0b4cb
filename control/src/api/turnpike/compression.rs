//! Payload compression of an HTTP API's stage, which AWS has for REST APIs alone: the same, under the same name, but set
//! per stage and in force at once.

use serde_json::{Value, json};

use super::super::call::Call;
use super::super::error::ApiError;
use crate::change::{Change, View};
use crate::model::{ApiProtocol, HttpApi, HttpStage, RestApi};

/// AWS's.
const BYTES_MIN_MAX: u32 = 10_485_760;
const MEMBER: &str = "minimumCompressionSize";

fn stage_of(view: &View<'_>, call: &Call) -> Result<HttpStage, ApiError> {
    let (api_id, name) = (call.parameter(0), call.parameter(1));
    if view.tx.api::<RestApi>(api_id)?.is_some() {
        return Err(ApiError::bad_request(
            "The compression of a REST API is set by UpdateRestApi (/minimumCompressionSize)",
        ));
    }
    match view.tx.api::<HttpApi>(api_id)? {
        None => Err(ApiError::not_found(format!("Invalid API identifier specified {api_id}"))),
        Some(api) if api.protocol == ApiProtocol::WebSocket => {
            Err(ApiError::bad_request("A WebSocket API has no payload compression"))
        }
        Some(_) => {
            let stage = view.tx.part(api_id, name)?;
            stage.ok_or_else(|| ApiError::not_found("Invalid stage identifier specified"))
        }
    }
}

fn keep(change: &mut Change<'_>, call: &Call, stage: &HttpStage) -> Result<(), ApiError> {
    let (api_id, name) = (call.parameter(0), call.parameter(1));
    change.tx.put_part(api_id, stage)?;
    change.recompile(api_id, name);
    Ok(())
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
    keep(change, call, &stage)?;
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
    keep(change, call, &stage)?;
    Ok(Value::Null)
}
