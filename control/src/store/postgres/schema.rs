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
            let place = place.to_owned();
            return Err(Fault::Failed(StoreError::FutureSchema { place, found, known: SCHEMA_VERSION }));
        };
        let Some(step) = steps.first() else { return connection.batch("ROLLBACK") };
        if found == 0 {
            connection.batch(&first(connection)?)?;
        }
        connection.batch(&translated(step))?;
        connection.batch(&format!("UPDATE schema_version SET version = {}; COMMIT", found + 1))?;
    }
}

/// 0 before the first step.
fn version(connection: &Connection) -> Result<i64, Fault> {
    if connection.show("SELECT to_regclass('schema_version') IS NOT NULL")? != ["t"] {
        return Ok(0);
    }
    let shown = connection.show("SELECT version FROM schema_version")?;
    Ok(shown.first().and_then(|version| version.parse().ok()).unwrap_or(0))
}

/// An operator may have made the schema, and given no right to make others.
fn first(connection: &Connection) -> Result<String, Fault> {
    let there = connection.show(&format!("SELECT 1 FROM pg_namespace WHERE nspname = '{SCHEMA}'"))?;
    let schema = if there.is_empty() { format!("CREATE SCHEMA {SCHEMA};") } else { String::new() };
    Ok(format!(
        "{schema}
         CREATE TABLE schema_version (one BIGINT PRIMARY KEY CHECK (one = 1), version BIGINT NOT NULL);
         INSERT INTO schema_version (one, version) VALUES (1, 0)"
    ))
}

/// Text compares byte by byte, as in SQLite.
fn translated(step: &str) -> String {
    step.replace(" WITHOUT ROWID", "")
        .replace(" INTEGER", " BIGINT")
        .replace(" BLOB", " BYTEA")
        .replace(" TEXT", " TEXT COLLATE \"C\"")
}
