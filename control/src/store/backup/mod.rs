//! Backups: everything that a store holds, of one moment, in a file that either kind of store is restored from.
//!
//! A file is lines of JSON. The first says what it is: format, schema version, the columns of each table. Each
//! further one is a row: the table's name, then its columns; bytes are an object with their base64. The last one has
//! the number of rows and the SHA-256 of all that comes before it. The key that secrets are encrypted with is in the
//! file only if that was asked for. What belongs to running processes alone (leases, their marks) isn't in it.
//!
//! A backup is taken while control serves: it reads one snapshot, and nothing waits for it. A restore makes the store
//! in one transaction, by the steps that the schema had then, brings it up to date, and checks that it fits together.

mod file;
mod restore;
#[cfg(test)]
mod tests;
mod write;

use std::path::PathBuf;
use std::time::{Duration, Instant};

pub use restore::{check, restore};
pub use write::write;

use super::StoreError;
use crate::secrets::SecretsError;

/// The format that is written; no other one is read.
const FORMAT: u32 = 1;
/// What a line may have: above the largest unit's base64.
const LINE_BYTES_MAX: u64 = 1 << 30;

/// A table as backups have it, those that others refer to first.
#[derive(Debug)]
struct Table {
    name: &'static str,
    columns: &'static [&'static str],
    /// How many of the columns, from the first, are the primary key.
    key: usize,
    /// Read at once: what has large rows gets few.
    page_rows: usize,
}

const TABLES: [Table; 12] = [
    Table { name: "api", columns: &["id", "kind", "doc"], key: 1, page_rows: 500 },
    Table { name: "part", columns: &["api_id", "kind", "id", "name", "doc"], key: 3, page_rows: 500 },
    Table {
        name: "entity",
        columns: &["kind", "owner", "id", "name", "uses", "doc"],
        key: 3,
        page_rows: 500,
    },
    Table { name: "unit", columns: &["hash", "retired_at", "bytes", "sealed"], key: 1, page_rows: 16 },
    Table { name: "slot", columns: &["api_id", "stage", "hash", "bytes_len"], key: 2, page_rows: 500 },
    Table { name: "reference", columns: &["api_id", "stage", "family", "id"], key: 4, page_rows: 500 },
    Table { name: "root", columns: &["one", "version", "bytes"], key: 1, page_rows: 1 },
    Table { name: "compiler", columns: &["one", "revision"], key: 1, page_rows: 1 },
    Table { name: "secrets", columns: &["one", "probe", "data_key"], key: 1, page_rows: 1 },
    Table {
        name: "audit",
        columns: &["id", "actor", "operation", "resource", "doc", "refused"],
        key: 1,
        page_rows: 32,
    },
    Table { name: "quota_use", columns: &["plan_id", "key_id", "day", "requests"], key: 3, page_rows: 500 },
    Table {
        name: "quota_lease",
        columns: &["id", "plan_id", "key_id", "day", "gateway_id", "granted", "spent", "ended"],
        key: 1,
        page_rows: 500,
    },
];

/// What belongs to running processes alone.
#[cfg(test)]
const TABLES_LEFT_OUT: [&str; 2] = ["process", "lease"];

/// Why a backup wasn't written or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    #[error("{path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("{0} is there already: name another file")]
    Exists(PathBuf),
    #[error(
        "{0} is there already: a backup is being written to it, or one was cut off. Remove it, or name another file"
    )]
    Unfinished(PathBuf),
    #[error("{path} isn't a backup that can be restored: {why}")]
    Damaged { path: PathBuf, why: String },
    #[error(
        "{path} was made by a newer turnpike-control (its schema has version {found}, this one's {known}): restore it \
         with that one"
    )]
    Newer { path: PathBuf, found: i64, known: i64 },
    #[error("what the backup holds doesn't fit together: {0}. Nothing was restored")]
    Inconsistent(String),
}

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    pub rows: u64,
    /// Of the newest root.
    pub version: u64,
    pub has_secrets_key: bool,
}

/// Tells how far long work has come: at once when it begins, and then every second.
pub struct Progress<'a> {
    tell: &'a mut dyn FnMut(u64, u64),
    told: Option<Instant>,
    done: u64,
    total: u64,
}

const TELL_EVERY: Duration = Duration::from_secs(1);

impl std::fmt::Debug for Progress<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Progress")
            .field("done", &self.done)
            .field("total", &self.total)
            .finish_non_exhaustive()
    }
}

impl<'a> Progress<'a> {
    /// `tell` is given what is done and what there is, in rows.
    pub fn new(tell: &'a mut dyn FnMut(u64, u64)) -> Self {
        Self { tell, told: None, done: 0, total: 0 }
    }

    fn begin(&mut self, total: u64) {
        (self.done, self.total) = (0, total);
    }

    fn step(&mut self) {
        self.done += 1;
        if self.told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            self.told = Some(Instant::now());
            (self.tell)(self.done, self.total);
        }
    }
}
