//! What a table connects to: names to look up, and target groups.

use std::sync::Arc;

use turnpike_snapshot::{Endpoint, TargetGroupUnit, Unit};

use super::{Release, Table, TargetGroup};

impl Table {
    /// The names that its integrations and target groups connect to, each once.
    pub(crate) fn upstream_hosts(&self) -> Vec<String> {
        let stages = self.apis.values().flat_map(|api| api.stages.values());
        let releases = stages.flat_map(|stage| stage.releases());
        let upstreams = releases.flat_map(Release::integrations).map(|with| &*with.upstream);
        let own = upstreams.filter(|upstream| upstream.group.is_none()).map(|upstream| &*upstream.host);
        let endpoints = self.target_groups().flat_map(|(_, unit)| unit.targets.iter());
        let grouped = endpoints.filter_map(|target| match &target.endpoint {
            Endpoint::Host { host, .. } => Some(host.as_str()),
            Endpoint::Srv { .. } | Endpoint::Unix { .. } => None,
        });
        let mut hosts: Vec<&str> = own.chain(grouped).collect();
        hosts.sort_unstable();
        hosts.dedup();
        hosts.into_iter().map(str::to_owned).collect()
    }

    /// The SRV names of its target groups.
    pub(crate) fn upstream_services(&self) -> Vec<String> {
        let endpoints = self.target_groups().flat_map(|(_, unit)| unit.targets.iter());
        let names = endpoints.filter_map(|target| match &target.endpoint {
            Endpoint::Srv { name } => Some(name.clone()),
            Endpoint::Host { .. } | Endpoint::Unix { .. } => None,
        });
        names.collect()
    }

    /// All target groups, as compiled and as published.
    pub(crate) fn target_groups(&self) -> impl Iterator<Item = (&Arc<TargetGroup>, &TargetGroupUnit)> {
        self.groups.iter().filter_map(|(group, unit)| match &**unit {
            Unit::TargetGroup(unit) => Some((group, unit)),
            _ => None,
        })
    }
}
