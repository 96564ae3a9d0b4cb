//! Where shards read the time. Everything above takes time as a parameter.

use std::time::{SystemTime, UNIX_EPOCH};

/// A monotonic clock that counts from its creation, so that times fit small integers.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin_us: u64,
}

impl Clock {
    #[must_use]
    pub fn start() -> Self {
        Self { origin_us: monotonic_us() }
    }

    /// One that goes on from a reading of another, in another process, which was taken just now: it never is ahead of it.
    #[must_use]
    pub fn resumed(at_us: u64) -> Self {
        // A reading that is older than the system is none.
        Self { origin_us: monotonic_us().saturating_sub(at_us) }
    }

    /// Microseconds since the clock started: one vDSO call, no system call.
    #[must_use]
    pub fn now_us(&self) -> u64 {
        // The kernel's never goes back.
        monotonic_us().wrapping_sub(self.origin_us)
    }

    /// Milliseconds since the Unix epoch, for what people and peers read.
    #[must_use]
    pub fn unix_ms() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
    }
}

/// `Instant` would cost a comparison, a borrow and a division more, several times a request.
fn monotonic_us() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel, or the code that it maps into each process, writes the time into what it is given, which
    // lives on this stack; it can't fail, since every Linux has this clock.
    #[expect(unsafe_code, reason = "rustix finds this code by itself, and not in every process")]
    unsafe {
        libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now);
    }
    now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1_000
}
