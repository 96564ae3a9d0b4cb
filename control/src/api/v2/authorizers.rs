//! `Authorizer`: create, update, delete, and the reset of what they remember.

use serde_json::{Value, json};

use super::super::call::{Call, compact};
use super::super::error::ApiError;
use super::super::functions::check_authorizer_uri;
use super::super::members::Members;
use super::integration_rules::check_credentials;
use super::{
    ARN_CHARS_MAX, DESCRIPTION_CHARS_MAX, NAME_CHARS_MAX, Shown, URI_CHARS_MAX, api, check_name, check_quota,
    not_on, part, part_id,
};
use crate::change::{Change, View};
use crate::model::{
    ApiProtocol, AuthorizerKind, FUNCTION_AUTHORIZER_TTL_S, HttpAuthorizer, HttpRoute, HttpStage, JwtIssuer,
};

/// AWS's limit.
const AUDIENCE_MAX: usize = 50;
const TTL_S_MAX: u32 = 3_600;
/// An arbitrary bound.
const IDENTITY_SOURCES_MAX: usize = 10;
const PAYLOAD_FORMATS: [&str; 2] = ["1.0", "2.0"];

pub(in super::super) fn create(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let mut members = call.members()?;
    let name = members.required("name", NAME_CHARS_MAX)?;
    let kind = members.choice("authorizerType", &["REQUEST", "JWT"])?;
    let kind = kind.ok_or_else(|| ApiError::bad_request("authorizerType is required"))?;
    let given = Given::take(&mut members)?;
    members.finish()?;
    let authorizer = given.complete(api.protocol, part_id()?, name, &kind)?;
    let max = change.settings.quotas.authorizers_per_api_max;
    check_quota::<HttpAuthorizer>(change, &api.id, max, "authorizers", "authorizers_per_api_max")?;
    put(change, &api.id, &authorizer)
}

pub(in super::super) fn update(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let before: HttpAuthorizer = part(change, &api.id, call.parameter(1))?;
    let mut members = call.members()?;
    let name = members.string("name", NAME_CHARS_MAX)?.filter(|name| !name.is_empty());
    let kind = members.choice("authorizerType", &["REQUEST", "JWT"])?;
    let kind = kind.unwrap_or_else(|| before.kind.name().to_owned());
    let given = Given::take(&mut members)?;
    members.finish()?;
    let (id, name) = (before.id.clone(), name.unwrap_or_else(|| before.name.clone()));
    let given = match kind == before.kind.name() {
        true => given.or(before),
        // One of another type is told everything anew.
        false => {
            check_unused(change, &api.id, &id, "change the type of")?;
            given
        }
    };
    let authorizer = given.complete(api.protocol, id, name, &kind)?;
    put(change, &api.id, &authorizer)
}

pub(in super::super) fn delete(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let authorizer: HttpAuthorizer = part(change, &api.id, call.parameter(1))?;
    check_unused(change, &api.id, &authorizer.id, "delete")?;
    change.tx.delete_part::<HttpAuthorizer>(&api.id, &authorizer.id)?;
    change.redeploy(&api.id);
    Ok(Value::Null)
}

/// No gateway remembers an authorizer's answer, so that there is nothing to forget.
pub(in super::super) fn reset_cache(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(view, call.parameter(0))?;
    part::<HttpStage>(view, &api.id, call.parameter(1))?;
    Ok(Value::Null)
}

fn put(change: &mut Change<'_>, api_id: &str, authorizer: &HttpAuthorizer) -> Result<Value, ApiError> {
    check_name(change, api_id, authorizer)?;
    change.tx.put_part(api_id, authorizer)?;
    change.redeploy(api_id);
    Ok(authorizer.answer())
}

fn check_unused(view: &View<'_>, api_id: &str, id: &str, what: &str) -> Result<(), ApiError> {
    let routes: Vec<HttpRoute> = view.tx.parts(api_id)?;
    match routes.iter().find(|route| route.authorization.authorizer_id() == Some(id)) {
        None => Ok(()),
        Some(route) => Err(ApiError::conflict(format!(
            "Cannot {what} authorizer '{id}', is referenced in route: {} ({})",
            route.id, route.key
        ))),
    }
}

/// What a call says of an authorizer, whatever its type.
#[derive(Default)]
struct Given {
    identity_sources: Option<Vec<String>>,
    identity_validation_expression: Option<String>,
    jwt: Option<JwtIssuer>,
    uri: Option<String>,
    /// The inner `None` takes them away.
    credentials_arn: Option<Option<String>>,
    payload_format_version: Option<String>,
    simple_responses: Option<bool>,
    ttl_s: Option<u32>,
}

impl Given {
    fn take(members: &mut Members) -> Result<Self, ApiError> {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let credentials_arn = members.string("authorizerCredentialsArn", ARN_CHARS_MAX)?;
        Ok(Self {
            identity_sources: members.list("identitySource")?,
            identity_validation_expression: given(
                members.string("identityValidationExpression", DESCRIPTION_CHARS_MAX)?,
            ),
            jwt: take_jwt(members)?,
            uri: given(members.string("authorizerUri", URI_CHARS_MAX)?),
            credentials_arn: credentials_arn.map(|arn| given(Some(arn))),
            payload_format_version: members.choice("authorizerPayloadFormatVersion", &PAYLOAD_FORMATS)?,
            simple_responses: members.boolean("enableSimpleResponses")?,
            ttl_s: members.integer("authorizerResultTtlInSeconds", 0..=TTL_S_MAX)?,
        })
    }

    /// What isn't given stays as it was.
    fn or(self, before: HttpAuthorizer) -> Self {
        let old = match before.kind {
            AuthorizerKind::Jwt(jwt) => Self { jwt: Some(jwt), ..Self::default() },
            AuthorizerKind::Request {
                uri,
                credentials_arn,
                payload_format_version,
                simple_responses,
                ttl_s,
            } => Self {
                uri: Some(uri),
                credentials_arn: Some(credentials_arn),
                payload_format_version,
                simple_responses: Some(simple_responses),
                ttl_s,
                ..Self::default()
            },
        };
        Self {
            identity_sources: self.identity_sources.or(Some(before.identity_sources)),
            identity_validation_expression: self
                .identity_validation_expression
                .or(before.identity_validation_expression),
            jwt: self.jwt.or(old.jwt),
            uri: self.uri.or(old.uri),
            credentials_arn: self.credentials_arn.or(old.credentials_arn),
            payload_format_version: self.payload_format_version.or(old.payload_format_version),
            simple_responses: self.simple_responses.or(old.simple_responses),
            ttl_s: self.ttl_s.or(old.ttl_s),
        }
    }

    fn complete(
        self,
        protocol: ApiProtocol,
        id: String,
        name: String,
        kind: &str,
    ) -> Result<HttpAuthorizer, ApiError> {
        let sources = self.identity_sources.clone().unwrap_or_default();
        let identity_validation_expression = self.identity_validation_expression.clone();
        let kind = match kind {
            "JWT" => self.into_jwt(protocol, &sources)?,
            _ => self.into_request(protocol, &sources)?,
        };
        Ok(HttpAuthorizer { id, name, identity_sources: sources, identity_validation_expression, kind })
    }

    fn into_jwt(self, protocol: ApiProtocol, sources: &[String]) -> Result<AuthorizerKind, ApiError> {
        if protocol == ApiProtocol::WebSocket {
            return Err(not_on(protocol, "A JWT authorizer"));
        }
        let foreign = [
            ("authorizerUri", self.uri.is_some()),
            ("authorizerCredentialsArn", self.credentials_arn.flatten().is_some()),
            ("authorizerPayloadFormatVersion", self.payload_format_version.is_some()),
            ("enableSimpleResponses", self.simple_responses == Some(true)),
            ("authorizerResultTtlInSeconds", self.ttl_s.is_some_and(|ttl_s| ttl_s > 0)),
        ];
        if let Some((name, _)) = foreign.iter().find(|(_, given)| *given) {
            return Err(ApiError::bad_request(format!("{name} is for REQUEST authorizers")));
        }
        match sources {
            [one] if is_source(one, &["$request.header.", "$request.querystring."]) => {}
            _ => {
                return Err(ApiError::bad_request(
                    "identitySource of a JWT authorizer has to be one of $request.header.NAME and $request.querystring.NAME",
                ));
            }
        }
        let jwt = self
            .jwt
            .ok_or_else(|| ApiError::bad_request("jwtConfiguration is required for a JWT authorizer"))?;
        Ok(AuthorizerKind::Jwt(jwt))
    }

    fn into_request(self, protocol: ApiProtocol, sources: &[String]) -> Result<AuthorizerKind, ApiError> {
        if self.jwt.is_some() {
            return Err(ApiError::bad_request("jwtConfiguration is for JWT authorizers"));
        }
        check_sources(protocol, sources)?;
        let uri = self
            .uri
            .ok_or_else(|| ApiError::bad_request("authorizerUri is required for a REQUEST authorizer"))?;
        check_authorizer_uri(&uri)?;
        let credentials_arn = self.credentials_arn.flatten();
        credentials_arn.as_deref().map_or(Ok(()), check_credentials)?;
        let simple_responses = self.simple_responses.unwrap_or(false);
        let (payload_format_version, ttl_s) = match protocol {
            ApiProtocol::Http => {
                let version = self.payload_format_version.ok_or_else(|| {
                    ApiError::bad_request(
                        "authorizerPayloadFormatVersion is required for a REQUEST authorizer: 1.0 or 2.0",
                    )
                })?;
                if simple_responses && version != "2.0" {
                    return Err(ApiError::bad_request(
                        "enableSimpleResponses needs authorizerPayloadFormatVersion 2.0",
                    ));
                }
                (Some(version), Some(ttl_of(self.ttl_s, sources)?))
            }
            ApiProtocol::WebSocket => {
                let given = [
                    ("authorizerPayloadFormatVersion", self.payload_format_version.is_some()),
                    ("enableSimpleResponses", simple_responses),
                    ("authorizerResultTtlInSeconds", self.ttl_s.is_some_and(|ttl_s| ttl_s > 0)),
                ];
                match given.iter().find(|(_, given)| *given) {
                    Some((name, _)) => return Err(not_on(protocol, name)),
                    None => (None, None),
                }
            }
        };
        Ok(AuthorizerKind::Request { uri, credentials_arn, payload_format_version, simple_responses, ttl_s })
    }
}

/// Answers are remembered by what tells callers apart, so that there has to be something.
fn ttl_of(given: Option<u32>, sources: &[String]) -> Result<u32, ApiError> {
    match (given, sources.is_empty()) {
        (None, true) => Ok(0),
        (None, false) => Ok(FUNCTION_AUTHORIZER_TTL_S),
        (Some(ttl_s), true) if ttl_s > 0 => {
            Err(ApiError::bad_request("authorizerResultTtlInSeconds has to be 0 without an identitySource"))
        }
        (Some(ttl_s), _) => Ok(ttl_s),
    }
}

fn take_jwt(members: &mut Members) -> Result<Option<JwtIssuer>, ApiError> {
    let Some(mut given) = members.object("jwtConfiguration")? else { return Ok(None) };
    let issuer = given.required("issuer", URI_CHARS_MAX)?;
    let audience = given.list("audience")?.unwrap_or_default();
    given.finish()?;
    let host = ["https://", "http://"].iter().find_map(|scheme| issuer.strip_prefix(scheme));
    if !host.is_some_and(|host| !host.is_empty() && !host.contains(char::is_whitespace)) {
        return Err(ApiError::bad_request(format!(
            "Invalid issuer: '{issuer}'. It has to be an https:// or http:// URL"
        )));
    }
    let empty = audience.iter().any(String::is_empty);
    if empty || !(1..=AUDIENCE_MAX).contains(&audience.len()) {
        return Err(ApiError::bad_request(format!(
            "jwtConfiguration.audience has to have 1 to {AUDIENCE_MAX} entries, none of them empty"
        )));
    }
    Ok(Some(JwtIssuer { issuer, audience }))
}

fn check_sources(protocol: ApiProtocol, sources: &[String]) -> Result<(), ApiError> {
    let prefixes: &[&str] = match protocol {
        ApiProtocol::Http => &["$request.header.", "$request.querystring.", "$context.", "$stageVariables."],
        ApiProtocol::WebSocket => {
            &["route.request.header.", "route.request.querystring.", "context.", "stageVariables."]
        }
    };
    if sources.len() > IDENTITY_SOURCES_MAX {
        return Err(ApiError::bad_request(format!(
            "An authorizer can have at most {IDENTITY_SOURCES_MAX} identity sources"
        )));
    }
    match sources.iter().find(|source| !is_source(source, prefixes)) {
        None => Ok(()),
        Some(source) => Err(ApiError::bad_request(format!(
            "Invalid identitySource '{source}': it has to begin with one of {}",
            prefixes.join(", ")
        ))),
    }
}

fn is_source(source: &str, prefixes: &[&str]) -> bool {
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    let name = prefixes.iter().find_map(|prefix| source.strip_prefix(prefix));
    name.is_some_and(|name| !name.is_empty() && name.bytes().all(is_name))
}

impl Shown for HttpAuthorizer {
    const NOUN: &'static str = "Authorizer";

    fn answer(&self) -> Value {
        let mut answer = json!({
            "authorizerId": self.id,
            "authorizerType": self.kind.name(),
            "identitySource": self.identity_sources,
            "identityValidationExpression": self.identity_validation_expression,
            "name": self.name,
        });
        match &self.kind {
            AuthorizerKind::Jwt(JwtIssuer { issuer, audience }) => {
                answer["jwtConfiguration"] = json!({"audience": audience, "issuer": issuer});
            }
            AuthorizerKind::Request {
                uri,
                credentials_arn,
                payload_format_version,
                simple_responses,
                ttl_s,
            } => {
                answer["authorizerCredentialsArn"] = json!(credentials_arn);
                answer["authorizerPayloadFormatVersion"] = json!(payload_format_version);
                answer["authorizerResultTtlInSeconds"] = json!(ttl_s);
                answer["authorizerUri"] = json!(uri);
                // WebSocket APIs have no simple responses, and no payload format either.
                let simple = payload_format_version.as_ref().map(|_| simple_responses);
                answer["enableSimpleResponses"] = json!(simple);
            }
        }
        compact(answer)
    }
}
