//! Copies SQLite's write-ahead log into the database, beside the changes. By itself SQLite does that at the end of the
//! commit that has filled the log, which then takes twenty times as long as the others: it copies all pages that were
//! written since the last time, and syncs the disk twice more.
//!
//! What a commit promises is kept by the log, whether it has been copied or not (sqlite.org/wal.html, "Checkpointing").
//! The log begins anew with the first commit that finds all of it copied.

use std::ffi::c_int;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;
use rusqlite::hooks::Wal;

use crate::settings::SqliteSettings;

/// When the log is copied, in pages of 4 KiB.
#[derive(Debug, Clone, Copy)]
pub(super) struct LogBounds {
    /// SQLite's own default.
    pub(super) pages: c_int,
    /// Commits that fill the log faster than it is copied wait for it from here on.
    pub(super) pages_max: c_int,
}

const PAGES: c_int = 1_000;
const PAGE_BYTES: u64 = 4 << 10;

impl LogBounds {
    /// The log may be longer by what one commit writes.
    pub(super) fn new(settings: &SqliteSettings) -> Self {
        let pages_max = settings.log_bytes_max / PAGE_BYTES;
        Self { pages: PAGES, pages_max: c_int::try_from(pages_max).unwrap_or(c_int::MAX).max(1) }
    }
}

/// The thread that copies; it ends with the connection whose commits it follows.
#[derive(Debug)]
pub(super) struct Checkpoints {
    thread: Option<JoinHandle<()>>,
}

impl Checkpoints {
    /// Follows what `writer` commits, with another connection to the same file.
    pub(super) fn follow(
        writer: &mut Connection,
        own: Connection,
        bounds: LogBounds,
    ) -> rusqlite::Result<Self> {
        let (filled, todo) = sync_channel(1);
        let copying = Arc::new(Mutex::new(()));
        writer.wal_hook(Some(on_commit(filled, Arc::clone(&copying), bounds)))?;
        let thread = thread::spawn(move || {
            while todo.recv().is_ok() {
                let _copying = copying.lock().unwrap_or_else(PoisonError::into_inner);
                // A row, whether all could be copied: readers of old pages keep some for the next time.
                let copied = own.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
                if let Err(error) = copied {
                    log_line!("store: the write-ahead log can't be copied, tried again soon: {error}");
                }
            }
        });
        Ok(Self { thread: Some(thread) })
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log_line!("store: copying the write-ahead log has panicked");
        }
    }
}

/// Whatever it answers but `Ok` would be told as a failure of the commit, which has happened.
fn on_commit(
    filled: SyncSender<()>,
    copying: Arc<Mutex<()>>,
    bounds: LogBounds,
) -> impl FnMut(&mut Wal, c_int) -> rusqlite::Result<()> + Send + 'static {
    move |wal, pages| {
        if pages >= bounds.pages_max {
            let _copying = copying.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(error) = wal.checkpoint() {
                log_line!("store: a full write-ahead log can't be copied: {error}");
            }
        } else if pages >= bounds.pages {
            // It may have been told already, and has ended only together with this.
            let _ = filled.try_send(());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes more than two pages; how long the database is then, and once the thread has done what it was told.
    fn lengths(bounds: LogBounds) -> (u64, u64) {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("db");
        let connect = || Connection::open(&path).expect("a file");
        let mut writer = connect();
        writer.pragma_update(None, "journal_mode", "WAL").expect("WAL");
        writer.execute_batch("CREATE TABLE thing (bytes)").expect("a table");
        writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("copied");
        let checkpoints = Checkpoints::follow(&mut writer, connect(), bounds).expect("followed");
        let length = || std::fs::metadata(&path).expect("a file").len();
        let empty = length();
        writer.execute("INSERT INTO thing VALUES (zeroblob(100000))", []).expect("written");
        let written = length() - empty;
        writer.wal_hook(None::<fn(&mut Wal, c_int) -> rusqlite::Result<()>>).expect("let go");
        drop(checkpoints);
        (written, length() - empty)
    }

    #[test]
    fn a_log_that_is_filled_is_copied() {
        let (_, copied) = lengths(LogBounds { pages: 2, pages_max: c_int::MAX });
        assert!(copied > 90_000, "{copied}");
        assert_eq!(lengths(LogBounds { pages: 1_000, pages_max: c_int::MAX }), (0, 0));
    }

    #[test]
    fn a_log_has_as_many_pages_as_bytes_fit() {
        let pages_max = |log_bytes_max| {
            LogBounds::new(&SqliteSettings { log_bytes_max, ..SqliteSettings::default() }).pages_max
        };
        assert_eq!([1, 8_192, 64 << 20, u64::MAX].map(pages_max), [1, 2, 16_384, c_int::MAX]);
    }

    #[test]
    fn a_log_that_is_full_is_copied_before_the_next_commit() {
        let (copied, _) = lengths(LogBounds { pages: 1, pages_max: 2 });
        assert!(copied > 90_000, "{copied}");
    }
}
