//! Who may reach a private custom domain name: a VPC endpoint that is associated with it.

use serde::{Deserialize, Serialize};

use super::{Entity, Tags};

/// What a private domain name has beyond a public one. It isn't served: here are no VPC endpoints to reach it by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrivateDomain {
    /// In ARNs after the name.
    pub id: String,
    /// Who may call it, as JSON.
    pub policy: Option<String>,
    /// Who may make associations with it, as JSON.
    pub management_policy: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainAccess {
    /// [`access_id`].
    pub id: String,
    /// The domain's name.
    pub domain: String,
    /// The VPC endpoint's id.
    pub source: String,
    pub tags: Tags,
}

impl Entity for DomainAccess {
    const KIND: &'static str = "domain-name-access-association";

    fn id(&self) -> &str {
        &self.id
    }

    fn uses(&self) -> Option<&str> {
        Some(&self.domain)
    }
}

/// What follows `/domainnameaccessassociations/` in an association's ARN.
#[must_use]
pub fn access_id(domain: &str, domain_id: &str, source: &str) -> String {
    format!("domainname/{domain}+{domain_id}/vpcesource/{source}")
}

/// A VPC endpoint's id as AWS has them.
///
/// # Errors
/// Says what it has to look like.
pub fn check_vpc_endpoint(id: &str) -> Result<(), String> {
    let digits = id.strip_prefix("vpce-").unwrap_or("");
    match !digits.is_empty() && digits.len() <= 64 && digits.bytes().all(|b| b.is_ascii_alphanumeric()) {
        true => Ok(()),
        false => Err(format!("A VPC endpoint is named vpce-0123456789abcdef0 or the like, not '{id}'")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_named() {
        for id in ["vpce-0123456789abcdef0", "vpce-abcd1234efg"] {
            assert_eq!(check_vpc_endpoint(id), Ok(()));
        }
        for id in ["", "vpce-", "vpc-1", "vpce-a/b", "vpce-a+b"] {
            assert!(check_vpc_endpoint(id).is_err(), "{id}");
        }
    }
}
