//! `Accept-Encoding` (RFC 9110 12.5.3), as API Gateway reads it: a coding is used only if the client names it, and only
//! if nothing that it names has a higher weight (AWS: 'The highest-priority content encoding must be one supported').
//!
//! Between codings of one weight, gzip is used. A client that takes no unencoded answer gets the best that there is.

use crate::ContentCoding;

/// Thousandths (RFC 9110 12.4.2).
type Weight = u16;

/// What a client says of codings.
#[derive(Debug, Default)]
struct Wishes {
    of_codings: [Option<Weight>; ContentCoding::ALL.len()],
    identity: Option<Weight>,
    any: Option<Weight>,
    /// The highest of those that aren't known here.
    others: Weight,
}

/// The coding that a client gets, by its `Accept-Encoding` lines; `None` leaves the answer as it is.
#[must_use]
pub fn choose<'v>(lines: impl IntoIterator<Item = &'v [u8]>) -> Option<ContentCoding> {
    let mut wishes = Wishes::default();
    for element in lines.into_iter().flat_map(|line| line.split(|byte| *byte == b',')) {
        if let Some((name, weight)) = parse(element) {
            wishes.note(name, weight);
        }
    }
    wishes.choice()
}

impl Wishes {
    fn note(&mut self, name: &[u8], weight: Weight) {
        if let Some(coding) = ContentCoding::named(name) {
            lower(&mut self.of_codings[coding as usize], weight);
        } else if name.eq_ignore_ascii_case(b"identity") {
            lower(&mut self.identity, weight);
        } else if name == b"*" {
            lower(&mut self.any, weight);
        } else {
            self.others = self.others.max(weight);
        }
    }

    fn choice(&self) -> Option<ContentCoding> {
        let named = ContentCoding::ALL.into_iter().filter_map(|coding| {
            let weight = self.of_codings[coding as usize].filter(|weight| *weight > 0)?;
            Some((weight, coding))
        });
        // Of equal ones the first.
        let (weight, coding) = named.reduce(|best, next| if next.0 > best.0 { next } else { best })?;
        let takes_identity = self.identity.or(self.any) != Some(0);
        let prefers_another = self.others > weight || self.identity.is_some_and(|identity| identity > weight);
        (!takes_identity || !prefers_another).then_some(coding)
    }
}

/// What is said twice counts as it is said least.
fn lower(known: &mut Option<Weight>, weight: Weight) {
    *known = Some(known.map_or(weight, |known| known.min(weight)));
}

/// A name and its weight; `None` for what is neither.
fn parse(element: &[u8]) -> Option<(&[u8], Weight)> {
    let mut parts = element.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let name = parts.next().filter(|name| !name.is_empty())?;
    let weight = match parts.next() {
        None => 1_000,
        Some(parameter) => parse_weight(parameter)?,
    };
    parts.next().is_none().then_some((name, weight))
}

/// `q=0.5`: at most three decimals, at most 1.
fn parse_weight(parameter: &[u8]) -> Option<Weight> {
    let [b'q' | b'Q', b'=', value @ ..] = parameter else { return None };
    let (whole, decimals) = match value {
        [whole @ (b'0' | b'1')] => (*whole, &[][..]),
        [whole @ (b'0' | b'1'), b'.', decimals @ ..] if decimals.len() <= 3 => (*whole, decimals),
        _ => return None,
    };
    let mut weight = Weight::from(whole - b'0') * 1_000;
    for (decimal, unit) in decimals.iter().zip([100, 10, 1]) {
        weight += Weight::from(decimal.checked_sub(b'0').filter(|digit| *digit < 10)?) * unit;
    }
    (weight <= 1_000).then_some(weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(line: &str) -> &'static str {
        choose([line.as_bytes()]).map_or("-", ContentCoding::name)
    }

    #[test]
    fn a_coding_is_used_that_is_named() {
        let cases = [
            ("gzip", "gzip"),
            ("GZip", "gzip"),
            ("x-gzip", "gzip"),
            ("deflate", "deflate"),
            // AWS's examples.
            ("deflate,gzip", "gzip"),
            ("deflate;q=0.5,gzip;q=1.0", "gzip"),
            ("gzip;q=1.0,identity;q=0.5,*;q=0", "gzip"),
            ("gzip, deflate, br", "gzip"),
            ("gzip, deflate, br, zstd", "gzip"),
            ("", "-"),
            ("*", "-"),
            ("br", "-"),
            ("identity", "-"),
        ];
        for (line, expected) in cases {
            assert_eq!(chosen(line), expected, "{line}");
        }
        assert_eq!(choose([]), None);
        assert_eq!(choose([&b"br"[..], b"deflate"]), Some(ContentCoding::Deflate));
    }

    #[test]
    fn weights_decide() {
        let cases = [
            ("gzip;q=0.4, deflate;q=0.5", "deflate"),
            ("gzip;q=0, deflate", "deflate"),
            ("gzip;q=0", "-"),
            ("gzip;q=0.000", "-"),
            ("gzip;q=0.001", "gzip"),
            ("gzip ; q=1.000", "gzip"),
            ("gzip;Q=0.3", "gzip"),
            ("gzip, gzip;q=0", "-"),
            // Something else is preferred.
            ("br, gzip;q=0.8", "-"),
            ("identity, gzip;q=0.5", "-"),
            ("identity, gzip", "gzip"),
            ("identity;q=0.5, gzip;q=0.5", "gzip"),
            ("*, gzip;q=0.5", "gzip"),
        ];
        for (line, expected) in cases {
            assert_eq!(chosen(line), expected, "{line}");
        }
    }

    #[test]
    fn who_takes_nothing_unencoded_gets_what_there_is() {
        for line in ["br, gzip;q=0.5, identity;q=0", "br, gzip;q=0.5, *;q=0", "gzip;q=0.1, identity;q=0"] {
            assert_eq!(chosen(line), "gzip", "{line}");
        }
        // The more specific one counts.
        assert_eq!(chosen("br, gzip;q=0.5, identity;q=0.1, *;q=0"), "-");
        assert_eq!(chosen("identity;q=0"), "-");
    }

    #[test]
    fn what_is_no_element_is_passed_over() {
        for line in [
            "gzip;q=2",
            "gzip;q=1.001",
            "gzip;q=0.1234",
            "gzip;q=",
            "gzip;q",
            "gzip;",
            "gzip;a=1",
            "gzip;q=-1",
            "gzip;q=0.5;a=b",
            ";q=1",
            ",,,",
            "gzip deflate",
            "\"gzip\"",
            "gzip;q=\"1\"",
            "gzip;q=1.a",
        ] {
            assert_eq!(chosen(line), "-", "{line}");
            assert_eq!(chosen(&format!("{line},deflate")), "deflate", "{line}");
        }
    }
}
