//! The routes of a table that answer nothing but errors, so that their owners hear of them.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Api, Stage, Table};

/// A table's refused routes, and those of them that the table before hadn't.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusals {
    pub(crate) routes: usize,
    /// A line each, sorted.
    pub(crate) new: Vec<String>,
}

impl Table {
    /// What has come with this table, after `before`; stages that were taken over are counted, not looked at.
    pub(crate) fn refusals(&self, before: &Self) -> Refusals {
        let mut refusals = Refusals { routes: 0, new: Vec::new() };
        for stage in self.apis.iter().flat_map(Api::stages) {
            let routes = stage.refused_len();
            refusals.routes += routes;
            let known = before.stage(&stage.api_id, &stage.name);
            if routes > 0 && !known.is_some_and(|known| Arc::ptr_eq(known, stage)) {
                let known: HashSet<String> = known.into_iter().flat_map(|known| known.refused()).collect();
                refusals.new.extend(stage.refused().filter(|line| !known.contains(line)));
            }
        }
        refusals.new.sort_unstable();
        refusals
    }
}

impl Stage {
    fn refused_len(&self) -> usize {
        self.releases().map(|release| release.refused.len()).sum()
    }

    /// A line a route, in no order.
    fn refused(&self) -> impl Iterator<Item = String> {
        let routes = self
            .releases()
            .flat_map(|release| release.refused.iter().map(move |route| (&release.deployment_id, route)));
        routes.map(|(deployment, route)| {
            let place = format!("{} of stage {} of API {}", route.key, self.name, self.api_id);
            format!("{place} (deployment {deployment}): {}", route.reason)
        })
    }
}
