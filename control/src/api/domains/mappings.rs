//! What leads from a domain's paths to stages: v2's API mappings and v1's base path mappings are one thing.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::error::ApiError;
use crate::change::{Change, View};
use crate::model::{
    ApiMapping, DomainName, HttpApi, HttpStage, RestApi, RestStage, RoutingRule, check_mapping_key, new_id,
};

const MAPPING_ID_LEN: usize = 6;

/// # Errors
/// When the domain has too many, `over_quota`'s; or as [`put`].
pub(in super::super) fn create(
    change: &mut Change<'_>,
    domain: &DomainName,
    key: String,
    api_id: String,
    stage: Option<String>,
    over_quota: impl Fn(usize) -> ApiError,
) -> Result<ApiMapping, ApiError> {
    let max = change.settings.quotas.mappings_per_domain_name_max;
    if change.tx.entity_count::<ApiMapping>(&domain.name)? >= max {
        return Err(over_quota(max));
    }
    let id = new_id(MAPPING_ID_LEN).map_err(|error| ApiError::internal(&error))?;
    let mapping = ApiMapping { id, domain: domain.name.clone(), key, api_id, stage };
    put(change, &mapping)?;
    Ok(mapping)
}

/// # Errors
/// When its key can't be one or is another's, or what it leads to doesn't exist.
pub(in super::super) fn put(change: &mut Change<'_>, mapping: &ApiMapping) -> Result<(), ApiError> {
    check_mapping_key(&mapping.key).map_err(ApiError::bad_request)?;
    check_target(change, &mapping.api_id, mapping.stage.as_deref())?;
    match change.tx.entity_named::<ApiMapping>(&mapping.domain, &mapping.key)? {
        Some(other) if other.id != mapping.id => {
            return Err(ApiError::conflict(format!(
                "Base path already exists for this domain name: '{}' leads to API {}",
                mapping.key, other.api_id
            )));
        }
        _ => {}
    }
    change.tx.put_entity(mapping)?;
    change.recompile_account();
    Ok(())
}

pub(in super::super) fn delete(change: &mut Change<'_>, mapping: &ApiMapping) -> Result<Value, ApiError> {
    change.tx.delete_entity::<ApiMapping>(&mapping.domain, &mapping.id)?;
    change.recompile_account();
    Ok(Value::Null)
}

/// Refuses to delete an API, or a stage of it, that domains lead to.
///
/// # Errors
/// Names the domains.
pub(in super::super) fn check_unmapped(
    view: &View<'_>,
    api_id: &str,
    stage: Option<&str>,
) -> Result<(), ApiError> {
    let mut mappings: Vec<ApiMapping> = view.tx.entities_using(api_id)?;
    mappings.retain(|mapping| stage.is_none() || mapping.stage.as_deref() == stage);
    let mut rules: Vec<RoutingRule> = view.tx.entities_using(api_id)?;
    rules.retain(|rule| stage.is_none_or(|stage| rule.stage == stage));
    if mappings.is_empty() && rules.is_empty() {
        return Ok(());
    }
    let domains = mappings.into_iter().map(|mapping| mapping.domain);
    let domains: BTreeSet<String> = domains.chain(rules.into_iter().map(|rule| rule.domain)).collect();
    let what =
        stage.map_or_else(|| format!("API {api_id}"), |stage| format!("stage {stage} of API {api_id}"));
    Err(ApiError::bad_request(format!(
        "Deleting {what} failed: remove the API mappings (base path mappings) and the routing rules that lead to it \
         first, in the domain names {}",
        domains.into_iter().collect::<Vec<_>>().join(", ")
    )))
}

/// # Errors
/// When there is no such API, or it has no such stage.
pub(in super::super) fn check_target(
    view: &View<'_>,
    api_id: &str,
    stage: Option<&str>,
) -> Result<(), ApiError> {
    let (is_http, is_rest) =
        (view.tx.api::<HttpApi>(api_id)?.is_some(), view.tx.api::<RestApi>(api_id)?.is_some());
    if !is_http && !is_rest {
        return Err(ApiError::bad_request(format!("Invalid API identifier specified {api_id}")));
    }
    let Some(stage) = stage else { return Ok(()) };
    let there = match is_http {
        true => view.tx.part::<HttpStage>(api_id, stage)?.is_some(),
        false => view.tx.part::<RestStage>(api_id, stage)?.is_some(),
    };
    match there {
        true => Ok(()),
        false => Err(ApiError::bad_request(format!("Invalid stage identifier specified: {stage}"))),
    }
}
