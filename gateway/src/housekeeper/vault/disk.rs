//! The writes that a vault makes, one method each, so that tests can stop them anywhere.

#![expect(clippy::disallowed_methods, reason = "the housekeeper's own files: no shard waits for them")]

use std::fmt::Debug;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Where a vault writes.
pub(crate) trait Disk: Debug + Send {
    /// Makes a file with this content, replacing any, and syncs it. Only its owner may read it: a snapshot holds
    /// private keys.
    fn write(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()>;

    /// Gives a file a new name, at once, replacing any file of that name.
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()>;

    /// Makes renames within a directory last.
    fn sync_dir(&mut self, dir: &Path) -> io::Result<()>;

    fn remove(&mut self, path: &Path) -> io::Result<()>;
}

const PRIVATE: u32 = 0o600;

/// The file system.
#[derive(Debug)]
pub(crate) struct Files;

impl Disk for Files {
    fn write(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = File::options().write(true).create(true).truncate(true).mode(PRIVATE).open(path)?;
        // One that was there already keeps its mode otherwise.
        file.set_permissions(Permissions::from_mode(PRIVATE))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_owner_may_read_what_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        Files.write(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
