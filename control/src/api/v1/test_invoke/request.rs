//! From a test's call to the request that the integration gets.

use std::collections::BTreeMap;
use std::sync::Arc;

use turnpike_snapshot::Scheme;

use super::super::super::call::Call;
use super::super::super::error::ApiError;
use super::super::super::members::Members;
use super::super::{NAME_CHARS_MAX, URI_CHARS_MAX, api, client_certificates, resource};
use super::STAGE;
use super::endpoint::{Place, Tls};
use super::mapping::{Client, path_parameters};
use super::response::Rules;
use crate::change::View;
use crate::model::{
    ClientCertificate, Endpoint, IntegrationTargets, IntegrationUri, LinkTargets, METHODS, Method, Piece,
    ProtocolVersion, Resource, RestIntegration, RestIntegrationKind, Targets, TargetsTls, check_variables,
    link_id, new_uuid, rest_integration_id,
};

const INTEGRATION_REQUEST_PATH: &str = "integration.request.path.";
const INTEGRATION_REQUEST_QUERY: &str = "integration.request.querystring.";
const INTEGRATION_REQUEST_HEADER: &str = "integration.request.header.";

/// Everything that calling the integration takes.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) request_id: String,
    pub(super) client: Client,
    pub(super) method: String,
    /// Tried in turn until one takes the connection.
    pub(super) places: Vec<Place>,
    pub(super) tls: Option<Arc<Tls>>,
    /// As the Host header has it.
    pub(super) authority: String,
    /// Path and query.
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) timeout_ms: u32,
    pub(super) rules: Rules,
}

impl Plan {
    /// # Errors
    /// When there is no such method, its integration can't be run from here, or the request isn't one for it.
    pub(super) fn of(view: &View<'_>, call: &Call) -> Result<Self, ApiError> {
        let api = api(view, call.parameter(0))?;
        let resource = resource(view, &api.id, call.parameter(1))?;
        let (name, method) = method_of(&resource, call.parameter(2))?;
        let integration = method.integration.as_ref();
        let integration =
            integration.ok_or_else(|| ApiError::not_found("No integration defined for method"))?;
        check_kind(integration)?;
        let request_id = new_uuid().map_err(|error| ApiError::internal(&error))?;
        let client = Client::new(&api.id, &resource.id, &resource.path, call.parameter(2), &request_id);
        let Asked { client, certificate } = take(call.members()?, client, &resource)?;
        let uri = integration.uri.as_deref().unwrap_or_default();
        let uri = IntegrationUri::resolve(uri, STAGE, &client.stage_variables)
            .map_err(|error| ApiError::bad_request(error.to_string()))?;
        let integration_id = rest_integration_id(&resource.id, &name);
        let targets = targets(view, &api.id, &integration_id, integration, &client)?;
        let tls = match uri.scheme {
            Scheme::Http => None,
            Scheme::Https => Some(Arc::new(tls(view, &uri, integration, targets.as_ref(), certificate)?)),
        };
        Ok(Self {
            method: integration
                .method
                .clone()
                .filter(|method| method != "ANY")
                .unwrap_or_else(|| client.method.clone()),
            places: places(&uri, targets)?,
            tls,
            authority: authority(&uri),
            target: target(&uri, integration, &client)?,
            headers: headers(integration, &client)?,
            timeout_ms: integration.timeout_ms,
            rules: Rules::of(method, integration, &client)?,
            request_id,
            client,
        })
    }

    /// As logs have it.
    pub(super) fn uri(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}{}", self.authority, self.target)
    }
}

/// The method's own name, which may be `ANY`, and the method.
fn method_of<'r>(resource: &'r Resource, wanted: &str) -> Result<(String, &'r Method), ApiError> {
    let missing = || ApiError::not_found("Invalid Method identifier specified");
    if !METHODS.contains(&wanted) {
        return Err(missing());
    }
    if wanted == "ANY" {
        return Err(ApiError::bad_request("A test needs the HTTP method that a client would send, not ANY"));
    }
    let found = [wanted, "ANY"].into_iter().find_map(|name| Some((name, resource.methods.get(name)?)));
    found.map(|(name, method)| (name.to_owned(), method)).ok_or_else(missing)
}

fn check_kind(integration: &RestIntegration) -> Result<(), ApiError> {
    let kind = integration.kind;
    if !kind.is_http() {
        let name = kind.name();
        return Err(ApiError::unsupported(format!("TestInvokeMethod of an integration of type {name}")));
    }
    if kind == RestIntegrationKind::Http && !integration.request_templates.is_empty() {
        return Err(ApiError::unsupported(
            "TestInvokeMethod of an integration of type HTTP with requestTemplates",
        ));
    }
    if integration.content_handling.is_some() {
        return Err(ApiError::unsupported("TestInvokeMethod of an integration with contentHandling"));
    }
    match integration.insecure_skip_verification {
        true => {
            Err(ApiError::unsupported("TestInvokeMethod of an integration with insecureSkipVerification"))
        }
        false => Ok(()),
    }
}

/// What the call says.
struct Asked {
    client: Client,
    /// Id of the client certificate that an https:// integration is shown.
    certificate: Option<String>,
}

fn take(mut members: Members, mut client: Client, resource: &Resource) -> Result<Asked, ApiError> {
    let target = members.string("pathWithQueryString", URI_CHARS_MAX)?.filter(|target| !target.is_empty());
    let target = target.unwrap_or_else(|| resource.path.clone());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    if !is_sendable(path) || !is_sendable(query) {
        return Err(ApiError::bad_request("pathWithQueryString has to be percent-encoded"));
    }
    client.path_parameters = path_parameters(&resource.path, path).ok_or_else(|| {
        ApiError::bad_request(format!(
            "pathWithQueryString '{path}' isn't a path of the resource {}",
            resource.path
        ))
    })?;
    (client.path, client.query) = (path.to_owned(), query.to_owned());
    client.body = members.string("body", usize::MAX)?.unwrap_or_default();
    client.headers = take_headers(&mut members)?;
    client.stage_variables = members.strings("stageVariables")?.unwrap_or_default();
    check_variables(&client.stage_variables).map_err(ApiError::bad_request)?;
    let certificate = members.string("clientCertificateId", NAME_CHARS_MAX)?.filter(|id| !id.is_empty());
    members.finish()?;
    Ok(Asked { client, certificate })
}

/// A request line's target has neither spaces nor what isn't ASCII.
fn is_sendable(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_graphic() && b != b'#')
}

/// Those of several values go before the single one of the same name.
fn take_headers(members: &mut Members) -> Result<Vec<(String, String)>, ApiError> {
    let single = members.strings("headers")?.unwrap_or_default();
    let several = match members.value("multiValueHeaders") {
        None => BTreeMap::new(),
        Some(lists) => serde_json::from_value::<BTreeMap<String, Vec<String>>>(lists).map_err(|_| {
            ApiError::serialization("multiValueHeaders has to be an object whose values are lists of strings")
        })?,
    };
    let is_named = |name: &str| several.keys().any(|other| other.eq_ignore_ascii_case(name));
    let single = single.into_iter().filter(|(name, _)| !is_named(name)).collect::<Vec<_>>();
    let several = several.into_iter().flat_map(|(name, values)| {
        values.into_iter().map(move |value| (name.clone(), value)).collect::<Vec<_>>()
    });
    Ok(several.chain(single).collect())
}

/// The VPC link's targets, or the integration's own.
fn targets(
    view: &View<'_>,
    api_id: &str,
    integration_id: &str,
    integration: &RestIntegration,
    client: &Client,
) -> Result<Option<Targets>, ApiError> {
    let Some(connection) = &integration.connection_id else {
        let own: Option<IntegrationTargets> = view.tx.part(api_id, integration_id)?;
        return Ok(own.map(|held| held.targets));
    };
    let id = link_id(connection, &client.stage_variables).map_err(|variable| {
        ApiError::bad_request(format!("The connectionId needs the stage variable '{variable}'"))
    })?;
    if !view.has_link(id)? {
        return Err(ApiError::bad_request(format!("Invalid VpcLink identifier specified: {id}")));
    }
    let held: Option<LinkTargets> = view.tx.entity("", id)?;
    Ok(Some(held.map(|held| held.targets).unwrap_or_default()))
}

fn places(uri: &IntegrationUri, targets: Option<Targets>) -> Result<Vec<Place>, ApiError> {
    let Some(targets) = targets else {
        return Ok(vec![Place::Host { host: uri.host.clone(), port: uri.port }]);
    };
    if targets.protocol_version != ProtocolVersion::Http1 {
        return Err(ApiError::unsupported("TestInvokeMethod of an integration whose targets speak HTTP/2"));
    }
    if targets.targets.is_empty() {
        return Err(ApiError::bad_request("The VPC link has no targets"));
    }
    let place = |target: crate::model::Target| match target.endpoint {
        Endpoint::Host { host, port } => Ok(Place::Host { host, port }),
        Endpoint::Unix { path } => Ok(Place::Unix { path }),
        Endpoint::Srv { name } => Err(ApiError::unsupported(format!(
            "TestInvokeMethod of an integration with the SRV target {name}"
        ))),
    };
    targets.targets.into_iter().map(place).collect()
}

fn tls(
    view: &View<'_>,
    uri: &IntegrationUri,
    integration: &RestIntegration,
    targets: Option<&Targets>,
    certificate: Option<String>,
) -> Result<Tls, ApiError> {
    let none = TargetsTls::default();
    let of_targets = targets.map_or(&none, |targets| &targets.tls);
    if integration.insecure_skip_verification || of_targets.insecure_skip_verification {
        return Err(ApiError::unsupported(
            "TestInvokeMethod of an integration with insecureSkipVerification",
        ));
    }
    let certificate = of_targets.client_certificate.clone().or(certificate);
    let shown = certificate.map(|id| {
        let held = client_certificates::certificate(view, &id)?;
        let key = view.tx.open(&ClientCertificate::key_context(&id), &held.private_key)?;
        Ok::<_, ApiError>((held.certificate, key))
    });
    Ok(Tls {
        server_name: of_targets.server_name.clone().unwrap_or_else(|| uri.host.clone()),
        ca_pem: of_targets.ca_pem.clone(),
        shown: shown.transpose()?,
    })
}

fn authority(uri: &IntegrationUri) -> String {
    let host = if uri.host.contains(':') { format!("[{}]", uri.host) } else { uri.host.clone() };
    match (uri.scheme, uri.port) {
        (Scheme::Http, 80) | (Scheme::Https, 443) => host,
        (_, port) => format!("{host}:{port}"),
    }
}

/// Where the integration doesn't map the client's query, it passes it on.
fn target(uri: &IntegrationUri, integration: &RestIntegration, client: &Client) -> Result<String, ApiError> {
    let mut target = String::new();
    for piece in &uri.path {
        match piece {
            Piece::Literal(text) => target.push_str(text),
            Piece::Variable(name) => {
                let source = integration.request_parameters.get(&format!("{INTEGRATION_REQUEST_PATH}{name}"));
                let source = source.ok_or_else(|| {
                    ApiError::bad_request(format!("The URI's variable '{{{name}}}' has no request parameter"))
                })?;
                target.push_str(client.values(source)?.last().map_or("", String::as_str));
            }
        }
    }
    let mut query: Vec<String> = Vec::new();
    query.extend(Some(uri.query.clone()).filter(|query| !query.is_empty()));
    if integration.kind == RestIntegrationKind::HttpProxy {
        query.extend(Some(client.query.clone()).filter(|query| !query.is_empty()));
    }
    for (name, source) in mapped(integration, INTEGRATION_REQUEST_QUERY) {
        query.extend(client.values(source)?.into_iter().map(|value| format!("{name}={value}")));
    }
    match is_sendable(&target) && query.iter().all(|part| is_sendable(part)) {
        true if query.is_empty() => Ok(target),
        true => Ok(format!("{target}?{}", query.join("&"))),
        false => Err(ApiError::bad_request("A mapped value has a character that has to be percent-encoded")),
    }
}

fn mapped<'i>(
    integration: &'i RestIntegration,
    prefix: &'static str,
) -> impl Iterator<Item = (&'i str, &'i str)> {
    let all = integration.request_parameters.iter();
    all.filter_map(move |(target, source)| Some((target.strip_prefix(prefix)?, source.as_str())))
}

/// A proxy passes the client's headers on but for those of its connection; without one, only what is mapped goes.
fn headers(integration: &RestIntegration, client: &Client) -> Result<Vec<(String, String)>, ApiError> {
    let mut headers: Vec<(String, String)> = match integration.kind {
        RestIntegrationKind::HttpProxy => client.headers.clone(),
        _ => {
            let own = ["accept", "content-type"];
            let passes = |name: &str| own.iter().any(|own| name.eq_ignore_ascii_case(own));
            client.headers.iter().filter(|(name, _)| passes(name)).cloned().collect()
        }
    };
    for (name, source) in mapped(integration, INTEGRATION_REQUEST_HEADER) {
        let values = client.values(source)?;
        if !values.is_empty() {
            headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
            headers.extend(values.into_iter().map(|value| (name.to_owned(), value)));
        }
    }
    headers.retain(|(name, _)| !super::endpoint::is_of_connection(name));
    Ok(headers)
}
