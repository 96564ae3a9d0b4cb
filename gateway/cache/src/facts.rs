//! What a request and a response say of caching, gathered in one pass over their lines.

use crate::date::parse_http_date;
use crate::directives::{CacheControl, parse_seconds};
use crate::vary::{Varies, Vary};

/// What a request says.
#[derive(Debug, Clone, Copy, Default)]
pub struct RequestFacts<'a> {
    pub control: CacheControl,
    pub authorization: Option<&'a [u8]>,
    pub if_none_match: Option<&'a [u8]>,
    pub if_modified_since: Option<&'a [u8]>,
    pub range: Option<&'a [u8]>,
    pub if_range: Option<&'a [u8]>,
    /// Conditions that only the origin can decide (RFC 9110 13.2.1), or lines that come twice and mustn't.
    pub for_origin: bool,
    /// It shows several credentials: who checks them may look at another than whoever answers.
    pub several_callers: bool,
    /// It tells the origin another method or path than its own, by a field that some frameworks obey: an answer to that is
    /// none to what others ask.
    pub overrides: bool,
}

impl<'a> RequestFacts<'a> {
    pub fn gather(lines: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        let mut facts = Self::default();
        let mut pragma_no_cache = false;
        let mut controlled = false;
        for (name, value) in lines {
            let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
            match name.len() {
                5 if is("range") => facts.take(value, |facts| &mut facts.range),
                6 if is("pragma") => pragma_no_cache |= value.eq_ignore_ascii_case(b"no-cache"),
                8 if is("if-match") => facts.for_origin = true,
                8 if is("if-range") => facts.take(value, |facts| &mut facts.if_range),
                13 if is("authorization") => {
                    facts.several_callers |= facts.authorization.is_some();
                    facts.take(value, |facts| &mut facts.authorization);
                }
                13 if is("x-http-method") || is("x-rewrite-url") => facts.overrides = true,
                13 if is("if-none-match") => facts.take(value, |facts| &mut facts.if_none_match),
                13 if is("cache-control") => {
                    controlled = true;
                    facts.control.read(value);
                }
                14 if is("x-original-url") => facts.overrides = true,
                17 if is("x-method-override") => facts.overrides = true,
                17 if is("if-modified-since") => facts.take(value, |facts| &mut facts.if_modified_since),
                19 if is("if-unmodified-since") => facts.for_origin = true,
                22 if is("x-http-method-override") => facts.overrides = true,
                _ => {}
            }
        }
        // RFC 9111 5.4: where there is no Cache-Control, Pragma says the same.
        facts.control.no_cache |= pragma_no_cache && !controlled;
        facts
    }

    /// Whether it is about a part of a response, or about whether it has changed.
    #[must_use]
    pub fn is_conditional(&self) -> bool {
        self.for_origin
            || self.if_none_match.is_some()
            || self.if_modified_since.is_some()
            || self.range.is_some()
            || self.if_range.is_some()
    }

    fn take(&mut self, value: &'a [u8], field: impl FnOnce(&mut Self) -> &mut Option<&'a [u8]>) {
        let twice = field(self).replace(value).is_some();
        self.for_origin |= twice;
    }
}

/// What a response says.
#[derive(Debug, Clone)]
pub struct ResponseFacts<'a> {
    pub status: u16,
    pub control: CacheControl,
    /// Seconds since 1970.
    pub date_s: Option<u64>,
    /// 0 for what is no date: it has expired (RFC 9111 5.3).
    pub expires_s: Option<u64>,
    pub age_s: u64,
    pub last_modified_s: Option<u64>,
    pub etag: Option<&'a [u8]>,
    pub varies: Varies,
    pub sets_cookie: bool,
}

impl<'a> ResponseFacts<'a> {
    pub fn gather(status: u16, now_s: u64, lines: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        let mut facts = Self {
            status,
            control: CacheControl::default(),
            date_s: None,
            expires_s: None,
            age_s: 0,
            last_modified_s: None,
            etag: None,
            varies: Varies::No,
            sets_cookie: false,
        };
        let mut vary = Vec::new();
        for (name, value) in lines {
            let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
            match name.len() {
                3 if is("age") => facts.note_age(value),
                4 if is("date") => facts.date_s = facts.date_s.or_else(|| parse_http_date(value, now_s)),
                4 if is("etag") => facts.etag = Some(value).filter(|etag| is_entity_tag(etag)),
                4 if is("vary") => vary.push(value),
                7 if is("expires") => {
                    // The earlier of several.
                    let expires_s = parse_http_date(value, now_s).unwrap_or(0);
                    facts.expires_s = Some(facts.expires_s.map_or(expires_s, |known| known.min(expires_s)));
                }
                10 if is("set-cookie") => facts.sets_cookie = true,
                13 if is("last-modified") => facts.last_modified_s = parse_http_date(value, now_s),
                13 if is("cache-control") => facts.control.read(value),
                _ => {}
            }
        }
        facts.varies = Vary::read(vary);
        facts
    }

    /// RFC 9111 5.1: what isn't a number is ignored; of several, the greater is on the safe side.
    fn note_age(&mut self, value: &[u8]) {
        let first = value.split(|byte| *byte == b',').next().unwrap_or_default();
        self.age_s = self.age_s.max(parse_seconds(first.trim_ascii()).unwrap_or(0));
    }

    #[must_use]
    pub fn has_validator(&self) -> bool {
        self.etag.is_some() || self.last_modified_s.is_some()
    }
}

/// RFC 9110 8.8.3.
fn is_entity_tag(value: &[u8]) -> bool {
    let quoted = value.strip_prefix(b"W/").unwrap_or(value);
    matches!(quoted, [b'"', inner @ .., b'"'] if inner.iter().all(|byte| matches!(byte, 0x21 | 0x23..=0x7e | 0x80..)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines<'a>(lines: &'a [(&'a str, &'a str)]) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        lines.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()))
    }

    #[test]
    fn a_request_says_what_it_wants() {
        let said =
            [("RANGE", "bytes=0-1"), ("If-None-Match", "*"), ("cache-control", "max-age=0"), ("x", "y")];
        let facts = RequestFacts::gather(lines(&said));
        assert_eq!((facts.range, facts.if_none_match), (Some(&b"bytes=0-1"[..]), Some(&b"*"[..])));
        assert!(facts.control.asks_for_refresh() && facts.is_conditional() && !facts.for_origin);
        assert!(!RequestFacts::gather(lines(&[("authorization", "x")])).is_conditional());
    }

    #[test]
    fn what_comes_twice_or_is_about_a_change_is_for_the_origin() {
        for said in [
            &[("if-match", "\"a\"")][..],
            &[("If-Unmodified-Since", "x")],
            &[("range", "bytes=0-1"), ("Range", "bytes=2-3")],
            &[("if-none-match", "\"a\""), ("if-none-match", "\"b\"")],
        ] {
            assert!(RequestFacts::gather(lines(said)).for_origin, "{said:?}");
        }
    }

    #[test]
    fn what_asks_for_something_else_is_noticed() {
        for name in [
            "X-HTTP-Method-Override",
            "x-http-method",
            "X-Method-Override",
            "x-original-url",
            "X-Rewrite-URL",
        ] {
            assert!(RequestFacts::gather(lines(&[(name, "")])).overrides, "{name}");
        }
        assert!(!RequestFacts::gather(lines(&[("x-http-methods", "x"), ("x-original-uri", "y")])).overrides);
    }

    #[test]
    fn pragma_counts_alone() {
        assert!(RequestFacts::gather(lines(&[("Pragma", "no-cache")])).control.no_cache);
        let both = [("Pragma", "no-cache"), ("Cache-Control", "max-age=5")];
        assert!(!RequestFacts::gather(lines(&both)).control.no_cache);
    }

    #[test]
    fn a_response_says_how_old_and_how_long() {
        let said = [
            ("Date", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("Expires", "Sun, 06 Nov 1994 08:50:37 GMT"),
            ("Age", "7"),
            ("ETag", "W/\"x\""),
            ("Vary", "A"),
            ("vary", "b"),
            ("Last-Modified", "Sun, 06 Nov 1994 08:49:30 GMT"),
        ];
        let facts = ResponseFacts::gather(200, 1_790_000_000, lines(&said));
        assert_eq!((facts.date_s, facts.expires_s, facts.age_s), (Some(784_111_777), Some(784_111_837), 7));
        assert_eq!((facts.etag, facts.last_modified_s), (Some(&b"W/\"x\""[..]), Some(784_111_770)));
        assert!(matches!(&facts.varies, Varies::By(vary) if vary.names().count() == 2));
    }

    #[test]
    fn what_a_response_says_wrongly_is_on_the_safe_side() {
        let gather = |said: &[(&str, &str)]| ResponseFacts::gather(200, 0, lines(said)).clone_facts();
        assert_eq!(gather(&[("expires", "0")]).0, Some(0));
        assert_eq!(gather(&[("expires", "0"), ("expires", "Sun, 06 Nov 1994 08:50:37 GMT")]).0, Some(0));
        assert_eq!(gather(&[("age", "5"), ("age", "3")]).1, 5);
        assert_eq!((gather(&[("age", "x")]).1, gather(&[("age", "5, 9")]).1), (0, 5));
        for etag in ["x", "\"", "\"a\"b\"", "w/\"a\"", "\"a b\""] {
            assert!(!gather(&[("etag", etag)]).2, "{etag}");
        }
        assert!(gather(&[("etag", "\"\"")]).2);
    }

    impl ResponseFacts<'_> {
        fn clone_facts(&self) -> (Option<u64>, u64, bool) {
            (self.expires_s, self.age_s, self.etag.is_some())
        }
    }
}
