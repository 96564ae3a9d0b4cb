//! `x-amazon-apigateway-integration` as both services read it: where it is, and which of its members are known.

use super::budget::{Budget, TooLarge};
use super::document::{Document, Node};
use super::problems::Problems;

pub(super) const INTEGRATION: &str = "x-amazon-apigateway-integration";
pub(super) const INTEGRATIONS: &str = "x-amazon-apigateway-integrations";

/// The node's integration, whether it is written there or referred to.
pub(super) fn of_operation<'d>(
    document: &'d Document,
    operation: &Node<'d>,
    budget: &mut Budget,
    problems: &mut Problems,
) -> Result<Option<Node<'d>>, TooLarge> {
    let Some(node) = operation.member(INTEGRATION) else { return Ok(None) };
    Ok(match document.resolve(&node, budget)? {
        Ok(node) if node.value.is_object() => Some(node),
        Ok(node) => {
            problems.error(&node.place, "an integration has to be an object");
            None
        }
        Err(why) => {
            problems.error(&node.place, why);
            None
        }
    })
}

/// The type in upper case, as the operations have it; documents have it in lower case.
pub(super) fn kind(integration: &Node<'_>) -> String {
    integration.text_of("type").unwrap_or_default().to_ascii_uppercase()
}

/// Tells of members that an integration doesn't have.
pub(super) fn check_members(integration: &Node<'_>, known: &[&str], problems: &mut Problems) {
    for (name, member) in integration.members() {
        if !known.contains(&name) && !name.starts_with("x-") {
            problems
                .warn(&member.place, format_args!("an integration has no '{name}' here, and it is left out"));
        }
    }
}
