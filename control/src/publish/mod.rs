//! The publisher: control's end of the publish link. Pushes the newest root to every gateway as soon as it is
//! published, hands out the units that they lack, and keeps who serves what.
//!
//! Nothing is polled and nothing is batched: a publication wakes every session, and a session that was
//! still writing when several came sends only the last. A slow gateway costs one unit and the names of those
//! that it waits for, and is dropped when it takes nothing for a while; it never slows another.
//! Gateways keep serving without a publisher, so everything here may be killed at any time.

mod gateways;
mod session;
mod socket;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use turnpike_snapshot::frame::{QuotaAnswer, QuotaReport};
use turnpike_snapshot::{Limits, UnitHash};

pub use gateways::{GatewayStatus, Refusal};
pub use socket::ListenError;

use gateways::Gateways;
use socket::SocketFile;

/// Why a source can't give what it was asked for.
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// Where roots and units are kept, and quotas counted. Called on threads that may block.
pub trait UnitSource: Send + Sync + 'static {
    /// The newest root, encoded; version 0 before anything was published.
    ///
    /// # Errors
    /// When it can't be read. The session that asked ends, and the gateway comes back for it.
    fn newest_root(&self) -> Result<Bytes, SourceError>;

    /// A unit, encoded; `None` if it isn't kept (any more).
    ///
    /// # Errors
    /// When it can't be read. The gateway is told.
    fn unit(&self, hash: UnitHash) -> Result<Option<Bytes>, SourceError>;

    /// Takes note of how a gateway's leases of quotas stand, and grants what it may have. An answer for each report;
    /// what they say is on the disk.
    ///
    /// # Errors
    /// When it can't be kept. The gateway is told that nothing is known, and asks again.
    fn settle_quotas(
        &self,
        gateway_id: &str,
        reports: &[QuotaReport],
    ) -> Result<Vec<QuotaAnswer>, SourceError>;
}

/// What bounds a publisher.
#[derive(Debug, Clone)]
pub struct PublishSettings {
    /// Gateways connected at once; one more is turned away with a reason.
    pub gateways_max: usize,
    /// From connecting to the end of the greeting.
    pub hello_timeout_ms: u64,
    /// Without a byte taken by a gateway that has something to take.
    pub write_timeout_ms: u64,
    /// Of what is published: bounds what a gateway may ask for, and how much it may send.
    pub limits: Limits,
}

impl Default for PublishSettings {
    fn default() -> Self {
        Self {
            gateways_max: 256,
            hello_timeout_ms: 5_000,
            write_timeout_ms: 10_000,
            limits: Limits::default(),
        }
    }
}

/// A running publisher. Dropping it closes every connection and removes the socket file.
#[derive(Debug)]
pub struct Publisher {
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
    _socket: SocketFile,
}

/// What all sessions see.
pub(crate) struct Shared {
    source: Arc<dyn UnitSource>,
    settings: PublishSettings,
    gateways: Gateways,
    /// The newest version that was published; sessions read the root itself from the source.
    newest: watch::Sender<u64>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Publisher {
    /// Listens on a Unix socket at `path`, which only this user may open (mode 0600). Call it inside a
    /// tokio runtime.
    ///
    /// # Errors
    /// When a live process listens there already, when something that is no socket is there, or when the
    /// socket can't be made. A dead process's socket is replaced.
    pub fn listen(
        path: &Path,
        source: Arc<dyn UnitSource>,
        settings: PublishSettings,
    ) -> Result<Self, ListenError> {
        let (listener, socket) = socket::listen(path)?;
        let shared = Arc::new(Shared {
            source,
            settings,
            gateways: Gateways::default(),
            newest: watch::Sender::new(0),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { shared, accepting, _socket: socket })
    }

    /// Says that `version` can be read from the source; every gateway is sent the newest root at once.
    pub fn published(&self, version: u64) {
        self.shared.newest.send_replace(version);
    }

    /// The gateways that are connected, in the order in which they came.
    #[must_use]
    pub fn gateways(&self) -> Vec<GatewayStatus> {
        self.shared.gateways.list()
    }

    /// Waits until every connected gateway has acknowledged or refused `version` or a later one. Returns those
    /// that hadn't within `timeout`: nobody, if all answered or none is connected.
    pub async fn acknowledged(&self, version: u64, timeout: Duration) -> Vec<GatewayStatus> {
        let mut changes = self.shared.gateways.changes();
        let all = async {
            while !self.shared.gateways.behind(version).is_empty() {
                // The sender lives in `self.shared`.
                if changes.changed().await.is_err() {
                    break;
                }
            }
        };
        match tokio::time::timeout(timeout, all).await {
            Ok(()) => Vec::new(),
            Err(_elapsed) => self.shared.gateways.behind(version),
        }
    }

    /// A connected gateway that has refused `version` or a later one and so serves what it did before, with its reason.
    #[must_use]
    pub fn refusing(&self, version: u64) -> Option<(String, Refusal)> {
        let refusing = |gateway: GatewayStatus| {
            let refusal = gateway.refused.filter(|refusal| refusal.version >= version)?;
            Some((gateway.id, refusal))
        };
        self.gateways().into_iter().find_map(refusing)
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Takes connections for ever; sessions end with it.
async fn accept(listener: UnixListener, shared: Arc<Shared>) {
    let mut sessions = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                while sessions.try_join_next().is_some() {}
                if sessions.len() < shared.settings.gateways_max {
                    sessions.spawn(session::run(stream, Arc::clone(&shared)));
                } else {
                    session::turn_away(&stream, shared.settings.gateways_max);
                }
            }
            Err(error) => {
                log_line!("publish: can't accept a gateway, trying again in {ACCEPT_PAUSE_MS} ms: {error}");
                tokio::time::sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
            }
        }
    }
}

/// Accepting fails when descriptors run out, which doesn't mend itself any sooner by trying harder.
const ACCEPT_PAUSE_MS: u64 = 100;
