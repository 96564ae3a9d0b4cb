//! The gateway's figures as Prometheus reads them: text exposition format 0.0.4, in a stable order.
//!
//! CloudWatch's names stay recognisable: Count, 4XXError, 5XXError, Latency and IntegrationLatency
//! become `turnpike_count_total`, `turnpike_4xx_error_total` and so on, labelled by API and stage.
//!
//! Latencies are exposed twice. As histograms with fixed edges, because only those can be added up
//! over gateways and asked about a span of time. And as gauges of quantiles since the start, because
//! the edges are coarse and the HDR histograms behind them know the tail to 1 %; gauges rather than a
//! summary, since one name can't be histogram and summary at once.

mod targets;

use std::fmt::Write as _;

use super::access_log::AccessLogFigures;
use super::resolver::ResolverFigures;
use super::targets::GroupFigures;
use super::totals::{ShardTotals, StageName, Totals};
use crate::http2::Http2Event;
use crate::limits::LimiterFigures;
use crate::stats::{Counters, Gauges, Latency, RefusalKind, StageStats};
use crate::tls::TlsFailure;

/// What `/metrics` answers with.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the housekeeper itself counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct HousekeeperFigures {
    /// `io_uring` or `epoll`.
    pub(crate) driver: &'static str,
    /// The newest snapshot that was compiled and published to the shards; 0 before the first.
    pub(crate) snapshot_version: u64,
    /// It isn't on disk.
    pub(crate) snapshot_unkept: bool,
    pub(crate) snapshot_applied_total: u64,
    pub(crate) snapshot_refused_total: u64,
    pub(crate) refused_routes: u64,
    pub(crate) control_connected: bool,
    pub(crate) draining: bool,
    pub(crate) resolver: ResolverFigures,
    pub(crate) target_groups: Vec<GroupFigures>,
    /// Targets, and groups, that are shown apart.
    pub(crate) target_metrics_max: usize,
    pub(crate) access_log: AccessLogFigures,
    pub(crate) limiter: LimiterFigures,
}

/// Upper edges in microseconds: 0.25 ms to 30 s, about three per factor of ten.
const EDGES_US: [u64; 16] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000, 30_000_000,
];

const QUANTILES: [f64; 4] = [0.5, 0.9, 0.99, 0.999];

/// All figures.
pub(crate) fn render(totals: &Totals, housekeeper: &HousekeeperFigures) -> String {
    let mut page = Page::default();
    render_housekeeper(&mut page, housekeeper);
    render_stages(&mut page, totals);
    targets::render(&mut page, totals, housekeeper);
    render_shards(&mut page, totals.shards());
    page.text
}

fn render_housekeeper(page: &mut Page, figures: &HousekeeperFigures) {
    page.family("turnpike_build_info", Kind::Gauge, "Version and I/O driver of this gateway; always 1.");
    page.sample("", &[("version", env!("CARGO_PKG_VERSION")), ("driver", figures.driver)], 1);
    let gauges: [(&str, &str, u64); 11] = [
        ("turnpike_snapshot_version", "Newest snapshot given to the shards.", figures.snapshot_version),
        (
            "turnpike_snapshot_unkept",
            "1 while the newest snapshot isn't on disk: a restart without control would serve an older one.",
            figures.snapshot_unkept.into(),
        ),
        (
            "turnpike_refused_routes",
            "Routes of the snapshot that answer 500 because they ask for what can't be done.",
            figures.refused_routes,
        ),
        (
            "turnpike_control_connected",
            "1 while control's publish link is up.",
            figures.control_connected.into(),
        ),
        ("turnpike_draining", "1 once the gateway drains.", figures.draining.into()),
        (
            "turnpike_dns_hosts",
            "Host names that the snapshot, or a request that began before it, uses.",
            figures.resolver.hosts,
        ),
        (
            "turnpike_dns_hosts_unresolved",
            "Host names without an address: unknown, failed, or not answered yet.",
            figures.resolver.hosts_unresolved,
        ),
        (
            "turnpike_access_log_queued_bytes",
            "Log lines that wait to be written, in bytes.",
            figures.access_log.queued_bytes,
        ),
        ("turnpike_limits", "Throttles that have been used up to some part.", figures.limiter.limits),
        (
            "turnpike_limits_store_partitioned",
            "1 while limits_store can't be reached.",
            figures.limiter.store_partitioned,
        ),
        (
            "turnpike_limits_store_gateways",
            "Gateways that share limits_store, as far as it said last.",
            figures.limiter.store_gateways,
        ),
    ];
    for (name, help, value) in gauges {
        page.family(name, Kind::Gauge, help);
        page.sample("", &[], value);
    }
    let counters: [(&str, &str, u64); 13] = [
        ("turnpike_snapshot_applied_total", "Snapshots taken into service.", figures.snapshot_applied_total),
        (
            "turnpike_snapshot_refused_total",
            "Snapshots refused; the last good one serves on.",
            figures.snapshot_refused_total,
        ),
        ("turnpike_dns_lookups_total", "Host names looked up.", figures.resolver.lookups_total),
        (
            "turnpike_dns_lookup_failures_total",
            "Lookups that no name server answered.",
            figures.resolver.failures_total,
        ),
        (
            "turnpike_dns_stale_answers_total",
            "Failed lookups whose last good answer was kept.",
            figures.resolver.stale_answers_total,
        ),
        (
            "turnpike_access_log_written_lines_total",
            "Log lines written.",
            figures.access_log.written_lines_total,
        ),
        (
            "turnpike_access_log_unwritten_lines_total",
            "Log lines lost because their file or pipe failed.",
            figures.access_log.unwritten_lines_total,
        ),
        (
            "turnpike_access_log_errors_total",
            "Failed opens and writes of logs.",
            figures.access_log.errors_total,
        ),
        (
            "turnpike_limiter_granted_tokens_total",
            "Requests' tokens that the limiter gave to shards, of which some came back.",
            figures.limiter.granted_tokens_total,
        ),
        (
            "turnpike_limiter_empty_total",
            "Times that the limiter was asked for more tokens than there were.",
            figures.limiter.empty_total,
        ),
        (
            "turnpike_limiter_crowded_total",
            "Times that the limiter was asked for a throttle more than it may keep.",
            figures.limiter.crowded_total,
        ),
        (
            "turnpike_limits_store_exchanges_total",
            "Times that limits_store was told of a throttle, or asked for a lease.",
            figures.limiter.store_exchanges_total,
        ),
        (
            "turnpike_limits_store_errors_total",
            "Connections to limits_store that failed or weren't made.",
            figures.limiter.store_errors_total,
        ),
    ];
    for (name, help, value) in counters {
        page.family(name, Kind::Counter, help);
        page.sample("", &[], value);
    }
}

fn render_stages(page: &mut Page, totals: &Totals) {
    type Count = fn(&StageStats) -> u64;
    let counts: [(&str, &str, Count); 5] = [
        ("turnpike_count_total", "Requests answered.", |stats| stats.count),
        ("turnpike_4xx_error_total", "Requests answered with a client error.", |stats| stats.count_4xx),
        ("turnpike_5xx_error_total", "Requests answered with a server error.", |stats| stats.count_5xx),
        ("turnpike_cache_hit_total", "Requests of cached routes answered from the cache.", |stats| {
            stats.cache_hits
        }),
        ("turnpike_cache_miss_total", "Requests of cached routes answered by their integration.", |stats| {
            stats.cache_misses
        }),
    ];
    for (name, help, count) in counts {
        page.family(name, Kind::Counter, help);
        for (stage, stats) in totals.stages() {
            page.sample("", &stage_labels(stage), count(stats));
        }
    }
    let latency = "from the end of a request's head to the end of its answer";
    render_latency(page, totals, "turnpike_latency", latency, |stats| &stats.latency);
    let latency = "from calling an integration to the end of its answer's head";
    render_latency(page, totals, "turnpike_integration_latency", latency, |stats| &stats.integration_latency);
}

fn render_latency(page: &mut Page, totals: &Totals, name: &str, what: &str, of: fn(&StageStats) -> &Latency) {
    page.family(&format!("{name}_seconds"), Kind::Histogram, &format!("Time {what}."));
    for (stage, stats) in totals.stages() {
        render_histogram(page, &stage_labels(stage), of(stats));
    }
    let help = format!("Quantiles since the start of the time {what}; to 1 %.");
    page.family(&format!("{name}_quantile_seconds"), Kind::Gauge, &help);
    for (stage, stats) in totals.stages().filter(|(_, stats)| !of(stats).histogram_us.is_empty()) {
        for quantile in QUANTILES {
            let [api_id, stage] = stage_labels(stage);
            let value_us = of(stats).histogram_us.value_at_quantile(quantile);
            page.sample("", &[api_id, stage, ("quantile", &quantile.to_string())], Seconds(value_us));
        }
    }
}

/// A latency counts for an edge when its HDR bucket, 1 % wide at most, begins at or below the edge.
fn render_histogram(page: &mut Page, labels: &[(&str, &str); 2], latency: &Latency) {
    let mut recorded = latency.histogram_us.iter_recorded().peekable();
    let mut below = 0;
    for edge_us in EDGES_US {
        while let Some(bucket) =
            recorded.next_if(|bucket| lowest(latency, bucket.value_iterated_to()) <= edge_us)
        {
            below += bucket.count_since_last_iteration();
        }
        let edge = Seconds(edge_us).to_string();
        page.sample("_bucket", &[labels[0], labels[1], ("le", &edge)], below);
    }
    let count = latency.histogram_us.len();
    page.sample("_bucket", &[labels[0], labels[1], ("le", "+Inf")], count);
    page.sample("_sum", labels, Seconds(latency.sum_us));
    page.sample("_count", labels, count);
}

fn lowest(latency: &Latency, value_us: u64) -> u64 {
    latency.histogram_us.lowest_equivalent(value_us)
}

fn stage_labels(name: &StageName) -> [(&'static str, &str); 2] {
    [("api_id", &name.api_id), ("stage", &name.stage)]
}

type CounterOf = fn(&Counters) -> u64;
type GaugeOf = fn(&Gauges) -> u64;

const SHARD_COUNTERS: [(&str, &str, CounterOf); 30] = [
    ("turnpike_shard_connections_accepted_total", "Client connections accepted.", |c| {
        c.connections_accepted_total
    }),
    ("turnpike_shard_connections_handed_off_total", "Accepted connections given to another shard.", |c| {
        c.connections_handed_off_total
    }),
    ("turnpike_shard_connections_taken_over_total", "Connections taken over from another shard.", |c| {
        c.connections_taken_over_total
    }),
    ("turnpike_shard_http2_connections_total", "Client connections that speak HTTP/2.", |c| {
        c.http2_connections_total
    }),
    (
        "turnpike_shard_connections_idle_closed_total",
        "Client connections closed for having been idle too long.",
        |c| c.connections_idle_closed_total,
    ),
    ("turnpike_shard_clients_gone_total", "Requests whose client went away before it had its answer.", |c| {
        c.clients_gone_total
    }),
    ("turnpike_shard_requests_total", "Requests answered, refused ones included.", |c| c.requests_total),
    ("turnpike_shard_tls_handshakes_total", "TLS handshakes with clients that were done.", |c| {
        c.tls_handshakes_total
    }),
    (
        "turnpike_shard_tls_handshakes_resumed_total",
        "TLS handshakes with clients that went on from an earlier session.",
        |c| c.tls_handshakes_resumed_total,
    ),
    ("turnpike_shard_upstream_connects_total", "Connections made to integrations' targets.", |c| {
        c.upstream_connects_total
    }),
    (
        "turnpike_shard_upstream_connect_failures_total",
        "Connections to integrations' targets that failed.",
        |c| c.upstream_connect_failures_total,
    ),
    (
        "turnpike_shard_upstream_tls_handshakes_total",
        "TLS handshakes with integrations' targets that were done.",
        |c| c.upstream_tls_handshakes_total,
    ),
    (
        "turnpike_shard_upstream_tls_handshakes_resumed_total",
        "TLS handshakes with integrations' targets that went on from an earlier session.",
        |c| c.upstream_tls_handshakes_resumed_total,
    ),
    ("turnpike_shard_upstream_reuses_total", "Requests sent over a pooled connection.", |c| {
        c.upstream_reuses_total
    }),
    (
        "turnpike_shard_upstream_retries_total",
        "Requests sent again because a pooled connection was closed.",
        |c| c.upstream_retries_total,
    ),
    ("turnpike_shard_cache_evictions_total", "Cached responses that went for want of room.", |c| {
        c.cache_evictions_total
    }),
    ("turnpike_shard_cache_waits_total", "Requests that waited for another's response.", |c| {
        c.cache_waits_total
    }),
    ("turnpike_shard_compressions_total", "Answers that were compressed.", |c| c.compressions_total),
    ("turnpike_shard_compression_in_bytes_total", "Bytes of those answers' bodies before.", |c| {
        c.compression_in_bytes_total
    }),
    ("turnpike_shard_compression_out_bytes_total", "Bytes of those answers' bodies after.", |c| {
        c.compression_out_bytes_total
    }),
    (
        "turnpike_shard_compressions_crowded_total",
        "Answers that were left as they are since as many were being compressed as may be.",
        |c| c.compressions_crowded_total,
    ),
    ("turnpike_shard_decompressions_total", "Requests that were decompressed.", |c| c.decompressions_total),
    ("turnpike_shard_limit_asks_total", "Times that the limiter was asked for tokens.", |c| {
        c.limit_asks_total
    }),
    ("turnpike_shard_limit_grants_total", "Times that the limiter gave tokens.", |c| c.limit_grants_total),
    ("turnpike_shard_limit_waits_total", "Requests that waited for the limiter.", |c| c.limit_waits_total),
    ("turnpike_shard_received_bytes_total", "Bytes received from clients.", |c| c.bytes_in_total),
    ("turnpike_shard_sent_bytes_total", "Bytes sent to clients.", |c| c.bytes_out_total),
    ("turnpike_shard_access_log_lines_total", "Access log lines given to the writer.", |c| {
        c.access_log_lines_total
    }),
    (
        "turnpike_shard_access_log_dropped_lines_total",
        "Access log lines dropped because the writer's queue was full.",
        |c| c.access_log_lines_dropped_total,
    ),
    (
        "turnpike_shard_samples_crowded_total",
        "Answered requests whose latencies the shard counted, because the housekeeper was too far behind.",
        |c| c.samples_crowded_total,
    ),
];

const SHARD_GAUGES: [(&str, &str, GaugeOf); 13] = [
    ("turnpike_shard_connections_open", "Open client connections.", |g| g.connections_open),
    ("turnpike_shard_connections_idle", "Open client connections between two requests.", |g| {
        g.connections_idle
    }),
    ("turnpike_shard_exchanges_in_flight", "Requests in work.", |g| g.exchanges_in_flight),
    ("turnpike_shard_tls_handshakes_in_flight", "TLS handshakes with clients in work.", |g| {
        g.tls_handshakes_in_flight
    }),
    ("turnpike_shard_upstream_connections_open", "Open connections to integrations' targets.", |g| {
        g.upstream_connections_open
    }),
    ("turnpike_shard_upstream_connections_idle", "Pooled connections to integrations' targets.", |g| {
        g.upstream_connections_idle
    }),
    ("turnpike_shard_upstream_requests_pending", "Requests that wait for a connection.", |g| {
        g.upstream_requests_pending
    }),
    ("turnpike_shard_limit_requests_waiting", "Requests that wait for the limiter.", |g| {
        g.limit_requests_waiting
    }),
    ("turnpike_shard_limit_leases", "Throttles that the shard holds tokens of, or did lately.", |g| {
        g.limit_leases
    }),
    (
        "turnpike_shard_buffers_in_use",
        "I/O buffers that connections hold; when all rest, those of idle_buffers_kept_max at most.",
        |g| g.buffers_in_use,
    ),
    ("turnpike_shard_cache_bytes", "Memory that cached responses take.", |g| g.cache_bytes),
    ("turnpike_shard_cache_responses", "Cached responses.", |g| g.cache_responses),
    ("turnpike_shard_snapshot_version", "The snapshot that the shard runs.", |g| g.snapshot_version),
];

fn render_shards(page: &mut Page, shards: &[ShardTotals]) {
    page.family(
        "turnpike_shard_up",
        Kind::Gauge,
        "1 if the shard answered this collection; else its figures are older.",
    );
    page.per_shard(shards, |shard| u64::from(shard.up));
    for (name, help, of) in SHARD_COUNTERS {
        page.family(name, Kind::Counter, help);
        page.per_shard(shards, |shard| of(&shard.counters));
    }
    page.family(
        "turnpike_shard_refusals_total",
        Kind::Counter,
        "Requests and connections refused or failed, by kind.",
    );
    for (index, shard) in shards.iter().enumerate() {
        for kind in RefusalKind::ALL {
            let count = shard.counters.refusals.of(kind);
            page.sample("", &[("shard", &index.to_string()), ("kind", kind.name())], count);
        }
    }
    page.family(
        "turnpike_shard_tls_handshake_failures_total",
        Kind::Counter,
        "TLS handshakes with clients that failed, by kind.",
    );
    for (index, shard) in shards.iter().enumerate() {
        for kind in TlsFailure::ALL {
            let count = shard.counters.tls_failures.of(kind);
            page.sample("", &[("shard", &index.to_string()), ("kind", kind.name())], count);
        }
    }
    page.family(
        "turnpike_shard_http2_events_total",
        Kind::Counter,
        "HTTP/2 connections ended and streams reset for what their client did, by kind.",
    );
    for (index, shard) in shards.iter().enumerate() {
        for event in Http2Event::ALL {
            let count = shard.counters.http2_events.of(event);
            page.sample("", &[("shard", &index.to_string()), ("kind", event.name())], count);
        }
    }
    for (name, help, of) in SHARD_GAUGES {
        page.family(name, Kind::Gauge, help);
        page.per_shard(shards, |shard| of(&shard.gauges));
    }
    page.family(
        "turnpike_shard_load_busiest_over_mean",
        Kind::Gauge,
        "The busiest shard's share over the mean, of requests since the start and of open connections; 1 is even, and said while there are none.",
    );
    let requests = busiest_over_mean(shards.iter().map(|shard| shard.counters.requests_total));
    page.sample("", &[("of", "requests")], requests);
    let connections = busiest_over_mean(shards.iter().map(|shard| shard.gauges.connections_open));
    page.sample("", &[("of", "connections")], connections);
}

/// The largest of `loads` over their mean.
pub(crate) fn busiest_over_mean(loads: impl ExactSizeIterator<Item = u64>) -> f64 {
    let shard_count = loads.len() as f64;
    let (sum, busiest) = loads.fold((0_u64, 0_u64), |(sum, busiest), load| (sum + load, busiest.max(load)));
    if sum == 0 { 1.0 } else { busiest as f64 * shard_count / sum as f64 }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// The text, and the family that samples are being added to.
#[derive(Default)]
struct Page {
    text: String,
    family: String,
}

impl Page {
    fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        name.clone_into(&mut self.family);
        self.push(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn sample(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.text.push_str(&self.family);
        self.text.push_str(suffix);
        for (index, (label, text)) in labels.iter().enumerate() {
            let opening = if index == 0 { '{' } else { ',' };
            self.push(format_args!("{opening}{label}=\"{}\"", Escaped(text)));
        }
        let closing = if labels.is_empty() { "" } else { "}" };
        self.push(format_args!("{closing} {value}\n"));
    }

    fn per_shard(&mut self, shards: &[ShardTotals], of: impl Fn(&ShardTotals) -> u64) {
        for (index, shard) in shards.iter().enumerate() {
            self.sample("", &[("shard", &index.to_string())], of(shard));
        }
    }

    fn push(&mut self, text: std::fmt::Arguments<'_>) {
        self.text.write_fmt(text).expect("writing to memory can't fail");
    }
}

/// A label's value.
struct Escaped<'a>(&'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for character in self.0.chars() {
            match character {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// Microseconds, written as seconds.
struct Seconds(u64);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (whole, fraction) = (self.0 / 1_000_000, self.0 % 1_000_000);
        if fraction == 0 {
            return write!(f, "{whole}");
        }
        let fraction = format!("{fraction:06}");
        write!(f, "{whole}.{}", fraction.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests;
