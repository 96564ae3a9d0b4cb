use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::budget::DocumentLimits;
use super::super::text::{Format, read_text, write_text};
use super::*;

const LIMITS: DocumentLimits = DocumentLimits { depth_max: 20, values_max: 2_000 };

fn read(text: &str) -> Result<Value, TextError> {
    parse(text, &mut Budget::new(LIMITS))
}

#[test]
fn scalars_are_what_the_core_schema_says() {
    let text = "
        a: [~, null, '', true, False, 'true', !!str true]
        b: [0, -1, +1, 0x1F, 0o17, 18446744073709551615, 1.5, 1., .5, 1e3, -2.5E-3]
        c: [0123, 1.2.3, 2020-01-01, 1e, --, +, ., '12', yes, on, 0x, 0o8, 0x-1, 12_000]
        d: |
          two
          lines
        200: x
        true: y
        ? k
        : v
    ";
    let expected = json!({
        "a": [null, null, "", true, false, "true", "true"],
        "b": [0, -1, 1, 31, 15, u64::MAX, 1.5, 1.0, 0.5, 1000.0, -0.0025],
        "c": ["0123", "1.2.3", "2020-01-01", "1e", "--", "+", ".", "12", "yes", "on", "0x", "0o8", "0x-1", "12_000"],
        "d": "two\nlines\n",
        "200": "x", "true": "y", "k": "v",
    });
    assert_eq!(read(text), Ok(expected));
}

#[test]
fn aliases_repeat_and_merge() {
    let text = "
        base: &base {a: 1, b: &b [x]}
        other: {<<: *base, b: 2}
        both: {<<: [{c: 3, a: 0}, *base]}
        again: *b
        quoted: {'<<': {a: 1}}
        ? &key name
        : *key
    ";
    let expected = json!({
        "base": {"a": 1, "b": ["x"]},
        "other": {"a": 1, "b": 2},
        "both": {"c": 3, "a": 0, "b": ["x"]},
        "again": ["x"],
        "quoted": {"<<": {"a": 1}},
        "name": "name",
    });
    assert_eq!(read(text), Ok(expected));
}

#[test]
fn what_means_nothing_is_refused_by_line() {
    for (text, expected) in [
        ("a: 1\nb: 2\na: 3", "\"a\" comes twice in an object (line 3)"),
        ("a: {b: 1, \"b\": 2}", "\"b\" comes twice"),
        ("? [a]\n: 1", "a key has to be text (line 1)"),
        ("a: *nothing", "isn't YAML"),
        ("a: &a [*a]", "something that it is a part of"),
        ("a: !Ref x", "the tag !Ref"),
        ("a: !!binary aGk=", "binary"),
        ("a: .inf", ".inf is no number"),
        ("a: 1\n---\nb: 2", "more than one document"),
        ("<<: 1", "merges objects"),
        ("a: [1", "isn't YAML"),
        ("a: b: c", "isn't YAML"),
    ] {
        let error = read(text).expect_err(text).to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    assert_eq!(read(""), Err(TextError::Empty));
    assert_eq!(read("# a comment"), Err(TextError::Empty));
}

/// Nine levels of ten aliases each would be a thousand million values.
#[test]
fn aliases_cannot_unfold_without_end() {
    let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for n in 1..10 {
        let aliases = vec![format!("*a{}", n - 1); 10].join(",");
        text.push_str(&format!("a{n}: &a{n} [{aliases}]\n"));
    }
    let error = read(&text).expect_err("too large").to_string();
    assert!(error.contains("more than 2000 values (openapi_values_max)"), "{error}");
    let anchors: String = (0..19).map(|n| format!("&a{n} [")).collect();
    let closing = "]".repeat(19);
    let text = format!("{anchors}{}{closing}", "x,".repeat(200));
    let error = read(&text).expect_err("each anchor keeps a copy").to_string();
    assert!(error.contains("openapi_values_max"), "{error}");
}

/// A text costs by its length, as a value and as a key.
#[test]
fn long_texts_cannot_be_repeated_without_end() {
    let text = "x".repeat(10_000);
    for text in [
        format!("- &a {text}\n{}", "- *a\n".repeat(100)),
        format!("? &a {text}\n: 1\nb:\n{}", "- {*a : 1}\n".repeat(100)),
    ] {
        let error = read(&text).expect_err("too large").to_string();
        assert!(error.contains("openapi_values_max"), "{error}");
    }
}

#[test]
fn depth_is_bounded_however_it_is_reached() {
    let deep = |open: &str, close: &str, n: usize| format!("{}{}", open.repeat(n), close.repeat(n));
    let blocks = |n: usize| (0..n).map(|level| format!("{}a:\n", " ".repeat(level))).collect::<String>();
    let alias = format!("a: &a {}\nb: {}*a{}", deep("[", "]", 12), "[".repeat(12), "]".repeat(12));
    for text in [
        deep("[", "]", 21),
        deep("[", "]", 100_000),
        "[".repeat(100_000),
        "{a: ".repeat(100_000),
        "- ".repeat(100_000),
        "? ".repeat(100_000),
        blocks(3_000),
        alias,
    ] {
        let error = read(&text).expect_err("too deep").to_string();
        let clear = error.contains("openapi_depth_max") || error.contains("has to be text");
        assert!(clear || error.contains("isn't YAML"), "{error}");
    }
    assert!(read(&deep("[", "]", 20)).is_ok());
}

fn value() -> impl Strategy<Value = Value> {
    let number = prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        // Quarters, since the JSON reader may be off by the last bit.
        any::<i32>().prop_map(|n| Value::from(f64::from(n) / 4.0)),
    ];
    let text = prop_oneof![
        any::<String>().prop_map(Value::from),
        "[-a-z0-9:#&*!|>'\"%@`{}\\[\\],?~ \n\t.\u{85}\u{2028}\u{7f}]{0,12}".prop_map(Value::from),
        prop::sample::select(vec!["null", "~", "true", "yes", "1", "0x1", "1.5", ".inf", "<<", "---", ""])
            .prop_map(Value::from),
    ];
    let leaf = prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), number, text];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let key = prop_oneof![any::<String>(), "[-a-z0-9:#/$<]{0,6}", Just("null".to_owned())];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(value in value()) {
        let document = json!({"document": value});
        for format in [Format::Json, Format::Yaml] {
            let text = write_text(&document, format);
            let read = read_text(&text, DocumentLimits { depth_max: 50, values_max: 100_000 });
            prop_assert_eq!(read.as_ref(), Ok(&document), "{}", String::from_utf8_lossy(&text));
        }
    }

    /// Whatever comes in, it ends, within the limits.
    #[test]
    fn any_text_is_read_or_refused(text in "[-a-c0-2:#&*!|>'\"%@`{}\\[\\],?~< \n\t]{0,80}") {
        let mut budget = Budget::new(LIMITS);
        let read = parse(&text, &mut budget);
        if read.is_ok() {
            prop_assert!(budget.values() <= LIMITS.values_max);
        }
    }
}
