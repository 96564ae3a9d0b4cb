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
    /// Any of them; the first is the one that errors name.
    pub regions: &'a [&'a str],
    pub service: &'a str,
    /// How far a client's clock may be off, in either direction.
    pub clock_skew_s_max: i64,
}

/// Why a request isn't believed. The messages go to the caller, in AWS's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    #[error("Missing Authentication Token")]
    MissingAuthenticationToken,
    #[error("{0}")]
    IncompleteSignature(String),
    #[error("The security token included in the request is invalid.")]
    UnrecognizedClient,
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
            Self::UnrecognizedClient => "UnrecognizedClientException",
            Self::InvalidSignature(_) => "InvalidSignatureException",
        }
    }
}

/// What a request says of itself, to look for its key by. Nothing of it is believed yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim<'a> {
    pub access_key_id: &'a str,
    pub service: &'a str,
}

impl<'a> Claim<'a> {
    /// # Errors
    /// When the request isn't signed, not in this form, or with a session token: nobody here gives such.
    pub fn of(request: &SignedRequest<'a>) -> Result<Self, AuthError> {
        let authorization = Authorization::parse(authorization_header(request)?)?;
        if request.header("x-amz-security-token").is_some() {
            return Err(AuthError::UnrecognizedClient);
        }
        Ok(Self { access_key_id: authorization.access_key_id, service: authorization.scope.service })
    }
}

/// Checks that `policy.key` signed `request` at about `now_s`.
///
/// # Errors
/// The first thing that is wrong, in the order: presence, form, key, scope, clock, signature.
pub fn verify(request: &SignedRequest<'_>, policy: &Policy<'_>, now_s: i64) -> Result<(), AuthError> {
    if Claim::of(request)?.access_key_id != policy.key.id {
        return Err(AuthError::UnrecognizedClient);
    }
    let authorization = Authorization::parse(authorization_header(request)?)?;
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
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
             Access Key and signing method. Consult the service documentation for details.\n\nThe Canonical String \
             for this request should have been\n'{canonical}'\n\nThe String-to-Sign should have been\n'{to_sign}'\n"
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

fn signing_time<'a>(request: &SignedRequest<'a>) -> Result<&'a str, AuthError> {
    let missing = || {
        let what = "Authorization header requires existence of a 'X-Amz-Date' header.";
        AuthError::IncompleteSignature(what.to_owned())
    };
    request.header("x-amz-date").ok_or_else(missing)
}

fn check_scope(scope: &Scope<'_>, policy: &Policy<'_>, signed_at: &str) -> Result<(), AuthError> {
    let invalid = |message| Err(AuthError::InvalidSignature(message));
    if scope.service != policy.service {
        return invalid(format!("Credential should be scoped to correct service: '{}'. ", policy.service));
    }
    if !policy.regions.contains(&scope.region) {
        let expected = policy.regions.first().copied().unwrap_or_default();
        let found = scope.region;
        return invalid(format!(
            "Credential should be scoped to a valid region, not '{found}': it is '{expected}'. "
        ));
    }
    match signed_at.get(..8) {
        Some(day) if day == scope.day => Ok(()),
        day => invalid(format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: \
             '{}' != '{}', from '{signed_at}'.",
            scope.day,
            day.unwrap_or(signed_at)
        )),
    }
}

fn check_clock(signed_at: &str, policy: &Policy<'_>, now_s: i64) -> Result<(), AuthError> {
    let signed_at_s = parse_amz_date(signed_at).ok_or_else(|| {
        AuthError::IncompleteSignature(format!(
            "Date must be in ISO-8601 'basic format'. Got '{signed_at}'. See http://en.wikipedia.org/wiki/ISO_8601"
        ))
    })?;
    let (skew_s, allowed_s) = (now_s - signed_at_s, policy.clock_skew_s_max);
    let now = amz_date(now_s);
    let allowed = match allowed_s % 60 {
        0 => format!("{} min.", allowed_s / 60),
        _ => format!("{allowed_s} sec."),
    };
    if skew_s > allowed_s {
        let earliest = amz_date(now_s - allowed_s);
        return Err(AuthError::InvalidSignature(format!(
            "Signature expired: {signed_at} is now earlier than {earliest} ({now} - {allowed})"
        )));
    }
    if -skew_s > allowed_s {
        let latest = amz_date(now_s + allowed_s);
        return Err(AuthError::InvalidSignature(format!(
            "Signature not yet current: {signed_at} is still later than {latest} ({now} + {allowed})"
        )));
    }
    Ok(())
}

/// What steers the request has to be under the signature.
fn check_signed_headers(
    request: &SignedRequest<'_>,
    authorization: &Authorization<'_>,
) -> Result<(), AuthError> {
    for name in ["host", "x-amz-date", "x-amz-target"] {
        let has_to = name != "x-amz-target" || request.header(name).is_some();
        if has_to && !authorization.signed_headers.contains(&name) {
            let message = match name {
                "host" => {
                    "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.".to_owned()
                }
                name => format!("'{name}' must be a 'SignedHeader' in the AWS Authorization."),
            };
            return Err(AuthError::InvalidSignature(message));
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
