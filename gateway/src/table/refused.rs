//! The routes of a table that answer nothing but errors, so that their owners hear of them.

use std::collections::HashSet;

use super::Table;

/// A table's refused routes, and those of them that the table before hadn't.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusals {
    pub(crate) routes: usize,
    /// A line each.
    pub(crate) new: Vec<String>,
}

impl Table {
    /// What has come with this table, after `before`.
    pub(crate) fn refusals(&self, before: &Self) -> Refusals {
        let all = self.refused_routes();
        let known: HashSet<String> =
            if all.is_empty() { HashSet::new() } else { before.refused_routes().into_iter().collect() };
        let routes = all.len();
        let new = all.into_iter().filter(|line| !known.contains(line)).collect();
        Refusals { routes, new }
    }

    /// Sorted.
    fn refused_routes(&self) -> Vec<String> {
        let stages = self.apis.values().flat_map(|api| api.stages.values());
        let mut lines: Vec<String> = stages
            .flat_map(|stage| stage.releases().map(move |release| (stage, release)))
            .flat_map(|(stage, release)| release.refused.iter().map(move |route| (stage, release, route)))
            .map(|(stage, release, route)| {
                let (key, deployment) = (&route.key, &release.deployment_id);
                let place = format!("{key} of stage {} of API {}", stage.name, stage.api_id);
                format!("{place} (deployment {deployment}): {}", route.reason)
            })
            .collect();
        lines.sort_unstable();
        lines
    }
}
