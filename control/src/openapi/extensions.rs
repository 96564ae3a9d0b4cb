//! AWS's extensions by where they belong: each one that stands elsewhere, or that nobody knows, is a warning, so that
//! a mistyped protection doesn't go unnoticed.

use super::document::{Document, Node};
use super::operations::ANY_METHOD;
use super::problems::{Problems, Severity};

const PREFIX: &str = "x-amazon-apigateway-";

/// The kind of API that a document becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Rest,
    Http,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Where {
    Root,
    Servers,
    Components,
    Schemes,
    Scheme,
    Tags,
    Paths,
    PathItem,
    Operation,
    Elsewhere,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum For {
    Both,
    Rest,
    Http,
}

/// Names after the common beginning.
const KNOWN: [(Where, &str, For); 22] = [
    (Where::Root, "api-key-source", For::Rest),
    (Where::Root, "binary-media-types", For::Rest),
    (Where::Root, "cors", For::Http),
    (Where::Root, "documentation", For::Rest),
    (Where::Root, "endpoint-access-mode", For::Rest),
    (Where::Root, "endpoint-configuration", For::Both),
    (Where::Root, "gateway-responses", For::Rest),
    (Where::Root, "importexport-version", For::Both),
    (Where::Root, "minimum-compression-size", For::Rest),
    (Where::Root, "policy", For::Rest),
    (Where::Root, "request-validator", For::Rest),
    (Where::Root, "request-validators", For::Rest),
    (Where::Root, "security-policy", For::Rest),
    (Where::Servers, "endpoint-configuration", For::Both),
    (Where::Components, "integrations", For::Both),
    (Where::Scheme, "authorizer", For::Both),
    (Where::Scheme, "authtype", For::Both),
    (Where::Tags, "tag-value", For::Http),
    (Where::PathItem, "any-method", For::Both),
    (Where::Operation, "auth", For::Both),
    (Where::Operation, "integration", For::Both),
    (Where::Operation, "request-validator", For::Rest),
];

/// Tells of every extension that isn't read.
pub(super) fn check(document: &Document, kind: Kind, problems: &mut Problems) {
    walk(&document.root(), Where::Root, kind, problems);
}

fn walk(node: &Node<'_>, at: Where, kind: Kind, problems: &mut Problems) {
    for item in node.items() {
        walk(&item, at, kind, problems);
    }
    for (name, member) in node.members() {
        if let Some(extension) = name.strip_prefix(PREFIX) {
            check_one(extension, &member, at, kind, problems);
        }
        if let Some(below) = below(at, name) {
            walk(&member, below, kind, problems);
        }
    }
}

fn check_one(extension: &str, node: &Node<'_>, at: Where, kind: Kind, problems: &mut Problems) {
    let known = KNOWN.iter().find(|(place, name, _)| (*place, *name) == (at, extension));
    let (severity, message) = match (known, kind) {
        (Some((_, _, For::Both)), _) => return,
        (Some((_, _, For::Rest)), Kind::Rest) | (Some((_, _, For::Http)), Kind::Http) => return,
        (Some((_, _, For::Rest)), Kind::Http) => (Severity::Info, "REST APIs only have this extension"),
        (Some((_, _, For::Http)), Kind::Rest) => (Severity::Warning, "HTTP APIs only have this extension"),
        (None, _) => (Severity::Warning, "the extension isn't known here, and is left out"),
    };
    problems.add(severity, &node.place, message);
}

/// Where the member stands; `None` where nothing is an extension any more.
fn below(at: Where, name: &str) -> Option<Where> {
    Some(match (at, name) {
        (_, "default" | "enum" | "example" | "examples") if at != Where::PathItem => return None,
        (Where::Root, "servers") => Where::Servers,
        (Where::Root, "components") => Where::Components,
        (Where::Root, "securityDefinitions") | (Where::Components, "securitySchemes") => Where::Schemes,
        (Where::Root, "tags") => Where::Tags,
        (Where::Root, "paths") | (Where::Components, "pathItems") => Where::Paths,
        (Where::PathItem, ANY_METHOD) => Where::Operation,
        (_, name) if name.starts_with("x-") => return None,
        (Where::Schemes, _) => Where::Scheme,
        (Where::Paths, _) => Where::PathItem,
        (Where::PathItem, "delete" | "get" | "head" | "options" | "patch" | "post" | "put") => {
            Where::Operation
        }
        _ => Where::Elsewhere,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::budget::DocumentLimits;
    use super::super::document::Substitutes;
    use super::*;

    fn told(value: &Value, kind: Kind) -> Problems {
        let limits = DocumentLimits { depth_max: 100, values_max: 10_000 };
        let substitutes = Substitutes { account: "", region: "" };
        let document =
            Document::read(value.to_string().as_bytes(), limits, &substitutes).expect("a document");
        let mut problems = Problems::default();
        check(&document, kind, &mut problems);
        problems
    }

    /// What belongs in one place is a mistake in another.
    #[test]
    fn extensions_belong_somewhere() {
        let auth = "x-amazon-apigateway-auth";
        let document = json!({
            "openapi": "3.0.1",
            "x-amazon-apigateway-policy": {"x-amazon-apigateway-policy": {}},
            "x-amazon-apigateway-auth": {},
            "info": {"x-amazon-apigateway-policy": {}, "x-other": {}},
            "servers": [{"x-amazon-apigateway-endpoint-configuration": {}}],
            "paths": {"/a": {
                auth: {},
                "get": {auth: {}, "responses": {"default": {auth: {}}, "200": {auth: {}}}},
                "x-amazon-apigateway-any-method": {auth: {}, "x-amazon-apigateway-authorizer": {}},
            }},
            "components": {
                "securitySchemes": {"s": {"x-amazon-apigateway-authtype": "a", "x-amazon-apigateway-authtypo": "a"}},
                "schemas": {"M": {"example": {auth: {}}, "properties": {"p": {auth: {}}}}},
            },
        });
        let problems = told(&document, Kind::Rest);
        let places: Vec<String> =
            problems.warnings().iter().filter_map(|line| Some(line.split_once(": ")?.0.to_owned())).collect();
        assert_eq!(
            places,
            [
                "/components/schemas/M/properties/p/x-amazon-apigateway-auth",
                "/components/securitySchemes/s/x-amazon-apigateway-authtypo",
                "/info/x-amazon-apigateway-policy",
                "/paths/~1a/get/responses/200/x-amazon-apigateway-auth",
                "/paths/~1a/x-amazon-apigateway-any-method/x-amazon-apigateway-authorizer",
                "/paths/~1a/x-amazon-apigateway-auth",
                "/x-amazon-apigateway-auth",
            ]
        );
    }

    #[test]
    fn extensions_are_for_a_kind_of_api() {
        let document = json!({
            "openapi": "3.0.1", "x-amazon-apigateway-cors": {}, "x-amazon-apigateway-gateway-responses": {},
            "x-amazon-apigateway-importexport-version": "1.0",
        });
        let http = told(&document, Kind::Http);
        assert_eq!((http.warnings().len(), http.info().len()), (0, 1), "{http:?}");
        assert!(http.info()[0].starts_with("/x-amazon-apigateway-gateway-responses: "));
        let rest = told(&document, Kind::Rest);
        assert_eq!((rest.warnings().len(), rest.info().len()), (1, 0), "{rest:?}");
        assert!(rest.warnings()[0].starts_with("/x-amazon-apigateway-cors: "));
    }
}
