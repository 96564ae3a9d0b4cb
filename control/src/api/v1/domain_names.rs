//! `DomainName`: create, get, list, update.

use serde_json::{Value, json};

use super::super::call::{Call, compact};
use super::super::domains::{self, Wanted, WantedTruststore};
use super::super::entities;
use super::super::error::ApiError;
use super::super::members::Members;
use super::patch::{
    self, ADD, ADD_REPLACE, ADD_REPLACE_REMOVE, Patch, REMOVE, REPLACE, Table, Wording, rule,
};
use super::{NAME_CHARS_MAX, PAGING, URI_CHARS_MAX, over_quota};
use crate::change::{Change, View};
use crate::model::{DomainName, RoutingMode};

const VERSION_CHARS_MAX: usize = 64;
const POLICY_CHARS_MAX: usize = 8_192;
/// How this version calls what leads from paths to stages.
const MAPPING: &str = "BASE_PATH_MAPPING";

/// A domain name, and what patches want of it.
struct Patched {
    domain: DomainName,
    wanted: Wanted,
}

const PATCHES: Table<Patched> = Table {
    input: "updateDomainNameInput",
    wording: Wording::Listed,
    rules: &[
        rule("/certificateArn", ADD_REPLACE, set_certificate_arn),
        rule("/certificateArn", REMOVE, |patched, patch| check_inactive(patched, patch, "EDGE")),
        rule("/certificateName", ADD_REPLACE, set_certificate_name),
        rule("/certificateName", REMOVE, |patched, patch| check_inactive(patched, patch, "EDGE")),
        rule("/endpointAccessMode", REPLACE, |_, patch| only(patch, "BASIC")),
        rule("/endpointConfiguration/ipAddressType", REPLACE, set_ip_address_type),
        // AWS migrates a domain by adding the one type, and later removing the other: here it has one at a time.
        rule("/endpointConfiguration/types", ADD, |patched, patch| {
            patched.wanted.endpoint_type = Some(patch.text(NAME_CHARS_MAX)?);
            Ok(())
        }),
        rule("/endpointConfiguration/types", REMOVE, |patched, patch| {
            check_inactive(patched, patch, patch.value()?)
        }),
        rule("/endpointConfiguration/types/{type}", REPLACE, set_endpoint_type),
        rule("/managementPolicy", ADD_REPLACE_REMOVE, |patched, patch| {
            patched.wanted.management_policy =
                Some(patch.optional_text(POLICY_CHARS_MAX)?.unwrap_or_default());
            Ok(())
        }),
        rule("/mutualTlsAuthentication", REMOVE, drop_truststore),
        rule("/mutualTlsAuthentication/truststoreUri", ADD_REPLACE, |patched, patch| {
            truststore(patched).uri = Some(patch.text(URI_CHARS_MAX)?);
            Ok(())
        }),
        rule("/mutualTlsAuthentication/truststoreUri", REMOVE, drop_truststore),
        rule("/mutualTlsAuthentication/truststoreVersion", ADD_REPLACE_REMOVE, |patched, patch| {
            truststore(patched).version = patch.optional_text(VERSION_CHARS_MAX)?;
            Ok(())
        }),
        rule("/policy", ADD_REPLACE_REMOVE, |patched, patch| {
            patched.wanted.policy = Some(patch.optional_text(POLICY_CHARS_MAX)?.unwrap_or_default());
            Ok(())
        }),
        rule("/ownershipVerificationCertificateArn", ADD_REPLACE_REMOVE, |patched, patch| {
            patched.wanted.ownership_certificate_arn =
                Some(patch.optional_text(URI_CHARS_MAX)?.unwrap_or_default());
            Ok(())
        }),
        rule("/regionalCertificateArn", ADD_REPLACE, set_certificate_arn),
        rule("/regionalCertificateArn", REMOVE, |patched, patch| check_inactive(patched, patch, "REGIONAL")),
        rule("/regionalCertificateName", ADD_REPLACE, set_certificate_name),
        rule("/regionalCertificateName", REMOVE, |patched, patch| check_inactive(patched, patch, "REGIONAL")),
        rule("/routingMode", REPLACE, |patched, patch| {
            patched.wanted.routing_mode = Some(routing_mode_of(&patch.text(NAME_CHARS_MAX)?)?);
            Ok(())
        }),
        rule("/securityPolicy", REPLACE, |patched, patch| {
            patched.wanted.security_policy = Some(patch.text(NAME_CHARS_MAX)?);
            Ok(())
        }),
    ],
};

pub(in super::super) fn create(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let mut members = call.members()?;
    let name = members.required("domainName", NAME_CHARS_MAX)?;
    let tags = members.tags()?.unwrap_or_default();
    let wanted = take(&mut members)?;
    refuse_the_rest(members)?;
    let too_many = |max| over_quota(max, "domain names", "domain_names_max");
    let domain = domains::create(change, &name, "EDGE", tags, wanted, too_many)?;
    Ok(answer(change, &domain))
}

pub(in super::super) fn get(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    Ok(answer(view, &domains::of_call(view, call)?))
}

pub(in super::super) fn list(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    if domains::owned_by_others(call)? {
        return Ok(json!({PAGING.items: []}));
    }
    entities::list(view, call, "", &PAGING, |domain| answer(view, domain))
}

pub(in super::super) fn update(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let domain = domains::of_call(change, call)?;
    let mut patched = Patched { domain, wanted: Wanted::default() };
    patch::apply(&PATCHES, &mut patched, call.members()?, |patched| answer(change, &patched.domain))?;
    let Patched { mut domain, wanted } = patched;
    domains::apply(change, &mut domain, wanted)?;
    Ok(answer(change, &domain))
}

/// An edge-optimized domain has its certificate under another name than a regional one; here they are the same.
fn take(members: &mut Members) -> Result<Wanted, ApiError> {
    let (endpoint_type, dual_stack) = take_endpoint(members)?;
    let routing_mode = members.string("routingMode", NAME_CHARS_MAX)?.filter(|mode| !mode.is_empty());
    let regional = members.string("regionalCertificateArn", URI_CHARS_MAX)?.filter(|arn| !arn.is_empty());
    let edge = members.string("certificateArn", URI_CHARS_MAX)?.filter(|arn| !arn.is_empty());
    let is_regional = endpoint_type.as_deref() == Some("REGIONAL");
    let certificate_arn = match (is_regional, regional, edge) {
        (true, regional, None) => regional,
        (false, None, edge) => edge,
        (true, _, Some(_)) => {
            return Err(ApiError::bad_request(
                "A REGIONAL domain name takes regionalCertificateArn, not certificateArn",
            ));
        }
        (false, Some(_), _) => {
            return Err(ApiError::bad_request(
                "regionalCertificateArn is for a domain name with endpointConfiguration.types REGIONAL",
            ));
        }
    };
    let regional_name = members.string("regionalCertificateName", NAME_CHARS_MAX)?;
    let edge_name = members.string("certificateName", NAME_CHARS_MAX)?;
    Ok(Wanted {
        certificate_arn,
        certificate_name: if is_regional { regional_name } else { edge_name },
        ownership_certificate_arn: members.string("ownershipVerificationCertificateArn", URI_CHARS_MAX)?,
        endpoint_type,
        security_policy: members.string("securityPolicy", NAME_CHARS_MAX)?,
        truststore: domains::take_truststore(members)?,
        routing_mode: routing_mode.map(|mode| routing_mode_of(&mode)).transpose()?,
        dual_stack,
        policy: members.string("policy", POLICY_CHARS_MAX)?.filter(|policy| !policy.is_empty()),
        management_policy: None,
    })
}

fn routing_mode_of(name: &str) -> Result<RoutingMode, ApiError> {
    RoutingMode::of_name(name, MAPPING).map_err(ApiError::bad_request)
}

/// The type, and whether it is `dualstack`, as far as they are given.
fn take_endpoint(members: &mut Members) -> Result<(Option<String>, Option<bool>), ApiError> {
    let Some(mut configuration) = members.object("endpointConfiguration")? else { return Ok((None, None)) };
    let mut types = configuration.list("types")?.unwrap_or_default();
    let dual_stack = domains::take_dual_stack(&mut configuration)?;
    configuration.unsupported(&["vpcEndpointIds"])?;
    configuration.finish()?;
    match types.len() {
        0 | 1 => Ok((types.pop(), dual_stack)),
        _ => {
            Err(ApiError::bad_request("endpointConfiguration.types has to be one of EDGE, REGIONAL, PRIVATE"))
        }
    }
}

fn refuse_the_rest(mut members: Members) -> Result<(), ApiError> {
    members.one_of("endpointAccessMode", &["BASIC"])?;
    members.unsupported(&["certificateBody", "certificateChain", "certificatePrivateKey"])?;
    members.finish()
}

fn set_certificate_arn(patched: &mut Patched, patch: &Patch) -> Result<(), ApiError> {
    patched.wanted.certificate_arn = Some(patch.text(URI_CHARS_MAX)?);
    Ok(())
}

fn set_certificate_name(patched: &mut Patched, patch: &Patch) -> Result<(), ApiError> {
    patched.wanted.certificate_name = Some(patch.text(NAME_CHARS_MAX)?);
    Ok(())
}

fn set_ip_address_type(patched: &mut Patched, patch: &Patch) -> Result<(), ApiError> {
    patched.wanted.dual_stack = Some(domains::dual_stack_of(&patch.text(NAME_CHARS_MAX)?)?);
    Ok(())
}

/// What belongs to a type that the domain no longer has is gone already.
fn check_inactive(patched: &Patched, patch: &Patch, endpoint_type: &str) -> Result<(), ApiError> {
    let active = patched.wanted.endpoint_type.as_ref().unwrap_or(&patched.domain.endpoint_type);
    match active == endpoint_type {
        true => Err(ApiError::bad_request(format!(
            "{} can't be removed: {endpoint_type} is the domain name's only endpoint type",
            patch.path()
        ))),
        false => Ok(()),
    }
}

/// The path names the type that the domain has, or its place.
fn set_endpoint_type(patched: &mut Patched, patch: &Patch) -> Result<(), ApiError> {
    if patch.name() != "0" && patch.name() != patched.domain.endpoint_type {
        return Err(ApiError::bad_request(format!("The domain name has no {}", patch.path())));
    }
    patched.wanted.endpoint_type = Some(patch.text(NAME_CHARS_MAX)?);
    Ok(())
}

fn drop_truststore(patched: &mut Patched, _: &Patch) -> Result<(), ApiError> {
    truststore(patched).uri = Some(String::new());
    Ok(())
}

fn truststore(patched: &mut Patched) -> &mut WantedTruststore {
    patched.wanted.truststore.get_or_insert(WantedTruststore { uri: None, version: None })
}

/// What AWS has more values of than this version.
fn only(patch: &Patch, supported: &str) -> Result<(), ApiError> {
    match patch.value()? {
        value if value == supported => Ok(()),
        other => Err(ApiError::unsupported(format!("{} '{other}'", patch.path()))),
    }
}

fn answer(view: &View<'_>, domain: &DomainName) -> Value {
    let mut answer = json!({
        "domainName": domain.name,
        "domainNameArn": domains::arn_of(view, domain),
        "domainNameId": domain.private.as_ref().map(|private| &private.id),
        "domainNameStatus": "AVAILABLE",
        "endpointConfiguration": {
            "types": [domain.endpoint_type],
            "ipAddressType": domains::ip_address_type(domain),
        },
        "managementPolicy": domain.private.as_ref().and_then(|private| private.management_policy.as_ref()),
        "mutualTlsAuthentication": domain.mutual_tls.as_ref().map(domains::mutual_tls_answer),
        "ownershipVerificationCertificateArn": domain.ownership_certificate_arn,
        "policy": domain.private.as_ref().and_then(|private| private.policy.as_ref()),
        "routingMode": domain.routing_mode.name(MAPPING),
        "securityPolicy": domain.security_policy,
        "tags": domain.tags,
    });
    let arn = domains::certificate_arn(view, domain);
    match domain.endpoint_type.as_str() {
        "REGIONAL" => {
            answer["regionalCertificateArn"] = arn.into();
            answer["regionalCertificateName"] = domain.certificate_name.clone().into();
            answer["regionalDomainName"] = domains::alias(view, domain).into();
        }
        _ => {
            answer["certificateArn"] = arn.into();
            answer["certificateName"] = domain.certificate_name.clone().into();
            answer["certificateUploadDate"] = domain.certificate_at_s.into();
            if domain.private.is_none() {
                answer["distributionDomainName"] = domains::alias(view, domain).into();
            }
        }
    }
    compact(answer)
}
