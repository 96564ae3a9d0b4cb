//! Throttles: what shards and the limiter tell each other, and how.
//!
//! Which requests a throttle lets through is `turnpike_limits`'s to decide; here is what carries its messages. Reports
//! go over one bounded queue to the limiter, which a shard that brings some takes along ([`limiter`]); answers go to a
//! queue in each shard's mailbox, and all of one pass ring its bell once. All read one clock. With
//! `limits_store`, the limiter is itself a holder: [`store`]'s thread carries what it tells a Redis that several gateways
//! share, and the answers.
//!
//! A limiter's buckets are its process's: after a start they are full. In an upgrade they are handed over, and the process
//! before draws on its successor's until it has drained ([`succession`]), so that both together admit what one may. With a
//! `limits_store` that is reached, both lease from it.

mod held;
mod limiter;
pub(crate) mod measure;
mod store;
mod succession;

pub(crate) use held::Limits;
pub(crate) use limiter::{Estate, LimiterFigures, LimiterLine};
pub(crate) use store::{PASSWORD as STORE_PASSWORD, check as check_store};
pub(crate) use succession::{Inheritance, PROTOCOL as SUCCESSION_PROTOCOL};

#[cfg(test)]
mod tests;
