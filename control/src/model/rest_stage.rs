//! A stage of a REST API: which deployment it serves, and how.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{AccessLogSettings, Canary, LimitsPartitions, Part, StageCache, Tags, Variables};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RestStage {
    /// Also its identifier.
    pub name: String,
    pub deployment_id: String,
    pub description: Option<String>,
    pub variables: Variables,
    /// What https:// upstreams are shown.
    #[serde(default)]
    pub client_certificate_id: Option<String>,
    #[serde(default)]
    pub cache_cluster_enabled: bool,
    /// In GB, as AWS names its sizes.
    #[serde(default)]
    pub cache_cluster_size: Option<String>,
    #[serde(default)]
    pub cache: StageCache,
    /// By resource and method as the path of a patch has them, still escaped: `~1pets~1{id}/GET`, or `*/*`.
    #[serde(default)]
    pub method_settings: BTreeMap<String, MethodSetting>,
    #[serde(default)]
    pub partitions: LimitsPartitions,
    #[serde(default)]
    pub access_log: RestAccessLog,
    #[serde(default)]
    pub tracing_enabled: bool,
    #[serde(default)]
    pub documentation_version: Option<String>,
    #[serde(default)]
    pub canary: Option<Canary>,
    pub tags: Tags,
    pub created_at_s: i64,
    pub updated_at_s: i64,
}

/// Where a stage's access log goes, and in which `$context` format. AWS sets them one after the other: there is no log
/// before both are there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RestAccessLog {
    pub destination_arn: Option<String>,
    pub format: Option<String>,
}

/// How a stage treats a method, or all that have no setting of their own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MethodSetting {
    pub metrics_enabled: bool,
    /// `OFF`, `ERROR` or `INFO`.
    pub logging_level: Option<String>,
    pub data_trace_enabled: bool,
    /// In requests; -1 is without limit.
    pub throttling_burst: i32,
    /// In requests a second; -1 is without limit.
    pub throttling_rate: f64,
    pub caching_enabled: bool,
    /// Somebody has said of the method itself whether it is cached, which methods other than GET need.
    #[serde(default)]
    pub caching_said: bool,
    pub cache_ttl_s: u32,
    pub cache_data_encrypted: bool,
    pub authorization_for_cache_control: bool,
    /// `FAIL_WITH_403`, `SUCCEED_WITH_RESPONSE_HEADER` or `SUCCEED_WITHOUT_RESPONSE_HEADER`.
    pub unauthorized_cache_control: String,
}

/// The settings of methods that have none of their own.
const ALL_METHODS: &str = "*/*";

impl RestAccessLog {
    /// The log, once it is whole.
    #[must_use]
    pub fn settings(&self) -> Option<AccessLogSettings> {
        let (destination_arn, format) = (self.destination_arn.clone()?, self.format.clone()?);
        Some(AccessLogSettings { destination_arn, format })
    }
}

impl RestStage {
    /// Without settings.
    #[must_use]
    pub fn new(name: String, deployment_id: String, now_s: i64) -> Self {
        Self {
            name,
            deployment_id,
            description: None,
            variables: Variables::new(),
            client_certificate_id: None,
            cache_cluster_enabled: false,
            cache_cluster_size: None,
            cache: StageCache::new(now_s),
            method_settings: BTreeMap::new(),
            partitions: LimitsPartitions::default(),
            access_log: RestAccessLog::default(),
            tracing_enabled: false,
            documentation_version: None,
            canary: None,
            tags: Tags::new(),
            created_at_s: now_s,
            updated_at_s: now_s,
        }
    }

    /// The setting of a resource's method, by the resource's path and the method's name.
    #[must_use]
    pub fn method_setting(&self, path: &str, method: &str) -> Option<&MethodSetting> {
        let own = self.method_settings.iter().find(|(key, _)| names_method(key, path, method));
        own.map(|(_, setting)| setting).or_else(|| self.method_settings.get(ALL_METHODS))
    }

    /// Whether answers of a resource's method are kept, and how. What is said of all methods is for GET alone (AWS: only
    /// GET methods are cached by default).
    #[must_use]
    pub fn caching(&self, path: &str, method: &str) -> Option<&MethodSetting> {
        let setting = self.method_setting(path, method)?;
        let is_cached = setting.caching_enabled && setting.cache_ttl_s > 0;
        let is_meant = method == "GET" || setting.caching_said && !self.is_of_all(setting);
        Some(setting).filter(|_| self.cache_cluster_enabled && is_cached && is_meant)
    }

    fn is_of_all(&self, setting: &MethodSetting) -> bool {
        self.method_settings.get(ALL_METHODS).is_some_and(|general| std::ptr::eq(general, setting))
    }

    /// The setting under a key of the map, made if there is none: of what all methods have.
    pub fn method_setting_entry(&mut self, key: String) -> &mut MethodSetting {
        let mut general = self.method_settings.get(ALL_METHODS).cloned().unwrap_or_default();
        general.caching_said = false;
        self.method_settings.entry(key).or_insert(general)
    }
}

impl MethodSetting {
    /// Whether it asks for execution logs.
    #[must_use]
    pub fn logs(&self) -> bool {
        self.data_trace_enabled || self.logging_level.as_deref().is_some_and(|level| level != "OFF")
    }
}

/// Clients write a resource's path with the slash that it begins with, or without.
fn names_method(key: &str, path: &str, method: &str) -> bool {
    let Some((resource, name)) = key.rsplit_once('/') else { return false };
    let resource = resource.replace("~1", "/").replace("~0", "~");
    name == method && resource.trim_start_matches('/') == path.trim_start_matches('/')
}

/// AWS's, of an account without settings of its own.
impl Default for MethodSetting {
    fn default() -> Self {
        Self {
            metrics_enabled: false,
            logging_level: None,
            data_trace_enabled: false,
            throttling_burst: 5_000,
            throttling_rate: 10_000.0,
            caching_enabled: false,
            caching_said: false,
            cache_ttl_s: 300,
            cache_data_encrypted: false,
            authorization_for_cache_control: true,
            unauthorized_cache_control: "SUCCEED_WITH_RESPONSE_HEADER".to_owned(),
        }
    }
}

impl Part for RestStage {
    const KIND: &'static str = "rest-stage";

    fn id(&self) -> &str {
        &self.name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_all_methods_caches_gets() {
        let mut stage = RestStage::new("s".to_owned(), "d".to_owned(), 1);
        let all = stage.method_setting_entry("*/*".to_owned());
        (all.caching_enabled, all.caching_said) = (true, true);
        let cached = |stage: &RestStage, method| stage.caching("/pets", method).is_some();
        assert!(!cached(&stage, "GET"), "without a cache");
        stage.cache_cluster_enabled = true;
        assert!(cached(&stage, "GET") && !cached(&stage, "POST") && !cached(&stage, "ANY"));
        stage.method_setting_entry("~1pets/POST".to_owned()).throttling_burst = 5;
        assert!(!cached(&stage, "POST"), "only its throttle was set");
        stage.method_setting_entry("~1pets/POST".to_owned()).caching_said = true;
        assert!(cached(&stage, "POST"));
        stage.method_setting_entry("~1pets/GET".to_owned()).cache_ttl_s = 0;
        assert!(!cached(&stage, "GET"));
    }

    #[test]
    fn a_methods_own_setting_goes_before_that_of_all() {
        let stored = r#"{"name":"s","deployment_id":"d","description":null,"variables":{},"tags":{},
            "created_at_s":1,"updated_at_s":1}"#;
        let mut stage: RestStage = serde_json::from_str(stored).expect("of an older store");
        assert_eq!(stage.method_setting("/pets", "GET"), None);
        stage.method_setting_entry("*/*".to_owned()).cache_ttl_s = 7;
        stage.method_setting_entry("~1pets~1{id}/GET".to_owned()).caching_enabled = true;
        stage.method_setting_entry("pets/GET".to_owned()).cache_ttl_s = 9;
        stage.method_setting_entry("~1/ANY".to_owned()).cache_ttl_s = 8;
        let ttl = |path: &str, method: &str| stage.method_setting(path, method).map(|s| s.cache_ttl_s);
        assert_eq!(ttl("/pets", "GET"), Some(9));
        assert_eq!(ttl("/pets", "PUT"), Some(7));
        assert_eq!(ttl("/", "ANY"), Some(8));
        assert_eq!(
            stage.method_setting("/pets/{id}", "GET").map(|s| (s.caching_enabled, s.cache_ttl_s)),
            Some((true, 7))
        );
    }
}
