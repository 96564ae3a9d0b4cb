//! X.509 as certificates are taken in: PEM to DER, a key that fits its certificate, a chain that links, and what a
//! certificate says of itself; and as client certificates are made. Pure; the time is a parameter. Errors are for
//! whoever gave the certificate.

mod authorities;
mod facts;
mod import;
mod key;
mod pem;
mod self_signed;
#[cfg(test)]
mod tests;
mod trust_anchors;

pub use authorities::authorities;
pub use facts::Facts;
pub use import::{Imported, Material, import, import_issued};
pub use key::{KeyAlgorithm, PrivateKey};
pub use pem::{certificates_of, to_pem};
pub use self_signed::{SelfSigned, self_signed};
pub use trust_anchors::trust_anchors;

/// Why a certificate or its key isn't taken. The messages go to the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PkiError {
    #[error("The {0} isn't PEM: {1}")]
    NotPem(&'static str, String),
    #[error("The {0} holds no PEM section BEGIN {1}")]
    NoSection(&'static str, &'static str),
    #[error("The certificate field holds more than one certificate; the others belong into the chain")]
    SeveralCertificates,
    #[error("The private key field holds more than one private key")]
    SeveralKeys,
    #[error("The private key is encrypted: decrypt it first, as with openssl pkey")]
    EncryptedKey,
    #[error("{0} isn't an X.509 certificate: {1}")]
    NotACertificate(String, String),
    #[error("The certificate's key algorithm {0} is not supported by this version of Turnpike")]
    KeyAlgorithm(String),
    #[error("The private key is not supported: {0}")]
    Key(String),
    #[error("The private key doesn't match the certificate's public key")]
    KeyMismatch,
    #[error("The certificate is not valid before {0}")]
    NotYetValid(String),
    #[error("The certificate has expired: it was valid until {0}")]
    Expired(String),
    #[error("The certificate has an empty issuer")]
    NoIssuer,
    #[error("The certificate isn't self-signed, so that its certificate chain is needed")]
    NoChain,
    #[error("The certificate chain doesn't link: {0}")]
    Chain(String),
}
