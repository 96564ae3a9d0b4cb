//! Tags of everything that has an ARN, for both services: get, set, remove. They are kept with what they are of, and come
//! back in its own answers. Source: AWS's developer guide, "Amazon API Gateway resource ARN reference".

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::call::Call;
use super::domains;
use super::error::ApiError;
use super::tag_rules::check_tags;
use crate::change::{Change, View};
use crate::model::{
    Api, ApiKey, ClientCertificate, DomainAccess, DomainName, Entity, HttpApi, HttpStage, HttpVpcLink, Part,
    RestApi, RestStage, RestVpcLink, Tags, UsagePlan,
};

pub(super) fn get(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    let mut found = Tags::new();
    visit(view, call.parameter(0), &mut |tags| {
        found.clone_from(tags);
        Ok(Fate::Unchanged)
    })?;
    Ok(json!({"tags": found}))
}

/// Adds the tags, or gives those of the same keys their new values.
pub(super) fn set(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let mut members = call.members()?;
    let new = members.tags()?.unwrap_or_default();
    members.finish()?;
    visit(change, call.parameter(0), &mut |tags| {
        tags.extend(new.clone());
        check_tags(tags)?;
        Ok(Fate::Changed)
    })?;
    Ok(Value::Null)
}

/// Keys that aren't there are no error.
pub(super) fn remove(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let keys = call.query_values("tagKeys");
    if keys.is_empty() {
        return Err(ApiError::bad_request("tagKeys is required"));
    }
    visit(change, call.parameter(0), &mut |tags| {
        tags.retain(|key, _| !keys.contains(key));
        Ok(Fate::Changed)
    })?;
    Ok(Value::Null)
}

/// What has tags.
trait Tagged {
    fn tags(&mut self) -> &mut BTreeMap<String, String>;
}

macro_rules! tagged {
    ($($entity:ty)*) => {
        $(impl Tagged for $entity {
            fn tags(&mut self) -> &mut BTreeMap<String, String> {
                &mut self.tags
            }
        })*
    };
}

tagged! { ApiKey ClientCertificate DomainAccess DomainName HttpApi HttpStage HttpVpcLink RestApi RestStage RestVpcLink UsagePlan }

/// Whether the tags are to be kept as they are now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Changed,
    Unchanged,
}

type See<'s> = &'s mut dyn FnMut(&mut Tags) -> Result<Fate, ApiError>;

/// Shows the tags of what the ARN names, and keeps them if they were changed.
fn visit(view: &View<'_>, arn: &str, see: See<'_>) -> Result<(), ApiError> {
    let segments = segments(view, arn)?;
    let found = match segments[..] {
        ["restapis", id] => of_api::<RestApi>(view, id, see)?,
        ["restapis", id, "stages", name] => of_part::<RestStage>(view, id, name, see)?,
        ["apis", id] => of_api::<HttpApi>(view, id, see)?,
        ["apis", id, "stages", name] => of_part::<HttpStage>(view, id, name, see)?,
        // A private domain's has an id after the name, which has no '+' itself.
        ["domainnames", named] => {
            let name = named.split('+').next().unwrap_or(named);
            let domain: Option<DomainName> = view.tx.entity("", name)?;
            let is_its_own = domain.is_some_and(|domain| domains::arn_of(view, &domain) == arn);
            is_its_own && of_entity::<DomainName>(view, name, see)?
        }
        ["domainnameaccessassociations", ref id @ ..] => of_entity::<DomainAccess>(view, &id.join("/"), see)?,
        ["clientcertificates", id] => of_entity::<ClientCertificate>(view, id, see)?,
        ["usageplans", id] => of_entity::<UsagePlan>(view, id, see)?,
        ["apikeys", id] => of_entity::<ApiKey>(view, id, see)?,
        // Both services' links have ARNs of this form, and no two links an id.
        ["vpclinks", id] => {
            of_entity::<RestVpcLink>(view, id, see)? || of_entity::<HttpVpcLink>(view, id, see)?
        }
        _ => return Err(invalid(arn)),
    };
    match found {
        true => Ok(()),
        false => Err(ApiError::not_found(format!("Invalid resource identifier specified: {arn}"))),
    }
}

/// What follows `arn:aws:apigateway:REGION:ACCOUNT:/`; most have no account. Each has one ARN, since policies allow and deny
/// by it: another way to write it would be another resource to them.
fn segments<'a>(view: &View<'_>, arn: &'a str) -> Result<Vec<&'a str>, ApiError> {
    let fields: Vec<&str> = arn.splitn(6, ':').collect();
    match fields[..] {
        ["arn", "aws", "apigateway", region, account, path] if region == view.settings.account.region => {
            let path = path.strip_prefix('/').ok_or_else(|| invalid(arn))?;
            let segments: Vec<&str> = path.split('/').collect();
            let is_of_account = match segments[..] {
                ["domainnames", named] => named.contains('+'),
                ["domainnameaccessassociations", ..] => true,
                _ => false,
            };
            match is_of_account {
                true if account == view.settings.account.id => Ok(segments),
                false if account.is_empty() => Ok(segments),
                _ => Err(invalid(arn)),
            }
        }
        _ => Err(invalid(arn)),
    }
}

fn invalid(arn: &str) -> ApiError {
    ApiError::bad_request(format!("Invalid ARN specified in the request: {arn}"))
}

/// These three: whether there is one.
fn of_api<A: Api + Tagged>(view: &View<'_>, id: &str, see: See<'_>) -> Result<bool, ApiError> {
    let Some(mut api) = view.tx.api::<A>(id)? else { return Ok(false) };
    if see(api.tags())? == Fate::Changed {
        view.tx.put_api(&api)?;
    }
    Ok(true)
}

fn of_part<P: Part + Tagged>(
    view: &View<'_>,
    api_id: &str,
    id: &str,
    see: See<'_>,
) -> Result<bool, ApiError> {
    let Some(mut part) = view.tx.part::<P>(api_id, id)? else { return Ok(false) };
    if see(part.tags())? == Fate::Changed {
        view.tx.put_part(api_id, &part)?;
    }
    Ok(true)
}

fn of_entity<E: Entity + Tagged>(view: &View<'_>, id: &str, see: See<'_>) -> Result<bool, ApiError> {
    let Some(mut entity) = view.tx.entity::<E>("", id)? else { return Ok(false) };
    if see(entity.tags())? == Fate::Changed {
        view.tx.put_entity(&entity)?;
    }
    Ok(true)
}
