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
        let fits =
            |(own, pattern): (&str, &str)| if is_open(pattern) { !own.is_empty() } else { own == pattern };
        let patterns = || rule.split('/').skip(1);
        self.segments().count() == patterns().count() && self.segments().zip(patterns()).all(fits)
    }

    /// What stands where the rule's path has braces, unescaped.
    pub(super) fn names(&self, rule: &str) -> Vec<String> {
        let open = self.segments().zip(rule.split('/').skip(1)).filter(|(_, pattern)| is_open(pattern));
        open.map(|(own, _)| unescape(own)).collect()
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

/// RFC 6901 4: `~1` first, so that `~01` is `~1`.
fn unescape(segment: &str) -> String {
    segment.replace("~1", "/").replace("~0", "~")
}
