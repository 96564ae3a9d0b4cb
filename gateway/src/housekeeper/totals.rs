//! The shards' reports added up: what the gateway has counted since it started.
//!
//! Lives on the housekeeper, which alone touches it. Also gives out the slots under which shards
//! note a stage's requests: a slot is never used for a second stage, so that a request which ends long after
//! its stage was deleted can't be counted for another.

mod targets;

use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) use targets::{TargetName, TargetTotals};
use tokio::sync::Mutex;

use crate::stats::{Batch, Counters, Gauges, SampleCalls, SampleQueue, ShardReport, StageSlot, StageStats};

/// Totals of all shards and stages.
#[derive(Debug)]
pub(crate) struct Totals {
    shards: Vec<ShardTotals>,
    slots: BTreeMap<StageName, StageSlot>,
    /// By slot; `None` once the stage is forgotten.
    stages: Vec<Option<Box<StageTotals>>>,
    /// What shards hand over between reports.
    samples: SampleQueue,
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
    /// In the snapshot that was compiled last.
    served: bool,
    /// Counted for since the last collection.
    touched: bool,
    pub(crate) stats: StageStats,
}

/// Counts what shards hand over, as it comes.
pub(crate) async fn keep_counting(totals: Arc<Mutex<Totals>>, mut calls: SampleCalls) {
    while calls.next().await {
        totals.lock().await.count_queued();
    }
}

impl Totals {
    pub(crate) fn new(shard_count: usize, samples: SampleQueue) -> Self {
        Self {
            shards: vec![ShardTotals::default(); shard_count],
            slots: BTreeMap::new(),
            stages: Vec::new(),
            samples,
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
        self.stages.iter_mut().flatten().for_each(|totals| totals.served = false);
        stages.into_iter().map(|(api_id, stage)| self.slot_of(api_id, stage)).collect()
    }

    /// Adds a shard's report to what it reported before.
    pub(crate) fn merge(&mut self, shard_index: usize, report: ShardReport) {
        let shard = &mut self.shards[shard_index];
        shard.up = true;
        shard.counters.add(&report.counters);
        shard.gauges = report.gauges;
        self.targets.merge(shard_index, report.groups);
        report.batches.into_iter().for_each(|batch| self.count(batch));
        for (slot, stats) in report.stages {
            if let Some(totals) = self.counting(slot) {
                totals.stats.add(&stats);
            }
        }
    }

    /// Counts what shards have handed over so far.
    fn count_queued(&mut self) {
        for _ in 0..self.samples.len() {
            let Some(batch) = self.samples.take() else { break };
            self.count(batch);
        }
    }

    fn count(&mut self, batch: Batch) {
        for sample in &batch {
            if let Some(totals) = self.counting(sample.slot) {
                totals.stats.record(&sample.outcome());
            }
        }
        self.samples.give(batch);
    }

    /// To be counted for; none where the slot belongs to a deleted stage, whose series is gone.
    fn counting(&mut self, slot: StageSlot) -> Option<&mut StageTotals> {
        let totals = self.stages.get_mut(slot.0 as usize)?.as_deref_mut()?;
        totals.touched = true;
        Some(totals)
    }

    /// A shard didn't answer in time: its figures stay as they were.
    pub(crate) fn mark_down(&mut self, shard_index: usize) {
        self.shards[shard_index].up = false;
    }

    /// Ends a collection: counts what was handed over before it, and forgets deleted stages that no shard had a request of
    /// since the last one.
    pub(crate) fn sweep(&mut self) {
        self.count_queued();
        let all_up = self.shards.iter().all(|shard| shard.up);
        let stages = &mut self.stages;
        self.slots.retain(|_, slot| {
            let place = &mut stages[slot.0 as usize];
            let kept = place.as_deref_mut().is_some_and(|totals| {
                let touched = std::mem::take(&mut totals.touched);
                totals.served || touched || !all_up
            });
            if !kept {
                *place = None;
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
        let stats = |slot: &StageSlot| self.stages[slot.0 as usize].as_ref().map(|totals| &totals.stats);
        self.slots.iter().filter_map(move |(name, slot)| Some((name, stats(slot)?)))
    }

    fn slot_of(&mut self, api_id: &str, stage: &str) -> StageSlot {
        let name = StageName { api_id: api_id.to_owned(), stage: stage.to_owned() };
        if let Some(slot) = self.slots.get(&name) {
            let totals = self.stages[slot.0 as usize].as_deref_mut();
            totals.expect("a stage that has a slot isn't forgotten").served = true;
            return *slot;
        }
        // Fewer than 2^32: a stage a second takes a century.
        let slot = StageSlot(self.stages.len() as u32);
        self.stages.push(Some(Box::new(StageTotals {
            served: true,
            touched: false,
            stats: StageStats::new(),
        })));
        self.slots.insert(name, slot);
        slot
    }
}

#[cfg(test)]
impl Totals {
    /// To which shards hand nothing over.
    pub(crate) fn alone(shard_count: usize) -> Self {
        Self::new(shard_count, SampleQueue::new().0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{Outcome, ShardStats};

    fn outcome(status: u16, latency_us: u64, integration_latency_us: Option<u64>) -> Outcome {
        Outcome { status, latency_us, integration_latency_us, cached: None }
    }

    fn counted(totals: &Totals) -> Vec<(&str, u64)> {
        totals.stages().map(|(name, stats)| (name.stage.as_str(), stats.count)).collect()
    }

    #[test]
    fn reports_of_all_shards_add_up() {
        let mut totals = Totals::alone(2);
        let slots = totals.assign_slots([("a", "prod"), ("a", "dev")]);
        let mut shards = [ShardStats::alone(), ShardStats::alone()];
        for round in 1..=2 {
            for (index, shard) in shards.iter_mut().enumerate() {
                shard.record(slots[0], &outcome(200, 100, None));
                shard.record(slots[1], &outcome(500, 5_000_000, Some(4_000_000)));
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

    /// As when a scrape comes before the housekeeper has got round to what shards handed over.
    #[test]
    fn a_collection_counts_what_was_handed_over_before_it() {
        let (queue, _calls) = SampleQueue::new();
        let mut totals = Totals::new(1, queue.clone());
        let slots = totals.assign_slots([("a", "gone"), ("a", "prod")]);
        totals.assign_slots([("a", "prod")]);
        let mut shard = ShardStats::new(queue.clone());
        let requests = 10_000;
        for request in 0..requests {
            shard.record(slots[request as usize % 2], &outcome(200, request, Some(request)));
        }
        assert!(queue.len() > 1);
        totals.merge(0, shard.report());
        totals.sweep();
        assert_eq!((counted(&totals), queue.len()), (vec![("gone", 5_000), ("prod", 5_000)], 0));
        let sum_us: u64 = totals.stages().map(|(_, stats)| stats.integration_latency.sum_us).sum();
        assert_eq!(sum_us, requests * (requests - 1) / 2);
        totals.merge(0, shard.report());
        totals.sweep();
        assert_eq!(counted(&totals), [("prod", 5_000)]);
    }

    #[tokio::test]
    async fn what_is_handed_over_is_counted_without_a_collection() {
        let (queue, calls) = SampleQueue::new();
        let mut totals = Totals::new(1, queue.clone());
        let slot = totals.assign_slots([("a", "prod")])[0];
        let totals = Arc::new(Mutex::new(totals));
        let counting = tokio::spawn(keep_counting(Arc::clone(&totals), calls));
        let mut shard = ShardStats::new(queue.clone());
        for handed_over in 1..=3 {
            while queue.len() == 0 {
                shard.record(slot, &outcome(200, 1, None));
            }
            while queue.len() > 0 {
                tokio::task::yield_now().await;
            }
            assert_eq!(counted(&*totals.lock().await), [("prod", handed_over * 1_024)]);
        }
        counting.abort();
    }

    #[test]
    fn a_stage_keeps_its_slot_over_snapshots_and_no_slot_is_used_twice() {
        let mut totals = Totals::alone(1);
        let first = totals.assign_slots([("a", "prod"), ("b", "prod")]);
        let second = totals.assign_slots([("c", "prod"), ("a", "prod")]);
        assert_eq!(second[1], first[0]);
        assert!(!first.contains(&second[0]));
        totals.merge(0, ShardStats::alone().report());
        totals.sweep();
        let third = totals.assign_slots([("b", "prod")]);
        assert!(!first.contains(&third[0]) && !second.contains(&third[0]));
    }

    #[test]
    fn a_deleted_stage_is_forgotten_once_nothing_counts_for_it() {
        let mut totals = Totals::alone(1);
        let slots = totals.assign_slots([("a", "gone"), ("a", "prod")]);
        totals.assign_slots([("a", "prod")]);
        let mut shard = ShardStats::alone();
        shard.record(slots[0], &outcome(200, 100, None));
        totals.merge(0, shard.report());
        totals.sweep();
        assert_eq!(counted(&totals), [("gone", 1), ("prod", 0)]);
        totals.merge(0, shard.report());
        totals.sweep();
        assert_eq!(counted(&totals), [("prod", 0)]);
        shard.record(slots[0], &outcome(200, 100, None));
        totals.merge(0, shard.report());
        assert_eq!(counted(&totals), [("prod", 0)]);
        assert_eq!(totals.shards()[0].counters.requests_total, 2);
    }

    #[test]
    fn a_silent_shard_keeps_deleted_stages_alive() {
        let mut totals = Totals::alone(2);
        totals.assign_slots([("a", "gone")]);
        totals.assign_slots([]);
        totals.merge(0, ShardStats::alone().report());
        totals.mark_down(1);
        totals.sweep();
        assert_eq!(counted(&totals), [("gone", 0)]);
        assert!(totals.shards()[0].up && !totals.shards()[1].up);
    }
}
