//! Header fields that say whether a body may be transformed, and what it is already.

use crate::{ContentCoding, MediaTypes};

/// Never held back and never changed: what is sent piece by piece is meant to arrive so.
const STREAMS: [&str; 3] = ["text/event-stream", "application/grpc", "multipart/x-mixed-replace"];

/// Whether `Cache-Control` says no-transform (RFC 9111 5.2.1.6, 5.2.2.6).
#[must_use]
pub fn forbids_transforming(cache_control: &[u8]) -> bool {
    tokens(cache_control).any(|directive| directive.eq_ignore_ascii_case(b"no-transform"))
}

/// Whether `Vary` has the client's codings in it already.
#[must_use]
pub fn varies_by_coding(vary: &[u8]) -> bool {
    tokens(vary).any(|name| name == b"*" || name.eq_ignore_ascii_case(b"accept-encoding"))
}

/// Whether the body of a response with these fields may be compressed: none is that has a coding already (AWS), that is
/// a part or a stream, that is vouched for as it is, whose sender forbids it, or of an excluded type.
#[must_use]
pub fn is_transformable<'l>(
    fields: impl IntoIterator<Item = (&'l [u8], &'l [u8])>,
    excluded: &MediaTypes,
) -> bool {
    fields.into_iter().all(|(name, value)| {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        match name.len() {
            6 => !is("digest"),
            11 => !is("content-md5") && !is("repr-digest"),
            12 if is("content-type") => !is_stream(value) && !excluded.contain(value),
            13 if is("cache-control") => !forbids_transforming(value),
            13 => !is("content-range"),
            14 => !is("content-digest"),
            16 => !is("content-encoding"),
            _ => true,
        }
    })
}

/// What a request's body is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestCoding {
    /// As it is; it was said to be (`identity`), or nothing was.
    Plain,
    Coded(ContentCoding),
    /// Something else, or several one over the other.
    Unsupported,
}

/// By its `Content-Encoding` lines.
#[must_use]
pub fn request_coding<'v>(lines: impl IntoIterator<Item = &'v [u8]>) -> RequestCoding {
    let mut codings = lines
        .into_iter()
        .flat_map(tokens)
        .filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case(b"identity"));
    match (codings.next(), codings.next()) {
        (None, _) => RequestCoding::Plain,
        (Some(name), None) => {
            ContentCoding::named(name).map_or(RequestCoding::Unsupported, RequestCoding::Coded)
        }
        (Some(_), Some(_)) => RequestCoding::Unsupported,
    }
}

fn is_stream(content_type: &[u8]) -> bool {
    STREAMS.iter().any(|stream| {
        content_type.get(..stream.len()).is_some_and(|start| start.eq_ignore_ascii_case(stream.as_bytes()))
    })
}

fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transformable(fields: &[(&str, &str)]) -> bool {
        let excluded: MediaTypes = "image/png".parse().unwrap();
        is_transformable(fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())), &excluded)
    }

    #[test]
    fn most_responses_may_be_compressed() {
        let fields = [
            ("Content-Type", "application/json"),
            ("Cache-Control", "max-age=5, public"),
            ("ETag", "\"a\""),
            ("Accept-Ranges", "bytes"),
            ("X-Digest", "a"),
        ];
        assert!(transformable(&fields) && transformable(&[]));
    }

    #[test]
    fn some_are_left_as_they_are() {
        for field in [
            ("content-encoding", "br"),
            // AWS looks for the field, whatever it says.
            ("Content-Encoding", "identity"),
            ("Cache-Control", "public, No-Transform"),
            ("Content-Type", "image/PNG"),
            ("Content-Type", "text/event-stream; charset=utf-8"),
            ("Content-Type", "application/grpc+proto"),
            ("Content-Range", "bytes 0-1/5"),
            ("Content-MD5", "x"),
            ("Content-Digest", "x"),
            ("Repr-Digest", "x"),
            ("Digest", "x"),
        ] {
            assert!(!transformable(&[("X", "y"), field]), "{field:?}");
        }
    }

    #[test]
    fn vary_is_read_as_a_list() {
        assert!(varies_by_coding(b"origin , Accept-Encoding") && varies_by_coding(b"*"));
        assert!(!varies_by_coding(b"") && !varies_by_coding(b"accept, x-accept-encoding"));
    }

    #[test]
    fn one_coding_of_a_request_is_taken_off() {
        use RequestCoding::{Coded, Plain, Unsupported};
        let cases: [(&[&str], RequestCoding); 8] = [
            (&[], Plain),
            (&["identity"], Plain),
            (&["gzip"], Coded(ContentCoding::Gzip)),
            (&["Identity, X-GZIP"], Coded(ContentCoding::Gzip)),
            (&["deflate"], Coded(ContentCoding::Deflate)),
            (&["br"], Unsupported),
            (&["gzip, gzip"], Unsupported),
            (&["gzip", "br"], Unsupported),
        ];
        for (lines, expected) in cases {
            assert_eq!(request_coding(lines.iter().map(|line| line.as_bytes())), expected, "{lines:?}");
        }
    }
}
