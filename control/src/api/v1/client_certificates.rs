//! `ClientCertificate`: generate, get, list, update, delete. What https:// upstreams are shown, so that they can tell
//! Turnpike from others.

use serde_json::{Value, json};

use super::super::call::{Call, compact};
use super::super::entities;
use super::super::error::ApiError;
use super::patch::{self, REPLACE, Table, Wording, rule};
use super::{DESCRIPTION_CHARS_MAX, PAGING, over_quota};
use crate::change::{Change, View};
use crate::model::{ClientCertificate, HttpStage, IntegrationTargets, LinkTargets, RestStage, Targets};
use crate::pki;

const ID_LEN: usize = 6;
/// As AWS's are.
const VALID_S: i64 = 365 * 86_400;
/// Upstreams' clocks needn't agree with this one's.
const CLOCK_SKEW_S: i64 = 300;

pub(in super::super) fn generate(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let mut members = call.members()?;
    let description = members.string("description", DESCRIPTION_CHARS_MAX)?;
    let tags = members.tags()?.unwrap_or_default();
    members.finish()?;
    let max = change.settings.quotas.client_certificates_max;
    if change.tx.entity_count::<ClientCertificate>("")? >= max {
        return Err(over_quota(max, "client certificates", "client_certificates_max"));
    }
    let id = change.new_entity_id::<ClientCertificate>(ID_LEN)?;
    let (from_s, to_s) = (change.now_s - CLOCK_SKEW_S, change.now_s + VALID_S);
    let made = pki::self_signed(&format!("Turnpike client certificate {id}"), from_s, to_s)
        .map_err(|error| ApiError::internal(&error))?;
    let certificate = ClientCertificate {
        description,
        tags,
        certificate: made.certificate_pem,
        private_key: change.tx.seal(&ClientCertificate::key_context(&id), &made.private_key.pkcs8)?,
        id,
        created_at_s: change.now_s,
        expires_at_s: to_s,
    };
    change.tx.put_entity(&certificate)?;
    Ok(answer(&certificate))
}

pub(in super::super) fn get(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    Ok(answer(&certificate(view, call.parameter(0))?))
}

pub(in super::super) fn list(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    entities::list(view, call, "", &PAGING, answer)
}

const PATCHES: Table<ClientCertificate> = Table {
    input: "updateClientCertificateInput",
    wording: Wording::Listed,
    rules: &[rule("/description", REPLACE, |certificate, patch| {
        certificate.description = patch.optional_text(DESCRIPTION_CHARS_MAX)?;
        Ok(())
    })],
};

pub(in super::super) fn update(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let mut certificate = certificate(change, call.parameter(0))?;
    patch::apply(&PATCHES, &mut certificate, call.members()?, answer)?;
    change.tx.put_entity(&certificate)?;
    Ok(answer(&certificate))
}

pub(in super::super) fn delete(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let certificate = certificate(change, call.parameter(0))?;
    let users = users(change, &certificate.id)?;
    if !users.is_empty() {
        return Err(ApiError::bad_request(format!(
            "Cannot delete client certificate '{}': it is used by {}",
            certificate.id,
            users.join(", ")
        )));
    }
    change.tx.delete_entity::<ClientCertificate>("", &certificate.id)?;
    Ok(Value::Null)
}

/// One that is known to exist.
pub(in super::super) fn certificate(view: &View<'_>, id: &str) -> Result<ClientCertificate, ApiError> {
    let certificate = view.tx.entity("", id)?;
    certificate.ok_or_else(|| ApiError::not_found("Invalid Client Certificate identifier specified"))
}

/// Stages and targets that show it, as an error names them.
fn users(view: &View<'_>, id: &str) -> Result<Vec<String>, ApiError> {
    let shown = |targets: &Targets| targets.tls.client_certificate.as_deref() == Some(id);
    let mut users = Vec::new();
    for (api_id, stage) in view.tx.all_parts::<RestStage>()? {
        if stage.client_certificate_id.as_deref() == Some(id) {
            users.push(format!("stage {} of API {api_id}", stage.name));
        }
    }
    for (api_id, stage) in view.tx.all_parts::<HttpStage>()? {
        if stage.client_certificate_id.as_deref() == Some(id) {
            users.push(format!("stage {} of API {api_id}", stage.name));
        }
    }
    for held in view.tx.entities::<LinkTargets>()? {
        if shown(&held.targets) {
            users.push(format!("the targets of VPC link {}", held.link_id));
        }
    }
    for (api_id, held) in view.tx.all_parts::<IntegrationTargets>()? {
        if shown(&held.targets) {
            users.push(format!("the targets of integration {} of API {api_id}", held.integration_id));
        }
    }
    Ok(users)
}

fn answer(certificate: &ClientCertificate) -> Value {
    compact(json!({
        "clientCertificateId": certificate.id,
        "createdDate": certificate.created_at_s,
        "description": certificate.description,
        "expirationDate": certificate.expires_at_s,
        "pemEncodedCertificate": certificate.certificate,
        "tags": certificate.tags,
    }))
}
