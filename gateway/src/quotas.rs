//! Quotas of usage plans: what carries their requests from control's ledger to the shards, never more than was debited.
//!
//! Control debits a lease before it grants it; the [`desk`]'s thread writes down what it hands to a shard before the shard
//! has it; a shard serves one request for each that it was handed, and [counts](counts) it before. So whatever is killed,
//! no request is served that isn't counted, and the next life gives back what wasn't spent. What isn't used goes home the
//! same way when a key is at rest.

mod account;
mod counts;
mod desk;
mod held;
mod journal;
mod thread;

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use turnpike_rt::Clock;
use turnpike_snapshot::Quota;
use turnpike_snapshot::frame::{FromGateway, QuotaAnswer};

use counts::SharedCounts;
pub(crate) use held::Quotas;
pub(crate) use thread::start;

const DAY_MS: u64 = 86_400_000;

/// Whose requests are counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct QuotaName {
    pub(crate) plan_id: Box<str>,
    pub(crate) key_id: Box<str>,
}

/// A caller's quota, as the table has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QuotaOf {
    pub(crate) terms: Quota,
    /// A hash of the caller's names, the same in every table.
    pub(crate) number: u64,
    pub(crate) place: Place,
}

/// Whose it is. Few requests need it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Names<'t> {
    pub(crate) plan_id: &'t str,
    pub(crate) key_id: &'t str,
}

/// Where the caller stands in which table: the same place is the same plan's same key, so that their names needn't be
/// compared. Another table may have anybody there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) generation: u64,
    /// Addresses, while that table is there.
    pub(crate) plan: usize,
    pub(crate) key: usize,
}

/// The time, as the caller has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Now {
    /// On a clock that never steps.
    pub(crate) ms: u64,
    /// Days since 1970.
    pub(crate) day: u32,
}

impl Now {
    pub(crate) fn by(clock: &Clock) -> Self {
        Self { ms: clock.now_us() / 1_000, day: (Clock::unix_ms() / DAY_MS) as u32 }
    }
}

/// Why a request isn't let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QuotaRefusal {
    /// Nothing is left of the quota.
    UsedUp,
    /// Nothing is in hand, and control hasn't said in time whether anything is left.
    Unknown,
    /// More keys are in use, or more requests wait, than settings allow.
    Crowded,
}

/// What a shard was given last, so that what crosses it on the way isn't taken for an answer to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Hand {
    lease: u64,
    /// Counts all that the desk has given.
    number: u64,
    /// The lease's among the counts; none where there are no counts.
    row: Option<u32>,
}

/// What the desk is told.
#[derive(Debug)]
pub(super) enum ToDesk {
    /// A shard has so many left, and would like more.
    Ask {
        shard: usize,
        name: Arc<QuotaName>,
        held: u32,
        wanted: u32,
    },
    /// All that the shard has; it has none left of this name. `stale`: they were for a quota that has changed.
    Return {
        shard: usize,
        name: Arc<QuotaName>,
        hand: Hand,
        tokens: u32,
        stale: bool,
    },
    /// The shard has ended.
    Ended {
        shard: usize,
    },
    /// There is a connection to control.
    Connected(mpsc::Sender<FromGateway>),
    Disconnected,
    Answers(Vec<QuotaAnswer>),
    /// The gateway ends; told when all is given back.
    Finish(oneshot::Sender<()>),
}

/// What a shard is told.
#[derive(Debug)]
pub(crate) struct FromDesk {
    name: Arc<QuotaName>,
    said: Said,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    /// These may be spent on this day, in days since 1970.
    Give {
        hand: Hand,
        day: u32,
        tokens: u32,
    },
    Refuse(QuotaRefusal),
    /// Give back what is left.
    Recall,
}

/// The way to the desk.
#[derive(Debug, Clone)]
pub(crate) struct QuotaLine {
    desk: mpsc::Sender<ToDesk>,
    counts: SharedCounts,
}

impl QuotaLine {
    /// False if the desk is too far behind.
    fn tell(&self, message: ToDesk) -> bool {
        self.desk.try_send(message).is_ok()
    }

    /// A shard has ended. Where the desk is too far behind to hear of it, what the shard had counts as spent.
    pub(crate) fn end(&self, shard: usize) {
        self.tell(ToDesk::Ended { shard });
    }

    /// For the link, which waits where the desk is behind; the desk never waits for the link.
    pub(crate) async fn connected(&self, reports: mpsc::Sender<FromGateway>) {
        self.hand(ToDesk::Connected(reports)).await;
    }

    pub(crate) async fn disconnected(&self) {
        self.hand(ToDesk::Disconnected).await;
    }

    pub(crate) async fn answers(&self, answers: Vec<QuotaAnswer>) {
        self.hand(ToDesk::Answers(answers)).await;
    }

    /// Gives back what shards that have ended have left, if control is there to have it.
    pub(crate) async fn finish(&self) {
        let (done, finished) = oneshot::channel();
        self.hand(ToDesk::Finish(done)).await;
        // Dropped by a desk that has ended, which has nothing to give back either.
        let _ = finished.await;
    }

    async fn hand(&self, message: ToDesk) {
        // The desk ends with the process.
        let _ = self.desk.send(message).await;
    }
}
