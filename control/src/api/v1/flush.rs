//! `FlushStageCache`: what gateways keep of a stage's answers is gone once the call has returned; and
//! `FlushStageAuthorizersCache`: no answers of authorizers are kept, so that there is nothing to drop.
//!
//! A flush is a change like others: a number in the stage's unit, which says what is too old, and which gateways that
//! are away find when they come back. (AWS: Flush the API stage cache.)

use serde_json::Value;

use super::super::call::Call;
use super::super::error::ApiError;
use super::{api, part};
use crate::change::{Change, View};
use crate::model::RestStage;

pub(in super::super) fn flush(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let mut stage = part::<RestStage>(change, &api.id, call.parameter(1), "stage")?;
    stage.cache.flush();
    change.tx.put_part(&api.id, &stage)?;
    change.recompile(&api.id, &stage.name);
    Ok(Value::Null)
}

/// The stage has to be there.
pub(in super::super) fn flush_authorizers(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(view, call.parameter(0))?;
    part::<RestStage>(view, &api.id, call.parameter(1), "stage")?;
    Ok(Value::Null)
}
