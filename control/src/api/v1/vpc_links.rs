//! `VpcLink`: create, get, list, update, delete. It is available at once, and leads where its targets say.

use serde_json::{Value, json};

use super::super::call::{Call, compact, page_answer};
use super::super::error::ApiError;
use super::super::links::{delete_link, new_link_id, users};
use super::patch::{self, REPLACE, Table, Wording, rule};
use super::{DESCRIPTION_CHARS_MAX, NAME_CHARS_MAX, PAGING, over_quota};
use crate::change::{Change, View};
use crate::model::RestVpcLink;

pub(in super::super) fn create(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let mut members = call.members()?;
    let name = members.required("name", NAME_CHARS_MAX)?;
    let description = members.string("description", DESCRIPTION_CHARS_MAX)?;
    let target_arns = members.list("targetArns")?.unwrap_or_default();
    let tags = members.tags()?.unwrap_or_default();
    members.finish()?;
    check_target_arns(&target_arns)?;
    let max = change.settings.quotas.vpc_links_max;
    if change.tx.entity_count::<RestVpcLink>("")? >= max {
        return Err(over_quota(max, "VPC links", "vpc_links_max"));
    }
    let link = RestVpcLink { id: new_link_id(change)?, name, description, target_arns, tags };
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

const PATCHES: Table<RestVpcLink> = Table {
    input: "updateVpcLinkInput",
    wording: Wording::Listed,
    rules: &[
        rule("/name", REPLACE, |link, patch| {
            link.name = patch.required_text(NAME_CHARS_MAX)?;
            Ok(())
        }),
        rule("/description", REPLACE, |link, patch| {
            link.description = patch.optional_text(DESCRIPTION_CHARS_MAX)?;
            Ok(())
        }),
    ],
};

pub(in super::super) fn update(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let mut link = link(change, call)?;
    patch::apply(&PATCHES, &mut link, call.members()?, answer)?;
    change.tx.put_entity(&link)?;
    Ok(answer(&link))
}

pub(in super::super) fn delete(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let link = link(change, call)?;
    let users = users(change, &link.id)?;
    if !users.is_empty() {
        return Err(ApiError::bad_request(format!(
            "Cannot delete vpc link. Vpc link '{}' is referenced by {}",
            link.id,
            users.join(", ")
        )));
    }
    delete_link(change, &link)?;
    Ok(Value::Null)
}

fn link(view: &View<'_>, call: &Call) -> Result<RestVpcLink, ApiError> {
    let link = view.tx.entity("", call.parameter(0))?;
    link.ok_or_else(|| ApiError::not_found("Invalid Vpc link identifier specified"))
}

/// AWS builds a link of this kind from exactly one load balancer.
fn check_target_arns(arns: &[String]) -> Result<(), ApiError> {
    match arns {
        [one] if one.starts_with("arn:") => Ok(()),
        [other] => Err(ApiError::bad_request(format!(
            "Invalid target ARN '{other}': it has to begin with arn:. It is kept, and asked nothing: the link leads \
             to the targets that are put at /turnpike/v1/vpclinks/<id>/targets"
        ))),
        _ => Err(ApiError::bad_request("targetArns has to have exactly one ARN")),
    }
}

fn answer(link: &RestVpcLink) -> Value {
    compact(json!({
        "description": link.description,
        "id": link.id,
        "name": link.name,
        "status": "AVAILABLE",
        "tags": link.tags,
        "targetArns": link.target_arns,
    }))
}
