//! JSON pointers (RFC 6901) of patch operations.

use serde_json::Value;

use crate::api::error::ApiError;

/// A path into an entity, not the entity itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pointer(String);

impl Pointer {
    /// # Errors
    /// When it doesn't begin with `/`, or `~` begins no escape.
    pub(super) fn parse(text: String) -> Result<Self, ApiError> {
        let escapes = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
        if text.starts_with('/') && escapes {
            return Ok(Self(text));
        }
        Err(ApiError::bad_request(format!("Invalid patch path {text}")))
    }

    /// As it was written.
    pub(super) fn text(&self) -> &str {
        &self.0
    }

    /// As they were written.
    pub(super) fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').skip(1)
    }

    /// Whether it has the shape of a rule's path.
    pub(super) fn fits(&self, rule: &str) -> bool {
        self.matched(rule).is_some()
    }

    /// What stands where the rule's path has braces, unescaped.
    pub(super) fn names(&self, rule: &str) -> Vec<String> {
        self.matched(rule).unwrap_or_default()
    }

    /// One pattern of a rule may be greedy (`{path+}`): one segment or more, slashes included, so that a path as a value
    /// can be escaped or not.
    fn matched(&self, rule: &str) -> Option<Vec<String>> {
        let own: Vec<&str> = self.segments().collect();
        let patterns: Vec<&str> = rule.split('/').skip(1).collect();
        let spare = own.len().checked_sub(patterns.len())?;
        let has_greedy = patterns.iter().any(|pattern| is_greedy(pattern));
        if spare > 0 && !has_greedy {
            return None;
        }
        let (mut at, mut names) = (0, Vec::new());
        for pattern in patterns {
            let taken = if is_greedy(pattern) { 1 + spare } else { 1 };
            let text = own[at..at + taken].join("/");
            match is_open(pattern) {
                true if text.is_empty() => return None,
                true => names.push(unescape(&text)),
                false if text != pattern => return None,
                false => {}
            }
            at += taken;
        }
        Some(names)
    }

    /// What it points at, as a patch would write it. Members of a list that has no numbers to it are their own names, as
    /// they are in AWS's patches.
    pub(super) fn look_up(&self, shown: &Value) -> Option<String> {
        let found = self.segments().try_fold(shown, |value, segment| {
            let name = unescape(segment);
            match value {
                Value::Object(map) => map.get(&name),
                Value::Array(items) => items.iter().find(|item| item.as_str() == Some(name.as_str())),
                _ => None,
            }
        })?;
        Some(match found {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    }
}

fn is_open(pattern: &str) -> bool {
    pattern.starts_with('{')
}

fn is_greedy(pattern: &str) -> bool {
    pattern.ends_with("+}")
}

/// RFC 6901 4: `~1` first, so that `~01` is `~1`.
fn unescape(segment: &str) -> String {
    segment.replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greedy_pattern_takes_what_the_others_leave() {
        let names = |path: &str| {
            let pointer = Pointer::parse(path.to_owned()).expect("a pointer");
            pointer.matched("/stages/{stage}/{path+}/{method}/rate")
        };
        for (path, expected) in [
            ("/stages/a:b/~1pets~1{id}/GET/rate", ["a:b", "/pets/{id}", "GET"]),
            ("/stages/a:b//pets/{id}/GET/rate", ["a:b", "/pets/{id}", "GET"]),
            ("/stages/a:b///GET/rate", ["a:b", "/", "GET"]),
            ("/stages/a:b/pets/GET/rate", ["a:b", "pets", "GET"]),
        ] {
            assert_eq!(names(path), Some(expected.map(str::to_owned).to_vec()), "{path}");
        }
        for path in
            ["/stages/a:b/GET/rate", "/stages/a:b//GET/rate", "/stages/a:b/~1pets/GET/burst", "/stages"]
        {
            assert_eq!(names(path), None, "{path}");
        }
    }
}
