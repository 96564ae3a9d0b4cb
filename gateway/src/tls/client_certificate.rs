//! A client's certificate, as `$context.identity.clientCert` shows it; parsed once a connection.
//!
//! Names are written as RFC 4514 has them, the most specific first; times as `May 28 12:30:02 2019 GMT` (AWS:
//! mutual TLS authentication, the event's `clientCert`).

use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use x509_parser::certificate::X509Certificate;
use x509_parser::der_parser::asn1_rs::FromDer as _;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::time::ASN1Time;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// What is told of a client that has proven to own a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClientCertificate {
    der: Box<[u8]>,
    pub(crate) subject_dn: Box<str>,
    pub(crate) issuer_dn: Box<str>,
    /// Hexadecimal, in pairs.
    pub(crate) serial_number: Box<str>,
    pub(crate) not_before: Box<str>,
    pub(crate) not_after: Box<str>,
    not_after_s: i64,
}

impl ClientCertificate {
    /// `None` where it is no X.509 certificate, which a verified one is.
    pub(crate) fn parse(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let validity = certificate.validity();
        Some(Self {
            der: der.into(),
            subject_dn: distinguished_name(certificate.subject()).into(),
            issuer_dn: distinguished_name(certificate.issuer()).into(),
            serial_number: certificate.raw_serial_as_string().into(),
            not_before: time(validity.not_before).into(),
            not_after: time(validity.not_after).into(),
            not_after_s: validity.not_after.timestamp(),
        })
    }

    /// In PEM (RFC 7468), with line breaks.
    pub(crate) fn pem(&self) -> String {
        const LINE_CHARACTERS: usize = 64;
        let encoded = BASE64_STANDARD.encode(&self.der);
        let mut pem = String::with_capacity(encoded.len() + encoded.len() / LINE_CHARACTERS + 64);
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        let mut rest = encoded.as_str();
        while !rest.is_empty() {
            let (line, after) = rest.split_at(rest.len().min(LINE_CHARACTERS));
            pem.push_str(line);
            pem.push('\n');
            rest = after;
        }
        pem.push_str("-----END CERTIFICATE-----\n");
        pem
    }

    /// A session may go on after the certificate that it began with has ended.
    pub(crate) fn has_expired(&self, unix_s: u64) -> bool {
        self.not_after_s < i64::try_from(unix_s).unwrap_or(i64::MAX)
    }
}

fn distinguished_name(name: &X509Name<'_>) -> String {
    let sets: Vec<_> = name.iter_rdn().collect();
    let mut out = String::new();
    for (index, set) in sets.into_iter().rev().enumerate() {
        for (position, attribute) in set.iter().enumerate() {
            match (index, position) {
                (0, 0) => {}
                (_, 0) => out.push(','),
                _ => out.push('+'),
            }
            write_attribute(attribute, &mut out);
        }
    }
    out
}

fn write_attribute(attribute: &AttributeTypeAndValue<'_>, out: &mut String) {
    match oid2abbrev(attribute.attr_type(), oid_registry()) {
        Ok(name) => out.push_str(name),
        Err(_) => out.push_str(&attribute.attr_type().to_id_string()),
    }
    out.push('=');
    match attribute.as_str() {
        Ok(value) => escape(value, out),
        // RFC 4514 2.4: what is no string is written as its bytes.
        Err(_) => {
            out.push('#');
            for byte in attribute.as_slice() {
                write!(out, "{byte:02x}").expect("writing to memory can't fail");
            }
        }
    }
}

/// RFC 4514 2.4.
fn escape(value: &str, out: &mut String) {
    let last = value.chars().count().saturating_sub(1);
    for (at, character) in value.chars().enumerate() {
        let edge = (at == 0 && matches!(character, ' ' | '#')) || (at == last && character == ' ');
        if edge || matches!(character, '"' | '+' | ',' | ';' | '<' | '>' | '\\') {
            out.push('\\');
        }
        if character == '\0' {
            out.push_str("\\00");
        } else {
            out.push(character);
        }
    }
}

fn time(time: ASN1Time) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let time = time.to_datetime();
    let month = MONTHS[usize::from(u8::from(time.month())) - 1];
    let (hour, minute, second) = time.to_hms();
    format!("{month} {:>2} {hour:02}:{minute:02}:{second:02} {} GMT", time.day(), time.year())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SerialNumber, date_time_ymd};

    use super::*;

    #[test]
    fn a_certificate_is_told_as_its_owner_wrote_it() {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CountryName, "DE");
        params.distinguished_name.push(DnType::OrganizationName, "Acme, Inc. + \"Co\"");
        params.distinguished_name.push(DnType::CommonName, " client#1 ");
        params.serial_number = Some(SerialNumber::from_slice(&[0x0a, 0xb1, 0x00, 0xff]));
        params.not_before = date_time_ymd(2019, 5, 28);
        params.not_after = date_time_ymd(2021, 8, 5);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let told = ClientCertificate::parse(certificate.der()).unwrap();
        assert_eq!(&*told.subject_dn, r#"CN=\ client#1\ ,O=Acme\, Inc. \+ \"Co\",C=DE"#);
        assert_eq!(told.issuer_dn, told.subject_dn);
        assert_eq!(&*told.serial_number, "0a:b1:00:ff");
        assert_eq!(&*told.not_before, "May 28 00:00:00 2019 GMT");
        assert_eq!(&*told.not_after, "Aug  5 00:00:00 2021 GMT");
        assert_eq!(told.pem(), certificate.pem().replace("\r\n", "\n"));
        assert!(told.has_expired(1_700_000_000) && !told.has_expired(1_600_000_000));
        assert_eq!(ClientCertificate::parse(b"no certificate"), None);
    }
}
