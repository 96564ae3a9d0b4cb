//! Response heads: what is accepted and how it reads, what is refused and by which name, at every split.

use turnpike_http::{
    HeadLimits, HeaderName, Method, Progress, ResponseError, ResponseFraming, ResponseHead, Version,
};

fn parse(bytes: &[u8], method: Method) -> Result<(Progress, ResponseHead), ResponseError> {
    let mut head = ResponseHead::new();
    head.parse(bytes, method, &HeadLimits::default()).map(|progress| (progress, head))
}

#[track_caller]
fn complete(bytes: impl AsRef<[u8]>, method: Method) -> ResponseHead {
    let bytes = bytes.as_ref();
    match parse(bytes, method) {
        Ok((Progress::Complete, head)) => head,
        other => panic!("{:?}: {other:?}", String::from_utf8_lossy(bytes)),
    }
}

#[track_caller]
fn refused(bytes: impl AsRef<[u8]>, expected: ResponseError) {
    let bytes = bytes.as_ref();
    match parse(bytes, Method::Get) {
        Err(error) => assert_eq!(error, expected, "{:?}", String::from_utf8_lossy(bytes)),
        Ok(read) => panic!("{:?} was accepted: {read:?}", String::from_utf8_lossy(bytes)),
    }
}

fn ok(lines: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n")
}

const VALID: &[&[u8]] = &[
    b"HTTP/1.1 200 OK\r\n\r\n",
    b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\n",
    b"HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 D'accord, tr\xe8s bien\r\nTransfer-Encoding: chunked\r\nServer: x\r\n\r\n",
    b"HTTP/1.0 500 Internal Server Error\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\nDate: x\r\nX:\r\n\r\n",
];

#[test]
fn every_split_of_a_valid_head_reads_the_same() {
    for sample in VALID {
        let expected = complete(sample, Method::Get);
        assert_eq!(expected.head_bytes, sample.len());
        let mut head = ResponseHead::new();
        for end in 0..sample.len() {
            let read = head.parse(&sample[..end], Method::Get, &HeadLimits::default());
            assert_eq!(read, Ok(Progress::Partial), "{:?}", String::from_utf8_lossy(&sample[..end]));
        }
        for follows in ["", "x", "\r\n", "\n", "HTTP/1.1 200 OK\r\n"] {
            let with_more = [*sample, follows.as_bytes()].concat();
            let read = head.parse(&with_more, Method::Get, &HeadLimits::default());
            assert_eq!(read, Ok(Progress::Complete));
            assert_eq!(format!("{head:?}"), format!("{expected:?}"), "reused, followed by {follows:?}");
        }
    }
}

#[test]
fn status_lines() {
    let reasons: [&[u8]; 7] =
        [b"OK", b"", b"", b"D'accord, tr\xe8s bien", b"Internal Server Error", b"Continue", b"No Content"];
    for (sample, reason) in VALID.iter().zip(reasons) {
        assert_eq!(complete(sample, Method::Get).reason.of(sample), reason);
    }
    let head = complete(VALID[4], Method::Get);
    assert_eq!((head.status, head.version), (500, Version::Http10));
    assert_eq!(head.headers[1].name, HeaderName::ContentLength);
    for line in [
        "HTTP/1.1",
        "HTTP/1.1 ",
        "HTTP/1.1 20",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 20x OK",
        "HTTP/1.1  200 OK",
        "HTTP/1.1\t200 OK",
        "HTTP/1.1 +20 OK",
        "http/1.1 200 OK",
        "HTTP/1.12 200 OK",
        "ICY 200 OK",
        " HTTP/1.1 200 OK",
        "200 OK",
        "<html>",
    ] {
        refused(format!("{line}\r\n\r\n"), ResponseError::Malformed);
    }
    for status in ["000", "099", "600", "999"] {
        refused(format!("HTTP/1.1 {status} x\r\n\r\n"), ResponseError::InvalidStatus);
    }
    for version in ["HTTP/2", "HTTP/2.0", "HTTP/0.9", "HTTP/1.2"] {
        refused(format!("{version} 200 OK\r\n\r\n"), ResponseError::VersionNotSupported);
    }
    refused("\r\nHTTP/1.1 200 OK\r\n\r\n", ResponseError::Malformed);
    refused("\n", ResponseError::Malformed);
    refused("HTTP/1.1 200 O\x01K\r\n\r\n", ResponseError::Malformed);
    refused("HTTP/1.1 200 O\0K\r\n\r\n", ResponseError::Nul);
}

#[test]
fn framing() {
    let head = Method::Head;
    let (length, chunked) = ("Content-Length: 5", "Transfer-Encoding: chunked");
    for (status, method, lines, framing) in [
        (200, Method::Get, length, ResponseFraming::Length(5)),
        (200, Method::Get, "content-LENGTH: 0", ResponseFraming::Length(0)),
        (200, Method::Get, chunked, ResponseFraming::Chunked),
        (200, Method::Get, "transfer-encoding:CHUNKED", ResponseFraming::Chunked),
        (200, Method::Get, "X: y", ResponseFraming::UntilClose),
        (404, Method::Other, length, ResponseFraming::Length(5)),
        (205, Method::Get, length, ResponseFraming::Length(5)),
        (200, head, length, ResponseFraming::None),
        (200, head, chunked, ResponseFraming::None),
        (200, head, "X: y", ResponseFraming::None),
        (304, Method::Get, length, ResponseFraming::None),
        (304, Method::Get, chunked, ResponseFraming::None),
        (304, Method::Get, "X: y", ResponseFraming::None),
        (204, Method::Get, "X: y", ResponseFraming::None),
        (204, Method::Get, "Content-Length: 0", ResponseFraming::None),
        (100, Method::Post, "X: y", ResponseFraming::None),
        (103, Method::Get, "Link: x", ResponseFraming::None),
    ] {
        let bytes = format!("HTTP/1.1 {status} x\r\n{lines}\r\n\r\n");
        let read = complete(&bytes, method);
        assert_eq!(read.framing, framing, "{status} {method:?} {lines}");
        assert_eq!(read.keep_alive, framing != ResponseFraming::UntilClose, "{status} {method:?} {lines}");
        assert_eq!(read.headers.len(), 1, "a HEAD's length stays readable");
    }
    for status in [100, 101, 103, 204] {
        for lines in [length, chunked] {
            refused(format!("HTTP/1.1 {status} x\r\n{lines}\r\n\r\n"), ResponseError::BodyNotAllowed);
        }
    }
}

#[test]
fn ambiguous_framing_is_refused_whatever_the_status_and_method() {
    for (lines, error) in [
        ("Content-Length: 5\r\nContent-Length: 5", ResponseError::ConflictingContentLength),
        ("Content-Length: 5\r\nContent-Length: 6", ResponseError::ConflictingContentLength),
        ("Content-Length: 5, 5", ResponseError::ConflictingContentLength),
        ("Content-Length: +5", ResponseError::InvalidContentLength),
        ("Content-Length:", ResponseError::InvalidContentLength),
        ("Content-Length: 18446744073709551616", ResponseError::InvalidContentLength),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", ResponseError::LengthWithTransferCoding),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5", ResponseError::LengthWithTransferCoding),
        ("Transfer-Encoding: identity", ResponseError::InvalidTransferCoding),
        ("Transfer-Encoding: gzip", ResponseError::InvalidTransferCoding),
        ("Transfer-Encoding: gzip, chunked", ResponseError::InvalidTransferCoding),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", ResponseError::InvalidTransferCoding),
        ("Transfer-Encoding: \x0bchunked", ResponseError::InvalidHeaderValue),
        ("Transfer-Encoding : chunked", ResponseError::SpaceBeforeColon),
        ("Transfer-Encoding:\r\n chunked", ResponseError::ObsFold),
        ("X: a\nContent-Length: 5", ResponseError::BareLf),
        ("X: a\rContent-Length: 5", ResponseError::BareCr),
        ("X: a\0", ResponseError::Nul),
        ("Content-Length\0: 5", ResponseError::Nul),
        (": x", ResponseError::InvalidHeaderName),
        ("no colon", ResponseError::InvalidHeaderName),
        ("Connection: a b", ResponseError::InvalidConnection),
        ("Connection: Content-Length", ResponseError::ProtectedConnectionOption),
        ("Connection: set-cookie", ResponseError::ProtectedConnectionOption),
    ] {
        refused(ok(lines), error);
        assert_eq!(parse(ok(lines).as_bytes(), Method::Head).map(|_| ()), Err(error), "HEAD {lines:?}");
        let not_modified = format!("HTTP/1.1 304 x\r\n{lines}\r\n\r\n");
        assert_eq!(parse(not_modified.as_bytes(), Method::Get).map(|_| ()), Err(error), "304 {lines:?}");
    }
    let http10 = "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    refused(http10, ResponseError::TransferEncodingInHttp10);
}

#[test]
fn bare_line_ends_anywhere_are_refused() {
    for sample in VALID {
        for at in (0..sample.len()).filter(|at| sample[*at] == b'\n') {
            refused([&sample[..at - 1], &sample[at..]].concat(), ResponseError::BareLf);
            if at + 1 < sample.len() {
                refused([&sample[..at], &sample[at + 1..]].concat(), ResponseError::BareCr);
            }
        }
    }
}

#[test]
fn persistence() {
    for (version, lines, keep_alive) in [
        ("1.1", "Content-Length: 0", true),
        ("1.1", "Content-Length: 0\r\nConnection: close", false),
        ("1.1", "X: until close", false),
        ("1.1", "X: until close\r\nConnection: keep-alive", false),
        ("1.0", "Content-Length: 0", false),
        ("1.0", "Content-Length: 0\r\nConnection: Keep-Alive", true),
        ("1.0", "Connection: Keep-Alive", false),
    ] {
        let head = complete(format!("HTTP/{version} 200 OK\r\n{lines}\r\n\r\n"), Method::Get);
        assert_eq!(head.keep_alive, keep_alive, "HTTP/{version} {lines:?}");
    }
}

#[test]
fn hop_by_hop_fields_are_marked() {
    let bytes = ok(
        "Keep-Alive: x\r\nX-Hop: y\r\nX-End: z\r\nConnection: x-hop\r\nProxy-Authenticate: a\r\nTrailer: b",
    );
    let head = complete(&bytes, Method::Get);
    let marks: Vec<bool> = head.headers.iter().map(|header| header.hop_by_hop).collect();
    assert_eq!(marks, [true, true, false, true, true, false]);
}

#[test]
fn limits_hold_before_the_head_is_complete() {
    let limits = HeadLimits { start_line_bytes_max: 15, header_bytes_max: 6, header_count_max: 1 };
    let parse = |bytes: &str| ResponseHead::new().parse(bytes.as_bytes(), Method::Get, &limits);
    assert_eq!(parse("HTTP/1.1 200 OK\r\nA: b\r\n\r\n"), Ok(Progress::Complete));
    assert_eq!(parse("HTTP/1.1 200 OK."), Ok(Progress::Partial), "the last byte may be the CR's place");
    assert_eq!(parse("HTTP/1.1 200 OK.."), Err(ResponseError::StatusLineTooLong));
    assert_eq!(parse("HTTP/1.1 200 OK.\r\n\r\n"), Err(ResponseError::StatusLineTooLong));
    assert_eq!(parse("HTTP/1.1 200 OK\r\nA: bc\r\n\r\n"), Err(ResponseError::HeaderFieldsTooLarge));
    assert_eq!(parse("HTTP/1.1 200 OK\r\nA: bcdef"), Err(ResponseError::HeaderFieldsTooLarge));
    assert_eq!(parse("HTTP/1.1 200 OK\r\nA:\r\nB:"), Ok(Progress::Partial));
    assert_eq!(parse("HTTP/1.1 200 OK\r\nA:\r\nB:\r\n"), Err(ResponseError::HeaderFieldsTooLarge));
}

#[test]
fn raised_header_counts_work() {
    let bytes = ok(&"A: b\r\n".repeat(200));
    let limits = HeadLimits { header_count_max: 200, ..HeadLimits::default() };
    let bytes = bytes.replace("\r\n\r\n\r\n", "\r\n\r\n");
    let mut head = ResponseHead::new();
    assert_eq!(head.parse(bytes.as_bytes(), Method::Get, &limits), Ok(Progress::Complete));
    assert_eq!(head.headers.len(), 200);
    let limits = HeadLimits { header_count_max: 199, ..limits };
    let read = head.parse(bytes.as_bytes(), Method::Get, &limits);
    assert_eq!(read, Err(ResponseError::HeaderFieldsTooLarge));
}
