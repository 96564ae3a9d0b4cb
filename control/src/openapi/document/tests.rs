use serde_json::json;

use super::*;

const LIMITS: DocumentLimits = DocumentLimits { depth_max: 100, values_max: 10_000 };
const SUBSTITUTES: Substitutes<'_> = Substitutes { account: "111122223333", region: "eu-west-1" };

fn read(value: &Value) -> Result<Document, DocumentError> {
    Document::read(value.to_string().as_bytes(), LIMITS, &SUBSTITUTES)
}

#[test]
fn versions_are_told_apart() {
    for (value, expected) in [
        (json!({"swagger": "2.0"}), Ok(Version::Swagger2)),
        (json!({"swagger": 2.0}), Ok(Version::Swagger2)),
        (json!({"openapi": "3.0.1"}), Ok(Version::OpenApi30)),
        (json!({"openapi": "3.1.0"}), Ok(Version::OpenApi31)),
        (json!({"openapi": "3.10"}), Err("3.10")),
        (json!({"openapi": "4.0.0"}), Err("4.0.0")),
        (json!({"swagger": "2.0.0"}), Err("2.0.0")),
        (json!({"swagger": "2.0", "openapi": "3.0.1"}), Err("needs")),
        (json!({}), Err("needs")),
    ] {
        match (read(&value), expected) {
            (Ok(document), Ok(version)) => assert_eq!(document.version(), version),
            (Err(error), Err(text)) => assert!(error.to_string().contains(text), "{error}"),
            (read, _) => panic!("{value}: {read:?}"),
        }
    }
    let error = Document::read(b"- a", LIMITS, &SUBSTITUTES).expect_err("a list").to_string();
    assert!(error.contains("has to be an object"), "{error}");
}

#[test]
fn references_are_followed_within_the_document() {
    let document = read(&json!({
        "openapi": "3.0.1",
        "a": {"$ref": "#/b~1c/%7Bid%7D"}, "b/c": {"{id}": {"$ref": "#/list/1"}}, "list": [0, {"x": 1}],
        "circle": {"$ref": "#/other"}, "other": {"$ref": "#/circle"},
        "out": {"$ref": "https://example.com/a.yaml#/b"}, "gone": {"$ref": "#/nowhere"}, "odd": {"$ref": 1},
        "anchor": {"$ref": "#list"},
    }))
    .expect("a document");
    let resolve = |name: &str| {
        let node = document.root().member(name).expect(name);

        let resolved = document.resolve(&node, &mut Budget::new(LIMITS)).expect("within the limits");
        resolved.map(|node| (node.value.clone(), node.place.to_string()))
    };
    assert_eq!(resolve("a"), Ok((json!({"x": 1}), "/list/1".to_owned())));
    for (name, expected) in [
        ("circle", "circle"),
        ("out", "out of the document"),
        ("gone", "nowhere"),
        ("anchor", "nowhere"),
        ("odd", "has to be text"),
    ] {
        let error = resolve(name).expect_err(name);
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn variables_of_aws_are_filled_in() {
    let document = read(&json!({
        "openapi": "3.0.1",
        "x": ["arn:${AWS::Partition}:iam::${AWS::AccountId}:role/${AWS::Region}-${other}"],
    }))
    .expect("a document");
    let filled = document.root().member("x").expect("there").items()[0].text();
    assert_eq!(filled.as_deref(), Some("arn:aws:iam::111122223333:role/eu-west-1-${other}"));
}

#[test]
fn base_paths_are_ignored_prepended_or_split() {
    let servers = |servers: Value| json!({"openapi": "3.0.1", "servers": servers});
    let variable = |default: &str| json!({"basePath": {"default": default}});
    for (value, prepended, split) in [
        (json!({"swagger": "2.0", "basePath": "/a/b/c"}), "/a/b/c", "/b/c"),
        (json!({"swagger": "2.0", "basePath": "/"}), "", ""),
        (json!({"swagger": "2.0"}), "", ""),
        (servers(json!([{"url": "https://h/a/b/"}])), "/a/b", "/b"),
        (servers(json!([{"url": "/a"}])), "/a", ""),
        (servers(json!([{"url": "https://h"}, {"url": "https://g/x"}])), "", ""),
        (servers(json!([{"url": "/x"}, {"url": "/y", "variables": variable("a/b")}])), "/a/b", "/b"),
    ] {
        let document = read(&value).expect("a document");
        assert_eq!(BasePathMode::Ignore.prefix(&document), "");
        assert_eq!(BasePathMode::Prepend.prefix(&document), prepended, "{value}");
        assert_eq!(BasePathMode::Split.prefix(&document), split, "{value}");
    }
    assert_eq!(BasePathMode::parse("Split"), Some(BasePathMode::Split));
    assert_eq!(BasePathMode::parse("other"), None);
}
