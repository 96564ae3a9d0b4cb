//! Certificates, whom they are shown to, and who vouches for those of peers.

use rkyv::{Archive, Deserialize, Serialize};

/// How a domain answers over HTTPS.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct DomainTls {
    /// Id of a [`CertificateUnit`].
    pub certificate: String,
    pub version_min: TlsVersion,
    /// IANA's numbers, in order of preference, at most 256; empty allows all that the gateway has.
    pub cipher_suites: Vec<u16>,
    /// Id of the [`TrustStoreUnit`] that clients' certificates are verified against; `None` asks for none.
    pub client_trust_store: Option<String>,
}

#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[rkyv(derive(Debug))]
pub enum TlsVersion {
    Tls12,
    Tls13,
}

/// How an upstream's certificate is verified, and what the upstream is shown.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Hash)]
#[rkyv(derive(Debug))]
pub struct UpstreamTls {
    /// The name that the certificate must have, and that is sent as SNI; `None`: the host.
    pub server_name: Option<String>,
    /// Takes certificates of any issuer (AWS's `insecureSkipVerification`); dates and name are still checked.
    pub insecure_skip_verification: bool,
    /// Id of a [`TrustStoreUnit`] whose authorities are trusted besides the system's.
    pub trust_store: Option<String>,
    /// Id of the [`CertificateUnit`] that is shown to an upstream that asks.
    pub client_certificate: Option<String>,
}

/// A certificate with its private key: a domain's, or the one that an upstream is shown.
#[derive(Archive, Serialize, Deserialize, Clone, PartialEq, Eq)]
pub struct CertificateUnit {
    /// No other certificate of the root has it.
    pub id: String,
    /// DER, the owner's first, each signed by the next.
    pub chain: Vec<Vec<u8>>,
    /// PKCS#8, DER.
    pub private_key: Vec<u8>,
}

// The key stays out of logs.
impl std::fmt::Debug for CertificateUnit {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("CertificateUnit").field("id", &self.id).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for ArchivedCertificateUnit {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ArchivedCertificateUnit").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Certificate authorities that peers are verified against.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct TrustStoreUnit {
    /// No other trust store of the root has it.
    pub id: String,
    /// DER.
    pub certificates: Vec<Vec<u8>>,
}
