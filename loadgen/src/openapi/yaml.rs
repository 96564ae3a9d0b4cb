//! YAML as JSON values, from the parser's events, so that depth and repetition are bounded while they unfold. Keys are
//! texts as they stand there; a plain scalar is what YAML 1.2's core schema says (10.3.2).

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput};
use serde_json::{Map, Number, Value};

use crate::limits::{Limit, Limits};

pub(super) fn parse(text: &str, limits: &Limits) -> Result<Value, String> {
    let mut reader =
        Reader { parser: Parser::new_from_str(text), anchors: HashMap::new(), values: 0, limits };
    let mut document = None;
    while let Some(event) = reader.next()? {
        match event.0 {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            Event::DocumentStart(_) if document.is_some() => {
                return Err("there are several documents".to_owned());
            }
            Event::DocumentStart(_) => {}
            _ => document = Some(reader.node(event, 0)?),
        }
    }
    document.ok_or_else(|| "the document is empty".to_owned())
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    /// Values, and how many they hold.
    anchors: HashMap<usize, (Value, usize)>,
    values: usize,
    limits: &'a Limits,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, String> {
        self.parser.next_event().transpose().map_err(|error| format!("no YAML: {error}"))
    }

    fn inner(&mut self) -> Result<(Event<'a>, Span), String> {
        self.next()?.ok_or_else(|| "the YAML ends too early".to_owned())
    }

    fn spend(&mut self, values: usize, span: &Span) -> Result<(), String> {
        self.values += values;
        self.limits.check(Limit::OpenapiValues, self.values).map_err(|reason| at(span, &reason))
    }

    fn node(&mut self, (event, span): (Event<'a>, Span), depth: usize) -> Result<Value, String> {
        self.limits.check(Limit::OpenapiDepth, depth).map_err(|reason| at(&span, &reason))?;
        let before = self.values;
        self.spend(1, &span)?;
        let (value, anchor) = match event {
            Event::Alias(anchor) => {
                let (value, values) =
                    self.anchors.get(&anchor).cloned().ok_or_else(|| at(&span, "an alias of nothing"))?;
                self.spend(values, &span)?;
                (value, 0)
            }
            Event::Scalar(text, style, anchor, tag) => {
                let value = match (style, tag) {
                    (ScalarStyle::Plain, None) => plain(&text),
                    _ => Value::String(text.into_owned()),
                };
                (value, anchor)
            }
            Event::SequenceStart(anchor, _) => {
                let mut items = Vec::new();
                loop {
                    match self.inner()? {
                        (Event::SequenceEnd, _) => break,
                        item => items.push(self.node(item, depth + 1)?),
                    }
                }
                (Value::Array(items), anchor)
            }
            Event::MappingStart(anchor, _) => (Value::Object(self.members(depth)?), anchor),
            _ => return Err(at(&span, "a value is missing")),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, (value.clone(), self.values - before));
        }
        Ok(value)
    }

    fn members(&mut self, depth: usize) -> Result<Map<String, Value>, String> {
        let mut members = Map::new();
        let mut merged = Vec::new();
        loop {
            let (key, span) = match self.inner()? {
                (Event::MappingEnd, _) => break,
                (Event::Scalar(text, style, ..), span) => ((text, style), span),
                (_, span) => return Err(at(&span, "a key that isn't a text")),
            };
            let value = self.inner()?;
            let value = self.node(value, depth + 1)?;
            match (key, value) {
                ((name, ScalarStyle::Plain), value) if name == "<<" => merged.push((value, span)),
                ((name, _), value) => {
                    if members.insert(name.to_string(), value).is_some() {
                        return Err(at(&span, &format!("the key '{name}' stands there twice")));
                    }
                }
            }
        }
        for (value, span) in merged {
            let sources = match value {
                Value::Array(sources) => sources,
                one => vec![one],
            };
            for source in sources {
                let Value::Object(source) = source else { return Err(at(&span, "'<<' of no mapping")) };
                for (name, value) in source {
                    members.entry(name).or_insert(value);
                }
            }
        }
        Ok(members)
    }
}

fn at(span: &Span, reason: &str) -> String {
    format!("line {}: {reason}", span.start.line())
}

fn plain(text: &str) -> Value {
    let number = || {
        // A needless zero in front makes it a text: an account's id is no number.
        let digits = text.trim_start_matches(['-', '+']);
        if digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.") {
            return None;
        }
        if let Ok(whole) = text.parse::<i64>() {
            return Some(Value::from(whole));
        }
        let like_number = digits.starts_with(|c: char| c.is_ascii_digit());
        let float = like_number.then(|| text.parse().ok()).flatten()?;
        Number::from_f64(float).map(Value::Number)
    };
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => number().unwrap_or_else(|| Value::String(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn parse(text: &str) -> Result<Value, String> {
        super::parse(text, &Limits::default())
    }

    #[test]
    fn yaml_becomes_json() {
        let text = "a: &x [1, -2.5, '3', true, ~, 010, 1e3]\nb:\n  <<: {c: 1, d: 2}\n  d: \"e: f\"\ng: *x\n200: |\n  h\n";
        let list = json!([1, -2.5, "3", true, null, "010", 1000.0]);
        let wanted = json!({"a": list, "b": {"c": 1, "d": "e: f"}, "g": list, "200": "h\n"});
        assert_eq!(parse(text).unwrap(), wanted);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "[-a{}:,&*<!|>'\" \\[\\]\n]{0,60}") {
            let _ = parse(&text);
        }
    }

    #[test]
    fn what_would_unfold_without_end_is_refused() {
        let deep = format!("{}1", "- ".repeat(200));
        let cases = [
            ("a: 1\na: 2", "line 2: the key 'a'"),
            ("a: [", "no YAML"),
            ("", "empty"),
            ("a: 1\n---\nb: 2", "several"),
            ("[a]: 1", "isn't a text"),
            (&deep, "--limit openapi_depth_max=N"),
        ];
        for (text, reason) in cases {
            let error = parse(text).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
        let mut laughs = "a0: &a0 [x]\n".to_owned();
        for level in 1..12 {
            let before = format!("*a{}, ", level - 1).repeat(9);
            laughs.push_str(&format!("a{level}: &a{level} [{}]\n", before.trim_end_matches(", ")));
        }
        assert!(parse(&laughs).unwrap_err().contains("more than 2000000 values of a YAML"));
    }
}
