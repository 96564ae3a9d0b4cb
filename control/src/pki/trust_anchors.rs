//! Authorities that upstreams are verified against.

use rustls_pki_types::CertificateDer;

use super::{PkiError, certificates_of};

/// The certificates in a PEM text, as DER; each of them can be trusted by what gateways verify with. `what` names the
/// text.
///
/// # Errors
/// When it holds none, or one that can't be trusted.
pub fn trust_anchors(text: &[u8], what: &'static str) -> Result<Vec<Vec<u8>>, PkiError> {
    let certificates = certificates_of(text, what)?;
    for (at, der) in certificates.iter().enumerate() {
        let der = CertificateDer::from_slice(der);
        webpki::anchor_from_trusted_cert(&der).map_err(|error| {
            PkiError::NotACertificate(format!("Number {} of the {what}", at + 1), error.to_string())
        })?;
    }
    Ok(certificates)
}
