//! Checks of the account unit.

use std::collections::HashSet;

use super::{Checked, Problem, count, plan, text, tls, wrong};
use crate::limits::Limits;
use crate::unit::{AccountUnit, Domain, Mapping, RoutingRule};

pub(super) fn check(account: &AccountUnit, limits: &Limits) -> Checked {
    text::account_id(&account.account_id)?;
    text::api_id("region", &account.region)?;
    text::dns_name("endpoint suffix", &account.endpoint_suffix)?;
    account.throttle.as_ref().map_or(Ok(()), plan::check_throttle).map_err(|e| e.within("account"))?;
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
    check_rules(domain, limits)
}

fn check_mapping(mapping: &Mapping, limits: &Limits) -> Checked {
    text::mapping_key("key", &mapping.key, limits.path_bytes_max)?;
    check_aim(&mapping.api_id, &mapping.stage)
}

/// Where a mapping or a rule leads.
fn check_aim(api_id: &str, stage: &str) -> Checked {
    text::api_id("api id", api_id)?;
    if stage == "$default" { Ok(()) } else { text::stage("stage", stage) }
}

fn check_rules(domain: &Domain, limits: &Limits) -> Checked {
    count("rules", domain.rules.len(), limits.rules_per_domain_max)?;
    let mut priorities = HashSet::with_capacity(domain.rules.len());
    for rule in &domain.rules {
        if !priorities.insert(rule.priority) {
            return Err(wrong("rule priorities", Problem::Duplicate { found: rule.priority.to_string() }));
        }
        check_rule(rule, limits).map_err(|e| e.within(&format!("rule {}", rule.priority)))?;
    }
    Ok(())
}

fn check_rule(rule: &RoutingRule, limits: &Limits) -> Checked {
    text::id("id", &rule.id, limits.id_bytes_max)?;
    count("header conditions", rule.headers.len(), limits.conditions_per_rule_max)?;
    for condition in &rule.headers {
        if condition.any_of.is_empty() {
            return Err(wrong("header condition", Problem::Empty));
        }
        count("header condition", condition.any_of.len(), limits.conditions_per_rule_max)?;
        for wanted in &condition.any_of {
            text::field_name("header", &wanted.name)?;
            text::value_glob("header value", &wanted.value_glob, limits.path_bytes_max)?;
        }
    }
    count("base paths", rule.base_paths.len(), limits.conditions_per_rule_max)?;
    for base_path in &rule.base_paths {
        if base_path.is_empty() {
            return Err(wrong("base path", Problem::Empty));
        }
        text::mapping_key("base path", base_path, limits.path_bytes_max)?;
    }
    check_aim(&rule.api_id, &rule.stage)
}
