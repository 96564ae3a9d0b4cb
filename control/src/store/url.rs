//! Where a PostgreSQL is, as an operator names it, and whether the way there is encrypted.
//!
//! `sslmode` decides as in libpq, except that nothing is left to chance: without one, a Unix socket or a loopback
//! address is spoken to in clear and every other host over verified TLS; modes that would go without either silently
//! are refused. Of several hosts, the one that takes changes is connected to.

use std::path::PathBuf;
use std::str::FromStr;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

/// How connections tell the server what they are.
const APPLICATION: &str = "turnpike-control";
const PORT: u16 = 5432;

/// What is wrong with a store's URL. Never has the password in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    #[error(
        "--store: has to begin with postgres:// or postgresql://; without it, the store is SQLite in --data-dir"
    )]
    Scheme,
    #[error("--store: {0}")]
    Malformed(String),
    #[error("--store: names no host: postgres://USER@HOST/DATABASE, or ?host=/DIRECTORY of a Unix socket")]
    NoHost,
    #[error("--store: names no user: postgres://USER@HOST/DATABASE")]
    NoUser,
    #[error("--store: names no database: postgres://USER@HOST/DATABASE")]
    NoDatabase,
    #[error(
        "--store: sslmode={0} isn't offered, since it may go without encryption or without knowing the server: use \
         verify-full (sslrootcert=FILE names the authority) or disable"
    )]
    SslMode(String),
    #[error("--store: sslrootcert is of no use with sslmode=disable")]
    UnusedRoot,
    #[error("--store: target_session_attrs=read-only: the store is changed, so that a primary is needed")]
    ReadOnly,
    #[error("--store: a Unix socket has no TLS: leave sslmode out, or name a host")]
    TlsOnUnixSocket,
}

/// A checked URL.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreUrl {
    pub(super) config: Config,
    pub(super) tls: Option<TlsRoots>,
    /// For errors: where, and which database; no password.
    pub(super) place: String,
}

/// Which authorities the server's certificate may be of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TlsRoots {
    System,
    File(PathBuf),
}

impl std::fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreUrl").field("place", &self.place).field("tls", &self.tls).finish_non_exhaustive()
    }
}

impl FromStr for StoreUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err(UrlError::Scheme);
        }
        let (bare, tls) = take_tls_parameters(text)?;
        let mut config: Config = bare
            .parse()
            .map_err(|error: tokio_postgres::Error| UrlError::Malformed(super::postgres::reason(&error)))?;
        if config.get_hosts().is_empty() {
            return Err(UrlError::NoHost);
        }
        config.get_user().ok_or(UrlError::NoUser)?;
        let database = config.get_dbname().ok_or(UrlError::NoDatabase)?;
        let place = format!("{}, database {database}", places(&config).join(" or "));
        let tls = tls_of(&config, tls)?;
        config.ssl_mode(if tls.is_some() { SslMode::Require } else { SslMode::Disable });
        config.application_name(APPLICATION);
        if config.get_target_session_attrs() == TargetSessionAttrs::ReadOnly {
            return Err(UrlError::ReadOnly);
        }
        // Whichever is asked first may be a standby by then.
        if config.get_hosts().len() > 1 {
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        Ok(Self { config, tls, place })
    }
}

#[derive(Debug, Default)]
struct TlsParameters {
    mode: Option<String>,
    roots: Option<PathBuf>,
}

/// The URL without what is decided here: the client library knows fewer modes, and no files.
fn take_tls_parameters(text: &str) -> Result<(String, TlsParameters), UrlError> {
    let Some((base, query)) = text.split_once('?') else {
        return Ok((text.to_owned(), TlsParameters::default()));
    };
    let (mut rest, mut taken) = (Vec::new(), TlsParameters::default());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = percent_encoding::percent_decode_str(value).decode_utf8();
        let value = value.map_err(|_| UrlError::Malformed(format!("the value of {name} isn't UTF-8")))?;
        match name {
            "sslmode" => taken.mode = Some(value.into_owned()),
            "sslrootcert" => taken.roots = Some(PathBuf::from(value.into_owned())),
            _ => rest.push(pair),
        }
    }
    Ok((format!("{base}?{}", rest.join("&")), taken))
}

fn tls_of(
    config: &Config,
    TlsParameters { mode, roots }: TlsParameters,
) -> Result<Option<TlsRoots>, UrlError> {
    let on_unix_socket = config.get_hosts().iter().any(|host| matches!(host, Host::Unix(_)));
    let wanted = match mode.as_deref() {
        None => roots.is_some() || !config.get_hosts().iter().all(is_local),
        Some("disable") if roots.is_some() => return Err(UrlError::UnusedRoot),
        Some("disable") => false,
        // What libpq does by the first two depends on a file; here, all of them know the server.
        Some("require" | "verify-ca" | "verify-full") => true,
        Some(other) => return Err(UrlError::SslMode(other.to_owned())),
    };
    match (wanted, on_unix_socket) {
        (false, _) => Ok(None),
        (true, true) => Err(UrlError::TlsOnUnixSocket),
        (true, false) => Ok(Some(roots.map_or(TlsRoots::System, TlsRoots::File))),
    }
}

fn is_local(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
        }
    }
}

/// Each host with its port, as an operator would look for it.
fn places(config: &Config) -> Vec<String> {
    let ports = config.get_ports();
    let port = |at: usize| ports.get(at).or(ports.first()).copied().unwrap_or(PORT);
    let place = |(at, host): (usize, &Host)| match host {
        Host::Tcp(name) => format!("PostgreSQL {name}:{}", port(at)),
        Host::Unix(dir) => format!("PostgreSQL {}/.s.PGSQL.{}", dir.display(), port(at)),
    };
    config.get_hosts().iter().enumerate().map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<StoreUrl, UrlError> {
        text.parse()
    }

    #[test]
    fn places_are_told_without_the_password() {
        let url = parse("postgres://turnpike:secret@db.example.com:5433/control").expect("valid");
        assert_eq!(url.place, "PostgreSQL db.example.com:5433, database control");
        assert!(!format!("{url:?}").contains("secret"));
        let url = parse("postgresql://me@/d?host=/run/postgresql").expect("valid");
        assert_eq!(url.place, "PostgreSQL /run/postgresql/.s.PGSQL.5432, database d");
        let url = parse("postgres://me@a,b:7/d").expect("valid");
        assert_eq!(url.place, "PostgreSQL a:5432 or PostgreSQL b:7, database d");
    }

    #[test]
    fn encryption_is_never_left_to_chance() {
        let tls = |text: &str| parse(text).expect(text).tls;
        assert_eq!(tls("postgres://u@db.example.com/d"), Some(TlsRoots::System));
        assert_eq!(tls("postgres://u@db.example.com/d?sslmode=require"), Some(TlsRoots::System));
        assert_eq!(tls("postgres://u@db.example.com/d?sslmode=disable"), None);
        assert_eq!(tls("postgres://u@127.0.0.1/d"), None);
        assert_eq!(tls("postgres://u@localhost/d"), None);
        assert_eq!(tls("postgres://u@/d?host=/tmp"), None);
        let file = Some(TlsRoots::File(PathBuf::from("/a b.pem")));
        assert_eq!(tls("postgres://u@[::1]/d?sslmode=verify-full&sslrootcert=/a%20b.pem"), file);
        assert_eq!(tls("postgres://u@localhost/d?sslrootcert=/a%20b.pem"), file);
    }

    /// What a standby says may be old, and it takes no change: of several hosts, the one that is the primary is meant.
    #[test]
    fn of_several_hosts_the_primary_is_meant() {
        let wanted = |text: &str| parse(text).expect(text).config.get_target_session_attrs();
        assert_eq!(wanted("postgres://u@a,b/d"), TargetSessionAttrs::ReadWrite);
        assert_eq!(
            wanted("postgres://u@a,b/d?target_session_attrs=read-write"),
            TargetSessionAttrs::ReadWrite
        );
        // Who named a standby alone is told so, in more words than the client library has.
        assert_eq!(wanted("postgres://u@a/d"), TargetSessionAttrs::Any);
    }

    #[test]
    fn mistakes_are_named() {
        let table = [
            ("mysql://u@h/d", UrlError::Scheme),
            ("host=h user=u dbname=d", UrlError::Scheme),
            ("postgres://u@/d", UrlError::NoHost),
            ("postgres://h/d", UrlError::NoUser),
            ("postgres://u@h", UrlError::NoDatabase),
            ("postgres://u@h/d?sslmode=prefer", UrlError::SslMode("prefer".to_owned())),
            ("postgres://u@h/d?sslmode=disable&sslrootcert=f", UrlError::UnusedRoot),
            ("postgres://u@/d?host=/tmp&sslmode=require", UrlError::TlsOnUnixSocket),
            ("postgres://u@h/d?target_session_attrs=read-only", UrlError::ReadOnly),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text).expect_err(text), expected, "{text}");
        }
        for (text, part) in [("postgres://u@h:x/d", "port"), ("postgres://u@h/d?colour=red", "colour")] {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
