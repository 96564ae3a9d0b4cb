//! A vault whose writes stop anywhere, and one whose files are spoiled in every way.

use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;

use super::*;
use crate::housekeeper::link::sample::{Published, account, published, stage};

fn open(dir: &TempDir) -> Vault {
    Vault::open(dir.path(), Limits::default()).unwrap()
}

/// The version on disk, if it can be served.
fn version_in(dir: &TempDir) -> Option<u64> {
    let kept = open(dir).load().unwrap()?;
    let units: Vec<_> = kept.units.iter().map(|(hash, _)| *hash).collect();
    assert_eq!(units, published(kept.root.version).hashes());
    Some(kept.root.version)
}

fn unit_files(dir: &TempDir) -> Vec<String> {
    let files = fs::read_dir(dir.path().join("snapshot/units")).unwrap();
    let mut names: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn names(published: &Published) -> Vec<String> {
    let mut names: Vec<_> = published.hashes().iter().map(UnitHash::to_string).collect();
    names.sort();
    names
}

/// Stops after a number of operations; a write that is stopped leaves half of its bytes.
#[derive(Debug, Default)]
struct StoppingDisk {
    operations: Arc<AtomicUsize>,
    operations_left: usize,
    /// Whether later operations work again, as after someone made room.
    recovers: bool,
    stopped: bool,
}

impl StoppingDisk {
    fn stops(&mut self) -> bool {
        self.operations.fetch_add(1, Ordering::Relaxed);
        if self.stopped && self.recovers {
            return false;
        }
        let stops = self.operations_left == 0;
        self.operations_left = self.operations_left.saturating_sub(1);
        self.stopped |= stops;
        stops
    }
}

fn no_room() -> io::Error {
    ErrorKind::StorageFull.into()
}

impl Disk for StoppingDisk {
    fn write(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        if self.stops() {
            Files.write(path, &bytes[..bytes.len() / 2])?;
            return Err(no_room());
        }
        Files.write(path, bytes)
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        if self.stops() { Err(no_room()) } else { Files.rename(from, to) }
    }

    fn sync_dir(&mut self, dir: &Path) -> io::Result<()> {
        if self.stops() { Err(no_room()) } else { Files.sync_dir(dir) }
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        if self.stops() { Err(no_room()) } else { Files.remove(path) }
    }
}

fn open_stopping(dir: &TempDir, operations_left: usize, recovers: bool) -> Vault {
    let disk = StoppingDisk { operations_left, recovers, ..StoppingDisk::default() };
    Vault::open_on(Box::new(disk), dir.path(), Limits::default()).unwrap()
}

#[test]
fn an_empty_vault_has_nothing() {
    let dir = TempDir::new().unwrap();
    assert!(open(&dir).load().unwrap().is_none());
}

#[test]
fn what_is_stored_comes_back_and_what_it_replaces_is_swept() {
    let dir = TempDir::new().unwrap();
    let mut vault = open(&dir);
    vault.store(published(1).keep()).unwrap();
    drop(vault);
    let mut vault = open(&dir);
    assert_eq!(vault.load().unwrap().unwrap().root.version, 1);
    // Only what changed is handed over.
    let mut keep = published(2).keep();
    keep.new_units.drain(..2);
    vault.store(keep).unwrap();
    drop(vault);
    assert_eq!(version_in(&dir), Some(2));
    assert_eq!(unit_files(&dir), names(&published(2)));
}

#[test]
fn a_unit_that_was_never_handed_over_is_an_error() {
    let dir = TempDir::new().unwrap();
    let mut vault = open(&dir);
    vault.store(published(1).keep()).unwrap();
    let mut keep = published(2).keep();
    keep.new_units.clear();
    assert!(matches!(vault.store(keep), Err(StoreError::UnknownUnit(_))));
    drop(vault);
    assert_eq!(version_in(&dir), Some(1));
}

#[test]
fn one_gateway_has_a_directory() {
    let dir = TempDir::new().unwrap();
    let vault = open(&dir);
    let error = Vault::open(dir.path(), Limits::default()).unwrap_err();
    assert!(matches!(error, OpenError::InUse(_)), "{error}");
    assert!(error.to_string().contains("--data-dir"), "{error}");
    drop(vault);
    drop(open(&dir));
}

/// How often storing touches the disk, so that tests can stop it at each of those times.
fn operations_of_a_store() -> usize {
    let dir = TempDir::new().unwrap();
    open(&dir).store(published(1).keep()).unwrap();
    let disk = StoppingDisk { operations_left: usize::MAX, ..StoppingDisk::default() };
    let operations = Arc::clone(&disk.operations);
    let mut vault = Vault::open_on(Box::new(disk), dir.path(), Limits::default()).unwrap();
    vault.load().unwrap();
    vault.store(published(2).keep()).unwrap();
    operations.load(Ordering::Relaxed)
}

/// Kill -9 between any two operations, or in the middle of a write.
#[test]
fn a_store_that_stops_anywhere_leaves_the_old_snapshot_or_the_new_one() {
    let operations = operations_of_a_store();
    assert!(operations >= 6, "a unit, the root, two directories, a removal: {operations}");
    let mut found = Vec::new();
    for stop in 0..operations {
        let dir = TempDir::new().unwrap();
        open(&dir).store(published(1).keep()).unwrap();
        let mut vault = open_stopping(&dir, stop, false);
        vault.load().unwrap();
        vault.store(published(2).keep()).unwrap_err();
        drop(vault);
        found.push(version_in(&dir).unwrap());
        // Whatever was left, the next root cleans up.
        let mut vault = open(&dir);
        vault.load().unwrap();
        vault.store(published(3).keep()).unwrap();
        assert_eq!(unit_files(&dir), names(&published(3)));
    }
    assert!(found.is_sorted() && found.contains(&1) && found.contains(&2), "{found:?}");
}

#[test]
fn a_first_store_that_stops_anywhere_leaves_nothing_or_all() {
    for stop in 0.. {
        let dir = TempDir::new().unwrap();
        let mut vault = open_stopping(&dir, stop, false);
        let stored = vault.store(published(1).keep());
        drop(vault);
        let version = version_in(&dir);
        if stored.is_ok() {
            assert_eq!(version, Some(1));
            break;
        }
        assert!(matches!(version, None | Some(1)), "stopped at {stop}");
    }
}

/// A full disk: what couldn't be written is written with the next root, though it isn't handed over again.
#[test]
fn a_store_that_failed_is_made_up_for_by_the_next() {
    for stop in 0..operations_of_a_store() {
        let dir = TempDir::new().unwrap();
        open(&dir).store(published(1).keep()).unwrap();
        let mut vault = open_stopping(&dir, stop, true);
        vault.load().unwrap();
        let error = vault.store(published(2).keep()).unwrap_err();
        assert!(matches!(&error, StoreError::Io { error, .. } if error.kind() == ErrorKind::StorageFull));
        let mut again = published(2).keep();
        again.new_units.clear();
        vault.store(again).unwrap();
        drop(vault);
        assert_eq!(version_in(&dir), Some(2), "failed at {stop}");
        assert_eq!(unit_files(&dir), names(&published(2)));
    }
}

type Spoil = fn(&Path);

#[test]
fn a_spoiled_file_spoils_the_snapshot_and_says_why() {
    let spoil: [(&str, Spoil); 5] = [
        ("cut off", |path| {
            let bytes = fs::read(path).unwrap();
            fs::write(path, &bytes[..bytes.len() - 1]).unwrap();
        }),
        ("checksum", |path| {
            let mut bytes = fs::read(path).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            fs::write(path, bytes).unwrap();
        }),
        ("cut off: 0 of", |path| fs::write(path, "").unwrap()),
        ("format version 9", |path| {
            let mut bytes = fs::read(path).unwrap();
            bytes[8] = 9;
            fs::write(path, bytes).unwrap();
        }),
        ("no Turnpike snapshot", |path| fs::write(path, "something else").unwrap()),
    ];
    let unit = format!("units/{}", published(1).hashes()[1]);
    for (reason, spoil) in spoil {
        for file in ["root", &unit] {
            let dir = TempDir::new().unwrap();
            open(&dir).store(published(1).keep()).unwrap();
            let path = dir.path().join("snapshot").join(file);
            spoil(&path);
            let mut vault = open(&dir);
            let error = vault.load().unwrap_err().to_string();
            assert!(error.contains(reason) && error.contains(path.to_str().unwrap()), "{error}");
            // The next root makes it whole, the spoiled file included.
            vault.store(published(1).keep()).unwrap();
            drop(vault);
            assert_eq!(version_in(&dir), Some(1));
        }
    }
}

#[test]
fn a_missing_or_swapped_unit_spoils_the_snapshot() {
    let dir = TempDir::new().unwrap();
    open(&dir).store(published(1).keep()).unwrap();
    let hashes = published(1).hashes();
    let path = |n: usize| dir.path().join(format!("snapshot/units/{}", hashes[n]));
    fs::copy(path(1), path(2)).unwrap();
    let error = open(&dir).load().unwrap_err().to_string();
    assert!(error.contains("content is that of unit"), "{error}");
    fs::remove_file(path(2)).unwrap();
    let error = open(&dir).load().unwrap_err().to_string();
    assert!(error.contains("isn't there"), "{error}");
}

#[test]
fn units_that_do_not_fit_together_are_refused() {
    let dir = TempDir::new().unwrap();
    let twice = Published::new(1, &[account(), stage("first", 1), stage("first", 2)]);
    open(&dir).store(twice.keep()).unwrap();
    let error = open(&dir).load().unwrap_err().to_string();
    assert!(error.contains("\"first/$default\" is there twice"), "{error}");
}

#[test]
fn files_beyond_the_limits_are_not_read_to_their_end() {
    let dir = TempDir::new().unwrap();
    open(&dir).store(published(1).keep()).unwrap();
    let limits = Limits { unit_bytes_max: 100, ..Limits::default() };
    let error = Vault::open(dir.path(), limits).unwrap().load().unwrap_err().to_string();
    assert!(error.contains("the limit is 100"), "{error}");
}
