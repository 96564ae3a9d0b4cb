//! What patches set of a stage: its own members, the access log, and how methods are treated.

use serde_json::{Map, Value, json};
use turnpike_snapshot::ACCESS_LOG_FORMAT_BYTES_MAX;

use super::super::access_log::{ARN_CHARS_MAX, check_destination, check_format};
use super::super::call::compact;
use super::super::error::ApiError;
use super::canary;
use super::patch::{ADD_REPLACE, COPY, Op, Patch, REMOVE, REPLACE, REPLACE_REMOVE, Table, Wording, rule};
use super::stages::{CACHE_CLUSTER_SIZES, answer};
use super::{DESCRIPTION_CHARS_MAX, NAME_CHARS_MAX};
use crate::model::{METHODS, MethodSetting, RestAccessLog, RestStage};

/// AWS's limits of what a method can be set to.
const CACHE_TTL_S_MAX: u32 = 3_600;
const LOGGING_LEVELS: [&str; 3] = ["OFF", "ERROR", "INFO"];
const CACHE_CONTROL_STRATEGIES: [&str; 3] =
    ["FAIL_WITH_403", "SUCCEED_WITH_RESPONSE_HEADER", "SUCCEED_WITHOUT_RESPONSE_HEADER"];
/// Arbitrary: a stage rarely sets more than some of its methods apart.
const METHOD_SETTINGS_MAX: usize = 1_000;

pub(super) const PATCHES: Table<RestStage> = Table {
    input: "updateStageInput",
    wording: Wording::Own(refuse),
    rules: &[
        rule("/deploymentId", REPLACE, |stage, patch| {
            stage.deployment_id = patch.text(NAME_CHARS_MAX)?;
            Ok(())
        }),
        rule("/description", REPLACE_REMOVE, |stage, patch| {
            stage.description = patch.optional_text(DESCRIPTION_CHARS_MAX)?;
            Ok(())
        }),
        rule("/cacheClusterEnabled", REPLACE, |stage, patch| {
            stage.cache_cluster_enabled = patch.boolean()?;
            Ok(())
        }),
        rule("/cacheClusterSize", REPLACE, |stage, patch| {
            stage.cache_cluster_size = Some(patch.choice(&CACHE_CLUSTER_SIZES)?);
            Ok(())
        }),
        rule("/clientCertificateId", REPLACE_REMOVE, |stage, patch| {
            stage.client_certificate_id = patch.optional_text(NAME_CHARS_MAX)?;
            Ok(())
        }),
        rule("/documentationVersion", REPLACE_REMOVE, |stage, patch| {
            stage.documentation_version = patch.optional_text(NAME_CHARS_MAX)?;
            Ok(())
        }),
        rule("/tracingEnabled", REPLACE, |stage, patch| {
            stage.tracing_enabled = patch.boolean()?;
            Ok(())
        }),
        rule("/accessLogSettings", REMOVE, |stage, _| {
            stage.access_log = RestAccessLog::default();
            Ok(())
        }),
        rule("/accessLogSettings/destinationArn", ADD_REPLACE, |stage, patch| {
            stage.access_log.destination_arn = Some(log_text(patch, ARN_CHARS_MAX)?);
            Ok(())
        }),
        rule("/accessLogSettings/destinationArn", REMOVE, |stage, _| {
            stage.access_log.destination_arn = None;
            Ok(())
        }),
        rule("/accessLogSettings/format", ADD_REPLACE, |stage, patch| {
            stage.access_log.format = Some(log_text(patch, ACCESS_LOG_FORMAT_BYTES_MAX)?);
            Ok(())
        }),
        rule("/accessLogSettings/format", REMOVE, |stage, _| {
            stage.access_log.format = None;
            Ok(())
        }),
        rule("/variables", REMOVE, |stage, _| {
            stage.variables.clear();
            Ok(())
        }),
        rule("/variables/{variable_name}", REPLACE_REMOVE, |stage, patch| {
            match patch.op {
                Op::Remove => stage.variables.remove(patch.name()),
                _ => stage.variables.insert(patch.name().to_owned(), patch.value()?.to_owned()),
            };
            Ok(())
        }),
        rule("/deploymentId", COPY, canary::promote),
        rule("/variables", COPY, canary::promote),
        rule("/canarySettings", REMOVE, canary::remove),
        rule("/canarySettings/percentTraffic", REPLACE, canary::set_percent),
        rule("/canarySettings/deploymentId", REPLACE, canary::set_deployment),
        rule("/canarySettings/useStageCache", REPLACE, canary::set_use_of_cache),
        rule("/canarySettings/stageVariableOverrides/{variable_name}", REPLACE_REMOVE, canary::set_variable),
        rule("/{resourcePath}/{httpMethod}", REMOVE, remove_method_setting),
        rule("/{resourcePath}/{httpMethod}/metrics/enabled", REPLACE, |stage, patch| {
            method_setting(stage, patch)?.metrics_enabled = patch.boolean()?;
            Ok(())
        }),
        rule("/{resourcePath}/{httpMethod}/logging/dataTrace", REPLACE, |stage, patch| {
            method_setting(stage, patch)?.data_trace_enabled = patch.boolean()?;
            Ok(())
        }),
        rule("/{resourcePath}/{httpMethod}/logging/loglevel", REPLACE, |stage, patch| {
            method_setting(stage, patch)?.logging_level = Some(patch.choice(&LOGGING_LEVELS)?);
            Ok(())
        }),
        rule("/{resourcePath}/{httpMethod}/throttling/burstLimit", REPLACE, |stage, patch| {
            method_setting(stage, patch)?.throttling_burst = burst(patch)?;
            Ok(())
        }),
        rule("/{resourcePath}/{httpMethod}/throttling/rateLimit", REPLACE, |stage, patch| {
            method_setting(stage, patch)?.throttling_rate = rate(patch)?;
            Ok(())
        }),
        rule("/{resourcePath}/{httpMethod}/caching/enabled", REPLACE, |stage, patch| {
            let setting = method_setting(stage, patch)?;
            (setting.caching_enabled, setting.caching_said) = (patch.boolean()?, true);
            Ok(())
        }),
        rule("/{resourcePath}/{httpMethod}/caching/dataEncrypted", REPLACE, |stage, patch| {
            method_setting(stage, patch)?.cache_data_encrypted = patch.boolean()?;
            Ok(())
        }),
        rule("/{resourcePath}/{httpMethod}/caching/ttlInSeconds", REPLACE, |stage, patch| {
            method_setting(stage, patch)?.cache_ttl_s = patch.integer(0..=CACHE_TTL_S_MAX)?;
            Ok(())
        }),
        rule(
            "/{resourcePath}/{httpMethod}/caching/requireAuthorizationForCacheControl",
            REPLACE,
            |stage, patch| {
                method_setting(stage, patch)?.authorization_for_cache_control = patch.boolean()?;
                Ok(())
            },
        ),
        rule(
            "/{resourcePath}/{httpMethod}/caching/unauthorizedCacheControlHeaderStrategy",
            REPLACE,
            |stage, patch| {
                let strategy = patch.choice(&CACHE_CONTROL_STRATEGIES)?;
                method_setting(stage, patch)?.unauthorized_cache_control = strategy;
                Ok(())
            },
        ),
    ],
};

/// AWS's words, which differ from what it says of other entities.
fn refuse(_: &RestStage, patch: &Patch) -> ApiError {
    let path = patch.path();
    if path.starts_with("/accessLogSettings") && patch.op != Op::Remove {
        return ApiError::bad_request(
            "Invalid accessLogSettings path. Must be one of : [/accessLogSettings/destinationArn, \
             /accessLogSettings/format]",
        );
    }
    let fits = PATCHES.has(patch);
    ApiError::bad_request(match patch.op {
        Op::Add if fits => format!("Invalid add operation with path: {path}"),
        Op::Copy => return canary::refuse_copy(patch),
        _ => format!(
            "Invalid method setting path: {path}. Must be one of: [{}]",
            PATCHES.paths(REPLACE).join(", ")
        ),
    })
}

fn log_text(patch: &Patch, chars_max: usize) -> Result<String, ApiError> {
    match patch.text(chars_max)? {
        text if text.is_empty() => Err(ApiError::bad_request("Access Log value must not be empty")),
        text => Ok(text),
    }
}

/// Each half is checked as soon as it is there.
pub(super) fn check_access_log(log: &RestAccessLog) -> Result<(), ApiError> {
    log.destination_arn.as_deref().map_or(Ok(()), check_destination)?;
    log.format.as_deref().map_or(Ok(()), check_format)
}

/// The setting that a path's first two segments name, made if there is none.
fn method_setting<'s>(stage: &'s mut RestStage, patch: &Patch) -> Result<&'s mut MethodSetting, ApiError> {
    let key = setting_key(patch);
    let method = patch.name_at(1);
    if method != "*" && !METHODS.contains(&method) {
        return Err(refuse(stage, patch));
    }
    if stage.method_settings.len() >= METHOD_SETTINGS_MAX && !stage.method_settings.contains_key(&key) {
        return Err(ApiError::bad_request(format!(
            "A stage can have at most {METHOD_SETTINGS_MAX} method settings"
        )));
    }
    Ok(stage.method_setting_entry(key))
}

fn remove_method_setting(stage: &mut RestStage, patch: &Patch) -> Result<(), ApiError> {
    let key = setting_key(patch);
    match stage.method_settings.remove(&key) {
        Some(_) => Ok(()),
        // AWS's message ends with a space.
        None => Err(ApiError::bad_request(format!(
            "Cannot remove method setting {key} because there is no method setting for this method "
        ))),
    }
}

/// As the path has it, escapes included: that is how AWS lists it.
fn setting_key(patch: &Patch) -> String {
    patch.segments().take(2).collect::<Vec<_>>().join("/")
}

/// -1 is without limit.
fn burst(patch: &Patch) -> Result<i32, ApiError> {
    let burst = patch.value()?.parse().ok().filter(|burst| *burst >= -1);
    burst.ok_or_else(|| ApiError::bad_request(format!("{} has to be an integer from -1 on", patch.path())))
}

/// -1 is without limit.
fn rate(patch: &Patch) -> Result<f64, ApiError> {
    let parsed: Option<f64> = patch.value()?.parse().ok();
    let rate = parsed.filter(|rate| rate.is_finite() && (*rate >= 0.0 || *rate == -1.0));
    rate.ok_or_else(|| ApiError::bad_request(format!("{} has to be a number from 0 on, or -1", patch.path())))
}

/// The stage with its method settings also where patches have them, for `test` and `move`. A member of the stage hides the
/// settings of a resource that is called like it.
pub(super) fn shown(stage: &RestStage) -> Value {
    let mut settings = json!({});
    for (key, setting) in &stage.method_settings {
        let pointer = key.replace("~1", "/").replace("~0", "~");
        let Some((resource, method)) = pointer.rsplit_once('/') else { continue };
        settings[resource][method] = json!({
            "metrics": {"enabled": setting.metrics_enabled},
            "logging": {"dataTrace": setting.data_trace_enabled, "loglevel": setting.logging_level},
            "throttling": {"burstLimit": setting.throttling_burst, "rateLimit": setting.throttling_rate},
            "caching": {
                "enabled": setting.caching_enabled,
                "dataEncrypted": setting.cache_data_encrypted,
                "ttlInSeconds": setting.cache_ttl_s,
                "requireAuthorizationForCacheControl": setting.authorization_for_cache_control,
                "unauthorizedCacheControlHeaderStrategy": setting.unauthorized_cache_control,
            },
        });
    }
    if let (Value::Object(settings), Value::Object(members)) = (&mut settings, answer(stage)) {
        settings.extend(members);
    }
    settings
}

pub(super) fn access_log_answer(log: &RestAccessLog) -> Value {
    match compact(json!({"destinationArn": log.destination_arn, "format": log.format})) {
        Value::Object(members) if members.is_empty() => Value::Null,
        shown => shown,
    }
}

/// A cluster has AWS's smallest size if nobody said another.
pub(super) fn cache_cluster_size(stage: &RestStage) -> Option<&str> {
    let smallest = stage.cache_cluster_enabled.then_some(CACHE_CLUSTER_SIZES[0]);
    stage.cache_cluster_size.as_deref().or(smallest)
}

pub(super) fn method_settings_answer(stage: &RestStage) -> Value {
    let shown = |setting: &MethodSetting| {
        compact(json!({
            "cacheDataEncrypted": setting.cache_data_encrypted,
            "cacheTtlInSeconds": setting.cache_ttl_s,
            "cachingEnabled": setting.caching_enabled,
            "dataTraceEnabled": setting.data_trace_enabled,
            "loggingLevel": setting.logging_level,
            "metricsEnabled": setting.metrics_enabled,
            "requireAuthorizationForCacheControl": setting.authorization_for_cache_control,
            "throttlingBurstLimit": setting.throttling_burst,
            "throttlingRateLimit": setting.throttling_rate,
            "unauthorizedCacheControlHeaderStrategy": setting.unauthorized_cache_control,
        }))
    };
    let settings = stage.method_settings.iter();
    let settings: Map<String, Value> = settings.map(|(key, setting)| (key.clone(), shown(setting))).collect();
    settings.into()
}
