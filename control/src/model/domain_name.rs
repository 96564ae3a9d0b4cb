//! A custom domain name and what it maps to; both versions of the API see the same.

use serde::{Deserialize, Serialize};

use super::{Entity, PrivateDomain, RoutingMode, Tags};

/// A domain name's own limit (RFC 1035 2.3.4), and a label's.
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;
/// AWS's limit of a mapping's key.
const KEY_CHARS_MAX: usize = 300;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainName {
    /// Checked by [`parse_domain_name`]; also its identifier.
    pub name: String,
    /// Label of the name that its owner's DNS points to.
    pub alias: String,
    pub certificate_id: String,
    /// Whatever its owner calls the certificate.
    pub certificate_name: Option<String>,
    /// When it got the certificate, in seconds since 1970.
    pub certificate_at_s: i64,
    /// Of the certificate that proves to AWS whose the domain is; kept for the caller: nothing has to be proven here.
    #[serde(default)]
    pub ownership_certificate_arn: Option<String>,
    /// `EDGE` or `REGIONAL`: kept for the caller, the same thing here; or `PRIVATE`.
    pub endpoint_type: String,
    /// One that [`super::security_policy`] takes.
    pub security_policy: String,
    pub mutual_tls: Option<MutualTls>,
    #[serde(default)]
    pub routing_mode: RoutingMode,
    /// Kept for the caller: a gateway answers at the addresses that it is given.
    #[serde(default)]
    pub dual_stack: bool,
    /// With the endpoint type `PRIVATE`, and only then.
    #[serde(default)]
    pub private: Option<PrivateDomain>,
    pub tags: Tags,
}

/// Clients have to show a certificate of one of these authorities.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MutualTls {
    pub truststore_uri: String,
    pub truststore_version: Option<String>,
    /// What of the trust store can't be used, and why.
    pub warnings: Vec<String>,
    /// PEM of one certificate each, as they were when the domain was last given the trust store.
    pub certificates: Vec<String>,
}

/// Whole leading path segments at a domain that lead to a stage: v2's API mapping, v1's base path mapping.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiMapping {
    pub id: String,
    pub domain: String,
    /// Checked by [`check_mapping_key`]; empty maps the root.
    pub key: String,
    pub api_id: String,
    /// Without one, callers name the stage in the segment after the key.
    pub stage: Option<String>,
}

impl Entity for DomainName {
    const KIND: &'static str = "domain-name";

    fn id(&self) -> &str {
        &self.name
    }

    fn uses(&self) -> Option<&str> {
        Some(&self.certificate_id)
    }
}

impl Entity for ApiMapping {
    const KIND: &'static str = "api-mapping";

    fn id(&self) -> &str {
        &self.id
    }

    fn owner(&self) -> &str {
        &self.domain
    }

    fn name(&self) -> Option<String> {
        Some(self.key.clone())
    }

    fn uses(&self) -> Option<&str> {
        Some(&self.api_id)
    }
}

/// A domain name in lower case; `*.` may stand in front.
///
/// # Errors
/// Says what it has to look like.
pub fn parse_domain_name(text: &str) -> Result<String, String> {
    let name = text.to_ascii_lowercase();
    let labels: Vec<&str> = name.strip_prefix("*.").unwrap_or(&name).split('.').collect();
    let is_label = |label: &&str| {
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_address = labels.last().is_some_and(|label| label.bytes().all(|b| b.is_ascii_digit()));
    if name.len() <= NAME_BYTES_MAX && labels.len() > 1 && labels.iter().all(is_label) && !is_address {
        return Ok(name);
    }
    Err(format!(
        "A domain name has two labels or more of letters, digits and hyphens, perhaps with '*.' in front, and at \
         most {NAME_BYTES_MAX} characters: '{text}'"
    ))
}

/// A mapping's key: path segments without slashes at either end, or nothing.
///
/// # Errors
/// Says what it has to look like.
pub fn check_mapping_key(key: &str) -> Result<(), String> {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b"$-_.+!*'()".contains(&b);
    let dots = |segment: &str| matches!(segment, "." | "..");
    let is_segment = |segment: &str| !segment.is_empty() && !dots(segment) && segment.bytes().all(inner);
    if key.is_empty() || key.len() <= KEY_CHARS_MAX && key.split('/').all(is_segment) {
        return Ok(());
    }
    Err(format!(
        "A mapping's key has path segments of letters, digits and $-_.+!*'(), no '/' at either end, and at most \
         {KEY_CHARS_MAX} characters: '{key}'"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domain_names() {
        for (text, name) in [
            ("API.Example.com", "api.example.com"),
            ("*.example.com", "*.example.com"),
            ("a-1.b", "a-1.b"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ] {
            assert_eq!(parse_domain_name(text).as_deref(), Ok(name));
        }
        let long = format!("{}.example.com", "a.".repeat(130));
        for text in [
            "",
            "com",
            "*",
            "*.com",
            "a..b",
            ".a.b",
            "a.b.",
            "-a.b",
            "a-.b",
            "a_b.c",
            "a.*.b",
            "*.*.a.b",
            "a b.c",
            "10.0.0.1",
            "é.com",
            &long,
            &format!("{}.com", "a".repeat(64)),
        ] {
            assert!(parse_domain_name(text).is_err(), "{text}");
        }
    }

    #[test]
    fn mapping_keys() {
        for key in ["", "v1", "v1/pets", "a.b/$-_.+!*'()"] {
            assert_eq!(check_mapping_key(key), Ok(()), "{key}");
        }
        for key in
            ["/", "/v1", "v1/", "a//b", "a b", "a%20", "..", "a/./b", "é", "{x}", "a?b", &"x".repeat(301)]
        {
            assert!(check_mapping_key(key).is_err(), "{key}");
        }
    }
}
