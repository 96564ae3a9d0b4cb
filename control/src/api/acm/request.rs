//! `RequestCertificate`: a certificate to be had by ACME.

use serde_json::{Value, json};

use super::super::error::ApiError;
use super::super::members::Members;
use super::certificates::check_quota;
use super::tags::take_tags;
use super::{arn, validation};
use crate::change::{Change, View};
use crate::model::{Certificate, Request, Tags, new_uuid, parse_domain_name};
use crate::pki::KeyAlgorithm;

const NAME_CHARS_MAX: usize = 253;
const TOKEN_CHARS_MAX: usize = 32;
/// AWS's limit of names in a certificate, which is Let's Encrypt's too.
const NAMES_MAX: usize = 100;
/// How long AWS remembers a token.
const TOKEN_S: i64 = 3_600;

pub(super) fn request(change: &mut Change<'_>, mut members: Members) -> Result<Value, ApiError> {
    let (request, tags) = take(&mut members)?;
    members.finish()?;
    if change.settings.acme.is_none() {
        return Err(validation(
            "No certificate authority is configured: set acme_directory_url of turnpike-control, or use ImportCertificate",
        ));
    }
    if let Some(earlier) = repeated(change, &request)? {
        return Ok(json!({"CertificateArn": arn(change, &earlier)}));
    }
    check_quota(change)?;
    let id = new_uuid().map_err(|error| ApiError::internal(&error))?;
    let request = Request { due_at_s: Some(change.now_s), ..request };
    let certificate =
        Certificate { id, tags, created_at_s: change.now_s, issued: None, request: Some(request) };
    change.tx.put_entity(&certificate)?;
    change.request_certificate();
    Ok(json!({"CertificateArn": arn(change, &certificate)}))
}

fn take(members: &mut Members) -> Result<(Request, Tags), ApiError> {
    check_method(members)?;
    let mut names = vec![take_name(&members.required("DomainName", NAME_CHARS_MAX)?)?];
    for name in members.list("SubjectAlternativeNames")?.unwrap_or_default() {
        let name = take_name(&name)?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.len() > NAMES_MAX {
        return Err(validation(format!("A certificate can have at most {NAMES_MAX} names")));
    }
    let key_algorithm = take_key_algorithm(members)?;
    let idempotency_token = members.string("IdempotencyToken", TOKEN_CHARS_MAX)?;
    if let Some(mut options) = members.object("Options")? {
        options.one_of("CertificateTransparencyLoggingPreference", &["ENABLED"])?;
        options.one_of("Export", &["DISABLED"])?;
        options.finish()?;
    }
    members.unsupported(&["CertificateAuthorityArn", "DomainValidationOptions", "ManagedBy"])?;
    let tags = take_tags(members)?;
    let request = Request {
        names,
        key_algorithm,
        idempotency_token,
        due_at_s: None,
        tries: 0,
        failure: None,
        order: None,
    };
    Ok((request, tags))
}

/// AWS's default is EMAIL, which isn't to be had here: so the one that is has to be named.
fn check_method(members: &mut Members) -> Result<(), ApiError> {
    match members.string("ValidationMethod", NAME_CHARS_MAX)?.as_deref() {
        Some("HTTP") => Ok(()),
        Some(method @ ("DNS" | "EMAIL")) => {
            Err(ApiError::unsupported(format!("ValidationMethod '{method}'")))
        }
        None => Err(validation(
            "ValidationMethod 'EMAIL', the default, is not supported by this version of Turnpike: name HTTP",
        )),
        Some(other) => {
            Err(validation(format!("ValidationMethod has to be HTTP, DNS or EMAIL, not '{other}'")))
        }
    }
}

fn take_name(text: &str) -> Result<String, ApiError> {
    let name = parse_domain_name(text).map_err(validation)?;
    match name.starts_with("*.") {
        true => Err(validation(format!(
            "'{name}' can't be validated over HTTP, which no wildcard can: import a certificate for it"
        ))),
        false => Ok(name),
    }
}

/// AWS's default is RSA_2048; here it is the curve that every client knows, since no RSA key can be made.
fn take_key_algorithm(members: &mut Members) -> Result<KeyAlgorithm, ApiError> {
    match members.one_of("KeyAlgorithm", &["EC_prime256v1", "EC_secp384r1"])?.as_deref() {
        Some("EC_secp384r1") => Ok(KeyAlgorithm::EcSecp384r1),
        _ => Ok(KeyAlgorithm::EcPrime256v1),
    }
}

/// The certificate that the same call made before.
fn repeated(view: &View<'_>, request: &Request) -> Result<Option<Certificate>, ApiError> {
    if request.idempotency_token.is_none() {
        return Ok(None);
    }
    let is_same = |certificate: &Certificate| {
        let earlier = certificate.request.as_ref();
        certificate.created_at_s > view.now_s - TOKEN_S
            && earlier.is_some_and(|earlier| {
                earlier.idempotency_token == request.idempotency_token
                    && earlier.names == request.names
                    && earlier.key_algorithm == request.key_algorithm
            })
    };
    Ok(view.tx.entities::<Certificate>()?.into_iter().find(is_same))
}
