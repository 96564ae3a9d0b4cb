//! `Resource`: create, get, list, delete. The root comes with its API.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use turnpike_snapshot::VARIABLES_PER_ROUTE_MAX;

use super::super::call::{Call, compact, page_answer};
use super::super::error::ApiError;
use super::{NAME_CHARS_MAX, PAGING, api, embeds, methods, over_quota, resource};
use crate::change::{Change, View};
use crate::model::{PathPart, Resource, new_id, path_variables};

const RESOURCE_ID_LEN: usize = 6;

pub(in super::super) fn create(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let parent = resource(change, &api.id, call.parameter(1))?;
    let mut members = call.members()?;
    let path_part = members.required("pathPart", NAME_CHARS_MAX)?;
    members.finish()?;
    let parsed = PathPart::parse(&path_part).map_err(|error| ApiError::bad_request(error.to_string()))?;
    let max = change.settings.quotas.resources_per_api_max;
    let all: Vec<Resource> = change.tx.parts(&api.id)?;
    if all.len() >= max {
        return Err(over_quota(max, "resources in the API", "resources_per_api_max"));
    }
    check_place(&parent, &parsed, &path_part)?;
    check_siblings(&all, &parent, &parsed, &path_part)?;
    let id = new_id(RESOURCE_ID_LEN).map_err(|error| ApiError::internal(&error))?;
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

/// Takes the resources below with it.
pub(in super::super) fn delete(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let doomed = resource(change, &api.id, call.parameter(1))?;
    if doomed.parent_id.is_none() {
        return Err(ApiError::bad_request("The root resource can't be deleted: delete the API instead"));
    }
    let below = format!("{}/", doomed.path);
    for other in change.tx.parts::<Resource>(&api.id)? {
        if other.path.starts_with(&below) {
            change.tx.delete_part::<Resource>(&api.id, &other.id)?;
        }
    }
    change.tx.delete_part::<Resource>(&api.id, &doomed.id)?;
    change.trim_targets(&api.id);
    Ok(Value::Null)
}

fn child(parent: &Resource, id: String, path_part: String) -> Resource {
    Resource {
        id,
        path: format!("{}/{path_part}", parent.path.trim_end_matches('/')),
        parent_id: Some(parent.id.clone()),
        path_part: Some(path_part),
        methods: BTreeMap::new(),
    }
}

fn check_place(parent: &Resource, part: &PathPart, text: &str) -> Result<(), ApiError> {
    let parent_part = parent.path_part.as_deref().map(PathPart::parse);
    if let Some(Ok(PathPart::Greedy(_))) = parent_part {
        return Err(ApiError::bad_request(format!(
            "Cannot create a child of a resource with a greedy path variable: {}",
            parent.path
        )));
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

fn check_siblings(all: &[Resource], parent: &Resource, part: &PathPart, text: &str) -> Result<(), ApiError> {
    let siblings = all.iter().filter(|other| other.parent_id.as_ref() == Some(&parent.id));
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
fn answer(resource: &Resource, embed: bool) -> Value {
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
        check_siblings(tree, parent, &parsed, text)?;
        tree.push(child(parent, tree.len().to_string(), text.to_owned()));
        Ok(())
    }

    proptest! {
        #[test]
        fn every_tree_can_be_routed(parts in prop::collection::vec((any::<prop::sample::Index>(), routable::segment()), 0..60)) {
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
            let methods = |n: usize| if n.is_multiple_of(2) { ["ANY", "GET"] } else { ["PUT", "GET"] };
            let routes = tree.iter().enumerate().flat_map(|(n, resource)| {
                methods(n).map(|method| (method.to_owned(), resource.path.clone()))
            });
            routable::check(Protocol::Rest, &routes.collect::<Vec<_>>());
        }
    }
}
