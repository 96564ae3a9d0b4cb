//! The key that a store's secrets are encrypted with, and the key that opens it.
//!
//! The data key is made with the store and never changes; the store has it encrypted under the key that lies beside
//! it, in the data directory or in the environment. So that key can be replaced without anything being encrypted
//! again. A store of earlier versions has no data key: there, the key beside it encrypts, and goes on to when another
//! one is put around it.

use std::path::Path;

use super::lock::RotationLock;
use super::sql::{Sql, values};
use super::{Backend, StoreError};
use crate::secrets::{Secrets, SecretsError, SecretsKey};
use crate::settings::StoreSettings;

/// What the probe says, and where.
const PROBE: &str = "the store's secrets";
/// Where the data key stands.
const DATA_KEY: &str = "the store's data key";

/// What a key is to a store.
#[derive(Debug)]
pub(super) enum Fit {
    /// The store has no secrets yet.
    New,
    /// It opens the data key.
    Right(SecretsKey),
    Wrong,
}

pub(super) fn fit(sql: &Sql<'_>, key: &SecretsKey) -> Result<Fit, StoreError> {
    let row: Option<(Vec<u8>, Option<Vec<u8>>)> =
        sql.row("SELECT probe, data_key FROM secrets", values![])?;
    let Some((probe, sealed)) = row else { return Ok(Fit::New) };
    let data_key = match sealed {
        None => Some(key.clone()),
        Some(sealed) => {
            let opened = Secrets::with(key)?.open_bytes(DATA_KEY, &sealed).ok();
            opened.and_then(|bytes| SecretsKey::from_bytes(&bytes))
        }
    };
    let Some(data_key) = data_key else { return Ok(Fit::Wrong) };
    let opens = Secrets::with(&data_key)?.open_bytes(PROBE, &probe).is_ok();
    Ok(if opens { Fit::Right(data_key) } else { Fit::Wrong })
}

/// What a store's secrets are encrypted with, by the key that is given or the data directory's. Makes both for a store
/// that has none yet; of several processes that are started on a new store, one does. A kill between the file and the
/// row leaves a key that the next start takes.
pub(super) fn unlock(
    data_dir: &Path,
    given: Option<&SecretsKey>,
    backend: &Backend,
) -> Result<Secrets, StoreError> {
    backend.write(|sql| {
        let loaded = SecretsKey::load(data_dir, given)?;
        let Some(key) = loaded else {
            return match fit(sql, &SecretsKey::random()?)? {
                Fit::New => {
                    let key = SecretsKey::random()?;
                    key.keep(data_dir)?;
                    begin(sql, &key)
                }
                Fit::Right(_) | Fit::Wrong => Err(Secrets::missing(data_dir).into()),
            };
        };
        match fit(sql, &key)? {
            Fit::New => begin(sql, &key),
            Fit::Right(_) | Fit::Wrong => Ok(Secrets::with(&current(sql, data_dir, given, key)?.data)?),
        }
    })
}

fn begin(sql: &Sql<'_>, key: &SecretsKey) -> Result<Secrets, StoreError> {
    let data_key = SecretsKey::random()?;
    let secrets = Secrets::with(&data_key)?;
    let sealed = Secrets::with(key)?.seal_bytes(DATA_KEY, data_key.bytes())?;
    let probe = secrets.seal_bytes(PROBE, PROBE.as_bytes())?;
    let sql_text = "INSERT INTO secrets (one, probe, data_key) VALUES (1, ?, ?)";
    sql.execute(sql_text, values![&probe, &sealed])?;
    Ok(secrets)
}

/// The key that a store has around its data key, and that one.
struct Current {
    key: SecretsKey,
    data: SecretsKey,
}

/// `key`, if the store's secrets open with it; or the one beside it, which a kill between the store's commit and the
/// file's new name leaves there.
fn current(
    sql: &Sql<'_>,
    data_dir: &Path,
    given: Option<&SecretsKey>,
    key: SecretsKey,
) -> Result<Current, StoreError> {
    if let Fit::Right(data) = fit(sql, &key)? {
        return Ok(Current { key, data });
    }
    let wrong = || StoreError::from(Secrets::wrong(data_dir, given));
    let next = if given.is_none() { SecretsKey::load_next(data_dir)? } else { None };
    let next = next.ok_or_else(wrong)?;
    match fit(sql, &next)? {
        Fit::Right(data) => {
            SecretsKey::promote_next(data_dir)?;
            Ok(Current { key: next, data })
        }
        Fit::New | Fit::Wrong => Err(wrong()),
    }
}

/// Puts another key around the data key, while control may be serving: `next`, or a new one in the data directory's
/// file. The old one opens nothing from then on, but for copies of the store that are older.
///
/// # Errors
/// When the old key isn't the store's, or only one of the two is given; while somebody else does the same; the store's,
/// or the file's.
pub fn rotate(
    data_dir: &Path,
    settings: &StoreSettings,
    next: Option<&SecretsKey>,
) -> Result<(), StoreError> {
    let given = settings.secrets_key.as_ref();
    let made = match (given, next) {
        (Some(_), Some(next)) => next.clone(),
        (None, None) => SecretsKey::random()?,
        _ => return Err(SecretsError::HalfGiven.into()),
    };
    // The environment's keys are in no file that another could take.
    let _lock = if given.is_none() { Some(RotationLock::take(data_dir)?) } else { None };
    let found = SecretsKey::load(data_dir, given)?.ok_or_else(|| Secrets::missing(data_dir))?;
    let backend = Backend::open_beside(data_dir, settings)?;
    // The file of the next key may be the only place that has the store's: nothing is written there before that is
    // known.
    let old = backend.write(|sql| current(sql, data_dir, given, found.clone()))?.key;
    if given.is_none() {
        made.keep_next(data_dir)?;
    }
    backend.write::<_, StoreError>(|sql| {
        let Fit::Right(data_key) = fit(sql, &old)? else {
            return Err(Secrets::wrong(data_dir, given).into());
        };
        let sealed = Secrets::with(&made)?.seal_bytes(DATA_KEY, data_key.bytes())?;
        sql.execute("UPDATE secrets SET data_key = ?", values![&sealed])?;
        Ok(())
    })?;
    match given {
        None => promote(data_dir, &made),
        Some(_) => Ok(()),
    }
}

/// Unless a process that was started meanwhile has done it.
fn promote(data_dir: &Path, made: &SecretsKey) -> Result<(), StoreError> {
    match SecretsKey::promote_next(data_dir) {
        Err(error) if SecretsKey::load(data_dir, None)?.as_ref() != Some(made) => Err(error.into()),
        _ => Ok(()),
    }
}
