//! Request heads: from bytes to a head that can be routed and whose body has one certain length.

use std::mem::MaybeUninit;

use crate::diagnose::diagnose;
use crate::error::RequestError;
use crate::fields::{Declared, Facts, Header, check_lines};
use crate::host::KnownHost;
use crate::limits::HeadLimits;
use crate::scan;
use crate::span::Span;
use crate::target::{Target, parse_target};
use crate::{Progress, Version};

/// The methods that API Gateway routes by; names are case-sensitive (RFC 9110 9.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
    /// Any other token but CONNECT, which is refused; its bytes are at [`RequestHead::method_span`].
    Other,
}

impl Method {
    /// Its name, unless that is [`Method::Other`]'s own.
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Other => return None,
        })
    }

    pub(crate) fn classify(name: &[u8]) -> Self {
        match name {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"PATCH" => Self::Patch,
            b"DELETE" => Self::Delete,
            b"OPTIONS" => Self::Options,
            _ => Self::Other,
        }
    }
}

/// How long a request's body is (RFC 9112 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Neither length nor coding: no body.
    None,
    /// Bytes; possibly 0.
    Length(u64),
    Chunked,
}

/// A request's head, reused from request to request so that its list of headers is allocated once.
///
/// Spans count from the first byte of the buffer given to [`RequestHead::parse`]. After `Partial` or an error,
/// the fields mean nothing.
#[derive(Clone, Debug)]
pub struct RequestHead {
    pub method: Method,
    pub method_span: Span,
    /// Starts with `/` and is still escaped; `*` for OPTIONS; empty for an absolute-form target without path,
    /// which means `/`. [`crate::path::normalize`] makes of it what is routed.
    pub path: Span,
    /// [`crate::path::normalize`] would give the path back as it is. Never true of one that it refuses; false of some
    /// that it leaves alone.
    pub path_is_plain: bool,
    /// Without `?`; `Some` and empty for a target that ends in `?`.
    pub query: Option<Span>,
    /// The authority of an absolute-form target, else `Host` (RFC 9112 3.2.2), with its port if it has one. Empty
    /// only for an HTTP/1.0 request that has neither. Route and forward by this, never by the `Host` header
    /// in `headers`.
    pub host: Span,
    pub version: Version,
    pub framing: Framing,
    /// Whether the client wants the connection kept (RFC 9112 9.3).
    pub keep_alive: bool,
    /// The client waits for `100 Continue` before it sends a body that isn't empty. False in HTTP/1.0
    /// (RFC 9110 10.1.1).
    pub expect_continue: bool,
    /// The first `Upgrade` value, if `Connection` lists `upgrade` (RFC 9110 7.8); ignored in HTTP/1.0.
    pub upgrade: Option<Span>,
    pub headers: Vec<Header>,
    /// Bytes from the buffer's start to the body, a tolerated empty line before the request line included.
    pub head_bytes: usize,
    known_host: KnownHost,
}

impl Default for RequestHead {
    fn default() -> Self {
        Self::new()
    }
}

/// As many header lines as are parsed without touching more than a page or two of stack.
const SLOTS: usize = 128;

impl RequestHead {
    pub fn new() -> Self {
        Self {
            method: Method::Get,
            method_span: Span::default(),
            path: Span::default(),
            path_is_plain: false,
            query: None,
            host: Span::default(),
            version: Version::Http11,
            framing: Framing::None,
            keep_alive: false,
            expect_continue: false,
            upgrade: None,
            headers: Vec::new(),
            head_bytes: 0,
            known_host: KnownHost::default(),
        }
    }

    /// Parses the head at the start of `buf`, which may hold more than it. To be called again with a longer
    /// buffer after `Partial`; a head that is over a limit is refused before it is complete.
    pub fn parse(&mut self, buf: &[u8], limits: &HeadLimits) -> Result<Progress, RequestError> {
        // Spans have 32 bits.
        let buf = &buf[..buf.len().min(u32::MAX as usize)];
        match self.scan(buf, limits) {
            Some(()) => Ok(Progress::Complete),
            None => self.parse_any(buf, limits),
        }
    }

    /// Reads a head in its usual form; `None` leaves it to [`parse_any`](Self::parse_any).
    pub(crate) fn scan(&mut self, buf: &[u8], limits: &HeadLimits) -> Option<()> {
        let (method, method_bytes) = match buf {
            // Most of them.
            [b'G', b'E', b'T', b' ', ..] => (Method::Get, 3),
            _ => {
                let bytes = scan::token_bytes(buf);
                (Method::classify(&buf[..bytes]), bytes)
            }
        };
        let [b' ', rest @ ..] = &buf[method_bytes..] else { return None };
        let plain_bytes = scan::plain_bytes(rest);
        let target = match rest.get(plain_bytes) {
            Some(b' ') => &rest[..plain_bytes],
            _ => &rest[..plain_bytes + scan::text_bytes(&rest[plain_bytes..], b'!')],
        };
        self.version = match rest[target.len()..].first_chunk()? {
            b" HTTP/1.1\r\n" => Version::Http11,
            b" HTTP/1.0\r\n" => Version::Http10,
            _ => return None,
        };
        let line_bytes = method_bytes + 1 + target.len() + " HTTP/1.1".len();
        if method_bytes == 0 || line_bytes > limits.start_line_bytes_max || &buf[..method_bytes] == b"CONNECT"
        {
            return None;
        }
        self.method = method;
        self.method_span = Span { start: 0, end: method_bytes as u32 };
        let mut facts = Facts::default();
        self.head_bytes = scan::fields(buf, line_bytes + 2, limits, &mut self.headers, &mut facts)?;
        let span = Span { start: method_bytes as u32 + 1, end: (method_bytes + 1 + target.len()) as u32 };
        let parsed = match target {
            [b'/', ..] if plain_bytes == target.len() => Target::of_path(span),
            _ => parse_target(target, span, method).ok()?,
        };
        self.aim_at(&parsed, target, plain_bytes);
        self.address(buf, &parsed, &facts).ok()?;
        self.frame(&facts).ok()
    }

    /// Reads a head in any form, or says what is wrong with it.
    #[inline(never)]
    pub(crate) fn parse_any(&mut self, buf: &[u8], limits: &HeadLimits) -> Result<Progress, RequestError> {
        let start = skip_empty_line(buf)?;
        if limits.header_count_max <= SLOTS {
            let mut slots = [const { MaybeUninit::uninit() }; SLOTS];
            self.parse_into(buf, start, limits, &mut slots[..limits.header_count_max])
        } else {
            self.parse_wide(buf, start, limits)
        }
    }

    #[inline(never)]
    fn parse_wide(
        &mut self,
        buf: &[u8],
        start: usize,
        limits: &HeadLimits,
    ) -> Result<Progress, RequestError> {
        let mut slots = [const { MaybeUninit::uninit() }; HeadLimits::HEADER_COUNT_CEILING];
        let count_max = limits.header_count_max.min(HeadLimits::HEADER_COUNT_CEILING);
        self.parse_into(buf, start, limits, &mut slots[..count_max])
    }

    fn parse_into<'b>(
        &mut self,
        buf: &'b [u8],
        start: usize,
        limits: &HeadLimits,
        slots: &mut [MaybeUninit<httparse::Header<'b>>],
    ) -> Result<Progress, RequestError> {
        let mut raw = httparse::Request::new(&mut []);
        match raw.parse_with_uninit_headers(&buf[start..], slots) {
            Ok(httparse::Status::Complete(head_bytes)) => {
                self.head_bytes = start + head_bytes;
                self.take(buf, start, limits, &raw)?;
                Ok(Progress::Complete)
            }
            Ok(httparse::Status::Partial) => {
                limits.check_partial(&buf[start..])?;
                Ok(Progress::Partial)
            }
            Err(refusal) => Err(diagnose(&buf[start..], limits, refusal).into()),
        }
    }

    /// Takes over what httparse found in a complete head and checks what it doesn't.
    fn take(
        &mut self,
        buf: &[u8],
        start: usize,
        limits: &HeadLimits,
        raw: &httparse::Request<'_, '_>,
    ) -> Result<(), RequestError> {
        let (Some(method), Some(target), Some(minor)) = (raw.method, raw.path, raw.version) else {
            return Err(RequestError::Malformed);
        };
        check_lines(buf, start, self.head_bytes, raw.headers, limits)?;
        if method == "CONNECT" {
            return Err(RequestError::ConnectNotSupported);
        }
        self.version = if minor == 0 { Version::Http10 } else { Version::Http11 };
        self.method = Method::classify(method.as_bytes());
        self.method_span = Span::within(buf, method.as_bytes());
        let facts = Facts::collect(buf, raw.headers, &mut self.headers)?;
        let target = target.as_bytes();
        let parsed = parse_target(target, Span::within(buf, target), self.method)?;
        self.aim_at(&parsed, target, scan::plain_bytes(target));
        self.address(buf, &parsed, &facts)?;
        self.frame(&facts)
    }

    /// Path and query. Of the target's bytes, so many of the first are plain.
    #[inline]
    pub(crate) fn aim_at(&mut self, target: &Target, bytes: &[u8], plain_bytes: usize) {
        self.path = target.path;
        self.query = target.query;
        // Without an authority, the path begins the target.
        self.path_is_plain =
            target.authority.is_none() && bytes.starts_with(b"/") && plain_bytes >= target.path.len();
    }

    /// The host, which the target has or the fields.
    fn address(&mut self, buf: &[u8], target: &Target, facts: &Facts) -> Result<(), RequestError> {
        let host = match facts.host {
            _ if facts.host_repeated => return Err(RequestError::DuplicateHost),
            Some(host) if !self.known_host.admits(host.of(buf)) => return Err(RequestError::InvalidHost),
            Some(host) => host,
            None if self.version == Version::Http11 => return Err(RequestError::MissingHost),
            None => Span::default(),
        };
        self.host = target.authority.unwrap_or(host);
        Ok(())
    }

    /// Body length, connection and expectation: what comes after this head.
    fn frame(&mut self, facts: &Facts) -> Result<(), RequestError> {
        if facts.framing_lookalike {
            return Err(RequestError::FramingLookalike);
        }
        self.framing = match facts.declared(self.version)? {
            Declared::Nothing => Framing::None,
            Declared::Length(length) => Framing::Length(length),
            Declared::Chunked => Framing::Chunked,
        };
        if facts.expect_unknown {
            return Err(RequestError::ExpectationFailed);
        }
        let body_follows = !matches!(self.framing, Framing::None | Framing::Length(0));
        self.expect_continue = facts.expect_continue && body_follows && self.version == Version::Http11;
        self.keep_alive = facts.persists(self.version);
        self.upgrade = facts.offered_upgrade(self.version);
        Ok(())
    }
}

/// Where the request line starts: one CRLF before it is tolerated (RFC 9112 2.2), since httparse would skip any
/// number of line ends, bare LFs among them.
fn skip_empty_line(buf: &[u8]) -> Result<usize, RequestError> {
    let start = match buf {
        [b'\r', b'\n', ..] => 2,
        [b'\r', _, ..] => return Err(RequestError::BareCr),
        _ => 0,
    };
    match buf.get(start) {
        Some(b'\n') => Err(RequestError::BareLf),
        Some(b'\r') if start > 0 => Err(RequestError::Malformed),
        _ => Ok(start),
    }
}
