//! Whose tokens a `JWT` authorizer takes, as calls and answers have it.

use serde_json::{Value, json};

use super::super::super::call::compact;
use super::super::super::error::ApiError;
use super::super::super::members::Members;
use super::super::{NAME_CHARS_MAX, URI_CHARS_MAX};
use super::check_count;
use crate::model::{RestJwt, RestJwtClaim, RestJwtIssuer};

/// Of each list; arbitrary, far above what an authorizer in use has.
const ENTRIES_MAX: usize = 100;
const ALGORITHMS: [&str; 6] = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512"];
/// What a token's own members are called, which no further claim can be.
const OWN_CLAIMS: [&str; 7] = ["iss", "aud", "exp", "nbf", "iat", "scope", "scp"];

pub(super) fn take(members: &mut Members) -> Result<Option<RestJwt>, ApiError> {
    let Some(mut configuration) = members.object("jwtConfiguration")? else { return Ok(None) };
    let issuers = configuration.objects("issuers")?.unwrap_or_default();
    let issuers = issuers.into_iter().map(take_issuer).collect::<Result<_, _>>()?;
    let algorithms = configuration.list("defaultAlgorithms")?.unwrap_or_default();
    configuration.finish()?;
    Ok(Some(RestJwt { issuers, algorithms }))
}

fn take_issuer(mut members: Members) -> Result<RestJwtIssuer, ApiError> {
    let issuer = members.required("issuer", URI_CHARS_MAX)?;
    let audiences = members.list("audiences")?.unwrap_or_default();
    let claims = members.objects("additionalClaims")?.unwrap_or_default();
    let claims = claims.into_iter().map(take_claim).collect::<Result<_, _>>()?;
    // Clients send back what they were told.
    members.string("jwksUri", URI_CHARS_MAX)?;
    members.finish()?;
    Ok(RestJwtIssuer { issuer, audiences, claims })
}

fn take_claim(mut members: Members) -> Result<RestJwtClaim, ApiError> {
    let name = members.required("claimName", NAME_CHARS_MAX)?;
    members.required("format", NAME_CHARS_MAX)?;
    let claim = RestJwtClaim {
        name,
        required: members.boolean("required")?.unwrap_or(false),
        expected_values: members.list("expectedValues")?.unwrap_or_default(),
    };
    members.finish()?;
    Ok(claim)
}

pub(super) fn check(jwt: &RestJwt) -> Result<(), ApiError> {
    let bad = |text: String| Err(ApiError::bad_request(text));
    if jwt.issuers.is_empty() || jwt.algorithms.is_empty() {
        return bad("jwtConfiguration needs issuers and defaultAlgorithms".to_owned());
    }
    check_count("issuers", jwt.issuers.len(), ENTRIES_MAX)?;
    check_count("defaultAlgorithms", jwt.algorithms.len(), ENTRIES_MAX)?;
    if let Some(other) = jwt.algorithms.iter().find(|name| !ALGORITHMS.contains(&name.as_str())) {
        return bad(format!("defaultAlgorithms can have {}, not '{other}'", ALGORITHMS.join(", ")));
    }
    for (at, issuer) in jwt.issuers.iter().enumerate() {
        let url = &issuer.issuer;
        let authority = url.strip_prefix("https://").and_then(|rest| rest.split('/').next());
        if authority.is_none_or(|host| host.is_empty() || host.contains('@')) || url.contains(['?', '#']) {
            return bad(format!(
                "An issuer is an https URL without user information, query and fragment: '{url}'"
            ));
        }
        if jwt.issuers[..at].iter().any(|other| other.issuer == *url) {
            return bad(format!("The issuer '{url}' comes twice"));
        }
        check_texts("audiences", &issuer.audiences)?;
        check_count("additionalClaims", issuer.claims.len(), ENTRIES_MAX)?;
        if issuer.audiences.is_empty() || issuer.audiences.iter().any(String::is_empty) {
            return bad(format!("The issuer '{url}' needs audiences, none of them empty"));
        }
        for (at, claim) in issuer.claims.iter().enumerate() {
            check_texts("expectedValues", &claim.expected_values)?;
            let twice = issuer.claims[..at].iter().any(|other| other.name == claim.name);
            if twice || OWN_CLAIMS.contains(&claim.name.as_str()) {
                return bad(format!(
                    "The additional claim '{}' comes twice, or is checked anyway",
                    claim.name
                ));
            }
        }
    }
    Ok(())
}

fn check_texts(member: &str, texts: &[String]) -> Result<(), ApiError> {
    check_count(member, texts.len(), ENTRIES_MAX)?;
    match texts.iter().any(|text| text.chars().count() > NAME_CHARS_MAX) {
        true => Err(ApiError::bad_request(format!(
            "Each of {member} can have at most {NAME_CHARS_MAX} characters"
        ))),
        false => Ok(()),
    }
}

/// The keys' address isn't known before the data plane has asked the issuer.
pub(super) fn answer(jwt: &RestJwt) -> Value {
    let claim = |claim: &RestJwtClaim| {
        let values = &claim.expected_values;
        compact(json!({
            "claimName": claim.name,
            "expectedValues": (!values.is_empty()).then_some(values),
            "format": "SINGLE_STRING",
            "required": claim.required,
        }))
    };
    let issuer = |issuer: &RestJwtIssuer| {
        let claims: Vec<Value> = issuer.claims.iter().map(claim).collect();
        compact(json!({
            "additionalClaims": (!claims.is_empty()).then_some(claims),
            "audiences": issuer.audiences,
            "issuer": issuer.issuer,
        }))
    };
    json!({
        "defaultAlgorithms": jwt.algorithms,
        "issuers": jwt.issuers.iter().map(issuer).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(body: &str) -> Result<(), ApiError> {
        check(&take(&mut Members::parse(body.as_bytes())?)?.expect("given"))
    }

    #[test]
    fn issuers_are_checked() {
        let jwt = |issuer: &str, rest: &str, algorithm: &str| {
            taken(&format!(
                r#"{{"jwtConfiguration":{{"defaultAlgorithms":["{algorithm}"],
                    "issuers":[{{"issuer":"{issuer}","audiences":["me"]{rest}}}]}}}}"#
            ))
        };
        assert!(jwt("https://issuer.example/pool", "", "RS256").is_ok());
        let claims = |name: &str| {
            format!(r#","additionalClaims":[{{"claimName":"{name}","format":"SINGLE_STRING"}}]"#)
        };
        assert!(jwt("https://issuer.example", &claims("client_id"), "ES512").is_ok());
        for (issuer, rest, algorithm) in [
            ("http://issuer.example", String::new(), "RS256"),
            ("https://", String::new(), "RS256"),
            ("https://u@h", String::new(), "RS256"),
            ("https://h/?q", String::new(), "RS256"),
            ("https://h", claims("iss"), "RS256"),
            ("https://h", String::new(), "HS256"),
        ] {
            assert_eq!(
                jwt(issuer, &rest, algorithm).expect_err(issuer).status,
                400,
                "{issuer}{rest}{algorithm}"
            );
        }
    }
}
