//! Where the housekeeper's own figures come from.

use std::sync::Arc;

use tokio::sync::watch;
use turnpike_rt::Driver;

use super::access_log::AccessLogQueue;
use super::admin::Readiness;
use super::link::LinkStatus;
use super::metrics::HousekeeperFigures;
use super::publish::{Counts, Names};
use crate::limits::LimiterLine;

pub(super) struct Sources {
    pub(super) driver: Driver,
    pub(super) link: watch::Receiver<LinkStatus>,
    pub(super) publish_counts: Arc<Counts>,
    pub(super) readiness: watch::Receiver<Readiness>,
    pub(super) names: Names,
    pub(super) target_metrics_max: usize,
    pub(super) access_log: AccessLogQueue,
    pub(super) limiter: LimiterLine,
}

impl Sources {
    /// As they stand.
    pub(super) fn figures(&self) -> HousekeeperFigures {
        let link = self.link.borrow();
        let Names { resolver, targets } = &self.names;
        HousekeeperFigures {
            driver: self.driver.name(),
            snapshot_version: link.serving_version,
            snapshot_unkept: link.not_kept.is_some(),
            snapshot_applied_total: self.publish_counts.applied(),
            snapshot_refused_total: self.publish_counts.refused(),
            refused_routes: self.publish_counts.refused_routes(),
            control_connected: link.connected,
            draining: *self.readiness.borrow() == Readiness::Draining,
            resolver: resolver.figures().and(targets.services().figures()),
            target_groups: targets.figures(),
            target_metrics_max: self.target_metrics_max,
            access_log: self.access_log.figures(),
            limiter: self.limiter.figures(),
        }
    }
}
