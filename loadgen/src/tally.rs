//! What one reactor counted; tallies of all reactors are added up at the end of a run.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use crate::failure::{Failure, Kind};
use crate::wire::Opening;

/// Longest latency that the histogram tells apart: an hour.
const LATENCY_MAX_NS: u64 = 3_600_000_000_000;
/// Three significant digits: values are right to 0.1 %.
const SIGNIFICANT_DIGITS: u8 = 3;

/// Counts and distributions; all of recorded requests only.
#[derive(Debug, Clone)]
pub struct Tally {
    /// Latencies in nanoseconds: complete replies, and what time-outs and unsent requests had waited.
    pub latency: Histogram<u64>,
    /// Open loop: by how much requests left late although a connection was free, in nanoseconds.
    pub send_lag: Histogram<u64>,
    /// How long connecting took, of connections opened for a request, in nanoseconds.
    pub connect: Histogram<u64>,
    /// How long their TLS handshakes took, in nanoseconds.
    pub handshake: Histogram<u64>,
    /// Handshakes that took up an earlier session.
    pub resumed: u64,
    /// Complete replies that were as expected.
    pub succeeded: u64,
    pub status: BTreeMap<u16, u64>,
    pub failures: [u64; Kind::ALL.len()],
    /// The first failure of each kind, in words.
    pub first_failures: [Option<String>; Kind::ALL.len()],
    /// Open loop: intended before the end, and never sent.
    pub unsent: u64,
    /// In flight when the run's grace was over.
    pub unfinished: u64,
    pub sent_bytes: u64,
    /// Heads and framing included, as before encryption.
    pub received_bytes: u64,
    /// Content of complete replies.
    pub body_bytes: u64,
    /// When the last recorded request finished, in nanoseconds since the run began.
    pub last_end_ns: u64,
}

impl Tally {
    pub fn new() -> Result<Self, String> {
        let histogram = || {
            Histogram::new_with_bounds(1, LATENCY_MAX_NS, SIGNIFICANT_DIGITS)
                .map_err(|error| format!("the histogram can't be made: {error}"))
        };
        Ok(Self {
            latency: histogram()?,
            send_lag: histogram()?,
            connect: histogram()?,
            handshake: histogram()?,
            resumed: 0,
            succeeded: 0,
            status: BTreeMap::new(),
            failures: [0; Kind::ALL.len()],
            first_failures: [const { None }; Kind::ALL.len()],
            unsent: 0,
            unfinished: 0,
            sent_bytes: 0,
            received_bytes: 0,
            body_bytes: 0,
            last_end_ns: 0,
        })
    }

    /// Counts a connection that was opened.
    pub(crate) fn open(&mut self, opening: &Opening) {
        self.connect.saturating_record(opening.connect.as_nanos() as u64);
        if let Some(handshake) = &opening.handshake {
            self.handshake.saturating_record(handshake.took.as_nanos() as u64);
            self.resumed += u64::from(handshake.resumed);
        }
    }

    /// Counts a failure and keeps the first of its kind in words.
    pub fn fail(&mut self, failure: &Failure) {
        let kind = failure.kind() as usize;
        self.failures[kind] += 1;
        if self.first_failures[kind].is_none() {
            self.first_failures[kind] = Some(failure.to_string());
        }
    }

    /// All complete replies, expected or not.
    pub fn replies(&self) -> u64 {
        self.status.values().sum()
    }

    pub fn failed(&self) -> u64 {
        self.failures.iter().sum()
    }

    pub fn add(&mut self, other: &Self) -> Result<(), String> {
        let add = |to: &mut Histogram<u64>, from: &Histogram<u64>| {
            to.add(from).map_err(|error| format!("histograms can't be added up: {error}"))
        };
        add(&mut self.latency, &other.latency)?;
        add(&mut self.send_lag, &other.send_lag)?;
        add(&mut self.connect, &other.connect)?;
        add(&mut self.handshake, &other.handshake)?;
        self.resumed += other.resumed;
        self.succeeded += other.succeeded;
        for (status, count) in &other.status {
            *self.status.entry(*status).or_default() += count;
        }
        for kind in 0..Kind::ALL.len() {
            self.failures[kind] += other.failures[kind];
            if self.first_failures[kind].is_none() {
                self.first_failures[kind].clone_from(&other.first_failures[kind]);
            }
        }
        self.unsent += other.unsent;
        self.unfinished += other.unfinished;
        self.sent_bytes += other.sent_bytes;
        self.received_bytes += other.received_bytes;
        self.body_bytes += other.body_bytes;
        self.last_end_ns = self.last_end_ns.max(other.last_end_ns);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::reply::Malformed;
    use crate::wire::Handshake;

    #[test]
    fn tallies_add_up() {
        let mut sum = Tally::new().unwrap();
        for latency in [1_000, 2_000] {
            let mut part = Tally::new().unwrap();
            part.latency.saturating_record(latency);
            part.status.insert(200, 1);
            part.fail(&Failure::Malformed(Malformed("x")));
            part.last_end_ns = latency;
            let took = Duration::from_nanos(latency);
            let handshake = Some(Handshake { took, resumed: latency > 1_000 });
            part.open(&Opening { connect: took, handshake });
            sum.add(&part).unwrap();
        }
        assert_eq!((sum.latency.len(), sum.replies(), sum.failed(), sum.last_end_ns), (2, 2, 2, 2_000));
        assert_eq!((sum.connect.len(), sum.handshake.len(), sum.resumed), (2, 2, 1));
        assert_eq!(sum.first_failures[Kind::Malformed as usize].as_deref(), Some("x"));
    }
}
