//! A transaction's view of what belongs to the account beside the APIs.

use super::documents::{Place, Table};
use super::sql::values;
use super::tx::{page, read_document, read_documents, write_document};
use super::{Page, StoreError, Tx};
use crate::model::Entity;

pub(super) const ENTITIES_USING: &str =
    "SELECT id, doc FROM entity WHERE kind = ? AND uses = ? ORDER BY owner, id";

impl Tx<'_> {
    /// # Errors
    /// The store's, here and below.
    pub fn entity<E: Entity>(&self, owner: &str, id: &str) -> Result<Option<E>, StoreError> {
        let doc = self.document(place::<E>(owner, id))?;
        doc.map(|doc| read_document(E::KIND, (id.to_owned(), doc))).transpose()
    }

    /// The entity whose second name is this.
    pub fn entity_named<E: Entity>(&self, owner: &str, name: &str) -> Result<Option<E>, StoreError> {
        let sql = "SELECT id, doc FROM entity WHERE kind = ? AND owner = ? AND name = ?";
        let row = self.sql.row(sql, values![E::KIND, owner, name])?;
        row.map(|row| read_document(E::KIND, row)).transpose()
    }

    /// All entities of a kind, by owner and id.
    pub fn entities<E: Entity>(&self) -> Result<Vec<E>, StoreError> {
        let sql = "SELECT id, doc FROM entity WHERE kind = ? ORDER BY owner, id";
        read_documents(E::KIND, self.sql.rows(sql, values![E::KIND])?)
    }

    /// All entities of a kind that are parts of this one, by id.
    pub fn entities_of<E: Entity>(&self, owner: &str) -> Result<Vec<E>, StoreError> {
        let sql = "SELECT id, doc FROM entity WHERE kind = ? AND owner = ? ORDER BY id";
        read_documents(E::KIND, self.sql.rows(sql, values![E::KIND, owner])?)
    }

    /// All entities of a kind that depend on this id, by owner and id.
    pub fn entities_using<E: Entity>(&self, used: &str) -> Result<Vec<E>, StoreError> {
        read_documents(E::KIND, self.sql.rows(ENTITIES_USING, values![E::KIND, used])?)
    }

    pub fn entity_page<E: Entity>(
        &self,
        owner: &str,
        after: &str,
        limit: usize,
    ) -> Result<Page<E>, StoreError> {
        let sql = "SELECT id, doc FROM entity WHERE kind = ? AND owner = ? AND id > ? ORDER BY id LIMIT ?";
        page(E::KIND, self.sql.rows(sql, values![E::KIND, owner, after, limit + 1])?, limit)
    }

    /// Which kinds of entities there are.
    pub fn entity_kinds(&self) -> Result<Vec<String>, StoreError> {
        self.sql.rows("SELECT DISTINCT kind FROM entity ORDER BY kind", values![])
    }

    pub fn entity_count<E: Entity>(&self, owner: &str) -> Result<usize, StoreError> {
        self.sql.count("SELECT count(*) FROM entity WHERE kind = ? AND owner = ?", values![E::KIND, owner])
    }

    /// Adds the entity, or replaces the one of the same owner and id.
    pub fn put_entity<E: Entity>(&self, entity: &E) -> Result<(), StoreError> {
        let sql = "INSERT INTO entity (kind, owner, id, name, uses, doc) VALUES (?, ?, ?, ?, ?, ?)
                   ON CONFLICT (kind, owner, id) DO UPDATE
                   SET name = excluded.name, uses = excluded.uses, doc = excluded.doc";
        let doc = write_document(E::KIND, entity.id(), entity)?;
        self.note_entity(E::KIND, (entity.owner(), entity.id()), Some(&doc))?;
        let name = entity.name();
        let values = values![E::KIND, entity.owner(), entity.id(), name.as_deref(), entity.uses(), &doc];
        self.sql.run(sql, values)?;
        self.now_is(place::<E>(entity.owner(), entity.id()), Some(doc));
        Ok(())
    }

    pub fn delete_entity<E: Entity>(&self, owner: &str, id: &str) -> Result<(), StoreError> {
        self.note_entity(E::KIND, (owner, id), None)?;
        let sql = "DELETE FROM entity WHERE kind = ? AND owner = ? AND id = ?";
        self.sql.run(sql, values![E::KIND, owner, id])?;
        self.now_is(place::<E>(owner, id), None);
        Ok(())
    }

    /// Removes all entities of a kind that are parts of this one.
    pub fn delete_entities_of<E: Entity>(&self, owner: &str) -> Result<(), StoreError> {
        self.note_entities_removal(E::KIND, owner)?;
        self.forget_documents();
        let sql = "DELETE FROM entity WHERE kind = ? AND owner = ?";
        self.sql.run(sql, values![E::KIND, owner])
    }
}

fn place<'p, E: Entity>(owner: &'p str, id: &'p str) -> Place<'p> {
    Place { table: Table::Entity, kind: E::KIND, owner, id }
}
