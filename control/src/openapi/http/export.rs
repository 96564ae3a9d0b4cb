//! An HTTP API as an OpenAPI 3.0 document, from what its operations answer.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::super::document::ENDPOINT_CONFIGURATION;
use super::super::integration::{INTEGRATION, INTEGRATIONS};
use super::super::operations::ANY_METHOD;
use super::super::rest::ExportError;
use super::super::security::{AUTH_TYPE, AUTHORIZER, UNUSED};
use super::plan::insert;
use super::{AUTHORIZER_MEMBERS, DEFAULT_PATH, INTEGRATION_MEMBERS};

/// What is exported: answers of the operations of that name.
#[derive(Debug, Clone, Copy)]
pub struct HttpExport<'e> {
    /// GetApi's.
    pub api: &'e Value,
    /// GetRoutes' items.
    pub routes: &'e [Value],
    /// GetIntegrations' items.
    pub integrations: &'e [Value],
    /// GetAuthorizers' items.
    pub authorizers: &'e [Value],
    /// The stage that is exported, if it is one.
    pub stage: Option<&'e str>,
    /// With AWS's extensions.
    pub extensions: bool,
}

/// The scheme of routes that IAM decides about.
const IAM_SCHEME: &str = "sigv4";
/// The scheme of routes whose callers show an API key.
const API_KEY_SCHEME: &str = "api_key";
const DEFAULT_STAGE: &str = "$default";

/// # Errors
/// When the API has something that no document can say.
pub fn export_http(export: &HttpExport<'_>) -> Result<Value, ExportError> {
    let uses = uses(export.routes);
    let shared: HashMap<&str, String> = export
        .integrations
        .iter()
        .filter_map(|integration| integration["integrationId"].as_str())
        .filter(|id| uses.get(id) != Some(&1))
        .enumerate()
        .map(|(at, id)| (id, format!("integration{}", at + 1)))
        .collect();
    let mut document = Map::new();
    insert(&mut document, "openapi", "3.0.1".into());
    insert(&mut document, "info", info(export.api));
    insert(&mut document, "servers", json!([server(export)]));
    insert(&mut document, "paths", all_paths(export, &shared)?);
    if let Some(tags) = export.api["tags"].as_object().filter(|tags| !tags.is_empty() && export.extensions) {
        let tag = |(name, value)| json!({"name": name, "x-amazon-apigateway-tag-value": value});
        insert(&mut document, "tags", tags.iter().map(tag).collect());
    }
    let components = components(export, &shared);
    if !components.is_empty() {
        insert(&mut document, "components", components.into());
    }
    if export.extensions {
        if let Some(cors) = export.api.get("corsConfiguration") {
            insert(&mut document, "x-amazon-apigateway-cors", cors.clone());
        }
        insert(&mut document, "x-amazon-apigateway-importexport-version", "1.0".into());
    }
    Ok(document.into())
}

/// Without a version of its own, it is the moment of creation: OpenAPI needs one.
fn info(api: &Value) -> Value {
    let version = api.get("version").unwrap_or(&api["createdDate"]);
    let mut info = Map::from_iter([("title".to_owned(), api["name"].clone())]);
    insert(&mut info, "version", version.clone());
    if let Some(description) = api.get("description") {
        insert(&mut info, "description", description.clone());
    }
    info.into()
}

fn server(export: &HttpExport<'_>) -> Value {
    let endpoint = export.api["apiEndpoint"].as_str().unwrap_or_default();
    let base_path = export.stage.filter(|stage| *stage != DEFAULT_STAGE).unwrap_or_default();
    let mut server = Map::new();
    insert(&mut server, "url", format!("{endpoint}/{{basePath}}").into());
    insert(&mut server, "variables", json!({"basePath": {"default": base_path}}));
    if export.extensions && export.api["disableExecuteApiEndpoint"] == true {
        let configuration = json!({"disableExecuteApiEndpoint": true});
        insert(&mut server, ENDPOINT_CONFIGURATION, configuration);
    }
    server.into()
}

/// How many routes lead to each integration.
fn uses(routes: &[Value]) -> HashMap<&str, usize> {
    let mut uses = HashMap::new();
    for id in routes.iter().filter_map(integration_of) {
        *uses.entry(id).or_insert(0) += 1;
    }
    uses
}

fn integration_of(route: &Value) -> Option<&str> {
    route["target"].as_str()?.strip_prefix("integrations/")
}

fn all_paths(export: &HttpExport<'_>, shared: &HashMap<&str, String>) -> Result<Value, ExportError> {
    let mut paths = Map::new();
    for route in export.routes {
        let key = route["routeKey"].as_str().unwrap_or_default();
        let (method, path) = match key.split_once(' ') {
            None => ("ANY", DEFAULT_PATH),
            Some((_, DEFAULT_PATH)) => {
                return Err(ExportError(format!("the route {key} can't be told from the default route")));
            }
            Some(parts) => parts,
        };
        let operation = match method {
            "ANY" => ANY_METHOD.to_owned(),
            method => method.to_ascii_lowercase(),
        };
        let item = paths.entry(path).or_insert_with(|| path_item(path));
        item[operation] = self::operation(export, shared, route, key)?;
    }
    Ok(paths.into())
}

fn path_item(path: &str) -> Value {
    let parameters: Vec<Value> = variables(path)
        .map(|name| {
            json!({
                "name": name, "in": "path", "required": true, "schema": {"type": "string"},
                "description": format!("Generated path parameter for {name}"),
            })
        })
        .collect();
    if parameters.is_empty() { json!({}) } else { json!({"parameters": parameters}) }
}

/// The names in `{name}` and `{name+}`.
fn variables(path: &str) -> impl Iterator<Item = &str> {
    let parts = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    parts.map(|name| name.trim_end_matches('+'))
}

fn operation(
    export: &HttpExport<'_>,
    shared: &HashMap<&str, String>,
    route: &Value,
    key: &str,
) -> Result<Value, ExportError> {
    let mut operation = Map::new();
    if let Some(name) = route.get("operationName") {
        insert(&mut operation, "operationId", name.clone());
    }
    let description = format!("Default response for {key}");
    insert(&mut operation, "responses", json!({"default": {"description": description}}));
    let security = security(export, route)?;
    if !security.is_empty() {
        insert(&mut operation, "security", security.into());
    }
    if export.extensions {
        if key == "$default" {
            insert(&mut operation, "isDefaultRoute", true.into());
        }
        if let Some(integration) = integration_of(route).and_then(|id| integration(export, shared, id)) {
            insert(&mut operation, INTEGRATION, integration);
        }
    }
    Ok(operation.into())
}

/// Each asks for something of its own, and all of them count, as AWS has it.
fn security(export: &HttpExport<'_>, route: &Value) -> Result<Vec<Value>, ExportError> {
    let mut security = Vec::new();
    match route["authorizationType"].as_str().unwrap_or("NONE") {
        "AWS_IAM" => security.push(json!({free_name(export, IAM_SCHEME): []})),
        "NONE" => {}
        kind => {
            let id = &route["authorizerId"];
            let at = export.authorizers.iter().position(|authorizer| authorizer["authorizerId"] == *id);
            let gone = || {
                let key = &route["routeKey"];
                ExportError(format!("the authorizer {id} of the route {key} ({kind}) doesn't exist any more"))
            };
            let scopes = route.get("authorizationScopes").cloned().unwrap_or_else(|| json!([]));
            security.push(json!({scheme_name(export, at.ok_or_else(gone)?): scopes}));
        }
    }
    if route["apiKeyRequired"] == true {
        security.push(json!({free_name(export, API_KEY_SCHEME): []}));
    }
    Ok(security)
}

/// The authorizer's name; a second one of that name gets another.
fn scheme_name(export: &HttpExport<'_>, at: usize) -> String {
    let name = |authorizer: &Value| authorizer["name"].as_str().unwrap_or_default().to_owned();
    let own = name(&export.authorizers[at]);
    match export.authorizers[..at].iter().filter(|other| name(other) == own).count() {
        0 => own,
        before => format!("{own}-{}", before + 1),
    }
}

/// This name, or one like it that no authorizer has.
fn free_name(export: &HttpExport<'_>, scheme: &str) -> String {
    let mut name = scheme.to_owned();
    while (0..export.authorizers.len()).any(|at| scheme_name(export, at) == name) {
        name.push('_');
    }
    name
}

fn integration(export: &HttpExport<'_>, shared: &HashMap<&str, String>, id: &str) -> Option<Value> {
    if let Some(name) = shared.get(id) {
        return Some(json!({"$ref": format!("#/components/{INTEGRATIONS}/{name}")}));
    }
    export.integrations.iter().find(|integration| integration["integrationId"] == id).map(integration_members)
}

fn integration_members(integration: &Value) -> Value {
    let mut members = Map::new();
    for (name, wire) in INTEGRATION_MEMBERS {
        match (name, integration.get(wire)) {
            ("type", Some(Value::String(kind))) => {
                insert(&mut members, name, kind.to_ascii_lowercase().into());
            }
            (_, Some(value)) => insert(&mut members, name, value.clone()),
            (_, None) => {}
        }
    }
    members.into()
}

fn components(export: &HttpExport<'_>, shared: &HashMap<&str, String>) -> Map<String, Value> {
    let mut components = Map::new();
    let mut schemes = Map::new();
    for (at, authorizer) in export.authorizers.iter().enumerate() {
        insert(&mut schemes, &scheme_name(export, at), scheme(authorizer, export.extensions));
    }
    if export.routes.iter().any(|route| route["authorizationType"] == "AWS_IAM") {
        let iam = json!({"type": "apiKey", "name": "Authorization", "in": "header", AUTH_TYPE: "awsSigv4"});
        insert(&mut schemes, &free_name(export, IAM_SCHEME), iam);
    }
    if export.routes.iter().any(|route| route["apiKeyRequired"] == true) {
        let key = json!({"type": "apiKey", "name": "x-api-key", "in": "header"});
        insert(&mut schemes, &free_name(export, API_KEY_SCHEME), key);
    }
    if !schemes.is_empty() {
        insert(&mut components, "securitySchemes", schemes.into());
    }
    let mut integrations = Map::new();
    for integration in export.integrations {
        let name = integration["integrationId"].as_str().and_then(|id| shared.get(id));
        if let Some(name) = name.filter(|_| export.extensions) {
            insert(&mut integrations, name, integration_members(integration));
        }
    }
    if !integrations.is_empty() {
        insert(&mut components, INTEGRATIONS, integrations.into());
    }
    components
}

const JWT_CONFIGURATION: (&str, &str) = ("jwtConfiguration", "jwtConfiguration");

fn scheme(authorizer: &Value, extensions: bool) -> Value {
    let sources: Vec<&str> =
        authorizer["identitySource"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let kind = authorizer["authorizerType"].as_str().unwrap_or_default().to_ascii_lowercase();
    let mut scheme = Map::new();
    if kind == "jwt" {
        insert(&mut scheme, "type", "oauth2".into());
        insert(&mut scheme, "flows", json!({}));
    } else {
        let (within, name) = single_source(&sources);
        insert(&mut scheme, "type", "apiKey".into());
        insert(&mut scheme, "name", name.into());
        insert(&mut scheme, "in", within.into());
    }
    if extensions {
        let mut members = Map::from_iter([("type".to_owned(), kind.into())]);
        if !sources.is_empty() {
            insert(&mut members, "identitySource", sources.join(",").into());
        }
        for (name, wire) in AUTHORIZER_MEMBERS.into_iter().chain([JWT_CONFIGURATION]) {
            if let Some(value) = authorizer.get(wire) {
                insert(&mut members, name, value.clone());
            }
        }
        insert(&mut scheme, AUTHORIZER, members.into());
    }
    scheme.into()
}

/// Where the one header or query parameter is that decides, if it is one.
fn single_source<'s>(sources: &[&'s str]) -> (&'static str, &'s str) {
    match sources {
        [one] => {
            let header = one.strip_prefix("$request.header.").map(|name| ("header", name));
            let query = one.strip_prefix("$request.querystring.").map(|name| ("query", name));
            header.or(query).unwrap_or(("header", UNUSED))
        }
        _ => ("header", UNUSED),
    }
}
