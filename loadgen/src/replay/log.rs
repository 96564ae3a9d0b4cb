//! Reads a log line by line into what a replay needs: distinct requests, and when each is sent.

use std::collections::HashMap;
use std::io::BufRead;

use super::line;
use crate::check::escape;
use crate::limits::{Limit, Limits};

const SECOND_NS: i128 = 1_000_000_000;

/// A distinct request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Entry {
    pub(super) method: Box<str>,
    pub(super) path: Box<str>,
}

impl Entry {
    /// Whether requests of this method have a body.
    pub(super) fn takes_body(&self) -> bool {
        matches!(&*self.method, "POST" | "PUT" | "PATCH")
    }
}

/// One request of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Since the log's first request.
    pub(super) at_ns: u64,
    /// Index of the entry.
    pub(super) entry: u32,
}

#[derive(Debug, Default)]
pub(super) struct Recording {
    pub(super) entries: Vec<Entry>,
    /// In the order of their times.
    pub(super) requests: Vec<Place>,
    /// Times were whole seconds, in which the requests were spread evenly.
    spread: bool,
    unread: u64,
    first_unread: Option<String>,
}

impl Recording {
    pub(super) fn read(mut log: impl BufRead, limits: &Limits) -> Result<Self, String> {
        let line_bytes_max = limits.count(Limit::LogLineBytes);
        let mut recording = Self::default();
        let mut indices: HashMap<Entry, u32> = HashMap::new();
        let mut found: Vec<(i128, u32)> = Vec::new();
        let mut bytes = Vec::new();
        let mut number = 0u64;
        while read_line(&mut log, &mut bytes, line_bytes_max).map_err(|error| error.to_string())? {
            number += 1;
            if bytes.trim_ascii().is_empty() {
                continue;
            }
            let logged = match parse(&bytes, line_bytes_max) {
                Ok(logged) => logged,
                Err(reason) => {
                    recording.unread += 1;
                    recording.first_unread.get_or_insert_with(|| format!("line {number}: {reason}"));
                    continue;
                }
            };
            let entry = Entry { method: logged.method.into(), path: logged.path.into() };
            let next = recording.entries.len() as u32;
            let index = *indices.entry(entry).or_insert_with_key(|entry| {
                recording.entries.push(entry.clone());
                next
            });
            found.push((logged.at_ns, index));
            limits.check(Limit::LogRequests, found.len())?;
            limits.check(Limit::LogDistinctRequests, recording.entries.len())?;
        }
        recording.place(found)?;
        Ok(recording)
    }

    /// Orders what was found; servers log a request when it ends, so a log isn't quite in order.
    fn place(&mut self, mut found: Vec<(i128, u32)>) -> Result<(), String> {
        found.sort_by_key(|(at_ns, _)| *at_ns);
        let (Some((first_ns, _)), Some((last_ns, _))) = (found.first().copied(), found.last().copied())
        else {
            let reason = self.first_unread.as_deref().unwrap_or("it is empty");
            return Err(format!("the log holds no request that can be replayed ({reason})"));
        };
        if u64::try_from(last_ns - first_ns).is_err() {
            return Err("the log spans more than 500 years".to_owned());
        }
        self.spread = found.iter().all(|(at_ns, _)| at_ns % SECOND_NS == 0);
        self.requests.reserve_exact(found.len());
        let mut groups = found.chunk_by(|a, b| a.0 == b.0);
        let mut push = |at_ns: i128, entry: u32| {
            // Checked above: the last one fits, and a second more does no harm.
            let at_ns = u64::try_from(at_ns - first_ns).unwrap_or(u64::MAX);
            self.requests.push(Place { at_ns, entry });
        };
        match self.spread {
            false => found.iter().for_each(|(at_ns, entry)| push(*at_ns, *entry)),
            true => groups.by_ref().for_each(|second| {
                let part_ns = SECOND_NS / second.len() as i128;
                let placed =
                    second.iter().zip(0..).map(|((at_ns, entry), part)| (at_ns + part * part_ns, *entry));
                placed.for_each(|(at_ns, entry)| push(at_ns, entry));
            }),
        }
        Ok(())
    }

    /// The requests in order.
    pub(super) fn order(&self) -> impl Iterator<Item = &Entry> {
        self.requests.iter().map(|request| &self.entries[request.entry as usize])
    }

    /// When each is sent, so many times as fast.
    pub(super) fn times_ns(&self, speed: f64) -> Vec<u64> {
        self.requests.iter().map(|request| (request.at_ns as f64 / speed) as u64).collect()
    }

    /// What the user should know of the log.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.unread > 0 {
            let first = self.first_unread.as_deref().unwrap_or_default();
            notes.push(format!("{} lines of the log can't be replayed; the first is {first}", self.unread));
        }
        if self.spread && self.requests.len() > 1 {
            notes.push(
                "the log's times are whole seconds: the requests of each are spread evenly over it"
                    .to_owned(),
            );
        }
        notes
    }
}

fn parse(bytes: &[u8], bytes_max: usize) -> Result<line::Logged, String> {
    if bytes.len() > bytes_max {
        return Err(format!("longer than {bytes_max} bytes; --limit log_line_bytes_max=N allows more"));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "it isn't UTF-8".to_owned())?;
    line::parse(text.trim()).map_err(|reason| format!("{reason} (in: {})", escape(text.trim().as_bytes())))
}

/// The next line, cut off beyond the limit, so that a file without lines isn't read into memory; false at the end.
fn read_line(log: &mut impl BufRead, line: &mut Vec<u8>, bytes_max: usize) -> std::io::Result<bool> {
    line.clear();
    let mut any = false;
    loop {
        let part = log.fill_buf()?;
        if part.is_empty() {
            return Ok(any);
        }
        any = true;
        let end = memchr::memchr(b'\n', part);
        let taken = end.unwrap_or(part.len());
        let room = (bytes_max + 1).saturating_sub(line.len());
        line.extend_from_slice(&part[..taken.min(room)]);
        log.consume(end.map_or(taken, |end| end + 1));
        if end.is_some() {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{LimitArgs, Setting};

    fn line(second: &str, path: &str) -> String {
        format!("h - - [30/Aug/2015:12:36:{second} +0000] \"GET {path} HTTP/1.1\" 200 1\n")
    }

    fn read(log: &str, setting: &str) -> Result<Recording, String> {
        let settings = vec![Setting::parse(setting).unwrap()];
        Recording::read(log.as_bytes(), &LimitArgs { settings }.limits())
    }

    fn placed(recording: &Recording) -> Vec<(u64, &str)> {
        let paths = recording.order().map(|entry| &*entry.path);
        recording.requests.iter().map(|request| request.at_ns / 1_000_000).zip(paths).collect()
    }

    #[test]
    fn requests_of_a_second_are_spread_over_it_in_order() {
        let log =
            [line("02", "/c"), line("00", "/a"), line("00", "/b"), "rubbish\n".into(), line("02", "/a")]
                .concat();
        let recording = read(&log, "log_requests_max=50").unwrap();
        assert_eq!(placed(&recording), [(0, "/a"), (500, "/b"), (2_000, "/c"), (2_500, "/a")]);
        assert_eq!(recording.entries.len(), 3);
        assert_eq!(recording.times_ns(2.0)[3], 1_250_000_000);
        let notes = recording.notes();
        assert!(notes[0].contains("1 lines") && notes[0].contains("line 4: neither JSON"), "{notes:?}");
        assert!(notes[1].contains("whole seconds"));
    }

    #[test]
    fn finer_times_are_kept_as_they_are() {
        let at = |ms: u32, path: &str| {
            format!(
                "{{\"requestTimeEpoch\":14409381600{ms:02},\"httpMethod\":\"GET\",\"path\":\"{path}\"}}\n"
            )
        };
        let log = at(5, "/b") + &at(1, "/a") + "\n" + &at(5, "/c");
        let recording = read(&log, "log_requests_max=50").unwrap();
        assert_eq!(placed(&recording), [(0, "/a"), (4, "/b"), (4, "/c")]);
        assert!(recording.notes().is_empty());
    }

    #[test]
    fn logs_that_hold_nothing_are_refused_and_long_lines_skipped() {
        assert!(read("", "log_requests_max=1").unwrap_err().contains("it is empty"));
        assert!(read("x\n", "log_requests_max=1").unwrap_err().contains("line 1: neither"));
        let long = "x".repeat(300) + "\n" + &line("00", "/a");
        let recording = read(&long, "log_line_bytes_max=100").unwrap();
        assert!(recording.requests.len() == 1 && recording.notes()[0].contains("longer than 100"));
        let two = line("00", "/a") + &line("01", "/b");
        for setting in ["log_requests_max=1", "log_distinct_requests_max=1"] {
            let name = setting.trim_end_matches("=1");
            assert!(read(&two, setting).unwrap_err().contains(name), "{name}");
        }
    }
}
