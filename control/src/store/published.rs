//! A transaction's view of what is published: slots, units, the root.

use std::borrow::Cow;

use rusqlite::{OptionalExtension, params};
use turnpike_snapshot::{Limits, Root, UnitHash, UnitRef, check_root, encode_root};

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
pub(super) fn context(hash: &[u8]) -> String {
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
        let before: Option<Vec<u8>> = self
            .sql
            .prepare_cached("SELECT hash FROM slot WHERE api_id = ? AND stage = ?")?
            .query_row([api_id, stage], |row| row.get(0))
            .optional()?;
        if before.as_deref() == unit.map(|unit| &unit.hash.0[..]) {
            return Ok(false);
        }
        if let Some(hash) = before {
            self.retire(&hash)?;
        }
        match unit {
            None => {
                let sql = "DELETE FROM slot WHERE api_id = ? AND stage = ?";
                self.sql.prepare_cached(sql)?.execute([api_id, stage])?;
            }
            Some(unit) => self.fill(api_id, stage, unit)?,
        }
        Ok(true)
    }

    /// The stages of an API that the newest root serves.
    pub fn stages_in_slots(&self, api_id: &str) -> Result<Vec<String>, StoreError> {
        let mut statement = self.sql.prepare_cached("SELECT stage FROM slot WHERE api_id = ?")?;
        let stages = statement.query_map([api_id], |row| row.get(0))?;
        Ok(stages.collect::<Result<_, _>>()?)
    }

    /// The ids of the shared units of a family that the newest root lists.
    pub fn shared_in_slots(&self, family: &str) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT substr(stage, ?1) FROM slot
                   WHERE api_id = '' AND stage > ?2 || '/' AND stage < ?2 || '0' ORDER BY stage";
        let mut statement = self.sql.prepare_cached(sql)?;
        // '0' is what follows '/'; substr counts characters from 1.
        let ids = statement.query_map(params![family.chars().count() + 2, family], |row| row.get(0))?;
        Ok(ids.collect::<Result<_, _>>()?)
    }

    /// Makes the root of the next version from the slots, and forgets units that were dropped long ago.
    pub fn publish(&self) -> Result<u64, StoreError> {
        let version = self.version()? + 1;
        let root = Root { version, units: self.unit_refs()? };
        check_root(&root, &Limits::default()).map_err(|error| StoreError::Root(error.to_string()))?;
        let bytes = encode_root(&root).map_err(|error| StoreError::Root(error.to_string()))?;
        let sql = "INSERT INTO root (one, version, bytes) VALUES (1, ?, ?)
                   ON CONFLICT (one) DO UPDATE SET version = excluded.version, bytes = excluded.bytes";
        self.sql.prepare_cached(sql)?.execute(params![version, bytes])?;
        let sql = "DELETE FROM unit WHERE retired_at <= ?";
        self.sql.prepare_cached(sql)?.execute([version.saturating_sub(UNITS_KEPT_VERSIONS)])?;
        Ok(version)
    }

    /// Version of the newest root; 0 before the first.
    pub fn version(&self) -> Result<u64, StoreError> {
        let mut statement = self.sql.prepare_cached("SELECT version FROM root")?;
        Ok(statement.query_row([], |row| row.get(0)).optional()?.unwrap_or(0))
    }

    /// The revision of the compiler that made the units; `None` before the first.
    pub fn compiler_revision(&self) -> Result<Option<i64>, StoreError> {
        let mut statement = self.sql.prepare_cached("SELECT revision FROM compiler")?;
        Ok(statement.query_row([], |row| row.get(0)).optional()?)
    }

    pub fn set_compiler_revision(&self, revision: i64) -> Result<(), StoreError> {
        let sql = "INSERT INTO compiler (one, revision) VALUES (1, ?)
                   ON CONFLICT (one) DO UPDATE SET revision = excluded.revision";
        self.sql.prepare_cached(sql)?.execute([revision])?;
        Ok(())
    }

    fn retire(&self, hash: &[u8]) -> Result<(), StoreError> {
        let next = self.version()? + 1;
        let sql = "UPDATE unit SET retired_at = ? WHERE hash = ?";
        self.sql.prepare_cached(sql)?.execute(params![next, hash])?;
        Ok(())
    }

    fn fill(&self, api_id: &str, stage: &str, unit: &Encoded) -> Result<(), StoreError> {
        // A unit that was dropped and has come back is wanted again.
        let sql = "INSERT INTO unit (hash, bytes, sealed) VALUES (?, ?, ?)
                   ON CONFLICT (hash) DO UPDATE SET retired_at = NULL";
        let bytes = match unit.secret {
            true => Cow::Owned(self.secrets.seal_bytes(&context(&unit.hash.0), &unit.bytes)?),
            false => Cow::Borrowed(&unit.bytes),
        };
        self.sql.prepare_cached(sql)?.execute(params![&unit.hash.0[..], bytes, unit.secret])?;
        let sql = "INSERT INTO slot (api_id, stage, hash, bytes_len) VALUES (?, ?, ?, ?)
                   ON CONFLICT (api_id, stage) DO UPDATE
                   SET hash = excluded.hash, bytes_len = excluded.bytes_len";
        let values = params![api_id, stage, &unit.hash.0[..], unit.bytes.len()];
        self.sql.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }

    fn unit_refs(&self) -> Result<Vec<UnitRef>, StoreError> {
        let sql = "SELECT hash, bytes_len FROM slot ORDER BY api_id, stage";
        let mut statement = self.sql.prepare_cached(sql)?;
        let rows = statement.query_map([], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get(1)?)))?;
        let refs = rows.map(|row| {
            let (hash, bytes_len) = row?;
            let hash = hash.try_into().map_err(|_| StoreError::UnitName)?;
            Ok(UnitRef { hash: UnitHash(hash), bytes_len })
        });
        refs.collect()
    }
}
