//! Request heads: what is accepted and how it reads, what is refused and by which name, at every split.

mod framing;
mod limits;
mod lines;

use turnpike_http::{
    Framing, HeadLimits, HeaderName, Method, Progress, RequestError, RequestHead, Span, Version,
};

const LIMITS: HeadLimits =
    HeadLimits { start_line_bytes_max: 8192, header_bytes_max: 10_240, header_count_max: 100 };

fn parse(bytes: &[u8]) -> Result<(Progress, RequestHead), RequestError> {
    parse_within(bytes, &LIMITS)
}

fn parse_within(bytes: &[u8], limits: &HeadLimits) -> Result<(Progress, RequestHead), RequestError> {
    let mut head = RequestHead::new();
    head.parse(bytes, limits).map(|progress| (progress, head))
}

#[track_caller]
fn complete(bytes: &[u8]) -> RequestHead {
    match parse(bytes) {
        Ok((Progress::Complete, head)) => head,
        other => panic!("{:?}: {other:?}", String::from_utf8_lossy(bytes)),
    }
}

#[track_caller]
fn refused(bytes: impl AsRef<[u8]>, expected: RequestError) {
    let bytes = bytes.as_ref();
    match parse(bytes) {
        Err(error) => assert_eq!(error, expected, "{:?}", String::from_utf8_lossy(bytes)),
        Ok(read) => panic!("{:?} was accepted: {read:?}", String::from_utf8_lossy(bytes)),
    }
}

/// A POST with these header lines (without the last CRLF) after `Host`.
fn post(lines: &str) -> String {
    format!("POST /orders HTTP/1.1\r\nHost: a.test\r\n{lines}\r\n\r\n")
}

fn text(span: Span, bytes: &[u8]) -> &str {
    std::str::from_utf8(span.of(bytes)).expect("ASCII sample")
}

const VALID: &[&[u8]] = &[
    b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
    b"GET /pets/7?limit=10&x=%20 HTTP/1.1\r\nHost: a.test:8080\r\nUser-Agent: curl/8\r\nAccept: */*\r\n\r\n",
    b"\r\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
    b"POST /orders HTTP/1.1\r\nHost: a.test\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n",
    b"PUT /o HTTP/1.1\r\nhost:a.test\r\ntransfer-encoding:\tChunked \r\ntrailer: x-sum\r\n\r\n",
    b"GET http://b.test/x?y HTTP/1.1\r\nHost: a.test\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"PURGE /c HTTP/1.1\r\nHost: [::1]:80\r\nX-Empty:\r\nX-Blank: \t \r\nX-Obs: caf\xe9\r\n\r\n",
    b"GET /w HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade, X-Hop\r\nUpgrade: websocket\r\nX-Hop: 1\r\n\r\n",
];

#[test]
fn every_split_of_a_valid_head_reads_the_same() {
    for sample in VALID {
        let expected = complete(sample);
        assert_eq!(expected.head_bytes, sample.len());
        let mut head = RequestHead::new();
        for end in 0..sample.len() {
            let read = head.parse(&sample[..end], &LIMITS);
            assert_eq!(read, Ok(Progress::Partial), "{:?}", String::from_utf8_lossy(&sample[..end]));
        }
        for follows in ["", "x", "\r\n", "\n", "GET / HTTP/1.1\r\n", "\0\0\0"] {
            let with_more = [*sample, follows.as_bytes()].concat();
            assert_eq!(head.parse(&with_more, &LIMITS), Ok(Progress::Complete));
            assert_eq!(format!("{head:?}"), format!("{expected:?}"), "reused, followed by {follows:?}");
        }
    }
}

#[test]
fn a_head_is_read_as_it_stands() {
    let bytes = VALID[1];
    let head = complete(bytes);
    assert_eq!((head.method, text(head.method_span, bytes)), (Method::Get, "GET"));
    assert_eq!(text(head.path, bytes), "/pets/7");
    assert_eq!(head.query.map(|query| text(query, bytes)), Some("limit=10&x=%20"));
    assert_eq!(text(head.host, bytes), "a.test:8080");
    assert_eq!(head.version, Version::Http11);
    assert_eq!(head.framing, Framing::None);
    assert!(head.keep_alive && !head.expect_continue && head.upgrade.is_none());
    let lines: Vec<_> = head
        .headers
        .iter()
        .map(|header| (header.name, text(header.name_span, bytes), text(header.value_span, bytes)))
        .collect();
    let expected = [
        (HeaderName::Host, "Host", "a.test:8080"),
        (HeaderName::UserAgent, "User-Agent", "curl/8"),
        (HeaderName::Other, "Accept", "*/*"),
    ];
    assert_eq!(lines, expected);
}

#[test]
fn values_lose_the_whitespace_around_them_only() {
    let bytes = b"GET / HTTP/1.1\r\nHost: \t a.test\t \r\nA:\r\nB: \t\r\nC: x \t y\r\n\r\n";
    let head = complete(bytes);
    let values: Vec<_> = head.headers.iter().map(|header| text(header.value_span, bytes)).collect();
    assert_eq!(values, ["a.test", "", "", "x \t y"]);
}

#[test]
fn methods() {
    let known = [
        ("GET", Method::Get),
        ("HEAD", Method::Head),
        ("POST", Method::Post),
        ("PUT", Method::Put),
        ("PATCH", Method::Patch),
        ("DELETE", Method::Delete),
        ("OPTIONS", Method::Options),
        ("TRACE", Method::Other),
        ("get", Method::Other),
        ("GETS", Method::Other),
        ("M-SEARCH", Method::Other),
        ("!#$%&'*+-.^_`|~09Az", Method::Other),
    ];
    for (name, method) in known {
        let bytes = format!("{name} / HTTP/1.1\r\nHost: a.test\r\n\r\n");
        let head = complete(bytes.as_bytes());
        assert_eq!((head.method, text(head.method_span, bytes.as_bytes())), (method, name));
    }
    refused("CONNECT a.test:443 HTTP/1.1\r\nHost: a.test\r\n\r\n", RequestError::ConnectNotSupported);
    for malformed in ["", "G(T", "G/T", "G\u{e9}T", "\"GET\"", "GET\t"] {
        refused(format!("{malformed} / HTTP/1.1\r\nHost: a.test\r\n\r\n"), RequestError::Malformed);
    }
}

#[test]
fn targets() {
    for (target, path, query, host) in [
        ("/", "/", None, "a.test"),
        ("/?", "/", Some(""), "a.test"),
        ("/a?b?c", "/a", Some("b?c"), "a.test"),
        ("//evil.test/x", "//evil.test/x", None, "a.test"),
        ("/http://b.test/", "/http://b.test/", None, "a.test"),
        ("/a@b:c;d=[{|}]\"<>", "/a@b:c;d=[{|}]\"<>", None, "a.test"),
        ("http://b.test", "", None, "b.test"),
        ("http://b.test?q", "", Some("q"), "b.test"),
        ("HTTP://B.test:81/x/?q=/", "/x/", Some("q=/"), "B.test:81"),
        ("https://[::1]:443/x", "/x", None, "[::1]:443"),
    ] {
        let bytes = format!("GET {target} HTTP/1.1\r\nHost: a.test\r\n\r\n").into_bytes();
        let head = complete(&bytes);
        let read =
            (text(head.path, &bytes), head.query.map(|query| text(query, &bytes)), text(head.host, &bytes));
        assert_eq!(read, (path, query, host), "{target}");
    }
    for target in [
        "*",
        "a",
        "a/b",
        "a.test:80",
        "?q",
        "/a#b",
        "#",
        "/\u{e9}",
        "http:/a",
        "http://",
        "http:///x",
        "http://?q",
        "http://u@b.test/",
        "http://u:p@b.test/",
        "http://b.test#f",
        "http://b.test:x/",
        "http://b,c/",
        "ftp://b.test/",
        "ws://b.test/",
        "http://[::1/",
        "http:\\\\b.test/",
    ] {
        refused(format!("GET {target} HTTP/1.1\r\nHost: a.test\r\n\r\n"), RequestError::InvalidTarget);
    }
    let asterisk = complete(VALID[6]);
    assert_eq!((asterisk.method, text(asterisk.path, VALID[6])), (Method::Options, "*"));
    refused("OPTIONS *x HTTP/1.1\r\nHost: a.test\r\n\r\n", RequestError::InvalidTarget);
}

#[test]
fn hosts() {
    refused("GET / HTTP/1.1\r\n\r\n", RequestError::MissingHost);
    refused("GET http://b.test/ HTTP/1.1\r\n\r\n", RequestError::MissingHost);
    refused("GET / HTTP/1.1\r\nX-Host: a.test\r\n\r\n", RequestError::MissingHost);
    refused(post("Host: a.test"), RequestError::DuplicateHost);
    refused(post("hOST: b.test"), RequestError::DuplicateHost);
    refused("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", RequestError::DuplicateHost);
    for host in
        ["", " ", "a b", "a,b", "a.test, b.test", "u@a", "a/", "a:x", "a:65536", "http://a", "[::1", "\u{e9}"]
    {
        refused(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"), RequestError::InvalidHost);
        refused(format!("GET http://b.test/ HTTP/1.1\r\nHost: {host}\r\n\r\n"), RequestError::InvalidHost);
    }
    assert!(complete(VALID[7]).host.is_empty());
}
