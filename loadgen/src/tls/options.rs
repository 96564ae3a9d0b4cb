//! The part of the command line that https:// URLs need.

use std::path::PathBuf;

use clap::ValueEnum;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, SupportedProtocolVersion};

use super::{TlsSettings, trust};
use crate::target::Url;

/// What `--tls` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TlsVersion {
    #[value(name = "1.2")]
    Tls12,
    #[value(name = "1.3")]
    Tls13,
}

/// A setting that is on or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    On,
    Off,
}

/// How to speak TLS, and whom to trust.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "HTTPS")]
pub struct TlsArgs {
    /// Trust the authorities (or the self-signed certificate) in this PEM file, and no others [default: the system's]
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub cacert: Option<PathBuf>,

    /// Take any certificate for any name; that the server holds its key is still checked
    #[arg(long)]
    pub insecure: bool,

    /// The server name to send and to verify [default: the URL's host]
    #[arg(long, value_name = "NAME")]
    pub sni: Option<String>,

    /// The one TLS version to offer [default: both]
    #[arg(long, value_enum, value_name = "VERSION")]
    pub tls: Option<TlsVersion>,

    /// Resume sessions where the server allows it; each thread keeps its own [default: on]
    #[arg(long, value_enum, value_name = "SWITCH")]
    pub tls_resumption: Option<Switch>,
}

impl TlsArgs {
    /// Reads the certificates; `None` for an http:// URL. Errors are sentences for the user.
    pub fn check(&self, url: &Url) -> Result<Option<TlsSettings>, String> {
        Ok(self.check_all(std::slice::from_ref(url))?.pop().flatten())
    }

    /// The same for all URLs of a run, of which one may be http://.
    pub fn check_all(&self, urls: &[Url]) -> Result<Vec<Option<TlsSettings>>, String> {
        if !urls.iter().any(|url| url.tls) {
            return match self.first_given() {
                Some(option) => Err(format!("{option} needs an https:// URL")),
                None => Ok(urls.iter().map(|_| None).collect()),
            };
        }
        let config = trust::client_config(&self.versions(), self.cacert.as_deref(), self.insecure)?;
        let of = |url: &Url| url.tls.then(|| self.settings(url, config.clone())).transpose();
        urls.iter().map(of).collect()
    }

    fn settings(&self, url: &Url, config: ClientConfig) -> Result<TlsSettings, String> {
        let name = self.sni.as_deref().unwrap_or(&url.host);
        Ok(TlsSettings {
            config,
            name: ServerName::try_from(name.to_owned())
                .map_err(|_| format!("'{name}' is neither a host name nor an address: see --sni"))?,
            resumption: self.tls_resumption != Some(Switch::Off),
            http2: false,
        })
    }

    fn first_given(&self) -> Option<&'static str> {
        let given = [
            (self.cacert.is_some(), "--cacert"),
            (self.insecure, "--insecure"),
            (self.sni.is_some(), "--sni"),
            (self.tls.is_some(), "--tls"),
            (self.tls_resumption.is_some(), "--tls-resumption"),
        ];
        given.into_iter().find_map(|(given, option)| given.then_some(option))
    }

    fn versions(&self) -> Vec<&'static SupportedProtocolVersion> {
        match self.tls {
            None => rustls::ALL_VERSIONS.to_vec(),
            Some(TlsVersion::Tls12) => vec![&rustls::version::TLS12],
            Some(TlsVersion::Tls13) => vec![&rustls::version::TLS13],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, args: TlsArgs) -> Result<Option<TlsSettings>, String> {
        args.check(&Url::parse(url).unwrap())
    }

    #[test]
    fn the_name_is_the_urls_unless_another_is_given() {
        let insecure = TlsArgs { insecure: true, ..TlsArgs::default() };
        let settings = check("https://a.test:8443/", insecure.clone()).unwrap().unwrap();
        assert_eq!((settings.name, settings.resumption), ("a.test".try_into().unwrap(), true));
        let urls = ["http://a.test/", "https://b.test/"].map(|url| Url::parse(url).unwrap());
        let names = insecure.check_all(&urls).unwrap().into_iter().map(|tls| Some(tls?.name));
        assert_eq!(names.collect::<Vec<_>>(), [None, Some("b.test".try_into().unwrap())]);
        let other = TlsArgs { sni: Some("b.test".into()), ..insecure };
        assert_eq!(check("https://a.test/", other).unwrap().unwrap().name, "b.test".try_into().unwrap());
    }

    #[test]
    fn options_without_use_or_sense_are_refused() {
        let off = TlsArgs { tls_resumption: Some(Switch::Off), ..TlsArgs::default() };
        assert_eq!(check("http://a.test/", off).unwrap_err(), "--tls-resumption needs an https:// URL");
        let name = TlsArgs { sni: Some("a b".into()), insecure: true, ..TlsArgs::default() };
        assert!(check("https://a.test/", name).unwrap_err().contains("--sni"));
        let absent = TlsArgs { cacert: Some("/nonexistent/ca.pem".into()), ..TlsArgs::default() };
        assert!(check("https://a.test/", absent).unwrap_err().starts_with("--cacert /nonexistent/ca.pem: "));
    }
}
