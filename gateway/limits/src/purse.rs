//! One limit's tokens on one host: lent by the store, and given on to the shards.

use std::collections::VecDeque;

use crate::bucket::Bucket;
use crate::{Answer, Ask, Exchange, Holder, Limit, Loan, Reply, Report};

/// By how much clocks of two hosts may differ in speed: 0.1 %, five times what NTP lets them.
const DRIFT_ONE_IN: u64 = 1_000;

#[derive(Debug)]
pub(crate) struct Purse {
    pub(crate) limit: Limit,
    pub(crate) version: u64,
    loan: Loan,
    /// Of the loan's last exchange; 0 before the first.
    number: u64,
    in_hand: u32,
    /// Tokens that it has as far as the store was told.
    lent: u32,
    /// With each shard.
    out: Vec<u32>,
    /// In this loan, and what the store was told of.
    spent: u64,
    spent_told: u64,
    valid_until_us: u64,
    empty_until_us: u64,
    /// Since then an answer of the store is waited for.
    asked_us: Option<u64>,
    /// Tokens that shards needed since the last tick, and between the two before.
    seen: u32,
    seen_before: u32,
    /// It is among those that have something to say to the store.
    pub(crate) wants: bool,
    /// Since the store can't be reached, tokens are given out without it.
    pub(crate) apart: bool,
    /// Of this host alone, for such times.
    own: Option<Bucket>,
    pending: VecDeque<Pending>,
}

/// A shard's ask that isn't answered yet.
#[derive(Debug)]
struct Pending {
    holder: Holder,
    ask: Ask,
    /// The store was asked for it.
    covered: bool,
}

impl Purse {
    pub(crate) fn new(limit: Limit, version: u64, loan: Loan, holders: usize) -> Self {
        Self {
            limit,
            version,
            loan,
            number: 0,
            in_hand: 0,
            lent: 0,
            out: vec![0; holders],
            spent: 0,
            spent_told: 0,
            valid_until_us: 0,
            empty_until_us: 0,
            asked_us: None,
            seen: 0,
            seen_before: 0,
            wants: false,
            apart: false,
            own: None,
            pending: VecDeque::new(),
        }
    }

    /// Nothing that was lent may be given out any more; what shards say of it isn't listened to.
    pub(crate) fn begin(&mut self, loan: Loan, now_us: u64) {
        if let Some(own) = self.own.as_mut().filter(|_| self.apart) {
            own.spend(self.out.iter().sum(), now_us);
        }
        self.loan = loan;
        (self.number, self.in_hand, self.spent, self.spent_told) = (0, 0, 0, 0);
        self.valid_until_us = 0;
        self.out.fill(0);
        self.forget_ask();
        self.lent = 0;
    }

    /// No answer of the store is waited for any more.
    pub(crate) fn forget_ask(&mut self) {
        if self.asked_us.take().is_some() {
            // It may have lent something.
            self.lent = self.lent.max(1);
        }
        self.pending.iter_mut().for_each(|pending| pending.covered = false);
    }

    /// Gives out no token of the store's any more.
    pub(crate) fn go_apart(&mut self, loan: Loan, now_us: u64) {
        self.begin(loan, now_us);
        (self.apart, self.empty_until_us) = (true, 0);
    }

    /// Apart, it gives tokens out by a share of the limit that is this host's own.
    pub(crate) fn share(&mut self, own: Limit, now_us: u64) {
        let version = self.version;
        self.own.get_or_insert_with(|| Bucket::full(own, version)).adopt(own.rate, version, now_us);
    }

    pub(crate) fn come_back(&mut self, loan: Loan, now_us: u64) {
        self.begin(loan, now_us);
        self.apart = false;
        self.empty_until_us = 0;
    }

    /// What a shard has spent and what comes back from it; then what it asks for.
    pub(crate) fn hear(&mut self, report: &Report) {
        if report.version > self.version {
            self.version = report.version;
            if report.limit.rate != self.limit.rate {
                self.limit = report.limit;
                self.empty_until_us = 0;
            }
        }
        if report.loan == self.loan {
            self.settle(report);
        }
        if let Some(ask) = report.ask {
            self.seen = self.seen.saturating_add(ask.needed);
            self.pending.push_back(Pending { holder: report.holder, ask, covered: false });
        }
    }

    fn settle(&mut self, report: &Report) {
        let out = &mut self.out[usize::from(report.holder.0)];
        // Never more than it has, so that no shard's mistake makes tokens.
        let spent = report.spent.min(*out);
        let returned = report.returned.min(*out - spent);
        *out -= spent + returned;
        if !self.apart {
            self.spent += u64::from(spent);
            self.in_hand = self.in_hand.saturating_add(returned);
            self.seen = self.seen.saturating_sub(returned);
        } else if let Some(own) = &mut self.own {
            own.take_back(returned);
            if spent > 0 {
                own.spend(spent, report.spent_us);
            }
        }
    }

    /// A shard is gone: what it held counts as spent.
    pub(crate) fn end(&mut self, holder: Holder, now_us: u64) {
        let tokens = std::mem::take(&mut self.out[usize::from(holder.0)]);
        match &mut self.own {
            Some(own) if self.apart => own.spend(tokens, now_us),
            _ => self.spent += u64::from(tokens),
        }
        self.pending.retain(|pending| pending.holder != holder);
    }

    /// The next ask is answered, if it can be without the store.
    pub(crate) fn poll_answer(&mut self, now_us: u64) -> Option<Answer> {
        let first = self.pending.front()?;
        let (holder, ask, covered) = (first.holder, first.ask, first.covered);
        let room = self.room(now_us);
        let is_empty = room == 0 && now_us < self.empty_until_us;
        if room == 0 && !covered && !is_empty {
            return None;
        }
        self.pending.pop_front();
        let granted = self.grant(holder, ask, room);
        let empty_until_us = if granted < ask.needed { self.empty_until_us } else { 0 };
        Some(self.answer(holder, granted, empty_until_us))
    }

    /// Tokens that may be given to shards.
    fn room(&self, now_us: u64) -> u32 {
        if now_us < self.valid_until_us && !self.apart { self.in_hand } else { 0 }
    }

    /// Whoever waits first; beyond that a share of what is left when all who wait have theirs.
    fn grant(&mut self, holder: Holder, ask: Ask, room: u32) -> u32 {
        let needed = self.needed().saturating_add(ask.needed);
        let share = room.saturating_sub(needed) / (2 * self.out.len() as u32);
        let granted = room.min(ask.needed.saturating_add(ask.liked.min(share)));
        self.in_hand -= granted;
        let out = &mut self.out[usize::from(holder.0)];
        *out = out.saturating_add(granted);
        self.seen = self.seen.saturating_add(granted.saturating_sub(ask.needed));
        granted
    }

    /// As [`Self::poll_answer`], of this host's own share.
    pub(crate) fn poll_own_answer(&mut self, valid_until_us: u64, now_us: u64) -> Option<Answer> {
        let own = self.own.as_mut()?;
        let Pending { holder, ask, .. } = self.pending.pop_front()?;
        let room = own.room(now_us);
        let granted = room.min(ask.needed);
        own.lease(granted);
        self.out[usize::from(holder.0)] += granted;
        let empty_until_us = if granted < ask.needed { own.empty_until_us(now_us) } else { 0 };
        self.valid_until_us = valid_until_us;
        Some(self.answer(holder, granted, empty_until_us))
    }

    /// An ask that neither the store nor a share decides.
    pub(crate) fn poll_ask(&mut self) -> Option<(Holder, Ask)> {
        self.pending.pop_front().map(|pending| (pending.holder, pending.ask))
    }

    pub(crate) fn answer(&self, holder: Holder, granted: u32, empty_until_us: u64) -> Answer {
        Answer {
            holder,
            id: self.limit.id,
            version: self.version,
            granted,
            loan: self.loan,
            valid_until_us: self.valid_until_us,
            empty_until_us,
        }
    }

    /// Whether shards wait for what the store hasn't been asked for.
    pub(crate) fn has_to_ask(&self) -> bool {
        self.pending.iter().any(|pending| !pending.covered)
    }

    pub(crate) fn has_to_tell(&self) -> bool {
        self.lent > 0 || self.spent > self.spent_told
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.asked_us.is_some()
    }

    /// Its time is over, and no answer is under way that could prolong it.
    pub(crate) fn is_overdue(&self, now_us: u64) -> bool {
        self.number > 0 && now_us >= self.valid_until_us && !self.is_asked()
    }

    /// Whether nothing is lost with it.
    pub(crate) fn is_idle(&self, now_us: u64) -> bool {
        let own_is_full = self.own.as_ref().is_none_or(|own| own.is_full(now_us));
        !self.is_asked() && self.pending.is_empty() && !self.has_to_tell() && own_is_full
    }

    /// Ends the time between two ticks: what wasn't needed goes home with the next exchange.
    pub(crate) fn tick(&mut self) {
        let out = self.held() - self.in_hand;
        self.in_hand = self.in_hand.min(self.seen.saturating_sub(out));
        self.seen_before = std::mem::take(&mut self.seen);
    }

    pub(crate) fn exchange(&mut self, now_us: u64) -> Exchange {
        let needed = self.needed();
        let wished = self.pending.iter().fold(0_u32, |sum, pending| sum.saturating_add(pending.ask.liked));
        self.pending.iter_mut().for_each(|pending| pending.covered = true);
        let expected = self.seen.max(self.seen_before);
        let held = self.held();
        self.lent = held;
        let liked = wished.max(expected.saturating_sub(needed).saturating_sub(held));
        self.asked_us = Some(now_us);
        self.number += 1;
        self.spent_told = self.spent;
        Exchange {
            limit: self.limit,
            version: self.version,
            loan: self.loan,
            number: self.number,
            held,
            spent: self.spent,
            needed,
            liked,
        }
    }

    /// Whether it is the answer that is waited for.
    pub(crate) fn take(&mut self, reply: &Reply, lease_us: u64, now_us: u64) -> bool {
        let Some(asked_us) = self.asked_us else { return false };
        if (reply.loan, reply.number) != (self.loan, self.number) {
            return false;
        }
        self.asked_us = None;
        if !reply.fenced {
            self.in_hand = self.in_hand.saturating_add(reply.granted);
            self.lent = self.lent.saturating_add(reply.granted);
            self.valid_until_us = asked_us + lease_us - lease_us / DRIFT_ONE_IN;
            self.empty_until_us = if reply.empty_us > 0 { now_us.saturating_add(reply.empty_us) } else { 0 };
        }
        true
    }

    fn needed(&self) -> u32 {
        self.pending.iter().fold(0, |sum, pending| sum.saturating_add(pending.ask.needed))
    }

    fn held(&self) -> u32 {
        self.out.iter().fold(self.in_hand, |sum, tokens| sum.saturating_add(*tokens))
    }
}
