//! From a store to a file.

use std::path::Path;

use super::file::{self, Header, Row, Writer};
use super::{BackupError, FORMAT, Progress, Summary, TABLES, Table};
use crate::secrets::{Secrets, SecretsKey};
use crate::settings::StoreSettings;
use crate::store::keys::{self, Fit};
use crate::store::schema::SCHEMA_VERSION;
use crate::store::sql::{Cell, Cells, Sql, Value, values};
use crate::store::{Backend, StoreError};
use crate::time::now_s;

/// Writes what the store holds at one moment to `to`, which must not exist, and which is there whole or not at all.
///
/// # Errors
/// The store's or the file's; or the key is asked for and isn't the store's.
pub fn write(
    data_dir: &Path,
    settings: &StoreSettings,
    to: &Path,
    with_secrets_key: bool,
    progress: &mut Progress<'_>,
) -> Result<Summary, BackupError> {
    if to.symlink_metadata().is_ok() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    let backend = Backend::open_beside(data_dir, settings)?;
    let beside = beside(to);
    let file = file::create(&beside)?;
    let written = backend.read(|sql| {
        let secrets_key = with_secrets_key.then(|| key_of(sql, data_dir, settings)).transpose()?;
        copy(sql, secrets_key, Writer::begin(&file, &beside)?, progress)
    });
    let placed = written.and_then(|summary| put_in_place(&beside, to).map(|()| summary));
    if placed.is_err() {
        // Its removal may have been what failed.
        let _ = std::fs::remove_file(&beside);
    }
    placed
}

fn beside(to: &Path) -> std::path::PathBuf {
    let mut name = to.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

/// Doesn't replace what has come to be there since.
fn put_in_place(beside: &Path, to: &Path) -> Result<(), BackupError> {
    let failed = |source| BackupError::File { path: to.to_owned(), source };
    match std::fs::hard_link(beside, to) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(BackupError::Exists(to.to_owned()));
        }
        linked => linked.map_err(failed)?,
    }
    std::fs::remove_file(beside).map_err(failed)?;
    let dir = to.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    std::fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed)
}

/// The key that the store was encrypted with.
fn key_of(sql: &Sql<'_>, data_dir: &Path, settings: &StoreSettings) -> Result<String, BackupError> {
    let given = settings.secrets_key.as_ref();
    let key = SecretsKey::load(data_dir, given)?.ok_or_else(|| Secrets::missing(data_dir))?;
    match keys::fit(sql, &key)? {
        Fit::New | Fit::Right(_) => Ok(key.digits()),
        Fit::Wrong => Err(Secrets::wrong(data_dir, given).into()),
    }
}

fn copy(
    sql: &Sql<'_>,
    secrets_key: Option<String>,
    mut writer: Writer<'_>,
    progress: &mut Progress<'_>,
) -> Result<Summary, BackupError> {
    let mut total = 0;
    for table in &TABLES {
        total += sql.count(&format!("SELECT count(*) FROM {}", table.name), values![])? as u64;
    }
    progress.begin(total);
    let columns = |table: &Table| table.columns.iter().map(|column| (*column).to_owned()).collect();
    let version = sql.row("SELECT version FROM root", values![])?.unwrap_or(0);
    let has_secrets_key = secrets_key.is_some();
    writer.header(&Header {
        turnpike_backup: FORMAT,
        schema_version: SCHEMA_VERSION,
        made_at_s: now_s(),
        version,
        tables: TABLES.iter().map(|table| (table.name.to_owned(), columns(table))).collect(),
        secrets_key,
    })?;
    for table in &TABLES {
        copy_table(sql, table, &mut writer, progress)?;
    }
    Ok(Summary { rows: writer.finish()?, version, has_secrets_key })
}

/// A page at a time, each from the key that the one before ended with.
fn copy_table(
    sql: &Sql<'_>,
    table: &Table,
    writer: &mut Writer<'_>,
    progress: &mut Progress<'_>,
) -> Result<(), BackupError> {
    let (columns, key) = (table.columns.join(", "), table.columns[..table.key].join(", "));
    let places = vec!["?"; table.key].join(", ");
    let (name, page_rows) = (table.name, table.page_rows);
    let first = format!("SELECT {columns} FROM {name} ORDER BY {key} LIMIT {page_rows}");
    let next =
        format!("SELECT {columns} FROM {name} WHERE ({key}) > ({places}) ORDER BY {key} LIMIT {page_rows}");
    let mut rows: Vec<Cells> = sql.rows(&first, values![])?;
    loop {
        let Some(last) = rows.last().filter(|_| rows.len() == page_rows) else {
            return write_rows(table, rows, writer, progress);
        };
        let after: Vec<Cell> = last.0[..table.key].to_vec();
        write_rows(table, rows, writer, progress)?;
        let after: Option<Vec<Value<'_>>> = after.iter().map(Cell::as_value).collect();
        let after = after.ok_or_else(|| StoreError::Column(next.clone()))?;
        rows = sql.rows(&next, &after)?;
    }
}

fn write_rows(
    table: &Table,
    rows: Vec<Cells>,
    writer: &mut Writer<'_>,
    progress: &mut Progress<'_>,
) -> Result<(), BackupError> {
    for Cells(cells) in rows {
        writer.row(&Row { table: table.name.to_owned(), cells })?;
        progress.step();
    }
    Ok(())
}
