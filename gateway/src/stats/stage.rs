//! A stage's requests and latencies.

use hdrhistogram::Histogram;

/// Significant decimal digits of a latency: what is read back is within 1 % of what was recorded.
const LATENCY_DIGITS: u8 = 2;

/// An answered request, as its stage counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) status: u16,
    pub(crate) latency_us: u64,
    /// Only if its integration was called.
    pub(crate) integration_latency_us: Option<u64>,
    /// Of a route with a cache: whether it was answered from there.
    pub(crate) cached: Option<bool>,
}

/// A stage's requests. The names are CloudWatch's.
#[derive(Debug, Clone)]
pub(crate) struct StageStats {
    pub(crate) count: u64,
    pub(crate) count_4xx: u64,
    pub(crate) count_5xx: u64,
    pub(crate) latency: Latency,
    /// Of the requests that reached an integration.
    pub(crate) integration_latency: Latency,
    /// Requests of routes with a cache that were answered from it.
    pub(crate) cache_hits: u64,
    /// Those that weren't.
    pub(crate) cache_misses: u64,
}

impl StageStats {
    pub(crate) fn new() -> Self {
        Self {
            count: 0,
            count_4xx: 0,
            count_5xx: 0,
            latency: Latency::new(),
            integration_latency: Latency::new(),
            cache_hits: 0,
            cache_misses: 0,
        }
    }

    /// One answered request.
    pub(crate) fn record(&mut self, outcome: &Outcome) {
        self.count += 1;
        self.count_4xx += u64::from(outcome.status / 100 == 4);
        self.count_5xx += u64::from(outcome.status / 100 == 5);
        self.cache_hits += u64::from(outcome.cached == Some(true));
        self.cache_misses += u64::from(outcome.cached == Some(false));
        self.latency.record(outcome.latency_us);
        if let Some(latency_us) = outcome.integration_latency_us {
            self.integration_latency.record(latency_us);
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.count_4xx += other.count_4xx;
        self.count_5xx += other.count_5xx;
        self.latency.add(&other.latency);
        self.integration_latency.add(&other.integration_latency);
        self.cache_hits += other.cache_hits;
        self.cache_misses += other.cache_misses;
    }
}

/// A latency distribution in microseconds, with its exact sum.
#[derive(Debug, Clone)]
pub(crate) struct Latency {
    pub(crate) histogram_us: Histogram<u64>,
    pub(crate) sum_us: u64,
}

impl Latency {
    fn new() -> Self {
        Self {
            // Grows to the longest latency seen: a kilobyte or two in practice, where room for an hour takes 26 KiB.
            histogram_us: Histogram::new(LATENCY_DIGITS).expect("two digits are within hdrhistogram's range"),
            sum_us: 0,
        }
    }

    fn record(&mut self, latency_us: u64) {
        self.histogram_us.record(latency_us).expect("a growing histogram takes every value");
        self.sum_us += latency_us;
    }

    fn add(&mut self, other: &Self) {
        self.histogram_us.add(&other.histogram_us).expect("a growing histogram takes every other");
        self.sum_us += other.sum_us;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_is_kept_to_one_percent_at_any_size() {
        for latency_us in [0, 1, 999, 250_000, 29_000_000, 86_400_000_000] {
            let mut stage = StageStats::new();
            let outcome = Outcome { status: 200, latency_us, integration_latency_us: None, cached: None };
            stage.record(&outcome);
            let kept = stage.latency.histogram_us.max() as f64;
            assert!((kept - latency_us as f64).abs() <= latency_us as f64 / 100.0, "{latency_us}: {kept}");
        }
    }
}
