//! How long a peer that sends slowly is waited for, or one that takes slowly where that can be seen.
//!
//! A stock of patience, in time: waiting uses it up, bytes bring it back, and it never exceeds the grace that
//! it begins with. So in any stretch of waiting, `bytes >= (waited - grace) * rate`; time that the gateway or the
//! other side needs doesn't count. A peer that keeps the rate is never ended, one byte at a time is.

use crate::settings::Settings;

#[derive(Debug)]
pub(crate) struct Patience {
    left_us: u64,
    grace_us: u64,
    /// 0: no rate is asked for.
    bytes_per_s_min: u64,
}

impl Patience {
    /// For a request's body.
    pub(crate) fn for_body(settings: &Settings) -> Self {
        Self::new(settings.body_rate_bytes_per_s_min, settings.body_rate_grace_ms)
    }

    /// For the client to take an answer.
    pub(crate) fn for_answer(settings: &Settings) -> Self {
        Self::new(settings.body_rate_bytes_per_s_min, settings.write_timeout_ms)
    }

    fn new(bytes_per_s_min: u64, grace_ms: u64) -> Self {
        Self { left_us: grace_ms * 1_000, grace_us: grace_ms * 1_000, bytes_per_s_min }
    }

    /// How long the next bytes may take.
    pub(crate) fn left_ms(&self) -> u64 {
        if self.bytes_per_s_min == 0 { u64::MAX } else { self.left_us / 1_000 }
    }

    pub(crate) fn waited(&mut self, ms: u64) {
        self.left_us = self.left_us.saturating_sub(ms.saturating_mul(1_000));
    }

    pub(crate) fn came(&mut self, bytes: usize) {
        if let Some(bought_us) = (bytes as u64).saturating_mul(1_000_000).checked_div(self.bytes_per_s_min) {
            self.left_us = self.left_us.saturating_add(bought_us).min(self.grace_us);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_uses_it_up_and_bytes_bring_it_back() {
        let mut patience = Patience::new(1_000, 5_000);
        assert_eq!(patience.left_ms(), 5_000);
        patience.waited(3_000);
        assert_eq!(patience.left_ms(), 2_000);
        patience.came(500);
        assert_eq!(patience.left_ms(), 2_500);
        patience.waited(9_999);
        assert_eq!(patience.left_ms(), 0);
        patience.came(1_000_000);
        assert_eq!(patience.left_ms(), 5_000, "never more than the grace, however much came at once");
    }

    /// How long a peer lasts that sends `bytes` after every `pause_ms`.
    fn lasts_ms(rate: u64, grace_ms: u64, bytes: usize, pause_ms: u64) -> Option<u64> {
        let mut patience = Patience::new(rate, grace_ms);
        for round in 1..=1_000 {
            if pause_ms > patience.left_ms() {
                return Some(round * pause_ms);
            }
            patience.waited(pause_ms);
            patience.came(bytes);
        }
        None
    }

    #[test]
    fn the_rate_decides_who_lasts() {
        assert_eq!(lasts_ms(240, 10_000, 240, 1_000), None, "exactly the rate");
        assert_eq!(lasts_ms(240, 10_000, 2_400, 10_000), None, "in larger pieces");
        assert!(lasts_ms(240, 10_000, 1, 1_000).unwrap() <= 12_000, "a byte a second");
        assert!(lasts_ms(240, 10_000, 1, 9_000).unwrap() <= 18_000);
        assert!(lasts_ms(240, 10_000, 120, 1_000).unwrap() <= 22_000, "half the rate");
        assert_eq!(lasts_ms(1_000_000, 1_000, 1_000, 1), None, "pieces below a millisecond's worth");
    }

    #[test]
    fn without_a_rate_patience_has_no_end() {
        let mut patience = Patience::new(0, 10);
        patience.waited(1_000_000);
        patience.came(1);
        assert_eq!(patience.left_ms(), u64::MAX);
    }
}
