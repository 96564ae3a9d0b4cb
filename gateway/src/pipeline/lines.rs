//! Header lines that pass as they came: neighbours are copied in one piece.

use turnpike_http::Header;

/// What becomes of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    Keep,
    /// The name gets this in front.
    Prefix(&'static [u8]),
    Drop,
}

/// Appends the lines of a head that `pass` lets through. `bytes` begins with the head, whose length
/// `head_bytes` is; in a checked head each line ends where the next begins.
pub(super) fn copy(
    bytes: &[u8],
    headers: &[Header],
    head_bytes: usize,
    out: &mut Vec<u8>,
    mut pass: impl FnMut(&Header) -> Pass,
) {
    let fields_end = head_bytes - b"\r\n".len();
    let start_of =
        |index: usize| headers.get(index).map_or(fields_end, |header| header.name_span.start as usize);
    let mut run = start_of(0)..start_of(0);
    for (index, header) in headers.iter().enumerate() {
        let line = start_of(index)..start_of(index + 1);
        match pass(header) {
            Pass::Keep => run.end = line.end,
            Pass::Prefix(prefix) => {
                out.extend_from_slice(&bytes[run]);
                out.extend_from_slice(prefix);
                run = line;
            }
            Pass::Drop => {
                out.extend_from_slice(&bytes[run]);
                run = line.end..line.end;
            }
        }
    }
    out.extend_from_slice(&bytes[run]);
}

#[cfg(test)]
mod tests {
    use turnpike_http::{HeadLimits, HeaderName, RequestHead};

    use super::*;

    fn copied(head: &str, pass: impl FnMut(&Header) -> Pass) -> String {
        let mut parsed = RequestHead::new();
        parsed.parse(head.as_bytes(), &HeadLimits::default()).unwrap();
        let mut out = b"<".to_vec();
        copy(head.as_bytes(), &parsed.headers, parsed.head_bytes, &mut out, pass);
        String::from_utf8(out).unwrap()
    }

    const HEAD: &str = "GET / HTTP/1.1\r\nA: 1\r\nHost: h\r\nB:2\r\nDate:  d \r\nC: 3\r\n\r\nbody";

    #[test]
    fn what_is_kept_is_kept_to_the_letter() {
        assert_eq!(copied(HEAD, |_| Pass::Keep), "<A: 1\r\nHost: h\r\nB:2\r\nDate:  d \r\nC: 3\r\n");
    }

    #[test]
    fn single_lines_are_dropped_and_renamed() {
        let pass = |header: &Header| match header.name {
            HeaderName::Host => Pass::Drop,
            HeaderName::Date => Pass::Prefix(b"X-"),
            _ => Pass::Keep,
        };
        assert_eq!(copied(HEAD, pass), "<A: 1\r\nB:2\r\nX-Date:  d \r\nC: 3\r\n");
    }

    #[test]
    fn nothing_may_be_left() {
        assert_eq!(copied(HEAD, |_| Pass::Drop), "<");
        assert_eq!(copied("GET / HTTP/1.0\r\n\r\n", |_| Pass::Keep), "<");
    }
}
