//! A value that fits a schema: its example, its default, its first choice, else one of its type. Texts are templates.

use serde_json::{Map, Value};

use super::document::{Document, items, members};
use crate::limits::Limit;

/// Makes values, of one budget.
pub(super) struct Samples<'a> {
    document: &'a Document,
    values: usize,
    values_max: usize,
    /// Optional members below are left out.
    depth_max: usize,
}

impl<'a> Samples<'a> {
    pub(super) fn new(document: &'a Document) -> Self {
        let limit = |limit| document.limits.count(limit);
        let (values_max, depth_max) = (limit(Limit::OpenapiSampleValues), limit(Limit::OpenapiSampleDepth));
        Self { document, values: 0, values_max, depth_max }
    }

    /// A value for a schema, all of it.
    pub(super) fn of(&mut self, schema: &'a Value) -> Result<Value, String> {
        self.make(schema, 0)
    }

    fn make(&mut self, schema: &'a Value, depth: usize) -> Result<Value, String> {
        let schema = self.document.resolve(schema)?;
        self.values += 1;
        if let Some(given) = given(schema) {
            return Ok(escaped(given));
        }
        if depth > self.depth_max || self.values > self.values_max {
            return Ok(Value::Null);
        }
        if !items(schema, "allOf").is_empty() {
            return self.all_of(schema, depth);
        }
        for key in ["oneOf", "anyOf"] {
            let choices = items(schema, key);
            let real = |choice: &&Value| kind(choice) != Some("null");
            if let Some(choice) = choices.iter().find(real) {
                return self.make(choice, depth + 1);
            }
        }
        match kind(schema) {
            Some("object") => self.object(schema, depth),
            None if schema.get("properties").is_some() => self.object(schema, depth),
            Some("array") => match schema.get("items") {
                Some(item) if depth < self.depth_max => Ok(Value::Array(vec![self.make(item, depth + 1)?])),
                _ => Ok(Value::Array(Vec::new())),
            },
            Some("boolean") => Ok(Value::Bool(true)),
            Some("integer" | "number") => Ok(number(schema)),
            Some("null") => Ok(Value::Null),
            _ => Ok(Value::String(text(schema))),
        }
    }

    fn object(&mut self, schema: &'a Value, depth: usize) -> Result<Value, String> {
        let required = items(schema, "required");
        let mut object = Map::new();
        for (name, member) in members(schema, "properties") {
            let needed = required.iter().any(|required| required.as_str() == Some(name));
            let member = self.document.resolve(member)?;
            let read_only = member.get("readOnly").and_then(Value::as_bool) == Some(true);
            if read_only || (!needed && depth + 1 >= self.depth_max) {
                continue;
            }
            object.insert(literal(name), self.make(member, depth + 1)?);
        }
        Ok(Value::Object(object))
    }

    fn all_of(&mut self, schema: &'a Value, depth: usize) -> Result<Value, String> {
        let mut all = match schema.get("properties") {
            Some(_) => self.object(schema, depth)?,
            None => Value::Object(Map::new()),
        };
        for part in items(schema, "allOf") {
            match (self.make(part, depth + 1)?, &mut all) {
                (Value::Object(part), Value::Object(all)) => all.extend(part),
                (other, all) => *all = other,
            }
        }
        Ok(all)
    }
}

/// A value for one place of a URL or a header, as a template.
pub(super) fn template(schema: &Value, example: Option<&Value>) -> String {
    if let Some(example) = example.or_else(|| given_but_enum(schema)) {
        return scalar(example);
    }
    let choices = items(schema, "enum");
    if !choices.is_empty() {
        let quotable = |choice: &String| !choice.contains('\'');
        let choices: Vec<String> = choices.iter().map(plain_text).filter(quotable).collect();
        let quoted: Vec<String> = choices.iter().map(|choice| format!("'{choice}'")).collect();
        return format!("{{{{pick({})}}}}", quoted.join(", "));
    }
    match kind(schema) {
        Some("integer" | "number") => {
            let bound = |key: &str| schema.get(key).and_then(Value::as_f64).map(|bound| bound as i64);
            let least = bound("minimum").unwrap_or(1);
            let most = bound("maximum").unwrap_or(least.saturating_add(999)).max(least);
            format!("{{{{integer({least}, {most})}}}}")
        }
        Some("boolean") => "{{pick(true, false)}}".to_owned(),
        _ => text(schema),
    }
}

/// Text in which nothing is a template.
pub(super) fn literal(text: &str) -> String {
    text.replace("{{", "{{braces()}}")
}

/// A value as it stands in a URL or a header.
pub(super) fn scalar(value: &Value) -> String {
    literal(&plain_text(value))
}

fn plain_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain_text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// The document's own value.
fn given(schema: &Value) -> Option<&Value> {
    given_but_enum(schema).or_else(|| items(schema, "enum").first())
}

fn given_but_enum(schema: &Value) -> Option<&Value> {
    let named = ["example", "const", "default"].iter().find_map(|key| schema.get(*key));
    named.or_else(|| items(schema, "examples").first())
}

fn escaped(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(literal(text)),
        Value::Array(items) => Value::Array(items.iter().map(escaped).collect()),
        Value::Object(members) => {
            Value::Object(members.iter().map(|(name, value)| (literal(name), escaped(value))).collect())
        }
        other => other.clone(),
    }
}

/// The type; of several, the first that isn't null.
fn kind(schema: &Value) -> Option<&str> {
    match schema.get("type")? {
        Value::String(kind) => Some(kind),
        Value::Array(kinds) => {
            kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").or(Some("null"))
        }
        _ => None,
    }
}

fn number(schema: &Value) -> Value {
    ["minimum", "maximum"]
        .iter()
        .find_map(|key| schema.get(*key))
        .filter(|bound| bound.is_number())
        .cloned()
        .unwrap_or(Value::from(1))
}

fn text(schema: &Value) -> String {
    match schema.get("format").and_then(Value::as_str) {
        Some("uuid") => "{{uuid()}}".to_owned(),
        Some("date") => "2024-02-29".to_owned(),
        Some("date-time") => "2024-02-29T12:00:00Z".to_owned(),
        Some("email") => "{{string(8, letters)}}@example.com".to_owned(),
        Some("uri" | "url") => "https://example.com/{{string(8)}}".to_owned(),
        Some("ipv4") => "192.0.2.1".to_owned(),
        Some("ipv6") => "2001:db8::1".to_owned(),
        Some("byte") => "dGV4dA==".to_owned(),
        _ => {
            let bound = |key: &str| schema.get(key).and_then(Value::as_u64);
            let least = bound("minLength").unwrap_or(1).max(1);
            let length = 8.clamp(least, bound("maxLength").unwrap_or(u64::MAX).max(least));
            format!("{{{{string({})}}}}", length.min(Limit::RandomTextBytes.rule().default))
        }
    }
}
