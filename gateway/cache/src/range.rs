//! A part of a stored whole (RFC 9110 14).
//!
//! One range is served. A request for several gets the whole, as for a unit that isn't bytes or for what is no range
//! at all (14.2: a server may ignore the field): the work that a list of ranges can ask for has no bound.

use crate::conditional::is_range_for;
use crate::facts::RequestFacts;
use crate::response::Response;

/// Bytes of a body. Invariant: `first <= last < length of the body`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    pub first: usize,
    pub last: usize,
}

/// What a request gets of a stored response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    Whole,
    Part(Part),
    /// 416
    Unsatisfiable,
}

#[must_use]
pub fn select(request: &RequestFacts<'_>, stored: &Response, now_s: u64) -> Selection {
    let Some(range) = request.range.filter(|_| stored.status == 200) else { return Selection::Whole };
    if !is_range_for(request.if_range, stored, now_s) {
        return Selection::Whole;
    }
    parse(range, stored.body.len()).unwrap_or(Selection::Whole)
}

/// `None`: it is to be ignored.
fn parse(range: &[u8], length: usize) -> Option<Selection> {
    let (unit, set) = range.split_at(range.iter().position(|byte| *byte == b'=')?);
    if !unit.eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    let set = set[1..].trim_ascii();
    let (first, last) = set.split_at(set.iter().position(|byte| *byte == b'-')?);
    let last = &last[1..];
    let (first, last) = match (first, last) {
        (b"", suffix) => {
            let suffix = position(suffix)?;
            if suffix == 0 || length == 0 {
                return Some(Selection::Unsatisfiable);
            }
            (length.saturating_sub(suffix), length - 1)
        }
        (first, b"") => (position(first)?, length.saturating_sub(1)),
        (first, last) => {
            let (first, last) = (position(first)?, position(last)?);
            if last < first {
                return None;
            }
            (first, last.min(length.saturating_sub(1)))
        }
    };
    if first >= length {
        return Some(Selection::Unsatisfiable);
    }
    Some(Selection::Part(Part { first, last }))
}

/// What is larger than any body counts as that.
fn position(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add = |number: usize, digit: &u8| number.saturating_mul(10).saturating_add(usize::from(digit - b'0'));
    Some(digits.iter().fold(0, add))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_ten_bytes() {
        let part = |first, last| Some(Selection::Part(Part { first, last }));
        for (range, expected) in [
            ("bytes=0-0", part(0, 0)),
            ("bytes=2-5", part(2, 5)),
            ("Bytes=2-5", part(2, 5)),
            ("bytes= 2-5 ", part(2, 5)),
            ("bytes=2-", part(2, 9)),
            ("bytes=2-99", part(2, 9)),
            ("bytes=-3", part(7, 9)),
            ("bytes=-99", part(0, 9)),
            ("bytes=9-9", part(9, 9)),
            ("bytes=0-99999999999999999999999999", part(0, 9)),
            ("bytes=10-", Some(Selection::Unsatisfiable)),
            ("bytes=10-11", Some(Selection::Unsatisfiable)),
            ("bytes=99999999999999999999999999-", Some(Selection::Unsatisfiable)),
            ("bytes=-0", Some(Selection::Unsatisfiable)),
            ("bytes=5-2", None),
            ("bytes=0-1,3-4", None),
            ("bytes=0-1,", None),
            ("bytes=", None),
            ("bytes=-", None),
            ("bytes=a-b", None),
            ("bytes=1--2", None),
            ("bytes=-1-2", None),
            ("bytes 0-1", None),
            ("lines=0-1", None),
            ("", None),
        ] {
            assert_eq!(parse(range.as_bytes(), 10), expected, "{range}");
        }
    }

    #[test]
    fn nothing_has_no_part() {
        for range in ["bytes=0-", "bytes=0-0", "bytes=-1", "bytes=-0"] {
            assert_eq!(parse(range.as_bytes(), 0), Some(Selection::Unsatisfiable), "{range}");
        }
    }
}
