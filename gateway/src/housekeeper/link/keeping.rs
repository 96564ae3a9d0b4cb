//! Snapshots on their way to the disk: the newest is written on a thread that may block, and what the disk refused is
//! written again, with a growing pause, until it is kept or a newer one takes its place.

use std::convert::Infallible;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::super::vault::{Keep, Vault};
use super::LinkSettings;
use super::pause::Pause;

/// Snapshots that wait for the disk. A control that publishes faster than that is waited for.
const JOBS_MAX: usize = 64;

/// The link's end: hands snapshots over, and hears what became of them.
pub(super) struct Keeping {
    jobs: mpsc::Sender<Job>,
    outcomes: mpsc::UnboundedReceiver<Outcome>,
    pause: Pause,
    /// The version that waits for the disk.
    unwritten: Option<u64>,
    refused: Option<Refused>,
}

/// The disk's end.
pub(super) struct Writer {
    vault: Vault,
    todo: mpsc::Receiver<Job>,
    done: mpsc::UnboundedSender<Outcome>,
}

/// What became of writing a version.
pub(super) struct Outcome {
    pub(super) version: u64,
    pub(super) stored: Result<(), String>,
    /// It had been refused before.
    pub(super) is_again: bool,
    /// To be written again.
    refused: Option<Keep>,
}

struct Job {
    keep: Keep,
    is_again: bool,
}

/// What the disk refused, and nothing newer is on its way to it.
struct Refused {
    keep: Keep,
    again_at: Instant,
}

pub(super) fn keeping(vault: Vault, settings: &LinkSettings) -> (Keeping, Writer) {
    let (jobs, todo) = mpsc::channel(JOBS_MAX);
    let (done, outcomes) = mpsc::unbounded_channel();
    let pause = Pause::new(settings.keep_again_min_ms, settings.keep_again_max_ms);
    (Keeping { jobs, outcomes, pause, unwritten: None, refused: None }, Writer { vault, todo, done })
}

impl Keeping {
    /// Has it written in place of what was refused before.
    pub(super) async fn begin(&mut self, keep: Keep) {
        // The other end is awaited beside this future and never closes.
        let Ok(place) = self.jobs.reserve().await else { return };
        self.unwritten = Some(keep.version);
        self.refused = None;
        self.pause.reset();
        place.send(Job { keep, is_again: false });
    }

    /// What became of the next version. Meanwhile what was refused is tried again when its time has come. May be dropped
    /// at any time.
    pub(super) async fn outcome(&mut self) -> Outcome {
        loop {
            tokio::select! {
                Some(outcome) = self.outcomes.recv() => return self.noted(outcome),
                () = due(self.refused.as_ref()) => self.try_again(),
            }
        }
    }

    /// Has what was refused written again, without waiting any longer.
    pub(super) fn try_again(&mut self) {
        let Some(Refused { keep, .. }) = self.refused.take() else { return };
        let version = keep.version;
        // Without a place, newer ones are on their way, which take its own.
        if self.jobs.try_send(Job { keep, is_again: true }).is_ok() {
            self.unwritten = Some(version);
        }
    }

    /// Whether something is being written.
    pub(super) const fn is_writing(&self) -> bool {
        self.unwritten.is_some()
    }

    /// Whether what isn't on disk will be, if the disk lets it.
    pub(super) const fn is_trying(&self) -> bool {
        self.is_writing() || self.refused.is_some()
    }

    fn noted(&mut self, mut outcome: Outcome) -> Outcome {
        self.unwritten = self.unwritten.filter(|unwritten| *unwritten != outcome.version);
        if let Some(keep) = outcome.refused.take()
            && !self.is_writing()
        {
            self.refused = Some(Refused { keep, again_at: Instant::now() + self.pause.next() });
        }
        outcome
    }
}

async fn due(refused: Option<&Refused>) {
    match refused {
        Some(refused) => sleep_until(refused.again_at).await,
        None => std::future::pending().await,
    }
}

impl Writer {
    /// Keeps the newest of the snapshots that wait, one at a time.
    pub(super) async fn run(self) -> Infallible {
        let Self { mut vault, mut todo, done } = self;
        // The receiver of outcomes lives as long as this future.
        let lost = loop {
            let Some(mut job) = todo.recv().await else { return std::future::pending().await };
            while let Ok(newer) = todo.try_recv() {
                job = newest(job, newer);
            }
            let Job { keep, is_again } = job;
            let again = without_units(&keep);
            let stored = tokio::task::spawn_blocking(move || {
                let stored = vault.store(keep).map_err(|e| e.to_string());
                (vault, stored)
            });
            let Ok((returned, stored)) = stored.await else { break Outcome::lost(again.version, is_again) };
            vault = returned;
            let version = again.version;
            let refused = stored.is_err().then_some(again);
            let _ = done.send(Outcome { version, stored, is_again, refused });
        };
        // The thread has panicked, and the vault went with it; serving goes on, and so does saying so.
        let _ = done.send(lost);
        while let Some(Job { keep, is_again }) = todo.recv().await {
            let _ = done.send(Outcome::lost(keep.version, is_again));
        }
        std::future::pending().await
    }
}

impl Outcome {
    fn lost(version: u64, is_again: bool) -> Self {
        let reason = "writing has panicked; restart the gateway to have snapshots kept again";
        Self { version, stored: Err(reason.to_owned()), is_again, refused: None }
    }
}

/// The vault remembers the units that it couldn't write.
fn without_units(keep: &Keep) -> Keep {
    Keep {
        version: keep.version,
        root: keep.root.clone(),
        hashes: keep.hashes.clone(),
        new_units: Vec::new(),
    }
}

/// Leaves `older` out, except for the units that `newer` may take over from it.
fn newest(older: Job, mut newer: Job) -> Job {
    newer.keep.new_units.extend(older.keep.new_units);
    newer
}
