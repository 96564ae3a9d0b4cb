//! How the generator itself fared, and whether it, not the target, was the limit.

use serde::{Deserialize, Serialize};

use super::{Report, us};
use crate::core_use::CoreShares;
use crate::tally::Tally;

/// A reactor that was idle for less than the rest was the bottleneck.
const OCCUPIED_SHARE_MAX: f64 = 0.95;
/// Waiting for longer than this share of the time, because of other work on its core, shows in what a reactor measures.
const WAIT_SHARE_MAX: f64 = 0.05;
/// The generator's own lag must stay below this part of the latencies that it measures, at the 99th percentile.
const SEND_LAG_SHARE_MAX: f64 = 0.1;
/// Lags below this are noise, in microseconds.
const SEND_LAG_FLOOR_US: f64 = 50.0;

/// How the generator itself fared.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Generator {
    /// Share of its core that the busiest reactor used.
    pub cpu_share_max: f64,
    /// Share of the time that a reactor was ready to run and other work was on its core.
    #[serde(default)]
    pub wait_share_max: f64,
    /// Share of the time that the busiest reactor was not idle: on its core, or waiting for it.
    #[serde(default)]
    pub occupied_share_max: f64,
    /// Open loop: how late requests left although a connection was free, 99th percentile.
    pub send_lag_p99_us: f64,
}

impl Generator {
    pub(super) fn of(cores: &[CoreShares], tally: &Tally) -> Self {
        Self {
            cpu_share_max: greatest(cores, |core| core.used),
            wait_share_max: greatest(cores, |core| core.waited),
            occupied_share_max: greatest(cores, |core| core.used + core.waited),
            send_lag_p99_us: us(tally.send_lag.value_at_quantile(0.99)),
        }
    }

    /// It could have done no more, whatever the target did.
    fn was_never_idle(&self) -> bool {
        self.occupied_share_max.max(self.cpu_share_max) > OCCUPIED_SHARE_MAX
    }
}

impl Report {
    /// Whether the generator itself limited what was measured.
    pub fn generator_was_bottleneck(&self) -> bool {
        let lag = self.generator.send_lag_p99_us;
        let lagged = lag > SEND_LAG_FLOOR_US && lag > SEND_LAG_SHARE_MAX * self.latency_us.p99;
        self.generator.was_never_idle() || lagged
    }

    pub(super) fn find_warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.generator.was_never_idle() {
            warnings.push(format!(
                "the generator was the bottleneck: a reactor used {:.0} % of its core, and other work kept it off for \
                 {:.0} %; give it more or idler --cores",
                self.generator.cpu_share_max * 100.0,
                self.generator.wait_share_max * 100.0
            ));
        } else if self.generator_was_bottleneck() {
            warnings.push(format!(
                "the generator lagged behind its own schedule: 1 % of the requests left {:.0} us late or more \
                 although a connection was free; give it more or idler --cores",
                self.generator.send_lag_p99_us
            ));
        }
        if self.generator.wait_share_max > WAIT_SHARE_MAX && !self.generator.was_never_idle() {
            warnings.push(format!(
                "other work kept the generator off its core for {:.0} % of the time, which the latencies contain; give it \
                 idler --cores",
                self.generator.wait_share_max * 100.0
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

fn greatest(cores: &[CoreShares], share: fn(&CoreShares) -> f64) -> f64 {
    cores.iter().map(share).fold(0.0, f64::max)
}
