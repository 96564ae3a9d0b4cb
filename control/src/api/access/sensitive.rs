//! Actions that AWS asks for beside the method's, because of what a call would set: an API's or a domain's resource
//! policy, and the trust store of mutual TLS. Who may change an API can't open it to others by that alone.

use serde_json::Value;

use super::ask::{Ask, within_path};
use crate::api::call::query_values;
use crate::api::operations::{Operation, Service};
use crate::openapi::Document;

const POLICY: &str = "UpdateRestApiPolicy";
const DOMAIN_POLICY: &str = "UpdateDomainNamePolicy";
const DOMAIN_MANAGEMENT_POLICY: &str = "UpdateDomainNameManagementPolicy";
const ADD_TRUST: &str = "AddCertificateToDomain";
const REMOVE_TRUST: &str = "RemoveCertificateFromDomain";

/// What the call asks beside `asks`, which is what its method and path ask.
pub(in crate::api) fn add_sensitive(
    asks: &mut Vec<Ask>,
    operation: &Operation,
    members: &Value,
    document: Option<&Document>,
) {
    let Some(resource) = asks.first().map(|ask| ask.resource.clone()) else { return };
    let actions = actions(operation, members, document).into_iter();
    asks.extend(actions.map(|action| Ask::new(format!("apigateway:{action}"), resource.clone())));
    asks.extend(read_of_source(operation, members, &resource));
}

/// A clone shows all of its source: whoever makes one has to be allowed to read that.
fn read_of_source(operation: &Operation, members: &Value, apis: &str) -> Option<Ask> {
    let is_creation = (operation.service, operation.name) == (Service::V1, "CreateRestApi");
    let source = members["cloneFrom"].as_str().filter(|source| is_creation && !source.is_empty())?;
    Some(Ask::new("apigateway:GET".to_owned(), format!("{apis}/{}", within_path(source))))
}

/// Whether the call replaces all of an API: a resource policy that its document doesn't have goes.
pub(in crate::api) fn overwrites(operation: &Operation, query: &str) -> bool {
    let puts = (operation.service, operation.name) == (Service::V1, "PutRestApi");
    puts && query_values(query, "mode").iter().any(|mode| mode == "overwrite")
}

/// Asks to change the policy of the API that the call is about.
pub(in crate::api) fn asks_for_policy(asks: &mut Vec<Ask>) {
    let Some(resource) = asks.first().map(|ask| ask.resource.clone()) else { return };
    let ask = Ask::new(format!("apigateway:{POLICY}"), resource);
    if !asks.contains(&ask) {
        asks.push(ask);
    }
}

/// Each once. A body that can't be read asks for nothing: the operation refuses it.
fn actions(operation: &Operation, members: &Value, document: Option<&Document>) -> Vec<&'static str> {
    let has_policy = || document.is_some_and(|document| document.has_member("x-amazon-apigateway-policy"));
    let mut actions = match (operation.service, operation.name) {
        (Service::V1, "CreateRestApi") => given(members, &[("policy", POLICY)]),
        (Service::V1, "UpdateRestApi") => patched(members, &[("/policy", POLICY)]),
        (Service::V1, "ImportRestApi" | "PutRestApi") if has_policy() => vec![POLICY],
        (Service::V1, "CreateDomainName") => {
            let mut actions =
                given(members, &[("policy", DOMAIN_POLICY), ("managementPolicy", DOMAIN_MANAGEMENT_POLICY)]);
            actions.extend(trust_given(members));
            actions
        }
        (Service::V1, "UpdateDomainName") => {
            let policies = [("/policy", DOMAIN_POLICY), ("/managementPolicy", DOMAIN_MANAGEMENT_POLICY)];
            let mut actions = patched(members, &policies);
            actions.extend(trust_patched(members));
            actions
        }
        (Service::V2, "CreateDomainName" | "UpdateDomainName") => trust_given(members).into_iter().collect(),
        _ => Vec::new(),
    };
    actions.sort_unstable();
    actions.dedup();
    actions
}

fn given(members: &Value, table: &[(&str, &'static str)]) -> Vec<&'static str> {
    table.iter().filter(|(name, _)| !says_nothing(&members[*name])).map(|(_, action)| *action).collect()
}

fn says_nothing(value: &Value) -> bool {
    value.is_null() || value.as_str() == Some("")
}

/// By where a patch writes to or takes from.
fn patched(members: &Value, table: &[(&str, &'static str)]) -> Vec<&'static str> {
    let places = patches(members).iter().flat_map(|patch| [&patch["path"], &patch["from"]]);
    let places = places.filter_map(Value::as_str);
    let found = places.filter_map(|place| table.iter().find(|(path, _)| *path == place));
    found.map(|(_, action)| *action).collect()
}

fn patches(members: &Value) -> &[Value] {
    members["patchOperations"].as_array().map_or(&[], Vec::as_slice)
}

/// A trust store that is emptied is one that is removed.
fn trust_given(members: &Value) -> Option<&'static str> {
    let trust = &members["mutualTlsAuthentication"];
    match trust["truststoreUri"].as_str() {
        _ if trust.is_null() => None,
        Some("") => Some(REMOVE_TRUST),
        _ => Some(ADD_TRUST),
    }
}

/// What is moved from there is removed; what is moved or copied there is added.
fn trust_patched(members: &Value) -> Vec<&'static str> {
    let mut actions = Vec::new();
    for patch in patches(members) {
        let touches = |place: &str| {
            let place = patch[place].as_str().unwrap_or("");
            place.starts_with("/mutualTlsAuthentication")
        };
        let brings = takes_from_elsewhere(patch) || !says_nothing(&patch["value"]);
        if touches("path") {
            actions.push(if patch["op"] != "remove" && brings { ADD_TRUST } else { REMOVE_TRUST });
        }
        if touches("from") {
            actions.push(REMOVE_TRUST);
        }
    }
    actions
}

/// Whether its value comes from another place.
fn takes_from_elsewhere(patch: &Value) -> bool {
    patch["op"] == "move" || patch["op"] == "copy"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::operations::Operations;
    use crate::openapi::{DocumentLimits, Substitutes};

    #[test]
    fn only_an_overwriting_put_takes_a_policy_away() {
        let operations = Operations::load();
        let overwriting = |target: &str| {
            let (path, query) = target.split_once('?').unwrap_or((target, ""));
            overwrites(operations.find("PUT", path, query).expect(path).operation, query)
        };
        for target in ["/restapis/a?mode=overwrite", "/restapis/a?x=1&m%6fde=over%77rite"] {
            assert!(overwriting(target), "{target}");
        }
        for target in ["/restapis/a", "/restapis/a?mode=merge", "/v2/apis/a?mode=overwrite"] {
            assert!(!overwriting(target), "{target}");
        }
    }

    #[test]
    fn what_opens_an_api_or_a_domain_is_asked_for() {
        let operations = Operations::load();
        let limits = DocumentLimits { depth_max: 100, values_max: 1_000 };
        let asked = |method: &str, target: &str, body: &str| {
            let (path, query) = target.split_once('?').unwrap_or((target, ""));
            let found = operations.find(method, path, query).expect(path);
            let members = serde_json::from_str(body).unwrap_or_default();
            let substitutes = Substitutes { account: "", region: "" };
            let document = Document::read(body.as_bytes(), limits, &substitutes).ok();
            actions(found.operation, &members, document.as_ref()).join(" ")
        };
        let patch = |op: &str, path: &str, value: &str| {
            format!(r#"{{"patchOperations":[{{"op":"{op}","path":"{path}","value":"{value}"}}]}}"#)
        };
        let import = r#"{"swagger":"2.0","info":{},"paths":{},"x-amazon-apigateway-pol\u0069cy":{}}"#;
        let table = [
            ("POST", "/restapis", r#"{"name":"a"}"#.to_owned(), ""),
            ("POST", "/restapis", r#"{"name":"a","policy":"{}"}"#.to_owned(), POLICY),
            ("PATCH", "/restapis/a", patch("replace", "/name", "b"), ""),
            ("PATCH", "/restapis/a", patch("replace", "/policy", "{}"), POLICY),
            ("PATCH", "/restapis/a", patch("remove", "/policy", ""), POLICY),
            ("PUT", "/restapis/a", import.to_owned(), POLICY),
            ("POST", "/restapis?mode=import", import.replace("\\u0069", "i"), POLICY),
            ("PUT", "/restapis/a", r#"{"swagger":"2.0"}"#.to_owned(), ""),
            (
                "PUT",
                "/restapis/a",
                "swagger: '2.0'\n\"x-amazon-\\x61pigateway-policy\": {}\n".to_owned(),
                POLICY,
            ),
            ("POST", "/domainnames", r#"{"policy":"{}"}"#.to_owned(), DOMAIN_POLICY),
            (
                "PATCH",
                "/domainnames/d",
                patch("replace", "/managementPolicy", "{}"),
                DOMAIN_MANAGEMENT_POLICY,
            ),
            (
                "PATCH",
                "/domainnames/d",
                patch("replace", "/mutualTlsAuthentication/truststoreUri", "x"),
                ADD_TRUST,
            ),
            (
                "PATCH",
                "/domainnames/d",
                patch("replace", "/mutualTlsAuthentication/truststoreUri", ""),
                REMOVE_TRUST,
            ),
            (
                "PATCH",
                "/domainnames/d",
                r#"{"patchOperations":[{"op":"move","from":"/mutualTlsAuthentication/truststoreUri","path":"/x"}]}"#
                    .to_owned(),
                REMOVE_TRUST,
            ),
            (
                "PATCH",
                "/domainnames/d",
                r#"{"patchOperations":[{"op":"move","from":"/x","path":"/mutualTlsAuthentication/truststoreUri"}]}"#
                    .to_owned(),
                ADD_TRUST,
            ),
            (
                "POST",
                "/v2/domainnames",
                r#"{"mutualTlsAuthentication":{"truststoreUri":"x"}}"#.to_owned(),
                ADD_TRUST,
            ),
            (
                "PATCH",
                "/v2/domainnames/d",
                r#"{"mutualTlsAuthentication":{"truststoreUri":""}}"#.to_owned(),
                REMOVE_TRUST,
            ),
            ("PATCH", "/v2/domainnames/d", "{}".to_owned(), ""),
            ("POST", "/restapis", "{".to_owned(), ""),
        ];
        for (method, target, body, expected) in table {
            assert_eq!(asked(method, target, &body), expected, "{method} {target} {body}");
        }
    }
}
