//! Checks of certificates, trust stores, and what refers to them.

use super::{Checked, Problem, count, size, text, wrong};
use crate::limits::Limits;
use crate::unit::{CertificateUnit, DomainTls, TrustStoreUnit, UpstreamTls};

/// Of one domain; far more than there are.
const CIPHER_SUITES_MAX: usize = 256;

pub(super) fn check_certificate(certificate: &CertificateUnit, limits: &Limits) -> Checked {
    let place = format!("certificate {}", certificate.id);
    text::id("certificate id", &certificate.id, limits.id_bytes_max)?;
    check_chain(&certificate.chain, limits).map_err(|e| e.within(&place))?;
    if certificate.private_key.is_empty() {
        return Err(wrong("private key", Problem::Empty).within(&place));
    }
    size("private key", certificate.private_key.len() as u64, limits.certificates_bytes_max as u64)
        .map_err(|e| e.within(&place))
}

pub(super) fn check_trust_store(store: &TrustStoreUnit, limits: &Limits) -> Checked {
    text::id("trust store id", &store.id, limits.id_bytes_max)?;
    check_chain(&store.certificates, limits).map_err(|e| e.within(&format!("trust store {}", store.id)))
}

/// Whether DER can be used is seen by whoever parses it: this crate knows no X.509.
fn check_chain(chain: &[Vec<u8>], limits: &Limits) -> Checked {
    if chain.is_empty() {
        return Err(wrong("certificates", Problem::Empty));
    }
    if let Some(index) = chain.iter().position(Vec::is_empty) {
        return Err(wrong(format!("certificate {index}"), Problem::Empty));
    }
    let bytes: u64 = chain.iter().map(|certificate| certificate.len() as u64).sum();
    size("certificates", bytes, limits.certificates_bytes_max as u64)
}

pub(super) fn check_domain_tls(tls: &DomainTls, limits: &Limits) -> Checked {
    text::id("certificate", &tls.certificate, limits.id_bytes_max)?;
    count("cipher suites", tls.cipher_suites.len(), CIPHER_SUITES_MAX)?;
    tls.client_trust_store
        .as_ref()
        .map_or(Ok(()), |store| text::id("client trust store", store, limits.id_bytes_max))
}

pub(super) fn check_upstream_tls(tls: &UpstreamTls, limits: &Limits) -> Checked {
    if let Some(name) = &tls.server_name {
        text::dns_name("server name", name)?;
    }
    for (place, id) in [("trust store", &tls.trust_store), ("client certificate", &tls.client_certificate)] {
        id.as_ref().map_or(Ok(()), |id| text::id(place, id, limits.id_bytes_max))?;
    }
    Ok(())
}
