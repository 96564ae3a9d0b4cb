//! Client certificates as they are made: self-signed ECDSA P-256, for client authentication only.

use std::time::Duration;

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, date_time_ymd,
};

use super::{PkiError, PrivateKey, to_pem};

/// A certificate and the key that it is of.
#[derive(Debug)]
pub struct SelfSigned {
    pub certificate_pem: String,
    pub private_key: PrivateKey,
}

/// Makes a client certificate that is valid from `from_s` to `to_s`, in seconds since 1970.
///
/// # Errors
/// When the system gives no random bytes.
pub fn self_signed(common_name: &str, from_s: i64, to_s: i64) -> Result<SelfSigned, PkiError> {
    let date = |at_s: i64| date_time_ymd(1970, 1, 1) + Duration::from_secs(u64::try_from(at_s).unwrap_or(0));
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = date(from_s);
    params.not_after = date(to_s);
    // Not a CA: a server that trusts it must not trust what it could sign.
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let failed = |error: rcgen::Error| PkiError::Key(error.to_string());
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
    let certificate = params.self_signed(&key).map_err(failed)?;
    Ok(SelfSigned {
        certificate_pem: to_pem(certificate.der()),
        private_key: PrivateKey { pkcs8: key.serialize_der() },
    })
}
