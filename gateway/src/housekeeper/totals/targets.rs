//! What the shards have counted of target groups and their targets.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::housekeeper::targets::GroupFigures;
use crate::stats::{GroupCounts, GroupReport, TargetCounts};

/// A target of a group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TargetName {
    pub(crate) group: Arc<str>,
    pub(crate) target: Arc<str>,
}

/// Totals of all shards.
#[derive(Debug, Default)]
pub(crate) struct TargetTotals {
    groups: BTreeMap<Arc<str>, GroupCounts>,
    targets: BTreeMap<TargetName, TargetCounts>,
    /// By shard, as it reported last.
    now: HashMap<usize, Now>,
}

/// What rises and falls.
#[derive(Debug, Default)]
struct Now {
    pending: HashMap<Arc<str>, u64>,
    ejected: HashSet<TargetName>,
}

impl TargetTotals {
    pub(super) fn merge(&mut self, shard_index: usize, reports: Vec<GroupReport>) {
        let mut now = Now::default();
        for report in reports {
            self.groups.entry(Arc::clone(&report.id)).or_default().add(&report.counts);
            now.pending.insert(Arc::clone(&report.id), report.pending);
            for target in report.targets {
                let name = TargetName { group: Arc::clone(&report.id), target: target.name };
                self.targets.entry(name.clone()).or_default().add(&target.counts);
                if target.ejected {
                    now.ejected.insert(name);
                }
            }
        }
        self.now.insert(shard_index, now);
    }

    /// Forgets what isn't served any more.
    pub(crate) fn retain(&mut self, served: &[GroupFigures]) {
        let groups: HashMap<&Arc<str>, HashSet<&Arc<str>>> = served
            .iter()
            .map(|group| (&group.id, group.targets.iter().map(|(target, _)| target).collect()))
            .collect();
        self.groups.retain(|group, _| groups.contains_key(group));
        self.targets
            .retain(|name, _| groups.get(&name.group).is_some_and(|served| served.contains(&name.target)));
    }

    pub(crate) fn group(&self, group: &Arc<str>) -> GroupCounts {
        self.groups.get(group).copied().unwrap_or_default()
    }

    pub(crate) fn target(&self, name: &TargetName) -> TargetCounts {
        self.targets.get(name).copied().unwrap_or_default()
    }

    /// Requests that wait for a connection, on all shards.
    pub(crate) fn pending(&self, group: &Arc<str>) -> u64 {
        self.now.values().filter_map(|now| now.pending.get(group)).sum()
    }

    /// How many shards have taken the target out.
    pub(crate) fn ejected(&self, name: &TargetName) -> u64 {
        self.now.values().filter(|now| now.ejected.contains(name)).count() as u64
    }
}
