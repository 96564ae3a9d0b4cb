//! Everything that control has acknowledged: one SQLite file in the data directory, or a PostgreSQL database that
//! several control processes share.
//!
//! A change and what is compiled from it (units, root) are one transaction, committed to the disk
//! before the caller hears of it: a process killed at any instruction loses nothing acknowledged and
//! leaves no half change. Changes come one after the other, whichever process makes them, and each sees all before
//! it. One process at a time holds a data directory. Calls block: async callers go through
//! `tokio::task::spawn_blocking`.

mod audit;
pub mod backup;
mod checkpoint;
mod documents;
mod entities;
mod error;
mod group;
mod journal;
pub mod keys;
mod lease;
mod lock;
mod pool;
mod postgres;
mod published;
mod quotas;
mod references;
mod schema;
mod sql;
mod sqlite;
mod tx;
mod url;

#[cfg(test)]
pub(crate) mod tests;

use std::path::Path;

use tokio::sync::watch;
use turnpike_snapshot::UnitHash;

pub use audit::{AuditEntry, AuditFilter, audit_id};
pub use error::StoreError;
pub use journal::{DocumentChange, DocumentId};
pub use lock::LockError;
pub use published::{Slot, UNITS_KEPT_VERSIONS};
pub use quotas::{QuotaLease, QuotaOf};
pub use tx::{Page, Tx};
pub use url::{StoreUrl, UrlError};

use crate::secrets::Secrets;
use crate::settings::StoreSettings;
use lock::DataDirLock;
use postgres::Postgres;
use sql::Sql;
use sqlite::Sqlite;

/// An open store.
#[derive(Debug)]
pub struct Store {
    backend: Backend,
    secrets: Secrets,
    /// Who this is among the processes that share the store.
    holder: String,
    /// The version of the newest committed root, whichever process committed it.
    newest: watch::Sender<u64>,
    _lock: DataDirLock,
}

#[derive(Debug)]
enum Backend {
    Sqlite(Box<Sqlite>),
    Postgres(Box<Postgres>),
}

impl Store {
    /// Opens the store, making what doesn't exist; `data_dir` has the lock, the keys and, by default, the store.
    ///
    /// # Errors
    /// When another process holds the directory, the store is of a newer version or can't be reached, the key isn't
    /// the store's, or the disk refuses.
    pub fn open(data_dir: &Path, settings: &StoreSettings) -> Result<Self, StoreError> {
        create_private_dir(data_dir)
            .map_err(|source| StoreError::DataDir { path: data_dir.to_owned(), source })?;
        let lock = DataDirLock::take(data_dir)?;
        let backend = Backend::open(data_dir, settings)?;
        let secrets = keys::unlock(data_dir, settings.secrets_key.as_ref(), &backend)?;
        let holder = holder(data_dir);
        let store = Self { backend, secrets, holder, newest: watch::Sender::new(0), _lock: lock };
        store.announce(store.read::<_, StoreError>(|tx| tx.version())?);
        if let Backend::Postgres(postgres) = &store.backend {
            postgres.follow(store.newest.clone());
        }
        Ok(store)
    }

    /// Runs `change` in a transaction, which is on the disk when this returns `Ok` and undone otherwise. `change` may
    /// be run again from its beginning, when a transaction was lost before its commit.
    ///
    /// # Errors
    /// The change's own, or the store's.
    pub fn write<T, E: From<StoreError>>(
        &self,
        mut change: impl FnMut(&Tx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.backend.write(|sql| change(&Tx::new(sql, &self.secrets, &self.holder)))
    }

    /// Runs `look` on one consistent state; again from its beginning, when that was lost.
    ///
    /// # Errors
    /// The look's own, or the store's.
    pub fn read<T, E: From<StoreError>>(
        &self,
        mut look: impl FnMut(&Tx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.backend.read(|sql| look(&Tx::new(sql, &self.secrets, &self.holder)))
    }

    /// The newest root as encoded; `None` before the first publication.
    ///
    /// # Errors
    /// The store's.
    pub fn root(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(|tx| tx.root())
    }

    /// An encoded unit of the newest root or of one shortly before it.
    ///
    /// # Errors
    /// The store's.
    pub fn unit(&self, hash: UnitHash) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(|tx| tx.unit(hash))
    }

    /// The version of the newest committed root, and a notice of every later one, by whichever process.
    #[must_use]
    pub fn newest(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// Says that this process has committed a root.
    pub(crate) fn announce(&self, version: u64) {
        announce(&self.newest, version);
    }
}

impl Backend {
    fn open(data_dir: &Path, settings: &StoreSettings) -> Result<Self, StoreError> {
        Ok(match &settings.url {
            None => Self::Sqlite(Box::new(Sqlite::open(data_dir, &settings.sqlite)?)),
            Some(url) => Self::Postgres(Box::new(Postgres::open(url, &settings.postgres)?)),
        })
    }

    /// Only to look at it, while other processes may be serving from it.
    fn open_beside(data_dir: &Path, settings: &StoreSettings) -> Result<Self, StoreError> {
        Ok(match &settings.url {
            None => Self::Sqlite(Box::new(Sqlite::open_beside(data_dir, &settings.sqlite)?)),
            Some(url) => Self::Postgres(Box::new(Postgres::open_beside(url, &settings.postgres)?)),
        })
    }

    /// Makes a store of what `fill` does, the tables included: whole, or not at all.
    fn create<E: From<StoreError>>(
        data_dir: &Path,
        settings: &StoreSettings,
        fill: impl FnOnce(&Sql<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        match &settings.url {
            None => Sqlite::create(data_dir, fill),
            Some(url) => Postgres::create(url, &settings.postgres, fill),
        }
    }

    fn write<T, E: From<StoreError>>(&self, change: impl FnMut(&Sql<'_>) -> Result<T, E>) -> Result<T, E> {
        match self {
            Self::Sqlite(sqlite) => sqlite.write(change),
            Self::Postgres(postgres) => postgres.write(change),
        }
    }

    fn read<T, E: From<StoreError>>(&self, look: impl FnMut(&Sql<'_>) -> Result<T, E>) -> Result<T, E> {
        match self {
            Self::Sqlite(sqlite) => sqlite.read(look),
            Self::Postgres(postgres) => postgres.read(look),
        }
    }
}

/// Notices can come out of order; the newest version wins.
fn announce(newest: &watch::Sender<u64>, version: u64) {
    newest.send_if_modified(|known| {
        let newer = version > *known;
        *known = version.max(*known);
        newer
    });
}

/// The place of a process: its host and its data directory. One process at a time is there, so that the next one takes
/// up at once what the one before it held; a copy of the directory is another place.
fn holder(data_dir: &Path) -> String {
    let host = rustix::system::uname();
    let path = std::path::absolute(data_dir).unwrap_or_else(|_| data_dir.to_owned());
    // Hosts of one name exist; without the file, names have to do.
    let machine = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    format!("{} {} {}", host.nodename().to_string_lossy(), machine.trim_end(), path.display())
}

/// Only its owner may look into it: it holds the root access key.
fn create_private_dir(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}
