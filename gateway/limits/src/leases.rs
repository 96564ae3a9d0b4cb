//! A shard's side: tokens in hand, and requests that wait for some.
//!
//! A request takes one token of each of its limits, or none. Where all are in hand that is all there is to it: no
//! message, no allocation. Otherwise it waits for the authority, `wait_us` at most; and not at all where the authority
//! has said that nothing is left yet. Tokens that weren't needed since the tick before go home at the next.
//!
//! Bounded: `leases_max` limits at once (about 150 bytes each), `waiting_max` requests that wait, and one ask
//! under way for each limit.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use crate::lately::Lately;
use crate::lease::{Lease, Reporting, Spent};
use crate::waiters::{Ticket, Waiters, Wish};
use crate::{Answer, Holder, Limit, LimitId, Report};

/// Account, stage, route, usage plan, usage plan's method; and some to spare.
pub const LIMITS_PER_REQUEST_MAX: usize = 8;

/// Leases that are looked at for one to end, when there are as many as may be.
const LOOKS_MAX: usize = 8;

#[derive(Debug, Clone, Copy)]
pub struct LeaseRules {
    pub holder: Holder,
    /// All that share the authority.
    pub holders: usize,
    /// How long a request waits for an answer.
    pub wait_us: u64,
    pub waiting_max: usize,
    pub leases_max: usize,
}

/// What becomes of a request before anybody is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    Admitted,
    Refused(Refused),
    /// It lacks tokens, for which the authority is to be asked now. [`Leases::go_on`] says what becomes of it then.
    Lacks,
}

/// What becomes of a request at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    Admitted,
    Refused(Refused),
    /// Its verdict comes by [`Leases::poll_verdict`].
    Waits(Ticket),
}

/// Why a request may not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// Index of the limit; of several, the last.
    pub limit: usize,
    pub why: Why,
    /// When a token may be there again, if that is known.
    pub retry_at_us: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The rate or the burst is 0.
    Closed,
    /// No token is left.
    Empty,
    /// The authority hasn't answered in time.
    TimedOut,
    /// More requests wait, or more limits are in use, than may; or the authority is too far behind.
    Crowded,
}

/// What shards do besides admitting.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeaseCounts {
    pub asks: u64,
    /// Answers that came with tokens.
    pub grants: u64,
    pub waited: u64,
    pub timed_out: u64,
    pub crowded: u64,
}

#[derive(Debug)]
pub struct Leases {
    rules: LeaseRules,
    index: FxHashMap<LimitId, u32>,
    leases: Vec<Lease>,
    /// Those in use, and the others.
    live: Vec<u32>,
    free: Vec<u32>,
    /// Which of those in use is looked at next.
    hand: usize,
    waiters: Waiters,
    asks: VecDeque<u32>,
    reports: VecDeque<Report>,
    verdicts: VecDeque<(Ticket, Result<(), Refused>)>,
    counts: LeaseCounts,
    reporting: Reporting,
    lately: Lately,
}

/// What a request finds of tokens in hand.
enum InHand {
    Taken,
    /// Nothing is known of some limits; of the others there is one.
    But,
    Lacking,
}

/// What a request finds.
enum Attempt {
    Admitted,
    Refused(Refused),
    /// It lacks a token of this lease, which was asked for.
    Lacks(u32),
}

impl Leases {
    #[must_use]
    pub fn new(rules: LeaseRules) -> Self {
        Self {
            rules,
            index: FxHashMap::default(),
            leases: Vec::new(),
            live: Vec::new(),
            free: Vec::new(),
            hand: 0,
            waiters: Waiters::default(),
            asks: VecDeque::new(),
            reports: VecDeque::new(),
            verdicts: VecDeque::new(),
            counts: LeaseCounts::default(),
            reporting: Reporting::new(rules.holders),
            lately: Lately::default(),
        }
    }

    /// What was counted since this was called before.
    pub fn take_counts(&mut self) -> LeaseCounts {
        std::mem::take(&mut self.counts)
    }

    /// Requests that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiters.waiting()
    }

    /// Limits of which anything is known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Takes a token of each limit, the broadest first; `version` is that of the configuration they are from.
    ///
    /// # Panics
    /// There are more than [`LIMITS_PER_REQUEST_MAX`].
    pub fn take(&mut self, limits: &[Limit], version: u64, now_us: u64) -> Taken {
        match self.begin(limits, version, now_us) {
            Begun::Admitted => Taken::Admitted,
            Begun::Refused(refused) => Taken::Refused(refused),
            Begun::Lacks => self.go_on(limits, version, now_us),
        }
    }

    /// As [`take`](Self::take), and leaves it open what becomes of a request that lacks tokens: an authority that answers
    /// at once needn't find it in line.
    ///
    /// # Panics
    /// As [`take`](Self::take).
    pub fn begin(&mut self, limits: &[Limit], version: u64, now_us: u64) -> Begun {
        match self.take_in_hand(limits, version, now_us, true) {
            InHand::Taken => Begun::Admitted,
            InHand::But | InHand::Lacking => self.begin_to_lease(limits, version, now_us),
        }
    }

    /// As [`begin`](Self::begin), where the authority is at hand. A limit that nothing is known of isn't leased for the one
    /// token then: `spend` has the authority take one of each that it is given as spent at `now_us`, or of none, and says
    /// whether it did ([`Limiter::spend`](crate::Limiter::spend)). A limit that is asked for again before the next tick is
    /// leased.
    ///
    /// # Panics
    /// As [`take`](Self::take).
    pub fn begin_at_hand(
        &mut self,
        limits: &[Limit],
        version: u64,
        now_us: u64,
        spend: impl FnOnce(&[Limit]) -> bool,
    ) -> Begun {
        match self.take_in_hand(limits, version, now_us, true) {
            InHand::Taken => Begun::Admitted,
            InHand::But if self.spend_at_hand(limits, now_us, spend) => Begun::Admitted,
            InHand::But | InHand::Lacking => self.begin_to_lease(limits, version, now_us),
        }
    }

    /// What becomes of a request that lacked tokens when it began, in whatever time has gone by since: those who waited
    /// before it have theirs.
    ///
    /// # Panics
    /// As [`take`](Self::take).
    pub fn go_on(&mut self, limits: &[Limit], version: u64, now_us: u64) -> Taken {
        if matches!(self.take_in_hand(limits, version, now_us, false), InHand::Taken) {
            return Taken::Admitted;
        }
        match self.attempt(limits, version, now_us, false) {
            Attempt::Admitted => Taken::Admitted,
            Attempt::Refused(refused) => {
                for limit in limits {
                    if let Some(slot) = self.index.get(&limit.id) {
                        self.leases[*slot as usize].overlook();
                    }
                }
                Taken::Refused(refused)
            }
            Attempt::Lacks(slot) => self.wait(slot, limits, version, now_us),
        }
    }

    /// A request that waits has gone away.
    pub fn leave(&mut self, ticket: Ticket) {
        self.waiters.leave(ticket);
    }

    /// Whether nobody is to be told anything.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.reports.is_empty() && self.asks.is_empty() && self.verdicts.is_empty()
    }

    /// What the authority is to be told next.
    pub fn poll_report(&mut self) -> Option<Report> {
        if let Some(report) = self.reports.pop_front() {
            return Some(report);
        }
        let slot = self.asks.pop_front()?;
        self.counts.asks += 1;
        Some(self.leases[slot as usize].ask(self.rules.holder))
    }

    /// What a request that waited is told next.
    pub fn poll_verdict(&mut self) -> Option<(Ticket, Result<(), Refused>)> {
        self.verdicts.pop_front()
    }

    pub fn handle_answer(&mut self, answer: &Answer, now_us: u64) {
        let Some(slot) = self.index.get(&answer.id).copied() else { return };
        let lease = &mut self.leases[slot as usize];
        lease.receive(answer);
        if lease.limit.rate.is_closed() {
            self.reports.extend(lease.empty(self.rules.holder));
        }
        self.counts.grants += u64::from(answer.granted > 0);
        self.serve(slot, now_us);
    }

    /// The authority can't be told now: who waits for the answer is refused, and the rest is told later.
    pub fn handle_unsent(&mut self, report: Report) {
        if report.ask.is_some() {
            self.withdraw(&report);
        }
        if report.spent > 0 || report.returned > 0 {
            self.reports.push_front(Report { ask: None, ..report });
        }
    }

    /// Called every 10 ms: refuses those who waited too long, sends home what wasn't needed, and tells what was spent.
    pub fn tick(&mut self, now_us: u64) {
        self.expire(now_us);
        self.lately.forget();
        // From behind, since the last takes the place of one that is forgotten.
        for place in (0..self.live.len()).rev() {
            // What couldn't be told yet is told first, so that this doesn't grow.
            if self.reports.len() >= self.rules.leases_max {
                return;
            }
            let slot = self.live[place];
            let lease = &mut self.leases[slot as usize];
            self.reports.extend(lease.tick(self.rules.holder));
            if lease.is_idle() {
                self.forget(slot);
            }
        }
    }

    /// The shard ends: who waits is refused, and everything goes home.
    pub fn close(&mut self) {
        self.expire(u64::MAX);
        for slot in &self.live {
            self.reports.extend(self.leases[*slot as usize].empty(self.rules.holder));
        }
    }

    /// What most requests come to: all tokens are in hand, of leases that need no other look. Otherwise nothing is
    /// touched.
    fn take_in_hand(&mut self, limits: &[Limit], version: u64, now_us: u64, is_new: bool) -> InHand {
        let mut slots = [0; LIMITS_PER_REQUEST_MAX];
        let mut all_known = true;
        for (slot, limit) in slots.iter_mut().zip(limits) {
            match self.index.get(&limit.id) {
                Some(found) if self.leases[*found as usize].has_token(version, now_us) => *slot = *found,
                Some(_) => return InHand::Lacking,
                None => all_known = false,
            }
        }
        if !all_known {
            return InHand::But;
        }
        for slot in &slots[..limits.len()] {
            if is_new {
                self.leases[*slot as usize].see();
            }
            self.spend(*slot, now_us);
        }
        InHand::Taken
    }

    fn spend_at_hand(&mut self, limits: &[Limit], now_us: u64, spend: impl FnOnce(&[Limit]) -> bool) -> bool {
        let (mut unknown, mut count) = ([limits[0]; LIMITS_PER_REQUEST_MAX], 0);
        let mut comes_again = false;
        for limit in limits.iter().filter(|limit| !self.index.contains_key(&limit.id)) {
            comes_again |= self.lately.note(limit.id);
            unknown[count] = *limit;
            count += 1;
        }
        if comes_again || !spend(&unknown[..count]) {
            return false;
        }
        self.counts.asks += count as u64;
        self.counts.grants += count as u64;
        for limit in limits {
            if let Some(slot) = self.index.get(&limit.id).copied() {
                self.leases[slot as usize].see();
                self.spend(slot, now_us);
            }
        }
        true
    }

    fn begin_to_lease(&mut self, limits: &[Limit], version: u64, now_us: u64) -> Begun {
        match self.attempt(limits, version, now_us, true) {
            Attempt::Admitted => Begun::Admitted,
            Attempt::Refused(refused) => Begun::Refused(refused),
            Attempt::Lacks(_) => Begun::Lacks,
        }
    }

    fn attempt(&mut self, limits: &[Limit], version: u64, now_us: u64, is_new: bool) -> Attempt {
        let mut slots = [0; LIMITS_PER_REQUEST_MAX];
        let mut lacks = None;
        for (index, limit) in limits.iter().enumerate() {
            let Some(slot) = self.slot(*limit, version, &slots[..index]) else {
                self.counts.crowded += 1;
                return Attempt::Refused(Refused { limit: index, why: Why::Crowded, retry_at_us: None });
            };
            slots[index] = slot;
            let lease = &mut self.leases[slot as usize];
            if is_new {
                lease.see();
            }
            if lease.is_overdue(now_us) {
                // Once for each answer, so that these don't grow.
                self.reports.extend(lease.empty(self.rules.holder));
            }
            if lease.in_hand == 0 {
                lacks = lacks.or(Some(slot));
            }
        }
        let slots = &slots[..limits.len()];
        if let Some(first) = lacks {
            let attempt = self.lack(slots, first, now_us, is_new);
            if is_new && matches!(attempt, Attempt::Refused(_)) {
                slots.iter().for_each(|slot| self.leases[*slot as usize].overlook());
            }
            return attempt;
        }
        slots.iter().for_each(|slot| self.spend(*slot, now_us));
        Attempt::Admitted
    }

    fn spend(&mut self, slot: u32, now_us: u64) {
        let lease = &mut self.leases[slot as usize];
        match lease.spend(now_us) {
            Spent::Nothing => {}
            Spent::Renew => self.ask(slot),
            // Otherwise it is told later, with more.
            Spent::Report if self.reports.len() < self.rules.leases_max => {
                let report = lease.report(self.rules.holder, 0);
                self.reports.push_back(report);
            }
            Spent::Report => {}
        }
    }

    /// Not all tokens are in hand: the narrowest limit that has none to give refuses; else all that lack are asked for.
    fn lack(&mut self, slots: &[u32], first: u32, now_us: u64, is_new: bool) -> Attempt {
        for (limit, slot) in slots.iter().enumerate().rev() {
            if let Some((why, retry_at_us)) = self.refusal(*slot, now_us) {
                return Attempt::Refused(Refused { limit, why, retry_at_us });
            }
        }
        for slot in slots {
            let lease = &mut self.leases[*slot as usize];
            // One that is asked for already has counted who lacks it.
            if lease.in_hand == 0 && (is_new || !lease.asked) {
                lease.lacking += 1;
                self.ask(*slot);
            }
        }
        Attempt::Lacks(first)
    }

    fn refusal(&self, slot: u32, now_us: u64) -> Option<(Why, Option<u64>)> {
        let lease = &self.leases[slot as usize];
        if lease.in_hand > 0 {
            return None;
        }
        if lease.limit.rate.is_closed() {
            return Some((Why::Closed, None));
        }
        (lease.empty_until_us > now_us).then_some((Why::Empty, Some(lease.empty_until_us)))
    }

    fn ask(&mut self, slot: u32) {
        let lease = &mut self.leases[slot as usize];
        if !lease.asked {
            lease.asked = true;
            self.asks.push_back(slot);
        }
    }

    fn wait(&mut self, slot: u32, limits: &[Limit], version: u64, now_us: u64) -> Taken {
        if self.waiters.len() >= self.rules.waiting_max {
            self.counts.crowded += 1;
            let lacks = self.leases[slot as usize].limit.id;
            let limit = limits.iter().position(|limit| limit.id == lacks).unwrap_or(0);
            return Taken::Refused(Refused { limit, why: Why::Crowded, retry_at_us: None });
        }
        self.counts.waited += 1;
        let line = &mut self.leases[slot as usize].line;
        Taken::Waits(self.waiters.join(line, Wish::new(limits, version), now_us + self.rules.wait_us))
    }

    /// Something has changed for those who wait for a lease: they try again, the first first.
    fn serve(&mut self, slot: u32, now_us: u64) {
        // Whoever tries stays in line meanwhile, which keeps the lease where it is.
        while let Some((ticket, wish)) = self.waiters.first(&mut self.leases[slot as usize].line) {
            let verdict = match self.attempt(wish.limits(), wish.version, now_us, false) {
                Attempt::Admitted => Ok(()),
                Attempt::Refused(refused) => Err(refused),
                Attempt::Lacks(other) if other == slot => return,
                Attempt::Lacks(other) => {
                    let mut line = self.leases[slot as usize].line;
                    self.waiters.move_first(&mut line, &mut self.leases[other as usize].line);
                    self.leases[slot as usize].line = line;
                    continue;
                }
            };
            self.waiters.dismiss_first(&mut self.leases[slot as usize].line);
            self.verdicts.push_back((ticket, verdict));
        }
    }

    fn expire(&mut self, now_us: u64) {
        let Self { waiters, verdicts, index, leases, counts, .. } = self;
        waiters.expire(now_us, |ticket, wish| {
            let lacks =
                |limit: &Limit| index.get(&limit.id).is_some_and(|slot| leases[*slot as usize].in_hand == 0);
            let limit = wish.limits().iter().position(lacks).unwrap_or(0);
            counts.timed_out += 1;
            verdicts.push_back((ticket, Err(Refused { limit, why: Why::TimedOut, retry_at_us: None })));
        });
    }

    /// Those who wait for what a report asks for wait in vain.
    fn withdraw(&mut self, report: &Report) {
        let Some(slot) = self.index.get(&report.limit.id) else { return };
        let lease = &mut self.leases[*slot as usize];
        lease.asked = false;
        lease.lacking = 0;
        while let Some((ticket, wish)) = self.waiters.first(&mut lease.line) {
            let limit = wish.limits().iter().position(|limit| limit.id == report.limit.id).unwrap_or(0);
            self.waiters.dismiss_first(&mut lease.line);
            self.counts.crowded += 1;
            self.verdicts.push_back((ticket, Err(Refused { limit, why: Why::Crowded, retry_at_us: None })));
        }
    }

    /// Where a limit's lease is; made if it isn't there and there is room beside those that are `kept`.
    fn slot(&mut self, limit: Limit, version: u64, kept: &[u32]) -> Option<u32> {
        let Some(slot) = self.index.get(&limit.id).copied() else { return self.add(limit, version, kept) };
        let lease = &mut self.leases[slot as usize];
        if version > lease.version {
            lease.adopt(limit, version, self.reporting.at(limit.rate));
            if limit.rate.is_closed() {
                self.reports.extend(lease.empty(self.rules.holder));
            }
        }
        Some(slot)
    }

    fn add(&mut self, limit: Limit, version: u64, kept: &[u32]) -> Option<u32> {
        if self.index.len() >= self.rules.leases_max && !self.make_room(kept) {
            return None;
        }
        let report_at = self.reporting.at(limit.rate);
        let lease = Lease::new(limit, version, report_at, self.live.len() as u32);
        let slot = match self.free.pop() {
            Some(slot) => {
                self.leases[slot as usize] = lease;
                slot
            }
            None => {
                self.leases.push(lease);
                self.leases.len() as u32 - 1
            }
        };
        self.live.push(slot);
        self.index.insert(limit.id, slot);
        Some(slot)
    }

    /// Ends a lease before its time.
    fn make_room(&mut self, kept: &[u32]) -> bool {
        if self.reports.len() >= self.rules.leases_max {
            return false;
        }
        for _ in 0..LOOKS_MAX.min(self.live.len()) {
            self.hand = (self.hand + 1) % self.live.len();
            let slot = self.live[self.hand];
            let lease = &mut self.leases[slot as usize];
            if lease.is_still() && !kept.contains(&slot) {
                self.reports.extend(lease.empty(self.rules.holder));
                self.forget(slot);
                return true;
            }
        }
        false
    }

    fn forget(&mut self, slot: u32) {
        let Lease { place, limit, .. } = self.leases[slot as usize];
        self.live.swap_remove(place as usize);
        if let Some(moved) = self.live.get(place as usize) {
            self.leases[*moved as usize].place = place;
        }
        self.index.remove(&limit.id);
        self.free.push(slot);
    }
}

#[cfg(test)]
mod tests;
