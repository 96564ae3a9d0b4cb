//! Request heads: what is accepted and how it reads, what is refused and by which name, at every split.

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
fn request_lines_that_are_none() {
    for line in [
        "GET",
        "GET /",
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET / HTTP/1.1\t",
        "GET\t/ HTTP/1.1",
        "GET /\tHTTP/1.1",
        "GET / a HTTP/1.1",
        " GET / HTTP/1.1",
        "GET / HTTP /1.1",
        "GET / http/1.1",
        "GET / HTTQ/1.1",
        "GET / HTTP/1.11",
        "GET / HTTP/1,1",
        "GET / HTTP/11",
        "GET / HTTP/1.x",
        "GET / HTTP/",
        "GET /\x7f HTTP/1.1",
        "GET /\x01 HTTP/1.1",
        "GET /\x0b HTTP/1.1",
        "GET /\x0c HTTP/1.1",
    ] {
        refused(format!("{line}\r\nHost: a.test\r\n\r\n"), RequestError::Malformed);
    }
    for version in ["HTTP/0.9", "HTTP/1.2", "HTTP/2.0", "HTTP/2", "HTTP/3.0", "HTTP/9.9"] {
        refused(format!("GET / {version}\r\nHost: a.test\r\n\r\n"), RequestError::VersionNotSupported);
    }
    refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", RequestError::VersionNotSupported);
    // TLS on the plain port.
    refused(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", RequestError::Nul);
}

#[test]
fn empty_lines_before_the_request_line() {
    assert_eq!(complete(VALID[2]).head_bytes, VALID[2].len());
    refused("\r\n\r\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\n", RequestError::Malformed);
    refused("\r\n\r", RequestError::Malformed);
    refused("\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\n", RequestError::BareLf);
    refused("\r\n\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\n", RequestError::BareLf);
    refused("\rGET / HTTP/1.1\r\nHost: a.test\r\n\r\n", RequestError::BareCr);
    refused("\r\rGET / HTTP/1.1\r\nHost: a.test\r\n\r\n", RequestError::BareCr);
}

/// Takes each line end of a good head apart in turn.
#[test]
fn bare_line_ends_anywhere_are_refused() {
    for sample in VALID {
        let line_feeds: Vec<usize> = (0..sample.len()).filter(|at| sample[*at] == b'\n').collect();
        for at in line_feeds {
            let without_cr = [&sample[..at - 1], &sample[at..]].concat();
            refused(&without_cr, RequestError::BareLf);
            // An unfinished head can't be told to be wrong at its very end.
            if at + 1 < sample.len() {
                let without_lf = [&sample[..at], &sample[at + 1..]].concat();
                refused(&without_lf, RequestError::BareCr);
            }
            let doubled_cr = [&sample[..at], b"\r", &sample[at..]].concat();
            refused(&doubled_cr, RequestError::BareCr);
        }
    }
    refused(post("A: x\ry"), RequestError::BareCr);
    refused(post("A: x\r\ry"), RequestError::BareCr);
    refused(post("A\r: x"), RequestError::BareCr);
    refused(post("A:\rx"), RequestError::BareCr);
    refused(post("A: x\nTransfer-Encoding: chunked"), RequestError::BareLf);
    refused("GET / HTTP/1.1\nHost: a.test\n\n", RequestError::BareLf);
    refused("GET /\r HTTP/1.1\r\nHost: a.test\r\n\r\n", RequestError::BareCr);
    refused("GET /\n HTTP/1.1\r\nHost: a.test\r\n\r\n", RequestError::BareLf);
}

#[test]
fn header_lines_that_are_none() {
    for (lines, error) in [
        ("A : x", RequestError::SpaceBeforeColon),
        ("A\t: x", RequestError::SpaceBeforeColon),
        ("Content-Length : 5", RequestError::SpaceBeforeColon),
        ("Transfer-Encoding : chunked", RequestError::SpaceBeforeColon),
        ("Transfer-Encoding\t: chunked", RequestError::SpaceBeforeColon),
        (" A: x", RequestError::ObsFold),
        ("\tA: x", RequestError::ObsFold),
        ("A: x\r\n y", RequestError::ObsFold),
        ("A: x\r\n\ty", RequestError::ObsFold),
        ("A:\r\n x", RequestError::ObsFold),
        ("A: x\r\n ", RequestError::ObsFold),
        ("Transfer-Encoding:\r\n chunked", RequestError::ObsFold),
        (": x", RequestError::InvalidHeaderName),
        ("A", RequestError::InvalidHeaderName),
        ("A B: x", RequestError::InvalidHeaderName),
        ("A(: x", RequestError::InvalidHeaderName),
        ("\"A\": x", RequestError::InvalidHeaderName),
        ("A\u{e9}: x", RequestError::InvalidHeaderName),
        ("A\x0b: x", RequestError::InvalidHeaderName),
        ("A\x7f: x", RequestError::InvalidHeaderName),
        ("\x0bTransfer-Encoding: chunked", RequestError::InvalidHeaderName),
        ("A: \x01", RequestError::InvalidHeaderValue),
        ("A: x\x7f", RequestError::InvalidHeaderValue),
        ("A: \x08", RequestError::InvalidHeaderValue),
        ("Transfer-Encoding: \x0bchunked", RequestError::InvalidHeaderValue),
        ("Transfer-Encoding: chunked\x0c", RequestError::InvalidHeaderValue),
        ("A: \0", RequestError::Nul),
        ("A\0: x", RequestError::Nul),
        ("Content-Length: 5\0", RequestError::Nul),
        ("\0", RequestError::Nul),
    ] {
        refused(post(lines), error);
    }
    refused("GET / HTTP/1.1\r\n Host: a.test\r\n\r\n", RequestError::InvalidHeaderName);
    refused("GET /\0 HTTP/1.1\r\nHost: a.test\r\n\r\n", RequestError::Nul);
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

/// Everything that could make two servers see two different bodies.
#[test]
fn framing() {
    for (lines, framing) in [
        ("X: y", Framing::None),
        ("Content-Length: 0", Framing::Length(0)),
        ("Content-Length: 5", Framing::Length(5)),
        ("content-length:\t5\t", Framing::Length(5)),
        ("Content-Length: 007", Framing::Length(7)),
        ("Content-Length: 18446744073709551615", Framing::Length(u64::MAX)),
        ("Transfer-Encoding: chunked", Framing::Chunked),
        ("TRANSFER-ENCODING: CHUNKED", Framing::Chunked),
        ("Transfer-Encoding:chunked", Framing::Chunked),
        // Other names, whatever they look like.
        ("Transfer_Encoding: chunked", Framing::None),
        ("X-Content-Length: 5", Framing::None),
        ("Content-Lengthx: 5", Framing::None),
    ] {
        assert_eq!(complete(post(lines).as_bytes()).framing, framing, "{lines}");
    }
    for length in [
        "",
        " ",
        "+5",
        "-5",
        "-0",
        "0x5",
        "5.0",
        "5e1",
        "5 5",
        "5;",
        "\"5\"",
        "5_0",
        "five",
        "18446744073709551616",
        "99999999999999999999",
        "000000000000000000005",
        "\u{665}",
    ] {
        refused(post(&format!("Content-Length: {length}")), RequestError::InvalidContentLength);
    }
    for lines in [
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5\r\nX: y\r\ncontent-length: 0",
        "Content-Length: 5, 5",
        "Content-Length: 5,6",
        "Content-Length: 5,",
        "Content-Length: ,5",
    ] {
        refused(post(lines), RequestError::ConflictingContentLength);
    }
    for lines in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Transfer-Encoding: chunked\r\nContent-Length: 0",
    ] {
        refused(post(lines), RequestError::LengthWithTransferCoding);
    }
    for coding in [
        "",
        ",",
        "identity",
        "gzip",
        "xchunked",
        "chunkedx",
        "chunked, gzip",
        "chunked, identity",
        "chunked, chunked",
        "gzip, chunked, chunked",
        "chunked;q=1",
        "chunked; a=b",
        "\"chunked\"",
        "'chunked'",
        "chun ked",
        "chunked chunked",
        "x, ;chunked",
        "gzip;q=0, chunked",
        ", chunked",
        "chunked,",
        "[chunked]",
        "chunked\u{a0}",
        "\u{17f}chunked",
    ] {
        refused(post(&format!("Transfer-Encoding: {coding}")), RequestError::InvalidTransferCoding);
    }
    for lines in [
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\ntransfer-encoding: x",
        "Transfer-Encoding:\r\nTransfer-Encoding: chunked",
    ] {
        refused(post(lines), RequestError::InvalidTransferCoding);
    }
    refused(post("Transfer-Encoding: gzip, chunked"), RequestError::UnsupportedTransferCoding);
    refused(post("Transfer-Encoding: identity , Chunked"), RequestError::UnsupportedTransferCoding);
    let http10 = "POST / HTTP/1.0\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n";
    refused(format!("{http10}\r\n"), RequestError::TransferEncodingInHttp10);
    refused(format!("{http10}Content-Length: 5\r\n\r\n"), RequestError::TransferEncodingInHttp10);
}

#[test]
fn persistence() {
    for (version, connection, keep_alive) in [
        ("1.1", None, true),
        ("1.1", Some("keep-alive"), true),
        ("1.1", Some("close"), false),
        ("1.1", Some("CLOSE"), false),
        ("1.1", Some("x-a, Close ,x-b"), false),
        ("1.1", Some("keep-alive, close"), false),
        ("1.1", Some("close, keep-alive"), false),
        ("1.1", Some("closed"), true),
        ("1.1", Some(""), true),
        ("1.1", Some(" , ,\t,"), true),
        ("1.0", None, false),
        ("1.0", Some("Keep-Alive"), true),
        ("1.0", Some("keep-alive\r\nConnection: close"), false),
        ("1.0", Some("x"), false),
    ] {
        let line = connection.map(|value| format!("Connection: {value}\r\n")).unwrap_or_default();
        let head = complete(format!("GET / HTTP/{version}\r\nHost: a.test\r\n{line}\r\n").as_bytes());
        assert_eq!(head.keep_alive, keep_alive, "HTTP/{version} {connection:?}");
    }
}

fn hop_by_hop(bytes: &[u8]) -> Vec<String> {
    let head = complete(bytes);
    let hop = head.headers.iter().filter(|header| header.hop_by_hop);
    hop.map(|header| text(header.name_span, bytes).to_ascii_lowercase()).collect()
}

#[test]
fn hop_by_hop_fields_are_marked() {
    let always = "Connection: close\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\nTE: trailers\r\n\
                  Transfer-Encoding: chunked\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\nProxy-Authorization: x\r\n\
                  Trailer: a\r\nAccept: b\r\nX-Other: c";
    let expected = [
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "transfer-encoding",
        "upgrade",
        "http2-settings",
        "proxy-authorization",
    ];
    assert_eq!(hop_by_hop(post(always).as_bytes()), expected);

    let nominated =
        "x-a: 1\r\nX-B: 2\r\nX-A: 3\r\nX-C: 4\r\nConnection: X-a , keep-alive\r\nConnection: ,x-C,x-missing";
    let expected = ["x-a", "x-a", "x-c", "connection", "connection"];
    assert_eq!(hop_by_hop(post(nominated).as_bytes()), expected);
}

#[test]
fn connection_can_not_take_away_what_others_rely_on() {
    for name in [
        "Host",
        "content-length",
        "Content-Type",
        "Content-Encoding",
        "Authorization",
        "Cookie",
        "Forwarded",
        "Via",
        "X-Forwarded-For",
        "x-forwarded-host",
        "X-Forwarded-Port",
        "X-Forwarded-Proto",
        "X-Api-Key",
        "X-Amz-Date",
        "X-Amz-Security-Token",
        "X-Amzn-Trace-Id",
        "Expect",
        "Origin",
        "Date",
    ] {
        refused(post(&format!("Connection: close, {name}")), RequestError::ProtectedConnectionOption);
    }
    for value in ["a b", "a;b", "\"close\"", "close;", "a=b", "\u{e9}"] {
        refused(post(&format!("Connection: {value}")), RequestError::InvalidConnection);
    }
    let options = |count: usize| post(&format!("Connection: {}", vec!["x"; count].join(",")));
    complete(options(32).as_bytes());
    refused(options(33), RequestError::InvalidConnection);
}

#[test]
fn expectations() {
    for (lines, expected) in [
        ("Content-Length: 5\r\nExpect: 100-continue", true),
        ("Expect: 100-Continue\r\nTransfer-Encoding: chunked", true),
        ("Content-Length: 0\r\nExpect: 100-continue", false),
        ("Expect: 100-continue", false),
        ("Content-Length: 5", false),
    ] {
        assert_eq!(complete(post(lines).as_bytes()).expect_continue, expected, "{lines}");
    }
    let http10 = b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    assert!(!complete(http10).expect_continue);
    for value in ["", "200-ok", "100-continue, x", "100"] {
        refused(post(&format!("Expect: {value}")), RequestError::ExpectationFailed);
    }
    refused(post("Expect: 100-continue\r\nExpect: x"), RequestError::ExpectationFailed);
}

#[test]
fn upgrades_count_only_when_connection_lists_them() {
    let upgrade = |lines: &str, version: &str| {
        let bytes = format!("GET / HTTP/{version}\r\nHost: a.test\r\n{lines}\r\n\r\n").into_bytes();
        complete(&bytes).upgrade.map(|span| text(span, &bytes).to_owned())
    };
    assert_eq!(upgrade("Connection: Upgrade\r\nUpgrade: websocket", "1.1").as_deref(), Some("websocket"));
    assert_eq!(upgrade("Upgrade: h2c\r\nConnection: a, upgrade", "1.1").as_deref(), Some("h2c"));
    assert_eq!(upgrade("Upgrade: websocket", "1.1"), None);
    assert_eq!(upgrade("Connection: Upgrade", "1.1"), None);
    assert_eq!(upgrade("Connection: upgrade\r\nUpgrade: websocket", "1.0"), None);
}

#[test]
fn limits_are_inclusive_and_hold_before_the_head_is_complete() {
    let limits = HeadLimits { start_line_bytes_max: 20, header_bytes_max: 40, header_count_max: 2 };
    let parse = |bytes: &str| parse_within(bytes.as_bytes(), &limits).map(|(progress, _)| progress);
    let request = |target: &str, lines: &str| format!("GET {target} HTTP/1.1\r\n{lines}\r\n");
    let host = "Host: a.test\r\n";
    let filler = |bytes: usize| format!("X: {}\r\n", "x".repeat(bytes - "X: \r\n".len()));

    let longest = format!("/{}", "a".repeat(6));
    assert_eq!(parse(&request(&longest, host)), Ok(Progress::Complete));
    let longer = request(&format!("{longest}b"), host);
    assert_eq!(parse(&longer), Err(RequestError::UriTooLong));
    for end in 0..longer.len() {
        let expected = if end <= 21 { Ok(Progress::Partial) } else { Err(RequestError::UriTooLong) };
        assert_eq!(parse(&longer[..end]), expected, "{end}");
    }

    let largest = format!("{host}{}", filler(40 - host.len()));
    assert_eq!(parse(&request("/", &largest)), Ok(Progress::Complete));
    let larger = request("/", &format!("{host}{}", filler(41 - host.len())));
    assert_eq!(parse(&larger), Err(RequestError::HeaderFieldsTooLarge));
    let start_line_bytes = "GET / HTTP/1.1\r\n".len();
    for end in 0..larger.len() {
        let fits = end <= start_line_bytes + 41;
        let expected = if fits { Ok(Progress::Partial) } else { Err(RequestError::HeaderFieldsTooLarge) };
        assert_eq!(parse(&larger[..end]), expected, "{end}");
    }

    assert_eq!(parse(&request("/", &format!("{host}A: b\r\n"))), Ok(Progress::Complete));
    let three = request("/", &format!("{host}A: b\r\nC: d\r\n"));
    assert_eq!(parse(&three), Err(RequestError::HeaderFieldsTooLarge));
    assert_eq!(parse(&three[..three.len() - 2]), Err(RequestError::HeaderFieldsTooLarge));

    assert_eq!(parse(&"x".repeat(1000)), Err(RequestError::UriTooLong));
    assert_eq!(parse(&format!("GET /{}", "\u{1}".repeat(1000))), Err(RequestError::UriTooLong));
}

#[test]
fn a_buffer_of_head_bytes_max_holds_any_head() {
    let limits = HeadLimits { start_line_bytes_max: 14, header_bytes_max: 14, header_count_max: 1 };
    let largest = "\r\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
    assert_eq!(largest.len(), limits.head_bytes_max());
    assert!(matches!(parse_within(largest.as_bytes(), &limits), Ok((Progress::Complete, _))));
}

#[test]
fn raised_header_counts_work_up_to_the_ceiling() {
    let ceiling = HeadLimits::HEADER_COUNT_CEILING;
    let request = |count: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(count - 1));
    for (limit, accepted) in [(128, 128), (129, 129), (ceiling, ceiling), (usize::MAX, ceiling)] {
        let limits = HeadLimits { header_bytes_max: 1 << 20, header_count_max: limit, ..LIMITS };
        let (_, head) = parse_within(request(accepted).as_bytes(), &limits).expect("within the limit");
        assert_eq!(head.headers.len(), accepted);
        let error = parse_within(request(accepted + 1).as_bytes(), &limits).expect_err("over the limit");
        assert_eq!(error, RequestError::HeaderFieldsTooLarge);
    }
}

#[test]
fn statuses() {
    for (error, status) in [
        (RequestError::Malformed, 400),
        (RequestError::UriTooLong, 414),
        (RequestError::ExpectationFailed, 417),
        (RequestError::HeaderFieldsTooLarge, 431),
        (RequestError::UnsupportedTransferCoding, 501),
        (RequestError::ConnectNotSupported, 501),
        (RequestError::VersionNotSupported, 505),
    ] {
        assert_eq!(error.status(), status);
        assert_eq!(error.to_string(), error.reason());
    }
}

#[test]
fn a_reused_head_does_not_allocate_again() {
    let mut head = RequestHead::new();
    head.parse(VALID[9], &LIMITS).expect("valid");
    let (place, capacity) = (head.headers.as_ptr(), head.headers.capacity());
    for sample in VALID.iter().filter(|sample| complete(sample).headers.len() <= capacity) {
        head.parse(sample, &LIMITS).expect("valid");
        assert_eq!((head.headers.as_ptr(), head.headers.capacity()), (place, capacity));
    }
}
