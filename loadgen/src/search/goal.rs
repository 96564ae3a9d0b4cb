//! What a trial has to reach: `p99<5ms`.

use std::fmt;
use std::time::Duration;

use crate::cli::parse_duration;
use crate::report::{Latency, Report, show_us};

/// A limit on a response time.
#[derive(Debug, Clone, Copy)]
pub struct Goal {
    name: &'static str,
    value: fn(&Latency) -> f64,
    limit: Duration,
}

type Value = (&'static str, fn(&Latency) -> f64);

const VALUES: [Value; 10] = [
    ("mean", |latency| latency.mean),
    ("p50", |latency| latency.p50),
    ("p75", |latency| latency.p75),
    ("p90", |latency| latency.p90),
    ("p95", |latency| latency.p95),
    ("p99", |latency| latency.p99),
    ("p99.9", |latency| latency.p99_9),
    ("p99.99", |latency| latency.p99_99),
    ("p99.999", |latency| latency.p99_999),
    ("max", |latency| latency.max),
];

impl Goal {
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, limit) = text
            .split_once('<')
            .ok_or_else(|| format!("'{text}' is not a goal like 'p99<5ms' (quote the '<')"))?;
        let known = VALUES.iter().find(|(known, _)| *known == name.trim());
        let Some((name, value)) = known else {
            let names: Vec<&str> = VALUES.iter().map(|(name, _)| *name).collect();
            return Err(format!("'{}' is not one of {}", name.trim(), names.join(", ")));
        };
        let limit = parse_duration(limit.trim())?;
        if limit.is_zero() {
            return Err(format!("'{text}': the limit must be more than 0"));
        }
        Ok(Self { name, value: *value, limit })
    }

    /// What the report has, in microseconds.
    pub(super) fn value_us(&self, report: &Report) -> f64 {
        (self.value)(&report.latency_us)
    }

    pub(super) fn is_reached(&self, report: &Report) -> bool {
        self.value_us(report) < self.limit.as_secs_f64() * 1e6
    }

    /// The value with its name.
    pub(super) fn shown(&self, report: &Report) -> String {
        format!("{} {}", self.name, show_us(self.value_us(report)))
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}<{:?}", self.name, self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_name_a_value_and_its_limit() {
        let goal = Goal::parse("p99.9 < 1.5ms").unwrap();
        assert_eq!(goal.to_string(), "p99.9<1.5ms");
        let at = |p99_9| Report { latency_us: Latency { p99_9, ..Latency::default() }, ..Report::default() };
        assert!(goal.is_reached(&at(1_499.0)) && !goal.is_reached(&at(1_500.0)));
        assert_eq!(goal.shown(&at(250.0)), "p99.9 250.0 us");
        for wrong in ["p99", "p98<1ms", "p99<5", "p99<0s", "<1ms"] {
            assert!(Goal::parse(wrong).is_err(), "{wrong}");
        }
    }
}
