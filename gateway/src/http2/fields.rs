//! Between HTTP/2's fields and the head as text, which is what the pipeline's steps read and write.
//!
//! Text comes from the pipeline's own encoders or from a checked head, so that a line without a colon, or with what
//! no field may hold, can't occur; it would be left out. Fields of one connection are (RFC 9113 8.2.2).

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use turnpike_http::is_forbidden_trailer;

/// An answer's head, and how many bytes of `text` it takes.
pub(super) fn response(text: &[u8]) -> (Response<()>, usize) {
    let head_bytes = head_end(text);
    let head = Bytes::copy_from_slice(&text[..head_bytes]);
    let lines_start = line_end(&head, 0);
    let mut response = Response::new(());
    *response.status_mut() = status(&head);
    *response.headers_mut() = fields(&head, lines_start);
    (response, head_bytes)
}

/// Fields from trailer lines; those that may not be trailers are left out.
pub(crate) fn trailers(lines: &[u8]) -> HeaderMap {
    let mut fields = fields(&Bytes::copy_from_slice(lines), 0);
    let forbidden: Vec<HeaderName> =
        fields.keys().filter(|name| is_forbidden_trailer(name.as_str().as_bytes())).cloned().collect();
    for name in forbidden {
        fields.remove(name);
    }
    fields
}

/// Trailer lines from fields; those that may not be trailers are left out.
pub(crate) fn trailer_lines(fields: &HeaderMap, out: &mut Vec<u8>) {
    for (name, value) in fields {
        let name = name.as_str().as_bytes();
        if !is_forbidden_trailer(name) {
            for part in [name, b": ", value.as_bytes(), b"\r\n"] {
                out.extend_from_slice(part);
            }
        }
    }
}

fn fields(text: &Bytes, mut at: usize) -> HeaderMap {
    // As many as there are lines: a map of more is an allocation of another order.
    let mut fields = HeaderMap::with_capacity(memchr::memchr_iter(b'\n', &text[at..]).count());
    while at < text.len() {
        let end = line_end(text, at);
        if let Some((name, value)) = field(text, at, end) {
            fields.append(name, value);
        }
        at = end;
    }
    fields
}

fn field(text: &Bytes, start: usize, end: usize) -> Option<(HeaderName, HeaderValue)> {
    let line = text[start..end].strip_suffix(b"\r\n")?;
    let colon = line.iter().position(|byte| *byte == b':')?;
    if is_of_connection(&line[..colon]) {
        return None;
    }
    let own = REQUEST_IDS.iter().find(|own| own.as_str().as_bytes().eq_ignore_ascii_case(&line[..colon]));
    let name = match own {
        Some(own) => own.clone(),
        None => HeaderName::from_bytes(&line[..colon]).ok()?,
    };
    let value = line[colon + 1..].trim_ascii();
    let mut value = HeaderValue::from_maybe_shared(text.slice_ref(value)).ok()?;
    // What is never the same again would push out of the compression table what is.
    value.set_sensitive(own.is_some());
    Some((name, value))
}

/// In each answer one or two.
static REQUEST_IDS: [HeaderName; 3] = [
    HeaderName::from_static("apigw-requestid"),
    HeaderName::from_static("x-amzn-requestid"),
    HeaderName::from_static("x-amz-apigw-id"),
];

fn is_of_connection(name: &[u8]) -> bool {
    match name.len() {
        7 => name.eq_ignore_ascii_case(b"upgrade"),
        10 => name.eq_ignore_ascii_case(b"connection") || name.eq_ignore_ascii_case(b"keep-alive"),
        16 => name.eq_ignore_ascii_case(b"proxy-connection"),
        17 => name.eq_ignore_ascii_case(b"transfer-encoding"),
        _ => false,
    }
}

/// `HTTP/1.1 200 OK`
fn status(head: &[u8]) -> StatusCode {
    head.get(9..12).and_then(|digits| StatusCode::from_bytes(digits).ok()).unwrap_or(StatusCode::BAD_GATEWAY)
}

/// Behind the line that holds `at`.
fn line_end(text: &[u8], at: usize) -> usize {
    memchr::memchr(b'\n', &text[at..]).map_or(text.len(), |offset| at + offset + 1)
}

/// Behind the empty line; all of `text` if there is none.
fn head_end(text: &[u8]) -> usize {
    let mut at = 0;
    while at < text.len() {
        let end = line_end(text, at);
        if end - at == 2 {
            return end;
        }
        at = end;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answers_head_becomes_fields_and_what_follows_is_left() {
        let text = b"HTTP/1.1 404 Not Found\r\nDate: today\r\nSet-Cookie: a=1\r\nset-cookie:b=2 \r\nConnection: close\r\n\
            Transfer-Encoding: chunked\r\nx-empty:\r\n\r\nbody";
        let (response, head_bytes) = response(text);
        assert_eq!(response.status(), 404);
        assert_eq!(&text[head_bytes..], b"body");
        let fields: Vec<(&str, &str)> =
            response.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        let expected = [("date", "today"), ("set-cookie", "a=1"), ("set-cookie", "b=2"), ("x-empty", "")];
        assert_eq!(fields, expected);
    }

    #[test]
    fn trailers_pass_both_ways_but_for_those_that_may_not() {
        let fields = trailers(b"grpc-status: 0\r\nContent-Length: 3\r\nGrpc-Message: a b\r\n");
        assert_eq!(fields.len(), 2);
        let mut lines = Vec::new();
        trailer_lines(&fields, &mut lines);
        assert_eq!(lines, b"grpc-status: 0\r\ngrpc-message: a b\r\n");
        let mut fields = HeaderMap::new();
        fields.insert("transfer-encoding", HeaderValue::from_static("chunked"));
        lines.clear();
        trailer_lines(&fields, &mut lines);
        assert!(lines.is_empty());
    }
}
