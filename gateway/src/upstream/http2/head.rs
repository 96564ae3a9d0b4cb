//! A request's head as the pipeline wrote it, in HTTP/2's fields; and an answer's fields as a head that the pipeline
//! reads.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderName, HeaderValue, TE};
use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use http::{HeaderMap, Method, Request, Response};
use turnpike_http::{Framing, HeadLimits, HeaderName as Known, Progress, RequestHead, encode};

/// How an answer's body is delimited for the pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AnswerFraming {
    None,
    Length,
    Chunked,
}

/// A request's head, parsed.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) request: Request<()>,
    pub(super) framing: Framing,
    pub(super) head_bytes: usize,
}

/// Reads the head at the start of `text`, if it is whole. The pipeline wrote it: `Err` never happens, and would be a
/// request that can't be sent.
pub(super) fn request(text: &[u8], scheme: &Scheme) -> Result<Option<Parsed>, ()> {
    // What the client sent was held to its limits; the gateway adds little.
    const LIMITS: HeadLimits = HeadLimits {
        start_line_bytes_max: usize::MAX,
        header_bytes_max: usize::MAX,
        header_count_max: HeadLimits::HEADER_COUNT_CEILING,
    };
    let mut head = RequestHead::new();
    match head.parse(text, &LIMITS) {
        Ok(Progress::Complete) => {}
        Ok(Progress::Partial) => return Ok(None),
        Err(_) => return Err(()),
    }
    let bytes = Bytes::copy_from_slice(&text[..head.head_bytes]);
    let part = |span: turnpike_http::Span| bytes.slice(span.start as usize..span.end as usize);
    let path_end = head.query.map_or(head.path.end, |query| query.end);
    let target = bytes.slice(head.path.start as usize..path_end as usize);
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(scheme.clone());
    uri.authority = Some(Authority::from_maybe_shared(part(head.host)).map_err(drop)?);
    uri.path_and_query = Some(PathAndQuery::from_maybe_shared(target).map_err(drop)?);
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(head.method_span.of(&bytes)).map_err(drop)?;
    *request.uri_mut() = Uri::from_parts(uri).map_err(drop)?;
    let mut fields = HeaderMap::with_capacity(head.headers.len() + 1);
    for header in head.headers.iter().filter(|header| !header.hop_by_hop && header.name != Known::Host) {
        let name = HeaderName::from_bytes(header.name_span.of(&bytes)).map_err(drop)?;
        let value = HeaderValue::from_maybe_shared(part(header.value_span)).map_err(drop)?;
        fields.append(name, value);
    }
    // The gateway takes trailers, whoever asked; gRPC's servers look for it.
    fields.insert(TE, HeaderValue::from_static("trailers"));
    *request.headers_mut() = fields;
    Ok(Some(Parsed { request, framing: head.framing, head_bytes: head.head_bytes }))
}

/// Appends an interim answer's head.
pub(super) fn interim(response: &Response<()>, out: &mut Vec<u8>) {
    encode::status_line(out, response.status().as_u16());
    fields(response.headers(), out);
    out.extend_from_slice(b"\r\n");
}

/// Appends the answer's head, and says how its body is to follow. `ends`: there is none.
pub(super) fn answer<B>(
    response: &Response<B>,
    ends: bool,
    to_head: bool,
    out: &mut Vec<u8>,
) -> AnswerFraming {
    let status = response.status().as_u16();
    encode::status_line(out, status);
    fields(response.headers(), out);
    let framing = match response.headers().contains_key(CONTENT_LENGTH) {
        _ if to_head || matches!(status, 204 | 304) => AnswerFraming::None,
        true => AnswerFraming::Length,
        false if ends => {
            encode::header(out, "Content-Length", b"0");
            AnswerFraming::Length
        }
        false => {
            encode::header(out, "Transfer-Encoding", b"chunked");
            AnswerFraming::Chunked
        }
    };
    out.extend_from_slice(b"\r\n");
    framing
}

fn fields(fields: &HeaderMap, out: &mut Vec<u8>) {
    for (name, value) in fields {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            out.extend_from_slice(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"POST /a%20b?c=d HTTP/1.1\r\nHost: origin:81\r\nX-Token: t\r\nConnection: close\r\n\
        Transfer-Encoding: chunked\r\n\r\n";

    #[test]
    fn a_head_becomes_a_request_once_it_is_whole() {
        for end in 0..HEAD.len() {
            assert!(request(&HEAD[..end], &Scheme::HTTP).unwrap().is_none(), "at {end}");
        }
        let parsed = request(&[HEAD, b"3\r\nabc"].concat(), &Scheme::HTTPS).unwrap().unwrap();
        assert_eq!((parsed.framing, parsed.head_bytes), (Framing::Chunked, HEAD.len()));
        let request = parsed.request;
        assert_eq!(
            (request.method().as_str(), request.uri().to_string().as_str()),
            ("POST", "https://origin:81/a%20b?c=d")
        );
        let fields: Vec<(&str, &[u8])> =
            request.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        assert_eq!(fields, [("x-token", &b"t"[..]), ("te", b"trailers")]);
    }

    #[test]
    fn an_answers_framing_says_where_its_body_ends() {
        let answered = |status: u16, length: Option<&str>, ends: bool, to_head: bool| {
            let mut response = Response::builder().status(status).header("x-a", "1");
            if let Some(length) = length {
                response = response.header("content-length", length);
            }
            let mut out = Vec::new();
            let framing = answer(&response.body(()).unwrap(), ends, to_head, &mut out);
            (String::from_utf8(out).unwrap(), framing)
        };
        let plain = |text: &str, framing| (format!("HTTP/1.1 {text}\r\n\r\n"), framing);
        let length = AnswerFraming::Length;
        assert_eq!(
            answered(200, Some("3"), false, false),
            plain("200 OK\r\nx-a: 1\r\ncontent-length: 3", length)
        );
        assert_eq!(answered(200, None, true, false), plain("200 OK\r\nx-a: 1\r\nContent-Length: 0", length));
        assert_eq!(
            answered(200, None, false, false),
            plain("200 OK\r\nx-a: 1\r\nTransfer-Encoding: chunked", AnswerFraming::Chunked)
        );
        for (status, to_head, line) in [(200, true, "200 OK"), (204, false, "204 No Content")] {
            assert_eq!(
                answered(status, None, true, to_head),
                plain(&format!("{line}\r\nx-a: 1"), AnswerFraming::None)
            );
        }
    }
}
