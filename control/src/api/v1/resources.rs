//! `Resource`: create, get, list, update, delete. The root comes with its API.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use turnpike_snapshot::VARIABLES_PER_ROUTE_MAX;

use super::super::call::{Call, compact, page_answer};
use super::super::error::ApiError;
use super::parts::new_part_id;
use super::patch::{self, REPLACE, Table, Wording, rule};
use super::{NAME_CHARS_MAX, PAGING, api, embeds, methods, over_quota, resource};
use crate::change::{Change, View};
use crate::model::{PathPart, Resource, path_variables};

pub(in super::super) fn create(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let parent = resource(change, &api.id, call.parameter(1))?;
    let mut members = call.members()?;
    let path_part = members.required("pathPart", NAME_CHARS_MAX)?;
    members.finish()?;
    let parsed = PathPart::parse(&path_part).map_err(|error| ApiError::bad_request(error.to_string()))?;
    let max = change.settings.quotas.resources_per_api_max;
    if change.tx.part_count::<Resource>(&api.id)? >= max {
        return Err(over_quota(max, "resources in the API", "resources_per_api_max"));
    }
    check_place(&parent, &parsed, &path_part)?;
    check_new(change, &api.id, &parent, &parsed, &path_part)?;
    let id = new_part_id::<Resource>(change, &api.id)?;
    let child = child(&parent, id, path_part);
    change.tx.put_part(&api.id, &child)?;
    Ok(answer(&child, false))
}

pub(in super::super) fn get(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(view, call.parameter(0))?;
    let embed = embeds(&call.query_values("embed"), "methods");
    Ok(answer(&resource(view, &api.id, call.parameter(1))?, embed))
}

pub(in super::super) fn list(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(view, call.parameter(0))?;
    let paging = call.paging(&PAGING)?;
    let embed = embeds(&call.query_values("embed"), "methods");
    let page = view.tx.part_page(&api.id, &paging.after, paging.limit)?;
    Ok(page_answer(&page, &PAGING, |resource| answer(resource, embed)))
}

const PATCHES: Table<Resource> = Table {
    input: "updateResourceInput",
    wording: Wording::Listed,
    rules: &[
        rule("/parentId", REPLACE, |resource, patch| {
            if resource.parent_id.is_none() {
                return Err(ApiError::bad_request("Root resource cannot update its parentId."));
            }
            resource.parent_id = Some(patch.text(NAME_CHARS_MAX)?);
            Ok(())
        }),
        rule("/pathPart", REPLACE, |resource, patch| {
            if resource.parent_id.is_none() {
                return Err(ApiError::bad_request("Root resource cannot update its pathPart."));
            }
            resource.path_part = Some(patch.text(NAME_CHARS_MAX)?);
            Ok(())
        }),
    ],
};

/// Takes the resources below along.
pub(in super::super) fn update(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let mut moved = resource(change, &api.id, call.parameter(1))?;
    patch::apply(&PATCHES, &mut moved, call.members()?, |resource| answer(resource, false))?;
    for resource in relocate(change.tx.parts(&api.id)?, &mut moved)? {
        change.tx.put_part(&api.id, &resource)?;
    }
    Ok(answer(&moved, false))
}

/// The resource at its new place, and those below it: all that change. Nothing but its parent and its part has changed yet.
fn relocate(all: Vec<Resource>, moved: &mut Resource) -> Result<Vec<Resource>, ApiError> {
    let (Some(parent_id), Some(text)) = (&moved.parent_id, &moved.path_part) else { return Ok(Vec::new()) };
    let parent = all.iter().find(|resource| resource.id == *parent_id);
    let parent = parent.ok_or_else(|| ApiError::not_found("Invalid Resource identifier specified"))?;
    let below = format!("{}/", moved.path);
    if parent.id == moved.id || parent.path.starts_with(&below) {
        return Err(ApiError::bad_request("Resources cannot be cyclical."));
    }
    let part = PathPart::parse(text).map_err(|error| ApiError::bad_request(error.to_string()))?;
    check_place(parent, &part, text)?;
    check_siblings(all.iter().filter(|other| other.id != moved.id), parent, &part, text)?;
    moved.path = child_path(parent, text);
    let mut changed = vec![moved.clone()];
    for mut resource in all {
        let Some(rest) = resource.path.strip_prefix(&below) else { continue };
        if matches!(part, PathPart::Greedy(_)) {
            return Err(below_greedy(text));
        }
        resource.path = format!("{}/{rest}", moved.path);
        check_variables(&resource.path)?;
        changed.push(resource);
    }
    Ok(changed)
}

/// Takes the resources below with it.
pub(in super::super) fn delete(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let doomed = resource(change, &api.id, call.parameter(1))?;
    if doomed.parent_id.is_none() {
        return Err(ApiError::bad_request("The root resource can't be deleted: delete the API instead"));
    }
    // What begins with the path and a slash; '0' follows it.
    let (from, to) = (format!("{}/", doomed.path), format!("{}0", doomed.path));
    for below in change.tx.parts_named_within::<Resource>(&api.id, &from..&to)? {
        change.tx.delete_part::<Resource>(&api.id, &below.id)?;
    }
    change.tx.delete_part::<Resource>(&api.id, &doomed.id)?;
    change.trim_targets(&api.id);
    Ok(Value::Null)
}

fn child(parent: &Resource, id: String, path_part: String) -> Resource {
    Resource {
        id,
        path: child_path(parent, &path_part),
        parent_id: Some(parent.id.clone()),
        path_part: Some(path_part),
        methods: BTreeMap::new(),
    }
}

fn child_path(parent: &Resource, path_part: &str) -> String {
    format!("{}/{path_part}", parent.path.trim_end_matches('/'))
}

fn check_place(parent: &Resource, part: &PathPart, text: &str) -> Result<(), ApiError> {
    if let Some(above) = parent.path_part.as_deref()
        && let Ok(PathPart::Greedy(_)) = PathPart::parse(above)
    {
        return Err(below_greedy(above));
    }
    if part.variable().is_some_and(|name| path_variables(&parent.path).contains(&name)) {
        return Err(ApiError::bad_request(format!(
            "The path {} already has a variable of the name in {text}",
            parent.path
        )));
    }
    if part.is_variable() && path_variables(&parent.path).len() >= VARIABLES_PER_ROUTE_MAX {
        return Err(ApiError::bad_request(format!(
            "The path {} already has {VARIABLES_PER_ROUTE_MAX} variables, and there can't be more",
            parent.path
        )));
    }
    Ok(())
}

fn below_greedy(part: &str) -> ApiError {
    ApiError::bad_request(format!("Cannot create a child of a resource with a greedy path variable: {part}"))
}

/// Of a path that came about by moving one above it.
fn check_variables(path: &str) -> Result<(), ApiError> {
    let variables = path_variables(path);
    if variables.len() > VARIABLES_PER_ROUTE_MAX {
        return Err(ApiError::bad_request(format!(
            "The path {path} would have more than {VARIABLES_PER_ROUTE_MAX} variables"
        )));
    }
    let twice = variables.iter().enumerate().find(|(at, name)| variables[..*at].contains(name));
    match twice {
        None => Ok(()),
        Some((_, name)) => {
            Err(ApiError::bad_request(format!("The path {path} would have two variables of the name {name}")))
        }
    }
}

/// A literal's only rival has the same path; those of a variable begin with a brace there, which '|' follows. The store finds
/// either without reading the whole tree.
fn check_new(
    view: &View<'_>,
    api_id: &str,
    parent: &Resource,
    part: &PathPart,
    text: &str,
) -> Result<(), ApiError> {
    let siblings: Vec<Resource> = match part {
        PathPart::Literal(_) => view.tx.part_named(api_id, &child_path(parent, text))?.into_iter().collect(),
        PathPart::Variable(_) | PathPart::Greedy(_) => {
            let (from, to) = (child_path(parent, "{"), child_path(parent, "|"));
            view.tx.parts_named_within(api_id, &from..&to)?
        }
    };
    check_siblings(siblings.iter(), parent, part, text)
}

fn check_siblings<'r>(
    all: impl Iterator<Item = &'r Resource>,
    parent: &Resource,
    part: &PathPart,
    text: &str,
) -> Result<(), ApiError> {
    let siblings = all.filter(|other| other.parent_id.as_ref() == Some(&parent.id));
    for sibling in siblings.filter_map(|sibling| sibling.path_part.as_deref()) {
        if sibling == text {
            return Err(ApiError::conflict(format!(
                "Another resource with the same parent already has this name: {text}"
            )));
        }
        if part.is_variable() && sibling.starts_with('{') {
            return Err(ApiError::bad_request(format!(
                "A sibling ({sibling}) of this resource already has a variable path part -- only one is allowed"
            )));
        }
    }
    Ok(())
}

/// Without `embed`, AWS lists the methods by name only.
pub(super) fn answer(resource: &Resource, embed: bool) -> Value {
    let named = resource.methods.iter().map(|(name, method)| {
        let value = if embed { methods::answer(name, method) } else { json!({}) };
        (name.clone(), value)
    });
    let methods: Map<String, Value> = named.collect();
    compact(json!({
        "id": resource.id,
        "parentId": resource.parent_id,
        "path": resource.path,
        "pathPart": resource.path_part,
        "resourceMethods": if methods.is_empty() { Value::Null } else { methods.into() },
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use turnpike_snapshot::Protocol;

    use super::*;
    use crate::compile::routable;

    /// What `create` would make of it, unless it is refused.
    fn grow(tree: &mut Vec<Resource>, parent: &Resource, text: &str) -> Result<(), ApiError> {
        let parsed = PathPart::parse(text).map_err(|error| ApiError::bad_request(error.to_string()))?;
        check_place(parent, &parsed, text)?;
        check_siblings(tree.iter(), parent, &parsed, text)?;
        tree.push(child(parent, tree.len().to_string(), text.to_owned()));
        Ok(())
    }

    /// What `update` would make of it, unless it is refused.
    fn shift(tree: &mut [Resource], at: usize, parent: usize, text: &str) -> Result<(), ApiError> {
        let mut moved = tree[at].clone();
        moved.parent_id = moved.parent_id.and(Some(tree[parent].id.clone()));
        moved.path_part = moved.path_part.and(Some(text.to_owned()));
        for changed in relocate(tree.to_owned(), &mut moved)? {
            let place = tree.iter().position(|resource| resource.id == changed.id).expect("it was there");
            tree[place] = changed;
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn every_tree_can_be_routed(
            parts in prop::collection::vec((any::<prop::sample::Index>(), routable::segment()), 0..60),
            moves in prop::collection::vec(
                (any::<prop::sample::Index>(), any::<prop::sample::Index>(), routable::segment()), 0..20),
        ) {
            let root = Resource {
                id: "root".to_owned(),
                parent_id: None,
                path_part: None,
                path: "/".to_owned(),
                methods: BTreeMap::new(),
            };
            let mut tree = vec![root];
            for (at, text) in parts {
                let parent = at.get(&tree).clone();
                // What is refused isn't there.
                let _ = grow(&mut tree, &parent, &text);
            }
            for (at, parent, text) in moves {
                let (at, parent) = (at.index(tree.len()), parent.index(tree.len()));
                let _ = shift(&mut tree, at, parent, &text);
            }
            for resource in &tree {
                let parent = tree.iter().find(|other| Some(&other.id) == resource.parent_id.as_ref());
                let path = parent.map(|parent| child_path(parent, resource.path_part.as_deref().unwrap_or("")));
                prop_assert_eq!(path.as_deref().unwrap_or("/"), resource.path.as_str());
            }
            let methods = |n: usize| if n.is_multiple_of(2) { ["ANY", "GET"] } else { ["PUT", "GET"] };
            let routes = tree.iter().enumerate().flat_map(|(n, resource)| {
                methods(n).map(|method| (method.to_owned(), resource.path.clone()))
            });
            routable::check(Protocol::Rest, &routes.collect::<Vec<_>>());
        }
    }
}
