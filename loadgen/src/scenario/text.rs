//! Compiled templates: literals, and places at which a value is written.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::generator::Generator;
use super::template::Filter;
use crate::coding::{is_unreserved, percent_encoded, percent_encoded_but};

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Text(pub(super) Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Literal(String),
    Value { value: Value, filters: Vec<Filter> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value {
    /// Index of a variable.
    Variable(usize),
    /// Index of a generator.
    Generator(usize),
}

/// Where values come from.
pub(super) trait Values {
    /// The variable's value in this iteration.
    fn variable(&mut self, slot: usize) -> &str;
    /// Appends a generator's next value.
    fn generate(&mut self, generator: usize, out: &mut String);
}

impl Text {
    pub(super) fn push_literal(&mut self, text: &str) {
        match self.0.last_mut() {
            Some(Piece::Literal(before)) => before.push_str(text),
            _ if text.is_empty() => {}
            _ => self.0.push(Piece::Literal(text.to_owned())),
        }
    }

    /// The whole text where nothing in it varies.
    pub(super) fn fixed(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
    }

    pub(super) fn render(&self, values: &mut impl Values, out: &mut String) {
        for piece in &self.0 {
            match piece {
                Piece::Literal(text) => out.push_str(text),
                Piece::Value { value, filters } if filters.is_empty() => append(*value, values, out),
                Piece::Value { value, filters } => out.push_str(&filtered(*value, filters, values)),
            }
        }
    }

    /// The same for a path and query: what may not stand in one is percent-encoded, all else is left as it is.
    pub(super) fn render_path(&self, values: &mut impl Values, out: &mut String) {
        for piece in &self.0 {
            match piece {
                Piece::Literal(text) => out.push_str(text),
                Piece::Value { value, filters } => {
                    let before = out.len();
                    match filters.is_empty() {
                        true => append(*value, values, out),
                        false => out.push_str(&filtered(*value, filters, values)),
                    }
                    if !out.as_bytes()[before..].iter().copied().all(is_path_byte) {
                        let raw = out.split_off(before);
                        out.push_str(&encode_path(&raw));
                    }
                }
            }
        }
        if !out.starts_with('/') {
            out.insert(0, '/');
        }
    }
}

/// The generator's one value where it has no other.
pub(super) fn fixed_value(generator: &Generator, filters: &[Filter]) -> Option<String> {
    match generator {
        Generator::Fixed(text) => Some(apply(filters, text.clone())),
        _ => None,
    }
}

fn append(value: Value, values: &mut impl Values, out: &mut String) {
    match value {
        Value::Variable(slot) => out.push_str(values.variable(slot)),
        Value::Generator(generator) => values.generate(generator, out),
    }
}

fn filtered(value: Value, filters: &[Filter], values: &mut impl Values) -> String {
    let mut raw = String::new();
    append(value, values, &mut raw);
    apply(filters, raw)
}

pub(super) fn apply(filters: &[Filter], mut text: String) -> String {
    for filter in filters {
        let mut out = String::new();
        match filter {
            Filter::Url => out = percent_encoded(&text),
            Filter::Json => {
                let quoted = serde_json::Value::String(text).to_string();
                out.push_str(&quoted[1..quoted.len() - 1]);
            }
            Filter::Base64 => STANDARD.encode_string(text, &mut out),
        }
        text = out;
    }
    text
}

/// A value as it may stand in a path and query.
pub(super) fn encode_path(text: &str) -> String {
    percent_encoded_but(text.as_bytes(), is_path_byte)
}

/// What RFC 3986 lets stand in a path and its query.
fn is_path_byte(byte: u8) -> bool {
    is_unreserved(byte) || b"!$&'()*+,;=:@/?%".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct One(&'static str);

    impl Values for One {
        fn variable(&mut self, _: usize) -> &str {
            self.0
        }

        fn generate(&mut self, generator: usize, out: &mut String) {
            out.push_str(&format!("g{generator}"));
        }
    }

    fn value(filters: &[Filter]) -> Piece {
        Piece::Value { value: Value::Variable(0), filters: filters.to_vec() }
    }

    #[test]
    fn literals_and_values_are_written_in_order() {
        let mut text = Text::default();
        text.push_literal("a");
        text.push_literal("b");
        assert_eq!(text.fixed(), Some("ab"));
        text.0.push(value(&[]));
        text.0.push(Piece::Value { value: Value::Generator(3), filters: Vec::new() });
        let mut out = String::new();
        text.render(&mut One("-"), &mut out);
        assert_eq!((out.as_str(), text.fixed()), ("ab-g3", None));
    }

    #[test]
    fn a_path_holds_nothing_that_would_end_it() {
        let path = |filters: &[Filter], raw| {
            let text = Text(vec![Piece::Literal("/x/".into()), value(filters)]);
            let mut out = String::new();
            text.render_path(&mut One(raw), &mut out);
            out
        };
        assert_eq!(path(&[], "a b\r\n#\u{e4}/c?d=%20"), "/x/a%20b%0D%0A%23%C3%A4/c?d=%20");
        assert_eq!(path(&[Filter::Url], "a/b?c%"), "/x/a%2Fb%3Fc%25");
        let mut out = String::new();
        Text(vec![value(&[])]).render_path(&mut One("next"), &mut out);
        assert_eq!(out, "/next");
    }

    #[test]
    fn filters_are_applied_in_order() {
        let cases = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (text, base64) in cases {
            assert_eq!(apply(&[Filter::Base64], text.into()), base64);
        }
        assert_eq!(apply(&[Filter::Json], "a\"\n".into()), "a\\\"\\n");
        assert_eq!(apply(&[Filter::Base64, Filter::Url], "fo".into()), "Zm8%3D");
    }
}
