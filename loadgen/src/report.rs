//! What a run found, as JSON and as text.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};

use crate::failure::Kind;
use crate::tally::Tally;

/// A reactor that used more of its core than this was the bottleneck.
const CPU_SHARE_MAX: f64 = 0.95;
/// The generator's own lag must stay below this part of the latencies that it measures, at the 99th percentile.
const SEND_LAG_SHARE_MAX: f64 = 0.1;
/// Lags below this are noise, in microseconds.
const SEND_LAG_FLOOR_US: f64 = 50.0;

/// Times in microseconds unless the name says otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub url: String,
    /// `closed` or `open`.
    pub loop_kind: String,
    /// The open loop's target.
    pub rate_per_s: Option<f64>,
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
    pub latency_us: Latency,
    /// Of connections opened for a request of the run; the times are part of that request's latency.
    pub openings: Openings,
    pub status: BTreeMap<u16, u64>,
    pub errors: BTreeMap<String, u64>,
    /// The first error of each kind, in words.
    pub first_errors: BTreeMap<String, String>,
    pub unsent: u64,
    pub unfinished: u64,
    pub generator: Generator,
    pub warnings: Vec<String>,
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

/// A distribution in microseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    pub min: f64,
    pub mean: f64,
    pub stdev: f64,
    pub p50: f64,
    pub p75: f64,
    pub p90: f64,
    pub p95: f64,
    pub p99: f64,
    pub p99_9: f64,
    pub p99_99: f64,
    pub max: f64,
}

/// How the generator itself fared.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Generator {
    /// Share of its core that the busiest reactor used.
    pub cpu_share_max: f64,
    /// Open loop: how late requests left although a connection was free, 99th percentile.
    pub send_lag_p99_us: f64,
}

/// What a report says besides the tally.
#[derive(Debug, Clone)]
pub(crate) struct Circumstances {
    pub(crate) url: String,
    pub(crate) rate_per_s: Option<f64>,
    pub(crate) connections: usize,
    pub(crate) request_body_bytes: usize,
    pub(crate) duration_s: f64,
    pub(crate) cpu_shares: Vec<f64>,
}

impl Report {
    pub(crate) fn new(tally: &Tally, run: Circumstances) -> Self {
        let errors = Kind::ALL.iter().map(|kind| (kind.name().to_owned(), tally.failures[*kind as usize]));
        let first_errors = Kind::ALL.iter().filter_map(|kind| {
            tally.first_failures[*kind as usize].clone().map(|text| (kind.name().to_owned(), text))
        });
        let replies = tally.replies();
        let content = tally.body_bytes + replies * run.request_body_bytes as u64;
        let mut report = Self {
            loop_kind: if run.rate_per_s.is_some() { "open" } else { "closed" }.to_owned(),
            rate_per_s: run.rate_per_s,
            connections: run.connections,
            threads: run.cpu_shares.len(),
            duration_s: run.duration_s,
            replies,
            replies_per_s: replies as f64 / run.duration_s,
            succeeded: tally.succeeded,
            sent_bytes: tally.sent_bytes,
            received_bytes: tally.received_bytes,
            body_bytes: tally.body_bytes,
            content_bytes_per_s: content as f64 / run.duration_s,
            latency_us: Latency::of(&tally.latency),
            openings: Openings::of(tally),
            status: tally.status.clone(),
            errors: errors.collect(),
            first_errors: first_errors.collect(),
            unsent: tally.unsent,
            unfinished: tally.unfinished,
            generator: Generator {
                cpu_share_max: run.cpu_shares.iter().copied().fold(0.0, f64::max),
                send_lag_p99_us: us(tally.send_lag.value_at_quantile(0.99)),
            },
            warnings: Vec::new(),
            url: run.url,
        };
        report.warnings = report.find_warnings();
        report
    }

    /// All errors, unexpected replies included.
    pub fn failed(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Whether the generator itself limited what was measured.
    pub fn generator_was_bottleneck(&self) -> bool {
        let lag = self.generator.send_lag_p99_us;
        let lagged = lag > SEND_LAG_FLOOR_US && lag > SEND_LAG_SHARE_MAX * self.latency_us.p99;
        self.generator.cpu_share_max > CPU_SHARE_MAX || lagged
    }

    fn find_warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.generator.cpu_share_max > CPU_SHARE_MAX {
            warnings.push(format!(
                "the generator was the bottleneck: a reactor used {:.0} % of its core; give it more --cores",
                self.generator.cpu_share_max * 100.0
            ));
        } else if self.generator_was_bottleneck() {
            warnings.push(format!(
                "the generator lagged behind its own schedule: 1 % of the requests left {:.0} us late or more \
                 although a connection was free; give it more or idler --cores",
                self.generator.send_lag_p99_us
            ));
        }
        if self.unsent > 0 {
            warnings.push(format!(
                "{} requests were due and never sent: the server can't carry this rate on {} connections",
                self.unsent, self.connections
            ));
        }
        warnings
    }
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

impl Latency {
    fn of(histogram: &hdrhistogram::Histogram<u64>) -> Self {
        if histogram.is_empty() {
            return Self::default();
        }
        let at = |quantile| us(histogram.value_at_quantile(quantile));
        Self {
            min: us(histogram.min()),
            mean: histogram.mean() / 1e3,
            stdev: histogram.stdev() / 1e3,
            p50: at(0.5),
            p75: at(0.75),
            p90: at(0.9),
            p95: at(0.95),
            p99: at(0.99),
            p99_9: at(0.999),
            p99_99: at(0.9999),
            max: us(histogram.max()),
        }
    }
}

fn us(ns: u64) -> f64 {
    ns as f64 / 1e3
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pace = match self.rate_per_s {
            Some(rate) => format!("open loop at {rate} requests/s"),
            None => "closed loop".to_owned(),
        };
        writeln!(f, "{}: {pace}, {} connections, {} threads", self.url, self.connections, self.threads)?;
        writeln!(
            f,
            "\n  replies      {:>12}   {:>12.1} /s   in {:.2} s",
            self.replies, self.replies_per_s, self.duration_s
        )?;
        let rate = |bytes: u64| bytes as f64 / self.duration_s / 1e6;
        let (sent, received) = (self.sent_bytes, self.received_bytes);
        writeln!(f, "  sent         {sent:>12} B {:>12.2} MB/s", rate(sent))?;
        writeln!(f, "  received     {received:>12} B {:>12.2} MB/s", rate(received))?;
        let latency = &self.latency_us;
        writeln!(f, "\n  latency      mean {}   stdev {}", show_us(latency.mean), show_us(latency.stdev))?;
        for (name, value) in latency.rows() {
            writeln!(f, "  {name:>9}    {:>12}", show_us(value))?;
        }
        writeln!(f)?;
        write!(f, "{}", self.openings)?;
        for (status, count) in &self.status {
            writeln!(f, "  status {status}   {count:>12}")?;
        }
        for (kind, count) in self.errors.iter().filter(|(_, count)| **count > 0) {
            let first = self.first_errors.get(kind).map(String::as_str).unwrap_or_default();
            writeln!(f, "  error {kind:<12} {count:>6}   first: {first}")?;
        }
        for (what, count) in [("unsent", self.unsent), ("unfinished", self.unfinished)] {
            if count > 0 {
                writeln!(f, "  {what:<12} {count:>12}")?;
            }
        }
        write!(f, "  generator    busiest core {:.0} %", self.generator.cpu_share_max * 100.0)?;
        if self.rate_per_s.is_some() {
            write!(f, ", own lag p99 {}", show_us(self.generator.send_lag_p99_us))?;
        }
        writeln!(f)?;
        self.warnings.iter().try_for_each(|warning| writeln!(f, "  warning: {warning}"))
    }
}

impl fmt::Display for Openings {
    /// Nothing where every connection was opened before the run.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.connections == 0 {
            return Ok(());
        }
        let times = |latency: &Latency| format!("p50 {}, p99 {}", show_us(latency.p50), show_us(latency.p99));
        writeln!(f, "  connections  {:>12} opened   {}", self.connections, times(&self.connect_us))?;
        let Handshakes { full, resumed } = self.handshakes;
        if full + resumed > 0 {
            writeln!(f, "  handshakes   {full:>12} full, {resumed} resumed   {}", times(&self.handshake_us))?;
        }
        Ok(())
    }
}

impl Latency {
    fn rows(&self) -> [(&'static str, f64); 9] {
        [
            ("min", self.min),
            ("50 %", self.p50),
            ("75 %", self.p75),
            ("90 %", self.p90),
            ("95 %", self.p95),
            ("99 %", self.p99),
            ("99.9 %", self.p99_9),
            ("99.99 %", self.p99_99),
            ("max", self.max),
        ]
    }
}

/// Microseconds with a fitting unit.
pub fn show_us(us: f64) -> String {
    let mut text = String::new();
    let written = match us {
        us if us < 1e3 => write!(text, "{us:.1} us"),
        us if us < 1e6 => write!(text, "{:.2} ms", us / 1e3),
        us => write!(text, "{:.2} s", us / 1e6),
    };
    written.map(|()| text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::wire::{Handshake, Opening};

    fn report(cpu_share: f64, lag_ns: u64, unsent: u64) -> Report {
        let mut tally = Tally::new().unwrap();
        for latency_ns in 1..=1_000 {
            tally.latency.saturating_record(latency_ns * 1_000);
        }
        tally.send_lag.saturating_record(lag_ns);
        tally.status.insert(200, 1_000);
        tally.unsent = unsent;
        for resumed in [false, true, true] {
            let handshake = Some(Handshake { took: Duration::from_micros(300), resumed });
            tally.open(&Opening { connect: Duration::from_micros(20), handshake });
        }
        let run = Circumstances {
            url: "http://a.test/".into(),
            rate_per_s: Some(100.0),
            connections: 2,
            request_body_bytes: 10,
            duration_s: 10.0,
            cpu_shares: vec![0.1, cpu_share],
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
        assert!(report(0.5, 200_000, 0).warnings[0].contains("lagged"));
        assert!(!report(0.5, 40_000, 0).generator_was_bottleneck());
        assert!(report(0.5, 0, 3).warnings[0].contains("never sent"));
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
