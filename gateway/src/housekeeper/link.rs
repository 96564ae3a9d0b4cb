//! The gateway's end of the publish link: learns of each new root, fetches the units that it lacks, has the
//! snapshot applied, keeps it on disk, and says so to control. Runs on the housekeeper's thread for as long
//! as the gateway does.
//!
//! Control may be absent at any time and for any length of time: what was applied last goes on being served,
//! and the link tries again for ever, with a growing pause.
//!
//! A snapshot is applied first, then kept, then acknowledged, so that no `fsync` delays a change. That is
//! safe: control has the root on its own disk before it publishes it, so a gateway that dies in between
//! starts with the root before, whole, and is sent the newest one when it connects; and as it hadn't
//! acknowledged, nobody was told that the change would last. Keeping runs beside the connection: a root
//! that arrives meanwhile is applied without waiting for the disk. One that the disk refuses is acknowledged and
//! reported not to be kept, and written again until it is.
//!
//! A gateway that drains while its successor has the data directory follows on and keeps nothing: what is changed, flushed
//! or revoked counts for its last requests too, and their quotas are asked for.

mod catch_up;
mod keeping;
mod pause;
#[cfg(test)]
pub(super) mod sample;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Buf;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use turnpike_snapshot::frame::{self, Decoder, FrameError, FromControl, FromGateway};
use turnpike_snapshot::{FORMAT_VERSION, Limits};

pub(crate) use catch_up::Candidate;

use super::vault::Vault;
use crate::quotas::QuotaLine;
use catch_up::{Action, CatchUp, LinkError};
use keeping::{Keeping, Outcome, keeping};
use pause::Pause;

/// What bounds a link, and where it leads.
#[derive(Debug, Clone)]
pub(crate) struct LinkSettings {
    pub(crate) publish_socket: PathBuf,
    /// What control shows: 1 to 128 bytes of visible ASCII.
    pub(crate) gateway_id: String,
    /// Before the second attempt to connect; it doubles with each, up to `reconnect_max_ms`.
    pub(crate) reconnect_min_ms: u64,
    pub(crate) reconnect_max_ms: u64,
    /// Before a snapshot that the disk refused is written again; it doubles with each, up to `keep_again_max_ms`.
    pub(crate) keep_again_min_ms: u64,
    pub(crate) keep_again_max_ms: u64,
    /// Without a byte from a control that owes something, or without a byte taken by it.
    pub(crate) stuck_timeout_ms: u64,
    pub(crate) limits: Limits,
}

impl LinkSettings {
    pub(crate) fn new(publish_socket: PathBuf, gateway_id: String) -> Self {
        Self {
            publish_socket,
            gateway_id,
            reconnect_min_ms: 20,
            reconnect_max_ms: 2_000,
            keep_again_min_ms: 1_000,
            keep_again_max_ms: 60_000,
            stuck_timeout_ms: 10_000,
            limits: Limits::default(),
        }
    }
}

/// What readiness and metrics show of the link.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LinkStatus {
    /// Whether control has sent its newest root on the present connection.
    pub(crate) connected: bool,
    /// 0 if nothing is served.
    pub(crate) serving_version: u64,
    /// The version and the reason of the newest root, if it was refused; version 0 if it can't be read.
    pub(crate) refused: Option<(u64, String)>,
    /// Why what is served isn't on disk.
    pub(crate) not_kept: Option<String>,
    /// Why what is on disk isn't served.
    pub(crate) not_restored: Option<String>,
    /// It was told to pause, and is: no message and no write is under way.
    pub(crate) paused: bool,
}

/// Whether control is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Follow,
    /// Another process has the data directory for now: hang up, and write what is still to be written.
    Pause,
    /// Another process has it for good.
    FollowWithoutDisk,
}

/// The gateway's end of the publish link.
pub(crate) struct Link<A> {
    settings: LinkSettings,
    vault: Vault,
    catch_up: CatchUp<A>,
    status: watch::Sender<LinkStatus>,
    quotas: Option<QuotaLine>,
}

impl<A: FnMut(Candidate) -> Result<(), String>> Link<A> {
    /// Serves the last good snapshot, if there is one, before anything is asked of control. `apply` compiles
    /// a candidate and publishes it to the shards, or says why it can't be served; it is called on the thread
    /// that runs the link.
    pub(crate) fn new(settings: LinkSettings, mut vault: Vault, apply: A) -> Self {
        let mut catch_up = CatchUp::new(settings.limits.clone(), apply);
        let restored = match vault.load() {
            Ok(None) => Ok(()),
            Ok(Some(kept)) => catch_up.restore(kept),
            Err(error) => Err(error.to_string()),
        };
        let not_restored = restored.err();
        if let Some(reason) = &not_restored {
            log(&format!("the snapshot on disk is not served, waiting for control's: {reason}"));
        }
        let serving_version = catch_up.serving_version();
        let status =
            watch::Sender::new(LinkStatus { serving_version, not_restored, ..LinkStatus::default() });
        Self { settings, vault, catch_up, status, quotas: None }
    }

    /// Carries reports of quotas and their answers, too.
    pub(crate) fn with_quotas(self, quotas: QuotaLine) -> Self {
        Self { quotas: Some(quotas), ..self }
    }

    pub(crate) fn status(&self) -> watch::Receiver<LinkStatus> {
        self.status.subscribe()
    }

    /// Follows control for ever, but for the time that it is ordered to pause. Dropping the future ends the link
    /// between two messages; a write to disk that has begun is finished.
    pub(crate) async fn run(self, orders: watch::Receiver<Order>) -> Infallible {
        let Self { settings, vault, catch_up, status, quotas } = self;
        let (keeping, writer) = keeping(vault, &settings);
        let connection = Connection { settings, catch_up, status, quotas, keeping, orders };
        tokio::select! {
            never = connection.follow() => never,
            never = writer.run() => never,
        }
    }
}

/// Messages about quotas that wait to be sent.
const QUOTA_MESSAGES_MAX: usize = 4;

struct Connection<A> {
    settings: LinkSettings,
    catch_up: CatchUp<A>,
    status: watch::Sender<LinkStatus>,
    quotas: Option<QuotaLine>,
    keeping: Keeping,
    orders: watch::Receiver<Order>,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("nobody listens there: {0}")]
    Unreachable(io::Error),
    #[error("control left")]
    Left,
    #[error("control left in the middle of a message")]
    CutOff,
    #[error("control owes an answer and sent nothing for {0} ms")]
    Silent(u64),
    #[error("control took nothing for {0} ms")]
    Stuck(u64),
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Rules(#[from] LinkError),
}

impl<A: FnMut(Candidate) -> Result<(), String>> Connection<A> {
    async fn follow(mut self) -> Infallible {
        let mut pause = Pause::new(self.settings.reconnect_min_ms, self.settings.reconnect_max_ms);
        let mut outage = Outage::default();
        loop {
            self.obey().await;
            let mut orders = self.orders.clone();
            let ended = tokio::select! {
                Err(ended) = self.converse(&mut pause, &mut outage) => Some(ended),
                () = ordered(&mut orders, |order| order == Order::Pause) => None,
            };
            self.catch_up.handle_disconnect();
            if let Some(quotas) = &self.quotas {
                quotas.disconnected().await;
            }
            self.status.send_if_modified(|status| std::mem::take(&mut status.connected));
            if let Some(ended) = ended {
                outage.begin(&ended, &self.settings);
                tokio::select! {
                    () = self.sleep(pause.next()) => {}
                    () = ordered(&mut orders, |order| order == Order::Pause) => {}
                }
            }
        }
    }

    /// Waits for as long as it is to pause, and says so when there is nothing left to write.
    async fn obey(&mut self) {
        let mut orders = self.orders.clone();
        if *orders.borrow() != Order::Pause {
            return;
        }
        self.keeping.try_again();
        while self.keeping.is_writing() {
            let outcome = self.keeping.outcome().await;
            self.note_kept(outcome);
        }
        self.status.send_modify(|status| status.paused = true);
        ordered(&mut orders, |order| order != Order::Pause).await;
        self.status.send_modify(|status| status.paused = false);
    }

    /// Waits, while what was being kept is still reported.
    async fn sleep(&mut self, pause: Duration) {
        let waking = tokio::time::sleep(pause);
        tokio::pin!(waking);
        loop {
            tokio::select! {
                () = &mut waking => return,
                outcome = self.keeping.outcome() => { self.note_kept(outcome); }
            }
        }
    }

    /// One connection, from the greeting to its end.
    async fn converse(&mut self, pause: &mut Pause, outage: &mut Outage) -> Result<Infallible, Ended> {
        let stream = UnixStream::connect(&self.settings.publish_socket).await.map_err(Ended::Unreachable)?;
        let mut peer = Peer::new(stream, &self.settings);
        peer.send(&self.hello()).await?;
        let mut greeted = false;
        let (reported, mut reports) = mpsc::channel(QUOTA_MESSAGES_MAX);
        loop {
            let is_owed = !greeted || self.catch_up.is_waiting();
            tokio::select! {
                message = peer.message(is_owed) => {
                    let message = message?;
                    if !greeted && matches!(message, FromControl::Root { .. }) {
                        greeted = true;
                        pause.reset();
                        outage.end(&self.settings);
                        self.status.send_modify(|status| status.connected = true);
                        if let Some(quotas) = &self.quotas {
                            quotas.connected(reported.clone()).await;
                        }
                    }
                    if let FromControl::Quotas { answers } = message {
                        if let Some(quotas) = &self.quotas {
                            quotas.answers(answers).await;
                        }
                        continue;
                    }
                    let action = self.catch_up.handle(message)?;
                    self.act(action, &mut peer).await?;
                }
                Some(message) = reports.recv() => peer.send(&message).await?,
                outcome = self.keeping.outcome() => {
                    let (version, is_again) = (outcome.version, outcome.is_again);
                    self.note_kept(outcome);
                    // This control may not have published it; what it does publish is kept and
                    // acknowledged in its turn, and once.
                    if greeted && !is_again {
                        peer.send(&FromGateway::Acknowledge { version }).await?;
                    }
                }
            }
        }
    }

    fn hello(&self) -> FromGateway {
        FromGateway::Hello {
            gateway_id: self.settings.gateway_id.clone(),
            format_version: FORMAT_VERSION,
            serving_version: self.catch_up.serving_version(),
        }
    }

    async fn act(&mut self, action: Action, peer: &mut Peer) -> Result<(), Ended> {
        match action {
            Action::Nothing => Ok(()),
            Action::Send(message) => {
                if let FromGateway::Refuse { version, reason } = &message {
                    self.note_refused(*version, reason);
                }
                peer.send(&message).await
            }
            Action::Keep(keep) if *self.orders.borrow() == Order::FollowWithoutDisk => {
                self.note_serving(keep.version);
                peer.send(&FromGateway::Acknowledge { version: keep.version }).await
            }
            Action::Keep(keep) => {
                self.note_serving(keep.version);
                self.keeping.begin(keep).await;
                Ok(())
            }
        }
    }

    fn note_serving(&self, version: u64) {
        self.status.send_modify(|status| {
            status.serving_version = version;
            status.refused = None;
        });
    }

    fn note_refused(&self, version: u64, reason: &str) {
        log(&format!("refused version {version}: {reason}"));
        self.status.send_modify(|status| status.refused = Some((version, reason.to_owned())));
    }

    /// Logs when snapshots cease to be kept, when the reason changes, and when they are kept again.
    fn note_kept(&self, Outcome { version, stored, is_again, .. }: Outcome) {
        let before = self.status.borrow().not_kept.clone();
        match &stored {
            Ok(()) if before.is_some() => {
                log(&format!("version {version} is on disk: snapshots are kept again"))
            }
            Err(reason) if !is_again || before.as_ref() != Some(reason) => {
                let then = if self.keeping.is_trying() { ", tried again until it is" } else { "" };
                log(&format!("version {version} is served but isn't on disk{then}: {reason}"));
            }
            Ok(()) | Err(_) => {}
        }
        self.status.send_modify(|status| status.not_kept = stored.err());
    }
}

/// A connection to control.
struct Peer {
    stream: UnixStream,
    decoder: Decoder<FromControl>,
    chunk: Box<[u8]>,
    stuck_timeout_ms: u64,
}

/// Large enough that a unit of some 100,000 routes takes few system calls.
const CHUNK_BYTES: usize = 64 << 10;

impl Peer {
    fn new(stream: UnixStream, settings: &LinkSettings) -> Self {
        Self {
            stream,
            decoder: Decoder::new(settings.limits.control_frame_bytes_max()),
            chunk: vec![0; CHUNK_BYTES].into_boxed_slice(),
            stuck_timeout_ms: settings.stuck_timeout_ms,
        }
    }

    /// The next message. Waits for ever unless `is_owed` or a message has begun. May be dropped at any time.
    async fn message(&mut self, is_owed: bool) -> Result<FromControl, Ended> {
        loop {
            if let Some(message) = self.decoder.poll()? {
                return Ok(message);
            }
            let is_owed = is_owed || !self.decoder.is_between_frames();
            let read = self.stream.read(&mut self.chunk);
            let read_len = if is_owed {
                let read = timeout(Duration::from_millis(self.stuck_timeout_ms), read).await;
                read.map_err(|_| Ended::Silent(self.stuck_timeout_ms))??
            } else {
                read.await?
            };
            match read_len {
                0 if self.decoder.is_between_frames() => return Err(Ended::Left),
                0 => return Err(Ended::CutOff),
                _ => self.decoder.feed(&self.chunk[..read_len]),
            }
        }
    }

    async fn send(&mut self, message: &FromGateway) -> Result<(), Ended> {
        let mut buf = frame::encode(message)?.into_buf();
        while buf.has_remaining() {
            let written =
                timeout(Duration::from_millis(self.stuck_timeout_ms), self.stream.write_buf(&mut buf));
            written.await.map_err(|_| Ended::Stuck(self.stuck_timeout_ms))??;
        }
        Ok(())
    }
}

/// Keeps the log at a line when control is lost and a line when it is back, and one more whenever the reason
/// changes in between.
#[derive(Default)]
struct Outage {
    reason: Option<String>,
}

impl Outage {
    fn begin(&mut self, ended: &Ended, settings: &LinkSettings) {
        let reason = ended.to_string();
        if self.reason.as_ref() != Some(&reason) {
            let socket = settings.publish_socket.display();
            log(&format!("no connection to control at {socket}, trying again until there is one: {reason}"));
            self.reason = Some(reason);
        }
    }

    fn end(&mut self, settings: &LinkSettings) {
        self.reason = None;
        log(&format!("connected to control at {}", settings.publish_socket.display()));
    }
}

/// Waits for such an order; for ever if nobody gives orders any more.
async fn ordered(orders: &mut watch::Receiver<Order>, is_wanted: fn(Order) -> bool) {
    if orders.wait_for(|order| is_wanted(*order)).await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn log(line: &str) {
    report!("turnpike-gateway: publish link: {line}");
}
