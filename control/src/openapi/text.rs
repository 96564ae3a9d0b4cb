//! A document's text, JSON or YAML, as values and back. Bodies are told apart by how they begin, as AWS does: its
//! clients name no type.

use serde::Serialize;
use serde::ser::{SerializeMap as _, SerializeSeq as _, Serializer};
use serde_json::Value;

use super::budget::{Budget, DocumentLimits, TooLarge};
use super::yaml;
use crate::api::unique_json;

/// How a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Json,
    Yaml,
}

/// A text that isn't one document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    #[error("the document is empty")]
    Empty,
    #[error("the document isn't UTF-8")]
    Encoding,
    #[error("the document isn't JSON: {0}")]
    Json(String),
    #[error("the document isn't YAML: {0}")]
    Yaml(String),
    #[error("the text has more than one document")]
    Documents,
    #[error("the key {0:?} comes twice in an object")]
    Repeated(String),
    #[error("a key has to be text")]
    Key,
    #[error("an alias names nothing, or something that it is a part of")]
    Alias,
    #[error("'<<' merges objects, and nothing else")]
    Merge,
    #[error("the tag {0} has no meaning here")]
    Tag(String),
    #[error("{0} is no number that JSON has")]
    Number(String),
    #[error("{source} (line {line})")]
    At { line: usize, source: Box<Self> },
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}

impl TextError {
    pub(super) fn at(self, line: usize) -> Self {
        match self {
            Self::TooLarge(_) | Self::At { .. } => self,
            source => Self::At { line, source: Box::new(source) },
        }
    }
}

/// # Errors
/// When the bytes aren't one document, or it is larger than the limits.
pub fn read_text(bytes: &[u8], limits: DocumentLimits) -> Result<Value, TextError> {
    let text = std::str::from_utf8(bytes).map_err(|_| TextError::Encoding)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut budget = Budget::new(limits);
    match text.trim_start().chars().next() {
        None => Err(TextError::Empty),
        Some('{') => {
            let value = unique_json(text.as_bytes());
            let value = value.map_err(|error| TextError::Json(error.to_string()))?;
            charge(&value, 1, &mut budget)?;
            Ok(value)
        }
        Some(_) => yaml::parse(text, &mut budget),
    }
}

/// The JSON reader bounds the depth itself, so that this can't nest deeper.
fn charge(value: &Value, depth: usize, budget: &mut Budget) -> Result<(), TooLarge> {
    match value {
        Value::String(text) => return budget.spend_text(text),
        _ => budget.spend(1)?,
    }
    match value {
        Value::Array(items) => {
            budget.check_depth(depth)?;
            items.iter().try_for_each(|item| charge(item, depth + 1, budget))
        }
        Value::Object(members) => {
            budget.check_depth(depth)?;
            members.values().try_for_each(|member| charge(member, depth + 1, budget))
        }
        _ => Ok(()),
    }
}

/// With a line's end.
#[must_use]
pub fn write_text(document: &Value, format: Format) -> Vec<u8> {
    let mut text = match format {
        // Values of JSON can always be written.
        Format::Json => serde_json::to_string_pretty(&Ordered(document)).unwrap_or_default(),
        Format::Yaml => return yaml_text(document).into_bytes(),
    };
    text.push('\n');
    text.into_bytes()
}

/// Members in the order that people expect of a document; all others by name.
const ORDER: [&str; 27] = [
    "openapi",
    "swagger",
    "info",
    "title",
    "name",
    "in",
    "required",
    "type",
    "operationId",
    "summary",
    "description",
    "host",
    "basePath",
    "schemes",
    "servers",
    "tags",
    "consumes",
    "produces",
    "parameters",
    "requestBody",
    "paths",
    "responses",
    "security",
    "properties",
    "securityDefinitions",
    "definitions",
    "components",
];

fn members(value: &serde_json::Map<String, Value>) -> Vec<(&String, &Value)> {
    let rank = |name: &str| ORDER.iter().position(|known| *known == name).unwrap_or(ORDER.len());
    let mut members: Vec<_> = value.iter().collect();
    members.sort_by_key(|(name, _)| rank(name));
    members
}

struct Ordered<'v>(&'v Value);

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Array(items) => {
                let mut list = to.serialize_seq(Some(items.len()))?;
                items.iter().try_for_each(|item| list.serialize_element(&Self(item)))?;
                list.end()
            }
            Value::Object(object) => {
                let mut map = to.serialize_map(Some(object.len()))?;
                members(object).into_iter().try_for_each(|(name, v)| map.serialize_entry(name, &Self(v)))?;
                map.end()
            }
            scalar => scalar.serialize(to),
        }
    }
}

/// Block style; every text in double quotes, whose escapes are JSON's (YAML 1.2, 1.3), so that none is taken for
/// something else.
fn yaml_text(document: &Value) -> String {
    let mut text = "---\n".to_owned();
    push_value(&mut text, document, 0);
    text
}

fn push_value(text: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(object) if !object.is_empty() => {
            for (name, member) in members(object) {
                text.push_str(&" ".repeat(indent));
                push_key(text, name, indent);
                push_below(text, member, indent);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                text.push_str(&" ".repeat(indent));
                text.push('-');
                push_below(text, item, indent);
            }
        }
        scalar => {
            push_scalar(text, scalar);
            text.push('\n');
        }
    }
}

/// After a key or a dash.
fn push_below(text: &mut String, value: &Value, indent: usize) {
    let empty = match value {
        Value::Object(object) => object.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => true,
    };
    if empty {
        text.push(' ');
        push_value(text, value, 0);
    } else {
        text.push('\n');
        push_value(text, value, indent + 2);
    }
}

/// What stands before a colon on its line can have 1,024 characters (YAML 1.2, 7.4.2); fewer bytes here.
const PLAIN_KEY_BYTES_MAX: usize = 1_000;

fn push_key(text: &mut String, name: &str, indent: usize) {
    let mut key = String::new();
    push_name(&mut key, name);
    match key.len() > PLAIN_KEY_BYTES_MAX {
        true => text.push_str(&format!("? {key}\n{}:", " ".repeat(indent))),
        false => text.push_str(&format!("{key}:")),
    }
}

fn push_name(text: &mut String, name: &str) {
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '$');
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./+$".contains(&byte));
    if begins && plain && !WORDS.contains(&name.to_ascii_lowercase().as_str()) {
        text.push_str(name);
    } else {
        push_scalar(text, &name.into());
    }
}

/// What YAML 1.1 or 1.2 takes for something other than text.
const WORDS: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];

/// As in JSON, but for what YAML calls unprintable (YAML 1.2, 5.1).
fn push_scalar(text: &mut String, scalar: &Value) {
    for c in scalar.to_string().chars() {
        match c {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                text.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => text.push(c),
        }
    }
}

#[cfg(test)]
mod tests;
