//! Security schemes with an authorizer: CreateAuthorizer.

use serde_json::{Map, Value};

use super::super::budget::TooLarge;
use super::super::document::Node;
use super::super::http::Planned;
use super::super::problems::Problems;
use super::super::security::{AUTH_TYPE, AUTHORIZER, Scheme, UNUSED};
use super::plan::Planner;

/// Members that are called the same in a document and in the operation.
pub(super) const MEMBERS: [&str; 6] = [
    "authorizerCredentials",
    "authorizerResultTtlInSeconds",
    "authorizerUri",
    "identityValidationExpression",
    "jwtConfiguration",
    "providerARNs",
];

pub(super) fn plan(planner: &mut Planner<'_>, problems: &mut Problems) -> Result<Vec<Planned>, TooLarge> {
    let mut planned = Vec::new();
    for (name, scheme) in planner.schemes.clone() {
        let Scheme::Authorizer(scheme) = scheme else { continue };
        planner.documentation.of_authorizer(&name, &scheme, &mut planner.budget)?;
        let members = members(planner, &name, &scheme, problems)?;
        planned.push(Planned { place: scheme.place, name, members });
    }
    Ok(planned)
}

fn members(
    planner: &mut Planner<'_>,
    name: &str,
    scheme: &Node<'_>,
    problems: &mut Problems,
) -> Result<Value, TooLarge> {
    let Some(node) = scheme.member(AUTHORIZER) else { return Ok(Value::Null) };
    let kind = node.text_of("type").unwrap_or_default().to_ascii_uppercase();
    let mut members = Map::from_iter([("name".to_owned(), name.into())]);
    if let Some(auth_type) = scheme.text_of(AUTH_TYPE) {
        members.insert("authType".to_owned(), auth_type.into());
    }
    if let Some(source) = identity_source(scheme, &node, &kind) {
        members.insert("identitySource".to_owned(), source.into());
    }
    for (name, member) in node.members() {
        match name {
            "type" | "identitySource" => {}
            "authorizerResultTtlInSeconds" => {
                members.insert(name.to_owned(), number(&member));
            }
            name if MEMBERS.contains(&name) => {
                members.insert(name.to_owned(), planner.budget.copy(member.value)?);
            }
            _ => problems
                .warn(&member.place, format_args!("an authorizer has no '{name}' here, and it is left out")),
        }
    }
    members.insert("type".to_owned(), kind.into());
    Ok(members.into())
}

/// AWS's documents have numbers in quotes, too.
pub(super) fn number(node: &Node<'_>) -> Value {
    let parsed = node.text().and_then(|text| text.parse::<u64>().ok());
    parsed.map_or_else(|| node.value.clone(), Value::from)
}

/// The parameter that the scheme names, unless the authorizer says more.
fn identity_source(scheme: &Node<'_>, node: &Node<'_>, kind: &str) -> Option<String> {
    if let Some(source) = node.text_of("identitySource") {
        return Some(source);
    }
    let name = scheme.text_of("name").filter(|name| name != UNUSED)?;
    match scheme.text_of("in").as_deref() {
        Some("query") if kind == "REQUEST" => Some(format!("method.request.querystring.{name}")),
        _ => Some(format!("method.request.header.{name}")),
    }
}
