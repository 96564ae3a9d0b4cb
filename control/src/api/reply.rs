//! Answers on the wire: JSON, AWS's error header, a request id.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};

use super::error::ApiError;
use super::iam::{self, QueryService};
use crate::model::new_uuid;

/// Names one request in its answer and in the log; in the form of a UUID.
#[derive(Debug, Clone)]
pub(super) struct RequestId(String);

impl RequestId {
    pub(super) fn new() -> Self {
        // It only has to be findable: without random bytes it says so, and the call goes on.
        Self(new_uuid().unwrap_or_else(|_| "00000000-0000-0000-0000-000000000000".to_owned()))
    }
}

impl std::fmt::Display for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an operation answers with.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answer {
    /// `null` is an answer without a body.
    Json(Value),
    Download(Download),
}

impl From<Value> for Answer {
    fn from(body: Value) -> Self {
        Self::Json(body)
    }
}

/// A file that the caller asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Download {
    pub(super) content_type: &'static str,
    /// Under which name callers may keep it: visible ASCII without quotes.
    pub(super) file_name: Option<String>,
    pub(super) bytes: Vec<u8>,
}

/// How a service's calls and answers look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    /// Operations are methods and paths.
    Rest,
    /// Operations are in `X-Amz-Target`, errors in `__type`.
    Json11,
    /// Operations are the form's `Action`, answers XML.
    Query(QueryService),
}

impl Wire {
    fn content_type(self) -> &'static str {
        match self {
            Self::Rest => "application/json",
            Self::Json11 => "application/x-amz-json-1.1",
            Self::Query(_) => "text/xml",
        }
    }
}

pub(super) fn success(wire: Wire, id: &RequestId, status: u16, answer: &Answer) -> Response {
    match (answer, wire) {
        (Answer::Json(body), Wire::Query(service)) => {
            let text = iam::encode(body, service.namespace(), &id.0);
            response(wire.content_type(), id, status, text.into())
        }
        (Answer::Json(Value::Null), _) => response(wire.content_type(), id, status, Vec::new()),
        (Answer::Json(body), _) => response(wire.content_type(), id, status, body.to_string().into()),
        (Answer::Download(download), _) => download.response(id, status),
    }
}

impl Download {
    fn response(&self, id: &RequestId, status: u16) -> Response {
        let mut response = response(self.content_type, id, status, self.bytes.clone());
        let named = self.file_name.as_ref().map(|name| format!("attachment; filename=\"{name}\""));
        if let Some(Ok(disposition)) = named.map(HeaderValue::try_from) {
            response.headers_mut().insert(header::CONTENT_DISPOSITION, disposition);
        }
        response
    }
}

/// What went wrong inside is the log's to tell: whoever may call may not read it all.
pub(super) fn failure(wire: Wire, id: &RequestId, error: &ApiError) -> Response {
    let (status, code) = in_words_of(wire, error);
    let message = match status {
        500 => format!("The call failed inside Turnpike; control's log has the cause, under {id}"),
        _ => error.message.clone(),
    };
    let body = match wire {
        Wire::Rest => json!({"message": message}).to_string(),
        Wire::Json11 => json!({"__type": code, "message": message}).to_string(),
        Wire::Query(service) => {
            let fault = if status < 500 { "Sender" } else { "Receiver" };
            iam::encode_error(service.namespace(), &id.0, (fault, code, &message))
        }
    };
    let mut response = response(wire.content_type(), id, status, body.into());
    response.headers_mut().insert("x-amzn-errortype", HeaderValue::from_static(code));
    response
}

/// What all services know, each has its own status or name for.
fn in_words_of(wire: Wire, error: &ApiError) -> (u16, &'static str) {
    match (wire, error.code) {
        (
            Wire::Json11,
            "MissingAuthenticationTokenException"
            | "IncompleteSignatureException"
            | "UnrecognizedClientException"
            | "InvalidSignatureException"
            | "AccessDeniedException",
        ) => (400, error.code),
        (Wire::Query(_), "MissingAuthenticationTokenException") => (403, "MissingAuthenticationToken"),
        (Wire::Query(_), "IncompleteSignatureException") => (400, "IncompleteSignature"),
        (Wire::Query(_), "UnrecognizedClientException") => (403, "InvalidClientTokenId"),
        (Wire::Query(_), "InvalidSignatureException") => (403, "SignatureDoesNotMatch"),
        (Wire::Query(_), "AccessDeniedException") => (403, "AccessDenied"),
        (Wire::Query(_), "BadRequestException") => (400, "ValidationError"),
        (Wire::Query(_), "InternalFailure") => (500, "ServiceFailure"),
        (Wire::Query(_), "ServiceUnavailableException") => (503, "ServiceUnavailable"),
        _ => (error.status, error.code),
    }
}

fn response(content_type: &'static str, id: &RequestId, status: u16, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    // Every status comes from the table of operations or from an error's constructor.
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Ok(id) = HeaderValue::from_str(&id.0) {
        headers.insert("x-amzn-requestid", id);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_went_wrong_inside_is_not_told() {
        let query = Wire::Query(QueryService::of_scope("iam"));
        for wire in [Wire::Rest, Wire::Json11, query] {
            for (error, told) in [
                (ApiError::internal_text("a secret".to_owned()), false),
                (ApiError::bad_request("a secret"), true),
            ] {
                let id = RequestId::new();
                let body = failure(wire, &id, &error).into_body();
                let bytes = axum::body::to_bytes(body, 10_000).await.expect("a body");
                let text = String::from_utf8(bytes.to_vec()).expect("text");
                assert_eq!(text.contains("a secret"), told, "{wire:?}: {text}");
                assert!(told || text.contains(&id.0), "{text}");
            }
        }
    }
}
