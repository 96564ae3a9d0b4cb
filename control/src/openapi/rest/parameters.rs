//! An operation's parameters, its own before those of its path, and the body of Swagger 2 among them.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::super::budget::{Budget, TooLarge};
use super::super::document::{Document, Node};
use super::super::operations::Operation;
use super::super::problems::Problems;

/// A parameter, resolved.
#[derive(Debug, Clone)]
pub(super) struct Parameter<'d> {
    pub(super) name: String,
    /// `path`, `query`, `header`, `body`, …
    pub(super) within: String,
    pub(super) node: Node<'d>,
}

/// Each once; a name in one place is one parameter.
///
/// # Errors
/// When the document unfolds to more than its limits.
pub(super) fn of_operation<'d>(
    document: &'d Document,
    operation: &Operation<'d>,
    budget: &mut Budget,
    problems: &mut Problems,
) -> Result<Vec<Parameter<'d>>, TooLarge> {
    let mut all: Vec<Parameter<'d>> = Vec::new();
    let mut known = BTreeSet::new();
    for list in [operation.node.member("parameters"), operation.path_item.member("parameters")] {
        for node in list.map_or_else(Vec::new, |list| list.items()) {
            budget.spend(1)?;
            match document.resolve(&node, budget)? {
                Ok(node) => {
                    let name = node.text_of("name").unwrap_or_default();
                    let within = node.text_of("in").unwrap_or_default();
                    if known.insert((name.clone(), within.clone())) {
                        all.push(Parameter { name, within, node });
                    }
                }
                Err(why) => problems.error(&node.place, why),
            }
        }
    }
    Ok(all)
}

/// PutMethod's `requestParameters`: which there are, and whether they are required.
pub(super) fn request_parameters(
    parameters: &[Parameter<'_>],
    problems: &mut Problems,
) -> Map<String, Value> {
    let mut members = Map::new();
    for Parameter { name, within, node } in parameters {
        let kind = match within.as_str() {
            "path" => "path",
            "query" => "querystring",
            "header" => "header",
            "body" => continue,
            other => {
                problems.warn(
                    &node.place,
                    format_args!("a REST API has no parameters in '{other}', and it is left out"),
                );
                continue;
            }
        };
        if name.is_empty() {
            problems.error(&node.place, "a parameter needs a name");
            continue;
        }
        let required = match node.member("required").map(|required| required.value) {
            None => false,
            Some(Value::Bool(required)) => *required,
            Some(_) => {
                problems
                    .error(&node.place.at("required"), "whether a parameter is required is true or false");
                continue;
            }
        };
        members.insert(format!("method.request.{kind}.{name}"), required.into());
    }
    members
}
