//! Quick create: an integration, a route and an automatic `$default` stage from one `target`, all
//! marked as managed.

use super::super::error::ApiError;
use super::integrations::{INTEGRATION_ID_LEN, check_uri, default_timeout_ms};
use super::routes::{ROUTE_ID_LEN, check_free, parse_key};
use crate::change::{Change, View};
use crate::model::{HttpIntegration, HttpRoute, HttpStage, RouteKey, Tags, Variables, new_id};

const DEFAULT_STAGE: &str = "$default";

/// Fills a new API.
pub(super) fn create(
    change: &mut Change<'_>,
    api_id: &str,
    target: String,
    route_key: Option<&str>,
) -> Result<(), ApiError> {
    let key = route_key.map_or(Ok(RouteKey::Default), parse_key)?;
    check_uri(&target)?;
    let new_id = |len| new_id(len).map_err(|error| ApiError::internal(&error));
    let integration = HttpIntegration {
        id: new_id(INTEGRATION_ID_LEN)?,
        managed: true,
        description: None,
        method: "ANY".to_owned(),
        uri: target,
        timeout_ms: default_timeout_ms(change),
        link_id: None,
        server_name: None,
    };
    let route = HttpRoute {
        id: new_id(ROUTE_ID_LEN)?,
        managed: true,
        key,
        operation_name: None,
        integration_id: Some(integration.id.clone()),
    };
    change.tx.put_part(api_id, &integration)?;
    change.tx.put_part(api_id, &route)?;
    change.tx.put_part(api_id, &default_stage(change))?;
    change.redeploy(api_id);
    Ok(())
}

/// Changes what quick create made.
pub(super) fn update(
    change: &mut Change<'_>,
    api_id: &str,
    target: Option<String>,
    route_key: Option<&str>,
) -> Result<(), ApiError> {
    if target.is_none() && route_key.is_none() {
        return Ok(());
    }
    let not_quick =
        || ApiError::bad_request("target and routeKey can be updated on a quick-created API only");
    if let Some(target) = target {
        check_uri(&target)?;
        let managed = change.tx.parts::<HttpIntegration>(api_id)?.into_iter().find(|i| i.managed);
        change.tx.put_part(api_id, &HttpIntegration { uri: target, ..managed.ok_or_else(not_quick)? })?;
    }
    if let Some(route_key) = route_key {
        let managed = change.tx.parts::<HttpRoute>(api_id)?.into_iter().find(|route| route.managed);
        let route = HttpRoute { key: parse_key(route_key)?, ..managed.ok_or_else(not_quick)? };
        check_free(change, api_id, &route)?;
        change.tx.put_part(api_id, &route)?;
    }
    change.redeploy(api_id);
    Ok(())
}

fn default_stage(view: &View<'_>) -> HttpStage {
    HttpStage {
        name: DEFAULT_STAGE.to_owned(),
        managed: true,
        description: None,
        auto_deploy: true,
        deployment_id: None,
        variables: Variables::new(),
        access_log: None,
        tags: Tags::new(),
        created_at_s: view.now_s,
        updated_at_s: view.now_s,
        last_deployment_message: None,
    }
}
