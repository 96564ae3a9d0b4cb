//! A request's JSON members, taken one by one, so that what is left over can be named.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value};

use super::error::ApiError;
use super::tag_rules::check_tags;

/// The members of a request's body that haven't been taken yet.
#[derive(Debug)]
pub(super) struct Members {
    /// Where they stand in the body, to put before a name in an error: `targets[0].`, or nothing.
    path: String,
    map: Map<String, Value>,
}

impl Members {
    #[cfg(test)]
    pub(super) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        super::content::Content::new(body.to_vec()).members()
    }

    pub(super) fn none() -> Self {
        Self::all(Map::new())
    }

    /// Those of a body.
    pub(super) fn all(map: Map<String, Value>) -> Self {
        Self::at(String::new(), map)
    }

    /// Those of an object that came another way; `name` is what errors call it.
    ///
    /// # Errors
    /// When it isn't an object.
    pub(super) fn of(name: &str, value: Value) -> Result<Self, ApiError> {
        match value {
            Value::Object(map) => Ok(Self::at(format!("{name}."), map)),
            _ => Err(ApiError::serialization(format!("{name} has to be an object"))),
        }
    }

    fn at(path: String, map: Map<String, Value>) -> Self {
        Self { path, map }
    }

    /// The member's name with the way to it, as errors say it.
    pub(super) fn full(&self, name: &str) -> String {
        format!("{}{name}", self.path)
    }

    /// Takes a string of at most `chars_max` characters; `null` is absent.
    ///
    /// # Errors
    /// When it is something else, here and below.
    pub(super) fn string(&mut self, name: &str, chars_max: usize) -> Result<Option<String>, ApiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.chars().count() > chars_max => {
                let name = self.full(name);
                Err(ApiError::bad_request(format!("{name} can have at most {chars_max} characters")))
            }
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong_type(name, "a string")),
        }
    }

    /// Takes a string that has to be there and not be empty.
    pub(super) fn required(&mut self, name: &str, chars_max: usize) -> Result<String, ApiError> {
        let value = self.string(name, chars_max)?;
        value.filter(|text| !text.is_empty()).ok_or_else(|| {
            ApiError::bad_request(format!("{} is required and can't be empty", self.full(name)))
        })
    }

    /// Puts a string into `slot` where one is given; an empty one takes away what was there.
    pub(super) fn set_text(
        &mut self,
        name: &str,
        chars_max: usize,
        slot: &mut Option<String>,
    ) -> Result<(), ApiError> {
        if let Some(text) = self.string(name, chars_max)? {
            *slot = Some(text).filter(|text| !text.is_empty());
        }
        Ok(())
    }

    /// As [`Self::set_text`], for a string that has to be one of these.
    pub(super) fn set_choice(
        &mut self,
        name: &str,
        choices: &[&str],
        slot: &mut Option<String>,
    ) -> Result<(), ApiError> {
        if self.map.get(name).is_some_and(|value| value == "") {
            self.map.remove(name);
            *slot = None;
        } else if let Some(choice) = self.choice(name, choices)? {
            *slot = Some(choice);
        }
        Ok(())
    }

    /// Takes a string where an empty one is as good as absent.
    pub(super) fn text(&mut self, name: &str, chars_max: usize) -> Result<Option<String>, ApiError> {
        Ok(self.string(name, chars_max)?.filter(|text| !text.is_empty()))
    }

    pub(super) fn boolean(&mut self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(value)),
            Some(_) => Err(self.wrong_type(name, "true or false")),
        }
    }

    /// Takes an integer within `range`.
    pub(super) fn integer(
        &mut self,
        name: &str,
        range: std::ops::RangeInclusive<u32>,
    ) -> Result<Option<u32>, ApiError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let number = value.as_u64().and_then(|n| u32::try_from(n).ok());
        match number.filter(|n| range.contains(n)) {
            Some(number) => Ok(Some(number)),
            None if value.is_number() => Err(ApiError::bad_request(format!(
                "{} has to be an integer from {} to {}",
                self.full(name),
                range.start(),
                range.end()
            ))),
            None => Err(self.wrong_type(name, "an integer")),
        }
    }

    /// Takes an integer within `range`, which may be negative.
    pub(super) fn signed(
        &mut self,
        name: &str,
        range: std::ops::RangeInclusive<i32>,
    ) -> Result<Option<i32>, ApiError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let number = value.as_i64().and_then(|n| i32::try_from(n).ok());
        match number.filter(|n| range.contains(n)) {
            Some(number) => Ok(Some(number)),
            None => Err(ApiError::bad_request(format!(
                "{} has to be an integer from {} to {}",
                self.full(name),
                range.start(),
                range.end()
            ))),
        }
    }

    /// Takes a number that isn't negative.
    pub(super) fn number(&mut self, name: &str) -> Result<Option<f64>, ApiError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match value.as_f64() {
            Some(number) if number >= 0.0 => Ok(Some(number)),
            Some(_) => Err(ApiError::bad_request(format!("{} can't be negative", self.full(name)))),
            None => Err(self.wrong_type(name, "a number")),
        }
    }

    /// Takes an object whose values are strings of at most `chars_max` characters.
    pub(super) fn texts(
        &mut self,
        name: &str,
        chars_max: usize,
    ) -> Result<Option<BTreeMap<String, String>>, ApiError> {
        let texts = self.strings(name)?;
        let long = |text: &String| text.chars().count() > chars_max;
        match texts.iter().flatten().find(|(_, text)| long(text)) {
            None => Ok(texts),
            Some((key, _)) => {
                let name = self.full(name);
                Err(ApiError::bad_request(format!("{name}.{key} can have at most {chars_max} characters")))
            }
        }
    }

    /// Takes an object whose values are strings.
    pub(super) fn strings(&mut self, name: &str) -> Result<Option<BTreeMap<String, String>>, ApiError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let expected = "an object whose values are strings";
        let Value::Object(map) = value else { return Err(self.wrong_type(name, expected)) };
        let pairs = map.into_iter().map(|(key, value)| match value {
            Value::String(text) => Ok((key, text)),
            _ => Err(self.wrong_type(name, expected)),
        });
        pairs.collect::<Result<_, _>>().map(Some)
    }

    /// As [`Self::strings`], where `null` is as good as an empty string.
    pub(super) fn strings_or_null(
        &mut self,
        name: &str,
    ) -> Result<Option<BTreeMap<String, String>>, ApiError> {
        if let Some(Value::Object(map)) = self.map.get_mut(name) {
            map.values_mut().filter(|value| value.is_null()).for_each(|value| *value = "".into());
        }
        self.strings(name)
    }

    /// Takes an object whose values are true or false.
    pub(super) fn booleans(&mut self, name: &str) -> Result<Option<BTreeMap<String, bool>>, ApiError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let expected = "an object whose values are true or false";
        let Value::Object(map) = value else { return Err(self.wrong_type(name, expected)) };
        let pairs = map.into_iter().map(|(key, value)| match value {
            Value::Bool(required) => Ok((key, required)),
            _ => Err(self.wrong_type(name, expected)),
        });
        pairs.collect::<Result<_, _>>().map(Some)
    }

    /// Takes whatever it is.
    pub(super) fn value(&mut self, name: &str) -> Option<Value> {
        self.take(name)
    }

    /// Takes an object, whose members can then be taken from it.
    pub(super) fn object(&mut self, name: &str) -> Result<Option<Self>, ApiError> {
        self.take(name).map(|value| self.members_of(name, value)).transpose()
    }

    /// Takes an object whose values are objects, whose members can then be taken from each, by name.
    pub(super) fn objects_by_name(&mut self, name: &str) -> Result<Option<Vec<(String, Self)>>, ApiError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let Value::Object(map) = value else {
            return Err(self.wrong_type(name, "an object whose values are objects"));
        };
        let items = map.into_iter().map(|(key, value)| {
            let members = self.members_of(&format!("{name}.{key}"), value)?;
            Ok((key, members))
        });
        items.collect::<Result<_, _>>().map(Some)
    }

    /// What is left, as an object whose values are strings of at most `chars_max` characters.
    pub(super) fn into_texts(mut self, chars_max: usize) -> Result<BTreeMap<String, String>, ApiError> {
        let names: Vec<String> = self.map.keys().cloned().collect();
        let mut texts = BTreeMap::new();
        for name in names {
            let text = self.string(&name, chars_max)?.unwrap_or_default();
            texts.insert(name, text);
        }
        Ok(texts)
    }

    /// As [`Self::object`], where `null` says something: it is the inner `None`.
    pub(super) fn object_or_null(&mut self, name: &str) -> Result<Option<Option<Self>>, ApiError> {
        match self.map.remove(name) {
            None => Ok(None),
            Some(Value::Null) => Ok(Some(None)),
            Some(value) => self.members_of(name, value).map(|members| Some(Some(members))),
        }
    }

    /// Of the members that haven't been taken yet.
    pub(super) fn names(&self) -> Vec<String> {
        self.map.keys().cloned().collect()
    }

    /// Takes a list of objects, whose members can then be taken from each.
    pub(super) fn objects(&mut self, name: &str) -> Result<Option<Vec<Self>>, ApiError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let Value::Array(items) = value else { return Err(self.wrong_type(name, "a list of objects")) };
        let items = items.into_iter().enumerate();
        items
            .map(|(at, item)| self.members_of(&format!("{name}[{at}]"), item))
            .collect::<Result<_, _>>()
            .map(Some)
    }

    fn members_of(&self, name: &str, value: Value) -> Result<Self, ApiError> {
        match value {
            Value::Object(map) => Ok(Self::at(format!("{}.", self.full(name)), map)),
            _ => Err(self.wrong_type(name, "an object")),
        }
    }

    /// Takes a list of integers within `range`.
    pub(super) fn integers(
        &mut self,
        name: &str,
        range: std::ops::RangeInclusive<u32>,
    ) -> Result<Option<Vec<u32>>, ApiError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let expected = format!("a list of integers from {} to {}", range.start(), range.end());
        let Value::Array(items) = value else { return Err(self.wrong_type(name, &expected)) };
        let within = |item: &Value| {
            let number = item.as_u64().and_then(|n| u32::try_from(n).ok());
            number.filter(|n| range.contains(n)).ok_or_else(|| self.wrong_type(name, &expected))
        };
        items.iter().map(within).collect::<Result<_, _>>().map(Some)
    }

    /// Takes a list of strings.
    pub(super) fn list(&mut self, name: &str) -> Result<Option<Vec<String>>, ApiError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let expected = "a list of strings";
        let Value::Array(items) = value else { return Err(self.wrong_type(name, expected)) };
        let items = items.into_iter().map(|item| match item {
            Value::String(text) => Ok(text),
            _ => Err(self.wrong_type(name, expected)),
        });
        items.collect::<Result<_, _>>().map(Some)
    }

    /// Takes bytes in base64, of at most `bytes_max`.
    pub(super) fn blob(&mut self, name: &str, bytes_max: usize) -> Result<Option<Vec<u8>>, ApiError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let Value::String(text) = value else { return Err(self.wrong_type(name, "bytes in base64")) };
        let decoded = BASE64_STANDARD.decode(text);
        let bytes = decoded.map_err(|_| self.wrong_type(name, "bytes in base64"))?;
        match bytes.len() {
            len if len > bytes_max => {
                let name = self.full(name);
                Err(ApiError::bad_request(format!("{name} can have at most {bytes_max} bytes")))
            }
            _ => Ok(Some(bytes)),
        }
    }

    /// Takes the tags, within AWS's limits.
    pub(super) fn tags(&mut self) -> Result<Option<BTreeMap<String, String>>, ApiError> {
        let Some(tags) = self.strings("tags")? else { return Ok(None) };
        check_tags(&tags)?;
        Ok(Some(tags))
    }

    /// Takes a string that this version knows one or some values of.
    pub(super) fn one_of(&mut self, name: &str, supported: &[&str]) -> Result<Option<String>, ApiError> {
        let value = self.string(name, 1_024)?.filter(|value| !value.is_empty());
        match value {
            Some(value) if !supported.contains(&value.as_str()) => {
                Err(ApiError::unsupported(format!("{} '{value}'", self.full(name))))
            }
            value => Ok(value),
        }
    }

    /// Takes a string that has to be one of these.
    pub(super) fn choice(&mut self, name: &str, choices: &[&str]) -> Result<Option<String>, ApiError> {
        match self.string(name, 1_024)? {
            Some(value) if !choices.contains(&value.as_str()) => {
                let (name, choices) = (self.full(name), choices.join(", "));
                Err(ApiError::bad_request(format!("{name} has to be one of {choices}, not '{value}'")))
            }
            value => Ok(value),
        }
    }

    /// Takes a string that the service's model lists the values of; `input` is AWS's name of the call's input.
    pub(super) fn enumerated(
        &mut self,
        input: &str,
        name: &str,
        values: &[&str],
    ) -> Result<Option<String>, ApiError> {
        match self.string(name, 1_024)? {
            Some(value) if !values.contains(&value.as_str()) => {
                let name = self.full(name);
                Err(ApiError::validation(&[format!(
                    "Value '{value}' at '{input}.{name}' failed to satisfy constraint: Member must satisfy enum value \
                     set: [{}]",
                    values.join(", ")
                )]))
            }
            value => Ok(value),
        }
    }

    /// Refuses members that AWS has and this version doesn't. One that says nothing (`null`, `false`,
    /// an empty string, list or object) is as good as absent.
    pub(super) fn unsupported(&mut self, names: &[&str]) -> Result<(), ApiError> {
        for name in names {
            if self.take(name).is_some_and(|value| says_something(&value)) {
                return Err(ApiError::unsupported(self.full(name)));
            }
        }
        Ok(())
    }

    /// Ends the taking.
    ///
    /// # Errors
    /// When members are left, which the operation doesn't have.
    pub(super) fn finish(self) -> Result<(), ApiError> {
        match self.map.keys().next() {
            None => Ok(()),
            Some(name) => {
                let name = self.full(name);
                Err(ApiError::serialization(format!("The operation has no member '{name}'")))
            }
        }
    }

    fn wrong_type(&self, name: &str, expected: &str) -> ApiError {
        ApiError::serialization(format!("{} has to be {expected}", self.full(name)))
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.map.remove(name).filter(|value| !value.is_null())
    }
}

fn says_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
        Value::Bool(true) | Value::Number(_) => true,
    }
}

#[cfg(test)]
mod tests;
