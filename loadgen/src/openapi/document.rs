//! A document's values, and the references among them.

use serde_json::Value;

use super::yaml;
use crate::coding::percent_decoded;
use crate::limits::{Limit, Limits};

#[derive(Debug)]
pub(super) struct Document {
    pub(super) root: Value,
    pub(super) version: Version,
    pub(super) limits: Limits,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    Swagger2,
    OpenApi3,
}

impl Document {
    pub(super) fn parse(text: &str, limits: &Limits) -> Result<Self, String> {
        let root: Value = match text.trim_start().starts_with('{') {
            true => serde_json::from_str(text).map_err(|error| format!("no JSON: {error}"))?,
            false => yaml::parse(text, limits)?,
        };
        let version = match (text_of(&root, "/openapi"), text_of(&root, "/swagger")) {
            (Some(version), _) if version.starts_with("3.0") || version.starts_with("3.1") => {
                Version::OpenApi3
            }
            (Some(version), _) => return Err(format!("OpenAPI {version} isn't known: 3.0 and 3.1 are")),
            // A plain 2.0 is a number in YAML.
            (_, Some(version)) if version.starts_with('2') => Version::Swagger2,
            _ if root.get("swagger").and_then(Value::as_f64) == Some(2.0) => Version::Swagger2,
            _ => return Err("neither an OpenAPI document nor a Swagger 2 one".to_owned()),
        };
        Ok(Self { root, version, limits: limits.clone() })
    }

    /// What a value stands for: itself, or what it refers to.
    pub(super) fn resolve<'a>(&'a self, value: &'a Value) -> Result<&'a Value, String> {
        let mut value = value;
        for _ in 0..self.limits.of(Limit::OpenapiReferences) {
            let Some(reference) = value.get("$ref").and_then(Value::as_str) else { return Ok(value) };
            let Some(pointer) = reference.strip_prefix('#') else {
                return Err(format!(
                    "the reference '{reference}' leads to another document: bundle them into one first"
                ));
            };
            value = self
                .root
                .pointer(&String::from_utf8_lossy(&percent_decoded(pointer.as_bytes())))
                .ok_or_else(|| format!("the reference '{reference}' leads nowhere"))?;
        }
        Err(self.limits.refusal(Limit::OpenapiReferences))
    }

    /// A line for people: title and version.
    pub(super) fn title(&self) -> String {
        let of = |pointer| text_of(&self.root, pointer).unwrap_or_default();
        one_line(&format!("{} {}", of("/info/title"), of("/info/version")))
    }
}

pub(super) fn text_of<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}

/// The items of a list; none where it is missing.
pub(super) fn items<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The members of an object; none where it is missing.
pub(super) fn members<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    value.get(key).and_then(Value::as_object).into_iter().flatten()
}

/// Fit for a comment.
pub(super) fn one_line(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}
