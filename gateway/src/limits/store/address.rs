//! Where the store is, and how it is asked: `limits_store`, and the settings around it.
//!
//! The field's spellings: `redis://` and `rediss://` (TLS) as redis-cli takes them, several servers after one scheme with
//! commas between them, and `redis-cluster://` where a cluster is known by one of its servers. Secrets are in no URL,
//! since those are seen in lists of processes, and in no log.

use std::env::VarError;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use redis::{ClientTlsConfig, ConnectionInfo, IntoConnectionInfo, TlsCertificates};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::settings::Settings;

const FORMS: &str = "redis[s]://[USER@]HOST:PORT[/DB], redis[s]://[USER@]HOST:PORT,HOST:PORT,… or \
                     redis[s]-cluster://[USER@]HOST:PORT of a cluster, or redis+unix:///PATH";
pub(crate) const PASSWORD: &str = "TURNPIKE_GATEWAY_LIMITS_STORE_PASSWORD";
/// Servers that a cluster is known by.
pub(super) const SERVERS_MAX: usize = 100;
/// A certificate's or a password's file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where the store is, as it was typed.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    pub(super) servers: Vec<ConnectionInfo>,
    pub(super) is_cluster: bool,
    pub(super) is_tls: bool,
}

/// What only a scheme says.
struct Scheme {
    /// As the client's library has it.
    base: &'static str,
    is_cluster: bool,
    is_tls: bool,
}

impl Scheme {
    fn parse(name: &str) -> Option<Self> {
        let (base, is_cluster, is_tls) = match name {
            "redis" | "valkey" => ("redis", false, false),
            "rediss" | "valkeys" => ("rediss", false, true),
            "redis-cluster" | "valkey-cluster" => ("redis", true, false),
            "rediss-cluster" | "valkeys-cluster" => ("rediss", true, true),
            _ => return None,
        };
        Some(Self { base, is_cluster, is_tls })
    }
}

impl Address {
    /// # Errors
    /// Why the URL can't be used; without what it says.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let (name, rest) = url.split_once(':').unwrap_or_default();
        if matches!(name, "redis+unix" | "unix") {
            return Self::of(vec![url.to_owned()], false, false);
        }
        let Some(scheme) = Scheme::parse(name) else {
            return Err(format!("`{name}` is no scheme of a store; write {FORMS}"));
        };
        let rest = rest.strip_prefix("//").ok_or_else(|| format!("its address is missing; write {FORMS}"))?;
        if rest.contains(['?', '#']) {
            return Err(format!("it takes nothing after `?` or `#`; write {FORMS}"));
        }
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, servers) = authority.rsplit_once('@').unwrap_or(("", authority));
        let servers: Vec<&str> = servers.split(',').collect();
        let is_cluster = scheme.is_cluster || servers.len() > 1;
        if servers.iter().any(|server| server.is_empty()) {
            return Err(format!("an address is empty; write {FORMS}"));
        }
        if servers.len() > SERVERS_MAX {
            return Err(format!("it names {} servers; {SERVERS_MAX} of a cluster are enough", servers.len()));
        }
        if is_cluster && !database.is_empty() {
            return Err("a cluster has no databases to choose from; remove what follows `/`".to_owned());
        }
        let at = if user.is_empty() { "" } else { "@" };
        let urls = servers.iter().map(|server| format!("{}://{user}{at}{server}/{database}", scheme.base));
        Self::of(urls.collect(), is_cluster, scheme.is_tls)
    }

    fn of(urls: Vec<String>, is_cluster: bool, is_tls: bool) -> Result<Self, String> {
        let servers = urls.into_iter().map(IntoConnectionInfo::into_connection_info);
        let servers: Vec<ConnectionInfo> =
            servers.collect::<Result<_, _>>().map_err(|error| format!("{error}; write {FORMS}"))?;
        if servers.iter().any(|server| server.redis_settings().password().is_some()) {
            return Err(format!(
                "a password in it would be seen by others; set limits_store_password_file, or the environment's \
                 {PASSWORD}, instead"
            ));
        }
        Ok(Self { servers, is_cluster, is_tls })
    }
}

/// What goes together of the settings.
///
/// # Errors
/// The setting that is wrong, and why.
pub(crate) fn check(settings: &Settings) -> Result<(), (&'static str, String)> {
    let address = settings.limits_store.as_deref().map(Address::parse).transpose();
    let address = address.map_err(|problem| ("limits_store", problem))?;
    if settings.limits_store_password_file.is_some() && address.is_none() {
        return Err((
            "limits_store_password_file",
            "limits_store isn't set, whose password it has".to_owned(),
        ));
    }
    let (shown, key) = (&settings.limits_store_certificate, &settings.limits_store_private_key);
    let tls = [
        ("limits_store_ca_certificate", settings.limits_store_ca_certificate.is_some()),
        ("limits_store_certificate", shown.is_some()),
        ("limits_store_private_key", key.is_some()),
    ];
    let is_tls = address.is_some_and(|address| address.is_tls);
    if let Some((name, _)) = tls.iter().find(|(_, is_set)| *is_set && !is_tls) {
        return Err((
            name,
            "limits_store has no TLS; write rediss:// for redis://, or remove this".to_owned(),
        ));
    }
    match (shown, key) {
        (Some(_), None) => Err((
            "limits_store_private_key",
            "limits_store_certificate is set without it; name the certificate's key".to_owned(),
        )),
        (None, Some(_)) => Err((
            "limits_store_certificate",
            "limits_store_private_key is set without it; name the key's certificate".to_owned(),
        )),
        _ => Ok(()),
    }
}

/// The store's password, of the environment or a file; a line feed at its end isn't part of it.
///
/// # Errors
/// It can't be read, or there are two.
pub(super) fn password(settings: &Settings) -> io::Result<Option<String>> {
    let of_environment = match std::env::var(PASSWORD) {
        Ok(password) => Some(password),
        Err(VarError::NotPresent) => None,
        Err(VarError::NotUnicode(_)) => return Err(io::Error::other(format!("{PASSWORD} isn't UTF-8"))),
    };
    match (&settings.limits_store_password_file, of_environment) {
        (Some(_), Some(_)) => Err(io::Error::other(format!(
            "both limits_store_password_file and {PASSWORD} are set; remove one"
        ))),
        (Some(file), None) => {
            let password = read(file, "limits_store_password_file")?;
            let password = password.strip_suffix('\n').unwrap_or(&password);
            if password.is_empty() {
                return Err(io::Error::other(format!(
                    "limits_store_password_file: {} is empty",
                    file.display()
                )));
            }
            Ok(Some(password.to_owned()))
        }
        (None, password) => Ok(password),
    }
}

/// Whom the store's certificate has to be of, and what it is shown.
///
/// # Errors
/// A file can't be read.
pub(super) fn certificates(settings: &Settings) -> io::Result<TlsCertificates> {
    let read = |file: &Option<PathBuf>, name| -> io::Result<Option<Vec<u8>>> {
        let Some(file) = file else { return Ok(None) };
        Ok(Some(read(file, name)?.into_bytes()))
    };
    let root_cert = read(&settings.limits_store_ca_certificate, "limits_store_ca_certificate")?;
    if root_cert.as_ref().is_some_and(|pem| CertificateDer::pem_slice_iter(pem).next().is_none()) {
        return Err(io::Error::other("limits_store_ca_certificate: it has no certificate"));
    }
    let client_cert = read(&settings.limits_store_certificate, "limits_store_certificate")?;
    let client_key = read(&settings.limits_store_private_key, "limits_store_private_key")?;
    let shown = client_cert.zip(client_key);
    let client_tls = shown.map(|(client_cert, client_key)| ClientTlsConfig { client_cert, client_key });
    Ok(TlsCertificates { client_tls, root_cert })
}

fn read(file: &Path, setting: &str) -> io::Result<String> {
    let named = |problem: String| io::Error::other(format!("{setting}: {}: {problem}", file.display()));
    let bytes = fs::metadata(file).map_err(|error| named(error.to_string()))?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(named(format!("it has {bytes} bytes, the limit is {FILE_BYTES_MAX}")));
    }
    fs::read_to_string(file).map_err(|error| named(error.to_string()))
}

#[cfg(test)]
mod tests {
    use redis::ConnectionAddr;

    use super::*;

    fn servers(url: &str) -> (Vec<String>, bool, bool) {
        let address = Address::parse(url).unwrap_or_else(|problem| panic!("{url}: {problem}"));
        let shown = address.servers.iter().map(|server| match server.addr() {
            ConnectionAddr::Tcp(host, port) => format!("{host}:{port}"),
            ConnectionAddr::TcpTls { host, port, insecure, .. } => format!("tls {host}:{port} {insecure}"),
            ConnectionAddr::Unix(path) => path.display().to_string(),
            other => panic!("{other:?}"),
        });
        (shown.collect(), address.is_cluster, address.is_tls)
    }

    #[test]
    fn the_field_s_spellings_are_taken() {
        for (url, expected, is_cluster, is_tls) in [
            ("redis://a", &["a:6379"][..], false, false),
            ("valkey://127.0.0.1:7000/2", &["127.0.0.1:7000"], false, false),
            ("rediss://ann@a:1", &["tls a:1 false"], false, true),
            ("redis://a:1,b", &["a:1", "b:6379"], true, false),
            ("rediss://a:1,[::1]:2", &["tls a:1 false", "tls ::1:2 false"], true, true),
            ("redis-cluster://a:1", &["a:1"], true, false),
            ("rediss-cluster://ann@a:1,b:2", &["tls a:1 false", "tls b:2 false"], true, true),
            ("redis+unix:///run/redis.sock", &["/run/redis.sock"], false, false),
        ] {
            let expected: Vec<String> = expected.iter().map(|server| (*server).to_owned()).collect();
            assert_eq!(servers(url), (expected, is_cluster, is_tls), "{url}");
        }
        let named = Address::parse("rediss-cluster://ann@a:1,b:2").expect("two servers");
        assert!(named.servers.iter().all(|server| server.redis_settings().username() == Some("ann")));
    }

    #[test]
    fn others_are_refused_by_name_and_never_shown() {
        for (url, problem) in [
            ("a:6379", "`a` is no scheme"),
            ("redis-sentinel://a", "`redis-sentinel` is no scheme"),
            ("redis:a", "address is missing"),
            ("redis://a,,b", "an address is empty"),
            ("redis://", "an address is empty"),
            ("redis://a/x", "database number"),
            ("redis://a,b/1", "no databases"),
            ("redis-cluster://a/1", "no databases"),
            ("rediss://a#insecure", "`#`"),
            ("redis://:s3cret@a", PASSWORD),
            ("rediss://ann:s3cret@a,b", PASSWORD),
            ("redis+unix:///a?pass=s3cret", PASSWORD),
        ] {
            let refused = Address::parse(url).expect_err(url);
            assert!(refused.contains(problem) && !refused.contains("s3cret"), "{url}: {refused}");
        }
    }
}
