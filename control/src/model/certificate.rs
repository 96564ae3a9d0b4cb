//! A certificate that domain names are served with.

use serde::{Deserialize, Serialize};

use super::{Entity, Tags};
use crate::pki::{Facts, KeyAlgorithm};
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
    /// How control gets it by ACME; `None` for an imported one.
    pub request: Option<Request>,
}

/// What is wanted of a certificate authority, and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Checked by [`super::parse_domain_name`]; without wildcards, each once.
    pub names: Vec<String>,
    pub key_algorithm: KeyAlgorithm,
    /// What its caller tells a repeated call by.
    pub idempotency_token: Option<String>,
    /// When it is tried next, or renewed, in seconds since 1970; `None` once it has failed for good.
    pub due_at_s: Option<i64>,
    /// Tries that failed since it was requested or last issued.
    pub tries: u32,
    /// Why the last of them did.
    pub failure: Option<RequestFailure>,
    pub order: Option<Order>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestFailure {
    /// ACM's name for it.
    pub reason: String,
    pub message: String,
    pub at_s: i64,
}

/// An order at the authority, kept so that a restart goes on with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Of the authority that it is at.
    pub directory_url: String,
    pub url: String,
    /// Of the certificate to come; sealed in [`Certificate::key_context`].
    pub private_key: Sealed,
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

/// The account at a certificate authority, by its directory's URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcmeAccount {
    pub directory_url: String,
    pub contact: Option<String>,
    /// The ACME client's own document, with the account's key; sealed in [`AcmeAccount::context`].
    pub credentials: Sealed,
}

/// What gateways answer to an authority that looks whether a name is ours (RFC 8555 8.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    pub certificate_id: String,
    pub host: String,
    pub token: String,
    pub key_authorization: String,
}

impl AcmeAccount {
    /// Where the credentials are sealed.
    #[must_use]
    pub fn context(directory_url: &str) -> String {
        format!("the ACME account at {directory_url}")
    }
}

impl Entity for AcmeAccount {
    const KIND: &'static str = "acme-account";

    fn id(&self) -> &str {
        &self.directory_url
    }
}

impl Entity for Challenge {
    const KIND: &'static str = "acme-challenge";

    fn id(&self) -> &str {
        &self.token
    }

    fn owner(&self) -> &str {
        &self.certificate_id
    }
}

impl Entity for Certificate {
    const KIND: &'static str = "certificate";

    fn id(&self) -> &str {
        &self.id
    }
}
