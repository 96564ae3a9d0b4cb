//! Finds the end of a message's head and how its body is framed; no more than the floors need. It trusts its peers
//! (the load generator and the proxies under test) and refuses what it doesn't know.

/// Most bytes of a head.
pub(crate) const HEAD_BYTES_MAX: usize = 16 * 1024;

/// How long a message's body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(u64),
    Chunked,
}

/// What of a head matters to a floor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    /// Bytes up to the body.
    pub(crate) bytes: usize,
    pub(crate) framing: Framing,
    pub(crate) close: bool,
    pub(crate) expects_continue: bool,
}

impl Head {
    /// `None` until the head is complete.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Self>, String> {
        let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
            return match bytes.len() {
                len if len >= HEAD_BYTES_MAX => Err(format!("a head is larger than {HEAD_BYTES_MAX} bytes")),
                _ => Ok(None),
            };
        };
        let mut head =
            Self { bytes: end + 4, framing: Framing::Length(0), close: false, expects_continue: false };
        let mut rest = &bytes[..end + 2];
        while let Some(line_end) = memchr::memchr(b'\n', rest) {
            head.take_line(rest[..line_end].trim_ascii_end())?;
            rest = &rest[line_end + 1..];
        }
        Ok(Some(head))
    }

    /// A field; the start line matches none of the names.
    fn take_line(&mut self, line: &[u8]) -> Result<(), String> {
        let value = |name: &[u8]| -> Option<&[u8]> {
            let (start, rest) = line.split_at_checked(name.len())?;
            (start.eq_ignore_ascii_case(name)).then(|| rest.trim_ascii())
        };
        match line.first().map(u8::to_ascii_lowercase) {
            Some(b'c') => {
                if let Some(length) = value(b"content-length:") {
                    self.framing = Framing::Length(parse_length(length)?);
                } else if let Some(options) = value(b"connection:") {
                    self.close = options.eq_ignore_ascii_case(b"close");
                }
            }
            Some(b't') => {
                if let Some(coding) = value(b"transfer-encoding:") {
                    if !coding.eq_ignore_ascii_case(b"chunked") {
                        return Err("a message has a transfer coding other than 'chunked'".to_owned());
                    }
                    self.framing = Framing::Chunked;
                }
            }
            Some(b'e') => self.expects_continue |= value(b"expect:").is_some(),
            _ => {}
        }
        Ok(())
    }
}

/// The request target of a request line.
pub(crate) fn request_target(head: &[u8]) -> Option<&[u8]> {
    let line = head.split(|byte| *byte == b'\r').next()?;
    line.split(|byte| *byte == b' ').nth(1)
}

/// The status code of a status line.
pub(crate) fn status(head: &[u8]) -> Option<u16> {
    std::str::from_utf8(head.get(9..12)?).ok()?.parse().ok()
}

fn parse_length(digits: &[u8]) -> Result<u64, String> {
    std::str::from_utf8(digits)
        .ok()
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| "a message's Content-Length is not a number".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framing_and_connection_are_read() {
        let bytes = b"POST /x HTTP/1.1\r\nHost: a\r\ncontent-Length: 12\r\nConnection: close\r\nExpect: 100-continue\r\n\r\nbody";
        let head = Head::parse(bytes).unwrap().unwrap();
        let expected = Head {
            bytes: bytes.len() - 4,
            framing: Framing::Length(12),
            close: true,
            expects_continue: true,
        };
        assert_eq!(head, expected);
        assert_eq!(request_target(bytes), Some(&b"/x"[..]));
        let chunked = Head::parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap().unwrap();
        assert_eq!((chunked.framing, chunked.close), (Framing::Chunked, false));
        assert_eq!(status(b"HTTP/1.1 204 No Content\r\n"), Some(204));
    }

    #[test]
    fn an_incomplete_head_waits_and_a_wrong_one_is_refused() {
        assert_eq!(Head::parse(b"GET / HTTP/1.1\r\nHost: a\r\n"), Ok(None));
        assert!(Head::parse(b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n").is_err());
        assert!(Head::parse(b"GET / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n").is_err());
        assert!(Head::parse(&[b'a'; HEAD_BYTES_MAX]).is_err());
    }
}
