//! What a table connects to: names to look up, and target groups.

use std::sync::Arc;

use turnpike_snapshot::{Endpoint, TargetGroupUnit, Unit};

use super::{Api, Table, TargetGroup};

/// The names that a table connects to, each once.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct UpstreamNames {
    /// Of integrations and of target groups.
    pub(crate) hosts: Vec<String>,
    /// SRV names, of target groups.
    pub(crate) services: Vec<String>,
}

impl Table {
    pub(crate) fn upstream_names(&self) -> &Arc<UpstreamNames> {
        &self.upstream_names
    }

    /// Once the table has its stages and target groups.
    pub(super) fn find_upstream_names(&self) -> UpstreamNames {
        UpstreamNames { hosts: self.upstream_hosts(), services: self.upstream_services() }
    }

    fn upstream_hosts(&self) -> Vec<String> {
        let stages = self.apis.iter().flat_map(Api::stages);
        let releases = stages.flat_map(|stage| stage.releases());
        let upstreams = releases.flat_map(|release| &release.upstreams);
        let own = upstreams.filter(|upstream| upstream.group.is_none()).map(|upstream| &*upstream.host);
        let endpoints = self.target_groups().flat_map(|(_, unit)| unit.targets.iter());
        let grouped = endpoints.filter_map(|target| match &target.endpoint {
            Endpoint::Host { host, .. } => Some(host.as_str()),
            Endpoint::Srv { .. } | Endpoint::Unix { .. } => None,
        });
        each_once(own.chain(grouped))
    }

    fn upstream_services(&self) -> Vec<String> {
        let endpoints = self.target_groups().flat_map(|(_, unit)| unit.targets.iter());
        let names = endpoints.filter_map(|target| match &target.endpoint {
            Endpoint::Srv { name } => Some(name.as_str()),
            Endpoint::Host { .. } | Endpoint::Unix { .. } => None,
        });
        each_once(names)
    }

    /// All target groups, as compiled and as published.
    pub(crate) fn target_groups(&self) -> impl Iterator<Item = (&Arc<TargetGroup>, &TargetGroupUnit)> {
        self.groups.iter().filter_map(|(group, unit)| match &**unit {
            Unit::TargetGroup(unit) => Some((group, unit)),
            _ => None,
        })
    }
}

fn each_once<'n>(names: impl Iterator<Item = &'n str>) -> Vec<String> {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(str::to_owned).collect()
}
