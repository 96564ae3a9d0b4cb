//! `Model`: create, get (perhaps flattened), list, update, delete, and the mapping template that comes of one. A schema
//! refers to another model by its address: `https://apigateway.amazonaws.com/restapis/API/models/NAME`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::call::{Call, compact};
use super::super::error::ApiError;
use super::super::model_template;
use super::parts::{Shown, new_part_id, of_call};
use super::patch::{self, REPLACE, Table, Wording, rule};
use super::users::{Use, check_unused};
use super::{DESCRIPTION_CHARS_MAX, NAME_CHARS_MAX, api, over_quota};
use crate::change::{Change, View};
use crate::model::{RestModel, check_model_name, new_id};

const MODEL_ID_LEN: usize = 6;
/// AWS's limit.
const SCHEMA_BYTES_MAX: usize = 400 * 1_024;

pub(in super::super) fn create(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let mut members = call.members()?;
    let name = members.string("name", NAME_CHARS_MAX)?.unwrap_or_default();
    let content_type = members.string("contentType", NAME_CHARS_MAX)?.unwrap_or_default();
    let description = members.string("description", DESCRIPTION_CHARS_MAX)?;
    let schema = members.string("schema", SCHEMA_BYTES_MAX)?.unwrap_or_default();
    members.finish()?;
    if name.is_empty() {
        return Err(ApiError::bad_request("Model name must be non-empty"));
    }
    check_model_name(&name).map_err(ApiError::bad_request)?;
    if content_type.is_empty() {
        return Err(ApiError::bad_request("Model content type must be non-empty"));
    }
    if change.tx.part::<RestModel>(&api.id, &name)?.is_some() {
        return Err(ApiError::conflict("Model name already exists for this REST API"));
    }
    let max = change.settings.quotas.models_per_api_max;
    if change.tx.part_count::<RestModel>(&api.id)? >= max {
        return Err(over_quota(max, "models in the API", "models_per_api_max"));
    }
    let id = new_id(MODEL_ID_LEN).map_err(|error| ApiError::internal(&error))?;
    put(change, &api.id, &RestModel { id, name, description, content_type, schema })
}

/// The two that come with every API.
pub(super) fn put_defaults(change: &Change<'_>, api_id: &str) -> Result<(), ApiError> {
    for (name, description, schema) in [
        ("Empty", "This is a default empty schema model", EMPTY),
        ("Error", "This is a default error schema model", ERROR),
    ] {
        let model = RestModel {
            id: new_part_id::<RestModel>(change, api_id)?,
            name: name.to_owned(),
            description: Some(description.to_owned()),
            content_type: "application/json".to_owned(),
            schema: schema.to_owned(),
        };
        change.tx.put_part(api_id, &model)?;
    }
    Ok(())
}

const EMPTY: &str = r#"{
  "$schema": "http://json-schema.org/draft-04/schema#",
  "title" : "Empty Schema",
  "type" : "object"
}"#;
const ERROR: &str = r#"{
  "$schema" : "http://json-schema.org/draft-04/schema#",
  "title" : "Error Schema",
  "type" : "object",
  "properties" : {
    "message" : { "type" : "string" }
  }
}"#;

pub(in super::super) fn get(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    let (api_id, mut model) = of_call::<RestModel>(view, call)?;
    if call.query_flag("flatten")? {
        let models = view.tx.parts(&api_id)?;
        model.schema = flattened(&api_id, &model, &models).unwrap_or(model.schema);
    }
    Ok(model.answer())
}

pub(in super::super) fn template(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    let (api_id, model) = of_call::<RestModel>(view, call)?;
    let models = view.tx.parts(&api_id)?;
    let flat = flattened(&api_id, &model, &models).unwrap_or_else(|| model.schema.clone());
    model_template::answer(&model.name, &flat)
}

const PATCHES: Table<RestModel> = Table {
    input: "updateModelInput",
    wording: Wording::Listed,
    rules: &[
        rule("/description", REPLACE, |model, patch| {
            model.description = Some(patch.text(DESCRIPTION_CHARS_MAX)?);
            Ok(())
        }),
        rule("/schema", REPLACE, |model, patch| {
            model.schema = patch.text(SCHEMA_BYTES_MAX)?;
            Ok(())
        }),
    ],
};

pub(in super::super) fn update(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let (api_id, mut model) = of_call::<RestModel>(change, call)?;
    patch::apply(&PATCHES, &mut model, call.members()?, Shown::answer)?;
    put(change, &api_id, &model)
}

pub(in super::super) fn delete(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let (api_id, model) = of_call::<RestModel>(change, call)?;
    let what = format!("model '{}'", model.name);
    check_unused(change, &api_id, &what, Use::Model(&model.name))?;
    for other in change.tx.parts::<RestModel>(&api_id)? {
        if other.name != model.name && references(&api_id, &other).contains(&model.name) {
            return Err(ApiError::conflict(format!(
                "Cannot delete {what}, is referenced in model: {}",
                other.name
            )));
        }
    }
    change.tx.delete_part::<RestModel>(&api_id, &model.name)?;
    Ok(Value::Null)
}

fn put(change: &Change<'_>, api_id: &str, model: &RestModel) -> Result<Value, ApiError> {
    check_schema(change, api_id, model)?;
    change.tx.put_part(api_id, model)?;
    Ok(model.answer())
}

/// A schema of JSON is JSON itself, and refers to models that exist.
fn check_schema(view: &View<'_>, api_id: &str, model: &RestModel) -> Result<(), ApiError> {
    if model.schema.len() > SCHEMA_BYTES_MAX {
        return Err(ApiError::bad_request(format!(
            "A model's schema can have at most {SCHEMA_BYTES_MAX} bytes"
        )));
    }
    if model.schema.is_empty() {
        return Err(ApiError::bad_request(
            "Model schema must have at least 1 property or array items defined",
        ));
    }
    let invalid = |why: &str| {
        ApiError::bad_request(format!(
            "Invalid model specified: Validation Result: warnings : [], errors : [{why}]"
        ))
    };
    if is_json(&model.content_type) && parsed(model).is_none() {
        return Err(invalid("Invalid model schema specified"));
    }
    for name in references(api_id, model) {
        if name != model.name && view.tx.part::<RestModel>(api_id, &name)?.is_none() {
            let address = format!("{ADDRESS}{api_id}{MODELS}{name}");
            return Err(invalid(&format!("Invalid model reference specified: {address}")));
        }
    }
    Ok(())
}

/// RFC 6839 3.1: `+json` is JSON as well.
fn is_json(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media_type.ends_with("/json") || media_type.ends_with("+json")
}

/// The schema, unless it isn't an object of JSON.
fn parsed(model: &RestModel) -> Option<Value> {
    serde_json::from_str(&model.schema).ok().filter(Value::is_object)
}

const ADDRESS: &str = "https://apigateway.amazonaws.com/restapis/";
const MODELS: &str = "/models/";

/// Name of the model of this API that the address stands for.
fn name_of<'a>(api_id: &str, address: &'a str) -> Option<&'a str> {
    address.strip_prefix(ADDRESS)?.strip_prefix(api_id)?.strip_prefix(MODELS)
}

/// The names of the models that the schema refers to.
fn references(api_id: &str, model: &RestModel) -> Vec<String> {
    let mut names = Vec::new();
    if let Some(mut schema) = parsed(model) {
        each_reference(&mut schema, &mut |reference| {
            names.extend(name_of(api_id, reference).map(str::to_owned));
        });
    }
    names
}

/// Shows every `$ref` of the schema, to be changed.
fn each_reference(schema: &mut Value, see: &mut impl FnMut(&mut String)) {
    match schema {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(reference) if name == "$ref" => see(reference),
                    value => each_reference(value, see),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| each_reference(item, see)),
        _ => {}
    }
}

/// The schema with every model that it refers to, directly or not, among its own definitions.
fn flattened(api_id: &str, model: &RestModel, models: &[RestModel]) -> Option<String> {
    let mut schema = parsed(model)?;
    let mut waiting = localise(api_id, &mut schema);
    let mut definitions = BTreeMap::new();
    while let Some(name) = waiting.pop() {
        if definitions.contains_key(&name) {
            continue;
        }
        let mut inner = models.iter().find(|model| model.name == name).and_then(parsed)?;
        waiting.extend(localise(api_id, &mut inner));
        definitions.insert(name, inner);
    }
    if let (false, Value::Object(members)) = (definitions.is_empty(), &mut schema) {
        let own = members.entry("definitions").or_insert_with(|| Map::new().into());
        if let Value::Object(own) = own {
            own.extend(definitions);
        }
    }
    Some(schema.to_string())
}

/// The model as another API has it: what refers to a model of the one API refers to the other's of that name.
pub(super) fn moved(mut model: RestModel, from: &str, to: &str) -> RestModel {
    let mut schema = parsed(&model).unwrap_or_default();
    let mut refers = false;
    each_reference(&mut schema, &mut |reference| {
        if let Some(name) = name_of(from, reference) {
            *reference = format!("{ADDRESS}{to}{MODELS}{name}");
            refers = true;
        }
    });
    if refers {
        model.schema = schema.to_string();
    }
    model
}

/// Makes addresses of models into references within the schema; the names of those models.
fn localise(api_id: &str, schema: &mut Value) -> Vec<String> {
    let mut names = Vec::new();
    each_reference(schema, &mut |reference| {
        if let Some(name) = name_of(api_id, reference).map(str::to_owned) {
            *reference = format!("#/definitions/{name}");
            names.push(name);
        }
    });
    names
}

impl Shown for RestModel {
    fn missing(id: &str) -> ApiError {
        ApiError::not_found(format!("Invalid model name specified: {id}"))
    }

    fn answer(&self) -> Value {
        compact(json!({
            "contentType": self.content_type,
            "description": self.description,
            "id": self.id,
            "name": self.name,
            "schema": self.schema,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(name: &str, schema: &str) -> RestModel {
        RestModel {
            id: name.to_lowercase(),
            name: name.to_owned(),
            description: None,
            content_type: "application/json".to_owned(),
            schema: schema.to_owned(),
        }
    }

    fn to(name: &str) -> String {
        format!(r#"{{"$ref":"{ADDRESS}api1{MODELS}{name}"}}"#)
    }

    #[test]
    fn flattening_takes_in_what_is_referred_to() {
        let models = [
            model("Pet", r#"{"type":"object","properties":{"name":{"type":"string"}}}"#),
            model("Pets", &format!(r#"{{"type":"array","items":{}}}"#, to("Pet"))),
            model("Loop", &format!(r#"{{"properties":{{"next":{},"pets":{}}}}}"#, to("Loop"), to("Pets"))),
            model("Broken", &to("Gone")),
        ];
        assert_eq!(
            flattened("api1", &models[0], &models).as_deref(),
            Some(&*parsed(&models[0]).expect("JSON").to_string())
        );
        let pets: Value =
            serde_json::from_str(&flattened("api1", &models[1], &models).expect("flat")).expect("JSON");
        assert_eq!(pets["items"]["$ref"], "#/definitions/Pet");
        assert_eq!(pets["definitions"]["Pet"]["type"], "object");
        let all: Value =
            serde_json::from_str(&flattened("api1", &models[2], &models).expect("flat")).expect("JSON");
        let names: Vec<&String> = all["definitions"].as_object().expect("definitions").keys().collect();
        assert_eq!(names, ["Loop", "Pet", "Pets"]);
        assert_eq!(flattened("api1", &models[3], &models), None);
        assert_eq!(references("api1", &models[2]), ["Loop", "Pets"]);
        assert_eq!(references("api2", &models[2]), Vec::<String>::new());
    }

    #[test]
    fn content_types_of_json() {
        for (content_type, json) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/hal+json", true),
            ("application/xml", false),
            ("text/plain", false),
        ] {
            assert_eq!(is_json(content_type), json, "{content_type}");
        }
    }
}
