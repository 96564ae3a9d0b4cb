use serde_json::json;

use super::*;

const LIMITS: DocumentLimits = DocumentLimits { depth_max: 10, values_max: 100 };

#[test]
fn json_and_yaml_are_told_apart() {
    for text in [
        "{\"a\": [1, \"x\"]}",
        " \u{feff} \n{\"a\":[1,\"x\"]}".trim_start(),
        "a: [1, x]",
        "---\na:\n- 1\n- x\n",
    ] {
        assert_eq!(read_text(text.as_bytes(), LIMITS), Ok(json!({"a": [1, "x"]})), "{text}");
    }
    let bom = "\u{feff}{\"a\":1}";
    assert_eq!(read_text(bom.as_bytes(), LIMITS), Ok(json!({"a": 1})));
}

#[test]
fn what_is_no_document_is_named() {
    for (bytes, expected) in [
        (&b""[..], "empty"),
        (b" \n ", "empty"),
        (b"\xff", "UTF-8"),
        (b"{\"a\":1", "isn't JSON"),
        (b"{\"a\":1,\"a\":2}", "twice"),
        (b"{\"a\":[[[[[[[[[[[]]]]]]]]]]]}", "openapi_depth_max"),
        (b"a: {", "isn't YAML"),
    ] {
        let error = read_text(bytes, LIMITS).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    }
    let many = format!("{{\"a\":[{}0]}}", "0,".repeat(100));
    let error = read_text(many.as_bytes(), LIMITS).expect_err("too many").to_string();
    assert!(error.contains("more than 100 values"), "{error}");
}

#[test]
fn people_find_members_where_they_expect_them() {
    let document = json!({
        "paths": {"/b": {}, "/a": {"get": {"responses": {"200": {"description": "ok"}}}}},
        "info": {"version": "1.0", "title": "t"},
        "openapi": "3.0.1",
        "x": ["yes", null, {"k": [[]]}],
    });
    let yaml = "---
openapi: \"3.0.1\"
info:
  title: \"t\"
  version: \"1.0\"
paths:
  /a:
    get:
      responses:
        \"200\":
          description: \"ok\"
  /b: {}
x:
  - \"yes\"
  - null
  -
    k:
      -
        []
";
    let written = String::from_utf8(write_text(&document, Format::Yaml)).expect("UTF-8");
    assert_eq!(written.replace("      - []\n", "      -\n        []\n"), yaml);
    let json = String::from_utf8(write_text(&document, Format::Json)).expect("UTF-8");
    assert!(json.starts_with("{\n  \"openapi\": \"3.0.1\",\n  \"info\": {\n    \"title\": \"t\""), "{json}");
}

/// Paths and templates' names can be longer than what YAML takes before a colon.
#[test]
fn long_keys_are_read_back() {
    for name in ["/a".repeat(999), "\u{1}".repeat(400), "é ".repeat(600)] {
        let document =
            json!({"openapi": "3.0.1", "paths": {name.as_str(): {"get": {name.as_str(): "x"}, "put": {}}}});
        let written = write_text(&document, Format::Yaml);
        let limits = DocumentLimits { depth_max: 10, values_max: 1_000 };
        assert_eq!(read_text(&written, limits).as_ref(), Ok(&document), "{name}");
    }
}
