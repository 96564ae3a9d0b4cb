//! The desk: the gateway's authority for quotas, without I/O. It asks control for leases, and hands them out to shards.
//!
//! A lease belongs to a day and to the quota that it was granted for. When either changes, shards are asked for what they
//! have left, the lease ends, and only then is there another: tokens are never of two leases at once.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};
use turnpike_snapshot::frame::{
    QUOTA_REPORTS_MAX, QUOTA_REPORTS_WAITING_MAX, QuotaAnswer, QuotaReport, QuotaVerdict,
};

use super::account::{Account, Holder, LEASE_REQUESTS_MIN, Lease};
use super::counts::Rows;
use super::journal::{Entry, Orphan};
use super::{FromDesk, Hand, Now, QuotaName, QuotaRefusal, Said};

/// How long a key is at rest before its lease ends.
const REST_MS: u64 = 300;
/// A lease that lasts for less than this part of what it should makes way for one that is larger by the growth; one that
/// lasts longer, and not as long as it should, for one of twice its size.
const SHORT_PART: u64 = 64;
const SHORT_GROWTH: u64 = 8;
/// For how long a quota counts as used up before control is asked again: another gateway may have given some back, or
/// somebody may have set what remains.
const USED_UP_MS: u64 = 500;
/// The same where control couldn't say.
const UNKNOWN_MS: u64 = 1_000;

/// What bounds a desk.
#[derive(Debug, Clone, Copy)]
pub(super) struct DeskRules {
    pub(super) shards: usize,
    pub(super) keys_max: usize,
    pub(super) lease_requests_max: u64,
    /// For how long a lease should last.
    pub(super) ahead_ms: u64,
}

/// All that a shard had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Returned {
    pub(super) hand: Hand,
    pub(super) tokens: u32,
    /// It was for a quota that has changed.
    pub(super) stale: bool,
}

pub(super) struct Desk {
    rules: DeskRules,
    /// Yields a new lease's number.
    ids: Box<dyn FnMut() -> u64 + Send>,
    rows: Rows,
    accounts: FxHashMap<Arc<QuotaName>, Account>,
    names: FxHashMap<u64, Arc<QuotaName>>,
    /// Leases of earlier lives, which are yet to be ended.
    orphans: FxHashMap<u64, (Orphan, Sent)>,
    /// Counts them; 0 before the first.
    connection: u64,
    connected: bool,
    /// Whose requests wait for a control that is away, or can't say.
    starved: Option<Arc<QuotaName>>,
    /// Every lease ends as soon as no shard has any of it.
    finishing: bool,
    unanswered: usize,
    to_report: VecDeque<u64>,
    gives: u64,
    said: Vec<(usize, FromDesk)>,
    entries: Vec<Entry>,
    changed: FxHashSet<u64>,
}

/// Whether a report was sent over the present connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    No,
    Queued,
    Unanswered,
}

impl Desk {
    pub(super) fn new(rules: DeskRules, ids: Box<dyn FnMut() -> u64 + Send>, rows: Rows) -> Self {
        Self {
            rules,
            ids,
            rows,
            accounts: FxHashMap::default(),
            names: FxHashMap::default(),
            orphans: FxHashMap::default(),
            connection: 0,
            connected: false,
            starved: None,
            finishing: false,
            unanswered: 0,
            to_report: VecDeque::new(),
            gives: 0,
            said: Vec::new(),
            entries: Vec::new(),
            changed: FxHashSet::default(),
        }
    }

    /// What shards are to be told, once [`Self::take_entries`] are written.
    pub(super) fn take_said(&mut self) -> Vec<(usize, FromDesk)> {
        std::mem::take(&mut self.said)
    }

    /// What is to be written before anything is said.
    pub(super) fn take_entries(&mut self) -> Vec<Entry> {
        let mut entries = std::mem::take(&mut self.entries);
        for id in self.changed.drain() {
            let account = self.names.get(&id).and_then(|name| self.accounts.get(name));
            if let Some(lease) =
                account.and_then(|account| account.lease.as_ref()).filter(|lease| lease.id == id)
            {
                entries.push(Entry::Out { lease: id, out: lease.out });
            }
        }
        entries
    }

    /// These couldn't be written, and are to come first the next time. What was opened and closed meanwhile needn't.
    pub(super) fn put_back(&mut self, entries: Vec<Entry>) {
        let closed = |entry: &Entry| if let Entry::Closed { lease } = entry { Some(*lease) } else { None };
        let closed: FxHashSet<u64> = entries.iter().filter_map(closed).collect();
        let mut unwritten = FxHashSet::default();
        for entry in entries {
            match entry {
                Entry::Opened { lease, .. } if closed.contains(&lease) => {
                    unwritten.insert(lease);
                }
                Entry::Closed { lease } if unwritten.contains(&lease) => {}
                Entry::Out { lease, .. } => {
                    self.changed.insert(lease);
                }
                entry => self.entries.push(entry),
            }
        }
    }

    /// Everything that a journal has to say, anew.
    pub(super) fn all_entries(&self) -> Vec<Entry> {
        let leases = self.accounts.iter().filter_map(|(name, account)| Some((name, account.lease.as_ref()?)));
        leases
            .flat_map(|(name, lease)| {
                let name = Arc::clone(name);
                let opened = Entry::Opened { lease: lease.id, day: lease.day, row: lease.row, name };
                [opened, Entry::Out { lease: lease.id, out: lease.out }]
            })
            .collect()
    }

    /// The next message's reports, if control may be sent any.
    pub(super) fn take_reports(&mut self) -> Vec<QuotaReport> {
        let mut reports = Vec::new();
        while self.connected
            && self.unanswered < QUOTA_REPORTS_WAITING_MAX
            && reports.len() < QUOTA_REPORTS_MAX
            && let Some(id) = self.to_report.pop_front()
        {
            let report = match self.orphans.get_mut(&id) {
                Some((orphan, sent)) => {
                    *sent = Sent::Unanswered;
                    Some(orphan.report())
                }
                None => self.names.get(&id).and_then(|name| {
                    self.accounts.get_mut(name).and_then(|account| account.report(name, self.connection))
                }),
            };
            if let Some(report) = report {
                self.unanswered += 1;
                reports.push(report);
            }
        }
        reports
    }

    /// For the log.
    pub(super) fn take_starved(&mut self) -> Option<Arc<QuotaName>> {
        self.starved.take()
    }

    pub(super) fn is_connected(&self) -> bool {
        self.connected
    }

    /// Nothing happens with time.
    pub(super) fn is_idle(&self) -> bool {
        self.accounts.is_empty() && self.orphans.is_empty()
    }

    /// The gateway ends: what is left goes home now.
    pub(super) fn finish(&mut self, now: Now) {
        self.finishing = true;
        self.settle_all(now);
    }

    /// Nothing is left, or nobody is there to have it.
    pub(super) fn is_finished(&self) -> bool {
        self.finishing && (!self.connected || self.accounts.values().all(|account| account.lease.is_none()))
    }

    pub(super) fn has_reports(&self) -> bool {
        self.connected && self.unanswered < QUOTA_REPORTS_WAITING_MAX && !self.to_report.is_empty()
    }

    pub(super) fn ask(&mut self, shard: usize, name: &Arc<QuotaName>, held: u32, wanted: u32, now: Now) {
        if !self.accounts.contains_key(name) && self.accounts.len() >= self.rules.keys_max {
            self.say(shard, name, Said::Refuse(QuotaRefusal::Crowded));
            return;
        }
        let account = self.accounts.entry(Arc::clone(name)).or_default();
        account.active_ms = now.ms;
        let holder = account.holder(shard);
        holder.unspent = held.into();
        holder.waiting = Some(wanted);
        self.settle(name, now);
    }

    /// A shard has returned all that it had.
    pub(super) fn take_back(&mut self, shard: usize, name: &Arc<QuotaName>, returned: Returned, now: Now) {
        let Some(account) = self.accounts.get_mut(name) else { return };
        let Returned { hand, tokens, stale } = returned;
        let holder = account.holders.iter_mut().find(|holder| holder.shard == shard);
        // Else it has been given more since, or the answer comes twice.
        if let Some(holder) = holder.filter(|holder| holder.number == hand.number) {
            (holder.open, holder.recalled, holder.unspent) = (false, false, 0);
        }
        account.drop_idle_holders();
        account.renew |= stale;
        let lease = account.lease.as_mut().filter(|lease| lease.id == hand.lease && !lease.ending);
        if let Some(lease) = lease {
            lease.out = lease.out.saturating_sub(tokens.into());
            self.changed.insert(lease.id);
        }
        self.settle(name, now);
    }

    /// A shard hasn't heard of what it was to be given last: it has what it had before.
    pub(super) fn withdraw(
        &mut self,
        shard: usize,
        name: &Arc<QuotaName>,
        hand: Hand,
        tokens: u32,
        now: Now,
    ) {
        let Some(account) = self.accounts.get_mut(name) else { return };
        let holder = account.holders.iter_mut().find(|holder| holder.shard == shard);
        if let Some(holder) = holder.filter(|holder| holder.number == hand.number) {
            (holder.open, holder.number) = holder.before;
            holder.unspent = holder.unspent.saturating_sub(tokens.into());
        }
        account.drop_idle_holders();
        if let Some(lease) = account.lease.as_mut().filter(|lease| lease.id == hand.lease) {
            lease.out = lease.out.saturating_sub(tokens.into());
            self.changed.insert(lease.id);
        }
        self.settle(name, now);
    }

    /// What the shard had counts as spent.
    pub(super) fn end_shard(&mut self, shard: usize, now: Now) {
        for account in self.accounts.values_mut() {
            account.holders.retain(|holder| holder.shard != shard);
        }
        self.settle_all(now);
    }

    pub(super) fn connect(&mut self, now: Now) {
        self.connection += 1;
        self.connected = true;
        self.unanswered = 0;
        self.to_report.clear();
        for account in self.accounts.values_mut() {
            if let Some(lease) = &mut account.lease {
                lease.queued = lease.unanswered || lease.ending;
                lease.unanswered = false;
                if lease.queued {
                    self.to_report.push_back(lease.id);
                }
            }
        }
        for (id, (_, sent)) in &mut self.orphans {
            *sent = Sent::Queued;
            self.to_report.push_back(*id);
        }
        self.settle_all(now);
    }

    pub(super) fn disconnect(&mut self) {
        self.connected = false;
    }

    /// Takes over leases that an earlier life of this gateway has left.
    pub(super) fn adopt(&mut self, orphans: Vec<Orphan>) {
        for orphan in orphans {
            let id = orphan.lease;
            let sent = if self.connected { Sent::Queued } else { Sent::No };
            if self.connected {
                self.to_report.push_back(id);
            }
            self.orphans.insert(id, (orphan, sent));
        }
    }

    pub(super) fn has_orphan(&self, lease: u64) -> bool {
        self.orphans.contains_key(&lease)
    }

    pub(super) fn hear(&mut self, answer: QuotaAnswer, now: Now) {
        self.unanswered = self.unanswered.saturating_sub(1);
        let id = answer.lease;
        if let Some((_, sent)) = self.orphans.get_mut(&id) {
            *sent = Sent::No;
            if answer.verdict == QuotaVerdict::Ended {
                self.orphans.remove(&id);
            }
            return;
        }
        let Some(name) = self.names.get(&id).cloned() else { return };
        let Some(account) = self.accounts.get_mut(&name) else { return };
        let Some(lease) = &mut account.lease else { return };
        lease.unanswered = false;
        match answer.verdict {
            QuotaVerdict::Ended if lease.ending => return self.forget_lease(&name, now),
            QuotaVerdict::Ended => {
                lease.void = true;
                lease.granted = lease.out;
            }
            QuotaVerdict::Unknown if lease.ending => return,
            QuotaVerdict::Unknown => {
                account.refusal = Some((QuotaRefusal::Unknown, now.ms + UNKNOWN_MS));
                self.starved = Some(Arc::clone(&name));
            }
            QuotaVerdict::Open | QuotaVerdict::Exhausted => {
                lease.is_known = true;
                lease.granted = lease.granted.max(answer.granted_requests);
                let used_up = answer.verdict == QuotaVerdict::Exhausted;
                account.refusal = used_up.then_some((QuotaRefusal::UsedUp, now.ms + USED_UP_MS));
            }
        }
        self.settle(&name, now);
    }

    /// To be called several times a second.
    pub(super) fn tick(&mut self, now: Now) {
        self.settle_all(now);
        for (id, (_, sent)) in &mut self.orphans {
            if *sent == Sent::No && self.connected {
                *sent = Sent::Queued;
                self.to_report.push_back(*id);
            }
        }
    }

    fn settle_all(&mut self, now: Now) {
        let names: Vec<_> = self.accounts.keys().cloned().collect();
        names.iter().for_each(|name| self.settle(name, now));
    }

    /// Does for a key what can be done now.
    fn settle(&mut self, name: &Arc<QuotaName>, now: Now) {
        if !self.settle_lease(name, now) {
            return;
        }
        self.serve(name, now);
        let Some(account) = self.accounts.get_mut(name) else { return };
        if account.is_waited_for() {
            match account.refused(now.ms) {
                Some(QuotaRefusal::UsedUp) => self.gather_or_refuse(name),
                Some(refusal) => self.refuse(name, refusal),
                None => self.request(name, now),
            }
        } else if account.refused(now.ms).is_none()
            && account.lease.as_ref().is_some_and(|lease| {
                account.size > LEASE_REQUESTS_MIN && lease.pool() < account.size / 2 && account.is_open()
            })
        {
            self.request(name, now);
        } else {
            self.rest(name, now);
        }
    }

    /// Ends what may not be handed out any more. Whether the key may be served.
    fn settle_lease(&mut self, name: &Arc<QuotaName>, now: Now) -> bool {
        let Some(account) = self.accounts.get_mut(name) else { return false };
        let Some(lease) = &mut account.lease else {
            account.renew = false;
            return true;
        };
        if lease.ending {
            if self.connected && !lease.queued && !lease.unanswered {
                lease.queued = true;
                self.to_report.push_back(lease.id);
            }
            return false;
        }
        if lease.day == now.day && !account.renew && !lease.void {
            return true;
        }
        if account.renew || lease.day != now.day {
            account.refusal = None;
        }
        if account.is_open() {
            self.recall(name, |_| true);
            return false;
        }
        let void = account.lease.as_ref().is_some_and(|lease| lease.void);
        if void {
            self.forget_lease(name, now)
        } else {
            self.end_lease(name)
        }
        false
    }

    fn end_lease(&mut self, name: &Arc<QuotaName>) {
        let Some(account) = self.accounts.get_mut(name) else { return };
        account.renew = false;
        let Some(lease) = &mut account.lease else { return };
        lease.ending = true;
        if self.connected && !lease.queued && !lease.unanswered {
            lease.queued = true;
            self.to_report.push_back(lease.id);
        }
    }

    /// Control has nothing of it any more.
    fn forget_lease(&mut self, name: &Arc<QuotaName>, now: Now) {
        let Some(account) = self.accounts.get_mut(name) else { return };
        if let Some(lease) = account.lease.take() {
            self.names.remove(&lease.id);
            self.changed.remove(&lease.id);
            if let Some(row) = lease.row {
                self.rows.give_back(row);
            }
            self.entries.push(Entry::Closed { lease: lease.id });
        }
        if account.is_idle(now.ms) {
            self.accounts.remove(name);
        } else {
            self.settle(name, now);
        }
    }

    /// Hands out what there is.
    fn serve(&mut self, name: &Arc<QuotaName>, now: Now) {
        let Some(account) = self.accounts.get_mut(name) else { return };
        let is_short = account.refused(now.ms).is_some();
        let Account { lease: Some(lease), holders, .. } = account else { return };
        let is_short = is_short || lease.is_scarce();
        // What is recalled comes back before anything is given.
        for holder in holders.iter_mut().filter(|holder| !holder.recalled) {
            let Some(wanted) = holder.waiting else { continue };
            let share = if is_short { 1 } else { lease.pool() / (2 * self.rules.shards as u64) };
            let tokens = share.max(1).min(wanted.into()).min(lease.pool()) as u32;
            if tokens == 0 {
                break;
            }
            lease.out += u64::from(tokens);
            holder.unspent += u64::from(tokens);
            self.gives += 1;
            holder.before = (holder.open, holder.number);
            (holder.open, holder.number, holder.waiting) = (true, self.gives, None);
            self.changed.insert(lease.id);
            let hand = Hand { lease: lease.id, number: self.gives, row: lease.row };
            let said = Said::Give { hand, day: lease.day, tokens };
            self.said.push((holder.shard, FromDesk { name: Arc::clone(name), said }));
        }
    }

    /// Asks control for more, unless it is being asked.
    fn request(&mut self, name: &Arc<QuotaName>, now: Now) {
        let Some(account) = self.accounts.get_mut(name) else { return };
        // Those who wait are answered once there is a connection, or have given up by then.
        if !self.connected {
            self.starved = Some(Arc::clone(name));
            return;
        }
        if account.lease.is_none() {
            let id = (self.ids)();
            let lease = Lease::new(id, now.day, self.rows.take(id));
            self.names.insert(id, Arc::clone(name));
            let name = Arc::clone(name);
            self.entries.push(Entry::Opened { lease: id, day: lease.day, row: lease.row, name });
            account.lease = Some(lease);
        }
        let Some(lease) = &mut account.lease else { return };
        if lease.queued || lease.unanswered {
            return;
        }
        let since_ms = now.ms.saturating_sub(account.asked_ms);
        let size = match account.size {
            0 => LEASE_REQUESTS_MIN,
            size if since_ms < self.rules.ahead_ms / SHORT_PART => size * SHORT_GROWTH,
            size if since_ms < self.rules.ahead_ms => size * 2,
            size if since_ms > 4 * self.rules.ahead_ms => size / 2,
            size => size,
        };
        account.size = size.max(LEASE_REQUESTS_MIN).min(self.rules.lease_requests_max);
        account.asked_ms = now.ms;
        lease.wanted = lease.granted + account.size.saturating_sub(lease.pool()).max(1);
        lease.queued = true;
        self.to_report.push_back(lease.id);
    }

    /// What other shards have left is to be used before anybody is refused.
    fn gather_or_refuse(&mut self, name: &Arc<QuotaName>) {
        let Some(account) = self.accounts.get(name) else { return };
        if account.holders.iter().any(|holder| holder.waiting.is_some() && holder.unspent == 0) {
            self.recall(name, |holder| holder.unspent > 0);
        }
        let Some(account) = self.accounts.get(name) else { return };
        if !account.holders.iter().any(|holder| holder.recalled) {
            self.refuse(name, QuotaRefusal::UsedUp);
        }
    }

    fn recall(&mut self, name: &Arc<QuotaName>, which: fn(&Holder) -> bool) {
        let Some(account) = self.accounts.get_mut(name) else { return };
        for holder in &mut account.holders {
            if holder.open && !holder.recalled && which(holder) {
                holder.recalled = true;
                self.said.push((holder.shard, FromDesk { name: Arc::clone(name), said: Said::Recall }));
            }
        }
    }

    fn refuse(&mut self, name: &Arc<QuotaName>, refusal: QuotaRefusal) {
        let Some(account) = self.accounts.get_mut(name) else { return };
        for holder in account.holders.iter_mut().filter(|holder| holder.waiting.is_some()) {
            holder.waiting = None;
            let said = Said::Refuse(refusal);
            self.said.push((holder.shard, FromDesk { name: Arc::clone(name), said }));
        }
        account.drop_idle_holders();
    }

    /// Gives back what a key at rest doesn't use.
    fn rest(&mut self, name: &Arc<QuotaName>, now: Now) {
        let Some(account) = self.accounts.get_mut(name) else { return };
        if account.is_idle(now.ms) {
            self.accounts.remove(name);
            return;
        }
        let rests = self.finishing || now.ms.saturating_sub(account.active_ms) >= REST_MS;
        let is_resting = rests && account.holders.is_empty();
        if is_resting && account.lease.as_ref().is_some_and(|lease| !lease.unanswered && !lease.queued) {
            self.end_lease(name);
        }
    }

    fn say(&mut self, shard: usize, name: &Arc<QuotaName>, said: Said) {
        self.said.push((shard, FromDesk { name: Arc::clone(name), said }));
    }
}
