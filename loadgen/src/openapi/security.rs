//! What an operation asks callers for, as variables that somebody fills in.

use serde_json::Value;

use super::document::{Document, Version, items, members, one_line, text_of};
use super::operation::{Operation, Place};

/// A secret that goes with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Credential {
    /// The scheme's name, which becomes the variable's.
    pub(super) scheme: String,
    pub(super) place: Place,
    /// Of the header, query parameter or cookie.
    pub(super) name: String,
    /// What stands before it in the value.
    pub(super) prefix: &'static str,
    pub(super) filter: &'static str,
    /// What the variable holds, in words.
    pub(super) hint: &'static str,
}

pub(super) fn add(document: &Document, operation: &mut Operation, typed: &Value) -> Result<(), String> {
    let requirements = match typed.get("security") {
        Some(_) => items(typed, "security"),
        None => items(&document.root, "security"),
    };
    let is_open = |requirement: &&Value| requirement.as_object().is_some_and(serde_json::Map::is_empty);
    if requirements.iter().any(|requirement| is_open(&requirement)) {
        return Ok(());
    }
    let Some(first) = requirements.first().and_then(Value::as_object) else { return Ok(()) };
    if requirements.len() > 1 {
        operation.remarks.push("the document offers other ways to authenticate as well".to_owned());
    }
    let schemes = match document.version {
        Version::OpenApi3 => document.root.pointer("/components/securitySchemes"),
        Version::Swagger2 => document.root.pointer("/securityDefinitions"),
    };
    for name in first.keys() {
        let Some(scheme) = schemes.and_then(|schemes| schemes.get(name)) else {
            return Err(format!("the security scheme '{name}' isn't defined"));
        };
        let scheme = document.resolve(scheme)?;
        match credential(name, scheme) {
            Ok(credential) => operation.credentials.push(credential),
            Err(remark) => operation.remarks.push(remark),
        }
    }
    Ok(())
}

fn credential(name: &str, scheme: &Value) -> Result<Credential, String> {
    let bearer = Credential {
        scheme: name.to_owned(),
        place: Place::Header,
        name: "authorization".to_owned(),
        prefix: "Bearer ",
        filter: "",
        hint: "a bearer token",
    };
    let is_aws = text_of(scheme, "/x-amazon-apigateway-authtype") == Some("awsSigv4");
    let kind = text_of(scheme, "/type").unwrap_or_default();
    let how = text_of(scheme, "/scheme").unwrap_or_default();
    match (kind, how) {
        ("apiKey", _) if is_aws => {
            Err(format!("signed with SigV4 ({}): add a [signer.NAME] and sign = \"NAME\"", one_line(name)))
        }
        ("apiKey", _) => {
            let place = match text_of(scheme, "/in") {
                Some("query") => Place::Query,
                Some("cookie") => Place::Cookie,
                _ => Place::Header,
            };
            let own = text_of(scheme, "/name").unwrap_or(name).to_owned();
            Ok(Credential { place, name: own, prefix: "", hint: "an API key", ..bearer })
        }
        ("basic", _) => {
            Ok(Credential { prefix: "Basic ", filter: " | base64", hint: "user:password", ..bearer })
        }
        ("http", how) if how.eq_ignore_ascii_case("basic") => {
            Ok(Credential { prefix: "Basic ", filter: " | base64", hint: "user:password", ..bearer })
        }
        ("http", how) if how.eq_ignore_ascii_case("bearer") => Ok(bearer),
        ("oauth2" | "openIdConnect", _) => Ok(Credential { hint: "an access token", ..bearer }),
        (kind, how) => Err(format!(
            "the security scheme {} ({} {}) has to be added by hand",
            one_line(name),
            one_line(kind),
            one_line(how)
        )),
    }
}

/// Scopes that a document's scheme knows, for the comment.
pub(super) fn scopes(document: &Document, scheme: &str) -> Vec<String> {
    let schemes = ["/components/securitySchemes", "/securityDefinitions"];
    let found = schemes.iter().find_map(|place| document.root.pointer(place)?.get(scheme));
    let Some(found) = found else { return Vec::new() };
    let flows = members(found, "flows").flat_map(|(_, flow)| members(flow, "scopes"));
    flows.chain(members(found, "scopes")).map(|(scope, _)| one_line(scope)).collect()
}
