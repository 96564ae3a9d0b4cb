//! Reads HTTP/1.1 replies: sans-I/O, incremental, without allocation (RFC 9112).
//!
//! Strict on purpose: a reply that a careful client would distrust is malformed, with the reason. Bytes may be
//! split anywhere. Invariant: a reply is only complete when its framing says so.

use std::fmt;

use crate::chunked::{ChunkedBody, Progress};
use crate::failure::Failure;
use crate::source::{Field, Keep, Kept};

/// The malformed head of a server that sends too much of it.
pub(crate) const LARGE_HEAD: Malformed =
    Malformed("the reply's head is larger than the limit head_bytes_max (see --limit)");
const NO_STATUS_LINE: Malformed = Malformed("the reply doesn't begin with an HTTP/1 status line");
const LONE_LINE_END: Malformed = Malformed("the reply's head has a CR or LF on its own");
/// What is accepted of a reply's head unless the limit head_bytes_max says something else.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;

/// A complete reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// 200 to 999; interim replies are skipped.
    pub status: u16,
    /// The content's length, chunk framing not included.
    pub body_bytes: u64,
    /// Whether the connection can carry another request.
    pub reusable: bool,
}

/// Why a reply can't be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[derive(Debug)]
enum State {
    Head,
    Length { left: u64 },
    Chunked(ChunkedBody),
    UntilClose,
}

/// Reads one reply at a time.
#[derive(Debug)]
pub struct ReplyReader {
    state: State,
    head_request: bool,
    head_bytes_max: usize,
    reply: Reply,
    keep: Keep,
    kept: Kept,
}

impl ReplyReader {
    /// `head_request` when the request's method is HEAD: its reply has no body, whatever its fields say.
    pub fn new(head_request: bool) -> Self {
        Self::keeping(head_request, Keep::default(), HEAD_BYTES_MAX)
    }

    /// The same, for a reply of which more than its length matters, with a head of so many bytes at most.
    pub fn keeping(head_request: bool, keep: Keep, head_bytes_max: usize) -> Self {
        let reply = Reply { status: 0, body_bytes: 0, reusable: false };
        Self { state: State::Head, head_request, head_bytes_max, reply, keep, kept: Kept::default() }
    }

    /// What was to be kept of the reply.
    pub fn into_kept(self) -> Kept {
        self.kept
    }

    /// Reads on: how many bytes it took, and the reply once it is complete. What it did not take is to be passed
    /// again, with more behind it.
    pub fn read(&mut self, bytes: &[u8]) -> Result<(usize, Option<Reply>), Malformed> {
        let mut taken = 0;
        loop {
            let rest = &bytes[taken..];
            match &mut self.state {
                State::Head => {
                    let Some(head_len) = memchr::memmem::find(rest, b"\r\n\r\n").map(|at| at + 4) else {
                        check_beginning(rest)?;
                        if rest.len() >= self.head_bytes_max {
                            return Err(LARGE_HEAD);
                        }
                        return Ok((taken, None));
                    };
                    if head_len > self.head_bytes_max {
                        return Err(LARGE_HEAD);
                    }
                    let head = Head::parse(&rest[..head_len])?;
                    if self.keep.head && head.status >= 200 {
                        self.kept.fields = head_fields(&rest[..head_len])?;
                    }
                    taken += head_len;
                    if head.status >= 200 && self.begin_body(&head)? {
                        return Ok((taken, Some(self.finish())));
                    }
                }
                State::Length { left } => {
                    let part = (rest.len() as u64).min(*left);
                    *left -= part;
                    self.reply.body_bytes += part;
                    self.kept.push_body(&rest[..part as usize], self.keep);
                    taken += part as usize;
                    let done = *left == 0;
                    return Ok((taken, done.then(|| self.finish())));
                }
                State::Chunked(body) => {
                    let (kept, keep) = (&mut self.kept, self.keep);
                    let Progress { taken: part, content, done } =
                        body.read_into(rest, |part| kept.push_body(part, keep))?;
                    self.reply.body_bytes += content;
                    taken += part;
                    return Ok((taken, done.then(|| self.finish())));
                }
                State::UntilClose => {
                    self.reply.body_bytes += rest.len() as u64;
                    self.kept.push_body(rest, self.keep);
                    return Ok((bytes.len(), None));
                }
            }
        }
    }

    /// The server closed: the reply, if closing is what ends it.
    pub fn close(&mut self) -> Option<Reply> {
        matches!(self.state, State::UntilClose).then(|| self.finish())
    }

    /// Why a reply that the end of the connection doesn't complete has failed.
    pub fn cut_short(&self) -> Failure {
        match self.state {
            State::Head => Failure::ClosedEarly,
            State::Length { .. } | State::Chunked(_) | State::UntilClose => Failure::ShortBody,
        }
    }

    /// Chooses the body's framing (RFC 9112, section 6.3); true when there is no body.
    fn begin_body(&mut self, head: &Head) -> Result<bool, Malformed> {
        self.reply = Reply { status: head.status, body_bytes: 0, reusable: head.keep_alive };
        if head.chunked && head.length.is_some() {
            return Err(Malformed("the reply has both Content-Length and Transfer-Encoding"));
        }
        if head.status == 204 && (head.chunked || head.length.is_some_and(|length| length > 0)) {
            return Err(Malformed("a 204 reply announces a body"));
        }
        if self.head_request || matches!(head.status, 204 | 304) {
            return Ok(true);
        }
        self.state = match head.length {
            Some(0) => return Ok(true),
            Some(left) => State::Length { left },
            None if head.chunked => State::Chunked(ChunkedBody::new()),
            None => {
                self.reply.reusable = false;
                State::UntilClose
            }
        };
        Ok(false)
    }

    fn finish(&mut self) -> Reply {
        self.state = State::Head;
        self.reply
    }
}

/// What of a head matters here.
struct Head {
    status: u16,
    length: Option<u64>,
    chunked: bool,
    keep_alive: bool,
}

impl Head {
    /// Parses a whole head, the empty line included.
    fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut lines = Lines { rest: &bytes[..bytes.len() - 2] };
        let (status, http_1_1) = parse_status_line(lines.next_line()?)?;
        let mut head = Self { status, length: None, chunked: false, keep_alive: http_1_1 };
        while !lines.rest.is_empty() {
            head.take_field(lines.next_line()?)?;
        }
        if status == 101 {
            return Err(Malformed("the server switched protocols without being asked"));
        }
        Ok(head)
    }

    fn take_field(&mut self, line: &[u8]) -> Result<(), Malformed> {
        let (name, value) = split_field(line)?;
        // A name's length rules nearly every field out before a comparison.
        match name.len() {
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                let length = parse_length(value)?;
                if self.length.replace(length).is_some() {
                    return Err(Malformed("the reply has more than one Content-Length"));
                }
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Malformed("the reply's Transfer-Encoding is not 'chunked'"));
                }
                self.chunked = true;
            }
            10 if name.eq_ignore_ascii_case(b"connection") => {
                for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                    if option.eq_ignore_ascii_case(b"close") {
                        self.keep_alive = false;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Lines<'a> {
    /// The next line without its CR LF; a CR or LF on its own is refused.
    fn next_line(&mut self) -> Result<&'a [u8], Malformed> {
        let end = memchr::memchr2(b'\r', b'\n', self.rest).unwrap_or(self.rest.len());
        if self.rest.get(end..end + 2) != Some(b"\r\n") {
            return Err(LONE_LINE_END);
        }
        let line = &self.rest[..end];
        self.rest = &self.rest[end + 2..];
        Ok(line)
    }
}

/// Refuses what can't become a head, whatever follows: who sends it may never send an end, or close.
pub(crate) fn check_beginning(bytes: &[u8]) -> Result<(), Malformed> {
    let version = b"HTTP/1.";
    let common = bytes.len().min(version.len());
    if bytes[..common] != version[..common] {
        return Err(NO_STATUS_LINE);
    }
    match memchr::memchr(b'\n', bytes) {
        Some(at) if !bytes[..at].ends_with(b"\r") => Err(LONE_LINE_END),
        _ => Ok(()),
    }
}

/// The fields of a head.
pub(crate) fn head_fields(bytes: &[u8]) -> Result<Vec<Field>, Malformed> {
    let mut lines = Lines { rest: &bytes[..bytes.len() - 2] };
    lines.next_line()?;
    let mut fields = Vec::new();
    while !lines.rest.is_empty() {
        let (name, value) = split_field(lines.next_line()?)?;
        fields.push((name.to_vec(), value.to_vec()));
    }
    Ok(fields)
}

pub(crate) fn parse_status_line(line: &[u8]) -> Result<(u16, bool), Malformed> {
    let http_1_1 = match line.get(..9) {
        Some(b"HTTP/1.1 ") => true,
        Some(b"HTTP/1.0 ") => false,
        _ => return Err(NO_STATUS_LINE),
    };
    let digits = line.get(9..12).filter(|code| code.iter().all(u8::is_ascii_digit));
    let code = digits.map(|code| code.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0')));
    match code {
        Some(code) if code >= 100 && matches!(line.get(12), None | Some(b' ')) => Ok((code, http_1_1)),
        _ => Err(Malformed("the reply's status code is not a three-digit number")),
    }
}

fn split_field(line: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let Some(colon) = memchr::memchr(b':', line) else {
        return Err(Malformed("a line of the reply's head has no colon"));
    };
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
        return Err(Malformed("a field name of the reply is not a token"));
    }
    if memchr::memchr(0, value).is_some() {
        return Err(Malformed("a field value of the reply holds a NUL"));
    }
    Ok((name, value.trim_ascii()))
}

fn parse_length(value: &[u8]) -> Result<u64, Malformed> {
    let wrong = Malformed("the reply's Content-Length is not a number");
    if value.is_empty() || value.len() > 18 || !value.iter().all(u8::is_ascii_digit) {
        return Err(wrong);
    }
    Ok(value.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}

/// RFC 9110's `tchar`.
pub(crate) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(head_request: bool, bytes: &[u8]) -> Result<(usize, Option<Reply>), Malformed> {
        ReplyReader::new(head_request).read(bytes)
    }

    /// Feeds `bytes` in two parts, split at `at`.
    fn split(bytes: &[u8], at: usize) -> Option<Reply> {
        let mut reader = ReplyReader::new(false);
        let (taken, early) = reader.read(&bytes[..at]).unwrap();
        assert!(early.is_none() || at == bytes.len());
        early.or_else(|| reader.read(&bytes[taken..]).unwrap().1)
    }

    #[test]
    fn replies_are_read_however_they_are_split() {
        let replies: [(&[u8], u16, u64, bool); 6] = [
            (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, 5, true),
            (b"HTTP/1.1 404 Not Found\r\nConnection: x, Close\r\nContent-Length: 0\r\n\r\n", 404, 0, false),
            (
                b"HTTP/1.1 200\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n00\r\nA: b\r\n\r\n",
                200,
                5,
                true,
            ),
            (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", 200, 2, false),
            // A server shouldn't say so (RFC 9110, section 8.6), but what it means is clear.
            (b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", 204, 0, true),
            (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\nServer: x\r\n\r\n", 204, 0, true),
        ];
        for (bytes, status, body_bytes, reusable) in replies {
            for at in 0..=bytes.len() {
                assert_eq!(split(bytes, at), Some(Reply { status, body_bytes, reusable }), "split at {at}");
            }
        }
    }

    #[test]
    fn head_and_304_have_no_body() {
        let reply = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n";
        assert_eq!(whole(true, reply).unwrap().1.unwrap().body_bytes, 0);
        assert_eq!(whole(false, reply).unwrap().1, None);
        let unchanged = b"HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n";
        assert_eq!(whole(false, unchanged).unwrap().1.unwrap().status, 304);
    }

    #[test]
    fn a_body_without_length_ends_with_the_connection() {
        let mut reader = ReplyReader::new(false);
        assert_eq!(reader.read(b"HTTP/1.1 200 OK\r\n\r\nabc").unwrap().1, None);
        assert_eq!(reader.close(), Some(Reply { status: 200, body_bytes: 3, reusable: false }));
        let mut cut = ReplyReader::new(false);
        cut.read(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc").unwrap();
        assert_eq!(cut.close(), None);
    }

    #[test]
    fn what_was_asked_for_is_kept_however_the_reply_is_split() {
        let replies: [&[u8]; 2] = [
            b"HTTP/1.1 103 Hint\r\nB: c\r\n\r\nHTTP/1.1 200 OK\r\nX-Y:  z \r\nContent-Length: 5\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\nX-Y: z\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        ];
        for bytes in replies {
            for at in 0..bytes.len() {
                let mut reader = ReplyReader::keeping(false, Keep { head: true, body_bytes_max: 4 }, 1_000);
                let (taken, _) = reader.read(&bytes[..at]).unwrap();
                assert!(reader.read(&bytes[taken..]).unwrap().1.is_some());
                let Kept { fields, body } = reader.into_kept();
                assert_eq!((fields[0].clone(), body), ((b"X-Y".to_vec(), b"z".to_vec()), b"hell".to_vec()));
            }
        }
    }

    #[test]
    fn bytes_behind_a_reply_are_left() {
        let (taken, reply) = whole(false, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nabc").unwrap();
        assert_eq!((taken, reply.unwrap().body_bytes), (39, 1));
    }

    #[test]
    fn what_cannot_become_a_head_is_refused_before_its_end() {
        for bytes in [&b"h"[..], b"HTTP/2", b"\x15\x03\x03\x00\x02\x02\x50", b"HTTP/1.1 200 OK\nA: b"] {
            assert!(whole(false, bytes).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
        for bytes in [&b"H"[..], b"HTTP/1.", b"HTTP/1.1 200 OK\r", b"HTTP/1.1 200 OK\r\nA: b\r\n\r"] {
            assert_eq!(whole(false, bytes), Ok((0, None)), "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn broken_replies_are_refused() {
        let replies: [&[u8]; 17] = [
            b"HTTP/2 200 OK\r\n\r\n",
            b"garbage\r\n\r\n",
            b"HTTP/1.1 20 OK\r\n\r\n",
            b"HTTP/1.1 2000 OK\r\n\r\n",
            b"HTTP/1.1 099 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n folded\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
            b"HTTP/1.1 204 OK\r\nContent-Length: 1\r\n\r\n",
            b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nA: \0\r\n\r\n",
        ];
        for bytes in replies {
            assert!(whole(false, bytes).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
        let unending = |bytes: usize| [b"HTTP/1.1 200 ".as_slice(), &vec![b'a'; bytes - 13]].concat();
        assert_eq!(whole(false, &unending(HEAD_BYTES_MAX)), Err(LARGE_HEAD));
        let limited = |bytes: usize| ReplyReader::keeping(false, Keep::default(), 100).read(&unending(bytes));
        assert_eq!((limited(99), limited(100)), (Ok((0, None)), Err(LARGE_HEAD)));
        let whole_head = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        let limited = |bytes| ReplyReader::keeping(false, Keep::default(), bytes).read(whole_head);
        assert!(limited(whole_head.len()).is_ok() && limited(whole_head.len() - 1).is_err());
    }
}
