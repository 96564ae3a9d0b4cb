//! The settings as they are typed, on the command line, in the environment and in a file alike.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, ValueEnum};
use serde::Deserialize;

const ADDRESSES: &str = "Addresses";
const ACCOUNT: &str = "Account";
const STORE: &str = "Store";
const LIMITS: &str = "Limits of the management API";
const DOMAINS: &str = "Domain names and certificates";
const QUOTAS: &str = "Quotas of what can be configured";
const USAGE: &str = "Use of usage plans' quotas";
const AUDIT: &str = "Audit log";
const GATEWAYS: &str = "Gateways";
const GATEWAY: &str = "The gateway beside";

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// TOML file with settings; an unknown key in it is an error.
    #[arg(long, value_name = "FILE", env = "TURNPIKE_CONTROL_CONFIG")]
    pub(super) config: Option<PathBuf>,
    #[command(flatten)]
    pub(super) low: LowArgs,
}

#[derive(Debug, Args)]
pub(super) struct UpArgs {
    #[command(flatten)]
    pub(super) serve: ServeArgs,
    #[command(flatten)]
    pub(super) gateway: LowGatewayArgs,
}

/// Where a store is, for what works on the store itself.
#[derive(Debug, Args)]
pub(super) struct StoreArgs {
    /// TOML file that the serving control is given.
    #[arg(long, value_name = "FILE", env = "TURNPIKE_CONTROL_CONFIG")]
    pub(super) config: Option<PathBuf>,
    /// Directory of the keys and, by default, of the store [default: turnpike-data]
    #[arg(long, env = "TURNPIKE_CONTROL_DATA_DIR", value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,
    /// PostgreSQL that the store is in, as postgres://USER:PASSWORD@HOST/DATABASE
    #[arg(long, env = "TURNPIKE_CONTROL_STORE", value_name = "URL", hide_env_values = true)]
    pub(super) store: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// TOML file that the running control was given.
    #[arg(long, value_name = "FILE", env = "TURNPIKE_CONTROL_CONFIG")]
    pub(super) config: Option<PathBuf>,
    /// Address of its management API; AWS_ENDPOINT_URL is taken without it [default: 127.0.0.1:9080]
    #[arg(long, env = "TURNPIKE_CONTROL_LISTEN", value_name = "ADDR:PORT")]
    pub(super) listen: Option<SocketAddr>,
    /// Its data directory, which has the root access key; AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are taken without it
    /// [default: turnpike-data]
    #[arg(long, env = "TURNPIKE_CONTROL_DATA_DIR", value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,
    /// Its region; AWS_REGION and AWS_DEFAULT_REGION are taken without it [default: us-east-1]
    #[arg(long, env = "TURNPIKE_CONTROL_REGION", value_name = "REGION")]
    pub(super) region: Option<String>,
    /// How to write it
    #[arg(long, value_enum, default_value_t)]
    pub(super) output: Output,
}

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum Output {
    /// A line each, for people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// One field per setting, each as typed.
#[derive(Args, Deserialize, Debug, Default, Clone)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LowArgs {
    /// Address of the management API; port 0 lets the system choose [default: 127.0.0.1:9080]
    #[arg(help_heading = ADDRESSES, long, env = "TURNPIKE_CONTROL_LISTEN", value_name = "ADDR:PORT")]
    pub(super) listen: Option<SocketAddr>,
    /// Directory of the keys and, by default, of the store; made when absent, used by one process at a time
    /// [default: turnpike-data]
    #[arg(help_heading = ADDRESSES, long, env = "TURNPIKE_CONTROL_DATA_DIR", value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,
    /// Unix socket at which gateways get what is published [default: publish.sock in the data directory]
    #[arg(help_heading = ADDRESSES, long, env = "TURNPIKE_CONTROL_PUBLISH_SOCKET", value_name = "PATH")]
    pub(super) publish_socket: Option<PathBuf>,

    /// PostgreSQL that several processes may share, as postgres://USER:PASSWORD@HOST/DATABASE; without it, the store is
    /// SQLite in the data directory. sslmode is verify-full, or disable on this host; sslrootcert names a PEM file
    #[arg(help_heading = STORE, long, env = "TURNPIKE_CONTROL_STORE", value_name = "URL", hide_env_values = true)]
    pub(super) store: Option<String>,
    /// Connections to it, besides one that follows what other processes publish [default: 8]
    #[arg(help_heading = STORE, long, env = "TURNPIKE_CONTROL_STORE_CONNECTIONS_MAX", value_name = "CONNECTIONS")]
    pub(super) store_connections_max: Option<usize>,
    /// For a connection to be made, and for calls to wait for a server that is away; 503 after it [default: 10000]
    #[arg(help_heading = STORE, long, env = "TURNPIKE_CONTROL_STORE_TIMEOUT_MS", value_name = "MS")]
    pub(super) store_timeout_ms: Option<u64>,
    /// For the server to run a statement, and for other changes to end [default: 30000]
    #[arg(help_heading = STORE, long, env = "TURNPIKE_CONTROL_STORE_STATEMENT_TIMEOUT_MS", value_name = "MS")]
    pub(super) store_statement_timeout_ms: Option<u64>,
    /// SQLite's write-ahead log; changes that fill it faster than it is copied into the database wait for that
    /// [default: 67108864]
    #[arg(help_heading = STORE, long, env = "TURNPIKE_CONTROL_STORE_LOG_BYTES_MAX", value_name = "BYTES")]
    pub(super) store_log_bytes_max: Option<u64>,
    /// For another process's write to SQLite to end; 503 after it, up to a day [default: 10000]
    #[arg(help_heading = STORE, long, env = "TURNPIKE_CONTROL_STORE_BUSY_TIMEOUT_MS", value_name = "MS")]
    pub(super) store_busy_timeout_ms: Option<u64>,
    /// Calls that read SQLite at once, up to 1024; further ones wait [default: 8]
    #[arg(help_heading = STORE, long, env = "TURNPIKE_CONTROL_STORE_READERS_MAX", value_name = "READERS")]
    pub(super) store_readers_max: Option<usize>,
    /// For one of them to end; 503 after it, up to a day [default: 30000]
    #[arg(help_heading = STORE, long, env = "TURNPIKE_CONTROL_STORE_READER_TIMEOUT_MS", value_name = "MS")]
    pub(super) store_reader_timeout_ms: Option<u64>,

    /// Account that the APIs belong to, twelve digits [default: 000000000000]
    #[arg(help_heading = ACCOUNT, long, env = "TURNPIKE_CONTROL_ACCOUNT_ID", value_name = "DIGITS")]
    pub(super) account_id: Option<String>,
    /// Region that callers have to sign for, part of each API's host name [default: us-east-1]
    #[arg(help_heading = ACCOUNT, long, env = "TURNPIKE_CONTROL_REGION", value_name = "REGION")]
    pub(super) region: Option<String>,
    /// APIs answer at {api-id}.execute-api.{region}.SUFFIX [default: localhost]
    #[arg(help_heading = ACCOUNT, long, env = "TURNPIKE_CONTROL_ENDPOINT_SUFFIX", value_name = "SUFFIX")]
    pub(super) endpoint_suffix: Option<String>,
    /// Port of the data plane in the apiEndpoint that callers are told; `up` tells the gateway's own
    /// [default: 8080]
    #[arg(help_heading = ACCOUNT, long, env = "TURNPIKE_CONTROL_ENDPOINT_PORT", value_name = "PORT")]
    pub(super) endpoint_port: Option<u16>,
    /// The same of WebSocket APIs, which are called over TLS; 0 if the gateways have no HTTPS [default: 8443]
    #[arg(help_heading = ACCOUNT, long, env = "TURNPIKE_CONTROL_ENDPOINT_TLS_PORT", value_name = "PORT")]
    pub(super) endpoint_tls_port: Option<u16>,

    /// Requests a second to all APIs together, on each gateway; 0 turns the limit off [default: 10000]
    #[arg(help_heading = ACCOUNT, long, env = "TURNPIKE_CONTROL_ACCOUNT_THROTTLE_RATE_PER_S", value_name = "REQUESTS")]
    pub(super) account_throttle_rate_per_s: Option<u32>,
    /// Of them, how many at once [default: 5000]
    #[arg(help_heading = ACCOUNT, long, env = "TURNPIKE_CONTROL_ACCOUNT_THROTTLE_BURST_REQUESTS", value_name = "REQUESTS")]
    pub(super) account_throttle_burst_requests: Option<u32>,

    /// What of it gets through at gateways that can't reach the store which they share it in: share, closed or open
    /// [default: as the gateway's limits_partition has it]
    #[arg(help_heading = ACCOUNT, long, env = "TURNPIKE_CONTROL_ACCOUNT_THROTTLE_PARTITION", value_name = "PARTITION")]
    pub(super) account_throttle_partition: Option<String>,

    /// How many seconds a caller's clock may be off [default: 900]
    #[arg(help_heading = LIMITS, long, env = "TURNPIKE_CONTROL_CLOCK_SKEW_S_MAX", value_name = "S")]
    pub(super) clock_skew_s_max: Option<u32>,
    /// Open management connections; a further one takes the place of one without a whole request, or waits
    /// [default: 256]
    #[arg(help_heading = LIMITS, long, env = "TURNPIKE_CONTROL_CONNECTIONS_MAX", value_name = "CONNECTIONS")]
    pub(super) connections_max: Option<usize>,
    /// Those of one address, or of one IPv6 /64; a further one takes the place of one of the same, or is closed
    /// [default: 192]
    #[arg(help_heading = LIMITS, long, env = "TURNPIKE_CONTROL_CONNECTIONS_PER_ADDRESS_MAX", value_name = "CONNECTIONS")]
    pub(super) connections_per_address_max: Option<usize>,
    /// How long a management connection may be silent, between requests or within one [default: 60000]
    #[arg(help_heading = LIMITS, long, env = "TURNPIKE_CONTROL_IDLE_TIMEOUT_MS", value_name = "MS")]
    pub(super) idle_timeout_ms: Option<u64>,
    /// From a management request's first byte, or its connection's beginning, to the end of its head; the connection is
    /// closed after it [default: 10000]
    #[arg(help_heading = LIMITS, long, env = "TURNPIKE_CONTROL_HEAD_TIMEOUT_MS", value_name = "MS")]
    pub(super) head_timeout_ms: Option<u64>,
    /// Head of a management request, 8192 at least; 431 above it [default: 65536]
    #[arg(help_heading = LIMITS, long, env = "TURNPIKE_CONTROL_HEAD_BYTES_MAX", value_name = "BYTES")]
    pub(super) head_bytes_max: Option<usize>,
    /// Body of a management request; 413 above it [default: 6291456]
    #[arg(help_heading = LIMITS, long, env = "TURNPIKE_CONTROL_BODY_BYTES_MAX", value_name = "BYTES")]
    pub(super) body_bytes_max: Option<usize>,
    /// For a management request's body to arrive; 408 after it [default: 30000]
    #[arg(help_heading = LIMITS, long, env = "TURNPIKE_CONTROL_BODY_TIMEOUT_MS", value_name = "MS")]
    pub(super) body_timeout_ms: Option<u64>,
    /// Rate at which such a body has to come after its grace; 408 below it [default: 4096]
    #[arg(help_heading = LIMITS, long, env = "TURNPIKE_CONTROL_BODY_RATE_BYTES_PER_S_MIN", value_name = "BYTES/S")]
    pub(super) body_rate_bytes_per_s_min: Option<u64>,
    /// For such a body to come as slowly as it will [default: 5000]
    #[arg(help_heading = LIMITS, long, env = "TURNPIKE_CONTROL_BODY_RATE_GRACE_MS", value_name = "MS")]
    pub(super) body_rate_grace_ms: Option<u64>,
    /// Parameters of a call of IAM's or STS's; 400 above it [default: 1000]
    #[arg(help_heading = LIMITS, long, env = "TURNPIKE_CONTROL_FORM_PARAMETERS_MAX", value_name = "PARAMETERS")]
    pub(super) form_parameters_max: Option<usize>,
    /// For open management requests to end once the process is told to stop [default: 10000]
    #[arg(help_heading = LIMITS, long, env = "TURNPIKE_CONTROL_SHUTDOWN_TIMEOUT_MS", value_name = "MS")]
    pub(super) shutdown_timeout_ms: Option<u64>,
    /// Write a line per management request to standard error [default: false]
    #[arg(help_heading = LIMITS, long, env = "TURNPIKE_CONTROL_REQUEST_LOG", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub(super) request_log: Option<bool>,

    /// Directory in which the trust stores are that domain names may use, as file:// URIs; without it, none may
    #[arg(help_heading = DOMAINS, long, env = "TURNPIKE_CONTROL_TRUSTSTORE_DIR", value_name = "DIR")]
    pub(super) truststore_dir: Option<PathBuf>,

    /// Directory of the certificate authority that RequestCertificate asks by ACME, as an https:// URL; setting it
    /// agrees to the authority's terms of service. Without it, certificates can only be imported
    #[arg(help_heading = DOMAINS, long, env = "TURNPIKE_CONTROL_ACME_DIRECTORY_URL", value_name = "URL")]
    pub(super) acme_directory_url: Option<String>,
    /// Mail address that the authority may write to
    #[arg(help_heading = DOMAINS, long, env = "TURNPIKE_CONTROL_ACME_CONTACT", value_name = "MAIL")]
    pub(super) acme_contact: Option<String>,
    /// PEM file of authorities, besides the system's, that the directory's own certificate may be of
    #[arg(help_heading = DOMAINS, long, env = "TURNPIKE_CONTROL_ACME_CA_FILE", value_name = "FILE")]
    pub(super) acme_ca_file: Option<PathBuf>,
    /// For one answer of the authority [default: 30000]
    #[arg(help_heading = DOMAINS, long, env = "TURNPIKE_CONTROL_ACME_REQUEST_TIMEOUT_MS", value_name = "MS")]
    pub(super) acme_request_timeout_ms: Option<u64>,
    /// For every gateway to take a challenge before the authority is told to look [default: 10000]
    #[arg(help_heading = DOMAINS, long, env = "TURNPIKE_CONTROL_ACME_PUBLISH_TIMEOUT_MS", value_name = "MS")]
    pub(super) acme_publish_timeout_ms: Option<u64>,
    /// For the authority to validate the names, and again to issue the certificate [default: 120000]
    #[arg(help_heading = DOMAINS, long, env = "TURNPIKE_CONTROL_ACME_ORDER_TIMEOUT_MS", value_name = "MS")]
    pub(super) acme_order_timeout_ms: Option<u64>,
    /// Orders under way at once [default: 8]
    #[arg(help_heading = DOMAINS, long, env = "TURNPIKE_CONTROL_ACME_ORDERS_MAX", value_name = "ORDERS")]
    pub(super) acme_orders_max: Option<usize>,
    /// Tries until a certificate that was never issued has failed; renewals are tried for as long as it takes
    /// [default: 12]
    #[arg(help_heading = DOMAINS, long, env = "TURNPIKE_CONTROL_ACME_TRIES_MAX", value_name = "TRIES")]
    pub(super) acme_tries_max: Option<u32>,
    /// Seconds after the first failed try; each further one waits twice as long [default: 60]
    #[arg(help_heading = DOMAINS, long, env = "TURNPIKE_CONTROL_ACME_RETRY_S_MIN", value_name = "S")]
    pub(super) acme_retry_s_min: Option<u32>,
    /// Seconds that are waited at most [default: 3600]
    #[arg(help_heading = DOMAINS, long, env = "TURNPIKE_CONTROL_ACME_RETRY_S_MAX", value_name = "S")]
    pub(super) acme_retry_s_max: Option<u32>,

    /// APIs of each kind [default: 600]
    #[arg(help_heading = QUOTAS, long, env = "TURNPIKE_CONTROL_APIS_MAX", value_name = "APIS")]
    pub(super) apis_max: Option<usize>,
    /// Routes of an HTTP or WebSocket API [default: 300]
    #[arg(help_heading = QUOTAS, long, env = "TURNPIKE_CONTROL_ROUTES_PER_API_MAX", value_name = "ROUTES")]
    pub(super) routes_per_api_max: Option<usize>,
    /// Integrations of an HTTP or WebSocket API [default: 300]
    #[arg(help_heading = QUOTAS, long, env = "TURNPIKE_CONTROL_INTEGRATIONS_PER_API_MAX", value_name = "INTEGRATIONS")]
    pub(super) integrations_per_api_max: Option<usize>,
    /// Integration responses of one integration of a WebSocket API [default: 100]
    #[arg(help_heading = QUOTAS, long, env = "TURNPIKE_CONTROL_RESPONSES_PER_INTEGRATION_MAX", value_name = "RESPONSES")]
    pub(super) responses_per_integration_max: Option<usize>,
    /// Resources of a REST API, the root included [default: 300]
    #[arg(help_heading = QUOTAS, long, env = "TURNPIKE_CONTROL_RESOURCES_PER_API_MAX", value_name = "RESOURCES")]
    pub(super) resources_per_api_max: Option<usize>,
    /// Stages of an API [default: 10]
    #[arg(help_heading = QUOTAS, long, env = "TURNPIKE_CONTROL_STAGES_PER_API_MAX", value_name = "STAGES")]
    pub(super) stages_per_api_max: Option<usize>,
    /// Authorizers of an API [default: 10]
    #[arg(help_heading = QUOTAS, long, env = "TURNPIKE_CONTROL_AUTHORIZERS_PER_API_MAX", value_name = "AUTHORIZERS")]
    pub(super) authorizers_per_api_max: Option<usize>,
    /// Models of an API, the two default ones of a REST API included [default: 300]
    #[arg(help_heading = QUOTAS, long, env = "TURNPIKE_CONTROL_MODELS_PER_API_MAX", value_name = "MODELS")]
    pub(super) models_per_api_max: Option<usize>,
    /// Request validators of a REST API [default: 100]
    #[arg(help_heading = QUOTAS, long, env = "TURNPIKE_CONTROL_REQUEST_VALIDATORS_PER_API_MAX", value_name = "VALIDATORS")]
    pub(super) request_validators_per_api_max: Option<usize>,
    /// Documentation parts of a REST API [default: 2000]
    #[arg(help_heading = QUOTAS, long, env = "TURNPIKE_CONTROL_DOCUMENTATION_PARTS_PER_API_MAX", value_name = "PARTS")]
    pub(super) documentation_parts_per_api_max: Option<usize>,
    /// Documentation versions of a REST API [default: 200]
    #[arg(help_heading = QUOTAS, long, env = "TURNPIKE_CONTROL_DOCUMENTATION_VERSIONS_PER_API_MAX", value_name = "VERSIONS")]
    pub(super) documentation_versions_per_api_max: Option<usize>,
    /// Deployments of an API, automatic ones apart [default: 1000]
    #[arg(help_heading = QUOTAS, long, env = "TURNPIKE_CONTROL_DEPLOYMENTS_PER_API_MAX", value_name = "DEPLOYMENTS")]
    pub(super) deployments_per_api_max: Option<usize>,
    /// Automatic deployments that an API keeps besides those that its stages serve [default: 10]
    #[arg(help_heading = QUOTAS, long, env = "TURNPIKE_CONTROL_AUTO_DEPLOYMENTS_KEPT", value_name = "DEPLOYMENTS")]
    pub(super) auto_deployments_kept: Option<usize>,
    /// Client certificates, which upstreams are shown [default: 60]
    #[arg(help_heading = QUOTAS, long, env = "TURNPIKE_CONTROL_CLIENT_CERTIFICATES_MAX", value_name = "CERTIFICATES")]
    pub(super) client_certificates_max: Option<usize>,
    /// VPC links of each service [default: 20]
    #[arg(help_heading = QUOTAS, long, env = "TURNPIKE_CONTROL_VPC_LINKS_MAX", value_name = "LINKS")]
    pub(super) vpc_links_max: Option<usize>,
    /// Certificates, imported and requested [default: 2500]
    #[arg(help_heading = QUOTAS, long, env = "TURNPIKE_CONTROL_CERTIFICATES_MAX", value_name = "CERTIFICATES")]
    pub(super) certificates_max: Option<usize>,
    /// Custom domain names [default: 120]
    #[arg(help_heading = QUOTAS, long, env = "TURNPIKE_CONTROL_DOMAIN_NAMES_MAX", value_name = "DOMAINS")]
    pub(super) domain_names_max: Option<usize>,
    /// Mappings of a custom domain name [default: 200]
    #[arg(help_heading = QUOTAS, long, env = "TURNPIKE_CONTROL_MAPPINGS_PER_DOMAIN_NAME_MAX", value_name = "MAPPINGS")]
    pub(super) mappings_per_domain_name_max: Option<usize>,
    /// Routing rules of a custom domain name [default: 50]
    #[arg(help_heading = QUOTAS, long, env = "TURNPIKE_CONTROL_ROUTING_RULES_PER_DOMAIN_NAME_MAX", value_name = "RULES")]
    pub(super) routing_rules_per_domain_name_max: Option<usize>,
    /// Longest timeout of an HTTP API's integration, and the timeout of those that set none
    /// [default: that of --integration-timeout-ms-max if it is set, else 30000]
    #[arg(help_heading = QUOTAS, long, env = "TURNPIKE_CONTROL_HTTP_INTEGRATION_TIMEOUT_MS_MAX", value_name = "MS")]
    pub(super) http_integration_timeout_ms_max: Option<u32>,
    /// Lists and objects within each other in an OpenAPI document that is imported [default: 100]
    #[arg(help_heading = QUOTAS, long, env = "TURNPIKE_CONTROL_OPENAPI_DEPTH_MAX", value_name = "LEVELS")]
    pub(super) openapi_depth_max: Option<usize>,
    /// Values that an OpenAPI document may unfold to, counting what aliases and references repeat [default: 1000000]
    #[arg(help_heading = QUOTAS, long, env = "TURNPIKE_CONTROL_OPENAPI_VALUES_MAX", value_name = "VALUES")]
    pub(super) openapi_values_max: Option<usize>,
    /// Bytes of an integration's answer to TestInvokeMethod [default: 10485760]
    #[arg(help_heading = QUOTAS, long, env = "TURNPIKE_CONTROL_TEST_INVOKE_BODY_BYTES_MAX", value_name = "BYTES")]
    pub(super) test_invoke_body_bytes_max: Option<usize>,
    /// For every gateway to confirm that a cache is flushed, before the call is answered [default: 10000]
    #[arg(help_heading = QUOTAS, long, env = "TURNPIKE_CONTROL_FLUSH_TIMEOUT_MS", value_name = "MS")]
    pub(super) flush_timeout_ms: Option<u64>,
    /// Purged tags that a stage's cache remembers, up to 1000; one more flushes it [default: 1000]
    #[arg(help_heading = QUOTAS, long, env = "TURNPIKE_CONTROL_PURGED_TAGS_PER_STAGE_MAX", value_name = "TAGS")]
    pub(super) purged_tags_per_stage_max: Option<usize>,
    /// Users who may call the management API, besides root [default: 5000]
    #[arg(help_heading = QUOTAS, long, env = "TURNPIKE_CONTROL_USERS_MAX", value_name = "USERS")]
    pub(super) users_max: Option<usize>,
    /// Access keys of a user [default: 2]
    #[arg(help_heading = QUOTAS, long, env = "TURNPIKE_CONTROL_ACCESS_KEYS_PER_USER_MAX", value_name = "KEYS")]
    pub(super) access_keys_per_user_max: Option<usize>,
    /// Characters of all policies of a user together, white space apart [default: 2048]
    #[arg(help_heading = QUOTAS, long, env = "TURNPIKE_CONTROL_USER_POLICIES_CHARS_MAX", value_name = "CHARACTERS")]
    pub(super) user_policies_chars_max: Option<usize>,
    /// Access associations of private custom domain names [default: 100]
    #[arg(help_heading = QUOTAS, long, env = "TURNPIKE_CONTROL_DOMAIN_NAME_ACCESS_ASSOCIATIONS_MAX", value_name = "ASSOCIATIONS")]
    pub(super) domain_name_access_associations_max: Option<usize>,
    /// API keys [default: 10000]
    #[arg(help_heading = QUOTAS, long, env = "TURNPIKE_CONTROL_API_KEYS_MAX", value_name = "KEYS")]
    pub(super) api_keys_max: Option<usize>,
    /// Usage plans [default: 300]
    #[arg(help_heading = QUOTAS, long, env = "TURNPIKE_CONTROL_USAGE_PLANS_MAX", value_name = "PLANS")]
    pub(super) usage_plans_max: Option<usize>,
    /// Usage plans that an API key is in [default: 10]
    #[arg(help_heading = QUOTAS, long, env = "TURNPIKE_CONTROL_USAGE_PLANS_PER_API_KEY_MAX", value_name = "PLANS")]
    pub(super) usage_plans_per_api_key_max: Option<usize>,
    /// Stages of a usage plan [default: 100]
    #[arg(help_heading = QUOTAS, long, env = "TURNPIKE_CONTROL_STAGES_PER_USAGE_PLAN_MAX", value_name = "STAGES")]
    pub(super) stages_per_usage_plan_max: Option<usize>,
    /// Methods of one stage that a usage plan throttles by themselves [default: 300]
    #[arg(help_heading = QUOTAS, long, env = "TURNPIKE_CONTROL_THROTTLED_METHODS_PER_USAGE_PLAN_STAGE_MAX", value_name = "METHODS")]
    pub(super) throttled_methods_per_usage_plan_stage_max: Option<usize>,
    /// Longest timeout of an integration, and the timeout of those that set none [default: 29000]
    #[arg(help_heading = QUOTAS, long, env = "TURNPIKE_CONTROL_INTEGRATION_TIMEOUT_MS_MAX", value_name = "MS")]
    pub(super) integration_timeout_ms_max: Option<u32>,

    /// Seconds that a gateway's clock may be off: so long before and after midnight, quotas of usage plans are given out
    /// for both days [default: 300]
    #[arg(help_heading = USAGE, long, env = "TURNPIKE_CONTROL_USAGE_CLOCK_SKEW_S_MAX", value_name = "S")]
    pub(super) usage_clock_skew_s_max: Option<u32>,
    /// Days after its own that what a gateway holds of a quota waits for it to come back; then it counts as used
    /// [default: 1]
    #[arg(help_heading = USAGE, long, env = "TURNPIKE_CONTROL_USAGE_LEASES_KEPT_DAYS", value_name = "DAYS")]
    pub(super) usage_leases_kept_days: Option<u32>,
    /// Days that it is kept what API keys have used, 31 at least; GetUsage shows as much, up to 90 [default: 121]
    #[arg(help_heading = USAGE, long, env = "TURNPIKE_CONTROL_USAGE_KEPT_DAYS", value_name = "DAYS")]
    pub(super) usage_kept_days: Option<u32>,

    /// Records of the audit log that are kept; 0 turns it off [default: 100000]
    #[arg(help_heading = AUDIT, long, env = "TURNPIKE_CONTROL_AUDIT_RECORDS_MAX", value_name = "RECORDS")]
    pub(super) audit_records_max: Option<usize>,
    /// Days that a record of the audit log is kept [default: 90]
    #[arg(help_heading = AUDIT, long, env = "TURNPIKE_CONTROL_AUDIT_DAYS_MAX", value_name = "DAYS")]
    pub(super) audit_days_max: Option<u32>,
    /// Documents before and after in one record of the audit log; those beyond are named by their digest
    /// [default: 262144]
    #[arg(help_heading = AUDIT, long, env = "TURNPIKE_CONTROL_AUDIT_RECORD_BYTES_MAX", value_name = "BYTES")]
    pub(super) audit_record_bytes_max: Option<usize>,
    /// Documents that one record of the audit log names; those beyond are counted [default: 1000]
    #[arg(help_heading = AUDIT, long, env = "TURNPIKE_CONTROL_AUDIT_RECORD_DOCUMENTS_MAX", value_name = "DOCUMENTS")]
    pub(super) audit_record_documents_max: Option<usize>,

    /// Gateways connected at once [default: 256]
    #[arg(help_heading = GATEWAYS, long, env = "TURNPIKE_CONTROL_GATEWAYS_MAX", value_name = "GATEWAYS")]
    pub(super) gateways_max: Option<usize>,
    /// For a gateway to introduce itself after it connected [default: 5000]
    #[arg(help_heading = GATEWAYS, long, env = "TURNPIKE_CONTROL_HELLO_TIMEOUT_MS", value_name = "MS")]
    pub(super) hello_timeout_ms: Option<u64>,
    /// For a gateway to take more of what it is sent [default: 10000]
    #[arg(help_heading = GATEWAYS, long, env = "TURNPIKE_CONTROL_WRITE_TIMEOUT_MS", value_name = "MS")]
    pub(super) write_timeout_ms: Option<u64>,

    /// Only in a file: `up` has flags for it.
    #[arg(skip)]
    pub(super) gateway: LowGatewayArgs,
}

/// The gateway that `up` starts; in a file, the table [gateway].
#[derive(Args, Deserialize, Debug, Default, Clone)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LowGatewayArgs {
    /// Its program [default: turnpike-gateway beside this program]
    #[arg(id = "gateway_bin", help_heading = GATEWAY, long = "gateway-bin", env = "TURNPIKE_CONTROL_GATEWAY_BIN", value_name = "FILE")]
    pub(super) bin: Option<PathBuf>,
    /// Where it serves APIs; port 0 lets the system choose [default: 127.0.0.1:8080]
    #[arg(id = "gateway_listen", help_heading = GATEWAY, long = "gateway-listen", env = "TURNPIKE_CONTROL_GATEWAY_LISTEN", value_name = "ADDR:PORT")]
    pub(super) listen: Option<SocketAddr>,
    /// Where it serves APIs over HTTPS; port 0 lets the system choose, an empty string turns HTTPS off
    /// [default: 127.0.0.1:8443]
    #[arg(id = "gateway_tls_listen", help_heading = GATEWAY, long = "gateway-tls-listen", env = "TURNPIKE_CONTROL_GATEWAY_TLS_LISTEN", value_name = "ADDR:PORT")]
    pub(super) tls_listen: Option<String>,
    /// Where it serves metrics, health and drain [default: 127.0.0.1:9901]
    #[arg(id = "gateway_admin_listen", help_heading = GATEWAY, long = "gateway-admin-listen", env = "TURNPIKE_CONTROL_GATEWAY_ADMIN_LISTEN", value_name = "ADDR:PORT")]
    pub(super) admin_listen: Option<SocketAddr>,
    /// Its own data directory [default: gateway in the data directory]
    #[arg(id = "gateway_data_dir", help_heading = GATEWAY, long = "gateway-data-dir", env = "TURNPIKE_CONTROL_GATEWAY_DATA_DIR", value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,
    /// Its cores, as its own --cores takes them
    #[arg(id = "gateway_cores", help_heading = GATEWAY, long = "gateway-cores", env = "TURNPIKE_CONTROL_GATEWAY_CORES", value_name = "all|N|LIST")]
    pub(super) cores: Option<String>,
    /// Its own settings file, for everything else
    #[arg(id = "gateway_config", help_heading = GATEWAY, long = "gateway-config", env = "TURNPIKE_CONTROL_GATEWAY_CONFIG", value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// For it to say that it is ready after it was started [default: 10000]
    #[arg(id = "gateway_ready_timeout_ms", help_heading = GATEWAY, long = "gateway-ready-timeout-ms", env = "TURNPIKE_CONTROL_GATEWAY_READY_TIMEOUT_MS", value_name = "MS")]
    pub(super) ready_timeout_ms: Option<u64>,
    /// For it to drain and end after this process was told to stop; then it is killed [default: 35000]
    #[arg(id = "gateway_stop_timeout_ms", help_heading = GATEWAY, long = "gateway-stop-timeout-ms", env = "TURNPIKE_CONTROL_GATEWAY_STOP_TIMEOUT_MS", value_name = "MS")]
    pub(super) stop_timeout_ms: Option<u64>,
}

/// `a.x.or(b.x)` for every field; a field that is forgotten doesn't compile.
macro_rules! first_of {
    ($a:expr, $b:expr, { $($field:ident)* } $($rest:tt)*) => {
        Self { $($field: $a.$field.or($b.$field),)* $($rest)* }
    };
}

impl LowArgs {
    /// What the command line and the environment leave open comes from the file.
    pub(super) fn or(self, file: Self) -> Self {
        first_of!(self, file, {
            listen data_dir store store_connections_max store_timeout_ms store_statement_timeout_ms store_log_bytes_max
            store_busy_timeout_ms store_readers_max store_reader_timeout_ms purged_tags_per_stage_max
            usage_clock_skew_s_max usage_leases_kept_days usage_kept_days
            publish_socket account_id region endpoint_suffix endpoint_port endpoint_tls_port
            account_throttle_rate_per_s account_throttle_burst_requests account_throttle_partition clock_skew_s_max
            connections_max connections_per_address_max idle_timeout_ms head_timeout_ms
            head_bytes_max body_bytes_max body_timeout_ms body_rate_bytes_per_s_min body_rate_grace_ms form_parameters_max
            shutdown_timeout_ms request_log apis_max routes_per_api_max
            integrations_per_api_max resources_per_api_max stages_per_api_max deployments_per_api_max
            authorizers_per_api_max models_per_api_max request_validators_per_api_max
            documentation_parts_per_api_max documentation_versions_per_api_max
            auto_deployments_kept client_certificates_max vpc_links_max certificates_max domain_names_max
            mappings_per_domain_name_max domain_name_access_associations_max api_keys_max usage_plans_max usage_plans_per_api_key_max
            stages_per_usage_plan_max throttled_methods_per_usage_plan_stage_max truststore_dir
            acme_directory_url acme_contact acme_ca_file acme_request_timeout_ms acme_publish_timeout_ms
            acme_order_timeout_ms acme_orders_max acme_tries_max acme_retry_s_min acme_retry_s_max
            users_max access_keys_per_user_max user_policies_chars_max
            audit_records_max audit_days_max audit_record_bytes_max audit_record_documents_max
            openapi_depth_max openapi_values_max test_invoke_body_bytes_max flush_timeout_ms integration_timeout_ms_max http_integration_timeout_ms_max
            responses_per_integration_max routing_rules_per_domain_name_max gateways_max hello_timeout_ms write_timeout_ms
        } gateway: file.gateway)
    }
}

impl LowGatewayArgs {
    /// As [`LowArgs::or`].
    pub(super) fn or(self, file: Self) -> Self {
        first_of!(self, file, {
            bin listen tls_listen admin_listen data_dir cores config ready_timeout_ms stop_timeout_ms
        })
    }
}
