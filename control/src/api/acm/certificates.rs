//! `DescribeCertificate`, `GetCertificate`, `DeleteCertificate`.

use serde_json::{Value, json};

use super::super::call::compact;
use super::super::domains;
use super::super::error::ApiError;
use super::super::members::Members;
use super::{arn, named};
use crate::change::{Change, View};
use crate::model::{Certificate, DomainName, Issued};

pub(super) fn describe(view: &View<'_>, mut members: Members) -> Result<Value, ApiError> {
    let certificate = named(view, &mut members)?;
    members.finish()?;
    Ok(json!({"Certificate": detail(view, &certificate)?}))
}

pub(super) fn get(view: &View<'_>, mut members: Members) -> Result<Value, ApiError> {
    let certificate = named(view, &mut members)?;
    members.finish()?;
    let issued = certificate.issued.as_ref().ok_or_else(|| ApiError {
        status: 400,
        code: "RequestInProgressException",
        message: format!("Certificate {} has not been issued yet", arn(view, &certificate)),
    })?;
    let (first, rest) = issued.chain.split_first().map_or(("", &[][..]), |(first, rest)| (first, rest));
    Ok(compact(json!({
        "Certificate": first,
        "CertificateChain": (!rest.is_empty()).then(|| rest.concat()),
    })))
}

pub(super) fn delete(change: &mut Change<'_>, mut members: Members) -> Result<Value, ApiError> {
    let certificate = named(change, &mut members)?;
    members.finish()?;
    let users = in_use_by(change, &certificate)?;
    if !users.is_empty() {
        return Err(ApiError {
            status: 400,
            code: "ResourceInUseException",
            message: format!("Certificate {} is in use by {}", arn(change, &certificate), users.join(", ")),
        });
    }
    change.tx.delete_entity::<Certificate>("", &certificate.id)?;
    Ok(Value::Null)
}

/// Refuses one more certificate than the quota allows.
pub(super) fn check_quota(view: &View<'_>) -> Result<(), ApiError> {
    let max = view.settings.quotas.certificates_max;
    if view.tx.entity_count::<Certificate>("")? < max {
        return Ok(());
    }
    Err(ApiError {
        status: 400,
        code: "LimitExceededException",
        message: format!("There are already {max} certificates: raise certificates_max for more"),
    })
}

/// ARNs of the domain names that are served with it.
pub(super) fn in_use_by(view: &View<'_>, certificate: &Certificate) -> Result<Vec<String>, ApiError> {
    let users: Vec<DomainName> = view.tx.entities_using(&certificate.id)?;
    Ok(users.iter().map(|domain| domains::arn(view, &domain.name)).collect())
}

/// AWS's word for where it stands.
pub(super) fn status(view: &View<'_>, certificate: &Certificate) -> &'static str {
    match &certificate.issued {
        Some(issued) if view.now_s > issued.facts.not_after_s => "EXPIRED",
        Some(_) => "ISSUED",
        None => "PENDING_VALIDATION",
    }
}

fn detail(view: &View<'_>, certificate: &Certificate) -> Result<Value, ApiError> {
    let mut detail = json!({
        "CertificateArn": arn(view, certificate),
        "CreatedAt": certificate.created_at_s,
        "InUseBy": in_use_by(view, certificate)?,
        "RenewalEligibility": "INELIGIBLE",
        "Status": status(view, certificate),
        "Type": "IMPORTED",
    });
    if let Some(issued) = &certificate.issued {
        merge(&mut detail, issued_detail(issued));
        merge(&mut detail, json!({"ImportedAt": issued.at_s}));
    }
    Ok(detail)
}

fn issued_detail(issued: &Issued) -> Value {
    let facts = &issued.facts;
    let usages = facts.key_usages.iter().map(|name| json!({"Name": name}));
    let extended = facts.extended_key_usages.iter().map(|(name, oid)| json!({"Name": name, "OID": oid}));
    json!({
        "DomainName": facts.domain_name(),
        "ExtendedKeyUsages": extended.collect::<Vec<_>>(),
        "Issuer": facts.issuer,
        "KeyAlgorithm": facts.key_algorithm.name(),
        "KeyUsages": usages.collect::<Vec<_>>(),
        "NotAfter": facts.not_after_s,
        "NotBefore": facts.not_before_s,
        "Serial": facts.serial,
        "SignatureAlgorithm": facts.signature_algorithm,
        "Subject": facts.subject,
        "SubjectAlternativeNames": facts.names,
    })
}

/// Adds the members of one object to another.
pub(super) fn merge(into: &mut Value, members: Value) {
    if let (Value::Object(into), Value::Object(members)) = (into, members) {
        into.extend(members);
    }
}
