//! Documentation where OpenAPI has a place for it: in exports that don't list it in AWS's extension.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::super::documentation::{generated_parameter, generated_response};
use super::RestExport;

/// Documentation by location.
pub(super) struct Described {
    parts: HashMap<String, Map<String, Value>>,
}

/// A location.
#[derive(Debug, Clone, Copy, Default)]
struct Key<'e> {
    kind: &'e str,
    path: &'e str,
    method: &'e str,
    status_code: &'e str,
    name: &'e str,
}

type Properties<'d> = Vec<(&'d str, Value)>;

impl Described {
    pub(super) fn of(export: &RestExport<'_>) -> Self {
        let parts = match export.documentation {
            Some((_, parts)) if !export.extensions.documentation => parts,
            _ => &[],
        };
        let described = parts.iter().filter_map(|part| {
            let properties = serde_json::from_str(part["properties"].as_str()?).ok()?;
            Some((Key::of(&part["location"]).text(), properties))
        });
        Self { parts: described.collect() }
    }

    pub(super) fn of_root(&self) -> Properties<'_> {
        let all = self.all(Key { kind: "API", ..Key::default() });
        all.into_iter().filter(|(name, _)| ["tags", "externalDocs"].contains(name)).collect()
    }

    pub(super) fn of_info(&self) -> Properties<'_> {
        let part = self.parts.get(&Key { kind: "API", ..Key::default() }.text());
        let info = part.and_then(|properties| properties.get("info")).and_then(Value::as_object);
        info.into_iter().flatten().map(|(name, value)| (name.as_str(), value.clone())).collect()
    }

    pub(super) fn of_path(&self, path: &str) -> Properties<'_> {
        self.all(Key { kind: "RESOURCE", path, ..Key::default() })
    }

    pub(super) fn of_method(&self, path: &str, method: &str) -> Properties<'_> {
        self.all(Key { kind: "METHOD", path, method, ..Key::default() })
    }

    /// `null` when nothing is said.
    pub(super) fn of_parameter(&self, kind: &str, path: &str, method: &str, name: &str) -> Value {
        let said = self.description(Key { kind, path, method, name, ..Key::default() });
        match said.is_null() && kind == "PATH_PARAMETER" {
            true => generated_parameter(name).into(),
            false => said,
        }
    }

    pub(super) fn of_body(&self, path: &str, method: &str) -> Value {
        self.description(Key { kind: "REQUEST_BODY", path, method, ..Key::default() })
    }

    /// OpenAPI needs something.
    pub(super) fn of_response(&self, path: &str, method: &str, status_code: &str) -> Value {
        let said = self.description(Key { kind: "RESPONSE", path, method, status_code, ..Key::default() });
        if said.is_null() { generated_response(status_code).into() } else { said }
    }

    pub(super) fn of_header(&self, path: &str, method: &str, status_code: &str, name: &str) -> Value {
        self.description(Key { kind: "RESPONSE_HEADER", path, method, status_code, name })
    }

    pub(super) fn of_authorizer(&self, name: &str) -> Value {
        self.description(Key { kind: "AUTHORIZER", name, ..Key::default() })
    }

    fn description(&self, key: Key<'_>) -> Value {
        let said = self.parts.get(&key.text()).and_then(|properties| properties.get("description"));
        said.cloned().unwrap_or_default()
    }

    fn all(&self, key: Key<'_>) -> Properties<'_> {
        let said = self.parts.get(&key.text()).into_iter().flatten();
        said.map(|(name, value)| (name.as_str(), value.clone())).collect()
    }
}

impl<'e> Key<'e> {
    fn of(location: &'e Value) -> Self {
        let text = |name: &str| location[name].as_str().unwrap_or_default();
        Self {
            kind: text("type"),
            path: text("path"),
            method: text("method"),
            status_code: text("statusCode"),
            name: text("name"),
        }
    }

    /// None of these has a line's end.
    fn text(&self) -> String {
        [self.kind, self.path, self.method, self.status_code, self.name].join("\n")
    }
}
