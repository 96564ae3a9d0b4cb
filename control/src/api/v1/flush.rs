//! `FlushStageCache`, `FlushStageAuthorizersCache`: nothing is cached so far, so that there is nothing to drop.

use serde_json::Value;

use super::super::call::Call;
use super::super::error::ApiError;
use super::{api, part};
use crate::change::View;
use crate::model::RestStage;

/// The stage has to be there; its cache is always empty.
pub(in super::super) fn flush(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(view, call.parameter(0))?;
    part::<RestStage>(view, &api.id, call.parameter(1), "stage")?;
    Ok(Value::Null)
}
