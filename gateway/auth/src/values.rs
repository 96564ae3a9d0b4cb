//! What conditions compare besides texts: times, numbers, networks.

use std::net::IpAddr;

const DAY_S: i64 = 86_400;

/// A time in milliseconds since 1970: seconds as a number, or ISO 8601 from the year to the fraction of a second.
/// `None` when it is neither.
#[must_use]
pub fn parse_date(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<f64>() {
        let plausible = seconds.is_finite() && seconds.abs() < 1e14;
        // A year alone would be a number too; AWS takes it for seconds.
        return plausible.then_some((seconds * 1_000.0) as i64);
    }
    let (date, time) = text.split_once('T').map_or((text, None), |(date, time)| (date, Some(time)));
    let days = parse_day(date)?;
    let in_day_ms = time.map_or(Some(0), parse_time)?;
    Some(days * DAY_S * 1_000 + in_day_ms)
}

/// Days since 1970 of `YYYY-MM` or `YYYY-MM-DD`.
fn parse_day(text: &str) -> Option<i64> {
    let mut parts = text.split('-');
    let year = digits(parts.next()?, 4)?;
    let month = digits(parts.next()?, 2)?;
    let day = parts.next().map_or(Some(1), |day| digits(day, 2))?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_of_month = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    let valid = parts.next().is_none() && (1..=days_of_month).contains(&day);
    valid.then(|| days_since_1970(year, month, day))
}

/// Days are counted from the first of March, so that the leap day is a year's last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let in_year = (153 * month + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + in_year - 719_468
}

/// Milliseconds from midnight UTC of `hh:mm`, `hh:mm:ss` or `hh:mm:ss.fff`, with `Z` or an offset behind.
fn parse_time(text: &str) -> Option<i64> {
    let (clock, offset_s) = match text.strip_suffix('Z') {
        Some(clock) => (clock, 0),
        None => {
            let at = text.rfind(['+', '-'])?;
            let (hours, minutes) = text[at + 1..].split_once(':')?;
            let seconds = digits(hours, 2)? * 3_600 + digits(minutes, 2)? * 60;
            (&text[..at], if text[at..].starts_with('-') { -seconds } else { seconds })
        }
    };
    let mut parts = clock.split(':');
    let (hour, minute) = (digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    let (second, fraction_ms) = match parts.next() {
        None => (0, 0),
        Some(text) => {
            let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
            let known = !fraction.is_empty() && fraction.bytes().all(|b| b.is_ascii_digit());
            let padded: String = fraction.chars().chain("000".chars()).take(3).collect();
            (digits(whole, 2)?, known.then(|| padded.parse().ok()).flatten()?)
        }
    };
    let valid = parts.next().is_none() && hour < 24 && minute < 60 && second < 60;
    valid.then_some((hour * 3_600 + minute * 60 + second - offset_s) * 1_000 + fraction_ms)
}

fn digits(text: &str, count: usize) -> Option<i64> {
    let shaped = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    shaped.then(|| text.parse().ok()).flatten()
}

pub(crate) fn parse_number(text: &str) -> Option<f64> {
    text.trim().parse::<f64>().ok().filter(|number| number.is_finite())
}

pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// A range of addresses in CIDR form; a single address is one of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network {
    address: IpAddr,
    prefix_bits: u32,
}

impl Network {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, prefix) =
            text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().ok()?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits = match prefix {
            None => bits,
            Some(prefix) => prefix.parse().ok().filter(|prefix| *prefix <= bits)?,
        };
        Some(Self { address, prefix_bits })
    }

    /// An IPv4 address in IPv6's form is the IPv4 address.
    pub(crate) fn contains(&self, text: &str) -> bool {
        let Ok(address) = text.parse::<IpAddr>() else { return false };
        match (self.address.to_canonical(), address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let bits = if self.address.is_ipv4() {
                    self.prefix_bits
                } else {
                    self.prefix_bits.saturating_sub(96)
                };
                let differ = u32::from(network) ^ u32::from(address);
                differ.leading_zeros() >= bits
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                (u128::from(network) ^ u128::from(address)).leading_zeros() >= self.prefix_bits
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read() {
        let table = [
            ("0", Some(0)),
            ("1440938160", Some(1_440_938_160_000)),
            ("1970-01-01T00:00:00Z", Some(0)),
            ("1969-12-31T23:59:59Z", Some(-1_000)),
            ("2015-08-30T12:36:00Z", Some(1_440_938_160_000)),
            ("2015-08-30T12:36Z", Some(1_440_938_160_000)),
            ("2015-08-30T12:36:00.25Z", Some(1_440_938_160_250)),
            ("2015-08-30T14:36:00+02:00", Some(1_440_938_160_000)),
            ("2000-02-29", Some(951_782_400_000)),
            ("2100-03", Some(4_107_542_400_000)),
            ("1900-02-29", None),
            ("2015-13-01", None),
            ("2015-06-31", None),
            ("2015-08-30T24:00:00Z", None),
            ("2015-08-30T12:36:00", None),
            ("2015-08-30 12:36:00Z", None),
            ("tomorrow", None),
            ("", None),
            ("NaN", None),
        ];
        for (text, expected) in table {
            assert_eq!(parse_date(text), expected, "{text}");
        }
    }

    #[test]
    fn networks_hold_addresses() {
        let table = [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3/32", "10.1.2.4", false),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("0.0.0.0/0", "::1", false),
            ("2001:db8::/32", "2001:db8:1::", true),
            ("2001:db8::/32", "2001:db9::", false),
            ("10.0.0.0/8", "::ffff:10.0.0.1", true),
            ("::ffff:10.0.0.0/104", "10.0.0.1", true),
            ("10.0.0.0/8", "nowhere", false),
        ];
        for (network, address, expected) in table {
            assert_eq!(
                Network::parse(network).expect(network).contains(address),
                expected,
                "{network} {address}"
            );
        }
        for bad in ["10.0.0.0/33", "10.0.0/8", "::/129", "", "a", "10.0.0.0/x"] {
            assert_eq!(Network::parse(bad), None, "{bad}");
        }
    }
}
