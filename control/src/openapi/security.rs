//! Who may call an operation: its `security`, the schemes that this names, and AWS's extensions of both.
//!
//! As AWS has it, everything that is listed is required, alternatives included. A protection that can't be had is
//! never just left out of something that would be served: that is an error.

use std::collections::BTreeMap;

use serde_json::Value;

use super::budget::{Budget, TooLarge};
use super::document::{Document, Node, Version};
use super::operations::Operation;
use super::problems::Problems;

pub(super) const AUTHORIZER: &str = "x-amazon-apigateway-authorizer";
pub(super) const AUTH_TYPE: &str = "x-amazon-apigateway-authtype";
/// The name in a scheme that has more, or other, sources than one header or query parameter.
pub(super) const UNUSED: &str = "Unused";
const AUTH: &str = "x-amazon-apigateway-auth";

/// What an operation asks of its callers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Protection {
    pub(super) iam: bool,
    pub(super) api_key: bool,
    /// The name of the scheme, and the scopes of which a token needs one.
    pub(super) authorizer: Option<(String, Vec<String>)>,
}

/// A security scheme as far as it says something here.
#[derive(Debug, Clone)]
pub(super) enum Scheme<'d> {
    Iam,
    ApiKey,
    /// The scheme, which has an authorizer.
    Authorizer(Node<'d>),
    /// Why it protects nothing.
    Unsupported(String),
}

/// All schemes by name, of which those with an authorizer become one.
pub(super) type Schemes<'d> = BTreeMap<String, Scheme<'d>>;

/// # Errors
/// When the document unfolds to more than its limits.
pub(super) fn schemes<'d>(
    document: &'d Document,
    budget: &mut Budget,
    problems: &mut Problems,
) -> Result<Schemes<'d>, TooLarge> {
    let mut schemes = Schemes::new();
    for (name, node) in all(document).iter().flat_map(Node::members) {
        match document.resolve(&node, budget)? {
            Ok(node) => {
                schemes.insert(name.to_owned(), classify(node));
            }
            Err(why) => problems.error(&node.place, why),
        }
    }
    Ok(schemes)
}

fn all(document: &Document) -> Option<Node<'_>> {
    match document.version() {
        Version::Swagger2 => document.root().member("securityDefinitions"),
        Version::OpenApi30 | Version::OpenApi31 => {
            document.root().member("components")?.member("securitySchemes")
        }
    }
}

fn classify(scheme: Node<'_>) -> Scheme<'_> {
    if scheme.member(AUTHORIZER).is_some() {
        return Scheme::Authorizer(scheme);
    }
    let kind = scheme.text_of("type").unwrap_or_default();
    let auth_type = scheme.text_of(AUTH_TYPE).unwrap_or_default().to_ascii_lowercase();
    let named = scheme.text_of("name").unwrap_or_default().to_ascii_lowercase();
    let within = scheme.text_of("in").unwrap_or_default();
    if auth_type == "awssigv4" {
        Scheme::Iam
    } else if kind == "apiKey" && within == "header" && named == "x-api-key" {
        Scheme::ApiKey
    } else {
        Scheme::Unsupported(format!(
            "the security scheme of type '{kind}' has no {AUTHORIZER}, isn't the header x-api-key and isn't awsSigv4"
        ))
    }
}

/// What the operation asks for. `served` says whether it has an integration.
///
/// # Errors
/// When the document unfolds to more than its limits: an operation repeats what it inherits.
pub(super) fn protection(
    document: &Document,
    schemes: &Schemes<'_>,
    operation: &Operation<'_>,
    served: bool,
    budget: &mut Budget,
    problems: &mut Problems,
) -> Result<Protection, TooLarge> {
    let own = operation.node.member("security");
    let inherited = own.is_none();
    let mut asked = Protection::default();
    if let Some(security) = own.or_else(|| document.root().member("security")) {
        budget.repeat(security.value)?;
        for (name, scopes) in requirements(&security, problems) {
            add(&mut asked, schemes, name, &scopes, served, problems);
        }
    }
    apply_auth(&mut asked, operation, inherited, problems);
    if asked.iam && asked.authorizer.is_some() {
        problems.error(
            &operation.node.place,
            "IAM and an authorizer can't both decide who may call an operation",
        );
    }
    Ok(asked)
}

/// What is listed, by scheme. `null` is an empty list of scopes; what isn't written as a requirement would protect
/// nothing.
fn requirements<'d>(security: &Node<'d>, problems: &mut Problems) -> Vec<(&'d str, Node<'d>)> {
    if !security.value.is_array() {
        problems.error(&security.place, "security has to be a list of objects");
    }
    let mut all = Vec::new();
    for requirement in security.items() {
        let Some(members) = requirement.value.as_object() else {
            let message =
                "a security requirement has to be an object: the name of a scheme, and a list of scopes";
            problems.error(&requirement.place, message);
            continue;
        };
        let scopes = |(name, value): (&'d String, &'d Value)| {
            (name.as_str(), Node { value, place: requirement.place.at(name) })
        };
        all.extend(members.iter().map(scopes));
    }
    all
}

/// Texts; a scope that is left out would let more callers in.
fn scopes_of(node: &Node<'_>, problems: &mut Problems) -> Vec<String> {
    let items = node.items();
    let scopes: Vec<String> = items.iter().filter_map(Node::text).collect();
    if !(node.value.is_array() || node.value.is_null()) || scopes.len() != items.len() {
        problems.error(&node.place, "the scopes of a security requirement are a list of texts");
    }
    scopes
}

fn add(
    asked: &mut Protection,
    schemes: &Schemes<'_>,
    name: &str,
    scopes: &Node<'_>,
    served: bool,
    problems: &mut Problems,
) {
    let why = match schemes.get(name) {
        Some(Scheme::Iam) => {
            asked.iam = true;
            return;
        }
        Some(Scheme::ApiKey) => {
            asked.api_key = true;
            return;
        }
        Some(Scheme::Authorizer(_)) => {
            let listed = scopes_of(scopes, problems);
            let other = asked.authorizer.replace((name.to_owned(), listed));
            if let Some((other, _)) = other.filter(|(other, _)| other != name) {
                let message =
                    format_args!("an operation has one authorizer, and this one names '{other}' too");
                problems.error(&scopes.place, message);
            }
            return;
        }
        Some(Scheme::Unsupported(why)) => why.clone(),
        None => format!("there is no security scheme '{name}'"),
    };
    if served {
        problems.error(&scopes.place, format_args!("{why}: the operation would be open to everybody"));
    } else {
        problems.warn(&scopes.place, format_args!("{why}: it protects nothing"));
    }
}

/// `x-amazon-apigateway-auth`, which says whether IAM decides.
fn apply_auth(asked: &mut Protection, operation: &Operation<'_>, inherited: bool, problems: &mut Problems) {
    let Some(auth) = operation.node.member(AUTH) else { return };
    let kind = auth.text_of("type").unwrap_or_default().to_ascii_uppercase();
    match kind.as_str() {
        "AWS_IAM" => asked.iam = true,
        "NONE" if inherited => {
            asked.iam = false;
            asked.authorizer = None;
        }
        "NONE" if asked.iam || asked.authorizer.is_some() => {
            problems.error(&auth.place, "type NONE contradicts the operation's own security");
        }
        "NONE" => {}
        other => {
            problems.error(&auth.place, format_args!("type has to be NONE or AWS_IAM, not '{other}'"));
        }
    }
}
