//! A call's body: its bytes, and what they are as JSON. Each is made of the other once at most, however many look at
//! it; a large one off the runtime's threads, which others' calls wait for.

use std::sync::OnceLock;

use serde_json::Value;

use super::error::ApiError;
use super::json;
use super::members::Members;
use crate::change::blocking;

/// What is read where it is; of the order of what a change of threads costs.
const BYTES_AT_ONCE_MAX: usize = 16 << 10;

#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    bytes: OnceLock<Vec<u8>>,
    /// Why it isn't JSON, where it isn't.
    json: OnceLock<Result<Value, String>>,
}

static NULL: Value = Value::Null;

impl Content {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes: bytes.into(), json: OnceLock::new() }
    }

    /// That of a call which another operation makes; `null` is no body.
    pub(super) fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::new(Vec::new()),
            value => Self { bytes: OnceLock::new(), json: Ok(value.clone()).into() },
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get_or_init(|| match self.json.get() {
            Some(Ok(value)) => value.to_string().into_bytes(),
            Some(Err(_)) | None => Vec::new(),
        })
    }

    fn parsed(&self) -> &Result<Value, String> {
        self.json.get_or_init(|| json::parse(self.bytes()).map_err(|error| error.to_string()))
    }

    /// What has been read of it as JSON: `null` where it isn't JSON, or a file of another kind.
    pub(super) fn read(&self) -> &Value {
        match self.json.get() {
            Some(Ok(value)) => value,
            Some(Err(_)) | None => &NULL,
        }
    }

    /// Reads it as JSON, for [`Self::read`] and [`Self::members`] to have it at once.
    pub(super) async fn into_read(self) -> Self {
        let read = |content: Self| {
            content.parsed();
            content
        };
        match self.bytes.get().is_some_and(|bytes| bytes.len() > BYTES_AT_ONCE_MAX) {
            true => blocking(move || read(self)).await,
            false => read(self),
        }
    }

    /// An empty body has no members.
    ///
    /// # Errors
    /// When the body isn't a JSON object.
    pub(super) fn members(&self) -> Result<Members, ApiError> {
        if self.bytes.get().is_some_and(Vec::is_empty) {
            return Ok(Members::none());
        }
        match self.parsed() {
            Ok(Value::Object(map)) => Ok(Members::all(map.clone())),
            Ok(_) => Err(ApiError::serialization("The body has to be a JSON object")),
            Err(error) => Err(ApiError::serialization(format!("The body isn't JSON: {error}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bytes_and_json_are_made_of_each_other() {
        let content = Content::new(br#"{"a":1}"#.to_vec());
        assert_eq!(content.read(), &Value::Null, "nobody has read it as JSON yet");
        assert!(content.members().is_ok());
        assert_eq!(content.read(), &json!({"a": 1}));
        let content = Content::of(&json!({"a": 1}));
        assert_eq!((content.read(), content.bytes()), (&json!({"a": 1}), &br#"{"a":1}"#[..]));
        let nothing = Content::of(&Value::Null);
        assert!(nothing.bytes().is_empty() && nothing.members().is_ok());
    }

    /// Megabytes aren't read by the time that the runtime's thread comes back.
    #[tokio::test]
    async fn what_is_large_keeps_nobody_waiting() {
        let list: Value = (0..500_000).collect();
        let content = Content::new(list.to_string().into_bytes());
        let mut reading = std::pin::pin!(content.into_read());
        tokio::select! {
            biased;
            _ = &mut reading => panic!("it was read at once"),
            () = std::future::ready(()) => {}
        }
        assert_eq!(reading.await.read(), &list);
    }

    #[tokio::test]
    async fn what_is_large_is_read_all_the_same() {
        for length in [1, 2 * BYTES_AT_ONCE_MAX] {
            let content = Content::new(json!({"a": "x".repeat(length)}).to_string().into_bytes());
            assert_eq!(content.into_read().await.read()["a"].as_str().map(str::len), Some(length));
        }
        let broken = Content::new(b"{".to_vec()).into_read().await;
        assert_eq!(broken.read(), &Value::Null);
        assert_eq!(broken.members().expect_err("no JSON").code, "SerializationException");
    }
}
