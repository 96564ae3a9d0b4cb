//! Chunked bodies (RFC 9112 7.1), checked byte by byte while the proxy forwards them unchanged.
//!
//! The decoder keeps counters and the start of one trailer's name, no data. Everything that two parsers are known
//! to read differently is refused: sizes that aren't plain hexadecimal, line ends that aren't CRLF, control
//! characters in extensions, data longer than its size, trailers that would act as headers.

use std::ops::Range;

use crate::error::ChunkError;
use crate::grammar::{hex_digit, is_field_value_byte, is_token_byte};
use crate::limits::ChunkLimits;

/// What one call of [`ChunkedDecoder::step`] has read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Bytes of the input that belong to the body and are valid; 0 only for empty input or after the end.
    pub consumed: usize,
    /// The payload among them, never empty: at most one run, so that a call ends before a second one.
    pub data: Option<Range<usize>>,
    /// Trailer lines among them, or parts of lines, with their CRLFs; without the empty line that ends the body.
    pub trailers: Range<usize>,
    /// The body ended with the last consumed byte, trailers included; what follows is the next message.
    pub done: bool,
}

/// Where a chunked body stands. Starts at the first chunk-size line; one decoder serves one body.
#[derive(Clone, Debug)]
pub struct ChunkedDecoder {
    limits: ChunkLimits,
    state: State,
    /// Of the current chunk: its size while that is read, then the bytes still to come.
    remaining: u64,
    size_digits: usize,
    /// Of the current chunk-size line, without its CRLF.
    line_bytes: usize,
    /// Of all chunk-size lines so far.
    extension_bytes: usize,
    data_bytes: u64,
    trailer_bytes: usize,
    trailer_count: usize,
    trailer_name: TrailerName,
}

/// The place in RFC 9112 7.1's `chunked-body` that the next byte is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size,
    Extension,
    SizeLineFeed,
    Data,
    DataCr,
    DataLineFeed,
    /// At the start of a trailer line, or of the empty line that ends the body.
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLineFeed,
    EndLineFeed,
    Done,
    Failed(ChunkError),
}

/// 64 bits.
const SIZE_DIGITS_MAX: usize = 16;

impl ChunkedDecoder {
    pub fn new(limits: ChunkLimits) -> Self {
        Self {
            limits,
            state: State::Size,
            remaining: 0,
            size_digits: 0,
            line_bytes: 0,
            extension_bytes: 0,
            data_bytes: 0,
            trailer_bytes: 0,
            trailer_count: 0,
            trailer_name: TrailerName::default(),
        }
    }

    /// Reads on from where the last call stopped, through at most one run of payload. Call again with what was
    /// not consumed until the input is used up or the body is done. An error is final.
    pub fn step(&mut self, input: &[u8]) -> Result<Step, ChunkError> {
        let mut consumed = 0;
        let mut data = None;
        let (in_trailers, trailer_bytes) = (self.is_in_trailers(), self.trailer_bytes);
        while let Some(byte) = input.get(consumed) {
            match self.state {
                State::Done => break,
                State::Data if data.is_some() => break,
                State::Data => {
                    let run = self.take_data(input.len() - consumed);
                    data = Some(consumed..consumed + run);
                    consumed += run;
                }
                _ => {
                    self.state = self.next(*byte).inspect_err(|error| self.state = State::Failed(*error))?;
                    consumed += 1;
                }
            }
        }
        let trailer_bytes = self.trailer_bytes - trailer_bytes;
        let trailers_end = if in_trailers { trailer_bytes } else { consumed - self.end_bytes() };
        let trailers = trailers_end - trailer_bytes..trailers_end;
        Ok(Step { consumed, data, trailers, done: self.is_done() })
    }

    /// Like [`Self::step`], through any number of chunks: for bodies that are forwarded as they are. The
    /// result's `data` is the last run only, and `trailers` those of the last run on.
    pub fn step_all(&mut self, input: &[u8]) -> Result<Step, ChunkError> {
        let mut total = Step { consumed: 0, data: None, trailers: 0..0, done: self.is_done() };
        while total.consumed < input.len() && !total.done {
            let step = self.step(&input[total.consumed..])?;
            total.data = step.data.map(|run| run.start + total.consumed..run.end + total.consumed);
            total.trailers = step.trailers.start + total.consumed..step.trailers.end + total.consumed;
            total.consumed += step.consumed;
            total.done = step.done;
        }
        Ok(total)
    }

    /// The whole body has been read.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Payload so far, without framing and trailers.
    pub fn data_bytes(&self) -> u64 {
        self.data_bytes
    }

    /// The last chunk has been read.
    fn is_in_trailers(&self) -> bool {
        matches!(
            self.state,
            State::TrailerStart
                | State::TrailerName
                | State::TrailerValue
                | State::TrailerLineFeed
                | State::EndLineFeed
                | State::Done
        )
    }

    /// Of the empty line that ends the body, as far as it has been read.
    fn end_bytes(&self) -> usize {
        match self.state {
            State::EndLineFeed => 1,
            State::Done => 2,
            _ => 0,
        }
    }

    fn take_data(&mut self, available: usize) -> usize {
        let run = usize::try_from(self.remaining).map_or(available, |remaining| remaining.min(available));
        self.remaining -= run as u64;
        self.data_bytes += run as u64;
        if self.remaining == 0 {
            self.state = State::DataCr;
        }
        run
    }

    fn next(&mut self, byte: u8) -> Result<State, ChunkError> {
        match self.state {
            State::Size => self.size_byte(byte),
            State::Extension => self.extension_byte(byte),
            State::SizeLineFeed if byte == b'\n' => Ok(self.after_size_line()),
            State::DataCr if byte == b'\r' => Ok(State::DataLineFeed),
            State::DataCr => Err(ChunkError::MissingDataEnd),
            State::DataLineFeed if byte == b'\n' => Ok(self.start_size_line()),
            State::TrailerStart => self.trailer_start_byte(byte),
            State::TrailerName => self.trailer_name_byte(byte),
            State::TrailerValue => self.trailer_value_byte(byte),
            State::TrailerLineFeed if byte == b'\n' => self.count_trailer_byte(State::TrailerStart),
            State::EndLineFeed if byte == b'\n' => Ok(State::Done),
            State::SizeLineFeed | State::DataLineFeed | State::TrailerLineFeed | State::EndLineFeed => {
                Err(ChunkError::BareCr)
            }
            State::Failed(error) => Err(error),
            State::Data | State::Done => Ok(self.state),
        }
    }

    fn start_size_line(&mut self) -> State {
        self.size_digits = 0;
        self.line_bytes = 0;
        State::Size
    }

    fn after_size_line(&mut self) -> State {
        if self.remaining == 0 { State::TrailerStart } else { State::Data }
    }

    /// Sixteen digits can't overflow 64 bits, zeros in front count as digits.
    fn size_byte(&mut self, byte: u8) -> Result<State, ChunkError> {
        match (byte, hex_digit(byte)) {
            (_, Some(digit)) if self.size_digits < SIZE_DIGITS_MAX => {
                self.size_digits += 1;
                self.remaining = self.remaining << 4 | u64::from(digit);
                self.count_line_byte(State::Size)
            }
            (b'\r', _) if self.size_digits > 0 => Ok(State::SizeLineFeed),
            (b';', _) if self.size_digits > 0 => self.count_extension_byte(),
            (b'\n', _) => Err(ChunkError::BareLf),
            _ => Err(ChunkError::InvalidSize),
        }
    }

    fn extension_byte(&mut self, byte: u8) -> Result<State, ChunkError> {
        match byte {
            b'\r' => Ok(State::SizeLineFeed),
            b'\n' => Err(ChunkError::BareLf),
            b'\t' | b' '..=b'~' => self.count_extension_byte(),
            _ => Err(ChunkError::InvalidExtension),
        }
    }

    fn count_extension_byte(&mut self) -> Result<State, ChunkError> {
        self.extension_bytes += 1;
        if self.extension_bytes > self.limits.chunk_extension_bytes_max {
            return Err(ChunkError::ExtensionsTooLarge);
        }
        self.count_line_byte(State::Extension)
    }

    fn count_line_byte(&mut self, next: State) -> Result<State, ChunkError> {
        self.line_bytes += 1;
        if self.line_bytes > self.limits.chunk_line_bytes_max {
            Err(ChunkError::LineTooLong)
        } else {
            Ok(next)
        }
    }

    fn trailer_start_byte(&mut self, byte: u8) -> Result<State, ChunkError> {
        match byte {
            b'\r' => Ok(State::EndLineFeed),
            b'\n' => Err(ChunkError::BareLf),
            _ if self.trailer_count == self.limits.trailer_count_max => Err(ChunkError::TrailersTooLarge),
            _ => {
                self.trailer_count += 1;
                self.trailer_name = TrailerName::default();
                self.trailer_name_byte(byte)
            }
        }
    }

    fn trailer_name_byte(&mut self, byte: u8) -> Result<State, ChunkError> {
        match byte {
            b':' if self.trailer_name.len == 0 => Err(ChunkError::InvalidTrailer),
            b':' if self.trailer_name.is_forbidden() => Err(ChunkError::ForbiddenTrailer),
            b':' => self.count_trailer_byte(State::TrailerValue),
            _ if is_token_byte(byte) => {
                self.trailer_name.push(byte);
                self.count_trailer_byte(State::TrailerName)
            }
            _ => Err(ChunkError::InvalidTrailer),
        }
    }

    fn trailer_value_byte(&mut self, byte: u8) -> Result<State, ChunkError> {
        match byte {
            b'\r' => self.count_trailer_byte(State::TrailerLineFeed),
            b'\n' => Err(ChunkError::BareLf),
            _ if is_field_value_byte(byte) => self.count_trailer_byte(State::TrailerValue),
            _ => Err(ChunkError::InvalidTrailer),
        }
    }

    fn count_trailer_byte(&mut self, next: State) -> Result<State, ChunkError> {
        self.trailer_bytes += 1;
        if self.trailer_bytes > self.limits.trailer_bytes_max {
            Err(ChunkError::TrailersTooLarge)
        } else {
            Ok(next)
        }
    }
}

/// Whether a field may not stand in trailers; `name` in any case.
pub fn is_forbidden_trailer(name: &[u8]) -> bool {
    let mut kept = TrailerName::default();
    name.iter().for_each(|byte| kept.push(*byte));
    kept.is_forbidden()
}

/// A trailer's name as far as it is needed to tell the forbidden ones.
#[derive(Clone, Copy, Debug, Default)]
struct TrailerName {
    bytes: [u8; Self::KEPT_BYTES],
    /// Of the whole name, kept or not.
    len: usize,
}

impl TrailerName {
    /// No shorter than the longest forbidden name and the longest forbidden beginning.
    const KEPT_BYTES: usize = 32;

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.len) {
            // A reader that came from CGI can't tell both apart.
            *place = if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
        }
        self.len += 1;
    }

    fn is_forbidden(&self) -> bool {
        let kept = &self.bytes[..self.len.min(Self::KEPT_BYTES)];
        FORBIDDEN_BEGINNINGS.iter().any(|beginning| kept.starts_with(beginning.as_bytes()))
            || (self.len <= Self::KEPT_BYTES && FORBIDDEN_TRAILERS.iter().any(|name| kept == name.as_bytes()))
    }
}

/// Families of request modifiers, payload descriptions, proxy and gateway fields.
const FORBIDDEN_BEGINNINGS: [&str; 8] =
    ["access-control-", "content-", "if-", "proxy-", "sec-", "x-amz-", "x-amzn-", "x-forwarded-"];

/// RFC 9110 6.5.1: nothing that a recipient needs before the body, decides by, or frames with, since a
/// recipient may merge trailers into the headers that were already checked.
const FORBIDDEN_TRAILERS: [&str; 32] = [
    "age",
    "authorization",
    "cache-control",
    "connection",
    "cookie",
    "date",
    "expect",
    "expires",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "location",
    "max-forwards",
    "origin",
    "pragma",
    "range",
    "retry-after",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
    "via",
    "warning",
    "www-authenticate",
    "x-api-key",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-real-ip",
];
