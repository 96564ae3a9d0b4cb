//! The certificate of all hosts without their own: the operator's files, or one of a development authority.
//!
//! The authority is made on first start and kept in the data directory, so that a client that trusts it once goes on
//! trusting it; what it signs is made anew at each start, for the names that the gateway answers at, and never
//! written down. All shards read the certificate through one pointer, so that it can be replaced under them.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::provider;
use crate::settings::Settings;

const AUTHORITY_FILE: &str = "development-ca.pem";
const AUTHORITY_KEY_FILE: &str = "development-ca-key.pem";
/// What browsers accept of a certificate (825 days; RFC 5280 has no limit), and of an authority, if any.
const LEAF_DAYS: u64 = 397;
const AUTHORITY_DAYS: u64 = 3_650;
/// How often the leaf is issued anew while the gateway runs.
const RENEWAL: Duration = Duration::from_secs(30 * 86_400);
/// Clocks of clients that are behind.
const BACKDATED: Duration = Duration::from_secs(86_400);
const DAY: Duration = Duration::from_secs(86_400);
/// Domains that are named in the development certificate; a handshake carries all of them.
const NAMES_MAX: usize = 100;

/// Where the certificate comes from, and what is served at the moment.
#[derive(Debug)]
pub(crate) struct DefaultCertificate {
    served: Arc<ArcSwap<CertifiedKey>>,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Files { certificate: PathBuf, private_key: PathBuf },
    Development(Box<Development>),
}

#[derive(Debug)]
struct Development {
    authority: PathBuf,
    key: KeyPair,
    /// What the served certificate was made for.
    named: ArcSwap<Vec<String>>,
}

impl DefaultCertificate {
    /// Reads the operator's files, or makes what there is not yet.
    ///
    /// # Errors
    /// A file can't be read, written, or used; the text names it.
    pub(crate) fn load(settings: &Settings) -> Result<Self, String> {
        if let (Some(certificate), Some(private_key)) = (&settings.tls_certificate, &settings.tls_private_key)
        {
            let key = read_files(certificate, private_key)?;
            let source = Source::Files { certificate: certificate.clone(), private_key: private_key.clone() };
            return Ok(Self { served: Arc::new(ArcSwap::from_pointee(key)), source });
        }
        let development = Development::open(&settings.data_dir)?;
        let key = development.issue(&[])?;
        Ok(Self {
            served: Arc::new(ArcSwap::from_pointee(key)),
            source: Source::Development(Box::new(development)),
        })
    }

    /// The development authority's certificate, for clients to trust; `None` with files of the operator's.
    pub(crate) fn authority(&self) -> Option<&Path> {
        match &self.source {
            Source::Files { .. } => None,
            Source::Development(development) => Some(&development.authority),
        }
    }

    /// Reads the operator's files again; what was served before is kept if they can't be used.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub(crate) fn reload(&self) -> Result<(), String> {
        if let Source::Files { certificate, private_key } = &self.source {
            self.served.store(Arc::new(read_files(certificate, private_key)?));
        }
        Ok(())
    }

    /// Makes sure that a development certificate has these names, the first [`NAMES_MAX`] of them.
    pub(crate) fn name(&self, names: Vec<String>) -> Result<(), String> {
        let Source::Development(development) = &self.source else { return Ok(()) };
        let mut names = names;
        names.truncate(NAMES_MAX);
        if **development.named.load() != names {
            self.served.store(Arc::new(development.issue(&names)?));
            development.named.store(Arc::new(names));
        }
        Ok(())
    }

    /// Issues a development certificate anew, long before it ends, for as long as the gateway runs.
    pub(crate) async fn keep_renewing(self: Arc<Self>) {
        let Source::Development(development) = &self.source else { return };
        loop {
            tokio::time::sleep(RENEWAL).await;
            match development.issue(&development.named.load()) {
                Ok(key) => self.served.store(Arc::new(key)),
                Err(error) => report!("turnpike-gateway: {error}; the last one is served on"),
            }
        }
    }

    pub(super) fn resolver(&self) -> Arc<dyn ResolvesServerCert> {
        Arc::new(Served(Arc::clone(&self.served)))
    }
}

#[derive(Debug)]
struct Served(Arc<ArcSwap<CertifiedKey>>);

impl ResolvesServerCert for Served {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

fn read_files(certificate: &Path, private_key: &Path) -> Result<CertifiedKey, String> {
    let refused = |setting: &str, path: &Path, error: &dyn std::fmt::Display| {
        format!("{setting}: {}: {error}; name a readable file in PEM", path.display())
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| refused("tls_certificate", certificate, &error))?;
    if chain.is_empty() {
        return Err(refused("tls_certificate", certificate, &"it holds no certificate"));
    }
    let key = PrivateKeyDer::from_pem_file(private_key)
        .map_err(|error| refused("tls_private_key", private_key, &error))?;
    CertifiedKey::from_der(chain, key, &provider()).map_err(|error| {
        format!(
            "tls_certificate and tls_private_key: {} and {} can't be used together: {error}",
            certificate.display(),
            private_key.display()
        )
    })
}

impl Development {
    fn open(data_dir: &Path) -> Result<Self, String> {
        let (authority, key_file) = (data_dir.join(AUTHORITY_FILE), data_dir.join(AUTHORITY_KEY_FILE));
        let failed = |what: &str, path: &Path, error: &dyn std::fmt::Display| {
            format!(
                "the development certificate's authority: can't {what} {}: {error}; make it accessible, or set \
                 tls_certificate and tls_private_key",
                path.display()
            )
        };
        let key = match fs::read_to_string(&key_file) {
            Ok(pem) => KeyPair::from_pem(&pem).map_err(|error| failed("use", &key_file, &error))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key =
                    KeyPair::generate().map_err(|error| failed("make a key for", &authority, &error))?;
                write(&key_file, &key.serialize_pem(), 0o600)
                    .map_err(|error| failed("write", &key_file, &error))?;
                key
            }
            Err(error) => return Err(failed("read", &key_file, &error)),
        };
        if is_stale(&authority, &key_file).map_err(|error| failed("read", &authority, &error))? {
            let certificate = authority_params().self_signed(&key);
            let certificate = certificate.map_err(|error| failed("make", &authority, &error))?;
            write(&authority, &certificate.pem(), 0o644)
                .map_err(|error| failed("write", &authority, &error))?;
        }
        Ok(Self { authority, key, named: ArcSwap::default() })
    }

    fn issue(&self, names: &[String]) -> Result<CertifiedKey, String> {
        let failed = |error: &dyn std::fmt::Display| format!("can't make a development certificate: {error}");
        let key = KeyPair::generate().map_err(|error| failed(&error))?;
        let own = ["localhost", "*.localhost"].map(str::to_owned);
        let names: Vec<String> = own.into_iter().chain(names.iter().cloned()).collect();
        let mut params = CertificateParams::new(names).map_err(|error| failed(&error))?;
        for address in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
            params.subject_alt_names.push(SanType::IpAddress(address));
        }
        params.distinguished_name = named("localhost");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        (params.not_before, params.not_after) = validity(LEAF_DAYS);
        let issuer = Issuer::new(authority_params(), &self.key);
        let certificate = params.signed_by(&key, &issuer).map_err(|error| failed(&error))?;
        let private_key = PrivateKeyDer::try_from(key.serialize_der()).map_err(|error| failed(&error))?;
        CertifiedKey::from_der(vec![certificate.der().clone()], private_key, &provider())
            .map_err(|error| failed(&error))
    }
}

fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named("Turnpike development authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = validity(AUTHORITY_DAYS);
    params
}

fn named(name: &str) -> DistinguishedName {
    let mut named = DistinguishedName::new();
    named.push(DnType::CommonName, name);
    named
}

fn validity<T: From<SystemTime>>(days: u64) -> (T, T) {
    let now = SystemTime::now();
    ((now - BACKDATED).into(), (now + DAY * u32::try_from(days).unwrap_or(u32::MAX)).into())
}

/// Whether there is no authority's certificate for this key, or one that ends before what it would sign.
fn is_stale(authority: &Path, key: &Path) -> io::Result<bool> {
    let made = match fs::metadata(authority) {
        Ok(metadata) => metadata.modified()?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    let age = SystemTime::now().duration_since(made).unwrap_or_default();
    let days_left = u32::try_from(AUTHORITY_DAYS - LEAF_DAYS).unwrap_or(u32::MAX);
    Ok(made < fs::metadata(key)?.modified()? || age > DAY * days_left)
}

/// Writes the whole file or none of it.
fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let beside = path.with_extension("pem.new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&beside)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)
}
