//! SQL as the transaction's methods write it: once, for both stores.
//!
//! Statements have `?` for each value and speak what SQLite and PostgreSQL have in common; identifiers and documents
//! are text that compares byte by byte in both. A transaction belongs to one thread.

mod value;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, params_from_iter};

use super::StoreError;
use super::postgres;
use crate::time::now_s;
pub(super) use value::{Cell, Cells, FromRow, Value};

/// The values of a statement, in the order of their `?`.
macro_rules! values {
    ($($value:expr),* $(,)?) => { &[$($crate::store::sql::Value::from($value)),*] };
}
pub(super) use values;

/// An open transaction.
#[derive(Debug)]
pub(super) enum Sql<'a> {
    /// One that has begun on this connection.
    Sqlite(&'a Connection),
    Postgres(&'a postgres::Transaction<'a>),
}

impl Sql<'_> {
    /// All rows of a query.
    pub(super) fn rows<R: FromRow>(&self, sql: &str, values: &[Value<'_>]) -> Result<Vec<R>, StoreError> {
        match self {
            Self::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sql)?;
                let columns = statement.column_count();
                let mut rows = statement.query(params_from_iter(values))?;
                let mut read = Vec::new();
                while let Some(row) = rows.next()? {
                    let cells = (0..columns).map(|at| Ok(Cell::from(row.get_ref(at)?)));
                    read.push(from_row(sql, cells.collect::<rusqlite::Result<_>>()?)?);
                }
                Ok(read)
            }
            Self::Postgres(transaction) => {
                let rows = transaction.rows(sql, values)?;
                rows.into_iter().map(|cells| from_row(sql, cells)).collect()
            }
        }
    }

    /// The row of a query that has one at most.
    pub(super) fn row<R: FromRow>(&self, sql: &str, values: &[Value<'_>]) -> Result<Option<R>, StoreError> {
        Ok(self.rows(sql, values)?.pop())
    }

    /// How many things a query has counted.
    pub(super) fn count(&self, sql: &str, values: &[Value<'_>]) -> Result<usize, StoreError> {
        let count: Option<u64> = self.row(sql, values)?;
        usize::try_from(count.unwrap_or(0)).map_err(|_| StoreError::Column(sql.to_owned()))
    }

    /// Runs a statement; returns how many rows it has changed.
    pub(super) fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<u64, StoreError> {
        match self {
            Self::Sqlite(connection) => {
                let changed = connection.prepare_cached(sql)?.execute(params_from_iter(values))?;
                Ok(changed as u64)
            }
            Self::Postgres(transaction) => transaction.execute(sql, values),
        }
    }

    /// Runs a statement whose outcome nothing depends on but the transaction's: if it fails, a later one says so, the
    /// commit at the latest.
    pub(super) fn run(&self, sql: &str, values: &[Value<'_>]) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(_) => self.execute(sql, values).map(drop),
            Self::Postgres(transaction) => transaction.send(sql, values),
        }
    }

    /// Takes a step of the schema.
    pub(super) fn take_step(&self, step: &str) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(connection) => Ok(connection.execute_batch(step)?),
            Self::Postgres(transaction) => transaction.take_step(step),
        }
    }

    /// Tells the other processes of a store that several share, once this is committed, that there is a new root.
    pub(super) fn notify(&self, version: u64) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(transaction) => transaction.notify(version),
        }
    }

    /// The time, in seconds since 1970, as all who share the store have it.
    pub(super) fn now_s(&self) -> Result<i64, StoreError> {
        match self {
            Self::Sqlite(_) => Ok(now_s()),
            Self::Postgres(_) => {
                let now = self.row("SELECT extract(epoch FROM clock_timestamp())::bigint", &[])?;
                now.ok_or_else(|| StoreError::Column("clock_timestamp()".to_owned()))
            }
        }
    }
}

fn from_row<R: FromRow>(sql: &str, cells: Vec<Cell>) -> Result<R, StoreError> {
    R::from_row(cells).ok_or_else(|| StoreError::Column(sql.to_owned()))
}

impl From<ValueRef<'_>> for Cell {
    /// No column has floating point; such a cell fits no type that is asked for.
    fn from(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(integer) => Self::Integer(integer),
            ValueRef::Real(_) => Self::Other,
            ValueRef::Text(text) => match std::str::from_utf8(text) {
                Ok(text) => Self::Text(text.to_owned()),
                Err(_) => Self::Other,
            },
            ValueRef::Blob(bytes) => Self::Bytes(bytes.to_vec()),
        }
    }
}

impl rusqlite::ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(integer) => ValueRef::Integer(*integer),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}
