//! The tables in PostgreSQL: the steps of every store, in its words.

use super::super::StoreError;
use super::super::schema::{SCHEMA_VERSION, STEPS};
use super::connection::{Connection, Fault};
use super::{SCHEMA, WRITE_LOCK};

/// Takes the steps that are missing, each in a transaction; of several processes, one at a time.
pub(super) fn bring_up_to_date(connection: &Connection, place: &str) -> Result<(), Fault> {
    loop {
        connection.batch(&format!("BEGIN; SELECT pg_advisory_xact_lock({WRITE_LOCK})"))?;
        let found = version(connection)?;
        let Some(steps) = usize::try_from(found).ok().and_then(|found| STEPS.get(found..)) else {
            connection.batch("ROLLBACK")?;
            return Err(from_the_future(place, found));
        };
        let Some(step) = steps.first() else { return connection.batch("ROLLBACK") };
        if found == 0 {
            begin(connection, place)?;
        }
        connection.take_step(step)?;
        connection.batch(&format!("{}; COMMIT", is_now(found + 1)))?;
    }
}

/// Whether the store can be looked at as it is.
pub(super) fn is_up_to_date(connection: &Connection, place: &str) -> Result<(), Fault> {
    match version(connection)? {
        SCHEMA_VERSION => Ok(()),
        found if found > SCHEMA_VERSION => Err(from_the_future(place, found)),
        found => {
            let place = place.to_owned();
            Err(Fault::Failed(StoreError::PastSchema { place, found, known: SCHEMA_VERSION }))
        }
    }
}

/// What comes before the first step. An operator may have made the schema, and given no right to make others.
pub(super) fn begin(connection: &Connection, place: &str) -> Result<(), Fault> {
    if version(connection)? != 0 {
        return Err(Fault::Failed(StoreError::NotEmpty(place.to_owned())));
    }
    if connection.show(&format!("SELECT 1 FROM pg_namespace WHERE nspname = '{SCHEMA}'"))?.is_empty() {
        connection.batch(&format!("CREATE SCHEMA {SCHEMA}"))?;
    }
    connection.batch(
        "CREATE TABLE schema_version (one BIGINT PRIMARY KEY CHECK (one = 1), version BIGINT NOT NULL);
         INSERT INTO schema_version (one, version) VALUES (1, 0)",
    )
}

/// The statement that says so.
pub(super) fn is_now(version: i64) -> String {
    format!("UPDATE schema_version SET version = {version}")
}

fn from_the_future(place: &str, found: i64) -> Fault {
    Fault::Failed(StoreError::FutureSchema { place: place.to_owned(), found, known: SCHEMA_VERSION })
}

/// 0 before the first step.
fn version(connection: &Connection) -> Result<i64, Fault> {
    if connection.show("SELECT to_regclass('schema_version') IS NOT NULL")? != ["t"] {
        return Ok(0);
    }
    let shown = connection.show("SELECT version FROM schema_version")?;
    Ok(shown.first().and_then(|version| version.parse().ok()).unwrap_or(0))
}

/// Text compares byte by byte, as in SQLite.
pub(super) fn translated(step: &str) -> String {
    step.replace(" WITHOUT ROWID", "")
        .replace(" INTEGER", " BIGINT")
        .replace(" BLOB", " BYTEA")
        .replace(" TEXT", " TEXT COLLATE \"C\"")
}
