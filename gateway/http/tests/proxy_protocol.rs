//! PROXY protocol headers as the specification has them, split at every offset, and as it doesn't.

use std::net::SocketAddr;

use turnpike_http::{PROXY_HEADER_BYTES_CEILING, ProxiedEnds, ProxyError, ProxyProgress, parse_proxy_header};

const LIMIT: usize = 4_096;

fn ends(source: &str, destination: &str) -> Option<ProxiedEnds> {
    let address = |text: &str| text.parse::<SocketAddr>().unwrap();
    Some(ProxiedEnds { source: address(source), destination: address(destination) })
}

fn binary(kind: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend([kind, family]);
    header.extend(u16::try_from(block.len()).unwrap().to_be_bytes());
    header.extend_from_slice(block);
    header
}

const IPV4_BLOCK: &[u8] = &[192, 0, 2, 1, 198, 51, 100, 7, 0xdc, 0x04, 0x01, 0xbb];

fn ipv6_block() -> Vec<u8> {
    let mut block = vec![0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    block.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    block.extend([0xdc, 0x04, 0x01, 0xbb]);
    block
}

/// Whole, followed by a request, and cut at every offset before its end.
fn assert_taken(header: &[u8], expected: Option<ProxiedEnds>) {
    let complete = Ok(ProxyProgress::Complete { bytes: header.len(), ends: expected });
    for behind in [&b""[..], b"GET / HTTP/1.1\r\n", b"\r\n", b"\0\0\0"] {
        let bytes = [header, behind].concat();
        assert_eq!(parse_proxy_header(&bytes, LIMIT), complete, "{header:?} and {behind:?}");
    }
    for offset in 0..header.len() {
        let parsed = parse_proxy_header(&header[..offset], LIMIT);
        assert_eq!(parsed, Ok(ProxyProgress::Partial), "{header:?} cut at {offset}");
    }
}

/// Refused whole, and once refused, with whatever follows; before, only unfinished.
fn assert_refused(header: &[u8], expected: ProxyError) {
    let mut refused = false;
    for offset in 0..=header.len() {
        match parse_proxy_header(&header[..offset], LIMIT) {
            Err(error) => {
                assert_eq!(error, expected, "{header:?} cut at {offset}");
                refused = true;
            }
            other => assert!(
                !refused && other == Ok(ProxyProgress::Partial),
                "{header:?} cut at {offset}: {other:?}"
            ),
        }
    }
    assert!(refused, "{header:?} was taken");
}

#[test]
fn lines_of_version_1() {
    let longest = "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff1 ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff2 65535 65535\r\n";
    for (line, expected) in [
        ("PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n", ends("192.0.2.1:56324", "198.51.100.7:443")),
        ("PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n", ends("0.0.0.0:0", "255.255.255.255:65535")),
        (
            "PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n",
            ends("[2001:db8::1]:56324", "[2001:db8::2]:443"),
        ),
        (
            longest,
            ends(
                "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff1]:65535",
                "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff2]:65535",
            ),
        ),
        ("PROXY UNKNOWN\r\n", None),
        ("PROXY UNKNOWN ffff:: ffff:: 65535 65535\r\n", None),
        ("PROXY UNKNOWN whatever is here\r\n", None),
    ] {
        assert_taken(line.as_bytes(), expected);
    }
    // The longest that the specification allows.
    let longest_of_all = format!("PROXY UNKNOWN {}\r\n", "f".repeat(107 - 16));
    assert_eq!(longest_of_all.len(), 107);
    assert_taken(longest_of_all.as_bytes(), None);
}

#[test]
fn lines_that_are_not_version_1() {
    for line in [
        "PROXY TCP4 192.0.2.1 198.51.100.7 56324\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443 1\r\n",
        "PROXY TCP4  192.0.2.1 198.51.100.7 56324 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443 \r\n",
        "PROXY  TCP4 192.0.2.1 198.51.100.7 56324 443\r\n",
        "PROXY TCP4\t192.0.2.1 198.51.100.7 56324 443\r\n",
        "PROXY TCP4 2001:db8::1 198.51.100.7 56324 443\r\n",
        "PROXY TCP6 192.0.2.1 198.51.100.7 56324 443\r\n",
        "PROXY TCP4 192.0.2.01 198.51.100.7 56324 443\r\n",
        "PROXY TCP4 192.0.2.256 198.51.100.7 56324 443\r\n",
        "PROXY TCP4 192.0.2 198.51.100.7 56324 443\r\n",
        "PROXY TCP4 localhost 198.51.100.7 56324 443\r\n",
        "PROXY TCP6 [2001:db8::1] 2001:db8::2 56324 443\r\n",
        "PROXY TCP6 fe80::1%eth0 2001:db8::2 56324 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 65536 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 056324 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 +56324 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 -1 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 56324 \r\n",
        "PROXY UDP4 192.0.2.1 198.51.100.7 56324 443\r\n",
        "PROXY tcp4 192.0.2.1 198.51.100.7 56324 443\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY \r\n",
        "PROXY UNKNOWN\n",
        "PROXY UNKNOWN\r \n",
        "PROXY UNKNOWN\0\r\n",
        "PROXY UNKNOWN \u{e9}\r\n",
    ] {
        assert_refused(line.as_bytes(), ProxyError::MalformedText);
    }
    assert_refused(format!("PROXY UNKNOWN {}\r\n", "f".repeat(108 - 16)).as_bytes(), ProxyError::TooLong);
    assert_refused(&[b"PROXY UNKNOWN ".to_vec(), vec![b'f'; 500]].concat(), ProxyError::TooLong);
}

#[test]
fn headers_of_version_2() {
    let (ipv4, ipv6) =
        (ends("192.0.2.1:56324", "198.51.100.7:443"), ends("[2001:db8::1]:56324", "[2001:db8::2]:443"));
    assert_taken(&binary(0x21, 0x11, IPV4_BLOCK), ipv4);
    assert_taken(&binary(0x21, 0x21, &ipv6_block()), ipv6);
    assert_taken(&binary(0x21, 0x31, &[b'x'; 216]), None);
    assert_taken(&binary(0x21, 0x00, b""), None);
    assert_taken(&binary(0x21, 0x00, b"anything"), None);
    // A health check of the balancer itself; the family is to be ignored.
    assert_taken(&binary(0x20, 0x00, b""), None);
    assert_taken(&binary(0x20, 0x11, IPV4_BLOCK), None);
    assert_taken(&binary(0x20, 0x55, b"anything"), None);
}

#[test]
fn fields_behind_the_addresses_are_skipped() {
    for fields in [
        &[0x04, 0, 0][..],
        &[0x02, 0, 3, b'a', b'.', b'b'],
        &[0x01, 0, 2, b'h', b'2', 0x20, 0, 1, 0xff, 0xee, 0, 0],
    ] {
        let block = [IPV4_BLOCK, fields].concat();
        assert_taken(&binary(0x21, 0x11, &block), ends("192.0.2.1:56324", "198.51.100.7:443"));
    }
    for fields in [&[0x04][..], &[0x04, 0], &[0x04, 0, 1], &[0x04, 0xff, 0xff, 1], &[0x04, 0, 0, 0x04]] {
        let block = [IPV4_BLOCK, fields].concat();
        assert_refused(&binary(0x21, 0x11, &block), ProxyError::MalformedFields);
    }
}

#[test]
fn headers_that_are_not_version_2() {
    for kind in [0x00, 0x01, 0x10, 0x11, 0x22, 0x2f, 0x31, 0xff] {
        assert_refused(&binary(kind, 0x11, IPV4_BLOCK), ProxyError::UnknownKind);
    }
    for family in [0x01, 0x02, 0x10, 0x13, 0x20, 0x30, 0x41, 0xff] {
        assert_refused(&binary(0x21, family, IPV4_BLOCK), ProxyError::UnknownKind);
    }
    for family in [0x12, 0x22, 0x32] {
        assert_refused(&binary(0x21, family, &[0; 216]), ProxyError::NotAStream);
    }
    for (family, bytes) in [(0x11, 11), (0x21, 35), (0x31, 215), (0x11, 0)] {
        assert_refused(&binary(0x21, family, &vec![0; bytes]), ProxyError::TooShort);
    }
}

#[test]
fn the_limit_of_version_2_is_inclusive() {
    let header = binary(0x20, 0x00, &vec![0; LIMIT - 16]);
    assert_taken(&header, None);
    assert_refused(&binary(0x20, 0x00, &vec![0; LIMIT - 15]), ProxyError::TooLong);
    let largest = binary(0x20, 0x00, &vec![0; usize::from(u16::MAX)]);
    assert_eq!(
        parse_proxy_header(&largest, PROXY_HEADER_BYTES_CEILING),
        Ok(ProxyProgress::Complete { bytes: PROXY_HEADER_BYTES_CEILING, ends: None })
    );
}

#[test]
fn anything_else_is_no_header() {
    for bytes in [
        "GET / HTTP/1.1\r\n",
        "PROX Y",
        "PROXY\tTCP4",
        "proxy TCP4",
        " PROXY TCP4",
        "\r\nPROXY TCP4",
        "\u{16}\u{3}\u{1}",
        "\r\n\r\n\0\r\nQUIT\r",
    ] {
        assert_refused(bytes.as_bytes(), ProxyError::Missing);
    }
}
