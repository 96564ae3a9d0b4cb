//! A transaction at the server, and what became of it.

use std::cell::{Cell as Slot, RefCell};

use super::super::StoreError;
use super::super::sql::{Cell, Value, values};
use super::connection::{Connection, Fault};
use super::{CHANNEL, WRITE_LOCK};

/// What a change leaves in its process's row, so that it can be found out whether it was committed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark<'a> {
    /// Hexadecimal digits.
    pub(super) process: &'a str,
    pub(super) number: u64,
}

impl Mark<'_> {
    pub(super) fn is_there(&self, transaction: &Transaction<'_>) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM process WHERE id = ? AND mark = ?";
        Ok(!transaction.rows(sql, values![self.process, self.number])?.is_empty())
    }
}

/// An open transaction. One that is dropped without an end closes its connection with it.
#[derive(Debug)]
pub(in crate::store) struct Transaction<'a> {
    connection: &'a Connection,
    place: &'a str,
    /// Why the whole may be tried again.
    passing: RefCell<Option<String>>,
    /// A statement has failed, and the server takes no more of them.
    spoilt: Slot<bool>,
}

impl<'a> Transaction<'a> {
    /// Waits for the changes of other processes; what is read afterwards is what they have left.
    pub(super) fn begin_write(
        connection: &'a Connection,
        place: &'a str,
        mark: &Mark<'_>,
    ) -> Result<Self, Fault> {
        let Mark { process, number } = mark;
        Self::begin(
            connection,
            place,
            &format!(
                "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock({WRITE_LOCK});
                 INSERT INTO process (id, mark, seen_at_s)
                 VALUES ('{process}', {number}, extract(epoch FROM now())::bigint)
                 ON CONFLICT (id) DO UPDATE SET mark = excluded.mark, seen_at_s = excluded.seen_at_s"
            ),
        )
    }

    /// As [`Self::begin_write`], for one who doesn't change anything.
    pub(super) fn begin_look(connection: &'a Connection, place: &'a str) -> Result<Self, Fault> {
        let sql = format!("BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock({WRITE_LOCK})");
        Self::begin(connection, place, &sql)
    }

    /// Everything that is read is of one moment.
    pub(super) fn begin_read(connection: &'a Connection, place: &'a str) -> Result<Self, Fault> {
        Self::begin(connection, place, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    }

    fn begin(connection: &'a Connection, place: &'a str, sql: &str) -> Result<Self, Fault> {
        connection.batch(sql)?;
        Ok(Self { connection, place, passing: RefCell::default(), spoilt: Slot::new(false) })
    }

    pub(in crate::store) fn rows(
        &self,
        sql: &str,
        values: &[Value<'_>],
    ) -> Result<Vec<Vec<Cell>>, StoreError> {
        self.connection.rows(sql, values).map_err(|fault| self.note(fault))
    }

    pub(in crate::store) fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<u64, StoreError> {
        self.connection.execute(sql, values).map_err(|fault| self.note(fault))
    }

    /// Without waiting for it; [`Self::commit`] does, at the latest.
    pub(in crate::store) fn send(&self, sql: &str, values: &[Value<'_>]) -> Result<(), StoreError> {
        self.connection.send(sql, values).map_err(|fault| self.note(fault))
    }

    /// Several statements without values.
    fn batch(&self, sql: &str) -> Result<(), StoreError> {
        let done = self.connection.settle().and_then(|()| self.connection.batch(sql));
        done.map_err(|fault| self.note(fault))
    }

    pub(in crate::store) fn take_step(&self, step: &str) -> Result<(), StoreError> {
        let taken = self.connection.settle().and_then(|()| self.connection.take_step(step));
        taken.map_err(|fault| self.note(fault))
    }

    /// For everyone who listens, once this is committed.
    pub(in crate::store) fn notify(&self, version: u64) -> Result<(), StoreError> {
        self.batch(&format!("NOTIFY {CHANNEL}, '{version}'"))
    }

    /// On the server's disk when this returns; [`Fault::Lost`] leaves open whether it is.
    pub(super) fn commit(&self) -> Result<(), Fault> {
        if self.spoilt.get() {
            // The server would undo it, and call that a success.
            let reason = "a statement has failed, and the change went on regardless".to_owned();
            return Err(Fault::Failed(StoreError::Postgres { place: self.place.to_owned(), reason }));
        }
        self.connection.settle().map_err(|fault| match fault {
            // The commit wasn't sent.
            Fault::Lost(reason) => Fault::Conflict(reason),
            fault => fault,
        })?;
        // A commit that waits for a standby isn't to be given up: it has been made.
        self.connection.batch("SET LOCAL statement_timeout TO 0; COMMIT")
    }

    /// Undoes it. Then the connection is as good as before.
    pub(super) fn end(&self) -> Result<(), Fault> {
        self.connection.forget();
        self.connection.batch("ROLLBACK")
    }

    /// Why the whole may be tried again, if it may.
    pub(super) fn into_passing(self) -> Option<String> {
        self.passing.into_inner()
    }

    fn note(&self, fault: Fault) -> StoreError {
        self.spoilt.set(true);
        match fault {
            Fault::Lost(reason) | Fault::Conflict(reason) => {
                *self.passing.borrow_mut() = Some(reason.clone());
                StoreError::Unreachable { place: self.place.to_owned(), reason }
            }
            Fault::Failed(error) => error,
        }
    }
}
