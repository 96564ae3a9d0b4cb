//! The account's unit, with its custom domains, and the units that those refer to.

use std::collections::BTreeMap;

use turnpike_snapshot::{
    AccountUnit, AcmeChallenge, CertificateUnit, Domain, DomainTls, HeaderCondition, HeaderMatch, Mapping,
    TrustStoreUnit, Unit,
};

use super::CompileError;
use super::throttle;
use crate::model::{
    ApiMapping, DomainName, Issued, MutualTls, RoutingCondition, RoutingRule, security_policy,
};
use crate::pki::certificates_of;
use crate::settings::Account;

/// A domain name with what leads from it to stages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutedDomain {
    pub domain: DomainName,
    pub rules: Vec<RoutingRule>,
    /// Resolved by [`mappings`].
    pub mappings: Vec<Mapping>,
}

/// What all stages share.
///
/// # Errors
/// When a domain has a security policy that isn't supported.
pub fn account(
    account: &Account,
    domains: &[RoutedDomain],
    acme_challenges: Vec<AcmeChallenge>,
) -> Result<Unit, CompileError> {
    let domains = domains.iter().map(compile_domain);
    Ok(Unit::Account(AccountUnit {
        account_id: account.id.clone(),
        region: account.region.clone(),
        endpoint_suffix: account.endpoint_suffix.clone(),
        domains: domains.collect::<Result<_, _>>()?,
        acme_challenges,
        throttle: account.throttle.map(throttle::of_account),
    }))
}

/// A domain's mappings to what is served. `stages` gives the stages of an API that are: a mapping to another one
/// waits for it. A mapping without a stage is one to each, unless another has that key.
#[must_use]
pub fn mappings(configured: &[ApiMapping], stages: impl Fn(&str) -> Vec<String>) -> Vec<Mapping> {
    let mut by_key = BTreeMap::new();
    for mapping in configured {
        let served = stages(&mapping.api_id);
        if let Some(stage) = mapping.stage.as_ref().filter(|stage| served.contains(stage)) {
            by_key.insert(mapping.key.clone(), resolved(mapping, mapping.key.clone(), stage.clone()));
        }
    }
    for mapping in configured.iter().filter(|mapping| mapping.stage.is_none()) {
        for stage in stages(&mapping.api_id) {
            let slash = if mapping.key.is_empty() { "" } else { "/" };
            let key = format!("{}{slash}{stage}", mapping.key);
            by_key.entry(key.clone()).or_insert_with(|| resolved(mapping, key, stage));
        }
    }
    by_key.into_values().collect()
}

fn resolved(mapping: &ApiMapping, key: String, stage: String) -> Mapping {
    Mapping { key, api_id: mapping.api_id.clone(), stage }
}

/// The name of a domain's trust store among the root's.
fn trust_store_id(domain: &str) -> String {
    format!("domain/{domain}")
}

/// The mode decides which of both a gateway gets to see.
fn compile_domain(routed: &RoutedDomain) -> Result<Domain, CompileError> {
    let RoutedDomain { domain, rules, mappings } = routed;
    let policy = security_policy(&domain.security_policy)?;
    let mode = domain.routing_mode;
    Ok(Domain {
        name: domain.name.clone(),
        rules: if mode.uses_rules() { rules.iter().map(compile_rule).collect() } else { Vec::new() },
        mappings: if mode.uses_mappings() { mappings.clone() } else { Vec::new() },
        tls: Some(DomainTls {
            certificate: domain.certificate_id.clone(),
            version_min: policy.version_min,
            cipher_suites: policy.cipher_suites.to_vec(),
            client_trust_store: domain.mutual_tls.as_ref().map(|_| trust_store_id(&domain.name)),
        }),
    })
}

/// One whose stage isn't served leads there all the same: what it matches isn't another rule's.
fn compile_rule(rule: &RoutingRule) -> turnpike_snapshot::RoutingRule {
    let mut compiled = turnpike_snapshot::RoutingRule {
        id: rule.id.clone(),
        priority: rule.priority,
        headers: Vec::new(),
        base_paths: Vec::new(),
        api_id: rule.api_id.clone(),
        stage: rule.stage.clone(),
        strip_base_path: rule.strip_base_path,
    };
    for condition in &rule.conditions {
        match condition {
            RoutingCondition::BasePaths(paths) => compiled.base_paths.extend(paths.iter().cloned()),
            RoutingCondition::Headers(globs) => compiled.headers.push(HeaderCondition {
                any_of: globs
                    .iter()
                    .map(|glob| HeaderMatch {
                        name: glob.header.to_ascii_lowercase(),
                        value_glob: glob.value_glob.clone(),
                    })
                    .collect(),
            }),
        }
    }
    compiled
}

/// What a domain is served with; `private_key` is PKCS#8, DER.
///
/// # Errors
/// When what the store holds isn't PEM.
pub fn certificate(id: &str, issued: &Issued, private_key: Vec<u8>) -> Result<Unit, CompileError> {
    let chain = certificates_of(issued.chain.concat().as_bytes(), "stored certificate")?;
    Ok(Unit::Certificate(CertificateUnit { id: id.to_owned(), chain, private_key }))
}

/// What a domain's clients are verified against.
///
/// # Errors
/// When what the store holds isn't PEM.
pub fn trust_store(domain: &str, mutual_tls: &MutualTls) -> Result<Unit, CompileError> {
    let certificates = certificates_of(mutual_tls.certificates.concat().as_bytes(), "stored trust store")?;
    Ok(Unit::TrustStore(TrustStoreUnit { id: trust_store_id(domain), certificates }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(key: &str, api_id: &str, stage: Option<&str>) -> ApiMapping {
        ApiMapping {
            id: "m".to_owned(),
            domain: "api.example.com".to_owned(),
            key: key.to_owned(),
            api_id: api_id.to_owned(),
            stage: stage.map(str::to_owned),
        }
    }

    fn resolve(configured: &[ApiMapping]) -> Vec<(String, String, String)> {
        let stages = |api_id: &str| match api_id {
            "a" => vec!["$default".to_owned(), "prod".to_owned()],
            _ => Vec::new(),
        };
        let found = mappings(configured, stages).into_iter();
        found.map(|mapping| (mapping.key, mapping.api_id, mapping.stage)).collect()
    }

    fn triple(key: &str, api_id: &str, stage: &str) -> (String, String, String) {
        (key.to_owned(), api_id.to_owned(), stage.to_owned())
    }

    #[test]
    fn only_what_is_served_is_mapped() {
        let configured =
            [mapping("v1/x", "a", Some("prod")), mapping("", "a", Some("gone")), mapping("b", "b", None)];
        assert_eq!(resolve(&configured), [triple("v1/x", "a", "prod")]);
    }

    #[test]
    fn without_a_stage_the_caller_names_it() {
        let configured =
            [mapping("v1", "a", None), mapping("v1/prod", "a", Some("$default")), mapping("", "a", None)];
        let expected = [
            triple("$default", "a", "$default"),
            triple("prod", "a", "prod"),
            triple("v1/$default", "a", "$default"),
            triple("v1/prod", "a", "$default"),
        ];
        assert_eq!(resolve(&configured), expected);
    }
}
