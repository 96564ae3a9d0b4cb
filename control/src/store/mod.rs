//! Everything that control has acknowledged: one SQLite file in the data directory.
//!
//! A change and what is compiled from it (units, root) are one transaction, committed to the disk
//! before the caller hears of it: a process killed at any instruction loses nothing acknowledged and
//! leaves no half change. One process at a time holds a data directory. Calls block: async callers go
//! through `tokio::task::spawn_blocking`.

mod audit;
mod entities;
mod journal;
mod lock;
mod published;
mod references;
mod schema;
mod tx;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use turnpike_snapshot::UnitHash;

pub use audit::{AuditEntry, AuditFilter, audit_id};
pub use journal::{DocumentChange, DocumentId};
pub use lock::LockError;
pub use published::{Slot, UNITS_KEPT_VERSIONS};
pub use tx::{Page, Tx};

use crate::secrets::{self, Secrets, SecretsError};
use lock::DataDirLock;

/// The name of the store's file in the data directory.
const FILE: &str = "control.db";

/// What can go wrong below the API; none of it is the caller's fault.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("can't create the data directory {path}: {source}")]
    DataDir { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error("the store {path}: {source}")]
    Open { path: PathBuf, source: rusqlite::Error },
    #[error(
        "the store {path} has schema version {found}, and this turnpike-control knows up to {known}: \
         it was written by a newer version, start that one"
    )]
    FutureSchema { path: PathBuf, found: i64, known: i64 },
    #[error("the store failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("the store holds a {kind} '{id}' that can't be read: {source}")]
    Document { kind: &'static str, id: String, source: serde_json::Error },
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    #[error("the store holds a unit whose name isn't a SHA-256")]
    UnitName,
    #[error("the store holds a reference to a '{0}', which this turnpike-control doesn't know")]
    Family(String),
    /// No gateway would take it: the configuration has grown too large.
    #[error("the configuration can't be published as a whole: {0}")]
    Root(String),
}

/// An open store.
#[derive(Debug)]
pub struct Store {
    writer: Mutex<Connection>,
    /// For the publisher, which reads while a change is being written.
    reader: Mutex<Connection>,
    secrets: Secrets,
    _lock: DataDirLock,
}

impl Store {
    /// Opens the store in `data_dir`, making both where they don't exist.
    ///
    /// # Errors
    /// When another process holds the directory, the file is of a newer version, or the disk refuses.
    pub fn open(data_dir: &Path) -> Result<Self, StoreError> {
        create_private_dir(data_dir)
            .map_err(|source| StoreError::DataDir { path: data_dir.to_owned(), source })?;
        let lock = DataDirLock::take(data_dir)?;
        let path = data_dir.join(FILE);
        let writer = schema::open(&path)?;
        let reader = schema::open(&path)?;
        let secrets = secrets_of(data_dir, &writer)?;
        Ok(Self { writer: Mutex::new(writer), reader: Mutex::new(reader), secrets, _lock: lock })
    }

    /// Runs `change` in a transaction, which is on the disk when this returns `Ok` and undone otherwise.
    ///
    /// # Errors
    /// The change's own, or the store's.
    pub fn write<T, E: From<StoreError>>(
        &self,
        change: impl FnOnce(&Tx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut connection = hold(&self.writer);
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(StoreError::from)?;
        let output = change(&Tx::new(&transaction, &self.secrets))?;
        transaction.commit().map_err(StoreError::from)?;
        Ok(output)
    }

    /// Runs `look` on one consistent state.
    ///
    /// # Errors
    /// The look's own, or the store's.
    pub fn read<T, E: From<StoreError>>(&self, look: impl FnOnce(&Tx<'_>) -> Result<T, E>) -> Result<T, E> {
        let mut connection = hold(&self.reader);
        let transaction = connection.transaction().map_err(StoreError::from)?;
        look(&Tx::new(&transaction, &self.secrets))
    }

    /// The newest root as encoded; `None` before the first publication.
    ///
    /// # Errors
    /// The store's.
    pub fn root(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let connection = hold(&self.reader);
        Ok(connection.query_row("SELECT bytes FROM root", [], |row| row.get(0)).optional()?)
    }

    /// An encoded unit of the newest root or of one shortly before it.
    ///
    /// # Errors
    /// The store's.
    pub fn unit(&self, hash: UnitHash) -> Result<Option<Vec<u8>>, StoreError> {
        let connection = hold(&self.reader);
        let sql = "SELECT bytes, sealed FROM unit WHERE hash = ?";
        let row = connection.query_row(sql, [&hash.0[..]], |row| Ok((row.get(0)?, row.get(1)?)));
        match row.optional()? {
            None => Ok(None),
            Some((bytes, false)) => Ok(Some(bytes)),
            Some((bytes, true)) => Ok(Some(self.secrets.open_bytes(&published::context(&hash.0), &bytes)?)),
        }
    }
}

/// What the probe says, and where.
const PROBE: &str = "the store's secrets";

/// The data directory's key, which has to be the one that the store was encrypted with; makes one for a store
/// that has none yet. A kill between the two leaves a key that the next start takes.
fn secrets_of(data_dir: &Path, connection: &Connection) -> Result<Secrets, StoreError> {
    let probe: Option<Vec<u8>> =
        connection.query_row("SELECT probe FROM secrets", [], |row| row.get(0)).optional()?;
    let path = || data_dir.join(secrets::FILE);
    match (Secrets::load(data_dir)?, probe) {
        (Some(secrets), Some(probe)) => {
            secrets.open_bytes(PROBE, &probe).map_err(|_| SecretsError::Wrong(path()))?;
            Ok(secrets)
        }
        (None, Some(_)) => Err(SecretsError::Missing(path()).into()),
        (secrets, None) => {
            let secrets = secrets.map_or_else(|| Secrets::make(data_dir), Ok)?;
            let probe = secrets.seal_bytes(PROBE, PROBE.as_bytes())?;
            connection.execute("INSERT INTO secrets (one, probe) VALUES (1, ?)", [probe])?;
            Ok(secrets)
        }
    }
}

/// A panic elsewhere rolled its transaction back, so that the connection is as good as before.
fn hold(connection: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Only its owner may look into it: it holds the root access key.
fn create_private_dir(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}
