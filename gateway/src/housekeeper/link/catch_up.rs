//! What a gateway does with what control sends, without I/O: which units to ask for, when a snapshot is
//! complete, whether it is served.
//!
//! Control is the authority: a root that differs from the one being served is applied, even with an older
//! version (a rollback has a newer one, so this is a control that was restored from a backup, and what it
//! holds now is what its users see). The exception is version 0, the root of a control that has never
//! published: it doesn't take down what is being served.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use turnpike_snapshot::frame::{FromControl, FromGateway};
use turnpike_snapshot::{Limits, Root, Unit, UnitHash, check_next_snapshot, decode_root, decode_unit, hash};

use super::super::vault::{Keep, Kept};

/// A complete and checked snapshot, to be compiled and published to the shards.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) version: u64,
    /// In the root's order. A unit that the snapshot before had is the same `Arc`.
    pub(crate) units: Vec<(UnitHash, Arc<Unit>)>,
}

/// What follows from a message.
#[derive(Debug)]
pub(super) enum Action {
    Nothing,
    Send(FromGateway),
    /// A snapshot is being served: keep it, then acknowledge it.
    Keep(Keep),
}

/// Control broke the link's rules; the connection ends.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LinkError {
    #[error("control sent a unit that wasn't asked for")]
    Unasked,
    #[error("control turned this gateway away: {0}")]
    Rejected(String),
}

pub(super) struct CatchUp<A> {
    apply: A,
    limits: Limits,
    serving: Option<Serving>,
    assembling: Option<Assembling>,
    /// Units that were asked for, in that order: it is the order of the answers.
    asked: VecDeque<UnitHash>,
    /// Units of the root in assembly that the serving snapshot hasn't, all of them once it is complete. They outlive a
    /// lost connection.
    fetched: HashMap<UnitHash, Fetched>,
}

struct Serving {
    version: u64,
    root_bytes: Bytes,
    units: HashMap<UnitHash, Arc<Unit>>,
}

struct Assembling {
    root: Root,
    root_bytes: Bytes,
    /// With the lengths that the root announces, in bytes.
    missing: HashMap<UnitHash, u32>,
}

struct Fetched {
    unit: Arc<Unit>,
    bytes: Bytes,
}

impl<A: FnMut(Candidate) -> Result<(), String>> CatchUp<A> {
    pub(super) fn new(limits: Limits, apply: A) -> Self {
        Self {
            apply,
            limits,
            serving: None,
            assembling: None,
            asked: VecDeque::new(),
            fetched: HashMap::new(),
        }
    }

    /// 0 if nothing is served.
    pub(super) fn serving_version(&self) -> u64 {
        self.serving.as_ref().map_or(0, |serving| serving.version)
    }

    /// Whether control owes units.
    pub(super) fn is_waiting(&self) -> bool {
        !self.asked.is_empty()
    }

    /// Serves what was on disk, before any connection.
    pub(super) fn restore(&mut self, kept: Kept) -> Result<(), String> {
        let Kept { root, root_bytes, units } = kept;
        (self.apply)(Candidate { version: root.version, units: units.clone() })?;
        self.serving =
            Some(Serving { version: root.version, root_bytes, units: units.into_iter().collect() });
        Ok(())
    }

    /// What was asked for won't come any more.
    pub(super) fn handle_disconnect(&mut self) {
        self.asked.clear();
        self.assembling = None;
    }

    pub(super) fn handle(&mut self, message: FromControl) -> Result<Action, LinkError> {
        match message {
            FromControl::Root { bytes } => Ok(self.handle_root(bytes)),
            FromControl::Unit { bytes } => self.handle_unit(bytes),
            FromControl::UnitMissing { hash, reason } => self.handle_missing(hash, &reason),
            FromControl::Rejected { reason } => Err(LinkError::Rejected(reason)),
            // They are the quotas' desk's.
            FromControl::Quotas { .. } => Ok(Action::Nothing),
        }
    }

    fn handle_root(&mut self, root_bytes: Bytes) -> Action {
        self.assembling = None;
        let root = match decode_root(&root_bytes, &self.limits) {
            Ok(root) => root,
            // Which version it would have been isn't known.
            Err(error) => return refuse(0, format!("the root can't be used: {error}")),
        };
        if let Some(serving) = &self.serving {
            if serving.root_bytes == root_bytes {
                self.fetched.clear();
                return Action::Keep(keep(&root, root_bytes, Vec::new()));
            }
            if root.version == 0 {
                let serving = serving.version;
                return refuse(
                    0,
                    format!("control has published nothing yet; version {serving} goes on being served"),
                );
            }
        }
        self.begin(root, root_bytes)
    }

    /// Asks for what is neither served, nor fetched, nor on its way.
    fn begin(&mut self, root: Root, root_bytes: Bytes) -> Action {
        let mut missing: HashMap<_, _> = root.units.iter().map(|unit| (unit.hash, unit.bytes_len)).collect();
        self.fetched.retain(|hash, _| missing.contains_key(hash));
        missing.retain(|hash, _| !self.has(hash));
        let on_their_way: HashSet<_> = self.asked.iter().copied().collect();
        let is_needed = |hash: &UnitHash| missing.contains_key(hash) && !on_their_way.contains(hash);
        let hashes: Vec<_> = root.units.iter().map(|unit| unit.hash).filter(is_needed).collect();
        self.asked.extend(&hashes);
        self.assembling = Some(Assembling { root, root_bytes, missing });
        match self.finish_if_complete() {
            Action::Nothing if !hashes.is_empty() => Action::Send(FromGateway::NeedUnits { hashes }),
            action => action,
        }
    }

    fn has(&self, hash: &UnitHash) -> bool {
        self.fetched.contains_key(hash) || self.serving.as_ref().is_some_and(|s| s.units.contains_key(hash))
    }

    fn handle_unit(&mut self, bytes: Bytes) -> Result<Action, LinkError> {
        let asked = self.asked.pop_front().ok_or(LinkError::Unasked)?;
        let announced = self.assembling.as_ref().and_then(|assembling| assembling.missing.get(&asked));
        let Some(bytes_len) = announced.copied() else {
            // It was for a root that a newer one has replaced.
            return Ok(Action::Nothing);
        };
        Ok(match self.check(asked, bytes_len, &bytes) {
            Ok(unit) => self.take(asked, Fetched { unit: Arc::new(unit), bytes }),
            Err(reason) => self.give_up(&format!("unit {asked} can't be used: {reason}")),
        })
    }

    fn check(&self, asked: UnitHash, bytes_len: u32, bytes: &Bytes) -> Result<Unit, String> {
        if bytes.len() != bytes_len as usize {
            return Err(format!("it has {} bytes, the root announces {bytes_len}", bytes.len()));
        }
        let unit = decode_unit(bytes, &self.limits).map_err(|e| e.to_string())?;
        let found = hash(bytes);
        if found != asked {
            return Err(format!("its content is that of unit {found}"));
        }
        Ok(unit)
    }

    fn take(&mut self, asked: UnitHash, fetched: Fetched) -> Action {
        self.fetched.insert(asked, fetched);
        if let Some(assembling) = &mut self.assembling {
            assembling.missing.remove(&asked);
        }
        self.finish_if_complete()
    }

    fn handle_missing(&mut self, hash: UnitHash, reason: &str) -> Result<Action, LinkError> {
        if self.asked.pop_front() != Some(hash) {
            return Err(LinkError::Unasked);
        }
        let is_needed =
            self.assembling.as_ref().is_some_and(|assembling| assembling.missing.contains_key(&hash));
        Ok(if is_needed {
            self.give_up(&format!("unit {hash} can't be had: {reason}"))
        } else {
            Action::Nothing
        })
    }

    /// Refuses the root in assembly; what is served stays.
    fn give_up(&mut self, reason: &str) -> Action {
        match self.assembling.take() {
            Some(assembling) => refuse(assembling.root.version, reason.to_owned()),
            None => Action::Nothing,
        }
    }

    fn finish_if_complete(&mut self) -> Action {
        match self.assembling.take_if(|assembling| assembling.missing.is_empty()) {
            Some(Assembling { root, root_bytes, .. }) => self.finish(&root, root_bytes),
            None => Action::Nothing,
        }
    }

    /// Serves a complete snapshot, or refuses it whole.
    fn finish(&mut self, root: &Root, root_bytes: Bytes) -> Action {
        let version = root.version;
        let units = root
            .units
            .iter()
            .map(|unit| Some((unit.hash, self.unit(unit.hash)?)))
            .collect::<Option<Vec<_>>>();
        let Some(units) = units else {
            return refuse(version, "a unit was lost while the root was put together".to_owned());
        };
        let next: HashMap<_, _> = units.iter().cloned().collect();
        let gone = self.serving.iter().flat_map(|serving| &serving.units);
        let gone = gone.filter(|(hash, _)| !next.contains_key(*hash)).map(|(_, unit)| &**unit);
        let new = self.fetched.values().map(|fetched| &*fetched.unit);
        if let Err(error) = check_next_snapshot(version, units.iter().map(|(_, unit)| &**unit), new, gone) {
            return refuse(version, error.to_string());
        }
        if let Err(reason) = (self.apply)(Candidate { version, units }) {
            return refuse(version, reason);
        }
        self.serving = Some(Serving { version, root_bytes: root_bytes.clone(), units: next });
        let new_units = self.fetched.drain().map(|(hash, fetched)| (hash, fetched.bytes)).collect();
        Action::Keep(keep(root, root_bytes, new_units))
    }

    fn unit(&self, hash: UnitHash) -> Option<Arc<Unit>> {
        let served = || self.serving.as_ref().and_then(|serving| serving.units.get(&hash));
        self.fetched.get(&hash).map(|fetched| &fetched.unit).or_else(served).cloned()
    }
}

fn keep(root: &Root, root_bytes: Bytes, new_units: Vec<(UnitHash, Bytes)>) -> Keep {
    let hashes = root.units.iter().map(|unit| unit.hash).collect();
    Keep { version: root.version, root: root_bytes, hashes, new_units }
}

fn refuse(version: u64, reason: String) -> Action {
    Action::Send(FromGateway::Refuse { version, reason })
}
