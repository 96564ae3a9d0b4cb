//! One distribution of times, summed up.

use std::fmt::Write as _;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// A distribution in microseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// How many times there are.
    #[serde(default)]
    pub count: u64,
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
    #[serde(default)]
    pub p99_999: f64,
    pub max: f64,
}

/// The same in fewer figures: of one interval.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Brief {
    pub count: u64,
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p99_9: f64,
    pub max: f64,
}

/// Points of a distribution's curve: the share of times up to a value, and the value in microseconds.
pub type Curve = Vec<(f64, f64)>;

/// How many points a curve has for each halving of what is left above it.
const POINTS_PER_HALVING: u32 = 5;

pub(crate) fn curve(histogram: &Histogram<u64>) -> Curve {
    let mut points: Curve = Vec::new();
    for step in histogram.iter_quantiles(POINTS_PER_HALVING) {
        let point = (step.quantile(), us(step.value_iterated_to()));
        // Ends at the last value, where the iterator goes on to repeat it for ever smaller shares.
        if points.last().is_none_or(|last| point.1 > last.1) {
            points.push(point);
        }
    }
    points
}

impl Brief {
    pub(crate) fn of(histogram: &Histogram<u64>) -> Self {
        let Latency { count, mean, p50, p90, p99, p99_9, max, .. } = Latency::of(histogram);
        Self { count, mean, p50, p90, p99, p99_9, max }
    }
}

impl Latency {
    pub(crate) fn of(histogram: &Histogram<u64>) -> Self {
        if histogram.is_empty() {
            return Self::default();
        }
        let at = |quantile| us(histogram.value_at_quantile(quantile));
        Self {
            count: histogram.len(),
            min: us(histogram.min()),
            mean: histogram.mean().round() / 1e3,
            stdev: histogram.stdev().round() / 1e3,
            p50: at(0.5),
            p75: at(0.75),
            p90: at(0.9),
            p95: at(0.95),
            p99: at(0.99),
            p99_9: at(0.999),
            p99_99: at(0.9999),
            p99_999: at(0.99999),
            max: us(histogram.max()),
        }
    }
}

pub(crate) fn us(ns: u64) -> f64 {
    ns as f64 / 1e3
}

impl Latency {
    /// The percentiles that a table shows: their names, the quantiles and the values.
    pub(crate) fn percentiles(&self) -> [(&'static str, f64, f64); 8] {
        [
            ("50 %", 0.5, self.p50),
            ("75 %", 0.75, self.p75),
            ("90 %", 0.9, self.p90),
            ("95 %", 0.95, self.p95),
            ("99 %", 0.99, self.p99),
            ("99.9 %", 0.999, self.p99_9),
            ("99.99 %", 0.9999, self.p99_99),
            ("99.999 %", 0.99999, self.p99_999),
        ]
    }

    /// How many times lie beyond a quantile.
    pub(crate) fn beyond(&self, quantile: f64) -> u64 {
        // A thousandth makes up for quantiles that have no exact binary form.
        (self.count as f64 * (1.0 - quantile) + 1e-3) as u64
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
