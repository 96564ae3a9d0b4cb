//! From a file to a new store.

use std::collections::HashMap;
use std::path::Path;

use turnpike_snapshot::{Limits, UnitHash, decode_root, hash};

use super::file::{Header, Reader, Row};
use super::{BackupError, Progress, Summary, TABLES};
use crate::secrets::{Secrets, SecretsKey};
use crate::settings::StoreSettings;
use crate::store::keys::{self, Fit};
use crate::store::lock::DataDirLock;
use crate::store::schema::{SCHEMA_VERSION, STEPS};
use crate::store::sql::{Cell, Sql, Value, values};
use crate::store::{Backend, StoreError, Tx, create_private_dir};

/// Reads the file to its end, and says what it holds.
///
/// # Errors
/// When it isn't a whole backup, or one of a newer version.
pub fn check(from: &Path, progress: &mut Progress<'_>) -> Result<Summary, BackupError> {
    let mut reader = Reader::open(from)?;
    steps_of(from, &reader.header)?;
    let mut rows = 0;
    progress.begin(0);
    while reader.next()?.is_some() {
        rows += 1;
        progress.step();
    }
    let Header { version, secrets_key, .. } = reader.header;
    Ok(Summary { rows, version, has_secrets_key: secrets_key.is_some() })
}

/// Makes the store that `settings` name, which must not exist, of the backup; all of it or nothing.
///
/// # Errors
/// When the file isn't a whole backup, there is a store already, the key isn't there, or what the backup holds doesn't
/// fit together.
pub fn restore(
    data_dir: &Path,
    settings: &StoreSettings,
    from: &Path,
    progress: &mut Progress<'_>,
) -> Result<Summary, BackupError> {
    let summary = check(from, progress)?;
    let reader = Reader::open(from)?;
    create_private_dir(data_dir)
        .map_err(|source| StoreError::DataDir { path: data_dir.to_owned(), source })?;
    let _lock = DataDirLock::take(data_dir).map_err(StoreError::from)?;
    progress.begin(summary.rows);
    Backend::create::<BackupError>(data_dir, settings, |sql| {
        fill(sql, from, reader, progress)?;
        let (key, is_new) = key_of(data_dir, settings, from)?;
        let secrets = match keys::fit(sql, &key)? {
            Fit::New => Secrets::with(&key)?,
            Fit::Right(data_key) => Secrets::with(&data_key)?,
            Fit::Wrong => return Err(Secrets::wrong(data_dir, settings.secrets_key.as_ref()).into()),
        };
        check_contents(sql, &secrets)?;
        // Before the store: what it encrypts can't be read without it.
        if is_new { Ok(key.keep(data_dir)?) } else { Ok(()) }
    })?;
    Ok(summary)
}

/// The key that is given, or the directory's, or the backup's; and whether it is yet to be kept.
fn key_of(data_dir: &Path, settings: &StoreSettings, from: &Path) -> Result<(SecretsKey, bool), BackupError> {
    if let Some(key) = SecretsKey::load(data_dir, settings.secrets_key.as_ref())? {
        return Ok((key, false));
    }
    match Reader::open(from)?.header.secrets_key {
        Some(digits) => Ok((SecretsKey::parse(&digits)?, true)),
        None => Err(Secrets::missing(data_dir).into()),
    }
}

/// The steps that the backup's store had taken, and those that it hadn't.
fn steps_of(
    path: &Path,
    header: &Header,
) -> Result<(&'static [&'static str], &'static [&'static str]), BackupError> {
    let taken = usize::try_from(header.schema_version).ok().and_then(|taken| STEPS.split_at_checked(taken));
    taken.ok_or_else(|| BackupError::Newer {
        path: path.to_owned(),
        found: header.schema_version,
        known: SCHEMA_VERSION,
    })
}

fn fill(
    sql: &Sql<'_>,
    path: &Path,
    mut reader: Reader,
    progress: &mut Progress<'_>,
) -> Result<(), BackupError> {
    let (taken, missing) = steps_of(path, &reader.header)?;
    taken.iter().try_for_each(|step| sql.take_step(step))?;
    let inserts = inserts(path, &reader.header)?;
    while let Some(Row { table, cells }) = reader.next()? {
        let damaged = || BackupError::Damaged { path: path.to_owned(), why: format!("a row of {table}") };
        let (insert, doc_at) = inserts.get(&table).ok_or_else(damaged)?;
        if let Some(Cell::Text(doc)) = doc_at.and_then(|at| cells.get(at))
            && let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(doc)
        {
            let why = format!("a document of the table {table} isn't JSON: {error}");
            return Err(BackupError::Inconsistent(why));
        }
        let row: Option<Vec<Value<'_>>> = cells.iter().map(Cell::as_value).collect();
        sql.run(insert, &row.ok_or_else(damaged)?)?;
        progress.step();
    }
    Ok(missing.iter().try_for_each(|step| sql.take_step(step))?)
}

/// A statement for each table that the backup names, and which of its columns holds documents; names of its own making
/// never get into one.
fn inserts(path: &Path, header: &Header) -> Result<HashMap<String, (String, Option<usize>)>, BackupError> {
    let statement = |(table, columns): (&String, &Vec<String>)| {
        let known = TABLES.iter().find(|known| known.name == table)?;
        let fits = columns.iter().all(|column| known.columns.contains(&column.as_str()));
        let places = vec!["?"; columns.len()].join(", ");
        let insert = format!("INSERT INTO {table} ({}) VALUES ({places})", columns.join(", "));
        let doc_at = columns.iter().position(|column| column == "doc");
        fits.then(|| (table.clone(), (insert, doc_at)))
    };
    let statements: Option<_> = header.tables.iter().map(statement).collect();
    let why = || "its first line names a table or a column that no store has".to_owned();
    statements.ok_or_else(|| BackupError::Damaged { path: path.to_owned(), why: why() })
}

/// Whether every unit is the one that its name says, and the root lists what is there.
fn check_contents(sql: &Sql<'_>, secrets: &Secrets) -> Result<(), BackupError> {
    let wrong = |why: String| Err(BackupError::Inconsistent(why));
    let tx = Tx::new(sql, secrets, "");
    let mut units = HashMap::new();
    for name in sql.rows::<Vec<u8>>("SELECT hash FROM unit", values![])? {
        let name = UnitHash(name.try_into().map_err(|_| StoreError::UnitName)?);
        match tx.unit(name)?.filter(|bytes| hash(bytes) == name) {
            Some(bytes) => units.insert(name, bytes.len()),
            None => return wrong(format!("unit {name} isn't what its name says")),
        };
    }
    let Some(root) = tx.root()? else { return Ok(()) };
    let root = match decode_root(&root, &Limits::default()) {
        Ok(root) => root,
        Err(error) => return wrong(format!("the root: {error}")),
    };
    if root.version != tx.version()? || root.units != tx.unit_refs()? {
        return wrong("the root doesn't list what is there".to_owned());
    }
    let lost = root.units.iter().find(|unit| units.get(&unit.hash) != Some(&(unit.bytes_len as usize)));
    lost.map_or(Ok(()), |unit| wrong(format!("unit {}, which the root lists, isn't there", unit.hash)))
}
