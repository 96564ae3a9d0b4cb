//! Heads as nearly everybody writes them, read in one pass: each line is found, checked, classified and noted where it
//! stands.
//!
//! Nothing is refused here. What is rare, unfinished or wrong gives `None`, and is then read by httparse, which knows
//! all of the grammar, and by what diagnoses its refusals; so what this accepts must be what they accept, to the byte:
//! the test below holds both against each other.

use crate::fields::{Facts, Header};
use crate::grammar::{is_token, is_token_byte};
use crate::limits::HeadLimits;
use crate::name::HeaderName;
use crate::span::Span;

/// The header lines that begin at `start` and the empty line behind them; fills `headers` and `facts`, what the lines mean
/// together, and says where the head ends.
pub(crate) fn fields(
    buf: &[u8],
    start: usize,
    limits: &HeadLimits,
    headers: &mut Vec<Header>,
    facts: &mut Facts,
) -> Option<usize> {
    let count_max = limits.header_count_max.min(HeadLimits::HEADER_COUNT_CEILING);
    headers.clear();
    let mut at = start;
    let fields_end = loop {
        let line = buf.get(at..)?;
        if line.starts_with(b"\r\n") {
            break at;
        }
        let (name, rest) = line.split_at(name_bytes(line)?);
        let known = HeaderName::classify(name);
        // A name that is known by itself is a token, since no control character is in it.
        let is_family =
            matches!(known, HeaderName::Other | HeaderName::XForwardedOther | HeaderName::FramingLookalike);
        if is_family && !is_token(name) {
            return None;
        }
        let ([b':', b' ', rest @ ..] | [b':', rest @ ..]) = rest else { return None };
        let (value, behind) = rest.split_at(text_bytes(rest, b' '));
        // Other blanks around a value are for who trims them.
        if matches!(value, [] | [b' ', ..] | [.., b' '])
            || headers.len() == count_max
            || !behind.starts_with(b"\r\n")
        {
            return None;
        }
        let value_at = at + line.len() - rest.len();
        let value_end = value_at + value.len();
        let name_span = Span { start: at as u32, end: (at + name.len()) as u32 };
        let value_span = Span { start: value_at as u32, end: value_end as u32 };
        facts.note(known, value, value_span).ok()?;
        headers.push(Header { name: known, name_span, value_span, hop_by_hop: known.is_hop_by_hop() });
        at = value_end + 2;
    };
    if fields_end - start > limits.header_bytes_max {
        return None;
    }
    facts.mark_nominated(buf, headers);
    Some(fields_end + 2)
}

#[inline]
pub(crate) fn ends_line(buf: &[u8], at: usize) -> bool {
    buf.get(at..at + 2).is_some_and(|end| end == b"\r\n")
}

/// How many bytes from the first are a token's (RFC 9110 5.6.2).
#[inline]
pub(crate) fn token_bytes(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| is_token_byte(**byte)).count()
}

/// How many bytes are in front of the first colon, if neither a blank nor a control character is among them; eight at a
/// time.
#[inline]
fn name_bytes(line: &[u8]) -> Option<usize> {
    let (chunks, rest) = line.as_chunks::<8>();
    let ends = |byte: &u8| *byte <= b' ' || *byte == b':';
    let mut found = None;
    for (index, chunk) in chunks.iter().enumerate() {
        let chunk = u64::from_le_bytes(*chunk);
        // As in `text_end`, the first never lies.
        let colons = zeros(chunk ^ (ONES * u64::from(b':')));
        let blanks = chunk.wrapping_sub(ONES * u64::from(b'!')) & !chunk;
        let bits = (colons | blanks) & HIGHEST_BITS;
        if bits != 0 {
            found = Some(8 * index + bits.trailing_zeros() as usize / 8);
            break;
        }
    }
    let end = found.or_else(|| rest.iter().position(ends).map(|at| 8 * chunks.len() + at))?;
    (line[end] == b':').then_some(end)
}

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGHEST_BITS: u64 = ONES << 7;

/// How many bytes from the first are `lowest` at least, which is ASCII, and no DEL.
#[inline(always)]
pub(crate) fn text_bytes(bytes: &[u8], lowest: u8) -> usize {
    // Many a value is short.
    let Some((few, more)) = bytes.split_first_chunk::<8>() else { return text_bytes_of_few(bytes, lowest) };
    if let Some(end) = text_end(*few, lowest) {
        return end;
    }
    let mut text = few.len();
    // Sixteen at a time while all of them are text, which compiles to vector code.
    for block in more.as_chunks::<16>().0 {
        let is_none = |byte: &u8| *byte < lowest || *byte == 0x7f;
        if block.iter().fold(0, |found, byte| found | u8::from(is_none(byte))) != 0 {
            break;
        }
        text += block.len();
    }
    text + text_bytes_of_few(&bytes[text..], lowest)
}

/// Eight at a time.
#[inline(always)]
fn text_bytes_of_few(bytes: &[u8], lowest: u8) -> usize {
    let (chunks, rest) = bytes.as_chunks::<8>();
    for (index, chunk) in chunks.iter().enumerate() {
        if let Some(end) = text_end(*chunk, lowest) {
            return 8 * index + end;
        }
    }
    8 * chunks.len() + rest.iter().take_while(|byte| **byte >= lowest && **byte != 0x7f).count()
}

/// Which of eight bytes is the first that is no text.
#[inline(always)]
fn text_end(chunk: [u8; 8], lowest: u8) -> Option<usize> {
    let chunk = u64::from_le_bytes(chunk);
    // A byte that is below borrows from the one behind it, which may then look like one: the first never lies.
    let below = chunk.wrapping_sub(ONES * u64::from(lowest)) & !chunk;
    let found = (below | zeros(chunk ^ (ONES * 0x7f))) & HIGHEST_BITS;
    (found != 0).then(|| found.trailing_zeros() as usize / 8)
}

/// How many bytes from the first mean themselves in a path and nothing else: what is escaped, could be a dot segment,
/// ends the path, or is refused isn't among them, nor `!` and `'`, which are looked at together with others.
#[inline(always)]
pub(crate) fn plain_bytes(bytes: &[u8]) -> usize {
    let (chunks, rest) = bytes.as_chunks::<8>();
    for (index, chunk) in chunks.iter().enumerate() {
        let chunk = u64::from_le_bytes(*chunk);
        let below = chunk.wrapping_sub(ONES * u64::from(b'!')) & !chunk;
        let found = below
            // Not ASCII.
            | chunk
            // `#` and `%`; `!` and `'`.
            | zeros((chunk | (ONES * 0x06)) ^ (ONES * 0x27))
            // `?` and DEL.
            | zeros((chunk | (ONES * 0x40)) ^ (ONES * 0x7f))
            | zeros(chunk ^ (ONES * u64::from(b'.')))
            | zeros(chunk ^ (ONES * u64::from(b'\\')));
        let found = found & HIGHEST_BITS;
        if found != 0 {
            return 8 * index + found.trailing_zeros() as usize / 8;
        }
    }
    8 * chunks.len() + rest.iter().take_while(|byte| is_plain(**byte)).count()
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~') && !matches!(byte, b'!' | b'#' | b'%' | b'\'' | b'?' | b'.' | b'\\')
}

/// The highest bit of each byte that is zero, and of some behind the first such one.
#[inline(always)]
fn zeros(bytes: u64) -> u64 {
    bytes.wrapping_sub(ONES) & !bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Method, Progress, RequestHead, ResponseHead};

    const LIMITS: HeadLimits =
        HeadLimits { start_line_bytes_max: 40, header_bytes_max: 120, header_count_max: 6 };

    /// What both ways make of a request; whether the short one did.
    fn read_request(bytes: &[u8]) -> bool {
        let (mut short, mut long) = (RequestHead::new(), RequestHead::new());
        let scanned = short.scan(bytes, &LIMITS).is_some();
        if scanned {
            if short.path_is_plain {
                let path = short.path.of(bytes);
                assert_eq!(
                    crate::path::normalize(path, &mut Vec::new()),
                    Ok(path),
                    "{}",
                    bytes.escape_ascii()
                );
            }
            assert_eq!(long.parse_any(bytes, &LIMITS), Ok(Progress::Complete), "{}", bytes.escape_ascii());
            assert_eq!(format!("{short:?}"), format!("{long:?}"), "{}", bytes.escape_ascii());
        }
        scanned
    }

    fn read_response(bytes: &[u8], method: Method) -> bool {
        let (mut short, mut long) = (ResponseHead::new(), ResponseHead::new());
        let scanned = short.scan(bytes, method, &LIMITS).is_some();
        if scanned {
            let read = long.parse_any(bytes, method, &LIMITS);
            assert_eq!(read, Ok(Progress::Complete), "{}", bytes.escape_ascii());
            assert_eq!(format!("{short:?}"), format!("{long:?}"), "{}", bytes.escape_ascii());
        }
        scanned
    }

    #[test]
    fn what_clients_and_upstreams_send_is_read_in_one_pass() {
        for head in [
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /a?b=c HTTP/1.0\r\n\r\n",
            "POST /p HTTP/1.1\r\nhost: a:80\r\nContent-Length: 3\r\nX-A:b c\r\n\r\nabc",
            "OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close, x-b\r\nX-B: 1\r\n\r\n",
            "PROPFIND http://a/b HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: chunked\r\n\r\n",
        ] {
            assert!(read_request(head.as_bytes()), "{head}");
        }
        for head in [
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 404 Not Found\r\nServer: x\r\nDate: now\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.0 204 \r\n\r\n",
        ] {
            assert!(read_response(head.as_bytes(), Method::Get), "{head}");
        }
    }

    #[test]
    fn limits_are_met_where_the_other_way_meets_them() {
        let mut taken = [0; 3];
        for length in 0..200 {
            let long = "x".repeat(length);
            taken[0] += usize::from(read_request(format!("GET /{long} HTTP/1.0\r\n\r\n").as_bytes()));
            let lines = format!("GET / HTTP/1.0\r\nA: {long}\r\n\r\n");
            taken[1] += usize::from(read_request(lines.as_bytes()));
            let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(length));
            taken[2] += usize::from(read_response(many.as_bytes(), Method::Get));
        }
        assert_eq!(taken, [27, 115, 7]);
    }

    #[test]
    fn a_name_ends_at_its_colon_and_has_nothing_but_what_is_seen() {
        for length in 0..20 {
            for at in 0..=length {
                let mut line = vec![b'a'; length + 1];
                line[at] = b':';
                assert_eq!(name_bytes(&line), Some(at));
                for (before, byte) in (0..at).flat_map(|before| (0..=u8::MAX).map(move |byte| (before, byte)))
                {
                    let mut line = line.clone();
                    line[before] = byte;
                    let expected =
                        if byte <= b' ' { None } else { Some(if byte == b':' { before } else { at }) };
                    assert_eq!(name_bytes(&line), expected, "{line:?}");
                }
            }
        }
        assert_eq!(
            (name_bytes(b"none"), name_bytes(b""), name_bytes(b"longer than eight")),
            (None, None, None)
        );
    }

    #[test]
    fn a_path_is_plain_up_to_the_first_byte_that_is_not() {
        for length in 0..20 {
            for (at, byte) in (0..length).flat_map(|at| (0..=u8::MAX).map(move |byte| (at, byte))) {
                let mut path = vec![b'/'; length];
                path[at] = byte;
                let expected = if is_plain(byte) { length } else { at };
                assert_eq!(plain_bytes(&path), expected, "{path:?}");
            }
        }
    }

    #[test]
    fn what_is_plain_is_a_path_as_it_is() {
        let mut scratch = Vec::new();
        for byte in (0..=u8::MAX).filter(|byte| is_plain(*byte)) {
            let path = [b'/', byte, b'/', byte];
            assert_eq!(crate::path::normalize(&path, &mut scratch), Ok(&path[..]));
        }
    }

    #[test]
    fn text_ends_at_the_first_byte_that_is_none() {
        for length in 0..20 {
            for at in 0..length {
                for byte in 0..=u8::MAX {
                    for filler in [b' ', b'~', 0xff] {
                        let mut bytes = vec![filler; length];
                        bytes[at] = byte;
                        let expected = if byte < b' ' || byte == 0x7f { at } else { length };
                        assert_eq!(text_bytes(&bytes, b' '), expected, "{bytes:?}");
                    }
                }
            }
        }
        assert_eq!(text_bytes(b"\0\x01\x7f\x1f\x20 /a\n", b' '), 0);
        assert_eq!((text_bytes(b"/abcdefgh i", b'!'), text_bytes(b"", b'!')), (9, 0));
    }

    /// Wherever any one byte stands, or any two that follow each other.
    #[test]
    fn every_byte_everywhere_is_read_as_the_other_way_reads_it() {
        let heads: [&[u8]; 4] = [
            b"GET /a?b HTTP/1.1\r\nHost: a\r\nX-A: b c\r\n\r\n",
            b"Q http://b/ HTTP/1.0\r\nContent-Length:1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n",
            b"HTTP/1.0 404 \r\nTransfer-Encoding: chunked\r\n\r\n",
        ];
        let read =
            |head: &[u8]| usize::from(read_request(head)) + usize::from(read_response(head, Method::Get));
        for head in heads {
            let mut taken = 0;
            for at in 0..head.len() {
                for byte in 0..=u8::MAX {
                    let mut changed = head.to_vec();
                    changed[at] = byte;
                    taken += read(&changed);
                    changed.insert(at, head[at]);
                    taken += read(&changed);
                    changed.remove(at + 1);
                    changed.remove(at);
                    taken += read(&changed);
                }
            }
            assert!(taken > 1_000, "{}: {taken}", head.escape_ascii());
        }
    }

    fn head() -> impl Strategy<Value = Vec<u8>> {
        let start = prop::sample::select(vec![
            "GET / HTTP/1.1\r\n",
            "PUT /a?b HTTP/1.1\r\n",
            "CONNECT a:1 HTTP/1.1\r\n",
            "X http://b HTTP/1.0\r\n",
            "OPTIONS * HTTP/1.1\r\n",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.0 404 Not Found\r\n",
            "HTTP/1.1 099 \r\n",
            "\r\nGET / HTTP/1.1\r\n",
            " / HTTP/1.1\r\n",
            "GET  HTTP/1.1\r\n",
        ]);
        let line = prop::sample::select(vec![
            "Host: a",
            "host:b:80",
            "Content-Length: 5",
            "content-length: 05, 5",
            "Transfer-Encoding: chunked",
            "Connection: keep-alive, x-a",
            "Upgrade: h2c",
            "Expect: 100-continue",
            "X-A: b c",
            "X-B:",
            "X_C: \tb",
            "X-D:  b ",
            "Date: \u{e9}\u{7f}",
            "content_length: 1",
            " folded",
            "none",
            "Content\rLength: 5",
            "content-length : 5",
            "x-amz-content-sha\u{12}\u{15}\u{16}: a",
            "Transfer\rEncoding: chunked",
            "X-Forwarded-\u{1}: a",
            "x-forwarded-a_b: c",
            "X\u{e9}_y: z",
        ]);
        let end = prop::sample::select(vec!["\r\n", "\r\n", "\r\n", "\n", "\r"]);
        let change = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
        (start, prop::collection::vec((line, end), 0..7), change).prop_map(|(start, lines, changes)| {
            let mut head = start.as_bytes().to_vec();
            for (line, end) in lines {
                head.extend_from_slice(line.as_bytes());
                head.extend_from_slice(end.as_bytes());
            }
            head.extend_from_slice(b"\r\nbody");
            for (at, byte) in changes {
                let at = at.index(head.len());
                head[at] = byte;
            }
            head
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]
        #[test]
        fn whatever_is_read_in_one_pass_is_read_the_same_the_other_way(head in head()) {
            read_request(&head);
            read_response(&head, Method::Get);
            read_response(&head, Method::Head);
        }
    }
}
