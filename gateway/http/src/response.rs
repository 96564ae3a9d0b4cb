//! Response heads of upstreams: as strict as request heads wherever two readers could disagree on where a
//! response ends, since the next client's response would begin there.

use std::mem::MaybeUninit;

use crate::diagnose::diagnose;
use crate::error::ResponseError;
use crate::fields::{Declared, Facts, Header, check_lines};
use crate::limits::HeadLimits;
use crate::request::Method;
use crate::scan;
use crate::span::Span;
use crate::{Progress, Version};

/// How long a response's body is (RFC 9112 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseFraming {
    /// No body, whatever the headers say: 1xx, 204, 304, or the answer to HEAD.
    None,
    /// Bytes; possibly 0.
    Length(u64),
    Chunked,
    /// All until the upstream closes; a reset is indistinguishable from an end only to a careless reader.
    UntilClose,
}

/// A response's head, reused from response to response so that its list of headers is allocated once.
///
/// Spans count from the first byte of the buffer given to [`ResponseHead::parse`]. After `Partial` or an error,
/// the fields mean nothing.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    /// 100 to 599. An interim response (1xx) is a head of its own: another follows it, except after 101, which ends
    /// HTTP on the connection and is the upstream's mistake where no upgrade was asked for.
    pub status: u16,
    /// Possibly empty.
    pub reason: Span,
    pub version: Version,
    pub framing: ResponseFraming,
    /// Whether the connection may be pooled after the body; never with [`ResponseFraming::UntilClose`].
    pub keep_alive: bool,
    pub headers: Vec<Header>,
    /// Bytes from the buffer's start to the body.
    pub head_bytes: usize,
}

impl Default for ResponseHead {
    fn default() -> Self {
        Self::new()
    }
}

/// As many header lines as are parsed without touching more than a page or two of stack.
const SLOTS: usize = 128;

/// `HTTP/1.1 200`, before the reason.
const STATUS_END: usize = 12;

impl ResponseHead {
    pub fn new() -> Self {
        Self {
            status: 200,
            reason: Span::default(),
            version: Version::Http11,
            framing: ResponseFraming::None,
            keep_alive: false,
            headers: Vec::new(),
            head_bytes: 0,
        }
    }

    /// Parses the head at the start of `buf`, which may hold more than it; `request_method` is the method
    /// that was sent upstream. To be called again with a longer buffer after `Partial`; a head that is over a
    /// limit is refused before it is complete.
    pub fn parse(
        &mut self,
        buf: &[u8],
        request_method: Method,
        limits: &HeadLimits,
    ) -> Result<Progress, ResponseError> {
        // Spans have 32 bits.
        let buf = &buf[..buf.len().min(u32::MAX as usize)];
        match self.scan(buf, request_method, limits) {
            Some(()) => Ok(Progress::Complete),
            None => self.parse_any(buf, request_method, limits),
        }
    }

    /// Reads a head in its usual form; `None` leaves it to [`parse_any`](Self::parse_any).
    pub(crate) fn scan(&mut self, buf: &[u8], request_method: Method, limits: &HeadLimits) -> Option<()> {
        let (version, rest) = buf.split_first_chunk()?;
        self.version = match version {
            b"HTTP/1.1 " => Version::Http11,
            b"HTTP/1.0 " => Version::Http10,
            _ => return None,
        };
        let [hundreds @ b'1'..=b'5', tens @ b'0'..=b'9', ones @ b'0'..=b'9', b' ', reason @ ..] = rest else {
            return None;
        };
        self.status =
            [hundreds, tens, ones].iter().fold(0, |number, digit| number * 10 + u16::from(**digit - b'0'));
        let line_bytes = STATUS_END + 1 + scan::text_bytes(reason, b' ');
        if line_bytes > limits.start_line_bytes_max || !scan::ends_line(buf, line_bytes) {
            return None;
        }
        self.reason = Span { start: STATUS_END as u32 + 1, end: line_bytes as u32 };
        let mut facts = Facts::default();
        self.head_bytes = scan::fields(buf, line_bytes + 2, limits, &mut self.headers, &mut facts)?;
        self.frame(request_method, &facts).ok()
    }

    /// Reads a head in any form, or says what is wrong with it.
    #[inline(never)]
    pub(crate) fn parse_any(
        &mut self,
        buf: &[u8],
        request_method: Method,
        limits: &HeadLimits,
    ) -> Result<Progress, ResponseError> {
        if let [b'\r' | b'\n', ..] = buf {
            // httparse would skip empty lines; nothing allows them before a status line.
            return Err(ResponseError::Malformed);
        }
        if limits.header_count_max <= SLOTS {
            let mut slots = [const { MaybeUninit::uninit() }; SLOTS];
            self.parse_into(buf, request_method, limits, &mut slots[..limits.header_count_max])
        } else {
            self.parse_wide(buf, request_method, limits)
        }
    }

    #[inline(never)]
    fn parse_wide(
        &mut self,
        buf: &[u8],
        request_method: Method,
        limits: &HeadLimits,
    ) -> Result<Progress, ResponseError> {
        let mut slots = [const { MaybeUninit::uninit() }; HeadLimits::HEADER_COUNT_CEILING];
        let count_max = limits.header_count_max.min(HeadLimits::HEADER_COUNT_CEILING);
        self.parse_into(buf, request_method, limits, &mut slots[..count_max])
    }

    fn parse_into<'b>(
        &mut self,
        buf: &'b [u8],
        request_method: Method,
        limits: &HeadLimits,
        slots: &mut [MaybeUninit<httparse::Header<'b>>],
    ) -> Result<Progress, ResponseError> {
        let mut raw = httparse::Response::new(&mut []);
        // Defaults: no obs-fold, no space before a colon, no more than one space in the status line.
        let config = httparse::ParserConfig::default();
        match config.parse_response_with_uninit_headers(&mut raw, buf, slots) {
            Ok(httparse::Status::Complete(head_bytes)) => {
                self.head_bytes = head_bytes;
                self.take(buf, request_method, limits, &raw)?;
                Ok(Progress::Complete)
            }
            Ok(httparse::Status::Partial) => {
                limits.check_partial(buf)?;
                Ok(Progress::Partial)
            }
            Err(refusal) => Err(diagnose(buf, limits, refusal).into()),
        }
    }

    /// Takes over what httparse found in a complete head and checks what it doesn't.
    fn take(
        &mut self,
        buf: &[u8],
        request_method: Method,
        limits: &HeadLimits,
        raw: &httparse::Response<'_, '_>,
    ) -> Result<(), ResponseError> {
        let (Some(status), Some(minor)) = (raw.code, raw.version) else {
            return Err(ResponseError::Malformed);
        };
        let status_line_end = check_lines(buf, 0, self.head_bytes, raw.headers, limits)?;
        if !(100..600).contains(&status) {
            return Err(ResponseError::InvalidStatus);
        }
        self.status = status;
        self.version = if minor == 0 { Version::Http10 } else { Version::Http11 };
        // httparse drops a reason with obs-text. The space before it may be missing together with it.
        let reason_start = (STATUS_END + 1).min(status_line_end);
        self.reason = Span::within(buf, &buf[reason_start..status_line_end]);
        let facts = Facts::collect(buf, raw.headers, &mut self.headers)?;
        self.frame(request_method, &facts)
    }

    /// Body length and connection: what comes after this head.
    fn frame(&mut self, request_method: Method, facts: &Facts) -> Result<(), ResponseError> {
        self.framing = frame(self.status, request_method, facts.declared(self.version)?)?;
        self.keep_alive = facts.persists(self.version) && self.framing != ResponseFraming::UntilClose;
        Ok(())
    }
}

/// RFC 9112 6.3, in its order. `Content-Length: 0` on 204 is wrong but harmless, and common.
fn frame(status: u16, request_method: Method, declared: Declared) -> Result<ResponseFraming, ResponseError> {
    match (status, declared) {
        (100..200 | 204, Declared::Nothing | Declared::Length(0)) => Ok(ResponseFraming::None),
        (100..200 | 204, Declared::Length(_) | Declared::Chunked) => Err(ResponseError::BodyNotAllowed),
        (304, _) => Ok(ResponseFraming::None),
        _ if request_method == Method::Head => Ok(ResponseFraming::None),
        (_, Declared::Chunked) => Ok(ResponseFraming::Chunked),
        (_, Declared::Length(length)) => Ok(ResponseFraming::Length(length)),
        (_, Declared::Nothing) => Ok(ResponseFraming::UntilClose),
    }
}
