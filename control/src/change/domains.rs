//! Custom domains from a change to the root: the account's unit, certificates and trust stores.

use std::collections::BTreeSet;

use turnpike_snapshot::{AcmeChallenge, Unit};

use super::{Change, ChangeError, View};
use crate::compile::{self, RoutedDomain};
use crate::model::{ApiMapping, Certificate, Challenge, DomainName};
use crate::store::{Slot, StoreError};

/// The families of the units that domains refer to.
const CERTIFICATES: &str = "domain-certificate";
const TRUST_STORES: &str = "domain-trust-store";

/// What of the domains a change has touched.
#[derive(Debug, Default)]
pub(super) struct Touched {
    account: bool,
    certificates: BTreeSet<String>,
    /// By the domain's name.
    trust_stores: BTreeSet<String>,
}

impl Change<'_> {
    /// A domain, a mapping or a challenge has changed.
    pub fn recompile_account(&mut self) {
        self.touched.account = true;
    }

    /// What the certificate holds has changed.
    pub fn recompile_certificate(&mut self, id: &str) {
        self.touched.account = true;
        self.touched.certificates.insert(id.to_owned());
    }

    /// The authorities that the domain's clients are verified against have changed.
    pub fn recompile_trust_store(&mut self, domain: &str) {
        self.touched.account = true;
        self.touched.trust_stores.insert(domain.to_owned());
    }

    /// Everything that domains are compiled to is compiled again.
    pub(super) fn recompile_domains(&mut self) -> Result<(), StoreError> {
        self.touched.account = true;
        self.touched.certificates.extend(self.view.tx.shared_in_slots(CERTIFICATES)?);
        for domain in self.view.tx.entities::<DomainName>()? {
            self.touched.trust_stores.insert(domain.name);
        }
        Ok(())
    }

    /// Brings the account's unit up to date, once the stages' are. Returns whether anything changed.
    pub(super) fn fill_account(&self) -> Result<bool, ChangeError> {
        if !self.touched.account && !self.has_mapped_stages()? {
            return Ok(false);
        }
        let mut domains: Vec<DomainName> = self.tx.entities()?;
        // Whoever made one private asked that nobody reach it but by a VPC endpoint.
        domains.retain(|domain| domain.private.is_none());
        let mut changed = self.fill_certificates(&domains)?;
        changed |= self.fill_trust_stores(&domains)?;
        let unit = self.account_unit(domains)?;
        Ok(changed | self.tx.set_slot(&Slot::Account, Some(&compile::encode(&unit)?))?)
    }

    /// Whether a mapping leads to one of the stages that were compiled: it may be served only now, or no longer.
    fn has_mapped_stages(&self) -> Result<bool, StoreError> {
        for (api_id, _) in &self.stages {
            if !self.tx.entities_using::<ApiMapping>(api_id)?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn fill_certificates(&self, domains: &[DomainName]) -> Result<bool, ChangeError> {
        let wanted: BTreeSet<&str> = domains.iter().map(|domain| domain.certificate_id.as_str()).collect();
        let again = |id: &str| self.touched.certificates.contains(id);
        self.fill_family(CERTIFICATES, &wanted, again, |id| {
            let certificate: Option<Certificate> = self.tx.entity("", id)?;
            let Some(issued) = certificate.and_then(|certificate| certificate.issued) else {
                return Ok(None);
            };
            let key = self.tx.open(&Certificate::key_context(id), &issued.private_key)?;
            Ok(Some(compile::certificate(id, &issued, key)?))
        })
    }

    fn fill_trust_stores(&self, domains: &[DomainName]) -> Result<bool, ChangeError> {
        let with = |name: &str| domains.iter().find(|domain| domain.name == name)?.mutual_tls.as_ref();
        let named = domains.iter().filter(|domain| domain.mutual_tls.is_some());
        let wanted: BTreeSet<&str> = named.map(|domain| domain.name.as_str()).collect();
        let again = |name: &str| self.touched.trust_stores.contains(name);
        self.fill_family(TRUST_STORES, &wanted, again, |name| {
            Ok(with(name).map(|mutual_tls| compile::trust_store(name, mutual_tls)).transpose()?)
        })
    }

    /// Lists exactly the `wanted` units of a family; makes those that aren't listed yet, and those to be made again.
    fn fill_family(
        &self,
        family: &'static str,
        wanted: &BTreeSet<&str>,
        again: impl Fn(&str) -> bool,
        make: impl Fn(&str) -> Result<Option<Unit>, ChangeError>,
    ) -> Result<bool, ChangeError> {
        let slot = |id: &str| Slot::Shared { family, id: id.to_owned() };
        let listed: BTreeSet<String> = self.tx.shared_in_slots(family)?.into_iter().collect();
        let mut changed = false;
        for gone in listed.iter().filter(|id| !wanted.contains(id.as_str())) {
            changed |= self.tx.set_slot(&slot(gone), None)?;
        }
        for id in wanted.iter().filter(|id| again(id) || !listed.contains(**id)) {
            let made = make(id).and_then(|unit| Ok(unit.map(|unit| compile::encode(&unit)).transpose()?));
            let encoded = match made {
                Err(ChangeError::Compile(error)) if self.is_upgrade => {
                    let kept = self.shared_in_place(&slot(id), &format_args!("{family} {id}"), &error)?;
                    Some(kept.ok_or(ChangeError::Compile(error))?)
                }
                made => made?,
            };
            changed |= self.tx.set_slot(&slot(id), encoded.as_ref())?;
        }
        Ok(changed)
    }
}

impl View<'_> {
    fn account_unit(&self, domains: Vec<DomainName>) -> Result<Unit, ChangeError> {
        let mut all = Vec::with_capacity(domains.len());
        for domain in domains {
            let configured: Vec<ApiMapping> = self.tx.entities_of(&domain.name)?;
            let mut served = std::collections::HashMap::new();
            for mapping in &configured {
                if !served.contains_key(&mapping.api_id) {
                    served.insert(mapping.api_id.clone(), self.tx.stages_in_slots(&mapping.api_id)?);
                }
            }
            let mappings =
                compile::mappings(&configured, |api_id| served.get(api_id).cloned().unwrap_or_default());
            let rules = self.tx.entities_of(&domain.name)?;
            all.push(RoutedDomain { domain, rules, mappings });
        }
        let challenges = self.tx.entities::<Challenge>()?.into_iter().map(|challenge| AcmeChallenge {
            host: challenge.host,
            token: challenge.token,
            key_authorization: challenge.key_authorization,
        });
        Ok(compile::account(&self.settings.account, &all, challenges.collect())?)
    }
}
