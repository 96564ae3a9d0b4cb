//! What an import has read of its body before its change begins: however long that takes, nobody else's change waits,
//! and nobody reads it again.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::call::Call;
use super::error::ApiError;
use crate::change::Change;
use crate::openapi::Document;

type Put = Box<dyn Fn(&mut Change<'_>, &Call) -> Result<Value, ApiError> + Send>;

pub(super) struct Prepared {
    /// That the import is of; nothing where it is of a file of another kind.
    pub(super) document: Option<Arc<Document>>,
    put: Put,
}

impl fmt::Debug for Prepared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Prepared").field("document", &self.document).finish_non_exhaustive()
    }
}

impl Prepared {
    pub(super) fn of_document(
        document: Arc<Document>,
        put: fn(&mut Change<'_>, &Call, &Document) -> Result<Value, ApiError>,
    ) -> Self {
        let read = Arc::clone(&document);
        Self { document: Some(document), put: Box::new(move |change, call| put(change, call, &read)) }
    }

    pub(super) fn of<R: Send + 'static>(
        read: R,
        put: fn(&mut Change<'_>, &Call, &R) -> Result<Value, ApiError>,
    ) -> Self {
        Self { document: None, put: Box::new(move |change, call| put(change, call, &read)) }
    }

    /// # Errors
    /// The operation's own.
    pub(super) fn put(&self, change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
        (self.put)(change, call)
    }
}
