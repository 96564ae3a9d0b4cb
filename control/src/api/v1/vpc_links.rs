//! `VpcLink`: create, update, and how it is told. It is available at once, and leads where its targets say.

use serde_json::{Value, json};

use super::super::call::{Call, PagingNames, compact};
use super::super::error::ApiError;
use super::super::links::{Link, new_link_id, of_call};
use super::patch::{self, REPLACE, Table, Wording, rule};
use super::{DESCRIPTION_CHARS_MAX, NAME_CHARS_MAX, PAGING, over_quota};
use crate::change::Change;
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
    Ok(link.answer())
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
    let mut link: RestVpcLink = of_call(change, call)?;
    patch::apply(&PATCHES, &mut link, call.members()?, Link::answer)?;
    change.tx.put_entity(&link)?;
    Ok(link.answer())
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

impl Link for RestVpcLink {
    const PAGING: PagingNames = PAGING;

    fn answer(&self) -> Value {
        compact(json!({
            "description": self.description,
            "id": self.id,
            "name": self.name,
            "status": "AVAILABLE",
            "tags": self.tags,
            "targetArns": self.target_arns,
        }))
    }

    fn missing(_: &str) -> ApiError {
        ApiError::not_found("Invalid Vpc link identifier specified")
    }

    fn in_use(id: &str, users: &str) -> ApiError {
        ApiError::bad_request(format!("Cannot delete vpc link. Vpc link '{id}' is referenced by {users}"))
    }
}
