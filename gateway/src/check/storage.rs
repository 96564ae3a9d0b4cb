//! The data directory, the access logs, and what is noted of quotas.

#![expect(clippy::disallowed_methods, reason = "no shard runs in a check")]

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

use rustix::fs::{Access, access, statvfs};
use turnpike_rt::Words;

use super::Finding;
use crate::settings::{LogDestination, Settings};

/// Below it even a small snapshot might not be kept. An arbitrary choice.
const FREE_BYTES_MIN: u64 = 16 << 20;

/// Whether a gateway runs on this data directory.
pub(super) fn is_in_use(data_dir: &Path) -> bool {
    // Not made here if it is absent; the lock goes with the file's descriptor.
    let Ok(file) = File::open(data_dir.join("lock")) else { return false };
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

pub(super) fn data_dir(settings: &Settings, running: bool) -> Finding {
    const NAME: &str = "data_dir";
    let path = &settings.data_dir;
    let shown = path.display();
    let free_bytes = match writable(path).and_then(free_bytes) {
        Ok(free_bytes) => free_bytes,
        Err(error) => {
            return Finding::error(
                NAME,
                format!("{shown} can't be written: {error}"),
                "give the directory to this user (chown), or name another with --data-dir",
            );
        }
    };
    let used = if running { ", in use by a gateway" } else { "" };
    let found = format!("{shown} is writable, {} MiB free{used}", free_bytes >> 20);
    match free_bytes {
        free if free < FREE_BYTES_MIN => Finding::error(
            NAME,
            found,
            "make room: the last good snapshot is kept there, for a start without control",
        ),
        free if free < settings.snapshot_bytes_max => Finding::warning(
            NAME,
            found,
            format!("a snapshot may have {} MiB (snapshot_bytes_max)", settings.snapshot_bytes_max >> 20),
        ),
        _ => Finding::ok(NAME, found),
    }
}

pub(super) fn access_logs(settings: &Settings) -> Finding {
    const NAME: &str = "access logs";
    let mut places = vec![settings.access_log_dir.as_path()];
    if let Some(LogDestination::File(path)) = &settings.access_log {
        places.push(path);
    }
    for place in &places {
        if let Err(error) = writable(place) {
            return Finding::error(
                NAME,
                format!("{} can't be written: {error}", place.display()),
                "give it to this user (chown), or name another with --access-log-dir or --access-log",
            );
        }
    }
    let shown: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
    Finding::ok(NAME, format!("{} can be written", shown.join(" and ")))
}

pub(super) fn quotas(settings: &Settings) -> Finding {
    const NAME: &str = "quotas";
    let shown = settings.quota_dir.display();
    let place = match writable(&settings.quota_dir) {
        Ok(place) => place,
        Err(error) => {
            return Finding::error(
                NAME,
                format!("{shown} can't be written: {error}"),
                "give it to this user (chown), or name another with --quota-dir",
            );
        }
    };
    match Words::check_directory(place) {
        Ok(()) => Finding::ok(NAME, format!("{shown} can be written")),
        Err(refusal) => Finding::warning(
            NAME,
            format!("{shown} can't have counts: {refusal}"),
            "name a directory in another file system with --quota-dir: without counts, what cores have of quotas when the \
             gateway is killed counts as used",
        ),
    }
}

/// The path, or, if it is absent, the directory that it can be made in.
fn writable(path: &Path) -> io::Result<&Path> {
    let mut place = path;
    while !place.exists() {
        place = match place.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
    }
    if place != path && !place.is_dir() {
        return Err(io::Error::other(format!("{} is no directory", place.display())));
    }
    let wanted = if place.is_dir() { Access::WRITE_OK | Access::EXEC_OK } else { Access::WRITE_OK };
    access(place, wanted)?;
    Ok(place)
}

fn free_bytes(place: &Path) -> io::Result<u64> {
    let told = statvfs(place)?;
    Ok(told.f_bavail.saturating_mul(told.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    fn settings(data_dir: &Path) -> Settings {
        Settings { data_dir: data_dir.to_owned(), snapshot_bytes_max: 1, ..Settings::defaults() }
    }

    #[test]
    fn a_directory_that_can_be_made_is_fine_and_is_not_made() {
        let directory = tempfile::tempdir().unwrap();
        let absent = directory.path().join("a/b");
        assert_eq!(data_dir(&settings(&absent), false).verdict, Verdict::Ok);
        assert!(!absent.exists() && !directory.path().join("a").exists());
    }

    #[test]
    fn a_directory_for_counts_can_be_made_and_is_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let within =
            |path: &Path| quotas(&Settings { quota_dir: path.to_owned(), ..Settings::defaults() }).verdict;
        assert_eq!(within(&directory.path().join("a/b")), Verdict::Ok);
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(within(&file.path().join("quotas")), Verdict::Error);
    }

    #[test]
    fn a_file_in_its_place_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let finding = data_dir(&settings(&file.path().join("gateway")), false);
        assert_eq!(finding.verdict, Verdict::Error);
        assert!(finding.found.contains("is no directory"), "{finding:?}");
    }

    #[test]
    fn a_running_gateway_is_seen_by_its_lock() {
        let directory = tempfile::tempdir().unwrap();
        assert!(!is_in_use(directory.path()));
        let lock = File::create(directory.path().join("lock")).unwrap();
        assert!(!is_in_use(directory.path()));
        lock.lock().unwrap();
        assert!(is_in_use(directory.path()));
    }
}
