//! One limit's bucket, as the authority keeps it.
//!
//! A bucket knows `outstanding`, the tokens that are with holders as far as it was told, and `spent(t)`, the tokens
//! that were spent and haven't come back yet: spending `k` at `q` makes it `max(0, spent(q)) + k`, and it falls with
//! the rate to 0 (the virtual schedule of the generic cell rate algorithm, ITU-T I.371, in tokens). Tokens are leased
//! while, and only as far as,
//!
//! `outstanding + spent(t) <= burst`                                                                              (1)
//!
//! Why `admitted <= burst + rate * window` in every window, whatever is delayed: take the spending as it is known in
//! hindsight. Let `h(t)` be the tokens leased by `t` that were neither returned nor counted in a report with
//! `spent_us <= t`, and `d(t)` be `spent(t)` of all reports with `spent_us <= t`, in the order of those times.
//!
//! - Where the bucket leases, it knows less than hindsight: what it wasn't told is in `outstanding` with all its
//!   tokens, and in `d` with as many at most. So `h + d <= outstanding + spent <= burst` at each lease. Reports that
//!   overtake each other only make `spent` larger.
//! - Nothing but a lease makes `h + d` grow: spending moves tokens from `h` to `d`, returning and refilling take away.
//!   So `h(t) + d(t) <= burst` always.                                                                            (2)
//! - Tokens admitted in a window from `s` to `e` are in reports with `spent_us` in the window, which are
//!   `d(e) - d(s)` and what was refilled, `rate * (e - s)` at most; or in later ones, which are in `h(e)`. Together
//!   `d(e) + h(e) + rate * (e - s) - d(s)`, and by (2) not above `burst + rate * (e - s)`. ∎
//!
//! What refills while tokens are away isn't lost by late reports, since `spent` starts to fall at `spent_us`. When the
//! rate changes, `outstanding` and `spent` stay; (1) holds for the new burst from then on, so that a window over the
//! change admits no more than the larger burst, and each rate for as long as it was in force.

use crate::rate::TOKEN;
use crate::{Handed, Limit, LimitId, Rate};

/// How long an empty bucket makes holders wait at most for more than one token, so that a flood at a high rate is
/// answered in batches.
const BATCH_US: u64 = 1_000;
/// When unused tokens are back.
const HOME_US: u64 = 10_000;

/// One cache line: with many limits, fetching it is most of what a report costs.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Bucket {
    pub(crate) id: LimitId,
    pub(crate) version: u64,
    rate: Rate,
    /// Units, at `spent_as_of_us`.
    spent: u128,
    spent_as_of_us: u64,
    /// Tokens with holders.
    outstanding: u32,
}

impl Bucket {
    pub(crate) fn full(limit: Limit, version: u64) -> Self {
        Self { id: limit.id, version, rate: limit.rate, spent: 0, spent_as_of_us: 0, outstanding: 0 }
    }

    /// As another limiter had it, by a configuration that isn't this one's, but for what is with holders.
    pub(crate) fn handed(handed: &Handed) -> Self {
        let Handed { limit, spent, spent_as_of_us, .. } = *handed;
        Self { id: limit.id, version: 0, rate: limit.rate, spent, spent_as_of_us, outstanding: 0 }
    }

    /// What was spent of another bucket of the limit was spent of this one.
    pub(crate) fn absorb(&mut self, handed: &Handed) {
        self.advance(handed.spent_as_of_us);
        self.spent += handed.spent;
    }

    /// For another limiter, but for what is with holders.
    pub(crate) fn hand_over(&self) -> Handed {
        let Self { id, rate, spent, spent_as_of_us, .. } = *self;
        Handed { limit: Limit { id, rate }, spent, spent_as_of_us, held: Vec::new() }
    }

    /// Tokens that may be leased.
    pub(crate) fn room(&self, now_us: u64) -> u32 {
        let most = if self.rate.is_closed() { 0 } else { self.rate.burst_tokens() };
        let left = most.saturating_sub(self.outstanding);
        let spent = self.spent(now_us);
        if spent == 0 {
            return left;
        }
        left.saturating_sub(u32::try_from(spent.div_ceil(TOKEN)).unwrap_or(u32::MAX))
    }

    pub(crate) fn lease(&mut self, tokens: u32) {
        self.outstanding += tokens;
    }

    pub(crate) fn take_back(&mut self, tokens: u32) {
        self.outstanding -= tokens;
    }

    /// Tokens that were leased have been spent.
    pub(crate) fn spend(&mut self, tokens: u32, spent_us: u64) {
        self.outstanding -= tokens;
        self.advance(spent_us);
        self.spent += u128::from(tokens) * TOKEN;
    }

    /// Takes a newer configuration's rate.
    pub(crate) fn adopt(&mut self, rate: Rate, version: u64, now_us: u64) {
        if version <= self.version {
            return;
        }
        self.version = version;
        if rate != self.rate {
            self.advance(now_us);
            self.rate = rate;
        }
    }

    /// Whether it is as a new one would be.
    pub(crate) fn is_full(&self, now_us: u64) -> bool {
        self.outstanding == 0 && self.spent(now_us) == 0
    }

    /// When it is worth to ask again, once there is no room; after `now_us`.
    pub(crate) fn empty_until_us(&self, now_us: u64) -> u64 {
        if self.rate.is_closed() {
            return u64::MAX;
        }
        let one = self.room_for_one_us(now_us);
        // Tokens that are away may come home unused before any is refilled.
        let soonest = if self.outstanding > 0 { one.min(now_us + HOME_US) } else { one };
        soonest.max(now_us + self.batch_us()).max(now_us + 1)
    }

    fn room_for_one_us(&self, now_us: u64) -> u64 {
        match self.rate.burst_tokens().checked_sub(self.outstanding) {
            // Spent or returned before long; spent, the next comes after this.
            None | Some(0) => now_us.saturating_add(self.rate.refill_us(TOKEN)),
            Some(left) => {
                let falls = self.spent(now_us).saturating_sub(u128::from(left - 1) * TOKEN);
                now_us.saturating_add(self.rate.refill_us(falls))
            }
        }
    }

    /// A time in which so little of the burst refills that none is lost by waiting for it.
    fn batch_us(&self) -> u64 {
        self.rate.refill_us(u128::from(self.rate.burst_tokens()) * TOKEN / 4).min(BATCH_US)
    }

    fn spent(&self, now_us: u64) -> u128 {
        self.spent.saturating_sub(self.rate.refill(now_us.saturating_sub(self.spent_as_of_us)))
    }

    fn advance(&mut self, now_us: u64) {
        self.spent = self.spent(now_us);
        self.spent_as_of_us = self.spent_as_of_us.max(now_us);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000;

    fn bucket(tokens_per_s: f64, burst: u32) -> Bucket {
        Bucket::full(Limit { id: LimitId(1), rate: Rate::new(tokens_per_s, burst) }, 1)
    }

    fn spend(bucket: &mut Bucket, tokens: u32, at_us: u64) {
        bucket.lease(tokens);
        bucket.spend(tokens, at_us);
    }

    #[test]
    fn tokens_come_back_at_the_rate_and_not_before() {
        // Rate, burst, spent at 10 s; room at a time after it.
        for (rate, burst, spent, after_us, room) in [
            (1.0, 5, 5, 0, 0),
            (1.0, 5, 5, S - 1, 0),
            (1.0, 5, 5, S, 1),
            (1.0, 5, 5, 5 * S - 1, 4),
            (1.0, 5, 5, 500 * S, 5),
            (0.5, 1, 1, 2 * S - 1, 0),
            (0.5, 1, 1, 2 * S, 1),
            (3.0, 10, 4, S / 3, 6),
            (3.0, 10, 4, S / 3 + 1, 7),
            (1_000_000.0, u32::MAX, u32::MAX, 1, 1),
            (1_000_000.0, u32::MAX, u32::MAX, 5_000 * S, u32::MAX),
            (f64::MAX, 1, 1, 1, 1),
            (0.0, 5, 0, S, 0),
            (5.0, 0, 0, S, 0),
        ] {
            let mut bucket = bucket(rate, burst);
            spend(&mut bucket, spent, 10 * S);
            assert_eq!(bucket.room(10 * S + after_us), room, "{rate} {burst} {spent} {after_us}");
        }
    }

    #[test]
    fn a_day_of_thirds_drifts_by_nothing() {
        let mut bucket = bucket(1.0 / 3.0, 1);
        let every_us = 3 * S + 4;
        for turn in 0..28_800 {
            assert_eq!(bucket.room(turn * every_us), 1);
            spend(&mut bucket, 1, turn * every_us);
            assert_eq!(bucket.room((turn + 1) * every_us - 1), 0, "0.333333 a second, to the microsecond");
        }
    }

    #[test]
    fn what_is_away_isnt_there_twice() {
        let mut bucket = bucket(1.0, 5);
        bucket.lease(3);
        assert_eq!((bucket.room(0), bucket.room(100 * S)), (2, 2));
        bucket.take_back(1);
        assert_eq!(bucket.room(0), 3);
        bucket.spend(2, 5 * S);
        assert_eq!((bucket.room(5 * S), bucket.room(7 * S), bucket.is_full(7 * S - 1)), (3, 5, false));
        assert!(bucket.is_full(7 * S));
    }

    #[test]
    fn a_late_report_costs_no_refill_and_makes_none() {
        let mut late = bucket(1.0, 5);
        late.lease(5);
        late.spend(5, 2 * S);
        assert_eq!(late.room(4 * S), 2);
        // Overtaken by a later one: as if both had been at the later time, at worst.
        let mut overtaken = bucket(1.0, 5);
        overtaken.lease(4);
        overtaken.spend(2, 10 * S);
        overtaken.spend(2, 8 * S);
        assert_eq!((overtaken.room(10 * S), overtaken.room(12 * S)), (1, 3));
    }

    #[test]
    fn a_change_keeps_what_is_spent() {
        // Burst before and after, spent; room at once, and a second later at 10 a second.
        for (before, after, spent, room, later) in
            [(100, 200, 100, 100, 110), (200, 100, 200, 0, 0), (200, 100, 50, 50, 60), (10, 10, 10, 0, 10)]
        {
            let mut bucket = bucket(1.0, before);
            spend(&mut bucket, spent, 0);
            bucket.adopt(Rate::new(10.0, after), 2, 0);
            assert_eq!((bucket.room(0), bucket.room(S)), (room, later), "{before} {after} {spent}");
        }
        let mut bucket = bucket(1.0, 10);
        bucket.adopt(Rate::new(1.0, 20), 1, 0);
        assert_eq!(bucket.room(0), 10, "it isn't newer");
    }

    #[test]
    fn an_empty_bucket_says_when_to_come_back() {
        // Rate, burst, spent and away; how long.
        for (rate, burst, spent, away, after_us) in [
            (1.0, 5, 5, 0, S),
            (1.0, 1, 1, 0, S),
            // What is away may come home.
            (1.0, 5, 4, 1, 10_000),
            (100.0, 5, 0, 5, 10_000),
            (1_000.0, 1, 0, 1, 1_000),
            // In batches: a quarter of the burst, a millisecond at most.
            (1_000_000.0, 100, 100, 0, 25),
            (1_000_000.0, 1_000_000, 1_000_000, 0, 1_000),
        ] {
            let mut bucket = bucket(rate, burst);
            spend(&mut bucket, spent, 0);
            bucket.lease(away);
            assert_eq!(bucket.empty_until_us(0), after_us, "{rate} {burst} {spent} {away}");
        }
        assert_eq!(bucket(0.0, 5).empty_until_us(7), u64::MAX);
    }
}
