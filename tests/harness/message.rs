//! HTTP/1.1 messages as the tests write and read them: a strict reader of its own, so that the gateway's
//! parser and the tests can't agree on one mistake.

use std::io::{Error, ErrorKind, Read, Result};

/// Header or trailer fields in the order in which they came, names as they were written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields(pub Vec<(String, String)>);

impl Fields {
    /// The one value of `name`; `None` without the field.
    ///
    /// # Panics
    /// When the field came more than once.
    #[must_use]
    pub fn one(&self, name: &str) -> Option<&str> {
        let values = self.all(name);
        assert!(values.len() <= 1, "{name} came {} times: {self:?}", values.len());
        values.first().copied()
    }

    /// Every value of `name`, whatever its case.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<&str> {
        let same = |field: &&(String, String)| field.0.eq_ignore_ascii_case(name);
        self.0.iter().filter(same).map(|(_, value)| value.as_str()).collect()
    }

    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        !self.all(name).is_empty()
    }
}

/// A start line and fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub start_line: String,
    pub headers: Fields,
}

/// What a body's end is known by (RFC 9112, 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLength {
    Bytes(u64),
    Chunked,
    UntilClose,
}

/// Reads messages off a stream; keeps what came early for the next one.
#[derive(Debug)]
pub struct Reader<R> {
    stream: R,
    buffer: Vec<u8>,
    consumed: usize,
}

impl<R: Read> Reader<R> {
    pub const fn new(stream: R) -> Self {
        Self { stream, buffer: Vec::new(), consumed: 0 }
    }

    /// Reads a head; `None` when the stream ends before its first byte.
    ///
    /// # Errors
    /// The stream's own, `UnexpectedEof` inside of a head, `InvalidData` for what RFC 9112 forbids.
    pub fn head(&mut self) -> Result<Option<Head>> {
        if self.peek()?.is_none() {
            return Ok(None);
        }
        let start_line = self.line()?;
        Ok(Some(Head { start_line, headers: self.fields()? }))
    }

    /// Reads a whole body, and its trailers.
    ///
    /// # Errors
    /// As [`Self::head`].
    pub fn body(&mut self, length: BodyLength) -> Result<(Vec<u8>, Fields)> {
        let mut body = Vec::new();
        let trailers = self.body_into(length, |bytes| body.extend_from_slice(bytes))?;
        Ok((body, trailers))
    }

    /// Reads a body piece by piece, never holding more than a piece; returns the trailers.
    ///
    /// # Errors
    /// As [`Self::head`].
    pub fn body_into(&mut self, length: BodyLength, mut take: impl FnMut(&[u8])) -> Result<Fields> {
        match length {
            BodyLength::Bytes(count) => self.exactly(count, &mut take)?,
            BodyLength::UntilClose => while self.some(u64::MAX, &mut take)? > 0 {},
            BodyLength::Chunked => loop {
                let size = self.chunk_size()?;
                if size == 0 {
                    return self.fields();
                }
                self.exactly(size, &mut take)?;
                if !self.line()?.is_empty() {
                    return Err(invalid("a chunk is longer than its size says"));
                }
            },
        }
        Ok(Fields::default())
    }

    /// The next byte, without taking it; `None` at the stream's end.
    ///
    /// # Errors
    /// The stream's own.
    pub fn peek(&mut self) -> Result<Option<u8>> {
        if self.consumed == self.buffer.len() && self.fill()? == 0 {
            return Ok(None);
        }
        Ok(Some(self.buffer[self.consumed]))
    }

    fn chunk_size(&mut self) -> Result<u64> {
        let line = self.line()?;
        let digits = line.split(';').next().unwrap_or_default();
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(invalid(&format!("chunk size '{line}'")));
        }
        u64::from_str_radix(digits, 16).map_err(|_| invalid(&format!("chunk size '{line}'")))
    }

    fn fields(&mut self) -> Result<Fields> {
        let mut fields = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(Fields(fields));
            }
            let (name, value) = line.split_once(':').ok_or_else(|| invalid(&format!("field '{line}'")))?;
            if name.is_empty() || !name.bytes().all(is_token_byte) {
                return Err(invalid(&format!("field name '{name}'")));
            }
            fields.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
        }
    }

    /// A line without its CRLF; bare CR or LF is an error.
    fn line(&mut self) -> Result<String> {
        let mut line = Vec::new();
        loop {
            let byte = self.byte()?;
            match (line.last(), byte) {
                (Some(b'\r'), b'\n') => {
                    line.pop();
                    return Ok(text(line));
                }
                (Some(b'\r'), _) | (_, b'\n') => return Err(invalid("a bare CR or LF")),
                (_, 0 | 0x7f) => return Err(invalid("NUL or DEL in a line")),
                _ => line.push(byte),
            }
        }
    }

    fn byte(&mut self) -> Result<u8> {
        let byte = self.peek()?.ok_or_else(|| Error::from(ErrorKind::UnexpectedEof))?;
        self.consumed += 1;
        Ok(byte)
    }

    fn exactly(&mut self, mut count: u64, take: &mut impl FnMut(&[u8])) -> Result<()> {
        while count > 0 {
            let taken = self.some(count, take)?;
            if taken == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            count -= taken;
        }
        Ok(())
    }

    /// Takes what is at hand, `at_most` bytes; 0 at the stream's end.
    fn some(&mut self, at_most: u64, take: &mut impl FnMut(&[u8])) -> Result<u64> {
        if self.peek()?.is_none() {
            return Ok(0);
        }
        let at_hand = &self.buffer[self.consumed..];
        let length = at_hand.len().min(usize::try_from(at_most).unwrap_or(usize::MAX));
        take(&at_hand[..length]);
        self.consumed += length;
        Ok(length as u64)
    }

    fn fill(&mut self) -> Result<usize> {
        self.buffer.resize(64 * 1024, 0);
        self.consumed = 0;
        let result = loop {
            match self.stream.read(&mut self.buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => break result,
            }
        };
        self.buffer.truncate(*result.as_ref().unwrap_or(&0));
        result
    }
}

/// UTF-8 where it is, else what RFC 9110, 5.5 calls obs-text, read as ISO 8859-1.
fn text(line: Vec<u8>) -> String {
    String::from_utf8(line).unwrap_or_else(|error| error.into_bytes().into_iter().map(char::from).collect())
}

/// The error for a message that breaks RFC 9112.
pub(crate) fn invalid(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, what)
}

/// RFC 9110, 5.6.2.
const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_two_messages_off_one_stream() {
        let bytes = b"A\r\nX: 1\r\n\r\n2;e=1\r\nab\r\n0\r\nT: 9\r\n\r\nB\r\n\r\nrest";
        let mut reader = Reader::new(&bytes[..]);
        let head = reader.head().unwrap().unwrap();
        assert_eq!((head.start_line.as_str(), head.headers.one("x")), ("A", Some("1")));
        let (body, trailers) = reader.body(BodyLength::Chunked).unwrap();
        assert_eq!((body.as_slice(), trailers.one("t")), (&b"ab"[..], Some("9")));
        assert_eq!(reader.head().unwrap().unwrap().start_line, "B");
        assert_eq!(reader.body(BodyLength::UntilClose).unwrap().0, b"rest");
        assert_eq!(reader.head().unwrap(), None);
    }

    #[test]
    fn refuses_what_the_gateway_must_never_send() {
        for bytes in ["A\n\r\n", "A\r\nX : 1\r\n\r\n", "A\r\n: 1\r\n\r\n", "A\r\nX\r\n\r\n", "A\rB\r\n\r\n"] {
            let error = Reader::new(bytes.as_bytes()).head().expect_err(bytes);
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{bytes:?}");
        }
        for bytes in ["0x2\r\nab\r\n0\r\n\r\n", "2\r\nabc\r\n0\r\n\r\n", "\r\n", "-1\r\n"] {
            let error = Reader::new(bytes.as_bytes()).body(BodyLength::Chunked).expect_err(bytes);
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{bytes:?}");
        }
        let error = Reader::new(&b"ab"[..]).body(BodyLength::Bytes(3)).expect_err("too short");
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    }
}
