//! Requests that came as fields, not as bytes (HTTP/2): written down once, as HTTP/1.1 would say them, so that the
//! steps behind have one kind of head to route, forward and log by.
//!
//! The HTTP/2 library has refused upper-case names, pseudo-header fields out of order, twice or unknown, and the
//! fields of one connection; what it lets pass of RFC 9113 8.2 and 8.3 is refused here.

use crate::Version;
use crate::error::RequestError;
use crate::fields::{Declared, Facts, Header};
use crate::grammar::{is_field_value, is_token};
use crate::host::is_host;
use crate::limits::HeadLimits;
use crate::name::HeaderName;
use crate::request::{Framing, Method, RequestHead};
use crate::scan;
use crate::span::Span;
use crate::target::parse_target;

/// What HTTP/2 says before the fields (RFC 9113 8.3.1).
#[derive(Clone, Copy, Debug)]
pub struct RequestParts<'a> {
    pub method: &'a [u8],
    /// `:path`; empty where it is missing.
    pub path: &'a [u8],
    pub authority: Option<&'a [u8]>,
    /// Nothing follows the head.
    pub ends: bool,
}

/// Why no head could be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssembleError {
    /// RFC 9113 8.1.1: a stream error of type `PROTOCOL_ERROR`.
    Malformed,
    /// Answered as in HTTP/1.1.
    Refused(RequestError),
}

impl From<RequestError> for AssembleError {
    fn from(error: RequestError) -> Self {
        Self::Refused(error)
    }
}

impl RequestHead {
    /// Writes the head into `buf`, which is cleared first, and becomes the head of it, as if `buf` had been parsed.
    /// `Host` is the authority. Lines of `Cookie` that follow each other become one (RFC 9113 8.2.3).
    pub fn assemble<'f>(
        &mut self,
        buf: &mut Vec<u8>,
        parts: &RequestParts<'_>,
        fields: impl Iterator<Item = (&'f [u8], &'f [u8])>,
        limits: &HeadLimits,
    ) -> Result<(), AssembleError> {
        buf.clear();
        self.headers.clear();
        self.version = Version::Http2;
        self.keep_alive = true;
        self.upgrade = None;
        self.assemble_start(buf, parts, limits)?;
        let fields_start = buf.len();
        let mut facts = Facts::default();
        if let Some(authority) = parts.authority {
            facts.host = Some(self.append(buf, b"host", authority));
        }
        for (name, value) in fields {
            self.assemble_field(buf, name, value, parts, &mut facts)?;
            if buf.len() - fields_start > limits.header_bytes_max
                || self.headers.len() > limits.header_count_max
            {
                return Err(RequestError::HeaderFieldsTooLarge.into());
            }
        }
        buf.extend_from_slice(b"\r\n");
        self.head_bytes = buf.len();
        self.host = match facts.host {
            Some(host) if !is_host(host.of(buf)) => return Err(RequestError::InvalidHost.into()),
            Some(host) => host,
            None => return Err(RequestError::MissingHost.into()),
        };
        self.assemble_framing(parts, &facts)
    }

    fn assemble_start(
        &mut self,
        buf: &mut Vec<u8>,
        parts: &RequestParts<'_>,
        limits: &HeadLimits,
    ) -> Result<(), AssembleError> {
        if parts.method == b"CONNECT" {
            return Err(RequestError::ConnectNotSupported.into());
        }
        if !is_token(parts.method) || parts.path.is_empty() {
            return Err(AssembleError::Malformed);
        }
        self.method_span = push(buf, parts.method);
        self.method = Method::classify(parts.method);
        buf.push(b' ');
        let target = push(buf, parts.path);
        if !matches!(parts.path, [b'/', ..] | b"*") {
            return Err(RequestError::InvalidTarget.into());
        }
        let target = parse_target(parts.path, target, self.method)?;
        self.aim_at(&target, parts.path, scan::plain_bytes(parts.path));
        buf.extend_from_slice(b" HTTP/2.0");
        if buf.len() > limits.start_line_bytes_max {
            return Err(RequestError::UriTooLong.into());
        }
        buf.extend_from_slice(b"\r\n");
        Ok(())
    }

    fn assemble_field(
        &mut self,
        buf: &mut Vec<u8>,
        name: &[u8],
        value: &[u8],
        parts: &RequestParts<'_>,
        facts: &mut Facts,
    ) -> Result<(), AssembleError> {
        if !is_field_value(value) || value.first().is_some_and(is_blank) || value.last().is_some_and(is_blank)
        {
            return Err(AssembleError::Malformed);
        }
        let known = HeaderName::classify(name);
        match known {
            HeaderName::Cookie if self.join_cookie(buf, value) => return Ok(()),
            // RFC 9113 8.3.1: both may come if they say the same; the authority has been written.
            HeaderName::Host => match parts.authority {
                Some(authority) if authority.eq_ignore_ascii_case(value) => return Ok(()),
                Some(_) => return Err(AssembleError::Malformed),
                None if facts.host.is_some() => return Err(RequestError::DuplicateHost.into()),
                None => {}
            },
            _ => {}
        }
        let span = self.append(buf, name, value);
        facts.note(known, value, span).map_err(RequestError::from)?;
        Ok(())
    }

    /// Adds a crumb to the line before, if that is the cookie's.
    fn join_cookie(&mut self, buf: &mut Vec<u8>, crumb: &[u8]) -> bool {
        let Some(line) = self.headers.last_mut().filter(|line| line.name == HeaderName::Cookie) else {
            return false;
        };
        buf.truncate(line.value_span.end as usize);
        buf.extend_from_slice(b"; ");
        buf.extend_from_slice(crumb);
        line.value_span.end = buf.len() as u32;
        buf.extend_from_slice(b"\r\n");
        true
    }

    fn append(&mut self, buf: &mut Vec<u8>, name: &[u8], value: &[u8]) -> Span {
        let name_span = push(buf, name);
        buf.extend_from_slice(b": ");
        let value_span = push(buf, value);
        buf.extend_from_slice(b"\r\n");
        let name = HeaderName::classify(name);
        self.headers.push(Header { name, name_span, value_span, hop_by_hop: name.is_hop_by_hop() });
        value_span
    }

    fn assemble_framing(&mut self, parts: &RequestParts<'_>, facts: &Facts) -> Result<(), AssembleError> {
        self.framing = match facts.declared(self.version).map_err(RequestError::from)? {
            Declared::Length(length) => Framing::Length(length),
            // Fields of a transfer coding were refused.
            Declared::Chunked => return Err(AssembleError::Malformed),
            Declared::Nothing if parts.ends => Framing::None,
            Declared::Nothing => Framing::Chunked,
        };
        if facts.expect_unknown {
            return Err(RequestError::ExpectationFailed.into());
        }
        self.expect_continue = facts.expect_continue && !parts.ends;
        Ok(())
    }
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Heads are far below 4 GiB: their parts are bounded by the HTTP/2 library's header list.
fn push(buf: &mut Vec<u8>, bytes: &[u8]) -> Span {
    let start = buf.len() as u32;
    buf.extend_from_slice(bytes);
    Span { start, end: buf.len() as u32 }
}
