//! An API key: a secret that callers show, by which usage plans tell them apart.

use serde::{Deserialize, Serialize};

use super::{Entity, Tags};
use crate::secrets::Sealed;

/// AWS's bounds of a value.
const VALUE_CHARS_MIN: usize = 20;
const VALUE_CHARS_MAX: usize = 128;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    pub id: String,
    pub name: Option<String>,
    pub description: Option<String>,
    /// Whatever its owner calls the customer.
    pub customer_id: Option<String>,
    pub enabled: bool,
    /// What callers show, sealed in [`Self::value_context`].
    pub value: Sealed,
    /// Finds the key by its value, and tells nothing of it without the store's own key.
    pub fingerprint: String,
    /// `API/STAGE` each; superseded by usage plans, and kept for the caller.
    pub stage_keys: Vec<String>,
    pub tags: Tags,
    /// Seconds since 1970.
    pub created_at_s: i64,
    pub updated_at_s: i64,
}

impl ApiKey {
    /// Where the value is sealed.
    #[must_use]
    pub fn value_context(id: &str) -> String {
        format!("the value of API key {id}")
    }

    /// What [`Self::fingerprint`] is taken of, beside the value.
    pub const FINGERPRINT_CONTEXT: &'static str = "the value of an API key";
}

/// A value that can be sent in a header field: visible ASCII.
///
/// # Errors
/// Says what it has to look like, and nothing of the value.
pub fn check_api_key_value(value: &str) -> Result<(), String> {
    let chars = value.chars().count();
    if chars < VALUE_CHARS_MIN {
        return Err(format!("API Key value should be at least {VALUE_CHARS_MIN} characters"));
    }
    if chars > VALUE_CHARS_MAX {
        return Err(format!("API Key value should be at most {VALUE_CHARS_MAX} characters"));
    }
    match value.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(()),
        false => Err("API Key value only allows visible ASCII characters, without spaces".to_owned()),
    }
}

impl Entity for ApiKey {
    const KIND: &'static str = "api-key";

    fn id(&self) -> &str {
        &self.id
    }

    fn name(&self) -> Option<String> {
        Some(self.fingerprint.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_can_be_sent_in_a_header() {
        for value in ["x".repeat(20), "~!\"',;".repeat(4), "x".repeat(128)] {
            assert_eq!(check_api_key_value(&value), Ok(()));
        }
        for (value, expected) in [
            ("x".repeat(19), "at least 20"),
            ("x".repeat(129), "at most 128"),
            ("a b".repeat(10), "visible"),
            ("é".repeat(20), "visible"),
            ("a\r\n".repeat(10), "visible"),
        ] {
            assert!(check_api_key_value(&value).expect_err(expected).contains(expected));
        }
    }
}
