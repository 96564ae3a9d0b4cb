//! Snapshots for tests, encoded as control encodes them.

use bytes::Bytes;
use turnpike_snapshot::{
    AccountUnit, HttpProxy, Integration, IntegrationKind, Protocol, Root, Route, StageUnit, TargetPart, Unit,
    UnitHash, UnitRef, encode_root, encode_unit,
};

use crate::housekeeper::vault::Keep;

/// A root and its units, encoded.
#[derive(Debug, Clone)]
pub(crate) struct Published {
    pub(crate) version: u64,
    pub(crate) root: Bytes,
    pub(crate) units: Vec<(UnitHash, Bytes)>,
}

impl Published {
    pub(crate) fn new(version: u64, units: &[Unit]) -> Self {
        let encode = |unit| encode_unit(unit).map(|(hash, bytes)| (hash, Bytes::from(bytes))).unwrap();
        Self::of_bytes(version, units.iter().map(encode).collect())
    }

    pub(crate) fn of_bytes(version: u64, units: Vec<(UnitHash, Bytes)>) -> Self {
        let unit_ref = |(hash, bytes): &(UnitHash, Bytes)| UnitRef {
            hash: *hash,
            bytes_len: u32::try_from(bytes.len()).unwrap(),
        };
        let root = Root { version, units: units.iter().map(unit_ref).collect() };
        Self { version, root: Bytes::from(encode_root(&root).unwrap()), units }
    }

    pub(crate) fn hashes(&self) -> Vec<UnitHash> {
        self.units.iter().map(|(hash, _)| *hash).collect()
    }

    pub(crate) fn unit(&self, hash: UnitHash) -> Option<Bytes> {
        self.units.iter().find(|(name, _)| *name == hash).map(|(_, bytes)| bytes.clone())
    }

    /// To be kept, with all units new.
    pub(crate) fn keep(&self) -> Keep {
        Keep {
            version: self.version,
            root: self.root.clone(),
            hashes: self.hashes(),
            new_units: self.units.clone(),
        }
    }
}

pub(crate) fn account() -> Unit {
    Unit::Account(AccountUnit::plain("000000000000", "us-east-1", "localhost"))
}

/// The stage of an API; `deployment` tells one content from another.
pub(crate) fn stage(api: &str, deployment: u32) -> Unit {
    let proxy = HttpProxy::plain("127.0.0.1", 3000, vec![TargetPart::RequestPath]);
    let kind = IntegrationKind::HttpProxy(proxy);
    Unit::Stage(StageUnit {
        integrations: vec![Integration { id: "i1".to_owned(), timeout_ms: 29_000, kind }],
        routes: vec![Route::plain("ANY", "$default", "r1", 0)],
        ..StageUnit::plain(api, Protocol::Http, "$default", &format!("d{deployment}"))
    })
}

/// Two APIs, the second of which changes with `version`.
pub(crate) fn published(version: u64) -> Published {
    let changing = stage("second", u32::try_from(version).unwrap());
    Published::new(version, &[account(), stage("first", 1), changing])
}
