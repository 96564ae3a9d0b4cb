//! The documents that a transaction changes, before and after: what the audit log tells of a change.
//!
//! Off unless somebody asks for it, since what was there before has to be read. Each document comes once, however
//! often it was written; one that ends as it began doesn't come at all.

use std::collections::BTreeMap;

use super::documents::{Place, Table};
use super::sql::values;
use super::{StoreError, Tx};

/// Which document: its kind, what it belongs to (an API, another entity, or nothing), its id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DocumentId {
    pub kind: String,
    pub owner: String,
    pub id: String,
}

/// A document's JSON; `None` where there was or is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentChange {
    pub document: DocumentId,
    pub before: Option<String>,
    pub after: Option<String>,
}

/// In the order of their ids.
pub(super) type Journal = BTreeMap<DocumentId, (Option<String>, Option<String>)>;

impl Tx<'_> {
    /// Begins to keep what is changed.
    pub fn begin_journal(&self) {
        self.journal.borrow_mut().get_or_insert_default();
    }

    /// What has been changed since, and ends the keeping.
    pub fn take_journal(&self) -> Vec<DocumentChange> {
        let journal = self.journal.borrow_mut().take().unwrap_or_default();
        let changes = journal.into_iter().filter(|(_, (before, after))| before != after);
        changes.map(|(document, (before, after))| DocumentChange { document, before, after }).collect()
    }

    /// Notes that a document is about to be written, or removed where `after` is `None`.
    ///
    /// # Errors
    /// The store's, here and below.
    pub(super) fn note(
        &self,
        kind: &str,
        (owner, id): (&str, &str),
        after: Option<&str>,
        before: impl FnOnce() -> Result<Option<String>, StoreError>,
    ) -> Result<(), StoreError> {
        let mut journal = self.journal.borrow_mut();
        let Some(journal) = journal.as_mut() else { return Ok(()) };
        let document = DocumentId { kind: kind.to_owned(), owner: owner.to_owned(), id: id.to_owned() };
        let after = after.map(str::to_owned);
        match journal.entry(document) {
            std::collections::btree_map::Entry::Occupied(mut noted) => noted.get_mut().1 = after,
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert((before()?, after));
            }
        }
        Ok(())
    }

    fn journaling(&self) -> bool {
        self.journal.borrow().is_some()
    }

    pub(super) fn note_api(&self, kind: &str, id: &str, after: Option<&str>) -> Result<(), StoreError> {
        let place = Place { table: Table::Api, kind, owner: "", id };
        self.note(kind, ("", id), after, || self.document(place))
    }

    /// An API goes with all of its parts.
    pub(super) fn note_api_removal(&self, id: &str) -> Result<(), StoreError> {
        if !self.journaling() {
            return Ok(());
        }
        let kind: Option<String> = self.sql.row("SELECT kind FROM api WHERE id = ?", values![id])?;
        let Some(kind) = kind else { return Ok(()) };
        self.note_api(&kind, id, None)?;
        let sql = "SELECT kind, id, doc FROM part WHERE api_id = ?";
        let parts: Vec<(String, String, String)> = self.sql.rows(sql, values![id])?;
        let mut parts = parts.into_iter();
        parts.try_for_each(|(kind, part, doc)| self.note(&kind, (id, &part), None, || Ok(Some(doc))))
    }

    pub(super) fn note_part(
        &self,
        kind: &str,
        (api_id, id): (&str, &str),
        after: Option<&str>,
    ) -> Result<(), StoreError> {
        let place = Place { table: Table::Part, kind, owner: api_id, id };
        self.note(kind, (api_id, id), after, || self.document(place))
    }

    pub(super) fn note_entity(
        &self,
        kind: &str,
        (owner, id): (&str, &str),
        after: Option<&str>,
    ) -> Result<(), StoreError> {
        let place = Place { table: Table::Entity, kind, owner, id };
        self.note(kind, (owner, id), after, || self.document(place))
    }

    /// All entities of a kind and owner go.
    pub(super) fn note_entities_removal(&self, kind: &str, owner: &str) -> Result<(), StoreError> {
        if !self.journaling() {
            return Ok(());
        }
        let sql = "SELECT id, doc FROM entity WHERE kind = ? AND owner = ?";
        let rows: Vec<(String, String)> = self.sql.rows(sql, values![kind, owner])?;
        let mut rows = rows.into_iter();
        rows.try_for_each(|(id, doc)| self.note(kind, (owner, &id), None, || Ok(Some(doc))))
    }
}
