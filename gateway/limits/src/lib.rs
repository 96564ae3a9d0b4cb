//! Rates and bursts that hold exactly, however many shards spend from them; without I/O.
//!
//! Every limit is a token bucket (AWS: "Throttle requests to your REST APIs"), kept by one [`Limiter`], the authority.
//! Each shard has [`Leases`]: tokens that it was given and may spend without a message. Tokens leave the bucket
//! before a shard has them, so that for every window of time, whatever is delayed and whoever ends,
//!
//! `admitted <= burst + rate * window`
//!
//! which `bucket.rs` proves and `tests/simulation` replays. What is given up for it: a token that is on its way to a
//! shard can't be spent elsewhere meanwhile, and refills only once it was. With `d` from a shard to the authority and
//! back, a bucket that more is asked of than it allows yields its whole rate where `burst >= rate * d + 1`, and
//! below that about the share `burst / (rate * d + 1)` of it: half of 10,000 a second with a burst of 1 over 100 us.
//!
//! Time is microseconds on one monotonic clock that all of them read, passed in. The caller carries [`Report`]s from
//! [`Leases::poll_report`] to [`Limiter::handle`] and [`Answer`]s from there to [`Leases::handle_answer`]; each
//! shard's reports in their order, none lost. A [`Holder`] needn't be a shard: the verbs between an authority and
//! those who hold its tokens say nothing of where they run.

mod bucket;
mod handover;
mod host;
mod lately;
mod lease;
mod leases;
mod limiter;
mod message;
mod parts;
mod purse;
mod rate;
mod waiters;

pub use handover::{Arriving, Departing, Handed, ToPredecessor, ToSuccessor};
pub use host::{Exchange, Host, HostRules, Reply};
pub use leases::{Begun, LIMITS_PER_REQUEST_MAX, LeaseCounts, LeaseRules, Leases, Refused, Taken, Why};
pub use limiter::{Limiter, LimiterCounts, LimiterRules};
pub use message::{Answer, Ask, Holder, Limit, LimitId, Loan, Report};
pub use parts::{PARTS, Parts};
pub use rate::{Partition, Rate};
pub use waiters::Ticket;
