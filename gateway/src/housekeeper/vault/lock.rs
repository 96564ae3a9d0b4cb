//! Who has the data directory: one gateway, or for a while one and its successor.

use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::OpenError;

/// The lock on a data directory. The kernel drops it with the last process that has its file, however that ends.
#[derive(Debug, Clone)]
pub(crate) struct Lock(Arc<Held>);

#[derive(Debug)]
struct Held {
    file: File,
    /// Whether this is the only process that has it.
    alone: AtomicBool,
}

/// What is served may hold secrets.
pub(super) fn private_dirs() -> DirBuilder {
    let mut dirs = DirBuilder::new();
    dirs.recursive(true).mode(0o700);
    dirs
}

impl Lock {
    /// Makes the directory if it is absent and locks it.
    ///
    /// # Errors
    /// When another gateway has it, or it can't be made or written.
    pub(crate) fn take(data_dir: &Path) -> Result<Self, OpenError> {
        let path = data_dir.join("lock");
        let failed = |action, path: &Path| {
            let path = path.to_owned();
            move |error: io::Error| OpenError::Io { action, path, error }
        };
        private_dirs().create(data_dir).map_err(failed("make", data_dir))?;
        let mut options = File::options();
        let file = options.create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(failed("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(Arc::new(Held { file, alone: AtomicBool::new(true) }))),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse(data_dir.to_owned())),
            Err(TryLockError::Error(error)) => Err(failed("lock", &path)(error)),
        }
    }

    /// From the gateway that this one succeeds, which has it too.
    pub(crate) fn inherited(file: File) -> Self {
        Self(Arc::new(Held { file, alone: AtomicBool::new(false) }))
    }

    /// For a successor: from now on the lock is held by whichever process lives longer.
    pub(crate) fn share(&self) -> BorrowedFd<'_> {
        self.0.alone.store(false, Ordering::Relaxed);
        self.0.file.as_fd()
    }
}

impl Drop for Held {
    /// A child process that is being started has the file too, for a moment; unlocking is for all who have it.
    fn drop(&mut self) {
        if !self.alone.load(Ordering::Relaxed) {
            return;
        }
        if let Err(error) = self.file.unlock() {
            report!("turnpike-gateway: the data directory stays locked until the process ends: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_is_shared_outlives_its_first_holder() {
        let dir = tempfile::tempdir().unwrap();
        let first = Lock::take(dir.path()).unwrap();
        let second = Lock::inherited(first.share().try_clone_to_owned().unwrap().into());
        drop(first);
        assert!(matches!(Lock::take(dir.path()), Err(OpenError::InUse(_))));
        drop(second);
        drop(Lock::take(dir.path()).unwrap());
        assert!(Lock::take(dir.path()).is_ok());
    }
}
