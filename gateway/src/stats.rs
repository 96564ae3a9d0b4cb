//! What a shard counts while it serves, and hands to the housekeeper when asked.
//!
//! Owned by one shard and touched by it alone: plain integers, no atomics. A report moves what was
//! gathered since the last one. `record` is the last step of a request's life: it notes the request for
//! the housekeeper ([`samples`]), which has the stages' histograms.

mod groups;
mod refusals;
mod samples;
mod stage;

use turnpike_limits::LeaseCounts;

use crate::http2::Http2Events;
use crate::tls::TlsFailures;

pub(crate) use groups::{GroupCounts, GroupReport, TargetCounts, TargetReport};
pub(crate) use refusals::{RefusalKind, Refusals};
pub(crate) use samples::{Batch, SampleCalls, SampleQueue};
use samples::{LOTS, Sample};
pub(crate) use stage::{Latency, Outcome, StageStats};

/// Index of a stage's figures, the same on every shard; given out by [`crate::housekeeper::totals::Totals`] when a
/// snapshot is compiled, and never used for another stage again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct StageSlot(pub(crate) u32);

/// What only ever grows, since the last report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) connections_accepted_total: u64,
    /// Accepted here, given to a less loaded shard.
    pub(crate) connections_handed_off_total: u64,
    /// Accepted by another shard, taken over here.
    pub(crate) connections_taken_over_total: u64,
    /// Closed because no request came for `idle_timeout_ms`.
    pub(crate) connections_idle_closed_total: u64,
    /// Answered requests, refused ones included.
    pub(crate) requests_total: u64,
    pub(crate) refusals: Refusals,
    /// Of those accepted, that speak HTTP/2.
    pub(crate) http2_connections_total: u64,
    pub(crate) http2_events: Http2Events,
    /// With clients, done.
    pub(crate) tls_handshakes_total: u64,
    /// Of those, the ones that went on from an earlier session.
    pub(crate) tls_handshakes_resumed_total: u64,
    pub(crate) tls_failures: TlsFailures,
    pub(crate) upstream_connects_total: u64,
    pub(crate) upstream_connect_failures_total: u64,
    /// TLS handshakes with upstreams, done.
    pub(crate) upstream_tls_handshakes_total: u64,
    /// Of those, the ones that went on from an earlier session.
    pub(crate) upstream_tls_handshakes_resumed_total: u64,
    /// Requests whose client went away before it had its whole answer.
    pub(crate) clients_gone_total: u64,
    /// Exchanges that went over a pooled connection.
    pub(crate) upstream_reuses_total: u64,
    /// Exchanges sent again because a pooled connection turned out to be closed.
    pub(crate) upstream_retries_total: u64,
    /// Cached responses that went for want of room.
    pub(crate) cache_evictions_total: u64,
    /// Requests that waited for another's response.
    pub(crate) cache_waits_total: u64,
    /// Answers.
    pub(crate) compressions_total: u64,
    /// Of those, bytes before and after.
    pub(crate) compression_in_bytes_total: u64,
    pub(crate) compression_out_bytes_total: u64,
    /// Answers that were left as they are since there were `compressions_max`.
    pub(crate) compressions_crowded_total: u64,
    /// Requests.
    pub(crate) decompressions_total: u64,
    /// Times that the limiter was asked for tokens.
    pub(crate) limit_asks_total: u64,
    /// Of those, the ones that it gave some for.
    pub(crate) limit_grants_total: u64,
    /// Requests that waited for its answer.
    pub(crate) limit_waits_total: u64,
    /// From clients, heads included.
    pub(crate) bytes_in_total: u64,
    /// To clients, heads included.
    pub(crate) bytes_out_total: u64,
    pub(crate) access_log_lines_total: u64,
    /// Lines that found the access log's queue full.
    pub(crate) access_log_lines_dropped_total: u64,
    /// Answered requests that the shard counted, as the housekeeper was behind.
    pub(crate) samples_crowded_total: u64,
}

impl Counters {
    pub(crate) fn add(&mut self, other: &Self) {
        self.connections_accepted_total += other.connections_accepted_total;
        self.connections_handed_off_total += other.connections_handed_off_total;
        self.connections_taken_over_total += other.connections_taken_over_total;
        self.connections_idle_closed_total += other.connections_idle_closed_total;
        self.clients_gone_total += other.clients_gone_total;
        self.requests_total += other.requests_total;
        self.refusals.add(&other.refusals);
        self.http2_connections_total += other.http2_connections_total;
        self.http2_events.add(&other.http2_events);
        self.tls_handshakes_total += other.tls_handshakes_total;
        self.tls_handshakes_resumed_total += other.tls_handshakes_resumed_total;
        self.tls_failures.add(&other.tls_failures);
        self.upstream_connects_total += other.upstream_connects_total;
        self.upstream_tls_handshakes_total += other.upstream_tls_handshakes_total;
        self.upstream_tls_handshakes_resumed_total += other.upstream_tls_handshakes_resumed_total;
        self.upstream_connect_failures_total += other.upstream_connect_failures_total;
        self.upstream_reuses_total += other.upstream_reuses_total;
        self.upstream_retries_total += other.upstream_retries_total;
        self.cache_evictions_total += other.cache_evictions_total;
        self.cache_waits_total += other.cache_waits_total;
        self.compressions_total += other.compressions_total;
        self.compression_in_bytes_total += other.compression_in_bytes_total;
        self.compression_out_bytes_total += other.compression_out_bytes_total;
        self.compressions_crowded_total += other.compressions_crowded_total;
        self.decompressions_total += other.decompressions_total;
        self.limit_asks_total += other.limit_asks_total;
        self.limit_grants_total += other.limit_grants_total;
        self.limit_waits_total += other.limit_waits_total;
        self.bytes_in_total += other.bytes_in_total;
        self.bytes_out_total += other.bytes_out_total;
        self.access_log_lines_total += other.access_log_lines_total;
        self.access_log_lines_dropped_total += other.access_log_lines_dropped_total;
        self.samples_crowded_total += other.samples_crowded_total;
    }
}

/// What rises and falls, as it stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Gauges {
    pub(crate) connections_open: u64,
    /// Open, and between two requests.
    pub(crate) connections_idle: u64,
    pub(crate) exchanges_in_flight: u64,
    pub(crate) tls_handshakes_in_flight: u64,
    pub(crate) upstream_connections_open: u64,
    /// Open, and in the pool.
    pub(crate) upstream_connections_idle: u64,
    /// Requests that wait for a connection.
    pub(crate) upstream_requests_pending: u64,
    /// Requests that wait for the limiter's answer.
    pub(crate) limit_requests_waiting: u64,
    /// Throttles that the shard holds tokens of, or did lately.
    pub(crate) limit_leases: u64,
    /// I/O buffers that connections hold; 0 when all rest.
    pub(crate) buffers_in_use: u64,
    /// Memory that cached responses take.
    pub(crate) cache_bytes: u64,
    pub(crate) cache_responses: u64,
    /// The snapshot that the shard has adopted; 0 before the first.
    pub(crate) snapshot_version: u64,
}

/// All figures of one shard.
#[derive(Debug)]
pub(crate) struct ShardStats {
    pub(crate) counters: Counters,
    pub(crate) gauges: Gauges,
    /// A stage's requests are in the one that its slot's number leads to.
    lots: [Batch; LOTS],
    queue: SampleQueue,
    /// By slot, what the housekeeper couldn't be left to count; present exactly for the slots in `dirty`.
    stages: Vec<Option<Box<StageStats>>>,
    dirty: Vec<StageSlot>,
}

/// What a shard gathered since its last report, and its gauges as they stand.
#[derive(Debug)]
pub(crate) struct ShardReport {
    pub(crate) counters: Counters,
    pub(crate) gauges: Gauges,
    /// Besides what is in the queue.
    pub(crate) batches: Vec<Batch>,
    /// Besides what is in batches.
    pub(crate) stages: Vec<(StageSlot, Box<StageStats>)>,
    /// Filled by the shard.
    pub(crate) groups: Vec<GroupReport>,
}

impl ShardStats {
    pub(crate) fn new(queue: SampleQueue) -> Self {
        Self {
            counters: Counters::default(),
            gauges: Gauges::default(),
            lots: std::array::from_fn(|_| Batch::new()),
            queue,
            stages: Vec::new(),
            dirty: Vec::new(),
        }
    }

    /// One answered request of a stage.
    pub(crate) fn record(&mut self, slot: StageSlot, outcome: &Outcome) {
        self.counters.requests_total += 1;
        self.record_also(slot, outcome);
    }

    /// A request that is counted for its stage already, and for a part of it as well.
    pub(crate) fn record_also(&mut self, slot: StageSlot, outcome: &Outcome) {
        let Some(sample) = Sample::of(slot, outcome) else {
            return self.stage(slot).record(outcome);
        };
        let lot = &mut self.lots[slot.0 as usize % LOTS];
        // Or not there yet.
        if lot.len() == lot.capacity() {
            let full = std::mem::replace(lot, self.queue.spare());
            lot.push(sample);
            self.hand_over(full);
        } else {
            lot.push(sample);
        }
    }

    /// One answered request that no stage could be found for.
    pub(crate) fn record_without_stage(&mut self) {
        self.counters.requests_total += 1;
    }

    /// What throttles did since the last report, and how they stand.
    pub(crate) fn count_limits(&mut self, counts: LeaseCounts, waiting: usize, leases: usize) {
        self.counters.limit_asks_total += counts.asks;
        self.counters.limit_grants_total += counts.grants;
        self.counters.limit_waits_total += counts.waited;
        self.gauges.limit_requests_waiting = waiting as u64;
        self.gauges.limit_leases = leases as u64;
    }

    /// Moves out what was gathered.
    pub(crate) fn report(&mut self) -> ShardReport {
        let stages = &mut self.stages;
        let gathered = self.dirty.drain(..).filter_map(|slot| Some((slot, stages[slot.0 as usize].take()?)));
        ShardReport {
            stages: gathered.collect(),
            batches: self.lots.iter_mut().filter(|lot| !lot.is_empty()).map(std::mem::take).collect(),
            counters: std::mem::take(&mut self.counters),
            gauges: self.gauges,
            groups: Vec::new(),
        }
    }

    /// Once in a batch's requests.
    #[cold]
    fn hand_over(&mut self, full: Batch) {
        if full.is_empty() {
            return;
        }
        if let Err(full) = self.queue.offer(full) {
            self.counters.samples_crowded_total += full.len() as u64;
            full.iter().for_each(|sample| self.stage(sample.slot).record(&sample.outcome()));
            self.queue.give(full);
        }
    }

    fn stage(&mut self, slot: StageSlot) -> &mut StageStats {
        let index = slot.0 as usize;
        if index >= self.stages.len() {
            self.stages.resize_with(index + 1, || None);
        }
        let dirty = &mut self.dirty;
        self.stages[index].get_or_insert_with(|| {
            dirty.push(slot);
            Box::new(StageStats::new())
        })
    }
}

#[cfg(test)]
impl ShardStats {
    /// A shard's own figures, whose full batches nobody takes.
    pub(crate) fn alone() -> Self {
        Self::new(SampleQueue::new().0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(status: u16, latency_us: u64, integration_latency_us: Option<u64>) -> Outcome {
        Outcome { status, latency_us, integration_latency_us, cached: None }
    }

    #[test]
    fn a_report_moves_what_was_gathered_and_leaves_the_gauges() {
        let mut stats = ShardStats::alone();
        stats.gauges.connections_open = 7;
        stats.counters.bytes_in_total = 100;
        stats.counters.refusals.count(RefusalKind::RouteUnknown);
        let outcomes =
            [outcome(200, 1_000, Some(800)), outcome(404, 50, None), outcome(502, 2_000, Some(1_900))];
        stats.record(StageSlot(3), &outcomes[0]);
        stats.record(StageSlot(3), &outcomes[1]);
        stats.record(StageSlot(0), &outcomes[2]);
        stats.record_without_stage();

        let report = stats.report();
        assert_eq!(report.counters.requests_total, 4);
        assert_eq!(report.counters.refusals.of(RefusalKind::RouteUnknown), 1);
        let noted: Vec<(u32, Outcome)> =
            report.batches.iter().flatten().map(|sample| (sample.slot.0, sample.outcome())).collect();
        assert_eq!(noted, [(0, outcomes[2]), (3, outcomes[0]), (3, outcomes[1])]);
        assert!(report.stages.is_empty());

        let report = stats.report();
        assert_eq!(report.counters, Counters::default());
        assert_eq!(report.gauges.connections_open, 7);
        assert!(report.batches.is_empty());
    }

    #[test]
    fn stages_are_noted_again_after_a_report() {
        let mut stats = ShardStats::alone();
        for _ in 0..2 {
            stats.record(StageSlot(1), &outcome(200, 10, None));
            assert_eq!(stats.report().batches.concat().len(), 1);
        }
    }

    #[test]
    fn stages_apart_fill_batches_of_their_own() {
        let (queue, _calls) = SampleQueue::new();
        let mut stats = ShardStats::new(queue.clone());
        let lots = LOTS as u32;
        // Three stages a lot, whose requests take turns: 3,000 of each lot, of which two batches are full.
        (0..1_000 * 3 * lots)
            .for_each(|request| stats.record(StageSlot(request % (3 * lots)), &outcome(200, 1, None)));
        let batches: Vec<Batch> = std::iter::from_fn(|| queue.take()).collect();
        assert_eq!(batches.len(), 2 * LOTS);
        for batch in &batches {
            assert!(batch.iter().all(|sample| sample.slot.0 % lots == batch[0].slot.0 % lots));
        }
        let left: usize = stats.report().batches.iter().map(Vec::len).sum();
        assert_eq!(left + batches.concat().len(), 1_000 * 3 * LOTS);
    }

    #[test]
    fn what_takes_longer_than_a_sample_can_tell_is_counted_at_once() {
        let mut stats = ShardStats::alone();
        stats.record(StageSlot(5), &outcome(503, 86_400_000_000, None));
        let report = stats.report();
        let (slot, stage) = &report.stages[0];
        assert_eq!((*slot, stage.count_5xx, stage.latency.sum_us), (StageSlot(5), 1, 86_400_000_000));
        assert!(report.batches.is_empty() && stats.report().stages.is_empty());
    }

    #[test]
    fn a_shard_counts_what_a_full_queue_doesnt_take() {
        let (queue, _calls) = SampleQueue::new();
        while queue.offer(queue.spare()).is_ok() {}
        let mut stats = ShardStats::new(queue);
        let requests = 5_000;
        (0..requests)
            .for_each(|request| stats.record(StageSlot(request as u32 % 2), &outcome(200, request, None)));
        let report = stats.report();
        let noted = report.batches.concat();
        let counted: u64 = report.stages.iter().map(|(_, stage)| stage.count).sum();
        assert!(counted > 0 && counted == report.counters.samples_crowded_total);
        assert_eq!(counted + noted.len() as u64, requests);
        let sum_us = |stage: &StageStats| stage.latency.sum_us;
        let sums_us = report.stages.iter().map(|(_, stage)| sum_us(stage));
        let noted_us = noted.iter().map(|sample| sample.outcome().latency_us);
        assert_eq!(sums_us.chain(noted_us).sum::<u64>(), requests * (requests - 1) / 2);
    }
}
