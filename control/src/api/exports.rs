//! What exports of both services share: whole lists of an API's parts, and documents as downloads.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::call::Call;
use super::dispatch::look_within;
use super::error::ApiError;
use super::operations::Service;
use super::reply::Download;
use crate::change::View;
use crate::openapi::{ExportError, Format, write_text};

impl From<ExportError> for ApiError {
    fn from(error: ExportError) -> Self {
        Self::bad_request(error.to_string())
    }
}

/// All items of a list, whatever its pages.
///
/// # Errors
/// The operation's.
pub(super) fn all_items(
    view: &View<'_>,
    service: Service,
    operation: &str,
    parameters: &[&str],
    query: &str,
) -> Result<Vec<Value>, ApiError> {
    let (limit, token, items) = match service {
        Service::V1 | Service::Turnpike => ("limit", "position", "item"),
        Service::V2 => ("maxResults", "nextToken", "items"),
    };
    let mut call = Call { query: format!("{query}&{limit}=500"), ..Call::inner(parameters, &Value::Null) };
    let mut all = Vec::new();
    loop {
        let mut page = look_within(view, service, operation, &call)?;
        if let Some(Value::Array(more)) = page.get_mut(items).map(Value::take) {
            all.extend(more);
        }
        let Some(next) = page[token].as_str() else { return Ok(all) };
        call.query = format!("{query}&{limit}=500&{token}={}", utf8_percent_encode(next, NON_ALPHANUMERIC));
    }
}

/// A document in the format that was asked for.
pub(super) fn download(document: &Value, format: Format, file_name: Option<String>) -> Download {
    let content_type = match format {
        Format::Json => "application/json",
        Format::Yaml => "application/yaml",
    };
    Download { content_type, file_name, bytes: write_text(document, format) }
}
