//! Snapshots that can't be kept: they are served all the same, and written again.

use std::path::Path;

use super::*;
use crate::housekeeper::vault::Disk;

/// A disk without room for the first files.
#[derive(Debug)]
struct FullDisk {
    refusals_left: usize,
}

impl Disk for FullDisk {
    fn write(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        if self.refusals_left > 0 {
            self.refusals_left -= 1;
            return Err(io::ErrorKind::StorageFull.into());
        }
        Files.write(path, bytes)
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        Files.rename(from, to)
    }

    fn sync_dir(&mut self, dir: &Path) -> io::Result<()> {
        Files.sync_dir(dir)
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        Files.remove(path)
    }
}

/// A disk whose driver is at its wits' end.
#[derive(Debug)]
struct PanickingDisk;

impl Disk for PanickingDisk {
    fn write(&mut self, _: &Path, _: &[u8]) -> io::Result<()> {
        panic!("a panic that this test wants");
    }

    fn rename(&mut self, _: &Path, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn sync_dir(&mut self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn remove(&mut self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_panic_while_writing_does_not_keep_later_snapshots_from_being_served() {
    let bench = Bench::new();
    let data_dir = bench.dir.path().join("data");
    let vault = Vault::open_on(Box::new(PanickingDisk), &data_dir, Limits::default()).unwrap();
    let mut running = bench.start_with(vault);
    let mut control = bench.greet(0).await;
    for version in 1..=3 {
        control.bring(&published(version)).await;
        assert_eq!(running.applied().await.version, version);
        assert!(running.status.borrow().not_kept.as_ref().unwrap().contains("panicked"));
    }
}

/// An hour in which nothing is written again, or next to no time.
const NEVER_MS: u64 = 3_600_000;
const AT_ONCE_MS: u64 = 1;

/// Version 1 has come to a disk that refuses so many files.
async fn start_full(refusals: usize, keep_again_ms: u64) -> (Bench, Running, FakeControl) {
    let bench = Bench::new();
    let disk = Box::new(FullDisk { refusals_left: refusals });
    let vault = Vault::open_on(disk, &bench.dir.path().join("data"), Limits::default()).unwrap();
    let settings = LinkSettings {
        keep_again_min_ms: keep_again_ms,
        keep_again_max_ms: keep_again_ms,
        ..bench.settings()
    };
    let running = start(settings, vault);
    let mut control = bench.greet(0).await;
    control.bring(&published(1)).await;
    (bench, running, control)
}

async fn kept(running: &mut Running, version: u64) {
    let is_kept = |status: &LinkStatus| status.serving_version == version && status.not_kept.is_none();
    running.status.wait_for(is_kept).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_does_not_keep_a_snapshot_from_being_served() {
    let (bench, mut running, mut control) = start_full(1, NEVER_MS).await;
    running.applied().await;
    let not_kept = running.status.borrow().not_kept.clone().unwrap();
    assert!(not_kept.contains("can't write"), "{not_kept}");
    control.bring(&published(2)).await;
    assert_eq!(running.status.borrow().not_kept, None);
    running.stop().await;
    assert_eq!(bench.vault().load().unwrap().unwrap().root.version, 2);
}

#[tokio::test]
async fn what_a_full_disk_refused_is_written_again_until_it_is_kept() {
    let (bench, mut running, mut control) = start_full(5, AT_ONCE_MS).await;
    kept(&mut running, 1).await;
    assert_eq!(bench.vault_beside().load().unwrap().unwrap().root.version, 1);
    // Control was told of it once: what comes next is about the next version.
    control.bring(&published(2)).await;
    running.stop().await;
    assert_eq!(bench.vault().load().unwrap().unwrap().root.version, 2);
}

#[tokio::test]
async fn what_a_full_disk_refused_is_written_again_without_control() {
    let (bench, mut running, control) = start_full(5, AT_ONCE_MS).await;
    let Bench { dir, listener } = bench;
    drop((control, listener));
    kept(&mut running, 1).await;
    running.stop().await;
    let vault = Vault::open(&dir.path().join("data"), Limits::default());
    assert_eq!(vault.unwrap().load().unwrap().unwrap().root.version, 1);
}

#[tokio::test]
async fn what_a_full_disk_refused_is_written_before_a_pause() {
    let (bench, mut running, _control) = start_full(1, NEVER_MS).await;
    assert!(running.status.borrow().not_kept.is_some());
    running.orders.send_replace(Order::Pause);
    let paused = running.status.wait_for(|status| status.paused).await.unwrap().clone();
    assert_eq!((paused.serving_version, paused.not_kept), (1, None));
    assert_eq!(bench.vault_beside().load().unwrap().unwrap().root.version, 1);
    running.stop().await;
}
