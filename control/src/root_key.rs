//! The root access key: made on first start, kept in the data directory, or given by the environment. Users' keys
//! are made in the same form.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use crate::files::write_private;
use crate::sigv4::AccessKey;

/// The key's file in the data directory; only its owner may read it.
const FILE: &str = "root-access-key.json";
pub const ID_ENV: &str = "TURNPIKE_ROOT_ACCESS_KEY_ID";
pub const SECRET_ENV: &str = "TURNPIKE_ROOT_SECRET_ACCESS_KEY";

const ID_PREFIX: &str = "AKIA";
const ID_RANDOM_LEN: usize = 16;
const SECRET_LEN: usize = 40;
const USER_ID_PREFIX: &str = "AIDA";
const USER_ID_RANDOM_LEN: usize = 17;
/// 32 and 64 characters, so that the low bits of a random byte choose each with equal chance.
const ID_ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const SECRET_ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[derive(Debug, thiserror::Error)]
pub enum RootKeyError {
    #[error("{ID_ENV} and {SECRET_ENV} have to be set together, to text, and neither may be empty")]
    HalfAnEnvironment,
    #[error("{ID_ENV} can only have letters, digits and '_', at most 128: it is part of a header")]
    BadId,
    #[error(
        "the root access key in {path} can't be read: {why}. Mend the file, or remove it to have a new key"
    )]
    File { path: PathBuf, why: String },
    #[error(
        "the data directory {0} has no root access key: name the one of the running turnpike-control with --data-dir, or set {ID_ENV} and {SECRET_ENV}"
    )]
    Absent(PathBuf),
    #[error("can't write the root access key to {path}: {source}")]
    Write { path: PathBuf, source: std::io::Error },
    #[error("the system's random generator gave no bytes")]
    Random,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Stored {
    access_key_id: String,
    secret_access_key: String,
}

/// The key of a data directory that this process holds; makes one where there is none.
///
/// # Errors
/// When the environment has half a key, or the file can't be read or written.
pub fn load_or_make(data_dir: &Path) -> Result<AccessKey, RootKeyError> {
    match load(data_dir) {
        Err(RootKeyError::Absent(_)) => make(data_dir),
        loaded => loaded,
    }
}

/// The key of a data directory that has one.
///
/// # Errors
/// As [`load_or_make`], or when there is none.
pub fn load(data_dir: &Path) -> Result<AccessKey, RootKeyError> {
    if let Some(key) = from_environment(|name| std::env::var_os(name))? {
        return Ok(key);
    }
    let path = data_dir.join(FILE);
    let bad = |why: String| RootKeyError::File { path: path.clone(), why };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(RootKeyError::Absent(data_dir.to_owned()));
        }
        Err(error) => return Err(bad(error.to_string())),
    };
    let stored: Stored = serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?;
    Ok(AccessKey { id: stored.access_key_id, secret: stored.secret_access_key })
}

fn from_environment(variable: impl Fn(&str) -> Option<OsString>) -> Result<Option<AccessKey>, RootKeyError> {
    // What isn't text is as good as empty: never as good as absent.
    let text = |name| variable(name).map(|value| value.into_string().unwrap_or_default());
    match (text(ID_ENV), text(SECRET_ENV)) {
        (None, None) => Ok(None),
        (Some(id), Some(secret)) if !id.is_empty() && !secret.is_empty() => {
            let id_ok = id.len() <= 128 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if id_ok { Ok(Some(AccessKey { id, secret })) } else { Err(RootKeyError::BadId) }
        }
        _ => Err(RootKeyError::HalfAnEnvironment),
    }
}

/// An access key in AWS's form.
///
/// # Errors
/// When the system gives no random bytes.
pub fn new_access_key() -> Result<AccessKey, RootKeyError> {
    let id = format!("{ID_PREFIX}{}", random_text(ID_ALPHABET, ID_RANDOM_LEN)?);
    Ok(AccessKey { id, secret: random_text(SECRET_ALPHABET, SECRET_LEN)? })
}

/// A user's id in AWS's form.
///
/// # Errors
/// When the system gives no random bytes.
pub fn new_user_id() -> Result<String, RootKeyError> {
    Ok(format!("{USER_ID_PREFIX}{}", random_text(ID_ALPHABET, USER_ID_RANDOM_LEN)?))
}

fn make(data_dir: &Path) -> Result<AccessKey, RootKeyError> {
    let key = new_access_key()?;
    let path = data_dir.join(FILE);
    write(&path, &key).map_err(|source| RootKeyError::Write { path, source })?;
    Ok(key)
}

fn random_text(alphabet: &[u8], len: usize) -> Result<String, RootKeyError> {
    let mut bytes = vec![0; len];
    SystemRandom::new().fill(&mut bytes).map_err(|_| RootKeyError::Random)?;
    Ok(bytes.iter().map(|byte| char::from(alphabet[usize::from(*byte) % alphabet.len()])).collect())
}

fn write(path: &Path, key: &AccessKey) -> std::io::Result<()> {
    let stored = Stored { access_key_id: key.id.clone(), secret_access_key: key.secret.clone() };
    write_private(path, &format!("{}\n", serde_json::to_string_pretty(&stored)?))
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_kept_private() {
        let dir = tempfile::tempdir().expect("a directory");
        let made = make(dir.path()).expect("made");
        assert!(made.id.len() == 20 && made.id.starts_with("AKIA") && made.secret.len() == 40, "{made:?}");
        let mode = std::fs::metadata(dir.path().join(FILE)).expect("the file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(load_or_make(dir.path()).expect("kept"), made);
        assert_ne!(make(dir.path()).expect("made"), made);
    }

    #[test]
    fn a_spoilt_file_is_named() {
        let dir = tempfile::tempdir().expect("a directory");
        assert!(matches!(load(dir.path()), Err(RootKeyError::Absent(_))));
        std::fs::write(dir.path().join(FILE), "{").expect("written");
        let error = load_or_make(dir.path()).expect_err("spoilt").to_string();
        assert!(error.contains(FILE), "{error}");
    }

    #[test]
    fn the_environment_gives_a_whole_key_or_none() {
        let with = |id: Option<&str>, secret: Option<&str>| {
            let (id, secret) = (id.map(OsString::from), secret.map(OsString::from));
            from_environment(move |name| if name == ID_ENV { id.clone() } else { secret.clone() })
        };
        assert!(matches!(with(None, None), Ok(None)));
        assert!(matches!(with(Some("test"), Some("s")), Ok(Some(key)) if key.id == "test"));
        assert!(matches!(with(Some("test"), None), Err(RootKeyError::HalfAnEnvironment)));
        assert!(matches!(with(Some("test"), Some("")), Err(RootKeyError::HalfAnEnvironment)));
        assert!(matches!(with(Some("a/b"), Some("s")), Err(RootKeyError::BadId)));
        let no_text = |_: &str| Some(OsString::from_vec(vec![0xff]));
        assert!(matches!(from_environment(no_text), Err(RootKeyError::HalfAnEnvironment)));
    }
}
