//! VPC links as both services share them: one space of ids, who uses a link, and all calls but those that make and
//! change one.

use serde_json::Value;

use super::call::{Call, PagingNames};
use super::entities;
use super::error::ApiError;
use crate::change::{Change, View};
use crate::compile::{GroupOwner, ReferenceKind};
use crate::model::{Entity, HttpIntegration, LinkTargets, Resource, new_id};

const LINK_ID_LEN: usize = 6;

/// An id that no link of either service has, since targets are found by it.
pub(super) fn new_link_id(view: &View<'_>) -> Result<String, ApiError> {
    loop {
        let id = new_id(LINK_ID_LEN).map_err(|error| ApiError::internal(&error))?;
        if !view.has_link(&id)? {
            return Ok(id);
        }
    }
}

/// A link as callers of its service see it.
pub(super) trait Link: Entity {
    const PAGING: PagingNames;

    /// What answers about it are.
    fn answer(&self) -> Value;

    /// The error for one that isn't there.
    fn missing(id: &str) -> ApiError;

    /// The error for one that can't go because of these.
    fn in_use(id: &str, users: &str) -> ApiError;
}

/// The link that the path names.
pub(super) fn of_call<L: Link>(view: &View<'_>, call: &Call) -> Result<L, ApiError> {
    let id = call.parameter(0);
    view.tx.entity("", id)?.ok_or_else(|| L::missing(id))
}

pub(super) fn get<L: Link>(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    Ok(of_call::<L>(view, call)?.answer())
}

pub(super) fn list<L: Link>(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    entities::list(view, call, "", &L::PAGING, L::answer)
}

/// Its targets go with it.
pub(super) fn delete<L: Link>(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let link = of_call::<L>(change, call)?;
    let users = users(change, link.id())?;
    if !users.is_empty() {
        return Err(L::in_use(link.id(), &users.join(", ")));
    }
    change.tx.delete_entity::<L>("", link.id())?;
    change.tx.delete_entity::<LinkTargets>("", link.id())?;
    Ok(Value::Null)
}

/// Integrations and stages that lead through the link, as an error names them.
fn users(view: &View<'_>, id: &str) -> Result<Vec<String>, ApiError> {
    let mut users = Vec::new();
    for (api_id, integration) in view.tx.all_parts::<HttpIntegration>()? {
        if integration.link_id.as_deref() == Some(id) {
            users.push(format!("integration {} of API {api_id}", integration.id));
        }
    }
    for (api_id, resource) in view.tx.all_parts::<Resource>()? {
        for (name, method) in &resource.methods {
            let integration = method.integration.as_ref();
            if integration.is_some_and(|integration| integration.connection_id.as_deref() == Some(id)) {
                users.push(format!("method {name} {} of API {api_id}", resource.path));
            }
        }
    }
    let group = GroupOwner::Link { id: id.to_owned() }.reference(ReferenceKind::TargetGroup);
    for (api_id, stage) in view.tx.stages_referring(&group)? {
        users.push(format!("stage {stage} of API {api_id}"));
    }
    Ok(users)
}
