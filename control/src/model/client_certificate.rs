//! The certificate that upstreams are shown: made here, self-signed, with a private key that never leaves but in the
//! unit that gateways get.

use serde::{Deserialize, Serialize};

use super::{Entity, Tags};
use crate::secrets::Sealed;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientCertificate {
    pub id: String,
    pub description: Option<String>,
    pub tags: Tags,
    /// PEM.
    pub certificate: String,
    /// PKCS#8, DER, sealed in [`Self::key_context`].
    pub private_key: Sealed,
    /// Seconds since 1970.
    pub created_at_s: i64,
    pub expires_at_s: i64,
}

impl ClientCertificate {
    /// Where the private key is sealed.
    #[must_use]
    pub fn key_context(id: &str) -> String {
        format!("the private key of client certificate {id}")
    }
}

impl Entity for ClientCertificate {
    const KIND: &'static str = "client-certificate";

    fn id(&self) -> &str {
        &self.id
    }
}
