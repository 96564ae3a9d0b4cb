//! `RestApi`: create, get, list, update (in part), delete.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::call::{Call, compact, page_answer};
use super::super::domains::mappings::check_unmapped;
use super::super::error::ApiError;
use super::super::members::Members;
use super::super::v2::apis::new_api_id;
use super::patch::{self, Op};
use super::{DESCRIPTION_CHARS_MAX, NAME_CHARS_MAX, PAGING, api, over_quota};
use crate::change::{Change, View};
use crate::model::{Resource, RestApi, new_id};

const ROOT_RESOURCE_ID_LEN: usize = 10;
const VERSION_CHARS_MAX: usize = 64;

pub(in super::super) fn create(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let mut members = call.members()?;
    let name = members.required("name", NAME_CHARS_MAX)?;
    let description = members.string("description", DESCRIPTION_CHARS_MAX)?;
    let version = members.string("version", VERSION_CHARS_MAX)?;
    let disabled = members.boolean("disableExecuteApiEndpoint")?.unwrap_or(false);
    let tags = members.tags()?.unwrap_or_default();
    let endpoint_type = take_endpoint_type(&mut members)?;
    refuse_the_rest(members)?;
    let max = change.settings.quotas.apis_max;
    if change.tx.api_count::<RestApi>()? >= max {
        return Err(over_quota(max, "REST APIs", "apis_max"));
    }
    let api = RestApi {
        id: new_api_id(change)?,
        name,
        description,
        version,
        tags,
        endpoint_type,
        execute_api_endpoint_disabled: disabled,
        root_resource_id: new_id(ROOT_RESOURCE_ID_LEN).map_err(|error| ApiError::internal(&error))?,
        created_at_s: change.now_s,
    };
    change.tx.put_api(&api)?;
    change.tx.put_part(&api.id, &root_resource(&api))?;
    Ok(answer(&api))
}

pub(in super::super) fn get(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    Ok(answer(&api(view, call.parameter(0))?))
}

pub(in super::super) fn list(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    let paging = call.paging(&PAGING)?;
    let page = view.tx.apis(&paging.after, paging.limit)?;
    Ok(page_answer(&page, &PAGING, answer))
}

/// What can be changed so far.
const PATHS: [&str; 3] = ["/description", "/disableExecuteApiEndpoint", "/name"];

pub(in super::super) fn update(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let mut api = api(change, call.parameter(0))?;
    for patch in patch::take(call.members()?)? {
        match (patch.op, patch.path.as_str()) {
            (Op::Set, "/name") if patch.value.is_empty() => {
                return Err(ApiError::bad_request("name can't be empty"));
            }
            (Op::Set, "/name") => api.name = patch.text(NAME_CHARS_MAX)?,
            (Op::Set, "/description") => api.description = Some(patch.text(DESCRIPTION_CHARS_MAX)?),
            (Op::Remove, "/description") => api.description = None,
            (Op::Set, "/disableExecuteApiEndpoint") => api.execute_api_endpoint_disabled = patch.boolean()?,
            _ => return Err(patch.refused(&PATHS)),
        }
    }
    change.tx.put_api(&api)?;
    change.recompile_api(&api.id)?;
    Ok(answer(&api))
}

pub(in super::super) fn delete(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    check_unmapped(change, &api.id, None)?;
    change.recompile_api(&api.id)?;
    change.tx.delete_api(&api.id)?;
    Ok(Value::Null)
}

fn root_resource(api: &RestApi) -> Resource {
    Resource {
        id: api.root_resource_id.clone(),
        parent_id: None,
        path_part: None,
        path: "/".to_owned(),
        methods: BTreeMap::new(),
    }
}

/// `EDGE` and `REGIONAL` are the same here: an API answers where its gateways listen.
fn take_endpoint_type(members: &mut Members) -> Result<String, ApiError> {
    let default = || "EDGE".to_owned();
    let Some(mut configuration) = members.object("endpointConfiguration")? else { return Ok(default()) };
    let types = configuration.list("types")?.unwrap_or_default();
    configuration.one_of("ipAddressType", &["ipv4"])?;
    configuration.unsupported(&["vpcEndpointIds"])?;
    configuration.finish()?;
    match &types[..] {
        [] => Ok(default()),
        [one] if one == "EDGE" || one == "REGIONAL" => Ok(one.clone()),
        [one] if one == "PRIVATE" => Err(ApiError::unsupported("The endpoint type PRIVATE")),
        _ => {
            Err(ApiError::bad_request("endpointConfiguration.types has to be one of EDGE, REGIONAL, PRIVATE"))
        }
    }
}

/// What asks for protection that can't be given yet is refused, so that nobody believes to have it.
fn refuse_the_rest(mut members: Members) -> Result<(), ApiError> {
    members.one_of("apiKeySource", &["HEADER"])?;
    members.unsupported(&[
        "binaryMediaTypes",
        "cloneFrom",
        "endpointAccessMode",
        "minimumCompressionSize",
        "policy",
        "securityPolicy",
    ])?;
    members.finish()
}

fn answer(api: &RestApi) -> Value {
    compact(json!({
        "apiKeySource": "HEADER",
        "createdDate": api.created_at_s,
        "description": api.description,
        "disableExecuteApiEndpoint": api.execute_api_endpoint_disabled,
        "endpointConfiguration": {"types": [api.endpoint_type], "ipAddressType": "ipv4"},
        "id": api.id,
        "name": api.name,
        "rootResourceId": api.root_resource_id,
        "tags": api.tags,
        "version": api.version,
    }))
}
