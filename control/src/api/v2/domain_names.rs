//! `DomainName`: create, get, list, update.

use serde_json::{Value, json};

use super::super::call::{Call, compact, page_answer};
use super::super::domains::{self, Wanted};
use super::super::error::ApiError;
use super::super::members::Members;
use super::{NAME_CHARS_MAX, PAGING, URI_CHARS_MAX};
use crate::change::{Change, View};
use crate::model::{DomainName, RoutingMode};
use crate::time::iso8601;

const DOMAIN_CHARS_MAX: usize = 512;
/// How this version calls what leads from paths to stages.
const MAPPING: &str = "API_MAPPING";

pub(in super::super) fn create(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let mut members = call.members()?;
    let name = members.required("domainName", DOMAIN_CHARS_MAX)?;
    let tags = members.tags()?.unwrap_or_default();
    let wanted = take(&mut members)?;
    members.finish()?;
    let domain = domains::create(change, &name, "REGIONAL", tags, wanted, over_quota)?;
    Ok(answer(change, &domain))
}

pub(in super::super) fn get(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    Ok(answer(view, &public(view, call.parameter(0))?))
}

pub(in super::super) fn list(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    let paging = call.paging(&PAGING)?;
    let mut page = view.tx.entity_page::<DomainName>("", &paging.after, paging.limit)?;
    page.items.retain(is_public);
    Ok(page_answer(&page, &PAGING, |domain| answer(view, domain)))
}

pub(in super::super) fn update(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let mut domain = public(change, call.parameter(0))?;
    let mut members = call.members()?;
    let wanted = take(&mut members)?;
    members.finish()?;
    domains::apply(change, &mut domain, wanted)?;
    Ok(answer(change, &domain))
}

/// Private domain names are version 1's alone, whose model has the endpoint type.
fn is_public(domain: &DomainName) -> bool {
    domain.private.is_none()
}

fn public(view: &View<'_>, name: &str) -> Result<DomainName, ApiError> {
    let domain = domains::named(view, name)?;
    is_public(&domain).then_some(domain).ok_or_else(domains::unknown)
}

fn over_quota(max: usize) -> ApiError {
    ApiError::bad_request(format!("There are already {max} domain names: raise domain_names_max for more"))
}

fn take(members: &mut Members) -> Result<Wanted, ApiError> {
    let routing_mode = members.string("routingMode", NAME_CHARS_MAX)?.filter(|mode| !mode.is_empty());
    let routing_mode = routing_mode.map(|mode| RoutingMode::of_name(&mode, MAPPING)).transpose();
    let mut wanted = Wanted {
        truststore: domains::take_truststore(members)?,
        routing_mode: routing_mode.map_err(ApiError::bad_request)?,
        ..Wanted::default()
    };
    let configurations = members.objects("domainNameConfigurations")?.unwrap_or_default();
    if configurations.len() > 1 {
        return Err(ApiError::unsupported("More than one of domainNameConfigurations"));
    }
    for mut configuration in configurations {
        wanted.certificate_arn = configuration.string("certificateArn", URI_CHARS_MAX)?;
        wanted.certificate_name = configuration.string("certificateName", NAME_CHARS_MAX)?;
        wanted.endpoint_type = configuration.choice("endpointType", &["REGIONAL", "EDGE"])?;
        wanted.security_policy = configuration.string("securityPolicy", NAME_CHARS_MAX)?;
        wanted.dual_stack = domains::take_dual_stack(&mut configuration)?;
        wanted.ownership_certificate_arn =
            configuration.string("ownershipVerificationCertificateArn", URI_CHARS_MAX)?;
        // Clients send back what they were told; these are the service's to say.
        for told in ["apiGatewayDomainName", "domainNameStatus", "domainNameStatusMessage", "hostedZoneId"] {
            configuration.string(told, URI_CHARS_MAX)?;
        }
        configuration.string("certificateUploadDate", NAME_CHARS_MAX)?;
        configuration.finish()?;
    }
    wanted.certificate_arn = wanted.certificate_arn.filter(|arn| !arn.is_empty());
    Ok(wanted)
}

fn answer(view: &View<'_>, domain: &DomainName) -> Value {
    let configuration = compact(json!({
        "apiGatewayDomainName": domains::alias(view, domain),
        "certificateArn": domains::certificate_arn(view, domain),
        "certificateName": domain.certificate_name,
        "certificateUploadDate": iso8601(domain.certificate_at_s),
        "domainNameStatus": "AVAILABLE",
        "endpointType": domain.endpoint_type,
        "ipAddressType": domains::ip_address_type(domain),
        "ownershipVerificationCertificateArn": domain.ownership_certificate_arn,
        "securityPolicy": domain.security_policy,
    }));
    compact(json!({
        "apiMappingSelectionExpression": "$request.basepath",
        "domainName": domain.name,
        "domainNameArn": domains::arn_of(view, domain),
        "domainNameConfigurations": [configuration],
        "mutualTlsAuthentication": domain.mutual_tls.as_ref().map(domains::mutual_tls_answer),
        "routingMode": domain.routing_mode.name(MAPPING),
        "tags": domain.tags,
    }))
}
