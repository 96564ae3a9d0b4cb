//! Throttles: what shards and the limiter tell each other, and how.
//!
//! Which requests a throttle lets through is `turnpike_limits`'s to decide; here is what carries its messages. Reports
//! go over one bounded queue to the limiter, which a shard that brings some takes along ([`limiter`]); answers go to a
//! queue in each shard's mailbox, and all of one pass ring its bell once. All read one clock.

mod held;
mod limiter;

pub(crate) use held::Limits;
pub(crate) use limiter::{LimiterFigures, LimiterLine};

#[cfg(test)]
mod tests;
