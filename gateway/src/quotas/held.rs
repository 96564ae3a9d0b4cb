//! A shard's requests of quotas, and those who wait for some.
//!
//! What a shard holds of a key grows with demand, to what lasts for a second at most, and goes back when the key is at rest.
//! The fast path takes one of what is in hand; everything else goes through the desk. A key is found by its number, and known
//! by its place in the caller's table: by name once for each table.
//!
//! Time is the shard's last tick's.

use std::cell::{Cell, RefCell, RefMut};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use rustc_hash::FxHashMap;
use turnpike_snapshot::Quota;

use super::{FromDesk, Hand, Names, Now, Place, QuotaLine, QuotaName, QuotaOf, QuotaRefusal, Said, ToDesk};
use crate::settings::Settings;

/// What a shard asks for at once. Each time costs it as much as two requests.
const BATCH_MAX: u32 = 4_096;
/// One that asks again within this time asks for twice as much, and for four times as much within the shorter one; after
/// the longest one, for one again.
const BUSY_MS: u64 = 100;
const BUSIER_MS: u64 = 25;
const CALM_MS: u64 = 1_000;
/// Of fewer, none are asked for ahead of need.
const RENEWED_REQUESTS: u32 = 4;
/// What is held beyond this and lasts for longer than [`CALM_MS`] is given back.
const CALM_REQUESTS_MAX: u32 = 64;
/// How often each key is looked at: whether it is at rest, and whether somebody has waited for too long.
const CHECK_MS: u64 = 100;
/// After so many looks at a key that isn't used, what is held of it is given back.
const REST_CHECKS: u8 = 2;
/// Keys looked at in one tick.
const CHECKS_MAX: usize = 4_096;
/// For how long what the desk has refused isn't asked for again.
const REFUSED_MS: u64 = 50;

/// What a shard knows of quotas.
#[derive(Debug)]
pub(crate) struct Quotas {
    shard: usize,
    line: QuotaLine,
    keys_max: usize,
    waiting_max: usize,
    wait_ms: u64,
    keys: RefCell<Keys>,
    waiting: Cell<usize>,
    now: Cell<Now>,
}

#[derive(Debug, Default)]
struct Keys {
    /// By plan, then by key.
    plans: FxHashMap<Box<str>, FxHashMap<Box<str>, Rc<Held>>>,
    /// The same by their numbers; of several with one number, the last that was looked for.
    numbers: FxHashMap<u64, Rc<Held>>,
    count: usize,
    /// When to look at which, the next first.
    checks: VecDeque<(u64, Rc<Held>)>,
}

#[derive(Debug)]
struct Held {
    name: Arc<QuotaName>,
    number: u64,
    /// Where the last caller of this name stood.
    place: Cell<Place>,
    state: RefCell<State>,
}

#[derive(Debug)]
struct State {
    terms: Quota,
    day: u32,
    tokens: u32,
    hand: Hand,
    /// Some of it may be left: all was not given back since.
    open: bool,
    /// They were recalled while the desk was too far behind to have them back.
    recalled: bool,
    /// More is asked for when fewer are left, ahead of need.
    renew_at: u32,
    batch: u32,
    asked: bool,
    asked_ms: u64,
    /// What is on its way is for a quota that has changed since.
    refuses_next: bool,
    used: bool,
    quiet_checks: u8,
    refused: Option<(QuotaRefusal, u64)>,
    seats: VecDeque<Rc<Seat>>,
}

/// What the desk has sent.
#[derive(Debug, Clone, Copy)]
struct Given {
    hand: Hand,
    day: u32,
    tokens: u32,
}

/// Where a request waits.
#[derive(Debug)]
struct Seat {
    until_ms: u64,
    verdict: Cell<Option<Result<(), QuotaRefusal>>>,
    /// What it was given one of.
    lease: Cell<u64>,
    abandoned: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Quotas {
    pub(crate) fn new(shard: usize, settings: &Settings, line: QuotaLine, now: Now) -> Self {
        Self {
            shard,
            line,
            keys_max: settings.quota_keys_max,
            waiting_max: settings.quota_waiting_max,
            wait_ms: settings.quota_wait_ms,
            keys: RefCell::default(),
            waiting: Cell::new(0),
            now: Cell::new(now),
        }
    }

    /// Takes one request off a quota; waits for the desk, and through it for control, where it has to.
    pub(crate) fn take<'n>(&self, of: QuotaOf, names: impl Fn() -> Names<'n>) -> Take<'_> {
        let now = self.now.get();
        let held = match self.held(of, names, now) {
            Ok(held) => held,
            Err(refusal) => return Take::Told(Err(refusal)),
        };
        if let Some(taken) = self.try_take(&held, of.terms, now) {
            return Take::Told(taken);
        }
        match self.seat(&held, now.ms) {
            Ok(wait) => Take::Waits(wait),
            Err(refusal) => Take::Told(Err(refusal)),
        }
    }

    /// The desk has said something.
    pub(crate) fn hear(&self, from: FromDesk, now: Now) {
        self.now.set(now);
        let Some(held) = self.find(&from.name.plan_id, &from.name.key_id) else {
            // A key that waits for an answer isn't let go of: this is a recall that has crossed its return.
            return;
        };
        match from.said {
            Said::Give { hand, day, tokens } => self.take_in(&held, Given { hand, day, tokens }, now),
            Said::Refuse(refusal) => {
                let mut state = held.state.borrow_mut();
                state.asked = false;
                state.refused = Some((refusal, now.ms + REFUSED_MS));
                self.refuse_all(state, refusal);
            }
            Said::Recall => {
                let mut state = held.state.borrow_mut();
                state.recalled = !self.give_back(&held.name, &mut state, false);
            }
        }
    }

    /// To be called with each tick of the shard.
    pub(crate) fn tick(&self, now: Now) {
        self.now.set(now);
        for _ in 0..CHECKS_MAX {
            let mut keys = self.keys.borrow_mut();
            let Some((_, held)) = keys.checks.pop_front_if(|(due_ms, _)| *due_ms <= now.ms) else { return };
            drop(keys);
            if let Some(next_ms) = self.check(&held, now.ms) {
                self.keys.borrow_mut().checks.push_back((next_ms, held));
            }
        }
    }

    /// The shard ends.
    pub(crate) fn close(&self) {
        let keys = self.keys.take();
        for held in keys.plans.into_values().flat_map(FxHashMap::into_values) {
            let mut state = held.state.borrow_mut();
            // Where the desk is too far behind for it, it counts as spent when the shard has ended.
            self.give_back(&held.name, &mut state, false);
            state.open = false;
            let seats = std::mem::take(&mut state.seats);
            drop(state);
            seats.iter().for_each(|seat| self.end(seat, Err(QuotaRefusal::Unknown)));
        }
    }

    fn find(&self, plan_id: &str, key_id: &str) -> Option<Rc<Held>> {
        self.keys.borrow().plans.get(plan_id)?.get(key_id).cloned()
    }

    fn held<'n>(
        &self,
        of: QuotaOf,
        names: impl Fn() -> Names<'n>,
        now: Now,
    ) -> Result<Rc<Held>, QuotaRefusal> {
        let numbered = self.keys.borrow().numbers.get(&of.number).cloned();
        if let Some(held) = numbered.filter(|held| held.is_of(of.place, &names)) {
            return Ok(held);
        }
        self.held_by_name(of, names(), now)
    }

    fn held_by_name(&self, of: QuotaOf, names: Names<'_>, now: Now) -> Result<Rc<Held>, QuotaRefusal> {
        let Names { plan_id, key_id } = names;
        if let Some(held) = self.find(plan_id, key_id) {
            self.keys.borrow_mut().numbers.insert(of.number, Rc::clone(&held));
            return Ok(held);
        }
        let mut keys = self.keys.borrow_mut();
        if keys.count >= self.keys_max {
            return Err(QuotaRefusal::Crowded);
        }
        let name = Arc::new(QuotaName { plan_id: plan_id.into(), key_id: key_id.into() });
        let state = RefCell::new(State::new(of.terms, now.day));
        let held = Rc::new(Held { name, number: of.number, place: Cell::new(of.place), state });
        let plan = keys.plans.entry(plan_id.into()).or_default();
        plan.insert(key_id.into(), Rc::clone(&held));
        keys.numbers.insert(of.number, Rc::clone(&held));
        keys.count += 1;
        keys.checks.push_back((now.ms + CHECK_MS, Rc::clone(&held)));
        Ok(held)
    }

    /// Nothing where the request has to wait.
    fn try_take(&self, held: &Held, terms: Quota, now: Now) -> Option<Result<(), QuotaRefusal>> {
        let mut state = held.state.borrow_mut();
        state.used = true;
        if (state.terms != terms || state.day != now.day) && !self.renew(held, &mut state, terms, now.day) {
            return Some(Err(QuotaRefusal::Crowded));
        }
        if state.tokens > 0 {
            self.spend(&mut state);
            if state.tokens < state.renew_at && !state.asked {
                self.ask(held, &mut state, now.ms);
            }
            return Some(Ok(()));
        }
        let refused = state.refused.filter(|(_, until_ms)| now.ms < *until_ms);
        refused.map(|(refusal, _)| Err(refusal))
    }

    /// What is held is of another quota, or of another day. False where the desk can't be told.
    fn renew(&self, held: &Held, state: &mut State, terms: Quota, day: u32) -> bool {
        let stale = state.terms != terms;
        if !self.give_back(&held.name, state, stale) {
            return false;
        }
        state.refuses_next |= stale && state.asked;
        (state.terms, state.day, state.refused) = (terms, day, None);
        true
    }

    fn take_in(&self, held: &Held, given: Given, now: Now) {
        let mut state = held.state.borrow_mut();
        state.asked = false;
        // The desk gives nothing of a new lease before it has all of the old one.
        state.hand = given.hand;
        state.open = true;
        state.tokens += given.tokens;
        // One that has only what it needs now leaves the rest to others.
        state.renew_at = if given.tokens >= RENEWED_REQUESTS { given.tokens / 2 } else { 0 };
        let is_refused = std::mem::take(&mut state.refuses_next);
        if (given.day == now.day && !is_refused) || self.give_back(&held.name, &mut state, false) {
            state.day = now.day;
        } else {
            // Of no day that anybody may spend it on, until the desk has it back.
            state.day = 0;
            return self.refuse_all(state, QuotaRefusal::Crowded);
        }
        while state.tokens > 0
            && let Some(seat) = state.seats.pop_front()
        {
            if !seat.abandoned.get() {
                self.spend(&mut state);
                seat.lease.set(state.hand.lease);
                self.end(&seat, Ok(()));
            }
        }
        if !state.seats.is_empty() && !self.ask(held, &mut state, now.ms) {
            self.refuse_all(state, QuotaRefusal::Crowded);
        }
    }

    /// Takes one of what is held. It is counted before its request goes on.
    fn spend(&self, state: &mut State) {
        if let (Some(row), Some(counts)) = (state.hand.row, self.line.counts.get()) {
            counts.count(self.shard, row);
        }
        state.tokens -= 1;
    }

    /// One that was spent on a request that didn't want it any more.
    fn restore(&self, state: &mut State, lease: u64) {
        // Given back with the rest, it stays spent: its lease may be over, and its row another's.
        if !state.open || state.hand.lease != lease {
            return;
        }
        if let (Some(row), Some(counts)) = (state.hand.row, self.line.counts.get()) {
            counts.take_off(self.shard, row);
        }
        state.tokens += 1;
    }

    fn refuse_all(&self, mut state: RefMut<'_, State>, refusal: QuotaRefusal) {
        let seats = std::mem::take(&mut state.seats);
        drop(state);
        seats.iter().for_each(|seat| self.end(seat, Err(refusal)));
    }

    /// False where the desk is too far behind.
    fn ask(&self, held: &Held, state: &mut State, now_ms: u64) -> bool {
        let since_ms = now_ms.saturating_sub(state.asked_ms);
        state.batch = match state.batch {
            batch if since_ms < BUSIER_MS => (batch * 4).min(BATCH_MAX),
            batch if since_ms < BUSY_MS => (batch * 2).min(BATCH_MAX),
            _ if since_ms > CALM_MS => 1,
            batch => batch,
        };
        let wanted = state.batch.max(state.seats.len() as u32);
        let name = Arc::clone(&held.name);
        let ask = ToDesk::Ask { shard: self.shard, name, held: state.tokens, wanted };
        state.asked = self.line.tell(ask);
        state.asked_ms = now_ms;
        state.asked
    }

    /// All that there is; false where the desk is too far behind to have it.
    fn give_back(&self, name: &Arc<QuotaName>, state: &mut State, stale: bool) -> bool {
        let State { hand, tokens, .. } = *state;
        let told =
            self.line.tell(ToDesk::Return { shard: self.shard, name: Arc::clone(name), hand, tokens, stale });
        if told {
            state.tokens = 0;
            (state.open, state.recalled) = (false, false);
        }
        told
    }

    fn seat(&self, held: &Rc<Held>, now_ms: u64) -> Result<Wait<'_>, QuotaRefusal> {
        if self.waiting.get() >= self.waiting_max {
            return Err(QuotaRefusal::Crowded);
        }
        let seat = Rc::new(Seat {
            until_ms: now_ms + self.wait_ms,
            verdict: Cell::new(None),
            lease: Cell::new(0),
            abandoned: Cell::new(false),
            waker: RefCell::new(None),
        });
        let mut state = held.state.borrow_mut();
        state.seats.push_back(Rc::clone(&seat));
        if !state.asked && !self.ask(held, &mut state, now_ms) {
            state.seats.pop_back();
            return Err(QuotaRefusal::Crowded);
        }
        self.waiting.set(self.waiting.get() + 1);
        Ok(Wait { quotas: self, held: Rc::clone(held), seat })
    }

    fn end(&self, seat: &Seat, verdict: Result<(), QuotaRefusal>) {
        seat.verdict.set(Some(verdict));
        let waker = seat.waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// When to look again; nothing if the key is let go of.
    fn check(&self, held: &Rc<Held>, now_ms: u64) -> Option<u64> {
        let mut state = held.state.borrow_mut();
        while let Some(seat) =
            state.seats.pop_front_if(|seat| seat.abandoned.get() || seat.until_ms <= now_ms)
        {
            self.end(&seat, Err(QuotaRefusal::Unknown));
        }
        let lasts = !state.asked && now_ms.saturating_sub(state.asked_ms) > CALM_MS;
        if state.recalled || (lasts && state.tokens > CALM_REQUESTS_MAX) {
            self.give_back(&held.name, &mut state, false);
        }
        if !state.seats.is_empty() {
            return Some(now_ms + CHECK_MS);
        }
        let is_quiet = !std::mem::take(&mut state.used) && !state.asked;
        state.quiet_checks = if is_quiet { state.quiet_checks + 1 } else { 0 };
        if state.quiet_checks < REST_CHECKS {
            return Some(now_ms + CHECK_MS);
        }
        if !self.give_back(&held.name, &mut state, false) {
            state.quiet_checks = 0;
            return Some(now_ms + CHECK_MS);
        }
        drop(state);
        let mut keys = self.keys.borrow_mut();
        let QuotaName { plan_id, key_id } = &*held.name;
        if keys.numbers.get(&held.number).is_some_and(|numbered| Rc::ptr_eq(numbered, held)) {
            keys.numbers.remove(&held.number);
        }
        if let Some(plan) = keys.plans.get_mut(plan_id) {
            plan.remove(key_id);
            if plan.is_empty() {
                keys.plans.remove(plan_id);
            }
        }
        keys.count -= 1;
        None
    }
}

impl Held {
    /// By name where it is another table's caller.
    fn is_of<'n>(&self, place: Place, names: impl Fn() -> Names<'n>) -> bool {
        if self.place.get() == place {
            return true;
        }
        let Names { plan_id, key_id } = names();
        let is_same = *self.name.plan_id == *plan_id && *self.name.key_id == *key_id;
        if is_same {
            self.place.set(place);
        }
        is_same
    }
}

impl State {
    fn new(terms: Quota, day: u32) -> Self {
        Self {
            terms,
            day,
            tokens: 0,
            hand: Hand::default(),
            open: false,
            recalled: false,
            renew_at: 0,
            batch: 1,
            asked: false,
            asked_ms: 0,
            refuses_next: false,
            used: false,
            quiet_checks: 0,
            refused: None,
            seats: VecDeque::new(),
        }
    }
}

/// What becomes of a request.
#[derive(Debug)]
#[must_use = "a request that isn't awaited leaves the line"]
pub(crate) enum Take<'q> {
    Told(Result<(), QuotaRefusal>),
    Waits(Wait<'q>),
}

impl Future for Take<'_> {
    type Output = Result<(), QuotaRefusal>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Told(told) => Poll::Ready(*told),
            Self::Waits(wait) => Pin::new(wait).poll(context),
        }
    }
}

/// A request that waits for its verdict; dropped, it leaves the line, and what it was given to the next.
#[derive(Debug)]
pub(crate) struct Wait<'q> {
    quotas: &'q Quotas,
    held: Rc<Held>,
    seat: Rc<Seat>,
}

impl Future for Wait<'_> {
    type Output = Result<(), QuotaRefusal>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.seat.verdict.take() {
            Some(verdict) => {
                self.seat.abandoned.set(true);
                Poll::Ready(verdict)
            }
            None => {
                self.seat.waker.replace(Some(context.waker().clone()));
                Poll::Pending
            }
        }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.quotas.waiting.set(self.quotas.waiting.get() - 1);
        self.seat.abandoned.set(true);
        if self.seat.verdict.take() == Some(Ok(())) {
            self.quotas.restore(&mut self.held.state.borrow_mut(), self.seat.lease.get());
        }
    }
}

#[cfg(test)]
mod tests;
