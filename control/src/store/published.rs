//! A transaction's view of what is published: slots, units, the root.

use std::borrow::Cow;

use turnpike_snapshot::{Limits, Root, Unit, UnitHash, UnitRef, check_root, decode_unit, encode_root};

use super::sql::values;
use super::{StoreError, Tx};
use crate::compile::Encoded;

/// A unit that a root has dropped can still be fetched for this many versions: a gateway may be fetching
/// for a root that has just been replaced. An arbitrary number, above any gateway's lag.
pub const UNITS_KEPT_VERSIONS: u64 = 64;

/// A place in the root.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    Account,
    Stage {
        api_id: String,
        stage: String,
    },
    /// A unit that others refer to; no two of a family have one id.
    Shared {
        family: &'static str,
        id: String,
    },
}

impl Slot {
    fn keys(&self) -> (&str, Cow<'_, str>) {
        match self {
            Self::Account => ("", Cow::Borrowed("")),
            Self::Stage { api_id, stage } => (api_id, Cow::Borrowed(stage)),
            // No stage's: its API isn't empty. Not the account's: the slash.
            Self::Shared { family, id } => ("", Cow::Owned(format!("{family}/{id}"))),
        }
    }
}

/// Where an encrypted unit stands.
fn context(hash: &[u8]) -> String {
    let digits: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("unit {digits}")
}

impl Tx<'_> {
    /// Fills the slot with `unit`, or empties it. Returns whether that changed anything.
    ///
    /// # Errors
    /// The store's, here and below.
    pub fn set_slot(&self, slot: &Slot, unit: Option<&Encoded>) -> Result<bool, StoreError> {
        let (api_id, stage) = slot.keys();
        let stage = &*stage;
        let sql = "SELECT hash FROM slot WHERE api_id = ? AND stage = ?";
        let before: Option<Vec<u8>> = self.sql.row(sql, values![api_id, stage])?;
        if before.as_deref() == unit.map(|unit| &unit.hash.0[..]) {
            return Ok(false);
        }
        if let Some(hash) = before {
            self.retire(&hash)?;
        }
        match unit {
            None => {
                let sql = "DELETE FROM slot WHERE api_id = ? AND stage = ?";
                self.sql.run(sql, values![api_id, stage])?;
            }
            Some(unit) => self.fill(api_id, stage, unit)?,
        }
        Ok(true)
    }

    /// The stages of an API that the newest root serves.
    pub fn stages_in_slots(&self, api_id: &str) -> Result<Vec<String>, StoreError> {
        self.sql.rows("SELECT stage FROM slot WHERE api_id = ?", values![api_id])
    }

    /// The ids of the shared units of a family that the newest root lists.
    pub fn shared_in_slots(&self, family: &str) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT stage FROM slot WHERE api_id = '' AND stage > ? AND stage < ? ORDER BY stage";
        // '0' is what follows '/'.
        let (first, end) = (format!("{family}/"), format!("{family}0"));
        let mut ids: Vec<String> = self.sql.rows(sql, values![&first, &end])?;
        ids.iter_mut().for_each(|id| drop(id.drain(..first.len())));
        Ok(ids)
    }

    /// Makes the root of the next version from the slots, and forgets units that were dropped long ago.
    pub fn publish(&self) -> Result<u64, StoreError> {
        let version = self.version()? + 1;
        let root = Root { version, units: self.unit_refs()? };
        check_root(&root, &Limits::default()).map_err(|error| StoreError::Root(error.to_string()))?;
        let bytes = encode_root(&root).map_err(|error| StoreError::Root(error.to_string()))?;
        let sql = "INSERT INTO root (one, version, bytes) VALUES (1, ?, ?)
                   ON CONFLICT (one) DO UPDATE SET version = excluded.version, bytes = excluded.bytes";
        self.sql.run(sql, values![version, &bytes])?;
        let sql = "DELETE FROM unit WHERE retired_at <= ?";
        self.sql.run(sql, values![version.saturating_sub(UNITS_KEPT_VERSIONS)])?;
        self.sql.notify(version)?;
        Ok(version)
    }

    /// The newest root as encoded; `None` before the first.
    pub fn root(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.sql.row("SELECT bytes FROM root", values![])
    }

    /// An encoded unit of the newest root or of one shortly before it.
    pub fn unit(&self, hash: UnitHash) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT bytes, sealed FROM unit WHERE hash = ?";
        match self.sql.row::<(Vec<u8>, bool)>(sql, values![&hash.0[..]])? {
            None => Ok(None),
            Some((bytes, false)) => Ok(Some(bytes)),
            Some((bytes, true)) => Ok(Some(self.secrets.open_bytes(&context(&hash.0), &bytes)?)),
        }
    }

    /// What fills the slot, decoded.
    pub fn unit_in_slot(&self, slot: &Slot) -> Result<Option<Unit>, StoreError> {
        let (api_id, stage) = slot.keys();
        let sql = "SELECT hash FROM slot WHERE api_id = ? AND stage = ?";
        let hash: Option<Vec<u8>> = self.sql.row(sql, values![api_id, &*stage])?;
        let Some(hash) = hash else { return Ok(None) };
        let hash = UnitHash(hash.try_into().map_err(|_| StoreError::UnitName)?);
        let Some(bytes) = self.unit(hash)? else { return Ok(None) };
        let unit = decode_unit(&bytes, &Limits::default());
        unit.map(Some).map_err(|error| StoreError::Unit { hash, reason: error.to_string() })
    }

    /// Version of the newest root; 0 before the first.
    pub fn version(&self) -> Result<u64, StoreError> {
        Ok(self.sql.row("SELECT version FROM root", values![])?.unwrap_or(0))
    }

    /// The revision of the compiler that made the units; `None` before the first.
    pub fn compiler_revision(&self) -> Result<Option<i64>, StoreError> {
        self.sql.row("SELECT revision FROM compiler", values![])
    }

    pub fn set_compiler_revision(&self, revision: i64) -> Result<(), StoreError> {
        let sql = "INSERT INTO compiler (one, revision) VALUES (1, ?)
                   ON CONFLICT (one) DO UPDATE SET revision = excluded.revision";
        self.sql.run(sql, values![revision])
    }

    fn retire(&self, hash: &[u8]) -> Result<(), StoreError> {
        let next = self.version()? + 1;
        let sql = "UPDATE unit SET retired_at = ? WHERE hash = ?";
        self.sql.run(sql, values![next, hash])
    }

    fn fill(&self, api_id: &str, stage: &str, unit: &Encoded) -> Result<(), StoreError> {
        // A unit that was dropped and has come back is wanted again.
        let sql = "INSERT INTO unit (hash, bytes, sealed) VALUES (?, ?, ?)
                   ON CONFLICT (hash) DO UPDATE SET retired_at = NULL";
        let bytes = match unit.secret {
            true => Cow::Owned(self.secrets.seal_bytes(&context(&unit.hash.0), &unit.bytes)?),
            false => Cow::Borrowed(&unit.bytes),
        };
        self.sql.run(sql, values![&unit.hash.0[..], &bytes[..], unit.secret])?;
        let sql = "INSERT INTO slot (api_id, stage, hash, bytes_len) VALUES (?, ?, ?, ?)
                   ON CONFLICT (api_id, stage) DO UPDATE
                   SET hash = excluded.hash, bytes_len = excluded.bytes_len";
        self.sql.run(sql, values![api_id, stage, &unit.hash.0[..], unit.bytes.len()])
    }

    pub(super) fn unit_refs(&self) -> Result<Vec<UnitRef>, StoreError> {
        let sql = "SELECT hash, bytes_len FROM slot ORDER BY api_id, stage";
        let rows: Vec<(Vec<u8>, u32)> = self.sql.rows(sql, values![])?;
        let refs = rows.into_iter().map(|(hash, bytes_len)| {
            let hash = hash.try_into().map_err(|_| StoreError::UnitName)?;
            Ok(UnitRef { hash: UnitHash(hash), bytes_len })
        });
        refs.collect()
    }
}
