//! Documents that a transaction has read or written: nobody else changes them before it ends, so that they are asked
//! of the store once.

use std::collections::HashMap;

use super::sql::values;
use super::{StoreError, Tx};

/// What is kept of them; above it, they are asked for again. Arbitrary: a large import stays below it.
const BYTES_MAX: usize = 16 << 20;

/// The table that a document is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Table {
    Api,
    Part,
    Entity,
}

/// Where a document is: its kind, what it belongs to (an API, another entity, or nothing), its id.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'p> {
    pub(super) table: Table,
    pub(super) kind: &'p str,
    pub(super) owner: &'p str,
    pub(super) id: &'p str,
}

/// `None` where there is no document.
#[derive(Debug, Default)]
pub(super) struct Documents {
    known: HashMap<(Table, String, String, String), Option<String>>,
    bytes: usize,
}

impl Documents {
    fn keep(&mut self, place: Place<'_>, doc: Option<String>) {
        let Place { table, kind, owner, id } = place;
        self.bytes += kind.len() + owner.len() + id.len() + doc.as_ref().map_or(0, String::len);
        if self.bytes > BYTES_MAX {
            *self = Self::default();
        } else {
            self.known.insert((table, kind.to_owned(), owner.to_owned(), id.to_owned()), doc);
        }
    }
}

impl Tx<'_> {
    pub(super) fn document(&self, place: Place<'_>) -> Result<Option<String>, StoreError> {
        let Place { table, kind, owner, id } = place;
        let key = (table, kind.to_owned(), owner.to_owned(), id.to_owned());
        if let Some(doc) = self.documents.borrow().known.get(&key) {
            return Ok(doc.clone());
        }
        let doc: Option<String> = match table {
            Table::Api => self.sql.row("SELECT doc FROM api WHERE id = ? AND kind = ?", values![id, kind])?,
            Table::Part => {
                let sql = "SELECT doc FROM part WHERE api_id = ? AND kind = ? AND id = ?";
                self.sql.row(sql, values![owner, kind, id])?
            }
            Table::Entity => {
                let sql = "SELECT doc FROM entity WHERE kind = ? AND owner = ? AND id = ?";
                self.sql.row(sql, values![kind, owner, id])?
            }
        };
        self.documents.borrow_mut().keep(place, doc.clone());
        Ok(doc)
    }

    /// It was just written, or removed where `doc` is `None`.
    pub(super) fn now_is(&self, place: Place<'_>, doc: Option<String>) {
        self.documents.borrow_mut().keep(place, doc);
    }

    /// More was removed than can be named.
    pub(super) fn forget_documents(&self) {
        self.documents.take();
    }
}
