//! The head that an upstream gets.
//!
//! Everything end-to-end passes as it came. The gateway writes what belongs to the connection (Host, the
//! framing), takes hop-by-hop fields out (RFC 9110 7.6.1), and says whom it forwards for ([`forwarded`]).

use turnpike_cache::Condition;
use turnpike_http::{Framing, HeaderName, encode};
use turnpike_snapshot::Protocol;

use super::lines::{self, Pass};
use super::route::Address;
use super::{Exchange, decompress, forwarded};
use crate::table::{Integration, Matched, Target, TargetPart};

/// What a cache asks for instead of what the client has asked: all of it, or whether it has changed.
#[derive(Debug, Default)]
pub(super) struct Question<'r> {
    /// None asks for all of it.
    pub(super) conditions: Vec<Condition<'r>>,
    /// What comes is compressed here, for each client as it takes it.
    pub(super) uncoded: bool,
}

impl Question<'_> {
    /// Whether a field isn't passed on.
    fn replaces(&self, name: &[u8]) -> bool {
        is_question(name) || self.uncoded && name.eq_ignore_ascii_case(b"accept-encoding")
    }
}

/// `decoded` is how the body is framed that was taken out of its coding.
pub(super) fn encode(
    exchange: &Exchange<'_>,
    address: &Address<'_, '_>,
    (matched, integration, question): (&Matched<'_, '_>, &Integration, Option<&Question<'_>>),
    decoded: Option<Framing>,
    out: &mut Vec<u8>,
) {
    match same_start(exchange, address, integration) {
        Some(start) => out.extend_from_slice(start),
        None => {
            out.extend_from_slice(integration.method.as_deref().unwrap_or(exchange.method()).as_bytes());
            out.push(b' ');
            target(exchange, address, matched, integration, out);
        }
    }
    out.extend_from_slice(integration.upstream.version_and_host.as_bytes());
    let protocol = address.stage.protocol;
    let mut came_forwarded = false;
    lines::copy(exchange.bytes, &exchange.head.headers, exchange.head.head_bytes, out, |header| {
        let name = header.name;
        came_forwarded |= forwarded::is_forwarding(name);
        let asked_instead =
            question.is_some_and(|question| question.replaces(header.name_span.of(exchange.bytes)));
        let is_stale = decoded.is_some() && decompress::is_of_coding(header.name_span.of(exchange.bytes));
        let passes = !header.hop_by_hop
            && !is_own(name)
            && exchange.passes_forwarding(protocol, name)
            && !asked_instead
            && !is_stale;
        if passes { Pass::Keep } else { Pass::Drop }
    });
    for condition in question.iter().flat_map(|question| &question.conditions) {
        encode::header(out, condition.name, condition.value);
    }
    match decoded.unwrap_or(exchange.head.framing) {
        Framing::None => {}
        Framing::Length(length) => {
            out.extend_from_slice(b"Content-Length: ");
            encode::decimal(out, length);
            out.extend_from_slice(b"\r\n");
        }
        Framing::Chunked => encode::header(out, "Transfer-Encoding", b"chunked"),
    }
    match protocol {
        Protocol::Rest => forwarded::encode_for_rest(exchange, came_forwarded, out),
        Protocol::Http => forwarded::encode_for_http(exchange, came_forwarded, out),
    }
}

/// Method, path and query as the client has sent them, where that is what the upstream gets.
fn same_start<'a>(
    exchange: &Exchange<'a>,
    address: &Address<'_, '_>,
    integration: &Integration,
) -> Option<&'a [u8]> {
    let head = exchange.head;
    let Target::Parts(parts) = &integration.target else { return None };
    let is_path = matches!(*parts.path, [TargetPart::RequestPath]) && parts.query.is_empty();
    let end = match head.query {
        None => head.path.end,
        Some(query) if query.is_empty() => return None,
        Some(query) => query.end,
    };
    // The path itself, and no part of it.
    let is_whole = head.path_is_plain && std::ptr::eq(head.path.of(exchange.bytes), address.path.as_bytes());
    let is_same = is_path && is_whole && integration.method.is_none();
    is_same.then(|| &exchange.bytes[head.method_span.start as usize..end as usize])
}

/// Path and query.
fn target(
    exchange: &Exchange<'_>,
    address: &Address<'_, '_>,
    matched: &Matched<'_, '_>,
    integration: &Integration,
    out: &mut Vec<u8>,
) {
    let start = out.len();
    let (parts, own) = match &integration.target {
        Target::Fixed(path) => {
            out.extend_from_slice(path.as_bytes());
            (&[][..], &b""[..])
        }
        Target::Parts(parts) => (&*parts.path, parts.query.as_bytes()),
    };
    for part in parts {
        match part {
            TargetPart::Literal(text) => out.extend_from_slice(text.as_bytes()),
            TargetPart::RequestPath => out.extend_from_slice(address.path.as_bytes()),
            TargetPart::Variable(name) => {
                let value = matched.variables.and_then(|variables| variables.get(name));
                out.extend_from_slice(value.unwrap_or_default().as_bytes());
            }
        }
    }
    if out.get(start) != Some(&b'/') {
        out.insert(start, b'/');
    }
    let clients = exchange.head.query.map(|query| query.of(exchange.bytes)).unwrap_or_default();
    for (query, separator) in [(own, b'?'), (clients, if own.is_empty() { b'?' } else { b'&' })] {
        if !query.is_empty() {
            out.push(separator);
            out.extend_from_slice(query);
        }
    }
}

/// What a client asks of what it may have already, or only of a part. (Those of a change, `If-Match` and
/// `If-Unmodified-Since`, keep a request from the cache.)
fn is_question(name: &[u8]) -> bool {
    ["if-modified-since", "if-none-match", "if-range", "range"]
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

/// Written by the gateway, or not for the upstream.
fn is_own(name: HeaderName) -> bool {
    matches!(
        name,
        HeaderName::Host | HeaderName::ContentLength | HeaderName::TransferEncoding | HeaderName::Expect
    )
}
