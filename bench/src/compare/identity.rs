//! The certificate that every proxy shows: self-signed, ECDSA P-256.

use std::fs;
use std::path::{Path, PathBuf};

/// The name that clients ask for where a proxy doesn't route by it.
pub(crate) const SERVER_NAME: &str = "bench.test";

/// PEM files.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) certificate: PathBuf,
    pub(crate) private_key: PathBuf,
    /// Both in one file, as HAProxy wants them.
    pub(crate) both: PathBuf,
}

impl Identity {
    /// Makes the files in `dir`, for these names.
    pub(crate) fn make(dir: &Path, names: &[&str]) -> Result<Self, String> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        // rcgen's own choice of a key is ECDSA P-256.
        let made = rcgen::generate_simple_self_signed(names)
            .map_err(|error| format!("no certificate can be made: {error}"))?;
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let write = |file: &str, text: &str| {
            let path = dir.join(file);
            fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display())).map(|()| path)
        };
        Ok(Self {
            both: write("both.pem", &format!("{certificate}{key}"))?,
            certificate: write("certificate.pem", &certificate)?,
            private_key: write("key.pem", &key)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_hold_what_their_names_say() {
        let dir = tempfile::tempdir().unwrap();
        let identity = Identity::make(dir.path(), &[SERVER_NAME]).unwrap();
        let read = |path: &Path| fs::read_to_string(path).unwrap();
        assert!(read(&identity.certificate).starts_with("-----BEGIN CERTIFICATE-----"));
        assert!(read(&identity.private_key).starts_with("-----BEGIN PRIVATE KEY-----"));
        assert_eq!(read(&identity.both), read(&identity.certificate) + &read(&identity.private_key));
    }
}
