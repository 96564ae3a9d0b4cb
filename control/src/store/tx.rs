//! A transaction's view of the entities.

use std::cell::RefCell;
use std::ops::Range;

use super::StoreError;
use super::documents::{Documents, Place, Table};
use super::journal::Journal;
use super::sql::{Sql, values};
use crate::model::{Api, Part};
use crate::secrets::{Sealed, Secrets};

/// What can be read and written within one transaction.
#[derive(Debug)]
pub struct Tx<'a> {
    pub(super) sql: &'a Sql<'a>,
    pub(super) secrets: &'a Secrets,
    /// Who this is among the processes that share the store.
    pub(super) holder: &'a str,
    pub(super) journal: RefCell<Option<Journal>>,
    pub(super) documents: RefCell<Documents>,
}

/// Part of a list, in the order of identifiers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Identifier of the last item, when more follow.
    pub last: Option<String>,
}

impl<'a> Tx<'a> {
    pub(super) fn new(sql: &'a Sql<'a>, secrets: &'a Secrets, holder: &'a str) -> Self {
        Self { sql, secrets, holder, journal: RefCell::default(), documents: RefCell::default() }
    }

    /// Encrypts what a document must not show. `context` says what it is, and of which entity.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn seal(&self, context: &str, text: &[u8]) -> Result<Sealed, StoreError> {
        Ok(self.secrets.seal(context, text)?)
    }

    /// What was sealed in this context.
    ///
    /// # Errors
    /// When it wasn't.
    pub fn open(&self, context: &str, sealed: &Sealed) -> Result<Vec<u8>, StoreError> {
        Ok(self.secrets.open(context, sealed)?)
    }

    /// What finds a secret text again: see [`Secrets::fingerprint`].
    #[must_use]
    pub fn fingerprint(&self, context: &str, text: &[u8]) -> String {
        self.secrets.fingerprint(context, text)
    }

    /// Whether any API, of either kind, has this id.
    ///
    /// # Errors
    /// The store's, here and below.
    pub fn has_api(&self, id: &str) -> Result<bool, StoreError> {
        Ok(self.sql.row::<i64>("SELECT 1 FROM api WHERE id = ?", values![id])?.is_some())
    }

    pub fn api<A: Api>(&self, id: &str) -> Result<Option<A>, StoreError> {
        let doc = self.document(api_place::<A>(id))?;
        doc.map(|doc| read_document(A::KIND, (id.to_owned(), doc))).transpose()
    }

    pub fn apis<A: Api>(&self, after: &str, limit: usize) -> Result<Page<A>, StoreError> {
        let sql = "SELECT id, doc FROM api WHERE kind = ? AND id > ? ORDER BY id LIMIT ?";
        page(A::KIND, self.sql.rows(sql, values![A::KIND, after, limit + 1])?, limit)
    }

    /// The ids of all APIs of both kinds.
    pub fn api_ids(&self) -> Result<Vec<String>, StoreError> {
        self.sql.rows("SELECT id FROM api ORDER BY id", values![])
    }

    pub fn api_count<A: Api>(&self) -> Result<usize, StoreError> {
        self.sql.count("SELECT count(*) FROM api WHERE kind = ?", values![A::KIND])
    }

    /// Adds the API, or replaces the one of the same id.
    pub fn put_api<A: Api>(&self, api: &A) -> Result<(), StoreError> {
        let sql = "INSERT INTO api (id, kind, doc) VALUES (?, ?, ?)
                   ON CONFLICT (id) DO UPDATE SET doc = excluded.doc";
        let doc = write_document(A::KIND, api.id(), api)?;
        self.note_api(A::KIND, api.id(), Some(&doc))?;
        self.sql.run(sql, values![api.id(), A::KIND, &doc])?;
        self.now_is(api_place::<A>(api.id()), Some(doc));
        Ok(())
    }

    /// Removes the API and its parts.
    pub fn delete_api(&self, id: &str) -> Result<(), StoreError> {
        self.note_api_removal(id)?;
        self.forget_documents();
        self.sql.run("DELETE FROM api WHERE id = ?", values![id])
    }

    pub fn part<P: Part>(&self, api_id: &str, id: &str) -> Result<Option<P>, StoreError> {
        let doc = self.document(part_place::<P>(api_id, id))?;
        doc.map(|doc| read_document(P::KIND, (id.to_owned(), doc))).transpose()
    }

    /// The part whose second name is this.
    pub fn part_named<P: Part>(&self, api_id: &str, name: &str) -> Result<Option<P>, StoreError> {
        let sql = "SELECT id, doc FROM part WHERE api_id = ? AND kind = ? AND name = ?";
        let row = self.sql.row(sql, values![api_id, P::KIND, name])?;
        row.map(|row| read_document(P::KIND, row)).transpose()
    }

    /// The parts whose second names are within these, in the order of their bytes.
    pub fn parts_named_within<P: Part>(
        &self,
        api_id: &str,
        names: Range<&str>,
    ) -> Result<Vec<P>, StoreError> {
        let sql =
            "SELECT id, doc FROM part WHERE api_id = ? AND kind = ? AND name >= ? AND name < ? ORDER BY name";
        let values = values![api_id, P::KIND, names.start, names.end];
        read_documents(P::KIND, self.sql.rows(sql, values)?)
    }

    /// All parts of a kind, in the order of their ids.
    pub fn parts<P: Part>(&self, api_id: &str) -> Result<Vec<P>, StoreError> {
        let sql = "SELECT id, doc FROM part WHERE api_id = ? AND kind = ? ORDER BY id";
        read_documents(P::KIND, self.sql.rows(sql, values![api_id, P::KIND])?)
    }

    pub fn part_page<P: Part>(&self, api_id: &str, after: &str, limit: usize) -> Result<Page<P>, StoreError> {
        let sql = "SELECT id, doc FROM part WHERE api_id = ? AND kind = ? AND id > ? ORDER BY id LIMIT ?";
        page(P::KIND, self.sql.rows(sql, values![api_id, P::KIND, after, limit + 1])?, limit)
    }

    /// All parts of a kind, of every API, each with its API's id before it.
    pub fn all_parts<P: Part>(&self) -> Result<Vec<(String, P)>, StoreError> {
        let sql = "SELECT api_id, id, doc FROM part WHERE kind = ? ORDER BY api_id, id";
        let rows: Vec<(String, String, String)> = self.sql.rows(sql, values![P::KIND])?;
        let read = |(api_id, id, doc)| Ok((api_id, read_document(P::KIND, (id, doc))?));
        rows.into_iter().map(read).collect()
    }

    pub fn part_count<P: Part>(&self, api_id: &str) -> Result<usize, StoreError> {
        self.sql.count("SELECT count(*) FROM part WHERE api_id = ? AND kind = ?", values![api_id, P::KIND])
    }

    /// Which kinds of parts there are, each with an API that has some before it.
    pub fn part_kinds(&self) -> Result<Vec<(String, String)>, StoreError> {
        self.sql.rows("SELECT DISTINCT api_id, kind FROM part ORDER BY api_id, kind", values![])
    }

    /// Adds the part, or replaces the one of the same id.
    pub fn put_part<P: Part>(&self, api_id: &str, part: &P) -> Result<(), StoreError> {
        let sql = "INSERT INTO part (api_id, kind, id, name, doc) VALUES (?, ?, ?, ?, ?)
                   ON CONFLICT (api_id, kind, id) DO UPDATE SET name = excluded.name, doc = excluded.doc";
        let doc = write_document(P::KIND, part.id(), part)?;
        self.note_part(P::KIND, (api_id, part.id()), Some(&doc))?;
        let name = part.name();
        self.sql.run(sql, values![api_id, P::KIND, part.id(), name.as_deref(), &doc])?;
        self.now_is(part_place::<P>(api_id, part.id()), Some(doc));
        Ok(())
    }

    pub fn delete_part<P: Part>(&self, api_id: &str, id: &str) -> Result<(), StoreError> {
        self.note_part(P::KIND, (api_id, id), None)?;
        let sql = "DELETE FROM part WHERE api_id = ? AND kind = ? AND id = ?";
        self.sql.run(sql, values![api_id, P::KIND, id])?;
        self.now_is(part_place::<P>(api_id, id), None);
        Ok(())
    }
}

fn api_place<A: Api>(id: &str) -> Place<'_> {
    Place { table: Table::Api, kind: A::KIND, owner: "", id }
}

fn part_place<'p, P: Part>(api_id: &'p str, id: &'p str) -> Place<'p> {
    Place { table: Table::Part, kind: P::KIND, owner: api_id, id }
}

pub(super) type IdAndDoc = (String, String);

pub(super) fn page<T: serde::de::DeserializeOwned>(
    kind: &'static str,
    mut rows: Vec<IdAndDoc>,
    limit: usize,
) -> Result<Page<T>, StoreError> {
    let more = rows.len() > limit;
    rows.truncate(limit);
    let last = rows.last().filter(|_| more).map(|(id, _)| id.clone());
    Ok(Page { items: read_documents(kind, rows)?, last })
}

pub(super) fn read_documents<T: serde::de::DeserializeOwned>(
    kind: &'static str,
    rows: Vec<IdAndDoc>,
) -> Result<Vec<T>, StoreError> {
    rows.into_iter().map(|row| read_document(kind, row)).collect()
}

pub(super) fn read_document<T: serde::de::DeserializeOwned>(
    kind: &'static str,
    (id, doc): IdAndDoc,
) -> Result<T, StoreError> {
    serde_json::from_str(&doc).map_err(|source| StoreError::Document { kind, id, source })
}

pub(super) fn write_document<T: serde::Serialize>(
    kind: &'static str,
    id: &str,
    document: &T,
) -> Result<String, StoreError> {
    serde_json::to_string(document).map_err(|source| StoreError::Document { kind, id: id.to_owned(), source })
}
