//! One control process at a time holds a data directory.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

const FILE: &str = "control.lock";
/// Held while the key of the store's secrets is replaced, which control may serve meanwhile.
const ROTATION_FILE: &str = "secrets.key.lock";

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error(
        "another turnpike-control is using the data directory {0}: stop it, or choose another with --data-dir"
    )]
    Held(PathBuf),
    #[error("the key of the store's secrets in {0} is being replaced by another command: let that one end")]
    Rotating(PathBuf),
    #[error("can't lock the data directory by {path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
}

/// Held until dropped; the system releases it when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct DataDirLock(File);

impl DataDirLock {
    pub(super) fn take(data_dir: &Path) -> Result<Self, LockError> {
        locked(&data_dir.join(FILE))?.map(Self).ok_or_else(|| LockError::Held(data_dir.to_owned()))
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

/// As [`DataDirLock`], for the one who replaces the key of the store's secrets.
#[derive(Debug)]
pub(super) struct RotationLock(#[expect(dead_code, reason = "closing it unlocks it")] File);

impl RotationLock {
    pub(super) fn take(data_dir: &Path) -> Result<Self, LockError> {
        let file = locked(&data_dir.join(ROTATION_FILE))?;
        file.map(Self).ok_or_else(|| LockError::Rotating(data_dir.to_owned()))
    }
}

/// `None` when another process has it.
fn locked(path: &Path) -> Result<Option<File>, LockError> {
    let io = |source| LockError::Io { path: path.to_owned(), source };
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(io(source)),
    }
}
