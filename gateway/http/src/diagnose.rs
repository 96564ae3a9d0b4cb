//! Names what is wrong with a head that httparse refused. Runs only on the way to a closed connection, so it
//! looks at the head line by line and takes its time.

use crate::error::HeadFault;
use crate::grammar::{is_field_value, is_token};
use crate::limits::HeadLimits;

/// The first fault of a refused head.
#[cold]
pub(crate) fn diagnose(head: &[u8], limits: &HeadLimits, refusal: httparse::Error) -> HeadFault {
    let start_line_end = head.iter().position(|byte| *byte == b'\n').unwrap_or(head.len());
    if let Err(fault) = limits.check_start_line(head, start_line_end) {
        return fault;
    }
    let mut rest = head;
    let mut number = 0;
    while !rest.is_empty() {
        let line = Line::first_of(rest);
        if let Some(fault) = line.fault(number, refusal) {
            return fault;
        }
        if line.terminated && line.content.is_empty() {
            break;
        }
        rest = &rest[line.bytes_len..];
        number += 1;
    }
    match refusal {
        httparse::Error::TooManyHeaders => HeadFault::FieldsTooLarge,
        httparse::Error::HeaderName => HeadFault::InvalidHeaderName,
        httparse::Error::HeaderValue => HeadFault::InvalidHeaderValue,
        httparse::Error::NewLine
        | httparse::Error::Status
        | httparse::Error::Token
        | httparse::Error::Version => HeadFault::Malformed,
    }
}

struct Line<'a> {
    /// Without the line's end.
    content: &'a [u8],
    terminated: bool,
    bare_line_feed: bool,
    bytes_len: usize,
}

impl<'a> Line<'a> {
    fn first_of(rest: &'a [u8]) -> Self {
        let Some(line_feed) = rest.iter().position(|byte| *byte == b'\n') else {
            // A last CR may still get its LF.
            let content = rest.strip_suffix(b"\r").unwrap_or(rest);
            return Self { content, terminated: false, bare_line_feed: false, bytes_len: rest.len() };
        };
        let stripped = rest[..line_feed].strip_suffix(b"\r");
        Self {
            content: stripped.unwrap_or(&rest[..line_feed]),
            terminated: true,
            bare_line_feed: stripped.is_none(),
            bytes_len: line_feed + 1,
        }
    }

    fn fault(&self, number: usize, refusal: httparse::Error) -> Option<HeadFault> {
        if self.content.contains(&0) {
            return Some(HeadFault::Nul);
        }
        if self.content.contains(&b'\r') {
            return Some(HeadFault::BareCr);
        }
        if self.bare_line_feed {
            return Some(HeadFault::BareLf);
        }
        match number {
            0 => start_line_fault(self.content, refusal),
            1.. if self.content.is_empty() => None,
            1.. => self.header_fault(number),
        }
    }

    fn header_fault(&self, number: usize) -> Option<HeadFault> {
        if let [b' ' | b'\t', ..] = self.content {
            // Before the first field there is nothing to continue (RFC 9112 2.2).
            return Some(if number == 1 { HeadFault::InvalidHeaderName } else { HeadFault::ObsFold });
        }
        let Some(colon) = self.content.iter().position(|byte| *byte == b':') else {
            let possible = !self.terminated && is_token(self.content);
            return (!possible).then_some(HeadFault::InvalidHeaderName);
        };
        let (name, value) = (&self.content[..colon], &self.content[colon + 1..]);
        match name {
            [.., b' ' | b'\t'] => Some(HeadFault::SpaceBeforeColon),
            name if !is_token(name) => Some(HeadFault::InvalidHeaderName),
            _ if !is_field_value(value) => Some(HeadFault::InvalidHeaderValue),
            _ => None,
        }
    }
}

/// A well-formed version other than 1.0 and 1.1 is told apart from garbage: the peer may try another.
fn start_line_fault(line: &[u8], refusal: httparse::Error) -> Option<HeadFault> {
    match refusal {
        httparse::Error::Version => {
            let named = line.split(|byte| *byte == b' ').any(|word| match word.strip_prefix(b"HTTP/") {
                Some([major] | [major, b'.']) => major.is_ascii_digit(),
                Some(b"1.0" | b"1.1") => false,
                Some([major, b'.', minor]) => major.is_ascii_digit() && minor.is_ascii_digit(),
                _ => false,
            });
            Some(if named { HeadFault::VersionNotSupported } else { HeadFault::Malformed })
        }
        httparse::Error::Token | httparse::Error::Status => Some(HeadFault::Malformed),
        httparse::Error::HeaderName
        | httparse::Error::HeaderValue
        | httparse::Error::NewLine
        | httparse::Error::TooManyHeaders => None,
    }
}
