//! Trust stores of mutual TLS: PEM files in a directory that the operator has set aside for them.
//!
//! What a caller names is read with control's rights, so that nothing outside of that directory may be.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;
use ring::digest::{SHA256, digest};
use turnpike_snapshot::Limits;

use super::super::error::ApiError;
use crate::model::MutualTls;
use crate::pki::{authorities, certificates_of, to_pem};
use crate::time::now_s;

/// AWS's limit of certificates, and a bound on the file that holds them.
const CERTIFICATES_MAX: usize = 1_000;
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Reads the trust store that `uri` names, which has to be of the `version` given.
///
/// # Errors
/// When it can't be used; the message says what to do.
pub(super) fn read(dir: Option<&Path>, uri: &str, version: Option<String>) -> Result<MutualTls, ApiError> {
    let bytes = bytes_of(&path_of(dir, uri)?, uri)?;
    if let Some(version) = &version {
        check_version(version, &bytes, uri)?;
    }
    let all =
        certificates_of(&bytes, "trust store").map_err(|error| ApiError::bad_request(error.to_string()))?;
    if all.len() > CERTIFICATES_MAX {
        return Err(ApiError::bad_request(format!(
            "The trust store '{uri}' has more than {CERTIFICATES_MAX} certificates"
        )));
    }
    let (usable, warnings) = authorities(all, now_s());
    if usable.is_empty() {
        let why = warnings.join("; ");
        return Err(ApiError::bad_request(format!(
            "The trust store '{uri}' has no usable certificate: {why}"
        )));
    }
    let (bytes, bytes_max) =
        (usable.iter().map(Vec::len).sum::<usize>(), Limits::default().certificates_bytes_max);
    if bytes > bytes_max {
        return Err(ApiError::bad_request(format!(
            "The trust store '{uri}' has certificates of {bytes} bytes, and the limit is {bytes_max}"
        )));
    }
    Ok(MutualTls {
        truststore_uri: uri.to_owned(),
        truststore_version: version,
        warnings,
        certificates: usable.iter().map(|der| to_pem(der)).collect(),
    })
}

/// The file, with every link followed, in the operator's directory.
fn path_of(dir: Option<&Path>, uri: &str) -> Result<PathBuf, ApiError> {
    let path = match uri.split_once("://") {
        Some(("file", path)) if path.starts_with('/') => path,
        Some(("s3", _)) => {
            return Err(ApiError::bad_request(format!(
                "truststoreUri '{uri}' is not supported by this version of Turnpike, which reads no s3://: put the \
                 file into truststore_dir of turnpike-control and name it file:///PATH"
            )));
        }
        _ => return Err(ApiError::bad_request(format!("truststoreUri has to be file:///PATH, not '{uri}'"))),
    };
    let Some(dir) = dir else {
        return Err(ApiError::bad_request(
            "Mutual TLS needs a directory from which trust stores may be read: set truststore_dir of turnpike-control",
        ));
    };
    let path = percent_decode_str(path).decode_utf8_lossy().into_owned();
    let outside = || {
        ApiError::bad_request(format!(
            "There is no trust store '{uri}' in the directory that truststore_dir of turnpike-control names"
        ))
    };
    // One answer for what isn't there and what isn't for callers, so that nobody can look around.
    let (dir, path) = (dir.canonicalize(), PathBuf::from(path).canonicalize());
    match (dir, path) {
        (Ok(dir), Ok(path)) if path.starts_with(&dir) && path.is_file() => Ok(path),
        _ => Err(outside()),
    }
}

fn bytes_of(path: &Path, uri: &str) -> Result<Vec<u8>, ApiError> {
    let unreadable = |error| ApiError::bad_request(format!("The trust store '{uri}' can't be read: {error}"));
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(ApiError::bad_request(format!(
            "The trust store '{uri}' has more than {FILE_BYTES_MAX} bytes"
        )));
    }
    Ok(bytes)
}

/// A file has no versions; its content tells which it is.
fn check_version(version: &str, bytes: &[u8], uri: &str) -> Result<(), ApiError> {
    let found: String = digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    if version.eq_ignore_ascii_case(&found) {
        return Ok(());
    }
    Err(ApiError::bad_request(format!(
        "truststoreVersion of a file is its SHA-256, and that of '{uri}' is {found}, not '{version}'"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEM: &str = include_str!("../../pki/samples/ec.pem");

    #[test]
    fn a_file_of_the_directory_is_read() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("a b.pem");
        std::fs::write(&file, PEM).expect("written");
        let uri = format!("file://{}", file.display()).replace(' ', "%20");
        let found = read(Some(dir.path()), &uri, None).expect("usable");
        assert_eq!((found.truststore_uri, found.certificates), (uri.clone(), vec![PEM.to_owned()]));
        let error = read(Some(dir.path()), &uri, Some("1".to_owned())).expect_err("another version");
        let version = error.message.split(" is ").last().and_then(|rest| rest.split(',').next());
        let version = version.map(str::to_owned);
        assert_eq!(
            read(Some(dir.path()), &uri, version.clone()).expect("its own").truststore_version,
            version
        );
    }

    #[test]
    fn nothing_outside_of_the_directory_is_read() {
        let root = tempfile::tempdir().expect("a directory");
        let (inside, outside) = (root.path().join("in"), root.path().join("out.pem"));
        std::fs::create_dir(&inside).expect("made");
        std::fs::write(&outside, PEM).expect("written");
        std::os::unix::fs::symlink(&outside, inside.join("link.pem")).expect("linked");
        let uri = |path: &str| format!("file://{}/{path}", root.path().display());
        for path in ["out.pem", "in/../out.pem", "in/link.pem", "in/none.pem", "in", "in/%2e%2e/out.pem"] {
            let error = read(Some(&inside), &uri(path), None).expect_err(path);
            assert!(error.message.contains("There is no trust store"), "{path}: {error}");
        }
        for (uri, expected) in [
            ("s3://bucket/key".to_owned(), "s3://"),
            ("https://x/y".to_owned(), "file:///"),
            ("file://host/x".to_owned(), "file:///"),
            ("x".to_owned(), "file:///"),
        ] {
            let error = read(Some(&inside), &uri, None).expect_err(&uri);
            assert!(error.status == 400 && error.message.contains(expected), "{error}");
        }
        assert!(
            read(None, &uri("out.pem"), None).expect_err("no directory").message.contains("truststore_dir")
        );
    }

    #[test]
    fn a_trust_store_has_a_certificate() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("t.pem");
        let uri = format!("file://{}", file.display());
        for text in ["", "x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            std::fs::write(&file, text).expect("written");
            assert_eq!(read(Some(dir.path()), &uri, None).expect_err(text).status, 400);
        }
        std::fs::write(
            &file,
            [PEM, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"].concat(),
        )
        .expect("written");
        let found = read(Some(dir.path()), &uri, None).expect("one is usable");
        assert_eq!((found.certificates.len(), found.warnings.len()), (1, 1));
    }
}
