//! `RouteResponse`: what the client that sent a route's message is answered. WebSocket APIs only.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::call::{Call, compact};
use super::super::error::ApiError;
use super::super::members::Members;
use super::responses::{Response, owner, put, take_key};
use super::routes::{check_models, parameters_answer};
use super::{EXPRESSION_CHARS_MAX, NAME_CHARS_MAX, check_entries, not_on, part_id};
use crate::change::{Change, View};
use crate::model::{ApiProtocol, HttpApi, HttpRoute, RouteResponse};

/// The one key that there is, as in AWS.
const ONLY_KEY: &str = "$default";

pub(in super::super) fn create(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let (api, route) = owner::<RouteResponse>(change, call)?;
    if api.protocol == ApiProtocol::Http {
        return Err(not_on(api.protocol, "A route response"));
    }
    let mut members = call.members()?;
    let response = RouteResponse {
        id: part_id()?,
        key: take_key::<RouteResponse>(&mut members)?,
        models: BTreeMap::new(),
        parameters: BTreeMap::new(),
    };
    put(change, &api, route, response, members)
}

impl Response for RouteResponse {
    type Owner = HttpRoute;

    const NOUN: &'static str = "RouteResponse";
    const KEY: &'static str = "routeResponseKey";

    fn all(owner: &HttpRoute) -> &BTreeMap<String, Self> {
        &owner.responses
    }

    fn all_mut(owner: &mut HttpRoute) -> &mut BTreeMap<String, Self> {
        &mut owner.responses
    }

    fn id(&self) -> &str {
        &self.id
    }

    fn key(&self) -> &str {
        &self.key
    }

    fn set_key(&mut self, key: String) {
        self.key = key;
    }

    fn check_key(&self) -> Result<(), ApiError> {
        match self.key == ONLY_KEY {
            true => Ok(()),
            false => {
                Err(ApiError::bad_request(format!("{} has to be {ONLY_KEY}, not '{}'", Self::KEY, self.key)))
            }
        }
    }

    fn apply(&mut self, view: &View<'_>, api: &HttpApi, members: &mut Members) -> Result<(), ApiError> {
        let mut selection = None;
        members.set_text("modelSelectionExpression", EXPRESSION_CHARS_MAX, &mut selection)?;
        if selection.is_some() {
            return Err(ApiError::bad_request(
                "modelSelectionExpression is not supported for route responses",
            ));
        }
        if let Some(models) = members.texts("responseModels", NAME_CHARS_MAX)? {
            check_entries(models.len(), "responseModels")?;
            check_models(view, &api.id, models.values())?;
            self.models = models;
        }
        for (key, mut constraints) in members.objects_by_name("responseParameters")?.unwrap_or_default() {
            check_parameter(&key)?;
            let required = constraints.boolean("required")?.unwrap_or(false);
            constraints.finish()?;
            self.parameters.insert(key, required);
        }
        check_entries(self.parameters.len(), "responseParameters")
    }

    fn answer(&self) -> Value {
        compact(json!({
            "responseModels": (!self.models.is_empty()).then_some(&self.models),
            "responseParameters": parameters_answer(&self.parameters),
            "routeResponseId": self.id,
            "routeResponseKey": self.key,
        }))
    }
}

fn check_parameter(key: &str) -> Result<(), ApiError> {
    let name = key.strip_prefix("route.response.header.");
    match name.is_some_and(|name| !name.is_empty()) {
        true => Ok(()),
        false => Err(ApiError::bad_request(format!(
            "Invalid mapping expression specified: '{key}': a response parameter is route.response.header. and a name"
        ))),
    }
}
