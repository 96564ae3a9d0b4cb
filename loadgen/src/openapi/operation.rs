//! The operations of a document, as requests.

use serde_json::Value;

use super::document::{Document, Version, items, members, one_line, text_of};
use super::sample::{Samples, literal, scalar, template};
use super::security::{self, Credential};
use crate::coding::percent_encoded;

const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// One operation as a request.
#[derive(Debug, Default)]
pub(super) struct Operation {
    pub(super) name: String,
    pub(super) method: String,
    /// With parameters in braces.
    pub(super) path: String,
    pub(super) parameters: Vec<Parameter>,
    /// Content type and body, as a template.
    pub(super) body: Option<(String, String)>,
    pub(super) statuses: Vec<String>,
    pub(super) credentials: Vec<Credential>,
    /// What can't be brought over.
    pub(super) remarks: Vec<String>,
}

/// A parameter that every request has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) template: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Path,
    Query,
    Header,
    Cookie,
}

/// All of them in the document's order of names.
pub(super) fn operations(document: &Document) -> Result<Vec<Operation>, String> {
    let mut operations = Vec::new();
    for (path, item) in members(&document.root, "paths").filter(|(path, _)| path.starts_with('/')) {
        let item = document.resolve(item)?;
        for method in METHODS {
            if let Some(typed) = item.get(method) {
                let operation = operation(document, path, item, method, typed);
                operations
                    .push(operation.map_err(|reason| format!("{} {path}: {reason}", method.to_uppercase()))?);
            }
        }
        if item.get("x-amazon-apigateway-any-method").is_some() {
            let typed = &item["x-amazon-apigateway-any-method"];
            let mut any = operation(document, path, item, "get", typed)?;
            any.remarks
                .push("stands for any method (x-amazon-apigateway-any-method); here it is GET".to_owned());
            operations.push(any);
        }
    }
    Ok(operations)
}

fn operation(
    document: &Document,
    path: &str,
    item: &Value,
    method: &str,
    typed: &Value,
) -> Result<Operation, String> {
    let method = method.to_uppercase();
    let name = text_of(typed, "/operationId").map_or_else(|| format!("{method} {path}"), one_line);
    let mut operation = Operation { name, method, path: path.to_owned(), ..Operation::default() };
    let own = items(typed, "parameters");
    let mut form = Vec::new();
    for parameter in own.iter().chain(items(item, "parameters")) {
        let parameter = document.resolve(parameter)?;
        let (Some(name), Some(place)) = (text_of(parameter, "/name"), text_of(parameter, "/in")) else {
            return Err("a parameter has no name or no place".to_owned());
        };
        match place {
            "body" => body_of_schema(document, &mut operation, typed, parameter.get("schema"))?,
            "formData" => form.push((name, parameter)),
            _ => add_parameter(document, &mut operation, name, place, parameter)?,
        }
    }
    if !form.is_empty() {
        form_body(document, &mut operation, &form)?;
    }
    if let Some(body) = typed.get("requestBody") {
        request_body(&mut operation, document, document.resolve(body)?)?;
    }
    for name in path_names(path) {
        let known = |parameter: &Parameter| parameter.place == Place::Path && parameter.name == name;
        if !operation.parameters.iter().any(known) {
            let template = "{{string(8)}}".to_owned();
            operation.parameters.push(Parameter { name: name.to_owned(), place: Place::Path, template });
            operation
                .remarks
                .push(format!("the document doesn't describe the path parameter '{}'", one_line(name)));
        }
    }
    statuses(&mut operation, typed);
    security::add(document, &mut operation, typed)?;
    Ok(operation)
}

/// The names in braces, without the sign of a greedy one.
pub(super) fn path_names(path: &str) -> impl Iterator<Item = &str> {
    let parts = path.split('{').skip(1).filter_map(|part| part.split_once('}'));
    parts.map(|(name, _)| name.trim_end_matches('+'))
}

fn add_parameter(
    document: &Document,
    operation: &mut Operation,
    name: &str,
    place: &str,
    typed: &Value,
) -> Result<(), String> {
    let place = match place {
        "path" => Place::Path,
        "query" => Place::Query,
        "header" => Place::Header,
        "cookie" => Place::Cookie,
        other => return Err(format!("the parameter '{name}' is in '{other}', which isn't known")),
    };
    // An operation's own comes first and counts.
    if operation.parameters.iter().any(|known| known.place == place && known.name == name) {
        return Ok(());
    }
    let required = typed.get("required").and_then(Value::as_bool) == Some(true) || place == Place::Path;
    if !required {
        let what = format!("{place:?}").to_lowercase();
        operation.remarks.push(format!("optional {what} parameter: {}", one_line(name)));
        return Ok(());
    }
    let own = ["host", "content-length", "transfer-encoding", "connection"];
    if place == Place::Header && own.iter().any(|own| name.eq_ignore_ascii_case(own)) {
        operation.remarks.push(format!("the header parameter '{}' is the generator's own", one_line(name)));
        return Ok(());
    }
    let content = members(typed, "content").next().and_then(|(_, media)| media.get("schema"));
    // In Swagger 2, the parameter is its own schema.
    let schema = document.resolve(typed.get("schema").or(content).unwrap_or(typed))?;
    let template = template(schema, example(document, typed)?);
    operation.parameters.push(Parameter { name: name.to_owned(), place, template });
    Ok(())
}

/// `example`, or the first of `examples`.
fn example<'a>(document: &'a Document, typed: &'a Value) -> Result<Option<&'a Value>, String> {
    if let Some(example) = typed.get("example") {
        return Ok(Some(example));
    }
    match members(typed, "examples").next() {
        Some((_, first)) => Ok(document.resolve(first)?.get("value")),
        None => Ok(None),
    }
}

/// OpenAPI 3: JSON if there is some, else the first type.
fn request_body(operation: &mut Operation, document: &Document, body: &Value) -> Result<(), String> {
    let is_json = |kind: &str| {
        kind.split(';').next().is_some_and(|kind| kind == "application/json" || kind.ends_with("+json"))
    };
    let mut contents = members(body, "content");
    let first = members(body, "content").next();
    let Some((kind, media)) = contents.find(|(kind, _)| is_json(kind)).or(first) else { return Ok(()) };
    let sample = match example(document, media)? {
        Some(example) => Some(escaped_value(example)),
        None => match media.get("schema") {
            Some(schema) => Some(Samples::new(document).of(schema)?),
            None => None,
        },
    };
    put_body(operation, kind, sample);
    Ok(())
}

/// Swagger 2.
fn body_of_schema(
    document: &Document,
    operation: &mut Operation,
    typed: &Value,
    schema: Option<&Value>,
) -> Result<(), String> {
    let consumes =
        |value: &Value| items(value, "consumes").first().and_then(Value::as_str).map(str::to_owned);
    let kind = consumes(typed).or_else(|| consumes(&document.root));
    let sample = schema.map(|schema| Samples::new(document).of(schema)).transpose()?;
    put_body(operation, kind.as_deref().unwrap_or("application/json"), sample);
    Ok(())
}

fn form_body(document: &Document, operation: &mut Operation, form: &[(&str, &Value)]) -> Result<(), String> {
    let mut members = serde_json::Map::new();
    for (name, typed) in form {
        if typed.get("type").and_then(Value::as_str) == Some("file") {
            operation.remarks.push(format!("the form's file '{}' is left out", one_line(name)));
            continue;
        }
        let text = template(document.resolve(typed)?, example(document, typed)?);
        members.insert((*name).to_owned(), Value::String(text));
    }
    put_body(operation, "application/x-www-form-urlencoded", Some(Value::Object(members)));
    Ok(())
}

fn put_body(operation: &mut Operation, kind: &str, sample: Option<Value>) {
    let plain = kind.split(';').next().unwrap_or(kind).trim();
    let text = match (plain, sample) {
        ("application/x-www-form-urlencoded", Some(Value::Object(members))) => {
            let pair = |(name, value): (&String, &Value)| {
                format!("{}={}", form_encoded(name), form_encoded(&form_text(value)))
            };
            Some(members.iter().map(pair).collect::<Vec<_>>().join("&"))
        }
        (plain, Some(value)) if plain == "application/json" || plain.ends_with("+json") => {
            Some(value.to_string())
        }
        (_, Some(Value::String(text))) if !plain.starts_with("multipart/") => Some(text),
        _ => None,
    };
    match text {
        Some(text) => operation.body = Some((kind.to_owned(), text)),
        None => {
            operation.remarks.push(format!("a body of {}: give one with body or body_file", one_line(kind)))
        }
    }
}

fn escaped_value(example: &Value) -> Value {
    match example {
        Value::String(text) => Value::String(literal(text)),
        // Members may hold texts: through their JSON, where no brace is ever doubled but in a text.
        other => serde_json::from_str(&literal(&other.to_string())).unwrap_or_else(|_| other.clone()),
    }
}

/// Templates stay as they are.
fn form_encoded(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(open) = rest.find("{{") {
        out.push_str(&percent_encoded(&rest[..open]));
        let end = rest[open..].find("}}").map_or(rest.len(), |end| open + end + 2);
        out.push_str(&rest[open..end]);
        rest = &rest[end..];
    }
    out + &percent_encoded(rest)
}

fn form_text(value: &Value) -> String {
    match value {
        // Made, so a template already.
        Value::String(text) => text.clone(),
        other => scalar(other),
    }
}

/// What the document calls a success or a redirection.
fn statuses(operation: &mut Operation, typed: &Value) {
    for (status, _) in members(typed, "responses") {
        match status.as_str() {
            "2XX" | "2xx" => operation.statuses.push("\"200-299\"".to_owned()),
            "3XX" | "3xx" => operation.statuses.push("\"300-399\"".to_owned()),
            code if code.len() == 3
                && code.starts_with(['2', '3'])
                && code.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                operation.statuses.push(code.to_owned());
            }
            _ => {}
        }
    }
}

impl Document {
    /// Where the document says that the API is.
    pub(super) fn server(&self) -> Option<String> {
        match self.version {
            Version::OpenApi3 => {
                let server = items(&self.root, "servers").first()?;
                let mut url = text_of(server, "/url")?.to_owned();
                for (name, variable) in members(server, "variables") {
                    let default = text_of(variable, "/default").unwrap_or_default();
                    url = url.replace(&format!("{{{name}}}"), default);
                }
                Some(one_line(&url))
            }
            Version::Swagger2 => {
                let host = text_of(&self.root, "/host")?;
                let scheme = items(&self.root, "schemes").first().and_then(Value::as_str).unwrap_or("http");
                let base = text_of(&self.root, "/basePath").unwrap_or_default();
                Some(one_line(&format!("{scheme}://{host}{base}")))
            }
        }
    }
}
