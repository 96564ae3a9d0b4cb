//! The shards' reports added up: what the gateway has counted since it started.
//!
//! Lives on the housekeeper, which alone touches it. Also gives out the slots under which shards
//! count a stage: a slot is never used for a second stage, so that a request which ends long after
//! its stage was deleted can't be counted for another.

mod targets;

use std::collections::{BTreeMap, HashMap};

pub(crate) use targets::{TargetName, TargetTotals};

use crate::stats::{Counters, Gauges, ShardReport, StageSlot, StageStats};

/// Totals of all shards and stages.
#[derive(Debug)]
pub(crate) struct Totals {
    shards: Vec<ShardTotals>,
    stages: BTreeMap<StageName, StageTotals>,
    names: HashMap<StageSlot, StageName>,
    slots_used: u32,
    targets: TargetTotals,
}

/// What one shard has counted since the start.
#[derive(Debug, Clone, Default)]
pub(crate) struct ShardTotals {
    /// Whether the shard answered when it was last asked.
    pub(crate) up: bool,
    pub(crate) counters: Counters,
    /// As of the last report.
    pub(crate) gauges: Gauges,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct StageName {
    pub(crate) api_id: String,
    pub(crate) stage: String,
}

#[derive(Debug)]
pub(crate) struct StageTotals {
    slot: StageSlot,
    /// In the snapshot that was compiled last.
    served: bool,
    /// Counted for since the last collection began.
    touched: bool,
    pub(crate) stats: StageStats,
}

impl Totals {
    pub(crate) fn new(shard_count: usize) -> Self {
        Self {
            shards: vec![ShardTotals::default(); shard_count],
            stages: BTreeMap::new(),
            names: HashMap::new(),
            slots_used: 0,
            targets: TargetTotals::default(),
        }
    }

    /// The slots for a snapshot's stages, in their order; to be called once the snapshot is sure to be
    /// published. A stage that was served before keeps its slot, and
    /// one that isn't served any more keeps its series until nothing counts for it.
    pub(crate) fn assign_slots<'a>(
        &mut self,
        stages: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Vec<StageSlot> {
        self.stages.values_mut().for_each(|totals| totals.served = false);
        stages.into_iter().map(|(api_id, stage)| self.slot_of(api_id, stage)).collect()
    }

    /// Adds a shard's report to what it reported before.
    pub(crate) fn merge(&mut self, shard_index: usize, report: ShardReport) {
        let shard = &mut self.shards[shard_index];
        shard.up = true;
        shard.counters.add(&report.counters);
        shard.gauges = report.gauges;
        self.targets.merge(shard_index, report.groups);
        for (slot, stats) in report.stages {
            // A slot without a name belongs to a deleted stage, whose series is gone.
            if let Some(totals) = self.names.get(&slot).and_then(|name| self.stages.get_mut(name)) {
                totals.touched = true;
                totals.stats.add(&stats);
            }
        }
    }

    /// A shard didn't answer in time: its figures stay as they were.
    pub(crate) fn mark_down(&mut self, shard_index: usize) {
        self.shards[shard_index].up = false;
    }

    /// Ends a collection: forgets deleted stages that no shard counted for since the last one.
    pub(crate) fn sweep(&mut self) {
        let all_up = self.shards.iter().all(|shard| shard.up);
        let names = &mut self.names;
        self.stages.retain(|_, totals| {
            let kept = totals.served || totals.touched || !all_up;
            totals.touched = false;
            if !kept {
                names.remove(&totals.slot);
            }
            kept
        });
    }

    pub(crate) fn targets(&self) -> &TargetTotals {
        &self.targets
    }

    pub(crate) fn targets_mut(&mut self) -> &mut TargetTotals {
        &mut self.targets
    }

    /// By index.
    pub(crate) fn shards(&self) -> &[ShardTotals] {
        &self.shards
    }

    /// Ordered by API id, then stage.
    pub(crate) fn stages(&self) -> impl Iterator<Item = (&StageName, &StageStats)> {
        self.stages.iter().map(|(name, totals)| (name, &totals.stats))
    }

    fn slot_of(&mut self, api_id: &str, stage: &str) -> StageSlot {
        let name = StageName { api_id: api_id.to_owned(), stage: stage.to_owned() };
        if let Some(totals) = self.stages.get_mut(&name) {
            totals.served = true;
            return totals.slot;
        }
        let slot = StageSlot(self.slots_used);
        self.slots_used += 1;
        self.names.insert(slot, name.clone());
        let totals = StageTotals { slot, served: true, touched: false, stats: StageStats::new() };
        self.stages.insert(name, totals);
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::ShardStats;

    fn counted(totals: &Totals) -> Vec<(&str, u64)> {
        totals.stages().map(|(name, stats)| (name.stage.as_str(), stats.count)).collect()
    }

    #[test]
    fn reports_of_all_shards_add_up() {
        let mut totals = Totals::new(2);
        let slots = totals.assign_slots([("a", "prod"), ("a", "dev")]);
        let mut shards = [ShardStats::default(), ShardStats::default()];
        for round in 1..=2 {
            for (index, shard) in shards.iter_mut().enumerate() {
                shard.record(slots[0], 200, 100, None);
                shard.record(slots[1], 500, 5_000_000, Some(4_000_000));
                shard.gauges.connections_open = round;
                totals.merge(index, shard.report());
            }
        }
        assert_eq!(counted(&totals), [("dev", 4), ("prod", 4)]);
        assert_eq!(totals.shards()[1].counters.requests_total, 4);
        assert_eq!(totals.shards()[1].gauges.connections_open, 2);
        let (_, dev) = totals.stages().next().unwrap();
        assert_eq!((dev.count_5xx, dev.integration_latency.sum_us), (4, 16_000_000));
    }

    #[test]
    fn a_stage_keeps_its_slot_over_snapshots_and_no_slot_is_used_twice() {
        let mut totals = Totals::new(1);
        let first = totals.assign_slots([("a", "prod"), ("b", "prod")]);
        let second = totals.assign_slots([("c", "prod"), ("a", "prod")]);
        assert_eq!(second[1], first[0]);
        assert!(!first.contains(&second[0]));
        totals.merge(0, ShardStats::default().report());
        totals.sweep();
        let third = totals.assign_slots([("b", "prod")]);
        assert!(!first.contains(&third[0]) && !second.contains(&third[0]));
    }

    #[test]
    fn a_deleted_stage_is_forgotten_once_nothing_counts_for_it() {
        let mut totals = Totals::new(1);
        let slots = totals.assign_slots([("a", "gone"), ("a", "prod")]);
        totals.assign_slots([("a", "prod")]);
        let mut shard = ShardStats::default();
        shard.record(slots[0], 200, 100, None);
        totals.merge(0, shard.report());
        totals.sweep();
        assert_eq!(counted(&totals), [("gone", 1), ("prod", 0)]);
        totals.merge(0, shard.report());
        totals.sweep();
        assert_eq!(counted(&totals), [("prod", 0)]);
        shard.record(slots[0], 200, 100, None);
        totals.merge(0, shard.report());
        assert_eq!(counted(&totals), [("prod", 0)]);
        assert_eq!(totals.shards()[0].counters.requests_total, 2);
    }

    #[test]
    fn a_silent_shard_keeps_deleted_stages_alive() {
        let mut totals = Totals::new(2);
        totals.assign_slots([("a", "gone")]);
        totals.assign_slots([]);
        totals.merge(0, ShardStats::default().report());
        totals.mark_down(1);
        totals.sweep();
        assert_eq!(counted(&totals), [("gone", 0)]);
        assert!(totals.shards()[0].up && !totals.shards()[1].up);
    }
}
