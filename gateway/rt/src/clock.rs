//! Where shards read the time. Everything above takes time as a parameter.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A monotonic clock that counts from its creation, so that times fit small integers.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everyone else is told to use")]
    #[must_use]
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// One that goes on from a reading of another, in another process, which was taken just now: it never is ahead of it.
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everyone else is told to use")]
    #[must_use]
    pub fn resumed(at_us: u64) -> Self {
        let now = Instant::now();
        // A reading that is older than the system is none.
        Self { origin: now.checked_sub(Duration::from_micros(at_us)).unwrap_or(now) }
    }

    /// Microseconds since the clock started: one vDSO call, no system call.
    #[must_use]
    pub fn now_us(&self) -> u64 {
        let since = self.origin.elapsed();
        since.as_secs() * 1_000_000 + u64::from(since.subsec_micros())
    }

    /// Milliseconds since the Unix epoch, for what people and peers read.
    #[must_use]
    pub fn unix_ms() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
    }
}
