//! VPC links as both services share them: one space of ids, and who uses a link.

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

/// Removes a link that nothing uses, with its targets.
pub(super) fn delete_link<L: Entity>(change: &mut Change<'_>, link: &L) -> Result<(), ApiError> {
    change.tx.delete_entity::<L>("", link.id())?;
    change.tx.delete_entity::<LinkTargets>("", link.id())?;
    Ok(())
}

/// Integrations and stages that lead through the link, as an error names them.
pub(super) fn users(view: &View<'_>, id: &str) -> Result<Vec<String>, ApiError> {
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
