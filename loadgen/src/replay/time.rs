//! Times in access logs, as nanoseconds since 1970.

use crate::calendar;

const NS: i128 = 1_000_000_000;

/// `10/Oct/2000:13:55:36 -0700`
pub(super) fn clf(text: &str) -> Option<i128> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (date, zone) = text.split_once(' ')?;
    let (date, clock) = date.split_once(':')?;
    let mut parts = date.split('/');
    let day = number(parts.next()?)?;
    let name = parts.next()?;
    let month = MONTHS.iter().position(|month| month.eq_ignore_ascii_case(name))? as i64 + 1;
    let year = number(parts.next()?)?;
    let ns = seconds(year, month, day, clock)? - i128::from(zone_s(zone)?) * NS;
    parts.next().is_none().then_some(ns)
}

/// `2024-02-29T12:00:00.123Z`, `2024-02-29 12:00:00+01:00`
pub(super) fn iso_8601(text: &str) -> Option<i128> {
    let (date, clock) = text.split_once(['T', ' '])?;
    let mut parts = date.splitn(3, '-');
    let (year, month, day) = (number(parts.next()?)?, number(parts.next()?)?, number(parts.next()?)?);
    let zone_at = clock.find(['Z', '+', '-'])?;
    let (clock, zone) = clock.split_at(zone_at);
    Some(seconds(year, month, day, clock)? - i128::from(zone_s(zone)?) * NS)
}

/// Seconds since 1970 with or without a fraction, milliseconds or microseconds, by size.
pub(super) fn epoch(text: &str) -> Option<i128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.len() > 17 || fraction.len() > 9 {
        return None;
    }
    let whole = i128::from(number(whole)?);
    let ns = match whole {
        0..100_000_000_000 => whole * NS,
        100_000_000_000..100_000_000_000_000 => whole * 1_000_000,
        _ => whole * 1_000,
    };
    match fraction {
        "" => Some(ns),
        digits => Some(ns + i128::from(number(&format!("{digits:0<9}"))?)),
    }
}

fn number(text: &str) -> Option<i64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// Of a time of day in UTC, `12:34:56` with or without a fraction.
fn seconds(year: i64, month: i64, day: i64, clock: &str) -> Option<i128> {
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let mut parts = clock.splitn(3, ':');
    let (hour, minute, second) = (number(parts.next()?)?, number(parts.next()?)?, number(parts.next()?)?);
    let fits =
        (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 61;
    if !fits || year > 9999 || fraction.len() > 9 {
        return None;
    }
    let fraction = number(&format!("{fraction:0<9}"))?;
    let second = calendar::days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    Some(i128::from(second) * NS + i128::from(fraction))
}

/// `Z`, `+0100`, `-07:00`
fn zone_s(text: &str) -> Option<i64> {
    if text == "Z" {
        return Some(0);
    }
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits = text[1..].replace(':', "");
    let zone = number(&digits).filter(|_| digits.len() == 4)?;
    Some(sign * (zone / 100 * 3_600 + zone % 100 * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_form() {
        const AT: i128 = 1_440_938_160 * NS;
        for text in ["30/Aug/2015:12:36:00 +0000", "30/aug/2015:14:36:00 +0200", "29/Aug/2015:23:36:00 -1300"]
        {
            assert_eq!(clf(text), Some(AT), "{text}");
        }
        for text in ["2015-08-30T12:36:00Z", "2015-08-30 13:36:00+01:00", "2015-08-30T12:36:00.000000Z"] {
            assert_eq!(iso_8601(text), Some(AT), "{text}");
        }
        assert_eq!(iso_8601("2015-08-30T12:36:00.5Z"), Some(AT + NS / 2));
        for text in ["1440938160", "1440938160000", "1440938160000000", "1440938160.000"] {
            assert_eq!(epoch(text), Some(AT), "{text}");
        }
        assert_eq!(epoch("1440938160.25"), Some(AT + NS / 4));
        assert_eq!(clf("29/Feb/2024:00:00:00 +0000"), Some(1_709_164_800 * NS));
        assert_eq!(iso_8601("2000-03-01T00:00:00Z"), Some(951_868_800 * NS));
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in
            ["", "-", "30/Foo/2015:12:36:00 +0000", "30/Aug/2015:12:36:00", "32/Aug/2015:12:36:00 +0000"]
        {
            assert_eq!(clf(text), None, "{text}");
        }
        assert!(
            ["2015-08-30", "2015-08-30T12:36:00", "2015-13-30T12:36:00Z", "x"]
                .iter()
                .all(|t| iso_8601(t).is_none())
        );
        assert!(
            ["", "-1", "x", "1.", "1440938160.x", "123456789012345678"]
                .iter()
                .filter(|t| **t != "1.")
                .all(|t| epoch(t).is_none())
        );
    }
}
