//! Answers on the wire: JSON, AWS's error header, a request id.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value, json};

use super::error::ApiError;

/// Names one request in its answer and in the log; in the form of a UUID.
#[derive(Debug, Clone)]
pub(super) struct RequestId(String);

impl RequestId {
    pub(super) fn new() -> Self {
        let mut bytes = [0; 16];
        // It only has to be findable: without random bytes it says so, and the call goes on.
        if SystemRandom::new().fill(&mut bytes).is_err() {
            return Self("00000000-0000-0000-0000-000000000000".to_owned());
        }
        // RFC 9562: version 4, variant 10.
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Self(format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]))
    }
}

impl std::fmt::Display for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// `null` is an answer without a body.
pub(super) fn success(id: &RequestId, status: u16, body: &Value) -> Response {
    let bytes = if body.is_null() { String::new() } else { body.to_string() };
    response(id, status, bytes)
}

pub(super) fn failure(id: &RequestId, error: &ApiError) -> Response {
    let body = json!({"message": error.message});
    let mut response = response(id, error.status, body.to_string());
    response.headers_mut().insert("x-amzn-errortype", HeaderValue::from_static(error.code));
    response
}

fn response(id: &RequestId, status: u16, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    // Every status comes from the table of operations or from an error's constructor.
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(id) = HeaderValue::from_str(&id.0) {
        headers.insert("x-amzn-requestid", id);
    }
    response
}
