//! `VpcLink`: create, get, list, update, delete. It is available at once, and leads where its targets say.

use serde_json::{Value, json};

use super::super::call::{Call, compact, page_answer};
use super::super::error::ApiError;
use super::super::links::{delete_link, new_link_id, users};
use super::{NAME_CHARS_MAX, PAGING};
use crate::change::{Change, View};
use crate::model::HttpVpcLink;
use crate::time::iso8601;

pub(in super::super) fn create(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let mut members = call.members()?;
    let name = members.required("name", NAME_CHARS_MAX)?;
    let subnet_ids = members.list("subnetIds")?;
    let security_group_ids = members.list("securityGroupIds")?.unwrap_or_default();
    let tags = members.tags()?.unwrap_or_default();
    members.finish()?;
    let max = change.settings.quotas.vpc_links_max;
    if change.tx.entity_count::<HttpVpcLink>("")? >= max {
        return Err(ApiError::bad_request(format!(
            "There are already {max} VPC links: raise vpc_links_max for more"
        )));
    }
    let link = HttpVpcLink {
        id: new_link_id(change)?,
        name,
        subnet_ids: subnet_ids.ok_or_else(|| ApiError::bad_request("subnetIds is required"))?,
        security_group_ids,
        tags,
        created_at_s: change.now_s,
    };
    change.tx.put_entity(&link)?;
    Ok(answer(&link))
}

pub(in super::super) fn get(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    Ok(answer(&link(view, call)?))
}

pub(in super::super) fn list(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    let paging = call.paging(&PAGING)?;
    let page = view.tx.entity_page("", &paging.after, paging.limit)?;
    Ok(page_answer(&page, &PAGING, answer))
}

pub(in super::super) fn update(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let mut link = link(change, call)?;
    let mut members = call.members()?;
    let name = members.string("name", NAME_CHARS_MAX)?.filter(|name| !name.is_empty());
    members.finish()?;
    link.name = name.unwrap_or(link.name);
    change.tx.put_entity(&link)?;
    Ok(answer(&link))
}

pub(in super::super) fn delete(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let link = link(change, call)?;
    let users = users(change, &link.id)?;
    if !users.is_empty() {
        return Err(ApiError::conflict(format!(
            "Cannot delete VpcLink '{}': it is used by {}",
            link.id,
            users.join(", ")
        )));
    }
    delete_link(change, &link)?;
    Ok(Value::Null)
}

fn link(view: &View<'_>, call: &Call) -> Result<HttpVpcLink, ApiError> {
    let id = call.parameter(0);
    let link = view.tx.entity("", id)?;
    link.ok_or_else(|| ApiError::not_found(format!("Invalid VpcLink identifier specified {id}")))
}

fn answer(link: &HttpVpcLink) -> Value {
    compact(json!({
        "createdDate": iso8601(link.created_at_s),
        "name": link.name,
        "securityGroupIds": link.security_group_ids,
        "subnetIds": link.subnet_ids,
        "tags": link.tags,
        "vpcLinkId": link.id,
        "vpcLinkStatus": "AVAILABLE",
        "vpcLinkVersion": "V2",
    }))
}
