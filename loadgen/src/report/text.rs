//! A report as text.

use std::fmt;

use super::latency::{Latency, show_us};
use super::{Handshakes, Openings, Part, Report};
use crate::timeline::Interval;
use crate::view::sparkline;

const SPARKLINE_COLUMNS: usize = 60;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pace = self.pace();
        let (connections, threads) =
            (counted(self.connections, "connection"), counted(self.threads, "thread"));
        writeln!(f, "{}: {pace}, {connections}, {threads}", self.url)?;
        // Each resting connection is counted as it opens.
        let replies = if self.held_per_s.is_some() { "opened" } else { "replies" };
        writeln!(
            f,
            "\n  {replies:<12} {:>12}   {:>12.1} /s   in {:.2} s{}",
            self.replies,
            self.replies_per_s,
            self.duration_s,
            self.ended_by.early()
        )?;
        let rate = |bytes: u64| bytes as f64 / self.duration_s / 1e6;
        let (sent, received) = (self.sent_bytes, self.received_bytes);
        writeln!(f, "  sent         {sent:>12} B {:>12.2} MB/s", rate(sent))?;
        writeln!(f, "  received     {received:>12} B {:>12.2} MB/s", rate(received))?;
        // Where nothing came and nothing timed out, zeros would say that it was fast.
        if self.latency_us.max > 0.0 {
            write_latencies(f, &self.latency_us, &self.service_us)?;
        }
        writeln!(f)?;
        self.write_over_time(f)?;
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
        if self.resent > 0 {
            writeln!(
                f,
                "  resent       {:>12}   not taken by connections that the server ended",
                self.resent
            )?;
        }
        for (name, part) in &self.labels {
            part.write_line(f, name)?;
        }
        for missed in &self.mismatches {
            let request = if missed.request.is_empty() { "" } else { ": " };
            let (name, check, count) = (&missed.request, &missed.check, missed.count);
            writeln!(f, "  check {name}{request}{check}   failed {count} times   first: {}", missed.sample)?;
        }
        write!(f, "  generator    busiest core {:.0} %", self.generator.cpu_share_max * 100.0)?;
        if self.generator.wait_share_max >= 0.005 {
            write!(f, ", kept off it by other work for {:.0} %", self.generator.wait_share_max * 100.0)?;
        }
        if self.rate_per_s.is_some() {
            write!(f, ", own lag p99 {}", show_us(self.generator.send_lag_p99_us))?;
        }
        writeln!(f)?;
        self.warnings.iter().try_for_each(|warning| writeln!(f, "  warning: {warning}"))
    }
}

impl Report {
    /// The course of the run in two lines, where there is one.
    fn write_over_time(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.intervals.len() < 2 {
            return Ok(());
        }
        let mut line = |name: &str, show: fn(f64) -> String, value: fn(&Interval) -> f64| {
            let values: Vec<f64> = self.intervals.iter().map(value).collect();
            let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
            let highest = values.iter().copied().fold(0.0, f64::max);
            let line = sparkline(&values, SPARKLINE_COLUMNS);
            writeln!(f, "  {name:<12} {line}   {} to {}", show(lowest), show(highest))
        };
        line("replies/s", |rate| format!("{rate:.1}"), Interval::replies_per_s)?;
        line("p99", show_us, |interval| interval.latency_us.p99)?;
        writeln!(f)
    }
}

fn counted(count: usize, of: &str) -> String {
    format!("{count} {of}{}", if count == 1 { "" } else { "s" })
}

/// Both kinds of times side by side, and how many response times lie beyond each percentile.
fn write_latencies(f: &mut fmt::Formatter<'_>, response: &Latency, service: &Latency) -> fmt::Result {
    writeln!(f)?;
    let mut row = |name: &str, response: String, service: String, beyond: String| {
        writeln!(f, "{}", format!("  {name:<9} {response:>15} {service:>14} {beyond:>12}").trim_end())
    };
    row("latency", "response time".into(), "service time".into(), "beyond".into())?;
    let mut plain = |name: &str, value: fn(&Latency) -> f64| {
        row(name, show_us(value(response)), show_us(value(service)), String::new())
    };
    plain("mean", |latency| latency.mean)?;
    plain("stdev", |latency| latency.stdev)?;
    plain("min", |latency| latency.min)?;
    for ((name, quantile, of_response), (_, _, of_service)) in
        response.percentiles().into_iter().zip(service.percentiles())
    {
        row(name, show_us(of_response), show_us(of_service), response.beyond(quantile).to_string())?;
    }
    row("max", show_us(response.max), show_us(service.max), String::new())
}

impl Part {
    fn write_line(&self, f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
        let Latency { p50, p99, max, .. } = self.latency_us;
        let times = match max > 0.0 {
            true => format!("   p50 {}, p99 {}, max {}", show_us(p50), show_us(p99), show_us(max)),
            false => String::new(),
        };
        writeln!(
            f,
            "  {name:<20} {:>12} replies {:>12.1} /s   errors {}{times}",
            self.replies,
            self.replies_per_s,
            self.errors.values().sum::<u64>()
        )
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
