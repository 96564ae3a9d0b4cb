//! What can go wrong in the store, sorted by what an operator can do about it.

use std::path::PathBuf;

use rusqlite::{ErrorCode, ffi};
use turnpike_snapshot::UnitHash;

use super::lock::LockError;
use super::url::UrlError;
use crate::secrets::SecretsError;

/// What can go wrong below the API; none of it is the caller's fault.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("can't create the data directory {path}: {source}")]
    DataDir { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Url(#[from] UrlError),
    #[error("the store {path}: {source}")]
    Open { path: PathBuf, source: rusqlite::Error },
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error(
        "there is no store in {0}: name its data directory with --data-dir, or the PostgreSQL that it is in with --store"
    )]
    Absent(PathBuf),
    #[error(
        "there is a store already: {0}. A backup is restored into a data directory or database that has none, so that \
         nothing is lost: name another, or move this one away"
    )]
    NotEmpty(String),
    #[error(
        "the store {place} has schema version {found}, and this turnpike-control knows up to {known}: \
         it was written by a newer version, start that one"
    )]
    FutureSchema { place: String, found: i64, known: i64 },
    #[error(
        "the store {place} has schema version {found}, and this turnpike-control has {known}: start it once, so that \
         the store is brought up to date"
    )]
    PastSchema { place: String, found: i64, known: i64 },
    #[error(
        "another version of turnpike-control has taken the store over (its compiler is of revision {found}, this one \
         of {known}): run the same version everywhere. Nothing was changed"
    )]
    TakenOver { found: i64, known: i64 },
    #[error("the store failed: {0}")]
    Sqlite(rusqlite::Error),
    #[error("the disk that the store is on is full: make room. Nothing was changed ({0})")]
    DiskFull(String),
    #[error(
        "the disk that the store is on takes no more: look at its room, its quotas, the limit of file sizes, and whether \
         it is broken. Nothing was changed ({0})"
    )]
    DiskFailed(String),
    #[error("changes of others have failed and taken this one along, again and again. Nothing was changed")]
    Undone,
    #[error("the store can't be written to: {0}. Nothing was changed")]
    ReadOnly(String),
    #[error("the store at {place} failed: {reason}")]
    Postgres { place: String, reason: String },
    /// Nothing was changed: the transaction hadn't come to its commit.
    #[error("the store at {place} can't be reached: {reason}")]
    Unreachable { place: String, reason: String },
    /// Nothing was changed.
    #[error(
        "the store at {0} took longer than store_statement_timeout_ms, which includes waiting for other changes"
    )]
    Slow(String),
    #[error("all {connections} connections to the store are in use ({setting})")]
    Busy { connections: usize, setting: &'static str },
    #[error(
        "another process has held the store for longer than store_busy_timeout_ms: wait for it, or end it. Nothing was \
         changed ({0})"
    )]
    Locked(String),
    #[error(
        "the connection to the store at {place} was lost while a change was being committed ({reason}): whether it \
         took effect isn't known. Look before repeating it"
    )]
    OutcomeUnknown { place: String, reason: String },
    #[error("text with the character U+0000 can't be stored")]
    NulInText,
    #[error("the store holds a row that isn't as its schema says: {0}")]
    Column(String),
    #[error("the store holds a {kind} '{id}' that can't be read: {source}")]
    Document { kind: &'static str, id: String, source: serde_json::Error },
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    #[error("the store holds a unit whose name isn't a SHA-256")]
    UnitName,
    #[error("the store holds the unit {hash}, which this turnpike-control can't read: {reason}")]
    Unit { hash: UnitHash, reason: String },
    #[error("the store holds a reference to a '{0}', which this turnpike-control doesn't know")]
    Family(String),
    /// No gateway would take it: the configuration has grown too large.
    #[error("the configuration can't be published as a whole: {0}")]
    Root(String),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let extended = error.sqlite_error().map_or(0, |error| error.extended_code);
        match (error.sqlite_error_code(), extended) {
            // The index of the log can't grow: SQLite doesn't say of what, and it is a small file.
            (Some(ErrorCode::DiskFull), _) | (_, ffi::SQLITE_IOERR_SHMSIZE) => {
                Self::DiskFull(error.to_string())
            }
            // A full quota is one of these.
            (_, ffi::SQLITE_IOERR_WRITE | ffi::SQLITE_IOERR_TRUNCATE) => Self::DiskFailed(error.to_string()),
            (Some(ErrorCode::DatabaseBusy), _) => Self::Locked(error.to_string()),
            (Some(ErrorCode::ReadOnly), _) => Self::ReadOnly(error.to_string()),
            _ => Self::Sqlite(error),
        }
    }
}
