//! A certificate that domain names are served with.

use serde::{Deserialize, Serialize};

use super::{Entity, Tags};
use crate::pki::Facts;
use crate::secrets::Sealed;

/// As ACM keeps it: its ARN stays while what it holds is replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// The last part of its ARN: a UUID.
    pub id: String,
    pub tags: Tags,
    /// Seconds since 1970.
    pub created_at_s: i64,
    pub issued: Option<Issued>,
}

/// What a gateway serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// PEM of one certificate each, the owner's first.
    pub chain: Vec<String>,
    /// PKCS#8, DER, sealed in [`Certificate::key_context`].
    pub private_key: Sealed,
    pub facts: Facts,
    /// When it was imported or issued, in seconds since 1970.
    pub at_s: i64,
}

impl Certificate {
    /// Where the private key is sealed.
    #[must_use]
    pub fn key_context(id: &str) -> String {
        format!("the private key of certificate {id}")
    }

    #[must_use]
    pub fn arn(id: &str, region: &str, account_id: &str) -> String {
        format!("arn:aws:acm:{region}:{account_id}:certificate/{id}")
    }

    /// The id in an ARN of this region and account.
    #[must_use]
    pub fn id_of_arn<'a>(arn: &'a str, region: &str, account_id: &str) -> Option<&'a str> {
        let id = arn.strip_prefix(&Self::arn("", region, account_id))?;
        let ok = !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        ok.then_some(id)
    }
}

impl Entity for Certificate {
    const KIND: &'static str = "certificate";

    fn id(&self) -> &str {
        &self.id
    }
}
