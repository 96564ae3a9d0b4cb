//! Settings as typed become settings as checked.

#[cfg(test)]
mod tests;

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use super::options::{LowArgs, LowGatewayArgs, ServeArgs, StatusArgs, StoreArgs, UpArgs};
use crate::compile;
use crate::model::LimitsPartition;
use crate::publish::PublishSettings;
use crate::secrets::SecretsKey;
use crate::settings::{
    Account, AccountThrottle, AcmeSettings, AuditSettings, PostgresSettings, Quotas, Settings,
    SqliteSettings, StoreSettings, UsageSettings,
};
use crate::store::UrlError;

const DATA_DIR: &str = "turnpike-data";
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9080);
const GATEWAY_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
const GATEWAY_TLS_LISTEN: &str = "127.0.0.1:8443";
/// That of [`GATEWAY_TLS_LISTEN`].
const ENDPOINT_TLS_PORT: u16 = 8443;
const GATEWAY_ADMIN_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9901);
const REGION: &str = "us-east-1";
/// Half a day: beyond it, which day it is wouldn't be known at all.
const USAGE_CLOCK_SKEW_S_MAX_MAX: u32 = 43_200;
/// A month's, which quotas are counted over.
const USAGE_KEPT_DAYS_MIN: u32 = 31;
/// Up to a day: beyond it a timeout is a mistake.
const STORE_TIMEOUTS_MS: RangeInclusive<u64> = 1..=86_400_000;
/// Each has three descriptors and up to 2 MiB of the store's pages.
const STORE_READERS: RangeInclusive<usize> = 1..=1_024;
/// AWS's.
const INTEGRATION_TIMEOUT_MS_MIN: u32 = 50;
/// hyper's smallest buffer.
const HEAD_BYTES_MAX_MIN: usize = 8_192;

/// The gateway that `up` starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GatewaySettings {
    pub(super) bin: PathBuf,
    pub(super) listen: SocketAddr,
    /// `None`: no HTTPS.
    pub(super) tls_listen: Option<SocketAddr>,
    pub(super) admin_listen: SocketAddr,
    pub(super) data_dir: PathBuf,
    pub(super) cores: Option<String>,
    pub(super) config: Option<PathBuf>,
    pub(super) ready_timeout_ms: u64,
    pub(super) stop_timeout_ms: u64,
}

/// Where `status` asks; what isn't said here, the AWS CLI's variables may say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StatusSettings {
    pub(super) listen: Option<SocketAddr>,
    pub(super) data_dir: Option<PathBuf>,
    pub(super) region: Option<String>,
}

impl ServeArgs {
    /// # Errors
    /// What is wrong with which setting.
    pub(super) fn settings(self) -> Result<(Settings, PublishSettings), String> {
        let low = self.low.or(read_file(self.config.as_deref())?);
        Ok((settings(&low)?, publish_settings(&low)?))
    }
}

impl UpArgs {
    /// # Errors
    /// What is wrong with which setting.
    pub(super) fn settings(self) -> Result<(Settings, PublishSettings, GatewaySettings), String> {
        let low = self.serve.low.or(read_file(self.serve.config.as_deref())?);
        let settings = settings(&low)?;
        let publish = publish_settings(&low)?;
        let gateway = gateway_settings(self.gateway.or(low.gateway), &settings.data_dir)?;
        Ok((settings, publish, gateway))
    }
}

impl StoreArgs {
    /// The data directory, and what leads to the store.
    ///
    /// # Errors
    /// What is wrong with which setting.
    pub(super) fn settings(&self) -> Result<(PathBuf, StoreSettings), String> {
        let given =
            LowArgs { data_dir: self.data_dir.clone(), store: self.store.clone(), ..LowArgs::default() };
        let low = given.or(read_file(self.config.as_deref())?);
        Ok((data_dir(&low), store(&low)?))
    }
}

impl StatusArgs {
    /// # Errors
    /// What is wrong with the file.
    pub(super) fn settings(self) -> Result<StatusSettings, String> {
        let file = read_file(self.config.as_deref())?;
        Ok(StatusSettings {
            listen: self.listen.or(file.listen),
            data_dir: self.data_dir.or(file.data_dir),
            region: self.region.or(file.region),
        })
    }
}

/// Numbers from 1 on whose flag, field and default have one name, and then what isn't such a number.
macro_rules! positives {
    ($low:expr, $default:expr, $of:ident { $($field:ident)* } $($rest:tt)*) => {
        $of { $($field: positive(stringify!($field), $low.$field, $default.$field)?,)* $($rest)* }
    };
}

fn read_file(path: Option<&Path>) -> Result<LowArgs, String> {
    let Some(path) = path else { return Ok(LowArgs::default()) };
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("can't read the settings in {}: {error}", path.display()))?;
    toml::from_str(&text).map_err(|error| format!("the settings in {}: {error}", path.display()))
}

fn settings(low: &LowArgs) -> Result<Settings, String> {
    let data_dir = data_dir(low);
    Ok(Settings {
        listen: low.listen.unwrap_or(LISTEN),
        publish_socket: low.publish_socket.clone().unwrap_or_else(|| data_dir.join("publish.sock")),
        data_dir,
        store: store(low)?,
        account: account(low)?,
        clock_skew_s_max: low.clock_skew_s_max.unwrap_or(900).into(),
        connections_max: positive("connections-max", low.connections_max, 256)?,
        connections_per_address_max: positive(
            "connections-per-address-max",
            low.connections_per_address_max,
            192,
        )?,
        idle_timeout_ms: positive("idle-timeout-ms", low.idle_timeout_ms, 60_000)?,
        head_timeout_ms: positive("head-timeout-ms", low.head_timeout_ms, 10_000)?,
        head_bytes_max: head_bytes_max(low)?,
        body_bytes_max: positive("body-bytes-max", low.body_bytes_max, 6 << 20)?,
        body_timeout_ms: positive("body-timeout-ms", low.body_timeout_ms, 30_000)?,
        body_rate_bytes_per_s_min: positive(
            "body-rate-bytes-per-s-min",
            low.body_rate_bytes_per_s_min,
            4_096,
        )?,
        body_rate_grace_ms: positive("body-rate-grace-ms", low.body_rate_grace_ms, 5_000)?,
        form_parameters_max: positive("form-parameters-max", low.form_parameters_max, 1_000)?,
        shutdown_timeout_ms: low.shutdown_timeout_ms.unwrap_or(10_000),
        truststore_dir: low.truststore_dir.clone(),
        acme: acme(low)?,
        quotas: quotas(low)?,
        usage: usage(low)?,
        audit: audit(low)?,
        request_log: low.request_log.unwrap_or(false),
    })
}

fn head_bytes_max(low: &LowArgs) -> Result<usize, String> {
    match low.head_bytes_max.unwrap_or(64 << 10) {
        bytes @ HEAD_BYTES_MAX_MIN.. => Ok(bytes),
        _ => Err(format!("--head-bytes-max has to be at least {HEAD_BYTES_MAX_MIN}")),
    }
}

fn data_dir(low: &LowArgs) -> PathBuf {
    low.data_dir.clone().unwrap_or_else(|| PathBuf::from(DATA_DIR))
}

fn store(low: &LowArgs) -> Result<StoreSettings, String> {
    let default = PostgresSettings::default();
    let (connections, timeout) = (low.store_connections_max, low.store_timeout_ms);
    let statement_timeout = low.store_statement_timeout_ms;
    Ok(StoreSettings {
        url: low.store.as_deref().map(str::parse).transpose().map_err(|error: UrlError| error.to_string())?,
        secrets_key: SecretsKey::from_environment().map_err(|error| error.to_string())?,
        sqlite: sqlite(low)?,
        postgres: PostgresSettings {
            connections_max: positive("store-connections-max", connections, default.connections_max)?,
            timeout_ms: positive("store-timeout-ms", timeout, default.timeout_ms)?,
            statement_timeout_ms: positive(
                "store-statement-timeout-ms",
                statement_timeout,
                default.statement_timeout_ms,
            )?,
        },
    })
}

fn sqlite(low: &LowArgs) -> Result<SqliteSettings, String> {
    let default = SqliteSettings::default();
    let (busy, reader) = (low.store_busy_timeout_ms, low.store_reader_timeout_ms);
    let (log_bytes, readers) = (low.store_log_bytes_max, low.store_readers_max);
    Ok(SqliteSettings {
        log_bytes_max: positive("store-log-bytes-max", log_bytes, default.log_bytes_max)?,
        busy_timeout_ms: within("store-busy-timeout-ms", busy, default.busy_timeout_ms, STORE_TIMEOUTS_MS)?,
        readers_max: within("store-readers-max", readers, default.readers_max, STORE_READERS)?,
        reader_timeout_ms: within(
            "store-reader-timeout-ms",
            reader,
            default.reader_timeout_ms,
            STORE_TIMEOUTS_MS,
        )?,
    })
}

fn account(low: &LowArgs) -> Result<Account, String> {
    let account = Account {
        id: low.account_id.clone().unwrap_or_else(|| "000000000000".to_owned()),
        region: low.region.clone().unwrap_or_else(|| REGION.to_owned()),
        endpoint_suffix: low.endpoint_suffix.clone().unwrap_or_else(|| "localhost".to_owned()),
        endpoint_port: positive("endpoint-port", low.endpoint_port, GATEWAY_LISTEN.port())?,
        endpoint_tls_port: Some(low.endpoint_tls_port.unwrap_or(ENDPOINT_TLS_PORT)).filter(|port| *port > 0),
        throttle: account_throttle(low)?,
    };
    // A gateway would refuse the same; here the operator can be told at once.
    match compile::account(&account, &[], Vec::new()).and_then(|unit| compile::encode(&unit)) {
        Ok(_) => Ok(account),
        Err(error) => Err(format!("--account-id, --region or --endpoint-suffix: {error}")),
    }
}

fn account_throttle(low: &LowArgs) -> Result<Option<AccountThrottle>, String> {
    let AccountThrottle { rate_per_s, burst_requests, .. } = AccountThrottle::default();
    let rate_per_s = low.account_throttle_rate_per_s.unwrap_or(rate_per_s);
    let burst = low.account_throttle_burst_requests;
    let burst_requests = positive("account-throttle-burst-requests", burst, burst_requests)?;
    let partition = low.account_throttle_partition.as_deref().map(|name| {
        let named = LimitsPartition::parse(&name.to_ascii_uppercase());
        named.ok_or_else(|| {
            format!("--account-throttle-partition has to be share, closed or open, not '{name}'")
        })
    });
    let partition = partition.transpose()?;
    let needs_rate =
        |flag: &str| Err(format!("--account-throttle-{flag} needs an --account-throttle-rate-per-s above 0"));
    match (rate_per_s, burst, partition) {
        (0, Some(_), _) => needs_rate("burst-requests"),
        (0, None, Some(_)) => needs_rate("partition"),
        (0, None, None) => Ok(None),
        _ => Ok(Some(AccountThrottle { rate_per_s, burst_requests, partition })),
    }
}

fn acme(low: &LowArgs) -> Result<Option<AcmeSettings>, String> {
    let Some(directory_url) = low.acme_directory_url.clone() else {
        return match (&low.acme_contact, &low.acme_ca_file) {
            (None, None) => Ok(None),
            _ => Err("--acme-contact and --acme-ca-file need an --acme-directory-url".to_owned()),
        };
    };
    if !directory_url.starts_with("https://") {
        return Err(format!("--acme-directory-url has to begin with https://, not '{directory_url}'"));
    }
    let contact = low.acme_contact.clone();
    if let Some(contact) = contact.as_ref().filter(|contact| !contact.contains('@') || contact.contains(':'))
    {
        return Err(format!("--acme-contact has to be a mail address, not '{contact}'"));
    }
    let retry_s_min = positive("acme-retry-s-min", low.acme_retry_s_min, 60)?;
    let retry_s_max = positive("acme-retry-s-max", low.acme_retry_s_max, retry_s_min.max(3_600))?;
    if retry_s_max < retry_s_min {
        return Err(format!(
            "--acme-retry-s-max ({retry_s_max}) is below --acme-retry-s-min ({retry_s_min})"
        ));
    }
    Ok(Some(AcmeSettings {
        directory_url,
        contact,
        ca_file: low.acme_ca_file.clone(),
        request_timeout_ms: positive("acme-request-timeout-ms", low.acme_request_timeout_ms, 30_000)?,
        publish_timeout_ms: positive("acme-publish-timeout-ms", low.acme_publish_timeout_ms, 10_000)?,
        order_timeout_ms: positive("acme-order-timeout-ms", low.acme_order_timeout_ms, 120_000)?,
        orders_max: positive("acme-orders-max", low.acme_orders_max, 8)?,
        tries_max: positive("acme-tries-max", low.acme_tries_max, 12)?,
        retry_s_min,
        retry_s_max,
    }))
}

fn usage(low: &LowArgs) -> Result<UsageSettings, String> {
    let default = UsageSettings::default();
    let clock_skew_s_max = low.usage_clock_skew_s_max.unwrap_or(default.clock_skew_s_max);
    if clock_skew_s_max > USAGE_CLOCK_SKEW_S_MAX_MAX {
        return Err(format!("--usage-clock-skew-s-max has to be at most {USAGE_CLOCK_SKEW_S_MAX_MAX}"));
    }
    let uses_kept_days = low.usage_kept_days.unwrap_or(default.uses_kept_days);
    if uses_kept_days < USAGE_KEPT_DAYS_MIN {
        return Err(format!("--usage-kept-days has to be at least {USAGE_KEPT_DAYS_MIN}"));
    }
    let leases = low.usage_leases_kept_days;
    let leases_kept_days = positive("usage-leases-kept-days", leases, default.leases_kept_days)?;
    Ok(UsageSettings { clock_skew_s_max, leases_kept_days, uses_kept_days })
}

fn audit(low: &LowArgs) -> Result<AuditSettings, String> {
    let default = AuditSettings::default();
    Ok(AuditSettings {
        records_max: low.audit_records_max.unwrap_or(default.records_max),
        days_max: positive("audit-days-max", low.audit_days_max, default.days_max)?,
        record_bytes_max: low.audit_record_bytes_max.unwrap_or(default.record_bytes_max),
        record_documents_max: low.audit_record_documents_max.unwrap_or(default.record_documents_max),
    })
}

fn quotas(low: &LowArgs) -> Result<Quotas, String> {
    let default = Quotas::default();
    let limits = turnpike_snapshot::Limits::default();
    let timeouts = INTEGRATION_TIMEOUT_MS_MIN..=limits.timeout_ms_max;
    let timeout_ms = |flag, given, default| within(flag, given, default, timeouts.clone());
    let (rest_ms, rest_default_ms) = (low.integration_timeout_ms_max, default.integration_timeout_ms_max);
    // Whoever sets one ceiling means HTTP APIs too, unless they have their own.
    let http_ms = low.http_integration_timeout_ms_max.or(rest_ms);
    let http_default_ms = default.http_integration_timeout_ms_max;
    Ok(positives!(low, default, Quotas {
        apis_max routes_per_api_max integrations_per_api_max responses_per_integration_max
        resources_per_api_max stages_per_api_max authorizers_per_api_max models_per_api_max
        request_validators_per_api_max documentation_parts_per_api_max documentation_versions_per_api_max
        deployments_per_api_max client_certificates_max vpc_links_max certificates_max domain_names_max
        mappings_per_domain_name_max routing_rules_per_domain_name_max users_max access_keys_per_user_max
        user_policies_chars_max openapi_depth_max openapi_values_max test_invoke_body_bytes_max
        flush_timeout_ms domain_name_access_associations_max api_keys_max usage_plans_max
        usage_plans_per_api_key_max stages_per_usage_plan_max throttled_methods_per_usage_plan_stage_max
    }
        auto_deployments_kept: low.auto_deployments_kept.unwrap_or(default.auto_deployments_kept),
        purged_tags_per_stage_max: within(
            "purged-tags-per-stage-max",
            low.purged_tags_per_stage_max,
            default.purged_tags_per_stage_max,
            1..=limits.cache_purges_max,
        )?,
        integration_timeout_ms_max: timeout_ms("integration-timeout-ms-max", rest_ms, rest_default_ms)?,
        http_integration_timeout_ms_max: timeout_ms("http-integration-timeout-ms-max", http_ms, http_default_ms)?,
    ))
}

fn publish_settings(low: &LowArgs) -> Result<PublishSettings, String> {
    let default = PublishSettings::default();
    Ok(positives!(low, default, PublishSettings { gateways_max hello_timeout_ms write_timeout_ms }
        limits: default.limits,
    ))
}

fn tls_listen(typed: &str) -> Result<Option<SocketAddr>, String> {
    if typed.is_empty() {
        return Ok(None);
    }
    let address = typed.parse();
    address.map(Some).map_err(|_| format!("--gateway-tls-listen has to be ADDR:PORT or empty, not '{typed}'"))
}

fn gateway_settings(low: LowGatewayArgs, control_data_dir: &Path) -> Result<GatewaySettings, String> {
    Ok(GatewaySettings {
        bin: low.bin.map_or_else(gateway_beside, Ok)?,
        listen: low.listen.unwrap_or(GATEWAY_LISTEN),
        tls_listen: tls_listen(low.tls_listen.as_deref().unwrap_or(GATEWAY_TLS_LISTEN))?,
        admin_listen: low.admin_listen.unwrap_or(GATEWAY_ADMIN_LISTEN),
        data_dir: low.data_dir.unwrap_or_else(|| control_data_dir.join("gateway")),
        cores: low.cores,
        config: low.config,
        ready_timeout_ms: positive("gateway-ready-timeout-ms", low.ready_timeout_ms, 10_000)?,
        stop_timeout_ms: low.stop_timeout_ms.unwrap_or(35_000),
    })
}

fn gateway_beside() -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|error| {
        format!("can't find the gateway beside this program: {error}. Name it with --gateway-bin")
    })?;
    Ok(own.with_file_name("turnpike-gateway"))
}

/// `name` is the flag's, without dashes in front, or the setting's.
fn positive<T: PartialOrd + From<u8>>(name: &str, given: Option<T>, default: T) -> Result<T, String> {
    match given {
        Some(value) if value < T::from(1) => {
            Err(format!("--{} has to be at least 1", name.replace('_', "-")))
        }
        Some(value) => Ok(value),
        None => Ok(default),
    }
}

fn within<T: PartialOrd + Display>(
    flag: &str,
    given: Option<T>,
    default: T,
    range: RangeInclusive<T>,
) -> Result<T, String> {
    let value = given.unwrap_or(default);
    if range.contains(&value) {
        return Ok(value);
    }
    Err(format!("--{flag} has to be {} to {}", range.start(), range.end()))
}
