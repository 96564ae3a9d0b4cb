//! The store in SQLite: one file in the data directory, for one process.

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::StoreError;
use super::checkpoint::{Checkpoints, LogBounds};
use super::group::Writer;
use super::pool::Pool;
use super::schema::{SCHEMA_VERSION, STEPS};
use super::sql::Sql;
use crate::settings::SqliteSettings;

/// The name of the store's file in the data directory.
pub(super) const FILE: &str = "control.db";

/// Above the number of different statements, so that none is prepared twice.
const STATEMENTS_KEPT: usize = 128;

/// A store in SQLite.
#[derive(Debug)]
pub(super) struct Sqlite {
    writer: Writer,
    readers: Pool<Connection>,
    path: PathBuf,
    settings: SqliteSettings,
    /// Of the process that serves. Below the writer, with which its work ends.
    _checkpoints: Option<Checkpoints>,
}

impl Sqlite {
    /// Opens the store in `data_dir`, making it where there is none, and brings its tables up to date.
    pub(super) fn open(data_dir: &Path, settings: &SqliteSettings) -> Result<Self, StoreError> {
        let path = data_dir.join(FILE);
        let failed = |source| StoreError::Open { path: path.clone(), source };
        let mut writer = connect(&path, OpenFlags::default(), settings).map_err(failed)?;
        while take_a_step(&mut writer, &path)? {}
        let beside = connect(&path, OpenFlags::default(), settings).map_err(failed)?;
        let checkpoints =
            Checkpoints::follow(&mut writer, beside, LogBounds::new(settings)).map_err(failed)?;
        Ok(Self::new(writer, path, settings, Some(checkpoints)))
    }

    /// Opens a store that another process may be serving from, only to look at it.
    pub(super) fn open_beside(data_dir: &Path, settings: &SqliteSettings) -> Result<Self, StoreError> {
        let path = data_dir.join(FILE);
        let failed = |source| StoreError::Open { path: path.clone(), source };
        if !path.try_exists().map_err(|source| StoreError::Io { path: path.clone(), source })? {
            return Err(StoreError::Absent(data_dir.to_owned()));
        }
        let flags = OpenFlags::default() - OpenFlags::SQLITE_OPEN_CREATE;
        let connection = connect(&path, flags, settings).map_err(failed)?;
        let (found, known) = (version(&connection).map_err(failed)?, SCHEMA_VERSION);
        let place = path.display().to_string();
        match found.cmp(&known) {
            std::cmp::Ordering::Less => Err(StoreError::PastSchema { place, found, known }),
            std::cmp::Ordering::Greater => Err(StoreError::FutureSchema { place, found, known }),
            std::cmp::Ordering::Equal => Ok(Self::new(connection, path, settings, None)),
        }
    }

    fn new(
        writer: Connection,
        path: PathBuf,
        settings: &SqliteSettings,
        checkpoints: Option<Checkpoints>,
    ) -> Self {
        let readers = Pool::new(settings.readers_max, "store_readers_max");
        let settings = settings.clone();
        Self { writer: Writer::new(writer), readers, path, settings, _checkpoints: checkpoints }
    }

    /// Makes a store of what `fill` does, the tables included: whole, or not at all.
    pub(super) fn create<E: From<StoreError>>(
        data_dir: &Path,
        fill: impl FnOnce(&Sql<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let path = data_dir.join(FILE);
        let beside = path.with_extension("restoring");
        let io = |source| StoreError::Io { path: path.clone(), source };
        if path.try_exists().map_err(io)? {
            return Err(StoreError::NotEmpty(path.display().to_string()).into());
        }
        remove_if_there(&beside).map_err(io)?;
        let failed = |source| StoreError::Open { path: beside.clone(), source };
        let mut connection = Connection::open(&beside).map_err(failed)?;
        connection.pragma_update(None, "foreign_keys", true).map_err(failed)?;
        let transaction = connection.transaction().map_err(failed)?;
        fill(&Sql::Sqlite(&transaction))?;
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION).map_err(failed)?;
        transaction.commit().map_err(StoreError::from)?;
        connection.close().map_err(|(_, source)| failed(source))?;
        put_in_place(&beside, &path, data_dir).map_err(io)?;
        Ok(())
    }

    /// Sets the writer's connection as a disk would that is full, or that can't be written to.
    #[cfg(test)]
    pub(super) fn set_pragma(&self, name: &str, value: i64) {
        self.writer.with_connection(|writer| writer.pragma_update(None, name, value)).expect(name);
    }

    #[cfg(test)]
    pub(super) fn pragma(&self, name: &str) -> String {
        let shown = self.writer.with_connection(|writer| {
            writer.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0))
        });
        match shown.expect(name) {
            rusqlite::types::Value::Text(text) => text,
            rusqlite::types::Value::Integer(integer) => integer.to_string(),
            other => panic!("{name}: {other:?}"),
        }
    }

    /// How SQLite would find what a statement asks for.
    #[cfg(test)]
    pub(super) fn plan(&self, sql: &str) -> String {
        let steps = self.writer.with_connection(|writer| {
            let mut statement = writer.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
            let values = vec![""; statement.parameter_count()];
            let steps = statement.query_map(rusqlite::params_from_iter(values), |row| row.get(3))?;
            steps.collect::<rusqlite::Result<Vec<String>>>()
        });
        steps.expect(sql).join("; ")
    }

    pub(super) fn write<T, E: From<StoreError>>(
        &self,
        change: impl FnMut(&Sql<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.writer.write(change)
    }

    pub(super) fn read<T, E: From<StoreError>>(
        &self,
        mut look: impl FnMut(&Sql<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let open = || {
            let flags = OpenFlags::default() - OpenFlags::SQLITE_OPEN_CREATE;
            let opened = connect(&self.path, flags, &self.settings);
            opened.map_err(|source| StoreError::Open { path: self.path.clone(), source })
        };
        let patience = Duration::from_millis(self.settings.reader_timeout_ms);
        let mut connection = self.readers.take(patience, open)?;
        let transaction = connection.transaction().map_err(StoreError::from)?;
        let looked = look(&Sql::Sqlite(&transaction));
        drop(transaction);
        connection.give_back();
        looked
    }
}

fn remove_if_there(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// On the disk under its new name when this returns.
fn put_in_place(beside: &Path, path: &Path, dir: &Path) -> std::io::Result<()> {
    std::fs::File::open(beside)?.sync_all()?;
    std::fs::rename(beside, path)?;
    std::fs::File::open(dir)?.sync_all()
}

/// A connection whose commits are on the disk when they return.
fn connect(path: &Path, flags: OpenFlags, settings: &SqliteSettings) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_millis(settings.busy_timeout_ms))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    Ok(connection)
}

/// Kept in the file's `user_version`; 0 is a new file.
fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// A step and its version are one transaction: a file is of a version or of the next. Returns whether there was one
/// to take.
fn take_a_step(connection: &mut Connection, path: &Path) -> Result<bool, StoreError> {
    let failed = |source| StoreError::Open { path: path.to_owned(), source };
    let behavior = TransactionBehavior::Immediate;
    let transaction = connection.transaction_with_behavior(behavior).map_err(failed)?;
    let found = version(&transaction).map_err(failed)?;
    let Some(steps) = usize::try_from(found).ok().and_then(|found| STEPS.get(found..)) else {
        let place = path.display().to_string();
        return Err(StoreError::FutureSchema { place, found, known: SCHEMA_VERSION });
    };
    let Some(step) = steps.first() else { return Ok(false) };
    let taken = transaction
        .execute_batch(step)
        .and_then(|()| transaction.pragma_update(None, "user_version", found + 1))
        .and_then(|()| transaction.commit());
    taken.map_err(failed)?;
    Ok(true)
}
