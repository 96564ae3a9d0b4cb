//! HTTP-date (RFC 9110 5.6.7), in the three forms that a recipient has to read.

const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
const DAY_S: u64 = 86_400;

/// Seconds since 1970; `None` for what is no date, or is before 1970. `now_s` is what a year of two digits is near.
#[must_use]
pub fn parse_http_date(text: &[u8], now_s: u64) -> Option<u64> {
    match text.iter().position(|byte| *byte == b',') {
        Some(3) => imf_fixdate(text.try_into().ok()?),
        Some(comma) => rfc850_date(text[comma + 1..].try_into().ok()?, now_s),
        None => asctime_date(text.try_into().ok()?),
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn imf_fixdate(text: &[u8; 29]) -> Option<u64> {
    let fixed = [text[4], text[7], text[11], text[16]] == *b"    " && text[25..] == *b" GMT";
    let time = time_of_day(&text[17..25])?;
    fixed.then_some(seconds(number(&text[12..16])?, month(&text[8..11])?, number(&text[5..7])?, time)?)
}

/// ` 06-Nov-94 08:49:37 GMT`, behind the day's name and a comma. A year that seems more than 50 years ahead is the
/// last one with these digits.
fn rfc850_date(text: &[u8; 23], now_s: u64) -> Option<u64> {
    let fixed = [text[0], text[3], text[7], text[10]] == *b" -- " && text[19..] == *b" GMT";
    let this_year = 1970 + now_s / (365 * DAY_S + DAY_S / 4);
    let of_century = this_year - this_year % 100 + number(&text[8..10])?;
    let year = if of_century > this_year + 50 { of_century - 100 } else { of_century };
    let time = time_of_day(&text[11..19])?;
    fixed.then_some(seconds(year, month(&text[4..7])?, number(&text[1..3])?, time)?)
}

/// `Sun Nov  6 08:49:37 1994`
fn asctime_date(text: &[u8; 24]) -> Option<u64> {
    let fixed = [text[3], text[7], text[10], text[19]] == *b"    ";
    let day = number(text[8..10].trim_ascii_start())?;
    fixed.then_some(seconds(number(&text[20..])?, month(&text[4..7])?, day, time_of_day(&text[11..19])?)?)
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

/// 1 to 12. Names are case-sensitive.
fn month(name: &[u8]) -> Option<u64> {
    (1..).zip(MONTHS).find(|(_, known)| **known == *name).map(|(month, _)| month)
}

/// `08:49:37`; a leap second counts as the last of its minute.
fn time_of_day(text: &[u8]) -> Option<u64> {
    let (hour, minute, second) = (number(&text[..2])?, number(&text[3..5])?, number(&text[6..8])?);
    let valid = text[2] == b':' && text[5] == b':' && hour < 24 && minute < 60 && second <= 60;
    valid.then_some(hour * 3600 + minute * 60 + second.min(59))
}

/// Days are counted from 0000-03-01, so that a leap day is the last of its year; 719,468 of them lie before 1970.
fn seconds(year: u64, month: u64, day: u64, time: u64) -> Option<u64> {
    if day == 0 || day > days_in(year, month) {
        return None;
    }
    let march_year = if month <= 2 { year.checked_sub(1)? } else { year };
    let march_month = (month + 9) % 12;
    let days = march_year * 365 + march_year / 4 - march_year / 100 + march_year / 400;
    let days = (days + (153 * march_month + 2) / 5 + day - 1).checked_sub(719_468)?;
    Some(days * DAY_S + time)
}

fn days_in(year: u64, month: u64) -> u64 {
    match month {
        2 if year.is_multiple_of(4) && !year.is_multiple_of(100)
            || month == 2 && year.is_multiple_of(400) =>
        {
            29
        }
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_S: u64 = 1_790_000_000;

    #[test]
    fn a_moment_in_each_of_the_three_forms() {
        for text in
            ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
        {
            assert_eq!(parse_http_date(text.as_bytes(), NOW_S), Some(784_111_777), "{text}");
        }
    }

    #[test]
    fn dates_of_other_years() {
        for (text, expected) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Tue, 29 Feb 2000 23:59:60 GMT", Some(951_868_799)),
            ("Thu, 29 Feb 2024 12:00:00 GMT", Some(1_709_208_000)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(253_402_300_799)),
            ("Thu, 29 Feb 2100 00:00:00 GMT", None),
            ("Wed, 31 Dec 1969 23:59:59 GMT", None),
            ("Sunday, 06-Nov-77 08:49:37 GMT", Some(247_654_177)),
            ("Saturday, 06-Nov-32 08:49:37 GMT", Some(1_983_343_777)),
        ] {
            assert_eq!(parse_http_date(text.as_bytes(), NOW_S), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_date() {
        for text in [
            "",
            "0",
            "-1",
            ",",
            "Sun,",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 EST",
            "Sun, 06 nov 1994 08:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 31 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:60:37 GMT",
            "Sun, 06 Nov 1994 08-49-37 GMT",
            "Sun,_06 Nov 1994 08:49:37 GMT",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun Nov 6 08:49:37 1994",
            "\u{ff}un, 06 Nov 1994 08:49:37 GM",
            "1994-11-06T08:49:37Z",
        ] {
            assert_eq!(parse_http_date(text.as_bytes(), NOW_S), None, "{text}");
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut expected = 0;
        for year in 1970..2110 {
            for month in 1..=12 {
                for day in 1..=days_in(year, month) {
                    assert_eq!(seconds(year, month, day, 0), Some(expected), "{year}-{month}-{day}");
                    expected += DAY_S;
                }
            }
        }
    }
}
