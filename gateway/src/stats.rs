//! What a shard counts while it serves, and hands to the housekeeper when asked.
//!
//! Owned by one shard and touched by it alone: plain integers, no atomics. A report moves what was
//! gathered since the last one, so a stage that saw no request costs nothing, and a scrape never
//! copies a histogram on a shard. `record` is the last step of a request's life.

mod groups;
mod refusals;
mod stage;

use turnpike_limits::LeaseCounts;

use crate::http2::Http2Events;
use crate::tls::TlsFailures;

pub(crate) use groups::{GroupCounts, GroupReport, TargetCounts, TargetReport};
pub(crate) use refusals::{RefusalKind, Refusals};
pub(crate) use stage::{Latency, StageStats};

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

/// One answered request, before it is counted. Requests of many stages take turns, and each stage's histograms are
/// too many cache lines to fetch for one of them: so requests are noted one behind the other, and counted once
/// [`SAMPLES_MAX`] are there, or when a report is asked for: while one is counted, the stages of the next are fetched.
#[derive(Debug, Clone, Copy)]
struct Sample {
    slot: StageSlot,
    status: u16,
    latency_us: u64,
    integration_latency_us: Option<u64>,
}

/// 32 KiB a shard. Arbitrary.
const SAMPLES_MAX: usize = 1_024;
/// How many requests ahead of the one that is counted a stage is fetched.
const SAMPLES_AHEAD: usize = 4;

/// All figures of one shard.
#[derive(Debug, Default)]
pub(crate) struct ShardStats {
    pub(crate) counters: Counters,
    pub(crate) gauges: Gauges,
    samples: Vec<Sample>,
    /// By slot; present exactly for the slots in `dirty`.
    stages: Vec<Option<Box<StageStats>>>,
    dirty: Vec<StageSlot>,
}

/// What a shard gathered since its last report, and its gauges as they stand.
#[derive(Debug)]
pub(crate) struct ShardReport {
    pub(crate) counters: Counters,
    pub(crate) gauges: Gauges,
    pub(crate) stages: Vec<(StageSlot, Box<StageStats>)>,
    /// Filled by the shard.
    pub(crate) groups: Vec<GroupReport>,
}

impl ShardStats {
    /// One answered request of a stage.
    pub(crate) fn record(
        &mut self,
        slot: StageSlot,
        status: u16,
        latency_us: u64,
        integration_latency_us: Option<u64>,
    ) {
        self.counters.requests_total += 1;
        self.record_also(slot, status, latency_us, integration_latency_us);
    }

    /// A request that is counted for its stage already, and for a part of it as well.
    pub(crate) fn record_also(
        &mut self,
        slot: StageSlot,
        status: u16,
        latency_us: u64,
        integration_latency_us: Option<u64>,
    ) {
        if self.samples.len() == SAMPLES_MAX {
            self.count_samples();
        }
        self.samples.push(Sample { slot, status, latency_us, integration_latency_us });
    }

    /// A request of a route with a cache.
    pub(crate) fn record_cache(&mut self, slot: StageSlot, hit: bool) {
        let stage = self.stage(slot);
        stage.cache_hits += u64::from(hit);
        stage.cache_misses += u64::from(!hit);
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
        self.count_samples();
        let stages = &mut self.stages;
        let gathered = self.dirty.drain(..).filter_map(|slot| Some((slot, stages[slot.0 as usize].take()?)));
        ShardReport {
            stages: gathered.collect(),
            counters: std::mem::take(&mut self.counters),
            gauges: self.gauges,
            groups: Vec::new(),
        }
    }

    fn count_samples(&mut self) {
        let mut samples = std::mem::take(&mut self.samples);
        for (at, sample) in samples.iter().enumerate() {
            if let Some(ahead) = samples.get(at + SAMPLES_AHEAD)
                && let Some(Some(stage)) = self.stages.get(ahead.slot.0 as usize)
            {
                turnpike_rt::prefetch(&**stage);
            }
            let stage = self.stage(sample.slot);
            stage.record(sample.status, sample.latency_us, sample.integration_latency_us);
        }
        samples.clear();
        self.samples = samples;
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
mod tests {
    use super::*;

    #[test]
    fn a_report_moves_what_was_gathered_and_leaves_the_gauges() {
        let mut stats = ShardStats::default();
        stats.gauges.connections_open = 7;
        stats.counters.bytes_in_total = 100;
        stats.counters.refusals.count(RefusalKind::RouteUnknown);
        stats.record(StageSlot(3), 200, 1_000, Some(800));
        stats.record(StageSlot(3), 404, 50, None);
        stats.record(StageSlot(0), 502, 2_000, Some(1_900));
        stats.record_without_stage();

        let mut report = stats.report();
        report.stages.sort_by_key(|(slot, _)| *slot);
        assert_eq!(report.counters.requests_total, 4);
        assert_eq!(report.counters.refusals.of(RefusalKind::RouteUnknown), 1);
        let slots: Vec<u32> = report.stages.iter().map(|(slot, _)| slot.0).collect();
        assert_eq!(slots, [0, 3]);
        let third = &report.stages[1].1;
        assert_eq!((third.count, third.count_4xx, third.count_5xx), (2, 1, 0));
        assert_eq!((third.latency.histogram_us.len(), third.latency.sum_us), (2, 1_050));
        assert_eq!(third.integration_latency.histogram_us.len(), 1);

        let report = stats.report();
        assert_eq!(report.counters, Counters::default());
        assert_eq!(report.gauges.connections_open, 7);
        assert!(report.stages.is_empty());
    }

    #[test]
    fn a_stage_is_gathered_again_after_a_report() {
        let mut stats = ShardStats::default();
        for _ in 0..2 {
            stats.record(StageSlot(1), 200, 10, None);
            assert_eq!(stats.report().stages[0].1.count, 1);
        }
    }

    #[test]
    fn more_requests_than_are_noted_at_once_are_all_counted() {
        let mut stats = ShardStats::default();
        let requests = SAMPLES_MAX as u64 * 2 + 3;
        (0..requests).for_each(|request| stats.record(StageSlot((request % 7) as u32), 200, request, None));
        let report = stats.report();
        assert_eq!(report.stages.len(), 7);
        assert_eq!(report.stages.iter().map(|(_, stage)| stage.count).sum::<u64>(), requests);
        let sum_us: u64 = report.stages.iter().map(|(_, stage)| stage.latency.sum_us).sum();
        assert_eq!(sum_us, requests * (requests - 1) / 2);
    }
}
