//! Whether something has changed: as clients ask of the store (RFC 9110 13), and as the store asks of the origin
//! (RFC 9111 4.3).

use crate::date::parse_http_date;
use crate::facts::{RequestFacts, ResponseFacts};
use crate::response::Response;

/// A line that the origin is asked by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition<'r> {
    pub name: &'static str,
    pub value: &'r [u8],
}

/// What an origin's answer to such a question means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revalidation {
    /// 304: what is stored goes on.
    Unchanged,
    /// 304, and it is about something else: the question is to be put without conditions.
    Unknown,
    /// Any other answer, which is one to the client's own question.
    Replaced,
}

/// The conditions by which the origin is asked about a stored response (RFC 9111 4.3.1): both, where both are known.
/// `last_modified` is the field as it came.
pub fn encode_conditions<'r>(
    stored: &'r Response,
    last_modified: Option<&'r [u8]>,
) -> impl Iterator<Item = Condition<'r>> {
    let etag = stored.etag.as_deref().map(|value| Condition { name: "If-None-Match", value });
    let modified = last_modified.filter(|_| stored.last_modified_s.is_some());
    etag.into_iter().chain(modified.map(|value| Condition { name: "If-Modified-Since", value }))
}

/// Whether an answer is about the stored response (RFC 9111 4.3.4).
#[must_use]
pub fn freshens(stored: &Response, answer: &ResponseFacts<'_>) -> Revalidation {
    if answer.status != 304 {
        return Revalidation::Replaced;
    }
    let same = match (answer.etag, &stored.etag) {
        (Some(answered), Some(stored)) => opaque(answered) == opaque(stored),
        (Some(_), None) => false,
        (None, _) => match (answer.last_modified_s, stored.last_modified_s) {
            (Some(answered), Some(stored)) => answered == stored,
            _ => true,
        },
    };
    if same { Revalidation::Unchanged } else { Revalidation::Unknown }
}

/// Whether a client that asks by conditions has the stored response already (RFC 9110 13.2.2). `If-None-Match` goes
/// before `If-Modified-Since`; both are for 200 alone.
#[must_use]
pub fn is_not_modified(request: &RequestFacts<'_>, stored: &Response, now_s: u64) -> bool {
    if stored.status != 200 {
        return false;
    }
    if let Some(tags) = request.if_none_match {
        return names_tag(tags, stored.etag.as_deref());
    }
    let since_s = request.if_modified_since.and_then(|since| parse_http_date(since, now_s));
    match (since_s, stored.last_modified_s) {
        (Some(since_s), Some(modified_s)) => modified_s <= since_s,
        _ => false,
    }
}

/// RFC 9110 13.1.2, by weak comparison.
fn names_tag(list: &[u8], stored: Option<&[u8]>) -> bool {
    if list.trim_ascii() == b"*" {
        return true;
    }
    let Some(stored) = stored.map(opaque) else { return false };
    let mut rest = list;
    while let Some(start) = rest.iter().position(|byte| *byte == b'"') {
        let Some(length) = rest[start + 1..].iter().position(|byte| *byte == b'"') else { return false };
        let end = start + length + 2;
        if &rest[start..end] == stored {
            return true;
        }
        rest = &rest[end..];
    }
    false
}

/// Whether `If-Range` is about the stored response (RFC 9110 13.1.5), by strong comparison.
pub(crate) fn is_range_for(if_range: Option<&[u8]>, stored: &Response, now_s: u64) -> bool {
    match if_range {
        None => true,
        Some(tag) if tag.contains(&b'"') => {
            !tag.starts_with(b"W/") && stored.etag.as_deref().is_some_and(|stored| stored == tag)
        }
        Some(date) => {
            let date_s = parse_http_date(date, now_s);
            date_s.is_some() && date_s == stored.last_modified_s
        }
    }
}

/// An entity tag without its weakness.
fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::freshness::Freshness;
    use bytes::Bytes;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

    fn stored(etag: Option<&str>, last_modified_s: Option<u64>) -> Response {
        Response {
            status: 200,
            lines: Box::default(),
            dated: false,
            body: Bytes::new(),
            body_held_bytes: 0,
            codable: false,
            forms: Box::default(),
            freshness: Freshness::lasting(0, 1),
            etag: etag.map(|etag| etag.as_bytes().into()),
            last_modified_s,
            tags: Box::default(),
        }
    }

    fn request<'a>(lines: &[(&'a str, &'a str)]) -> RequestFacts<'a> {
        RequestFacts::gather(lines.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))
    }

    #[test]
    fn a_client_has_it_already() {
        let both = stored(Some("\"a\""), Some(784_111_777));
        for (lines, expected) in [
            (&[("if-none-match", "\"a\"")][..], true),
            (&[("if-none-match", "W/\"a\"")], true),
            (&[("if-none-match", "\"b\", W/\"c\" ,\"a\"")], true),
            (&[("if-none-match", "*")], true),
            (&[("if-none-match", "\"b\"")], false),
            (&[("if-none-match", "a")], false),
            (&[("if-none-match", "\"a")], false),
            (&[("if-none-match", "\"x\"a\"y\"")], false),
            (&[("if-none-match", "")], false),
            (&[("if-modified-since", DATE)], true),
            (&[("if-modified-since", BEFORE)], false),
            (&[("if-modified-since", "yesterday")], false),
            (&[("if-modified-since", DATE), ("if-none-match", "\"b\"")], false),
            (&[("if-modified-since", BEFORE), ("if-none-match", "\"a\"")], true),
            (&[], false),
        ] {
            assert_eq!(is_not_modified(&request(lines), &both, 0), expected, "{lines:?}");
        }
        assert!(is_not_modified(&request(&[("if-none-match", "\"a\"")]), &stored(Some("W/\"a\""), None), 0));
        assert!(!is_not_modified(&request(&[("if-none-match", "\"a\"")]), &stored(None, None), 0));
        let missing = Response { status: 404, ..both };
        assert!(!is_not_modified(&request(&[("if-none-match", "\"a\"")]), &missing, 0));
    }

    #[test]
    fn a_304_is_about_what_is_stored_or_not() {
        let both = stored(Some("\"a\""), Some(784_111_777));
        let answer = |status, lines: &[(&str, &str)]| {
            let lines = lines.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
            freshens(&both, &ResponseFacts::gather(status, 0, lines))
        };
        assert_eq!(answer(304, &[("etag", "\"a\"")]), Revalidation::Unchanged);
        assert_eq!(answer(304, &[("etag", "W/\"a\"")]), Revalidation::Unchanged);
        assert_eq!(answer(304, &[]), Revalidation::Unchanged);
        assert_eq!(answer(304, &[("last-modified", DATE)]), Revalidation::Unchanged);
        assert_eq!(answer(304, &[("etag", "\"b\"")]), Revalidation::Unknown);
        assert_eq!(answer(304, &[("last-modified", BEFORE)]), Revalidation::Unknown);
        assert_eq!(answer(200, &[("etag", "\"a\"")]), Revalidation::Replaced);
        assert_eq!(answer(503, &[]), Revalidation::Replaced);
    }

    #[test]
    fn the_origin_is_asked_by_what_is_known() {
        let asked = |stored: &Response, last_modified: Option<&str>| {
            let last_modified = last_modified.map(str::as_bytes);
            encode_conditions(stored, last_modified).map(|condition| condition.name).collect::<Vec<_>>()
        };
        let both = stored(Some("\"a\""), Some(784_111_777));
        assert_eq!(asked(&both, Some(DATE)), ["If-None-Match", "If-Modified-Since"]);
        assert_eq!(asked(&stored(None, Some(1)), Some(DATE)), ["If-Modified-Since"]);
        assert_eq!(asked(&stored(None, None), Some("yesterday")), [""; 0]);
    }

    #[test]
    fn a_part_of_what_the_client_has() {
        let both = stored(Some("\"a\""), Some(784_111_777));
        for (if_range, expected) in [
            (None, true),
            (Some("\"a\""), true),
            (Some("W/\"a\""), false),
            (Some("\"b\""), false),
            (Some(DATE), true),
            (Some(BEFORE), false),
            (Some("x"), false),
        ] {
            assert_eq!(is_range_for(if_range.map(str::as_bytes), &both, 0), expected, "{if_range:?}");
        }
        assert!(!is_range_for(Some(b"W/\"a\""), &stored(Some("W/\"a\""), None), 0));
        assert!(!is_range_for(Some(b"x"), &stored(None, None), 0));
    }
}
