//! What is no request line, no line end and no header line, by the name of its refusal.

use super::*;

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
