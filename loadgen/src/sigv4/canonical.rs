//! A request in the form that is signed: whoever checks the signature makes the same of what arrived.

use crate::coding::{is_unreserved, percent_decoded, percent_encoded_but};
use crate::request::Parts;

/// Fields that a proxy adds, drops or changes, and the signature's own.
const UNSIGNED_FIELDS: [&str; 8] = [
    "authorization",
    "connection",
    "content-length",
    "expect",
    "te",
    "transfer-encoding",
    "user-agent",
    "x-amzn-trace-id",
];

/// The names of the signed fields, and the canonical request. `normalize` is for all services but S3: the path loses
/// its dots and empty segments, and is encoded once more than it is sent.
pub(super) fn request(parts: &Parts, payload: &str, normalize: bool) -> (String, String) {
    let (path, query) = parts.path.split_once('?').unwrap_or((&parts.path, ""));
    let path = if normalize { encoded_path(&normalized(path)) } else { path.to_owned() };
    let (names, lines) = fields(parts);
    let request =
        format!("{}\n{path}\n{}\n{lines}\n{names}\n{payload}", parts.method, canonical_query(query));
    (names, request)
}

fn fields(parts: &Parts) -> (String, String) {
    let mut signed: Vec<(String, String)> = Vec::with_capacity(parts.fields.len() + 1);
    if !parts.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        signed.push(("host".to_owned(), parts.authority.clone()));
    }
    for (name, value) in &parts.fields {
        let name = name.to_ascii_lowercase();
        if !UNSIGNED_FIELDS.contains(&name.as_str()) {
            signed.push((name, value.split_ascii_whitespace().collect::<Vec<_>>().join(" ")));
        }
    }
    // Stable: values of one name stay in order.
    signed.sort_by(|a, b| a.0.cmp(&b.0));
    signed.dedup_by(|later, first| {
        let same = later.0 == first.0;
        if same {
            first.1.push(',');
            first.1.push_str(&later.1);
        }
        same
    });
    let names: Vec<&str> = signed.iter().map(|(name, _)| name.as_str()).collect();
    let lines = signed.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    (names.join(";"), lines)
}

/// Without `.`, `..` and empty segments (RFC 3986, section 5.2.4); a slash at the end stays.
fn normalized(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    let end = if path.ends_with('/') && !segments.is_empty() { "/" } else { "" };
    format!("/{}{end}", segments.join("/"))
}

fn encoded_path(path: &str) -> String {
    percent_encoded_but(path.as_bytes(), |byte| is_unreserved(byte) || byte == b'/')
}

fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (recode(name), recode(value))
        })
        .collect();
    pairs.sort_unstable();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// However it was encoded, encoded as AWS wants it. A `+` is the space as which services read it.
fn recode(text: &str) -> String {
    percent_encoded_but(&percent_decoded(text.replace('+', "%20").as_bytes()), is_unreserved)
}
