//! The request target (RFC 9112 3.2): which bytes are path, query and authority. No escape is looked at here;
//! that is [`crate::path`]'s work.

use crate::error::RequestError;
use crate::host::is_host;
use crate::request::Method;
use crate::span::Span;

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) path: Span,
    pub(crate) query: Option<Span>,
    /// Of an absolute-form target.
    pub(crate) authority: Option<Span>,
}

/// Takes apart the target at `span` of the parsed buffer, whose bytes are `target`.
impl Target {
    /// Of a path alone.
    pub(crate) fn of_path(path: Span) -> Self {
        Self { path, query: None, authority: None }
    }
}

pub(crate) fn parse_target(target: &[u8], span: Span, method: Method) -> Result<Target, RequestError> {
    // No early exit, so that it compiles to vector code; targets are short.
    let foreign =
        target.iter().fold(false, |found, byte| found | !matches!(byte, 0x21..=0x7e) | (*byte == b'#'));
    if foreign {
        return Err(RequestError::InvalidTarget);
    }
    match target {
        [b'/', ..] => Ok(split_query(target, span, None)),
        b"*" if method == Method::Options => Ok(Target { path: span, query: None, authority: None }),
        _ => parse_absolute(target, span),
    }
}

/// `http://authority[/path][?query]`; an `https` URL says what the client meant, not how it arrived.
fn parse_absolute(target: &[u8], span: Span) -> Result<Target, RequestError> {
    let start = ["http://", "https://"]
        .into_iter()
        .find(|scheme| {
            target.get(..scheme.len()).is_some_and(|head| head.eq_ignore_ascii_case(scheme.as_bytes()))
        })
        .map(str::len)
        .ok_or(RequestError::InvalidTarget)?;
    let end = target[start..]
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?'))
        .map_or(target.len(), |authority_len| start + authority_len);
    if !is_host(&target[start..end]) {
        return Err(RequestError::InvalidTarget);
    }
    let authority = span.slice(start..end);
    Ok(split_query(&target[end..], span.slice(end..target.len()), Some(authority)))
}

fn split_query(target: &[u8], span: Span, authority: Option<Span>) -> Target {
    match target.iter().position(|byte| *byte == b'?') {
        Some(mark) => {
            let query = Some(span.slice(mark + 1..target.len()));
            Target { path: span.slice(0..mark), query, authority }
        }
        None => Target { path: span, query: None, authority },
    }
}
