//! A backup's lines.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, ErrorKind, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::{BackupError, FORMAT, LINE_BYTES_MAX};
use crate::store::sql::Cell;

/// The first line.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Header {
    pub(super) turnpike_backup: u32,
    pub(super) schema_version: i64,
    pub(super) made_at_s: i64,
    /// Of the newest root.
    pub(super) version: u64,
    pub(super) tables: BTreeMap<String, Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) secrets_key: Option<String>,
}

/// The last line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Trailer {
    pub(super) rows: u64,
    sha256: String,
}

/// Between those.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) table: String,
    pub(super) cells: Vec<Cell>,
}

/// Bytes as a line has them.
const BYTES: &str = "base64";

impl Row {
    fn to_json(&self) -> Option<Json> {
        let cell = |cell: &Cell| {
            Some(match cell {
                Cell::Null => Json::Null,
                Cell::Integer(integer) => json!(integer),
                Cell::Text(text) => json!(text),
                Cell::Bytes(bytes) => json!({ BYTES: BASE64_STANDARD.encode(bytes) }),
                Cell::Other => return None,
            })
        };
        let cells = std::iter::once(Some(json!(self.table))).chain(self.cells.iter().map(cell));
        Some(Json::Array(cells.collect::<Option<_>>()?))
    }

    fn of_json(line: Json) -> Option<Self> {
        let Json::Array(values) = line else { return None };
        let mut values = values.into_iter();
        let Some(Json::String(table)) = values.next() else { return None };
        let cell = |value: Json| {
            Some(match value {
                Json::Null => Cell::Null,
                Json::Number(number) => Cell::Integer(number.as_i64()?),
                Json::String(text) => Cell::Text(text),
                Json::Object(object) => {
                    Cell::Bytes(BASE64_STANDARD.decode(object.get(BYTES)?.as_str()?).ok()?)
                }
                Json::Bool(_) | Json::Array(_) => return None,
            })
        };
        Some(Self { table, cells: values.map(cell).collect::<Option<_>>()? })
    }
}

/// A file to write to, which wasn't there; only its owner may read it.
pub(super) fn create(path: &Path) -> Result<File, BackupError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    File::options().create_new(true).write(true).mode(0o600).open(path).map_err(|source| {
        match source.kind() {
            ErrorKind::AlreadyExists => BackupError::Unfinished(path.to_owned()),
            _ => BackupError::File { path: path.to_owned(), source },
        }
    })
}

/// A file being written.
pub(super) struct Writer<'f> {
    file: BufWriter<&'f File>,
    digest: Context,
    rows: u64,
    path: PathBuf,
}

impl<'f> Writer<'f> {
    /// From the file's beginning, whatever was written there before.
    pub(super) fn begin(mut file: &'f File, path: &Path) -> Result<Self, BackupError> {
        let emptied = file.set_len(0).and_then(|()| file.rewind());
        emptied.map_err(|source| BackupError::File { path: path.to_owned(), source })?;
        let digest = Context::new(&SHA256);
        Ok(Self { file: BufWriter::new(file), digest, rows: 0, path: path.to_owned() })
    }

    pub(super) fn header(&mut self, header: &Header) -> Result<(), BackupError> {
        self.line(&json!(header))
    }

    pub(super) fn row(&mut self, row: &Row) -> Result<(), BackupError> {
        let why = || format!("the table {} has a value of an unknown type", row.table);
        let line = row.to_json().ok_or_else(|| BackupError::Inconsistent(why()))?;
        self.rows += 1;
        self.line(&line)
    }

    /// On the disk when this returns.
    pub(super) fn finish(mut self) -> Result<u64, BackupError> {
        let trailer = Trailer { rows: self.rows, sha256: digits(self.digest.clone()) };
        self.line(&json!(trailer))?;
        let synced = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        synced.map_err(|source| BackupError::File { path: self.path.clone(), source })?;
        Ok(self.rows)
    }

    fn line(&mut self, line: &Json) -> Result<(), BackupError> {
        let line = format!("{line}\n");
        self.digest.update(line.as_bytes());
        let written = self.file.write_all(line.as_bytes());
        written.map_err(|source| BackupError::File { path: self.path.clone(), source })
    }
}

/// A file being read, from its first line to its last.
pub(super) struct Reader {
    file: BufReader<File>,
    digest: Context,
    rows: u64,
    path: PathBuf,
    pub(super) header: Header,
}

impl Reader {
    pub(super) fn open(path: &Path) -> Result<Self, BackupError> {
        let file = File::open(path).map_err(|source| BackupError::File { path: path.to_owned(), source })?;
        let mut file = BufReader::new(file);
        let damaged = |why: &str| BackupError::Damaged { path: path.to_owned(), why: why.to_owned() };
        let line = read_line(&mut file, path)?;
        let header: Json = serde_json::from_str(&line).map_err(|_| damaged("it doesn't begin as one"))?;
        match header.get("turnpikeBackup").and_then(Json::as_u64) {
            None => return Err(damaged("it doesn't begin as one")),
            Some(format) if format != u64::from(FORMAT) => {
                return Err(damaged(&format!(
                    "its format is {format}, and this turnpike-control reads {FORMAT}"
                )));
            }
            Some(_) => {}
        }
        let header = serde_json::from_value(header).map_err(|error| damaged(&error.to_string()))?;
        let mut digest = Context::new(&SHA256);
        digest.update(line.as_bytes());
        Ok(Self { file, digest, rows: 0, path: path.to_owned(), header })
    }

    /// The next row; `None` after the last, once the whole is found to be what was written.
    pub(super) fn next(&mut self) -> Result<Option<Row>, BackupError> {
        let line = read_line(&mut self.file, &self.path)?;
        if line.is_empty() {
            return Err(self.damaged("it ends too early: it wasn't written or copied to its end"));
        }
        let at = self.rows + 2;
        let json: Json =
            serde_json::from_str(&line).map_err(|_| self.damaged(&format!("line {at} isn't JSON")))?;
        if json.is_object() {
            let trailer: Trailer =
                serde_json::from_value(json).map_err(|error| self.damaged(&format!("line {at}: {error}")))?;
            return self.finish(&trailer).map(|()| None);
        }
        let row = Row::of_json(json).ok_or_else(|| self.damaged(&format!("line {at} isn't a row")))?;
        let columns = self.header.tables.get(&row.table).map(Vec::len);
        if columns != Some(row.cells.len()) {
            return Err(self.damaged(&format!("line {at} isn't a row of a table that its first line names")));
        }
        self.digest.update(line.as_bytes());
        self.rows += 1;
        Ok(Some(row))
    }

    fn finish(&mut self, trailer: &Trailer) -> Result<(), BackupError> {
        let found = Trailer { rows: self.rows, sha256: digits(self.digest.clone()) };
        if *trailer != found {
            return Err(
                self.damaged("its contents aren't what was written: the SHA-256 at its end is another")
            );
        }
        match read_line(&mut self.file, &self.path)?.is_empty() {
            true => Ok(()),
            false => Err(self.damaged("something follows its end")),
        }
    }

    fn damaged(&self, why: &str) -> BackupError {
        BackupError::Damaged { path: self.path.clone(), why: why.to_owned() }
    }
}

/// With its line feed; empty at the end.
fn read_line(file: &mut BufReader<File>, path: &Path) -> Result<String, BackupError> {
    let mut line = String::new();
    match file.take(LINE_BYTES_MAX).read_line(&mut line) {
        Ok(0) => Ok(line),
        Ok(_) if line.ends_with('\n') => Ok(line),
        Ok(_) => {
            let why = "its last line isn't whole: it wasn't written or copied to its end".to_owned();
            Err(BackupError::Damaged { path: path.to_owned(), why })
        }
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            Err(BackupError::Damaged { path: path.to_owned(), why: "it isn't UTF-8".to_owned() })
        }
        Err(source) => Err(BackupError::File { path: path.to_owned(), source }),
    }
}

fn digits(digest: Context) -> String {
    digest.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
