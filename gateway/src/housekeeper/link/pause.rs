//! How long a link waits before it connects again.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// A pause that doubles up to a maximum, with jitter, so that the gateways of a restarted control don't all
/// come at the same moment.
#[derive(Debug)]
pub(super) struct Pause {
    min_ms: u64,
    max_ms: u64,
    next_ms: u64,
    random: RandomState,
    draws: u64,
}

impl Pause {
    pub(super) fn new(min_ms: u64, max_ms: u64) -> Self {
        Self { min_ms, max_ms, next_ms: min_ms.min(max_ms), random: RandomState::new(), draws: 0 }
    }

    /// From half of the current bound to all of it.
    pub(super) fn next(&mut self) -> Duration {
        let bound_ms = self.next_ms;
        self.next_ms = bound_ms.saturating_mul(2).min(self.max_ms);
        let half_ms = bound_ms / 2;
        Duration::from_millis(bound_ms - self.draw() % (half_ms + 1))
    }

    /// After a connection that was of use.
    pub(super) fn reset(&mut self) {
        self.next_ms = self.min_ms.min(self.max_ms);
    }

    /// The standard library seeds its hashers from the system's randomness; jitter needs no better.
    fn draw(&mut self) -> u64 {
        self.draws += 1;
        let mut hasher = self.random.build_hasher();
        hasher.write_u64(self.draws);
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_maximum_and_start_again() {
        let mut pause = Pause::new(20, 100);
        for round in 0..3 {
            for bound_ms in [20, 40, 80, 100, 100] {
                let next_ms = u64::try_from(pause.next().as_millis()).unwrap();
                assert!(
                    (bound_ms / 2..=bound_ms).contains(&next_ms),
                    "round {round}: {next_ms} of {bound_ms}"
                );
            }
            pause.reset();
        }
    }

    #[test]
    fn pauses_differ() {
        let mut pause = Pause::new(1_000_000, 1_000_000);
        let first = pause.next();
        assert!((0..8).any(|_| pause.next() != first));
    }
}
