//! A stage of either kind, as the operations of this extension name it: by its API's id and its name.

use super::super::call::Call;
use super::super::error::ApiError;
use crate::change::{Change, View};
use crate::model::{ApiProtocol, HttpApi, HttpStage, RestApi, RestStage, RouteKey};

/// Routes that one document says something of.
const ROUTES_MAX: usize = 1_000;

pub(super) enum Stage {
    Rest(RestStage),
    Http(HttpStage),
}

impl Stage {
    /// Of a WebSocket API there is none: it has no `feature`.
    pub(super) fn of(view: &View<'_>, call: &Call, feature: &str) -> Result<Self, ApiError> {
        let (api_id, name) = (call.parameter(0), call.parameter(1));
        if view.tx.api::<RestApi>(api_id)?.is_some() {
            return view.tx.part(api_id, name)?.map(Self::Rest).ok_or_else(no_stage);
        }
        http_stage(view, call, feature).map(Self::Http)
    }

    pub(super) fn keep(&self, change: &mut Change<'_>, call: &Call) -> Result<(), ApiError> {
        let (api_id, name) = (call.parameter(0), call.parameter(1));
        match self {
            Self::Rest(stage) => change.tx.put_part(api_id, stage)?,
            Self::Http(stage) => change.tx.put_part(api_id, stage)?,
        }
        change.recompile(api_id, name);
        Ok(())
    }
}

/// Of an API that is no REST API.
pub(super) fn http_stage(view: &View<'_>, call: &Call, feature: &str) -> Result<HttpStage, ApiError> {
    let (api_id, name) = (call.parameter(0), call.parameter(1));
    match view.tx.api::<HttpApi>(api_id)? {
        None => Err(ApiError::not_found(format!("Invalid API identifier specified {api_id}"))),
        Some(api) if api.protocol == ApiProtocol::WebSocket => {
            Err(ApiError::bad_request(format!("A WebSocket API has no {feature}")))
        }
        Some(_) => view.tx.part(api_id, name)?.ok_or_else(no_stage),
    }
}

/// Whether what is set for routes names them as HTTP APIs do, and methods of REST APIs here, too; not that there are such
/// routes, which the next deployment may bring.
pub(super) fn check_route_keys<'k>(
    mut keys: impl ExactSizeIterator<Item = &'k String>,
) -> Result<(), ApiError> {
    if keys.len() > ROUTES_MAX {
        return Err(ApiError::bad_request(format!("routes has more than {ROUTES_MAX} members")));
    }
    let wrong = keys.find_map(|key| RouteKey::parse(key).err());
    wrong.map_or(Ok(()), |problem| Err(ApiError::bad_request(format!("routes: {problem}"))))
}

fn no_stage() -> ApiError {
    ApiError::not_found("Invalid stage identifier specified")
}
