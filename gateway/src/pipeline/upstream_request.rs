//! The head that an upstream gets.
//!
//! Everything end-to-end passes as it came. The gateway writes what belongs to the connection (Host, the
//! framing), takes hop-by-hop fields out (RFC 9110 7.6.1), and says whom it forwards for: REST APIs in
//! `X-Forwarded-*`, HTTP APIs in `Forwarded` (RFC 7239) and `Via` (RFC 9110 7.6.3), as AWS does.

use std::net::{IpAddr, SocketAddr};

use turnpike_http::{Framing, HeaderName, encode};
use turnpike_snapshot::Protocol;

use super::Exchange;
use super::lines::{self, Pass};
use crate::table::{Address, Integration, Matched, TargetPart};

/// AWS's own words, which origins may look for.
const VIA: &[u8] = b"HTTP/1.1 AmazonAPIGateway";

pub(super) fn encode(
    exchange: &Exchange<'_>,
    address: &Address<'_, '_>,
    matched: &Matched<'_, '_>,
    integration: &Integration,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(integration.method.as_deref().unwrap_or(exchange.method()).as_bytes());
    out.push(b' ');
    target(exchange, address, matched, integration, out);
    out.extend_from_slice(b" HTTP/1.1\r\n");
    encode::header(out, "Host", integration.upstream.authority.as_bytes());
    let passes = match address.stage.protocol {
        Protocol::Rest => passed_for_rest,
        Protocol::Http => passed_for_http,
    };
    lines::copy(exchange.bytes, &exchange.head.headers, exchange.head.head_bytes, out, |header| {
        if header.hop_by_hop || !passes(header.name) { Pass::Drop } else { Pass::Keep }
    });
    match exchange.head.framing {
        Framing::None => {}
        Framing::Length(length) => {
            out.extend_from_slice(b"Content-Length: ");
            encode::decimal(out, length);
            out.extend_from_slice(b"\r\n");
        }
        Framing::Chunked => encode::header(out, "Transfer-Encoding", b"chunked"),
    }
    match address.stage.protocol {
        Protocol::Rest => forwarded_for_rest(exchange, out),
        Protocol::Http => forwarded_for_http(exchange, out),
    }
    out.extend_from_slice(b"\r\n");
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
    for part in &integration.target {
        match part {
            TargetPart::Literal(text) => out.extend_from_slice(text.as_bytes()),
            TargetPart::RequestPath => out.extend_from_slice(address.path.as_bytes()),
            TargetPart::Variable(name) => {
                let value = matched.variables.as_ref().and_then(|variables| variables.get(name));
                out.extend_from_slice(value.unwrap_or_default().as_bytes());
            }
        }
    }
    if out.get(start) != Some(&b'/') {
        out.insert(start, b'/');
    }
    let own = integration.query.as_bytes();
    let clients = exchange.head.query.map(|query| query.of(exchange.bytes)).unwrap_or_default();
    for (query, separator) in [(own, b'?'), (clients, if own.is_empty() { b'?' } else { b'&' })] {
        if !query.is_empty() {
            out.push(separator);
            out.extend_from_slice(query);
        }
    }
}

fn passed_for_rest(name: HeaderName) -> bool {
    !matches!(
        name,
        HeaderName::Host
            | HeaderName::ContentLength
            | HeaderName::TransferEncoding
            | HeaderName::Expect
            | HeaderName::XForwardedFor
            | HeaderName::XForwardedPort
            | HeaderName::XForwardedProto
    )
}

fn passed_for_http(name: HeaderName) -> bool {
    !matches!(
        name,
        HeaderName::Host
            | HeaderName::ContentLength
            | HeaderName::TransferEncoding
            | HeaderName::Expect
            | HeaderName::Forwarded
            | HeaderName::Via
    )
}

fn forwarded_for_rest(exchange: &Exchange<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"X-Forwarded-For: ");
    before(exchange, HeaderName::XForwardedFor, out);
    out.extend_from_slice(&exchange.client.forwarded.rest);
}

fn forwarded_for_http(exchange: &Exchange<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"Forwarded: ");
    before(exchange, HeaderName::Forwarded, out);
    out.extend_from_slice(&exchange.client.forwarded.http);
    let host = exchange.head.host.of(exchange.bytes);
    if !host.is_empty() {
        // A port makes it no token (RFC 7239 4).
        let quote: &[u8] = if host.contains(&b':') { b"\"" } else { b"" };
        for part in [b";host=", quote, host, quote] {
            out.extend_from_slice(part);
        }
    }
    out.extend_from_slice(b";proto=http\r\nVia: ");
    before(exchange, HeaderName::Via, out);
    out.extend_from_slice(VIA);
    out.extend_from_slice(b"\r\n");
}

/// What earlier proxies have written into the field that the gateway adds to.
fn before(exchange: &Exchange<'_>, name: HeaderName, out: &mut Vec<u8>) {
    for header in exchange.head.headers.iter().filter(|header| header.name == name && !header.hop_by_hop) {
        let value = header.value_span.of(exchange.bytes);
        if !value.is_empty() {
            out.extend_from_slice(value);
            out.extend_from_slice(b", ");
        }
    }
}

/// What forwarding fields say of a connection, written once for all its requests.
#[derive(Debug, Clone)]
pub(crate) struct Forwarded {
    /// Ends `X-Forwarded-For`; whole lines for port and protocol.
    rest: Box<[u8]>,
    /// Who forwards and for whom, in `Forwarded`.
    http: Box<[u8]>,
}

impl Forwarded {
    pub(crate) fn new(peer: SocketAddr, local: SocketAddr) -> Self {
        let (client, port) = (peer.ip(), local.port());
        let rest = format!("{client}\r\nX-Forwarded-Port: {port}\r\nX-Forwarded-Proto: http\r\n");
        let http = format!("by={};for={}", node(local.ip()), node(client));
        Self { rest: rest.into_bytes().into(), http: http.into_bytes().into() }
    }
}

/// RFC 7239 6: an IPv6 address stands in brackets and quotes.
fn node(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("\"[{ip}]\""),
    }
}
