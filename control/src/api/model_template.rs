//! The mapping template that a model's schema suggests: it makes of a body with the schema's members the same body.

use serde_json::{Value, json};

use super::error::ApiError;

/// Schemas may refer to themselves.
const DEPTH_MAX: usize = 20;
/// AWS's own limit of mapping templates: a schema whose members refer to each other unfolds without end.
const TEMPLATE_BYTES_MAX: usize = 300 << 10;

/// A template in the Velocity language for bodies of the schema, whose references are all within it; as `GetModelTemplate`
/// answers it. `name` is the model's.
///
/// # Errors
/// When the schema isn't JSON, or unfolds to more than a template can have.
pub(super) fn answer(name: &str, schema: &str) -> Result<Value, ApiError> {
    let schema: Value = serde_json::from_str(schema).map_err(|_| {
        ApiError::bad_request(format!("The model '{name}' has no JSON schema to make a template of"))
    })?;
    match of_schema(&schema) {
        text if text.len() > TEMPLATE_BYTES_MAX => Err(ApiError::bad_request(format!(
            "The model '{name}' unfolds to a template of more than {TEMPLATE_BYTES_MAX} bytes"
        ))),
        text => Ok(json!({"value": text})),
    }
}

fn of_schema(schema: &Value) -> String {
    let mut text = "#set($inputRoot = $input.path('$'))\n".to_owned();
    Writer { root: schema, text: &mut text }.value(schema, "$inputRoot", 0);
    text.push('\n');
    text
}

struct Writer<'s, 't> {
    root: &'s Value,
    text: &'t mut String,
}

impl<'s> Writer<'s, '_> {
    /// Writes what stands for `place`, a reference of the template.
    fn value(&mut self, schema: &'s Value, place: &str, depth: usize) {
        let schema = self.resolve(schema);
        if depth > DEPTH_MAX || self.text.len() > TEMPLATE_BYTES_MAX {
            return self.text.push_str("{}");
        }
        match schema["type"].as_str() {
            Some("array") => self.array(schema, place, depth),
            Some("string") => self.text.push_str(&format!("\"{place}\"")),
            Some("integer" | "number" | "boolean") => self.text.push_str(place),
            Some("null") => self.text.push_str("null"),
            Some("object") => self.object(schema, place, depth),
            _ if schema["properties"].is_object() => self.object(schema, place, depth),
            _ => self.text.push_str(&format!("\"{place}\"")),
        }
    }

    fn object(&mut self, schema: &'s Value, place: &str, depth: usize) {
        let properties = schema["properties"].as_object();
        self.text.push('{');
        for (at, (name, inner)) in properties.into_iter().flatten().enumerate() {
            self.text.push_str(if at == 0 { "\n" } else { ",\n" });
            self.indent(depth + 1);
            self.text.push_str(&format!("{} : ", Value::from(name.as_str())));
            self.value(inner, &member(place, name), depth + 1);
        }
        if properties.is_some_and(|properties| !properties.is_empty()) {
            self.text.push('\n');
            self.indent(depth);
        }
        self.text.push('}');
    }

    fn array(&mut self, schema: &'s Value, place: &str, depth: usize) {
        let element = if depth == 0 { "$elem".to_owned() } else { format!("$elem{depth}") };
        self.text.push_str(&format!("[\n#foreach({element} in {place})\n"));
        self.indent(depth + 1);
        self.value(&schema["items"], &element, depth + 1);
        self.text.push_str("#if($foreach.hasNext),#end\n#end\n");
        self.indent(depth);
        self.text.push(']');
    }

    fn indent(&mut self, depth: usize) {
        self.text.extend(std::iter::repeat_n("  ", depth));
    }

    /// What a chain of references leads to; nothing when it leads nowhere.
    fn resolve(&self, schema: &'s Value) -> &'s Value {
        let mut schema = schema;
        for _ in 0..DEPTH_MAX {
            let Some(reference) = schema["$ref"].as_str() else { break };
            let pointer = reference.strip_prefix('#').unwrap_or_default();
            schema = self.root.pointer(pointer).unwrap_or(&Value::Null);
        }
        schema
    }
}

/// A member of what the reference stands for; not every name can follow a dot.
fn member(place: &str, name: &str) -> String {
    let simple = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if simple { format!("{place}.{name}") } else { format!("{place}.get('{}')", name.replace('\'', "\\'")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_follow_the_schema() {
        let schema = json!({
            "type": "object",
            "properties": {
                "id": {"type": "integer"},
                "names": {"type": "array", "items": {"type": "string"}},
                "x-tag": {"$ref": "#/definitions/Tag"},
            },
            "definitions": {"Tag": {"type": "object", "properties": {"on": {"type": "boolean"}}}},
        });
        let expected = "#set($inputRoot = $input.path('$'))\n{\n  \"id\" : $inputRoot.id,\n  \"names\" : [\n\
                        #foreach($elem1 in $inputRoot.names)\n    \"$elem1\"#if($foreach.hasNext),#end\n#end\n  ],\n  \
                        \"x-tag\" : {\n    \"on\" : $inputRoot.get('x-tag').on\n  }\n}\n";
        assert_eq!(of_schema(&schema), expected);
    }

    #[test]
    fn a_schema_that_unfolds_without_end_is_refused() {
        let itself = json!({"$ref": "#"});
        let members = json!({"a": itself, "b": itself, "c": itself});
        let schema = json!({"type": "object", "properties": members}).to_string();
        let error = answer("fan", &schema).expect_err("3 to the 20th members");
        assert!(error.status == 400 && error.message.contains("'fan' unfolds"), "{error}");
    }

    #[test]
    fn a_schema_within_itself_ends() {
        let schema = json!({"type": "object", "properties": {"next": {"$ref": "#"}}});
        assert!(of_schema(&schema).len() < 10_000);
        let circle = json!({"$ref": "#/a", "a": {"$ref": "#/a"}});
        assert!(of_schema(&circle).contains("$inputRoot"));
        assert!(of_schema(&json!({"type": "array", "items": {"$ref": "#/none"}})).contains("$elem"));
    }
}
