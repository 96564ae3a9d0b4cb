//! What a store does in one atomic script, for one limit.

use std::collections::BTreeMap;

use turnpike_limits::Rate;

const TOKEN: i128 = 1_000_000_000_000;

/// How long tokens are lent.
pub(crate) const LEASE_US: u64 = 2_000_000;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Exchange {
    pub(crate) host: usize,
    pub(crate) generation: u64,
    /// Of the exchange, within its generation.
    pub(crate) number: u64,
    /// Tokens that it keeps.
    pub(crate) held: u64,
    /// In this generation.
    pub(crate) spent: u64,
    pub(crate) needed: u64,
    pub(crate) liked: u64,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Reply {
    pub(crate) generation: u64,
    pub(crate) number: u64,
    pub(crate) granted: u64,
    /// How long asking again is in vain.
    pub(crate) empty_us: u64,
    /// The generation is over: nothing that was lent in it may be spent.
    pub(crate) fenced: bool,
}

#[derive(Debug, Default)]
struct Lent {
    generation: u64,
    number: u64,
    held: u64,
    spent: u64,
    expires_us: u64,
    over: bool,
}

#[derive(Debug)]
pub(crate) struct Store {
    rate: Rate,
    hosts: u64,
    /// Units, at `as_of_us`.
    spent: i128,
    as_of_us: u64,
    lent: BTreeMap<usize, Lent>,
}

impl Store {
    pub(crate) fn new(rate: Rate, hosts: usize) -> Self {
        Self { rate, hosts: hosts as u64, spent: 0, as_of_us: 0, lent: BTreeMap::new() }
    }

    pub(crate) fn handle(&mut self, exchange: &Exchange, now_us: u64) -> Option<Reply> {
        self.advance(now_us);
        let lent = self.lent.entry(exchange.host).or_default();
        if exchange.generation > lent.generation {
            // What was lent to its predecessor is spent, as far as anybody knows.
            self.spent += i128::from(lent.held) * TOKEN;
            *lent = Lent { generation: exchange.generation, ..Lent::default() };
        }
        if (exchange.generation, exchange.number) <= (lent.generation, lent.number) {
            return None;
        }
        lent.number = exchange.number;
        let (generation, number) = (exchange.generation, exchange.number);
        if lent.over {
            return Some(Reply { generation, number, granted: 0, empty_us: 0, fenced: true });
        }
        let spent = exchange.spent - lent.spent;
        assert!(exchange.held + spent <= lent.held, "{exchange:?} of {lent:?}: no host makes tokens");
        // The rest was granted in replies that were lost, and that the host will not take any more.
        (lent.held, lent.spent) = (exchange.held, exchange.spent);
        self.spent += i128::from(spent) * TOKEN;
        let room = self.room();
        let share = room.saturating_sub(exchange.needed) / (2 * self.hosts);
        let granted = room.min(exchange.needed + exchange.liked.min(share));
        let lent = self.lent.get_mut(&exchange.host)?;
        lent.held += granted;
        lent.expires_us = now_us + LEASE_US;
        let empty_us = if granted < exchange.needed { self.until_one_us() } else { 0 };
        Some(Reply { generation, number, granted, empty_us, fenced: false })
    }

    /// A clock that goes back took nobody's time: what is lent stays lent for as long as it was.
    fn advance(&mut self, now_us: u64) {
        let back_us = self.as_of_us.saturating_sub(now_us);
        let elapsed_us = now_us.saturating_sub(self.as_of_us);
        let refill = i128::from(self.rate.micro_tokens_per_s()) * i128::from(elapsed_us);
        self.spent = (self.spent - refill).max(0);
        self.as_of_us = now_us;
        for lent in self.lent.values_mut() {
            lent.expires_us = lent.expires_us.saturating_sub(back_us);
            if !lent.over && lent.generation > 0 && lent.number > 0 && lent.expires_us <= now_us {
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
