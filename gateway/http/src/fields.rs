//! One pass over a parsed head's header lines: line ends, spans, and what framing and connection handling need.
//!
//! httparse has checked names and values (no CTL but HTAB, no CR that isn't followed by LF) but takes a bare LF
//! for a line's end. Since no LF can stand anywhere else, looking at the two bytes before each line is enough to
//! refuse it, without another pass over the bytes.

use crate::Version;
use crate::error::HeadFault;
use crate::grammar::{is_token, parse_decimal, trim_ows};
use crate::limits::HeadLimits;
use crate::name::HeaderName;
use crate::span::Span;

/// One header line of a head, in the order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub name: HeaderName,
    /// As the peer spelled it.
    pub name_span: Span,
    /// Without the whitespace around it; possibly empty.
    pub value_span: Span,
    /// Meant for this connection only: not to be forwarded. The fields of [`HeaderName::is_hop_by_hop`] and
    /// those that `Connection` names.
    pub hop_by_hop: bool,
}

/// Options in all `Connection` lines of a head; real messages have one to three. Bounds the search for what
/// they name.
const CONNECTION_OPTIONS_MAX: usize = 32;

/// What the header lines say about the message as a whole.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) host: Option<Span>,
    pub(crate) host_repeated: bool,
    pub(crate) upgrade: Option<Span>,
    pub(crate) expect_continue: bool,
    pub(crate) expect_unknown: bool,
    pub(crate) framing_lookalike: bool,
    content_length: Option<u64>,
    chunked: bool,
    options: usize,
    close: bool,
    keep_alive: bool,
    upgrade_option: bool,
    nominates: bool,
}

/// A body's extent as the header lines declare it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Declared {
    Nothing,
    Length(u64),
    Chunked,
}

/// Checks line ends and limits of the complete head `buf[start..end]`; returns where its start line ends.
pub(crate) fn check_lines(
    buf: &[u8],
    start: usize,
    end: usize,
    raw: &[httparse::Header<'_>],
    limits: &HeadLimits,
) -> Result<usize, HeadFault> {
    let headers_end = end - 2;
    let mut line_ends = raw.iter().map(|field| Span::within(buf, field.name.as_bytes()).start as usize);
    let headers_start = line_ends.next().unwrap_or(headers_end);
    if headers_start - 2 - start > limits.start_line_bytes_max {
        return Err(HeadFault::StartLineTooLong);
    }
    if headers_end - headers_start > limits.header_bytes_max {
        return Err(HeadFault::FieldsTooLarge);
    }
    let mut strict = ends_line(buf, headers_start) && ends_line(buf, headers_end) && ends_line(buf, end);
    for line_end in line_ends {
        strict &= ends_line(buf, line_end);
    }
    if strict { Ok(headers_start - 2) } else { Err(HeadFault::BareLf) }
}

fn ends_line(buf: &[u8], at: usize) -> bool {
    buf[at - 2..at] == *b"\r\n"
}

impl Facts {
    /// Fills `headers` from the parser's lines.
    pub(crate) fn collect(
        buf: &[u8],
        raw: &[httparse::Header<'_>],
        headers: &mut Vec<Header>,
    ) -> Result<Self, HeadFault> {
        let mut facts = Self::default();
        headers.clear();
        for field in raw {
            let name = HeaderName::classify(field.name.as_bytes());
            let value_span = Span::within(buf, field.value);
            facts.note(name, field.value, value_span)?;
            let name_span = Span::within(buf, field.name.as_bytes());
            headers.push(Header { name, name_span, value_span, hop_by_hop: name.is_hop_by_hop() });
        }
        facts.mark_nominated(buf, headers);
        Ok(facts)
    }

    /// The fields that `Connection` names are hop-by-hop as well.
    #[inline]
    pub(crate) fn mark_nominated(&self, buf: &[u8], headers: &mut [Header]) {
        if self.nominates {
            mark_nominated(buf, headers);
        }
    }

    /// How the body is delimited by what was declared (RFC 9112 6.1 to 6.3).
    pub(crate) fn declared(&self, version: Version) -> Result<Declared, HeadFault> {
        match (self.chunked, self.content_length) {
            (true, _) if version == Version::Http10 => Err(HeadFault::TransferEncodingInHttp10),
            (true, Some(_)) => Err(HeadFault::LengthWithTransferCoding),
            (true, None) => Ok(Declared::Chunked),
            (false, Some(length)) => Ok(Declared::Length(length)),
            (false, None) => Ok(Declared::Nothing),
        }
    }

    /// Whether the connection may carry another message (RFC 9112 9.3); `close` wins over `keep-alive`.
    pub(crate) fn persists(&self, version: Version) -> bool {
        match version {
            Version::Http11 | Version::Http2 => !self.close,
            Version::Http10 => self.keep_alive && !self.close,
        }
    }

    /// The upgrade that is offered: only where `Connection` lists it, and never in HTTP/1.0 (RFC 9110 7.8).
    pub(crate) fn offered_upgrade(&self, version: Version) -> Option<Span> {
        self.upgrade.filter(|_| self.upgrade_option && version == Version::Http11)
    }

    #[inline]
    pub(crate) fn note(&mut self, name: HeaderName, value: &[u8], span: Span) -> Result<(), HeadFault> {
        match name {
            HeaderName::Host => {
                self.host_repeated |= self.host.is_some();
                self.host = Some(span);
            }
            HeaderName::ContentLength => self.note_content_length(value)?,
            HeaderName::TransferEncoding => self.note_transfer_encoding(value)?,
            HeaderName::Connection => self.note_connection(value)?,
            HeaderName::Upgrade => self.upgrade = self.upgrade.or(Some(span)),
            HeaderName::Expect if value.eq_ignore_ascii_case(b"100-continue") => self.expect_continue = true,
            HeaderName::Expect => self.expect_unknown = true,
            HeaderName::FramingLookalike => self.framing_lookalike = true,
            _ => {}
        }
        Ok(())
    }

    /// RFC 9112 6.3 lets a recipient merge equal lengths; a second length is refused here even then.
    fn note_content_length(&mut self, value: &[u8]) -> Result<(), HeadFault> {
        match parse_decimal(value) {
            Some(length) if self.content_length.is_none() => {
                self.content_length = Some(length);
                Ok(())
            }
            None if self.content_length.is_none() && !value.contains(&b',') => {
                Err(HeadFault::InvalidContentLength)
            }
            _ => Err(HeadFault::ConflictingContentLength),
        }
    }

    fn note_transfer_encoding(&mut self, value: &[u8]) -> Result<(), HeadFault> {
        if self.chunked {
            return Err(HeadFault::InvalidTransferCoding);
        }
        if !value.eq_ignore_ascii_case(b"chunked") {
            return Err(refuse_transfer_coding(value));
        }
        self.chunked = true;
        Ok(())
    }

    fn note_connection(&mut self, value: &[u8]) -> Result<(), HeadFault> {
        for option in list(value) {
            self.options += 1;
            if self.options > CONNECTION_OPTIONS_MAX || !is_token(option) {
                return Err(HeadFault::InvalidConnection);
            }
            if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
                continue;
            }
            match HeaderName::classify(option) {
                HeaderName::KeepAlive => self.keep_alive = true,
                HeaderName::Upgrade => self.upgrade_option = true,
                name if name.is_end_to_end() => return Err(HeadFault::ProtectedConnectionOption),
                name => self.nominates |= !name.is_hop_by_hop(),
            }
        }
        Ok(())
    }
}

/// A list's elements, empty ones skipped (RFC 9110 5.6.1.2).
fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(trim_ows).filter(|element| !element.is_empty())
}

/// RFC 9112 6.1 answers 501 to a coding that isn't understood, 6.3 answers 400 where `chunked` isn't the last
/// one; `chunked` twice is as wrong. Without a well-formed list that ends in its only `chunked`, it is 400.
fn refuse_transfer_coding(value: &[u8]) -> HeadFault {
    let is_chunked = |coding: &&[u8]| coding.eq_ignore_ascii_case(b"chunked");
    let well_formed = list(value).all(is_token);
    let ends_chunked = list(value).last().as_ref().is_some_and(is_chunked);
    if well_formed && ends_chunked && list(value).filter(is_chunked).count() == 1 && list(value).count() > 1 {
        HeadFault::UnsupportedTransferCoding
    } else {
        HeadFault::InvalidTransferCoding
    }
}

/// Rare: only for options that name a field which isn't hop-by-hop anyway.
#[cold]
fn mark_nominated(buf: &[u8], headers: &mut [Header]) {
    for index in 0..headers.len() {
        if headers[index].name != HeaderName::Connection {
            continue;
        }
        for option in list(headers[index].value_span.of(buf)) {
            for header in headers.iter_mut() {
                header.hop_by_hop |= header.name_span.of(buf).eq_ignore_ascii_case(option);
            }
        }
    }
}
