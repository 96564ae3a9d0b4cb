//! A transaction's view of the entities.

use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::StoreError;
use crate::model::{Api, Part};
use crate::secrets::{Sealed, Secrets};

/// What can be read and written within one transaction.
#[derive(Debug)]
pub struct Tx<'a> {
    pub(super) sql: &'a Transaction<'a>,
    pub(super) secrets: &'a Secrets,
}

/// Part of a list, in the order of identifiers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Identifier of the last item, when more follow.
    pub last: Option<String>,
}

impl<'a> Tx<'a> {
    pub(super) fn new(sql: &'a Transaction<'a>, secrets: &'a Secrets) -> Self {
        Self { sql, secrets }
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

    /// Whether any API, of either kind, has this id.
    ///
    /// # Errors
    /// The store's, here and below.
    pub fn has_api(&self, id: &str) -> Result<bool, StoreError> {
        Ok(self.sql.prepare_cached("SELECT 1 FROM api WHERE id = ?")?.exists([id])?)
    }

    pub fn api<A: Api>(&self, id: &str) -> Result<Option<A>, StoreError> {
        let mut statement = self.sql.prepare_cached("SELECT id, doc FROM api WHERE id = ? AND kind = ?")?;
        let row = statement.query_row([id, A::KIND], id_and_doc).optional()?;
        row.map(|row| read_document(A::KIND, row)).transpose()
    }

    pub fn apis<A: Api>(&self, after: &str, limit: usize) -> Result<Page<A>, StoreError> {
        let sql = "SELECT id, doc FROM api WHERE kind = ? AND id > ? ORDER BY id LIMIT ?";
        let mut statement = self.sql.prepare_cached(sql)?;
        let rows = statement.query_map(params![A::KIND, after, limit + 1], id_and_doc)?;
        page(A::KIND, rows, limit)
    }

    /// The ids of all APIs of both kinds.
    pub fn api_ids(&self) -> Result<Vec<String>, StoreError> {
        let mut statement = self.sql.prepare_cached("SELECT id FROM api ORDER BY id")?;
        let ids = statement.query_map([], |row| row.get(0))?;
        Ok(ids.collect::<Result<_, _>>()?)
    }

    pub fn api_count<A: Api>(&self) -> Result<usize, StoreError> {
        let mut statement = self.sql.prepare_cached("SELECT count(*) FROM api WHERE kind = ?")?;
        Ok(statement.query_row([A::KIND], |row| row.get(0))?)
    }

    /// Adds the API, or replaces the one of the same id.
    pub fn put_api<A: Api>(&self, api: &A) -> Result<(), StoreError> {
        let sql = "INSERT INTO api (id, kind, doc) VALUES (?, ?, ?)
                   ON CONFLICT (id) DO UPDATE SET doc = excluded.doc";
        let doc = write_document(A::KIND, api.id(), api)?;
        self.sql.prepare_cached(sql)?.execute([api.id(), A::KIND, &doc])?;
        Ok(())
    }

    /// Removes the API and its parts.
    pub fn delete_api(&self, id: &str) -> Result<(), StoreError> {
        self.sql.prepare_cached("DELETE FROM api WHERE id = ?")?.execute([id])?;
        Ok(())
    }

    pub fn part<P: Part>(&self, api_id: &str, id: &str) -> Result<Option<P>, StoreError> {
        let sql = "SELECT id, doc FROM part WHERE api_id = ? AND kind = ? AND id = ?";
        let row = self.sql.prepare_cached(sql)?.query_row([api_id, P::KIND, id], id_and_doc).optional()?;
        row.map(|row| read_document(P::KIND, row)).transpose()
    }

    /// The part whose second name is this.
    pub fn part_named<P: Part>(&self, api_id: &str, name: &str) -> Result<Option<P>, StoreError> {
        let sql = "SELECT id, doc FROM part WHERE api_id = ? AND kind = ? AND name = ?";
        let row = self.sql.prepare_cached(sql)?.query_row([api_id, P::KIND, name], id_and_doc).optional()?;
        row.map(|row| read_document(P::KIND, row)).transpose()
    }

    /// All parts of a kind, in the order of their ids.
    pub fn parts<P: Part>(&self, api_id: &str) -> Result<Vec<P>, StoreError> {
        let sql = "SELECT id, doc FROM part WHERE api_id = ? AND kind = ? ORDER BY id";
        let mut statement = self.sql.prepare_cached(sql)?;
        let rows = statement.query_map([api_id, P::KIND], id_and_doc)?;
        rows.map(|row| read_document(P::KIND, row?)).collect()
    }

    pub fn part_page<P: Part>(&self, api_id: &str, after: &str, limit: usize) -> Result<Page<P>, StoreError> {
        let sql = "SELECT id, doc FROM part WHERE api_id = ? AND kind = ? AND id > ? ORDER BY id LIMIT ?";
        let mut statement = self.sql.prepare_cached(sql)?;
        let rows = statement.query_map(params![api_id, P::KIND, after, limit + 1], id_and_doc)?;
        page(P::KIND, rows, limit)
    }

    /// All parts of a kind, of every API, each with its API's id before it.
    pub fn all_parts<P: Part>(&self) -> Result<Vec<(String, P)>, StoreError> {
        let sql = "SELECT api_id, id, doc FROM part WHERE kind = ? ORDER BY api_id, id";
        let mut statement = self.sql.prepare_cached(sql)?;
        let rows = statement.query_map([P::KIND], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?;
        let parts = rows.map(|row| {
            let (api_id, document) = row?;
            Ok((api_id, read_document(P::KIND, document)?))
        });
        parts.collect()
    }

    pub fn part_count<P: Part>(&self, api_id: &str) -> Result<usize, StoreError> {
        let mut statement =
            self.sql.prepare_cached("SELECT count(*) FROM part WHERE api_id = ? AND kind = ?")?;
        Ok(statement.query_row([api_id, P::KIND], |row| row.get(0))?)
    }

    /// Which kinds of parts there are, each with an API that has some before it.
    pub fn part_kinds(&self) -> Result<Vec<(String, String)>, StoreError> {
        let sql = "SELECT DISTINCT api_id, kind FROM part ORDER BY api_id, kind";
        let mut statement = self.sql.prepare_cached(sql)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Adds the part, or replaces the one of the same id.
    pub fn put_part<P: Part>(&self, api_id: &str, part: &P) -> Result<(), StoreError> {
        let sql = "INSERT INTO part (api_id, kind, id, name, doc) VALUES (?, ?, ?, ?, ?)
                   ON CONFLICT (api_id, kind, id) DO UPDATE SET name = excluded.name, doc = excluded.doc";
        let doc = write_document(P::KIND, part.id(), part)?;
        self.sql.prepare_cached(sql)?.execute(params![api_id, P::KIND, part.id(), part.name(), doc])?;
        Ok(())
    }

    pub fn delete_part<P: Part>(&self, api_id: &str, id: &str) -> Result<(), StoreError> {
        let sql = "DELETE FROM part WHERE api_id = ? AND kind = ? AND id = ?";
        self.sql.prepare_cached(sql)?.execute([api_id, P::KIND, id])?;
        Ok(())
    }
}

pub(super) type IdAndDoc = (String, String);

pub(super) fn id_and_doc(row: &Row<'_>) -> rusqlite::Result<IdAndDoc> {
    Ok((row.get(0)?, row.get(1)?))
}

pub(super) fn page<T: serde::de::DeserializeOwned>(
    kind: &'static str,
    rows: impl Iterator<Item = rusqlite::Result<IdAndDoc>>,
    limit: usize,
) -> Result<Page<T>, StoreError> {
    let mut rows: Vec<IdAndDoc> = rows.collect::<Result<_, _>>()?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let last = rows.last().filter(|_| more).map(|(id, _)| id.clone());
    let items = rows.into_iter().map(|row| read_document(kind, row)).collect::<Result<_, _>>()?;
    Ok(Page { items, last })
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
