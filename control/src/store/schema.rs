//! The tables, and how a file gets to have them.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

use super::StoreError;

/// Kept in the file's `user_version`; 0 is a new file.
pub(super) const SCHEMA_VERSION: i64 = STEPS.len() as i64;

/// How long one connection waits for the other's write.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// What makes each version from the one before it; the first makes a file from nothing.
pub(super) const STEPS: [&str; 4] = [APIS, ENTITIES, REFERENCES, AUDIT];

/// - `api`: one row an API, of either kind.
/// - `part`: what belongs to an API, by kind and id; `name` is a second unique name.
/// - `slot`: what the newest root lists: one unit a stage; with an empty API, the account's unit (an empty stage too)
///   and shared units (`family/id` as the stage).
/// - `unit`: encoded units; `retired_at` is the version of the first root that no longer lists it.
/// - `root`: one row, the newest root.
/// - `compiler`: one row, the revision of the compiler that made the units.
const APIS: &str = "
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

/// - `entity`: what belongs to the account, by kind; `owner` is the entity that it is a part of, or empty; `name` is a
///   second name, unique within kind and owner; `uses` is what it depends on.
/// - `unit.sealed`: whether the bytes are encrypted, since they hold a private key.
/// - `secrets`: one row, a text that only the right key opens.
const ENTITIES: &str = "
    CREATE TABLE entity (
        kind TEXT NOT NULL,
        owner TEXT NOT NULL,
        id TEXT NOT NULL,
        name TEXT,
        uses TEXT,
        doc TEXT NOT NULL,
        PRIMARY KEY (kind, owner, id)
    ) WITHOUT ROWID;
    CREATE UNIQUE INDEX entity_by_name ON entity (kind, owner, name) WHERE name IS NOT NULL;
    CREATE INDEX entity_by_use ON entity (kind, uses) WHERE uses IS NOT NULL;
    ALTER TABLE unit ADD COLUMN sealed INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE secrets (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        probe BLOB NOT NULL
    );
    PRAGMA user_version = 2;
";

/// - `reference`: which shared units the unit of a stage refers to.
const REFERENCES: &str = "
    CREATE TABLE reference (
        api_id TEXT NOT NULL,
        stage TEXT NOT NULL,
        family TEXT NOT NULL,
        id TEXT NOT NULL,
        PRIMARY KEY (api_id, stage, family, id),
        FOREIGN KEY (api_id, stage) REFERENCES slot (api_id, stage) ON DELETE CASCADE
    ) WITHOUT ROWID;
    CREATE INDEX reference_by_unit ON reference (family, id);
    PRAGMA user_version = 3;
";

/// - `audit`: one row a change, or one that was refused; `id` sorts by time. With row ids, so that the index of ids
///   has no documents in it.
const AUDIT: &str = "
    CREATE TABLE audit (
        id TEXT PRIMARY KEY,
        actor TEXT NOT NULL,
        operation TEXT NOT NULL,
        resource TEXT NOT NULL,
        doc TEXT NOT NULL
    );
    PRAGMA user_version = 4;
";

/// Opens a connection whose commits are on the disk when they return.
pub(super) fn open(path: &Path) -> Result<Connection, StoreError> {
    let failed = |source| StoreError::Open { path: path.to_owned(), source };
    let mut connection = Connection::open(path).map_err(failed)?;
    configure(&connection).map_err(failed)?;
    let found = version(&connection).map_err(failed)?;
    match usize::try_from(found).ok().and_then(|found| STEPS.get(found..)) {
        Some(steps) => steps.iter().try_for_each(|step| take(&mut connection, step)).map_err(failed)?,
        None => {
            return Err(StoreError::FutureSchema { path: path.to_owned(), found, known: SCHEMA_VERSION });
        }
    }
    Ok(connection)
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

/// A step and its version are one transaction: a file is of a version or of the next.
fn take(connection: &mut Connection, step: &str) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(step)?;
    transaction.commit()
}
