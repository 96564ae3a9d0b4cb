//! `DescribeCertificate`, `GetCertificate`, `DeleteCertificate`.

use serde_json::{Value, json};

use super::super::call::compact;
use super::super::domains;
use super::super::error::ApiError;
use super::super::members::Members;
use super::{arn, named};
use crate::change::{Change, View};
use crate::model::{Certificate, Challenge, DomainName, Issued, Request};
use crate::pki::KeyAlgorithm;

pub(super) fn describe(view: &View<'_>, mut members: Members) -> Result<Value, ApiError> {
    let certificate = named(view, &mut members)?;
    members.finish()?;
    Ok(json!({"Certificate": detail(view, &certificate)?}))
}

pub(super) fn get(view: &View<'_>, mut members: Members) -> Result<Value, ApiError> {
    let certificate = named(view, &mut members)?;
    members.finish()?;
    let issued = certificate.issued.as_ref().ok_or_else(|| not_issued(view, &certificate))?;
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
    change.tx.delete_entities_of::<Challenge>(&certificate.id)?;
    change.recompile_account();
    Ok(Value::Null)
}

fn not_issued(view: &View<'_>, certificate: &Certificate) -> ApiError {
    let arn = arn(view, certificate);
    let (code, message) = match status(view, certificate) {
        "FAILED" => ("ValidationException", format!("Certificate {arn} has failed and was never issued")),
        _ => ("RequestInProgressException", format!("Certificate {arn} has not been issued yet")),
    };
    ApiError { status: 400, code, message }
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
    let has_failed = certificate.request.as_ref().is_some_and(|request| request.due_at_s.is_none());
    match &certificate.issued {
        Some(issued) if view.now_s > issued.facts.not_after_s => "EXPIRED",
        Some(_) => "ISSUED",
        None if has_failed => "FAILED",
        None => "PENDING_VALIDATION",
    }
}

/// AWS's word for where it comes from.
pub(super) fn kind(certificate: &Certificate) -> &'static str {
    if certificate.request.is_some() { "AMAZON_ISSUED" } else { "IMPORTED" }
}

/// When it was issued or imported, under AWS's name for that.
pub(super) fn issued_at(certificate: &Certificate) -> Value {
    match (&certificate.issued, &certificate.request) {
        (None, _) => json!({}),
        (Some(issued), None) => json!({"ImportedAt": issued.at_s}),
        (Some(issued), Some(_)) => json!({"IssuedAt": issued.at_s}),
    }
}

/// The names that it has or, until then, that it is to have.
pub(super) fn names(certificate: &Certificate) -> &[String] {
    match (&certificate.issued, &certificate.request) {
        (Some(issued), _) => &issued.facts.names,
        (None, Some(request)) => &request.names,
        (None, None) => &[],
    }
}

fn detail(view: &View<'_>, certificate: &Certificate) -> Result<Value, ApiError> {
    let mut detail = json!({
        "CertificateArn": arn(view, certificate),
        "CreatedAt": certificate.created_at_s,
        "DomainName": domain_name(certificate),
        "InUseBy": in_use_by(view, certificate)?,
        "KeyAlgorithm": key_algorithm(certificate),
        "RenewalEligibility": "INELIGIBLE",
        "Status": status(view, certificate),
        "SubjectAlternativeNames": names(certificate),
        "Type": kind(certificate),
    });
    merge(&mut detail, issued_at(certificate));
    if let Some(issued) = &certificate.issued {
        merge(&mut detail, issued_detail(issued));
    }
    if let Some(request) = &certificate.request {
        merge(&mut detail, request_detail(certificate, request));
    }
    Ok(detail)
}

/// What stands for all of the names.
pub(super) fn domain_name(certificate: &Certificate) -> Option<&str> {
    match (&certificate.request, &certificate.issued) {
        (Some(request), _) => request.names.first().map(String::as_str),
        (None, Some(issued)) => Some(issued.facts.domain_name()),
        (None, None) => None,
    }
}

/// Of the key that it has or, until then, that it is to have.
pub(super) fn key_algorithm(certificate: &Certificate) -> Option<&'static str> {
    let issued = certificate.issued.as_ref().map(|issued| issued.facts.key_algorithm);
    let wanted = certificate.request.as_ref().map(|request| request.key_algorithm);
    issued.or(wanted).map(KeyAlgorithm::name)
}

fn issued_detail(issued: &Issued) -> Value {
    let facts = &issued.facts;
    let usages = facts.key_usages.iter().map(|name| json!({"Name": name}));
    let extended = facts.extended_key_usages.iter().map(|(name, oid)| json!({"Name": name, "OID": oid}));
    json!({
        "ExtendedKeyUsages": extended.collect::<Vec<_>>(),
        "Issuer": facts.issuer,
        "KeyUsages": usages.collect::<Vec<_>>(),
        "NotAfter": facts.not_after_s,
        "NotBefore": facts.not_before_s,
        "Serial": facts.serial,
        "SignatureAlgorithm": facts.signature_algorithm,
        "Subject": facts.subject,
    })
}

/// How a request stands: until it is issued in its own members, from then on as a renewal.
fn request_detail(certificate: &Certificate, request: &Request) -> Value {
    let (is_issued, has_failed) = (certificate.issued.is_some(), request.due_at_s.is_none());
    let validations = |status: &str| -> Value {
        let one = |name| json!({"DomainName": name, "ValidationMethod": "HTTP", "ValidationStatus": status});
        request.names.iter().map(one).collect()
    };
    let status = match (is_issued, has_failed) {
        (true, _) => "SUCCESS",
        (false, true) => "FAILED",
        (false, false) => "PENDING_VALIDATION",
    };
    let mut detail = json!({
        "DomainValidationOptions": validations(status),
    });
    match &request.failure {
        Some(failure) if is_issued => {
            detail["RenewalSummary"] = json!({
                "DomainValidationOptions": validations("PENDING_VALIDATION"),
                "RenewalStatus": "PENDING_AUTO_RENEWAL",
                "RenewalStatusReason": failure.reason,
                "UpdatedAt": failure.at_s,
            });
        }
        // Beyond AWS, which says it only once it is final: whoever waits can see why.
        Some(failure) => detail["FailureReason"] = failure.reason.clone().into(),
        None => {}
    }
    detail
}

/// Adds the members of one object to another.
pub(super) fn merge(into: &mut Value, members: Value) {
    if let (Value::Object(into), Value::Object(members)) = (into, members) {
        into.extend(members);
    }
}
