//! `Api`: create (with quick create), get, list, update, delete.

use serde_json::{Value, json};

use super::super::call::{Call, compact, page_answer};
use super::super::domains::mappings::check_unmapped;
use super::super::error::ApiError;
use super::super::members::Members;
use super::{DESCRIPTION_CHARS_MAX, NAME_CHARS_MAX, PAGING, URI_CHARS_MAX, VERSION_CHARS_MAX, api, quick};
use crate::change::{Change, View};
use crate::model::{HttpApi, new_id};
use crate::time::iso8601;

const API_ID_LEN: usize = 10;
const ROUTE_KEY_CHARS_MAX: usize = 4_096;
const ROUTE_SELECTION: &str = "${request.method} ${request.path}";
const API_KEY_SELECTION: &str = "$request.header.x-api-key";

pub(in super::super) fn create(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let mut members = call.members()?;
    let name = members.required("name", NAME_CHARS_MAX)?;
    check_protocol(&members.required("protocolType", NAME_CHARS_MAX)?)?;
    let tags = members.tags()?.unwrap_or_default();
    let texts = Texts::take(&mut members)?;
    let quick = QuickMembers::take(&mut members)?;
    refuse_the_rest(members)?;
    let apis_max = change.settings.quotas.apis_max;
    if change.tx.api_count::<HttpApi>()? >= apis_max {
        return Err(ApiError::bad_request(format!(
            "There are already {apis_max} HTTP APIs: raise apis_max for more"
        )));
    }
    let api = HttpApi {
        id: new_api_id(change)?,
        name,
        description: texts.description,
        version: texts.version,
        tags,
        execute_api_endpoint_disabled: texts.disabled.unwrap_or(false),
        created_at_s: change.now_s,
    };
    change.tx.put_api(&api)?;
    match quick {
        QuickMembers { target: Some(target), route_key } => {
            quick::create(change, &api.id, target, route_key.as_deref())?;
        }
        QuickMembers { target: None, route_key: Some(_) } => {
            return Err(ApiError::bad_request("routeKey is for quick create and needs a target"));
        }
        QuickMembers { target: None, route_key: None } => {}
    }
    Ok(answer(change, &api))
}

pub(in super::super) fn get(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    Ok(answer(view, &api(view, call.parameter(0))?))
}

pub(in super::super) fn list(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    let paging = call.paging(&PAGING)?;
    let page = view.tx.apis::<HttpApi>(&paging.after, paging.limit)?;
    Ok(page_answer(&page, &PAGING, |api| answer(view, api)))
}

pub(in super::super) fn update(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let mut api = api(change, call.parameter(0))?;
    let mut members = call.members()?;
    let name = members.string("name", NAME_CHARS_MAX)?.filter(|name| !name.is_empty());
    let texts = Texts::take(&mut members)?;
    let quick = QuickMembers::take(&mut members)?;
    refuse_the_rest(members)?;
    api.name = name.unwrap_or(api.name);
    api.description = texts.description.or(api.description);
    api.version = texts.version.or(api.version);
    if let Some(disabled) = texts.disabled {
        api.execute_api_endpoint_disabled = disabled;
        change.recompile_api(&api.id)?;
    }
    change.tx.put_api(&api)?;
    quick::update(change, &api.id, quick.target, quick.route_key.as_deref())?;
    Ok(answer(change, &api))
}

pub(in super::super) fn delete(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    check_unmapped(change, &api.id, None)?;
    change.recompile_api(&api.id)?;
    change.tx.delete_api(&api.id)?;
    Ok(Value::Null)
}

/// An id that no API of either kind has, since it names a host.
pub(in super::super) fn new_api_id(view: &View<'_>) -> Result<String, ApiError> {
    loop {
        let id = new_id(API_ID_LEN).map_err(|error| ApiError::internal(&error))?;
        if !view.tx.has_api(&id)? {
            return Ok(id);
        }
    }
}

fn check_protocol(protocol: &str) -> Result<(), ApiError> {
    match protocol {
        "HTTP" => Ok(()),
        "WEBSOCKET" => Err(ApiError::unsupported("protocolType 'WEBSOCKET'")),
        other => {
            Err(ApiError::bad_request(format!("protocolType has to be HTTP or WEBSOCKET, not '{other}'")))
        }
    }
}

/// Members that create and update share.
struct Texts {
    description: Option<String>,
    version: Option<String>,
    disabled: Option<bool>,
}

impl Texts {
    fn take(members: &mut Members) -> Result<Self, ApiError> {
        Ok(Self {
            description: members.string("description", DESCRIPTION_CHARS_MAX)?,
            version: members.string("version", VERSION_CHARS_MAX)?,
            disabled: members.boolean("disableExecuteApiEndpoint")?,
        })
    }
}

struct QuickMembers {
    target: Option<String>,
    route_key: Option<String>,
}

impl QuickMembers {
    fn take(members: &mut Members) -> Result<Self, ApiError> {
        Ok(Self {
            target: members.string("target", URI_CHARS_MAX)?,
            route_key: members.string("routeKey", ROUTE_KEY_CHARS_MAX)?,
        })
    }
}

fn refuse_the_rest(mut members: Members) -> Result<(), ApiError> {
    members.one_of("routeSelectionExpression", &[ROUTE_SELECTION, "$request.method $request.path"])?;
    members.one_of("apiKeySelectionExpression", &[API_KEY_SELECTION])?;
    members.one_of("ipAddressType", &["ipv4"])?;
    members.unsupported(&["corsConfiguration", "credentialsArn", "disableSchemaValidation"])?;
    members.finish()
}

fn answer(view: &View<'_>, api: &HttpApi) -> Value {
    let account = &view.settings.account;
    let (region, suffix, port) = (&account.region, &account.endpoint_suffix, view.endpoint_port);
    compact(json!({
        "apiId": api.id,
        "apiEndpoint": format!("http://{}.execute-api.{region}.{suffix}:{port}", api.id),
        "apiKeySelectionExpression": API_KEY_SELECTION,
        "createdDate": iso8601(api.created_at_s),
        "description": api.description,
        "disableExecuteApiEndpoint": api.execute_api_endpoint_disabled,
        "ipAddressType": "ipv4",
        "name": api.name,
        "protocolType": "HTTP",
        "routeSelectionExpression": "$request.method $request.path",
        "tags": api.tags,
        "version": api.version,
    }))
}
