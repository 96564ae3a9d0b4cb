//! Settings while the gateway runs: those that can change do when the file is read again, the others keep what they
//! were started with until an upgrade or a restart.

use std::cell::Cell;
use std::ops::Deref;

use super::{Settings, SettingsError, contradictions};

/// A thread's settings as they are now. Reading one costs what reading it from the struct itself would.
#[derive(Debug)]
pub(crate) struct Live(Cell<&'static Settings>);

impl Live {
    pub(crate) fn new(settings: &'static Settings) -> Self {
        Self(Cell::new(settings))
    }

    pub(crate) fn replace(&self, settings: &'static Settings) {
        self.0.set(settings);
    }
}

impl Deref for Live {
    type Target = Settings;

    fn deref(&self) -> &Settings {
        self.0.get()
    }
}

/// What reading the settings again brought.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reread {
    pub(crate) settings: Settings,
    /// By name.
    pub(crate) changed: Vec<&'static str>,
    /// Those that differ and keep their value.
    pub(crate) kept: Vec<&'static str>,
}

impl Settings {
    /// Keeps these for as long as the process lives, so that every thread reads them without counting references. A
    /// kilobyte for each time that an operator changes something.
    pub(crate) fn keep(self) -> &'static Self {
        Box::leak(Box::new(self))
    }

    /// Reads everything again: the arguments and the environment, which can't have changed, and the file.
    ///
    /// # Errors
    /// What is wrong with the file; nothing changes then.
    pub(crate) fn reread(&self) -> Result<Reread, SettingsError> {
        self.adopt(&Self::load()?.1)
    }

    fn adopt(&self, read: &Self) -> Result<Reread, SettingsError> {
        let reread = take_live(self, read);
        contradictions::refuse(&reread.settings)?;
        Ok(reread)
    }
}

macro_rules! sort_settings {
    (live: $($live:ident)*; fixed: $($fixed:ident)*;) => {
        fn take_live(running: &Settings, read: &Settings) -> Reread {
            let mut settings = running.clone();
            let (mut changed, mut kept) = (Vec::new(), Vec::new());
            $(if settings.$live != read.$live {
                settings.$live.clone_from(&read.$live);
                changed.push(stringify!($live));
            })*
            $(if settings.$fixed != read.$fixed {
                kept.push(stringify!($fixed));
            })*
            Reread { settings, changed, kept }
        }

        #[cfg(test)]
        const SORTED: &[&str] = &[$(stringify!($live),)* $(stringify!($fixed),)*];
    };
}

// Live are those that are read where they are used. They count for what begins afterwards: a connection, a request, a
// wait.
sort_settings! {
    live:
        proxy_protocol_from proxy_header_bytes_max proxy_header_timeout_ms
        drain_timeout_ms upgrade_timeout_ms
        trusted_proxies trusted_proxies_field tls_handshake_timeout_ms tls_handshakes_in_flight_max
        start_line_bytes_max header_bytes_max header_count_max body_bytes_max chunk_line_bytes_max
        chunk_extension_bytes_max pipelined_requests_max connections_max exchanges_in_flight_max
        read_head_timeout_ms read_body_timeout_ms body_rate_bytes_per_s_min body_rate_grace_ms write_timeout_ms
        idle_timeout_ms idle_buffer_release_ms idle_buffers_max idle_buffers_kept_max
        http2_streams_max http2_stream_window_bytes http2_connection_window_bytes http2_frame_bytes_max
        http2_header_list_bytes_max http2_send_buffer_bytes_max http2_control_frames_per_second_max
        http2_resets_per_second_max http2_error_resets_max
        upstream_connections_max upstream_pending_requests_max upstream_idle_connections_max
        upstream_head_bytes_max upstream_header_count_max upstream_http2_streams_max
        upstream_http2_stream_window_bytes upstream_http2_connection_window_bytes connect_timeout_ms upstream_idle_timeout_ms
        cache_response_bytes_max cache_wait_timeout_ms cache_waiting_requests_max cache_pass_ms rate_limit_fields
        compression_level compression_turn_bytes compressions_max compression_waiting_bytes_max
        compression_excluded_types decompressed_bytes_max decompression_ratio_max decompressions_max;
    fixed:
        listen tls_listen tls_certificate tls_private_key tls_ticket_rotation_ms proxy_protocol admin_listen admin_connections_max admin_idle_timeout_ms listen_backlog data_dir publish_socket
        cores driver require_io_uring exit_with_parent huge_pages
        connections_per_address_max
        cache_bytes_max cache_sendfile_bytes_min limits_max limit_leases_max limit_waiting_max limit_wait_ms
        limits_store limits_store_password_file limits_store_ca_certificate limits_store_certificate
        limits_store_private_key limits_partition limits_store_timeout_ms limits_store_lease_ms
        quota_keys_max quota_waiting_max quota_wait_ms quota_lease_requests_max quota_lease_ms quota_dir
        integration_timeout_ms_max target_group_addresses_max health_checks_in_flight_max target_metrics_max
        dns_servers dns_ttl_min_ms dns_ttl_max_ms dns_failure_ttl_ms dns_query_timeout_ms dns_queries_in_flight_max
        snapshot_unit_bytes_max snapshot_units_max snapshot_bytes_max
        access_log access_log_format access_log_dir access_log_queue_bytes_max access_log_files_max
        access_log_flush_ms access_log_reopen_check_ms metrics_collect_timeout_ms;
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::super::command_line::Cli;
    use super::*;

    #[test]
    fn every_setting_is_live_or_fixed() {
        for argument in Cli::command().get_arguments() {
            let name = argument.get_id().as_str();
            let sorted = SORTED.iter().filter(|sorted| **sorted == name).count();
            let wanted = usize::from(!["config", "help", "version"].contains(&name));
            assert_eq!(
                sorted, wanted,
                "list {name} in settings/live.rs, once: as live if it is read where it is used"
            );
        }
    }

    #[test]
    fn live_settings_change_and_fixed_ones_are_named() {
        let running = Settings::defaults();
        let mut read = running.clone();
        (read.idle_timeout_ms, read.listen_backlog, read.body_bytes_max) = (5, 7, 9);
        let reread = running.adopt(&read).unwrap();
        assert_eq!((reread.settings.idle_timeout_ms, reread.settings.body_bytes_max), (5, 9));
        assert_eq!(reread.settings.listen_backlog, running.listen_backlog);
        assert_eq!(reread.changed, ["body_bytes_max", "idle_timeout_ms"]);
        assert_eq!(reread.kept, ["listen_backlog"]);
    }

    #[test]
    fn a_mixture_that_contradicts_itself_is_refused() {
        let mut running = Settings::defaults();
        running.listen = vec!["127.0.0.1:1".parse().unwrap()];
        running.proxy_protocol.clone_from(&running.listen);
        running.proxy_protocol_from =
            "127.0.0.0/8".parse().map(|network| crate::networks::Networks::new(vec![network])).unwrap();
        // Fine together, but the addresses that need it stay.
        let mut read = running.clone();
        read.proxy_protocol.clear();
        read.proxy_protocol_from = crate::networks::Networks::new(Vec::new());
        assert!(running.adopt(&read).is_err());
    }
}
