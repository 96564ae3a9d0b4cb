//! Decides whether a request was signed by the access key that it names.

use ring::hmac;

use super::authorization::Authorization;
use super::canonical::{canonical_request, sha256_hex, signing_key, string_to_sign};
use super::{AccessKey, Scope, SignedRequest};
use crate::time::{amz_date, parse_amz_date};

/// What a signature has to be made for.
#[derive(Debug, Clone, Copy)]
pub struct Policy<'a> {
    pub key: &'a AccessKey,
    pub region: &'a str,
    pub service: &'a str,
    /// How far a client's clock may be off, in either direction.
    pub clock_skew_s_max: i64,
}

/// Why a request isn't believed; all but one answer 403. The messages go to the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    #[error("Missing Authentication Token: sign the request with AWS Signature Version 4")]
    MissingAuthenticationToken,
    #[error("{0}")]
    IncompleteSignature(String),
    #[error("The security token included in the request is invalid: {0}")]
    UnrecognizedClient(String),
    #[error("{0}")]
    InvalidSignature(String),
}

impl AuthError {
    /// AWS's name of the error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::MissingAuthenticationToken => "MissingAuthenticationTokenException",
            Self::IncompleteSignature(_) => "IncompleteSignatureException",
            Self::UnrecognizedClient(_) => "UnrecognizedClientException",
            Self::InvalidSignature(_) => "InvalidSignatureException",
        }
    }
}

/// Checks that `policy.key` signed `request` at about `now_s`.
///
/// # Errors
/// The first thing that is wrong, in the order: presence, form, key, scope, clock, signature.
pub fn verify(request: &SignedRequest<'_>, policy: &Policy<'_>, now_s: i64) -> Result<(), AuthError> {
    let header = authorization_header(request)?;
    let authorization = Authorization::parse(header)?;
    check_key(request, &authorization, policy)?;
    let signed_at = signing_time(request)?;
    check_scope(&authorization.scope, policy, signed_at)?;
    check_clock(signed_at, policy, now_s)?;
    check_signed_headers(request, &authorization)?;
    check_payload_hash(request)?;

    let canonical = canonical_request(request, &authorization.signed_headers);
    let to_sign = string_to_sign(signed_at, &authorization.scope, &canonical);
    let key = signing_key(policy.key, &authorization.scope);
    // ring compares in constant time.
    hmac::verify(&key, to_sign.as_bytes(), &authorization.signature).map_err(|_| {
        AuthError::InvalidSignature(format!(
            "The signature doesn't match the one computed for this request: check the secret access key. \
             Computed over the canonical request '{canonical}'"
        ))
    })
}

fn authorization_header<'a>(request: &SignedRequest<'a>) -> Result<&'a str, AuthError> {
    let mut found = request.header_values("authorization");
    match (found.next(), found.next()) {
        (Some(header), None) => Ok(header),
        (Some(_), Some(_)) => Err(AuthError::IncompleteSignature("Authorization comes twice".to_owned())),
        (None, _) if request.query.split('&').any(|pair| pair.starts_with("X-Amz-Signature=")) => {
            Err(AuthError::IncompleteSignature(
                "Signatures in the query aren't supported here: sign with the Authorization header"
                    .to_owned(),
            ))
        }
        (None, _) => Err(AuthError::MissingAuthenticationToken),
    }
}

fn check_key(
    request: &SignedRequest<'_>,
    authorization: &Authorization<'_>,
    policy: &Policy<'_>,
) -> Result<(), AuthError> {
    if authorization.access_key_id != policy.key.id {
        let id = authorization.access_key_id;
        return Err(AuthError::UnrecognizedClient(format!("no access key has the id '{id}'")));
    }
    if request.header("x-amz-security-token").is_some() {
        let why = "session tokens aren't supported, use the root access key without one";
        return Err(AuthError::UnrecognizedClient(why.to_owned()));
    }
    Ok(())
}

fn signing_time<'a>(request: &SignedRequest<'a>) -> Result<&'a str, AuthError> {
    let missing = || AuthError::IncompleteSignature("The request has no X-Amz-Date header".to_owned());
    request.header("x-amz-date").ok_or_else(missing)
}

fn check_scope(scope: &Scope<'_>, policy: &Policy<'_>, signed_at: &str) -> Result<(), AuthError> {
    let wrong = |what: &str, found: &str, expected: &str| {
        Err(AuthError::InvalidSignature(format!(
            "The credential is scoped to {what} '{found}', but it has to be '{expected}'"
        )))
    };
    if scope.service != policy.service {
        return wrong("service", scope.service, policy.service);
    }
    if scope.region != policy.region {
        return wrong("region", scope.region, policy.region);
    }
    match signed_at.get(..8) {
        Some(day) if day == scope.day => Ok(()),
        day => wrong("day", scope.day, day.unwrap_or(signed_at)),
    }
}

fn check_clock(signed_at: &str, policy: &Policy<'_>, now_s: i64) -> Result<(), AuthError> {
    let signed_at_s = parse_amz_date(signed_at).ok_or_else(|| {
        AuthError::IncompleteSignature(format!("X-Amz-Date has to be YYYYMMDDTHHMMSSZ, not '{signed_at}'"))
    })?;
    let (skew, allowed) = (now_s - signed_at_s, policy.clock_skew_s_max);
    if skew.abs() <= allowed {
        return Ok(());
    }
    let state = if skew > 0 { "expired" } else { "not yet current" };
    let now = amz_date(now_s);
    Err(AuthError::InvalidSignature(format!(
        "Signature {state}: it was made at {signed_at}, here it is {now}, and clocks may differ by {allowed} s"
    )))
}

/// What steers the request has to be under the signature.
fn check_signed_headers(
    request: &SignedRequest<'_>,
    authorization: &Authorization<'_>,
) -> Result<(), AuthError> {
    for name in ["host", "x-amz-date", "x-amz-target"] {
        let has_to = name != "x-amz-target" || request.header(name).is_some();
        if has_to && !authorization.signed_headers.contains(&name) {
            return Err(AuthError::InvalidSignature(format!("SignedHeaders has to include '{name}'")));
        }
    }
    for name in &authorization.signed_headers {
        if request.header(name).is_none() {
            let message = format!("SignedHeaders lists '{name}', which the request doesn't have");
            return Err(AuthError::InvalidSignature(message));
        }
    }
    Ok(())
}

/// Only a client that sends the hash can be told that its body was changed.
fn check_payload_hash(request: &SignedRequest<'_>) -> Result<(), AuthError> {
    match request.header("x-amz-content-sha256") {
        Some(hash) if !hash.eq_ignore_ascii_case(&sha256_hex(request.body)) => {
            Err(AuthError::InvalidSignature("X-Amz-Content-Sha256 isn't the SHA-256 of the body".to_owned()))
        }
        _ => Ok(()),
    }
}
