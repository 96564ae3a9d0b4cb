//! Sets of status codes: `200`, `200,201`, `200-299,404`.

use std::fmt;
use std::str::FromStr;

const STATUS_MIN: u16 = 200;
const STATUS_MAX: u16 = 999;

/// Codes and ranges of them, as they were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusSet(Vec<(u16, u16)>);

impl StatusSet {
    /// Of ranges whose ends are included.
    pub fn new(ranges: Vec<(u16, u16)>) -> Result<Self, String> {
        if ranges.is_empty() {
            return Err("no status is named".to_owned());
        }
        match ranges.iter().find(|(from, to)| from > to || *from < STATUS_MIN || *to > STATUS_MAX) {
            Some((from, to)) => {
                Err(format!("{from}-{to} is not a range of final status codes, {STATUS_MIN} to {STATUS_MAX}"))
            }
            None => Ok(Self(ranges)),
        }
    }

    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|(from, to)| (*from..=*to).contains(&status))
    }
}

impl FromStr for StatusSet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let code = |code: &str| code.trim().parse().map_err(|_| format!("'{code}' is not a status code"));
        let range = |part: &str| {
            let (from, to) = part.split_once('-').unwrap_or((part, part));
            Ok((code(from)?, code(to)?))
        };
        Self::new(text.split(',').map(range).collect::<Result<_, String>>()?)
    }
}

impl fmt::Display for StatusSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (from, to)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            match from == to {
                true => write!(f, "{comma}{from}")?,
                false => write!(f, "{comma}{from}-{to}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_ranges_are_read() {
        let set: StatusSet = "200, 300-399,404".parse().unwrap();
        let codes = [(200, true), (201, false), (300, true), (399, true), (400, false), (404, true)];
        assert!(codes.iter().all(|(code, within)| set.contains(*code) == *within));
        assert_eq!(set.to_string(), "200,300-399,404");
        for wrong in ["", "2xx", "299-200", "100", "1000", "200,", "99999"] {
            assert!(wrong.parse::<StatusSet>().is_err(), "{wrong}");
        }
    }
}
