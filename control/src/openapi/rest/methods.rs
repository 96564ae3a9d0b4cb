//! Operations: PutMethod, PutMethodResponse, PutIntegration, PutIntegrationResponse.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::super::budget::TooLarge;
use super::super::document::{Node, Version};
use super::super::integration;
use super::super::operations::Operation;
use super::super::place::Place;
use super::super::problems::Problems;
use super::super::security::{self, Protection, Scheme};
use super::super::text_max::{METHOD_OPERATION_NAME_CHARS_MAX, insert_text};
use super::api::copy;
use super::authorizers::number;
use super::parameters::{self, Parameter};
use super::plan::{PlannedIntegration, PlannedMethod, PlannedResponse, Planner, compact};

pub(super) const REQUEST_VALIDATOR: &str = "x-amazon-apigateway-request-validator";
const JSON: &str = "application/json";
/// What a method costs at least, in values.
const METHOD_VALUES: usize = 16;
/// What a response of a method or an integration costs at least.
const RESPONSE_VALUES: usize = 16;

pub(super) fn plan(
    planner: &mut Planner<'_>,
    operation: &Operation<'_>,
    problems: &mut Problems,
) -> Result<PlannedMethod, TooLarge> {
    planner.budget.spend(METHOD_VALUES)?;
    let node = &operation.node;
    let (document, budget) = (planner.document, &mut planner.budget);
    let parameters = parameters::of_operation(document, operation, budget, problems)?;
    let integration = integration::of_operation(document, node, budget, problems)?;
    let served = integration.is_some();
    let asked = security::protection(document, &planner.schemes, operation, served, budget, problems)?;
    let integration = integration.map(|node| plan_integration(planner, &node, problems)).transpose()?;
    let mut members = Map::new();
    insert_text(
        &mut members,
        "operationName",
        node,
        "operationId",
        METHOD_OPERATION_NAME_CHARS_MAX,
        problems,
    );
    insert_unless_empty(
        &mut members,
        "requestParameters",
        parameters::request_parameters(&parameters, problems),
    );
    insert_unless_empty(
        &mut members,
        "requestModels",
        request_models(planner, operation, &parameters, problems)?,
    );
    planner.documentation.of_operation(operation, &parameters, &mut planner.budget)?;
    let authorizer = protect(planner, &mut members, asked);
    let mut responses = responses(planner, operation, problems)?;
    declare(&mut responses, integration.as_ref());
    Ok(PlannedMethod {
        place: node.place.clone(),
        path: operation.path.clone(),
        http_method: operation.method.clone(),
        members: members.into(),
        authorizer,
        validator: validator(planner, node, problems)?,
        responses,
        integration,
    })
}

/// An integration's response is for a response of the method: AWS's own examples leave out to declare it.
fn declare(responses: &mut Vec<PlannedResponse>, integration: Option<&PlannedIntegration>) {
    let declared: BTreeSet<&str> = responses.iter().map(|response| response.status_code.as_str()).collect();
    let all = integration.into_iter().flat_map(|planned| &planned.responses);
    let missing: Vec<PlannedResponse> = all
        .filter(|response| !declared.contains(response.status_code.as_str()))
        .map(|response| PlannedResponse { members: json!({}), ..response.clone() })
        .collect();
    responses.extend(missing);
}

fn insert_unless_empty(members: &mut Map<String, Value>, name: &str, map: Map<String, Value>) {
    if !map.is_empty() {
        members.insert(name.to_owned(), map.into());
    }
}

/// The name of the authorizer that decides, if one does.
fn protect(planner: &Planner<'_>, members: &mut Map<String, Value>, asked: Protection) -> Option<String> {
    if asked.api_key {
        members.insert("apiKeyRequired".to_owned(), true.into());
    }
    let authorizer = asked.authorizer.as_ref().map(|(name, _)| name.as_str());
    let kind = match (asked.iam, authorizer) {
        (true, _) => "AWS_IAM",
        (false, None) => "NONE",
        (false, Some(name)) => authorization_type(planner, name),
    };
    members.insert("authorizationType".to_owned(), kind.into());
    let (name, scopes) = asked.authorizer?;
    if !scopes.is_empty() {
        members.insert("authorizationScopes".to_owned(), scopes.into());
    }
    Some(name)
}

/// What methods say of an authorizer of this kind.
fn authorization_type(planner: &Planner<'_>, name: &str) -> &'static str {
    let kind = match planner.schemes.get(name) {
        Some(Scheme::Authorizer(node)) => node.value[security::AUTHORIZER]["type"].as_str(),
        _ => None,
    };
    let is = |known: &&str| kind.is_some_and(|kind| kind.eq_ignore_ascii_case(known));
    ["COGNITO_USER_POOLS", "JWT"].into_iter().find(is).unwrap_or("CUSTOM")
}

/// The operation's own, or the API's.
fn validator(
    planner: &mut Planner<'_>,
    node: &Node<'_>,
    problems: &mut Problems,
) -> Result<Option<String>, TooLarge> {
    let root = planner.document.root();
    let Some(named) = node.member(REQUEST_VALIDATOR).or_else(|| root.member(REQUEST_VALIDATOR)) else {
        return Ok(None);
    };
    planner.budget.repeat(named.value)?;
    let Some(name) = named.text() else {
        problems.error(&named.place, "a request validator is referred to by its name");
        return Ok(None);
    };
    let known = root.member("x-amazon-apigateway-request-validators").and_then(|all| all.member(&name));
    if known.is_none() {
        problems.error(&named.place, format_args!("there is no request validator '{name}'"));
        return Ok(None);
    }
    Ok(Some(name))
}

/// Models by content type.
fn request_models(
    planner: &mut Planner<'_>,
    operation: &Operation<'_>,
    parameters: &[Parameter<'_>],
    problems: &mut Problems,
) -> Result<Map<String, Value>, TooLarge> {
    if planner.document.version() == Version::Swagger2 {
        let body = parameters.iter().find(|parameter| parameter.within == "body");
        let Some(schema) = body.and_then(|body| body.node.member("schema")) else { return Ok(Map::new()) };
        return shared_model(planner, operation, "consumes", &schema, problems);
    }
    let Some(body) = operation.node.member("requestBody") else { return Ok(Map::new()) };
    match planner.document.resolve(&body, &mut planner.budget)? {
        Ok(body) => content_models(planner, &body, problems),
        Err(why) => {
            problems.error(&body.place, why);
            Ok(Map::new())
        }
    }
}

/// Swagger 2: one schema for every content type that the operation, or the document, lists.
fn shared_model(
    planner: &mut Planner<'_>,
    operation: &Operation<'_>,
    list: &str,
    schema: &Node<'_>,
    problems: &mut Problems,
) -> Result<Map<String, Value>, TooLarge> {
    let Some(model) = planner.model(schema, problems)? else { return Ok(Map::new()) };
    let types = operation.node.member(list).or_else(|| planner.document.root().member(list));
    if let Some(types) = &types {
        planner.budget.repeat(types.value)?;
    }
    let mut types: Vec<String> =
        types.map_or_else(Vec::new, |types| types.items().iter().filter_map(Node::text).collect());
    if types.is_empty() {
        types.push(JSON.to_owned());
    }
    types.iter().try_for_each(|_| planner.budget.spend_text(&model))?;
    Ok(types.into_iter().map(|content_type| (content_type, model.clone().into())).collect())
}

/// OpenAPI 3: a schema for each content type.
fn content_models(
    planner: &mut Planner<'_>,
    node: &Node<'_>,
    problems: &mut Problems,
) -> Result<Map<String, Value>, TooLarge> {
    let mut models = Map::new();
    for (content_type, media) in node.member("content").iter().flat_map(Node::members) {
        planner.budget.spend(1)?;
        let Some(schema) = media.member("schema") else { continue };
        if let Some(model) = planner.model(&schema, problems)? {
            planner.budget.spend_text(&model)?;
            models.insert(content_type.to_owned(), model.into());
        }
    }
    Ok(models)
}

fn responses(
    planner: &mut Planner<'_>,
    operation: &Operation<'_>,
    problems: &mut Problems,
) -> Result<Vec<PlannedResponse>, TooLarge> {
    let mut planned = Vec::new();
    for (code, node) in operation.node.member("responses").iter().flat_map(Node::members) {
        planner.budget.spend(RESPONSE_VALUES)?;
        if code.starts_with("x-") {
            continue;
        }
        let node = match planner.document.resolve(&node, &mut planner.budget)? {
            Ok(node) => node,
            Err(why) => {
                problems.error(&node.place, why);
                continue;
            }
        };
        if !is_status(code) {
            if says_something(&node) {
                problems.warn(&node.place, "a method's response needs a status code; this one is left out");
            }
            continue;
        }
        planner.documentation.of_response(operation, code, &node, &mut planner.budget)?;
        planned.push(response(planner, operation, code, node, problems)?);
    }
    Ok(planned)
}

fn is_status(code: &str) -> bool {
    code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit())
}

fn says_something(response: &Node<'_>) -> bool {
    ["schema", "content", "headers"].iter().any(|name| response.member(name).is_some())
}

fn response(
    planner: &mut Planner<'_>,
    operation: &Operation<'_>,
    code: &str,
    node: Node<'_>,
    problems: &mut Problems,
) -> Result<PlannedResponse, TooLarge> {
    let mut parameters = Map::new();
    for (name, header) in node.member("headers").iter().flat_map(Node::members) {
        planner.budget.spend(1)?;
        let header = planner.document.resolve(&header, &mut planner.budget)?.unwrap_or(header);
        let required = header.member("required").is_some_and(|node| node.value == &Value::Bool(true));
        parameters.insert(format!("method.response.header.{name}"), required.into());
    }
    let models = match (planner.document.version(), node.member("schema")) {
        (Version::Swagger2, Some(schema)) => shared_model(planner, operation, "produces", &schema, problems)?,
        (Version::Swagger2, None) => Map::new(),
        (Version::OpenApi30 | Version::OpenApi31, _) => content_models(planner, &node, problems)?,
    };
    let mut members = Map::new();
    insert_unless_empty(&mut members, "responseParameters", parameters);
    insert_unless_empty(&mut members, "responseModels", models);
    Ok(PlannedResponse { place: node.place, status_code: code.to_owned(), members: members.into() })
}

/// Members that are called the same in a document and in PutIntegration, as they are.
pub(super) const PLAIN: [&str; 7] = [
    "cacheKeyParameters",
    "cacheNamespace",
    "connectionId",
    "credentials",
    "requestParameters",
    "requestTemplates",
    "uri",
];
/// Of those, what is in upper case there, and in AWS's documents perhaps not.
pub(super) const UPPER: [&str; 6] = [
    "connectionType",
    "contentHandling",
    "httpMethod",
    "passthroughBehavior",
    "responseTransferMode",
    "type",
];
/// Further ones.
pub(super) const OTHER: [&str; 3] = ["integrationTarget", "timeoutInMillis", "tlsConfig"];

fn plan_integration(
    planner: &mut Planner<'_>,
    node: &Node<'_>,
    problems: &mut Problems,
) -> Result<PlannedIntegration, TooLarge> {
    let mut members = Map::new();
    for (name, member) in node.members() {
        let value = match name {
            name if UPPER.contains(&name) => member.text().unwrap_or_default().to_ascii_uppercase().into(),
            "timeoutInMillis" => number(&member),
            name if PLAIN.contains(&name) || OTHER.contains(&name) => planner.budget.copy(member.value)?,
            _ => continue,
        };
        members.insert(name.to_owned(), value);
    }
    // The last two are HTTP APIs', and say nothing else here.
    let others = ["responses", "payloadFormatVersion", "$ref"];
    let known: Vec<&str> = PLAIN.into_iter().chain(UPPER).chain(OTHER).chain(others).collect();
    integration::check_members(node, &known, problems);
    let responses = integration_responses(planner, node, problems)?;
    Ok(PlannedIntegration { place: node.place.clone(), members: members.into(), responses })
}

/// By patterns, of which `default` is none; operations know them by status code.
fn integration_responses(
    planner: &mut Planner<'_>,
    integration: &Node<'_>,
    problems: &mut Problems,
) -> Result<Vec<PlannedResponse>, TooLarge> {
    let mut planned: Vec<PlannedResponse> = Vec::new();
    let mut places: BTreeMap<String, Place> = BTreeMap::new();
    for (pattern, node) in integration.member("responses").iter().flat_map(Node::members) {
        planner.budget.spend(RESPONSE_VALUES)?;
        let Some(status_code) = node.text_of("statusCode") else {
            problems.error(&node.place, "a response of an integration needs a statusCode");
            continue;
        };
        if let Some(place) = places.get(&status_code) {
            problems.warn(
                &node.place,
                format_args!("the status code {status_code} is {place}'s; this one is left out"),
            );
            continue;
        }
        places.insert(status_code.clone(), node.place.clone());
        let members = json!({
            "selectionPattern": (pattern != "default").then_some(pattern),
            "responseParameters": copy(&node, "responseParameters", &mut planner.budget)?,
            "responseTemplates": copy(&node, "responseTemplates", &mut planner.budget)?,
            "contentHandling": node.text_of("contentHandling").map(|text| text.to_ascii_uppercase()),
        });
        planned.push(PlannedResponse { place: node.place, status_code, members: compact(members) });
    }
    Ok(planned)
}
