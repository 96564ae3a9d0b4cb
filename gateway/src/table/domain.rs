//! A custom domain: what its rules and mappings lead to, and what a handshake for it does.

use std::sync::Arc;

use super::compile::CompileError;
use super::rules::{HeaderLines, Rule};
use super::{Address, AddressError, Stage, Table, below, rooted};
use crate::tls::Site;

#[derive(Debug)]
pub(super) struct Domain {
    /// In the order of their priorities.
    rules: Box<[Rule]>,
    /// Longest key first.
    base_paths: Box<[BasePath]>,
    /// `None` has the gateway's own certificate.
    pub(super) site: Option<Arc<Site>>,
}

#[derive(Debug)]
struct BasePath {
    key: Box<str>,
    stage: Arc<Stage>,
}

impl Domain {
    /// `table` has all the stages already.
    pub(super) fn compile(
        table: &Table,
        unit: &turnpike_snapshot::Domain,
        site: Option<Arc<Site>>,
    ) -> Result<Self, CompileError> {
        Ok(Self { rules: compile_rules(table, unit), base_paths: compile_mappings(table, unit)?, site })
    }

    pub(super) fn address<'t, 'p>(
        &'t self,
        path: &'p str,
        headers: HeaderLines<'_>,
    ) -> Result<Address<'t, 'p>, AddressError> {
        let address = match self.rules.iter().find_map(|rule| rule.address(path, headers)) {
            Some(ruled) => ruled?,
            None => {
                let mapped = self.base_paths.iter().find_map(|base_path| base_path.address(path));
                mapped.ok_or(AddressError::ApiUnknown)?
            }
        };
        let demand = self.site.as_ref().and_then(|site| site.demand);
        Ok(Address { demand, ..address })
    }
}

impl BasePath {
    fn address<'t, 'p>(&'t self, path: &'p str) -> Option<Address<'t, 'p>> {
        let path = rooted(below(&self.key, path)?);
        Some(Address { stage: &self.stage, path, base_path: Some(&self.key), rule: None, demand: None })
    }
}

fn compile_rules(table: &Table, domain: &turnpike_snapshot::Domain) -> Box<[Rule]> {
    let mut rules: Vec<_> = domain.rules.iter().collect();
    rules.sort_by_key(|rule| rule.priority);
    let compiled =
        rules.into_iter().map(|rule| Rule::compile(rule, table.stage(&rule.api_id, &rule.stage).cloned()));
    compiled.collect()
}

fn compile_mappings(
    table: &Table,
    domain: &turnpike_snapshot::Domain,
) -> Result<Box<[BasePath]>, CompileError> {
    let mut base_paths = Vec::with_capacity(domain.mappings.len());
    for mapping in &domain.mappings {
        let stage = table.stage(&mapping.api_id, &mapping.stage);
        let stage = stage.ok_or_else(|| CompileError::MappingDangles {
            domain: domain.name.clone(),
            key: mapping.key.clone(),
            api_id: mapping.api_id.clone(),
            stage: mapping.stage.clone(),
        })?;
        base_paths.push(BasePath { key: mapping.key.as_str().into(), stage: Arc::clone(stage) });
    }
    base_paths.sort_by_key(|base_path| std::cmp::Reverse(base_path.key.len()));
    Ok(base_paths.into())
}
