//! `Authorizer`: create, get, list, update, delete. Whether requests pass is the data plane's to decide.

mod jwt;

use serde_json::{Value, json};

use super::super::call::{Call, compact};
use super::super::error::ApiError;
use super::super::functions::check_authorizer_uri;
use super::super::members::Members;
use super::parts::{Shown, check_name, new_part_id, of_call};
use super::patch::{self, ADD_REMOVE, ADD_REPLACE_REMOVE, Op, REPLACE, Table, Wording, rule};
use super::users::{Use, check_unused};
use super::{NAME_CHARS_MAX, URI_CHARS_MAX, api, over_quota};
use crate::change::{Change, View};
use crate::model::{
    AUTHORIZER_RESULT_TTL_S_DEFAULT, AUTHORIZER_RESULT_TTL_S_MAX, RestAuthorizer, RestAuthorizerKind,
};

const NOUN: &str = "Authorizer";
/// Arbitrary, far above what an authorizer in use has.
const PROVIDER_ARNS_MAX: usize = 100;

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
        jwt: jwt::take(&mut members)?,
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
        check_authorizer_uri(authorizer.uri.as_deref().unwrap_or_default())?;
    } else if authorizer.uri.is_some() {
        return Err(only_for("authorizerUri", "TOKEN or REQUEST"));
    }
    let pools = authorizer.kind == RestAuthorizerKind::CognitoUserPools;
    match (&authorizer.provider_arns[..], pools) {
        ([], true) => return Err(ApiError::bad_request(format!("providerARNs is required for type {kind}"))),
        (arns, true) => {
            check_count("providerARNs", arns.len(), PROVIDER_ARNS_MAX)?;
            arns.iter().try_for_each(|arn| check_provider(arn))?;
        }
        ([], false) => {}
        (_, false) => return Err(only_for("providerARNs", "COGNITO_USER_POOLS")),
    }
    match (&authorizer.jwt, authorizer.kind == RestAuthorizerKind::Jwt) {
        (Some(jwt), true) => jwt::check(jwt)?,
        (None, true) => return Err(ApiError::bad_request("jwtConfiguration is required for type JWT")),
        (Some(_), false) => return Err(only_for("jwtConfiguration", "JWT")),
        (None, false) => {}
    }
    check_for_jwt(authorizer)?;
    check_identity_source(authorizer)
}

fn check_count(member: &str, count: usize, max: usize) -> Result<(), ApiError> {
    match count > max {
        true => Err(ApiError::bad_request(format!("There can be at most {max} {member}, not {count}"))),
        false => Ok(()),
    }
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

/// Like `arn:aws:cognito-idp:REGION:ACCOUNT:userpool/ID`.
fn check_provider(arn: &str) -> Result<(), ApiError> {
    if arn.chars().count() > URI_CHARS_MAX {
        return Err(ApiError::bad_request(format!(
            "A provider's ARN can have at most {URI_CHARS_MAX} characters"
        )));
    }
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
            "jwtConfiguration": self.jwt.as_ref().map(jwt::answer),
            "name": self.name,
            "providerARNs": (!self.provider_arns.is_empty()).then_some(&self.provider_arns),
            "type": self.kind.name(),
        }))
    }
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
}
