//! Checks of single strings: which characters, how many. Each names the place for its error.

use std::net::Ipv6Addr;

use super::{Checked, Problem, size, wrong};

/// RFC 1123, section 2.1, in bytes.
const LABEL_BYTES_MAX: usize = 63;
const NAME_BYTES_MAX: usize = 253;
/// AWS's; a stage's name is ASCII.
const STAGE_BYTES_MAX: usize = 128;
/// What no registered method or field comes near (arbitrary).
const METHOD_BYTES_MAX: usize = 32;
const FIELD_NAME_BYTES_MAX: usize = 128;
/// What a health check asks for (arbitrary).
const PROBE_PATH_BYTES_MAX: usize = 1_024;

fn expect(good: bool, place: &str, found: &str, expected: &'static str) -> Checked {
    if good { Ok(()) } else { Err(wrong(place, Problem::Text { found: found.to_owned(), expected })) }
}

pub(super) fn sized(place: &str, text: &str, bytes_max: usize) -> Checked {
    if text.is_empty() {
        return Err(wrong(place, Problem::Empty));
    }
    size(place, text.len() as u64, bytes_max as u64)
}

/// Whatever is only compared and shown: an id, a token.
pub(super) fn id(place: &str, text: &str, bytes_max: usize) -> Checked {
    sized(place, text, bytes_max)?;
    expect(text.bytes().all(|b| b.is_ascii_graphic()), place, text, "visible ASCII without spaces")
}

/// An API's id is a DNS label of its address.
pub(super) fn api_id(place: &str, text: &str) -> Checked {
    sized(place, text, LABEL_BYTES_MAX)?;
    expect(is_label(text), place, text, "a DNS label in lower case")
}

/// A stage's name, `$default` apart.
pub(super) fn stage(place: &str, text: &str) -> Checked {
    sized(place, text, STAGE_BYTES_MAX)?;
    let good = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    expect(good, place, text, "made of letters, digits, '_' and '-'")
}

pub(super) fn account_id(text: &str) -> Checked {
    let good = text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit());
    expect(good, "account id", text, "twelve digits")
}

/// A DNS name in lower case, without a port or a final dot.
pub(super) fn dns_name(place: &str, text: &str) -> Checked {
    sized(place, text, NAME_BYTES_MAX)?;
    expect(text.split('.').all(is_label), place, text, "a DNS name in lower case")
}

/// A label may have an underscore: it is no host name's, but private zones have them.
fn is_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
    (1..=LABEL_BYTES_MAX).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Where an integration connects: a DNS name in either case, or an address. It becomes a `Host` header.
pub(super) fn host(place: &str, text: &str) -> Checked {
    sized(place, text, NAME_BYTES_MAX)?;
    if text.contains(':') {
        return expect(text.parse::<Ipv6Addr>().is_ok(), place, text, "an IPv6 address without brackets");
    }
    let good = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    expect(good, place, text, "a DNS name or an address")
}

/// A method (RFC 9110, section 9.1: a token). AWS knows only upper-case ones.
pub(super) fn method(place: &str, text: &str) -> Checked {
    sized(place, text, METHOD_BYTES_MAX)?;
    let good = text.bytes().all(|b| is_token(b) && !b.is_ascii_lowercase());
    expect(good, place, text, "an upper-case HTTP method")
}

/// A header field's name in lower case (RFC 9110, section 5.1).
pub(super) fn field_name(place: &str, text: &str) -> Checked {
    sized(place, text, FIELD_NAME_BYTES_MAX)?;
    expect(
        text.bytes().all(|b| is_token(b) && !b.is_ascii_uppercase()),
        place,
        text,
        "a lower-case field name",
    )
}

/// An absolute path of a file system, fit for a socket's address.
pub(super) fn unix_path(place: &str, text: &str, bytes_max: usize) -> Checked {
    sized(place, text, bytes_max)?;
    let good = text.starts_with('/') && !text.contains('\0');
    expect(good, place, text, "an absolute path")
}

/// What a health check asks for: path and query.
pub(super) fn probe_path(place: &str, text: &str) -> Checked {
    sized(place, text, PROBE_PATH_BYTES_MAX)?;
    let good = text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    expect(good, place, text, "a path of visible ASCII that starts with '/', without '#'")
}

/// RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A piece of the path that is sent. Bytes that aren't visible ASCII could end the request line, and `?`
/// or `#` the path.
pub(super) fn target_literal(place: &str, text: &str) -> Checked {
    let good = text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'?' | b'#'));
    expect(good, place, text, "visible ASCII without '?' and '#'")
}

pub(super) fn query(place: &str, text: &str) -> Checked {
    let good = text.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    expect(good, place, text, "visible ASCII without '#'")
}

/// A mapping's key. `%` would compare unequal to what it stands for.
pub(super) fn mapping_key(place: &str, text: &str, bytes_max: usize) -> Checked {
    if text.is_empty() {
        return Ok(());
    }
    sized(place, text, bytes_max)?;
    let inner = |b: u8| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'%' | b'{' | b'}');
    let good = text.split('/').all(|segment| !segment.is_empty() && segment.bytes().all(inner));
    expect(
        good,
        place,
        text,
        "path segments of visible ASCII, without '/' at either end, '?', '#', '%', '{', '}'",
    )
}

/// What a header's value is compared with.
pub(super) fn value_glob(place: &str, text: &str, bytes_max: usize) -> Checked {
    sized(place, text, bytes_max)?;
    let inner = text.strip_prefix('*').unwrap_or(text);
    let inner = inner.strip_suffix('*').unwrap_or(inner);
    let good = !inner.contains('*') && text.bytes().all(|b| matches!(b, b' '..=b'~'));
    expect(good, place, text, "printable ASCII with '*' at its ends at most")
}

/// A word of a list that commas or spaces part.
pub(super) fn cache_tag(place: &str, text: &str, bytes_max: usize) -> Checked {
    sized(place, text, bytes_max)?;
    let good = text.bytes().all(|b| b.is_ascii_graphic() && b != b',');
    expect(good, place, text, "visible ASCII without spaces and commas")
}

/// It is logged.
pub(super) fn reason(place: &str, text: &str, bytes_max: usize) -> Checked {
    sized(place, text, bytes_max)?;
    expect(!text.chars().any(char::is_control), place, text, "free of control characters")
}

/// It becomes a file's name below the log folder, and must not lead out of it.
pub(super) fn log_group(place: &str, text: &str) -> Checked {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'/' | b'.' | b'#');
    let good = text.bytes().all(inner) && !text.split('/').any(|part| matches!(part, "." | ".."));
    expect(
        good,
        place,
        text,
        "a log group's name (letters, digits, '_', '-', '/', '.', '#'; no '.' or '..' segment)",
    )
}

pub(super) fn log_format(place: &str, text: &str) -> Checked {
    let good = !text.chars().any(|c| c.is_control() && c != '\t');
    expect(good, place, text, "free of control characters")
}
