//! How long a response may be used (RFC 9111 4.2, RFC 5861).

/// When a response came, and when it had been asked for.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// On the caller's clock.
    pub now_ms: u64,
    /// Since 1970.
    pub now_s: u64,
    pub delay_ms: u64,
}

/// A response's times, in milliseconds on the caller's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    pub stored_ms: u64,
    /// Its age when it came.
    pub age_ms: u64,
    /// From then on it is stale.
    pub stale_ms: u64,
    /// Until then it may be used while it is asked for anew.
    pub usable_ms: u64,
    /// Until then it may be used if the origin fails.
    pub usable_on_error_ms: u64,
    /// It is never used without asking the origin (`no-cache`).
    pub always_validated: bool,
    /// It is never used stale (`must-revalidate`, and for a shared cache `proxy-revalidate` and `s-maxage`).
    pub never_stale: bool,
}

impl Freshness {
    /// Fresh for a time from now on, and then no more.
    #[must_use]
    pub fn lasting(now_ms: u64, lifetime_ms: u64) -> Self {
        let stale_ms = now_ms.saturating_add(lifetime_ms);
        Self {
            stored_ms: now_ms,
            age_ms: 0,
            stale_ms,
            usable_ms: stale_ms,
            usable_on_error_ms: stale_ms,
            always_validated: false,
            never_stale: false,
        }
    }

    #[must_use]
    pub fn is_fresh(&self, now_ms: u64) -> bool {
        now_ms < self.stale_ms && !self.always_validated
    }

    /// What `Age` says (RFC 9111 5.1), in seconds.
    #[must_use]
    pub fn age_s(&self, now_ms: u64) -> u64 {
        (self.age_ms + now_ms.saturating_sub(self.stored_ms)) / 1000
    }

    /// How long it stays fresh.
    #[must_use]
    pub fn left_ms(&self, now_ms: u64) -> u64 {
        self.stale_ms.saturating_sub(now_ms)
    }
}

/// RFC 9111 4.2.3.
pub(crate) fn initial_age_ms(date_s: Option<u64>, age_s: u64, arrival: &Arrival) -> u64 {
    let apparent_s = date_s.map_or(0, |date_s| arrival.now_s.saturating_sub(date_s));
    (apparent_s * 1000).max(age_s * 1000 + arrival.delay_ms)
}
