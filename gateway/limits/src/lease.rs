//! One limit's tokens on one shard.

use crate::waiters::Line;
use crate::{Answer, Ask, Holder, Limit, Loan, Rate, Report};

/// Fewer requests than this between two ticks, and nothing is kept over the second.
const BUSY_REQUESTS: u32 = 8;
/// A lease that began with fewer isn't renewed ahead of need.
const RENEWED_TOKENS: u32 = 8;
/// A bucket that is refilled faster than this must hear of what was spent before the tick.
const PROMPT_US: u64 = 40_000;

/// What is looked at with each request lies on one line of the core's cache.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Lease {
    pub(crate) version: u64,
    valid_until_us: u64,
    spent_us: u64,
    /// Tokens that may be spent.
    pub(crate) in_hand: u32,
    /// Spent, and the authority wasn't told.
    unreported: u32,
    /// So many unreported are reported at once.
    report_at: u32,
    /// More is asked for when so many are left; 0: not ahead of need.
    renew_at: u32,
    /// Requests since the last tick, and in the time between the two before.
    seen: u32,
    seen_before: u32,
    /// An ask is on its way.
    pub(crate) asked: bool,
    /// `empty_until_us` is from a newer configuration than the lease's, which may have another rate.
    empty_as_of_newer: bool,
    /// Requests that lacked a token since it was asked.
    pub(crate) lacking: u32,

    pub(crate) limit: Limit,
    /// Of those in hand.
    loan: Loan,
    pub(crate) empty_until_us: u64,
    pub(crate) line: Line,
    /// Index among those in use.
    pub(crate) place: u32,
}

/// What has to be told after a token was spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spent {
    Nothing,
    Report,
    Renew,
}

impl Lease {
    pub(crate) fn new(limit: Limit, version: u64, report_at: u32, place: u32) -> Self {
        Self {
            limit,
            version,
            in_hand: 0,
            loan: Loan::default(),
            valid_until_us: 0,
            unreported: 0,
            spent_us: 0,
            report_at,
            renew_at: 0,
            empty_until_us: 0,
            empty_as_of_newer: false,
            asked: false,
            lacking: 0,
            seen: 0,
            seen_before: 0,
            line: Line::default(),
            place,
        }
    }

    /// Takes a newer configuration's rate: what was known of the older one's bucket isn't true any more.
    pub(crate) fn adopt(&mut self, limit: Limit, version: u64, report_at: u32) {
        self.version = version;
        let of_another = std::mem::take(&mut self.empty_as_of_newer);
        if of_another || limit.rate != self.limit.rate {
            self.limit = limit;
            self.empty_until_us = 0;
            self.report_at = report_at;
        }
    }

    /// Whether there is one to spend, of a configuration that isn't older than the request's.
    pub(crate) fn has_token(&self, version: u64, now_us: u64) -> bool {
        self.in_hand > 0 && self.version >= version && now_us < self.valid_until_us
    }

    pub(crate) fn see(&mut self) {
        self.seen = self.seen.saturating_add(1);
    }

    /// A request that was seen was refused by another limit: it needed none of the tokens in hand.
    pub(crate) fn overlook(&mut self) {
        if self.in_hand > 0 {
            self.seen = self.seen.saturating_sub(1);
        }
    }

    /// Nothing where there is no token: then two of the request's limits share this one, and it was spent.
    pub(crate) fn spend(&mut self, now_us: u64) -> Spent {
        if self.in_hand == 0 {
            return Spent::Nothing;
        }
        self.in_hand -= 1;
        self.unreported += 1;
        self.spent_us = now_us;
        if self.in_hand < self.renew_at && !self.asked {
            return Spent::Renew;
        }
        if self.unreported >= self.report_at { Spent::Report } else { Spent::Nothing }
    }

    /// Nothing is on its way, nobody waits.
    pub(crate) fn is_still(&self) -> bool {
        !self.asked && self.line.len == 0
    }

    pub(crate) fn receive(&mut self, answer: &Answer) {
        self.asked = false;
        self.lacking = 0;
        if answer.loan != self.loan {
            // Whoever granted the others has written them off.
            (self.loan, self.in_hand, self.unreported) = (answer.loan, 0, 0);
        }
        self.valid_until_us = answer.valid_until_us;
        self.in_hand += answer.granted;
        let renews = answer.granted >= RENEWED_TOKENS && answer.empty_until_us == 0;
        self.renew_at = if renews { self.in_hand / 4 } else { 0 };
        if answer.version >= self.version && answer.empty_until_us > 0 {
            self.empty_until_us = answer.empty_until_us;
            self.empty_as_of_newer = answer.version > self.version;
        }
    }

    /// For those who wait, and as much beyond as was asked for lately.
    pub(crate) fn ask(&mut self, holder: Holder) -> Report {
        let needed = self.lacking.max(self.line.len);
        let expected = self.seen.max(self.seen_before);
        let liked = expected.saturating_sub(needed).saturating_sub(self.in_hand);
        Report { ask: Some(Ask { needed, liked }), ..self.report(holder, 0) }
    }

    /// Tells what was spent, and gives some tokens back.
    pub(crate) fn report(&mut self, holder: Holder, returned: u32) -> Report {
        self.in_hand -= returned;
        Report {
            holder,
            limit: self.limit,
            version: self.version,
            spent: std::mem::take(&mut self.unreported),
            spent_us: self.spent_us,
            returned,
            loan: self.loan,
            ask: None,
        }
    }

    /// Ends the time between two ticks: what is told of it, if anything. Tokens that weren't needed go home.
    pub(crate) fn tick(&mut self, holder: Holder) -> Option<Report> {
        let kept = if self.seen >= BUSY_REQUESTS { self.seen } else { 0 };
        let returned = self.in_hand.saturating_sub(kept);
        self.seen_before = std::mem::take(&mut self.seen);
        (returned > 0 || self.unreported > 0).then(|| self.report(holder, returned))
    }

    /// Whether tokens are in hand that must not be spent any more.
    pub(crate) fn is_overdue(&self, now_us: u64) -> bool {
        now_us >= self.valid_until_us && self.in_hand > 0
    }

    /// Whether nothing happened between the last two ticks, so that nothing is lost with it.
    pub(crate) fn is_idle(&self) -> bool {
        self.is_still() && self.seen_before == 0 && self.in_hand == 0 && self.unreported == 0
    }

    /// Everything, at an end.
    pub(crate) fn empty(&mut self, holder: Holder) -> Option<Report> {
        (self.in_hand > 0 || self.unreported > 0).then(|| self.report(holder, self.in_hand))
    }
}

/// How many tokens a lease spends before it tells. Of many keys with the same rate, worked out once: it takes a division
/// of 128 bits.
#[derive(Debug)]
pub(crate) struct Reporting {
    holders: usize,
    last: Option<(Rate, u32)>,
}

impl Reporting {
    pub(crate) fn new(holders: usize) -> Self {
        Self { holders, last: None }
    }

    pub(crate) fn at(&mut self, rate: Rate) -> u32 {
        match self.last {
            Some((known, report_at)) if known == rate => report_at,
            _ => {
                let report_at = report_at(rate, self.holders);
                self.last = Some((rate, report_at));
                report_at
            }
        }
    }
}

/// All shards together keep less than a quarter of the burst from being refilled.
fn report_at(rate: Rate, holders: usize) -> u32 {
    let refilled_us = rate.refill_us(u128::from(rate.burst_tokens()) * crate::rate::TOKEN);
    if refilled_us >= PROMPT_US { u32::MAX } else { (rate.burst_tokens() / (4 * holders as u32)).max(1) }
}
