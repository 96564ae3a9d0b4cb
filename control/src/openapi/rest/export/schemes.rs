//! Who may call, as security schemes.

use serde_json::{Map, Value, json};

use super::super::super::security::{AUTH_TYPE, AUTHORIZER, UNUSED};
use super::super::authorizers::MEMBERS;
use super::{Described, RestExport, insert};

/// The schemes of methods with IAM, and with an API key.
pub(super) const IAM: &str = "sigv4";
pub(super) const API_KEY: &str = "api_key";

/// The scheme's name, changed until no authorizer has it.
pub(super) fn name(export: &RestExport<'_>, base: &str) -> String {
    let mut name = base.to_owned();
    while export.authorizers.iter().any(|authorizer| authorizer["name"] == name.as_str()) {
        name.push('_');
    }
    name
}

pub(super) fn all(export: &RestExport<'_>, described: &Described) -> Value {
    let mut schemes = Map::new();
    for authorizer in export.authorizers {
        let name = authorizer["name"].as_str().unwrap_or_default();
        let mut scheme = scheme(authorizer, export.extensions.authorizers);
        insert(&mut scheme, "description", described.of_authorizer(name));
        schemes.insert(name.to_owned(), scheme);
    }
    let any = |name: &str, value: Value| {
        let methods = export.resources.iter().filter_map(|resource| resource["resourceMethods"].as_object());
        methods.flat_map(Map::values).any(|method| method[name] == value)
    };
    if any("authorizationType", "AWS_IAM".into()) {
        let scheme =
            json!({"type": "apiKey", "name": "Authorization", "in": "header", AUTH_TYPE: "awsSigv4"});
        schemes.insert(name(export, IAM), scheme);
    }
    if any("apiKeyRequired", true.into()) {
        let scheme = json!({"type": "apiKey", "name": "x-api-key", "in": "header"});
        schemes.insert(name(export, API_KEY), scheme);
    }
    schemes.into()
}

fn scheme(authorizer: &Value, extensions: bool) -> Value {
    let source = authorizer["identitySource"].as_str().unwrap_or_default();
    let kind = authorizer["type"].as_str().unwrap_or_default();
    let single = single_source(source, kind);
    let (within, name) = single.unwrap_or(("header", UNUSED));
    let mut scheme = json!({"type": "apiKey", "name": name, "in": within});
    insert(&mut scheme, AUTH_TYPE, authorizer["authType"].clone());
    if extensions {
        let mut members = json!({"type": kind.to_ascii_lowercase()});
        for name in MEMBERS {
            insert(&mut members, name, authorizer[name].clone());
        }
        if single.is_none() && !source.is_empty() {
            members["identitySource"] = source.into();
        }
        scheme[AUTHORIZER] = members;
    }
    scheme
}

/// Where the one parameter is that decides, if it is one that a scheme can name.
fn single_source<'s>(source: &'s str, kind: &str) -> Option<(&'static str, &'s str)> {
    let header = source.strip_prefix("method.request.header.").map(|name| ("header", name));
    let query = source.strip_prefix("method.request.querystring.").map(|name| ("query", name));
    let single = header.or(query.filter(|_| kind == "REQUEST"));
    single.filter(|(_, name)| !name.contains([',', ' ']) && *name != UNUSED)
}
