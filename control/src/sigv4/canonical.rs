//! The canonical request, the string to sign and the key: what both sides of a signature compute.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use ring::{digest, hmac};

use super::{ALGORITHM, AccessKey, Scope, SignedRequest, TERMINATOR};

/// Everything but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// A path keeps its slashes.
const RESERVED_IN_PATH: &AsciiSet = &RESERVED.remove(b'/');

/// The canonical request over these (lower-case, sorted) headers.
pub(super) fn canonical_request(request: &SignedRequest<'_>, signed_headers: &[&str]) -> String {
    let mut text =
        format!("{}\n{}\n{}\n", request.method, canonical_path(request.path), canonical_query(request.query));
    for name in signed_headers {
        let values: Vec<String> = request.header_values(name).map(canonical_value).collect();
        let _ = writeln!(text, "{name}:{}", values.join(","));
    }
    let _ = write!(text, "\n{}\n{}", signed_headers.join(";"), sha256_hex(request.body));
    text
}

pub(super) fn string_to_sign(amz_date: &str, scope: &Scope<'_>, canonical_request: &str) -> String {
    format!("{ALGORITHM}\n{amz_date}\n{scope}\n{}", sha256_hex(canonical_request.as_bytes()))
}

/// The key for one day, region and service.
pub(super) fn signing_key(key: &AccessKey, scope: &Scope<'_>) -> hmac::Key {
    let start = hmac::Key::new(hmac::HMAC_SHA256, format!("AWS4{}", key.secret).as_bytes());
    [scope.day, scope.region, scope.service, TERMINATOR].into_iter().fold(start, |key, part| {
        hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref())
    })
}

pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Dot segments and double slashes taken out, then encoded once more: every service but S3 signs the
/// encoding of the encoded path.
fn canonical_path(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            _ => kept.push(segment),
        }
    }
    if kept.is_empty() {
        return "/".to_owned();
    }
    let trailing = if path.ends_with('/') { "/" } else { "" };
    let normal = format!("/{}{trailing}", kept.join("/"));
    percent_encode(normal.as_bytes(), RESERVED_IN_PATH).to_string()
}

/// Each name and value decoded and encoded again, then sorted: clients differ in what they encode. A `+` is the space
/// that calls read it as, so that what was signed is what is done.
fn canonical_query(query: &str) -> String {
    let again = |text: &str| {
        let spaced = text.replace('+', "%20");
        percent_encode(&Vec::from_iter(percent_decode_str(&spaced)), RESERVED).to_string()
    };
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (again(name), again(value)))
        .collect();
    pairs.sort();
    let pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

/// Without spaces at the ends, and with single ones inside.
fn canonical_value(value: &str) -> String {
    value.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_normalised_and_encoded_twice() {
        let table = [
            ("/", "/"),
            ("", "/"),
            ("/v2/apis", "/v2/apis"),
            ("/v2/apis/", "/v2/apis/"),
            ("/v2//apis/./x/../y", "/v2/apis/y"),
            ("/stages/%24default", "/stages/%2524default"),
            ("/stages/$default", "/stages/%24default"),
            ("/a b", "/a%20b"),
        ];
        for (path, canonical) in table {
            assert_eq!(canonical_path(path), canonical, "{path}");
        }
    }

    #[test]
    fn queries_are_sorted_by_name_then_value() {
        let table = [
            ("", ""),
            ("b=2&a=1", "a=1&b=2"),
            ("a=2&a=1", "a=1&a=2"),
            ("mode", "mode="),
            ("p=%7e%2f", "p=~%2F"),
            ("p=a+b", "p=a%20b"),
            ("p=a%2bb", "p=a%2Bb"),
        ];
        for (query, canonical) in table {
            assert_eq!(canonical_query(query), canonical, "{query}");
        }
    }

    #[test]
    fn inner_spaces_collapse() {
        assert_eq!(canonical_value("  a   b "), "a b");
    }
}
