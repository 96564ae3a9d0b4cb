//! Forwarding fields: what earlier proxies said of a request, how far it is believed, and what the gateway says.
//!
//! REST APIs say whom they forward for in `X-Forwarded-For`, `-Port` and `-Proto`, HTTP APIs in `Forwarded` (RFC
//! 7239) and `Via` (RFC 9110 7.6.3), as AWS does; both append to what came. What came is believed only from a
//! peer in `trusted_proxies`, and only in the family of fields that `trusted_proxies_field` names, since a proxy
//! that writes one family passes a client's lies in the other. From anybody else, forwarding fields that the
//! gateway doesn't append to are dropped, and so is a `Forwarded` that would swallow the gateway's own element.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

use turnpike_http::{ForwardedElements, Header, HeaderName, host_name, x_forwarded_for};
use turnpike_snapshot::Protocol;

use super::Exchange;
use crate::connection::Client;
use crate::networks::Networks;
use crate::settings::{ForwardedField, Settings};

/// What every HTTP API's request has behind the host in `Forwarded`, with AWS's own words, which origins may look for; the
/// fields end with it.
const HTTP_END: &[u8] = b";proto=http\r\nVia: HTTP/1.1 AmazonAPIGateway\r\n\r\n";
const HTTPS_END: &[u8] = b";proto=https\r\nVia: HTTP/1.1 AmazonAPIGateway\r\n\r\n";
/// Of those, what earlier proxies stand in front of.
const VIA_BYTES: usize = b"HTTP/1.1 AmazonAPIGateway\r\n\r\n".len();
/// What a host stands behind in `Forwarded`.
const HOST: &[u8] = b";host=";
const FORWARDED: &[u8] = b"Forwarded: ";

/// What forwarding fields say of a connection, written once for all its requests.
#[derive(Debug, Clone)]
pub(crate) struct Forwarded {
    /// The peer is in `trusted_proxies`: what it says in these fields is believed.
    believed: Option<ForwardedField>,
    /// Ends `X-Forwarded-For`; whole lines for port and protocol, and the empty line.
    rest: Box<[u8]>,
    /// `Forwarded`: who forwards and for whom, up to the host.
    http: Box<[u8]>,
    /// What is behind the host.
    http_end: &'static [u8],
    is_tls: bool,
}

impl Forwarded {
    pub(crate) fn new(settings: &Settings, peer: SocketAddr, local: SocketAddr, tls: bool) -> Self {
        let (client, port) = (peer.ip(), local.port());
        let scheme = if tls { "https" } else { "http" };
        let rest = format!("{client}\r\nX-Forwarded-Port: {port}\r\nX-Forwarded-Proto: {scheme}\r\n\r\n");
        let http = format!("Forwarded: by={};for={};host=", node(local.ip()), node(client));
        let trusted = settings.trusted_proxies.contains(client);
        Self {
            believed: trusted.then_some(settings.trusted_proxies_field),
            rest: rest.into_bytes().into(),
            http: http.into_bytes().into(),
            http_end: if tls { HTTPS_END } else { HTTP_END },
            is_tls: tls,
        }
    }
}

/// RFC 7239 6: an IPv6 address stands in brackets and quotes.
fn node(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("\"[{ip}]\""),
    }
}

/// Whom a request is from: the peer, or, where that is a trusted proxy, the rightmost address that no trusted
/// proxy has. What is no address ends the search, at the last trusted proxy before it.
pub(crate) fn source_ip(settings: &Settings, client: &Client, headers: &[Header], bytes: &[u8]) -> IpAddr {
    let peer = client.peer.ip();
    let Some(field) = client.forwarded.believed else { return peer };
    client_before(field, headers, bytes, &settings.trusted_proxies).map_or(peer, |claim| claim.ip)
}

/// What a trusted proxy says of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Claim<'v> {
    ip: IpAddr,
    proto: Option<&'v [u8]>,
}

fn client_before<'v>(
    field: ForwardedField,
    headers: &[Header],
    bytes: &'v [u8],
    trusted: &Networks,
) -> Option<Claim<'v>> {
    let mut client = None;
    match field {
        ForwardedField::XForwarded => {
            for value in values(headers, bytes, HeaderName::XForwardedFor) {
                x_forwarded_for(value).for_each(|ip| narrow(&mut client, ip, None, trusted));
            }
        }
        ForwardedField::Forwarded => {
            for value in values(headers, bytes, HeaderName::Forwarded) {
                for element in ForwardedElements::of(value) {
                    let element = element.unwrap_or_default();
                    narrow(&mut client, element.client, element.proto, trusted);
                }
            }
        }
    }
    client
}

/// Takes the next element to the right into account: nobody is believed about what is left of an address that
/// isn't a trusted proxy's.
fn narrow<'v>(
    client: &mut Option<Claim<'v>>,
    ip: Option<IpAddr>,
    proto: Option<&'v [u8]>,
    trusted: &Networks,
) {
    *client = match (*client, ip) {
        (_, None) => None,
        (Some(client), Some(ip)) if trusted.contains(ip) => Some(client),
        (_, Some(ip)) => Some(Claim { ip, proto }),
    };
}

fn values<'v>(headers: &[Header], bytes: &'v [u8], name: HeaderName) -> impl Iterator<Item = &'v [u8]> {
    let same = headers.iter().filter(move |header| header.name == name && !header.hop_by_hop);
    same.map(|header| header.value_span.of(bytes))
}

impl Exchange<'_> {
    /// Whether a forwarding field passes as it came; others than those always do.
    pub(super) fn passes_forwarding(&self, protocol: Protocol, name: HeaderName) -> bool {
        let believed = self.client.forwarded.believed;
        match (name, protocol) {
            // Written by the gateway.
            (
                HeaderName::XForwardedFor | HeaderName::XForwardedPort | HeaderName::XForwardedProto,
                Protocol::Rest,
            )
            | (HeaderName::Forwarded | HeaderName::Via, Protocol::Http) => false,
            (HeaderName::Forwarded, Protocol::Rest) => believed == Some(ForwardedField::Forwarded),
            (
                HeaderName::XForwardedFor
                | HeaderName::XForwardedHost
                | HeaderName::XForwardedOther
                | HeaderName::XForwardedPort
                | HeaderName::XForwardedProto,
                _,
            ) => believed == Some(ForwardedField::XForwarded),
            _ => true,
        }
    }

    /// How the client came, as an origin is told: by a believed proxy, or over this connection.
    pub(super) fn scheme(&self) -> &'static str {
        let forwarded = &self.client.forwarded;
        let claimed = match forwarded.believed {
            None => None,
            Some(ForwardedField::XForwarded) => only(self.values(HeaderName::XForwardedProto)),
            Some(field @ ForwardedField::Forwarded) => self.claim(field).and_then(|claim| claim.proto),
        };
        let own = if forwarded.is_tls { "https" } else { "http" };
        claimed.and_then(scheme_name).unwrap_or(own)
    }

    /// Whether the fields pass that say by which host a proxy was asked, and for what path.
    pub(super) fn believes_x_forwarded(&self) -> bool {
        self.client.forwarded.believed == Some(ForwardedField::XForwarded)
    }

    /// Those fields.
    pub(super) fn said_of_host(&self) -> impl Iterator<Item = &[u8]> {
        let names = [HeaderName::XForwardedHost, HeaderName::XForwardedOther];
        self.head
            .headers
            .iter()
            .filter(move |header| names.contains(&header.name) && !header.hop_by_hop)
            .flat_map(|header| [header.name_span.of(self.bytes), header.value_span.of(self.bytes)])
    }

    /// Whether an origin is told something of how the client came that anybody may have written.
    pub(super) fn forwards_lies(&self, protocol: Protocol) -> bool {
        protocol == Protocol::Http
            && self.client.forwarded.believed.is_none()
            && self.values(HeaderName::Forwarded).next().is_some()
    }

    /// What an origin's forwarding field of this name, in lower case, depends on beside what came in it.
    pub(super) fn forwarding(&self, name: &[u8]) -> impl Iterator<Item = &[u8]> {
        let forwarded = &self.client.forwarded;
        let believed: &[u8] = match forwarded.believed {
            None => b"",
            Some(ForwardedField::XForwarded) => b"x",
            Some(ForwardedField::Forwarded) => b"f",
        };
        let scheme = self.scheme().as_bytes();
        let port = || forwarded.rest.split(|byte| *byte == b'\n').nth(1).unwrap_or_default();
        let told: Option<[&[u8]; 4]> = match name {
            b"x-forwarded-proto" => Some([scheme, b"", b"", b""]),
            b"x-forwarded-port" => Some([believed, scheme, port(), b""]),
            b"x-forwarded-for" | b"forwarded" => {
                Some([believed, &forwarded.rest, &forwarded.http, self.head.host.of(self.bytes)])
            }
            _ => name.starts_with(b"x-forwarded-").then_some([believed, b"", b"", b""]),
        };
        let names_client = matches!(name, b"x-forwarded-for" | b"forwarded");
        let of_proxies =
            self.head.headers.iter().filter(move |header| {
                names_client && forwarded.believed.is_some() && is_forwarding(header.name)
            });
        told.into_iter().flatten().chain(of_proxies.map(|header| header.value_span.of(self.bytes)))
    }

    fn values(&self, name: HeaderName) -> impl Iterator<Item = &[u8]> {
        values(&self.head.headers, self.bytes, name)
    }

    /// What earlier proxies have written into the field that the gateway adds to.
    fn before(&self, name: HeaderName, out: &mut Vec<u8>) {
        for value in self.values(name).filter(|value| !value.is_empty()) {
            out.extend_from_slice(value);
            out.extend_from_slice(b", ");
        }
    }

    /// Whom a believed proxy forwards for, unless it speaks for itself.
    fn claim(&self, field: ForwardedField) -> Option<Claim<'_>> {
        let trusted = &self.shard.settings.trusted_proxies;
        client_before(field, &self.head.headers, self.bytes, trusted)
    }
}

/// Whether a field says whom an earlier proxy forwards for.
pub(super) fn is_forwarding(name: HeaderName) -> bool {
    matches!(
        name,
        HeaderName::Forwarded
            | HeaderName::Via
            | HeaderName::XForwardedFor
            | HeaderName::XForwardedHost
            | HeaderName::XForwardedOther
            | HeaderName::XForwardedPort
            | HeaderName::XForwardedProto
    )
}

/// Appends a REST API's fields, and the empty line. `came`: the request has some that [`is_forwarding`].
pub(super) fn encode_for_rest(exchange: &Exchange<'_>, came: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(b"X-Forwarded-For: ");
    let forwarded = &exchange.client.forwarded;
    if !came {
        return out.extend_from_slice(&forwarded.rest);
    }
    let Some(field) = forwarded.believed else {
        exchange.before(HeaderName::XForwardedFor, out);
        out.extend_from_slice(&forwarded.rest);
        return;
    };
    let (scheme, port) = match field {
        ForwardedField::XForwarded => {
            exchange.before(HeaderName::XForwardedFor, out);
            (
                only(exchange.values(HeaderName::XForwardedProto)),
                only(exchange.values(HeaderName::XForwardedPort)),
            )
        }
        ForwardedField::Forwarded => {
            let claim = exchange.claim(field);
            if let Some(claim) = claim {
                write(out, format_args!("{}, ", claim.ip));
            }
            (claim.and_then(|claim| claim.proto), None)
        }
    };
    let Some(scheme) = scheme.and_then(scheme_name) else {
        out.extend_from_slice(&forwarded.rest);
        return;
    };
    // A proxy that says how the client came, and not to which port, leaves the scheme's own.
    let port = port.and_then(port_number).unwrap_or(if scheme == "https" { 443 } else { 80 });
    let peer = exchange.client.peer.ip();
    write(out, format_args!("{peer}\r\nX-Forwarded-Port: {port}\r\nX-Forwarded-Proto: {scheme}\r\n\r\n"));
}

/// Appends an HTTP API's fields, and the empty line. `came`: the request has some that [`is_forwarding`].
pub(super) fn encode_for_http(exchange: &Exchange<'_>, came: bool, out: &mut Vec<u8>) {
    let forwarded = &exchange.client.forwarded;
    let host = exchange.head.host.of(exchange.bytes);
    let who = if came {
        append_elements(exchange, out);
        &forwarded.http[FORWARDED.len()..]
    } else {
        &forwarded.http
    };
    // A port makes it no token, and so do the brackets of an address (RFC 7239 4).
    if !host.is_empty() && host[0] != b'[' && host_name(host).len() == host.len() {
        out.extend_from_slice(who);
        out.extend_from_slice(host);
    } else {
        out.extend_from_slice(&who[..who.len() - HOST.len()]);
        if !host.is_empty() {
            out.extend_from_slice(b";host=\"");
            out.extend_from_slice(host);
            out.push(b'"');
        }
    }
    if came {
        let (scheme, via) = forwarded.http_end.split_at(forwarded.http_end.len() - VIA_BYTES);
        out.extend_from_slice(scheme);
        exchange.before(HeaderName::Via, out);
        out.extend_from_slice(via);
    } else {
        out.extend_from_slice(forwarded.http_end);
    }
}

/// The beginning of `Forwarded`, with what came and is believed.
#[inline(never)]
fn append_elements(exchange: &Exchange<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(FORWARDED);
    if exchange.client.forwarded.believed == Some(ForwardedField::XForwarded) {
        if let Some(claim) = exchange.claim(ForwardedField::XForwarded) {
            write(out, format_args!("for={}", node(claim.ip)));
            if let Some(scheme) = only(exchange.values(HeaderName::XForwardedProto)).and_then(scheme_name) {
                write(out, format_args!(";proto={scheme}"));
            }
            out.extend_from_slice(b", ");
        }
    } else if exchange.values(HeaderName::Forwarded).all(ForwardedElements::is_well_formed) {
        exchange.before(HeaderName::Forwarded, out);
    }
}

/// The value of a field that came once; of several, nobody knows which to believe.
fn only<'v>(mut values: impl Iterator<Item = &'v [u8]>) -> Option<&'v [u8]> {
    values.next().filter(|_| values.next().is_none())
}

fn scheme_name(value: &[u8]) -> Option<&'static str> {
    ["http", "https"].into_iter().find(|scheme| value.eq_ignore_ascii_case(scheme.as_bytes()))
}

fn port_number(value: &[u8]) -> Option<u16> {
    let digits = value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value).ok().filter(|_| digits)?.parse().ok().filter(|port| *port > 0)
}

fn write(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to memory can't fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusted() -> Networks {
        Networks::new(vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()])
    }

    /// As behind a trusted peer; `None` says that the peer itself is the source.
    fn client_of(values: &[&str]) -> Option<String> {
        let trusted = trusted();
        let mut client = None;
        for value in values {
            x_forwarded_for(value.as_bytes()).for_each(|ip| narrow(&mut client, ip, None, &trusted));
        }
        client.map(|claim| claim.ip.to_string())
    }

    #[test]
    fn the_rightmost_address_that_is_not_trusted_is_the_clients() {
        for (values, expected) in [
            (&["192.0.2.1"][..], Some("192.0.2.1")),
            (&["6.6.6.6, 192.0.2.1"], Some("192.0.2.1")),
            (&["6.6.6.6, 192.0.2.1, 10.0.0.1, 10.0.0.2"], Some("192.0.2.1")),
            (&["6.6.6.6", "192.0.2.1", "10.0.0.1"], Some("192.0.2.1")),
            (&["10.0.0.9, 10.0.0.1"], Some("10.0.0.9")),
            (&["6.6.6.6, 10.0.0.9, 192.0.2.1, 2001:db8::1"], Some("192.0.2.1")),
            (&["::ffff:192.0.2.1, ::ffff:10.0.0.1"], Some("192.0.2.1")),
            // Nothing left of what is no address counts.
            (&["6.6.6.6, unknown"], None),
            (&["6.6.6.6, x, 10.0.0.1"], Some("10.0.0.1")),
            (&["6.6.6.6, x, 10.0.0.1, 10.0.0.2"], Some("10.0.0.1")),
            (&["6.6.6.6, x, 192.0.2.1, 10.0.0.2"], Some("192.0.2.1")),
            (&["127.0.0.1\u{e9}"], None),
            (&[""], None),
            (&[], None),
        ] {
            assert_eq!(client_of(values).as_deref(), expected, "{values:?}");
        }
    }

    #[test]
    fn schemes_and_ports_are_taken_only_in_their_forms() {
        assert_eq!((scheme_name(b"HTTPS"), scheme_name(b"http")), (Some("https"), Some("http")));
        for value in ["", "ftp", "https ", "http,https", "https\r\nX: 1"] {
            assert_eq!(scheme_name(value.as_bytes()), None, "{value:?}");
        }
        assert_eq!((port_number(b"443"), port_number(b"65535")), (Some(443), Some(65_535)));
        for value in ["", "0", "65536", "+1", "-1", "4 3", "0x50"] {
            assert_eq!(port_number(value.as_bytes()), None, "{value:?}");
        }
        assert_eq!(only([&b"a"[..], b"b"].into_iter()), None);
    }
}
