//! What becomes of an answer of a route that compresses: by its head and its client's, before a byte of the body is looked
//! at.

use turnpike_coding::{ContentCoding, choose, forbids_transforming, is_transformable, varies_by_coding};
use turnpike_http::{Header, HeaderName, Method, ResponseFraming, ResponseHead, encode};

use super::super::Exchange;
use crate::compression::LentEncoder;

/// What is done with an answer.
#[derive(Debug)]
pub(in crate::pipeline) enum Planned<'s> {
    /// It is compressed, or may turn out to be.
    Compressed(Plan, LentEncoder<'s>),
    /// Its body stays as it is.
    Plain(Edits),
}

/// What may be done with an answer.
#[derive(Debug, Clone, Copy)]
pub(in crate::pipeline) struct Plan {
    pub(super) bytes_min: u64,
    /// What the client takes.
    coding: Option<ContentCoding>,
    /// `Vary` doesn't say so yet.
    adds_vary: bool,
}

/// What is different in a head from how it came.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::pipeline) struct Edits {
    adds_vary: bool,
    /// The entity tag doesn't stand for the same bytes.
    weakens: bool,
    /// The body is in it, or would be.
    coding: Option<ContentCoding>,
    /// The length that came isn't the body's.
    pub(in crate::pipeline) replaces_length: bool,
    length: Option<u64>,
}

impl Plan {
    /// `None` where the answer stays as it is, for every client.
    pub(super) fn of(
        exchange: &Exchange<'_>,
        bytes_min: u32,
        head: &ResponseHead,
        input: &[u8],
    ) -> Option<Self> {
        let lines = || head.headers.iter().map(|line| (line.name_span.of(input), line.value_span.of(input)));
        let whole = head.status >= 200 && !matches!(head.status, 204 | 206);
        if !whole || !is_transformable(lines(), &exchange.shard.settings.compression_excluded_types) {
            return None;
        }
        if exchange.field(b"cache-control").any(forbids_transforming) {
            return None;
        }
        let varies =
            lines().any(|(name, value)| name.eq_ignore_ascii_case(b"vary") && varies_by_coding(value));
        Some(Self {
            bytes_min: bytes_min.into(),
            coding: choose(exchange.field(b"accept-encoding")),
            adds_vary: !varies,
        })
    }

    /// What the head of an answer gets that has no body, or whose body isn't compressed.
    pub(super) fn edits(&self, method: Method, head: &ResponseHead, input: &[u8]) -> Edits {
        let plain = Edits { adds_vary: self.adds_vary, ..Edits::default() };
        if head.status == 304 {
            // What the client has may be either form: a weak tag is right for both (RFC 9110 8.8.3.2), and no length is
            // (8.6).
            let may_be_coded = self.coding.is_some();
            return Edits { weakens: may_be_coded, replaces_length: may_be_coded, ..plain };
        }
        let length = match head.framing {
            ResponseFraming::Length(length) => Some(length),
            ResponseFraming::None => announced(head, input),
            ResponseFraming::Chunked | ResponseFraming::UntilClose => None,
        };
        // RFC 9110 9.3.2: what GET would bring, as far as that is known without doing it.
        match length {
            Some(length) if method == Method::Head && self.compresses(length) => {
                Edits { replaces_length: true, ..self.coded(None) }
            }
            _ => plain,
        }
    }

    fn compresses(&self, length: u64) -> bool {
        self.coding.is_some() && length > 0 && length >= self.bytes_min
    }

    pub(super) fn coded(&self, length: Option<u64>) -> Edits {
        let (adds_vary, coding) = (self.adds_vary, self.coding);
        Edits { adds_vary, weakens: true, coding, replaces_length: true, length }
    }

    /// What the head of a body gets that isn't compressed after all, and framed anew.
    pub(super) fn reframed(&self, length: Option<u64>) -> Edits {
        Edits { adds_vary: self.adds_vary, replaces_length: true, length, ..Edits::default() }
    }

    /// A compressor, if the body is to be compressed, or may turn out to be.
    pub(super) fn encoder<'s>(
        &self,
        exchange: &'s Exchange<'_>,
        head: &ResponseHead,
    ) -> Option<LentEncoder<'s>> {
        let has_body = match head.framing {
            ResponseFraming::None => false,
            ResponseFraming::Length(length) => self.compresses(length),
            ResponseFraming::Chunked | ResponseFraming::UntilClose => true,
        };
        let coding = self.coding.filter(|_| has_body && exchange.head.method != Method::Head)?;
        let shard = exchange.shard;
        let encoder = shard.compression.encoder(coding, &shard.settings);
        if encoder.is_none() {
            shard.stats.borrow_mut().counters.compressions_crowded_total += 1;
        }
        encoder
    }
}

/// The length of a body that isn't there.
fn announced(head: &ResponseHead, input: &[u8]) -> Option<u64> {
    let length = head.headers.iter().find(|line| line.name == HeaderName::ContentLength)?;
    std::str::from_utf8(length.value_span.of(input)).ok()?.parse().ok()
}

impl Edits {
    pub(in crate::pipeline) fn are_none(&self) -> bool {
        !self.adds_vary && !self.weakens && !self.replaces_length
    }

    /// Whether a line isn't the same any more.
    pub(in crate::pipeline) fn drop(&self, line: &Header, input: &[u8]) -> bool {
        let is = |known: &str| line.name_span.of(input).eq_ignore_ascii_case(known.as_bytes());
        self.weakens && is("etag") || self.coding.is_some() && is("accept-ranges")
    }

    /// Appends what is new, or different.
    pub(in crate::pipeline) fn encode(&self, head: &ResponseHead, input: &[u8], out: &mut Vec<u8>) {
        if self.weakens {
            let is_tag = |line: &&Header| line.name_span.of(input).eq_ignore_ascii_case(b"etag");
            for tag in head.headers.iter().filter(is_tag) {
                encode_weak_tag(tag.value_span.of(input), out);
            }
        }
        if let Some(coding) = self.coding {
            encode::header(out, "Content-Encoding", coding.name().as_bytes());
        }
        if let Some(length) = self.length {
            out.extend_from_slice(b"Content-Length: ");
            encode::decimal(out, length);
            out.extend_from_slice(b"\r\n");
        }
        if self.adds_vary {
            encode::header(out, "Vary", b"Accept-Encoding");
        }
    }
}

fn encode_weak_tag(tag: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(if tag.starts_with(b"W/") { b"ETag: " } else { b"ETag: W/" });
    out.extend_from_slice(tag);
    out.extend_from_slice(b"\r\n");
}

impl<'a> Exchange<'a> {
    /// The values of a field, whose name is in lower case.
    pub(in crate::pipeline) fn field(&self, name: &'static [u8]) -> impl Iterator<Item = &'a [u8]> {
        let (head, bytes) = (self.head, self.bytes);
        let named =
            head.headers.iter().filter(move |line| line.name_span.of(bytes).eq_ignore_ascii_case(name));
        named.map(|line| line.value_span.of(bytes))
    }
}
