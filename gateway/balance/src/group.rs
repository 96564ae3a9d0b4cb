//! A target group as one shard sees it: which targets are in use, and what they were seen to do.
//!
//! What is in use changes when the caller tells of new targets or states, when a target is ejected, and when an
//! ejection ends; it is worked out once for each change, not for each pick.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use crate::health::Health;
use crate::maglev::Maglev;
use crate::outlier::{Ejection, LetBack, Outlier, OutlierRules};
use crate::random::Random;
use crate::turns::{Turn, Turns};

/// How targets are chosen among those in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balancing {
    RoundRobin,
    /// The less loaded of two that are drawn at random (M. Mitzenmacher, "The Power of Two Choices in Randomized
    /// Load Balancing", 2001).
    LeastRequest,
    /// By the hash that comes with a request; without one, at random.
    Hash,
}

/// What a group goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    pub balancing: Balancing,
    /// A target that came into use later than the group gets its full share only after this long; 0 turns it off.
    pub slow_start_ms: u64,
    /// Below this share of targets in use, all of them are used; 0 turns it off.
    pub panic_threshold_percent: u8,
    pub outliers: Option<OutlierRules>,
}

/// A target as the caller tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    /// No other target of the group has it. What is known of a target stays with its key.
    pub key: u64,
    /// Above 0.
    pub weight: u64,
    /// Lower ones are used first.
    pub priority: u16,
    pub health: Health,
}

/// A target of a group, with what the caller keeps for it.
#[derive(Debug)]
pub struct Target<T> {
    pub payload: T,
    key: u64,
    /// Over the heaviest one's.
    pub(crate) weight: Cell<f64>,
    priority: Cell<u16>,
    health: Cell<Health>,
    pub(crate) in_flight: Cell<u32>,
    outlier: Outlier,
    /// When it came into use.
    pub(crate) since_ms: Cell<u64>,
    /// In round robin, kept while the target is out of use.
    due: Cell<f64>,
    usable: Cell<bool>,
    /// It is one of its group's targets.
    seated: Cell<bool>,
}

/// A target starts with this share of its weight, so that it is tried at all.
const SLOW_START_SHARE_MIN: f64 = 0.1;

impl<T> Target<T> {
    fn new(payload: T, seat: &Seat, now_ms: u64) -> Self {
        Self {
            payload,
            key: seat.key,
            weight: Cell::new(1.0),
            priority: Cell::new(seat.priority),
            health: Cell::new(seat.health),
            in_flight: Cell::new(0),
            outlier: Outlier::default(),
            since_ms: Cell::new(now_ms),
            due: Cell::new(f64::NEG_INFINITY),
            usable: Cell::new(false),
            seated: Cell::new(true),
        }
    }

    #[must_use]
    pub const fn key(&self) -> u64 {
        self.key
    }

    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.get()
    }

    /// A request is on its way to it.
    pub fn begin(&self) {
        self.in_flight.set(self.in_flight.get() + 1);
    }

    pub fn end(&self) {
        self.in_flight.set(self.in_flight.get() - 1);
    }

    /// Whether it may be picked.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.usable.get()
    }

    /// Whether it is still one of its group's targets.
    #[must_use]
    pub fn is_seated(&self) -> bool {
        self.seated.get()
    }

    #[must_use]
    pub fn is_ejected(&self) -> bool {
        self.outlier.is_ejected()
    }

    pub fn note_success(&self) {
        self.outlier.note_success();
    }

    fn is_ready(&self) -> bool {
        self.health.get() == Health::Healthy && !self.is_ejected()
    }

    /// How much of its weight counts by now.
    pub(crate) fn ramp(&self, slow_start_ms: u64, now_ms: u64) -> f64 {
        let in_use_ms = now_ms.saturating_sub(self.since_ms.get());
        if in_use_ms >= slow_start_ms {
            return 1.0;
        }
        (in_use_ms as f64 / slow_start_ms as f64).max(SLOW_START_SHARE_MIN)
    }

    fn hear_of(&self, seat: &Seat, now_ms: u64) {
        self.priority.set(seat.priority);
        if self.health.replace(seat.health) != Health::Healthy && seat.health == Health::Healthy {
            self.since_ms.set(now_ms);
        }
    }
}

/// One shard's targets.
#[derive(Debug)]
pub struct Group<T> {
    pub(crate) rules: Rules,
    pub(crate) targets: Vec<Rc<Target<T>>>,
    /// Indices of the targets in use.
    pub(crate) used: Vec<usize>,
    /// Sums of the weights of `used`.
    pub(crate) sums: Vec<f64>,
    pub(crate) turns: Turns,
    pub(crate) table: Option<Arc<Maglev>>,
    pub(crate) random: RefCell<Random>,
    panicking: bool,
    /// What is in use has to be worked out again at this time.
    stale_at_ms: u64,
    generation: u64,
}

impl<T> Group<T> {
    /// A group without targets.
    #[must_use]
    pub fn new(rules: Rules, seed: u64) -> Self {
        Self {
            rules,
            targets: Vec::new(),
            used: Vec::new(),
            sums: Vec::new(),
            turns: Turns::default(),
            table: None,
            random: RefCell::new(Random::seeded(seed)),
            panicking: false,
            stale_at_ms: 0,
            generation: 0,
        }
    }

    /// Takes over the complete list of targets; `table` was built from them in the same order, where
    /// [`Balancing::Hash`] needs it. `make` makes what the caller keeps for a target that is new.
    pub fn adopt(
        &mut self,
        rules: Rules,
        seats: &[Seat],
        table: Option<Arc<Maglev>>,
        now_ms: u64,
        mut make: impl FnMut(usize) -> T,
    ) {
        let known = std::mem::take(&mut self.targets);
        known.iter().for_each(|target| target.seated.set(false));
        let mut known: Vec<Option<Rc<Target<T>>>> = known.into_iter().map(Some).collect();
        known.sort_by_key(|target| target.as_ref().map(|target| target.key));
        let heaviest = seats.iter().map(|seat| seat.weight).max().unwrap_or(1).max(1) as f64;
        for (index, seat) in seats.iter().enumerate() {
            let found = known.binary_search_by_key(&Some(seat.key), |known| Some(known.as_ref()?.key));
            let target = found.ok().and_then(|at| known[at].clone());
            let target = target.unwrap_or_else(|| Rc::new(Target::new(make(index), seat, now_ms)));
            target.hear_of(seat, now_ms);
            target.weight.set(seat.weight.max(1) as f64 / heaviest);
            target.seated.set(true);
            self.targets.push(target);
        }
        (self.rules, self.table) = (rules, table);
        self.work_out(now_ms);
    }

    #[must_use]
    pub fn targets(&self) -> &[Rc<Target<T>>] {
        &self.targets
    }

    /// Whether so few targets are ready that all are used.
    #[must_use]
    pub const fn is_panicking(&self) -> bool {
        self.panicking
    }

    /// Grows whenever other targets are in use than before, or may be.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// A request to `target` failed. The ejection, if it was one too many; unless as large a share of the group
    /// is ejected already as may be.
    pub fn note_failure(&mut self, target: &Target<T>, now_ms: u64) -> Option<Ejection> {
        let rules = self.rules.outliers?;
        if !target.outlier.note_failure(&rules) || !target.seated.get() {
            return None;
        }
        self.let_back(now_ms);
        let ejected = self.targets.iter().filter(|target| target.is_ejected()).count();
        if (ejected + 1) * 100 > self.targets.len() * usize::from(rules.ejected_percent_max) {
            return None;
        }
        let ejection = target.outlier.eject(&rules, now_ms);
        self.work_out(now_ms);
        Some(ejection)
    }

    /// Brings what is in use up to date.
    pub fn refresh(&mut self, now_ms: u64) {
        if now_ms >= self.stale_at_ms {
            self.work_out(now_ms);
        }
    }

    /// Ends the ejections whose time is over; when the next one ends.
    fn let_back(&self, now_ms: u64) -> u64 {
        let mut next_ms = u64::MAX;
        for target in &self.targets {
            match target.outlier.let_back(now_ms) {
                LetBack::WasThere => {}
                LetBack::Now => target.since_ms.set(now_ms),
                LetBack::At(at_ms) => next_ms = next_ms.min(at_ms),
            }
        }
        next_ms
    }

    fn work_out(&mut self, now_ms: u64) {
        self.stale_at_ms = self.let_back(now_ms);
        self.generation += 1;
        let used = self.choose_used();
        for target in &self.targets {
            target.usable.set(false);
        }
        let mut sum = 0.0;
        self.sums.clear();
        for index in &used {
            let target = &self.targets[*index];
            target.usable.set(true);
            sum += target.weight.get();
            self.sums.push(sum);
        }
        self.used = used;
        self.set_turns(now_ms);
    }

    /// The best priority of which enough is ready; else everything, or, with panic turned off, nothing.
    fn choose_used(&mut self) -> Vec<usize> {
        let threshold = usize::from(self.rules.panic_threshold_percent);
        let mut priorities: Vec<u16> = self.targets.iter().map(|target| target.priority.get()).collect();
        priorities.sort_unstable();
        priorities.dedup();
        self.panicking = false;
        for priority in &priorities {
            let level = || {
                let all = self.targets.iter().enumerate();
                all.filter(|(_, target)| target.priority.get() == *priority)
            };
            let ready: Vec<usize> =
                level().filter(|(_, target)| target.is_ready()).map(|(index, _)| index).collect();
            let known = level().filter(|(_, target)| target.health.get() != Health::Unknown).count();
            if !ready.is_empty() && ready.len() * 100 >= known * threshold {
                return ready;
            }
            let unknown: Vec<usize> = level()
                .filter(|(_, target)| target.health.get() == Health::Unknown)
                .map(|(at, _)| at)
                .collect();
            if ready.is_empty() && !unknown.is_empty() {
                return unknown;
            }
        }
        self.panicking = threshold > 0 && !self.targets.is_empty();
        if self.panicking { (0..self.targets.len()).collect() } else { Vec::new() }
    }

    fn set_turns(&mut self, now_ms: u64) {
        if self.rules.balancing != Balancing::RoundRobin {
            return self.turns.set(std::iter::empty());
        }
        let now = self.turns.now();
        for index in &self.used {
            let target = &self.targets[*index];
            if target.due.get() < now {
                // Somewhere within its first stride, so that shards don't all begin with the same target.
                let stride = stride(target, self.rules.slow_start_ms, now_ms);
                target.due.set(now + stride * self.random.get_mut().fraction());
            }
        }
        let turns = self.used.iter().map(|index| Turn { due: self.targets[*index].due.get(), index: *index });
        self.turns.set(turns);
    }

    pub(crate) fn note_turn(&self, turn: Turn) {
        self.targets[turn.index].due.set(turn.due);
    }
}

/// How far apart a target's turns are.
pub(crate) fn stride<T>(target: &Target<T>, slow_start_ms: u64, now_ms: u64) -> f64 {
    1.0 / (target.weight.get() * target.ramp(slow_start_ms, now_ms))
}
