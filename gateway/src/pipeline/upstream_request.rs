//! The head that an upstream gets.
//!
//! Everything end-to-end passes as it came. The gateway writes what belongs to the connection (Host, the
//! framing), takes hop-by-hop fields out (RFC 9110 7.6.1), and says whom it forwards for: REST APIs in
//! `X-Forwarded-*`, HTTP APIs in `Forwarded` (RFC 7239) and `Via` (RFC 9110 7.6.3), as AWS does.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};

use turnpike_http::{Framing, Header, HeaderName, encode};
use turnpike_snapshot::Protocol;

use super::Exchange;
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
    let ours = match address.stage.protocol {
        Protocol::Rest => passed_for_rest,
        Protocol::Http => passed_for_http,
    };
    for header in &exchange.head.headers {
        if !header.hop_by_hop && ours(header.name) {
            line(out, header, exchange.bytes);
        }
    }
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
    address(out, exchange.client.peer.ip());
    out.extend_from_slice(b"\r\nX-Forwarded-Port: ");
    encode::decimal(out, u64::from(exchange.client.local.port()));
    out.extend_from_slice(b"\r\nX-Forwarded-Proto: http\r\n");
}

fn forwarded_for_http(exchange: &Exchange<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"Forwarded: ");
    before(exchange, HeaderName::Forwarded, out);
    node(out, b"by=", exchange.client.local);
    node(out, b";for=", exchange.client.peer);
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

/// RFC 7239 6: an IPv6 address stands in brackets and quotes.
fn node(out: &mut Vec<u8>, parameter: &[u8], socket: SocketAddr) {
    out.extend_from_slice(parameter);
    match socket.ip() {
        ip @ IpAddr::V4(_) => address(out, ip),
        ip @ IpAddr::V6(_) => {
            out.extend_from_slice(b"\"[");
            address(out, ip);
            out.extend_from_slice(b"]\"");
        }
    }
}

fn address(out: &mut Vec<u8>, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            for (octet, separator) in [(a, b"." as &[u8]), (b, b"."), (c, b"."), (d, b"")] {
                encode::decimal(out, u64::from(octet));
                out.extend_from_slice(separator);
            }
        }
        // Writing to a Vec can't fail.
        IpAddr::V6(ip) => drop(write!(out, "{ip}")),
    }
}

/// A field as it came.
pub(super) fn line(out: &mut Vec<u8>, header: &Header, bytes: &[u8]) {
    out.extend_from_slice(header.name_span.of(bytes));
    out.extend_from_slice(b": ");
    out.extend_from_slice(header.value_span.of(bytes));
    out.extend_from_slice(b"\r\n");
}
