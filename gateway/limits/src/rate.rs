//! How many tokens a limit yields, and its unit: with rates in millionths of a token a second and buckets in 10^-12
//! of a token, a microsecond refills a whole number of units, so that nothing is ever rounded and no rate drifts.

/// Units of a bucket in a token.
pub(crate) const TOKEN: u128 = 1_000_000_000_000;

const MICRO: f64 = 1_000_000.0;

/// A bucket's size and how fast it fills, and what is left of that while the store is out of reach that hosts share it in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    /// Also units of a bucket per microsecond.
    micro_tokens_per_s: u64,
    burst_tokens: u32,
    partition: Option<Partition>,
}

/// What a limit means to a host that can't reach the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Partition {
    /// Rate and burst, divided by the number of hosts that were known last; nothing before any were.
    Share,
    /// Nothing is admitted.
    Closed,
    /// Everything is admitted.
    Open,
}

impl Rate {
    /// `tokens_per_s` to the nearest millionth; below 0, and what isn't a number, is 0.
    #[must_use]
    pub fn new(tokens_per_s: f64, burst_tokens: u32) -> Self {
        // The cast saturates, and is 0 for NaN.
        Self { micro_tokens_per_s: (tokens_per_s * MICRO).round() as u64, burst_tokens, partition: None }
    }

    #[must_use]
    pub const fn per_1000_s(tokens: u64, burst_tokens: u32) -> Self {
        Self { micro_tokens_per_s: tokens.saturating_mul(1_000), burst_tokens, partition: None }
    }

    /// The same; where `partition` is nothing, the host's own rule decides.
    #[must_use]
    pub const fn with_partition(self, partition: Option<Partition>) -> Self {
        Self { partition, ..self }
    }

    #[must_use]
    pub const fn partition(self) -> Option<Partition> {
        self.partition
    }

    /// Of millionths of a token a second; the host's own rule decides in a partition.
    #[must_use]
    pub const fn of_micro(micro_tokens_per_s: u64, burst_tokens: u32) -> Self {
        Self { micro_tokens_per_s, burst_tokens, partition: None }
    }

    #[must_use]
    pub const fn burst_tokens(self) -> u32 {
        self.burst_tokens
    }

    /// Millionths of a token.
    #[must_use]
    pub const fn micro_tokens_per_s(self) -> u64 {
        self.micro_tokens_per_s
    }

    /// What each of so many is left of it; a token at least, where there is any.
    #[must_use]
    pub fn divided(self, by: u32) -> Self {
        let by = by.max(1);
        Self {
            micro_tokens_per_s: self.micro_tokens_per_s / u64::from(by),
            burst_tokens: (self.burst_tokens / by).max(self.burst_tokens.min(1)),
            ..self
        }
    }

    /// Nothing gets through, which is how AWS takes a rate or a burst of 0.
    #[must_use]
    pub const fn is_closed(self) -> bool {
        self.micro_tokens_per_s == 0 || self.burst_tokens == 0
    }

    /// Units that come back in a time.
    pub(crate) fn refill(self, elapsed_us: u64) -> u128 {
        u128::from(self.micro_tokens_per_s) * u128::from(elapsed_us)
    }

    /// Until so many units have come back, rounded up; `u64::MAX` where they never do.
    pub(crate) fn refill_us(self, units: u128) -> u64 {
        match self.micro_tokens_per_s {
            0 => u64::MAX,
            per_us => u64::try_from(units.div_ceil(per_us.into())).unwrap_or(u64::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_what_is_written_to_a_millionth() {
        for (tokens_per_s, micro) in [
            (0.5, 500_000),
            (33.333_333, 33_333_333),
            (10_000.0, 10_000_000_000),
            (0.000_000_4, 0),
            (-1.0, 0),
            (f64::NAN, 0),
            (1e300, u64::MAX),
        ] {
            assert_eq!(Rate::new(tokens_per_s, 1).micro_tokens_per_s(), micro, "{tokens_per_s}");
        }
    }

    #[test]
    fn a_second_refills_the_rate() {
        assert_eq!(Rate::new(0.5, 1).refill(2_000_000), TOKEN);
        assert_eq!(Rate::per_1000_s(500, 1), Rate::new(0.5, 1));
        assert_eq!(Rate::new(1_000_000.0, 1).refill(1), TOKEN);
        assert_eq!(Rate::new(3.0, 1).refill_us(TOKEN), 333_334);
        assert_eq!(Rate::new(0.0, 1).refill_us(1), u64::MAX);
        // A century of the fastest rate there is.
        Rate::new(1e300, u32::MAX).refill(100 * 366 * 86_400 * 1_000_000);
    }
}
