//! The PROXY protocol's header, versions 1 and 2: what a balancer says before a connection's first byte.
//!
//! Read once a connection, before TLS and HTTP, and only on listeners that enable it. A header is text of at most
//! 107 bytes (version 1) or 16 bytes and what their length announces (version 2). Whatever isn't exactly such a
//! header is refused as early as it shows, never taken for the beginning of a request.
//! Source: haproxy.org's specification of the PROXY protocol, sections 2.1 to 2.2.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// Both ends of the connection that a header speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxiedEnds {
    /// The client's.
    pub source: SocketAddr,
    /// What the client connected to.
    pub destination: SocketAddr,
}

/// How far [`parse_proxy_header`] came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyProgress {
    /// Every byte belongs to the header, and it goes on: read more, then parse again from the same first byte.
    Partial,
    /// The header ends after `bytes`. Without `ends`, the balancer speaks for itself (a health check) or can't
    /// say for whom, and the connection's own addresses count.
    Complete { bytes: usize, ends: Option<ProxiedEnds> },
}

/// Why bytes are no PROXY protocol header that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyError {
    /// The first bytes are those of neither version.
    Missing,
    /// Version 1: no CRLF within 107 bytes. Version 2: above the limit given.
    TooLong,
    /// Version 1: not exactly `PROXY`, protocol, addresses and ports with a space between each two.
    MalformedText,
    /// Version 2: a version, command or family that the specification doesn't have.
    UnknownKind,
    /// Version 2: datagrams, which no TCP listener serves.
    NotAStream,
    /// Version 2: shorter than its addresses.
    TooShort,
    /// Version 2: the fields behind the addresses don't end where the header does.
    MalformedFields,
}

impl ProxyError {
    pub fn reason(self) -> &'static str {
        match self {
            Self::Missing => "no PROXY protocol header",
            Self::TooLong => "PROXY protocol header is longer than the limit",
            Self::MalformedText => "PROXY protocol line is malformed",
            Self::UnknownKind => "PROXY protocol version, command or family is unknown",
            Self::NotAStream => "PROXY protocol header is for datagrams",
            Self::TooShort => "PROXY protocol header is shorter than its addresses",
            Self::MalformedFields => "PROXY protocol fields behind the addresses are malformed",
        }
    }
}

impl fmt::Display for ProxyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.reason())
    }
}

impl std::error::Error for ProxyError {}

/// The longest header of version 1, its CRLF included.
pub const PROXY_TEXT_BYTES_MAX: usize = 107;

/// What a header of version 2 announces can't be more.
pub const PROXY_HEADER_BYTES_CEILING: usize = FIXED_BYTES + u16::MAX as usize;

const TEXT_START: &[u8] = b"PROXY ";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version with command, family with protocol, and length.
const FIXED_BYTES: usize = 16;

/// Parses the header at the start of `buf`, which may hold more than it. `bytes_max` bounds one of version 2.
///
/// # Errors
/// As soon as `buf` can't begin with an acceptable header.
pub fn parse_proxy_header(buf: &[u8], bytes_max: usize) -> Result<ProxyProgress, ProxyError> {
    if begins_alike(buf, SIGNATURE) {
        return parse_binary(buf, bytes_max);
    }
    if begins_alike(buf, TEXT_START) {
        return parse_text(buf);
    }
    Err(ProxyError::Missing)
}

/// Whether they are equal as far as both go.
fn begins_alike(buf: &[u8], start: &[u8]) -> bool {
    buf.iter().zip(start).all(|(byte, expected)| byte == expected)
}

fn parse_text(buf: &[u8]) -> Result<ProxyProgress, ProxyError> {
    let buf = &buf[..buf.len().min(PROXY_TEXT_BYTES_MAX)];
    let Some(end) = buf.iter().position(|byte| !matches!(byte, b' '..=b'~')) else {
        let over = buf.len() > PROXY_TEXT_BYTES_MAX - "\r\n".len();
        return if over { Err(ProxyError::TooLong) } else { Ok(ProxyProgress::Partial) };
    };
    match &buf[end..] {
        [b'\r', b'\n', ..] => {
            let ends = parse_line(&buf[..end])?;
            Ok(ProxyProgress::Complete { bytes: end + 2, ends })
        }
        [b'\r'] if buf.len() == PROXY_TEXT_BYTES_MAX => Err(ProxyError::TooLong),
        [b'\r'] => Ok(ProxyProgress::Partial),
        _ => Err(ProxyError::MalformedText),
    }
}

/// A line of visible ASCII and spaces that begins with `PROXY `.
fn parse_line(line: &[u8]) -> Result<Option<ProxiedEnds>, ProxyError> {
    let line = std::str::from_utf8(line).map_err(|_| ProxyError::MalformedText)?;
    let mut words = line.split(' ').skip(1);
    let family = words.next();
    if family == Some("UNKNOWN") {
        // What follows it says nothing that a receiver may use.
        return Ok(None);
    }
    let words = [words.next(), words.next(), words.next(), words.next(), words.next()];
    let [Some(source), Some(destination), Some(source_port), Some(destination_port), None] = words else {
        return Err(ProxyError::MalformedText);
    };
    let address = |word| match family {
        Some("TCP4") => parse_address::<Ipv4Addr>(word),
        Some("TCP6") => parse_address::<Ipv6Addr>(word),
        _ => Err(ProxyError::MalformedText),
    };
    Ok(Some(ProxiedEnds {
        source: SocketAddr::new(address(source)?, parse_port(source_port)?),
        destination: SocketAddr::new(address(destination)?, parse_port(destination_port)?),
    }))
}

fn parse_address<A: FromStr + Into<IpAddr>>(word: &str) -> Result<IpAddr, ProxyError> {
    word.parse::<A>().map(Into::into).map_err(|_| ProxyError::MalformedText)
}

/// Decimal, without sign and without zeros in front.
fn parse_port(word: &str) -> Result<u16, ProxyError> {
    let canonical = word == "0" || word.starts_with(|first: char| matches!(first, '1'..='9'));
    word.parse().ok().filter(|_| canonical).ok_or(ProxyError::MalformedText)
}

fn parse_binary(buf: &[u8], bytes_max: usize) -> Result<ProxyProgress, ProxyError> {
    if let Some(kind) = buf.get(12)
        && !matches!(kind, 0x20 | 0x21)
    {
        return Err(ProxyError::UnknownKind);
    }
    let Some((fixed, rest)) = buf.split_first_chunk::<FIXED_BYTES>() else {
        return Ok(ProxyProgress::Partial);
    };
    let announced = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    let bytes = FIXED_BYTES + announced;
    if bytes > bytes_max {
        return Err(ProxyError::TooLong);
    }
    let is_local = fixed[12] == 0x20;
    // Checked before the rest has come; a LOCAL header's family means nothing.
    let address_bytes = if is_local { 0 } else { address_bytes(fixed[13])? };
    if announced < address_bytes {
        return Err(ProxyError::TooShort);
    }
    let Some(block) = rest.get(..announced) else {
        return Ok(ProxyProgress::Partial);
    };
    let ends = if is_local { None } else { binary_ends(fixed[13], block)? };
    Ok(ProxyProgress::Complete { bytes, ends })
}

/// How long both addresses of a family with its transport are.
fn address_bytes(family: u8) -> Result<usize, ProxyError> {
    match family {
        UNSPECIFIED => Ok(0),
        TCP_OVER_IPV4 => Ok(12),
        TCP_OVER_IPV6 => Ok(36),
        UNIX_STREAM => Ok(216),
        0x12 | 0x22 | 0x32 => Err(ProxyError::NotAStream),
        _ => Err(ProxyError::UnknownKind),
    }
}

const UNSPECIFIED: u8 = 0x00;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;
/// The client came to the balancer over a Unix socket: it has no address.
const UNIX_STREAM: u8 = 0x31;

fn binary_ends(family: u8, block: &[u8]) -> Result<Option<ProxiedEnds>, ProxyError> {
    let (ends, fields) = match family {
        TCP_OVER_IPV4 => {
            let (addresses, fields) = block.split_at(12);
            (Some(ends::<4>(addresses)), fields)
        }
        TCP_OVER_IPV6 => {
            let (addresses, fields) = block.split_at(36);
            (Some(ends::<16>(addresses)), fields)
        }
        UNIX_STREAM => (None, &block[216..]),
        // What stands in an unspecified family's block isn't specified either.
        _ => return Ok(None),
    };
    check_fields(fields)?;
    Ok(ends)
}

/// Source address, destination address, source port, destination port; `N` bytes an address.
fn ends<const N: usize>(block: &[u8]) -> ProxiedEnds
where
    [u8; N]: Into<IpAddr>,
{
    let address = |at: usize| {
        let mut bytes = [0; N];
        bytes.copy_from_slice(&block[at..at + N]);
        bytes.into()
    };
    let port = |at: usize| u16::from_be_bytes([block[at], block[at + 1]]);
    ProxiedEnds {
        source: SocketAddr::new(address(0), port(2 * N)),
        destination: SocketAddr::new(address(N), port(2 * N + 2)),
    }
}

/// Types, lengths and values (the specification's 2.2): skipped, but they have to fit.
fn check_fields(mut fields: &[u8]) -> Result<(), ProxyError> {
    while !fields.is_empty() {
        let [_, high, low, rest @ ..] = fields else { return Err(ProxyError::MalformedFields) };
        let value_bytes = usize::from(u16::from_be_bytes([*high, *low]));
        fields = rest.get(value_bytes..).ok_or(ProxyError::MalformedFields)?;
    }
    Ok(())
}
