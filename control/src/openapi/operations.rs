//! The operations of a document's paths, in the order of paths and methods.

use super::budget::{Budget, TooLarge};
use super::document::{Document, Node};
use super::extensions::Kind;
use super::problems::Problems;

/// AWS's operation for every method that a path doesn't name.
pub(super) const ANY_METHOD: &str = "x-amazon-apigateway-any-method";

/// Of a path with what the base path puts before it. Arbitrary, above what operations take.
const PATH_BYTES_MAX: usize = 2_048;
const METHODS: [&str; 7] = ["delete", "get", "head", "options", "patch", "post", "put"];
/// What a path item has besides operations.
const OTHERS: [&str; 5] = ["$ref", "description", "parameters", "servers", "summary"];

/// A method of a path.
#[derive(Debug, Clone)]
pub(super) struct Operation<'d> {
    /// With what the base path puts before it; a REST API's without a slash at the end.
    pub(super) path: String,
    /// In upper case, or `ANY`.
    pub(super) method: String,
    pub(super) node: Node<'d>,
    pub(super) path_item: Node<'d>,
}

/// A path and its operations.
#[derive(Debug, Clone)]
pub(super) struct PathItem<'d> {
    pub(super) path: String,
    pub(super) node: Node<'d>,
    pub(super) operations: Vec<Operation<'d>>,
}

/// `prefix` goes before every path. `/pets` and `/pets/` are two routes of an HTTP API, and one resource of a REST API.
///
/// # Errors
/// When the document unfolds to more than its limits.
pub(super) fn paths<'d>(
    document: &'d Document,
    prefix: &str,
    kind: Kind,
    budget: &mut Budget,
    problems: &mut Problems,
) -> Result<Vec<PathItem<'d>>, TooLarge> {
    let Some(paths) = document.root().member("paths") else { return Ok(Vec::new()) };
    if prefix.len() > PATH_BYTES_MAX {
        let message = format_args!("the base path has more than {PATH_BYTES_MAX} bytes");
        problems.error(&document.root().place, message);
        return Ok(Vec::new());
    }
    if !paths.value.is_object() {
        problems.error(&paths.place, "paths has to be an object");
    }
    let mut items = Vec::new();
    for (path, node) in paths.members() {
        if prefix.len() + path.len() > PATH_BYTES_MAX {
            problems.error(&node.place, format_args!("a path can have at most {PATH_BYTES_MAX} bytes"));
        } else if path.starts_with('/') {
            let path = joined(prefix, path, kind);
            items.extend(path_item(document, path, &node, budget, problems)?);
        } else if !path.starts_with("x-") {
            problems.error(&node.place, "a path has to begin with '/'");
        }
    }
    Ok(items)
}

fn joined(prefix: &str, path: &str, kind: Kind) -> String {
    let whole = format!("{prefix}{path}");
    match (whole.trim_end_matches('/'), kind) {
        ("", _) => "/".to_owned(),
        (_, Kind::Http) if path != "/" => whole,
        (trimmed, _) => trimmed.to_owned(),
    }
}

fn path_item<'d>(
    document: &'d Document,
    path: String,
    node: &Node<'d>,
    budget: &mut Budget,
    problems: &mut Problems,
) -> Result<Option<PathItem<'d>>, TooLarge> {
    budget.spend_text(&path)?;
    let node = match document.resolve(node, budget)? {
        Ok(node) => node,
        Err(why) => {
            problems.error(&node.place, why);
            return Ok(None);
        }
    };
    let mut operations = Vec::new();
    for (name, operation) in node.members() {
        let method = match name {
            ANY_METHOD => "ANY".to_owned(),
            name if METHODS.contains(&name) => name.to_ascii_uppercase(),
            name if OTHERS.contains(&name) || name.starts_with("x-") => continue,
            name => {
                problems.warn(&operation.place, format_args!("'{name}' is no method here, and is left out"));
                continue;
            }
        };
        if !operation.value.is_object() {
            problems.error(&operation.place, "an operation has to be an object");
            continue;
        }
        budget.spend_text(&path)?;
        operations.push(Operation { path: path.clone(), method, node: operation, path_item: node.clone() });
    }
    Ok(Some(PathItem { path, node, operations }))
}
