//! The axum side: from a request's bytes to a verified call.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::{Request, State};
use axum::http::header::ACCEPT;
use axum::response::Response;

use super::call::Call;
use super::dispatch::dispatch;
use super::error::ApiError;
use super::operations::Operations;
use super::reply::{Answer, RequestId, Wire, failure, success};
use super::status::{STATUS_PATH, Status};
use super::{SIGNING_NAME, acm};
use crate::change::Control;
use crate::publish::Publisher;
use crate::sigv4::{AccessKey, Policy, SignedRequest, verify};
use crate::time::now_s;

/// What the management API serves with.
#[derive(Debug)]
pub struct Api {
    pub control: Arc<Control>,
    pub publisher: Arc<Publisher>,
    pub root_key: AccessKey,
    operations: Operations,
}

impl Api {
    #[must_use]
    pub fn new(control: Arc<Control>, publisher: Arc<Publisher>, root_key: AccessKey) -> Self {
        Self { control, publisher, root_key, operations: Operations::load() }
    }
}

/// Everything is one handler: the table of operations is the router.
pub fn router(api: Arc<Api>) -> Router {
    Router::new().fallback(handle).with_state(api)
}

async fn handle(State(api): State<Arc<Api>>, request: Request) -> Response {
    let began = Instant::now();
    let id = RequestId::new();
    let target = acm::target(request.headers());
    let line = format!("{} {}", request.method(), target.as_deref().unwrap_or(request.uri().path()));
    let wire = if target.is_some() { Wire::Json11 } else { Wire::Rest };
    let answered = answer(&api, request, target).await;
    let code = answered.as_ref().err().map_or("-", |error| error.code);
    let response = match &answered {
        Ok((status, body)) => success(wire, &id, *status, body),
        Err(error) => failure(wire, &id, error),
    };
    if let Err(error) = &answered
        && matches!(error.status, 500 | 503)
    {
        log_line!("management: {line} failed: {} ({id})", error.message);
    }
    if api.control.settings().request_log {
        let status = response.status().as_u16();
        log_line!("management: {line} {status} {code} {} us ({id})", began.elapsed().as_micros());
    }
    response
}

/// The status and the answer of a success. A call with a target is one of ACM's.
async fn answer(api: &Arc<Api>, request: Request, target: Option<String>) -> Result<(u16, Answer), ApiError> {
    let (parts, body) = request.into_parts();
    let body = read_body(api, body).await?;
    let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or(""));
    let headers: Vec<(String, String)> = parts
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let method = parts.method.as_str();
    let service = if target.is_some() { acm::SIGNING_NAME } else { SIGNING_NAME };
    check_signature(api, &SignedRequest { method, path, query, headers: &headers, body: &body }, service)?;
    if let Some(target) = target {
        return Ok((200, acm::answer(&api.control, &target, body).await?.into()));
    }
    if (method, path) == ("GET", STATUS_PATH) {
        return Ok((200, Status::of(api).await?.to_json().into()));
    }
    let found = api.operations.find(method, path, query)?;
    let accept = parts.headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("").to_owned();
    let call = Call { parameters: found.parameters, query: query.to_owned(), accept, body };
    let body = dispatch(&api.control, found.operation, call).await?;
    Ok((found.operation.status, body))
}

async fn read_body(api: &Api, body: Body) -> Result<Vec<u8>, ApiError> {
    let settings = api.control.settings();
    let read = collect(body, settings.body_bytes_max);
    match tokio::time::timeout(Duration::from_millis(settings.body_timeout_ms), read).await {
        Ok(read) => read,
        Err(_elapsed) => Err(ApiError::body_timeout(settings.body_timeout_ms)),
    }
}

/// Trailers say nothing here.
async fn collect(mut body: Body, bytes_max: usize) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let frame = frame.map_err(|error| ApiError::body_broken(&error))?;
        let Ok(data) = frame.into_data() else { continue };
        if data.len() > bytes_max - bytes.len() {
            return Err(ApiError::body_too_large(bytes_max));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

fn check_signature(api: &Api, request: &SignedRequest<'_>, service: &str) -> Result<(), ApiError> {
    let settings = api.control.settings();
    let policy = Policy {
        key: &api.root_key,
        region: &settings.account.region,
        service,
        clock_skew_s_max: settings.clock_skew_s_max,
    };
    Ok(verify(request, &policy, now_s())?)
}
