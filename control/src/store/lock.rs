//! One control process at a time holds a data directory.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

const FILE: &str = "control.lock";

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error(
        "another turnpike-control is using the data directory {0}: stop it, or choose another with --data-dir"
    )]
    Held(PathBuf),
    #[error("can't lock the data directory by {path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
}

/// Held until dropped; the system releases it when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct DataDirLock(File);

impl DataDirLock {
    pub(super) fn take(data_dir: &Path) -> Result<Self, LockError> {
        let path = data_dir.join(FILE);
        let io = |source| LockError::Io { path: path.clone(), source };
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(LockError::Held(data_dir.to_owned())),
            Err(TryLockError::Error(source)) => Err(io(source)),
        }
    }
}

impl Drop for DataDirLock {
    /// A child process that is being started has the file too, for a moment; unlocking is for all who have it.
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            log_line!("turnpike-control: the data directory stays locked until the process ends: {error}");
        }
    }
}
