//! What an operator may set, read once at start: flags over environment over file over defaults.
//!
//! [`low::LowArgs`] is what was typed, [`Settings`] is what was checked; the rest of the gateway sees
//! only the latter. Each setting is described in one place, the help text in `low.rs`, and has its default and its range in
//! another, `ranges.rs`.

mod command_line;
mod contradictions;
mod cores;
mod environment;
mod live;
mod low;
mod ranges;
mod values;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use turnpike_coding::MediaTypes;
use turnpike_limits::Partition;
use turnpike_rt::DriverChoice;

use command_line::{Cli, TypedTask};
pub(crate) use environment::strangers;
pub(crate) use live::Live;
use low::LowArgs;
pub(crate) use values::{ForwardedField, LogDestination};

use crate::check;
use crate::entrance::Entrance;
use crate::limits::measure;
use crate::networks::Networks;

/// What the program was started for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Task {
    Run,
    Upgrade {
        /// The one that the gateway was started as, if absent.
        binary: Option<PathBuf>,
    },
    Check(check::Output),
    MeasureLimiter(measure::Load),
    /// Of so many limits.
    MeasureHandover(usize),
}

/// Checked settings: every value is within its range and none contradicts another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Never empty; port 0 lets the system choose.
    pub(crate) listen: Vec<SocketAddr>,
    /// As `listen`, for HTTPS; empty without it.
    pub(crate) tls_listen: Vec<SocketAddr>,
    /// Of the addresses listened on, those whose connections begin with a PROXY protocol header.
    pub(crate) proxy_protocol: Vec<SocketAddr>,
    /// Never empty where `proxy_protocol` isn't.
    pub(crate) proxy_protocol_from: Networks,
    pub(crate) proxy_header_bytes_max: usize,
    pub(crate) proxy_header_timeout_ms: u64,
    pub(crate) admin_listen: SocketAddr,
    pub(crate) admin_connections_max: usize,
    pub(crate) admin_idle_timeout_ms: u64,
    /// Connections per listener, 1 to 65,535.
    pub(crate) listen_backlog: i32,
    pub(crate) data_dir: PathBuf,
    /// At most 107 bytes, the kernel's limit.
    pub(crate) publish_socket: PathBuf,

    /// Ids of the cores to pin shards to, ascending, without repeats, all allowed to this process; never empty.
    pub(crate) cores: Vec<usize>,
    pub(crate) driver: DriverChoice,
    pub(crate) require_io_uring: bool,
    pub(crate) exit_with_parent: bool,
    pub(crate) huge_pages: bool,
    pub(crate) drain_timeout_ms: u64,
    pub(crate) upgrade_timeout_ms: u64,

    /// Both or neither; neither makes a development certificate.
    pub(crate) tls_certificate: Option<PathBuf>,
    pub(crate) tls_private_key: Option<PathBuf>,
    pub(crate) tls_handshake_timeout_ms: u64,
    /// Per shard.
    pub(crate) tls_handshakes_in_flight_max: usize,
    pub(crate) tls_ticket_rotation_ms: u64,

    /// Whose forwarding fields are believed.
    pub(crate) trusted_proxies: Networks,
    pub(crate) trusted_proxies_field: ForwardedField,
    pub(crate) start_line_bytes_max: usize,
    /// All header fields of a request together.
    pub(crate) header_bytes_max: usize,
    pub(crate) header_count_max: usize,
    /// `u64::MAX` where the operator wrote `unlimited`.
    pub(crate) body_bytes_max: u64,
    /// Of a body's chunk-size line, both ways.
    pub(crate) chunk_line_bytes_max: usize,
    /// Of a body's chunk extensions together, both ways.
    pub(crate) chunk_extension_bytes_max: usize,
    pub(crate) pipelined_requests_max: usize,
    /// Per shard.
    pub(crate) connections_max: usize,
    /// Of all shards together.
    pub(crate) connections_per_address_max: u32,
    /// Per shard.
    pub(crate) exchanges_in_flight_max: usize,
    pub(crate) read_head_timeout_ms: u64,
    pub(crate) read_body_timeout_ms: u64,
    /// Of a client that sends a body or takes an answer; 0 asks for none.
    pub(crate) body_rate_bytes_per_s_min: u64,
    pub(crate) body_rate_grace_ms: u64,
    pub(crate) write_timeout_ms: u64,
    pub(crate) idle_timeout_ms: u64,
    pub(crate) idle_buffer_release_ms: u64,
    /// Per shard.
    pub(crate) idle_buffers_max: u64,
    /// Per shard.
    pub(crate) idle_buffers_kept_max: u64,

    /// Streams of one client connection that are open at once.
    pub(crate) http2_streams_max: u32,
    /// Of request bodies, per stream.
    pub(crate) http2_stream_window_bytes: u32,
    /// Of request bodies, per connection.
    pub(crate) http2_connection_window_bytes: u32,
    /// 16,384 to 16,777,215.
    pub(crate) http2_frame_bytes_max: u32,
    pub(crate) http2_header_list_bytes_max: u32,
    /// Of an answer's body, per stream.
    pub(crate) http2_send_buffer_bytes_max: usize,
    /// Per connection, of each kind.
    pub(crate) http2_control_frames_per_second_max: u32,
    /// Per connection.
    pub(crate) http2_resets_per_second_max: u32,
    /// Per connection, over its life.
    pub(crate) http2_error_resets_max: usize,

    /// Per shard and target.
    pub(crate) upstream_connections_max: usize,
    /// Per shard and target; 0 lets none wait.
    pub(crate) upstream_pending_requests_max: usize,
    /// Per shard and target; at most `upstream_connections_max`.
    pub(crate) upstream_idle_connections_max: usize,
    /// Status line and header fields of an answer together.
    pub(crate) upstream_head_bytes_max: usize,
    pub(crate) upstream_header_count_max: usize,
    /// Exchanges of one HTTP/2 connection at once; at most as many as the target allows.
    pub(crate) upstream_http2_streams_max: usize,
    /// Of an answer's body, per exchange.
    pub(crate) upstream_http2_stream_window_bytes: u32,
    /// Of answers' bodies, per connection.
    pub(crate) upstream_http2_connection_window_bytes: u32,
    pub(crate) connect_timeout_ms: u64,
    pub(crate) upstream_idle_timeout_ms: u64,
    /// Ceiling over what the integrations of a snapshot ask for.
    pub(crate) integration_timeout_ms_max: u64,

    /// Per shard; 0 keeps nothing.
    pub(crate) cache_bytes_max: u64,
    /// A longer body isn't kept.
    pub(crate) cache_response_bytes_max: usize,
    /// 0: no body lies in a memory file.
    pub(crate) cache_sendfile_bytes_min: usize,
    pub(crate) cache_wait_timeout_ms: u64,
    /// Per shard.
    pub(crate) cache_waiting_requests_max: usize,
    pub(crate) cache_pass_ms: u64,
    /// 1 to 9.
    pub(crate) compression_level: u32,
    pub(crate) compression_turn_bytes: usize,
    /// Per shard; 0 compresses nothing.
    pub(crate) compressions_max: usize,
    /// Per shard.
    pub(crate) compression_waiting_bytes_max: usize,
    pub(crate) compression_excluded_types: MediaTypes,
    /// `u64::MAX` where the operator wrote `unlimited`.
    pub(crate) decompressed_bytes_max: u64,
    pub(crate) decompression_ratio_max: u64,
    /// Per shard.
    pub(crate) decompressions_max: usize,
    /// Throttles that are in use at once, of all shards together.
    pub(crate) limits_max: usize,
    /// Per shard.
    pub(crate) limit_leases_max: usize,
    /// Requests, per shard.
    pub(crate) limit_waiting_max: usize,
    pub(crate) limit_wait_ms: u64,
    /// An address that [`crate::limits::check_store`] takes.
    pub(crate) limits_store: Option<String>,
    pub(crate) limits_store_password_file: Option<PathBuf>,
    /// PEM files; with TLS to the store, and only then.
    pub(crate) limits_store_ca_certificate: Option<PathBuf>,
    pub(crate) limits_store_certificate: Option<PathBuf>,
    pub(crate) limits_store_private_key: Option<PathBuf>,
    pub(crate) limits_partition: Partition,
    /// Below `limits_store_lease_ms`.
    pub(crate) limits_store_timeout_ms: u64,
    pub(crate) limits_store_lease_ms: u64,
    /// Whether who is throttled is told of its throttles, and when to come back.
    pub(crate) rate_limit_fields: bool,
    /// Of usage plans with quotas, in use at once.
    pub(crate) quota_keys_max: usize,
    /// Of one shard.
    pub(crate) quota_waiting_max: usize,
    pub(crate) quota_wait_ms: u64,
    pub(crate) quota_lease_requests_max: u64,
    pub(crate) quota_lease_ms: u64,
    pub(crate) quota_dir: PathBuf,

    /// Per target group, after resolving.
    pub(crate) target_group_addresses_max: usize,
    pub(crate) health_checks_in_flight_max: usize,
    pub(crate) target_metrics_max: usize,

    /// Empty: the system's.
    pub(crate) dns_servers: Vec<SocketAddr>,
    pub(crate) dns_ttl_min_ms: u64,
    /// At least `dns_ttl_min_ms`.
    pub(crate) dns_ttl_max_ms: u64,
    pub(crate) dns_failure_ttl_ms: u64,
    pub(crate) dns_query_timeout_ms: u64,
    pub(crate) dns_queries_in_flight_max: usize,

    pub(crate) snapshot_unit_bytes_max: u32,
    pub(crate) snapshot_units_max: usize,
    /// At least `snapshot_unit_bytes_max`.
    pub(crate) snapshot_bytes_max: u64,

    /// `None`: only stages that name a log group are logged.
    pub(crate) access_log: Option<LogDestination>,
    /// Of the gateway's own log; it compiles.
    pub(crate) access_log_format: String,
    pub(crate) access_log_dir: PathBuf,
    pub(crate) access_log_queue_bytes_max: usize,
    pub(crate) access_log_files_max: usize,
    /// How long a line may wait for others to be written with.
    pub(crate) access_log_flush_ms: u64,
    pub(crate) access_log_reopen_check_ms: u64,

    pub(crate) metrics_collect_timeout_ms: u64,
}

/// Why the gateway can't start with what it was given.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    /// Also help and version, which are no failures: see [`SettingsError::exit`].
    #[error("{0}")]
    CommandLine(#[from] clap::Error),
    #[error("cannot read the settings file {path}: {error}; check --config", path = path.display())]
    FileUnreadable { path: PathBuf, error: std::io::Error },
    #[error(
        "settings file {path}: {error}\n`turnpike-gateway --help` lists the settings; a key is a flag's name with `_` for `-`",
        path = path.display()
    )]
    FileInvalid { path: PathBuf, error: Box<toml::de::Error> },
    #[error("{setting}: {problem}")]
    Invalid { setting: &'static str, problem: String },
}

impl SettingsError {
    /// Prints help and version to standard output with status 0, everything else to standard error with status 2.
    pub(crate) fn exit(self) -> ! {
        match self {
            Self::CommandLine(error) => error.exit(),
            other => {
                report!("turnpike-gateway: {other}");
                std::process::exit(2)
            }
        }
    }
}

impl Settings {
    /// Reads the process's arguments and environment, and the file that they name.
    pub(crate) fn load() -> Result<(Task, Self), SettingsError> {
        Self::parse(std::env::args_os(), cores::allowed)
    }

    /// What the listener that was asked for as `address` asks of its connections.
    pub(crate) fn entrance(&self, address: SocketAddr, tls: bool) -> Entrance {
        Entrance { proxy_protocol: self.proxy_protocol.contains(&address), tls }
    }

    /// What a gateway without any argument runs with, on core 0.
    #[cfg(test)]
    pub(crate) fn defaults() -> Self {
        Self::check(LowArgs::default(), &[0]).expect("the defaults are valid")
    }

    /// `args` begins with the program's name; `allowed_cores` yields the ids that this process may run on.
    pub(crate) fn parse(
        args: impl IntoIterator<Item = OsString>,
        allowed_cores: impl FnOnce() -> Result<Vec<usize>, SettingsError>,
    ) -> Result<(Task, Self), SettingsError> {
        let cli = Cli::try_parse_from(args)?;
        let (task, typed) = match cli.task {
            None => (Task::Run, cli.typed),
            Some(TypedTask::Check { output, typed }) => (Task::Check(output), *typed),
            Some(TypedTask::Upgrade { binary, typed }) => (Task::Upgrade { binary }, *typed),
            Some(TypedTask::MeasureHandover { limits, typed }) => (Task::MeasureHandover(limits), *typed),
            Some(TypedTask::MeasureLimiter { rate_per_s, burst_requests, seconds, typed }) => {
                (Task::MeasureLimiter(measure::Load { rate_per_s, burst_requests, seconds }), *typed)
            }
        };
        let low = match typed.config {
            Some(path) => typed.low.over(read_file(path)?),
            None => typed.low,
        };
        Ok((task, Self::check(low, &allowed_cores()?)?))
    }
}

fn read_file(path: PathBuf) -> Result<LowArgs, SettingsError> {
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => return Err(SettingsError::FileUnreadable { path, error }),
    };
    toml::from_str(&text).map_err(|error| SettingsError::FileInvalid { path, error: Box::new(error) })
}

fn invalid<T>(setting: &'static str, problem: impl Into<String>) -> Result<T, SettingsError> {
    Err(SettingsError::Invalid { setting, problem: problem.into() })
}

#[cfg(test)]
mod tests;
