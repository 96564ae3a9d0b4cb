//! What a REST API can be told beside its name: taken when it is made, patched, checked as a whole.

use serde_json::{Value, json};

use super::super::call::compact;
use super::super::error::ApiError;
use super::super::members::Members;
use super::patch::{ADD_REMOVE, ADD_REPLACE_REMOVE, Op, Patch, REPLACE, Table, Wording, rule};
use super::{DESCRIPTION_CHARS_MAX, NAME_CHARS_MAX};
use crate::model::{ApiKeySource, RestApi};

const INPUT: &str = "createRestApiInput";
const ENDPOINT_TYPES: [&str; 3] = ["PRIVATE", "EDGE", "REGIONAL"];
const IP_ADDRESS_TYPES: [&str; 2] = ["ipv4", "dualstack"];
const ENDPOINT_ACCESS_MODES: [&str; 2] = ["BASIC", "STRICT"];
/// The policies that AWS has for REST APIs. Which protocols and ciphers clients may use is the listener's and the
/// domains' to say: here it is kept for the caller.
const SECURITY_POLICIES: [&str; 14] = [
    "TLS_1_0",
    "TLS_1_2",
    "SecurityPolicy_TLS13_1_3_2025_09",
    "SecurityPolicy_TLS13_1_3_FIPS_2025_09",
    "SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09",
    "SecurityPolicy_TLS13_1_2_FIPS_PQ_2025_09",
    "SecurityPolicy_TLS13_1_2_FIPS_PFS_PQ_2025_09",
    "SecurityPolicy_TLS13_1_2_Ext2_PQ_2025_09",
    "SecurityPolicy_TLS13_1_2_Ext2_FIPS_PQ_2025_09",
    "SecurityPolicy_TLS13_1_2_PQ_2025_09",
    "SecurityPolicy_TLS13_1_2_2021_06",
    "SecurityPolicy_TLS13_2025_EDGE",
    "SecurityPolicy_TLS12_PFS_2025_EDGE",
    "SecurityPolicy_TLS12_2018_EDGE",
];
/// AWS's: 10 MiB.
const COMPRESSION_BYTES_MIN_MAX: u32 = 10_485_760;
/// AWS's.
const POLICY_BYTES_MAX: usize = 8_192;
/// Arbitrary, far above what an API in use has.
const BINARY_MEDIA_TYPES_MAX: usize = 100;
const VPC_ENDPOINT_IDS_MAX: usize = 100;

/// Takes what is said of the settings; the rest stays as it is.
pub(super) fn take(members: &mut Members, api: &mut RestApi) -> Result<(), ApiError> {
    take_endpoint(members, api)?;
    let source = members.enumerated(INPUT, "apiKeySource", &["HEADER", "AUTHORIZER"])?;
    let source = source.as_deref().and_then(ApiKeySource::named);
    api.api_key_source = source.unwrap_or(api.api_key_source);
    let policy = members.enumerated(INPUT, "securityPolicy", &SECURITY_POLICIES)?;
    api.security_policy = policy.or(api.security_policy.take());
    let mode = members.enumerated(INPUT, "endpointAccessMode", &ENDPOINT_ACCESS_MODES)?;
    api.endpoint_access_mode = mode.or(api.endpoint_access_mode.take());
    if let Some(types) = members.list("binaryMediaTypes")? {
        api.binary_media_types = types;
    }
    api.compression_bytes_min = take_compression(members)?.or(api.compression_bytes_min);
    if let Some(policy) = members.string("policy", POLICY_BYTES_MAX)? {
        api.policy = Some(policy).filter(|policy| !policy.is_empty());
    }
    if let Some(disabled) = members.boolean("disableExecuteApiEndpoint")? {
        api.execute_api_endpoint_disabled = disabled;
    }
    Ok(())
}

fn take_endpoint(members: &mut Members, api: &mut RestApi) -> Result<(), ApiError> {
    let Some(mut configuration) = members.object("endpointConfiguration")? else { return Ok(()) };
    let types = configuration.list("types")?;
    if let Some(unknown) = types.iter().flatten().find(|kind| !ENDPOINT_TYPES.contains(&kind.as_str())) {
        return Err(ApiError::validation(&[format!(
            "Value '[{unknown}]' at '{INPUT}.endpointConfiguration.types' failed to satisfy constraint: Member \
             must satisfy constraint: [Member must satisfy enum value set: [{}]]",
            ENDPOINT_TYPES.join(", ")
        )]));
    }
    let ip_address_type = configuration.enumerated(INPUT, "ipAddressType", &IP_ADDRESS_TYPES)?;
    if let Some(ids) = configuration.list("vpcEndpointIds")? {
        api.vpc_endpoint_ids = ids;
    }
    configuration.finish()?;
    match types.as_deref() {
        None => {}
        Some([]) => {
            return Err(ApiError::bad_request(
                "REGIONAL Configuration and EDGE Configuration cannot be both DISABLED.",
            ));
        }
        Some([one]) => set_endpoint_type(api, one),
        Some(_) => {
            return Err(ApiError::bad_request("Cannot create an api with multiple Endpoint Types."));
        }
    }
    if let Some(kind) = ip_address_type {
        api.ip_address_type = kind;
    }
    Ok(())
}

fn take_compression(members: &mut Members) -> Result<Option<u32>, ApiError> {
    members
        .integer("minimumCompressionSize", 0..=COMPRESSION_BYTES_MIN_MAX)
        .map_err(|_| invalid_compression())
}

fn invalid_compression() -> ApiError {
    ApiError::bad_request(format!(
        "Invalid minimum compression size, must be between 0 and {COMPRESSION_BYTES_MIN_MAX}"
    ))
}

/// A private API has both kinds of addresses, always.
fn set_endpoint_type(api: &mut RestApi, kind: &str) {
    kind.clone_into(&mut api.endpoint_type);
    if kind == "PRIVATE" {
        "dualstack".clone_into(&mut api.ip_address_type);
    }
}

pub(super) const PATCHES: Table<RestApi> = Table {
    input: "updateRestApiInput",
    wording: Wording::Bare,
    rules: &[
        rule("/name", REPLACE, |api, patch| {
            api.name = patch.text(NAME_CHARS_MAX)?;
            match api.name.is_empty() {
                true => Err(ApiError::bad_request("Name cannot be empty")),
                false => Ok(()),
            }
        }),
        rule("/description", ADD_REPLACE_REMOVE, |api, patch| {
            api.description = patch.optional_text(DESCRIPTION_CHARS_MAX)?;
            Ok(())
        }),
        rule("/apiKeySource", REPLACE, |api, patch| {
            let source = patch.value()?;
            api.api_key_source = ApiKeySource::named(source).ok_or_else(|| {
                ApiError::bad_request("Invalid API key source specified. Valid options are HEADER,AUTHORIZER")
            })?;
            Ok(())
        }),
        rule("/binaryMediaTypes/{type}", ADD_REPLACE_REMOVE, patch_media_type),
        rule("/disableExecuteApiEndpoint", REPLACE, |api, patch| {
            api.execute_api_endpoint_disabled = patch.boolean()?;
            Ok(())
        }),
        rule("/endpointAccessMode", REPLACE, |api, patch| {
            api.endpoint_access_mode = Some(patch.choice(&ENDPOINT_ACCESS_MODES)?);
            Ok(())
        }),
        rule("/endpointConfiguration/ipAddressType", REPLACE, |api, patch| {
            match patch.value()? {
                kind if IP_ADDRESS_TYPES.contains(&kind) => kind.clone_into(&mut api.ip_address_type),
                _ => return Err(ApiError::bad_request("ipAddressType must be either ipv4 or dualstack.")),
            }
            Ok(())
        }),
        // By its number or its present value: there is just one.
        rule("/endpointConfiguration/types/{type}", REPLACE, |api, patch| {
            match patch.value()? {
                kind if ENDPOINT_TYPES.contains(&kind) => set_endpoint_type(api, kind),
                _ => {
                    return Err(ApiError::bad_request(
                        "Invalid EndpointTypes specified. Valid options are REGIONAL,EDGE,PRIVATE",
                    ));
                }
            }
            Ok(())
        }),
        rule("/endpointConfiguration/vpcEndpointIds", ADD_REMOVE, patch_vpc_endpoints),
        rule("/minimumCompressionSize", REPLACE, |api, patch| {
            api.compression_bytes_min = match patch.has_value() {
                true if !patch.value()?.is_empty() => {
                    Some(patch.integer(0..=COMPRESSION_BYTES_MIN_MAX).map_err(|_| invalid_compression())?)
                }
                _ => None,
            };
            Ok(())
        }),
        rule("/policy", REPLACE, |api, patch| {
            api.policy = Some(patch.text(POLICY_BYTES_MAX)?).filter(|policy| !policy.is_empty());
            Ok(())
        }),
        rule("/securityPolicy", REPLACE, |api, patch| {
            api.security_policy = Some(patch.choice(&SECURITY_POLICIES)?);
            Ok(())
        }),
    ],
};

/// A list that is patched like a map: each type is its own name.
fn patch_media_type(api: &mut RestApi, patch: &Patch) -> Result<(), ApiError> {
    let types = &mut api.binary_media_types;
    let at = types.iter().position(|kind| kind == patch.name());
    match (patch.op, at) {
        (Op::Add, None) => types.push(patch.name().to_owned()),
        (Op::Add, Some(_)) => {}
        (_, None) => {
            return Err(ApiError::not_found(format!(
                "Invalid Binary Media Type specified: {}",
                patch.name()
            )));
        }
        (Op::Remove, Some(at)) => {
            types.remove(at);
        }
        (_, Some(at)) => {
            types.remove(at);
            types.push(patch.text(NAME_CHARS_MAX)?);
        }
    }
    Ok(())
}

/// The value names one, or several with commas.
fn patch_vpc_endpoints(api: &mut RestApi, patch: &Patch) -> Result<(), ApiError> {
    for id in patch.text(NAME_CHARS_MAX)?.split(',') {
        let at = api.vpc_endpoint_ids.iter().position(|known| known == id);
        match (patch.op, at) {
            (Op::Remove, Some(at)) => {
                api.vpc_endpoint_ids.remove(at);
            }
            (Op::Remove, None) => {
                return Err(ApiError::not_found(format!("Invalid VPC endpoint identifier specified: {id}")));
            }
            (_, Some(_)) => {}
            (_, None) => api.vpc_endpoint_ids.push(id.to_owned()),
        }
    }
    Ok(())
}

/// What has to hold of the settings together.
pub(super) fn check(api: &RestApi) -> Result<(), ApiError> {
    let private = api.endpoint_type == "PRIVATE";
    if private && api.ip_address_type != "dualstack" {
        return Err(ApiError::bad_request("Only dualstack ipAddressType is supported for Private APIs."));
    }
    if !private && !api.vpc_endpoint_ids.is_empty() {
        return Err(ApiError::bad_request("Only Private APIs can have VPC endpoints."));
    }
    for (name, count, max) in [
        ("binaryMediaTypes", api.binary_media_types.len(), BINARY_MEDIA_TYPES_MAX),
        ("vpcEndpointIds", api.vpc_endpoint_ids.len(), VPC_ENDPOINT_IDS_MAX),
    ] {
        if count > max {
            return Err(ApiError::bad_request(format!("An API can have at most {max} {name}, not {count}")));
        }
    }
    let new_policy = api.security_policy.as_deref().is_some_and(|name| name.starts_with("SecurityPolicy_"));
    if api.endpoint_access_mode.is_some() && !new_policy {
        return Err(ApiError::bad_request(
            "endpointAccessMode needs a securityPolicy whose name begins with SecurityPolicy_",
        ));
    }
    Ok(())
}

/// A policy is JSON with statements. What they say is looked at where the policy is enforced.
pub(super) fn check_policy(api: &RestApi) -> Result<(), ApiError> {
    let Some(policy) = &api.policy else { return Ok(()) };
    let parsed: Option<Value> = serde_json::from_str(policy).ok();
    let statements = parsed.as_ref().and_then(|policy| policy.get("Statement"));
    match statements {
        Some(Value::Array(_) | Value::Object(_)) => Ok(()),
        _ => Err(ApiError::bad_request(
            "Invalid policy document. Please check the policy syntax and ensure that Principals are valid.",
        )),
    }
}

pub(super) fn endpoint_answer(api: &RestApi) -> Value {
    let ids = (!api.vpc_endpoint_ids.is_empty()).then_some(&api.vpc_endpoint_ids);
    compact(json!({
        "types": [api.endpoint_type],
        "ipAddressType": api.ip_address_type,
        "vpcEndpointIds": ids,
    }))
}
