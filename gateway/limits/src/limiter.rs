//! The authority: all buckets, in one place.
//!
//! A limit is known from its first report on. Memory is bounded by `limits_max`: 64 bytes for each, 4 more for each
//! holder, and about 30 in the index. A bucket that is full, with nothing away, is as a new one and is forgotten
//! without loss; where all are in use, a new limit is refused until one isn't.

use rustc_hash::FxHashMap;

use crate::bucket::Bucket;
use crate::{Answer, Ask, Handed, Holder, LIMITS_PER_REQUEST_MAX, Limit, LimitId, Loan, Report};

/// Buckets that are looked at for one to forget, when there are as many as may be.
const LOOKS_MAX: usize = 64;
/// When a limit that there was no room for may ask again.
const CROWDED_US: u64 = 10_000;

#[derive(Debug, Clone, Copy)]
pub struct LimiterRules {
    /// At most 65,535.
    pub holders: usize,
    pub limits_max: usize,
}

/// Since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LimiterCounts {
    pub asks: u64,
    pub granted_tokens: u64,
    /// Asks that found nothing left.
    pub empty: u64,
    /// Asks for a limit more than may be kept.
    pub crowded: u64,
    pub forgotten: u64,
}

#[derive(Debug)]
pub struct Limiter {
    rules: LimiterRules,
    index: FxHashMap<LimitId, u32>,
    buckets: Vec<Bucket>,
    /// Tokens of each bucket with each holder: `outstanding`, told apart.
    held: Vec<u32>,
    /// Holders that are there, among which what is left is shared.
    sharing: usize,
    /// The bucket to be looked at next.
    hand: usize,
    counts: LimiterCounts,
}

impl Limiter {
    #[must_use]
    pub fn new(rules: LimiterRules) -> Self {
        Self {
            rules,
            index: FxHashMap::default(),
            buckets: Vec::new(),
            held: Vec::new(),
            sharing: rules.holders,
            hand: 0,
            counts: LimiterCounts::default(),
        }
    }

    /// Makes room for so many limits now, so that nobody waits for it when they come.
    #[must_use]
    pub fn with_room_for(mut self, limits: usize) -> Self {
        let limits = limits.min(self.rules.limits_max);
        self.index.reserve(limits);
        self.buckets.reserve(limits);
        self.held.reserve(limits * self.rules.holders);
        self
    }

    #[must_use]
    pub fn holders(&self) -> usize {
        self.rules.holders
    }

    /// Limits that are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buckets.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    #[must_use]
    pub fn counts(&self) -> LimiterCounts {
        self.counts
    }

    /// Hears a report; the answer where it asks.
    pub fn handle(&mut self, report: &Report, now_us: u64) -> Option<Answer> {
        let Some(slot) = self.slot(report, now_us) else {
            return report.ask.map(|_| self.crowd_out(report, now_us));
        };
        self.settle(slot, report);
        let bucket = &mut self.buckets[slot];
        bucket.adopt(report.limit.rate, report.version, now_us);
        report.ask.map(|ask| self.grant(slot, report.holder, ask, now_us))
    }

    /// Takes a token of each limit as spent at `now_us`, or none; whether it did. The same as leasing them to a holder that
    /// spends them at once and says so at once.
    pub fn spend(&mut self, limits: &[Limit], version: u64, now_us: u64) -> bool {
        // Slots stay while none has to be freed.
        if self.buckets.len() + limits.len() > self.rules.limits_max {
            return false;
        }
        let mut slots = [0; LIMITS_PER_REQUEST_MAX];
        let slots = &mut slots[..limits.len()];
        for (index, limit) in limits.iter().enumerate() {
            let slot = self.slot_of(*limit, version);
            let bucket = &mut self.buckets[slot];
            bucket.adopt(limit.rate, version, now_us);
            if bucket.room(now_us) == 0 {
                slots[..index].iter().for_each(|slot| self.buckets[*slot].take_back(1));
                return false;
            }
            // Of two limits with one bucket, the second finds what the first has left.
            bucket.lease(1);
            slots[index] = slot;
        }
        slots.iter().for_each(|slot| self.buckets[*slot].spend(1, now_us));
        self.counts.asks += limits.len() as u64;
        self.counts.granted_tokens += limits.len() as u64;
        true
    }

    /// Looks at up to `limits` of them, and forgets those that are as new.
    pub fn sweep(&mut self, limits: usize, now_us: u64) {
        for _ in 0..limits.min(self.buckets.len()) {
            self.look(now_us);
        }
    }

    /// A holder is gone, and nothing more will be heard of it: what it held counts as spent.
    pub fn end(&mut self, holder: Holder, now_us: u64) {
        for (bucket, held) in self.buckets.iter_mut().zip(self.held.chunks_exact_mut(self.rules.holders)) {
            let tokens = std::mem::take(&mut held[usize::from(holder.0)]);
            if tokens > 0 {
                bucket.spend(tokens, now_us);
            }
        }
    }

    /// As [`Self::end`], of this holder and all after it; none of them comes back.
    pub(crate) fn end_from(&mut self, first: Holder, now_us: u64) {
        self.sharing = usize::from(first.0).clamp(1, self.rules.holders);
        for (bucket, held) in self.buckets.iter_mut().zip(self.held.chunks_exact_mut(self.rules.holders)) {
            let gone = &mut held[usize::from(first.0)..];
            let tokens = gone.iter_mut().map(std::mem::take).sum();
            if tokens > 0 {
                bucket.spend(tokens, now_us);
            }
        }
    }

    pub(crate) fn knows(&self, id: LimitId) -> bool {
        self.index.contains_key(&id)
    }

    /// One that is known, if any is.
    pub(crate) fn last(&self) -> Option<LimitId> {
        self.buckets.last().map(|bucket| bucket.id)
    }

    /// Forgets a limit: what was known of it, if it isn't as new.
    pub(crate) fn take_out(&mut self, id: LimitId, now_us: u64) -> Option<Handed> {
        let slot = *self.index.get(&id)? as usize;
        let bucket = &self.buckets[slot];
        let mut handed = (!bucket.is_full(now_us)).then(|| bucket.hand_over());
        if let Some(handed) = &mut handed {
            let held = &self.held[slot * self.rules.holders..][..self.rules.holders];
            let held = held.iter().zip(0..).filter(|(tokens, _)| **tokens > 0);
            handed.held.extend(held.map(|(tokens, holder)| (Holder(holder), *tokens)));
        }
        self.forget(slot);
        handed
    }

    /// Knows of a limit what another limiter did. It is one more than there may be, at worst: what it has admitted counts.
    pub(crate) fn put_in(&mut self, handed: &Handed) {
        let slot = match self.index.get(&handed.limit.id) {
            Some(slot) => {
                let slot = *slot as usize;
                self.buckets[slot].absorb(handed);
                slot
            }
            None => self.add(Bucket::handed(handed)),
        };
        for (holder, tokens) in &handed.held {
            // Of one that isn't there, nothing more is heard.
            let there = usize::from(holder.0) < self.rules.holders;
            self.buckets[slot].lease(*tokens);
            if there {
                *self.held_mut(slot, *holder) += tokens;
            } else {
                self.buckets[slot].spend(*tokens, handed.spent_as_of_us);
            }
        }
    }

    /// Tokens that a holder has of a limit.
    #[must_use]
    pub fn held(&self, id: LimitId, holder: Holder) -> u32 {
        self.index
            .get(&id)
            .map_or(0, |slot| self.held[*slot as usize * self.rules.holders + usize::from(holder.0)])
    }

    fn held_mut(&mut self, slot: usize, holder: Holder) -> &mut u32 {
        &mut self.held[slot * self.rules.holders + usize::from(holder.0)]
    }

    /// Where a limit's bucket is; made for one who asks, if there is room.
    fn slot(&mut self, report: &Report, now_us: u64) -> Option<usize> {
        if let Some(slot) = self.index.get(&report.limit.id) {
            return Some(*slot as usize);
        }
        report.ask?;
        if self.buckets.len() >= self.rules.limits_max && !(0..LOOKS_MAX).any(|_| self.look(now_us)) {
            return None;
        }
        Some(self.add(Bucket::full(report.limit, report.version)))
    }

    fn slot_of(&mut self, limit: Limit, version: u64) -> usize {
        match self.index.get(&limit.id) {
            Some(slot) => *slot as usize,
            None => self.add(Bucket::full(limit, version)),
        }
    }

    fn add(&mut self, bucket: Bucket) -> usize {
        let slot = self.buckets.len();
        self.index.insert(bucket.id, slot as u32);
        self.buckets.push(bucket);
        self.held.resize(self.held.len() + self.rules.holders, 0);
        slot
    }

    /// What was spent and what comes back.
    fn settle(&mut self, slot: usize, report: &Report) {
        let held = self.held_mut(slot, report.holder);
        debug_assert!(report.spent + report.returned <= *held, "{report:?} of {held}");
        // Never more than it has, so that no holder's mistake makes tokens.
        let spent = report.spent.min(*held);
        let returned = report.returned.min(*held - spent);
        *held -= spent + returned;
        let bucket = &mut self.buckets[slot];
        bucket.take_back(returned);
        if spent > 0 {
            bucket.spend(spent, report.spent_us);
        }
    }

    /// Whoever waits gets what there is; beyond that a share of what is left, so that leases shrink to what is
    /// needed as the bucket empties, and no holder sits on what others need.
    fn grant(&mut self, slot: usize, holder: Holder, ask: Ask, now_us: u64) -> Answer {
        let room = self.buckets[slot].room(now_us);
        let share = room.saturating_sub(ask.needed) / (2 * self.sharing as u32);
        let granted = room.min(ask.needed.saturating_add(ask.liked.min(share)));
        self.buckets[slot].lease(granted);
        *self.held_mut(slot, holder) += granted;
        self.counts.asks += 1;
        self.counts.granted_tokens += u64::from(granted);
        self.counts.empty += u64::from(granted < ask.needed);
        let bucket = &self.buckets[slot];
        let is_empty = ask.needed > 0 && granted == room;
        let empty_until_us = if is_empty { bucket.empty_until_us(now_us) } else { 0 };
        Answer {
            holder,
            id: bucket.id,
            version: bucket.version,
            granted,
            loan: Loan::default(),
            valid_until_us: u64::MAX,
            empty_until_us,
        }
    }

    fn crowd_out(&mut self, report: &Report, now_us: u64) -> Answer {
        self.counts.asks += 1;
        self.counts.crowded += 1;
        report.in_vain(now_us + CROWDED_US)
    }

    /// Looks at the next bucket; whether it was forgotten.
    fn look(&mut self, now_us: u64) -> bool {
        if self.hand >= self.buckets.len() {
            self.hand = 0;
        }
        let forgets = self.buckets.get(self.hand).is_some_and(|bucket| bucket.is_full(now_us));
        if forgets {
            self.forget(self.hand);
        } else {
            self.hand += 1;
        }
        forgets
    }

    /// The last bucket takes its place.
    fn forget(&mut self, slot: usize) {
        let holders = self.rules.holders;
        let last = self.buckets.len() - 1;
        let gone = self.buckets.swap_remove(slot);
        self.index.remove(&gone.id);
        if let Some(moved) = self.buckets.get(slot) {
            self.index.insert(moved.id, slot as u32);
        }
        self.held.copy_within(last * holders.., slot * holders);
        self.held.truncate(last * holders);
        self.counts.forgotten += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rate;

    fn report(holder: u16, id: u64, rate: Rate) -> Report {
        let limit = Limit { id: LimitId(id), rate };
        Report {
            holder: Holder(holder),
            limit,
            version: 1,
            spent: 0,
            spent_us: 0,
            returned: 0,
            loan: Loan::default(),
            ask: None,
        }
    }

    fn ask(holder: u16, id: u64, rate: Rate, needed: u32, liked: u32) -> Report {
        Report { ask: Some(Ask { needed, liked }), ..report(holder, id, rate) }
    }

    fn limiter(holders: usize, limits_max: usize) -> Limiter {
        Limiter::new(LimiterRules { holders, limits_max })
    }

    #[test]
    fn leases_shrink_to_what_is_needed() {
        let rate = Rate::new(1.0, 100);
        let mut limiter = limiter(2, 10);
        let mut granted = |needed, liked| limiter.handle(&ask(0, 1, rate, needed, liked), 0).unwrap().granted;
        assert_eq!([granted(1, 1_000), granted(1, 5), granted(30, 1_000), granted(1, 1_000)], [25, 6, 39, 8]);
        assert_eq!([granted(1, 1_000), granted(19, 1_000), granted(5, 1_000), granted(1, 0)], [6, 16, 0, 0]);
    }

    #[test]
    fn a_million_limits_take_the_memory_that_is_stated() {
        assert_eq!(size_of::<Bucket>(), 64);
    }

    #[test]
    fn what_is_as_new_is_forgotten_and_nothing_else() {
        let rate = Rate::new(1.0, 2);
        let mut limiter = limiter(1, 3);
        for id in 1..=3 {
            assert_eq!(limiter.handle(&ask(0, id, rate, 1, 0), 0).unwrap().granted, 1);
        }
        limiter.handle(&Report { spent: 1, ..report(0, 1, rate) }, 0);
        limiter.handle(&Report { returned: 1, ..report(0, 2, rate) }, 0);
        // The second is full, so that a fourth takes its place; then there is none.
        assert_eq!(limiter.handle(&ask(0, 4, rate, 1, 0), 0).unwrap().granted, 1);
        let crowded = limiter.handle(&ask(0, 5, rate, 1, 0), 0).unwrap();
        assert_eq!((crowded.granted, crowded.empty_until_us, limiter.len()), (0, CROWDED_US, 3));
        // The first is full again after a second; the third and the fourth have their token away.
        limiter.sweep(10, 1_000_000);
        assert_eq!((limiter.len(), limiter.counts().forgotten, limiter.counts().crowded), (2, 2, 1));
        assert_eq!([1, 3, 4].map(|id| limiter.held(LimitId(id), Holder(0))), [0, 1, 1]);
        assert_eq!(limiter.handle(&ask(0, 1, rate, 5, 0), 1_000_000).unwrap().granted, 2);
    }

    #[test]
    fn what_a_holder_had_counts_as_spent_when_it_is_gone() {
        let rate = Rate::new(1.0, 10);
        let mut limiter = limiter(2, 3);
        limiter.handle(&ask(0, 1, rate, 4, 0), 0);
        limiter.handle(&ask(1, 1, rate, 3, 0), 0);
        limiter.end(Holder(0), 5_000_000);
        assert_eq!(limiter.held(LimitId(1), Holder(0)), 0);
        assert_eq!(limiter.handle(&ask(1, 1, rate, 9, 0), 5_000_000).unwrap().granted, 3);
        assert_eq!(limiter.handle(&ask(1, 1, rate, 9, 0), 9_000_000).unwrap().granted, 4);
    }

    #[test]
    fn a_report_of_nothing_that_is_known_is_nothing() {
        assert_eq!(limiter(1, 3).handle(&report(0, 1, Rate::new(1.0, 1)), 0), None);
    }
}
