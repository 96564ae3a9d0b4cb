//! The stored lines of a head, each `name: value` and CRLF.

/// Names and values, without the whitespace around values.
pub fn split_lines(lines: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    whole_lines(lines).map(|line| (name_of(line), value_of(line)))
}

/// The lines of a stored response that was found unchanged: each field that the answer has in the place of those
/// before, but for what is about the stored body (RFC 9111 3.2, 4.3.4).
#[must_use]
pub fn merge(stored: &[u8], answered: &[u8]) -> Box<[u8]> {
    let replaced = |name: &[u8]| whole_lines(answered).any(|line| name_of(line).eq_ignore_ascii_case(name));
    let kept = whole_lines(stored).filter(|line| is_about_body(name_of(line)) || !replaced(name_of(line)));
    let new = whole_lines(answered).filter(|line| !is_about_body(name_of(line)));
    kept.chain(new).flatten().copied().collect()
}

/// The lines that a client gets who has the body already (RFC 9110 15.4.5): without those about the body.
pub fn not_modified(stored: &[u8]) -> impl Iterator<Item = &[u8]> {
    whole_lines(stored).filter(|line| !is_about_body(name_of(line)))
}

/// The lines of the same response with its body in a content coding: the entity tag doesn't stand for the same bytes
/// (RFC 9110 8.8.3), and parts of them aren't to be had.
#[must_use]
pub fn coded_lines(stored: &[u8], coding: &str) -> Box<[u8]> {
    let mut lines = Vec::with_capacity(stored.len() + 32);
    for line in whole_lines(stored) {
        let name = name_of(line);
        if name.eq_ignore_ascii_case(b"etag") && !value_of(line).starts_with(b"W/") {
            lines.extend_from_slice(b"ETag: W/");
            lines.extend_from_slice(value_of(line));
            lines.extend_from_slice(b"\r\n");
        } else if !name.eq_ignore_ascii_case(b"accept-ranges") {
            lines.extend_from_slice(line);
        }
    }
    lines.extend_from_slice(format!("Content-Encoding: {coding}\r\n").as_bytes());
    lines.into()
}

/// The lines of a response that varies by the codings that clients accept, which they say.
#[must_use]
pub fn varying(stored: &[u8]) -> Box<[u8]> {
    let says_so = split_lines(stored)
        .any(|(name, value)| name.eq_ignore_ascii_case(b"vary") && turnpike_coding::varies_by_coding(value));
    let added: &[u8] = if says_so { b"" } else { b"Vary: Accept-Encoding\r\n" };
    [stored, added].concat().into()
}

fn whole_lines(lines: &[u8]) -> impl Iterator<Item = &[u8]> {
    lines.split_inclusive(|byte| *byte == b'\n')
}

fn name_of(line: &[u8]) -> &[u8] {
    &line[..line.iter().position(|byte| *byte == b':').unwrap_or(0)]
}

fn value_of(line: &[u8]) -> &[u8] {
    let start = line.iter().position(|byte| *byte == b':').map_or(line.len(), |colon| colon + 1);
    line[start..].trim_ascii()
}

fn is_about_body(name: &[u8]) -> bool {
    const NAMES: [&str; 6] = [
        "content-encoding",
        "content-language",
        "content-length",
        "content-range",
        "content-type",
        "transfer-encoding",
    ];
    NAMES.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORED: &[u8] = b"Content-Type: text/plain\r\nX-A: 1\r\nx-a: 2\r\nETag: \"a\"\r\nDate:  then \r\n";

    #[test]
    fn lines_are_split() {
        let expected: [(&[u8], &[u8]); 5] = [
            (b"Content-Type", b"text/plain"),
            (b"X-A", b"1"),
            (b"x-a", b"2"),
            (b"ETag", b"\"a\""),
            (b"Date", b"then"),
        ];
        assert_eq!(split_lines(STORED).collect::<Vec<_>>(), expected);
        assert_eq!(split_lines(b"").count(), 0);
        assert_eq!(split_lines(b"nonsense").collect::<Vec<_>>(), [(&b""[..], &b""[..])]);
    }

    #[test]
    fn an_answer_replaces_fields_but_not_those_of_the_body() {
        let answered = b"Date: now\r\nX-A: 3\r\nContent-Type: x\r\nContent-Length: 0\r\nX-New: y\r\n";
        let expected = "Content-Type: text/plain\r\nETag: \"a\"\r\nDate: now\r\nX-A: 3\r\nX-New: y\r\n";
        assert_eq!(std::str::from_utf8(&merge(STORED, answered)).unwrap(), expected);
        assert_eq!(*merge(STORED, b""), *STORED);
    }

    #[test]
    fn a_coded_body_has_another_head() {
        let stored = b"A: 1\r\nAccept-Ranges: bytes\r\nETag: \"a\"\r\nVary: b\r\n";
        let coded = "A: 1\r\nETag: W/\"a\"\r\nVary: b\r\nContent-Encoding: gzip\r\n";
        assert_eq!(std::str::from_utf8(&coded_lines(stored, "gzip")).unwrap(), coded);
        assert_eq!(*coded_lines(b"etag: W/\"a\"\r\n", "x"), *b"etag: W/\"a\"\r\nContent-Encoding: x\r\n");
        assert_eq!(*varying(b"Vary: b\r\n"), *b"Vary: b\r\nVary: Accept-Encoding\r\n");
        assert_eq!(*varying(b"vary: b, accept-ENCODING\r\n"), *b"vary: b, accept-ENCODING\r\n");
    }

    #[test]
    fn who_has_the_body_is_told_nothing_of_it() {
        let told: Vec<u8> = not_modified(STORED).flatten().copied().collect();
        assert_eq!(told, b"X-A: 1\r\nx-a: 2\r\nETag: \"a\"\r\nDate:  then \r\n");
    }
}
