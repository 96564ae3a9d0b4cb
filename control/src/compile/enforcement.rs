//! What users can ask for that the data plane doesn't do yet: the one place to add a feature to, and to take it out of once
//! gateways have it.
//!
//! Two kinds of tables, with a line a feature. What must not be missing (who may call, what a request has to be, an
//! integration that can't be run) refuses its route, which then answers 500 instead of being served open. Everything else
//! is stored, shown to its owner, and listed by `turnpike-control status`. A line that comes or goes raises
//! [`super::COMPILER_REVISION`], so that stages are compiled anew.

use crate::model::{
    API_KEY_HEADER, ApiKeySource, ApiProtocol, AuthorizationType, GatewayResponse, HttpApi, HttpContent,
    HttpIntegration, HttpRoute, HttpStage, INTEGRATION_REQUEST, Method, MethodSetting, Part, Resource,
    RestApi, RestContent, RestIntegrationKind, RestStage, RouteAuthorization, RouteSettings,
};

/// A method of a REST API, as a stage serves it.
#[derive(Debug, Clone, Copy)]
pub struct RestAsked<'a> {
    pub api: &'a RestApi,
    /// The deployment that is served, with what it froze of the API.
    pub content: &'a RestContent,
    pub stage: &'a RestStage,
    pub resource: &'a Resource,
    /// `GET`, `ANY`
    pub name: &'a str,
    pub method: &'a Method,
}

/// A route of an HTTP API, as a stage serves it.
#[derive(Debug, Clone, Copy)]
pub struct HttpAsked<'a> {
    pub api: &'a HttpApi,
    /// The deployment that is served, with what it froze of the API.
    pub content: &'a HttpContent,
    pub stage: &'a HttpStage,
    pub route: &'a HttpRoute,
    pub integration: &'a HttpIntegration,
}

/// What an owner reads, and whether it applies: for a refused route the reason, otherwise the setting's name.
pub type Line<E> = (&'static str, fn(&E) -> bool);

type RestLine = (&'static str, fn(&RestAsked<'_>) -> bool);
type HttpLine = (&'static str, fn(&HttpAsked<'_>) -> bool);

/// The first line that applies is the reason: protections come before integrations. What AWS says takes a new deployment
/// to change (the developer guide's "Updates to REST APIs that require redeployment", and for endpoint types "Change a
/// public or private API endpoint type") is looked at in the deployment too, so that taking a protection away opens
/// nothing before it; giving one closes at once.
const REST_METHOD: &[RestLine] = &[
    ("the API's resource policy isn't enforced yet", |asked| {
        asked.content.policy.is_some() || asked.api.policy.is_some()
    }),
    ("private APIs aren't kept private yet", |asked| {
        [&asked.content.endpoint_type, &asked.api.endpoint_type].iter().any(|kind| *kind == "PRIVATE")
    }),
    ("the authorization AWS_IAM isn't enforced yet", |asked| authorizes(asked, AuthorizationType::AwsIam)),
    ("Lambda authorizers aren't asked yet", |asked| authorizes(asked, AuthorizationType::Custom)),
    ("Cognito user pools aren't asked yet", |asked| authorizes(asked, AuthorizationType::CognitoUserPools)),
    ("JWT authorizers aren't enforced yet", |asked| authorizes(asked, AuthorizationType::Jwt)),
    ("API keys aren't taken from authorizers yet", |asked| {
        asked.method.api_key_required
            && [asked.content.api_key_source, asked.api.api_key_source].contains(&ApiKeySource::Authorizer)
    }),
    ("the request validator isn't enforced yet", |asked| asked.method.request_validator_id.is_some()),
    ("integrations of the type HTTP aren't run yet", |asked| integrates(asked, RestIntegrationKind::Http)),
    ("integrations of the type AWS aren't run yet", |asked| integrates(asked, RestIntegrationKind::Aws)),
    ("integrations of the type AWS_PROXY aren't run yet", |asked| {
        integrates(asked, RestIntegrationKind::AwsProxy)
    }),
    ("integrations of the type MOCK aren't run yet", |asked| integrates(asked, RestIntegrationKind::Mock)),
    ("the integration's mapping to integration.request.header isn't done yet", |asked| {
        maps(asked, |target, _| target.starts_with("header."))
    }),
    ("the integration's mapping to integration.request.querystring isn't done yet", |asked| {
        maps(asked, |target, _| target.starts_with("querystring."))
    }),
    (
        "the integration's mapping to integration.request.path is done from method.request.path only, yet",
        |asked| {
            maps(asked, |target, source| {
                target.starts_with("path.") && !source.starts_with("method.request.path.")
            })
        },
    ),
];

fn authorizes(asked: &RestAsked<'_>, kind: AuthorizationType) -> bool {
    asked.method.authorization_type == kind
}

fn integrates(asked: &RestAsked<'_>, kind: RestIntegrationKind) -> bool {
    asked.method.integration.as_ref().is_some_and(|integration| integration.kind == kind)
}

/// Whether a request parameter is such, of its target without what all of them begin with, and its source.
fn maps(asked: &RestAsked<'_>, is: impl Fn(&str, &str) -> bool) -> bool {
    let parameters = asked.method.integration.iter().flat_map(|integration| &integration.request_parameters);
    parameters
        .filter_map(|(target, source)| Some((target.strip_prefix(INTEGRATION_REQUEST)?, source)))
        .any(|(target, source)| is(target, source))
}

const HTTP_ROUTE: &[HttpLine] = &[
    ("authorizationType AWS_IAM isn't enforced yet", |asked| {
        asked.route.authorization == RouteAuthorization::AwsIam
    }),
    ("authorizationType CUSTOM isn't enforced yet", |asked| {
        matches!(asked.route.authorization, RouteAuthorization::Custom { .. })
    }),
    ("authorizationType JWT isn't enforced yet", |asked| {
        matches!(asked.route.authorization, RouteAuthorization::Jwt { .. })
    }),
    ("API keys aren't taken from authorizers yet", |asked| {
        let selection = &asked.content.api_key_selection;
        asked.route.api_key_required && selection.as_ref().is_some_and(|from| from != API_KEY_HEADER)
    }),
    ("integrations AWS_PROXY can't be run yet", |asked| asked.integration.kind.calls_aws()),
    ("integrations HTTP and MOCK can't be run yet", |asked| !asked.integration.kind.is_proxy()),
    ("requestParameters of integrations aren't applied yet", |asked| {
        !asked.integration.request_parameters.is_empty()
    }),
    ("responseParameters of integrations aren't applied yet", |asked| {
        !asked.integration.response_parameters.is_empty()
    }),
];

const REST_API: &[Line<RestApi>] = &[
    ("securityPolicy", |api| api.security_policy.is_some()),
    ("endpointAccessMode", |api| api.endpoint_access_mode.is_some()),
];

const REST_STAGE: &[Line<RestStage>] = &[
    ("tracingEnabled", |stage| stage.tracing_enabled),
    // Where it has to be permitted, what becomes of it is as for those who may not.
    ("methodSettings requireAuthorizationForCacheControl: whom policies allow it (nobody may)", |stage| {
        let asks =
            |setting: &MethodSetting| setting.caching_enabled && setting.authorization_for_cache_control;
        stage.cache_cluster_enabled && sets(stage, asks)
    }),
    ("methodSettings cacheDataEncrypted", |stage| sets(stage, |setting| setting.cache_data_encrypted)),
    ("methodSettings logging", |stage| sets(stage, MethodSetting::logs)),
    ("methodSettings metrics", |stage| sets(stage, |setting| setting.metrics_enabled)),
];

fn sets(stage: &RestStage, is: fn(&MethodSetting) -> bool) -> bool {
    stage.method_settings.values().any(is)
}

const HTTP_API: &[Line<HttpApi>] = &[
    ("protocolType WEBSOCKET", |api| api.protocol == ApiProtocol::WebSocket),
    ("corsConfiguration", |api| api.cors.is_some()),
    ("disableSchemaValidation", |api| api.schema_validation_disabled),
];

const HTTP_STAGE: &[Line<HttpStage>] = &[
    ("clientCertificateId", |stage| stage.client_certificate_id.is_some()),
    ("route settings: detailedMetricsEnabled", |stage| {
        stage.all_route_settings().any(|settings| settings.detailed_metrics_enabled == Some(true))
    }),
    ("route settings: loggingLevel, dataTraceEnabled", |stage| {
        stage.all_route_settings().any(RouteSettings::logs)
    }),
];

/// Parts of APIs, by their kind in the store, that do nothing.
const PARTS: &[(&str, &str)] = &[(GatewayResponse::KIND, "gateway response")];

/// Entities of the account, by their kind in the store, that do nothing.
const ENTITIES: &[(&str, &str)] =
    &[("domain-name-access-association", "access associations of private domain names, which aren't served")];

/// Why the method is refused, if it is.
#[must_use]
pub fn refused_method(asked: &RestAsked<'_>) -> Option<String> {
    let line = REST_METHOD.iter().find(|(_, applies)| applies(asked));
    line.map(|(reason, _)| (*reason).to_owned())
}

/// Why the route is refused, if it is.
#[must_use]
pub fn refused_route(asked: &HttpAsked<'_>) -> Option<String> {
    let line = HTTP_ROUTE.iter().find(|(_, applies)| applies(asked));
    line.map(|(reason, _)| (*reason).to_owned())
}

/// What has settings.
pub trait Configured: Sized + 'static {
    /// Those that do nothing yet.
    const UNENFORCED: &'static [Line<Self>];
}

impl Configured for RestApi {
    const UNENFORCED: &'static [Line<Self>] = REST_API;
}

impl Configured for RestStage {
    const UNENFORCED: &'static [Line<Self>] = REST_STAGE;
}

impl Configured for HttpApi {
    const UNENFORCED: &'static [Line<Self>] = HTTP_API;
}

impl Configured for HttpStage {
    const UNENFORCED: &'static [Line<Self>] = HTTP_STAGE;
}

/// The settings that it has and that do nothing.
pub fn unenforced<E: Configured>(configured: &E) -> impl Iterator<Item = &'static str> {
    E::UNENFORCED.iter().filter(|(_, is_set)| is_set(configured)).map(|(name, _)| *name)
}

/// What an API's parts of this kind are called, where they do nothing.
#[must_use]
pub fn unenforced_part(kind: &str) -> Option<&'static str> {
    named(PARTS, kind)
}

/// What the account's entities of this kind are called, where they do nothing.
#[must_use]
pub fn unenforced_entity(kind: &str) -> Option<&'static str> {
    named(ENTITIES, kind)
}

fn named(table: &[(&str, &'static str)], kind: &str) -> Option<&'static str> {
    table.iter().find(|(known, _)| *known == kind).map(|(_, name)| *name)
}
