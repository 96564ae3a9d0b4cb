//! What a shard counts of target groups and their targets.

use std::sync::Arc;

/// What a shard counted of a target group since its last report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct GroupCounts {
    pub(crate) retries: u64,
    /// Retries that the budget didn't allow.
    pub(crate) budget_exhausted: u64,
    /// Requests refused because all targets had `requests_max`.
    pub(crate) circuit_open: u64,
    /// Requests refused because as many waited as may.
    pub(crate) pending_overflows: u64,
    /// Requests refused because no target was in use.
    pub(crate) no_target: u64,
    /// Requests sent to any target, because too few were healthy.
    pub(crate) panics: u64,
}

impl GroupCounts {
    pub(crate) fn add(&mut self, other: &Self) {
        self.retries += other.retries;
        self.budget_exhausted += other.budget_exhausted;
        self.circuit_open += other.circuit_open;
        self.pending_overflows += other.pending_overflows;
        self.no_target += other.no_target;
        self.panics += other.panics;
    }
}

/// What a shard counted of a target since its last report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TargetCounts {
    /// Tries, retries included.
    pub(crate) requests: u64,
    /// Of them, those that count for an ejection.
    pub(crate) failures: u64,
    pub(crate) ejections: u64,
}

impl TargetCounts {
    pub(crate) fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.failures += other.failures;
        self.ejections += other.ejections;
    }
}

/// A target group, as a shard reports it.
#[derive(Debug)]
pub(crate) struct GroupReport {
    pub(crate) id: Arc<str>,
    pub(crate) counts: GroupCounts,
    /// Requests that wait for a connection.
    pub(crate) pending: u64,
    /// Those of which there is something to report.
    pub(crate) targets: Vec<TargetReport>,
}

#[derive(Debug)]
pub(crate) struct TargetReport {
    pub(crate) name: Arc<str>,
    pub(crate) counts: TargetCounts,
    pub(crate) ejected: bool,
}
