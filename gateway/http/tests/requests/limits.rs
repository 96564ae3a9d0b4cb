//! Limits, statuses, and the memory of a reused head.

use super::*;

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
