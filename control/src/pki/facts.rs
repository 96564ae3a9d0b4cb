//! What a certificate says of itself, in AWS's words.

use serde::{Deserialize, Serialize};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{ExtendedKeyUsage, GeneralName, KeyUsage};
use x509_parser::prelude::ParsedExtension;

use super::{KeyAlgorithm, PkiError};

/// The parts of a certificate that callers are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Distinguished names as text.
    pub subject: String,
    /// The issuer's organization, its common name, or all of its name.
    pub issuer: String,
    /// Hexadecimal with colons.
    pub serial: String,
    /// Lower case, each once; the common name first, where it is one of them or there is no other.
    pub names: Vec<String>,
    /// Seconds since 1970.
    pub not_before_s: i64,
    pub not_after_s: i64,
    pub key_algorithm: KeyAlgorithm,
    pub signature_algorithm: String,
    pub key_usages: Vec<String>,
    /// Name and OID.
    pub extended_key_usages: Vec<(String, String)>,
}

impl Facts {
    /// # Errors
    /// When its key is of a kind that no gateway could sign with.
    pub(super) fn of(certificate: &X509Certificate<'_>) -> Result<Self, PkiError> {
        let issuer = certificate.issuer();
        let part = issuer.iter_organization().next().or_else(|| issuer.iter_common_name().next());
        let part = part.and_then(|part| part.as_str().ok());
        Ok(Self {
            subject: certificate.subject().to_string(),
            issuer: part.map_or_else(|| issuer.to_string(), str::to_owned),
            serial: certificate.raw_serial_as_string(),
            names: names(certificate),
            not_before_s: certificate.validity().not_before.timestamp(),
            not_after_s: certificate.validity().not_after.timestamp(),
            key_algorithm: KeyAlgorithm::of(certificate.public_key())?,
            signature_algorithm: signature_algorithm(certificate),
            key_usages: key_usages(certificate),
            extended_key_usages: extended_key_usages(certificate),
        })
    }

    /// Whether it is good for a domain, which may begin with `*.` itself (RFC 9525 6.3: a wildcard stands for one
    /// label).
    #[must_use]
    pub fn covers(&self, domain: &str) -> bool {
        let above = domain.split_once('.').map(|(_, above)| above);
        self.names
            .iter()
            .any(|name| name == domain || name.strip_prefix("*.").is_some_and(|name| Some(name) == above))
    }

    /// What stands for all of them.
    #[must_use]
    pub fn domain_name(&self) -> &str {
        self.names.first().map_or(self.subject.as_str(), String::as_str)
    }
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let mut names: Vec<String> = match certificate.subject_alternative_name() {
        Ok(Some(alternatives)) => alternatives
            .value
            .general_names
            .iter()
            .filter_map(|name| match name {
                GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    };
    let common_name = certificate.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
    if let Some(common_name) = common_name.map(str::to_ascii_lowercase) {
        match names.iter().position(|name| *name == common_name) {
            Some(at) => names.swap(0, at),
            // A client that goes by RFC 9525 doesn't look at it.
            None if names.is_empty() => names.push(common_name),
            None => {}
        }
    }
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

fn signature_algorithm(certificate: &X509Certificate<'_>) -> String {
    let oid = certificate.signature_algorithm.algorithm.to_id_string();
    let name = match oid.as_str() {
        "1.2.840.113549.1.1.5" => "SHA1WITHRSA",
        "1.2.840.113549.1.1.10" => "RSASSA-PSS",
        "1.2.840.113549.1.1.11" => "SHA256WITHRSA",
        "1.2.840.113549.1.1.12" => "SHA384WITHRSA",
        "1.2.840.113549.1.1.13" => "SHA512WITHRSA",
        "1.2.840.10045.4.3.2" => "SHA256WITHECDSA",
        "1.2.840.10045.4.3.3" => "SHA384WITHECDSA",
        "1.2.840.10045.4.3.4" => "SHA512WITHECDSA",
        "1.3.101.112" => "ED25519",
        _ => return oid,
    };
    name.to_owned()
}

fn key_usages(certificate: &X509Certificate<'_>) -> Vec<String> {
    let names = |usage: &KeyUsage| {
        let table = [
            (usage.digital_signature(), "DIGITAL_SIGNATURE"),
            (usage.non_repudiation(), "NON_REPUDIATION"),
            (usage.key_encipherment(), "KEY_ENCIPHERMENT"),
            (usage.data_encipherment(), "DATA_ENCIPHERMENT"),
            (usage.key_agreement(), "KEY_AGREEMENT"),
            (usage.key_cert_sign(), "CERTIFICATE_SIGNING"),
            (usage.crl_sign(), "CRL_SIGNING"),
            (usage.encipher_only(), "ENCIPHER_ONLY"),
            (usage.decipher_only(), "DECIPHER_ONLY"),
        ];
        table.into_iter().filter(|(set, _)| *set).map(|(_, name)| name.to_owned()).collect()
    };
    extension(certificate, |parsed| match parsed {
        ParsedExtension::KeyUsage(usage) => Some(names(usage)),
        _ => None,
    })
}

fn extended_key_usages(certificate: &X509Certificate<'_>) -> Vec<(String, String)> {
    let names = |usage: &ExtendedKeyUsage<'_>| {
        let table = [
            (usage.any, "ANY", "2.5.29.37.0"),
            (usage.server_auth, "TLS_WEB_SERVER_AUTHENTICATION", "1.3.6.1.5.5.7.3.1"),
            (usage.client_auth, "TLS_WEB_CLIENT_AUTHENTICATION", "1.3.6.1.5.5.7.3.2"),
            (usage.code_signing, "CODE_SIGNING", "1.3.6.1.5.5.7.3.3"),
            (usage.email_protection, "EMAIL_PROTECTION", "1.3.6.1.5.5.7.3.4"),
            (usage.time_stamping, "TIME_STAMPING", "1.3.6.1.5.5.7.3.8"),
            (usage.ocsp_signing, "OCSP_SIGNING", "1.3.6.1.5.5.7.3.9"),
        ];
        let known = table.into_iter().filter(|(set, _, _)| *set);
        let known = known.map(|(_, name, oid)| (name.to_owned(), oid.to_owned()));
        known.chain(usage.other.iter().map(|oid| ("CUSTOM".to_owned(), oid.to_id_string()))).collect()
    };
    extension(certificate, |parsed| match parsed {
        ParsedExtension::ExtendedKeyUsage(usage) => Some(names(usage)),
        _ => None,
    })
}

fn extension<T: Default>(
    certificate: &X509Certificate<'_>,
    take: impl Fn(&ParsedExtension<'_>) -> Option<T>,
) -> T {
    certificate
        .extensions()
        .iter()
        .find_map(|extension| take(extension.parsed_extension()))
        .unwrap_or_default()
}
