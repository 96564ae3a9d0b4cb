//! The one connection that writes to SQLite, and how changes that wait for it share a commit.
//!
//! A commit ends with a sync of the disk, which takes longer than most changes do. So a change that others are waiting
//! behind leaves its transaction open for the next one, and the last of the line commits for all; nobody is told that
//! a change is done before that commit is. Each change is a savepoint of its own: one that fails undoes nothing but
//! itself. Readers see nothing of a group until it is committed.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ffi};

use super::StoreError;
use super::sql::Sql;

/// What bounds the memory of an open transaction, and how much longer its first change waits for the others: a group
/// that has reached either is committed though more are waiting. Arbitrary, of the order of a slow disk's sync.
const BOUNDS: Bounds = Bounds { changes_max: 64, age_max: Duration::from_millis(20) };
/// How often a change is begun again because another's failure has undone the group.
const TRIES_MAX: u32 = 3;

#[derive(Debug)]
pub(super) struct Writer {
    state: Mutex<State>,
    /// Changes that wait for the connection, or are about to.
    waiting: AtomicUsize,
    settled: Condvar,
    bounds: Bounds,
}

#[derive(Debug, Clone, Copy)]
struct Bounds {
    changes_max: usize,
    /// From the beginning of a group's first change.
    age_max: Duration,
}

#[derive(Debug)]
struct State {
    connection: Connection,
    /// The group whose transaction is open. Somebody waits who will add to it, or is running in it.
    open: Option<Group>,
}

#[derive(Debug)]
struct Group {
    outcome: Outcome,
    changes: usize,
    began: Instant,
}

/// How a group ended, once it has.
type Outcome = Arc<OnceLock<Result<(), Failure>>>;

/// Why nothing of a group was changed.
#[derive(Debug, Clone)]
enum Failure {
    Commit(ffi::Error, Option<String>),
    /// SQLite gave the whole transaction up when another change failed.
    Undone,
}

impl Writer {
    pub(super) fn new(connection: Connection) -> Self {
        let state = Mutex::new(State { connection, open: None });
        Self { state, waiting: AtomicUsize::new(0), settled: Condvar::new(), bounds: BOUNDS }
    }

    /// Runs `change` and returns once it is committed. It may be run again from its beginning.
    pub(super) fn write<T, E: From<StoreError>>(
        &self,
        mut change: impl FnMut(&Sql<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        for _ in 1..TRIES_MAX {
            if let Some(output) = self.try_write(&mut change)? {
                return Ok(output);
            }
        }
        let undone = || Failure::Undone.into();
        self.try_write(&mut change)?.ok_or_else(undone).map_err(|error: StoreError| error.into())
    }

    /// Nothing when another change's failure has undone this one.
    fn try_write<T, E: From<StoreError>>(
        &self,
        change: &mut impl FnMut(&Sql<'_>) -> Result<T, E>,
    ) -> Result<Option<T>, E> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let mut state = self.state();
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        let outcome = state.join()?;
        // Whatever happens to this change, the group has to be settled by somebody.
        let ran = catch_unwind(AssertUnwindSafe(|| state.run(change)));
        let ran = ran.inspect_err(|_| state.undo());
        let last = self.waiting.load(Ordering::SeqCst) == 0;
        if state.settle_if(last, self.bounds) {
            self.settled.notify_all();
        }
        let output = match ran {
            Ok(output) => output?,
            Err(panic) => {
                drop(state);
                resume_unwind(panic)
            }
        };
        let settled = self.settled.wait_while(state, |_| outcome.get().is_none());
        drop(settled.unwrap_or_else(PoisonError::into_inner));
        match outcome.get() {
            Some(Ok(())) => Ok(Some(output)),
            Some(Err(failure @ Failure::Commit(..))) => Err(StoreError::from(failure.clone()).into()),
            Some(Err(Failure::Undone)) | None => Ok(None),
        }
    }

    /// Every change leaves the state whole, panics included.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection, while no change is under way.
    #[cfg(test)]
    pub(super) fn with_connection<T>(&self, look: impl FnOnce(&Connection) -> T) -> T {
        look(&self.state().connection)
    }
}

impl State {
    /// Takes part in the open group, or opens one.
    fn join(&mut self) -> Result<Outcome, StoreError> {
        if self.open.is_none() {
            self.connection.execute_batch("BEGIN IMMEDIATE")?;
        }
        let group = self.open.get_or_insert_with(|| Group {
            outcome: Outcome::default(),
            changes: 0,
            began: Instant::now(),
        });
        group.changes += 1;
        Ok(Arc::clone(&group.outcome))
    }

    fn run<T, E: From<StoreError>>(&self, change: &mut impl FnMut(&Sql<'_>) -> Result<T, E>) -> Result<T, E> {
        let begun = self.connection.execute_batch("SAVEPOINT change");
        let ran = begun.map_err(|error| StoreError::from(error).into());
        let ran = ran.and_then(|()| {
            let output = change(&Sql::Sqlite(&self.connection))?;
            self.connection.execute_batch("RELEASE change").map_err(StoreError::from)?;
            Ok(output)
        });
        ran.inspect_err(|_| self.undo())
    }

    /// Undoes the change under way, and nothing else; where that can't be done, the whole group.
    fn undo(&self) {
        if !self.connection.is_autocommit()
            && self.connection.execute_batch("ROLLBACK TO change; RELEASE change").is_err()
        {
            self.roll_back();
        }
    }

    fn roll_back(&self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            log_line!("store: a transaction can't be rolled back: {error}");
        }
    }

    /// Commits the group if it is the `last` one's turn, or if it has grown enough. Returns whether the group has ended.
    fn settle_if(&mut self, last: bool, bounds: Bounds) -> bool {
        let undone = self.connection.is_autocommit();
        let is_due = |group: &mut Group| {
            undone || last || group.changes >= bounds.changes_max || group.began.elapsed() >= bounds.age_max
        };
        let Some(group) = self.open.take_if(is_due) else { return false };
        let ended = match undone {
            true => Err(Failure::Undone),
            false => self.connection.execute_batch("COMMIT").map_err(Failure::from),
        };
        self.roll_back();
        // Nobody else has taken the group out.
        let _ = group.outcome.set(ended);
        true
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        match error {
            rusqlite::Error::SqliteFailure(code, message) => Self::Commit(code, message),
            other => Self::Commit(ffi::Error::new(ffi::SQLITE_ERROR), Some(other.to_string())),
        }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Commit(code, message) => rusqlite::Error::SqliteFailure(code, message).into(),
            Failure::Undone => Self::Undone,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::mpsc::channel;

    use super::super::sql::values;
    use super::*;

    /// What a change does besides adding its row.
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Then {
        Succeed,
        Fail,
        Panic,
        /// As SQLite does when the disk is full.
        UndoAll,
        /// The commit fails of it.
        Dangle,
    }

    fn connect(path: &Path) -> Connection {
        let connection = Connection::open(path).expect("a file");
        connection.pragma_update(None, "journal_mode", "WAL").expect("WAL");
        connection.pragma_update(None, "foreign_keys", true).expect("foreign keys");
        connection
    }

    fn count(connection: &Connection) -> i64 {
        connection.query_row("SELECT count(*) FROM thing", [], |row| row.get(0)).expect("a count")
    }

    fn add(sql: &Sql<'_>, id: usize, then: Then) -> Result<(), StoreError> {
        sql.execute("INSERT INTO thing (id) VALUES (?)", values![id])?;
        match then {
            Then::Succeed => return Ok(()),
            Then::Fail => {}
            Then::Panic => panic!("as asked"),
            Then::UndoAll => drop(sql.execute("ROLLBACK", values![])?),
            Then::Dangle => {
                sql.execute("UPDATE thing SET other = 99 WHERE id = ?", values![id])?;
                return Ok(());
            }
        }
        Err(StoreError::NulInText)
    }

    /// Has all wait behind a change that doesn't end before they do; whether each ended well, and how many rows
    /// there are after it all.
    fn line_up(all: &[Then]) -> (Vec<bool>, i64) {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("db");
        let connection = connect(&path);
        let table = "CREATE TABLE thing (id INTEGER PRIMARY KEY,
                     other INTEGER REFERENCES thing (id) DEFERRABLE INITIALLY DEFERRED)";
        connection.execute_batch(table).expect("a table");
        let bounds = Bounds { changes_max: usize::MAX, age_max: Duration::MAX };
        let writer = Writer { bounds, ..Writer::new(connection) };
        let ended = std::thread::scope(|scope| {
            let (begun, under_way) = channel();
            let (writer, path) = (&writer, &path);
            let first = scope.spawn(move || {
                let mut begun = Some(begun);
                writer.write(|sql| {
                    // Run again, it waits for nobody.
                    if let Some(begun) = begun.take() {
                        begun.send(()).expect("somebody listens");
                        while writer.waiting.load(Ordering::SeqCst) < all.len() {
                            std::thread::yield_now();
                        }
                    }
                    add(sql, 1_000, Then::Succeed)
                })
            });
            under_way.recv().expect("the first runs");
            let add_one = |(id, then): (usize, Then)| {
                let added = writer.write(|sql| {
                    assert_eq!(count(&connect(path)), 0, "nothing is seen before the commit");
                    add(sql, id, then)
                });
                assert!(added.is_err() || count(&connect(path)) > 0, "told before the commit");
                added
            };
            let others: Vec<_> =
                all.iter().copied().enumerate().map(|one| scope.spawn(move || add_one(one))).collect();
            let mut ended = vec![first.join().expect("the first doesn't panic").is_ok()];
            ended.extend(others.into_iter().map(|other| other.join().is_ok_and(|added| added.is_ok())));
            ended
        });
        (ended, count(&connect(&path)))
    }

    #[test]
    fn those_that_wait_share_a_commit() {
        assert_eq!(line_up(&[Then::Succeed; 8]), (vec![true; 9], 9));
    }

    #[test]
    fn a_change_that_fails_or_panics_undoes_only_itself() {
        for then in [Then::Fail, Then::Panic] {
            let (ended, rows) = line_up(&[Then::Succeed, then, Then::Succeed]);
            assert_eq!((ended, rows), (vec![true, true, false, true], 3), "{then:?}");
        }
        // Whoever ends the line commits, having failed or not.
        assert_eq!(line_up(&[Then::Fail]), (vec![true, false], 1));
        assert_eq!(line_up(&[Then::Panic]), (vec![true, false], 1));
    }

    #[test]
    fn nobody_is_told_of_a_commit_that_failed() {
        assert_eq!(line_up(&[Then::Succeed, Then::Dangle]), (vec![false, false, false], 0));
    }

    #[test]
    fn what_another_has_undone_is_done_again() {
        let (ended, rows) = line_up(&[Then::UndoAll]);
        assert_eq!((ended, rows), (vec![true, false], 1));
    }

    #[test]
    fn many_at_once_all_get_through() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("db");
        let connection = connect(&path);
        connection.execute_batch("CREATE TABLE thing (id INTEGER PRIMARY KEY, other)").expect("a table");
        let writer = Writer::new(connection);
        std::thread::scope(|scope| {
            for thread in 0..32 {
                let writer = &writer;
                scope.spawn(move || {
                    for number in 0..100 {
                        let then = if number % 7 == thread % 7 { Then::Fail } else { Then::Succeed };
                        let added = writer.write(|sql| add(sql, thread * 100 + number, then));
                        assert_eq!(added.is_ok(), then == Then::Succeed, "{added:?}");
                    }
                });
            }
        });
        let failing = (0..32).flat_map(|thread| (0..100).map(move |number| number % 7 == thread % 7));
        assert_eq!(count(&connect(&path)), failing.filter(|fails| !fails).count() as i64);
    }

    #[test]
    fn a_group_does_not_grow_for_ever() {
        let mut state = State { connection: Connection::open_in_memory().expect("memory"), open: None };
        let bounds = Bounds { changes_max: 2, age_max: Duration::MAX };
        let first = state.join().expect("a group");
        assert!(!state.settle_if(false, bounds) && first.get().is_none());
        assert!(Arc::ptr_eq(&first, &state.join().expect("the same group")));
        assert!(state.settle_if(false, bounds));
        assert!(matches!(first.get(), Some(Ok(()))));
        state.join().expect("the next group");
        assert!(state.settle_if(false, Bounds { age_max: Duration::ZERO, ..bounds }));
    }
}
