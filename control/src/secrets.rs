//! Encryption of what the store must not show: private keys, and the units that hold them.
//!
//! AES-256-GCM with a random nonce for each text, under a key in a file of its own beside the store, made on first
//! start. Each text is bound to its place by a context, so that none can be put in another's. Below 2^32 texts a
//! key, random nonces don't meet (NIST SP 800-38D 8.3).

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use crate::files::write_private;
use crate::hex;

/// The key's file in the data directory: 64 hexadecimal digits, which only its owner may read.
pub const FILE: &str = "secrets.key";

/// The next key's file, while one is replaced by the other.
const FILE_NEXT: &str = "secrets.key.next";

/// Sets the key, in place of the file.
pub const KEY_ENV: &str = "TURNPIKE_SECRETS_KEY";
/// Sets the key that is to replace it.
pub const NEXT_KEY_ENV: &str = "TURNPIKE_NEXT_SECRETS_KEY";

const KEY_BYTES: usize = 32;

#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    #[error(
        "the key that the store's secrets are encrypted with is missing: put it into {0}, from the backup that the \
         store is from or from another turnpike-control that shares the store, or set {KEY_ENV}"
    )]
    Missing(PathBuf),
    #[error(
        "{0} isn't the key that the store's secrets are encrypted with: use the one of this store, from the backup \
         that the store is from or from another turnpike-control that shares the store"
    )]
    Wrong(String),
    #[error("{0} isn't 64 hexadecimal digits")]
    Environment(&'static str),
    #[error(
        "set both {KEY_ENV}, the key so far, and {NEXT_KEY_ENV}, the one to come; or neither, if the key is in {FILE}"
    )]
    HalfGiven,
    #[error("the key of the store's secrets in {path} can't be read: {why}")]
    File { path: PathBuf, why: String },
    #[error("can't write the key of the store's secrets to {path}: {source}")]
    Write { path: PathBuf, source: std::io::Error },
    #[error("the system's random generator gave no bytes")]
    Random,
    #[error("{0} can't be decrypted: the store was changed by something else than turnpike-control")]
    Damaged(String),
}

/// Before what is sealed, so that whoever shows a document can leave it out. Texts of earlier versions lack it.
pub const SEALED_PREFIX: &str = "sealed:";

/// An encrypted text as documents hold it: the prefix, and base64 of nonce, ciphertext and tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(String);

/// A key that was given, in place of the data directory's file.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretsKey([u8; KEY_BYTES]);

impl std::fmt::Debug for SecretsKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SecretsKey").finish_non_exhaustive()
    }
}

impl SecretsKey {
    /// The environment's key, if it has one.
    ///
    /// # Errors
    /// When it isn't 64 hexadecimal digits.
    pub fn from_environment() -> Result<Option<Self>, SecretsError> {
        Self::from_variable(KEY_ENV)
    }

    /// The key that is to replace the environment's, if it has one.
    ///
    /// # Errors
    /// When it isn't 64 hexadecimal digits.
    pub fn next_from_environment() -> Result<Option<Self>, SecretsError> {
        Self::from_variable(NEXT_KEY_ENV)
    }

    fn from_variable(name: &'static str) -> Result<Option<Self>, SecretsError> {
        Self::of_variable(name, std::env::var_os(name))
    }

    fn of_variable(name: &'static str, value: Option<OsString>) -> Result<Option<Self>, SecretsError> {
        let Some(value) = value else { return Ok(None) };
        let key = value.to_str().and_then(|digits| Self::parse(digits).ok());
        key.map(Some).ok_or(SecretsError::Environment(name))
    }

    /// A new key.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub(crate) fn random() -> Result<Self, SecretsError> {
        let mut key = [0; KEY_BYTES];
        SystemRandom::new().fill(&mut key).map_err(|_| SecretsError::Random)?;
        Ok(Self(key))
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The key that is given, or that of a data directory; `None` when there is neither.
    ///
    /// # Errors
    /// When the file can't be read, or holds something else.
    pub(crate) fn load(data_dir: &Path, given: Option<&Self>) -> Result<Option<Self>, SecretsError> {
        if given.is_some() {
            return Ok(given.cloned());
        }
        Self::read(data_dir.join(FILE))
    }

    /// The key that was about to replace the data directory's.
    pub(crate) fn load_next(data_dir: &Path) -> Result<Option<Self>, SecretsError> {
        Self::read(data_dir.join(FILE_NEXT))
    }

    fn read(path: PathBuf) -> Result<Option<Self>, SecretsError> {
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(SecretsError::File { path, why: error.to_string() }),
        };
        match parse_key(text.trim_end()) {
            Some(key) => Ok(Some(Self(key))),
            None => Err(SecretsError::File { path, why: "it isn't 64 hexadecimal digits".to_owned() }),
        }
    }

    /// Writes it beside the data directory's key.
    pub(crate) fn keep_next(&self, data_dir: &Path) -> Result<(), SecretsError> {
        let path = data_dir.join(FILE_NEXT);
        write_private(&path, &format!("{}\n", self.digits()))
            .map_err(|source| SecretsError::Write { path, source })
    }

    /// What was written beside the key takes its place.
    pub(crate) fn promote_next(data_dir: &Path) -> Result<(), SecretsError> {
        let path = data_dir.join(FILE);
        let renamed = std::fs::rename(data_dir.join(FILE_NEXT), &path);
        let synced = renamed.and_then(|()| std::fs::File::open(data_dir)?.sync_all());
        synced.map_err(|source| SecretsError::Write { path, source })
    }

    /// Writes it to the data directory's file.
    ///
    /// # Errors
    /// When the file can't be written.
    pub(crate) fn keep(&self, data_dir: &Path) -> Result<(), SecretsError> {
        let path = data_dir.join(FILE);
        write_private(&path, &format!("{}\n", self.digits()))
            .map_err(|source| SecretsError::Write { path, source })
    }

    pub(crate) fn digits(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// # Errors
    /// When it isn't 64 hexadecimal digits.
    pub fn parse(digits: &str) -> Result<Self, SecretsError> {
        parse_key(digits.trim_end()).map(Self).ok_or(SecretsError::Environment(KEY_ENV))
    }
}

/// Encrypts and decrypts under the key of one store.
pub struct Secrets {
    key: LessSafeKey,
    fingerprints: hmac::Key,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secrets").finish_non_exhaustive()
    }
}

impl Secrets {
    /// # Errors
    /// None that can be had here: the key is of the right length.
    pub(crate) fn with(key: &SecretsKey) -> Result<Self, SecretsError> {
        Self::of(&key.0)
    }

    pub(crate) fn missing(data_dir: &Path) -> SecretsError {
        SecretsError::Missing(data_dir.join(FILE))
    }

    /// What `load` gave isn't the key of the store.
    pub(crate) fn wrong(data_dir: &Path, given: Option<&SecretsKey>) -> SecretsError {
        let file = || data_dir.join(FILE).display().to_string();
        SecretsError::Wrong(given.map_or_else(file, |_| KEY_ENV.to_owned()))
    }

    fn of(key: &[u8; KEY_BYTES]) -> Result<Self, SecretsError> {
        // A key of its own: what encrypts does nothing else.
        let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), b"turnpike fingerprints");
        let fingerprints = hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref());
        // Fails for another length only.
        let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| SecretsError::Random)?;
        Ok(Self { key: LessSafeKey::new(key), fingerprints })
    }

    /// What finds a text again without showing it: the same for the same text in the same context, and of no use to
    /// who hasn't the key (HMAC-SHA-256, in hexadecimal).
    #[must_use]
    pub fn fingerprint(&self, context: &str, text: &[u8]) -> String {
        let mut signing = hmac::Context::with_key(&self.fingerprints);
        signing.update(context.as_bytes());
        signing.update(&[0]);
        signing.update(text);
        signing.sign().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Nonce, ciphertext and tag. `context` says what the text is, and where.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn seal_bytes(&self, context: &str, text: &[u8]) -> Result<Vec<u8>, SecretsError> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| SecretsError::Random)?;
        let mut sealed = text.to_vec();
        let (aad, unique) = (Aad::from(context.as_bytes()), Nonce::assume_unique_for_key(nonce));
        self.key.seal_in_place_append_tag(unique, aad, &mut sealed).map_err(|_| SecretsError::Random)?;
        Ok([&nonce[..], &sealed].concat())
    }

    /// What was sealed in this context.
    ///
    /// # Errors
    /// When it wasn't, or not under this key.
    pub fn open_bytes(&self, context: &str, sealed: &[u8]) -> Result<Vec<u8>, SecretsError> {
        let damaged = || SecretsError::Damaged(context.to_owned());
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN).ok_or_else(damaged)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| damaged())?;
        let mut text = sealed.to_vec();
        let opened = self.key.open_in_place(nonce, Aad::from(context.as_bytes()), &mut text);
        let text_bytes = opened.map_err(|_| damaged())?.len();
        text.truncate(text_bytes);
        Ok(text)
    }

    /// As [`Self::seal_bytes`], for a document.
    ///
    /// # Errors
    /// As [`Self::seal_bytes`].
    pub fn seal(&self, context: &str, text: &[u8]) -> Result<Sealed, SecretsError> {
        Ok(Sealed(format!("{SEALED_PREFIX}{}", BASE64_STANDARD.encode(self.seal_bytes(context, text)?))))
    }

    /// As [`Self::open_bytes`], from a document.
    ///
    /// # Errors
    /// As [`Self::open_bytes`].
    pub fn open(&self, context: &str, sealed: &Sealed) -> Result<Vec<u8>, SecretsError> {
        let text = sealed.0.strip_prefix(SEALED_PREFIX).unwrap_or(&sealed.0);
        let sealed = BASE64_STANDARD.decode(text);
        self.open_bytes(context, &sealed.map_err(|_| SecretsError::Damaged(context.to_owned()))?)
    }
}

fn parse_key(text: &str) -> Option<[u8; KEY_BYTES]> {
    hex::decode(text)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A key in the directory's file, in place of the one that was there.
    fn make(data_dir: &Path) -> Secrets {
        let key = SecretsKey::random().expect("random bytes");
        key.keep(data_dir).expect("written");
        Secrets::with(&key).expect("a key")
    }

    fn load(data_dir: &Path, given: Option<&SecretsKey>) -> Option<Secrets> {
        let key = SecretsKey::load(data_dir, given).expect("readable");
        key.map(|key| Secrets::with(&key).expect("a key"))
    }

    #[test]
    fn a_key_is_made_once_and_kept_private() {
        let dir = tempfile::tempdir().expect("a directory");
        assert!(load(dir.path(), None).is_none());
        let made = make(dir.path());
        let mode = std::fs::metadata(dir.path().join(FILE)).expect("the file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let sealed = made.seal("a key", b"text").expect("sealed");
        let again = load(dir.path(), None).expect("there");
        assert_eq!(again.open("a key", &sealed).expect("opens"), b"text");
        assert!(sealed.0.starts_with(SEALED_PREFIX));
        let earlier = Sealed(sealed.0.replace(SEALED_PREFIX, ""));
        assert_eq!(again.open("a key", &earlier).expect("opens"), b"text");
    }

    #[test]
    fn only_the_same_key_and_context_open_a_text() {
        let dir = tempfile::tempdir().expect("a directory");
        let secrets = make(dir.path());
        let sealed = secrets.seal_bytes("a", b"text").expect("sealed");
        assert_ne!(sealed, secrets.seal_bytes("a", b"text").expect("sealed"), "a nonce of its own");
        assert!(!sealed.windows(4).any(|window| window == b"text"));
        assert!(secrets.open_bytes("b", &sealed).is_err());
        assert!(make(dir.path()).open_bytes("a", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut spoilt = sealed.clone();
            spoilt[at] ^= 1;
            assert!(secrets.open_bytes("a", &spoilt).is_err(), "byte {at}");
            assert!(secrets.open_bytes("a", &sealed[..at]).is_err(), "the first {at} bytes");
        }
    }

    #[test]
    fn the_next_key_takes_the_place_of_the_one_so_far() {
        let dir = tempfile::tempdir().expect("a directory");
        make(dir.path());
        assert!(SecretsKey::load_next(dir.path()).expect("readable").is_none());
        let next = SecretsKey::random().expect("random bytes");
        next.keep_next(dir.path()).expect("written");
        assert!(SecretsKey::load_next(dir.path()).expect("readable") == Some(next.clone()));
        assert!(SecretsKey::load(dir.path(), None).expect("readable") != Some(next.clone()));
        SecretsKey::promote_next(dir.path()).expect("renamed");
        assert!(SecretsKey::load(dir.path(), None).expect("readable") == Some(next));
        assert!(SecretsKey::load_next(dir.path()).expect("readable").is_none());
    }

    #[test]
    fn a_given_key_takes_the_place_of_the_file() {
        let dir = tempfile::tempdir().expect("a directory");
        make(dir.path());
        let sealed = load(dir.path(), None).expect("there").seal("a", b"text");
        let digits = std::fs::read_to_string(dir.path().join(FILE)).expect("readable");
        let same = SecretsKey::parse(&digits).expect("a key");
        let opened = load(Path::new("/nonexistent"), Some(&same)).expect("given");
        assert_eq!(opened.open("a", &sealed.expect("sealed")).expect("opens"), b"text");
        assert!(matches!(SecretsKey::parse("ab"), Err(SecretsError::Environment(KEY_ENV))));
        assert!(!format!("{same:?}").contains(digits.trim_end()));
    }

    #[test]
    fn a_variable_that_is_no_key_is_never_passed_over() {
        let of = |value: Option<OsString>| SecretsKey::of_variable(KEY_ENV, value);
        assert!(of(None).expect("none").is_none());
        assert!(of(Some("ab".repeat(32).into())).expect("a key").is_some());
        for bad in [OsString::new(), "ab".into(), OsString::from_vec(vec![0xff; 64])] {
            assert!(matches!(of(Some(bad)), Err(SecretsError::Environment(KEY_ENV))));
        }
    }

    #[test]
    fn fingerprints_are_of_one_key_context_and_text() {
        let dir = tempfile::tempdir().expect("a directory");
        let secrets = make(dir.path());
        let print = secrets.fingerprint("a", b"text");
        assert_eq!((print.len(), &print), (64, &secrets.fingerprint("a", b"text")));
        let other = make(dir.path());
        let others = [
            secrets.fingerprint("b", b"text"),
            secrets.fingerprint("a", b"t"),
            other.fingerprint("a", b"text"),
        ];
        assert!(!others.contains(&print));
    }

    #[test]
    fn a_spoilt_file_is_named() {
        let dir = tempfile::tempdir().expect("a directory");
        for text in ["", "ab", &"g".repeat(64), &"a".repeat(66)] {
            std::fs::write(dir.path().join(FILE), text).expect("written");
            let error = SecretsKey::load(dir.path(), None).expect_err("spoilt").to_string();
            assert!(error.contains(FILE), "{error}");
        }
    }
}
