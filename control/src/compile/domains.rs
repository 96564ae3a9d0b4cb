//! The account's unit, with its custom domains, and the units that those refer to.

use std::collections::BTreeMap;

use turnpike_snapshot::{
    AccountUnit, AcmeChallenge, CertificateUnit, Domain, DomainTls, Mapping, TrustStoreUnit, Unit,
};

use super::CompileError;
use crate::model::{ApiMapping, DomainName, Issued, MutualTls, security_policy};
use crate::pki::certificates_of;
use crate::settings::Account;

/// What all stages share. `domains` holds each domain's mappings, resolved by [`mappings`].
///
/// # Errors
/// When a domain has a security policy that isn't supported.
pub fn account(
    account: &Account,
    domains: &[(DomainName, Vec<Mapping>)],
    acme_challenges: Vec<AcmeChallenge>,
) -> Result<Unit, CompileError> {
    let domains = domains.iter().map(|(domain, mappings)| compile_domain(domain, mappings));
    Ok(Unit::Account(AccountUnit {
        account_id: account.id.clone(),
        region: account.region.clone(),
        endpoint_suffix: account.endpoint_suffix.clone(),
        domains: domains.collect::<Result<_, _>>()?,
        acme_challenges,
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

fn compile_domain(domain: &DomainName, mappings: &[Mapping]) -> Result<Domain, CompileError> {
    let policy = security_policy(&domain.security_policy)?;
    Ok(Domain {
        name: domain.name.clone(),
        rules: Vec::new(),
        mappings: mappings.to_vec(),
        tls: Some(DomainTls {
            certificate: domain.certificate_id.clone(),
            version_min: policy.version_min,
            cipher_suites: policy.cipher_suites.to_vec(),
            client_trust_store: domain.mutual_tls.as_ref().map(|_| trust_store_id(&domain.name)),
        }),
    })
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
