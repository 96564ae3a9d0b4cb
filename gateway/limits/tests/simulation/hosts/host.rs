//! A host's side: tokens that were lent to it, and when they must not be spent any more.

use super::store::{Exchange, LEASE_US, Reply};

/// By how much clocks of two hosts may differ in speed: 0.1 %, five times what NTP lets them.
const DRIFT_ONE_IN: u64 = 1_000;
/// How long an answer is waited for before another exchange begins.
const PATIENCE_US: u64 = 50_000;
/// How often it speaks at least, while it has anything to say.
const TICK_US: u64 = 50_000;

/// Times are the host's own clock's.
#[derive(Debug, Default)]
pub(crate) struct Host {
    generation: u64,
    number: u64,
    held: u64,
    spent: u64,
    spent_told: u64,
    valid_until_us: u64,
    /// Since then an answer is waited for.
    asked_us: Option<u64>,
    told_us: u64,
    empty_until_us: u64,
    seen: u64,
    seen_before: u64,
}

impl Host {
    /// A host that has just been started; no earlier one of it had the generation.
    pub(crate) fn new(generation: u64) -> Self {
        Self { generation, ..Self::default() }
    }

    pub(crate) fn see(&mut self) {
        self.seen += 1;
    }

    /// Whether there was a token.
    pub(crate) fn take(&mut self, now_us: u64) -> bool {
        let takes = self.held > 0 && now_us < self.valid_until_us;
        self.held -= u64::from(takes);
        self.spent += u64::from(takes);
        takes
    }

    pub(crate) fn is_empty(&self, now_us: u64) -> bool {
        now_us < self.empty_until_us
    }

    /// What it says to the store now, if anything, with so many requests waiting.
    pub(crate) fn poll_exchange(&mut self, waiting: u64, now_us: u64) -> Option<Exchange> {
        if self.asked_us.is_some_and(|asked_us| now_us < asked_us + PATIENCE_US) {
            return None;
        }
        let ticks = now_us >= self.told_us + TICK_US;
        let asks = waiting > 0 && !self.is_empty(now_us);
        let has_to_tell = self.held > 0 || self.spent > self.spent_told;
        let speaks = asks || ticks && has_to_tell;
        if !speaks {
            return None;
        }
        if self.number > 0 && now_us >= self.valid_until_us {
            self.begin_anew();
        }
        if ticks {
            // What wasn't needed goes home.
            self.held = self.held.min(self.seen);
            (self.seen_before, self.seen, self.told_us) = (self.seen, 0, now_us);
        }
        self.asked_us = Some(now_us);
        self.number += 1;
        self.spent_told = self.spent;
        let expected = self.seen.max(self.seen_before);
        let needed = if asks { waiting } else { 0 };
        let liked = expected.saturating_sub(needed + self.held);
        let Self { generation, number, held, spent, .. } = *self;
        Some(Exchange { host: 0, generation, number, held, spent, needed, liked })
    }

    pub(crate) fn handle(&mut self, reply: &Reply, now_us: u64) {
        let Some(asked_us) = self.asked_us else { return };
        if (reply.generation, reply.number) != (self.generation, self.number) {
            return;
        }
        self.asked_us = None;
        if reply.fenced {
            self.begin_anew();
            return;
        }
        self.held += reply.granted;
        self.valid_until_us = asked_us + LEASE_US - LEASE_US / DRIFT_ONE_IN;
        self.empty_until_us = now_us + reply.empty_us;
    }

    /// Nothing that was lent may be spent any more.
    fn begin_anew(&mut self) {
        self.generation += 1;
        (self.number, self.held, self.spent, self.spent_told) = (0, 0, 0, 0);
        self.valid_until_us = 0;
        self.asked_us = None;
    }
}
