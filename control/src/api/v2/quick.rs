//! Quick create: an integration, a route and an automatic `$default` stage from one `target`, all
//! marked as managed. HTTP APIs only.

use super::super::error::ApiError;
use super::super::members::Members;
use super::integration_rules::{self, default_timeout_ms};
use super::routes::{check_free, parse_key};
use super::{ARN_CHARS_MAX, URI_CHARS_MAX, not_on, part_id};
use crate::change::Change;
use crate::model::{ApiProtocol, HttpIntegration, HttpIntegrationType, HttpRoute, HttpStage, RouteKey};

const DEFAULT_STAGE: &str = "$default";
const ROUTE_KEY_CHARS_MAX: usize = 4_096;

/// What of a call is for quick create.
pub(super) struct QuickMembers {
    target: Option<String>,
    route_key: Option<RouteKey>,
    credentials_arn: Option<String>,
}

impl QuickMembers {
    pub(super) fn take(members: &mut Members, protocol: ApiProtocol) -> Result<Self, ApiError> {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let target = given(members.string("target", URI_CHARS_MAX)?);
        let route_key = given(members.string("routeKey", ROUTE_KEY_CHARS_MAX)?);
        let credentials_arn = given(members.string("credentialsArn", ARN_CHARS_MAX)?);
        if protocol == ApiProtocol::WebSocket && (target.is_some() || route_key.is_some()) {
            return Err(not_on(protocol, "Quick create (target, routeKey)"));
        }
        if let Some(arn) = &credentials_arn {
            integration_rules::check_credentials(arn)?;
        }
        let route_key = route_key.map(|key| parse_key(protocol, &key)).transpose()?;
        Ok(Self { target, route_key, credentials_arn })
    }
}

/// Fills a new API, if that is asked for.
pub(super) fn create(change: &mut Change<'_>, api_id: &str, quick: QuickMembers) -> Result<(), ApiError> {
    let Some(target) = quick.target else {
        let alone =
            [("routeKey", quick.route_key.is_some()), ("credentialsArn", quick.credentials_arn.is_some())];
        return match alone.into_iter().find(|(_, given)| *given) {
            None => Ok(()),
            Some((name, _)) => {
                Err(ApiError::bad_request(format!("{name} is for quick create and needs a target")))
            }
        };
    };
    let mut integration = HttpIntegration::new(
        part_id()?,
        HttpIntegrationType::HttpProxy,
        default_timeout_ms(change, ApiProtocol::Http),
    );
    integration.managed = true;
    integration.credentials_arn = quick.credentials_arn;
    lead(&mut integration, target)?;
    let mut route = HttpRoute::new(part_id()?, quick.route_key.unwrap_or(RouteKey::Default));
    route.managed = true;
    route.integration_id = Some(integration.id.clone());
    let mut stage = HttpStage::new(DEFAULT_STAGE.to_owned(), ApiProtocol::Http, change.now_s);
    (stage.managed, stage.auto_deploy) = (true, true);
    change.tx.put_part(api_id, &integration)?;
    change.tx.put_part(api_id, &route)?;
    change.tx.put_part(api_id, &stage)?;
    change.redeploy(api_id);
    Ok(())
}

/// Changes what quick create made.
pub(super) fn update(change: &mut Change<'_>, api_id: &str, quick: QuickMembers) -> Result<(), ApiError> {
    if quick.target.is_none() && quick.route_key.is_none() && quick.credentials_arn.is_none() {
        return Ok(());
    }
    let not_quick = || {
        ApiError::bad_request(
            "target, routeKey and credentialsArn can be updated on a quick-created API only",
        )
    };
    if quick.target.is_some() || quick.credentials_arn.is_some() {
        let managed = change.tx.parts::<HttpIntegration>(api_id)?.into_iter().find(|i| i.managed);
        let mut integration = managed.ok_or_else(not_quick)?;
        integration.credentials_arn = quick.credentials_arn.or(integration.credentials_arn.take());
        if let Some(target) = quick.target {
            lead(&mut integration, target)?;
        }
        change.tx.put_part(api_id, &integration)?;
    }
    if let Some(key) = quick.route_key {
        let managed = change.tx.parts::<HttpRoute>(api_id)?.into_iter().find(|route| route.managed);
        let route = HttpRoute { key, ..managed.ok_or_else(not_quick)? };
        check_free(change, api_id, &route)?;
        change.tx.put_part(api_id, &route)?;
    }
    change.redeploy(api_id);
    Ok(())
}

/// The id of the integration and the key of the route that quick create made.
#[derive(Debug, Default)]
pub(super) struct Managed {
    integration_id: Option<String>,
    route_key: Option<RouteKey>,
}

/// Lets go of what quick create made, but for the stage, so that it can be deleted like all else.
pub(super) fn release(change: &Change<'_>, api_id: &str) -> Result<Managed, ApiError> {
    let mut managed = Managed::default();
    for integration in change.tx.parts::<HttpIntegration>(api_id)?.into_iter().filter(|i| i.managed) {
        change.tx.put_part(api_id, &HttpIntegration { managed: false, ..integration.clone() })?;
        managed.integration_id = Some(integration.id);
    }
    for route in change.tx.parts::<HttpRoute>(api_id)?.into_iter().filter(|route| route.managed) {
        change.tx.put_part(api_id, &HttpRoute { managed: false, ..route.clone() })?;
        managed.route_key = Some(route.key);
    }
    Ok(managed)
}

/// Takes back what was let go and is still there; a route is the same by its key.
pub(super) fn take_back(change: &Change<'_>, api_id: &str, managed: &Managed) -> Result<(), ApiError> {
    let Managed { integration_id, route_key } = managed;
    if let Some(id) = integration_id
        && let Some(integration) = change.tx.part::<HttpIntegration>(api_id, id)?
    {
        change.tx.put_part(api_id, &HttpIntegration { managed: true, ..integration })?;
    }
    let routes = change.tx.parts::<HttpRoute>(api_id)?;
    if let Some(route) = routes.into_iter().find(|route| Some(&route.key) == route_key.as_ref()) {
        change.tx.put_part(api_id, &HttpRoute { managed: true, ..route })?;
    }
    Ok(())
}

/// A function's ARN makes the integration one of functions, anything else one of HTTP.
fn lead(integration: &mut HttpIntegration, target: String) -> Result<(), ApiError> {
    let (kind, method, version) = match target.starts_with("arn:") {
        true => (HttpIntegrationType::AwsProxy, "POST", "2.0"),
        false => (HttpIntegrationType::HttpProxy, "ANY", "1.0"),
    };
    integration.kind = kind;
    integration.method = Some(method.to_owned());
    integration.payload_format_version = version.to_owned();
    integration.uri = Some(target);
    integration_rules::check(ApiProtocol::Http, integration)
}
