//! The desk's journal: what shards were handed of each lease, on file before they have it.
//!
//! A write that has returned survives this process, however it ends, and nothing is handed out before its write has
//! returned. It needn't survive the machine: after a restart of the system, which another boot id tells, a lease counts
//! as wholly spent. Each life of a gateway has a file of its own, locked for as long as it lives, so that a successor
//! leaves its predecessor's alone until that is gone. Beside it are the life's [counts](super::counts): what they have of
//! a lease is what was spent of it; where they can't be had or trusted, all that was handed out counts as spent. There
//! are no counts without a journal, so that those which have none are nobody's.
//!
//! A file is entries: the length of its bytes (2 bytes, little-endian), their CRC-32 (4 bytes), the bytes. The last one may
//! be cut off.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Buf, BufMut};
use turnpike_snapshot::frame::{QUOTA_ID_BYTES_MAX, QuotaReport};

use turnpike_rt::WordsRefusal;

use super::QuotaName;
use super::counts::{Counts, LeftCounts};

const EXTENSION: &str = "journal";
const COUNTS_EXTENSION: &str = "counts";
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// A file that has grown beyond this is written anew, with open leases alone.
const FILE_BYTES_MAX: u64 = 8 << 20;
const MAGIC: &[u8] = b"turnpike quotas 1 ";

/// What is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    Opened {
        lease: u64,
        day: u32,
        /// Its own among the counts.
        row: Option<u32>,
        name: Arc<QuotaName>,
    },
    /// How much of it shards have or have spent, all in all.
    Out { lease: u64, out: u64 },
    /// Control has settled it.
    Closed { lease: u64 },
}

/// A lease of an earlier life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Orphan {
    pub(super) lease: u64,
    day: u32,
    name: Arc<QuotaName>,
    spent: u64,
}

impl Orphan {
    pub(super) fn report(&self) -> QuotaReport {
        QuotaReport {
            lease: self.lease,
            plan_id: self.name.plan_id.to_string(),
            key_id: self.name.key_id.to_string(),
            day: self.day,
            spent_requests: self.spent,
            wanted_requests: 0,
            ends: true,
            // What is known isn't on file; where control doesn't know the lease, its number is used up all the same.
            is_new: true,
            is_late: true,
        }
    }
}

/// This life's file.
#[derive(Debug)]
pub(super) struct Journal {
    directory: PathBuf,
    path: PathBuf,
    number: u64,
    /// Made with the first entry: a gateway without quotas needs no room on the disk.
    file: Option<File>,
    boot_id: String,
    bytes: u64,
    /// What the file had when it was last written anew.
    base_bytes: u64,
}

/// An earlier life's file, and which of its leases are yet to be settled.
#[derive(Debug)]
pub(super) struct Legacy {
    path: PathBuf,
    /// Keeps others away from it.
    _file: File,
    pub(super) leases: Vec<u64>,
}

impl Journal {
    /// `number` is this life's.
    ///
    /// # Errors
    /// The system doesn't say which boot this is.
    pub(super) fn begin(directory: &Path, number: u64) -> io::Result<Self> {
        let path = directory.join(format!("{number:016x}.{EXTENSION}"));
        let directory = directory.to_owned();
        Ok(Self { directory, path, number, file: None, boot_id: boot_id()?, bytes: 0, base_bytes: 0 })
    }

    /// Makes the file, if there is none yet.
    pub(super) fn open(&mut self) -> io::Result<()> {
        if self.file.is_none() { self.write_anew(&[]) } else { Ok(()) }
    }

    /// Makes the file of the counts; the journal's has to be there.
    pub(super) fn make_counts(&self, shards: usize, rows: usize) -> Result<Counts, WordsRefusal> {
        Counts::create(&self.counts_path(), self.number, shards, rows)
    }

    pub(super) fn counts_path(&self) -> PathBuf {
        self.path.with_extension(COUNTS_EXTENSION)
    }

    /// On file when this returns `Ok`. `all` yields everything that there is to say, if the file is to be written anew.
    pub(super) fn write(&mut self, entries: &[Entry], all: impl FnOnce() -> Vec<Entry>) -> io::Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let Some(file) = self.file.as_mut().filter(|_| self.bytes <= FILE_BYTES_MAX.max(2 * self.base_bytes))
        else {
            return self.write_anew(&all());
        };
        let bytes = encoded(entries);
        if let Err(error) = file.write_all(&bytes) {
            // What is behind half an entry can't be read.
            file.set_len(self.bytes)?;
            file.seek(SeekFrom::Start(self.bytes))?;
            return Err(error);
        }
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    fn write_anew(&mut self, entries: &[Entry]) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        let beside = self.path.with_extension("new");
        let (file, bytes) = create(&beside, &self.boot_id, entries)?;
        fs::rename(&beside, &self.path)?;
        (self.file, self.bytes, self.base_bytes) = (Some(file), bytes, bytes);
        Ok(())
    }

    /// The files of earlier lives that have ended since the last time, with what they left open.
    ///
    /// # Errors
    /// The directory can't be read.
    pub(super) fn inherit(&self) -> io::Result<Vec<(Legacy, Vec<Orphan>)>> {
        let mut legacies = Vec::new();
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(legacies),
            entries => entries?,
        };
        for entry in entries {
            let path = entry?.path();
            let is_a = |kind: &str| path.extension().is_some_and(|extension| extension == kind);
            if is_a(COUNTS_EXTENSION) && path != self.counts_path() {
                remove_if_nobodys(&path)?;
            }
            if !is_a(EXTENSION) || path == self.path {
                continue;
            }
            match inherit(&path, &self.boot_id) {
                Ok(None) => {}
                Ok(Some((legacy, orphans))) => legacies.push((legacy, orphans)),
                Err(error) => {
                    report!(
                        "turnpike-gateway: quotas: {} can't be read, its leases count as used when they expire: {error}",
                        path.display()
                    );
                    // So that it is said once.
                    fs::rename(&path, path.with_extension("unreadable"))?;
                }
            }
        }
        Ok(legacies)
    }
}

impl Legacy {
    /// Nothing of it is open any more.
    pub(super) fn remove(&self) {
        for path in [&self.path.with_extension(COUNTS_EXTENSION), &self.path] {
            if let Err(error) = remove(path) {
                report!("turnpike-gateway: quotas: can't remove {}: {error}", path.display());
            }
        }
    }
}

/// There may be none.
fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)
        .or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

/// Counts are made after their journal, and so are nobody's without it.
fn remove_if_nobodys(counts: &Path) -> io::Result<()> {
    if counts.with_extension(EXTENSION).try_exists()? { Ok(()) } else { remove(counts) }
}

fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string(BOOT_ID)?.trim().to_owned())
}

/// A locked file with these entries.
fn create(path: &Path, boot_id: &str, entries: &[Entry]) -> io::Result<(File, u64)> {
    let file = File::options().create(true).truncate(true).write(true).open(path)?;
    file.try_lock()?;
    let mut bytes = Vec::new();
    put(&mut bytes, &[MAGIC, boot_id.as_bytes()].concat());
    bytes.extend(encoded(entries));
    let mut writer = &file;
    writer.write_all(&bytes)?;
    Ok((file, bytes.len() as u64))
}

fn inherit(path: &Path, boot_id: &str) -> io::Result<Option<(Legacy, Vec<Orphan>)>> {
    take_over(path, File::options().read(true).write(true).open(path)?, boot_id)
}

/// `file` is what the path led to a moment ago. Nothing if somebody has it.
fn take_over(path: &Path, mut file: File, boot_id: &str) -> io::Result<Option<(Legacy, Vec<Orphan>)>> {
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => return Ok(None),
        Err(fs::TryLockError::Error(error)) => return Err(error),
    }
    if !leads_to(path, &file)? {
        // Its writer has written it anew since it was opened, and lives, or had done so until now: the next look tells.
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let orphans = orphans(&bytes, boot_id, || match left_counts(path) {
        Ok(counts) => Some(counts),
        Err(error) => {
            report!(
                "turnpike-gateway: quotas: what cores had in hand at the end of {} counts as used, as {} can't be read: {error}",
                path.display(),
                path.with_extension(COUNTS_EXTENSION).display()
            );
            None
        }
    })?;
    let leases = orphans.iter().map(|orphan| orphan.lease).collect();
    Ok(Some((Legacy { path: path.to_owned(), _file: file, leases }, orphans)))
}

fn leads_to(path: &Path, file: &File) -> io::Result<bool> {
    let (named, opened) = (fs::metadata(path)?, file.metadata()?);
    Ok((named.dev(), named.ino()) == (opened.dev(), opened.ino()))
}

fn left_counts(journal: &Path) -> io::Result<LeftCounts> {
    let number = journal.file_stem().and_then(|stem| u64::from_str_radix(stem.to_str()?, 16).ok());
    let number = number.ok_or_else(|| io::Error::other("its journal has another name than it was given"))?;
    LeftCounts::read(&journal.with_extension(COUNTS_EXTENSION), number)
}

/// The leases that are open at the end of these bytes; `counts` yields those beside them, if there are any.
fn orphans(
    mut bytes: &[u8],
    boot_id: &str,
    counts: impl FnOnce() -> Option<LeftCounts>,
) -> io::Result<Vec<Orphan>> {
    let wrong = |why: &str| io::Error::other(why.to_owned());
    let Some(header) = take(&mut bytes)? else { return Ok(Vec::new()) };
    let written_in = header.strip_prefix(MAGIC).ok_or_else(|| wrong("it is of another version"))?;
    let same_boot = written_in == boot_id.as_bytes();
    let mut orphans: BTreeMap<u64, (Orphan, Option<u32>)> = BTreeMap::new();
    while let Some(entry) = take(&mut bytes)? {
        match decoded(entry).ok_or_else(|| wrong("an entry is malformed"))? {
            Entry::Opened { lease, day, row, name } => {
                let spent = if same_boot { 0 } else { u64::MAX };
                orphans.insert(lease, (Orphan { lease, day, name, spent }, row));
            }
            Entry::Out { lease, out } => {
                if let Some((orphan, _)) = orphans.get_mut(&lease).filter(|_| same_boot) {
                    orphan.spent = out;
                }
            }
            Entry::Closed { lease } => {
                orphans.remove(&lease);
            }
        }
    }
    let has_rows = same_boot && orphans.values().any(|(_, row)| row.is_some());
    let counts = if has_rows { counts() } else { None };
    let mut uncounted = 0;
    for (orphan, row) in orphans.values_mut() {
        let (Some(counts), Some(row)) = (&counts, *row) else { continue };
        match counts.spent(orphan.lease, row, orphan.spent) {
            Some(spent) => orphan.spent = spent,
            None => uncounted += 1,
        }
    }
    if uncounted > 0 {
        report!(
            "turnpike-gateway: quotas: {uncounted} leases of an earlier life have no counts: all that cores had is used"
        );
    }
    Ok(orphans.into_values().map(|(orphan, _)| orphan).collect())
}

fn encoded(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut entry_bytes = Vec::new();
    for entry in entries {
        entry_bytes.clear();
        match entry {
            Entry::Opened { lease, day, row, name } => {
                entry_bytes.put_u8(if row.is_some() { 4 } else { 1 });
                entry_bytes.put_u64_le(*lease);
                entry_bytes.put_u32_le(*day);
                row.iter().for_each(|row| entry_bytes.put_u32_le(*row));
                // At most `QUOTA_ID_BYTES_MAX`: a snapshot with a longer id is refused (its `Limits::id_bytes_max`).
                const { assert!(QUOTA_ID_BYTES_MAX <= u16::MAX as usize) };
                entry_bytes.put_u16_le(name.plan_id.len() as u16);
                entry_bytes.put_slice(name.plan_id.as_bytes());
                entry_bytes.put_slice(name.key_id.as_bytes());
            }
            Entry::Out { lease, out } => {
                entry_bytes.put_u8(2);
                entry_bytes.put_u64_le(*lease);
                entry_bytes.put_u64_le(*out);
            }
            Entry::Closed { lease } => {
                entry_bytes.put_u8(3);
                entry_bytes.put_u64_le(*lease);
            }
        }
        put(&mut bytes, &entry_bytes);
    }
    bytes
}

fn put(bytes: &mut Vec<u8>, entry: &[u8]) {
    bytes.put_u16_le(entry.len() as u16);
    bytes.put_u32_le(crc32fast::hash(entry));
    bytes.put_slice(entry);
}

/// The next entry; nothing at the end, or where the last one is cut off.
fn take<'b>(bytes: &mut &'b [u8]) -> io::Result<Option<&'b [u8]>> {
    let Some((head, rest)) = bytes.split_first_chunk::<6>() else { return Ok(None) };
    let mut head = &head[..];
    let (len, checksum) = (usize::from(head.get_u16_le()), head.get_u32_le());
    let Some((entry, rest)) = rest.split_at_checked(len) else { return Ok(None) };
    if crc32fast::hash(entry) != checksum {
        return Err(io::Error::other("an entry is damaged"));
    }
    *bytes = rest;
    Ok(Some(entry))
}

fn decoded(mut entry: &[u8]) -> Option<Entry> {
    let kind = entry.try_get_u8().ok()?;
    let lease = entry.try_get_u64_le().ok()?;
    match kind {
        1 | 4 => {
            let day = entry.try_get_u32_le().ok()?;
            let row = if kind == 4 { Some(entry.try_get_u32_le().ok()?) } else { None };
            let plan_len = usize::from(entry.try_get_u16_le().ok()?);
            let (plan_id, key_id) = std::str::from_utf8(entry).ok()?.split_at_checked(plan_len)?;
            let name = QuotaName { plan_id: plan_id.into(), key_id: key_id.into() };
            Some(Entry::Opened { lease, day, row, name: Arc::new(name) })
        }
        2 => Some(Entry::Out { lease, out: entry.try_get_u64_le().ok()? }),
        3 => Some(Entry::Closed { lease }),
        _ => None,
    }
}

/// What a later life makes of these entries, on the same boot.
#[cfg(test)]
pub(super) fn orphans_of(entries: &[Entry], counts: Option<LeftCounts>) -> Vec<Orphan> {
    let mut bytes = Vec::new();
    put(&mut bytes, &[MAGIC, b"boot"].concat());
    bytes.extend(encoded(entries));
    orphans(&bytes, "boot", || counts).expect("whole entries")
}

#[cfg(test)]
mod tests {
    use super::super::counts::tests::Place;
    use super::super::counts::{Rows, SharedCounts};
    use super::*;

    fn name() -> Arc<QuotaName> {
        Arc::new(QuotaName { plan_id: "plan".into(), key_id: "kéy".into() })
    }

    fn begin(dir: &tempfile::TempDir, number: u64) -> Journal {
        Journal::begin(&dir.path().join("quotas"), number).unwrap()
    }

    fn none() -> Option<LeftCounts> {
        None
    }

    fn opened(lease: u64) -> Entry {
        Entry::Opened { lease, day: 20_000, row: None, name: name() }
    }

    fn orphan(lease: u64, spent: u64) -> Orphan {
        Orphan { lease, day: 20_000, name: name(), spent }
    }

    fn found(journal: &Journal) -> Vec<Vec<Orphan>> {
        journal.inherit().unwrap().into_iter().map(|(_, orphans)| orphans).collect()
    }

    #[test]
    fn a_later_life_finds_what_is_open_and_leaves_the_living_alone() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = begin(&dir, 1);
        let out = |lease, out| Entry::Out { lease, out };
        let entries =
            [opened(1), opened(2), out(2, 3), opened(3), out(3, 7), out(2, 2), Entry::Closed { lease: 1 }];
        first.write(&[], Vec::new).unwrap();
        assert!(!first.directory.exists(), "there is nothing to write");
        first.write(&entries, || entries.to_vec()).unwrap();
        let second = begin(&dir, 2);
        assert!(found(&second).is_empty(), "it lives");
        drop(first);
        let inherited = second.inherit().unwrap();
        assert_eq!(inherited[0].1, [orphan(2, 2), orphan(3, 7)]);
        assert_eq!(inherited[0].0.leases, [2, 3]);
        assert!(found(&second).is_empty(), "somebody has it");
        inherited[0].0.remove();
        drop(inherited);
        assert!(found(&second).is_empty());
    }

    #[test]
    fn a_file_that_is_cut_anywhere_gives_what_came_before() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = begin(&dir, 1);
        first.write(&[opened(1)], || vec![opened(1)]).unwrap();
        let whole = first.bytes;
        first.write(&[Entry::Out { lease: 1, out: 5 }], Vec::new).unwrap();
        let path = first.path.clone();
        let bytes = fs::read_to_end(&path);
        for cut in whole..first.bytes {
            assert_eq!(orphans(&bytes[..cut as usize], &first.boot_id, none).unwrap(), [orphan(1, 0)]);
        }
        assert_eq!(orphans(&bytes, &first.boot_id, none).unwrap(), [orphan(1, 5)]);
        assert_eq!(orphans(&bytes, "another boot", none).unwrap(), [orphan(1, u64::MAX)], "nobody knows");
        let mut damaged = bytes.clone();
        let last = damaged.len() - 1;
        damaged[last] ^= 1;
        assert!(orphans(&damaged, &first.boot_id, none).is_err());
    }

    #[test]
    fn a_file_that_has_grown_is_written_anew() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = begin(&dir, 1);
        journal.write(&[opened(1)], || vec![opened(1)]).unwrap();
        journal.bytes = FILE_BYTES_MAX + 1;
        journal
            .write(&[Entry::Closed { lease: 1 }], || vec![opened(2), Entry::Out { lease: 2, out: 9 }])
            .unwrap();
        assert!(journal.bytes < 1_000);
        journal.write(&[Entry::Out { lease: 2, out: 10 }], Vec::new).unwrap();
        let next = begin(&dir, 2);
        assert!(found(&next).is_empty(), "its writer lives");
        drop(journal);
        assert_eq!(found(&next), [[orphan(2, 10)]]);
    }

    #[test]
    fn a_file_that_is_written_anew_while_somebody_opens_it_stays_its_writer_s() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::begin(dir.path(), 1).unwrap();
        journal.write(&[opened(1)], || vec![opened(1)]).unwrap();
        let path = journal.path.clone();
        let as_before = File::options().read(true).write(true).open(&path).unwrap();
        journal.write_anew(&[opened(1), Entry::Out { lease: 1, out: 5 }]).unwrap();
        assert!(take_over(&path, as_before, &journal.boot_id).unwrap().is_none());
        let boot_id = journal.boot_id.clone();
        drop(journal);
        assert_eq!(inherit(&path, &boot_id).unwrap().unwrap().1, [orphan(1, 5)]);
    }

    #[test]
    fn what_is_unreadable_is_put_aside() {
        let dir = tempfile::tempdir().unwrap();
        let journal = begin(&dir, 1);
        std::fs::create_dir(&journal.directory).unwrap();
        let wrong = journal.directory.join("0.journal");
        let mut bytes = Vec::new();
        put(&mut bytes, b"turnpike quotas 9 x");
        File::options()
            .create(true)
            .truncate(true)
            .write(true)
            .open(&wrong)
            .unwrap()
            .write_all(&bytes)
            .unwrap();
        assert!(found(&journal).is_empty());
        assert!(!wrong.exists() && wrong.with_extension("unreadable").exists());
    }

    /// A life that has handed out 5 of each of two leases, and counted 3 of the first one.
    fn counted(dir: &tempfile::TempDir) -> (Journal, SharedCounts) {
        let mut life = begin(dir, 1);
        life.open().unwrap();
        let counts = SharedCounts::default();
        counts.set(life.make_counts(2, 2).unwrap()).unwrap();
        let mut rows = Rows::new(Arc::clone(&counts));
        let mut entries = Vec::new();
        for lease in [1, 2] {
            let row = rows.take(lease);
            entries.push(Entry::Opened { lease, day: 20_000, row, name: name() });
            entries.push(Entry::Out { lease, out: 5 });
        }
        life.write(&entries, Vec::new).unwrap();
        [0, 0, 1].into_iter().for_each(|shard| counts.get().unwrap().count(shard, 0));
        (life, counts)
    }

    #[test]
    fn a_later_life_takes_what_was_counted_for_spent() {
        let dir = tempfile::tempdir().unwrap();
        let (life, counts) = counted(&dir);
        let path = life.counts_path();
        let next = begin(&dir, 2);
        assert!(found(&next).is_empty() && path.exists(), "it lives");
        drop((life, counts));
        let inherited = next.inherit().unwrap();
        assert_eq!(inherited[0].1, [orphan(1, 3), orphan(2, 0)]);
        assert!(found(&next).is_empty() && path.exists(), "somebody has it");
        inherited[0].0.remove();
        assert!(!path.exists());
        assert_eq!(std::fs::read_dir(&next.directory).unwrap().count(), 0);
    }

    /// A lease whose row isn't its own any more has ended; should its journal not have it yet, it is settled as before.
    #[test]
    fn where_counts_cant_be_trusted_all_that_was_out_is_spent() {
        type Harm = fn(&Path);
        let harms: [(&str, Harm); 4] = [
            ("missing", |path| std::fs::remove_file(path).unwrap()),
            ("empty", |path| File::options().write(true).open(path).unwrap().set_len(0).unwrap()),
            ("cut off", |path| File::options().write(true).open(path).unwrap().set_len(8_192).unwrap()),
            ("another life's", |path| {
                let file = File::options().write(true).open(path).unwrap();
                std::os::unix::fs::FileExt::write_all_at(&file, &[9], 8).unwrap();
            }),
        ];
        for (what, harm) in harms {
            let dir = tempfile::tempdir().unwrap();
            let (life, counts) = counted(&dir);
            let path = life.counts_path();
            drop((life, counts));
            harm(&path);
            assert_eq!(found(&begin(&dir, 2)), [[orphan(1, 5), orphan(2, 5)]], "{what}");
        }
    }

    #[test]
    fn counts_of_another_boot_are_not_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let (life, counts) = counted(&dir);
        drop((life, counts));
        let mut next = begin(&dir, 2);
        next.boot_id = "another".to_owned();
        assert_eq!(found(&next), [[orphan(1, u64::MAX), orphan(2, u64::MAX)]]);
    }

    #[test]
    fn a_row_that_has_changed_hands_or_says_more_than_was_out_counts_for_nothing() {
        let row = |lease| Entry::Opened { lease, day: 20_000, row: Some(0), name: name() };
        let mut place = Place::new();
        let counts = place.begin(1, 1);
        let mut rows = Rows::new(Arc::clone(&counts));
        let out = |lease, out| Entry::Out { lease, out };
        let orphans = |place: &Place, entries: &[Entry]| orphans_of(entries, Some(place.left()));
        rows.take(1);
        (0..3).for_each(|_| counts.get().unwrap().count(0, 0));
        assert_eq!(orphans(&place, &[row(1), out(1, 4)]), [orphan(1, 3)]);
        assert_eq!(orphans(&place, &[row(1), out(1, 2)]), [orphan(1, 2)], "more than was out");
        rows.give_back(0);
        rows.take(2);
        // Killed before the end of the first is written, or before the beginning of the second.
        assert_eq!(orphans(&place, &[row(1), out(1, 4)]), [orphan(1, 4)]);
        assert_eq!(orphans(&place, &[row(1), out(1, 4), row(2)]), [orphan(1, 4), orphan(2, 0)]);
        let closed = Entry::Closed { lease: 1 };
        assert_eq!(orphans(&place, &[row(1), out(1, 4), closed, row(2), out(2, 7)]), [orphan(2, 0)]);
    }

    #[test]
    fn counts_without_a_journal_are_nobodys() {
        let dir = tempfile::tempdir().unwrap();
        let (life, counts) = counted(&dir);
        let (path, counts_path) = (life.path.clone(), life.counts_path());
        found(&life);
        assert!(counts_path.exists(), "its own");
        drop((life, counts));
        std::fs::remove_file(path).unwrap();
        assert!(found(&begin(&dir, 2)).is_empty() && !counts_path.exists());
    }

    #[test]
    fn counts_that_cant_be_made_leave_a_journal_that_works() {
        let dir = tempfile::tempdir().unwrap();
        let mut life = begin(&dir, 1);
        life.open().unwrap();
        let refusal = life.make_counts(1 << 20, 1 << 36).unwrap_err().to_string();
        assert!(refusal.starts_with("fallocate: "), "{refusal}");
        assert!(!life.counts_path().exists());
        life.write(&[opened(1), Entry::Out { lease: 1, out: 5 }], Vec::new).unwrap();
        drop(life);
        assert_eq!(found(&begin(&dir, 2)), [[orphan(1, 5)]]);
    }

    mod fs {
        use std::io::Read as _;

        pub(super) fn read_to_end(path: &std::path::Path) -> Vec<u8> {
            let mut bytes = Vec::new();
            std::fs::File::options().read(true).open(path).unwrap().read_to_end(&mut bytes).unwrap();
            bytes
        }
    }
}
