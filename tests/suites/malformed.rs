//! Requests that could be read in two ways, or that pass a limit: a clear refusal, nothing guessed, nothing sent
//! on, and the next connection served as if nothing had been (RFC 9112, 2.2, 5, 6.3, 7.1, 11).

use turnpike_tests::{DataPlane, Options, Origin, http_api, request};

const HOST: &str = "Host: a1.execute-api.us-east-1.localhost\r\n";

/// Sends each request on a connection of its own: `status`, a close, and nothing at the origin.
fn refused(plane: &DataPlane, origin: &Origin, status: u16, requests: &[(&str, Vec<u8>)]) {
    for (what, bytes) in requests {
        let before = origin.seen().len();
        let mut client = plane.connect();
        // The gateway may refuse, and close, before the last byte was sent.
        let _ = client.try_send(bytes);
        let reply = client.try_reply(false).unwrap_or_else(|error| panic!("{what}: no reply: {error}"));
        assert_eq!(reply.status, status, "{what}: {}", reply.text());
        assert_eq!(reply.headers.one("connection"), Some("close"), "{what}");
        assert!(reply.json()["message"].is_string(), "{what}: {}", reply.text());
        client.assert_closed();
        assert_eq!(origin.seen().len(), before, "{what}: reached the origin");
    }
    assert_eq!(plane.exchange(request("GET", "a1", "/after")).echo().target, "/after");
    plane.assert_at_rest();
}

fn with_headers(what: &'static str, headers: &str) -> (&'static str, Vec<u8>) {
    (what, format!("POST /x HTTP/1.1\r\n{HOST}{headers}\r\n").into_bytes())
}

fn raw(what: &'static str, bytes: &str) -> (&'static str, Vec<u8>) {
    (what, bytes.replace("HOST\r\n", HOST).into_bytes())
}

#[test]
fn ambiguous_lengths() {
    let (plane, origin) = DataPlane::echoing();
    refused(
        &plane,
        &origin,
        400,
        &[
            with_headers("two different lengths", "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"),
            with_headers("two equal lengths", "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc"),
            with_headers("a list of lengths", "Content-Length: 3, 3\r\n\r\nabc"),
            with_headers(
                "length and coding",
                "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            ),
            with_headers(
                "coding and length",
                "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
            ),
            with_headers("a signed length", "Content-Length: +3\r\n\r\nabc"),
            with_headers("a negative length", "Content-Length: -3\r\n\r\nabc"),
            with_headers("a hexadecimal length", "Content-Length: 0x3\r\n\r\nabc"),
            with_headers("an empty length", "Content-Length:\r\n\r\n"),
            with_headers("a fraction", "Content-Length: 3.0\r\n\r\nabc"),
            with_headers("a length with a gap", "Content-Length: 1 1\r\n\r\nabc"),
            with_headers("a length beyond 64 bits", "Content-Length: 18446744073709551616\r\n\r\n"),
            with_headers("a length with a tail", "Content-Length: 3;x\r\n\r\nabc"),
        ],
    );
}

#[test]
fn ambiguous_transfer_codings() {
    let (plane, origin) = DataPlane::echoing();
    let chunked = "0\r\n\r\n";
    let cases = [
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding: chunked;q=1\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding:\r\n",
        "Transfer-Encoding: ,chunked\r\n",
        "Transfer-Encoding: chunked\u{b}\r\n",
        "Transfer-Encoding\t: chunked\r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
    ];
    for headers in cases {
        let bytes = format!("POST /x HTTP/1.1\r\n{HOST}{headers}\r\n{chunked}").into_bytes();
        let before = origin.seen().len();
        let mut client = plane.connect();
        let _ = client.try_send(bytes);
        let status = client.reply().status;
        // 501 is for a coding that is well-formed but unknown (RFC 9112, 6.1).
        assert!(matches!(status, 400 | 501), "{headers:?}: {status}");
        client.assert_closed();
        assert_eq!(origin.seen().len(), before, "{headers:?}");
    }
    let mut client = plane.connect();
    client.send(format!("POST /x HTTP/1.0\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n{chunked}"));
    assert_eq!(client.reply().status, 400, "HTTP/1.0 has no transfer codings (RFC 9112, 6.1)");
    client.assert_closed();
    plane.assert_at_rest();
}

#[test]
fn malformed_lines() {
    let (plane, origin) = DataPlane::echoing();
    refused(
        &plane,
        &origin,
        400,
        &[
            raw("bare LF after the request line", "GET /x HTTP/1.1\nHOST\r\n\r\n"),
            raw("bare LF after a field", "GET /x HTTP/1.1\r\nX: 1\nHOST\r\n\r\n"),
            raw("bare LF for the empty line", "GET /x HTTP/1.1\r\nHOST\r\n\n"),
            raw("bare CR in a value", "GET /x HTTP/1.1\r\nX: a\rb\r\nHOST\r\n\r\n"),
            raw("bare CR in the request line", "GET /x\r HTTP/1.1\r\nHOST\r\n\r\n"),
            raw("a folded value", "GET /x HTTP/1.1\r\nX: a\r\n b\r\nHOST\r\n\r\n"),
            raw("a folded first field", "GET /x HTTP/1.1\r\n X: a\r\nHOST\r\n\r\n"),
            raw("a space before the colon", "GET /x HTTP/1.1\r\nX : a\r\nHOST\r\n\r\n"),
            raw("a tab before the colon", "GET /x HTTP/1.1\r\nX\t: a\r\nHOST\r\n\r\n"),
            raw("a field without a colon", "GET /x HTTP/1.1\r\nX\r\nHOST\r\n\r\n"),
            raw("a field without a name", "GET /x HTTP/1.1\r\n: a\r\nHOST\r\n\r\n"),
            raw("a name with a space", "GET /x HTTP/1.1\r\nX Y: a\r\nHOST\r\n\r\n"),
            raw("a name with a bracket", "GET /x HTTP/1.1\r\nX(: a\r\nHOST\r\n\r\n"),
            raw("NUL in a value", "GET /x HTTP/1.1\r\nX: a\0b\r\nHOST\r\n\r\n"),
            raw("NUL in a name", "GET /x HTTP/1.1\r\nX\0: a\r\nHOST\r\n\r\n"),
            raw("NUL in the target", "GET /x\0 HTTP/1.1\r\nHOST\r\n\r\n"),
            raw("a control character in a value", "GET /x HTTP/1.1\r\nX: a\u{1}b\r\nHOST\r\n\r\n"),
            raw("DEL in a value", "GET /x HTTP/1.1\r\nX: a\u{7f}b\r\nHOST\r\n\r\n"),
            raw("two spaces after the method", "GET  /x HTTP/1.1\r\nHOST\r\n\r\n"),
            raw("two spaces before the version", "GET /x  HTTP/1.1\r\nHOST\r\n\r\n"),
            raw("a space in the target", "GET /x y HTTP/1.1\r\nHOST\r\n\r\n"),
            raw("a leading space", " GET /x HTTP/1.1\r\nHOST\r\n\r\n"),
            raw("a method that is no token", "G(T /x HTTP/1.1\r\nHOST\r\n\r\n"),
            raw("no target", "GET HTTP/1.1\r\nHOST\r\n\r\n"),
            raw("no version (HTTP/0.9)", "GET /x\r\nHOST\r\n\r\n"),
            raw("a version in lower case", "GET /x http/1.1\r\nHOST\r\n\r\n"),
            raw("an odd version", "GET /x HTTP/1.10\r\nHOST\r\n\r\n"),
            raw("a target without a slash", "GET x HTTP/1.1\r\nHOST\r\n\r\n"),
            raw("a fragment in the target", "GET /x#y HTTP/1.1\r\nHOST\r\n\r\n"),
            raw("a percent sign alone", "GET /%zz HTTP/1.1\r\nHOST\r\n\r\n"),
            raw("a percent sign cut off", "GET /a%2 HTTP/1.1\r\nHOST\r\n\r\n"),
            raw("TLS on the plain port", "\u{16}\u{3}\u{1}\0\u{5}hello\r\n\r\n"),
            raw("not HTTP at all", "hello\r\n\r\n"),
        ],
    );
}

#[test]
fn malformed_hosts() {
    let (plane, origin) = DataPlane::echoing();
    refused(
        &plane,
        &origin,
        400,
        &[
            raw("no host", "GET /x HTTP/1.1\r\n\r\n"),
            raw("two hosts", "GET /x HTTP/1.1\r\nHOST\r\nHOST\r\n\r\n"),
            raw("a host with a slash", "GET /x HTTP/1.1\r\nHost: a/b\r\n\r\n"),
            raw("a host with a space", "GET /x HTTP/1.1\r\nHost: a b\r\n\r\n"),
            raw("a host with user information", "GET /x HTTP/1.1\r\nHost: u@a\r\n\r\n"),
            raw("a list of hosts", "GET /x HTTP/1.1\r\nHost: a, b\r\n\r\n"),
            raw("a port that is no number", "GET /x HTTP/1.1\r\nHost: a:b\r\n\r\n"),
        ],
    );
}

#[test]
fn unsupported_versions_are_named() {
    let (plane, origin) = DataPlane::echoing();
    for start in ["GET /x HTTP/2.0", "GET /x HTTP/3.0"] {
        let mut client = plane.connect();
        client.send(format!("{start}\r\n{HOST}\r\n"));
        assert!(matches!(client.reply().status, 400 | 505), "{start}");
        client.assert_closed();
    }
    // HTTP/2's preface may begin a connection, and nothing but that.
    let mut client = plane.connect();
    client.exchange(format!("GET /x HTTP/1.1\r\n{HOST}\r\n"));
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert!(matches!(client.reply().status, 400 | 505), "HTTP/2's preface");
    client.assert_closed();
    assert_eq!(origin.seen().len(), 1);
    plane.assert_at_rest();
}

/// A body that breaks off the rails after its head was passed on: the origin must never see it end well.
#[test]
fn malformed_chunks() {
    let origin = Origin::scripted(|connection, _| {
        while let Ok(Some(request)) = connection.request() {
            if connection.echo(&request).is_err() {
                return;
            }
        }
    });
    let plane = DataPlane::serving(&[http_api("a1").route("$default", &origin.url("{request.path}"))]);
    for chunks in [
        "x\r\nabc\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "+3\r\nabc\r\n0\r\n\r\n",
        "-3\r\nabc\r\n0\r\n\r\n",
        " 3\r\nabc\r\n0\r\n\r\n",
        "3 \r\nabc\r\n0\r\n\r\n",
        "\r\nabc\r\n0\r\n\r\n",
        ";x\r\nabc\r\n0\r\n\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "3\rabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\r\nabc0\r\n\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "10000000000000000\r\nabc",
        "3;\0\r\nabc\r\n0\r\n\r\n",
        "3;e\nabc\r\n0\r\n\r\n",
        "0\r\nX : 1\r\n\r\n",
        "0\r\nX: a\0\r\n\r\n",
        "0\r\nX: 1\n\r\n",
        "0\r\n folded\r\n\r\n",
        // Fields that frame, route or authorize have no place behind a body (RFC 9110, 6.5.1).
        "0\r\nContent-Length: 9\r\n\r\n",
        "0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "0\r\nHost: elsewhere\r\n\r\n",
        "0\r\nAuthorization: x\r\n\r\n",
    ] {
        let mut client = plane.connect();
        let head = format!("POST /c HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n");
        let _ = client.try_send(head + chunks);
        let status = client.try_reply(false).map(|reply| reply.status);
        assert!(matches!(status, Ok(400 | 413)), "{chunks:?}: {status:?}");
        client.assert_closed();
    }
    assert_eq!(plane.exchange(request("GET", "a1", "/after")).echo().target, "/after");
    plane.assert_at_rest();
}

#[test]
fn a_smuggled_request_is_never_answered() {
    let (plane, origin) = DataPlane::echoing();
    let smuggled = format!("GET /smuggled HTTP/1.1\r\n{HOST}\r\n");
    let mut client = plane.connect();
    let _ = client.try_send(format!(
        "POST /a HTTP/1.1\r\n{HOST}Content-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}",
        smuggled.len() + 5
    ));
    assert_eq!(client.reply().status, 400);
    client.assert_closed();
    assert_eq!(origin.seen(), []);
    plane.assert_at_rest();
}

#[test]
fn long_request_lines_get_414() {
    let (plane, origin) = limited(&[("start_line_bytes_max", "100")]);
    let line = |length: usize| {
        let fixed = "GET / HTTP/1.1".len();
        format!("GET /{} HTTP/1.1\r\n{HOST}\r\n", "a".repeat(length - fixed)).into_bytes()
    };
    assert_eq!(plane.exchange(line(100)).status, 200, "the limit itself is allowed");
    refused(&plane, &origin, 414, &[("one byte more", line(101)), ("far more", line(100_000))]);
}

#[test]
fn large_headers_get_431() {
    let (plane, origin) = limited(&[("header_bytes_max", "500"), ("header_count_max", "10")]);
    let wide = |length: usize| with_headers("wide", &format!("X: {}\r\n", "a".repeat(length)));
    let many = |count: usize| with_headers("many", &"X: 1\r\n".repeat(count));
    assert_eq!(plane.exchange(wide(300).1).status, 200);
    assert_eq!(plane.exchange(many(9).1).status, 200, "ten fields with Host");
    refused(&plane, &origin, 431, &[wide(600), wide(100_000), many(10), many(5_000)]);
}

#[test]
fn large_bodies_get_413() {
    let (plane, origin) = limited(&[("body_bytes_max", "1000")]);
    let body = |length: usize| format!("Content-Length: {length}\r\n\r\n{}", "b".repeat(length));
    let post = |rest: String| format!("POST /x HTTP/1.1\r\n{HOST}{rest}").into_bytes();
    assert_eq!(plane.exchange(post(body(1_000))).echo().body.len(), 1_000);
    refused(&plane, &origin, 413, &[("one byte more", post(body(1_001))), ("far more", post(body(200_000)))]);
}

#[test]
fn large_chunked_bodies_get_413() {
    let (plane, _origin) = limited(&[("body_bytes_max", "1000")]);
    let chunked = |lengths: &[usize]| {
        let chunks: String =
            lengths.iter().map(|&length| format!("{length:x}\r\n{}\r\n", "b".repeat(length))).collect();
        format!("POST /x HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n")
    };
    assert_eq!(plane.exchange(chunked(&[600, 400])).echo().body.len(), 1_000);
    for lengths in [&[1_001][..], &[600, 401], &[1; 1_001]] {
        let mut client = plane.connect();
        let _ = client.try_send(chunked(lengths));
        let reply = client.reply();
        assert_eq!((reply.status, reply.headers.one("connection")), (413, Some("close")));
        client.assert_closed();
    }
    plane.assert_at_rest();
}

#[test]
fn deep_pipelines_are_answered_up_to_the_limit() {
    let (plane, origin) = limited(&[("pipelined_requests_max", "5")]);
    let mut client = plane.connect();
    let all: String = (0..200).map(|number| request("GET", "a1", &format!("/{number}"))).collect();
    client.send(all);
    for number in 0..5 {
        let reply = client.reply();
        assert_eq!(reply.echo().target, format!("/{number}"));
        let close = if number == 4 { Some("close") } else { None };
        assert_eq!(reply.headers.one("connection"), close);
    }
    client.assert_closed();
    assert_eq!(origin.seen().len(), 5, "what is not answered was not sent");
    let mut client = plane.connect();
    for number in 0..20 {
        assert_eq!(client.exchange(request("GET", "a1", "/")).status, 200, "request {number}, one at a time");
    }
    drop(client);
    plane.assert_at_rest();
}

/// What passes a limit that the operator raised is served.
#[test]
fn limits_can_be_raised() {
    let (plane, _origin) = limited(&[
        ("start_line_bytes_max", "60000"),
        ("header_bytes_max", "200000"),
        ("header_count_max", "900"),
        ("body_bytes_max", "unlimited"),
    ]);
    let target = format!("/{}", "a".repeat(50_000));
    let headers: String = (0..800).map(|number| format!("X-{number}: {}\r\n", "v".repeat(100))).collect();
    let body = "b".repeat(11 << 20);
    let mut client = plane.connect();
    client.send(format!(
        "POST {target} HTTP/1.1\r\n{HOST}{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let echo = client.reply().echo();
    assert_eq!((echo.target.len(), echo.body.len()), (target.len(), body.len()));
    assert_eq!(echo.headers.one("x-799"), Some("v".repeat(100).as_str()));
    drop(client);
    plane.assert_at_rest();
}

fn limited(settings: &[(&str, &str)]) -> (DataPlane, Origin) {
    let options = settings.iter().fold(Options::new(), |options, (name, value)| options.set(name, value));
    let origin = Origin::echo();
    let stage = http_api("a1").route("$default", &origin.url("{request.path}"));
    (DataPlane::with(&options, &[stage]), origin)
}
