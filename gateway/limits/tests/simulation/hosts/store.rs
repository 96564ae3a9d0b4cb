//! What a store does in one atomic script, for one limit.

use std::collections::BTreeMap;

use turnpike_limits::{Exchange, Loan, Rate, Reply};

const TOKEN: i128 = 1_000_000_000_000;

/// How long tokens are lent.
pub(crate) const LEASE_US: u64 = 2_000_000;

#[derive(Debug, Clone, Default)]
struct Lent {
    loan: Loan,
    number: u64,
    held: u64,
    spent: u64,
    expires_us: u64,
    over: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Store {
    rate: Rate,
    hosts: u64,
    /// Units, at `as_of_us`.
    spent: i128,
    as_of_us: u64,
    /// Nothing comes back before.
    fills_from_us: u64,
    /// Of each process that was ever heard of.
    lent: BTreeMap<u64, Lent>,
}

impl Store {
    pub(crate) fn new(rate: Rate, hosts: usize) -> Self {
        Self { rate, hosts: hosts as u64, spent: 0, as_of_us: 0, fills_from_us: 0, lent: BTreeMap::new() }
    }

    /// It may have forgotten answers: all loans are fenced off, and when they are over, a burst begins to come back.
    pub(crate) fn take_over(&mut self, now_us: u64) {
        self.spent = self.spent.max(i128::from(self.rate.burst_tokens()) * TOKEN);
        self.lent.clear();
        (self.as_of_us, self.fills_from_us) = (now_us, now_us + LEASE_US);
    }

    pub(crate) fn handle(&mut self, process: u64, exchange: &Exchange, now_us: u64) -> Option<Reply> {
        self.advance(now_us);
        let Exchange { loan, number, .. } = *exchange;
        let reply = |granted, empty_us, fenced| {
            Some(Reply { id: exchange.limit.id, loan, number, granted, empty_us, fenced })
        };
        if number > 1 && !self.lent.contains_key(&process) {
            return reply(0, 0, true);
        }
        let lent = self.lent.entry(process).or_default();
        if loan.0 > lent.loan.0 {
            // What was lent before is spent, as far as anybody knows.
            self.spent += i128::from(lent.held) * TOKEN;
            *lent = Lent { loan, ..Lent::default() };
        }
        if (loan.0, number) <= (lent.loan.0, lent.number) {
            return None;
        }
        lent.number = number;
        if lent.over {
            return reply(0, 0, true);
        }
        let (held, spent) = (u64::from(exchange.held), exchange.spent - lent.spent);
        assert!(held + spent <= lent.held, "{exchange:?} of {lent:?}: no host makes tokens");
        // The rest was granted in replies that were lost, and that the host will not take any more.
        (lent.held, lent.spent) = (held, exchange.spent);
        self.spent += i128::from(spent) * TOKEN;
        let room = self.room();
        let (needed, liked) = (u64::from(exchange.needed), u64::from(exchange.liked));
        let share = room.saturating_sub(needed) / (2 * self.hosts);
        let granted = room.min(needed + liked.min(share));
        let lent = self.lent.get_mut(&process)?;
        lent.held += granted;
        lent.expires_us = now_us + LEASE_US;
        reply(granted as u32, if granted < needed { self.until_one_us() } else { 0 }, false)
    }

    /// A clock that goes back took nobody's time: what is lent stays lent for as long as it was.
    fn advance(&mut self, now_us: u64) {
        let back_us = self.as_of_us.saturating_sub(now_us);
        let elapsed_us = now_us.saturating_sub(self.as_of_us.max(self.fills_from_us));
        let refill = i128::from(self.rate.micro_tokens_per_s()) * i128::from(elapsed_us);
        self.spent = (self.spent - refill).max(0);
        self.as_of_us = now_us;
        for lent in self.lent.values_mut() {
            lent.expires_us = lent.expires_us.saturating_sub(back_us);
            if !lent.over && lent.number > 0 && lent.expires_us <= now_us {
                self.spent += i128::from(std::mem::take(&mut lent.held)) * TOKEN;
                lent.over = true;
            }
        }
    }

    fn room(&self) -> u64 {
        let held: u64 = self.lent.values().map(|lent| lent.held).sum();
        let taken = i128::from(held) * TOKEN + self.spent;
        ((i128::from(self.rate.burst_tokens()) * TOKEN - taken).max(0) / TOKEN) as u64
    }

    fn until_one_us(&self) -> u64 {
        let partly = self.spent.rem_euclid(TOKEN).max(1);
        (partly as u64).div_ceil(self.rate.micro_tokens_per_s()).max(1_000)
    }
}
