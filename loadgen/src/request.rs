//! Requests: what they say, and the bytes that say it. Those of a rotation are formatted once before the run and
//! leaked on purpose: they live as long as the process, so that every connection can send them without copying or
//! counting references.

use std::cell::OnceCell;

use bytes::Bytes;

use crate::chunked;
use crate::http2::encode_request;
use crate::reply::is_token;
use crate::target::{PathEntry, Url};

/// A body up to this size is put behind its head, so that a request is one send.
const JOINED_BODY_BYTES_MAX: usize = 4096;
/// A head of this size is made without growing its memory.
const HEAD_BYTES_USUAL: usize = 512;

/// A request in the terms that all protocols share. Nothing here is checked: whoever fills it in does that.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parts {
    pub method: String,
    /// The Host field's value, unless `fields` holds one.
    pub authority: String,
    /// Path and query.
    pub path: String,
    /// In order; without those of framing and of the connection.
    pub fields: Vec<(String, String)>,
    pub body: Option<Bytes>,
    /// HTTP/1.1: the body goes in chunks.
    pub chunked: bool,
    /// HTTP/1.1: the connection ends with this exchange.
    pub close: bool,
    /// Index of its label in the settings, where requests have labels.
    pub label: usize,
    /// Index of its host in the settings.
    pub host: usize,
}

/// What is spoken on the connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Http1,
    Http2 {
        /// What :scheme says.
        tls: bool,
    },
    /// A request is a message: its body.
    WebSocket,
}

/// One request as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// HTTP/1.1: the head, with the body behind it where that is short. HTTP/2: the header block. WebSocket: nothing.
    pub head: Bytes,
    /// The body's bytes as sent, or empty when they are in `head`.
    pub body: Bytes,
    /// The reply has no body, whatever it says.
    pub head_method: bool,
    /// Index of its label in the settings, where requests have labels.
    pub label: usize,
    /// Index of its host in the settings.
    pub host: usize,
    /// The content's length, framing not included.
    pub content_bytes: usize,
}

impl Protocol {
    /// Formats a request.
    pub fn encode(self, parts: &Parts) -> Request {
        match self {
            Self::Http1 => encode_http1(parts),
            Self::Http2 { tls } => encode_request(if tls { "https" } else { "http" }, parts),
            Self::WebSocket => Request {
                head: Bytes::new(),
                body: parts.body.clone().unwrap_or_default(),
                head_method: false,
                label: parts.label,
                host: parts.host,
                content_bytes: parts.content_bytes(),
            },
        }
    }
}

impl Parts {
    /// The body's length.
    pub(crate) fn content_bytes(&self) -> usize {
        self.body.as_ref().map_or(0, Bytes::len)
    }
}

impl Request {
    /// All bytes as sent.
    pub(crate) fn bytes(&self) -> usize {
        self.head.len() + self.body.len()
    }

    /// The same with a head for as long as the process lives.
    pub(crate) fn leak(self) -> Self {
        Self { head: Bytes::from_static(Vec::leak(self.head.to_vec())), ..self }
    }
}

fn encode_http1(parts: &Parts) -> Request {
    let mut head = String::with_capacity(HEAD_BYTES_USUAL);
    push_all(&mut head, [&parts.method, " ", &parts.path, " HTTP/1.1\r\n"]);
    if !parts.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        push_all(&mut head, ["host: ", &parts.authority, "\r\n", ""]);
    }
    for (name, value) in &parts.fields {
        push_all(&mut head, [name, ": ", value, "\r\n"]);
    }
    if parts.close {
        head.push_str("connection: close\r\n");
    }
    let body = match &parts.body {
        Some(body) if parts.chunked => {
            head.push_str("transfer-encoding: chunked\r\n");
            Bytes::from(chunked::encode(body))
        }
        Some(body) => {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
            body.clone()
        }
        None => Bytes::new(),
    };
    head.push_str("\r\n");
    let mut head = head.into_bytes();
    let joined = body.len() <= JOINED_BODY_BYTES_MAX;
    head.extend_from_slice(if joined { &body } else { &[] });
    Request {
        head: head.into(),
        body: if joined { Bytes::new() } else { body },
        head_method: parts.method == "HEAD",
        label: parts.label,
        host: parts.host,
        content_bytes: parts.content_bytes(),
    }
}

fn push_all(text: &mut String, parts: [&str; 4]) {
    parts.iter().for_each(|part| text.push_str(part));
}

/// What the requests have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    pub method: String,
    /// As given: `Name: value`.
    pub headers: Vec<String>,
    pub body: Option<Vec<u8>>,
    pub chunked: bool,
    pub keep_alive: bool,
}

impl Shape {
    /// Formats one request for each path, or for each of `fields` where those are more; the shorter list begins anew.
    /// `paths` empty means the URL's own, `fields` those that all have in common.
    pub fn requests(
        &self,
        protocol: Protocol,
        url: &Url,
        paths: &[PathEntry],
        fields: &[String],
    ) -> Result<&'static [Request], String> {
        let common = self.parts()?;
        let own = [PathEntry { host: None, path: url.path.clone() }];
        let paths = if paths.is_empty() { &own } else { paths };
        let body = OnceCell::new();
        let request = |index: usize| {
            let entry = &paths[index % paths.len()];
            let mut parts = Parts {
                authority: entry.host.clone().unwrap_or_else(|| url.authority.clone()),
                path: entry.path.clone(),
                ..common.clone()
            };
            if !fields.is_empty() {
                let (name, value) = check_header(&fields[index % fields.len()])?;
                parts.fields.insert(0, (name.to_owned(), value.to_owned()));
            }
            let request = protocol.encode(&parts).leak();
            // All bodies are the same: one is kept.
            Ok(Request { body: body.get_or_init(|| request.body).clone(), ..request })
        };
        let requests: Result<Vec<_>, String> = (0..paths.len().max(fields.len())).map(request).collect();
        requests.map(|requests| &*Vec::leak(requests))
    }

    /// What all have in common.
    fn parts(&self) -> Result<Parts, String> {
        if !is_token_text(&self.method) {
            return Err(format!("'{}' is not a method", self.method));
        }
        // Leaked, so that the requests share it without counting references.
        let body = self.body.as_ref().map(|body| Bytes::from_static(Vec::leak(body.clone())));
        Ok(Parts {
            method: self.method.clone(),
            fields: check_headers(&self.headers)?,
            body,
            chunked: self.chunked,
            close: !self.keep_alive,
            ..Parts::default()
        })
    }
}

/// Reads a list of fields: `Name: value` a line; blank lines and lines that start with `#` are skipped.
pub fn parse_header_list(text: &str) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !is_blank(line)) {
        let in_line = |reason: String| format!("line {}: {reason}", number + 1);
        let (name, value) = check_header(line).map_err(in_line)?;
        if name.eq_ignore_ascii_case("host") {
            return Err(in_line("hosts stand in a --path-list".to_owned()));
        }
        fields.push(format!("{name}: {value}"));
    }
    if fields.is_empty() { Err("the list holds no field".to_owned()) } else { Ok(fields) }
}

fn is_blank(line: &str) -> bool {
    line.trim().is_empty() || line.starts_with('#')
}

/// The fields that `--header` gives, checked.
pub(crate) fn check_headers(headers: &[String]) -> Result<Vec<(String, String)>, String> {
    let field =
        |header: &String| check_header(header).map(|(name, value)| (name.to_owned(), value.to_owned()));
    headers.iter().map(field).collect()
}

pub(crate) fn check_header(header: &str) -> Result<(&str, &str), String> {
    let Some((name, value)) = header.split_once(':') else {
        return Err(format!("the header '{header}' is not of the form 'Name: value'"));
    };
    let (name, value) = (name.trim(), value.trim());
    if !is_token_text(name) {
        return Err(format!("'{name}' is not a header name"));
    }
    if value.chars().any(|c| c.is_control() && c != '\t') {
        return Err(format!("the value of the header '{name}' holds a control character"));
    }
    match name.to_ascii_lowercase().as_str() {
        "content-length" | "transfer-encoding" => {
            Err(format!("the header '{name}' follows from --body, --body-bytes and --chunked"))
        }
        "connection" => Err(format!("the header '{name}' follows from --no-keepalive")),
        _ => Ok((name, value)),
    }
}

fn is_token_text(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape() -> Shape {
        Shape { method: "GET".into(), headers: Vec::new(), body: None, chunked: false, keep_alive: true }
    }

    fn url() -> Url {
        Url::parse("http://a.test:81/x").unwrap()
    }

    fn text(request: &Request) -> String {
        String::from_utf8([&request.head[..], &request.body[..]].concat()).unwrap()
    }

    #[test]
    fn a_plain_get_is_one_short_head() {
        let requests = shape().requests(Protocol::Http1, &url(), &[], &[]).unwrap();
        assert_eq!(text(&requests[0]), "GET /x HTTP/1.1\r\nhost: a.test:81\r\n\r\n");
    }

    #[test]
    fn each_path_becomes_a_request_with_its_host() {
        let paths = crate::target::parse_path_list("/a\nb.test /c").unwrap();
        let requests = shape().requests(Protocol::Http1, &url(), &paths, &[]).unwrap();
        assert_eq!(text(&requests[0]), "GET /a HTTP/1.1\r\nhost: a.test:81\r\n\r\n");
        assert_eq!(text(&requests[1]), "GET /c HTTP/1.1\r\nhost: b.test\r\n\r\n");
    }

    #[test]
    fn bodies_are_framed_and_long_ones_are_sent_apart() {
        let post = Shape { method: "POST".into(), body: Some(b"hello".to_vec()), ..shape() };
        let short = post.requests(Protocol::Http1, &url(), &[], &[]).unwrap();
        assert!(short[0].body.is_empty());
        assert!(text(&short[0]).ends_with("content-length: 5\r\n\r\nhello"));
        let chunked = Shape { chunked: true, keep_alive: false, ..post.clone() };
        let chunked = chunked.requests(Protocol::Http1, &url(), &[], &[]).unwrap();
        let ending = "connection: close\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
        assert!(text(&chunked[0]).ends_with(ending), "{}", text(&chunked[0]));
        let long = Shape { body: Some(vec![b'x'; JOINED_BODY_BYTES_MAX + 1]), ..post };
        assert_eq!(
            long.requests(Protocol::Http1, &url(), &[], &[]).unwrap()[0].body.len(),
            JOINED_BODY_BYTES_MAX + 1
        );
    }

    #[test]
    fn a_host_header_replaces_the_urls() {
        let with_host = Shape { headers: vec!["Host: b.test".into(), "x-y:  z ".into()], ..shape() };
        let requests = with_host.requests(Protocol::Http1, &url(), &[], &[]).unwrap();
        assert_eq!(text(&requests[0]), "GET /x HTTP/1.1\r\nHost: b.test\r\nx-y: z\r\n\r\n");
    }

    #[test]
    fn fields_of_a_list_are_taken_in_turn() {
        let fields = parse_header_list("# keys\nx-api-key:  a\n\nx-api-key: b\n").unwrap();
        let paths = crate::target::parse_path_list("/1\n/2\n/3").unwrap();
        let requests = shape().requests(Protocol::Http1, &url(), &paths, &fields).unwrap();
        let expected = [("/1", "a"), ("/2", "b"), ("/3", "a")]
            .map(|(path, key)| format!("GET {path} HTTP/1.1\r\nhost: a.test:81\r\nx-api-key: {key}\r\n\r\n"));
        assert_eq!(requests.iter().map(text).collect::<Vec<_>>(), expected);
        assert_eq!(shape().requests(Protocol::Http1, &url(), &[], &fields).unwrap().len(), 2);
        for (list, reason) in [("a: b\nc", "line 2:"), ("Host: x", "--path-list"), ("#\n", "no field")] {
            assert!(parse_header_list(list).unwrap_err().contains(reason), "{list}");
        }
    }

    #[test]
    fn headers_that_would_break_the_request_are_refused() {
        for header in ["no colon", "a b: c", ": c", "a: b\r\nc: d", "Content-Length: 3", "Connection: close"]
        {
            let broken = Shape { headers: vec![header.into()], ..shape() };
            assert!(broken.requests(Protocol::Http1, &url(), &[], &[]).is_err(), "{header}");
        }
        assert!(
            Shape { method: "GE T".into(), ..shape() }.requests(Protocol::Http1, &url(), &[], &[]).is_err()
        );
    }
}
