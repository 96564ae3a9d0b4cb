//! Counts: what each shard has spent of each lease, where a later life of the gateway finds it.
//!
//! A file beside the life's journal, mapped into memory. A lease has a row in it, and each shard a word of that row, which
//! it alone writes while it has some of the lease: it counts a request before it lets it through. So whenever this
//! process is killed, what was let through of a lease <= what its row adds up to <= what the journal says is out, and
//! all that isn't in the row was never spent. A row is given to another lease only when no shard has anything of the one
//! before; whose it is stands in it, so that it is never taken for another's.
//!
//! It survives the process, not the system. Of its own bound: `quota_keys_max` rows, 8 bytes for each shard and 8 more.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::sync::{Arc, OnceLock};

use turnpike_rt::{Words, WordsRefusal};

const MAGIC: u64 = u64::from_le_bytes(*b"quotas 1");
/// Parts of a file begin at pages, so that no two shards write to the same one.
const PAGE_WORDS: usize = 512;

/// This life's, once there is a file.
pub(super) type SharedCounts = Arc<OnceLock<Counts>>;

/// A page with [`Shape`], then a part with the leases that rows belong to, then one for each shard.
pub(super) struct Counts {
    words: Words,
    shape: Shape,
}

/// What a file begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    /// Its life's.
    number: u64,
    shards: usize,
    rows: usize,
}

impl Shape {
    fn words(self) -> [u64; 4] {
        [MAGIC, self.number, self.shards as u64, self.rows as u64]
    }

    fn part_words(self) -> usize {
        self.rows.next_multiple_of(PAGE_WORDS)
    }

    fn all_words(self) -> usize {
        PAGE_WORDS + (1 + self.shards) * self.part_words()
    }
}

impl Counts {
    /// Makes the file of the life with this number.
    pub(super) fn create(path: &Path, number: u64, shards: usize, rows: usize) -> Result<Self, WordsRefusal> {
        let shape = Shape { number, shards, rows };
        let words = Words::create(path, shape.all_words())?;
        for (place, word) in words.iter().zip(shape.words()) {
            place.store(word, Release);
        }
        Ok(Self { words, shape })
    }

    /// For the shard of this index alone: one request of the row's lease. It is in the file when this returns.
    pub(super) fn count(&self, shard: usize, row: u32) {
        let word = &self.words[self.place(1 + shard, row)];
        word.store(word.load(Relaxed) + 1, Release);
    }

    /// As [`Self::count`]: one that was counted isn't let through after all.
    pub(super) fn take_off(&self, shard: usize, row: u32) {
        let word = &self.words[self.place(1 + shard, row)];
        word.store(word.load(Relaxed).saturating_sub(1), Release);
    }

    /// Nobody has anything of the lease that had it before.
    fn give_to(&self, row: u32, lease: u64) {
        let owner = &self.words[self.place(0, row)];
        // A row that this is killed in the middle of is nobody's.
        owner.store(0, Release);
        for shard in 0..self.shape.shards {
            self.words[self.place(1 + shard, row)].store(0, Release);
        }
        owner.store(lease, Release);
    }

    fn place(&self, part: usize, row: u32) -> usize {
        PAGE_WORDS + part * self.shape.part_words() + row as usize
    }
}

impl fmt::Debug for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counts").field("shape", &self.shape).finish_non_exhaustive()
    }
}

/// Who has which row; the desk's.
#[derive(Debug)]
pub(super) struct Rows {
    counts: SharedCounts,
    free: Vec<u32>,
    /// Of the first so many, those that aren't free are somebody's.
    used: u32,
}

impl Rows {
    pub(super) fn new(counts: SharedCounts) -> Self {
        Self { counts, free: Vec::new(), used: 0 }
    }

    /// `None` where there is no file.
    pub(super) fn take(&mut self, lease: u64) -> Option<u32> {
        let counts = self.counts.get()?;
        let row = match self.free.pop() {
            Some(row) => row,
            // There are as many as keys, each of which has one lease at a time.
            None if (self.used as usize) < counts.shape.rows => {
                self.used += 1;
                self.used - 1
            }
            None => return None,
        };
        counts.give_to(row, lease);
        Some(row)
    }

    /// No shard has anything of its lease, and control has settled it.
    pub(super) fn give_back(&mut self, row: u32) {
        self.free.push(row);
    }
}

/// What an earlier life has left.
#[derive(Debug)]
pub(super) struct LeftCounts {
    /// By row: whose it is, and what was spent of that.
    rows: Vec<(u64, u64)>,
}

impl LeftCounts {
    /// The file of the life with this number, which is over.
    ///
    /// # Errors
    /// It can't be read, or isn't whole.
    pub(super) fn read(path: &Path, number: u64) -> io::Result<Self> {
        let wrong = |why: &str| Err(io::Error::other(why.to_owned()));
        let mut file = File::options().read(true).open(path)?;
        let file_words = file.metadata()?.len() / size_of::<u64>() as u64;
        let head = read_words(&mut file, PAGE_WORDS)?;
        let count = |at: usize| usize::try_from(head[at]).unwrap_or(usize::MAX);
        let shape = Shape { number, shards: count(2), rows: count(3) };
        // Each part has a word for each row at least, so that this bounds what is read.
        let words_min = shape.shards.saturating_add(1).saturating_mul(shape.rows);
        if shape.rows == 0 || file_words < words_min as u64 {
            return wrong("it is cut off");
        }
        if head[..4] != shape.words() {
            return wrong("it is another life's, or of another version");
        }
        let owners = read_words(&mut file, shape.part_words())?;
        let mut rows: Vec<_> = owners[..shape.rows].iter().map(|owner| (*owner, 0)).collect();
        for _ in 0..shape.shards {
            let part = read_words(&mut file, shape.part_words())?;
            rows.iter_mut().zip(part).for_each(|((_, spent), count)| *spent = count.saturating_add(*spent));
        }
        Ok(Self { rows })
    }

    /// What was spent of the lease; `None` if the row isn't its own, or adds up to more than shards had.
    pub(super) fn spent(&self, lease: u64, row: u32, out: u64) -> Option<u64> {
        let (owner, spent) = *self.rows.get(row as usize)?;
        (owner == lease && spent <= out).then_some(spent)
    }
}

fn read_words(file: &mut File, count: usize) -> io::Result<Vec<u64>> {
    let mut bytes = vec![0; count * size_of::<u64>()];
    file.read_exact(&mut bytes)?;
    Ok(bytes.as_chunks().0.iter().map(|word| u64::from_ne_bytes(*word)).collect())
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::PathBuf;

    use super::*;

    /// A life's counts in a directory of their own.
    pub(crate) struct Place {
        directory: tempfile::TempDir,
        number: u64,
    }

    impl Place {
        pub(crate) fn new() -> Self {
            Self { directory: tempfile::tempdir().unwrap(), number: 0 }
        }

        fn path(&self) -> PathBuf {
            self.directory.path().join(format!("{}.counts", self.number))
        }

        /// The next life's.
        pub(crate) fn begin(&mut self, shards: usize, rows: usize) -> SharedCounts {
            self.number += 1;
            let counts = Counts::create(&self.path(), self.number, shards, rows).unwrap();
            Arc::new(OnceLock::from(counts))
        }

        pub(crate) fn left(&self) -> LeftCounts {
            LeftCounts::read(&self.path(), self.number).unwrap()
        }

        fn write(&self, change: impl FnOnce(&mut Vec<u8>)) {
            let mut bytes = Vec::new();
            File::options().read(true).open(self.path()).unwrap().read_to_end(&mut bytes).unwrap();
            change(&mut bytes);
            std::fs::remove_file(self.path()).unwrap();
            let mut file = File::options().write(true).create_new(true).open(self.path()).unwrap();
            io::Write::write_all(&mut file, &bytes).unwrap();
        }
    }

    #[test]
    fn what_was_counted_is_found_at_any_instant() {
        let mut place = Place::new();
        let shared = place.begin(3, 700);
        let counts = shared.get().unwrap();
        let mut rows = Rows::new(Arc::clone(&shared));
        let (first, second) = (rows.take(11).unwrap(), rows.take(12).unwrap());
        for shard in 0..3 {
            counts.count(shard, first);
            counts.count(shard, first);
            counts.count(shard, second);
        }
        assert_eq!((place.left().spent(11, first, 9), place.left().spent(12, second, 9)), (Some(6), Some(3)));
        counts.count(1, first);
        assert_eq!(place.left().spent(11, first, 9), Some(7));
        counts.take_off(1, first);
        assert_eq!(place.left().spent(11, first, 9), Some(6));
        assert_eq!(place.left().spent(11, first, 5), None, "more than shards had");
        assert_eq!(place.left().spent(11, second, 9), None, "another's row");
        assert_eq!(place.left().spent(13, 699, 9), None, "nobody's");
        assert_eq!(place.left().spent(13, 700, 9), None, "there are no more");
    }

    #[test]
    fn a_row_that_another_lease_has_now_is_not_taken_for_the_first_one_s() {
        let mut place = Place::new();
        let shared = place.begin(2, 1);
        let mut rows = Rows::new(Arc::clone(&shared));
        let row = rows.take(1).unwrap();
        shared.get().unwrap().count(0, row);
        assert_eq!(rows.take(2), None, "there is but one");
        rows.give_back(row);
        assert_eq!(place.left().spent(1, row, 5), Some(1), "until somebody else has it");
        assert_eq!(rows.take(2), Some(row));
        assert_eq!((place.left().spent(1, row, 5), place.left().spent(2, row, 5)), (None, Some(0)));
    }

    #[test]
    fn without_a_file_there_are_no_rows() {
        let mut place = Place::new();
        let later = SharedCounts::default();
        let mut rows = Rows::new(Arc::clone(&later));
        assert_eq!(rows.take(1), None);
        let made = Arc::into_inner(place.begin(1, 1)).unwrap().into_inner().unwrap();
        later.set(made).unwrap();
        assert_eq!(rows.take(2), Some(0));
    }

    #[test]
    fn a_file_that_is_cut_or_another_life_s_is_refused() {
        let mut place = Place::new();
        let counts = place.begin(2, 600);
        Rows::new(Arc::clone(&counts)).take(1).unwrap();
        drop(counts);
        let refusal =
            |place: &Place, number| LeftCounts::read(&place.path(), number).unwrap_err().to_string();
        let whole = File::options().read(true).open(place.path()).unwrap().metadata().unwrap().len();
        assert_eq!(whole, 8 * (512 + 3 * 1024));
        assert_eq!(refusal(&place, 9), "it is another life's, or of another version");
        for cut in [0, 7, 4_095, 4_096, 4_097, 8 * (512 + 1024), whole as usize - 1] {
            let mut cut_off = Place::new();
            cut_off.begin(2, 600);
            cut_off.write(|bytes| bytes.truncate(cut));
            assert!(LeftCounts::read(&cut_off.path(), 1).is_err(), "{cut}");
        }
        // Of no shape that it could have.
        for (at, byte) in [(0, 0xff), (16, 0xff), (24, 0xff), (24, 0)] {
            let mut wrong = Place::new();
            wrong.begin(2, 600);
            wrong.write(|bytes| bytes[at..at + 8].fill(byte));
            assert!(LeftCounts::read(&wrong.path(), 1).is_err());
        }
        std::fs::remove_file(place.path()).unwrap();
        assert!(LeftCounts::read(&place.path(), 1).is_err());
    }
}
