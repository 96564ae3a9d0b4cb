//! A host's side, where several share their limits: the authority of its shards, itself a holder at a store.
//!
//! Between shards and their authority no message is lost and nobody ends unnoticed; between hosts both happen. So what
//! a host tells the store is absolute (what it holds, what it has spent in all), each exchange has a number, and tokens
//! are lent for a time: the host measures it from when it asked, the store from when it heard, so that the host's ends
//! first. What isn't spoken of in time counts as spent, and a [`Loan`] that is over is fenced off by the next. At the
//! store `outstanding + spent(t) <= burst` holds whenever it lends, which is all that `bucket.rs`'s proof asks for:
//!
//! `admitted on all hosts <= burst + rate * window`
//!
//! A store of several servers keeps each of the [`Parts`] on one of them. While a part can't be reached, what was lent is good
//! until its time is over; what then is [`Partition`]'s to say. A burst more may be admitted each time that hosts go over to
//! their shares. A store that may have lost what it answered has to fence all loans, and lend nothing until they are over and
//! a burst has come back since: then the bound above holds on.
//!
//! The caller carries [`Report`]s to [`Host::handle`], [`Answer`]s from [`Host::poll_answer`], [`Exchange`]s from
//! [`Host::poll_exchange`] and [`Reply`]s to [`Host::handle_reply`]. Exchanges may be lost, be doubled, or overtake
//! each other. Memory is bounded by `limits_max`: about 250 bytes for each, and 4 more for each shard.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use crate::purse::Purse;
use crate::{Answer, Ask, Holder, Limit, LimitId, LimiterCounts, Loan, Partition, Parts, Report};

/// How often it speaks at least of what it holds.
const TICK_US: u64 = 50_000;
/// When a shard may ask again for a limit that there was no room for, or that is closed for want of a store.
const AGAIN_US: u64 = 10_000;
/// Of tokens that nobody counts.
const UNCOUNTED: Loan = Loan(u64::MAX);

#[derive(Debug, Clone, Copy)]
pub struct HostRules {
    /// Shards, at most 65,535.
    pub holders: usize,
    pub limits_max: usize,
    /// How long the store lends tokens; longer than an exchange may take.
    pub lease_us: u64,
    /// Of limits that don't say.
    pub partition: Partition,
}

/// What a host tells the store of one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exchange {
    pub limit: Limit,
    pub version: u64,
    /// Larger than all before it of this host, and so is `number` within it.
    pub loan: Loan,
    pub number: u64,
    /// Tokens that it keeps.
    pub held: u32,
    /// In this loan.
    pub spent: u64,
    /// For requests that wait.
    pub needed: u32,
    /// Beyond those.
    pub liked: u32,
}

/// What the store answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    pub id: LimitId,
    pub loan: Loan,
    pub number: u64,
    pub granted: u32,
    /// How long asking again is in vain.
    pub empty_us: u64,
    /// The loan is over: nothing of it may be spent.
    pub fenced: bool,
}

#[derive(Debug)]
pub struct Host {
    rules: HostRules,
    purses: FxHashMap<LimitId, Purse>,
    /// Those that have something to say to the store.
    wants: VecDeque<LimitId>,
    /// When each purse ticks next, the soonest first.
    due: VecDeque<(u64, LimitId)>,
    answers: VecDeque<Answer>,
    /// Loans that were begun.
    loans: u64,
    /// Hosts that share the store, this one among them; 0 as long as nobody has said.
    hosts: u32,
    /// What of the store can't be reached.
    cut: Parts,
    counts: LimiterCounts,
}

impl Host {
    #[must_use]
    pub fn new(rules: HostRules) -> Self {
        Self {
            rules,
            purses: FxHashMap::default(),
            wants: VecDeque::new(),
            due: VecDeque::new(),
            answers: VecDeque::new(),
            loans: 0,
            hosts: 0,
            cut: Parts::NONE,
            counts: LimiterCounts::default(),
        }
    }

    /// Limits that are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.purses.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.purses.is_empty()
    }

    #[must_use]
    pub fn counts(&self) -> LimiterCounts {
        self.counts
    }

    /// Hears a shard's report. What it asks for is answered, now or later.
    pub fn handle(&mut self, report: &Report, now_us: u64) {
        self.counts.asks += u64::from(report.ask.is_some());
        let id = report.limit.id;
        if !self.purses.contains_key(&id) && !self.begin_purse(report, now_us) {
            return;
        }
        if let Some(purse) = self.purses.get_mut(&id) {
            purse.hear(report);
            self.serve(id, now_us);
        }
    }

    /// What a shard is told next.
    pub fn poll_answer(&mut self) -> Option<Answer> {
        let answer = self.answers.pop_front()?;
        self.counts.granted_tokens += u64::from(answer.granted);
        self.counts.empty += u64::from(answer.empty_until_us > 0);
        Some(answer)
    }

    /// What the store is told next.
    pub fn poll_exchange(&mut self, now_us: u64) -> Option<Exchange> {
        while let Some(id) = self.wants.pop_front() {
            let Some(purse) = self.purses.get_mut(&id) else { continue };
            purse.wants = false;
            if purse.is_asked() || self.cut.has(id.part()) {
                continue;
            }
            if purse.is_overdue(now_us) {
                purse.begin(next(&mut self.loans), now_us);
            }
            return Some(purse.exchange(now_us));
        }
        None
    }

    pub fn handle_reply(&mut self, reply: &Reply, now_us: u64) {
        let Some(purse) = self.purses.get_mut(&reply.id) else { return };
        if !purse.take(reply, self.rules.lease_us, now_us) {
            return;
        }
        if reply.fenced {
            purse.begin(next(&mut self.loans), now_us);
        }
        self.serve(reply.id, now_us);
    }

    /// So many hosts reach the store, as far as it knows.
    pub fn handle_hosts(&mut self, hosts: u32) {
        self.hosts = hosts;
    }

    /// What of the store can't be reached now: what it was asked of that isn't answered any more.
    pub fn handle_cut(&mut self, cut: Parts, now_us: u64) {
        let before = std::mem::replace(&mut self.cut, cut);
        self.come_back(&before.without(&cut), now_us);
        self.go_apart(&cut.without(&before), now_us);
    }

    fn come_back(&mut self, parts: &Parts, now_us: u64) {
        if parts.is_empty() {
            return;
        }
        for (id, purse) in self.purses.iter_mut().filter(|(id, _)| parts.has(id.part())) {
            if purse.apart {
                purse.come_back(next(&mut self.loans), now_us);
            }
            if (purse.has_to_ask() || purse.has_to_tell()) && !std::mem::replace(&mut purse.wants, true) {
                self.wants.push_back(*id);
            }
        }
    }

    fn go_apart(&mut self, parts: &Parts, now_us: u64) {
        if parts.is_empty() {
            return;
        }
        let ids: Vec<LimitId> = self.purses.keys().filter(|id| parts.has(id.part())).copied().collect();
        for id in ids {
            if let Some(purse) = self.purses.get_mut(&id) {
                purse.forget_ask();
            }
            self.serve(id, now_us);
        }
    }

    /// A shard is gone, and nothing more will be heard of it.
    pub fn end(&mut self, holder: Holder, now_us: u64) {
        self.purses.values_mut().for_each(|purse| purse.end(holder, now_us));
    }

    /// When [`Self::tick`] has something to do.
    #[must_use]
    pub fn due_us(&self) -> Option<u64> {
        self.due.front().map(|(due_us, _)| *due_us)
    }

    /// Tells the store of what is held, sends home what isn't needed, and forgets limits that nobody uses.
    pub fn tick(&mut self, now_us: u64) {
        while let Some((_, id)) = self.due.pop_front_if(|(due_us, _)| *due_us <= now_us) {
            let Some(purse) = self.purses.get_mut(&id) else { continue };
            purse.tick();
            if purse.is_overdue(now_us) && !purse.apart {
                purse.begin(next(&mut self.loans), now_us);
            }
            if purse.is_idle(now_us) {
                self.purses.remove(&id);
                self.counts.forgotten += 1;
                continue;
            }
            if (purse.has_to_tell() || purse.has_to_ask()) && !std::mem::replace(&mut purse.wants, true) {
                self.wants.push_back(id);
            }
            self.due.push_back((now_us + TICK_US, id));
        }
    }

    /// False if there is no room for one who asks, or nobody asks.
    fn begin_purse(&mut self, report: &Report, now_us: u64) -> bool {
        if report.ask.is_none() {
            return false;
        }
        let purse = Purse::new(report.limit, report.version, next(&mut self.loans), self.rules.holders);
        if self.purses.len() >= self.rules.limits_max {
            self.counts.crowded += 1;
            self.answers.push_back(purse.answer(report.holder, 0, now_us + AGAIN_US));
            return false;
        }
        self.purses.insert(report.limit.id, purse);
        self.due.push_back((now_us + TICK_US, report.limit.id));
        true
    }

    /// Answers the shards that wait, as far as that can be done; the store is asked for the others.
    fn serve(&mut self, id: LimitId, now_us: u64) {
        let Some(purse) = self.purses.get_mut(&id) else { return };
        self.answers.extend(std::iter::from_fn(|| purse.poll_answer(now_us)));
        if !purse.has_to_ask() {
            return;
        }
        if !self.cut.has(id.part()) {
            if !std::mem::replace(&mut purse.wants, true) {
                self.wants.push_back(id);
            }
            return;
        }
        if !purse.apart {
            purse.go_apart(next(&mut self.loans), now_us);
        }
        let rate = purse.limit.rate;
        let partition = rate.partition().unwrap_or(self.rules.partition);
        let until_us = now_us + self.rules.lease_us;
        if partition == Partition::Share && self.hosts > 0 {
            purse.share(Limit { id, rate: rate.divided(self.hosts) }, now_us);
            self.answers.extend(std::iter::from_fn(|| purse.poll_own_answer(until_us, now_us)));
        }
        let is_open = partition == Partition::Open;
        while let Some((holder, ask)) = purse.poll_ask() {
            let closed = purse.answer(holder, 0, now_us + AGAIN_US);
            self.answers.push_back(if is_open { uncounted(closed, ask, until_us) } else { closed });
        }
    }
}

fn next(loans: &mut u64) -> Loan {
    *loans += 1;
    Loan(*loans)
}

fn uncounted(closed: Answer, ask: Ask, valid_until_us: u64) -> Answer {
    let granted = ask.needed.saturating_add(ask.liked);
    Answer { granted, loan: UNCOUNTED, valid_until_us, empty_until_us: 0, ..closed }
}

#[cfg(test)]
mod tests;
