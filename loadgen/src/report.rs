//! What a run found, as JSON and as text.

mod generator;
mod latency;
mod text;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::budget::Budget;
use crate::check::Sample;
use crate::core_use::CoreShares;
use crate::failure::Kind;
use crate::machine::{Machine, shown_command};
use crate::scenario::CheckName;
use crate::schedule::OpenLoop;
use crate::tally::{Counts, Tally};
use crate::timeline::{INTERVALS_MAX, Interval};
pub use generator::Generator;
use latency::curve;
pub(crate) use latency::us;
pub use latency::{Brief, Curve, Latency, show_us};

/// Times in microseconds unless the name says otherwise.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub url: String,
    /// `closed` or `open`.
    pub loop_kind: String,
    /// The open loop's target; of a rate that changes, the mean over the run.
    pub rate_per_s: Option<f64>,
    /// The open loop's schedule in words.
    #[serde(default)]
    pub schedule: Option<String>,
    /// Whether that rate changes over the run.
    #[serde(default)]
    pub rate_changes: bool,
    /// Connections that only rest: how many were to be opened in a second; `None` where requests or messages are sent.
    #[serde(default)]
    pub held_per_s: Option<f64>,
    /// Which of its limits ended the run.
    #[serde(default)]
    pub ended_by: Ending,
    /// Whether more failed than --max-errors allows; `None` without it.
    #[serde(default)]
    pub budget_spent: Option<bool>,
    pub connections: usize,
    pub threads: usize,
    pub duration_s: f64,
    /// Complete replies.
    pub replies: u64,
    pub replies_per_s: f64,
    /// Replies that were as expected.
    pub succeeded: u64,
    pub sent_bytes: u64,
    pub received_bytes: u64,
    pub body_bytes: u64,
    /// Content both ways: of requests and of replies.
    pub content_bytes_per_s: f64,
    /// Response times: from when a request was intended, in a closed loop from when a connection was free for it.
    pub latency_us: Latency,
    /// Service times: from when a request was sent, so without waiting for a connection or opening one.
    #[serde(default)]
    pub service_us: Latency,
    /// Of connections opened for a request of the run; the times are part of that request's latency.
    pub openings: Openings,
    pub status: BTreeMap<u16, u64>,
    pub errors: BTreeMap<String, u64>,
    /// The first error of each kind, in words.
    pub first_errors: BTreeMap<String, String>,
    pub unsent: u64,
    pub unfinished: u64,
    /// Requests that were sent once more, on a new connection: the server had ended theirs and said that it hadn't taken them
    /// (HTTP/2: GOAWAY; pipelining: Connection: close). The time that this took is part of their latencies.
    #[serde(default)]
    pub resent: u64,
    /// What became of the requests with each label, where they have labels.
    #[serde(default)]
    pub labels: BTreeMap<String, Part>,
    /// Checks that replies didn't pass.
    #[serde(default)]
    pub mismatches: Vec<Missed>,
    pub generator: Generator,
    pub warnings: Vec<String>,
    /// The distribution of response times.
    #[serde(default)]
    pub latency_curve_us: Curve,
    /// The distribution of service times.
    #[serde(default)]
    pub service_curve_us: Curve,
    #[serde(default)]
    pub interval_s: f64,
    /// What happened when.
    #[serde(default)]
    pub intervals: Vec<Interval>,
    /// As typed, without secrets in header fields.
    #[serde(default)]
    pub command: String,
    #[serde(default)]
    pub version: String,
    #[serde(default)]
    pub machine: Machine,
    /// Seconds since 1970, of the start of the warm-up.
    #[serde(default)]
    pub started_unix_s: f64,
    #[serde(default)]
    pub warmup_s: f64,
    /// What could not be written while the run lasted, and why.
    #[serde(skip)]
    pub unwritten: Option<String>,
}

/// What ended a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    #[default]
    Duration,
    Requests,
    ErrorBudget,
    Interrupted,
}

impl Ending {
    /// What to add to the length of a run that ended before its time.
    pub(crate) fn early(self) -> &'static str {
        match self {
            Self::Duration | Self::Requests => "",
            Self::ErrorBudget => ", ended early by its error budget",
            Self::Interrupted => ", interrupted",
        }
    }
}

/// A check that replies didn't pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missed {
    /// The request's name where requests have names.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub request: String,
    pub check: String,
    pub count: u64,
    /// Of the first such reply.
    #[serde(flatten)]
    pub sample: Sample,
}

/// The requests with one label.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Part {
    pub replies: u64,
    pub replies_per_s: f64,
    pub succeeded: u64,
    pub latency_us: Latency,
    pub service_us: Latency,
    pub status: BTreeMap<u16, u64>,
    pub errors: BTreeMap<String, u64>,
    pub first_errors: BTreeMap<String, String>,
    pub unfinished: u64,
}

/// Connections that were opened during the run, and the TLS handshakes on them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Openings {
    pub connections: u64,
    pub connect_us: Latency,
    pub handshakes: Handshakes,
    pub handshake_us: Latency,
}

/// TLS handshakes by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handshakes {
    pub full: u64,
    pub resumed: u64,
}

/// What a report says besides the tally.
#[derive(Debug, Clone)]
pub(crate) struct Circumstances {
    pub(crate) url: String,
    pub(crate) open: Option<OpenLoop>,
    pub(crate) held_per_s: Option<f64>,
    pub(crate) connections: usize,
    pub(crate) duration_s: f64,
    pub(crate) warmup_s: f64,
    /// In the order of the tally's.
    pub(crate) labels: Vec<String>,
    /// In the order of the checks' indices.
    pub(crate) checks: Vec<CheckName>,
    /// What each reactor had of its core.
    pub(crate) cores: Vec<CoreShares>,
    pub(crate) started_unix_s: f64,
    pub(crate) ending: Ending,
    pub(crate) budget: Option<Budget>,
    pub(crate) interval_s: f64,
    pub(crate) intervals: Vec<Interval>,
    pub(crate) intervals_left_out: u64,
}

impl Report {
    pub(crate) fn new(tally: &Tally, run: Circumstances) -> Self {
        let all = &tally.all;
        let labelled = run.labels.iter().zip(&tally.labels);
        let replies = all.replies();
        let content = all.body_bytes + all.request_content_bytes;
        let mut report = Self {
            loop_kind: if run.open.is_some() { "open" } else { "closed" }.to_owned(),
            rate_per_s: run.open.as_ref().map(|open| open.mean_rate_per_s(run.duration_s)),
            schedule: run.open.as_ref().map(ToString::to_string),
            held_per_s: run.held_per_s,
            rate_changes: run.open.as_ref().is_some_and(|open| !open.is_steady()),
            ended_by: run.ending,
            budget_spent: run.budget.map(|budget| budget.is_spent(all.failed(), all.ended())),
            connections: run.connections,
            threads: run.cores.len(),
            duration_s: run.duration_s,
            replies,
            replies_per_s: replies as f64 / run.duration_s,
            succeeded: all.succeeded,
            sent_bytes: all.sent_bytes,
            received_bytes: all.received_bytes,
            body_bytes: all.body_bytes,
            content_bytes_per_s: content as f64 / run.duration_s,
            latency_us: Latency::of(&all.latency),
            service_us: Latency::of(&all.service),
            openings: Openings::of(tally),
            status: all.status.clone(),
            errors: errors(all),
            first_errors: first_errors(all),
            unsent: all.unsent,
            unfinished: all.unfinished,
            resent: tally.resent,
            labels: labelled.map(|(name, counts)| (name.clone(), Part::of(counts, run.duration_s))).collect(),
            mismatches: missed(tally, &run.checks),
            generator: Generator::of(&run.cores, tally),
            warnings: Vec::new(),
            latency_curve_us: curve(&all.latency),
            service_curve_us: curve(&all.service),
            interval_s: run.interval_s,
            intervals: run.intervals,
            command: shown_command(std::env::args()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            machine: Machine::this(),
            started_unix_s: run.started_unix_s,
            warmup_s: run.warmup_s,
            unwritten: None,
            url: run.url,
        };
        report.warnings = report.find_warnings();
        if let (true, Some(budget)) = (report.budget_spent == Some(true), run.budget) {
            report.warnings.push(format!(
                "the error budget is spent: {} of {} requests failed, --max-errors {budget}",
                all.failed(),
                all.ended()
            ));
        }
        if run.intervals_left_out > 0 {
            report.warnings.push(format!(
                "{} intervals are left out: {INTERVALS_MAX} are kept; choose a longer --interval",
                run.intervals_left_out
            ));
        }
        report
    }

    /// What was sent when, in words.
    pub(crate) fn pace(&self) -> String {
        match (&self.schedule, self.held_per_s) {
            (Some(schedule), _) => format!("open loop at {schedule}"),
            (None, Some(per_s)) => held(per_s),
            (None, None) => "closed loop".to_owned(),
        }
    }

    /// All errors, unexpected replies included.
    pub fn failed(&self) -> u64 {
        self.errors.values().sum()
    }
}

impl Part {
    fn of(counts: &Counts, duration_s: f64) -> Self {
        let replies = counts.replies();
        Self {
            replies,
            replies_per_s: replies as f64 / duration_s,
            succeeded: counts.succeeded,
            latency_us: Latency::of(&counts.latency),
            service_us: Latency::of(&counts.service),
            status: counts.status.clone(),
            errors: errors(counts),
            first_errors: first_errors(counts),
            unfinished: counts.unfinished,
        }
    }
}

/// The pace of connections that only rest.
pub(crate) fn held(per_s: f64) -> String {
    format!("connections that rest, {per_s} opened in a second")
}

fn missed(tally: &Tally, names: &[CheckName]) -> Vec<Missed> {
    let named = tally.mismatches.iter().filter_map(|(check, missed)| Some((names.get(*check)?, missed)));
    named
        .map(|(name, missed)| Missed {
            request: name.label.clone(),
            check: name.check.clone(),
            count: missed.count,
            sample: missed.sample.clone(),
        })
        .collect()
}

fn errors(counts: &Counts) -> BTreeMap<String, u64> {
    Kind::ALL.iter().map(|kind| (kind.name().to_owned(), counts.failures[*kind as usize])).collect()
}

/// The first failure of each kind that there was.
fn first_errors(counts: &Counts) -> BTreeMap<String, String> {
    let first = |kind: &Kind| {
        let text = counts.first_failures[*kind as usize].clone()?;
        Some((kind.name().to_owned(), text))
    };
    Kind::ALL.iter().filter_map(first).collect()
}

impl Openings {
    fn of(tally: &Tally) -> Self {
        let handshakes = Handshakes { full: tally.handshake.len() - tally.resumed, resumed: tally.resumed };
        Self {
            connections: tally.connect.len(),
            connect_us: Latency::of(&tally.connect),
            handshakes,
            handshake_us: Latency::of(&tally.handshake),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::tally::record;
    use crate::wire::{Handshake, Opening};

    fn report(cpu_share: f64, lag_ns: u64, unsent: u64) -> Report {
        let mut tally = Tally::new(2).unwrap();
        for latency_ns in 1..=1_000 {
            record(&mut tally.all.latency, latency_ns * 1_000);
            record(&mut tally.all.service, latency_ns * 500);
        }
        tally.send_lag.saturating_record(lag_ns);
        tally.all.status.insert(200, 1_000);
        tally.all.request_content_bytes = 10_000;
        tally.labels[1].status.insert(200, 300);
        tally.all.unsent = unsent;
        for resumed in [false, true, true] {
            let handshake = Some(Handshake { took: Duration::from_micros(300), resumed });
            tally.open(&Opening { connect: Duration::from_micros(20), handshake });
        }
        let run = Circumstances {
            url: "http://a.test/".into(),
            open: Some(OpenLoop::constant(100.0)),
            held_per_s: None,
            connections: 2,
            duration_s: 10.0,
            labels: vec!["read".into(), "write".into()],
            checks: Vec::new(),
            cores: vec![CoreShares { used: 0.1, waited: 0.0 }, CoreShares { used: cpu_share, waited: 0.01 }],
            started_unix_s: 1_800_000_000.5,
            warmup_s: 1.0,
            ending: Ending::Duration,
            budget: Some(Budget::Count(0)),
            interval_s: 1.0,
            intervals: Vec::new(),
            intervals_left_out: 0,
        };
        Report::new(&tally, run)
    }

    #[test]
    fn percentiles_are_those_of_the_histogram() {
        let report = report(0.5, 0, 0);
        assert!((report.latency_us.p99 - 990.0).abs() < 1.0);
        assert!((report.latency_us.p50 - 500.0).abs() < 1.0);
        assert_eq!((report.replies_per_s, report.content_bytes_per_s), (100.0, 1_000.0));
        assert!(report.warnings.is_empty());
    }

    #[test]
    fn both_latencies_stand_side_by_side_with_what_lies_beyond() {
        let report = report(0.5, 0, 0);
        assert!((report.service_us.p99 - 495.0).abs() < 1.0);
        let text = report.to_string();
        let row = |name: &str| text.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
        let words = |name| row(name).split_whitespace().collect::<Vec<_>>();
        assert_eq!(words("99 %"), ["99", "%", "990.2", "us", "495.1", "us", "10"]);
        assert_eq!(words("99.9 %").last(), Some(&"1"));
        assert_eq!(words("99.999 %").last(), Some(&"0"));
    }

    #[test]
    fn without_a_latency_none_is_shown() {
        let report = Report { latency_us: Latency::default(), threads: 1, ..report(0.5, 0, 0) };
        let text = report.to_string();
        assert!(!text.contains("99 %") && text.contains(", 2 connections, 1 thread\n"), "{text}");
    }

    #[test]
    fn labels_have_counts_of_their_own() {
        let report = report(0.5, 0, 0);
        assert_eq!((report.labels["read"].replies, report.labels["write"].replies), (0, 300));
        let text = report.to_string();
        assert!(
            text.contains("write                         300 replies         30.0 /s   errors 0\n"),
            "{text}"
        );
    }

    #[test]
    fn openings_are_told_apart() {
        let openings = report(0.5, 0, 0).openings;
        assert_eq!(openings.connections, 3);
        assert_eq!(openings.handshakes, Handshakes { full: 1, resumed: 2 });
        assert!((openings.handshake_us.p50 - 300.0).abs() < 1.0 && openings.connect_us.p50 < 21.0);
        assert!(openings.to_string().contains("1 full, 2 resumed"));
        assert_eq!(Openings::default().to_string(), "");
    }

    #[test]
    fn a_busy_or_late_generator_is_told() {
        assert!(report(0.96, 0, 0).warnings[0].contains("bottleneck"));
        assert!(report(0.945, 0, 0).warnings[0].contains("bottleneck"), "never idle: it waited for its core");
        assert!(report(0.5, 200_000, 0).warnings[0].contains("lagged"));
        assert!(!report(0.5, 40_000, 0).generator_was_bottleneck());
        assert!(report(0.5, 0, 3).warnings[0].contains("never sent"));
    }

    #[test]
    fn a_full_core_is_no_bottleneck_while_an_open_loop_sends_on_time() {
        let on_time = |lag_ns, unsent| {
            let mut report = report(0.99, lag_ns, unsent);
            report.service_us = report.latency_us.clone();
            report
        };
        let bottleneck = |report: &Report| report.find_warnings().concat().contains("was the bottleneck");
        assert!(on_time(40_000, 0).find_warnings().is_empty());
        assert!(!on_time(40_000, 0).generator_was_bottleneck());
        let closed = Report { rate_per_s: None, ..on_time(40_000, 0) };
        let waited = report(0.99, 40_000, 0);
        for limited in [on_time(200_000, 0), on_time(40_000, 1), closed, waited] {
            assert!(bottleneck(&limited) && limited.generator_was_bottleneck());
        }
    }

    #[test]
    fn json_is_read_back() {
        let report = report(0.5, 0, 1);
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
    }

    #[test]
    fn text_shows_statuses_percentiles_and_warnings() {
        let text = report(0.99, 0, 0).to_string();
        for part in ["status 200", "99.99 %", "warning: the generator was the bottleneck", "own lag"] {
            assert!(text.contains(part), "{part} is missing in:\n{text}");
        }
    }
}
