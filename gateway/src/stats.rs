//! What a shard counts while it serves, and hands to the housekeeper when asked.
//!
//! Owned by one shard and touched by it alone: plain integers, no atomics. A report moves what was
//! gathered since the last one, so a stage that saw no request costs nothing, and a scrape never
//! copies a histogram on a shard. `record` is the last step of a request's life.

use std::sync::Arc;

use hdrhistogram::Histogram;
use turnpike_limits::LeaseCounts;

use crate::http2::Http2Events;
use crate::tls::TlsFailures;

/// Index of a stage's figures, the same on every shard; given out by [`crate::housekeeper::totals::Totals`] when a
/// snapshot is compiled, and never used for another stage again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct StageSlot(pub(crate) u32);

/// Significant decimal digits of a latency: what is read back is within 1 % of what was recorded.
const LATENCY_DIGITS: u8 = 2;

/// A stage's requests. The names are CloudWatch's.
#[derive(Debug, Clone)]
pub(crate) struct StageStats {
    pub(crate) count: u64,
    pub(crate) count_4xx: u64,
    pub(crate) count_5xx: u64,
    pub(crate) latency: Latency,
    /// Of the requests that reached an integration.
    pub(crate) integration_latency: Latency,
    /// Requests of routes with a cache that were answered from it.
    pub(crate) cache_hits: u64,
    /// Those that weren't.
    pub(crate) cache_misses: u64,
}

impl StageStats {
    pub(crate) fn new() -> Self {
        Self {
            count: 0,
            count_4xx: 0,
            count_5xx: 0,
            latency: Latency::new(),
            integration_latency: Latency::new(),
            cache_hits: 0,
            cache_misses: 0,
        }
    }

    /// One answered request; `integration_latency_us` only if its integration was called.
    pub(crate) fn record(&mut self, status: u16, latency_us: u64, integration_latency_us: Option<u64>) {
        self.count += 1;
        self.count_4xx += u64::from(status / 100 == 4);
        self.count_5xx += u64::from(status / 100 == 5);
        self.latency.record(latency_us);
        if let Some(latency_us) = integration_latency_us {
            self.integration_latency.record(latency_us);
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.count_4xx += other.count_4xx;
        self.count_5xx += other.count_5xx;
        self.latency.add(&other.latency);
        self.integration_latency.add(&other.integration_latency);
        self.cache_hits += other.cache_hits;
        self.cache_misses += other.cache_misses;
    }
}

/// A latency distribution in microseconds, with its exact sum.
#[derive(Debug, Clone)]
pub(crate) struct Latency {
    pub(crate) histogram_us: Histogram<u64>,
    pub(crate) sum_us: u64,
}

impl Latency {
    fn new() -> Self {
        Self {
            // Grows to the longest latency seen: a kilobyte or two in practice, where room for an hour takes 26 KiB.
            histogram_us: Histogram::new(LATENCY_DIGITS).expect("two digits are within hdrhistogram's range"),
            sum_us: 0,
        }
    }

    fn record(&mut self, latency_us: u64) {
        self.histogram_us.record(latency_us).expect("a growing histogram takes every value");
        self.sum_us += latency_us;
    }

    fn add(&mut self, other: &Self) {
        self.histogram_us.add(&other.histogram_us).expect("a growing histogram takes every other");
        self.sum_us += other.sum_us;
    }
}

/// Why a request or connection was turned away, or failed, as metrics tell it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum RefusalKind {
    /// The request breaks HTTP's rules, or its framing is ambiguous.
    Malformed,
    StartLineTooLong,
    HeaderTooLarge,
    BodyTooLarge,
    /// A compressed body in a coding that can't be taken off, or not in the one that it is said to be in.
    ContentCoding,
    /// `decompressions_max` is reached.
    Decompressions,
    ReadTimeout,
    /// A request's body comes below `body_rate_bytes_per_s_min`.
    BodyTooSlow,
    /// The client takes nothing, or too little, of its answer.
    WriteTimeout,
    /// Upgrade, CONNECT, or a version that isn't served.
    Unsupported,
    /// No API answers at this host, base path or stage.
    ApiUnknown,
    /// A mutual-TLS domain was asked for without the certificate that it wants, or over another's connection.
    ClientCertificate,
    /// The API has no such route.
    RouteUnknown,
    /// The route asks for what can't be done, such as a protection that isn't enforced yet.
    RouteRefused,
    /// A new answer was asked for instead of a cached one, without the permission.
    CacheInvalidation,
    /// Only a cached answer was wanted, and there is none.
    NotCached,
    /// A route that asks for an API key was shown none, or none that may use the stage.
    ApiKey,
    /// The account's throttle has no token left.
    ThrottledAccount,
    /// The route's throttle has no token left.
    ThrottledRoute,
    /// The usage plan's throttle of the caller's key has no token left.
    ThrottledPlan,
    /// The usage plan's throttle of the caller's key for the route has no token left.
    ThrottledPlanRoute,
    /// Whether a throttle had a token wasn't known within `limit_wait_ms`.
    ThrottleTimeout,
    /// `limits_max`, `limit_leases_max` or `limit_waiting_max` is reached, or the limiter is too far behind.
    ThrottleCrowded,
    /// The quota of the caller's usage plan is used up.
    QuotaExceeded,
    /// Whether anything was left of the quota wasn't known within `quota_wait_ms`.
    QuotaUnknown,
    /// `quota_keys_max` or `quota_waiting_max` is reached, or the quotas' desk is too far behind.
    QuotaCrowded,
    /// `exchanges_in_flight_max` is reached.
    ExchangesInFlight,
    /// `connections_max` is reached.
    Connections,
    /// `connections_per_address_max` is reached.
    ConnectionsPerAddress,
    /// The PROXY protocol's header is missing, malformed, too long or too late.
    ProxyHeader,
    /// The PROXY protocol from a peer that isn't in `proxy_protocol_from`.
    ProxyPeer,
    /// The integration's host name has no address.
    UpstreamUnresolved,
    UpstreamConnect,
    /// The upstream's certificate is of an issuer that isn't trusted, or unusable.
    UpstreamTlsUntrusted,
    /// The upstream's certificate is for another name.
    UpstreamTlsName,
    /// The upstream's certificate isn't valid yet, or any more.
    UpstreamTlsExpired,
    /// No TLS with the upstream for another reason.
    UpstreamTlsProtocol,
    /// `upstream_connections_max` and `upstream_pending_requests_max` are reached.
    UpstreamConnections,
    /// None of the target group's targets is in use.
    UpstreamNoTarget,
    /// Every target of the group has as many requests as it may have.
    UpstreamCircuitOpen,
    /// Closed or reset before the answer was whole.
    UpstreamClosed,
    /// What the integration sent isn't HTTP, or is over a limit.
    UpstreamMalformed,
    IntegrationTimeout,
    Internal,
}

impl RefusalKind {
    /// In order of the discriminants.
    pub(crate) const ALL: [Self; 44] = [
        Self::Malformed,
        Self::StartLineTooLong,
        Self::HeaderTooLarge,
        Self::BodyTooLarge,
        Self::ContentCoding,
        Self::Decompressions,
        Self::ReadTimeout,
        Self::BodyTooSlow,
        Self::WriteTimeout,
        Self::Unsupported,
        Self::ApiUnknown,
        Self::ClientCertificate,
        Self::RouteUnknown,
        Self::RouteRefused,
        Self::CacheInvalidation,
        Self::NotCached,
        Self::ApiKey,
        Self::ThrottledAccount,
        Self::ThrottledRoute,
        Self::ThrottledPlan,
        Self::ThrottledPlanRoute,
        Self::ThrottleTimeout,
        Self::ThrottleCrowded,
        Self::QuotaExceeded,
        Self::QuotaUnknown,
        Self::QuotaCrowded,
        Self::ExchangesInFlight,
        Self::Connections,
        Self::ConnectionsPerAddress,
        Self::ProxyHeader,
        Self::ProxyPeer,
        Self::UpstreamUnresolved,
        Self::UpstreamConnect,
        Self::UpstreamTlsUntrusted,
        Self::UpstreamTlsName,
        Self::UpstreamTlsExpired,
        Self::UpstreamTlsProtocol,
        Self::UpstreamConnections,
        Self::UpstreamNoTarget,
        Self::UpstreamCircuitOpen,
        Self::UpstreamClosed,
        Self::UpstreamMalformed,
        Self::IntegrationTimeout,
        Self::Internal,
    ];

    /// As the metrics' label says it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::StartLineTooLong => "start_line_too_long",
            Self::HeaderTooLarge => "header_too_large",
            Self::BodyTooLarge => "body_too_large",
            Self::ContentCoding => "content_coding",
            Self::Decompressions => "decompressions",
            Self::ReadTimeout => "read_timeout",
            Self::BodyTooSlow => "body_too_slow",
            Self::WriteTimeout => "write_timeout",
            Self::Unsupported => "unsupported",
            Self::ApiUnknown => "api_unknown",
            Self::ClientCertificate => "client_certificate",
            Self::RouteUnknown => "route_unknown",
            Self::RouteRefused => "route_refused",
            Self::CacheInvalidation => "cache_invalidation",
            Self::NotCached => "not_cached",
            Self::ApiKey => "api_key",
            Self::ThrottledAccount => "throttled_account",
            Self::ThrottledRoute => "throttled_route",
            Self::ThrottledPlan => "throttled_plan",
            Self::ThrottledPlanRoute => "throttled_plan_route",
            Self::ThrottleTimeout => "throttle_timeout",
            Self::ThrottleCrowded => "throttle_crowded",
            Self::QuotaExceeded => "quota_exceeded",
            Self::QuotaUnknown => "quota_unknown",
            Self::QuotaCrowded => "quota_crowded",
            Self::ExchangesInFlight => "exchanges_in_flight",
            Self::Connections => "connections",
            Self::ConnectionsPerAddress => "connections_per_address",
            Self::ProxyHeader => "proxy_header",
            Self::ProxyPeer => "proxy_peer",
            Self::UpstreamUnresolved => "upstream_unresolved",
            Self::UpstreamTlsUntrusted => "upstream_tls_untrusted",
            Self::UpstreamTlsName => "upstream_tls_name",
            Self::UpstreamTlsExpired => "upstream_tls_expired",
            Self::UpstreamTlsProtocol => "upstream_tls_protocol",
            Self::UpstreamConnect => "upstream_connect",
            Self::UpstreamConnections => "upstream_connections",
            Self::UpstreamNoTarget => "upstream_no_target",
            Self::UpstreamCircuitOpen => "upstream_circuit_open",
            Self::UpstreamClosed => "upstream_closed",
            Self::UpstreamMalformed => "upstream_malformed",
            Self::IntegrationTimeout => "integration_timeout",
            Self::Internal => "internal",
        }
    }
}

/// Refusals by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusals([u64; RefusalKind::ALL.len()]);

impl Default for Refusals {
    fn default() -> Self {
        Self([0; RefusalKind::ALL.len()])
    }
}

impl Refusals {
    pub(crate) fn count(&mut self, kind: RefusalKind) {
        self.0[kind as usize] += 1;
    }

    pub(crate) fn of(&self, kind: RefusalKind) -> u64 {
        self.0[kind as usize]
    }

    fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }
}

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

/// What a shard counted of a target group since its last report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct GroupCounts {
    pub(crate) retries: u64,
    /// Retries that the budget didn't allow.
    pub(crate) budget_exhausted: u64,
    /// Requests refused because all targets had `requests_max`.
    pub(crate) circuit_open: u64,
    /// Requests refused because as many waited as may.
    pub(crate) pending_overflows: u64,
    /// Requests refused because no target was in use.
    pub(crate) no_target: u64,
    /// Requests sent to any target, because too few were healthy.
    pub(crate) panics: u64,
}

impl GroupCounts {
    pub(crate) fn add(&mut self, other: &Self) {
        self.retries += other.retries;
        self.budget_exhausted += other.budget_exhausted;
        self.circuit_open += other.circuit_open;
        self.pending_overflows += other.pending_overflows;
        self.no_target += other.no_target;
        self.panics += other.panics;
    }
}

/// What a shard counted of a target since its last report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TargetCounts {
    /// Tries, retries included.
    pub(crate) requests: u64,
    /// Of them, those that count for an ejection.
    pub(crate) failures: u64,
    pub(crate) ejections: u64,
}

impl TargetCounts {
    pub(crate) fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.failures += other.failures;
        self.ejections += other.ejections;
    }
}

/// A target group, as a shard reports it.
#[derive(Debug)]
pub(crate) struct GroupReport {
    pub(crate) id: Arc<str>,
    pub(crate) counts: GroupCounts,
    /// Requests that wait for a connection.
    pub(crate) pending: u64,
    /// Those of which there is something to report.
    pub(crate) targets: Vec<TargetReport>,
}

#[derive(Debug)]
pub(crate) struct TargetReport {
    pub(crate) name: Arc<str>,
    pub(crate) counts: TargetCounts,
    pub(crate) ejected: bool,
}

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

    #[test]
    fn a_latency_is_kept_to_one_percent_at_any_size() {
        for latency_us in [0, 1, 999, 250_000, 29_000_000, 86_400_000_000] {
            let mut stage = StageStats::new();
            stage.record(200, latency_us, None);
            let kept = stage.latency.histogram_us.max() as f64;
            assert!((kept - latency_us as f64).abs() <= latency_us as f64 / 100.0, "{latency_us}: {kept}");
        }
    }

    #[test]
    fn each_kind_of_refusal_is_counted_apart() {
        for (index, kind) in RefusalKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
            let mut refusals = Refusals::default();
            refusals.count(kind);
            assert_eq!(RefusalKind::ALL.map(|other| refusals.of(other)).iter().sum::<u64>(), 1);
            assert_eq!(refusals.of(kind), 1);
        }
        let mut names = RefusalKind::ALL.map(RefusalKind::name);
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
