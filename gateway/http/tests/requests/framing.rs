//! Where a body ends, what the connection does next, and which fields stay on it.

use super::*;

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

fn hop_by_hop(bytes: &[u8]) -> Vec<String> {
    let head = complete(bytes);
    let hop = head.headers.iter().filter(|header| header.hop_by_hop);
    hop.map(|header| text(header.name_span, bytes).to_ascii_lowercase()).collect()
}

#[test]
fn names_that_cgi_takes_for_framing_are_refused() {
    for field in ["Content_Length: 5", "TRANSFER_ENCODING: chunked", "content_length: 5\r\nContent-Length: 5"]
    {
        refused(
            format!("POST / HTTP/1.1\r\nHost: a.test\r\n{field}\r\n\r\n"),
            RequestError::FramingLookalike,
        );
    }
    for field in
        ["Content__Length: 5", "X_Content_Length: 5", "Content_Type: a", "_: a", "Content-Length_: 5"]
    {
        complete(format!("POST / HTTP/1.1\r\nHost: a.test\r\n{field}\r\n\r\n").as_bytes());
    }
}
