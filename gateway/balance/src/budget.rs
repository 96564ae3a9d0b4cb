//! How many retries may be under way at once: a share of the requests, so that a group that fails as a whole
//! gets little more traffic than its clients send.

use std::cell::Cell;

/// What a budget allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetRules {
    /// Retries per 100 requests under way.
    pub percent: u32,
    /// Allowed however few requests are under way.
    pub retries_min: u32,
}

/// Requests and retries under way.
///
/// Invariant, whenever a retry begins: `retries <= max(retries_min, requests * percent / 100)`.
#[derive(Debug, Default)]
pub struct Budget {
    requests: Cell<u32>,
    retries: Cell<u32>,
}

impl Budget {
    pub fn begin_request(&self) {
        self.requests.set(self.requests.get() + 1);
    }

    pub fn end_request(&self) {
        self.requests.set(self.requests.get() - 1);
    }

    /// Whether another retry may begin; if so, it has begun.
    #[must_use]
    pub fn begin_retry(&self, rules: BudgetRules) -> bool {
        let share = u64::from(self.requests.get()) * u64::from(rules.percent) / 100;
        let allowed = u64::from(self.retries.get()) < share.max(rules.retries_min.into());
        if allowed {
            self.retries.set(self.retries.get() + 1);
        }
        allowed
    }

    pub fn end_retry(&self) {
        self.retries.set(self.retries.get() - 1);
    }

    #[must_use]
    pub fn requests(&self) -> u32 {
        self.requests.get()
    }

    #[must_use]
    pub fn retries(&self) -> u32 {
        self.retries.get()
    }
}
