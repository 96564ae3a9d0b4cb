//! How the generator itself fared, and whether it, not the target, was the limit.

use serde::{Deserialize, Serialize};

use super::{Report, us};
use crate::core_use::CoreShares;
use crate::tally::Tally;

/// A reactor that was idle for less than the rest was never idle.
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

    /// No core time was left. In the open loop that alone says little: the timer for what is due next fills a core at
    /// high rates.
    fn was_never_idle(&self) -> bool {
        self.occupied_share_max.max(self.cpu_share_max) > OCCUPIED_SHARE_MAX
    }
}

impl Report {
    /// Whether the generator itself limited what was measured.
    pub fn generator_was_bottleneck(&self) -> bool {
        self.generator_was_spent() || self.generator_lagged()
    }

    /// It could have done no more, whatever the target did. In the open loop it did all that was asked of it as long as
    /// requests left on time: those that a connection was free for, and those that had to wait for one.
    fn generator_was_spent(&self) -> bool {
        let is_open = self.rate_per_s.is_some();
        self.generator.was_never_idle() && (!is_open || self.generator_lagged() || self.requests_waited())
    }

    fn generator_lagged(&self) -> bool {
        self.is_felt(self.generator.send_lag_p99_us)
    }

    /// Whether requests waited for a connection, which replies that the generator was too busy to take may have held.
    fn requests_waited(&self) -> bool {
        self.unsent > 0 || self.is_felt(self.latency_us.p99 - self.service_us.p99)
    }

    /// Whether a delay shows in the latencies.
    fn is_felt(&self, delay_us: f64) -> bool {
        delay_us > SEND_LAG_FLOOR_US && delay_us > SEND_LAG_SHARE_MAX * self.latency_us.p99
    }

    pub(super) fn find_warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.generator_was_spent() {
            warnings.push(format!(
                "the generator was the bottleneck: a reactor used {:.0} % of its core, and other work kept it off for \
                 {:.0} %; give it more or idler --cores",
                self.generator.cpu_share_max * 100.0,
                self.generator.wait_share_max * 100.0
            ));
        } else if self.generator_lagged() {
            warnings.push(format!(
                "the generator lagged behind its own schedule: 1 % of the requests left {:.0} us late or more \
                 although a connection was free; give it more or idler --cores",
                self.generator.send_lag_p99_us
            ));
        }
        if self.generator.wait_share_max > WAIT_SHARE_MAX && !self.generator_was_spent() {
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
