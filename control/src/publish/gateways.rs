//! Who is connected, and what each gateway serves.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::watch;

/// A connected gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayStatus {
    /// As it calls itself; two connections may bear one id.
    pub id: String,
    /// What it said that it serves; 0 is nothing.
    pub serving_version: u64,
    /// The last root that it refused, unless it has taken one since.
    pub refused: Option<Refusal>,
    pub connected_since: SystemTime,
    /// The last version that it acknowledged or refused on this connection.
    answered_version: Option<u64>,
}

/// A root that a gateway doesn't serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub version: u64,
    pub reason: String,
}

/// All connected gateways, by the number of their session.
#[derive(Debug)]
pub(super) struct Gateways {
    table: Mutex<Table>,
    changes: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Table {
    sessions: BTreeMap<u64, GatewayStatus>,
    next: u64,
}

impl Default for Gateways {
    fn default() -> Self {
        Self { table: Mutex::default(), changes: watch::Sender::new(()) }
    }
}

impl Gateways {
    pub(super) fn list(&self) -> Vec<GatewayStatus> {
        self.table().sessions.values().cloned().collect()
    }

    /// Those that haven't answered `version` or a later one.
    pub(super) fn behind(&self, version: u64) -> Vec<GatewayStatus> {
        let is_behind = |status: &&GatewayStatus| status.answered_version.is_none_or(|v| v < version);
        self.table().sessions.values().filter(is_behind).cloned().collect()
    }

    /// Wakes whenever a gateway comes, answers or goes.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    pub(super) fn enter(&self, id: String, serving_version: u64) -> Presence<'_> {
        let status = GatewayStatus {
            id,
            serving_version,
            refused: None,
            connected_since: SystemTime::now(),
            answered_version: None,
        };
        let session = {
            let mut table = self.table();
            let session = table.next;
            table.next += 1;
            table.sessions.insert(session, status);
            session
        };
        self.changes.send_replace(());
        Presence { gateways: self, session }
    }

    /// Every change leaves the table whole, so that a panic elsewhere doesn't spoil it.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A gateway's place in the table, for as long as its session lasts.
#[derive(Debug)]
pub(super) struct Presence<'a> {
    gateways: &'a Gateways,
    session: u64,
}

impl Presence<'_> {
    pub(super) fn acknowledge(&self, version: u64) {
        self.change(|status| {
            status.serving_version = version;
            // It comes when the disk has taken the version: a later one may have been refused meanwhile.
            if status.answered_version.is_none_or(|answered| answered <= version) {
                status.refused = None;
                status.answered_version = Some(version);
            }
        });
    }

    pub(super) fn refuse(&self, version: u64, reason: String) {
        self.change(|status| {
            status.refused = Some(Refusal { version, reason });
            status.answered_version = Some(version);
        });
    }

    fn change(&self, change: impl FnOnce(&mut GatewayStatus)) {
        self.gateways.table().sessions.entry(self.session).and_modify(change);
        self.gateways.changes.send_replace(());
    }
}

impl Drop for Presence<'_> {
    fn drop(&mut self) {
        self.gateways.table().sessions.remove(&self.session);
        self.gateways.changes.send_replace(());
    }
}
