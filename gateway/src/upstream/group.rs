//! A target group on a shard: which target a request goes to, and what came of it.
//!
//! Members and their health are read from what the housekeeper has published; failures in traffic, and the
//! ejections that follow from them, are this shard's own. What is known of a target outlives new snapshots for as
//! long as they have it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use arc_swap::cache::Cache;
use turnpike_balance::{Budget, Target, Unavailable};

use super::lease::Lease;
use super::pool::Pool;
use super::resting::Idle;
use super::room::{Grant, Line, Open, Room};
use super::{ConnectError, Connection, establish};
use crate::housekeeper::targets::{Change, TargetEvent};
use crate::shard::Shard;
use crate::stats::{GroupCounts, GroupReport, TargetCounts, TargetReport};
use crate::table::{GroupRules, Member, Members, TargetGroup, Upstream};
use crate::wheel::TICK_MS;

/// All target groups of a shard.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    by_slot: RefCell<Vec<Option<Rc<Group>>>>,
}

/// One group's state.
#[derive(Debug)]
pub(crate) struct Group {
    group: Arc<TargetGroup>,
    state: RefCell<State>,
    line: Rc<Line>,
    pub(super) budget: Budget,
    pub(super) counts: Cell<GroupCounts>,
}

#[derive(Debug)]
struct State {
    newest: Cache<Arc<ArcSwap<Members>>, Arc<Members>>,
    /// Requests count their references here, off the other shards' cache lines.
    adopted: Rc<Adopted>,
    balance: turnpike_balance::Group<Seated>,
    /// The generation of `balance` that the rooms know of.
    synced: u64,
}

/// Members that this shard has adopted.
#[derive(Debug)]
pub(crate) struct Adopted(Arc<Members>);

impl Adopted {
    pub(crate) fn rules(&self) -> &GroupRules {
        &self.0.rules
    }
}

/// What a shard keeps for a target.
#[derive(Debug)]
pub(crate) struct Seated {
    pub(super) member: Arc<Member>,
    pub(super) room: Rc<Room>,
    /// One for each upstream that has the group, which is nearly always one.
    pools: RefCell<Vec<Rc<Pool>>>,
    /// The log was told so.
    ejected: Cell<bool>,
    pub(super) counts: Cell<TargetCounts>,
}

/// What a request asks of its group.
#[derive(Debug)]
pub(crate) struct Wish<'a> {
    pub(crate) hash: Option<u64>,
    /// Targets that it has failed at.
    pub(crate) tried: &'a [u64],
    pub(crate) give_up_ms: u64,
}

/// Why there is no connection to a target, and to which, if one was chosen.
#[derive(Debug)]
pub(crate) struct TargetError {
    pub(crate) error: ConnectError,
    pub(crate) target: Option<u64>,
}

impl From<ConnectError> for TargetError {
    fn from(error: ConnectError) -> Self {
        Self { error, target: None }
    }
}

impl Groups {
    pub(crate) fn of(&self, shard: &Shard, group: &Arc<TargetGroup>) -> Rc<Group> {
        let mut groups = self.by_slot.borrow_mut();
        let slot = group.slot as usize;
        if slot >= groups.len() {
            groups.resize_with(slot + 1, || None);
        }
        Rc::clone(groups[slot].get_or_insert_with(|| Rc::new(Group::new(shard, group))))
    }

    /// Lets go of connections that have rested too long, and of groups that no snapshot has any more.
    pub(crate) fn sweep(&self, shard: &Rc<Shard>) {
        let groups: Vec<Rc<Group>> = self.by_slot.borrow().iter().flatten().cloned().collect();
        for group in &groups {
            group.refresh(shard);
            for target in group.targets() {
                target.payload.sweep(shard, !group.group.is_served());
            }
        }
        drop(groups);
        for slot in self.by_slot.borrow_mut().iter_mut() {
            slot.take_if(|group| !group.group.is_served() && Rc::strong_count(group) == 1);
        }
    }

    pub(crate) fn clear(&self, shard: &Shard) {
        let groups = std::mem::take(&mut *self.by_slot.borrow_mut());
        for group in groups.into_iter().flatten() {
            group.targets().iter().for_each(|target| target.payload.sweep(shard, true));
        }
    }

    /// What was counted since the last time.
    pub(crate) fn report(&self) -> Vec<GroupReport> {
        self.by_slot.borrow().iter().flatten().map(|group| group.report()).collect()
    }
}

impl Group {
    fn new(shard: &Shard, group: &Arc<TargetGroup>) -> Self {
        let line = Rc::<Line>::default();
        let adopted = Adopted(group.members.load_full());
        let mut balance = turnpike_balance::Group::new(adopted.rules().balance, shard.ids.number());
        seat(&mut balance, &adopted.0, &line, shard.wheel.now_ms());
        let adopted = Rc::new(adopted);
        let newest = Cache::new(Arc::clone(&group.members));
        Self {
            group: Arc::clone(group),
            state: RefCell::new(State { newest, adopted, balance, synced: 0 }),
            line,
            budget: Budget::default(),
            counts: Cell::default(),
        }
    }

    /// The group as of now, with its rules.
    pub(crate) fn adopted(&self, shard: &Rc<Shard>) -> Rc<Adopted> {
        self.adopt(shard);
        Rc::clone(&self.state.borrow().adopted)
    }

    fn targets(&self) -> Vec<Rc<Target<Seated>>> {
        self.state.borrow().balance.targets().to_vec()
    }

    /// Takes over what has been published last.
    pub(super) fn adopt(&self, shard: &Rc<Shard>) {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let newest = state.newest.load();
        if Arc::ptr_eq(newest, &state.adopted.0) {
            return;
        }
        let newest = Arc::clone(newest);
        let before = state.balance.targets().to_vec();
        seat(&mut state.balance, &newest, &self.line, shard.wheel.now_ms());
        for target in before.iter().filter(|target| !target.is_seated()) {
            target.payload.room.close();
            target.payload.sweep(shard, true);
        }
        state.adopted = Rc::new(Adopted(newest));
        self.sync(shard, state);
    }

    /// As adopting does, and ends ejections whose time is over, without a request.
    fn refresh(&self, shard: &Rc<Shard>) {
        self.adopt(shard);
        let mut state = self.state.borrow_mut();
        state.balance.refresh(shard.wheel.now_ms());
        self.sync(shard, &mut state);
    }

    /// A connection to the target that is to have the request; waits in line for one if need be.
    pub(crate) async fn connect(
        self: &Rc<Self>,
        shard: &Rc<Shard>,
        upstream: &Arc<Upstream>,
        wish: &Wish<'_>,
    ) -> Result<Connection, TargetError> {
        loop {
            self.adopt(shard);
            match self.pick(shard, wish) {
                Ok(target) => {
                    let lease = Lease::begin(shard, self, target);
                    if let Some(connected) =
                        self.connect_to(shard, upstream, &lease, true, wish.give_up_ms).await
                    {
                        return connected;
                    }
                }
                Err(ConnectError::TooMany) => {
                    let pending_max = self.pending_max(shard);
                    let waited =
                        shard.pools.lines.wait(shard, &self.line, pending_max, wish.give_up_ms).await;
                    if waited.as_ref().is_err_and(|error| *error == ConnectError::TooMany) {
                        self.count(|counts| counts.pending_overflows += 1);
                    }
                    if let Some(connected) = self.use_grant(shard, upstream, wish, waited?).await {
                        return connected;
                    }
                }
                // In the first moments after a start, or for a name that has never had an answer.
                Err(ConnectError::Unresolved) if !self.is_settled() => {
                    if shard.now_ms() >= wish.give_up_ms {
                        return Err(ConnectError::TimedOut.into());
                    }
                    turnpike_rt::sleep(Duration::from_millis(TICK_MS)).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// A connection to the lease's target: new, or `reuse`d. `None`: it has no room left.
    pub(crate) async fn connect_to(
        &self,
        shard: &Rc<Shard>,
        upstream: &Arc<Upstream>,
        lease: &Rc<Lease>,
        reuse: bool,
        give_up_ms: u64,
    ) -> Option<Result<Connection, TargetError>> {
        let seated = &lease.target().payload;
        let pool = seated.pool(upstream);
        // A connection that is shared and broken isn't in the pool any more.
        if (reuse || pool.is_shared())
            && let Some(connection) = pool.take_idle(shard, shard.clock.now_us())
        {
            shard.stats.borrow_mut().counters.upstream_reuses_total += 1;
            return Some(Ok(Connection { reused: reuse, ..connection }.leased(lease)));
        }
        if !seated.room.is_left(shard) {
            seated.evict(shard);
        }
        let room = Rc::new(seated.room.take(shard)?);
        Some(dial(shard, &pool, room, lease, give_up_ms).await)
    }

    /// What was waited for may be a target's connection, or room for one. `None` if the target has gone since.
    async fn use_grant(
        self: &Rc<Self>,
        shard: &Rc<Shard>,
        upstream: &Arc<Upstream>,
        wish: &Wish<'_>,
        grant: Grant,
    ) -> Option<Result<Connection, TargetError>> {
        let of = |room: &Rc<Room>| {
            self.targets().into_iter().find(|target| Rc::ptr_eq(&target.payload.room, room))
        };
        let (target, room) = match grant {
            Grant::Connection(connection) => {
                let target = of(&connection.open.room)?;
                if connection.pool.upstream.slot == upstream.slot && connection.stream.is_quiet() {
                    shard.stats.borrow_mut().counters.upstream_reuses_total += 1;
                    let lease = Lease::begin(shard, self, target);
                    return Some(Ok(Connection { reused: true, ..connection }.leased(&lease)));
                }
                (target, connection.open)
            }
            Grant::Room(room) => (of(&room.room)?, Rc::new(room)),
        };
        let pool = target.payload.pool(upstream);
        let lease = Lease::begin(shard, self, target);
        Some(dial(shard, &pool, room, &lease, wish.give_up_ms).await)
    }

    fn pick(&self, shard: &Rc<Shard>, wish: &Wish<'_>) -> Result<Rc<Target<Seated>>, ConnectError> {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let requests_max = state.adopted.rules().requests_max;
        let is_open = |target: &Target<Seated>| requests_max == 0 || target.in_flight() < requests_max;
        let now_ms = shard.wheel.now_ms();
        let fits = |target: &Target<Seated>| is_open(target) && target.payload.has_connection(shard);
        let picked = state.balance.pick(wish.hash, wish.tried, now_ms, fits);
        self.sync(shard, state);
        match picked {
            Ok(target) => {
                self.count(|counts| counts.panics += u64::from(state.balance.is_panicking()));
                Ok(target)
            }
            Err(Unavailable::NoTarget) if state.adopted.0.list.is_empty() => Err(ConnectError::Unresolved),
            Err(Unavailable::NoTarget) => {
                self.count(|counts| counts.no_target += 1);
                Err(ConnectError::NoTarget)
            }
            Err(Unavailable::Full) => {
                let waits =
                    state.balance.targets().iter().any(|target| target.is_usable() && is_open(target));
                if waits {
                    return Err(ConnectError::TooMany);
                }
                self.count(|counts| counts.circuit_open += 1);
                Err(ConnectError::CircuitOpen)
            }
        }
    }

    /// A request to `target` has failed.
    pub(super) fn note_failure(&self, shard: &Rc<Shard>, target: &Target<Seated>, why: &'static str) {
        let mut state = self.state.borrow_mut();
        if let Some(ejection) = state.balance.note_failure(target, shard.wheel.now_ms()) {
            target.payload.count(|counts| counts.ejections += 1);
            target.payload.ejected.set(true);
            self.tell(shard, target, Change::Ejected { ejection, why });
            self.sync(shard, &mut state);
        }
    }

    /// Tells the rooms who may be let in where, and the log who is back.
    fn sync(&self, shard: &Rc<Shard>, state: &mut State) {
        if state.synced == state.balance.generation() {
            return;
        }
        state.synced = state.balance.generation();
        for target in state.balance.targets() {
            target.payload.room.set_usable(target.is_usable());
            if !target.is_ejected() && target.payload.ejected.take() {
                self.tell(shard, target, Change::Returned);
            }
        }
        for target in state.balance.targets() {
            target.payload.room.let_in(shard);
        }
    }

    fn tell(&self, shard: &Shard, target: &Target<Seated>, change: Change) {
        let (group, target) = (Arc::clone(&self.group.id), Arc::clone(&target.payload.member.name));
        shard.tell_of_target(TargetEvent { shard: shard.index, group, target, change });
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut GroupCounts)) {
        let mut counts = self.counts.get();
        change(&mut counts);
        self.counts.set(counts);
    }

    fn pending_max(&self, shard: &Shard) -> usize {
        match self.state.borrow().adopted.rules().pending_requests_max {
            0 => shard.settings.upstream_pending_requests_max,
            pending_max => pending_max,
        }
    }

    fn is_settled(&self) -> bool {
        self.state.borrow().adopted.0.settled
    }

    fn report(&self) -> GroupReport {
        let targets = self.targets();
        let targets = targets.iter().map(|target| TargetReport {
            name: Arc::clone(&target.payload.member.name),
            counts: target.payload.counts.take(),
            ejected: target.is_ejected(),
        });
        GroupReport {
            id: Arc::clone(&self.group.id),
            counts: self.counts.take(),
            pending: self.line.len() as u64,
            targets: targets
                .filter(|target| target.ejected || target.counts != TargetCounts::default())
                .collect(),
        }
    }
}

fn seat(balance: &mut turnpike_balance::Group<Seated>, members: &Members, line: &Rc<Line>, now_ms: u64) {
    let make = |index: usize| Seated::new(&members.list[index], line);
    balance.adopt(members.rules.balance, &members.seats, members.table.clone(), now_ms, make);
    for target in balance.targets() {
        target.payload.room.set_max(members.rules.connections_max);
    }
}

async fn dial(
    shard: &Rc<Shard>,
    pool: &Rc<Pool>,
    room: Rc<Open>,
    lease: &Rc<Lease>,
    give_up_ms: u64,
) -> Result<Connection, TargetError> {
    match establish(shard, pool, room, give_up_ms).await {
        Ok(connection) => Ok(connection.leased(lease)),
        Err(error) => {
            lease.failed(Lease::UNREACHABLE);
            Err(TargetError { error, target: Some(lease.target().key()) })
        }
    }
}

impl Seated {
    fn new(member: &Arc<Member>, line: &Rc<Line>) -> Self {
        Self {
            member: Arc::clone(member),
            room: Room::new(Rc::clone(line)),
            pools: RefCell::default(),
            ejected: Cell::new(false),
            counts: Cell::default(),
        }
    }

    fn pool(&self, upstream: &Arc<Upstream>) -> Rc<Pool> {
        let mut pools = self.pools.borrow_mut();
        if let Some(pool) = pools.iter().find(|pool| pool.upstream.slot == upstream.slot) {
            return Rc::clone(pool);
        }
        let pool = Pool::to_member(upstream, &self.member, &self.room);
        pools.push(Rc::clone(&pool));
        pool
    }

    fn has_connection(&self, shard: &Shard) -> bool {
        self.room.is_left(shard) || self.pools.borrow().iter().any(|pool| pool.has_idle(shard))
    }

    /// Makes room by closing a connection that rests.
    fn evict(&self, shard: &Shard) {
        let _ = self.pools.borrow().iter().any(|pool| pool.evict(shard));
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut TargetCounts)) {
        let mut counts = self.counts.get();
        change(&mut counts);
        self.counts.set(counts);
    }

    fn sweep(&self, shard: &Shard, all: bool) {
        let mut dropped: Vec<Idle> = Vec::new();
        self.pools.borrow().iter().for_each(|pool| pool.sweep(shard, all, &mut dropped));
        shard.stats.borrow_mut().gauges.upstream_connections_idle -= dropped.len() as u64;
        // A pool that nobody uses holds an upstream that no snapshot may have any more.
        self.pools.borrow_mut().retain(|pool| Rc::strong_count(pool) > 1);
    }
}
