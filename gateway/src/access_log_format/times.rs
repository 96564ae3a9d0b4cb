//! The time of a request as the Common Log Format writes it, made once a second.

use std::cell::Cell;

use turnpike_http::encode::http_date;

/// `dd/MMM/yyyy:HH:mm:ss +0000`
type ClfTime = [u8; 26];

/// A shard's; holds the second that was asked for last.
#[derive(Debug)]
pub(crate) struct ClfTimes(Cell<(u64, ClfTime)>);

impl ClfTimes {
    pub(super) fn at(&self, unix_s: u64) -> ClfTime {
        let (second, time) = self.0.get();
        if second == unix_s {
            return time;
        }
        let time = clf_time(unix_s);
        self.0.set((unix_s, time));
        time
    }
}

impl Default for ClfTimes {
    fn default() -> Self {
        Self(Cell::new((0, clf_time(0))))
    }
}

/// The parts of `Www, dd MMM yyyy HH:mm:ss GMT`, put otherwise.
fn clf_time(unix_s: u64) -> ClfTime {
    let date = http_date(unix_s);
    let mut time = *b"00/Mmm/0000:00:00:00 +0000";
    time[..2].copy_from_slice(&date[5..7]);
    time[3..6].copy_from_slice(&date[8..11]);
    time[7..11].copy_from_slice(&date[12..16]);
    time[12..20].copy_from_slice(&date[17..25]);
    time
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_has_its_time() {
        let times = ClfTimes::default();
        for (unix_s, time) in [
            (0, "01/Jan/1970:00:00:00 +0000"),
            (1_428_582_896, "09/Apr/2015:12:34:56 +0000"),
            (1_428_582_896, "09/Apr/2015:12:34:56 +0000"),
            (951_868_799, "29/Feb/2000:23:59:59 +0000"),
            (951_868_800, "01/Mar/2000:00:00:00 +0000"),
            (0, "01/Jan/1970:00:00:00 +0000"),
        ] {
            assert_eq!(std::str::from_utf8(&times.at(unix_s)).unwrap(), time, "{unix_s}");
        }
    }
}
