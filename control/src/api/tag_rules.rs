//! What tags may be: their number, their lengths and characters, and which keys are reserved, as AWS has it.

use std::collections::BTreeMap;

use super::error::ApiError;

/// AWS's limits of tags.
const TAGS_MAX: usize = 50;
const TAG_KEY_CHARS_MAX: usize = 128;
const TAG_VALUE_CHARS_MAX: usize = 256;

/// AWS's limits of tags, and its rules for their keys.
pub(super) fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), ApiError> {
    let fits = |(key, value): (&String, &String)| {
        (1..=TAG_KEY_CHARS_MAX).contains(&key.chars().count()) && value.chars().count() <= TAG_VALUE_CHARS_MAX
    };
    if tags.len() > TAGS_MAX || !tags.iter().all(fits) {
        return Err(ApiError::bad_request(format!(
            "There can be at most {TAGS_MAX} tags, with keys of 1 to {TAG_KEY_CHARS_MAX} and values of at most {TAG_VALUE_CHARS_MAX} characters"
        )));
    }
    if let Some(key) = tags.keys().find(|key| has_reserved_prefix(key)) {
        return Err(ApiError::bad_request(format!("Invalid tag key '{key}': the prefix aws: is reserved")));
    }
    let texts = tags.iter().flat_map(|(key, value)| [key, value]);
    match texts.into_iter().find(|text| !text.chars().all(is_tag_char)) {
        None => Ok(()),
        Some(text) => Err(ApiError::bad_request(format!(
            "Tags can have letters, digits, spaces and _ . : / = + - @: '{text}' has something else"
        ))),
    }
}

fn has_reserved_prefix(key: &str) -> bool {
    key.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("aws:"))
}

fn is_tag_char(c: char) -> bool {
    c.is_alphanumeric() || c.is_whitespace() || "_.:/=+-@".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_have_rules() {
        let tags = |key: &str, value: &str| check_tags(&BTreeMap::from([(key.to_owned(), value.to_owned())]));
        for (key, value) in [("team", ""), ("Größe/1", "a b_c.d:e/f=g+h-i@j"), ("xaws:y", "aws:z")] {
            assert_eq!(tags(key, value), Ok(()), "{key}={value}");
        }
        for (key, value) in [("", "x"), ("aws:x", "y"), ("AWS:x", "y"), ("a{", "x"), ("a", "x;")] {
            assert_eq!(tags(key, value).expect_err(key).status, 400, "{key}={value}");
        }
        let many = |count: usize| check_tags(&(0..count).map(|n| (n.to_string(), String::new())).collect());
        assert!(many(50).is_ok() && many(51).is_err());
    }
}
