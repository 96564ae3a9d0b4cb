//! `Cache-Control` (RFC 9111 5.2, RFC 5861), of requests and of responses.
//!
//! What can be read in two ways is read in the way that stores less and for a shorter time: of a directive that comes
//! twice the smaller number counts, one whose number can't be read counts as 0 (RFC 9111 4.2.1), and `private` or
//! `no-cache` with field names as without (RFC 9111 5.2.2.4, 5.2.2.7).

/// RFC 9111 1.2.2: what is larger than a recipient can hold counts as 2^31.
const SECONDS_MAX: u64 = 1 << 31;

/// The directives that this crate acts on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheControl {
    pub no_store: bool,
    pub no_cache: bool,
    pub private: bool,
    pub public: bool,
    pub must_revalidate: bool,
    pub proxy_revalidate: bool,
    pub only_if_cached: bool,
    /// Seconds, as all that follow.
    pub max_age: Option<u64>,
    pub s_maxage: Option<u64>,
    pub min_fresh: Option<u64>,
    pub stale_while_revalidate: Option<u64>,
    pub stale_if_error: Option<u64>,
}

impl CacheControl {
    /// Takes in one more line's value.
    pub fn read(&mut self, value: &[u8]) {
        let mut rest = value;
        while let Some(directive) = next_directive(rest) {
            rest = directive.after;
            self.note(directive.name, directive.argument);
        }
    }

    fn note(&mut self, name: &[u8], argument: Option<&[u8]>) {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        let seconds = || argument.and_then(parse_seconds).unwrap_or(0);
        match name.len() {
            6 if is("public") => self.public = true,
            7 if is("private") => self.private = true,
            7 if is("max-age") => smaller(&mut self.max_age, seconds()),
            8 if is("no-store") => self.no_store = true,
            8 if is("no-cache") => self.no_cache = true,
            8 if is("s-maxage") => smaller(&mut self.s_maxage, seconds()),
            // A larger one asks for more: one that can't be read asks for the most.
            9 if is("min-fresh") => {
                let asked = argument.and_then(parse_seconds).unwrap_or(SECONDS_MAX);
                self.min_fresh = Some(self.min_fresh.map_or(asked, |known| known.max(asked)));
            }
            14 if is("only-if-cached") => self.only_if_cached = true,
            14 if is("stale-if-error") => smaller(&mut self.stale_if_error, seconds()),
            15 if is("must-revalidate") => self.must_revalidate = true,
            16 if is("proxy-revalidate") => self.proxy_revalidate = true,
            22 if is("stale-while-revalidate") => smaller(&mut self.stale_while_revalidate, seconds()),
            _ => {}
        }
    }

    /// API Gateway's wish of a client to have a response fetched anew: exactly `max-age=0`.
    #[must_use]
    pub fn asks_for_refresh(&self) -> bool {
        self.max_age == Some(0)
    }
}

fn smaller(known: &mut Option<u64>, seconds: u64) {
    *known = Some(known.map_or(seconds, |known| known.min(seconds)));
}

#[derive(Debug)]
struct Directive<'l> {
    name: &'l [u8],
    /// Without quotes.
    argument: Option<&'l [u8]>,
    /// What of the list comes behind.
    after: &'l [u8],
}

/// The next of a list's directives. Each is longer than nothing, so that a list ends.
fn next_directive(list: &[u8]) -> Option<Directive<'_>> {
    let start = list.iter().position(|byte| !matches!(byte, b',' | b' ' | b'\t'))?;
    let list = &list[start..];
    let name_end = list.iter().position(|byte| matches!(byte, b'=' | b',')).unwrap_or(list.len());
    let name = list[..name_end].trim_ascii();
    let Some(argument) = list[name_end..].strip_prefix(b"=") else {
        return Some(Directive { name, argument: None, after: &list[name_end..] });
    };
    let argument = argument.trim_ascii_start();
    let (argument, after) = match argument.strip_prefix(b"\"") {
        // What stands between a quote and the next comma belongs to nothing.
        Some(quoted) => {
            let (argument, after) = quoted.split_at(quote_end(quoted));
            (argument, up_to_comma(after).1)
        }
        None => up_to_comma(argument),
    };
    Some(Directive { name, argument: Some(argument.trim_ascii()), after })
}

fn up_to_comma(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().position(|byte| *byte == b',').unwrap_or(text.len()))
}

/// Where a quoted string ends that has begun. One that never does reaches to the end of the line.
fn quote_end(quoted: &[u8]) -> usize {
    let mut escaped = false;
    let end = quoted.iter().position(|byte| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    });
    end.unwrap_or(quoted.len())
}

/// Delta-seconds (RFC 9111 1.2.2).
pub(crate) fn parse_seconds(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add = |seconds: u64, digit: &u8| (seconds * 10 + u64::from(digit - b'0')).min(SECONDS_MAX);
    Some(digits.iter().fold(0, add))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> CacheControl {
        let mut control = CacheControl::default();
        lines.iter().for_each(|line| control.read(line.as_bytes()));
        control
    }

    #[test]
    fn directives_are_read_in_any_case_and_spacing() {
        let expected = CacheControl {
            public: true,
            max_age: Some(60),
            s_maxage: Some(5),
            stale_while_revalidate: Some(30),
            stale_if_error: Some(600),
            must_revalidate: true,
            ..CacheControl::default()
        };
        let lines = [
            &[
                "public, max-age=60, s-maxage=5, stale-while-revalidate=30, stale-if-error=600, must-revalidate",
            ][..],
            &[
                "PUBLIC,Max-Age=60",
                "S-MaxAge=\"5\" , ,stale-while-revalidate= 30,STALE-IF-ERROR=600 ,Must-Revalidate",
            ],
            &[
                "unknown, public, x=\"max-age=1, no-store\", max-age=60,s-maxage=5",
                "stale-if-error=600",
                "stale-while-revalidate=30",
                "must-revalidate",
            ],
        ];
        for lines in lines {
            assert_eq!(read(lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn what_is_unclear_stores_less() {
        for (line, max_age) in [
            ("max-age=60, max-age=10", Some(10)),
            ("max-age=10, max-age=60", Some(10)),
            ("max-age", Some(0)),
            ("max-age=", Some(0)),
            ("max-age=1.5", Some(0)),
            ("max-age=-1", Some(0)),
            ("max-age=+1", Some(0)),
            ("max-age=0x10", Some(0)),
            ("max-age=60 s", Some(0)),
            ("max-age=99999999999999999999999999", Some(SECONDS_MAX)),
            ("max-age=\"60", Some(60)),
            ("max-ages=60", None),
            ("xmax-age=60", None),
        ] {
            assert_eq!(read(&[line]).max_age, max_age, "{line}");
        }
        assert!(read(&["private=\"set-cookie\""]).private);
        assert!(read(&["no-cache=\"set-cookie\""]).no_cache);
        assert_eq!(read(&["min-fresh=5, min-fresh=9"]).min_fresh, Some(9));
        assert_eq!(read(&["min-fresh=x"]).min_fresh, Some(SECONDS_MAX));
    }

    #[test]
    fn a_quoted_argument_hides_nothing_that_stands_behind_it() {
        assert!(read(&[r#"ext="a\",b", no-store"#]).no_store);
        assert!(!read(&[r#"ext="a, no-store""#]).no_store);
        assert!(read(&[r#"ext="a"b, no-store"#]).no_store);
    }

    #[test]
    fn nonsense_is_read_to_its_end() {
        for line in ["", ",", "=", "==,=", "=,", "\"", "a=\"", "a=\"\\", ",,,,,,", "a=\"b\"\"c\",,"] {
            read(&[line]);
        }
        let mut seed = 1_u64;
        for _ in 0..20_000 {
            let line: Vec<u8> = (0..12)
                .map(|_| {
                    seed =
                        seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    b"=,\"\\ \tan0"[(seed >> 33) as usize % 9]
                })
                .collect();
            CacheControl::default().read(&line);
        }
    }

    #[test]
    fn only_an_age_of_zero_asks_for_a_refresh() {
        assert!(read(&["max-age=0"]).asks_for_refresh() && read(&["foo, max-age=00"]).asks_for_refresh());
        assert!(!read(&["max-age=1"]).asks_for_refresh() && !read(&["no-cache"]).asks_for_refresh());
    }
}
