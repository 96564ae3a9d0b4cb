//! The writes that a vault makes, one method each, so that tests can stop them anywhere.

#![expect(clippy::disallowed_methods, reason = "the housekeeper's own files: no shard waits for them")]

use std::fmt::Debug;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Where a vault writes.
pub(crate) trait Disk: Debug + Send {
    /// Makes a file with this content, replacing any, and syncs it.
    fn write(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()>;

    /// Gives a file a new name, at once, replacing any file of that name.
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()>;

    /// Makes renames within a directory last.
    fn sync_dir(&mut self, dir: &Path) -> io::Result<()>;

    fn remove(&mut self, path: &Path) -> io::Result<()>;
}

/// The file system.
#[derive(Debug)]
pub(crate) struct Files;

impl Disk for Files {
    fn write(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = File::create(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn sync_dir(&mut self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
}
