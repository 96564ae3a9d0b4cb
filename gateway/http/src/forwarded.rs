//! Who a request came through, as earlier proxies wrote it: `X-Forwarded-For`, which nobody has specified, and
//! `Forwarded` (RFC 7239). What is read here is a claim; whether it is believed is the caller's to decide.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::grammar::{is_field_value_byte, is_token, is_token_byte, trim_ows};

/// The addresses of one `X-Forwarded-For` line, in order, with `None` for what is no address. A port is passed
/// over, as some balancers write one.
pub fn x_forwarded_for(value: &[u8]) -> impl Iterator<Item = Option<IpAddr>> {
    value.split(|byte| *byte == b',').map(trim_ows).filter(|element| !element.is_empty()).map(node_address)
}

/// What one proxy wrote into `Forwarded`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ForwardedElement<'v> {
    /// `for`, where it is an address and neither hidden nor unknown (RFC 7239 6).
    pub client: Option<IpAddr>,
    /// `proto`, as written.
    pub proto: Option<&'v [u8]>,
}

/// A `Forwarded` line that breaks RFC 7239 4; nothing behind the fault can be told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedForwarded;

/// The elements of one `Forwarded` line, in order; a fault is the last item.
#[derive(Clone, Debug)]
pub struct ForwardedElements<'v> {
    rest: Option<&'v [u8]>,
}

impl<'v> ForwardedElements<'v> {
    pub fn of(value: &'v [u8]) -> Self {
        Self { rest: Some(value) }
    }

    /// Whether another element can be appended behind a comma and will be read as one.
    pub fn is_well_formed(value: &'v [u8]) -> bool {
        Self::of(value).all(|element| element.is_ok())
    }
}

impl<'v> Iterator for ForwardedElements<'v> {
    type Item = Result<ForwardedElement<'v>, MalformedForwarded>;

    fn next(&mut self) -> Option<Self::Item> {
        let value = self.rest.take()?;
        match parse_element(value) {
            Ok((element, rest)) => {
                self.rest = rest;
                Some(Ok(element))
            }
            Err(error) => Some(Err(error)),
        }
    }
}

type Element<'v> = (ForwardedElement<'v>, Option<&'v [u8]>);

/// Pairs up to a comma or the line's end; whitespace around a semicolon is passed over, since it is common.
fn parse_element(value: &[u8]) -> Result<Element<'_>, MalformedForwarded> {
    let mut element = ForwardedElement::default();
    let (mut seen_for, mut seen_proto) = (false, false);
    let mut rest = trim_start(value);
    loop {
        if let Some((name, pair_value, behind)) = parse_pair(rest)? {
            if name.eq_ignore_ascii_case(b"for") {
                repeated(&mut seen_for)?;
                element.client = node_address(pair_value);
            } else if name.eq_ignore_ascii_case(b"proto") {
                repeated(&mut seen_proto)?;
                element.proto = Some(pair_value);
            }
            rest = trim_start(behind);
        }
        match rest {
            [] => return Ok((element, None)),
            [b',', behind @ ..] => return Ok((element, Some(behind))),
            [b';', behind @ ..] => rest = trim_start(behind),
            _ => return Err(MalformedForwarded),
        }
    }
}

/// RFC 7239 4: no parameter comes twice in an element.
fn repeated(seen: &mut bool) -> Result<(), MalformedForwarded> {
    if std::mem::replace(seen, true) { Err(MalformedForwarded) } else { Ok(()) }
}

fn trim_start(bytes: &[u8]) -> &[u8] {
    let blanks = bytes.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    &bytes[blanks..]
}

/// Name, value without quotes, and what is behind them.
type Pair<'v> = (&'v [u8], &'v [u8], &'v [u8]);

/// `token "=" ( token / quoted-string )`, or none where the next separator already stands.
fn parse_pair(bytes: &[u8]) -> Result<Option<Pair<'_>>, MalformedForwarded> {
    let name_bytes = bytes.iter().take_while(|byte| is_token_byte(**byte)).count();
    if name_bytes == 0 {
        return Ok(None);
    }
    let (name, rest) = bytes.split_at(name_bytes);
    match rest {
        [b'=', b'"', quoted @ ..] => {
            let end = quoted_end(quoted).ok_or(MalformedForwarded)?;
            Ok(Some((name, &quoted[..end], &quoted[end + 1..])))
        }
        [b'=', rest @ ..] => {
            let value_bytes = rest.iter().take_while(|byte| is_token_byte(**byte)).count();
            let (value, rest) = rest.split_at(value_bytes);
            if is_token(value) { Ok(Some((name, value, rest))) } else { Err(MalformedForwarded) }
        }
        _ => Err(MalformedForwarded),
    }
}

/// Where a quoted string's closing quote is (RFC 9110 5.6.4).
fn quoted_end(quoted: &[u8]) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in quoted.iter().enumerate() {
        match byte {
            _ if !is_field_value_byte(*byte) => return None,
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at),
            _ => {}
        }
    }
    None
}

/// An IPv4 or IPv6 address with or without a port, IPv6 in brackets or bare; IPv4 in IPv6's form is IPv4.
fn node_address(node: &[u8]) -> Option<IpAddr> {
    let node = std::str::from_utf8(node).ok()?;
    if let Some(bracketed) = node.strip_prefix('[') {
        let (address, port) = bracketed.split_once(']')?;
        let plain = port.is_empty() || is_port(port.strip_prefix(':')?);
        return address.parse::<Ipv6Addr>().ok().filter(|_| plain).map(|ip| IpAddr::V6(ip).to_canonical());
    }
    if let Some((address, port)) = node.split_once(':')
        && let Ok(ip) = address.parse::<Ipv4Addr>()
    {
        return is_port(port).then_some(IpAddr::V4(ip));
    }
    node.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}

fn is_port(port: &str) -> bool {
    !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn addresses_of_x_forwarded_for() {
        let list = b"192.0.2.1, 2001:db8::1 ,[2001:db8::2]:443,\t192.0.2.2:80,,unknown, ::ffff:192.0.2.3, 1.2.3, [::1, 1.2.3.4:x, a b";
        let addresses: Vec<_> = x_forwarded_for(list).collect();
        let expected =
            [ip("192.0.2.1"), ip("2001:db8::1"), ip("2001:db8::2"), ip("192.0.2.2"), None, ip("192.0.2.3")];
        assert_eq!(addresses[..6], expected);
        assert_eq!(addresses[6..], [None; 4]);
        assert_eq!(x_forwarded_for(b" , ").count(), 0);
    }

    #[test]
    fn elements_of_forwarded() {
        let line = br#"for=192.0.2.1;proto=https;by=203.0.113.43, For="[2001:db8:cafe::17]:4711" ; Proto=http,for=unknown, for=_hidden;host="a,b;c=\"d\"",,for="192.0.2.9:80""#;
        let elements: Vec<_> = ForwardedElements::of(line).map(Result::unwrap).collect();
        let element = |client, proto| ForwardedElement { client, proto };
        assert_eq!(
            elements,
            [
                element(ip("192.0.2.1"), Some(&b"https"[..])),
                element(ip("2001:db8:cafe::17"), Some(b"http")),
                element(None, None),
                element(None, None),
                element(None, None),
                element(ip("192.0.2.9"), None),
            ]
        );
    }

    #[test]
    fn what_would_swallow_the_next_element_is_malformed() {
        for line in [
            r#"for=""#,
            r#"for="192.0.2.1"#,
            r#"for="192.0.2.1\""#,
            "for",
            "for=",
            "for=;by=1",
            "=1",
            "for =1",
            "for= 1",
            r#"for="1"x"#,
            "for=1 2",
            "for=[::1]",
            "for=1;for=2",
            "proto=http;Proto=https",
            "for=1, (",
            "for=1/2",
        ] {
            assert!(!ForwardedElements::is_well_formed(line.as_bytes()), "{line}");
        }
        for line in ["", ",", ";", "for=1;", "secret=abc", "for=_a, for=unknown", r#"by="""#] {
            assert!(ForwardedElements::is_well_formed(line.as_bytes()), "{line}");
            let appended = format!("{line}, for=192.0.2.1");
            let last = ForwardedElements::of(appended.as_bytes()).last().unwrap().unwrap();
            assert_eq!(last.client, ip("192.0.2.1"), "{line}");
        }
    }
}
