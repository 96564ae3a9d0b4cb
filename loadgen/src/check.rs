//! What a reply has to be, to count as right; and of the first one that isn't, what was wanted and what came.
//!
//! Sans-I/O: a reply is looked at once it is complete. A check says how much of a reply must be kept for it, so that a
//! run without checks of fields and bodies keeps nothing.

pub mod args;
mod list;
mod sample;
mod status;

use memchr::memmem::Finder;

use crate::source::Field;

pub use args::CheckArgs;
pub use list::{CheckList, Mismatch};
pub use sample::{SAMPLE_BYTES_MAX, Sample, escape};
pub use status::StatusSet;

/// What of a reply must be kept until it is complete.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Capture {
    #[default]
    Nothing,
    Head,
    /// The head, and the body up to a limit.
    Body,
}

/// A complete reply as checks and extractions see it.
#[derive(Debug, Clone, Copy)]
pub struct ReplyView<'a> {
    pub status: u16,
    /// Names and values; none where no head was kept.
    pub fields: &'a [Field],
    /// As much of the body as was kept.
    pub body: &'a [u8],
    /// The body's whole length.
    pub body_bytes: u64,
}

impl<'a> ReplyView<'a> {
    /// The values of a field, in order.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let named = move |field: &&Field| field.0.eq_ignore_ascii_case(name.as_bytes());
        self.fields.iter().filter(named).map(|field| field.1.as_slice())
    }

    /// The body where all of it was kept.
    pub fn whole_body(&self) -> Option<&'a [u8]> {
        (self.body.len() as u64 == self.body_bytes).then_some(self.body)
    }
}

/// One thing that is checked.
#[derive(Debug, Clone)]
pub enum Check {
    Status(StatusSet),
    FieldPresent(String),
    FieldEquals { name: String, value: Vec<u8> },
    FieldContains { name: String, part: Finder<'static> },
    BodyBytes(u64),
    BodyEquals(Vec<u8>),
    BodyContains(Finder<'static>),
    BodySha256([u8; 32]),
}

impl Check {
    pub fn capture(&self) -> Capture {
        match self {
            Self::Status(_) | Self::BodyBytes(_) => Capture::Nothing,
            Self::FieldPresent(_) | Self::FieldEquals { .. } | Self::FieldContains { .. } => Capture::Head,
            Self::BodyEquals(_) | Self::BodyContains(_) | Self::BodySha256(_) => Capture::Body,
        }
    }

    /// As it stands in a report.
    pub fn name(&self) -> String {
        match self {
            Self::Status(_) => "status".to_owned(),
            Self::FieldPresent(name) => format!("header {name} is present"),
            Self::FieldEquals { name, .. } => format!("header {name}"),
            Self::FieldContains { name, .. } => format!("header {name} contains"),
            Self::BodyBytes(_) => "body's length".to_owned(),
            Self::BodyEquals(_) => "body".to_owned(),
            Self::BodyContains(_) => "body contains".to_owned(),
            Self::BodySha256(_) => "body's SHA-256".to_owned(),
        }
    }

    pub fn fits(&self, reply: &ReplyView<'_>) -> bool {
        match self {
            Self::Status(wanted) => wanted.contains(reply.status),
            Self::FieldPresent(name) => reply.values(name).next().is_some(),
            Self::FieldEquals { name, value } => reply.values(name).any(|came| came == value),
            Self::FieldContains { name, part } => reply.values(name).any(|came| part.find(came).is_some()),
            Self::BodyBytes(wanted) => *wanted == reply.body_bytes,
            Self::BodyEquals(wanted) => reply.whole_body() == Some(wanted),
            // A part that was found needs no more of the body.
            Self::BodyContains(part) => part.find(reply.body).is_some(),
            Self::BodySha256(wanted) => reply.whole_body().is_some_and(|body| sha256(body) == *wanted),
        }
    }

    /// What was wanted and what came instead.
    pub fn sample(&self, reply: &ReplyView<'_>) -> Sample {
        let (wanted, came) = match self {
            Self::Status(wanted) => (wanted.to_string(), reply.status.to_string()),
            Self::FieldPresent(name) => (format!("a header {name}"), "none".to_owned()),
            Self::FieldEquals { name, value } => (escape(value), fields(reply, name)),
            Self::FieldContains { name, part } => (escape(part.needle()), fields(reply, name)),
            Self::BodyBytes(wanted) => (bytes(*wanted), bytes(reply.body_bytes)),
            Self::BodyEquals(wanted) => (escape(wanted), body(reply)),
            Self::BodyContains(part) => (escape(part.needle()), body(reply)),
            Self::BodySha256(wanted) => {
                let came = reply.whole_body().map(|body| crate::coding::hex(&sha256(body)));
                (crate::coding::hex(wanted), came.unwrap_or_else(|| cut(reply)))
            }
        };
        Sample { wanted, came }
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    let mut hash = [0; 32];
    hash.copy_from_slice(digest.as_ref());
    hash
}

fn fields(reply: &ReplyView<'_>, name: &str) -> String {
    let values: Vec<String> = reply.values(name).map(escape).collect();
    if values.is_empty() { "no such header".to_owned() } else { values.join(" and ") }
}

fn body(reply: &ReplyView<'_>) -> String {
    match reply.whole_body() {
        Some([]) => "an empty body".to_owned(),
        Some(body) => escape(body),
        None => cut(reply),
    }
}

fn cut(reply: &ReplyView<'_>) -> String {
    format!(
        "a body of {} bytes, of which --captured-body-bytes-max kept {}: {}",
        reply.body_bytes,
        reply.body.len(),
        escape(reply.body)
    )
}

fn bytes(count: u64) -> String {
    format!("{count} bytes")
}

/// Reads a SHA-256 in hexadecimal.
pub fn parse_sha256(text: &str) -> Result<[u8; 32], String> {
    let wrong = || format!("'{text}' is not a SHA-256 of 64 hexadecimal digits");
    if text.len() != 64 || !text.is_ascii() {
        return Err(wrong());
    }
    let mut hash = [0; 32];
    for (index, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[index * 2..index * 2 + 2], 16).map_err(|_| wrong())?;
    }
    Ok(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view<'a>(fields: &'a [Field], body: &'a [u8]) -> ReplyView<'a> {
        ReplyView { status: 200, fields, body, body_bytes: body.len() as u64 }
    }

    fn contains(part: &str) -> Finder<'static> {
        Finder::new(part).into_owned()
    }

    #[test]
    fn replies_fit_or_are_shown() {
        let head = [("Content-Type", "application/json"), ("set-cookie", "a=1"), ("Set-Cookie", "b=2")]
            .map(|(name, value)| (name.into(), value.into()));
        let reply = view(&head, b"{\"id\": 7}\n");
        let hash = parse_sha256("0eafa0f5f0bd4d7d4ef1c8a6d6c2d9c1ff2d0d4d3e2d0f1f5e3b9b7a5d3c1b0a").unwrap();
        let field = |name: &str, value: &str| Check::FieldEquals { name: name.into(), value: value.into() };
        let cases = [
            (Check::Status("200".parse().unwrap()), true, ""),
            (Check::Status("201,300-399".parse().unwrap()), false, "wanted 201,300-399, came 200"),
            (Check::FieldPresent("content-type".into()), true, ""),
            (Check::FieldPresent("etag".into()), false, "wanted a header etag, came none"),
            (field("set-cookie", "b=2"), true, ""),
            (field("set-cookie", "c"), false, "came a=1 and b=2"),
            (field("etag", "c"), false, "came no such header"),
            (Check::FieldContains { name: "content-type".into(), part: contains("json") }, true, ""),
            (
                Check::FieldContains { name: "content-type".into(), part: contains("xml") },
                false,
                "wanted xml",
            ),
            (Check::BodyBytes(10), true, ""),
            (Check::BodyBytes(11), false, "wanted 11 bytes, came 10 bytes"),
            (Check::BodyEquals(b"{\"id\": 7}\n".to_vec()), true, ""),
            (Check::BodyEquals(b"x".to_vec()), false, "wanted x, came {\"id\": 7}\\n"),
            (Check::BodyContains(contains("\"id\"")), true, ""),
            (Check::BodyContains(contains("name")), false, "wanted name, came {\"id\": 7}\\n"),
            (Check::BodySha256(hash), false, "wanted 0eafa0f5"),
        ];
        for (check, fits, sample) in cases {
            assert_eq!(check.fits(&reply), fits, "{check:?}");
            if !fits {
                let shown = check.sample(&reply).to_string();
                assert!(shown.contains(sample), "{shown} has no '{sample}'");
            }
        }
    }

    #[test]
    fn a_hash_is_that_of_the_whole_body() {
        // FIPS 180-2, appendix B.1.
        let abc = parse_sha256("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad").unwrap();
        assert!(Check::BodySha256(abc).fits(&view(&[], b"abc")));
        let cut = ReplyView { body_bytes: 4, ..view(&[], b"abc") };
        assert!(!Check::BodySha256(abc).fits(&cut));
        assert!(Check::BodySha256(abc).sample(&cut).came.contains("--captured-body-bytes-max kept 3"));
        assert!(Check::BodyContains(contains("bc")).fits(&cut));
        assert!(parse_sha256("ba78").is_err() && parse_sha256(&"zz".repeat(32)).is_err());
    }

    #[test]
    fn only_what_is_looked_at_is_kept() {
        assert_eq!(Check::BodyBytes(1).capture(), Capture::Nothing);
        assert_eq!(Check::FieldPresent("a".into()).capture(), Capture::Head);
        assert!(Check::BodyEquals(Vec::new()).capture() > Capture::Head);
    }
}
