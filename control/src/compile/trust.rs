//! Certificates towards upstreams as units: what they are shown, and whom they are believed.

use turnpike_snapshot::{CertificateUnit, TrustStoreUnit};

use super::GroupOwner;
use crate::pki::{PkiError, certificates_of, trust_anchors};

const UNIT_PREFIX: &str = "client/";

/// Names a client certificate in the root, apart from those of domains.
#[must_use]
pub fn client_certificate_unit_id(id: &str) -> String {
    format!("{UNIT_PREFIX}{id}")
}

/// The client certificate that has this name in the root.
#[must_use]
pub fn client_certificate_of_unit_id(unit_id: &str) -> Option<&str> {
    unit_id.strip_prefix(UNIT_PREFIX)
}

/// # Errors
/// When the text holds no certificate.
pub fn client_certificate(id: &str, pem: &str, private_key: Vec<u8>) -> Result<CertificateUnit, PkiError> {
    let chain = certificates_of(pem.as_bytes(), "certificate")?;
    Ok(CertificateUnit { id: client_certificate_unit_id(id), chain, private_key })
}

/// The authorities that a group's targets are believed by, named as the group is.
///
/// # Errors
/// When the text isn't certificates that can be trusted.
pub fn upstream_trust_store(owner: &GroupOwner, ca_pem: &str) -> Result<TrustStoreUnit, PkiError> {
    Ok(TrustStoreUnit { id: owner.unit_id(), certificates: trust_anchors(ca_pem.as_bytes(), "caPem")? })
}
