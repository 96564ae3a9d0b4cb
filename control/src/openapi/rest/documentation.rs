//! Documentation parts: what OpenAPI's own members describe, as AWS takes them over, and the parts that AWS's extension
//! lists.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::super::budget::{Budget, TooLarge};
use super::super::document::{Document, Node};
use super::super::operations::{Operation, PathItem};
use super::super::problems::Problems;
use super::super::text_max::DESCRIPTION_CHARS_MAX;
use super::parameters::Parameter;

pub(super) const EXTENSION: &str = "x-amazon-apigateway-documentation";
const PARTS: &str = "documentationParts";
const INFO: [&str; 3] = ["termsOfService", "contact", "license"];
const OPERATION: [&str; 5] = ["summary", "description", "tags", "externalDocs", "deprecated"];
const PATH: [&str; 2] = ["summary", "description"];
const DESCRIPTION: [&str; 1] = ["description"];

/// The parts of a plan under way.
#[derive(Debug, Default)]
pub(super) struct Documentation {
    parts: Vec<Value>,
}

/// What an export says of a path's variable.
pub(super) fn generated_parameter(name: &str) -> String {
    format!("Generated path parameter for {name}")
}

/// What an export says of a response: OpenAPI needs something.
pub(super) fn generated_response(code: &str) -> String {
    format!("{code} response")
}

impl Documentation {
    pub(super) fn of_api(&mut self, document: &Document, budget: &mut Budget) -> Result<(), TooLarge> {
        let root = document.root();
        let mut properties = properties(&root, &["externalDocs", "tags"], budget)?;
        if let Some(info) = root.member("info") {
            let mut said = self::properties(&info, &INFO, budget)?;
            // A shorter one is the API's own description.
            if info.text_of("description").is_some_and(|text| text.chars().count() > DESCRIPTION_CHARS_MAX) {
                said.extend(self::properties(&info, &DESCRIPTION, budget)?);
            }
            if !said.is_empty() {
                properties.insert("info".to_owned(), said.into());
            }
        }
        self.add(json!({"type": "API"}), properties, budget)
    }

    pub(super) fn of_authorizer(
        &mut self,
        name: &str,
        scheme: &Node<'_>,
        budget: &mut Budget,
    ) -> Result<(), TooLarge> {
        let properties = properties(scheme, &DESCRIPTION, budget)?;
        self.add(json!({"type": "AUTHORIZER", "name": name}), properties, budget)
    }

    pub(super) fn of_path(&mut self, item: &PathItem<'_>, budget: &mut Budget) -> Result<(), TooLarge> {
        let properties = properties(&item.node, &PATH, budget)?;
        self.add(json!({"type": "RESOURCE", "path": item.path}), properties, budget)
    }

    pub(super) fn of_operation(
        &mut self,
        operation: &Operation<'_>,
        parameters: &[Parameter<'_>],
        budget: &mut Budget,
    ) -> Result<(), TooLarge> {
        let (path, method) = (&operation.path, &operation.method);
        let properties = properties(&operation.node, &OPERATION, budget)?;
        self.add(json!({"type": "METHOD", "path": path, "method": method}), properties, budget)?;
        for Parameter { name, within, node } in parameters {
            let kind = match within.as_str() {
                "path" => "PATH_PARAMETER",
                "query" => "QUERY_PARAMETER",
                "header" => "REQUEST_HEADER",
                "body" => "REQUEST_BODY",
                _ => continue,
            };
            let properties = self::properties(node, &DESCRIPTION, budget)?;
            if kind == "PATH_PARAMETER"
                && properties.get("description") == Some(&generated_parameter(name).into())
            {
                continue;
            }
            let mut location = json!({"type": kind, "path": path, "method": method});
            if kind != "REQUEST_BODY" {
                location["name"] = name.as_str().into();
            }
            self.add(location, properties, budget)?;
        }
        if let Some(body) = operation.node.member("requestBody") {
            let properties = self::properties(&body, &DESCRIPTION, budget)?;
            self.add(json!({"type": "REQUEST_BODY", "path": path, "method": method}), properties, budget)?;
        }
        Ok(())
    }

    pub(super) fn of_response(
        &mut self,
        operation: &Operation<'_>,
        code: &str,
        response: &Node<'_>,
        budget: &mut Budget,
    ) -> Result<(), TooLarge> {
        let location = |kind: &str| json!({"type": kind, "path": operation.path, "method": operation.method, "statusCode": code});
        let properties = properties(response, &DESCRIPTION, budget)?;
        if properties.get("description") != Some(&generated_response(code).into()) {
            self.add(location("RESPONSE"), properties, budget)?;
        }
        for (name, header) in response.member("headers").iter().flat_map(Node::members) {
            let mut location = location("RESPONSE_HEADER");
            location["name"] = name.into();
            let properties = self::properties(&header, &DESCRIPTION, budget)?;
            self.add(location, properties, budget)?;
        }
        Ok(())
    }

    fn add(
        &mut self,
        location: Value,
        properties: Map<String, Value>,
        budget: &mut Budget,
    ) -> Result<(), TooLarge> {
        if !properties.is_empty() {
            let location = budget.copy(&location)?;
            self.parts.push(json!({"location": location, "properties": properties}));
        }
        Ok(())
    }

    /// With what the extension lists, which has the last word about a place.
    pub(super) fn with_extension(self, document: &Document, problems: &mut Problems) -> Vec<Value> {
        let mut parts = self.parts;
        let Some(extension) = document.root().member(EXTENSION) else { return parts };
        let Some(listed) = extension.member(PARTS) else { return parts };
        if !listed.value.is_array() {
            problems.error(&listed.place, "documentation parts are a list");
        }
        let key = |part: &Value| part["location"].to_string();
        let places: HashMap<String, usize> =
            parts.iter().enumerate().map(|(at, part)| (key(part), at)).collect();
        for node in listed.items() {
            match places.get(&key(node.value)) {
                Some(at) => merge(&mut parts[*at], node.value),
                None => parts.push(node.value.clone()),
            }
        }
        parts
    }
}

/// Properties of the extension go before extracted ones, name by name.
fn merge(part: &mut Value, listed: &Value) {
    match (part["properties"].as_object_mut(), listed["properties"].as_object()) {
        (Some(properties), Some(listed)) => properties.extend(listed.clone()),
        _ => *part = listed.clone(),
    }
}

fn properties(node: &Node<'_>, names: &[&str], budget: &mut Budget) -> Result<Map<String, Value>, TooLarge> {
    let mut properties = Map::new();
    for name in names {
        if let Some(member) = node.member(name).filter(|member| member.value != "") {
            properties.insert((*name).to_owned(), budget.copy(member.value)?);
        }
    }
    Ok(properties)
}
