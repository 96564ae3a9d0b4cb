//! Numbers in a file that is mapped into memory: what is stored in one is in the system's cache of the file at once, so
//! that it survives this process, however that ends, though not the system.
//!
//! A store takes no system call. It could meet a page that can't be had, which ends the process (SIGBUS). So a file is
//! given all of its room before it is mapped, and made only on a file system that keeps such room for good: not on one
//! that copies on write, which needs more when the disk is full, nor on one over a network. A file that is removed stays
//! mapped. Nothing holds off who cuts it short; its mode lets nobody but this user. Where the file is on a disk, a store may
//! wait for the disk, once after each time that the system has written the page there; in a tmpfs it never does.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;
use std::{fmt, io};

use rustix::fs::{FallocateFlags, StatFs, fallocate, fstatfs, statfs};
use rustix::io::{Errno, retry_on_intr};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// As fstatfs(2) calls ext2 to ext4, XFS and tmpfs.
const FILE_SYSTEMS: [u64; 3] = [0xef53, 0x5846_5342, 0x0102_1994];

/// A file's words, all 0 at first.
pub struct Words {
    mapping: NonNull<AtomicU64>,
    count: usize,
}

// SAFETY: it is a mapping of atomic words, which belongs to no thread, and only its owner unmaps it.
#[expect(unsafe_code, reason = "a pointer isn't Send by itself")]
unsafe impl Send for Words {}

// SAFETY: through a reference there are only atomic words to be had.
#[expect(unsafe_code, reason = "a pointer isn't Sync by itself")]
unsafe impl Sync for Words {}

/// Why there are no words.
#[derive(Debug)]
pub enum WordsRefusal {
    Denied { call: &'static str, error: io::Error },
    FileSystem { kind: u64 },
}

impl fmt::Display for WordsRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied { call, error } => write!(f, "{call}: {error}"),
            Self::FileSystem { kind } => {
                write!(f, "its file system is none of ext4, XFS and tmpfs, but of type {kind:#x}")
            }
        }
    }
}

impl Words {
    /// Makes a file of so many words, readable by this user alone; there must be none yet.
    ///
    /// # Errors
    /// There is no room for it, or the system doesn't allow one of the calls; no file is left.
    pub fn create(path: &Path, count: usize) -> Result<Self, WordsRefusal> {
        let bytes = count.max(1).saturating_mul(size_of::<u64>());
        let file = File::options().read(true).write(true).create_new(true).mode(0o600).open(path);
        let file = file.map_err(|error| WordsRefusal::Denied { call: "open", error })?;
        let made = Self::map(&file, bytes, count);
        if made.is_err() {
            // Why it was made in vain is more to the point than why it can't be removed.
            let _ = std::fs::remove_file(path);
        }
        made
    }

    /// Whether files of words can be made in a directory, as far as its file system goes.
    ///
    /// # Errors
    /// It is none of those that can have them, or can't be looked at.
    pub fn check_directory(directory: &Path) -> Result<(), WordsRefusal> {
        let about = statfs(directory)
            .map_err(|error| WordsRefusal::Denied { call: "statfs", error: error.into() })?;
        check(&about)
    }

    fn map(file: &File, bytes: usize, count: usize) -> Result<Self, WordsRefusal> {
        let denied = |call| move |error: Errno| WordsRefusal::Denied { call, error: error.into() };
        check(&fstatfs(file).map_err(denied("fstatfs"))?)?;
        retry_on_intr(|| fallocate(file, FallocateFlags::empty(), 0, bytes as u64))
            .map_err(denied("fallocate"))?;
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice overlaps nothing; the file is as long as it, and its
        // room on the disk is taken.
        #[expect(unsafe_code, reason = "there is no safe wrapper of mmap")]
        let mapped = unsafe { mmap(std::ptr::null_mut(), bytes, protection, MapFlags::SHARED, file, 0) };
        let mapping = NonNull::new(mapped.map_err(denied("mmap"))?.cast()).ok_or_else(|| {
            WordsRefusal::Denied { call: "mmap", error: io::ErrorKind::AddrNotAvailable.into() }
        })?;
        Ok(Self { mapping, count })
    }
}

fn check(about: &StatFs) -> Result<(), WordsRefusal> {
    let kind = about.f_type as u64;
    if FILE_SYSTEMS.contains(&kind) { Ok(()) } else { Err(WordsRefusal::FileSystem { kind }) }
}

impl std::ops::Deref for Words {
    type Target = [AtomicU64];

    fn deref(&self) -> &[AtomicU64] {
        // SAFETY: a mapping begins at a page, and so is aligned; it has `count` words, of which any bits are a number,
        // until this value is dropped, and nobody sees them otherwise than as atomic ones.
        #[expect(unsafe_code, reason = "a mapping has no type that knows its length")]
        unsafe {
            std::slice::from_raw_parts(self.mapping.as_ptr(), self.count)
        }
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        let bytes = self.count.max(1) * size_of::<u64>();
        // SAFETY: what `map` has mapped, of this length, is unmapped once, and every slice of it borrows from this value.
        // That it can't be given back costs addresses and nothing else.
        #[expect(unsafe_code, reason = "there is no safe wrapper of munmap")]
        let _ = unsafe { munmap(self.mapping.as_ptr().cast(), bytes) };
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Words").field("count", &self.count).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::fs::MetadataExt as _;
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;

    fn in_file(path: &Path) -> Vec<u64> {
        let mut bytes = Vec::new();
        File::options().read(true).open(path).unwrap().read_to_end(&mut bytes).unwrap();
        bytes.as_chunks().0.iter().map(|word| u64::from_ne_bytes(*word)).collect()
    }

    #[test]
    fn what_is_stored_is_in_the_file_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("words");
        let words = Words::create(&path, 1_000).unwrap();
        assert_eq!(words.len(), 1_000);
        assert!(words.iter().all(|word| word.load(Relaxed) == 0));
        words[0].store(7, Relaxed);
        words[999].store(u64::MAX, Relaxed);
        let seen = in_file(&path);
        assert_eq!((seen.len(), seen[0], seen[1], seen[999]), (1_000, 7, 0, u64::MAX));
        let metadata = std::fs::metadata(&path).unwrap();
        assert_eq!(metadata.mode() & 0o777, 0o600);
        assert!(metadata.blocks() * 512 >= 8_000, "all of its room is taken");
        std::thread::scope(|scope| scope.spawn(|| words[1].store(9, Relaxed)).join()).unwrap();
        std::fs::remove_file(&path).unwrap();
        words[2].store(3, Relaxed);
        assert_eq!((words[1].load(Relaxed), words[2].load(Relaxed)), (9, 3), "removed, it stays mapped");
    }

    #[test]
    fn what_cant_be_had_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("words");
        // More than any disk has.
        let refusal = Words::create(&path, 1 << 58).unwrap_err().to_string();
        assert!(refusal.starts_with("fallocate: "), "{refusal}");
        assert!(!path.exists());
        Words::create(&path, 1).unwrap();
        let refusal = Words::create(&path, 1).unwrap_err().to_string();
        assert!(refusal.starts_with("open: "), "{refusal}");
        assert!(path.exists(), "somebody else's is left alone");
        let refusal = Words::create(&dir.path().join("nowhere/words"), 1).unwrap_err().to_string();
        assert!(refusal.starts_with("open: "), "{refusal}");
        let refusal = Words::check_directory(Path::new("/proc")).unwrap_err().to_string();
        assert!(refusal.ends_with("of type 0x9fa0"), "{refusal}");
        Words::check_directory(dir.path()).unwrap();
        let refusal = Words::create(Path::new("/proc/words"), 1).unwrap_err().to_string();
        assert!(refusal.starts_with("open: "), "{refusal}");
    }
}
