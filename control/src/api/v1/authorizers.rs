//! `Authorizer`: create, get, list, update, delete. Whether requests pass is the data plane's to decide.

use serde_json::{Value, json};

use super::super::call::{Call, compact};
use super::super::error::ApiError;
use super::super::members::Members;
use super::parts::{Shown, check_name, new_part_id, of_call};
use super::patch::{self, ADD_REMOVE, ADD_REPLACE_REMOVE, Op, REPLACE, Table, Wording, rule};
use super::users::{Use, check_unused};
use super::{NAME_CHARS_MAX, URI_CHARS_MAX, api, over_quota};
use crate::change::{Change, View};
use crate::model::{
    AUTHORIZER_RESULT_TTL_S_DEFAULT, AUTHORIZER_RESULT_TTL_S_MAX, RestAuthorizer, RestAuthorizerKind,
    RestJwt, RestJwtClaim, RestJwtIssuer,
};

const NOUN: &str = "Authorizer";
const ALGORITHMS: [&str; 6] = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512"];
/// What a token's own members are called, which no further claim can be.
const OWN_CLAIMS: [&str; 7] = ["iss", "aud", "exp", "nbf", "iat", "scope", "scp"];

pub(in super::super) fn create(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let max = change.settings.quotas.authorizers_per_api_max;
    if change.tx.part_count::<RestAuthorizer>(&api.id)? >= max {
        return Err(over_quota(max, "authorizers in the API", "authorizers_per_api_max"));
    }
    let mut authorizer = take(call.members()?)?;
    authorizer.id = new_part_id::<RestAuthorizer>(change, &api.id)?;
    put(change, &api.id, &authorizer)
}

/// What an operation leaves out of the result is looked at once all are applied.
const PATCHES: Table<RestAuthorizer> = Table {
    input: "updateAuthorizerInput",
    wording: Wording::Listed,
    rules: &[
        rule("/authorizerUri", REPLACE, |authorizer, patch| {
            authorizer.uri = patch.optional_text(URI_CHARS_MAX)?;
            Ok(())
        }),
        rule("/authorizerCredentials", REPLACE, |authorizer, patch| {
            authorizer.credentials = patch.optional_text(URI_CHARS_MAX)?;
            Ok(())
        }),
        rule("/authorizerResultTtlInSeconds", REPLACE, |authorizer, patch| {
            authorizer.result_ttl_s = Some(patch.integer(0..=AUTHORIZER_RESULT_TTL_S_MAX)?);
            Ok(())
        }),
        rule("/authType", REPLACE, |authorizer, patch| {
            authorizer.auth_type = patch.text(NAME_CHARS_MAX)?;
            Ok(())
        }),
        rule("/identitySource", ADD_REPLACE_REMOVE, |authorizer, patch| {
            authorizer.identity_source = patch.optional_text(URI_CHARS_MAX)?;
            Ok(())
        }),
        rule("/identityValidationExpression", REPLACE, |authorizer, patch| {
            authorizer.identity_validation_expression = patch.optional_text(URI_CHARS_MAX)?;
            Ok(())
        }),
        rule("/name", REPLACE, |authorizer, patch| {
            authorizer.name = patch.required_text(NAME_CHARS_MAX)?;
            Ok(())
        }),
        rule("/providerARNs", ADD_REMOVE, |authorizer, patch| {
            let arn = patch.required_text(URI_CHARS_MAX)?;
            authorizer.provider_arns.retain(|other| *other != arn);
            if patch.op == Op::Add {
                authorizer.provider_arns.push(arn);
            }
            Ok(())
        }),
        rule("/type", REPLACE, |authorizer, patch| {
            authorizer.kind = parse_kind(patch.value()?)?;
            Ok(())
        }),
    ],
};

pub(in super::super) fn update(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let (api_id, mut authorizer) = of_call::<RestAuthorizer>(change, call)?;
    patch::apply(&PATCHES, &mut authorizer, call.members()?, Shown::answer)?;
    put(change, &api_id, &authorizer)
}

pub(in super::super) fn delete(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let (api_id, authorizer) = of_call::<RestAuthorizer>(change, call)?;
    let what = format!("authorizer '{}'", authorizer.name);
    check_unused(change, &api_id, &what, Use::Authorizer(&authorizer.id))?;
    change.tx.delete_part::<RestAuthorizer>(&api_id, &authorizer.id)?;
    Ok(Value::Null)
}

/// Nothing runs authorizers so far: to answer as if one had been asked would mislead.
pub(in super::super) fn test(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    let (_, authorizer) = of_call::<RestAuthorizer>(view, call)?;
    let kind = authorizer.kind.name();
    Err(ApiError::unsupported(format!("TestInvokeAuthorizer of an authorizer of type {kind}")))
}

/// Keeps the authorizer, if it can be one.
fn put(change: &Change<'_>, api_id: &str, authorizer: &RestAuthorizer) -> Result<Value, ApiError> {
    check(authorizer)?;
    check_name::<RestAuthorizer>(change, api_id, &authorizer.id, &authorizer.name, NOUN)?;
    change.tx.put_part(api_id, authorizer)?;
    Ok(authorizer.answer())
}

/// What a new authorizer is, but for its id.
fn take(mut members: Members) -> Result<RestAuthorizer, ApiError> {
    let name = members.required("name", NAME_CHARS_MAX)?;
    let kind = parse_kind(&members.required("type", NAME_CHARS_MAX)?)?;
    let default_auth_type = match kind {
        RestAuthorizerKind::Token | RestAuthorizerKind::Request => "custom",
        RestAuthorizerKind::CognitoUserPools => "cognito_user_pools",
        RestAuthorizerKind::Jwt => "jwt",
    };
    let default_ttl = kind.is_function().then_some(AUTHORIZER_RESULT_TTL_S_DEFAULT);
    let ttl = members.integer("authorizerResultTtlInSeconds", 0..=AUTHORIZER_RESULT_TTL_S_MAX)?;
    let mut text = |name: &str, chars_max| {
        members.string(name, chars_max).map(|text| text.filter(|text| !text.is_empty()))
    };
    let authorizer = RestAuthorizer {
        id: String::new(),
        name,
        kind,
        auth_type: text("authType", NAME_CHARS_MAX)?.unwrap_or_else(|| default_auth_type.to_owned()),
        uri: text("authorizerUri", URI_CHARS_MAX)?,
        credentials: text("authorizerCredentials", URI_CHARS_MAX)?,
        identity_source: text("identitySource", URI_CHARS_MAX)?,
        identity_validation_expression: text("identityValidationExpression", URI_CHARS_MAX)?,
        provider_arns: members.list("providerARNs")?.unwrap_or_default(),
        result_ttl_s: ttl.or(default_ttl),
        jwt: take_jwt(&mut members)?,
    };
    members.finish()?;
    Ok(authorizer)
}

fn parse_kind(name: &str) -> Result<RestAuthorizerKind, ApiError> {
    RestAuthorizerKind::of_name(name).ok_or_else(|| {
        let names = RestAuthorizerKind::NAMES.join(", ");
        ApiError::bad_request(format!("type has to be one of {names}, not '{name}'"))
    })
}

/// What each type needs, and what it has no use for.
fn check(authorizer: &RestAuthorizer) -> Result<(), ApiError> {
    let kind = authorizer.kind.name();
    let only_for = |member: &str, kinds: &str| {
        ApiError::bad_request(format!("{member} is for authorizers of type {kinds}, not {kind}"))
    };
    if authorizer.kind.is_function() {
        check_uri(authorizer.uri.as_deref().unwrap_or_default())?;
    } else if authorizer.uri.is_some() {
        return Err(only_for("authorizerUri", "TOKEN or REQUEST"));
    }
    let pools = authorizer.kind == RestAuthorizerKind::CognitoUserPools;
    match (&authorizer.provider_arns[..], pools) {
        ([], true) => return Err(ApiError::bad_request(format!("providerARNs is required for type {kind}"))),
        (arns, true) => arns.iter().try_for_each(|arn| check_provider(arn))?,
        ([], false) => {}
        (_, false) => return Err(only_for("providerARNs", "COGNITO_USER_POOLS")),
    }
    match (&authorizer.jwt, authorizer.kind == RestAuthorizerKind::Jwt) {
        (Some(jwt), true) => check_jwt(jwt)?,
        (None, true) => return Err(ApiError::bad_request("jwtConfiguration is required for type JWT")),
        (Some(_), false) => return Err(only_for("jwtConfiguration", "JWT")),
        (None, false) => {}
    }
    check_for_jwt(authorizer)?;
    check_identity_source(authorizer)
}

/// What AWS doesn't take for this type.
fn check_for_jwt(authorizer: &RestAuthorizer) -> Result<(), ApiError> {
    if authorizer.kind != RestAuthorizerKind::Jwt {
        return Ok(());
    }
    let given = [
        ("authorizerCredentials", authorizer.credentials.is_some()),
        ("authorizerResultTtlInSeconds", authorizer.result_ttl_s.is_some()),
        ("identityValidationExpression", authorizer.identity_validation_expression.is_some()),
    ];
    match given.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((name, _)) => Err(ApiError::bad_request(format!("{name} is not for authorizers of type JWT"))),
    }
}

/// Like `arn:aws:apigateway:REGION:lambda:path/2015-03-31/functions/ARN/invocations`.
fn check_uri(uri: &str) -> Result<(), ApiError> {
    let mut fields = uri.splitn(6, ':');
    let mut field = || fields.next().unwrap_or_default();
    let (arn, _partition, service, region, integration, path) =
        (field(), field(), field(), field(), field(), field());
    let is_function = (arn, service, integration) == ("arn", "apigateway", "lambda")
        && !region.is_empty()
        && path.starts_with("path/")
        && path.ends_with("/invocations");
    if is_function {
        return Ok(());
    }
    Err(ApiError::bad_request(format!(
        "Invalid Authorizer URI: {uri}. Authorizer URI should be a valid API Gateway ARN that represents a Lambda \
         function invocation."
    )))
}

/// Like `arn:aws:cognito-idp:REGION:ACCOUNT:userpool/ID`.
fn check_provider(arn: &str) -> Result<(), ApiError> {
    let fields: Vec<&str> = arn.splitn(6, ':').collect();
    let is_pool = matches!(fields[..], ["arn", _, "cognito-idp", region, account, pool]
        if !region.is_empty() && !account.is_empty()
            && pool.strip_prefix("userpool/").is_some_and(|id| !id.is_empty()));
    if is_pool {
        return Ok(());
    }
    Err(ApiError::bad_request(format!("Invalid Cognito User Pool ARN: {arn}")))
}

fn check_identity_source(authorizer: &RestAuthorizer) -> Result<(), ApiError> {
    let kind = authorizer.kind;
    let source = authorizer.identity_source.as_deref().unwrap_or_default();
    if source.is_empty() {
        let remembered = authorizer.result_ttl_s.is_some_and(|ttl_s| ttl_s > 0);
        return match kind {
            RestAuthorizerKind::Jwt => Ok(()),
            RestAuthorizerKind::Request if !remembered => Ok(()),
            RestAuthorizerKind::Request => Err(ApiError::bad_request(
                "identitySource is required while authorizerResultTtlInSeconds isn't 0",
            )),
            kind => {
                Err(ApiError::bad_request(format!("identitySource is required for type {}", kind.name())))
            }
        };
    }
    let several = kind == RestAuthorizerKind::Request;
    let sources: Vec<&str> = source.split(',').map(str::trim).collect();
    match sources.iter().find(|source| !is_source(source, several)) {
        Some(bad) => Err(ApiError::bad_request(format!("Invalid mapping expression specified: {bad}"))),
        None if sources.len() > 1 && !several => Err(ApiError::bad_request(format!(
            "An authorizer of type {} has one identitySource",
            kind.name()
        ))),
        None => Ok(()),
    }
}

/// A request authorizer can ask for more than headers.
fn is_source(source: &str, of_request: bool) -> bool {
    let others = ["method.request.querystring.", "stageVariables.", "context."];
    let names = |prefix: &str| source.strip_prefix(prefix).is_some_and(|name| !name.is_empty());
    names("method.request.header.") || of_request && others.into_iter().any(names)
}

fn take_jwt(members: &mut Members) -> Result<Option<RestJwt>, ApiError> {
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

fn check_jwt(jwt: &RestJwt) -> Result<(), ApiError> {
    let bad = |text: String| Err(ApiError::bad_request(text));
    if jwt.issuers.is_empty() || jwt.algorithms.is_empty() {
        return bad("jwtConfiguration needs issuers and defaultAlgorithms".to_owned());
    }
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
        if issuer.audiences.is_empty() || issuer.audiences.iter().any(String::is_empty) {
            return bad(format!("The issuer '{url}' needs audiences, none of them empty"));
        }
        for (at, claim) in issuer.claims.iter().enumerate() {
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

impl Shown for RestAuthorizer {
    fn missing(_: &str) -> ApiError {
        ApiError::not_found("Invalid Authorizer identifier specified")
    }

    fn answer(&self) -> Value {
        compact(json!({
            "authType": self.auth_type,
            "authorizerCredentials": self.credentials,
            "authorizerResultTtlInSeconds": self.result_ttl_s,
            "authorizerUri": self.uri,
            "id": self.id,
            "identitySource": self.identity_source,
            "identityValidationExpression": self.identity_validation_expression,
            "jwtConfiguration": self.jwt.as_ref().map(jwt_answer),
            "name": self.name,
            "providerARNs": (!self.provider_arns.is_empty()).then_some(&self.provider_arns),
            "type": self.kind.name(),
        }))
    }
}

/// The keys' address isn't known before the data plane has asked the issuer.
fn jwt_answer(jwt: &RestJwt) -> Value {
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

    fn taken(body: &str) -> Result<RestAuthorizer, ApiError> {
        let authorizer = take(Members::parse(body.as_bytes())?)?;
        check(&authorizer)?;
        Ok(authorizer)
    }

    const FUNCTION: &str = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:0:function:f/invocations";

    #[test]
    fn defaults_are_aws() {
        let token = taken(&format!(
            r#"{{"name":"a","type":"TOKEN","authorizerUri":"{FUNCTION}","identitySource":"method.request.header.Auth"}}"#
        ))
        .expect("valid");
        assert_eq!((token.result_ttl_s, token.auth_type.as_str()), (Some(300), "custom"));
        let pool = r#"{"name":"a","type":"COGNITO_USER_POOLS","identitySource":"method.request.header.Auth",
                       "providerARNs":["arn:aws:cognito-idp:us-east-1:0:userpool/us-east-1_x"]}"#;
        let pool = taken(pool).expect("valid");
        assert_eq!((pool.result_ttl_s, pool.auth_type.as_str()), (None, "cognito_user_pools"));
    }

    #[test]
    fn each_type_has_its_members() {
        let header = r#""identitySource":"method.request.header.A""#;
        let uri = format!(r#""authorizerUri":"{FUNCTION}""#);
        for (body, expected) in [
            (r#""type":"LAMBDA""#.to_owned(), "not 'LAMBDA'"),
            (format!(r#""type":"TOKEN",{header}"#), "Invalid Authorizer URI"),
            (format!(r#""type":"TOKEN",{header},"authorizerUri":"http://h""#), "Invalid Authorizer URI"),
            (format!(r#""type":"TOKEN",{uri}"#), "identitySource is required"),
            (format!(r#""type":"REQUEST",{uri}"#), "authorizerResultTtlInSeconds isn't 0"),
            (format!(r#""type":"TOKEN",{uri},"identitySource":"context.x""#), "Invalid mapping expression"),
            (
                format!(
                    r#""type":"TOKEN",{uri},"identitySource":"method.request.header.A,method.request.header.B""#
                ),
                "one identitySource",
            ),
            (
                format!(r#""type":"REQUEST",{uri},"identitySource":"method.request.header.""#),
                "Invalid mapping",
            ),
            (format!(r#""type":"TOKEN",{uri},{header},"providerARNs":["a"]"#), "COGNITO_USER_POOLS"),
            (format!(r#""type":"COGNITO_USER_POOLS",{header}"#), "providerARNs is required"),
            (format!(r#""type":"COGNITO_USER_POOLS",{header},"providerARNs":["arn:x"]"#), "User Pool ARN"),
            (format!(r#""type":"COGNITO_USER_POOLS",{header},{uri}"#), "TOKEN or REQUEST"),
            (format!(r#""type":"TOKEN",{uri},{header},"authorizerResultTtlInSeconds":3601"#), "0 to 3600"),
            (r#""type":"JWT""#.to_owned(), "jwtConfiguration is required"),
        ] {
            let error = taken(&format!(r#"{{"name":"a",{body}}}"#)).expect_err(&body);
            assert!(error.message.contains(expected), "{body}: {error}");
        }
        let open = format!(r#"{{"name":"a","type":"REQUEST",{uri},"authorizerResultTtlInSeconds":0}}"#);
        assert!(taken(&open).is_ok());
        let many =
            r#""identitySource":"method.request.querystring.a, context.identity.sourceIp,stageVariables.x""#;
        assert!(taken(&format!(r#"{{"name":"a","type":"REQUEST",{uri},{many}}}"#)).is_ok());
    }

    #[test]
    fn issuers_are_checked() {
        let jwt = |issuer: &str, rest: &str, algorithm: &str| {
            taken(&format!(
                r#"{{"name":"a","type":"JWT","jwtConfiguration":{{"defaultAlgorithms":["{algorithm}"],
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
