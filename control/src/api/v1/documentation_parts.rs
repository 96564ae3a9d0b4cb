//! `DocumentationPart`: create, get, list, update, delete, import.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::super::call::{Call, page_answer};
use super::super::error::ApiError;
use super::super::members::Members;
use super::super::prepared::Prepared;
use super::documented::locations;
use super::parts::{Shown, new_part_id, of_call, page_of};
use super::patch::{self, REPLACE, Table, Wording, rule};
use super::{NAME_CHARS_MAX, PAGING, URI_CHARS_MAX, api, over_quota};
use crate::change::{Change, View};
use crate::model::{DocumentationLocation, DocumentationPart, documentation_kinds};
use crate::openapi::read_text;
use crate::settings::Settings;

/// An arbitrary bound, above what AWS takes.
const PROPERTIES_CHARS_MAX: usize = 300 * 1_024;
/// Where an OpenAPI document has its parts.
const EXTENSION: &str = "x-amazon-apigateway-documentation";

pub(in super::super) fn create(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let mut members = call.members()?;
    let location = members.object("location")?;
    let location = location.ok_or_else(|| ApiError::bad_request("location is required"))?;
    let location = take_location(location)?;
    let properties = members.string("properties", PROPERTIES_CHARS_MAX)?.unwrap_or_default();
    members.finish()?;
    if let Some(there) = at(change, &api.id, &location)? {
        let location = there.location;
        return Err(ApiError::conflict(format!(
            "Documentation part already exists for the specified location: {location}."
        )));
    }
    check_room(change, &api.id, 1)?;
    let id = new_part_id::<DocumentationPart>(change, &api.id)?;
    put(change, &api.id, &DocumentationPart { id, location, properties })
}

/// Parts that fit all that is asked for; with `locationStatus=UNDOCUMENTED`, places of the API that have none.
pub(in super::super) fn list(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(view, call.parameter(0))?;
    let paging = call.paging(&PAGING)?;
    let wanted = Wanted::take(call)?;
    let parts: Vec<DocumentationPart> = view.tx.parts(&api.id)?;
    if !wanted.undocumented {
        let fitting = parts.into_iter().filter(|part| wanted.fits(&part.location)).collect();
        let page = page_of(fitting, &paging, |part: &DocumentationPart| &part.id);
        return Ok(page_answer(&page, &PAGING, Shown::answer));
    }
    let documented: BTreeSet<String> = parts.iter().map(|part| part.location.key()).collect();
    let mut keyed: Vec<(String, DocumentationLocation)> = locations(view, &api.id)?
        .into_iter()
        .map(|location| (location.key(), location))
        .filter(|(key, location)| wanted.fits(location) && !documented.contains(key))
        .collect();
    keyed.sort();
    let page = page_of(keyed, &paging, |(key, _)| key);
    Ok(page_answer(&page, &PAGING, |(_, location)| json!({"location": location})))
}

const PATCHES: Table<DocumentationPart> = Table {
    input: "updateDocumentationPartInput",
    wording: Wording::Listed,
    rules: &[rule("/properties", REPLACE, |part, patch| {
        part.properties = patch.text(PROPERTIES_CHARS_MAX)?;
        Ok(())
    })],
};

pub(in super::super) fn update(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let (api_id, mut part) = of_call::<DocumentationPart>(change, call)?;
    patch::apply(&PATCHES, &mut part, call.members()?, Shown::answer)?;
    put(change, &api_id, &part)
}

pub(in super::super) fn delete(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let (api_id, part) = of_call::<DocumentationPart>(change, call)?;
    change.tx.delete_part::<DocumentationPart>(&api_id, &part.id)?;
    Ok(Value::Null)
}

/// A document that has been read.
struct Imports {
    document: Value,
    overwrite: bool,
    fail_on_warnings: bool,
}

/// Takes in the parts of an OpenAPI document. What else the document says changes nothing.
pub(in super::super) fn import(settings: &Settings, call: &Call) -> Result<Prepared, ApiError> {
    let overwrite = match call.query_value("mode")?.as_deref() {
        None | Some("merge") => false,
        Some("overwrite") => true,
        Some(other) => {
            return Err(ApiError::bad_request(format!("mode has to be merge or overwrite, not '{other}'")));
        }
    };
    let fail_on_warnings = call.query_flag("failonwarnings")?;
    let document = read_text(call.content.bytes(), settings.quotas.openapi_limits())
        .map_err(|error| ApiError::bad_request(format!("Invalid OpenAPI input: {error}")))?;
    Ok(Prepared::of(Imports { document, overwrite, fail_on_warnings }, put_all))
}

fn put_all(change: &mut Change<'_>, call: &Call, imports: &Imports) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let imported = import_document(change, &api.id, &imports.document, imports.overwrite)?;
    if imports.fail_on_warnings && !imported.warnings.is_empty() {
        let warnings = imported.warnings.join("; ");
        return Err(ApiError::bad_request(format!("Warnings found during import: {warnings}")));
    }
    let mut answer = json!({"ids": imported.ids});
    if !imported.warnings.is_empty() {
        answer["warnings"] = imported.warnings.into();
    }
    Ok(answer)
}

/// What came of an import.
#[derive(Debug, Default)]
struct Imported {
    ids: Vec<String>,
    warnings: Vec<String>,
}

/// Adds the document's parts to the API's, or replaces those by them.
fn import_document(
    change: &Change<'_>,
    api_id: &str,
    document: &Value,
    overwrite: bool,
) -> Result<Imported, ApiError> {
    let mut imported = Imported::default();
    let parts = take_document(document, &mut imported.warnings)?;
    if overwrite {
        for part in change.tx.parts::<DocumentationPart>(api_id)? {
            change.tx.delete_part::<DocumentationPart>(api_id, &part.id)?;
        }
    }
    let known: BTreeSet<String> = locations(change, api_id)?.iter().map(DocumentationLocation::key).collect();
    for (location, properties) in parts.into_values() {
        if !is_pattern(&location) && !known.contains(&location.key()) {
            imported.warnings.push(format!("The API has nothing at the documented location: {location}"));
        }
        let part = match at(change, api_id, &location)? {
            Some(part) => DocumentationPart { properties: merged(&part.properties, &properties), ..part },
            None => {
                check_room(change, api_id, 1)?;
                let id = new_part_id::<DocumentationPart>(change, api_id)?;
                DocumentationPart { id, location, properties }
            }
        };
        put(change, api_id, &part)?;
        imported.ids.push(part.id);
    }
    Ok(imported)
}

/// The document's parts by their locations' keys.
fn take_document(
    document: &Value,
    warnings: &mut Vec<String>,
) -> Result<BTreeMap<String, (DocumentationLocation, String)>, ApiError> {
    if document.get("swagger").is_none() && document.get("openapi").is_none() {
        return Err(ApiError::bad_request("Invalid OpenAPI input: it has neither 'swagger' nor 'openapi'"));
    }
    let listed = document.get(EXTENSION).and_then(|extension| extension.get("documentationParts"));
    let listed = match listed {
        None => {
            warnings.push(format!("The document has no documentationParts in {EXTENSION}"));
            Vec::new()
        }
        Some(Value::Array(parts)) => parts.clone(),
        Some(_) => {
            return Err(ApiError::bad_request(format!("{EXTENSION}.documentationParts has to be a list")));
        }
    };
    let mut parts = BTreeMap::new();
    for part in listed {
        let mut members = Members::of(EXTENSION, part)?;
        let location = members.object("location")?.ok_or_else(|| {
            ApiError::bad_request(format!("A documentation part of {EXTENSION} has no location"))
        })?;
        let location = take_location(location)?;
        let properties = match members.value("properties") {
            Some(Value::String(text)) => text,
            Some(value) => value.to_string(),
            None => String::new(),
        };
        members.finish()?;
        if parts.insert(location.key(), (location.clone(), properties)).is_some() {
            warnings.push(format!("A documented location comes twice, and the last counts: {location}"));
        }
    }
    Ok(parts)
}

/// Whether it stands for several places.
fn is_pattern(location: &DocumentationLocation) -> bool {
    let any = |field: &Option<String>| field.as_deref() == Some("*");
    any(&location.method) || any(&location.status_code)
}

/// What is new goes before what was there, name by name.
fn merged(before: &str, new: &str) -> String {
    match (serde_json::from_str(before), serde_json::from_str(new)) {
        (Ok(Value::Object(mut before)), Ok(Value::Object(new))) => {
            before.extend(new);
            Value::Object(before).to_string()
        }
        _ => new.to_owned(),
    }
}

fn put(change: &Change<'_>, api_id: &str, part: &DocumentationPart) -> Result<Value, ApiError> {
    if part.properties.is_empty() {
        return Err(ApiError::bad_request("Documentation part properties must be non-empty"));
    }
    if part.properties.chars().count() > PROPERTIES_CHARS_MAX {
        return Err(ApiError::bad_request(format!(
            "Documentation part properties can have at most {PROPERTIES_CHARS_MAX} characters"
        )));
    }
    match serde_json::from_str(&part.properties) {
        Ok(Value::Object(_)) => {}
        _ => return Err(ApiError::bad_request("Documentation part properties must be a JSON object")),
    }
    change.tx.put_part(api_id, part)?;
    Ok(part.answer())
}

fn at(
    view: &View<'_>,
    api_id: &str,
    location: &DocumentationLocation,
) -> Result<Option<DocumentationPart>, ApiError> {
    Ok(view.tx.part_named(api_id, &location.key())?)
}

fn check_room(view: &View<'_>, api_id: &str, more: usize) -> Result<(), ApiError> {
    let max = view.settings.quotas.documentation_parts_per_api_max;
    if view.tx.part_count::<DocumentationPart>(api_id)? + more <= max {
        return Ok(());
    }
    Err(over_quota(max, "documentation parts in the API", "documentation_parts_per_api_max"))
}

fn take_location(mut members: Members) -> Result<DocumentationLocation, ApiError> {
    let mut text = |name: &str| members.string(name, URI_CHARS_MAX);
    let location = DocumentationLocation {
        kind: text("type")?.unwrap_or_default(),
        path: text("path")?,
        method: text("method")?,
        status_code: text("statusCode")?,
        name: text("name")?,
    };
    members.finish()?;
    location.complete().map_err(ApiError::bad_request)
}

/// What a list is asked for.
struct Wanted {
    kind: Option<String>,
    path: Option<String>,
    name: Option<String>,
    undocumented: bool,
}

impl Wanted {
    fn take(call: &Call) -> Result<Self, ApiError> {
        let kind = call.query_value("type")?;
        if let Some(kind) = kind.as_ref().filter(|kind| !documentation_kinds().any(|known| known == *kind)) {
            let known = documentation_kinds().collect::<Vec<_>>().join(", ");
            return Err(ApiError::bad_request(format!("type has to be one of {known}, not '{kind}'")));
        }
        let undocumented = match call.query_value("locationStatus")?.as_deref() {
            None | Some("DOCUMENTED") => false,
            Some("UNDOCUMENTED") => true,
            Some(other) => {
                return Err(ApiError::bad_request(format!(
                    "locationStatus has to be DOCUMENTED or UNDOCUMENTED, not '{other}'"
                )));
            }
        };
        let (path, name) = (call.query_value("path")?, call.query_value("name")?);
        if name.as_ref().is_some_and(|name| name.chars().count() > NAME_CHARS_MAX) {
            return Err(ApiError::bad_request(format!("name can have at most {NAME_CHARS_MAX} characters")));
        }
        Ok(Self { kind, path, name, undocumented })
    }

    fn fits(&self, location: &DocumentationLocation) -> bool {
        let fits =
            |wanted: &Option<String>, found: Option<&String>| wanted.is_none() || wanted.as_ref() == found;
        fits(&self.kind, Some(&location.kind))
            && fits(&self.path, location.path.as_ref())
            && fits(&self.name, location.name.as_ref())
    }
}

impl Shown for DocumentationPart {
    fn missing(_: &str) -> ApiError {
        ApiError::not_found("Invalid Documentation part identifier specified")
    }

    fn answer(&self) -> Value {
        json!({"id": self.id, "location": self.location, "properties": self.properties})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_keeps_what_the_import_does_not_name() {
        assert_eq!(merged(r#"{"a":1,"b":{"c":2}}"#, r#"{"b":3}"#), r#"{"a":1,"b":3}"#);
        assert_eq!(merged("[]", r#"{"b":3}"#), r#"{"b":3}"#);
    }

    #[test]
    fn documents_are_read() {
        let mut warnings = Vec::new();
        let document = json!({"openapi": "3.0.1", EXTENSION: {"version": "1", "documentationParts": [
            {"location": {"type": "API"}, "properties": {"description": "x"}},
            {"location": {"type": "METHOD", "method": "GET"}, "properties": "{\"a\":1}"},
            {"location": {"type": "METHOD", "path": "/", "method": "GET"}, "properties": {"a": 2}},
        ]}});
        let parts = take_document(&document, &mut warnings).expect("valid");
        let properties: Vec<&str> = parts.values().map(|(_, properties)| properties.as_str()).collect();
        assert_eq!(properties, [r#"{"description":"x"}"#, r#"{"a":2}"#]);
        assert!(warnings.len() == 1 && warnings[0].contains("comes twice"), "{warnings:?}");
        assert!(take_document(&json!({}), &mut warnings).is_err());
        for parts in
            [json!({}), json!([1]), json!([{"properties": {}}]), json!([{"location": {"type": "X"}}])]
        {
            let document = json!({"swagger": "2.0", EXTENSION: {"documentationParts": parts}});
            assert!(take_document(&document, &mut warnings).is_err(), "{document}");
        }
    }
}
