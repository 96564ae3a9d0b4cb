//! An API as it is now, as an OpenAPI document, and what is different between two of those.

use serde_json::{Map, Value};

use super::super::super::call::Call;
use super::super::super::error::ApiError;
use super::super::super::operations::Service;
use super::super::super::v2;
use super::Apply;
use crate::openapi::{Dialect, Extensions, RestExport, export_rest};

const METHODS: [&str; 9] =
    ["get", "put", "post", "delete", "options", "head", "patch", "trace", "x-amazon-apigateway-any-method"];
/// What says nothing of the API itself.
const LEFT_OUT: [&str; 3] = ["paths", "servers", "x-amazon-apigateway-importexport-version"];

impl Apply<'_, '_> {
    pub(super) fn rest_state(&self, api_id: &str) -> Result<Value, ApiError> {
        let items = |operation: &str| self.items(Service::V1, operation, &[api_id]);
        let resources = self.items_with(Service::V1, "GetResources", &[api_id], "embed=methods")?;
        let parts = items("GetDocumentationParts")?;
        Ok(export_rest(&RestExport {
            dialect: Dialect::OpenApi30,
            extensions: Extensions::AWS,
            api: &self.look(Service::V1, "GetRestApi", &[api_id])?,
            stage: "",
            deployed_at: "",
            host: "",
            region: &self.change.settings.account.region,
            resources: &resources,
            models: &items("GetModels")?,
            authorizers: &items("GetAuthorizers")?,
            validators: &items("GetRequestValidators")?,
            gateway_responses: &items("GetGatewayResponses")?,
            documentation: (!parts.is_empty()).then_some(("", &parts)),
        })?)
    }

    pub(super) fn http_state(&self, api_id: &str) -> Result<Value, ApiError> {
        let query = "outputType=JSON&includeExtensions=true".to_owned();
        let call = Call { query, ..Call::inner(&[api_id, "OAS30"], &Value::Null) };
        self.permit(Service::V2, "ExportApi", &call)?;
        let document = v2::exports::export(self.change, &call)?;
        serde_json::from_slice(&document.bytes).map_err(|error| ApiError::internal(&error))
    }
}

/// A line for each operation, and each other part, that one document has and the other hasn't, or has otherwise.
pub(super) fn difference(before: &Value, after: &Value) -> Vec<String> {
    let mut lines = compared(&operations(before), &operations(after), "");
    lines.extend(compared(&others(before), &others(after), ""));
    lines
}

/// A line for each member that only one of both has, or that is different in them.
pub(super) fn compared(before: &Map<String, Value>, after: &Map<String, Value>, prefix: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, value) in after {
        match before.get(name) {
            None => lines.push(format!("+ {prefix}{name}")),
            Some(old) if old != value => lines.push(format!("~ {prefix}{name}")),
            Some(_) => {}
        }
    }
    lines.extend(
        before.keys().filter(|name| !after.contains_key(*name)).map(|name| format!("- {prefix}{name}")),
    );
    lines
}

/// By method and path.
fn operations(document: &Value) -> Map<String, Value> {
    let mut all = Map::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for (member, operation) in item.as_object().into_iter().flatten() {
            let name = match member.as_str() {
                "x-amazon-apigateway-any-method" => "ANY".to_owned(),
                method if METHODS.contains(&method) => method.to_uppercase(),
                other => other.to_owned(),
            };
            let key = if path.starts_with('$') || path == "/$default" {
                "$default".to_owned()
            } else {
                format!("{name} {path}")
            };
            all.insert(key, operation.clone());
        }
    }
    all
}

/// The rest of the document; of the components, each by itself.
fn others(document: &Value) -> Map<String, Value> {
    let mut all = Map::new();
    for (name, value) in document.as_object().into_iter().flatten() {
        match value {
            _ if LEFT_OUT.contains(&name.as_str()) => {}
            Value::Object(kinds) if name == "components" => {
                for (kind, each) in kinds {
                    let each = each.as_object().into_iter().flatten();
                    // Names of integrations are made up anew: what leads to them is in the operations.
                    let named = each.filter(|_| !kind.starts_with("x-amazon-apigateway-integrations"));
                    all.extend(named.map(|(name, value)| (format!("{kind} {name}"), value.clone())));
                }
            }
            value => {
                all.insert(name.clone(), value.clone());
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_are_compared_by_operation_and_component() {
        let before = json!({
            "openapi": "3.0.1", "servers": [{"url": "a"}], "info": {"title": "x"},
            "paths": {"/a": {"get": {"x": 1}, "post": {}}, "/b": {"x-amazon-apigateway-any-method": {}}},
            "components": {"schemas": {"A": {}, "B": {"x": 1}}},
        });
        let after = json!({
            "openapi": "3.0.1", "servers": [{"url": "b"}], "info": {"title": "y"},
            "paths": {"/a": {"get": {"x": 2}}, "/c": {"put": {}}, "/b": {"x-amazon-apigateway-any-method": {}}},
            "components": {"schemas": {"B": {"x": 2}}},
        });
        let lines = difference(&before, &after);
        assert_eq!(lines, ["~ GET /a", "+ PUT /c", "- POST /a", "~ info", "~ schemas B", "- schemas A"]);
        assert!(difference(&after, &after).is_empty());
    }
}
