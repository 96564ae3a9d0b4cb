//! Which target of a group gets a request, and what becomes of targets that fail; without I/O.
//!
//! Time (milliseconds on the caller's clock) and randomness (a seed) are parameters, so that tests play hours
//! in memory. A [`Group`] is one shard's view of a target group: it picks. What a shard can't know by itself,
//! the answers to health checks, is computed with [`Checked`] elsewhere and told to it by [`Group::adopt`].

mod budget;
mod group;
mod health;
mod maglev;
mod outlier;
mod pick;
mod queue;
mod random;
mod turns;

pub use budget::{Budget, BudgetRules};
pub use group::{Balancing, Group, Rules, Seat, Target};
pub use health::{CheckRules, Checked, Health};
pub use maglev::{Maglev, hash_bytes};
pub use outlier::{Ejection, OutlierRules};
pub use pick::Unavailable;
pub use queue::{Expired, Full, Queue, Ticket};
pub use random::Random;
