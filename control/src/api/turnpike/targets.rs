//! Targets of a VPC link, of an HTTP API's integration, of a REST API's method: put, get, delete. What is put is in
//! use at once, whatever is deployed.

use serde_json::Value;

use super::super::call::Call;
use super::super::error::ApiError;
use super::super::{v1, v2};
use super::document;
use crate::change::{Change, View};
use crate::compile::{GroupOwner, ReferenceKind};
use crate::model::{ClientCertificate, IntegrationTargets, LinkTargets, Targets, rest_integration_id};

pub(in super::super) fn put_of_link(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let id = link(change, call)?;
    let targets = read(change, call)?;
    change.tx.put_entity(&LinkTargets { link_id: id.clone(), targets: targets.clone() })?;
    changed(change, &GroupOwner::Link { id })?;
    Ok(document::write(&targets))
}

pub(in super::super) fn get_of_link(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    let id = link(view, call)?;
    let held: Option<LinkTargets> = view.tx.entity("", &id)?;
    answer(held.map(|held| held.targets), || format!("The VPC link {id}"))
}

/// The link stays, and leads nowhere.
pub(in super::super) fn delete_of_link(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    get_of_link(change, call)?;
    let id = link(change, call)?;
    change.tx.delete_entity::<LinkTargets>("", &id)?;
    changed(change, &GroupOwner::Link { id })?;
    Ok(Value::Null)
}

/// The document that was put, whose client certificate exists.
fn read(view: &View<'_>, call: &Call) -> Result<Targets, ApiError> {
    let targets = document::read(call.members()?)?;
    if let Some(id) = &targets.tls.client_certificate
        && view.tx.entity::<ClientCertificate>("", id)?.is_none()
    {
        return Err(ApiError::bad_request(format!(
            "tls.clientCertificate: there is no client certificate '{id}'; GenerateClientCertificate makes one"
        )));
    }
    Ok(targets)
}

fn link(view: &View<'_>, call: &Call) -> Result<String, ApiError> {
    let id = call.parameter(0);
    if view.has_link(id)? {
        return Ok(id.to_owned());
    }
    Err(ApiError::not_found(format!("Invalid Vpc link identifier specified {id}")))
}

pub(in super::super) fn put_of_integration(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let owner = http_integration(change, call)?;
    put(change, call, owner)
}

pub(in super::super) fn get_of_integration(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    show(view, &http_integration(view, call)?)
}

pub(in super::super) fn delete_of_integration(
    change: &mut Change<'_>,
    call: &Call,
) -> Result<Value, ApiError> {
    let owner = http_integration(change, call)?;
    delete(change, owner)
}

pub(in super::super) fn put_of_method(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let owner = rest_integration(change, call)?;
    // Those that an integration had before it became another are still told, and can be deleted.
    let kind = v1::integrations::of_call(change, call)?.kind;
    check_has_targets(kind.is_http(), kind.name())?;
    put(change, call, owner)
}

pub(in super::super) fn get_of_method(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    show(view, &rest_integration(view, call)?)
}

pub(in super::super) fn delete_of_method(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let owner = rest_integration(change, call)?;
    delete(change, owner)
}

/// An integration that can have targets of its own.
struct Owner {
    api_id: String,
    integration_id: String,
}

impl Owner {
    fn group(&self) -> GroupOwner {
        GroupOwner::Integration { api_id: self.api_id.clone(), integration_id: self.integration_id.clone() }
    }
}

fn http_integration(view: &View<'_>, call: &Call) -> Result<Owner, ApiError> {
    let integration = v2::integrations::of_call(view, call)?;
    refuse_link(integration.link_id.as_deref())?;
    check_has_targets(integration.kind.calls_http(), integration.kind.name())?;
    Ok(Owner { api_id: call.parameter(0).to_owned(), integration_id: integration.id })
}

fn rest_integration(view: &View<'_>, call: &Call) -> Result<Owner, ApiError> {
    let integration = v1::integrations::of_call(view, call)?;
    refuse_link(integration.connection_id.as_deref())?;
    let integration_id = rest_integration_id(call.parameter(1), call.parameter(2));
    Ok(Owner { api_id: call.parameter(0).to_owned(), integration_id })
}

/// Only what calls an upstream by HTTP has targets.
fn check_has_targets(calls_http: bool, kind: &str) -> Result<(), ApiError> {
    match calls_http {
        true => Ok(()),
        false => Err(ApiError::bad_request(format!("An integration of the type {kind} has no targets"))),
    }
}

/// An integration that leads through a link has the link's targets.
fn refuse_link(link: Option<&str>) -> Result<(), ApiError> {
    link.map_or(Ok(()), |id| {
        Err(ApiError::bad_request(format!(
            "The integration leads through the VPC link {id}: its targets are those of the link"
        )))
    })
}

fn put(change: &mut Change<'_>, call: &Call, owner: Owner) -> Result<Value, ApiError> {
    let targets = read(change, call)?;
    let held = IntegrationTargets { integration_id: owner.integration_id.clone(), targets };
    change.tx.put_part(&owner.api_id, &held)?;
    changed(change, &owner.group())?;
    Ok(document::write(&held.targets))
}

fn show(view: &View<'_>, owner: &Owner) -> Result<Value, ApiError> {
    let held: Option<IntegrationTargets> = view.tx.part(&owner.api_id, &owner.integration_id)?;
    answer(held.map(|held| held.targets), || format!("The integration {}", owner.integration_id))
}

/// The integration leads to its URI's host again.
fn delete(change: &mut Change<'_>, owner: Owner) -> Result<Value, ApiError> {
    show(change, &owner)?;
    change.tx.delete_part::<IntegrationTargets>(&owner.api_id, &owner.integration_id)?;
    changed(change, &owner.group())?;
    Ok(Value::Null)
}

fn answer(targets: Option<Targets>, owner: impl Fn() -> String) -> Result<Value, ApiError> {
    let none = || ApiError::not_found(format!("{} has no targets", owner()));
    targets.map(|targets| document::write(&targets)).ok_or_else(none)
}

/// The group is compiled again, and what says of its stages whether there is one, and how it is spoken to.
fn changed(change: &mut Change<'_>, owner: &GroupOwner) -> Result<(), ApiError> {
    for kind in [ReferenceKind::TargetGroup, ReferenceKind::UpstreamTrustStore] {
        change.recompile_referred(owner.reference(kind));
    }
    match owner {
        GroupOwner::Integration { api_id, .. } => change.recompile_api(api_id)?,
        GroupOwner::Link { .. } => {
            for (api_id, stage) in change.tx.stages_referring(&owner.reference(ReferenceKind::TargetGroup))? {
                change.recompile(&api_id, &stage);
            }
        }
    }
    Ok(())
}
