//! A transaction's view of which shared units the stages' units refer to.

use super::sql::{Value, values};
use super::{StoreError, Tx};
use crate::compile::{Reference, ReferenceKind};

impl Tx<'_> {
    /// Notes what the unit of a stage refers to, in place of what the one before referred to. The stage has a unit.
    ///
    /// # Errors
    /// The store's, here and below.
    pub fn set_references(
        &self,
        api_id: &str,
        stage: &str,
        references: &[Reference],
    ) -> Result<(), StoreError> {
        let sql = "DELETE FROM reference WHERE api_id = ? AND stage = ?";
        self.sql.run(sql, values![api_id, stage])?;
        let sql =
            "INSERT INTO reference (api_id, stage, family, id) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING";
        for Reference { kind, id } in references {
            self.sql.run(sql, values![api_id, stage, kind.family(), id])?;
        }
        Ok(())
    }

    /// Everything that stages refer to, each once.
    pub fn references(&self) -> Result<Vec<Reference>, StoreError> {
        self.read_references("SELECT DISTINCT family, id FROM reference ORDER BY family, id", &[])
    }

    /// What the stages of an API refer to, each once.
    pub fn references_of_api(&self, api_id: &str) -> Result<Vec<Reference>, StoreError> {
        let sql = "SELECT DISTINCT family, id FROM reference WHERE api_id = ? ORDER BY family, id";
        self.read_references(sql, values![api_id])
    }

    /// The stages, each with its API before it, whose units refer to this one.
    pub fn stages_referring(&self, reference: &Reference) -> Result<Vec<(String, String)>, StoreError> {
        let sql = "SELECT api_id, stage FROM reference WHERE family = ? AND id = ? ORDER BY api_id, stage";
        self.sql.rows(sql, values![reference.kind.family(), &reference.id])
    }

    /// What the newest root lists because stages refer to it, or did so before this change.
    pub fn referred_in_slots(&self) -> Result<Vec<Reference>, StoreError> {
        let mut referred = Vec::new();
        for kind in ReferenceKind::ALL {
            let ids = self.shared_in_slots(kind.family())?;
            referred.extend(ids.into_iter().map(|id| Reference { kind, id }));
        }
        Ok(referred)
    }

    fn read_references(&self, sql: &str, values: &[Value<'_>]) -> Result<Vec<Reference>, StoreError> {
        let rows: Vec<(String, String)> = self.sql.rows(sql, values)?;
        let references = rows.into_iter().map(|(family, id)| {
            let kind = ReferenceKind::of_family(&family).ok_or(StoreError::Family(family))?;
            Ok(Reference { kind, id })
        });
        references.collect()
    }
}
