//! How much a document may unfold to: aliases and references can stand for far more than the bytes that were sent.

use serde_json::Value;

/// Limits of one document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DocumentLimits {
    /// Lists and objects within each other.
    pub depth_max: usize,
    /// Scalars, lists and objects, each counted wherever an alias or a reference repeats it.
    pub values_max: usize,
}

/// A document that unfolds to more than its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooLarge {
    #[error("The document is nested deeper than {depth_max} levels (openapi_depth_max)")]
    Depth { depth_max: usize },
    #[error(
        "The document unfolds to more than {values_max} values (openapi_values_max), counting what aliases and \
         references repeat"
    )]
    Values { values_max: usize },
}

/// What may still be unfolded.
#[derive(Debug)]
pub(super) struct Budget {
    limits: DocumentLimits,
    values: usize,
}

impl Budget {
    pub(super) fn new(limits: DocumentLimits) -> Self {
        Self { limits, values: 0 }
    }

    /// How many values have been counted.
    pub(super) fn values(&self) -> usize {
        self.values
    }

    /// What text costs, wherever it is repeated.
    pub(super) fn spend_text(&mut self, text: &str) -> Result<(), TooLarge> {
        self.spend(text_size(text))
    }

    pub(super) fn spend(&mut self, values: usize) -> Result<(), TooLarge> {
        self.values = self.values.saturating_add(values);
        match self.values > self.limits.values_max {
            true => Err(TooLarge::Values { values_max: self.limits.values_max }),
            false => Ok(()),
        }
    }

    /// What looking at all of a value costs, where the document has it once and it counts many times.
    pub(super) fn repeat(&mut self, value: &Value) -> Result<(), TooLarge> {
        self.spend(size(value))
    }

    /// A copy of what stands in the document.
    pub(super) fn copy(&mut self, value: &Value) -> Result<Value, TooLarge> {
        self.repeat(value)?;
        Ok(value.clone())
    }

    pub(super) fn check_depth(&self, depth: usize) -> Result<(), TooLarge> {
        match depth > self.limits.depth_max {
            true => Err(TooLarge::Depth { depth_max: self.limits.depth_max }),
            false => Ok(()),
        }
    }
}

/// Bytes of text that count as one more value.
const TEXT_BYTES: usize = 64;

fn text_size(text: &str) -> usize {
    1 + text.len() / TEXT_BYTES
}

fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text_size(text),
        Value::Array(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Object(members) => 1 + members.iter().map(|(k, v)| text_size(k) - 1 + size(v)).sum::<usize>(),
        _ => 1,
    }
}
