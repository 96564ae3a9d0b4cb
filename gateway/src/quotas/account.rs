//! What the desk knows of one key in one plan: the lease from control, and which shards have some of it.

use turnpike_snapshot::frame::QuotaReport;

use super::{QuotaName, QuotaRefusal};

/// What the first lease of a key asks for.
pub(super) const LEASE_REQUESTS_MIN: u64 = 8;

/// A lease of control's, on one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lease {
    pub(super) id: u64,
    pub(super) day: u32,
    /// On control's disk as used.
    pub(super) granted: u64,
    /// Of those, what shards have or have spent.
    pub(super) out: u64,
    /// What was asked for last, since the lease's beginning.
    pub(super) wanted: u64,
    /// Control has said something about it.
    pub(super) is_known: bool,
    /// The connection over which it was first spoken of; 0 before that.
    pub(super) connection: u64,
    pub(super) queued: bool,
    pub(super) unanswered: bool,
    /// All shards have returned theirs, and control is told so.
    pub(super) ending: bool,
    /// Control doesn't know it any more.
    pub(super) void: bool,
    /// Where shards count what they spend of it.
    pub(super) row: Option<u32>,
}

/// A shard that has some, or waits for some.
#[derive(Debug)]
pub(super) struct Holder {
    pub(super) shard: usize,
    /// It was given some since it last returned all.
    pub(super) open: bool,
    /// The number of what it was given last.
    pub(super) number: u64,
    /// `open` and `number` before that.
    pub(super) before: (bool, u64),
    /// Of those, what it may not have spent yet.
    pub(super) unspent: u64,
    pub(super) waiting: Option<u32>,
    pub(super) recalled: bool,
}

#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) lease: Option<Lease>,
    pub(super) holders: Vec<Holder>,
    /// What is said until this time without asking control.
    pub(super) refusal: Option<(QuotaRefusal, u64)>,
    /// What is asked for at once.
    pub(super) size: u64,
    pub(super) asked_ms: u64,
    pub(super) active_ms: u64,
    /// The quota has changed: a lease of the one before isn't handed out any more.
    pub(super) renew: bool,
}

impl Lease {
    pub(super) fn new(id: u64, day: u32, row: Option<u32>) -> Self {
        Self {
            id,
            day,
            granted: 0,
            out: 0,
            wanted: 0,
            is_known: false,
            connection: 0,
            queued: false,
            unanswered: false,
            ending: false,
            void: false,
            row,
        }
    }

    /// What no shard has.
    pub(super) fn pool(&self) -> u64 {
        self.granted.saturating_sub(self.out)
    }

    /// It was granted less than was asked for.
    pub(super) fn is_scarce(&self) -> bool {
        self.granted < self.wanted
    }
}

impl Account {
    pub(super) fn holder(&mut self, shard: usize) -> &mut Holder {
        let at = self.holders.iter().position(|holder| holder.shard == shard).unwrap_or_else(|| {
            let (open, number) = (false, 0);
            let before = (open, number);
            let holder = Holder { shard, open, number, before, unspent: 0, waiting: None, recalled: false };
            self.holders.push(holder);
            self.holders.len() - 1
        });
        &mut self.holders[at]
    }

    pub(super) fn is_waited_for(&self) -> bool {
        self.holders.iter().any(|holder| holder.waiting.is_some())
    }

    pub(super) fn is_open(&self) -> bool {
        self.holders.iter().any(|holder| holder.open)
    }

    pub(super) fn drop_idle_holders(&mut self) {
        self.holders.retain(|holder| holder.open || holder.waiting.is_some());
    }

    /// Nothing would be lost with it.
    pub(super) fn is_idle(&self, now_ms: u64) -> bool {
        self.lease.is_none() && self.holders.is_empty() && self.refused(now_ms).is_none()
    }

    pub(super) fn refused(&self, now_ms: u64) -> Option<QuotaRefusal> {
        self.refusal.filter(|(_, until_ms)| now_ms < *until_ms).map(|(refusal, _)| refusal)
    }

    /// What control is told; of what shards have, only that is spent which surely is, until the lease ends.
    pub(super) fn report(&mut self, name: &QuotaName, connection: u64) -> Option<QuotaReport> {
        let unspent: u64 = self.holders.iter().map(|holder| holder.unspent).sum();
        let lease = self.lease.as_mut()?;
        (lease.queued, lease.unanswered) = (false, true);
        if lease.connection == 0 {
            lease.connection = connection;
        }
        let spent_requests = if lease.ending { lease.out } else { lease.out.saturating_sub(unspent) };
        Some(QuotaReport {
            lease: lease.id,
            plan_id: name.plan_id.to_string(),
            key_id: name.key_id.to_string(),
            day: lease.day,
            spent_requests,
            wanted_requests: lease.wanted,
            ends: lease.ending,
            is_new: !lease.is_known,
            is_late: lease.connection != connection,
        })
    }
}
