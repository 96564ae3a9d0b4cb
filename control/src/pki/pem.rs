//! PEM (RFC 7468) to DER and back.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls_pki_types::pem::{PemObject as _, SectionKind};

use super::PkiError;

const LINE_CHARS: usize = 64;

/// All certificates in a text, in order, as DER.
///
/// # Errors
/// When the text isn't PEM, or holds none. `what` names it.
pub fn certificates_of(text: &[u8], what: &'static str) -> Result<Vec<Vec<u8>>, PkiError> {
    let found = sections(text, what)?;
    let certificates: Vec<Vec<u8>> = found
        .into_iter()
        .filter(|(kind, _)| matches!(kind, SectionKind::Certificate))
        .map(|(_, der)| der)
        .collect();
    match certificates.is_empty() {
        true => Err(PkiError::NoSection(what, "CERTIFICATE")),
        false => Ok(certificates),
    }
}

/// Every section that is known, in order.
pub(super) fn sections(text: &[u8], what: &'static str) -> Result<Vec<(SectionKind, Vec<u8>)>, PkiError> {
    let sections = <(SectionKind, Vec<u8>)>::pem_slice_iter(text);
    sections.map(|section| section.map_err(|error| PkiError::NotPem(what, error.to_string()))).collect()
}

/// A certificate as PEM, with a final line break.
#[must_use]
pub fn to_pem(der: &[u8]) -> String {
    section("CERTIFICATE", der)
}

/// PEM of any kind, by its label.
pub(super) fn section(label: &str, der: &[u8]) -> String {
    let digits = BASE64_STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in digits.as_bytes().chunks(LINE_CHARS) {
        text.extend(line.iter().map(|byte| char::from(*byte)));
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}
