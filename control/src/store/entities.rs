//! A transaction's view of what belongs to the account beside the APIs.

use rusqlite::{OptionalExtension, params};

use super::tx::{id_and_doc, page, read_document, write_document};
use super::{Page, StoreError, Tx};
use crate::model::Entity;

impl Tx<'_> {
    /// # Errors
    /// The store's, here and below.
    pub fn entity<E: Entity>(&self, owner: &str, id: &str) -> Result<Option<E>, StoreError> {
        let sql = "SELECT id, doc FROM entity WHERE kind = ? AND owner = ? AND id = ?";
        let row = self.sql.prepare_cached(sql)?.query_row([E::KIND, owner, id], id_and_doc).optional()?;
        row.map(|row| read_document(E::KIND, row)).transpose()
    }

    /// The entity whose second name is this.
    pub fn entity_named<E: Entity>(&self, owner: &str, name: &str) -> Result<Option<E>, StoreError> {
        let sql = "SELECT id, doc FROM entity WHERE kind = ? AND owner = ? AND name = ?";
        let row = self.sql.prepare_cached(sql)?.query_row([E::KIND, owner, name], id_and_doc).optional()?;
        row.map(|row| read_document(E::KIND, row)).transpose()
    }

    /// All entities of a kind, by owner and id.
    pub fn entities<E: Entity>(&self) -> Result<Vec<E>, StoreError> {
        let mut statement =
            self.sql.prepare_cached("SELECT id, doc FROM entity WHERE kind = ? ORDER BY owner, id")?;
        let rows = statement.query_map([E::KIND], id_and_doc)?;
        rows.map(|row| read_document(E::KIND, row?)).collect()
    }

    /// All entities of a kind that are parts of this one, by id.
    pub fn entities_of<E: Entity>(&self, owner: &str) -> Result<Vec<E>, StoreError> {
        let sql = "SELECT id, doc FROM entity WHERE kind = ? AND owner = ? ORDER BY id";
        let mut statement = self.sql.prepare_cached(sql)?;
        let rows = statement.query_map([E::KIND, owner], id_and_doc)?;
        rows.map(|row| read_document(E::KIND, row?)).collect()
    }

    /// All entities of a kind that depend on this id, by owner and id.
    pub fn entities_using<E: Entity>(&self, used: &str) -> Result<Vec<E>, StoreError> {
        let sql = "SELECT id, doc FROM entity WHERE kind = ? AND uses = ? ORDER BY owner, id";
        let mut statement = self.sql.prepare_cached(sql)?;
        let rows = statement.query_map([E::KIND, used], id_and_doc)?;
        rows.map(|row| read_document(E::KIND, row?)).collect()
    }

    pub fn entity_page<E: Entity>(
        &self,
        owner: &str,
        after: &str,
        limit: usize,
    ) -> Result<Page<E>, StoreError> {
        let sql = "SELECT id, doc FROM entity WHERE kind = ? AND owner = ? AND id > ? ORDER BY id LIMIT ?";
        let mut statement = self.sql.prepare_cached(sql)?;
        let rows = statement.query_map(params![E::KIND, owner, after, limit + 1], id_and_doc)?;
        page(E::KIND, rows, limit)
    }

    /// Which kinds of entities there are.
    pub fn entity_kinds(&self) -> Result<Vec<String>, StoreError> {
        let mut statement = self.sql.prepare_cached("SELECT DISTINCT kind FROM entity ORDER BY kind")?;
        let kinds = statement.query_map([], |row| row.get(0))?;
        Ok(kinds.collect::<Result<_, _>>()?)
    }

    pub fn entity_count<E: Entity>(&self, owner: &str) -> Result<usize, StoreError> {
        let mut statement =
            self.sql.prepare_cached("SELECT count(*) FROM entity WHERE kind = ? AND owner = ?")?;
        Ok(statement.query_row([E::KIND, owner], |row| row.get(0))?)
    }

    /// Adds the entity, or replaces the one of the same owner and id.
    pub fn put_entity<E: Entity>(&self, entity: &E) -> Result<(), StoreError> {
        let sql = "INSERT INTO entity (kind, owner, id, name, uses, doc) VALUES (?, ?, ?, ?, ?, ?)
                   ON CONFLICT (kind, owner, id) DO UPDATE
                   SET name = excluded.name, uses = excluded.uses, doc = excluded.doc";
        let doc = write_document(E::KIND, entity.id(), entity)?;
        let values = params![E::KIND, entity.owner(), entity.id(), entity.name(), entity.uses(), doc];
        self.sql.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }

    pub fn delete_entity<E: Entity>(&self, owner: &str, id: &str) -> Result<(), StoreError> {
        let sql = "DELETE FROM entity WHERE kind = ? AND owner = ? AND id = ?";
        self.sql.prepare_cached(sql)?.execute([E::KIND, owner, id])?;
        Ok(())
    }

    /// Removes all entities of a kind that are parts of this one.
    pub fn delete_entities_of<E: Entity>(&self, owner: &str) -> Result<(), StoreError> {
        let sql = "DELETE FROM entity WHERE kind = ? AND owner = ?";
        self.sql.prepare_cached(sql)?.execute([E::KIND, owner])?;
        Ok(())
    }
}
