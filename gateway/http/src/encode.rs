//! What is sent: append-only writers into a connection's buffer.
//!
//! They trust their input: names and values come from parsed heads or checked configuration. Debug builds assert
//! it ([`crate::is_token`], [`crate::is_field_value`]).

use crate::grammar::{is_field_value, is_token};

/// Ends a chunked body that has no trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// `HTTP/1.1 200 OK` and CRLF; a status without a known reason keeps the space before it (RFC 9112 4).
pub fn status_line(out: &mut Vec<u8>, status: u16) {
    if status == 200 {
        // Most of them.
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    debug_assert!((100..600).contains(&status), "not a status: {status}");
    out.extend_from_slice(b"HTTP/1.1 ");
    decimal(out, u64::from(status));
    out.push(b' ');
    out.extend_from_slice(reason(status).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// `name: value` and CRLF. Inlined: names and lengths are mostly constants, which need no call to be copied then.
#[inline(always)]
pub fn header(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    debug_assert!(is_token(name.as_bytes()), "not a header name: {name:?}");
    debug_assert!(is_field_value(value), "not a header value: {value:?}");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// In one piece, as most answers have it.
pub fn date(out: &mut Vec<u8>, date: &[u8; 29]) {
    let mut line = *b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    line[6..35].copy_from_slice(date);
    out.extend_from_slice(&line);
}

/// As [`date`].
pub fn content_length(out: &mut Vec<u8>, length: u64) {
    let mut line = *b"Content-Length: 00000000000000000000\r\n";
    let mut digits = [0; 20];
    let start = write_decimal(&mut digits, length);
    line[16..36 - start].copy_from_slice(&digits[start..]);
    line[36 - start..38 - start].copy_from_slice(b"\r\n");
    out.extend_from_slice(&line[..38 - start]);
}

pub fn decimal(out: &mut Vec<u8>, value: u64) {
    let mut digits = [0; 20];
    let start = write_decimal(&mut digits, value);
    out.extend_from_slice(&digits[start..]);
}

/// One chunk with its CRLFs. Empty data writes nothing, since an empty chunk would end the body.
pub fn chunk(out: &mut Vec<u8>, data: &[u8]) {
    if data.is_empty() {
        return;
    }
    let mut digits = [0; 16];
    let start = write_digits(&mut digits, data.len() as u64, 16);
    out.extend_from_slice(&digits[start..]);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

/// Fills `digits` from its end, two at a time; returns where the number starts.
fn write_decimal(digits: &mut [u8; 20], mut value: u64) -> usize {
    let mut start = digits.len();
    while value >= 10 {
        start -= 2;
        digits[start..start + 2].copy_from_slice(&DECIMALS[(value % 100) as usize]);
        value /= 100;
    }
    // One digit is left, or none; zero itself is one.
    if value > 0 || start == digits.len() {
        start -= 1;
        digits[start] = b'0' + value as u8;
    }
    start
}

/// The two digits of each number below 100.
const DECIMALS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
};

/// Fills `digits` from its end; returns where the number starts.
fn write_digits(digits: &mut [u8], mut value: u64, radix: u64) -> usize {
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b"0123456789abcdef"[(value % radix) as usize];
        value /= radix;
        if value == 0 {
            return start;
        }
    }
}

/// The last second that a date of four year digits can name.
const DATE_SECONDS_MAX: u64 = 253_402_300_799;

/// An IMF-fixdate (RFC 9110 5.6.7), such as `Sun, 06 Nov 1994 08:49:37 GMT`, of seconds since 1970 without
/// leap seconds. Times after the year 9999 are written as its last second.
pub fn http_date(unix_seconds: u64) -> [u8; 29] {
    const WEEKDAYS: &[u8; 21] = b"ThuFriSatSunMonTueWed";
    const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    let seconds = unix_seconds.min(DATE_SECONDS_MAX);
    let (days, second_of_day) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil_date(days);

    let mut date = *b"Www, 00 Mmm 0000 00:00:00 GMT";
    let weekday = (days % 7) as usize * 3;
    date[..3].copy_from_slice(&WEEKDAYS[weekday..weekday + 3]);
    write_padded(&mut date[5..7], day);
    let month = (month - 1) as usize * 3;
    date[8..11].copy_from_slice(&MONTHS[month..month + 3]);
    write_padded(&mut date[12..16], year);
    write_padded(&mut date[17..19], second_of_day / 3600);
    write_padded(&mut date[20..22], second_of_day / 60 % 60);
    write_padded(&mut date[23..25], second_of_day % 60);
    date
}

/// Year, month (1 to 12) and day (1 to 31) of a day counted from 1970-01-01.
///
/// Counts from 0000-03-01, so that a leap day is the last of its year; from there, 400 years have 146,097 days
/// and the months' lengths repeat every 153 days.
fn civil_date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era_day = days % 146_097;
    let era_year = (era_day - era_day / 1460 + era_day / 36_524 - era_day / 146_096) / 365;
    let year_day = era_day - (365 * era_year + era_year / 4 - era_year / 100);
    let march_month = (5 * year_day + 2) / 153;
    let day = year_day - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = days / 146_097 * 400 + era_year + u64::from(month <= 2);
    (year, month, day)
}

fn write_padded(place: &mut [u8], mut value: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// The registered reason of a status (RFC 9110 15 and its registry); empty for others.
pub fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        102 => "Processing",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        207 => "Multi-Status",
        208 => "Already Reported",
        226 => "IM Used",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        305 => "Use Proxy",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        506 => "Variant Also Negotiates",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        510 => "Not Extended",
        511 => "Network Authentication Required",
        _ => "",
    }
}
