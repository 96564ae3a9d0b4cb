//! `DomainNameAccessAssociation`: create, list, delete, reject. Private domain names aren't served here; who may reach one
//! is kept for its owner.

use serde_json::{Value, json};

use super::super::call::{Call, page_answer};
use super::super::domains;
use super::super::error::ApiError;
use super::{NAME_CHARS_MAX, PAGING, URI_CHARS_MAX, over_quota};
use crate::change::{Change, View};
use crate::model::{DomainAccess, DomainName, access_id, check_vpc_endpoint};

/// The only type of sources that there is.
const VPCE: &str = "VPCE";

pub(in super::super) fn create(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let mut members = call.members()?;
    let arn = members.required("domainNameArn", URI_CHARS_MAX)?;
    let source_type = members.required("accessAssociationSourceType", NAME_CHARS_MAX)?;
    let source = members.required("accessAssociationSource", NAME_CHARS_MAX)?;
    let tags = members.tags()?.unwrap_or_default();
    members.finish()?;
    if source_type != VPCE {
        return Err(ApiError::bad_request(format!(
            "accessAssociationSourceType has to be {VPCE}, not '{source_type}'"
        )));
    }
    check_vpc_endpoint(&source).map_err(ApiError::bad_request)?;
    let (domain, private_id) = private_domain(change, &arn)?;
    let id = access_id(&domain.name, &private_id, &source);
    if change.tx.entity::<DomainAccess>("", &id)?.is_some() {
        return Err(ApiError::conflict(format!("{source} is already associated with {}", domain.name)));
    }
    let max = change.settings.quotas.domain_name_access_associations_max;
    if change.tx.entity_count::<DomainAccess>("")? >= max {
        return Err(over_quota(
            max,
            "domain name access associations",
            "domain_name_access_associations_max",
        ));
    }
    let access = DomainAccess { id, domain: domain.name, source, tags };
    change.tx.put_entity(&access)?;
    answer(change, &access)
}

/// All of them are this account's.
pub(in super::super) fn list(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    let paging = call.paging(&PAGING)?;
    if domains::owned_by_others(call)? {
        return Ok(json!({PAGING.items: []}));
    }
    let page = view.tx.entity_page::<DomainAccess>("", &paging.after, paging.limit)?;
    let answers: Vec<Value> =
        page.items.iter().map(|access| answer(view, access)).collect::<Result<_, _>>()?;
    let mut listed = page_answer(&page, &PAGING, |_| Value::Null);
    listed[PAGING.items] = answers.into();
    Ok(listed)
}

pub(in super::super) fn delete(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let access = named(change, call.parameter(0))?;
    change.tx.delete_entity::<DomainAccess>("", &access.id)?;
    Ok(Value::Null)
}

/// The owner of the domain takes back what a source has: with one account, that is the association itself.
pub(in super::super) fn reject(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let required = |name: &str| {
        let value = call.query_value(name)?;
        value.ok_or_else(|| ApiError::bad_request(format!("The query parameter {name} is required")))
    };
    let access = named(change, &required("domainNameAccessAssociationArn")?)?;
    let (domain, _) = private_domain(change, &required("domainNameArn")?)?;
    if access.domain != domain.name {
        return Err(ApiError::bad_request(format!(
            "{} isn't an association with {}",
            access.id, domain.name
        )));
    }
    change.tx.delete_entity::<DomainAccess>("", &access.id)?;
    Ok(Value::Null)
}

fn arn_prefix(view: &View<'_>) -> String {
    let account = &view.settings.account;
    format!("arn:aws:apigateway:{}:{}:/domainnameaccessassociations/", account.region, account.id)
}

fn named(view: &View<'_>, arn: &str) -> Result<DomainAccess, ApiError> {
    let id = arn.strip_prefix(&arn_prefix(view));
    let found = id.map(|id| view.tx.entity("", id)).transpose()?.flatten();
    found.ok_or_else(|| ApiError::not_found("Invalid domain name access association identifier specified"))
}

/// The private domain name of this ARN, and what its ARN has after the name.
fn private_domain(view: &View<'_>, arn: &str) -> Result<(DomainName, String), ApiError> {
    let name = arn.rsplit_once('/').map_or(arn, |(_, named)| named.split('+').next().unwrap_or(named));
    let domain: Option<DomainName> = view.tx.entity("", &name.to_ascii_lowercase())?;
    let domain = domain.filter(|domain| domains::arn_of(view, domain) == arn);
    let invalid = || ApiError::bad_request(format!("'{arn}' isn't the ARN of a private custom domain name"));
    let domain = domain.ok_or_else(invalid)?;
    let id = domain.private.as_ref().ok_or_else(invalid)?.id.clone();
    Ok((domain, id))
}

fn answer(view: &View<'_>, access: &DomainAccess) -> Result<Value, ApiError> {
    let domain = domains::named(view, &access.domain)?;
    Ok(json!({
        "accessAssociationSource": access.source,
        "accessAssociationSourceType": VPCE,
        "domainNameAccessAssociationArn": format!("{}{}", arn_prefix(view), access.id),
        "domainNameArn": domains::arn_of(view, &domain),
        "tags": access.tags,
    }))
}
