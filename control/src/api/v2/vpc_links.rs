//! `VpcLink`: create, update, and how it is told. It is available at once, and leads where its targets say.

use serde_json::{Value, json};

use super::super::call::{Call, PagingNames, compact};
use super::super::error::ApiError;
use super::super::links::{Link, new_link_id, of_call};
use super::{NAME_CHARS_MAX, PAGING};
use crate::change::Change;
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
    Ok(link.answer())
}

pub(in super::super) fn update(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let mut link: HttpVpcLink = of_call(change, call)?;
    let mut members = call.members()?;
    let name = members.string("name", NAME_CHARS_MAX)?.filter(|name| !name.is_empty());
    members.finish()?;
    link.name = name.unwrap_or(link.name);
    change.tx.put_entity(&link)?;
    Ok(link.answer())
}

impl Link for HttpVpcLink {
    const PAGING: PagingNames = PAGING;

    fn answer(&self) -> Value {
        compact(json!({
            "createdDate": iso8601(self.created_at_s),
            "name": self.name,
            "securityGroupIds": self.security_group_ids,
            "subnetIds": self.subnet_ids,
            "tags": self.tags,
            "vpcLinkId": self.id,
            "vpcLinkStatus": "AVAILABLE",
            "vpcLinkVersion": "V2",
        }))
    }

    fn missing(id: &str) -> ApiError {
        ApiError::not_found(format!("Invalid VpcLink identifier specified {id}"))
    }

    fn in_use(id: &str, users: &str) -> ApiError {
        ApiError::conflict(format!("Cannot delete VpcLink '{id}': it is used by {users}"))
    }
}
