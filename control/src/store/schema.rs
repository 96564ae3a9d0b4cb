//! The tables, and how a file gets to have them.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

use super::StoreError;

/// Kept in the file's `user_version`; 0 is a new file.
pub(super) const SCHEMA_VERSION: i64 = 1;

/// How long one connection waits for the other's write.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// - `api`: one row an API, of either kind.
/// - `part`: what belongs to an API, by kind and id; `name` is a second unique name.
/// - `slot`: what the newest root lists: the account's unit (both keys empty) and one unit a stage.
/// - `unit`: encoded units; `retired_at` is the version of the first root that no longer lists it.
/// - `root`: one row, the newest root.
/// - `compiler`: one row, the revision of the compiler that made the units.
const TABLES: &str = "
    CREATE TABLE api (
        id TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        doc TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE part (
        api_id TEXT NOT NULL REFERENCES api (id) ON DELETE CASCADE,
        kind TEXT NOT NULL,
        id TEXT NOT NULL,
        name TEXT,
        doc TEXT NOT NULL,
        PRIMARY KEY (api_id, kind, id)
    ) WITHOUT ROWID;
    CREATE UNIQUE INDEX part_by_name ON part (api_id, kind, name) WHERE name IS NOT NULL;
    CREATE TABLE slot (
        api_id TEXT NOT NULL,
        stage TEXT NOT NULL,
        hash BLOB NOT NULL,
        bytes_len INTEGER NOT NULL,
        PRIMARY KEY (api_id, stage)
    ) WITHOUT ROWID;
    CREATE TABLE unit (
        hash BLOB PRIMARY KEY,
        retired_at INTEGER,
        bytes BLOB NOT NULL
    );
    CREATE INDEX unit_by_retirement ON unit (retired_at) WHERE retired_at IS NOT NULL;
    CREATE TABLE root (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        version INTEGER NOT NULL,
        bytes BLOB NOT NULL
    );
    CREATE TABLE compiler (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        revision INTEGER NOT NULL
    );
    PRAGMA user_version = 1;
";

/// Opens a connection whose commits are on the disk when they return.
pub(super) fn open(path: &Path) -> Result<Connection, StoreError> {
    let failed = |source| StoreError::Open { path: path.to_owned(), source };
    let mut connection = Connection::open(path).map_err(failed)?;
    configure(&connection).map_err(failed)?;
    match version(&connection).map_err(failed)? {
        SCHEMA_VERSION => Ok(connection),
        0 => create(&mut connection).map_err(failed).map(|()| connection),
        found => Err(StoreError::FutureSchema { path: path.to_owned(), found, known: SCHEMA_VERSION }),
    }
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// The tables and their version are one transaction: a file is of version 0 or complete.
fn create(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(TABLES)?;
    transaction.commit()
}
