//! A model of an API: a schema that messages can be held to.

use serde::{Deserialize, Serialize};

use super::super::Part;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpModel {
    pub id: String,
    /// No other model of the API has it.
    pub name: String,
    pub content_type: String,
    pub description: Option<String>,
    /// Of `application/json`, checked by [`check_model_schema`].
    pub schema: String,
}

/// # Errors
/// Says what a name may be.
pub fn check_model_name(name: &str) -> Result<(), String> {
    if !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Ok(());
    }
    Err(format!("Model name must be alphanumeric: {name}"))
}

/// A JSON schema is a JSON object; what else it says is looked at where it is used.
///
/// # Errors
/// Says what is wrong.
pub fn check_model_schema(content_type: &str, schema: &str) -> Result<(), String> {
    if content_type != "application/json" {
        return Ok(());
    }
    match serde_json::from_str(schema) {
        Ok(serde_json::Value::Object(_)) => Ok(()),
        Ok(_) => Err("Invalid model schema specified: it has to be a JSON object".to_owned()),
        Err(error) => Err(format!("Invalid model schema specified: it isn't JSON: {error}")),
    }
}

impl Part for HttpModel {
    const KIND: &'static str = "http-model";

    fn id(&self) -> &str {
        &self.id
    }

    fn name(&self) -> Option<String> {
        Some(self.name.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_schemas() {
        assert_eq!(check_model_name("Pet1"), Ok(()));
        for name in ["", "a b", "a-b", "é", "a_b"] {
            assert!(check_model_name(name).is_err(), "{name}");
        }
        assert_eq!(check_model_schema("application/json", r#"{"type":"object"}"#), Ok(()));
        assert_eq!(check_model_schema("application/xml", "<x/>"), Ok(()));
        for schema in ["", "[]", "1", "{", "<x/>"] {
            assert!(check_model_schema("application/json", schema).is_err(), "{schema}");
        }
    }
}
