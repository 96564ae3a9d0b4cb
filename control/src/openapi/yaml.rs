//! YAML as JSON values (YAML 1.2's core schema, 10.3.2), from the parser's events, so that depth and aliases are
//! bounded while they unfold.
//!
//! Keys are the text that stands there (`200`, `true`), since OpenAPI has none but strings. `<<` merges, as documents
//! made for YAML 1.1 expect. A number that begins with a needless zero stays text: YAML 1.1 reads it as octal, 1.2 as
//! decimal, and an account's id is neither.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};
use serde_json::{Map, Number, Value};

use super::budget::Budget;
use super::text::TextError;

/// The one document of a text.
///
/// # Errors
/// When it isn't YAML, isn't one document, repeats a key, or is larger than the budget allows.
pub(super) fn parse(text: &str, budget: &mut Budget) -> Result<Value, TextError> {
    let mut parser = Parser::new_from_str(text);
    let mut loader = Loader { budget, anchors: HashMap::new(), open: Vec::new(), document: None };
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| TextError::Yaml(error.to_string()))?;
        loader.take(event).map_err(|error| error.at(span.start.line()))?;
    }
    loader.document.ok_or(TextError::Empty)
}

struct Loader<'b> {
    budget: &'b mut Budget,
    /// What has an anchor and is complete.
    anchors: HashMap<usize, Anchored>,
    open: Vec<Open>,
    document: Option<Value>,
}

#[derive(Clone)]
struct Anchored {
    value: Value,
    /// With everything below.
    values: usize,
    /// Levels of lists and objects in it.
    depth: usize,
}

/// A list or an object that hasn't ended.
struct Open {
    anchor: usize,
    values_before: usize,
    /// Levels below.
    depth: usize,
    kind: Kind,
}

enum Kind {
    List(Vec<Value>),
    Object { members: Map<String, Value>, key: Option<Key>, merged: Vec<Map<String, Value>> },
}

/// What the value that follows belongs to.
enum Key {
    Name(String),
    /// `<<`, unless it is in quotes.
    Merge,
}

const MERGE_KEY: &str = "<<";

impl Loader<'_> {
    fn take(&mut self, event: Event<'_>) -> Result<(), TextError> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) if self.document.is_some() => Err(TextError::Documents),
            Event::DocumentStart(_) => Ok(()),
            Event::Alias(anchor) => self.repeat(anchor),
            Event::Scalar(text, style, anchor, tag) => self.take_scalar(&text, style, anchor, tag.as_deref()),
            Event::SequenceStart(anchor, tag) => {
                check_tag(tag.as_deref(), "seq")?;
                self.begin(anchor, Kind::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                check_tag(tag.as_deref(), "map")?;
                self.begin(anchor, Kind::Object { members: Map::new(), key: None, merged: Vec::new() })
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
        }
    }

    fn begin(&mut self, anchor: usize, kind: Kind) -> Result<(), TextError> {
        if self.awaits_key() {
            return Err(TextError::Key);
        }
        let values_before = self.budget.values();
        self.budget.spend(1)?;
        self.budget.check_depth(self.open.len() + 1)?;
        self.open.push(Open { anchor, values_before, depth: 0, kind });
        Ok(())
    }

    fn end(&mut self) -> Result<(), TextError> {
        let Some(Open { anchor, values_before, depth, kind }) = self.open.pop() else { return Ok(()) };
        let value = match kind {
            Kind::List(items) => Value::Array(items),
            Kind::Object { members, merged, .. } => Value::Object(merge(members, merged)),
        };
        let anchored = Anchored { value, values: self.budget.values() - values_before, depth: depth + 1 };
        self.complete(anchor, anchored)
    }

    fn take_scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
    ) -> Result<(), TextError> {
        if self.awaits_key() {
            if anchor != 0 {
                let before = self.budget.values();
                self.budget.spend_text(text)?;
                let values = self.budget.values() - before;
                self.anchors.insert(anchor, Anchored { value: text.into(), values, depth: 0 });
            }
            return self.begin_member(text, style == ScalarStyle::Plain);
        }
        let before = self.budget.values();
        self.budget.spend_text(text)?;
        let values = self.budget.values() - before;
        let value = match tag.is_some() || style != ScalarStyle::Plain {
            true => {
                check_tag(tag, "str")?;
                text.into()
            }
            false => plain(text)?,
        };
        self.complete(anchor, Anchored { value, values, depth: 0 })
    }

    fn repeat(&mut self, anchor: usize) -> Result<(), TextError> {
        let anchored = self.anchors.get(&anchor).ok_or(TextError::Alias)?;
        if self.awaits_key() {
            let Value::String(text) = &anchored.value else { return Err(TextError::Key) };
            let text = text.clone();
            return self.begin_member(&text, false);
        }
        self.budget.check_depth(self.open.len() + anchored.depth)?;
        self.budget.spend(anchored.values)?;
        let anchored = anchored.clone();
        self.complete(0, anchored)
    }

    fn awaits_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { kind: Kind::Object { key: None, .. }, .. }))
    }

    fn begin_member(&mut self, text: &str, plain: bool) -> Result<(), TextError> {
        self.budget.spend_text(text)?;
        if let Some(Open { kind: Kind::Object { members, key, .. }, .. }) = self.open.last_mut() {
            if plain && text == MERGE_KEY {
                *key = Some(Key::Merge);
            } else if members.contains_key(text) {
                return Err(TextError::Repeated(text.to_owned()));
            } else {
                *key = Some(Key::Name(text.to_owned()));
            }
        }
        Ok(())
    }

    /// Puts a whole value where it belongs.
    fn complete(&mut self, anchor: usize, anchored: Anchored) -> Result<(), TextError> {
        if anchor != 0 {
            // The copy costs as much again.
            self.budget.spend(anchored.values)?;
            self.anchors.insert(anchor, anchored.clone());
        }
        let Anchored { value, depth, .. } = anchored;
        let Some(open) = self.open.last_mut() else {
            self.document = Some(value);
            return Ok(());
        };
        open.depth = open.depth.max(depth);
        match &mut open.kind {
            Kind::List(items) => items.push(value),
            Kind::Object { members, key, merged } => match key.take() {
                Some(Key::Merge) => merged.extend(mergeable(value)?),
                Some(Key::Name(name)) => {
                    members.insert(name, value);
                }
                None => return Err(TextError::Key),
            },
        }
        Ok(())
    }
}

/// What `<<` stands for: an object, or several of which the first has the last word.
fn mergeable(value: Value) -> Result<Vec<Map<String, Value>>, TextError> {
    let items = match value {
        Value::Array(items) => items,
        one => vec![one],
    };
    let objects = items.into_iter().map(|item| match item {
        Value::Object(members) => Ok(members),
        _ => Err(TextError::Merge),
    });
    objects.collect()
}

fn merge(mut members: Map<String, Value>, merged: Vec<Map<String, Value>>) -> Map<String, Value> {
    for (key, value) in merged.into_iter().flatten() {
        members.entry(key).or_insert(value);
    }
    members
}

/// Tags of the core schema that say what stands there anyway; every other would ask for something.
fn check_tag(tag: Option<&Tag>, suffix: &str) -> Result<(), TextError> {
    match tag {
        None => Ok(()),
        Some(tag) if tag.handle == "!" && tag.suffix.is_empty() => Ok(()),
        Some(tag) if tag.is_yaml_core_schema() && tag.suffix == suffix => Ok(()),
        Some(tag) => Err(TextError::Tag(tag.to_string())),
    }
}

fn plain(text: &str) -> Result<Value, TextError> {
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => true.into(),
        "false" | "False" | "FALSE" => false.into(),
        _ if is_beyond_numbers(text) => return Err(TextError::Number(text.to_owned())),
        _ => number(text).map_or_else(|| text.into(), Value::Number),
    })
}

/// `.inf` and `.nan`, which JSON doesn't have.
fn is_beyond_numbers(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    [".inf", ".Inf", ".INF"].contains(&unsigned) || [".nan", ".NaN", ".NAN"].contains(&text)
}

fn number(text: &str) -> Option<Number> {
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits = unsigned.bytes().take_while(u8::is_ascii_digit).count();
    if digits > 1 && unsigned.starts_with('0') {
        return None;
    }
    let begins = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let known = unsigned.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte));
    if !begins || !known || !unsigned.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let text = text.strip_prefix('+').unwrap_or(text);
    if let Ok(number) = text.parse::<u64>() {
        return Some(number.into());
    }
    if let Ok(number) = text.parse::<i64>() {
        return Some(number.into());
    }
    text.parse().ok().and_then(Number::from_f64)
}

fn radix(digits: &str, radix: u32) -> Option<Number> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
    u64::from_str_radix(digits, radix).ok().filter(|_| plain).map(Number::from)
}

#[cfg(test)]
mod tests;
