//! One spelling of a request's path, for the router and the upstream alike.
//!
//! AWS's 'important notes' say that REST APIs decode escaped parameters before an integration sees them, and nothing
//! on dot segments, `//` or a trailing slash; what users report of `%2F` differs between its API types. So this
//! follows RFC 3986 6.2.2 and, where upstreams differ, refuses: resolving `..` is only safe when every later parser
//! would resolve it to the same path, and some see dot segments where RFC 3986 sees none (`%2e`, `..;x`,
//! `..%2f`, `..\`). A path that survives means the same to all of them.

use crate::grammar::{hex_digit, is_unreserved_byte};

/// Why a path is refused, with 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// It doesn't begin with `/`; `*` of OPTIONS is no path.
    NotAbsolute,
    /// A `%` without two hexadecimal digits (RFC 3986 2.1).
    InvalidEscape,
    /// `%00`: what follows is invisible to whoever uses C strings.
    Nul,
    /// `\`, which some servers take for a slash; `%5C` is kept as it is.
    Backslash,
    /// A segment `.` or `..`, plain, escaped, with parameters (`..;x`), or beside an escaped `/` or `\`.
    DotSegment,
    /// A byte that no path has: `?`, `#`, whitespace, control characters, 0x7f and above.
    InvalidByte,
}

impl PathError {
    pub fn status(self) -> u16 {
        400
    }

    pub fn reason(self) -> &'static str {
        match self {
            Self::NotAbsolute => "path does not begin with '/'",
            Self::InvalidEscape => "path has a '%' that is not followed by two hexadecimal digits",
            Self::Nul => "path has an escaped NUL",
            Self::Backslash => "path has a backslash",
            Self::DotSegment => "path has a dot segment",
            Self::InvalidByte => "path has a character that must be escaped",
        }
    }
}

/// The normal form of an escaped path; empty stands for `/` (RFC 9110 4.2.3).
///
/// Escapes of unreserved characters are decoded (`/p%65ts` is `/pets`), the others are upper-cased and stay:
/// `%2F` is never a separator. Empty segments and a trailing slash stay as they are. Returns `raw` itself where
/// there is no escape, else what it has written to `scratch`, which is cleared first. The normal form is its own
/// normal form, and no longer than `raw` (or 1 byte).
pub fn normalize<'a>(raw: &'a [u8], scratch: &'a mut Vec<u8>) -> Result<&'a [u8], PathError> {
    let [b'/', ..] = raw else {
        return if raw.is_empty() { Ok(b"/") } else { Err(PathError::NotAbsolute) };
    };
    let found = scan(raw)?;
    if found == 0 {
        return Ok(raw);
    }
    let path = match found & ESCAPE {
        0 => raw,
        _ => {
            rewrite(raw, scratch)?;
            scratch
        }
    };
    if has_dot_segment(path) { Err(PathError::DotSegment) } else { Ok(path) }
}

const ESCAPE: u8 = 1;
const BACKSLASH: u8 = 2;
const INVALID: u8 = 4;
const DOT: u8 = 8;

static FINDINGS: [u8; 256] = findings();

const fn findings() -> [u8; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        table[index] = match index as u8 {
            b'%' => ESCAPE,
            b'\\' => BACKSLASH,
            b'.' => DOT,
            b'?' | b'#' => INVALID,
            0x21..=0x7e => 0,
            _ => INVALID,
        };
        index += 1;
    }
    table
}

/// What is in it that has to be looked at: escapes, dots.
fn scan(raw: &[u8]) -> Result<u8, PathError> {
    let found = raw.iter().fold(0, |found, byte| found | FINDINGS[*byte as usize]);
    if found & INVALID != 0 {
        Err(PathError::InvalidByte)
    } else if found & BACKSLASH != 0 {
        Err(PathError::Backslash)
    } else {
        Ok(found)
    }
}

fn rewrite(raw: &[u8], scratch: &mut Vec<u8>) -> Result<(), PathError> {
    scratch.clear();
    scratch.reserve(raw.len());
    let mut rest = raw;
    while let Some(escape) = rest.iter().position(|byte| *byte == b'%') {
        scratch.extend_from_slice(&rest[..escape]);
        let [_, high, low, after @ ..] = &rest[escape..] else {
            return Err(PathError::InvalidEscape);
        };
        let (Some(high_value), Some(low_value)) = (hex_digit(*high), hex_digit(*low)) else {
            return Err(PathError::InvalidEscape);
        };
        match high_value << 4 | low_value {
            0 => return Err(PathError::Nul),
            byte if is_unreserved_byte(byte) => scratch.push(byte),
            _ => scratch.extend_from_slice(&[b'%', high.to_ascii_uppercase(), low.to_ascii_uppercase()]),
        }
        rest = after;
    }
    scratch.extend_from_slice(rest);
    Ok(())
}

/// Looks, in a path whose unreserved escapes are decoded, for a segment `.` or `..` by anyone's reading: ends of
/// segments are `/`, `%2F` and `%5C`, and `;` or `%3B` where parameters begin.
fn has_dot_segment(path: &[u8]) -> bool {
    let mut rest = path;
    while let Some(dot) = rest.iter().position(|byte| *byte == b'.') {
        let before = &path[..path.len() - rest.len() + dot];
        let dots = rest[dot..].iter().take_while(|byte| **byte == b'.').count();
        let after = &rest[dot + dots..];
        if dots <= 2 && starts_segment(before) && ends_name(after) {
            return true;
        }
        rest = after;
    }
    false
}

fn starts_segment(before: &[u8]) -> bool {
    matches!(before, [.., b'/'] | [.., b'%', b'2', b'F'] | [.., b'%', b'5', b'C'])
}

fn ends_name(after: &[u8]) -> bool {
    matches!(
        after,
        [] | [b'/' | b';', ..] | [b'%', b'2', b'F', ..] | [b'%', b'5', b'C', ..] | [b'%', b'3', b'B', ..]
    )
}
