//! The chunked transfer coding, read and written: sans-I/O, without allocation on the reading side
//! (RFC 9112, section 7.1). Chunk extensions and trailers are skipped.

use crate::reply::Malformed;

/// Most bytes of a chunk-size line or a trailer line.
const LINE_BYTES_MAX: u16 = 8192;
/// Content bytes in each chunk that is written.
const CHUNK_BYTES: usize = 16 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Size { digits: u8 },
    Extension,
    SizeLf,
    Content,
    ContentCr,
    ContentLf,
    LineStart,
    Trailer,
    TrailerLf,
    EndLf,
}

/// What one call took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub taken: usize,
    /// Content bytes among them.
    pub content: u64,
    /// Whether the body is complete.
    pub done: bool,
}

/// Reads one chunked body.
#[derive(Debug)]
pub struct ChunkedBody {
    state: State,
    left: u64,
    line_bytes: u16,
}

impl ChunkedBody {
    #[expect(clippy::new_without_default, reason = "a body in its first state is no default value")]
    pub fn new() -> Self {
        Self { state: State::Size { digits: 0 }, left: 0, line_bytes: 0 }
    }

    /// Reads on; takes everything unless the body ends first.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Progress, Malformed> {
        self.read_into(bytes, |_| ())
    }

    /// The same, with the content shown to `sink`.
    pub fn read_into(&mut self, bytes: &[u8], mut sink: impl FnMut(&[u8])) -> Result<Progress, Malformed> {
        let mut at = 0;
        let mut content = 0;
        while at < bytes.len() {
            if self.state == State::Content {
                let part = self.left.min((bytes.len() - at) as u64);
                self.left -= part;
                content += part;
                sink(&bytes[at..at + part as usize]);
                at += part as usize;
                if self.left == 0 {
                    self.state = State::ContentCr;
                }
                continue;
            }
            at += 1;
            if self.step(bytes[at - 1])? {
                return Ok(Progress { taken: at, content, done: true });
            }
        }
        Ok(Progress { taken: at, content, done: false })
    }

    /// One byte of framing; true when it was the last.
    fn step(&mut self, byte: u8) -> Result<bool, Malformed> {
        self.state = match (self.state, byte) {
            (State::Size { digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') if digits < 15 => {
                let digit = (byte as char).to_digit(16).unwrap_or_default();
                self.left = self.left * 16 + u64::from(digit);
                State::Size { digits: digits + 1 }
            }
            (State::Size { digits: 1.. }, b'\r') => State::SizeLf,
            (State::Size { digits: 1.. }, b';' | b' ' | b'\t') => State::Extension,
            (State::Size { .. }, _) => return Err(Malformed("a chunk size is not a hexadecimal number")),
            (State::Extension, b'\r') => State::SizeLf,
            (State::Extension, b'\n' | 0) => return Err(Malformed("a chunk extension is broken")),
            (State::Extension, _) => self.line_on(State::Extension)?,
            (State::SizeLf, b'\n') => {
                self.line_bytes = 0;
                if self.left == 0 { State::LineStart } else { State::Content }
            }
            (State::ContentCr, b'\r') => State::ContentLf,
            (State::ContentLf, b'\n') => State::Size { digits: 0 },
            (State::LineStart, b'\r') => State::EndLf,
            (State::Trailer, b'\r') => State::TrailerLf,
            (State::LineStart | State::Trailer, b'\n' | 0) => return Err(Malformed("a trailer is broken")),
            (State::LineStart | State::Trailer, _) => self.line_on(State::Trailer)?,
            (State::TrailerLf, b'\n') => {
                self.line_bytes = 0;
                State::LineStart
            }
            (State::EndLf, b'\n') => return Ok(true),
            _ => return Err(Malformed("a chunk doesn't end with CR LF")),
        };
        Ok(false)
    }

    fn line_on(&mut self, state: State) -> Result<State, Malformed> {
        self.line_bytes += 1;
        if self.line_bytes > LINE_BYTES_MAX {
            return Err(Malformed("a chunk extension or trailer is longer than 8192 bytes"));
        }
        Ok(state)
    }
}

/// `content` as a chunked body, without trailers.
pub fn encode(content: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(content.len() + content.len() / CHUNK_BYTES * 8 + 16);
    for chunk in content.chunks(CHUNK_BYTES) {
        body.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        body.extend_from_slice(chunk);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"0\r\n\r\n");
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_read_back_at_every_split() {
        let content = vec![b'x'; CHUNK_BYTES + 3];
        let encoded = encode(&content);
        for at in (0..40).chain(CHUNK_BYTES..encoded.len()) {
            let mut body = ChunkedBody::new();
            let first = body.read(&encoded[..at]).unwrap();
            assert_eq!((first.taken, first.done), (at, false));
            let second = body.read(&encoded[at..]).unwrap();
            assert_eq!(first.content + second.content, content.len() as u64);
            assert_eq!((second.taken, second.done), (encoded.len() - at, true));
        }
    }

    #[test]
    fn extensions_and_trailers_are_skipped_and_the_rest_is_left() {
        let bytes = b"3;name=\"v\"\r\nabc\r\n0 \r\nDigest: x\r\nB: y\r\n\r\nHTTP";
        let progress = ChunkedBody::new().read(bytes).unwrap();
        assert_eq!(progress, Progress { taken: bytes.len() - 4, content: 3, done: true });
    }

    #[test]
    fn broken_framing_is_refused() {
        for bytes in [
            &b"\r\n"[..],
            b"g\r\n",
            b"-1\r\n",
            b"1\nx",
            b"1\r\nxy\r\n",
            b"1\r\nx\n",
            b"1\r\nx\r\n\r\n",
            b"fffffffffffffffff\r\n",
            b"0\r\n\n",
            b"0\r\nA: b\n\r\n",
            b"1;a\n",
        ] {
            assert!(ChunkedBody::new().read(bytes).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
        let mut endless = b"1;".to_vec();
        endless.resize(LINE_BYTES_MAX as usize + 10, b'e');
        assert!(ChunkedBody::new().read(&endless).is_err());
    }
}
