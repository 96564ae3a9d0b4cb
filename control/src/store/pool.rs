//! Connections that are taken, used by one thread, and given back.

use std::ops::{Deref, DerefMut};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::StoreError;

/// At most `max` connections, made as they are needed.
#[derive(Debug)]
pub(super) struct Pool<C> {
    state: Mutex<State<C>>,
    freed: Condvar,
    max: usize,
    /// What sets `max`.
    setting: &'static str,
}

#[derive(Debug)]
struct State<C> {
    idle: Vec<C>,
    /// Taken ones included.
    open: usize,
}

impl<C> Pool<C> {
    pub(super) fn new(max: usize, setting: &'static str) -> Self {
        let state = Mutex::new(State { idle: Vec::new(), open: 0 });
        Self { state, freed: Condvar::new(), max, setting }
    }

    /// One that was given back, or a new one; waits up to `patience` for either.
    pub(super) fn take(
        &self,
        patience: Duration,
        make: impl FnOnce() -> Result<C, StoreError>,
    ) -> Result<Pooled<'_, C>, StoreError> {
        let end = Instant::now() + patience;
        let mut state = self.state();
        loop {
            if let Some(connection) = state.idle.pop() {
                return Ok(Pooled { pool: self, connection: Some(connection) });
            }
            if state.open < self.max {
                state.open += 1;
                drop(state);
                // Counted first, and dropped uncounted if it can't be made.
                let mut place = Pooled { pool: self, connection: None };
                place.connection = Some(make()?);
                return Ok(place);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(StoreError::Busy { connections: self.max, setting: self.setting });
            }
            state = self.freed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Drops the idle ones: what made one of them useless has made all.
    pub(super) fn clear(&self) {
        let mut state = self.state();
        state.open -= state.idle.len();
        let dropped = std::mem::take(&mut state.idle);
        drop(state);
        drop(dropped);
        self.freed.notify_all();
    }

    /// Every change leaves the state whole, so that a panic elsewhere doesn't spoil it.
    fn state(&self) -> MutexGuard<'_, State<C>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A taken connection. Dropping it closes it; one that is as good as before is given back.
#[derive(Debug)]
pub(super) struct Pooled<'a, C> {
    pool: &'a Pool<C>,
    connection: Option<C>,
}

impl<C> Pooled<'_, C> {
    pub(super) fn give_back(mut self) {
        if let Some(connection) = self.connection.take() {
            let mut state = self.pool.state();
            state.idle.push(connection);
            // The drop below takes the place back.
            state.open += 1;
        }
    }
}

impl<C> Drop for Pooled<'_, C> {
    fn drop(&mut self) {
        self.pool.state().open -= 1;
        self.pool.freed.notify_one();
    }
}

impl<C> Deref for Pooled<'_, C> {
    type Target = C;

    fn deref(&self) -> &C {
        self.connection.as_ref().expect("a connection is there until it is given back")
    }
}

impl<C> DerefMut for Pooled<'_, C> {
    fn deref_mut(&mut self) -> &mut C {
        self.connection.as_mut().expect("a connection is there until it is given back")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_ONCE: Duration = Duration::ZERO;

    #[test]
    fn connections_are_used_again_and_bounded() {
        let pool = Pool::new(2, "a_setting");
        let first = pool.take(AT_ONCE, || Ok(1)).expect("room");
        let second = pool.take(AT_ONCE, || Ok(2)).expect("room");
        let busy = pool.take(AT_ONCE, || Ok(3)).expect_err("none is free").to_string();
        assert_eq!(busy, "all 2 connections to the store are in use (a_setting)");
        first.give_back();
        let again = pool.take(AT_ONCE, || Ok(3)).expect("one is back");
        assert_eq!(*again, 1);
        drop(second);
        let third = pool.take(AT_ONCE, || Ok(3)).expect("one was closed");
        assert_eq!(*third, 3);
        third.give_back();
        again.give_back();
        pool.clear();
        assert_eq!(*pool.take(AT_ONCE, || Ok(4)).expect("room"), 4);
    }

    #[test]
    fn what_cannot_be_made_takes_no_room() {
        let pool: Pool<u8> = Pool::new(1, "a_setting");
        for _ in 0..3 {
            assert!(matches!(pool.take(AT_ONCE, || Err(StoreError::UnitName)), Err(StoreError::UnitName)));
        }
        assert_eq!(*pool.take(AT_ONCE, || Ok(1)).expect("room"), 1);
    }
}
