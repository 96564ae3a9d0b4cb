//! Chunked bodies: every cut of the input gives the same payload and the same verdict.

use turnpike_http::{ChunkError, ChunkLimits, ChunkedDecoder};

/// Payload, bytes consumed and whether the body ended, or the error.
type Outcome = Result<(Vec<u8>, usize, bool), ChunkError>;

/// Feeds `input` in pieces of `piece_bytes`, each until it is consumed.
fn decode(input: &[u8], piece_bytes: usize, limits: ChunkLimits) -> Outcome {
    let mut decoder = ChunkedDecoder::new(limits);
    let (mut payload, mut consumed) = (Vec::new(), 0);
    for piece in input.chunks(piece_bytes) {
        let mut rest = piece;
        while !rest.is_empty() {
            let step = decoder.step(rest)?;
            if let Some(data) = step.data {
                assert!(!data.is_empty() && data.end <= step.consumed);
                payload.extend_from_slice(&rest[data]);
            }
            assert_eq!(step.done, decoder.is_done());
            assert!(step.consumed > 0 || step.done, "no progress");
            consumed += step.consumed;
            rest = &rest[step.consumed..];
            if step.done {
                break;
            }
        }
        if decoder.is_done() {
            break;
        }
    }
    assert_eq!(decoder.data_bytes(), payload.len() as u64);
    Ok((payload, consumed, decoder.is_done()))
}

/// The outcome, which must be the same for every size of the pieces.
#[track_caller]
fn decode_any(input: &[u8]) -> Outcome {
    let whole = decode(input, input.len().max(1), ChunkLimits::default());
    for piece_bytes in 1..input.len() {
        let pieces = decode(input, piece_bytes, ChunkLimits::default());
        assert_eq!(pieces, whole, "{piece_bytes} byte pieces of {:?}", String::from_utf8_lossy(input));
    }
    whole
}

#[track_caller]
fn refused(input: impl AsRef<[u8]>, error: ChunkError) {
    let input = input.as_ref();
    assert_eq!(decode_any(input), Err(error), "{:?}", String::from_utf8_lossy(input));
}

const VALID: &[(&[u8], &[u8])] = &[
    (b"0\r\n\r\n", b""),
    (b"0000000000000000\r\n\r\n", b""),
    (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
    (b"0000000000000005\r\nhello\r\n0\r\n\r\n", b"hello"),
    (b"1\r\na\r\n2\r\nbc\r\n3\r\ndef\r\n0\r\n\r\n", b"abcdef"),
    (b"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", b"01234567890123456789"),
    (b"2\r\n\r\n\r\n0\r\n\r\n", b"\r\n"),
    (b"5\r\n0\r\n\r\n\r\n0\r\n\r\n", b"0\r\n\r\n"),
    (b"1;a\r\nx\r\n1;a=b;c=\"d;\\\"e\" \t;\r\ny\r\n0;end\r\n\r\n", b"xy"),
    (b"1\r\nx\r\n0\r\nX-Sum: abc\r\n\r\n", b"x"),
    (b"0\r\nX-Sum:\r\nServer-Timing: db;dur=53\r\nX-Obs: \t\xe9 \r\n\r\n", b""),
];

#[test]
fn valid_bodies_in_every_cut() {
    for (body, payload) in VALID {
        assert_eq!(decode_any(body), Ok((payload.to_vec(), body.len(), true)));
        for follows in ["x", "\r\n", "0\r\n\r\n", "GET / HTTP/1.1\r\n"] {
            let input = [*body, follows.as_bytes()].concat();
            assert_eq!(
                decode_any(&input),
                Ok((payload.to_vec(), body.len(), true)),
                "followed by {follows:?}"
            );
        }
        for end in 0..body.len() {
            let (_, consumed, done) = decode_any(&body[..end]).expect("a valid beginning");
            assert_eq!((consumed, done), (end, false));
        }
    }
}

#[test]
fn one_step_reads_up_to_the_next_run_of_data() {
    let mut decoder = ChunkedDecoder::new(ChunkLimits::default());
    let input = b"3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\nnext";
    let step = decoder.step(input).expect("valid");
    assert_eq!((step.consumed, step.data, step.done), (13, Some(3..6), false));
    let step = decoder.step(&input[13..]).expect("valid");
    assert_eq!((step.consumed, step.data, step.done), (9, Some(0..2), true));
    let step = decoder.step(&input[22..]).expect("done");
    assert_eq!((step.consumed, step.data, step.done), (0, None, true));
}

#[test]
fn step_all_reads_through_every_chunk() {
    let input = b"3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\nnext";
    let mut decoder = ChunkedDecoder::new(ChunkLimits::default());
    let step = decoder.step_all(&input[..11]).expect("valid");
    assert_eq!((step.consumed, step.data, step.done), (11, Some(3..6), false));
    let step = decoder.step_all(&input[11..]).expect("valid");
    assert_eq!((step.consumed, step.data, step.done), (11, Some(2..4), true));
    assert_eq!(decoder.data_bytes(), 5);
    assert_eq!(decoder.step_all(b"\0").map(|step| step.consumed), Ok(0));
    assert_eq!(
        ChunkedDecoder::new(ChunkLimits::default()).step_all(b"1\r\naX"),
        Err(ChunkError::MissingDataEnd)
    );
}

#[test]
fn chunk_sizes_that_are_none() {
    for size in [
        "",
        " 5",
        "\t5",
        "5 ",
        "5\t",
        "5 ;x",
        "+5",
        "-5",
        "-0",
        "0x5",
        "0X5",
        "x5",
        "5_0",
        "5,5",
        "5.0",
        "g",
        "\"5\"",
        "\u{665}",
        "5\0",
        "\0",
        "5\x0b",
        "\u{a0}5",
        "00000000000000005",
        "10000000000000000",
        "fffffffffffffffff",
    ] {
        refused(format!("{size}\r\nhello\r\n0\r\n\r\n"), ChunkError::InvalidSize);
    }
    let largest = b"ffffffffffffffff\r\nhello";
    assert_eq!(decode_any(largest), Ok((b"hello".to_vec(), largest.len(), false)));
}

#[test]
fn line_ends_are_crlf_only() {
    for (body, _) in VALID.iter().filter(|(_, payload)| !payload.contains(&b'\n')) {
        for at in (0..body.len()).filter(|at| body[*at] == b'\n') {
            let without_cr = [&body[..at - 1], &body[at..]].concat();
            let verdict = decode_any(&without_cr);
            assert!(
                matches!(verdict, Err(ChunkError::BareLf | ChunkError::MissingDataEnd)),
                "{:?}: {verdict:?}",
                String::from_utf8_lossy(&without_cr)
            );
            if at + 1 < body.len() {
                refused([&body[..at], &body[at + 1..]].concat(), ChunkError::BareCr);
            }
            refused([&body[..at], b"\r", &body[at..]].concat(), ChunkError::BareCr);
        }
    }
    refused("5;a\nb\r\nhello\r\n", ChunkError::BareLf);
    refused("5;a\rb\r\nhello\r\n", ChunkError::BareCr);
    refused("5\rX\nhello\r\n", ChunkError::BareCr);
    refused("0\r\nA: b\nC: d\r\n\r\n", ChunkError::BareLf);
    refused("0\r\nA: b\rC: d\r\n\r\n", ChunkError::BareCr);
}

#[test]
fn data_must_be_as_long_as_its_size() {
    refused("5\r\nhello!\r\n0\r\n\r\n", ChunkError::MissingDataEnd);
    refused("4\r\nhello\r\n0\r\n\r\n", ChunkError::MissingDataEnd);
    refused("5\r\nhello0\r\n\r\n", ChunkError::MissingDataEnd);
    refused("6\r\nhello\r\n0\r\n\r\n", ChunkError::MissingDataEnd);
    refused("5\r\nhello\n0\r\n\r\n", ChunkError::MissingDataEnd);
}

#[test]
fn extensions_are_printable_and_bounded() {
    for extension in ["\0", "a\x01", "a\x7f", "\u{e9}", "a=\x0b"] {
        refused(format!("5;{extension}\r\nhello\r\n"), ChunkError::InvalidExtension);
    }
    let line = |bytes: usize| format!("1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(bytes - 2));
    assert!(decode_any(line(256).as_bytes()).is_ok());
    refused(line(257), ChunkError::LineTooLong);
    // Without an end in sight, too.
    refused(format!("1;{}", "e".repeat(300)), ChunkError::LineTooLong);
}

#[test]
fn trailers_are_as_strict_as_headers() {
    for trailer in [
        "A : b",
        " A: b",
        "\tA: b",
        ": b",
        "A",
        "A B: c",
        "A: b\r\n c",
        "A: b\0",
        "A\0: b",
        "A: \x01",
        "A(: b",
        "\u{e9}: b",
    ] {
        refused(format!("0\r\n{trailer}\r\n\r\n"), ChunkError::InvalidTrailer);
    }
    for name in [
        "Transfer-Encoding",
        "content-length",
        "Content-Type",
        "HOST",
        "Authorization",
        "Proxy-Authorization",
        "Cookie",
        "Set-Cookie",
        "Connection",
        "Keep-Alive",
        "Trailer",
        "TE",
        "Upgrade",
        "Expect",
        "If-Match",
        "Cache-Control",
        "Range",
        "X-Forwarded-For",
        "Forwarded",
        "Via",
        "Location",
        "X-Api-Key",
        "X-Amz-Date",
        "X-Amz-Content-Sha256",
        "Access-Control-Allow-Origin",
        "content-security-policy-report-only-and-longer",
    ] {
        refused(format!("0\r\n{name}: x\r\n\r\n"), ChunkError::ForbiddenTrailer);
        refused(format!("0\r\nX-Fine: y\r\n{name}:\r\n\r\n"), ChunkError::ForbiddenTrailer);
        let longer = format!("0\r\nX{name}: x\r\n\r\n");
        assert!(decode_any(longer.as_bytes()).is_ok(), "only beginning like a forbidden name");
    }
    let long_name = format!("0\r\nhost{}: x\r\n\r\n", "t".repeat(100));
    assert!(decode_any(long_name.as_bytes()).is_ok());
}

#[test]
fn trailer_limits_are_inclusive() {
    let limits = ChunkLimits {
        chunk_line_bytes_max: 1,
        trailer_bytes_max: 12,
        trailer_count_max: 2,
        ..ChunkLimits::default()
    };
    for (body, fits) in [
        ("0\r\nA: b\r\nC: d\r\n\r\n", true),
        ("0\r\nA: b\r\nC: de\r\n\r\n", false),
        ("0\r\nA:\r\nB:\r\n\r\n", true),
        ("0\r\nA:\r\nB:\r\nC", false),
        ("0\r\nA: bcdefghi\r\n\r\n", false),
        ("0\r\nAAAAAAAAAAAAA", false),
        ("00\r\n", false),
    ] {
        for piece_bytes in 1..=body.len() {
            assert_eq!(decode(body.as_bytes(), piece_bytes, limits).is_ok(), fits, "{body:?}");
        }
    }
    let verdict = decode(b"0\r\nA:\r\nB:\r\nC", 1, limits);
    assert_eq!(verdict, Err(ChunkError::TrailersTooLarge));
    assert_eq!(ChunkError::TrailersTooLarge.status(), 431);
    assert_eq!(ChunkError::InvalidSize.status(), 400);
}

#[test]
fn an_error_is_final() {
    let mut decoder = ChunkedDecoder::new(ChunkLimits::default());
    assert_eq!(decoder.step(b"x"), Err(ChunkError::InvalidSize));
    assert_eq!(decoder.step(b"0\r\n\r\n"), Err(ChunkError::InvalidSize));
    assert!(!decoder.is_done());
}

#[test]
fn extensions_are_bounded_over_all_chunks() {
    let limits = ChunkLimits { chunk_extension_bytes_max: 10, ..ChunkLimits::default() };
    let decode = |body: &str| ChunkedDecoder::new(limits).step_all(body.as_bytes()).map(|step| step.done);
    assert_eq!(decode("1;abcd\r\nx\r\n1;abcd\r\nx\r\n0\r\n\r\n"), Ok(true), "exactly the limit");
    assert_eq!(decode("1;abcd\r\nx\r\n1;abcd\r\nx\r\n0;\r\n\r\n"), Err(ChunkError::ExtensionsTooLarge));
    assert_eq!(decode("1;abcdefghij"), Err(ChunkError::ExtensionsTooLarge));
    let none = ChunkLimits { chunk_extension_bytes_max: 0, ..ChunkLimits::default() };
    assert_eq!(ChunkedDecoder::new(none).step_all(b"1;"), Err(ChunkError::ExtensionsTooLarge));
    assert!(ChunkedDecoder::new(none).step_all(b"1\r\nx\r\n0\r\n\r\n").unwrap().done);
}

#[test]
fn trailers_that_cgi_takes_for_forbidden_ones_are_refused() {
    for name in ["Content_Length", "x_forwarded_for", "Transfer_Encoding", "x_amz_date"] {
        let body = format!("0\r\n{name}: 1\r\n\r\n");
        let outcome = ChunkedDecoder::new(ChunkLimits::default()).step_all(body.as_bytes());
        assert_eq!(outcome, Err(ChunkError::ForbiddenTrailer), "{name}");
    }
}
