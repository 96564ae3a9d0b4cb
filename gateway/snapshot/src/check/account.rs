//! Checks of the account unit.

use std::collections::HashSet;

use super::{Checked, Problem, count, text, tls, wrong};
use crate::limits::Limits;
use crate::unit::{AccountUnit, Domain, Mapping};

pub(super) fn check(account: &AccountUnit, limits: &Limits) -> Checked {
    text::account_id(&account.account_id)?;
    text::api_id("region", &account.region)?;
    text::dns_name("endpoint suffix", &account.endpoint_suffix)?;
    count("ACME challenges", account.acme_challenges.len(), limits.acme_challenges_max)?;
    for challenge in &account.acme_challenges {
        text::dns_name("ACME challenge host", &challenge.host)?;
        text::id("ACME challenge token", &challenge.token, limits.id_bytes_max)?;
        text::id("ACME challenge key authorization", &challenge.key_authorization, limits.id_bytes_max)?;
    }
    count("domains", account.domains.len(), limits.domains_max)?;
    let mut names = HashSet::with_capacity(account.domains.len());
    for domain in &account.domains {
        if !names.insert(&domain.name) {
            return Err(wrong("domains", Problem::Duplicate { found: domain.name.clone() }));
        }
        check_domain(domain, limits).map_err(|e| e.within(&format!("domain {}", domain.name)))?;
    }
    Ok(())
}

fn check_domain(domain: &Domain, limits: &Limits) -> Checked {
    text::dns_name("name", domain.name.strip_prefix("*.").unwrap_or(&domain.name))?;
    domain.tls.as_ref().map_or(Ok(()), |tls| tls::check_domain_tls(tls, limits))?;
    count("mappings", domain.mappings.len(), limits.mappings_per_domain_max)?;
    let mut keys = HashSet::with_capacity(domain.mappings.len());
    for mapping in &domain.mappings {
        if !keys.insert(&mapping.key) {
            return Err(wrong("mapping keys", Problem::Duplicate { found: mapping.key.clone() }));
        }
        check_mapping(mapping, limits).map_err(|e| e.within(&format!("mapping {:?}", mapping.key)))?;
    }
    Ok(())
}

fn check_mapping(mapping: &Mapping, limits: &Limits) -> Checked {
    text::mapping_key("key", &mapping.key, limits.path_bytes_max)?;
    text::api_id("api id", &mapping.api_id)?;
    if mapping.stage == "$default" { Ok(()) } else { text::stage("stage", &mapping.stage) }
}
