//! What a document says of the API as a whole: CreateRestApi, CreateRequestValidator, PutGatewayResponse.

use serde_json::{Map, Value, json};

use super::super::budget::{Budget, TooLarge};
use super::super::document::{Document, Node};
use super::super::http::Planned;
use super::super::problems::Problems;
use super::super::text_max::{DESCRIPTION_CHARS_MAX, VERSION_CHARS_MAX, insert_text};
use super::plan::compact;

pub(super) fn members(document: &Document, problems: &mut Problems) -> Value {
    let root = document.root();
    let mut api = Map::new();
    let info = root.member("info").unwrap_or(Node { value: &Value::Null, place: root.place.at("info") });
    match info.text_of("title").filter(|title| !title.is_empty()) {
        Some(title) => {
            api.insert("name".to_owned(), title.into());
        }
        None => problems.error(&info.place.at("title"), "an API needs a title"),
    }
    insert_text(&mut api, "description", &info, "description", DESCRIPTION_CHARS_MAX, problems);
    insert_text(&mut api, "version", &info, "version", VERSION_CHARS_MAX, problems);
    for (extension, name) in [
        ("x-amazon-apigateway-binary-media-types", "binaryMediaTypes"),
        ("x-amazon-apigateway-endpoint-access-mode", "endpointAccessMode"),
        ("x-amazon-apigateway-minimum-compression-size", "minimumCompressionSize"),
        ("x-amazon-apigateway-security-policy", "securityPolicy"),
    ] {
        if let Some(node) = root.member(extension) {
            api.insert(name.to_owned(), node.value.clone());
        }
    }
    if let Some(source) = root.member("x-amazon-apigateway-api-key-source") {
        let source =
            source.text().map_or_else(|| source.value.clone(), |text| text.to_ascii_uppercase().into());
        api.insert("apiKeySource".to_owned(), source);
    }
    if let Some(policy) = root.member("x-amazon-apigateway-policy") {
        let policy = match policy.value {
            Value::String(text) => text.clone(),
            object => object.to_string(),
        };
        api.insert("policy".to_owned(), policy.into());
    }
    endpoint(document, &mut api, problems);
    api.into()
}

/// Of each member, the first server has the last word.
fn endpoint(document: &Document, api: &mut Map<String, Value>, problems: &mut Problems) {
    let mut configuration = Map::new();
    let all = document.endpoint_configurations();
    if let Some(odd) = all.iter().find(|node| !node.value.is_object()) {
        problems.error(&odd.place, "an endpoint configuration has to be an object");
    }
    for (name, member) in all.iter().flat_map(Node::members) {
        match name {
            "disableExecuteApiEndpoint" => {
                api.insert(name.to_owned(), member.value.clone());
            }
            "types" | "vpcEndpointIds" | "ipAddressType" => {
                configuration.insert(name.to_owned(), member.value.clone());
            }
            _ => problems.warn(&member.place, "the endpoint configuration has no such member here"),
        }
    }
    if !configuration.is_empty() {
        api.insert("endpointConfiguration".to_owned(), configuration.into());
    }
}

pub(super) fn validators(document: &Document, budget: &mut Budget) -> Result<Vec<Planned>, TooLarge> {
    let all = document.root().member("x-amazon-apigateway-request-validators");
    let mut planned = Vec::new();
    for (name, node) in all.iter().flat_map(Node::members) {
        let mut members = budget.copy(node.value)?;
        if let Some(members) = members.as_object_mut() {
            members.insert("name".to_owned(), name.into());
        }
        planned.push(Planned { place: node.place, name: name.to_owned(), members });
    }
    Ok(planned)
}

pub(super) fn gateway_responses(document: &Document, budget: &mut Budget) -> Result<Vec<Planned>, TooLarge> {
    let all = document.root().member("x-amazon-apigateway-gateway-responses");
    let mut planned = Vec::new();
    for (kind, node) in all.iter().flat_map(Node::members) {
        let members = json!({
            "statusCode": node.text_of("statusCode"),
            "responseParameters": copy(&node, "responseParameters", budget)?,
            "responseTemplates": copy(&node, "responseTemplates", budget)?,
        });
        planned.push(Planned { place: node.place, name: kind.to_owned(), members: compact(members) });
    }
    Ok(planned)
}

/// The member, or `null`.
pub(super) fn copy(node: &Node<'_>, name: &str, budget: &mut Budget) -> Result<Value, TooLarge> {
    node.member(name).map_or(Ok(Value::Null), |member| budget.copy(member.value))
}
