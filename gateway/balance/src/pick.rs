//! Picking a target for a request.

use std::rc::Rc;

use crate::group::{Balancing, Group, Target, stride};
use crate::random::{fraction, mix};

/// Why there is no target for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unavailable {
    /// None is in use.
    NoTarget,
    /// Those in use have as much as they may have.
    Full,
}

/// Draws before the targets are gone through one by one.
const DRAWS_MAX: u64 = 16;

impl<T> Group<T> {
    /// The target for the next request, among those in use that `fits` takes. `tried` are the keys of those that
    /// the request has failed at: they come last. `hash` says which requests belong together.
    ///
    /// # Errors
    /// No target is in use, or none fits.
    pub fn pick(
        &mut self,
        hash: Option<u64>,
        tried: &[u64],
        now_ms: u64,
        fits: impl Fn(&Target<T>) -> bool,
    ) -> Result<Rc<Target<T>>, Unavailable> {
        self.refresh(now_ms);
        if self.used.is_empty() {
            return Err(Unavailable::NoTarget);
        }
        if tried.is_empty() {
            return self.pick_among(hash, now_ms, &fits).ok_or(Unavailable::Full);
        }
        let untried = |target: &Target<T>| !tried.contains(&target.key()) && fits(target);
        let picked = self.pick_among(hash, now_ms, &untried);
        picked.or_else(|| self.pick_among(hash, now_ms, &fits)).ok_or(Unavailable::Full)
    }

    fn pick_among(
        &mut self,
        hash: Option<u64>,
        now_ms: u64,
        fits: &dyn Fn(&Target<T>) -> bool,
    ) -> Option<Rc<Target<T>>> {
        let index = match (self.rules.balancing, hash) {
            (Balancing::RoundRobin, _) => self.next_in_turn(now_ms, fits)?,
            (Balancing::LeastRequest, _) => self.less_loaded(now_ms, fits)?,
            (Balancing::Hash, Some(hash)) => self.hashed(hash, now_ms, fits)?,
            (Balancing::Hash, None) => self.drawn(now_ms, fits)?,
        };
        Some(Rc::clone(&self.targets[index]))
    }

    fn next_in_turn(&mut self, now_ms: u64, fits: &dyn Fn(&Target<T>) -> bool) -> Option<usize> {
        let (targets, slow_start_ms) = (&self.targets, self.rules.slow_start_ms);
        let accept = |index: usize| fits(&targets[index]);
        let next = self.turns.take(accept, |index| stride(&targets[index], slow_start_ms, now_ms))?;
        self.note_turn(next);
        Some(next.index)
    }

    fn less_loaded(&mut self, now_ms: u64, fits: &dyn Fn(&Target<T>) -> bool) -> Option<usize> {
        let first = self.drawn(now_ms, fits)?;
        if self.used.len() == 1 {
            return Some(first);
        }
        let other = |target: &Target<T>| target.key() != self.targets[first].key() && fits(target);
        let second = self.drawn(now_ms, &other);
        let load = |index: usize| {
            let target = &self.targets[index];
            let weight = target.weight.get() * target.ramp(self.rules.slow_start_ms, now_ms);
            f64::from(target.in_flight()) / weight
        };
        Some(second.filter(|second| load(*second) < load(first)).unwrap_or(first))
    }

    /// One at random, by weights.
    fn drawn(&self, now_ms: u64, fits: &dyn Fn(&Target<T>) -> bool) -> Option<usize> {
        for _ in 0..DRAWS_MAX {
            let at = self.draw();
            let target = &self.targets[self.used[at]];
            let ramp = target.ramp(self.rules.slow_start_ms, now_ms);
            if (ramp >= 1.0 || self.random_fraction() < ramp) && fits(target) {
                return Some(self.used[at]);
            }
        }
        self.first_from(self.draw(), fits)
    }

    /// An index into `used`.
    fn draw(&self) -> usize {
        let total = self.sums.last().copied().unwrap_or_default();
        let drawn = self.random_fraction() * total;
        self.sums.partition_point(|sum| *sum <= drawn).min(self.used.len() - 1)
    }

    /// The next that fits, going round from `start`.
    fn first_from(&self, start: usize, fits: &dyn Fn(&Target<T>) -> bool) -> Option<usize> {
        let round = (0..self.used.len()).map(|step| self.used[(start + step) % self.used.len()]);
        round.into_iter().find(|index| fits(&self.targets[*index]))
    }

    /// The hash's own target; where that can't be used, it is hashed again, so that the requests of a target that
    /// is gone spread over the others, and everybody else's stay where they are. A target that starts slowly
    /// takes a growing share of its hashes, the same ones each time.
    fn hashed(&self, hash: u64, now_ms: u64, fits: &dyn Fn(&Target<T>) -> bool) -> Option<usize> {
        let table = self.table.as_ref();
        let mut ramping = None;
        for attempt in 0..DRAWS_MAX {
            let rehashed = if attempt == 0 { hash } else { mix(hash.wrapping_add(attempt)) };
            let index =
                table.map_or(self.used[rehashed as usize % self.used.len()], |table| table.look_up(rehashed));
            let Some(target) = self.targets.get(index).filter(|target| target.is_usable() && fits(target))
            else {
                continue;
            };
            if fraction(mix(!hash)) < target.ramp(self.rules.slow_start_ms, now_ms) {
                return Some(index);
            }
            ramping.get_or_insert(index);
        }
        ramping.or_else(|| self.first_from(hash as usize % self.used.len(), fits))
    }

    fn random_fraction(&self) -> f64 {
        self.random.borrow_mut().fraction()
    }
}
