//! From [`LowArgs`] to [`Settings`]: each setting's default, and its range.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use turnpike_coding::{MediaTypes, MediaTypesError};
use turnpike_http::{PROXY_HEADER_BYTES_CEILING, PROXY_TEXT_BYTES_MAX};
use turnpike_limits::Partition;
use turnpike_rt::DriverChoice;

use super::low::LowArgs;
use super::values::{BodyLimit, ForwardedField};
use super::{Settings, SettingsError, contradictions, cores, invalid};
use crate::networks::Networks;

impl Settings {
    pub(super) fn check(low: LowArgs, allowed_cores: &[usize]) -> Result<Self, SettingsError> {
        let data_dir = low.data_dir.unwrap_or_else(|| PathBuf::from("turnpike-data/gateway"));
        let upstream_connections_max =
            count("upstream_connections_max", low.upstream_connections_max, 1_024, 65_536)?;
        let connections_max = count("connections_max", low.connections_max, 16_384, 4_194_304)?;
        let snapshot_bytes_max =
            in_range("snapshot_bytes_max", low.snapshot_bytes_max, 1 << 30, 1_024, 1 << 40)?;
        let settings = Self {
            listen: low.listen.unwrap_or_else(|| vec![SocketAddr::from(([127, 0, 0, 1], 8080))]),
            tls_listen: low
                .tls_listen
                .map_or_else(|| vec![SocketAddr::from(([127, 0, 0, 1], 8443))], |typed| typed.0),
            proxy_protocol: low.proxy_protocol.unwrap_or_default(),
            proxy_protocol_from: Networks::new(low.proxy_protocol_from.unwrap_or_default()),
            proxy_header_bytes_max: in_range(
                "proxy_header_bytes_max",
                low.proxy_header_bytes_max,
                4_096,
                PROXY_TEXT_BYTES_MAX as u64,
                PROXY_HEADER_BYTES_CEILING as u64,
            )? as usize,
            proxy_header_timeout_ms: millis("proxy_header_timeout_ms", low.proxy_header_timeout_ms, 5_000)?,
            admin_listen: low.admin_listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 9901))),
            admin_connections_max: count("admin_connections_max", low.admin_connections_max, 64, 65_536)?,
            admin_idle_timeout_ms: millis("admin_idle_timeout_ms", low.admin_idle_timeout_ms, 30_000)?,
            listen_backlog: in_range("listen_backlog", low.listen_backlog, 4_096, 1, 65_535)? as i32,
            publish_socket: match low.publish_socket {
                Some(path) => path,
                None => publish_socket_beside(&data_dir)?,
            },

            cores: cores::select(low.cores.unwrap_or_default(), allowed_cores)?,
            driver: low.driver.map_or(DriverChoice::Auto, DriverChoice::from),
            require_io_uring: low.require_io_uring.unwrap_or(false),
            exit_with_parent: low.exit_with_parent.unwrap_or(false),
            huge_pages: low.huge_pages.unwrap_or(true),
            tls_certificate: low.tls_certificate,
            tls_private_key: low.tls_private_key,
            tls_handshake_timeout_ms: millis(
                "tls_handshake_timeout_ms",
                low.tls_handshake_timeout_ms,
                10_000,
            )?,
            tls_handshakes_in_flight_max: count(
                "tls_handshakes_in_flight_max",
                low.tls_handshakes_in_flight_max,
                1_024,
                65_536,
            )?,
            tls_ticket_rotation_ms: in_range(
                "tls_ticket_rotation_ms",
                low.tls_ticket_rotation_ms,
                21_600_000,
                1_000,
                TIMEOUT_MS_MAX,
            )?,
            drain_timeout_ms: millis("drain_timeout_ms", low.drain_timeout_ms, 30_000)?,
            upgrade_timeout_ms: millis("upgrade_timeout_ms", low.upgrade_timeout_ms, 30_000)?,

            trusted_proxies: Networks::new(low.trusted_proxies.unwrap_or_default()),
            trusted_proxies_field: low.trusted_proxies_field.unwrap_or(ForwardedField::XForwarded),
            start_line_bytes_max: bytes("start_line_bytes_max", low.start_line_bytes_max, 8_192)?,
            header_bytes_max: bytes("header_bytes_max", low.header_bytes_max, 10_240)?,
            header_count_max: count("header_count_max", low.header_count_max, 100, 1_000)?,
            body_bytes_max: low.body_bytes_max.map_or(10_485_760, BodyLimit::bytes),
            chunk_line_bytes_max: in_range("chunk_line_bytes_max", low.chunk_line_bytes_max, 256, 16, 65_536)?
                as usize,
            chunk_extension_bytes_max: in_range(
                "chunk_extension_bytes_max",
                low.chunk_extension_bytes_max,
                16_384,
                0,
                1 << 30,
            )? as usize,
            pipelined_requests_max: count("pipelined_requests_max", low.pipelined_requests_max, 128, 65_536)?,
            connections_max,
            connections_per_address_max: in_range(
                "connections_per_address_max",
                low.connections_per_address_max,
                connections_max as u64,
                1,
                1 << 30,
            )? as u32,
            exchanges_in_flight_max: count(
                "exchanges_in_flight_max",
                low.exchanges_in_flight_max,
                16_384,
                4_194_304,
            )?,
            read_head_timeout_ms: millis("read_head_timeout_ms", low.read_head_timeout_ms, 10_000)?,
            read_body_timeout_ms: millis("read_body_timeout_ms", low.read_body_timeout_ms, 30_000)?,
            body_rate_bytes_per_s_min: in_range(
                "body_rate_bytes_per_s_min",
                low.body_rate_bytes_per_s_min,
                240,
                0,
                1 << 30,
            )?,
            body_rate_grace_ms: millis("body_rate_grace_ms", low.body_rate_grace_ms, 30_000)?,
            write_timeout_ms: millis("write_timeout_ms", low.write_timeout_ms, 30_000)?,
            idle_timeout_ms: millis("idle_timeout_ms", low.idle_timeout_ms, 60_000)?,
            idle_buffer_release_ms: millis("idle_buffer_release_ms", low.idle_buffer_release_ms, 1_000)?,
            idle_buffers_max: in_range("idle_buffers_max", low.idle_buffers_max, 1_024, 0, 1_048_576)?,
            idle_buffers_kept_max: in_range(
                "idle_buffers_kept_max",
                low.idle_buffers_kept_max,
                512,
                0,
                1_048_576,
            )?,

            http2_streams_max: number("http2_streams_max", low.http2_streams_max, 128, 1, 65_536)?,
            http2_stream_window_bytes: number(
                "http2_stream_window_bytes",
                low.http2_stream_window_bytes,
                262_144,
                1_024,
                HTTP2_WINDOW_BYTES_MAX,
            )?,
            http2_connection_window_bytes: number(
                "http2_connection_window_bytes",
                low.http2_connection_window_bytes,
                1_048_576,
                65_535,
                HTTP2_WINDOW_BYTES_MAX,
            )?,
            http2_frame_bytes_max: number(
                "http2_frame_bytes_max",
                low.http2_frame_bytes_max,
                16_384,
                16_384,
                16_777_215,
            )?,
            http2_header_list_bytes_max: number(
                "http2_header_list_bytes_max",
                low.http2_header_list_bytes_max,
                32_768,
                1_024,
                16_777_216,
            )?,
            http2_send_buffer_bytes_max: number(
                "http2_send_buffer_bytes_max",
                low.http2_send_buffer_bytes_max,
                65_536,
                1_024,
                16_777_216,
            )? as usize,
            http2_control_frames_per_second_max: number(
                "http2_control_frames_per_second_max",
                low.http2_control_frames_per_second_max,
                10_000,
                10,
                100_000_000,
            )?,
            http2_resets_per_second_max: number(
                "http2_resets_per_second_max",
                low.http2_resets_per_second_max,
                200,
                1,
                100_000_000,
            )?,
            http2_error_resets_max: count(
                "http2_error_resets_max",
                low.http2_error_resets_max,
                1_024,
                100_000_000,
            )?,

            upstream_connections_max,
            upstream_pending_requests_max: in_range(
                "upstream_pending_requests_max",
                low.upstream_pending_requests_max,
                1_024,
                0,
                65_536,
            )? as usize,
            upstream_idle_connections_max: in_range(
                "upstream_idle_connections_max",
                low.upstream_idle_connections_max,
                1_024.min(upstream_connections_max as u64),
                0,
                65_536,
            )? as usize,
            upstream_head_bytes_max: bytes("upstream_head_bytes_max", low.upstream_head_bytes_max, 65_536)?,
            upstream_header_count_max: count(
                "upstream_header_count_max",
                low.upstream_header_count_max,
                100,
                1_000,
            )?,
            upstream_http2_streams_max: count(
                "upstream_http2_streams_max",
                low.upstream_http2_streams_max,
                100,
                65_536,
            )?,
            upstream_http2_stream_window_bytes: number(
                "upstream_http2_stream_window_bytes",
                low.upstream_http2_stream_window_bytes,
                262_144,
                1_024,
                HTTP2_WINDOW_BYTES_MAX,
            )?,
            upstream_http2_connection_window_bytes: number(
                "upstream_http2_connection_window_bytes",
                low.upstream_http2_connection_window_bytes,
                1_048_576,
                65_535,
                HTTP2_WINDOW_BYTES_MAX,
            )?,
            connect_timeout_ms: millis("connect_timeout_ms", low.connect_timeout_ms, 5_000)?,
            upstream_idle_timeout_ms: millis(
                "upstream_idle_timeout_ms",
                low.upstream_idle_timeout_ms,
                30_000,
            )?,
            integration_timeout_ms_max: in_range(
                "integration_timeout_ms_max",
                low.integration_timeout_ms_max,
                30_000,
                INTEGRATION_TIMEOUT_MS_MIN,
                TIMEOUT_MS_MAX,
            )?,

            cache_bytes_max: in_range("cache_bytes_max", low.cache_bytes_max, 134_217_728, 0, 1 << 40)?,
            cache_response_bytes_max: bytes(
                "cache_response_bytes_max",
                low.cache_response_bytes_max,
                1_048_576,
            )?,
            cache_sendfile_bytes_min: in_range(
                "cache_sendfile_bytes_min",
                low.cache_sendfile_bytes_min,
                32_768,
                0,
                1 << 40,
            )? as usize,
            cache_wait_timeout_ms: millis("cache_wait_timeout_ms", low.cache_wait_timeout_ms, 5_000)?,
            cache_waiting_requests_max: in_range(
                "cache_waiting_requests_max",
                low.cache_waiting_requests_max,
                4_096,
                0,
                1_000_000,
            )? as usize,
            cache_pass_ms: millis("cache_pass_ms", low.cache_pass_ms, 1_000)?,
            compression_level: number("compression_level", low.compression_level, 2, 1, 9)?,
            compression_turn_bytes: in_range(
                "compression_turn_bytes",
                low.compression_turn_bytes,
                16_384,
                1_024,
                16_777_216,
            )? as usize,
            compressions_max: in_range("compressions_max", low.compressions_max, 256, 0, 65_536)? as usize,
            compression_waiting_bytes_max: in_range(
                "compression_waiting_bytes_max",
                low.compression_waiting_bytes_max,
                67_108_864,
                0,
                1 << 40,
            )? as usize,
            compression_excluded_types: excluded_types(low.compression_excluded_types)?,
            decompressed_bytes_max: low.decompressed_bytes_max.map_or(10_485_760, BodyLimit::bytes),
            decompression_ratio_max: in_range(
                "decompression_ratio_max",
                low.decompression_ratio_max,
                100,
                1,
                1 << 20,
            )?,
            decompressions_max: count("decompressions_max", low.decompressions_max, 1_024, 65_536)?,
            limits_max: count("limits_max", low.limits_max, 1_000_000, 100_000_000)?,
            limit_leases_max: count("limit_leases_max", low.limit_leases_max, 65_536, 4_194_304)?,
            limit_waiting_max: count("limit_waiting_max", low.limit_waiting_max, 4_096, 1_048_576)?,
            limit_wait_ms: in_range("limit_wait_ms", low.limit_wait_ms, 50, 1, 10_000)?,
            limits_store: low.limits_store,
            limits_store_password_file: low.limits_store_password_file,
            limits_store_ca_certificate: low.limits_store_ca_certificate,
            limits_store_certificate: low.limits_store_certificate,
            limits_store_private_key: low.limits_store_private_key,
            limits_partition: low.limits_partition.map_or(Partition::Share, Partition::from),
            limits_store_timeout_ms: millis("limits_store_timeout_ms", low.limits_store_timeout_ms, 500)?,
            limits_store_lease_ms: in_range(
                "limits_store_lease_ms",
                low.limits_store_lease_ms,
                2_000,
                100,
                60_000,
            )?,
            rate_limit_fields: low.rate_limit_fields.unwrap_or(false),
            quota_keys_max: count("quota_keys_max", low.quota_keys_max, 100_000, 4_194_304)?,
            quota_waiting_max: count("quota_waiting_max", low.quota_waiting_max, 4_096, 1_048_576)?,
            quota_wait_ms: in_range("quota_wait_ms", low.quota_wait_ms, 1_000, 1, 60_000)?,
            quota_lease_requests_max: in_range(
                "quota_lease_requests_max",
                low.quota_lease_requests_max,
                65_536,
                8,
                1 << 32,
            )?,
            quota_lease_ms: in_range("quota_lease_ms", low.quota_lease_ms, 5_000, 1, 600_000)?,
            quota_dir: low.quota_dir.unwrap_or_else(|| data_dir.join("quotas")),

            target_group_addresses_max: count(
                "target_group_addresses_max",
                low.target_group_addresses_max,
                1_024,
                16_384,
            )?,
            health_checks_in_flight_max: count(
                "health_checks_in_flight_max",
                low.health_checks_in_flight_max,
                256,
                4_096,
            )?,
            target_metrics_max: count("target_metrics_max", low.target_metrics_max, 1_000, 100_000)?,

            dns_servers: low.dns_servers.unwrap_or_default(),
            dns_ttl_min_ms: millis("dns_ttl_min_ms", low.dns_ttl_min_ms, 1_000)?,
            dns_ttl_max_ms: millis("dns_ttl_max_ms", low.dns_ttl_max_ms, 300_000)?,
            dns_failure_ttl_ms: millis("dns_failure_ttl_ms", low.dns_failure_ttl_ms, 1_000)?,
            dns_query_timeout_ms: millis("dns_query_timeout_ms", low.dns_query_timeout_ms, 2_000)?,
            dns_queries_in_flight_max: count(
                "dns_queries_in_flight_max",
                low.dns_queries_in_flight_max,
                64,
                4_096,
            )?,

            snapshot_unit_bytes_max: in_range(
                "snapshot_unit_bytes_max",
                low.snapshot_unit_bytes_max,
                snapshot_bytes_max.min(67_108_864),
                1_024,
                1 << 31,
            )? as u32,
            snapshot_units_max: count("snapshot_units_max", low.snapshot_units_max, 100_000, 16_777_216)?,
            snapshot_bytes_max,

            access_log_format: contradictions::checked_format(
                low.access_log_format,
                low.access_log.as_ref(),
            )?,
            access_log: low.access_log,
            access_log_dir: low.access_log_dir.unwrap_or_else(|| data_dir.join("access-logs")),
            access_log_queue_bytes_max: in_range(
                "access_log_queue_bytes_max",
                low.access_log_queue_bytes_max,
                16_777_216,
                65_536,
                1 << 34,
            )? as usize,
            access_log_files_max: count("access_log_files_max", low.access_log_files_max, 256, 65_536)?,
            access_log_flush_ms: in_range("access_log_flush_ms", low.access_log_flush_ms, 50, 0, 10_000)?,
            access_log_reopen_check_ms: millis(
                "access_log_reopen_check_ms",
                low.access_log_reopen_check_ms,
                1_000,
            )?,

            metrics_collect_timeout_ms: millis(
                "metrics_collect_timeout_ms",
                low.metrics_collect_timeout_ms,
                1_000,
            )?,
            data_dir,
        };
        contradictions::refuse(&settings)?;
        Ok(settings)
    }
}

/// AWS's lower end for an integration's timeout, in milliseconds.
const INTEGRATION_TIMEOUT_MS_MIN: u64 = 50;

/// A day: beyond it a timeout is a mistake, and sums of timeouts could no longer be trusted.
const TIMEOUT_MS_MAX: u64 = 86_400_000;

/// Control's data directory holds the gateway's by default, and the socket with it.
fn publish_socket_beside(data_dir: &Path) -> Result<PathBuf, SettingsError> {
    if data_dir.file_name().is_none() {
        return invalid(
            "publish_socket",
            format!(
                "its default is `publish.sock` beside data_dir, but data_dir, `{}`, doesn't end in a name; set \
                 publish_socket, or give data_dir a name",
                data_dir.display()
            ),
        );
    }
    Ok(data_dir.with_file_name("publish.sock"))
}

/// Types that are compressed in themselves.
const EXCLUDED_TYPES: &str = "image/avif,image/gif,image/heic,image/jpeg,image/jxl,image/png,image/webp,audio/*,\
     video/*,font/woff,font/woff2,application/epub+zip,application/gzip,application/java-archive,application/pdf,\
     application/vnd.openxmlformats-officedocument.*,application/vnd.rar,application/x-7z-compressed,\
     application/x-bzip2,application/x-gzip,application/x-xz,application/zip,application/zstd";

fn excluded_types(typed: Option<String>) -> Result<MediaTypes, SettingsError> {
    let types = typed.as_deref().unwrap_or(EXCLUDED_TYPES).parse();
    types.or_else(|error: MediaTypesError| invalid("compression_excluded_types", error.to_string()))
}

fn millis(setting: &'static str, typed: Option<u64>, default: u64) -> Result<u64, SettingsError> {
    in_range(setting, typed, default, 1, TIMEOUT_MS_MAX)
}

/// A size that is held in memory per connection, hence the modest ceiling.
fn bytes(setting: &'static str, typed: Option<u64>, default: u64) -> Result<usize, SettingsError> {
    in_range(setting, typed, default, 64, 16_777_216).map(|value| value as usize)
}

fn count(setting: &'static str, typed: Option<u64>, default: u64, max: u64) -> Result<usize, SettingsError> {
    in_range(setting, typed, default, 1, max).map(|value| value as usize)
}

fn number(
    setting: &'static str,
    typed: Option<u64>,
    default: u64,
    min: u64,
    max: u64,
) -> Result<u32, SettingsError> {
    in_range(setting, typed, default, min, max).map(|value| value as u32)
}

/// RFC 9113 6.9.1.
const HTTP2_WINDOW_BYTES_MAX: u64 = (1 << 31) - 1;

fn in_range(
    setting: &'static str,
    typed: Option<u64>,
    default: u64,
    min: u64,
    max: u64,
) -> Result<u64, SettingsError> {
    let value = typed.unwrap_or(default);
    if (min..=max).contains(&value) {
        return Ok(value);
    }
    invalid(setting, format!("{value} is outside {min} to {max}; the default is {default}"))
}
