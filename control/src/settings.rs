//! What control runs with, checked. `cli` makes it from flags, environment and file.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::model::LimitsPartition;
use crate::openapi::DocumentLimits;
use crate::secrets::SecretsKey;
use crate::store::StoreUrl;

/// Every setting of the process that serves the management API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where the management API answers; port 0 lets the system choose.
    pub listen: SocketAddr,
    pub data_dir: PathBuf,
    pub store: StoreSettings,
    /// Where gateways connect.
    pub publish_socket: PathBuf,
    pub account: Account,
    /// How far a client's clock may be off, in either direction.
    pub clock_skew_s_max: i64,
    /// Open management connections; a further one gets the place of one that nobody is at work for, or waits.
    pub connections_max: usize,
    /// Those of one address, or of one IPv6 /64.
    pub connections_per_address_max: usize,
    /// How long a management connection may be silent, between requests or within one.
    pub idle_timeout_ms: u64,
    /// From a management request's first byte, or its connection's beginning, to the end of its head.
    pub head_timeout_ms: u64,
    /// A management request's head; 8,192 at least.
    pub head_bytes_max: usize,
    /// A management request's body.
    pub body_bytes_max: usize,
    /// From a management request's head to the end of its body.
    pub body_timeout_ms: u64,
    /// How fast it has to come, once the time for which it may come as it will is over.
    pub body_rate_bytes_per_s_min: u64,
    pub body_rate_grace_ms: u64,
    /// Parameters of a management request that is a form, of its query and body together.
    pub form_parameters_max: usize,
    /// How long open management requests may take to end once control is told to stop.
    pub shutdown_timeout_ms: u64,
    /// Where trust stores of domain names may be read from; without one, domain names can have none.
    pub truststore_dir: Option<PathBuf>,
    /// Without it, certificates can be imported and not requested.
    pub acme: Option<AcmeSettings>,
    pub quotas: Quotas,
    pub usage: UsageSettings,
    pub audit: AuditSettings,
    /// One line a management request on standard error.
    pub request_log: bool,
}

/// Where the configuration is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoreSettings {
    /// A PostgreSQL; without one, the store is SQLite in the data directory.
    pub url: Option<StoreUrl>,
    /// In place of the data directory's file.
    pub secrets_key: Option<SecretsKey>,
    pub sqlite: SqliteSettings,
    pub postgres: PostgresSettings,
}

/// How the SQLite in the data directory is read and written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteSettings {
    /// Of its write-ahead log: changes that fill it faster than it is copied into the database wait for that.
    pub log_bytes_max: u64,
    /// For another process's write to end.
    pub busy_timeout_ms: u64,
    /// Calls that read at once.
    pub readers_max: usize,
    /// For one of them to end, where there are as many already.
    pub reader_timeout_ms: u64,
}

/// Arbitrary: a log of many times what is copied at once, and no burden on a disk; more readers than the cores that
/// control is given, so that none idles.
impl Default for SqliteSettings {
    fn default() -> Self {
        Self { log_bytes_max: 64 << 20, busy_timeout_ms: 10_000, readers_max: 8, reader_timeout_ms: 30_000 }
    }
}

/// How a PostgreSQL is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresSettings {
    /// Of this process, beside the one that follows what others publish.
    pub connections_max: usize,
    /// For a connection to be made, and for calls to wait for a server that is away.
    pub timeout_ms: u64,
    /// For the server to run a statement, and for other changes to end, of whichever process.
    pub statement_timeout_ms: u64,
}

impl Default for PostgresSettings {
    fn default() -> Self {
        Self { connections_max: 8, timeout_ms: 10_000, statement_timeout_ms: 30_000 }
    }
}

/// Who the APIs belong to, and how they are addressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Twelve digits.
    pub id: String,
    pub region: String,
    /// APIs answer at `{api-id}.execute-api.{region}.{endpoint_suffix}`.
    pub endpoint_suffix: String,
    /// The port of the data plane in the `apiEndpoint` that callers are told.
    pub endpoint_port: u16,
    /// Likewise, of WebSocket APIs over TLS; without one they are told the plain port.
    pub endpoint_tls_port: Option<u16>,
    /// Of all requests to all APIs; `None` doesn't limit them.
    pub throttle: Option<AccountThrottle>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountThrottle {
    pub rate_per_s: u32,
    pub burst_requests: u32,
    /// At gateways that can't reach the store which they share it in; `None` leaves it to the gateway's setting.
    pub partition: Option<LimitsPartition>,
}

/// What AWS gives an account in most regions.
impl Default for AccountThrottle {
    fn default() -> Self {
        Self { rate_per_s: 10_000, burst_requests: 5_000, partition: None }
    }
}

/// Where certificates are requested, and how patiently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcmeSettings {
    /// Whoever sets it agrees to the authority's terms of service.
    pub directory_url: String,
    /// A mail address, told to the authority.
    pub contact: Option<String>,
    /// PEM of further authorities that the directory's own certificate may be of.
    pub ca_file: Option<PathBuf>,
    /// For one answer of the authority.
    pub request_timeout_ms: u64,
    /// For every gateway to take a challenge.
    pub publish_timeout_ms: u64,
    /// For the authority to validate the names, and again to issue.
    pub order_timeout_ms: u64,
    /// Orders under way at once.
    pub orders_max: usize,
    /// Tries of a certificate that was never issued; a renewal is tried for as long as it takes.
    pub tries_max: u32,
    /// After the first failed try; doubles with each further one, up to the longest.
    pub retry_s_min: u32,
    pub retry_s_max: u32,
}

/// How much of the audit log is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditSettings {
    /// The newest; 0 turns the log off.
    pub records_max: usize,
    /// Older records go.
    pub days_max: u32,
    /// Of the documents before and after, in one record; what is beyond is named by its digest.
    pub record_bytes_max: usize,
    /// Documents that one record names; those beyond are counted.
    pub record_documents_max: usize,
}

impl Default for AuditSettings {
    fn default() -> Self {
        Self { records_max: 100_000, days_max: 90, record_bytes_max: 256 << 10, record_documents_max: 1_000 }
    }
}

/// How what callers use of usage plans' quotas is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageSettings {
    /// How far a gateway's clock may be off: so long before and after midnight, a quota is given out for the day before
    /// and the next.
    pub clock_skew_s_max: u32,
    /// For how many days after its own what a gateway holds of a quota waits for it to come back.
    pub leases_kept_days: u32,
    /// How long uses are kept, a day each; 31 at least, the longest period that they are counted in.
    pub uses_kept_days: u32,
}

impl Default for UsageSettings {
    fn default() -> Self {
        // As far as `GetUsage` looks back, and the longest period before that.
        Self { clock_skew_s_max: 300, leases_kept_days: 1, uses_kept_days: 90 + 31 }
    }
}

/// Ceilings of what can be configured; AWS's by default, to be raised as needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quotas {
    /// Of each kind.
    pub apis_max: usize,
    pub routes_per_api_max: usize,
    pub integrations_per_api_max: usize,
    /// Of a WebSocket API.
    pub responses_per_integration_max: usize,
    pub resources_per_api_max: usize,
    pub stages_per_api_max: usize,
    /// Of an API of either service.
    pub authorizers_per_api_max: usize,
    /// Of an API of either service.
    pub models_per_api_max: usize,
    /// Of a REST API, as the two below are.
    pub request_validators_per_api_max: usize,
    pub documentation_parts_per_api_max: usize,
    pub documentation_versions_per_api_max: usize,
    /// Deployments that somebody made, in an API.
    pub deployments_per_api_max: usize,
    /// Automatic deployments that an API keeps; the oldest unused ones go.
    pub auto_deployments_kept: usize,
    pub client_certificates_max: usize,
    /// VPC links of each service.
    pub vpc_links_max: usize,
    pub certificates_max: usize,
    pub domain_names_max: usize,
    pub mappings_per_domain_name_max: usize,
    pub routing_rules_per_domain_name_max: usize,
    pub users_max: usize,
    pub access_keys_per_user_max: usize,
    /// All policies of a user together, white space apart.
    pub user_policies_chars_max: usize,
    /// Lists and objects within each other in an OpenAPI document.
    pub openapi_depth_max: usize,
    /// Values that an OpenAPI document may unfold to, aliases and references counted as what they repeat.
    pub openapi_values_max: usize,
    /// An integration's answer to TestInvokeMethod.
    pub test_invoke_body_bytes_max: usize,
    /// For every gateway to confirm a flush of a cache.
    pub flush_timeout_ms: u64,
    /// Purged tags that a stage's cache remembers; one more flushes it, which is as good, if not as cheap. Gateways take
    /// no more than [`turnpike_snapshot::Limits`] says.
    pub purged_tags_per_stage_max: usize,
    pub domain_name_access_associations_max: usize,
    pub api_keys_max: usize,
    pub usage_plans_max: usize,
    pub usage_plans_per_api_key_max: usize,
    pub stages_per_usage_plan_max: usize,
    /// Methods of one stage that a usage plan throttles by themselves.
    pub throttled_methods_per_usage_plan_stage_max: usize,
    /// An integration's timeout, and the default of those that set none.
    pub integration_timeout_ms_max: u32,
    /// The same of HTTP APIs.
    pub http_integration_timeout_ms_max: u32,
}

impl Quotas {
    /// What an OpenAPI document may cost.
    #[must_use]
    pub fn openapi_limits(&self) -> DocumentLimits {
        DocumentLimits { depth_max: self.openapi_depth_max, values_max: self.openapi_values_max }
    }
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            apis_max: 600,
            routes_per_api_max: 300,
            integrations_per_api_max: 300,
            responses_per_integration_max: 100,
            resources_per_api_max: 300,
            stages_per_api_max: 10,
            authorizers_per_api_max: 10,
            models_per_api_max: 300,
            request_validators_per_api_max: 100,
            documentation_parts_per_api_max: 2_000,
            documentation_versions_per_api_max: 200,
            deployments_per_api_max: 1_000,
            auto_deployments_kept: 10,
            client_certificates_max: 60,
            vpc_links_max: 20,
            certificates_max: 2_500,
            domain_names_max: 120,
            mappings_per_domain_name_max: 200,
            routing_rules_per_domain_name_max: 50,
            users_max: 5_000,
            access_keys_per_user_max: 2,
            user_policies_chars_max: 2_048,
            openapi_depth_max: 100,
            openapi_values_max: 1_000_000,
            test_invoke_body_bytes_max: 10 << 20,
            flush_timeout_ms: 10_000,
            purged_tags_per_stage_max: turnpike_snapshot::Limits::default().cache_purges_max,
            domain_name_access_associations_max: 100,
            api_keys_max: 10_000,
            usage_plans_max: 300,
            usage_plans_per_api_key_max: 10,
            stages_per_usage_plan_max: 100,
            throttled_methods_per_usage_plan_stage_max: 300,
            integration_timeout_ms_max: 29_000,
            http_integration_timeout_ms_max: 30_000,
        }
    }
}
