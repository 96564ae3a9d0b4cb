//! `ApiKey`: create, get, list, update, delete. Values are secrets: sealed in the store, in answers only where AWS
//! has them, and in no error.

mod csv;
mod import;

use serde_json::{Value, json};

use super::super::call::{Call, compact, page_answer};
use super::super::error::ApiError;
use super::super::members::Members;
use super::patch::{self, ADD_REMOVE, Op, REPLACE, Table, Wording, rule};
use super::{DESCRIPTION_CHARS_MAX, NAME_CHARS_MAX, PAGING, over_quota, page_where, part};
use crate::change::{Change, View};
use crate::model::{ApiKey, RestStage, Tags, UsagePlanKey, check_api_key_value, new_id};

pub(in super::super) use import::import;

const ID_LEN: usize = 10;
/// Of the values that are made here: 206 bits of chance.
const VALUE_LEN: usize = 40;

pub(in super::super) fn create(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let mut members = call.members()?;
    let wanted = Wanted {
        name: members.string("name", NAME_CHARS_MAX)?,
        description: members.string("description", DESCRIPTION_CHARS_MAX)?,
        customer_id: members.string("customerId", NAME_CHARS_MAX)?,
        enabled: members.boolean("enabled")?.unwrap_or(false),
        value: members.string("value", NAME_CHARS_MAX)?.filter(|value| !value.is_empty()),
        stage_keys: take_stage_keys(change, &mut members)?,
        tags: members.tags()?.unwrap_or_default(),
    };
    // Identifiers are distinct from values whatever it says, as AWS's have become.
    members.boolean("generateDistinctId")?;
    members.finish()?;
    let key = wanted.create(change, &mut Room::of(change)?)?;
    answer_with_value(change, &key)
}

pub(in super::super) fn get(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    let key = key(view, call.parameter(0))?;
    match call.query_flag("includeValue")? {
        true => answer_with_value(view, &key),
        false => Ok(answer(&key)),
    }
}

/// `name` is the beginning of names, as in AWS; `customerId` is a whole one.
pub(in super::super) fn list(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    let paging = call.paging(&PAGING)?;
    let (name, customer) = (call.query_value("name")?, call.query_value("customerId")?);
    let with_values = call.query_flag("includeValues")?;
    let page = page_where(view, "", &paging, |key: &ApiKey| {
        begins(key.name.as_deref(), name.as_deref()) && (customer.is_none() || key.customer_id == customer)
    })?;
    let mut answers = page_answer(&page, &PAGING, answer);
    if with_values {
        for (key, answer) in page.items.iter().zip(answers[PAGING.items].as_array_mut().into_iter().flatten())
        {
            answer["value"] = value(view, key)?.into();
        }
    }
    Ok(answers)
}

/// What can be changed: all but the value.
static CHANGES: Table<ApiKey> = Table {
    input: "updateApiKeyInput",
    wording: Wording::Listed,
    rules: &[
        rule("/name", REPLACE, |key, patch| {
            key.name = patch.optional_text(NAME_CHARS_MAX)?;
            Ok(())
        }),
        rule("/description", REPLACE, |key, patch| {
            key.description = patch.optional_text(DESCRIPTION_CHARS_MAX)?;
            Ok(())
        }),
        rule("/enabled", REPLACE, |key, patch| {
            key.enabled = patch.boolean()?;
            Ok(())
        }),
        rule("/customerId", REPLACE, |key, patch| {
            key.customer_id = patch.optional_text(NAME_CHARS_MAX)?;
            Ok(())
        }),
        rule("/stages", ADD_REMOVE, |key, patch| {
            let named = patch.required_text(NAME_CHARS_MAX)?;
            key.stage_keys.retain(|stage| *stage != named);
            if patch.op == Op::Add {
                key.stage_keys.push(named);
                key.stage_keys.sort();
            }
            Ok(())
        }),
    ],
};

pub(in super::super) fn update(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let before = key(change, call.parameter(0))?;
    let mut key = before.clone();
    patch::apply(&CHANGES, &mut key, call.members()?, answer)?;
    for named in key.stage_keys.iter().filter(|named| !before.stage_keys.contains(named)) {
        let (api_id, stage) = named.split_once('/').unwrap_or((named, ""));
        stage_key(change, api_id, stage)?;
    }
    key.updated_at_s = change.now_s;
    change.tx.put_entity(&key)?;
    change.recompile_key(&key)?;
    Ok(answer(&key))
}

/// Usage plans lose the key, as in AWS.
pub(in super::super) fn delete(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let key = key(change, call.parameter(0))?;
    for in_plan in change.tx.entities_using::<UsagePlanKey>(&key.id)? {
        change.tx.delete_entity::<UsagePlanKey>(&in_plan.plan_id, &key.id)?;
    }
    change.recompile_key(&key)?;
    change.tx.delete_entity::<ApiKey>("", &key.id)?;
    Ok(Value::Null)
}

/// One that is known to exist.
pub(super) fn key(view: &View<'_>, id: &str) -> Result<ApiKey, ApiError> {
    let key = view.tx.entity("", id)?;
    key.ok_or_else(|| ApiError::not_found("Invalid API Key identifier specified"))
}

/// What callers show.
pub(super) fn value(view: &View<'_>, key: &ApiKey) -> Result<String, ApiError> {
    let opened = view.tx.open(&ApiKey::value_context(&key.id), &key.value)?;
    String::from_utf8(opened).map_err(|error| ApiError::internal(&error.utf8_error()))
}

/// Whether a name begins as a list was asked for; without a wish every name does.
pub(super) fn begins(name: Option<&str>, wanted: Option<&str>) -> bool {
    wanted.is_none_or(|wanted| name.is_some_and(|name| name.starts_with(wanted)))
}

/// A key to be made.
struct Wanted {
    name: Option<String>,
    description: Option<String>,
    customer_id: Option<String>,
    enabled: bool,
    /// `None` makes one.
    value: Option<String>,
    stage_keys: Vec<String>,
    tags: Tags,
}

/// How many more keys there can be: counted once, however many a change makes.
struct Room {
    left: usize,
    max: usize,
}

impl Room {
    fn of(view: &View<'_>) -> Result<Self, ApiError> {
        let max = view.settings.quotas.api_keys_max;
        Ok(Self { left: max.saturating_sub(view.tx.entity_count::<ApiKey>("")?), max })
    }
}

impl Wanted {
    fn create(self, change: &mut Change<'_>, room: &mut Room) -> Result<ApiKey, ApiError> {
        if room.left == 0 {
            return Err(over_quota(room.max, "API keys", "api_keys_max"));
        }
        let made = || new_id(VALUE_LEN).map_err(|error| ApiError::internal(&error));
        let value = self.value.map_or_else(made, Ok)?;
        check_api_key_value(&value).map_err(ApiError::bad_request)?;
        if of_value(change, &value)?.is_some() {
            return Err(ApiError::conflict("API Key already exists"));
        }
        let id = change.new_entity_id::<ApiKey>(ID_LEN)?;
        let key = ApiKey {
            value: change.tx.seal(&ApiKey::value_context(&id), value.as_bytes())?,
            fingerprint: fingerprint(change, &value),
            id,
            name: self.name,
            description: self.description,
            customer_id: self.customer_id,
            enabled: self.enabled,
            stage_keys: self.stage_keys,
            tags: self.tags,
            created_at_s: change.now_s,
            updated_at_s: change.now_s,
        };
        change.tx.put_entity(&key)?;
        room.left -= 1;
        Ok(key)
    }
}

fn of_value(view: &View<'_>, value: &str) -> Result<Option<ApiKey>, ApiError> {
    Ok(view.tx.entity_named("", &fingerprint(view, value))?)
}

fn fingerprint(view: &View<'_>, value: &str) -> String {
    view.tx.fingerprint(ApiKey::FINGERPRINT_CONTEXT, value.as_bytes())
}

fn take_stage_keys(view: &View<'_>, members: &mut Members) -> Result<Vec<String>, ApiError> {
    let mut stage_keys = Vec::new();
    for mut named in members.objects("stageKeys")?.unwrap_or_default() {
        let api_id = named.required("restApiId", NAME_CHARS_MAX)?;
        let stage = named.required("stageName", NAME_CHARS_MAX)?;
        named.finish()?;
        stage_keys.push(stage_key(view, &api_id, &stage)?);
    }
    stage_keys.sort();
    stage_keys.dedup();
    Ok(stage_keys)
}

/// `API/STAGE` of a stage that exists.
fn stage_key(view: &View<'_>, api_id: &str, stage: &str) -> Result<String, ApiError> {
    part::<RestStage>(view, api_id, stage, "stage")?;
    Ok(format!("{api_id}/{stage}"))
}

fn answer_with_value(view: &View<'_>, key: &ApiKey) -> Result<Value, ApiError> {
    let mut answer = answer(key);
    answer["value"] = value(view, key)?.into();
    Ok(answer)
}

fn answer(key: &ApiKey) -> Value {
    compact(json!({
        "createdDate": key.created_at_s,
        "customerId": key.customer_id,
        "description": key.description,
        "enabled": key.enabled,
        "id": key.id,
        "lastUpdatedDate": key.updated_at_s,
        "name": key.name,
        "stageKeys": key.stage_keys,
        "tags": key.tags,
    }))
}
