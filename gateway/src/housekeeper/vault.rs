//! The last good snapshot on disk, so that a gateway starts without control.
//!
//! ```text
//! <data-dir>/lock                    held for as long as a gateway uses the directory
//! <data-dir>/snapshot/root           the encoded root
//! <data-dir>/snapshot/units/<hash>   the encoded units that it lists
//! ```
//!
//! A file is written under another name, synced and renamed, and the root after all of its units are
//! synced: whenever the machine stops, `root` is the old one or the new one, and each unit that it lists is
//! whole. Units are swept once a root that doesn't list them is in place. What is read back is checked like
//! what comes from control, hash included; a snapshot with one bad file is not used at all.

#![expect(clippy::disallowed_methods, reason = "the housekeeper's own files: no shard waits for them")]

mod disk;
mod lock;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use turnpike_snapshot::{Limits, Root, Unit, UnitHash, check_snapshot, decode_root, decode_unit, hash};

pub(crate) use disk::{Disk, Files};
pub(crate) use lock::Lock;

/// A gateway's data directory, locked.
#[derive(Debug)]
pub(crate) struct Vault {
    snapshot_dir: PathBuf,
    limits: Limits,
    disk: Box<dyn Disk>,
    /// Units whose files are known to be whole.
    stored: HashSet<UnitHash>,
    /// Units of the newest root that aren't on disk yet; more than a moment only if the disk refuses them.
    pending: HashMap<UnitHash, Bytes>,
    /// The root on disk, if it is known to be whole.
    stored_root: Option<Bytes>,
    _lock: Lock,
}

/// A snapshot to keep.
#[derive(Debug, Clone)]
pub(crate) struct Keep {
    pub(crate) version: u64,
    /// The encoded root.
    pub(crate) root: Bytes,
    /// All units of the root.
    pub(crate) hashes: Vec<UnitHash>,
    /// Encoded, those that weren't in the snapshot before.
    pub(crate) new_units: Vec<(UnitHash, Bytes)>,
}

/// A snapshot as it was kept, checked.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) root: Root,
    pub(crate) root_bytes: Bytes,
    /// In the root's order.
    pub(crate) units: Vec<(UnitHash, Arc<Unit>)>,
}

/// Why a data directory can't be used at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("another turnpike-gateway uses the data directory {0}: give this one its own --data-dir")]
    InUse(PathBuf),
    #[error("can't {action} {path}: {error}; the data directory must be writable by this user")]
    Io { action: &'static str, path: PathBuf, error: io::Error },
}

/// Why what was kept can't be served.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {reason}")]
pub(crate) struct LoadError {
    path: PathBuf,
    reason: String,
}

/// Why a snapshot couldn't be kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("can't {action} {path}: {error}")]
    Io { action: &'static str, path: PathBuf, error: io::Error },
    #[error("unit {0} was never handed over")]
    UnknownUnit(UnitHash),
}

impl Vault {
    /// As [`open_locked`](Self::open_locked), of a directory that is locked here.
    ///
    /// # Errors
    /// When another gateway has it, or it can't be made or written.
    #[cfg(test)]
    pub(crate) fn open(data_dir: &Path, limits: Limits) -> Result<Self, OpenError> {
        Self::open_on(Box::new(Files), data_dir, limits)
    }

    /// As `open`, with writes that a test can make fail.
    #[cfg(test)]
    pub(crate) fn open_on(disk: Box<dyn Disk>, data_dir: &Path, limits: Limits) -> Result<Self, OpenError> {
        Self::open_locked(disk, data_dir, limits, Lock::take(data_dir)?)
    }

    /// Opens a directory whose lock this process has already.
    ///
    /// # Errors
    /// When it can't be written.
    pub(crate) fn open_locked(
        disk: Box<dyn Disk>,
        data_dir: &Path,
        limits: Limits,
        lock: Lock,
    ) -> Result<Self, OpenError> {
        let snapshot_dir = data_dir.join("snapshot");
        let units_dir = snapshot_dir.join("units");
        let failed = |action, path: &Path| {
            let path = path.to_owned();
            move |error| OpenError::Io { action, path, error }
        };
        lock::private_dirs().create(&units_dir).map_err(failed("make", &units_dir))?;
        Files.sync_dir(data_dir).map_err(failed("sync", data_dir))?;
        Ok(Self {
            snapshot_dir,
            limits,
            disk,
            stored: HashSet::new(),
            pending: HashMap::new(),
            stored_root: None,
            _lock: lock,
        })
    }

    /// Reads the last good snapshot; `None` if none was ever kept.
    ///
    /// # Errors
    /// The first file that is missing, damaged or can't be served. It stays where it is until a root is stored.
    pub(crate) fn load(&mut self) -> Result<Option<Kept>, LoadError> {
        let path = self.root_path();
        let Some(root_bytes) = read(&path, self.limits.root_bytes_max)? else { return Ok(None) };
        let refused = |reason: String| LoadError { path: path.clone(), reason };
        let root = decode_root(&root_bytes, &self.limits).map_err(|e| refused(e.to_string()))?;
        let mut units = Vec::with_capacity(root.units.len());
        for unit in &root.units {
            units.push((unit.hash, Arc::new(self.load_unit(unit.hash)?)));
        }
        check_snapshot(root.version, units.iter().map(|(_, unit)| &**unit))
            .map_err(|e| refused(e.to_string()))?;
        self.stored_root = Some(root_bytes.clone());
        Ok(Some(Kept { root, root_bytes, units }))
    }

    fn load_unit(&mut self, name: UnitHash) -> Result<Unit, LoadError> {
        let path = self.unit_path(name);
        let refused = |reason: String| LoadError { path: path.clone(), reason };
        let bytes = read(&path, self.limits.unit_bytes_max)?;
        let bytes = bytes.ok_or_else(|| refused("the root lists it, and it isn't there".to_owned()))?;
        let unit = decode_unit(&bytes, &self.limits).map_err(|e| refused(e.to_string()))?;
        let found = hash(&bytes);
        if found != name {
            return Err(refused(format!("its content is that of unit {found}")));
        }
        self.stored.insert(name);
        Ok(unit)
    }

    /// Makes `keep` the last good snapshot. Does nothing if it is.
    ///
    /// # Errors
    /// When the disk refuses something. The last good snapshot is then the one before or, if only sweeping
    /// failed, this one; the units that couldn't be written are remembered for the next call.
    pub(crate) fn store(&mut self, keep: Keep) -> Result<(), StoreError> {
        let listed: HashSet<_> = keep.hashes.into_iter().collect();
        self.pending.extend(keep.new_units);
        self.pending.retain(|hash, _| listed.contains(hash) && !self.stored.contains(hash));
        self.store_units()?;
        if let Some(unknown) = listed.iter().find(|hash| !self.stored.contains(hash)) {
            return Err(StoreError::UnknownUnit(*unknown));
        }
        if self.stored_root.as_ref() != Some(&keep.root) {
            // From the first change until all are synced, which root the disk has isn't known.
            self.stored_root = None;
            let path = self.root_path();
            self.replace(&path, &keep.root)?;
            self.sync_dir(&self.snapshot_dir.clone())?;
            self.stored_root = Some(keep.root);
        }
        self.sweep(&listed)
    }

    fn store_units(&mut self) -> Result<(), StoreError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let written: Vec<UnitHash> = self.pending.keys().copied().collect();
        for name in &written {
            let path = self.unit_path(*name);
            // Cheap: `Bytes` shares its content.
            let bytes = self.pending[name].clone();
            self.replace(&path, &bytes)?;
        }
        self.sync_dir(&self.units_dir())?;
        self.pending.clear();
        self.stored.extend(written);
        Ok(())
    }

    /// Puts `bytes` at `path`, whole or not at all.
    fn replace(&mut self, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        let unfinished = path.with_extension("new");
        let failed = |action| move |error| StoreError::Io { action, path: path.to_owned(), error };
        self.disk.write(&unfinished, bytes).map_err(failed("write"))?;
        self.disk.rename(&unfinished, path).map_err(failed("replace"))
    }

    fn sync_dir(&mut self, dir: &Path) -> Result<(), StoreError> {
        let failed = |error| StoreError::Io { action: "sync", path: dir.to_owned(), error };
        self.disk.sync_dir(dir).map_err(failed)
    }

    /// Removes the units that the root in place doesn't list, and what a broken-off write left.
    fn sweep(&mut self, listed: &HashSet<UnitHash>) -> Result<(), StoreError> {
        let dir = self.units_dir();
        let failed = |error| StoreError::Io { action: "sweep", path: dir.clone(), error };
        for file in fs::read_dir(&dir).map_err(failed)? {
            let file = file.map_err(failed)?;
            let name = file.file_name().to_str().and_then(|name| name.parse::<UnitHash>().ok());
            if !name.is_some_and(|name| listed.contains(&name)) {
                self.disk.remove(&file.path()).map_err(failed)?;
            }
        }
        self.stored.retain(|name| listed.contains(name));
        Ok(())
    }

    fn root_path(&self) -> PathBuf {
        self.snapshot_dir.join("root")
    }

    fn units_dir(&self) -> PathBuf {
        self.snapshot_dir.join("units")
    }

    fn unit_path(&self, name: UnitHash) -> PathBuf {
        self.units_dir().join(name.to_string())
    }
}

/// Reads a file of at most `bytes_max`, if it is there.
fn read(path: &Path, bytes_max: usize) -> Result<Option<Bytes>, LoadError> {
    let failed = |error: io::Error| LoadError { path: path.to_owned(), reason: error.to_string() };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    // One byte more, so that decoding sees that it is too large.
    file.take(bytes_max as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok(Some(bytes.into()))
}
