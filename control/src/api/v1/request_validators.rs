//! `RequestValidator`: create, get, list, update, delete.

use serde_json::{Value, json};

use super::super::call::{Call, compact};
use super::super::error::ApiError;
use super::parts::{Shown, check_name, new_part_id, of_call};
use super::patch::{self, REPLACE, Table, Wording, rule};
use super::users::{Use, check_unused};
use super::{NAME_CHARS_MAX, api, over_quota};
use crate::change::Change;
use crate::model::RequestValidator;

const NOUN: &str = "Request Validator";

pub(in super::super) fn create(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let mut members = call.members()?;
    let validator = RequestValidator {
        id: new_part_id::<RequestValidator>(change, &api.id)?,
        name: members.string("name", NAME_CHARS_MAX)?.filter(|name| !name.is_empty()),
        body: members.boolean("validateRequestBody")?.unwrap_or(false),
        parameters: members.boolean("validateRequestParameters")?.unwrap_or(false),
    };
    members.finish()?;
    let max = change.settings.quotas.request_validators_per_api_max;
    if change.tx.part_count::<RequestValidator>(&api.id)? >= max {
        return Err(over_quota(max, "request validators in the API", "request_validators_per_api_max"));
    }
    put(change, &api.id, &validator)
}

const PATCHES: Table<RequestValidator> = Table {
    input: "updateRequestValidatorInput",
    wording: Wording::Listed,
    rules: &[
        rule("/name", REPLACE, |validator, patch| {
            validator.name = Some(patch.text(NAME_CHARS_MAX)?);
            Ok(())
        }),
        rule("/validateRequestParameters", REPLACE, |validator, patch| {
            validator.parameters = patch.boolean()?;
            Ok(())
        }),
        rule("/validateRequestBody", REPLACE, |validator, patch| {
            validator.body = patch.boolean()?;
            Ok(())
        }),
    ],
};

pub(in super::super) fn update(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let (api_id, mut validator) = of_call::<RequestValidator>(change, call)?;
    patch::apply(&PATCHES, &mut validator, call.members()?, Shown::answer)?;
    if validator.name.as_ref().is_some_and(String::is_empty) {
        return Err(ApiError::bad_request("Request Validator name cannot be blank"));
    }
    put(change, &api_id, &validator)
}

pub(in super::super) fn delete(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let (api_id, validator) = of_call::<RequestValidator>(change, call)?;
    let what = format!("request validator '{}'", validator.name.as_deref().unwrap_or(&validator.id));
    check_unused(change, &api_id, &what, Use::RequestValidator(&validator.id))?;
    change.tx.delete_part::<RequestValidator>(&api_id, &validator.id)?;
    Ok(Value::Null)
}

fn put(change: &Change<'_>, api_id: &str, validator: &RequestValidator) -> Result<Value, ApiError> {
    if let Some(name) = &validator.name {
        check_name::<RequestValidator>(change, api_id, &validator.id, name, NOUN)?;
    }
    change.tx.put_part(api_id, validator)?;
    Ok(validator.answer())
}

impl Shown for RequestValidator {
    fn missing(_: &str) -> ApiError {
        ApiError::not_found("Invalid Request Validator identifier specified")
    }

    fn answer(&self) -> Value {
        compact(json!({
            "id": self.id,
            "name": self.name,
            "validateRequestBody": self.body,
            "validateRequestParameters": self.parameters,
        }))
    }
}
