//! Seconds since 1970 as the two texts that AWS's APIs use, and back. UTC only, years 1970 to 9999.

use std::time::{SystemTime, UNIX_EPOCH};

const DAY_S: i64 = 86_400;

/// Now, in seconds since 1970. A clock set before 1970 reads as 1970.
#[must_use]
pub fn now_s() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    i64::try_from(since_1970).unwrap_or(i64::MAX)
}

/// Now, in microseconds since 1970.
#[must_use]
pub fn now_us() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros());
    i64::try_from(since_1970).unwrap_or(i64::MAX)
}

/// `2026-11-21T08:07:27Z`.
#[must_use]
pub fn iso8601(at_s: i64) -> String {
    let Civil { year, month, day, hour, minute, second } = Civil::of(at_s);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The day, counted from 1970.
#[must_use]
pub fn day_of(at_s: i64) -> i64 {
    at_s.div_euclid(DAY_S)
}

/// `2026-11-21`.
#[must_use]
pub fn iso_day(day: i64) -> String {
    iso8601(day * DAY_S).chars().take(10).collect()
}

/// Reads `2026-11-21`; `None` when it isn't exactly that.
#[must_use]
pub fn parse_iso_day(text: &str) -> Option<i64> {
    let at_s = parse_amz_date(&format!("{}T000000Z", text.replace('-', "")))?;
    (iso_day(day_of(at_s)) == text).then_some(day_of(at_s))
}

/// The day of its month, from 1, and of its week, from Sunday at 0.
#[must_use]
pub fn day_in_month_and_week(day: i64) -> (i64, i64) {
    // The first day of 1970 was a Thursday.
    (Civil::of(day * DAY_S).day, (day + 4).rem_euclid(7))
}

/// `20261121T080727Z`, as `x-amz-date` has it.
#[must_use]
pub fn amz_date(at_s: i64) -> String {
    iso8601(at_s).chars().filter(|c| !matches!(c, '-' | ':')).collect()
}

/// Reads `20261121T080727Z`; `None` when it isn't exactly that.
#[must_use]
pub fn parse_amz_date(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let shaped = bytes.len() == 16
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            8 => *byte == b'T',
            15 => *byte == b'Z',
            _ => byte.is_ascii_digit(),
        });
    if !shaped {
        return None;
    }
    let number = |from: usize, to: usize| text[from..to].parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let (hour, minute, second) = (number(9, 11)?, number(11, 13)?, number(13, 15)?);
    let at_s = days_since_1970(year, month, day) * DAY_S + hour * 3_600 + minute * 60 + second;
    // Reading it back refuses the 31st of June, month 13 and hour 25 in one go.
    (year >= 1970 && amz_date(at_s) == text).then_some(at_s)
}

struct Civil {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
}

impl Civil {
    fn of(at_s: i64) -> Self {
        let (days, in_day_s) = (at_s.div_euclid(DAY_S), at_s.rem_euclid(DAY_S));
        let mut year = 1970 + days / 366;
        while days_since_1970(year + 1, 1, 1) <= days {
            year += 1;
        }
        let mut month = 1;
        while month < 12 && days_since_1970(year, month + 1, 1) <= days {
            month += 1;
        }
        let day = days - days_since_1970(year, month, 1) + 1;
        Self { year, month, day, hour: in_day_s / 3_600, minute: in_day_s / 60 % 60, second: in_day_s % 60 }
    }
}

fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    const BEFORE_MONTH: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let leap_days = |through: i64| through / 4 - through / 100 + through / 400;
    let in_year = usize::try_from(month - 1).ok().and_then(|at| BEFORE_MONTH.get(at)).copied().unwrap_or(366);
    let leap_day = i64::from(leap && month > 2);
    (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969) + in_year + leap_day + day - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_and_reads_dates() {
        let table = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_440_938_160, "2015-08-30T12:36:00Z"),
            (1_767_225_599, "2025-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ];
        for (at_s, text) in table {
            assert_eq!(iso8601(at_s), text);
            assert_eq!(parse_amz_date(&amz_date(at_s)), Some(at_s), "{text}");
        }
    }

    #[test]
    fn every_day_for_two_centuries_reads_back() {
        for day in 0..73_000 {
            let at_s = day * DAY_S + 3_723;
            assert_eq!(parse_amz_date(&amz_date(at_s)), Some(at_s), "day {day}");
        }
    }

    #[test]
    fn days() {
        assert_eq!((iso_day(0).as_str(), day_in_month_and_week(0)), ("1970-01-01", (1, 4)));
        let day = parse_iso_day("2026-11-21").expect("a day");
        assert_eq!((iso_day(day).as_str(), day_in_month_and_week(day)), ("2026-11-21", (21, 6)));
        for text in ["", "2026-11-31", "20261121", "2026-1-121", "2026-11-21T00:00:00Z", "１026-11-21"] {
            assert_eq!(parse_iso_day(text), None, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_date() {
        for text in [
            "",
            "20150830T123600",
            "20150830 123600Z",
            "20150631T000000Z",
            "20151330T000000Z",
            "20150830T250000Z",
            "+0150830T123600Z",
            "19691231T235959Z",
            "2015-08-30T12:36Z",
            "２0150830T1236Z",
        ] {
            assert_eq!(parse_amz_date(text), None, "{text:?}");
        }
    }
}
