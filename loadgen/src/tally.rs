//! What one reactor counted; tallies of all reactors are added up at the end of a run.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use crate::check::Sample;
use crate::failure::{Failure, Kind};
use crate::reply::Reply;
use crate::wire::Opening;

/// Longest latency that the histogram tells apart: an hour.
const LATENCY_MAX_NS: u64 = 3_600_000_000_000;
/// Three significant digits: values are right to 0.1 %.
const SIGNIFICANT_DIGITS: u8 = 3;

/// Everything that a reactor counted; all of recorded requests only.
#[derive(Debug, Clone)]
pub struct Tally {
    pub all: Counts,
    /// By the requests' labels; empty where they have none.
    pub labels: Vec<Counts>,
    /// Open loop: by how much requests left late although a connection was free, in nanoseconds.
    pub send_lag: Histogram<u64>,
    /// How long connecting took, of connections opened for a request, in nanoseconds.
    pub connect: Histogram<u64>,
    /// How long their TLS handshakes took, in nanoseconds.
    pub handshake: Histogram<u64>,
    /// Handshakes that took up an earlier session.
    pub resumed: u64,
    /// Requests that were sent once more, since the server had not taken them.
    pub resent: u64,
    /// When the last recorded request finished, in nanoseconds since the run began.
    pub last_end_ns: u64,
    /// Checks that replies didn't pass, by their indices.
    pub mismatches: BTreeMap<usize, Mismatches>,
}

/// One check's mismatches.
#[derive(Debug, Clone)]
pub struct Mismatches {
    pub count: u64,
    /// The first.
    pub sample: Sample,
}

/// What became of all requests, or of those with one label.
#[derive(Debug, Clone)]
pub struct Counts {
    /// Response times in nanoseconds, from when a request was intended: of complete replies, and what time-outs and
    /// unsent requests had waited.
    pub latency: Histogram<u64>,
    /// Service times in nanoseconds, from when a request was sent; of the same requests but the unsent.
    pub service: Histogram<u64>,
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
    /// Content of the requests that they answered.
    pub request_content_bytes: u64,
}

/// A request that was sent and has ended, in nanoseconds since the run began.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    /// Index of the request's label; without meaning where there are no labels.
    pub label: usize,
    pub intended_ns: u64,
    /// `intended_ns <= sent_ns <= end_ns`
    pub sent_ns: u64,
    pub end_ns: u64,
    /// Size of the request.
    pub sent_bytes: u64,
    /// Size of its content.
    pub content_bytes: u64,
}

/// What became of a request.
#[derive(Debug)]
pub enum Outcome<'a> {
    /// A complete reply; with a failure where it isn't the expected one.
    Reply {
        reply: &'a Reply,
        received_bytes: u64,
        unexpected: Option<Failure>,
    },
    Failed(&'a Failure),
    /// No complete reply within the time-out.
    TimedOut,
    /// Cut off when the run's grace was over.
    Unfinished,
}

impl Outcome<'_> {
    /// Whether its times count: those of requests that failed at once would flatter the rest.
    pub(crate) fn has_latency(&self) -> bool {
        !matches!(self, Self::Failed(_))
    }

    pub(crate) fn is_reply(&self) -> bool {
        matches!(self, Self::Reply { .. })
    }

    /// What it failed of.
    pub(crate) fn failure(&self) -> Option<Kind> {
        match self {
            Self::Reply { unexpected, .. } => unexpected.as_ref().map(Failure::kind),
            Self::Failed(failure) => Some(failure.kind()),
            Self::TimedOut => Some(Kind::Timeout),
            Self::Unfinished => None,
        }
    }
}

impl Tally {
    /// A tally of requests with so many labels, each of which has histograms of its own: 180 KB where times stay
    /// below 1 ms, 550 KB where they don't.
    pub fn new(labels: usize) -> Result<Self, String> {
        Ok(Self {
            all: Counts::new()?,
            labels: (0..labels).map(|_| Counts::new()).collect::<Result<_, _>>()?,
            send_lag: histogram()?,
            connect: histogram()?,
            handshake: histogram()?,
            resumed: 0,
            resent: 0,
            last_end_ns: 0,
            mismatches: BTreeMap::new(),
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

    /// Counts a request that has ended.
    pub fn end(&mut self, ended: &Ended, outcome: &Outcome<'_>) {
        self.last_end_ns = ended.end_ns;
        self.all.end(ended, outcome);
        if let Some(label) = self.labels.get_mut(ended.label) {
            label.end(ended, outcome);
        }
        if let Outcome::Reply { unexpected: Some(Failure::Unexpected(missed)), .. } = outcome {
            for missed in missed {
                self.miss(missed.check, 1, &missed.sample);
            }
        }
    }

    fn miss(&mut self, check: usize, count: u64, sample: &Sample) {
        let sample = || Mismatches { count: 0, sample: sample.clone() };
        self.mismatches.entry(check).or_insert_with(sample).count += count;
    }

    /// Counts a request of the open loop that was never sent, and for how long it had waited.
    pub fn leave_unsent(&mut self, waited_ns: u64) {
        self.all.unsent += 1;
        record(&mut self.all.latency, waited_ns);
    }

    pub fn add(&mut self, other: &Self) -> Result<(), String> {
        self.all.add(&other.all)?;
        for (to, from) in self.labels.iter_mut().zip(&other.labels) {
            to.add(from)?;
        }
        add(&mut self.send_lag, &other.send_lag)?;
        add(&mut self.connect, &other.connect)?;
        add(&mut self.handshake, &other.handshake)?;
        self.resumed += other.resumed;
        self.resent += other.resent;
        self.last_end_ns = self.last_end_ns.max(other.last_end_ns);
        for (check, missed) in &other.mismatches {
            self.miss(*check, missed.count, &missed.sample);
        }
        Ok(())
    }
}

impl Counts {
    pub fn new() -> Result<Self, String> {
        Ok(Self {
            latency: growing()?,
            service: growing()?,
            succeeded: 0,
            status: BTreeMap::new(),
            failures: [0; Kind::ALL.len()],
            first_failures: [const { None }; Kind::ALL.len()],
            unsent: 0,
            unfinished: 0,
            sent_bytes: 0,
            request_content_bytes: 0,
            received_bytes: 0,
            body_bytes: 0,
        })
    }

    fn end(&mut self, ended: &Ended, outcome: &Outcome<'_>) {
        self.sent_bytes += ended.sent_bytes;
        if outcome.has_latency() {
            record(&mut self.latency, ended.end_ns.saturating_sub(ended.intended_ns));
            record(&mut self.service, ended.end_ns.saturating_sub(ended.sent_ns));
        }
        match outcome {
            Outcome::Reply { reply, received_bytes, unexpected } => {
                *self.status.entry(reply.status).or_default() += 1;
                self.received_bytes += received_bytes;
                self.body_bytes += reply.body_bytes;
                self.request_content_bytes += ended.content_bytes;
                match unexpected {
                    Some(failure) => self.fail(failure),
                    None => self.succeeded += 1,
                }
            }
            Outcome::Failed(failure) => self.fail(failure),
            Outcome::TimedOut => self.fail(&Failure::Timeout),
            Outcome::Unfinished => self.unfinished += 1,
        }
    }

    /// Counts a failure and keeps the first of its kind in words.
    pub(crate) fn fail(&mut self, failure: &Failure) {
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

    /// All that were sent and have ended, whatever became of them.
    pub fn ended(&self) -> u64 {
        let unexpected = self.failures[Kind::Unexpected as usize];
        self.replies() + self.failed() - unexpected + self.unfinished
    }

    pub fn failed(&self) -> u64 {
        self.failures.iter().sum()
    }

    fn add(&mut self, other: &Self) -> Result<(), String> {
        add(&mut self.latency, &other.latency)?;
        add(&mut self.service, &other.service)?;
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
        self.request_content_bytes += other.request_content_bytes;
        self.received_bytes += other.received_bytes;
        self.body_bytes += other.body_bytes;
        Ok(())
    }
}

pub(crate) fn histogram() -> Result<Histogram<u64>, String> {
    Histogram::new_with_bounds(1, LATENCY_MAX_NS, SIGNIFICANT_DIGITS)
        .map_err(|error| format!("the histogram can't be made: {error}"))
}

/// One that begins small and grows with the longest time in it: there are two for each label.
fn growing() -> Result<Histogram<u64>, String> {
    Histogram::new(SIGNIFICANT_DIGITS).map_err(|error| format!("the histogram can't be made: {error}"))
}

pub(crate) fn record(histogram: &mut Histogram<u64>, ns: u64) {
    histogram.record(ns.min(LATENCY_MAX_NS)).expect("a histogram grows to an hour");
}

pub(crate) fn add(to: &mut Histogram<u64>, from: &Histogram<u64>) -> Result<(), String> {
    to.add(from).map_err(|error| format!("histograms can't be added up: {error}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::check::Mismatch;
    use crate::reply::Malformed;
    use crate::wire::Handshake;

    const REPLY: Reply = Reply { status: 200, body_bytes: 5, reusable: true };

    fn ended(label: usize, latency_ns: u64) -> Ended {
        Ended {
            label,
            intended_ns: 10,
            sent_ns: 10 + latency_ns / 2,
            end_ns: 10 + latency_ns,
            sent_bytes: 7,
            content_bytes: 2,
        }
    }

    fn reply(unexpected: Option<Failure>) -> Outcome<'static> {
        Outcome::Reply { reply: &REPLY, received_bytes: 43, unexpected }
    }

    fn mismatch() -> Mismatch {
        let sample = Sample { wanted: "201".into(), came: "200".into() };
        Mismatch { check: 3, name: "status".into(), sample }
    }

    #[test]
    fn a_histogram_grows_up_to_an_hour() {
        let mut times = growing().unwrap();
        for ns in [0, 1_000, 1_000_000_000, u64::MAX] {
            record(&mut times, ns);
        }
        assert_eq!((times.len(), times.count_at(1_000), times.count_at(1_000_000_000)), (4, 1, 1));
        assert_eq!(times.max(), times.highest_equivalent(LATENCY_MAX_NS));
        let mut sum = histogram().unwrap();
        add(&mut sum, &times).unwrap();
        assert_eq!((sum.len(), sum.max()), (4, times.max()));
    }

    #[test]
    fn tallies_add_up() {
        let mut sum = Tally::new(2).unwrap();
        for latency in [1_000, 2_000] {
            let mut part = Tally::new(2).unwrap();
            part.end(&ended(1, latency), &reply(None));
            part.end(&ended(0, latency), &reply(Some(Failure::Unexpected(vec![mismatch()]))));
            part.end(&ended(0, latency), &Outcome::Failed(&Failure::Malformed(Malformed("x"))));
            let took = Duration::from_nanos(latency);
            let handshake = Some(Handshake { took, resumed: latency > 1_000 });
            part.open(&Opening { connect: took, handshake });
            sum.add(&part).unwrap();
        }
        let all = &sum.all;
        assert_eq!((all.latency.len(), all.replies(), all.failed(), sum.last_end_ns), (4, 4, 4, 2_010));
        assert_eq!((sum.mismatches[&3].count, sum.mismatches[&3].sample.came.as_str()), (2, "200"));
        assert_eq!((sum.connect.len(), sum.handshake.len(), sum.resumed), (2, 2, 1));
        assert_eq!(all.first_failures[Kind::Malformed as usize].as_deref(), Some("x"));
        assert_eq!(sum.labels.iter().map(Counts::replies).collect::<Vec<_>>(), [2, 2]);
        assert_eq!(sum.labels.iter().map(Counts::failed).collect::<Vec<_>>(), [4, 0]);
    }

    #[test]
    fn what_a_request_became_decides_what_is_counted() {
        let unexpected = || Failure::Unexpected(vec![mismatch()]);
        let broken = Failure::ClosedEarly;
        // outcome, latencies, succeeded, failed, unfinished
        let cases = [
            (reply(None), 1, 1, 0, 0),
            (reply(Some(unexpected())), 1, 0, 1, 0),
            (Outcome::Failed(&broken), 0, 0, 1, 0),
            (Outcome::TimedOut, 1, 0, 1, 0),
            (Outcome::Unfinished, 1, 0, 0, 1),
        ];
        for (outcome, latencies, succeeded, failed, unfinished) in cases {
            let mut tally = Tally::new(0).unwrap();
            tally.end(&ended(3, 1_000), &outcome);
            let all = &tally.all;
            assert_eq!((all.latency.len(), all.service.len()), (latencies, latencies), "{outcome:?}");
            assert_eq!((all.succeeded, all.failed(), all.unfinished), (succeeded, failed, unfinished));
            assert!(latencies == 0 || (all.latency.max() == 1_000 && all.service.max() == 500));
        }
    }

    #[test]
    fn the_unsent_have_a_response_time_only() {
        let mut tally = Tally::new(0).unwrap();
        tally.leave_unsent(5_000);
        assert_eq!((tally.all.unsent, tally.all.latency.len(), tally.all.service.len()), (1, 1, 0));
    }
}
