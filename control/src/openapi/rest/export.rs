//! A REST API's stage as a Swagger 2 or OpenAPI 3.0 document, from what the operations answer. Swagger 2 has one
//! schema for all content types of a body: of several models it keeps JSON's, as AWS's exports do.

mod described;
mod operation;
mod schemes;

use serde_json::{Map, Value, json};

use super::super::document::ENDPOINT_CONFIGURATION;
use super::documentation;
use super::models::{self, DEFINITIONS, SCHEMAS};
use described::Described;
use operation::operation;

/// Which of AWS's extensions are exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extensions {
    pub integrations: bool,
    pub authorizers: bool,
    pub documentation: bool,
    pub validators: bool,
    pub gateway_responses: bool,
    /// What concerns the API as a whole, such as its policy.
    pub api: bool,
    /// Not AWS's: how Postman signs calls.
    pub postman: bool,
}

impl Extensions {
    /// All of AWS's.
    pub const AWS: Self = Self {
        integrations: true,
        authorizers: true,
        documentation: true,
        validators: true,
        gateway_responses: true,
        api: true,
        postman: false,
    };
}

/// Which OpenAPI is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Swagger2,
    OpenApi30,
}

/// What is exported: answers of the operations of that name.
#[derive(Debug, Clone, Copy)]
pub struct RestExport<'e> {
    pub dialect: Dialect,
    pub extensions: Extensions,
    /// GetRestApi's.
    pub api: &'e Value,
    pub stage: &'e str,
    /// When the stage's deployment was made, for an API without a version.
    pub deployed_at: &'e str,
    /// Where the API answers.
    pub host: &'e str,
    pub region: &'e str,
    /// GetResources' items, with their methods.
    pub resources: &'e [Value],
    /// GetModels' items.
    pub models: &'e [Value],
    /// GetAuthorizers' items.
    pub authorizers: &'e [Value],
    /// GetRequestValidators' items.
    pub validators: &'e [Value],
    /// GetGatewayResponses' items.
    pub gateway_responses: &'e [Value],
    /// The stage's documentation version, and GetDocumentationParts' items of it.
    pub documentation: Option<(&'e str, &'e [Value])>,
}

/// Something that no document can say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("The API can't be exported: {0}")]
pub struct ExportError(pub(crate) String);

/// # Errors
/// When the API has something that no document can say.
pub fn export_rest(export: &RestExport<'_>) -> Result<Value, ExportError> {
    let described = Described::of(export);
    let mut document = match export.dialect {
        Dialect::Swagger2 => json!({
            "swagger": "2.0", "host": export.host, "basePath": format!("/{}", export.stage), "schemes": ["http"],
        }),
        Dialect::OpenApi30 => json!({"openapi": "3.0.1", "servers": [server(export)]}),
    };
    document["info"] = info(export, &described);
    document["paths"] = paths(export, &described)?;
    let schemes = schemes::all(export, &described);
    let models = definitions(export)?;
    match export.dialect {
        Dialect::Swagger2 => {
            insert(&mut document, "securityDefinitions", schemes);
            insert(&mut document, "definitions", models);
        }
        Dialect::OpenApi30 => {
            let mut components = json!({});
            insert(&mut components, "securitySchemes", schemes);
            insert(&mut components, "schemas", models);
            insert(&mut document, "components", components);
        }
    }
    for (name, value) in described.of_root() {
        insert(&mut document, name, value);
    }
    add_extensions(&mut document, export);
    Ok(document)
}

/// Unless it says nothing.
fn insert(object: &mut Value, name: &str, value: Value) {
    let empty = value.is_null()
        || value.as_object().is_some_and(Map::is_empty)
        || value.as_array().is_some_and(Vec::is_empty);
    if !empty {
        object[name] = value;
    }
}

fn server(export: &RestExport<'_>) -> Value {
    let mut server = json!({
        "url": format!("http://{}/{{basePath}}", export.host),
        "variables": {"basePath": {"default": export.stage}},
    });
    insert(&mut server, ENDPOINT_CONFIGURATION, endpoint_configuration(export));
    server
}

/// The kind of endpoint isn't exported, as in AWS.
fn endpoint_configuration(export: &RestExport<'_>) -> Value {
    match export.extensions.api && export.api["disableExecuteApiEndpoint"] == true {
        true => json!({"disableExecuteApiEndpoint": true}),
        false => Value::Null,
    }
}

fn info(export: &RestExport<'_>, described: &Described) -> Value {
    let mut info = json!({
        "title": export.api["name"],
        "version": export.api["version"].as_str().unwrap_or(export.deployed_at),
    });
    for (name, value) in described.of_info() {
        insert(&mut info, name, value);
    }
    insert(&mut info, "description", export.api["description"].clone());
    info
}

fn paths(export: &RestExport<'_>, described: &Described) -> Result<Value, ExportError> {
    let mut paths = Map::new();
    for resource in export.resources {
        let path = resource["path"].as_str().unwrap_or_default();
        let mut item = json!({});
        for (name, value) in described.of_path(path) {
            insert(&mut item, name, value);
        }
        for (name, method) in resource["resourceMethods"].as_object().into_iter().flatten() {
            let written = match name.as_str() {
                "ANY" => super::super::operations::ANY_METHOD.to_owned(),
                name => name.to_ascii_lowercase(),
            };
            item[written] = operation(export, described, resource, name, method)?;
        }
        paths.insert(path.to_owned(), item);
    }
    Ok(paths.into())
}

/// Where the schemas are.
fn prefix(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Swagger2 => DEFINITIONS,
        Dialect::OpenApi30 => SCHEMAS,
    }
}

fn definitions(export: &RestExport<'_>) -> Result<Value, ExportError> {
    let mut definitions = Map::new();
    for model in export.models {
        let name = model["name"].as_str().unwrap_or_default();
        let schema =
            model["schema"].as_str().and_then(|text| models::as_written(text, prefix(export.dialect)));
        match schema {
            Some(schema @ Value::Object(_)) => {
                definitions.insert(name.to_owned(), schema);
            }
            _ => return Err(ExportError(format!("the schema of model '{name}' isn't an object of JSON"))),
        }
    }
    Ok(definitions.into())
}

fn add_extensions(document: &mut Value, export: &RestExport<'_>) {
    let Extensions { validators, gateway_responses, documentation, api, .. } = export.extensions;
    if validators {
        insert(document, "x-amazon-apigateway-request-validators", request_validators(export));
    }
    if gateway_responses {
        insert(document, "x-amazon-apigateway-gateway-responses", own_gateway_responses(export));
    }
    if let Some((version, parts)) = export.documentation.filter(|_| documentation) {
        document[documentation::EXTENSION] =
            json!({"version": version, "documentationParts": parts_of(parts)});
    }
    if api {
        add_api_extensions(document, export);
    }
}

fn request_validators(export: &RestExport<'_>) -> Value {
    let validators = export.validators.iter().filter_map(|validator| {
        let rules = json!({
            "validateRequestBody": validator["validateRequestBody"] == true,
            "validateRequestParameters": validator["validateRequestParameters"] == true,
        });
        Some((validator["name"].as_str()?.to_owned(), rules))
    });
    Value::Object(validators.collect())
}

/// Those that aren't the default.
fn own_gateway_responses(export: &RestExport<'_>) -> Value {
    let own = export.gateway_responses.iter().filter(|response| response["defaultResponse"] != true);
    let written = own.filter_map(|response| {
        let mut members = json!({});
        for name in ["statusCode", "responseParameters", "responseTemplates"] {
            insert(&mut members, name, response[name].clone());
        }
        Some((response["responseType"].as_str()?.to_owned(), members))
    });
    Value::Object(written.collect())
}

/// Properties as objects, which the operation has as text.
fn parts_of(parts: &[Value]) -> Vec<Value> {
    let part = |part: &Value| {
        let text = part["properties"].as_str().unwrap_or_default();
        let properties: Value = serde_json::from_str(text).unwrap_or_else(|_| text.into());
        json!({"location": part["location"], "properties": properties})
    };
    parts.iter().map(part).collect()
}

fn add_api_extensions(document: &mut Value, export: &RestExport<'_>) {
    for (name, member) in [
        ("x-amazon-apigateway-binary-media-types", "binaryMediaTypes"),
        ("x-amazon-apigateway-endpoint-access-mode", "endpointAccessMode"),
        ("x-amazon-apigateway-minimum-compression-size", "minimumCompressionSize"),
        ("x-amazon-apigateway-security-policy", "securityPolicy"),
    ] {
        insert(document, name, export.api[member].clone());
    }
    if export.api["apiKeySource"] == "AUTHORIZER" {
        document["x-amazon-apigateway-api-key-source"] = "AUTHORIZER".into();
    }
    insert(document, "x-amazon-apigateway-policy", policy(export.api));
    if export.dialect == Dialect::Swagger2 {
        insert(document, ENDPOINT_CONFIGURATION, endpoint_configuration(export));
    }
}

/// AWS answers it as the inside of a JSON string.
fn policy(api: &Value) -> Value {
    let Some(escaped) = api["policy"].as_str() else { return Value::Null };
    let text: String = serde_json::from_str(&format!("\"{escaped}\"")).unwrap_or_else(|_| escaped.to_owned());
    serde_json::from_str(&text).unwrap_or_else(|_| text.into())
}
