//! The settings as they are typed, on the command line, in the environment and in a file alike.
//!
//! Nothing is checked here beyond the shape of a value, and an absent setting is `None`: defaults
//! belong to [`super::Settings`], where a test holds them to what the help below says.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use clap::builder::BoolishValueParser;
use serde::Deserialize;

use super::cores::CoreChoice;
use super::values::{Addresses, BodyLimit, DriverName, ForwardedField, LogDestination, PartitionName};
use crate::networks::Network;

/// One field per setting, each as typed.
#[derive(Args, Deserialize, Debug, Default, Clone)]
#[serde(deny_unknown_fields)]
pub(super) struct LowArgs {
    /// Addresses that serve APIs over HTTP, repeated or separated by commas; in a file, an array of strings.
    /// Port 0 lets the system choose one [default: 127.0.0.1:8080]
    #[arg(help_heading = ADDRESSES, long, env = "TURNPIKE_GATEWAY_LISTEN", value_name = "ADDR:PORT", value_delimiter = ',')]
    pub(super) listen: Option<Vec<SocketAddr>>,
    /// Addresses that serve APIs over HTTPS, repeated or separated by commas; in a file, an array of strings. An
    /// empty string turns HTTPS off [default: 127.0.0.1:8443]
    #[arg(help_heading = ADDRESSES, long, env = "TURNPIKE_GATEWAY_TLS_LISTEN", value_name = "ADDR:PORT")]
    pub(super) tls_listen: Option<Addresses>,
    /// Those of the addresses listened on, as they are written there, whose connections begin with a PROXY protocol
    /// header, version 1 or 2; a connection without it is closed. Repeated or separated by commas; in a file, an
    /// array of strings
    #[arg(help_heading = ADDRESSES, long, env = "TURNPIKE_GATEWAY_PROXY_PROTOCOL", value_name = "ADDR:PORT", value_delimiter = ',')]
    pub(super) proxy_protocol: Option<Vec<SocketAddr>>,
    /// Networks of the balancers whose PROXY protocol headers are believed; other peers are closed at once.
    /// Required with --proxy-protocol. Repeated or separated by commas; in a file, an array of strings
    #[arg(help_heading = ADDRESSES, long, env = "TURNPIKE_GATEWAY_PROXY_PROTOCOL_FROM", value_name = "NETWORK", value_delimiter = ',')]
    pub(super) proxy_protocol_from: Option<Vec<Network>>,
    /// Longest PROXY protocol header of version 2, its fields included; a connection with a longer one is closed
    /// (version 1 has 107 at most) [default: 4096]
    #[arg(help_heading = ADDRESSES, long, env = "TURNPIKE_GATEWAY_PROXY_HEADER_BYTES_MAX", value_name = "BYTES")]
    pub(super) proxy_header_bytes_max: Option<u64>,
    /// For a PROXY protocol header to be there, from the connection's beginning [default: 5000]
    #[arg(help_heading = ADDRESSES, long, env = "TURNPIKE_GATEWAY_PROXY_HEADER_TIMEOUT_MS", value_name = "MS")]
    pub(super) proxy_header_timeout_ms: Option<u64>,
    /// Address of metrics, health, readiness and drain. It has no authentication: keep it off public networks
    /// [default: 127.0.0.1:9901]
    #[arg(help_heading = ADDRESSES, long, env = "TURNPIKE_GATEWAY_ADMIN_LISTEN", value_name = "ADDR:PORT")]
    pub(super) admin_listen: Option<SocketAddr>,
    /// Open connections at the admin address; further ones wait [default: 64]
    #[arg(help_heading = ADDRESSES, long, env = "TURNPIKE_GATEWAY_ADMIN_CONNECTIONS_MAX", value_name = "CONNECTIONS")]
    pub(super) admin_connections_max: Option<u64>,
    /// How long a connection at the admin address is kept over which nothing comes [default: 30000]
    #[arg(help_heading = ADDRESSES, long, env = "TURNPIKE_GATEWAY_ADMIN_IDLE_TIMEOUT_MS", value_name = "MS")]
    pub(super) admin_idle_timeout_ms: Option<u64>,
    /// Connections that the kernel holds per listening socket until a shard accepts them; the kernel caps it at
    /// net.core.somaxconn [default: 4096]
    #[arg(help_heading = ADDRESSES, long, env = "TURNPIKE_GATEWAY_LISTEN_BACKLOG", value_name = "CONNECTIONS")]
    pub(super) listen_backlog: Option<u64>,
    /// Where turnpike-control publishes: a Unix socket. By default `publish.sock` in the directory that holds
    /// the data directory, which is control's data directory [default: turnpike-data/publish.sock]
    #[arg(help_heading = ADDRESSES, long, env = "TURNPIKE_GATEWAY_PUBLISH_SOCKET", value_name = "PATH")]
    pub(super) publish_socket: Option<PathBuf>,

    /// Directory for the last good snapshot, so that the gateway starts without control; made when absent
    /// [default: turnpike-data/gateway]
    #[arg(help_heading = PROCESS, long, env = "TURNPIKE_GATEWAY_DATA_DIR", value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,
    /// Cores that get a pinned shard each: `all` that the process may use, the first N of those, or a list
    /// such as 0,2-3 (core 2 alone: 2-2) [default: all]
    #[arg(help_heading = PROCESS, long, env = "TURNPIKE_GATEWAY_CORES", value_name = "all|N|LIST")]
    pub(super) cores: Option<CoreChoice>,
    /// What shards run on: io_uring, epoll, or auto for io_uring where the host allows it [default: auto]
    #[arg(help_heading = PROCESS, long, env = "TURNPIKE_GATEWAY_DRIVER", value_name = "auto|io_uring|epoll")]
    pub(super) driver: Option<DriverName>,
    /// Refuse to start where io_uring is denied, instead of running on epoll [default: false]
    #[arg(help_heading = PROCESS, long, env = "TURNPIKE_GATEWAY_REQUIRE_IO_URING", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub(super) require_io_uring: Option<bool>,
    /// Drain and end when standard input reaches its end, as it does when the parent process dies
    /// [default: false]
    #[arg(help_heading = PROCESS, long, env = "TURNPIKE_GATEWAY_EXIT_WITH_PARENT", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub(super) exit_with_parent: Option<bool>,
    /// Keep the gateway's machine code on huge pages, of its own and not of its file: requests take some 2 % less time,
    /// memory some 8 MiB more, and profilers and uprobes don't find its functions. Large tables of routes are gathered on
    /// huge pages as well. Where the host has none, the gateway says so and goes on without [default: true]
    #[arg(help_heading = PROCESS, long, env = "TURNPIKE_GATEWAY_HUGE_PAGES", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub(super) huge_pages: Option<bool>,
    /// How long a drain waits for the requests in flight before it closes their connections [default: 30000]
    #[arg(help_heading = PROCESS, long, env = "TURNPIKE_GATEWAY_DRAIN_TIMEOUT_MS", value_name = "MS")]
    pub(super) drain_timeout_ms: Option<u64>,
    /// How long an upgrade waits for the new process to become ready before it gives up and goes on serving
    /// [default: 30000]
    #[arg(help_heading = PROCESS, long, env = "TURNPIKE_GATEWAY_UPGRADE_TIMEOUT_MS", value_name = "MS")]
    pub(super) upgrade_timeout_ms: Option<u64>,

    /// Networks of the proxies in front of the gateway whose forwarding fields are believed: the rightmost address
    /// in them that isn't a listed proxy's becomes the request's source. Without any, nobody's are. Repeated or
    /// separated by commas; in a file, an array of strings
    #[arg(help_heading = DOWNSTREAM, long, env = "TURNPIKE_GATEWAY_TRUSTED_PROXIES", value_name = "NETWORK", value_delimiter = ',')]
    pub(super) trusted_proxies: Option<Vec<Network>>,
    /// What trusted proxies write: `x-forwarded` for X-Forwarded-*, `forwarded` for RFC 7239's field. The other is
    /// believed from nobody [default: x-forwarded]
    #[arg(help_heading = DOWNSTREAM, long, env = "TURNPIKE_GATEWAY_TRUSTED_PROXIES_FIELD", value_name = "x-forwarded|forwarded")]
    pub(super) trusted_proxies_field: Option<ForwardedField>,
    /// Certificate for all hosts without one of their own: a PEM file, its chain behind it. Without it, a
    /// development authority in the data directory issues one
    #[arg(help_heading = TLS, long, env = "TURNPIKE_GATEWAY_TLS_CERTIFICATE", value_name = "PATH")]
    pub(super) tls_certificate: Option<PathBuf>,
    /// Its private key, a PEM file; required with --tls-certificate
    #[arg(help_heading = TLS, long, env = "TURNPIKE_GATEWAY_TLS_PRIVATE_KEY", value_name = "PATH")]
    pub(super) tls_private_key: Option<PathBuf>,
    /// From the connection to the handshake's end [default: 10000]
    #[arg(help_heading = TLS, long, env = "TURNPIKE_GATEWAY_TLS_HANDSHAKE_TIMEOUT_MS", value_name = "MS")]
    pub(super) tls_handshake_timeout_ms: Option<u64>,
    /// Handshakes in work per shard; further connections are closed at once [default: 1024]
    #[arg(help_heading = TLS, long, env = "TURNPIKE_GATEWAY_TLS_HANDSHAKES_IN_FLIGHT_MAX", value_name = "HANDSHAKES")]
    pub(super) tls_handshakes_in_flight_max: Option<u64>,
    /// How long session tickets are sealed with one key; they are good for as long again. At least 1000
    /// [default: 21600000]
    #[arg(help_heading = TLS, long, env = "TURNPIKE_GATEWAY_TLS_TICKET_ROTATION_MS", value_name = "MS")]
    pub(super) tls_ticket_rotation_ms: Option<u64>,

    /// Longest request line; 414 above it [default: 8192]
    #[arg(help_heading = DOWNSTREAM, long, env = "TURNPIKE_GATEWAY_START_LINE_BYTES_MAX", value_name = "BYTES")]
    pub(super) start_line_bytes_max: Option<u64>,
    /// All header fields of a request together; 431 above it [default: 10240]
    #[arg(help_heading = DOWNSTREAM, long, env = "TURNPIKE_GATEWAY_HEADER_BYTES_MAX", value_name = "BYTES")]
    pub(super) header_bytes_max: Option<u64>,
    /// Header fields of a request, and trailer fields likewise; 431 above it [default: 100]
    #[arg(help_heading = DOWNSTREAM, long, env = "TURNPIKE_GATEWAY_HEADER_COUNT_MAX", value_name = "FIELDS")]
    pub(super) header_count_max: Option<u64>,
    /// Body of a request, or `unlimited`; 413 above it [default: 10485760]
    #[arg(help_heading = DOWNSTREAM, long, env = "TURNPIKE_GATEWAY_BODY_BYTES_MAX", value_name = "BYTES|unlimited")]
    pub(super) body_bytes_max: Option<BodyLimit>,
    /// One chunk-size line of a body, extensions included, in requests and answers; 400 above it, or 502
    /// [default: 256]
    #[arg(help_heading = DOWNSTREAM, long, env = "TURNPIKE_GATEWAY_CHUNK_LINE_BYTES_MAX", value_name = "BYTES")]
    pub(super) chunk_line_bytes_max: Option<u64>,
    /// All chunk extensions of a body together, in requests and answers; 400 above it, or 502 [default: 16384]
    #[arg(help_heading = DOWNSTREAM, long, env = "TURNPIKE_GATEWAY_CHUNK_EXTENSION_BYTES_MAX", value_name = "BYTES")]
    pub(super) chunk_extension_bytes_max: Option<u64>,
    /// Requests in a row that were sent before their predecessor was answered; the last of them is answered with
    /// a close [default: 128]
    #[arg(help_heading = DOWNSTREAM, long, env = "TURNPIKE_GATEWAY_PIPELINED_REQUESTS_MAX", value_name = "REQUESTS")]
    pub(super) pipelined_requests_max: Option<u64>,
    /// Open client connections per shard; further ones are closed at once [default: 16384]
    #[arg(help_heading = DOWNSTREAM, long, env = "TURNPIKE_GATEWAY_CONNECTIONS_MAX", value_name = "CONNECTIONS")]
    pub(super) connections_max: Option<u64>,
    /// Open connections of one client address (IPv6: of one /64) on all shards together; further ones are closed
    /// at once. Trusted proxies aren't counted, as many come through them. By default as many as --connections-max
    /// [default: 16384]
    #[arg(help_heading = DOWNSTREAM, long, env = "TURNPIKE_GATEWAY_CONNECTIONS_PER_ADDRESS_MAX", value_name = "CONNECTIONS")]
    pub(super) connections_per_address_max: Option<u64>,
    /// Requests in work per shard; 429 above it [default: 16384]
    #[arg(help_heading = DOWNSTREAM, long, env = "TURNPIKE_GATEWAY_EXCHANGES_IN_FLIGHT_MAX", value_name = "REQUESTS")]
    pub(super) exchanges_in_flight_max: Option<u64>,
    /// From the first byte of a request to the end of its header fields [default: 10000]
    #[arg(help_heading = DOWNSTREAM, long, env = "TURNPIKE_GATEWAY_READ_HEAD_TIMEOUT_MS", value_name = "MS")]
    pub(super) read_head_timeout_ms: Option<u64>,
    /// Between two pieces of a request's body [default: 30000]
    #[arg(help_heading = DOWNSTREAM, long, env = "TURNPIKE_GATEWAY_READ_BODY_TIMEOUT_MS", value_name = "MS")]
    pub(super) read_body_timeout_ms: Option<u64>,
    /// Slowest client: a request's body below this rate gets 408, an answer that is taken more slowly ends the
    /// connection; 0 asks for no rate. Only time spent waiting for the client counts [default: 240]
    #[arg(help_heading = DOWNSTREAM, long, env = "TURNPIKE_GATEWAY_BODY_RATE_BYTES_PER_S_MIN", value_name = "BYTES/S")]
    pub(super) body_rate_bytes_per_s_min: Option<u64>,
    /// How much waiting a request's body may be behind its rate by; bytes make up for it [default: 30000]
    #[arg(help_heading = DOWNSTREAM, long, env = "TURNPIKE_GATEWAY_BODY_RATE_GRACE_MS", value_name = "MS")]
    pub(super) body_rate_grace_ms: Option<u64>,
    /// For a client to take more of an answer; the rate that it takes it at is looked at twice in this time
    /// [default: 30000]
    #[arg(help_heading = DOWNSTREAM, long, env = "TURNPIKE_GATEWAY_WRITE_TIMEOUT_MS", value_name = "MS")]
    pub(super) write_timeout_ms: Option<u64>,
    /// How long a client connection is kept open between two requests [default: 60000]
    #[arg(help_heading = DOWNSTREAM, long, env = "TURNPIKE_GATEWAY_IDLE_TIMEOUT_MS", value_name = "MS")]
    pub(super) idle_timeout_ms: Option<u64>,
    /// How long an idle client connection keeps its buffers before they go back to the shard [default: 1000]
    #[arg(help_heading = DOWNSTREAM, long, env = "TURNPIKE_GATEWAY_IDLE_BUFFER_RELEASE_MS", value_name = "MS")]
    pub(super) idle_buffer_release_ms: Option<u64>,
    /// Buffers of 8 KiB in use per shard beyond which idle client connections wait without one, which costs their
    /// next request one more operation [default: 1024]
    #[arg(help_heading = DOWNSTREAM, long, env = "TURNPIKE_GATEWAY_IDLE_BUFFERS_MAX", value_name = "BUFFERS")]
    pub(super) idle_buffers_max: Option<u64>,
    /// Client connections per shard that keep their buffer of 8 KiB for as long as they are idle, since a read that can
    /// be taken back costs each request some time; further ones, and those with TLS, give theirs back after
    /// --idle-buffer-release-ms [default: 512]
    #[arg(help_heading = DOWNSTREAM, long, env = "TURNPIKE_GATEWAY_IDLE_BUFFERS_KEPT_MAX", value_name = "BUFFERS")]
    pub(super) idle_buffers_kept_max: Option<u64>,

    /// Streams that one HTTP/2 connection may have open at once; further ones are refused, to be tried again
    /// [default: 128]
    #[arg(help_heading = HTTP2, long, env = "TURNPIKE_GATEWAY_HTTP2_STREAMS_MAX", value_name = "STREAMS")]
    pub(super) http2_streams_max: Option<u64>,
    /// Bytes of one request's body that an HTTP/2 client may send before its integration takes them [default: 262144]
    #[arg(help_heading = HTTP2, long, env = "TURNPIKE_GATEWAY_HTTP2_STREAM_WINDOW_BYTES", value_name = "BYTES")]
    pub(super) http2_stream_window_bytes: Option<u64>,
    /// The same for all requests of an HTTP/2 connection together; at least 65535 [default: 1048576]
    #[arg(help_heading = HTTP2, long, env = "TURNPIKE_GATEWAY_HTTP2_CONNECTION_WINDOW_BYTES", value_name = "BYTES")]
    pub(super) http2_connection_window_bytes: Option<u64>,
    /// Largest HTTP/2 frame that is taken, 16384 to 16777215 [default: 16384]
    #[arg(help_heading = HTTP2, long, env = "TURNPIKE_GATEWAY_HTTP2_FRAME_BYTES_MAX", value_name = "BYTES")]
    pub(super) http2_frame_bytes_max: Option<u64>,
    /// Header fields of an HTTP/2 request as RFC 9113 10.5.1 counts them, 32 bytes a field more than
    /// --header-bytes-max does; 431 above it, and an end of the connection far above it [default: 32768]
    #[arg(help_heading = HTTP2, long, env = "TURNPIKE_GATEWAY_HTTP2_HEADER_LIST_BYTES_MAX", value_name = "BYTES")]
    pub(super) http2_header_list_bytes_max: Option<u64>,
    /// Bytes of an answer that one HTTP/2 stream holds for a client that doesn't take them [default: 65536]
    #[arg(help_heading = HTTP2, long, env = "TURNPIKE_GATEWAY_HTTP2_SEND_BUFFER_BYTES_MAX", value_name = "BYTES")]
    pub(super) http2_send_buffer_bytes_max: Option<u64>,
    /// Frames that one HTTP/2 connection may send in a second, of each kind that carries no message: SETTINGS, PING,
    /// PRIORITY, WINDOW_UPDATE (one more for each 512 bytes sent to the client), empty DATA. Beyond it, the connection
    /// is ended [default: 10000]
    #[arg(help_heading = HTTP2, long, env = "TURNPIKE_GATEWAY_HTTP2_CONTROL_FRAMES_PER_SECOND_MAX", value_name = "FRAMES")]
    pub(super) http2_control_frames_per_second_max: Option<u64>,
    /// Streams that one HTTP/2 connection may reset in a second; beyond it, the connection is ended [default: 200]
    #[arg(help_heading = HTTP2, long, env = "TURNPIKE_GATEWAY_HTTP2_RESETS_PER_SECOND_MAX", value_name = "STREAMS")]
    pub(super) http2_resets_per_second_max: Option<u64>,
    /// Streams that one HTTP/2 connection may make the gateway reset by its mistakes, over its life; beyond it, the
    /// connection is ended [default: 1024]
    #[arg(help_heading = HTTP2, long, env = "TURNPIKE_GATEWAY_HTTP2_ERROR_RESETS_MAX", value_name = "STREAMS")]
    pub(super) http2_error_resets_max: Option<u64>,

    /// Open connections per shard and integration target; a request that would need another waits for one
    /// [default: 1024]
    #[arg(help_heading = UPSTREAM, long, env = "TURNPIKE_GATEWAY_UPSTREAM_CONNECTIONS_MAX", value_name = "CONNECTIONS")]
    pub(super) upstream_connections_max: Option<u64>,
    /// Requests per shard and integration target that wait for a connection when --upstream-connections-max are
    /// open, for as long as their integration's timeout allows; further ones get 503. 0: none waits
    /// [default: 1024]
    #[arg(help_heading = UPSTREAM, long, env = "TURNPIKE_GATEWAY_UPSTREAM_PENDING_REQUESTS_MAX", value_name = "REQUESTS")]
    pub(super) upstream_pending_requests_max: Option<u64>,
    /// Idle connections kept per shard and integration target, at most --upstream-connections-max; 0 keeps none
    /// [default: 1024]
    #[arg(help_heading = UPSTREAM, long, env = "TURNPIKE_GATEWAY_UPSTREAM_IDLE_CONNECTIONS_MAX", value_name = "CONNECTIONS")]
    pub(super) upstream_idle_connections_max: Option<u64>,
    /// Status line and header fields of an integration's answer together; 502 above it [default: 65536]
    #[arg(help_heading = UPSTREAM, long, env = "TURNPIKE_GATEWAY_UPSTREAM_HEAD_BYTES_MAX", value_name = "BYTES")]
    pub(super) upstream_head_bytes_max: Option<u64>,
    /// Header fields of an integration's answer, and trailer fields likewise; 502 above it [default: 100]
    #[arg(help_heading = UPSTREAM, long, env = "TURNPIKE_GATEWAY_UPSTREAM_HEADER_COUNT_MAX", value_name = "FIELDS")]
    pub(super) upstream_header_count_max: Option<u64>,
    /// Requests that share one HTTP/2 connection to an integration target at once, if the target allows as many; the
    /// next ones get another connection [default: 100]
    #[arg(help_heading = UPSTREAM, long, env = "TURNPIKE_GATEWAY_UPSTREAM_HTTP2_STREAMS_MAX", value_name = "REQUESTS")]
    pub(super) upstream_http2_streams_max: Option<u64>,
    /// Bytes of one answer that an integration target may send over HTTP/2 before the client takes them
    /// [default: 262144]
    #[arg(help_heading = UPSTREAM, long, env = "TURNPIKE_GATEWAY_UPSTREAM_HTTP2_STREAM_WINDOW_BYTES", value_name = "BYTES")]
    pub(super) upstream_http2_stream_window_bytes: Option<u64>,
    /// The same for all answers of an HTTP/2 connection together; at least 65535 [default: 1048576]
    #[arg(help_heading = UPSTREAM, long, env = "TURNPIKE_GATEWAY_UPSTREAM_HTTP2_CONNECTION_WINDOW_BYTES", value_name = "BYTES")]
    pub(super) upstream_http2_connection_window_bytes: Option<u64>,
    /// For a connection to an integration's target to be made [default: 5000]
    #[arg(help_heading = UPSTREAM, long, env = "TURNPIKE_GATEWAY_CONNECT_TIMEOUT_MS", value_name = "MS")]
    pub(super) connect_timeout_ms: Option<u64>,
    /// How long an idle connection to a target is kept; set it below the target's own keep-alive time
    /// [default: 30000]
    #[arg(help_heading = UPSTREAM, long, env = "TURNPIKE_GATEWAY_UPSTREAM_IDLE_TIMEOUT_MS", value_name = "MS")]
    pub(super) upstream_idle_timeout_ms: Option<u64>,
    /// Ceiling over the timeouts that integrations ask for; at least 50 [default: 30000]
    #[arg(help_heading = UPSTREAM, long, env = "TURNPIKE_GATEWAY_INTEGRATION_TIMEOUT_MS_MAX", value_name = "MS")]
    pub(super) integration_timeout_ms_max: Option<u64>,

    /// Memory per shard for cached responses, what finds them included; the stages' own sizes bound each stage besides.
    /// 0: nothing is cached [default: 134217728]
    #[arg(help_heading = CACHE, long, env = "TURNPIKE_GATEWAY_CACHE_BYTES_MAX", value_name = "BYTES")]
    pub(super) cache_bytes_max: Option<u64>,
    /// Body of a response that may be cached; larger ones pass without [default: 1048576]
    #[arg(help_heading = CACHE, long, env = "TURNPIKE_GATEWAY_CACHE_RESPONSE_BYTES_MAX", value_name = "BYTES")]
    pub(super) cache_response_bytes_max: Option<u64>,
    /// Body of a cached response that lies in a memory file, from where plain connections get it without a copy; shorter
    /// ones lie among the shard's other memory. 0: all do [default: 32768]
    #[arg(help_heading = CACHE, long, env = "TURNPIKE_GATEWAY_CACHE_SENDFILE_BYTES_MIN", value_name = "BYTES")]
    pub(super) cache_sendfile_bytes_min: Option<u64>,
    /// For another request that is fetching the same response; then a request fetches for itself [default: 5000]
    #[arg(help_heading = CACHE, long, env = "TURNPIKE_GATEWAY_CACHE_WAIT_TIMEOUT_MS", value_name = "MS")]
    pub(super) cache_wait_timeout_ms: Option<u64>,
    /// Requests per shard that wait for others that are fetching the same; further ones fetch for themselves. 0: none
    /// waits [default: 4096]
    #[arg(help_heading = CACHE, long, env = "TURNPIKE_GATEWAY_CACHE_WAITING_REQUESTS_MAX", value_name = "REQUESTS")]
    pub(super) cache_waiting_requests_max: Option<u64>,
    /// For which a response that turned out not to be cacheable is remembered, so that requests for it don't wait for
    /// each other [default: 1000]
    #[arg(help_heading = CACHE, long, env = "TURNPIKE_GATEWAY_CACHE_PASS_MS", value_name = "MS")]
    pub(super) cache_pass_ms: Option<u64>,
    /// How hard answers are compressed, from 1 to 9: each step takes longer for less. Measured on JSON: 360 MB/s to 36 %
    /// of the size at 1, 180 MB/s to 27 % at 2, 100 MB/s to 23 % at 4, 40 MB/s to 21 % at 6 [default: 2]
    #[arg(help_heading = COMPRESSION, long, env = "TURNPIKE_GATEWAY_COMPRESSION_LEVEL", value_name = "LEVEL")]
    pub(super) compression_level: Option<u64>,
    /// What a shard compresses or decompresses of one body before others get their turn; 16 KiB take about 0.1 ms at
    /// level 2 [default: 16384]
    #[arg(help_heading = COMPRESSION, long, env = "TURNPIKE_GATEWAY_COMPRESSION_TURN_BYTES", value_name = "BYTES")]
    pub(super) compression_turn_bytes: Option<u64>,
    /// Answers that a shard compresses at once, about 350 KiB of memory each; further ones go as they are. 0 compresses
    /// none [default: 256]
    #[arg(help_heading = COMPRESSION, long, env = "TURNPIKE_GATEWAY_COMPRESSIONS_MAX", value_name = "ANSWERS")]
    pub(super) compressions_max: Option<u64>,
    /// Memory per shard for beginnings of answers of unknown length that wait for as many bytes as their API compresses
    /// from; beyond it, an answer goes as it is [default: 67108864]
    #[arg(help_heading = COMPRESSION, long, env = "TURNPIKE_GATEWAY_COMPRESSION_WAITING_BYTES_MAX", value_name = "BYTES")]
    pub(super) compression_waiting_bytes_max: Option<u64>,
    /// Types of answers that are left as they are since they hardly get smaller; a `*` ends one that is the beginning
    /// of several. Separated by commas; an empty string excludes none, as AWS does. Event streams and gRPC are always
    /// left as they are
    /// [default: image/avif,image/gif,image/heic,image/jpeg,image/jxl,image/png,image/webp,audio/*,video/*,font/woff,font/woff2,application/epub+zip,application/gzip,application/java-archive,application/pdf,application/vnd.openxmlformats-officedocument.*,application/vnd.rar,application/x-7z-compressed,application/x-bzip2,application/x-gzip,application/x-xz,application/zip,application/zstd]
    #[arg(help_heading = COMPRESSION, long, env = "TURNPIKE_GATEWAY_COMPRESSION_EXCLUDED_TYPES", value_name = "TYPES")]
    pub(super) compression_excluded_types: Option<String>,
    /// What a request's compressed body may come to, or `unlimited`; 413 above it [default: 10485760]
    #[arg(help_heading = COMPRESSION, long, env = "TURNPIKE_GATEWAY_DECOMPRESSED_BYTES_MAX", value_name = "BYTES|unlimited")]
    pub(super) decompressed_bytes_max: Option<BodyLimit>,
    /// How many times its size a request's compressed body may come to, beyond 64 KiB; 413 above it. Nothing honest in
    /// gzip or deflate comes to more than 1032 times its size [default: 100]
    #[arg(help_heading = COMPRESSION, long, env = "TURNPIKE_GATEWAY_DECOMPRESSION_RATIO_MAX", value_name = "TIMES")]
    pub(super) decompression_ratio_max: Option<u64>,
    /// Requests' bodies that a shard decompresses at once, up to 120 KiB of memory each; further requests get 503
    /// [default: 1024]
    #[arg(help_heading = COMPRESSION, long, env = "TURNPIKE_GATEWAY_DECOMPRESSIONS_MAX", value_name = "REQUESTS")]
    pub(super) decompressions_max: Option<u64>,
    /// Throttles that are in use at once: of routes, of usage plans' keys. Those that nobody has used up some of are
    /// forgotten. Where all are in use, requests of a further one are refused with 429. About 100 bytes each, and 4
    /// more for each core [default: 1000000]
    #[arg(help_heading = LIMITS, long, env = "TURNPIKE_GATEWAY_LIMITS_MAX", value_name = "THROTTLES")]
    pub(super) limits_max: Option<u64>,
    /// Throttles that a core may hold requests' tokens of at once; further requests are refused with 429. About
    /// 120 bytes each [default: 65536]
    #[arg(help_heading = LIMITS, long, env = "TURNPIKE_GATEWAY_LIMIT_LEASES_MAX", value_name = "THROTTLES")]
    pub(super) limit_leases_max: Option<u64>,
    /// Requests of one core that wait to hear whether a throttle lets them through; more are refused with 429
    /// [default: 4096]
    #[arg(help_heading = LIMITS, long, env = "TURNPIKE_GATEWAY_LIMIT_WAITING_MAX", value_name = "REQUESTS")]
    pub(super) limit_waiting_max: Option<u64>,
    /// How long a request waits for that, usually some microseconds; then it is refused with 429 [default: 50]
    #[arg(help_heading = LIMITS, long, env = "TURNPIKE_GATEWAY_LIMIT_WAIT_MS", value_name = "MS")]
    pub(super) limit_wait_ms: Option<u64>,
    /// Redis, or what speaks its protocol, that keeps throttles for several gateways, so that all of them together let
    /// through what each would alone: redis://[USER@]HOST:PORT[/DB] or redis+unix:///PATH; of a Redis Cluster, some of its
    /// servers, redis://[USER@]HOST:PORT,HOST:PORT, or one, redis-cluster://[USER@]HOST:PORT. With rediss for redis, over
    /// TLS. The password is taken from TURNPIKE_GATEWAY_LIMITS_STORE_PASSWORD, or a file. It must not evict keys
    /// (maxmemory-policy noeviction). Without it, each gateway keeps its own throttles
    #[arg(help_heading = LIMITS, long, env = "TURNPIKE_GATEWAY_LIMITS_STORE", value_name = "URL")]
    pub(super) limits_store: Option<String>,
    /// File with the store's password alone, for those who can't set TURNPIKE_GATEWAY_LIMITS_STORE_PASSWORD
    #[arg(help_heading = LIMITS, long, env = "TURNPIKE_GATEWAY_LIMITS_STORE_PASSWORD_FILE", value_name = "FILE")]
    pub(super) limits_store_password_file: Option<PathBuf>,
    /// PEM file with the authorities that the store's certificate may be of, in place of the system's
    #[arg(help_heading = LIMITS, long, env = "TURNPIKE_GATEWAY_LIMITS_STORE_CA_CERTIFICATE", value_name = "FILE")]
    pub(super) limits_store_ca_certificate: Option<PathBuf>,
    /// PEM file with the certificate that the store is shown, the gateway's own first
    #[arg(help_heading = LIMITS, long, env = "TURNPIKE_GATEWAY_LIMITS_STORE_CERTIFICATE", value_name = "FILE")]
    pub(super) limits_store_certificate: Option<PathBuf>,
    /// PEM file with the private key of --limits-store-certificate
    #[arg(help_heading = LIMITS, long, env = "TURNPIKE_GATEWAY_LIMITS_STORE_PRIVATE_KEY", value_name = "FILE")]
    pub(super) limits_store_private_key: Option<PathBuf>,
    /// What throttles for which nothing else was chosen (turnpike-control limits) let through while the store can't be
    /// reached: `share` divides rates and bursts by the number of
    /// gateways that were known last (nothing where it was never reached), `closed` nothing, `open` everything
    /// [default: share]
    #[arg(help_heading = LIMITS, long, env = "TURNPIKE_GATEWAY_LIMITS_PARTITION", value_name = "share|closed|open")]
    pub(super) limits_partition: Option<PartitionName>,
    /// For the store to accept a connection, and to answer; beyond it, it counts as out of reach. Below
    /// --limits-store-lease-ms [default: 500]
    #[arg(help_heading = LIMITS, long, env = "TURNPIKE_GATEWAY_LIMITS_STORE_TIMEOUT_MS", value_name = "MS")]
    pub(super) limits_store_timeout_ms: Option<u64>,
    /// How long the store lends requests' tokens to a gateway; those that a gateway held when it died count as used
    /// after it. 100 to 60000 [default: 2000]
    #[arg(help_heading = LIMITS, long, env = "TURNPIKE_GATEWAY_LIMITS_STORE_LEASE_MS", value_name = "MS")]
    pub(super) limits_store_lease_ms: Option<u64>,
    /// Tell who is throttled when to come back (Retry-After) and by which throttles (RateLimit, RateLimit-Policy: rates
    /// and bursts of routes and usage plans); AWS doesn't [default: false]
    #[arg(help_heading = LIMITS, long, env = "TURNPIKE_GATEWAY_RATE_LIMIT_FIELDS", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub(super) rate_limit_fields: Option<bool>,

    /// API keys whose usage plans have quotas that are in use at once; requests of a further one are refused with 503.
    /// About 500 bytes each, and as many for each core [default: 100000]
    #[arg(help_heading = QUOTAS, long, env = "TURNPIKE_GATEWAY_QUOTA_KEYS_MAX", value_name = "KEYS")]
    pub(super) quota_keys_max: Option<u64>,
    /// Requests of one core that wait to hear whether anything is left of a quota; more are refused with 503
    /// [default: 4096]
    #[arg(help_heading = QUOTAS, long, env = "TURNPIKE_GATEWAY_QUOTA_WAITING_MAX", value_name = "REQUESTS")]
    pub(super) quota_waiting_max: Option<u64>,
    /// How long a request waits for that, usually some milliseconds for a key's first one, while control is asked; then
    /// it is refused with 503 [default: 1000]
    #[arg(help_heading = QUOTAS, long, env = "TURNPIKE_GATEWAY_QUOTA_WAIT_MS", value_name = "MS")]
    pub(super) quota_wait_ms: Option<u64>,
    /// Requests of a quota that the gateway may hold at once, and that count as used if it never comes back
    /// [default: 65536]
    #[arg(help_heading = QUOTAS, long, env = "TURNPIKE_GATEWAY_QUOTA_LEASE_REQUESTS_MAX", value_name = "REQUESTS")]
    pub(super) quota_lease_requests_max: Option<u64>,
    /// For how long what the gateway holds of a quota should last at a key's present rate: it serves on for about half of
    /// that when control is away [default: 5000]
    #[arg(help_heading = QUOTAS, long, env = "TURNPIKE_GATEWAY_QUOTA_LEASE_MS", value_name = "MS")]
    pub(super) quota_lease_ms: Option<u64>,
    /// Directory for what the gateway holds and has spent of quotas, so that it gives the rest back after a crash; for this
    /// gateway alone, made when absent. For each of quota_keys_max it takes 8 bytes, and 8 for each core, from the first
    /// use of a quota on. On ext4, XFS or tmpfs; it needs to outlive the process, not the system, and in a tmpfs no core
    /// ever waits for a disk. By default `quotas` in the data directory [default: turnpike-data/gateway/quotas]
    #[arg(help_heading = QUOTAS, long, env = "TURNPIKE_GATEWAY_QUOTA_DIR", value_name = "DIR")]
    pub(super) quota_dir: Option<PathBuf>,

    /// Targets that a target group may have once its names are resolved; those beyond it aren't used
    /// [default: 1024]
    #[arg(help_heading = GROUPS, long, env = "TURNPIKE_GATEWAY_TARGET_GROUP_ADDRESSES_MAX", value_name = "TARGETS")]
    pub(super) target_group_addresses_max: Option<u64>,
    /// Health checks that are under way at the same time, of all target groups [default: 256]
    #[arg(help_heading = GROUPS, long, env = "TURNPIKE_GATEWAY_HEALTH_CHECKS_IN_FLIGHT_MAX", value_name = "CHECKS")]
    pub(super) health_checks_in_flight_max: Option<u64>,
    /// Targets that /metrics shows apart; those beyond it are shown together [default: 1000]
    #[arg(help_heading = GROUPS, long, env = "TURNPIKE_GATEWAY_TARGET_METRICS_MAX", value_name = "TARGETS")]
    pub(super) target_metrics_max: Option<u64>,

    /// Name servers to ask, repeated or separated by commas; in a file, an array of strings. Without any, those
    /// of /etc/resolv.conf
    #[arg(help_heading = NAMES, long, env = "TURNPIKE_GATEWAY_DNS_SERVERS", value_name = "ADDR:PORT", value_delimiter = ',')]
    pub(super) dns_servers: Option<Vec<SocketAddr>>,
    /// An answer is used for at least this long, whatever its TTL [default: 1000]
    #[arg(help_heading = NAMES, long, env = "TURNPIKE_GATEWAY_DNS_TTL_MIN_MS", value_name = "MS")]
    pub(super) dns_ttl_min_ms: Option<u64>,
    /// An answer is used for at most this long, whatever its TTL [default: 300000]
    #[arg(help_heading = NAMES, long, env = "TURNPIKE_GATEWAY_DNS_TTL_MAX_MS", value_name = "MS")]
    pub(super) dns_ttl_max_ms: Option<u64>,
    /// Until a name that doesn't exist or wasn't answered for is asked for again; in the latter case its last
    /// good answer serves meanwhile
    /// [default: 1000]
    #[arg(help_heading = NAMES, long, env = "TURNPIKE_GATEWAY_DNS_FAILURE_TTL_MS", value_name = "MS")]
    pub(super) dns_failure_ttl_ms: Option<u64>,
    /// For one name server to answer one question, before the next is asked [default: 2000]
    #[arg(help_heading = NAMES, long, env = "TURNPIKE_GATEWAY_DNS_QUERY_TIMEOUT_MS", value_name = "MS")]
    pub(super) dns_query_timeout_ms: Option<u64>,
    /// Names that are looked up at the same time [default: 64]
    #[arg(help_heading = NAMES, long, env = "TURNPIKE_GATEWAY_DNS_QUERIES_IN_FLIGHT_MAX", value_name = "NAMES")]
    pub(super) dns_queries_in_flight_max: Option<u64>,

    /// One unit of a snapshot (a compiled stage, or account-wide state); larger ones are refused
    /// [default: 67108864]
    #[arg(help_heading = SNAPSHOT, long, env = "TURNPIKE_GATEWAY_SNAPSHOT_UNIT_BYTES_MAX", value_name = "BYTES")]
    pub(super) snapshot_unit_bytes_max: Option<u64>,
    /// Units of one snapshot; a root that lists more is refused [default: 100000]
    #[arg(help_heading = SNAPSHOT, long, env = "TURNPIKE_GATEWAY_SNAPSHOT_UNITS_MAX", value_name = "UNITS")]
    pub(super) snapshot_units_max: Option<u64>,
    /// All units of one snapshot together; a larger snapshot is refused [default: 1073741824]
    #[arg(help_heading = SNAPSHOT, long, env = "TURNPIKE_GATEWAY_SNAPSHOT_BYTES_MAX", value_name = "BYTES")]
    pub(super) snapshot_bytes_max: Option<u64>,

    /// Access log of all APIs: a file's path, or `-` for standard output. Without it, only stages that name a
    /// log group are logged
    #[arg(help_heading = LOGS, long, env = "TURNPIKE_GATEWAY_ACCESS_LOG", value_name = "PATH|-")]
    pub(super) access_log: Option<LogDestination>,
    /// Format of --access-log, with $context variables as in an API stage's access log settings. Without it, a
    /// JSON object a line with request, caller, time, route, status and latencies
    ///
    /// Variables, each after `$context.`: requestId, extendedRequestId, requestTime, requestTimeEpoch, httpMethod,
    /// path, protocol, identity.sourceIp, identity.userAgent, identity.clientCert.clientCertPem,
    /// identity.clientCert.subjectDN, identity.clientCert.issuerDN, identity.clientCert.serialNumber,
    /// identity.clientCert.validity.notBefore, identity.clientCert.validity.notAfter, identity.apiKeyId, domainName, domainPrefix, accountId, apiId, stage,
    /// deploymentId, isCanaryRequest, customDomain.basePathMatched, customDomain.routingRuleIdMatched, routeKey,
    /// resourcePath, resourceId, status, responseLength, responseLatency, integrationStatus, integration.status, integration.integrationStatus, integrationLatency,
    /// integration.latency, integrationErrorMessage, integration.error, error.message, error.messageString,
    /// error.responseType. Others render as `-`.
    #[arg(help_heading = LOGS, long, env = "TURNPIKE_GATEWAY_ACCESS_LOG_FORMAT", value_name = "FORMAT")]
    pub(super) access_log_format: Option<String>,
    /// Directory for the logs of stages that name a log group, a file a group; made when absent. By default
    /// `access-logs` in the data directory [default: turnpike-data/gateway/access-logs]
    #[arg(help_heading = LOGS, long, env = "TURNPIKE_GATEWAY_ACCESS_LOG_DIR", value_name = "DIR")]
    pub(super) access_log_dir: Option<PathBuf>,
    /// Log lines that wait for a slow file or pipe, in bytes; more are dropped and counted [default: 16777216]
    #[arg(help_heading = LOGS, long, env = "TURNPIKE_GATEWAY_ACCESS_LOG_QUEUE_BYTES_MAX", value_name = "BYTES")]
    pub(super) access_log_queue_bytes_max: Option<u64>,
    /// Log files that are open at once; further ones take turns, which is slow [default: 256]
    #[arg(help_heading = LOGS, long, env = "TURNPIKE_GATEWAY_ACCESS_LOG_FILES_MAX", value_name = "FILES")]
    pub(super) access_log_files_max: Option<u64>,
    /// How long a log line may wait for others to be written with: half of this where it was made, half where it is
    /// written. Waiting costs less of the cores' time [default: 50]
    #[arg(help_heading = LOGS, long, env = "TURNPIKE_GATEWAY_ACCESS_LOG_FLUSH_MS", value_name = "MS")]
    pub(super) access_log_flush_ms: Option<u64>,
    /// How often a log file is checked for having been moved or removed, and opened anew (SIGHUP does it at
    /// once) [default: 1000]
    #[arg(help_heading = LOGS, long, env = "TURNPIKE_GATEWAY_ACCESS_LOG_REOPEN_CHECK_MS", value_name = "MS")]
    pub(super) access_log_reopen_check_ms: Option<u64>,
    /// How long /metrics waits for a shard before it reports that shard as down [default: 1000]
    #[arg(help_heading = LOGS, long, env = "TURNPIKE_GATEWAY_METRICS_COLLECT_TIMEOUT_MS", value_name = "MS")]
    pub(super) metrics_collect_timeout_ms: Option<u64>,
}

const ADDRESSES: &str = "Addresses";
const PROCESS: &str = "Process";
const TLS: &str = "TLS";
const DOWNSTREAM: &str = "Clients (limits and timeouts)";
const HTTP2: &str = "Clients that speak HTTP/2";
const UPSTREAM: &str = "Integrations (limits and timeouts)";
const CACHE: &str = "Response cache";
const COMPRESSION: &str = "Compression";
const LIMITS: &str = "Throttles";
const QUOTAS: &str = "Quotas of usage plans";
const GROUPS: &str = "Target groups";
const NAMES: &str = "Names (DNS)";
const SNAPSHOT: &str = "Snapshots";
const LOGS: &str = "Logs and metrics";

impl LowArgs {
    /// Each setting of `self`, and where it has none, that of `below`.
    pub(super) fn over(self, below: Self) -> Self {
        // A literal without `..`: a setting that is left out here doesn't compile.
        macro_rules! each {
            ($($setting:ident)*) => { Self { $($setting: self.$setting.or(below.$setting)),* } };
        }
        each! {
            listen tls_listen tls_certificate tls_private_key tls_handshake_timeout_ms
            tls_handshakes_in_flight_max tls_ticket_rotation_ms proxy_protocol proxy_protocol_from proxy_header_bytes_max proxy_header_timeout_ms
            admin_listen admin_connections_max admin_idle_timeout_ms listen_backlog publish_socket
            data_dir cores driver require_io_uring exit_with_parent huge_pages drain_timeout_ms upgrade_timeout_ms
            trusted_proxies trusted_proxies_field
            start_line_bytes_max header_bytes_max header_count_max body_bytes_max pipelined_requests_max
            chunk_line_bytes_max chunk_extension_bytes_max
            connections_max connections_per_address_max exchanges_in_flight_max
            read_head_timeout_ms read_body_timeout_ms body_rate_bytes_per_s_min body_rate_grace_ms
            write_timeout_ms idle_timeout_ms idle_buffer_release_ms idle_buffers_max idle_buffers_kept_max
            http2_streams_max http2_stream_window_bytes http2_connection_window_bytes http2_frame_bytes_max
            http2_header_list_bytes_max http2_send_buffer_bytes_max http2_control_frames_per_second_max
            http2_resets_per_second_max http2_error_resets_max
            upstream_connections_max upstream_pending_requests_max upstream_idle_connections_max
            upstream_head_bytes_max upstream_http2_streams_max upstream_http2_stream_window_bytes
            upstream_http2_connection_window_bytes
            upstream_header_count_max connect_timeout_ms upstream_idle_timeout_ms integration_timeout_ms_max
            cache_bytes_max cache_response_bytes_max cache_sendfile_bytes_min cache_wait_timeout_ms cache_waiting_requests_max cache_pass_ms
            compression_level compression_turn_bytes compressions_max compression_waiting_bytes_max
            compression_excluded_types decompressed_bytes_max decompression_ratio_max decompressions_max
            limits_max limit_leases_max limit_waiting_max limit_wait_ms rate_limit_fields
            limits_store limits_store_password_file limits_store_ca_certificate limits_store_certificate
            limits_store_private_key limits_partition limits_store_timeout_ms limits_store_lease_ms
            quota_keys_max quota_waiting_max quota_wait_ms quota_lease_requests_max quota_lease_ms quota_dir
            target_group_addresses_max health_checks_in_flight_max target_metrics_max
            dns_servers dns_ttl_min_ms dns_ttl_max_ms dns_failure_ttl_ms dns_query_timeout_ms
            dns_queries_in_flight_max
            snapshot_unit_bytes_max snapshot_units_max snapshot_bytes_max
            access_log access_log_format access_log_dir access_log_queue_bytes_max access_log_files_max
            access_log_flush_ms access_log_reopen_check_ms metrics_collect_timeout_ms
        }
    }
}
