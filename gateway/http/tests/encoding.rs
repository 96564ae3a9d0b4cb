//! The writers: exact bytes.

use turnpike_http::encode::{
    LAST_CHUNK, chunk, content_length, date, decimal, header, http_date, reason, status_line,
};

fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = b"before|".to_vec();
    write(&mut out);
    String::from_utf8(out).expect("ASCII").strip_prefix("before|").expect("appended").to_owned()
}

#[test]
fn lines() {
    assert_eq!(written(|out| status_line(out, 200)), "HTTP/1.1 200 OK\r\n");
    assert_eq!(written(|out| status_line(out, 431)), "HTTP/1.1 431 Request Header Fields Too Large\r\n");
    assert_eq!(written(|out| status_line(out, 599)), "HTTP/1.1 599 \r\n");
    assert_eq!(written(|out| header(out, "x-a", b"b c")), "x-a: b c\r\n");
    assert_eq!(written(|out| header(out, "x-a", b"")), "x-a: \r\n");
    assert_eq!((reason(502), reason(100), reason(299)), ("Bad Gateway", "Continue", ""));
}

#[test]
fn numbers() {
    for value in [0, 1, 9, 10, 99, 100, 12_345_678_901, u64::MAX] {
        assert_eq!(written(|out| decimal(out, value)), value.to_string());
        assert_eq!(written(|out| content_length(out, value)), format!("Content-Length: {value}\r\n"));
    }
}

#[test]
fn chunks() {
    assert_eq!(written(|out| chunk(out, b"")), "");
    assert_eq!(written(|out| chunk(out, b"hello")), "5\r\nhello\r\n");
    assert_eq!(written(|out| chunk(out, &[b'x'; 255])), format!("ff\r\n{}\r\n", "x".repeat(255)));
    assert!(written(|out| chunk(out, &[b'x'; 0x1000])).starts_with("1000\r\nxx"));
    assert_eq!(LAST_CHUNK, b"0\r\n\r\n");
}

#[test]
fn dates() {
    for (seconds, expected) in [
        (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
        // RFC 9110 5.6.7's example.
        (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
        (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT"),
        (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
        (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"),
        (1_709_251_199, "Thu, 29 Feb 2024 23:59:59 GMT"),
        (1_767_225_599, "Wed, 31 Dec 2025 23:59:59 GMT"),
        (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
        (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
        (u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
    ] {
        assert_eq!(std::str::from_utf8(&http_date(seconds)), Ok(expected), "{seconds}");
        assert_eq!(written(|out| date(out, &http_date(seconds))), format!("Date: {expected}\r\n"));
    }
}

/// Against counting days one by one.
#[test]
fn dates_of_every_day_for_five_centuries() {
    let lengths = |year: u64| {
        let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    };
    let weekdays = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut days = 0;
    for year in 1970..2470 {
        for (month, length) in months.iter().zip(lengths(year)) {
            for day in 1..=length {
                let expected = format!("{}, {day:02} {month} {year} 12:00:01 GMT", weekdays[days % 7]);
                let date = http_date(days as u64 * 86_400 + 43_201);
                assert_eq!(std::str::from_utf8(&date), Ok(expected.as_str()));
                days += 1;
            }
        }
    }
}
