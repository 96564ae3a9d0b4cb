//! `ImportApiKeys`: a file of keys in one call. A key whose value is known is brought up to date.

use serde_json::{Value, json};

use super::super::super::call::{Call, compact};
use super::super::super::error::ApiError;
use super::super::super::prepared::Prepared;
use super::super::{DESCRIPTION_CHARS_MAX, NAME_CHARS_MAX, usage_plan_keys};
use super::csv::{self, Row};
use super::{Room, Wanted, of_value};
use crate::change::Change;
use crate::model::{ApiKey, Tags, check_api_key_value};
use crate::settings::Settings;

/// A file that has been read.
struct File {
    rows: Vec<Row>,
    /// Whether a warning is an error.
    fail: bool,
}

pub(in super::super::super) fn import(_: &Settings, call: &Call) -> Result<Prepared, ApiError> {
    match call.query_value("format")?.as_deref() {
        Some("csv") => {}
        Some(other) => {
            return Err(ApiError::bad_request(format!(
                "Invalid API Keys format '{other}': it has to be csv"
            )));
        }
        None => return Err(ApiError::bad_request("The query parameter format is required: csv")),
    }
    let fail = call.query_flag("failonwarnings")?;
    let text = std::str::from_utf8(call.content.bytes());
    let text = text.map_err(|_| ApiError::bad_request("The file isn't UTF-8"))?;
    let rows = csv::parse(text).map_err(ApiError::bad_request)?;
    Ok(Prepared::of(File { rows, fail }, put))
}

/// All rows or, with `failonwarnings`, none when one can't be taken. Warnings name a row by its line, since its name
/// may be missing and its value is a secret.
fn put(change: &mut Change<'_>, _: &Call, File { rows, fail }: &File) -> Result<Value, ApiError> {
    let (mut ids, mut warnings) = (Vec::new(), Vec::new());
    let mut room = Room::of(change)?;
    for row in rows {
        match take(change, row, &mut room) {
            Ok((key, of_plans)) => {
                warnings.extend(of_plans.into_iter().map(|warning| format!("Line {}: {warning}", row.line)));
                ids.push(key.id);
            }
            Err(error) if error.status == 400 => {
                warnings.push(format!("Line {}: {}", row.line, error.message))
            }
            Err(error) => return Err(error),
        }
    }
    if *fail && !warnings.is_empty() {
        return Err(ApiError::bad_request(format!("No API key was imported: {}", warnings.join("; "))));
    }
    Ok(compact(json!({"ids": ids, "warnings": (!warnings.is_empty()).then_some(warnings)})))
}

/// The key, and why it isn't in which of its plans.
fn take(change: &mut Change<'_>, row: &Row, room: &mut Room) -> Result<(ApiKey, Vec<String>), ApiError> {
    check_api_key_value(&row.value).map_err(ApiError::bad_request)?;
    let enabled = match row.enabled.to_ascii_lowercase().as_str() {
        "" | "true" => true,
        "false" => false,
        other => {
            return Err(ApiError::bad_request(format!("Enabled has to be true or false, not '{other}'")));
        }
    };
    let name = text(&row.name, "Name", NAME_CHARS_MAX)?;
    if name.is_none() {
        return Err(ApiError::bad_request("Name can't be empty"));
    }
    let description = text(&row.description, "Description", DESCRIPTION_CHARS_MAX)?;
    let key = match of_value(change, &row.value)? {
        Some(known) => {
            let key = ApiKey { name, description, enabled, updated_at_s: change.now_s, ..known };
            change.tx.put_entity(&key)?;
            change.recompile_key(&key)?;
            key
        }
        None => {
            let value = Some(row.value.clone());
            let (customer_id, stage_keys, tags) = (None, Vec::new(), Tags::new());
            Wanted { name, description, customer_id, enabled, value, stage_keys, tags }
                .create(change, room)?
        }
    };
    let mut warnings = Vec::new();
    for plan_id in &row.usage_plan_ids {
        match usage_plan_keys::add(change, plan_id, &key, usage_plan_keys::Again::Fine) {
            Ok(_) => {}
            Err(error) if error.status < 500 => {
                warnings.push(format!("The key isn't in usage plan '{plan_id}': {}", error.message));
            }
            Err(error) => return Err(error),
        }
    }
    Ok((key, warnings))
}

fn text(field: &str, noun: &str, chars_max: usize) -> Result<Option<String>, ApiError> {
    match field.chars().count() {
        0 => Ok(None),
        chars if chars > chars_max => {
            Err(ApiError::bad_request(format!("{noun} can have at most {chars_max} characters")))
        }
        _ => Ok(Some(field.to_owned())),
    }
}
