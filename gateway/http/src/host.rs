//! What a host may look like where the gateway routes by it.

use std::net::Ipv6Addr;

/// `host[:port]` without the port; an IPv6 address keeps its brackets. For values that a head has accepted.
#[inline]
pub fn host_name(host: &[u8]) -> &[u8] {
    match host.last() {
        // What ends a port, which may be empty.
        Some(b'0'..=b'9' | b':') => without_port(host),
        _ => host,
    }
}

fn without_port(host: &[u8]) -> &[u8] {
    let end = host.len().saturating_sub(":65535".len());
    match host[end..].iter().rposition(|byte| *byte == b':') {
        Some(colon) => &host[..end + colon],
        None => host,
    }
}

/// A longer host is looked at each time.
const KNOWN_BYTES_MAX: usize = 255;

/// What was a host the last time. A connection's requests hardly ever differ in it, or only in its first label, as the hosts of
/// one gateway's APIs do.
#[derive(Debug, Clone, Default)]
pub(crate) struct KnownHost {
    /// Empty before there was one.
    host: Vec<u8>,
    /// Of the first label; of all of a host that has only one, or is an address.
    label_bytes: usize,
}

impl KnownHost {
    /// Whether the bytes are a host, as [`is_host`] has it.
    pub(crate) fn admits(&mut self, host: &[u8]) -> bool {
        if !host.is_empty() && self.host == host {
            return true;
        }
        let tail = &self.host[self.label_bytes..];
        if !tail.is_empty() && host.strip_suffix(tail).is_some_and(is_registered_name) {
            return true;
        }
        let is_host = is_host(host);
        if is_host && host.len() <= KNOWN_BYTES_MAX {
            self.host.clear();
            self.host.extend_from_slice(host);
            let label_bytes = memchr::memchr(b'.', host).filter(|_| host[0] != b'[');
            self.label_bytes = label_bytes.unwrap_or(host.len());
        }
        is_host
    }
}

/// Whether the bytes are a nonempty host with an optional port (RFC 3986 3.2.2, 3.2.3).
///
/// Of a registered name only letters, digits and `-._~` are accepted: escapes and sub-delimiters occur in no DNS
/// name, and a `,` `;` or `=` in a host would change the meaning of a `Forwarded` line that carries it.
pub(crate) fn is_host(host: &[u8]) -> bool {
    let (valid_name, port) = match host {
        [b'[', rest @ ..] => match rest.iter().position(|byte| *byte == b']') {
            Some(close) => (is_ipv6(&rest[..close]), &rest[close + 1..]),
            None => return false,
        },
        _ => {
            let name_len = memchr::memchr(b':', host).unwrap_or(host.len());
            (is_registered_name(&host[..name_len]), &host[name_len..])
        }
    };
    valid_name && is_port(port)
}

fn is_registered_name(name: &[u8]) -> bool {
    !name.is_empty() && crate::grammar::are_unreserved(name)
}

fn is_ipv6(address: &[u8]) -> bool {
    std::str::from_utf8(address).is_ok_and(|address| address.parse::<Ipv6Addr>().is_ok())
}

/// Nothing, or a colon with a port; RFC 3986 3.2.3 lets the digits be missing.
fn is_port(port: &[u8]) -> bool {
    match port {
        [] | [b':'] => true,
        [b':', digits @ ..] => {
            digits.len() <= "65535".len()
                && crate::grammar::parse_decimal(digits).is_some_and(|port| port <= u64::from(u16::MAX))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_their_names() {
        for (host, name) in [
            ("example.com", "example.com"),
            ("EXAMPLE.com:8080", "EXAMPLE.com"),
            ("a1b2.execute-api.us-east-1.localhost:65535", "a1b2.execute-api.us-east-1.localhost"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("example.com:", "example.com"),
            ("[::1]", "[::1]"),
            ("[2001:db8::7]:443", "[2001:db8::7]"),
            ("[::ffff:10.0.0.1]:", "[::ffff:10.0.0.1]"),
            ("under_score.test.", "under_score.test."),
        ] {
            assert!(is_host(host.as_bytes()), "{host}");
            assert_eq!(host_name(host.as_bytes()), name.as_bytes(), "{host}");
        }
    }

    #[test]
    fn what_was_a_host_the_last_time_makes_none_of_what_isnt() {
        let hosts = [
            "a1b2.execute-api.us-east-1.localhost",
            "c3.execute-api.us-east-1.localhost",
            "c3.v2.execute-api.us-east-1.localhost:8080",
            ".execute-api.us-east-1.localhost",
            "c,3.execute-api.us-east-1.localhost",
            "c:3.execute-api.us-east-1.localhost",
            "[c.execute-api.us-east-1.localhost",
            "a.b:80",
            "c.b:80",
            "c:1.b:80",
            "[::ffff:10.0.0.1]",
            "c.0.0.1]",
            "[::c.0.0.1]",
            "localhost",
            "localhost:80",
            "",
        ];
        for before in hosts {
            for host in hosts {
                let mut known = KnownHost::default();
                assert_eq!(known.admits(before.as_bytes()), is_host(before.as_bytes()), "{before}");
                assert_eq!(known.admits(host.as_bytes()), is_host(host.as_bytes()), "{host} after {before}");
            }
        }
    }

    #[test]
    fn what_is_no_host() {
        for host in [
            "",
            ":80",
            "a b",
            "a\tb",
            "a,b",
            "a;b",
            "a=b",
            "a/b",
            "a?b",
            "a#b",
            "u@a",
            "a\\b",
            "a%41",
            "a:b",
            "a:-1",
            "a:+80",
            "a:65536",
            "a:000080",
            "a:80:80",
            "[::1",
            "::1",
            "[]",
            "[]:80",
            "[::1]80",
            "[::1]:x",
            "[fe80::1%25eth0]",
            "[v1.a]",
            "[::1]]",
            "\u{e9}.test",
            "a\"b",
        ] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }
}
