//! The shards as the housekeeper sees them: told what to do through their mailboxes, and heard of by what their threads
//! say; in the end they drain.

use std::io;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::signals::Signal;
use crate::mailbox::{Loads, Mailbox, ToShard};

/// For connections that waited in vain to close, before requests in flight are cut off.
const LAST_MS: u64 = 1_000;

/// What a shard's thread says of itself.
#[derive(Debug)]
pub(crate) enum ShardEvent {
    /// It can accept connections.
    Started,
    Ended {
        index: usize,
        outcome: io::Result<()>,
    },
}

/// The shards, as their events tell.
pub(super) struct Shards {
    mailboxes: Vec<Mailbox>,
    events: mpsc::UnboundedReceiver<ShardEvent>,
    running: usize,
    started: usize,
    failure: Option<String>,
}

impl Shards {
    pub(super) const fn new(mailboxes: Vec<Mailbox>, events: mpsc::UnboundedReceiver<ShardEvent>) -> Self {
        Self { running: mailboxes.len(), mailboxes, events, started: 0, failure: None }
    }

    /// Waits for the next thing that one of them says. May be dropped at any time.
    pub(super) async fn hear(&mut self) -> Result<(), String> {
        match self.events.recv().await {
            Some(ShardEvent::Started) => self.started += 1,
            Some(ShardEvent::Ended { index, outcome }) => {
                self.running -= 1;
                if let Err(error) = outcome {
                    self.failure.get_or_insert(format!("shard {index}: {error}"));
                }
            }
            None => return Err("the shards' threads are gone".into()),
        }
        Ok(())
    }

    pub(super) async fn all_started(&mut self) -> Result<(), String> {
        while self.started < self.mailboxes.len() {
            self.hear().await?;
            if let Some(failure) = self.failure.take() {
                return Err(failure);
            }
        }
        Ok(())
    }

    /// Lets the shards finish; after `time`, or when told a second time, they close what is open. Where connections
    /// were handed over, those that only wait for a request are ended first.
    pub(super) async fn drain(
        &mut self,
        signals: &mut mpsc::UnboundedReceiver<Signal>,
        time: Duration,
        successor: Option<(UnixStream, Loads)>,
    ) -> Result<(), String> {
        let mut stage = if successor.is_some() { Stage::Waiting } else { Stage::Draining };
        self.tell(|| stage.message()).await;
        let mut deadline = Instant::now() + time;
        if let Some((successor, loads)) = successor {
            // A shard that hangs is stopped at the deadline; the successor hears of the process's end then.
            let _ = timeout_at(deadline, hang_up(successor, loads)).await;
        }
        while self.running > 0 {
            let late = tokio::select! {
                event = self.hear() => {
                    event?;
                    continue;
                }
                Some(Signal::Drain) = signals.recv(), if stage != Stage::Stopping => false,
                Err(_) = timeout_at(deadline, std::future::pending::<()>()), if stage != Stage::Stopping => true,
            };
            stage = match stage {
                Stage::Waiting => Stage::Draining,
                _ => Stage::Stopping,
            };
            if late && stage == Stage::Stopping {
                report!(
                    "turnpike-gateway: requests are still in flight after drain_timeout_ms; closing them"
                );
            }
            deadline = Instant::now() + Duration::from_millis(LAST_MS);
            self.tell(|| stage.message()).await;
        }
        Ok(())
    }

    /// A mailbox that is full is emptied within a moment, or its shard has ended.
    pub(super) async fn tell(&self, message: impl Fn() -> ToShard) {
        for mailbox in &self.mailboxes {
            let mut attempts = 0;
            while mailbox.send(message()).is_err() && attempts < 100 {
                attempts += 1;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }

    /// Why one of them ended when it wasn't told to.
    pub(super) fn outcome(self) -> Result<(), String> {
        self.failure.map_or(Ok(()), Err)
    }
}

/// Tells the successor that no shard accepts any more.
async fn hang_up(successor: UnixStream, loads: Loads) {
    while loads.is_accepting() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    report!("turnpike-gateway: another process accepts; draining");
    drop(successor);
}

/// How a drain goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Connections wait for a last request, which is answered with a close.
    Waiting,
    Draining,
    Stopping,
}

impl Stage {
    fn message(self) -> ToShard {
        match self {
            Self::Waiting => ToShard::HandOver,
            Self::Draining => ToShard::Drain,
            Self::Stopping => ToShard::Stop,
        }
    }
}
