//! `AddTagsToCertificate`, `ListTagsForCertificate`, `RemoveTagsFromCertificate`.

use serde_json::{Value, json};

use super::super::error::ApiError;
use super::super::members::Members;
use super::super::tag_rules::check_tags;
use super::{named, validation};
use crate::change::{Change, View};
use crate::model::Tags;

const TEXT_CHARS_MAX: usize = 1_024;

pub(super) fn add(change: &mut Change<'_>, mut members: Members) -> Result<Value, ApiError> {
    let mut certificate = named(change, &mut members)?;
    certificate.tags.extend(take_tags(&mut members)?);
    members.finish()?;
    check_tags(&certificate.tags).map_err(|error| ApiError { code: "TooManyTagsException", ..error })?;
    change.tx.put_entity(&certificate)?;
    Ok(Value::Null)
}

pub(super) fn list(view: &View<'_>, mut members: Members) -> Result<Value, ApiError> {
    let certificate = named(view, &mut members)?;
    members.finish()?;
    let tags = certificate.tags.iter().map(|(key, value)| json!({"Key": key, "Value": value}));
    Ok(json!({"Tags": tags.collect::<Vec<_>>()}))
}

/// A tag whose value is given goes only if it has that value.
pub(super) fn remove(change: &mut Change<'_>, mut members: Members) -> Result<Value, ApiError> {
    let mut certificate = named(change, &mut members)?;
    for (key, value) in take_pairs(&mut members)? {
        let fits = value.is_none() || certificate.tags.get(&key) == value.as_ref();
        if fits {
            certificate.tags.remove(&key);
        }
    }
    members.finish()?;
    change.tx.put_entity(&certificate)?;
    Ok(Value::Null)
}

/// Takes the tags, within AWS's limits.
pub(super) fn take_tags(members: &mut Members) -> Result<Tags, ApiError> {
    let mut tags = Tags::new();
    for (key, value) in take_pairs(members)? {
        if tags.insert(key.clone(), value.unwrap_or_default()).is_some() {
            return Err(ApiError {
                status: 400,
                code: "InvalidTagException",
                message: format!("The tag '{key}' comes twice"),
            });
        }
    }
    check_tags(&tags).map_err(|error| ApiError { code: "InvalidTagException", ..error })?;
    Ok(tags)
}

fn take_pairs(members: &mut Members) -> Result<Vec<(String, Option<String>)>, ApiError> {
    let tags = members.objects("Tags")?.unwrap_or_default();
    let pairs = tags.into_iter().map(|mut tag| {
        let key = tag.string("Key", TEXT_CHARS_MAX)?;
        let pair =
            (key.ok_or_else(|| validation("A tag needs a Key"))?, tag.string("Value", TEXT_CHARS_MAX)?);
        tag.finish()?;
        Ok(pair)
    });
    pairs.collect()
}
