//! What of a request its answer is found by.
//!
//! Where the operator decides how long answers are kept, the parts of the route's key, and what the request shows as
//! `Authorization`: an answer to one caller is never another's. Where the origin decides, the path and the whole query;
//! fields, and the caller where the origin doesn't say that an answer is for all, come as what the answer varies by.
//!
//! What the gateway itself tells an origin of how the client came is part of every key, since answers may depend on it
//! without saying so (addresses in links, a redirect to HTTPS): the scheme; of an HTTP API, whose origins are told it in
//! `Forwarded`, the host; and the host that a trusted proxy names.

use turnpike_cache::KeyWriter;
use turnpike_snapshot::Protocol;

use super::super::Exchange;
use super::super::route::Address;
use crate::table::{KeyPart, RouteCache, Variables};

/// A request's path, and what its route takes from it.
#[derive(Debug)]
pub(super) struct Path<'p> {
    pub(super) address: &'p Address<'p, 'p>,
    pub(super) variables: Option<Variables<'p, 'p>>,
}

pub(super) fn write(
    key: &mut Vec<u8>,
    exchange: &Exchange<'_>,
    path: &Path<'_>,
    rules: &RouteCache,
    method: &str,
    is_apart: bool,
    authorization: Option<&[u8]>,
) {
    let query = exchange.head.query.map(|query| query.of(exchange.bytes)).unwrap_or_default();
    let mut writer = KeyWriter::begin(key, &rules.name, is_apart, method);
    write_approach(&mut writer, exchange, path.address.stage.protocol);
    if rules.by_origin() {
        writer.value(path.address.path.as_bytes()).value(query);
        return;
    }
    for part in &rules.key {
        match part {
            KeyPart::Path => writer.value(path.address.path.as_bytes()),
            KeyPart::PathParameter(name) => {
                let value = path.variables.and_then(|variables| variables.get(name));
                writer.values(value.map(str::as_bytes))
            }
            KeyPart::Query(name) => writer.values(query_values(query, name)),
        };
    }
    for name in &rules.headers {
        writer.values(field_values(exchange, name.as_bytes()));
    }
    if let Some(authorization) = authorization {
        writer.credentials(authorization);
    }
}

/// How the client came, as the origin is told.
fn write_approach(writer: &mut KeyWriter<'_>, exchange: &Exchange<'_>, protocol: Protocol) {
    if exchange.scheme() == "https" {
        writer.over_tls();
    }
    if protocol == Protocol::Http {
        writer.value(exchange.head.host.of(exchange.bytes));
    }
    if exchange.believes_x_forwarded() {
        writer.behind_proxy(exchange.said_of_host());
    }
}

/// What a request has of a field, and what the gateway makes of it for the origin.
fn field_values<'e>(exchange: &'e Exchange<'_>, name: &'e [u8]) -> impl Iterator<Item = &'e [u8]> {
    let lines = exchange.header_lines().filter(move |(of, _)| of.eq_ignore_ascii_case(name));
    lines.map(|(_, value)| value).chain(exchange.forwarding(name))
}

/// Is told each value of a field.
type Told<'t> = &'t mut dyn FnMut(&[u8]);

/// What a request has of the fields that an answer varies by; a field without a name is the caller.
pub(super) fn fields<'e>(
    exchange: &'e Exchange<'_>,
    authorization: Option<&'e [u8]>,
) -> impl Fn(&[u8], Told<'_>) + 'e {
    move |name, found| {
        if name.is_empty() {
            authorization.into_iter().for_each(found);
        } else {
            field_values(exchange, name).for_each(found);
        }
    }
}

/// The values of a query string's parameter, as they came. Names are compared unescaped: whoever reads them behind the
/// gateway unescapes them too. Some of those take `;` for `&`, and what they find there tells answers apart as well.
fn query_values<'q>(query: &'q [u8], name: &'q str) -> impl Iterator<Item = &'q [u8]> {
    let parts = query.split(|byte| *byte == b'&').filter(|part| !part.is_empty());
    parts.flat_map(move |part| {
        let hidden = part.split(|byte| *byte == b';').skip(1);
        std::iter::once(part).chain(hidden).filter_map(|part| value_of(part, name))
    })
}

fn value_of<'q>(part: &'q [u8], name: &str) -> Option<&'q [u8]> {
    let (of, value) = match part.iter().position(|byte| *byte == b'=') {
        Some(at) => (&part[..at], &part[at + 1..]),
        None => (part, &b""[..]),
    };
    unescaped(of).eq(name.bytes()).then_some(value)
}

/// The bytes that a query string's name stands for; an escape that is none stands for itself.
fn unescaped(text: &[u8]) -> impl Iterator<Item = u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let mut at = 0;
    std::iter::from_fn(move || {
        let byte = *text.get(at)?;
        let escape = (byte == b'%').then(|| digit(text.get(at + 1)).zip(digit(text.get(at + 2)))).flatten();
        at += if escape.is_some() { 3 } else { 1 };
        Some(match escape {
            Some((high, low)) => (high * 16 + low) as u8,
            None if byte == b'+' => b' ',
            None => byte,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_found_however_it_is_escaped() {
        let values = |query: &'static str, name: &'static str| {
            query_values(query.as_bytes(), name)
                .map(|value| std::str::from_utf8(value).unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(values("a=1&b=2&a=3&&a", "a"), ["1", "3", ""]);
        assert_eq!(values("%61=1&%6A=2&%4", "a"), ["1"]);
        assert_eq!(values("x+y=1&x%20y=%31", "x y"), ["1", "%31"]);
        assert_eq!(values("%zz=1&%=2", "%zz"), ["1"]);
        assert_eq!(values("x=1;a=2&a=3;b=4;%61=5", "a"), ["2", "3;b=4;%61=5", "5"]);
        assert_eq!(values("a;a=2", "a"), ["2"]);
        assert_eq!(values("", "a"), [""; 0]);
        assert_eq!(values("ab=1&A=2&=3", "a"), [""; 0]);
    }
}
