//! From a request's bytes to a verified and permitted call.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::response::Response;
use tokio::time::timeout_at;

use super::access::{
    Ask, Caller, Peer, RequestTags, Who, asked_of_user, authorize, identify, is_claimed, of_json, overwrites,
};
use super::call::Call;
use super::content::Content;
use super::dispatch::{ReadCall, changes, dispatch, waits_for_gateways};
use super::error::ApiError;
use super::iam::{self, QueryService};
use super::operations::{Operations, Service};
use super::reply::{Answer, RequestId, Wire, failure, success};
use super::status::{STATUS_PATH, Status};
use super::{SIGNING_NAME, acm};
use crate::change::{Control, Deed, View};
use crate::model::RestApi;
use crate::publish::Publisher;
use crate::settings::Settings;
use crate::sigv4::{AccessKey, Claim, SignedRequest};
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

/// A request without its body.
#[derive(Debug)]
struct Incoming {
    parts: Parts,
    headers: Vec<(String, String)>,
    /// What ACM's calls name their action by.
    target: Option<String>,
    wire: Wire,
    peer: Peer,
    id: RequestId,
}

impl Incoming {
    fn new(parts: Parts, peer: Peer) -> Self {
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers: Vec<_> =
            parts.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        let target = acm::target(&parts.headers);
        let id = RequestId::new();
        let mut incoming = Self { parts, headers, target, wire: Wire::Rest, peer, id };
        incoming.wire = incoming.wire();
        incoming
    }

    /// Calls of the Query protocol are forms at `/`, where no operation of the other services is.
    fn wire(&self) -> Wire {
        if self.target.is_some() {
            return Wire::Json11;
        }
        let is_form = self
            .parts
            .headers
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
        let names_action = self.query().split('&').any(|pair| pair.starts_with("Action="));
        if self.path() != "/" || !(is_form || names_action) {
            return Wire::Rest;
        }
        let scope = Claim::of(&self.signed(b"")).map_or("", |claim| claim.service);
        Wire::Query(QueryService::of_scope(scope))
    }

    fn path(&self) -> &str {
        self.parts.uri.path()
    }

    fn query(&self) -> &str {
        self.parts.uri.query().unwrap_or("")
    }

    /// What the body is compressed with.
    fn coding(&self) -> Option<&str> {
        let coding = self.headers.iter().find(|(name, _)| name == "content-encoding");
        coding.map(|(_, coding)| coding.as_str()).filter(|coding| !coding.eq_ignore_ascii_case("identity"))
    }

    fn signed<'a>(&'a self, body: &'a [u8]) -> SignedRequest<'a> {
        let method = self.parts.method.as_str();
        SignedRequest { method, path: self.path(), query: self.query(), headers: &self.headers, body }
    }

    /// As logs name it.
    fn line(&self) -> String {
        format!("{} {}", self.parts.method, self.target.as_deref().unwrap_or_else(|| self.path()))
    }

    /// What the audit log has of a call that changes something.
    fn deed(&self, api: &Api, caller: &Caller, (service, operation): (&str, &str), asks: &[Ask]) -> Deed {
        let (action, resource) =
            asks.first().map(|ask| (ask.action.clone(), ask.resource.clone())).unwrap_or_default();
        Deed {
            user: caller.name().to_owned(),
            user_arn: caller.arn(&api.control.settings().account.id),
            access_key_id: caller.access_key_id.clone(),
            source_address: caller.source.to_string(),
            service: service.to_owned(),
            operation: operation.to_owned(),
            action,
            resource,
            request: self.line(),
            request_id: self.id.to_string(),
        }
    }
}

/// Everything is one handler: the table of operations is the router.
pub(super) async fn handle(api: Arc<Api>, peer: Peer, request: Request) -> Response {
    let began = Instant::now();
    let (parts, body) = request.into_parts();
    let incoming = Incoming::new(parts, peer);
    let answered = answer(&api, &incoming, body).await;
    let Incoming { wire, id, .. } = &incoming;
    let code = answered.as_ref().err().map_or("-", |error| error.code);
    let response = match &answered {
        Ok((status, body)) => success(*wire, id, *status, body),
        Err(error) => failure(*wire, id, error),
    };
    if let Err(error) = &answered
        && error.is_logged()
    {
        log_line!("management: {} failed: {} ({id})", incoming.line(), error.message);
    }
    if api.control.settings().request_log {
        let (line, status) = (incoming.line(), response.status().as_u16());
        log_line!("management: {line} {status} {code} {} us ({id})", began.elapsed().as_micros());
    }
    response
}

/// The status and the body of a success.
async fn answer(api: &Arc<Api>, incoming: &Incoming, body: Body) -> Result<(u16, Answer), ApiError> {
    let is_kept = !is_large(&body) || is_claimed(api, &incoming.signed(b"")).await?;
    let body = read_body(api, body, is_kept).await?;
    let _at_work = incoming.peer.holder.work().ok_or_else(ApiError::place_taken)?;
    let region = api.control.settings().account.region.as_str();
    // IAM and STS are of no region; clients sign for the one that they are set to, or for AWS's first.
    let (regions, service): (&[&str], _) = match incoming.wire {
        Wire::Rest => (&[region], SIGNING_NAME),
        Wire::Json11 => (&[region], acm::SIGNING_NAME),
        Wire::Query(service) => (&[region, "us-east-1"], service.signing_name()),
    };
    let caller = identify(api, &incoming.signed(&body), (regions, service), &incoming.peer).await?;
    if let Some(coding) = incoming.coding() {
        return Err(ApiError::unsupported_coding(coding));
    }
    match (incoming.wire, &incoming.target) {
        (Wire::Query(service), _) => Ok((200, answer_query(api, incoming, caller, service, &body).await?)),
        (_, Some(target)) => Ok((200, answer_acm(api, incoming, &caller, target, body).await?)),
        (_, None) => answer_rest(api, incoming, &caller, body).await,
    }
}

/// The services of APIs, and Turnpike's own.
async fn answer_rest(
    api: &Arc<Api>,
    incoming: &Incoming,
    caller: &Caller,
    body: Vec<u8>,
) -> Result<(u16, Answer), ApiError> {
    let (method, path, query) = (incoming.parts.method.as_str(), incoming.path(), incoming.query());
    let settings = api.control.settings();
    if (method, path) == ("GET", STATUS_PATH) {
        let asks = [Ask::turnpike(&settings.account, "GetStatus", "/status")];
        permit(api, caller, &asks, &RequestTags::new(), None).await?;
        return Ok((200, Status::of(api).await?.to_json().into()));
    }
    let found = api.operations.find(method, path, query)?;
    let operation = found.operation;
    let accept =
        incoming.parts.headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("").to_owned();
    let content = Content::new(body);
    let is_user = matches!(caller.who, Who::User(_));
    let user = (is_user && operation.service == Service::Turnpike).then(|| Arc::new(caller.clone()));
    let (parameters, query_text) = (found.parameters.clone(), query.to_owned());
    let call = Call { parameters, query: query_text, accept, content, document: None, user };
    let call = ReadCall::of(&api.control, operation, call).await;
    let members = call.call.content.read();
    let (asks, tags) = if is_user {
        let of_policy = overwrites(operation, query) && has_policy(api, found.parameters.first()).await?;
        asked_of_user(&settings.account, &found, (members, query), call.document(), of_policy)
    } else {
        let tags = of_json(members, query);
        (Ask::of_operation(&settings.account, &found, !tags.is_empty()), tags)
    };
    let deed = incoming.deed(api, caller, (operation.service.name(), operation.name), &asks);
    permit(api, caller, &asks, &tags, changes(operation).then_some(&deed)).await?;
    let noted = call.call.user.as_ref().filter(|_| changes(operation)).map(|_| deed.clone());
    let answered = dispatch(&api.control, operation, call, deed).await;
    // One of the operations that the call is made of.
    if let (Err(refused), Some(deed)) = (&answered, noted)
        && refused.code == ApiError::access_denied("").code
    {
        api.control.note_refusal_async(deed, refused.message.clone()).await?;
    }
    let answer = answered?;
    if waits_for_gateways(operation) {
        await_gateways(api).await?;
    }
    Ok((operation.status, answer))
}

/// Until every gateway that is connected to this process serves what is committed now. Those that are away get it when
/// they come back.
async fn await_gateways(api: &Arc<Api>) -> Result<(), ApiError> {
    let version = *api.control.committed().borrow();
    let timeout_ms = api.control.settings().quotas.flush_timeout_ms;
    let late = api.publisher.acknowledged(version, Duration::from_millis(timeout_ms)).await;
    if !late.is_empty() {
        let ids: Vec<String> = late.into_iter().map(|gateway| gateway.id).collect();
        return Err(ApiError::gateways_late(&ids, timeout_ms));
    }
    match api.publisher.refusing(version) {
        None => Ok(()),
        Some((id, refusal)) => Err(ApiError::gateway_refuses(&id, &refusal.reason)),
    }
}

/// Whether the API has a resource policy.
async fn has_policy(api: &Arc<Api>, api_id: Option<&String>) -> Result<bool, ApiError> {
    let api_id = api_id.cloned().unwrap_or_default();
    let look = move |view: &View<'_>| view.tx.api::<RestApi>(&api_id);
    let found = api.control.read_async(look).await?;
    Ok(found.is_some_and(|api| api.policy.is_some()))
}

async fn answer_acm(
    api: &Arc<Api>,
    incoming: &Incoming,
    caller: &Caller,
    target: &str,
    body: Vec<u8>,
) -> Result<Answer, ApiError> {
    let action = acm::Action::of(target)?;
    let content = Content::new(body).into_read().await;
    let tags = of_json(content.read(), "");
    let asks = action.asks(&api.control.settings().account, content.read(), !tags.is_empty());
    let deed = incoming.deed(api, caller, (acm::SIGNING_NAME, action.name), &asks);
    permit(api, caller, &asks, &tags, action.changes().then_some(&deed)).await?;
    Ok(action.run(&api.control, content, deed).await?.into())
}

/// IAM and STS.
async fn answer_query(
    api: &Arc<Api>,
    incoming: &Incoming,
    caller: Caller,
    service: QueryService,
    body: &[u8],
) -> Result<Answer, ApiError> {
    let parameters_max = api.control.settings().form_parameters_max;
    let form = iam::Form::parse(incoming.query(), body, parameters_max)?;
    let action = iam::Action::of(service, form)?;
    let tags = action.request_tags();
    let (caller, asked) = (Arc::new(caller), action.clone());
    let by = Arc::clone(&caller);
    let asks = api.control.read_async(move |view| asked.asks(view, &by)).await?;
    let deed = incoming.deed(api, &caller, (service.signing_name(), action.name), &asks);
    permit(api, &caller, &asks, &tags, action.changes().then_some(&deed)).await?;
    Ok(action.run(&api.control, caller, deed).await?.into())
}

/// Whether the caller may; if not, and something would have changed, the audit log has it.
async fn permit(
    api: &Arc<Api>,
    caller: &Caller,
    asks: &[Ask],
    tags: &RequestTags,
    deed: Option<&Deed>,
) -> Result<(), ApiError> {
    let permitted = authorize(&api.control.settings().account, caller, asks, tags, now_s());
    if let (Err(refused), Some(deed)) = (&permitted, deed) {
        api.control.note_refusal_async(deed.clone(), refused.message.clone()).await?;
    }
    permitted
}

/// Above it, or without a length, a body is only kept of whom there is a key.
const STRANGERS_BODY_BYTES_MAX: u64 = 64 << 10;

fn is_large(body: &Body) -> bool {
    body.size_hint().upper().is_none_or(|bytes| bytes > STRANGERS_BODY_BYTES_MAX)
}

/// A body that is too large is read up to this many times `body_bytes_max`.
const BODY_READ_TIMES: usize = 4;

/// Trailers say nothing here. A body that isn't kept, or is too large, is read to its end as far as that is bearable:
/// a sender whose bytes nobody reads hears of a reset instead of the answer.
async fn read_body(api: &Api, mut body: Body, is_kept: bool) -> Result<Vec<u8>, ApiError> {
    let settings = api.control.settings();
    let (pace, began) = (Pace::of(settings), Instant::now());
    let (bytes_max, read_max) =
        (settings.body_bytes_max, settings.body_bytes_max.saturating_mul(BODY_READ_TIMES));
    let too_large = || ApiError::body_too_large(bytes_max);
    if body.size_hint().lower() > read_max as u64 {
        return Err(too_large());
    }
    let (mut bytes, mut length) = (Vec::new(), 0);
    loop {
        let due = (began + pace.allowed(length)).into();
        let frame = timeout_at(due, poll_fn(|cx| Pin::new(&mut body).poll_frame(cx))).await;
        let Some(frame) = frame.map_err(|_elapsed| pace.error(began.elapsed()))? else { break };
        let frame = frame.map_err(|error| ApiError::body_broken(&error))?;
        let Ok(data) = frame.into_data() else { continue };
        length += data.len();
        match length {
            length if length > read_max => return Err(too_large()),
            length if length > bytes_max => bytes = Vec::new(),
            _ if is_kept => bytes.extend_from_slice(&data),
            _ => {}
        }
    }
    if length > bytes_max { Err(too_large()) } else { Ok(bytes) }
}

/// How slowly a body may come: for so long whatever it does, then at this rate, and never for longer than that.
#[derive(Debug, Clone, Copy)]
struct Pace {
    grace_ms: u64,
    rate_bytes_per_s_min: u64,
    timeout_ms: u64,
}

impl Pace {
    fn of(settings: &Settings) -> Self {
        Self {
            grace_ms: settings.body_rate_grace_ms,
            rate_bytes_per_s_min: settings.body_rate_bytes_per_s_min,
            timeout_ms: settings.body_timeout_ms,
        }
    }

    /// Since it began, when so many bytes are there.
    fn allowed(self, bytes: usize) -> Duration {
        let earned_ms = (bytes as u64).saturating_mul(1_000) / self.rate_bytes_per_s_min;
        Duration::from_millis(self.timeout_ms.min(self.grace_ms.saturating_add(earned_ms)))
    }

    fn error(self, after: Duration) -> ApiError {
        if after >= Duration::from_millis(self.timeout_ms) {
            return ApiError::body_timeout(self.timeout_ms);
        }
        ApiError::body_too_slow(self.rate_bytes_per_s_min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_earns_its_time() {
        let pace = Pace { grace_ms: 5_000, rate_bytes_per_s_min: 4_096, timeout_ms: 30_000 };
        for (bytes, allowed_ms) in
            [(0, 5_000), (1, 5_000), (4_096, 6_000), (100 << 10, 30_000), (usize::MAX, 30_000)]
        {
            assert_eq!(pace.allowed(bytes), Duration::from_millis(allowed_ms), "{bytes}");
        }
        let message = |after_ms| pace.error(Duration::from_millis(after_ms)).message;
        assert!(message(5_000).contains("body_rate_bytes_per_s_min"), "{}", message(5_000));
        assert!(message(30_000).contains("body_timeout_ms"), "{}", message(30_000));
    }
}
