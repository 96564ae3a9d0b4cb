//! `DocumentationVersion`: create, get, list, update, delete. A version froze the documentation parts of its time; stages
//! name one.

use serde_json::{Value, json};

use super::super::call::{Call, compact};
use super::super::error::ApiError;
use super::parts::{Shown, of_call};
use super::patch::{self, REPLACE, Table, Wording, rule};
use super::{DESCRIPTION_CHARS_MAX, NAME_CHARS_MAX, api, over_quota, part};
use crate::change::Change;
use crate::model::{DocumentationSnapshot, DocumentationVersion, RestStage};

pub(in super::super) fn create(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(change, call.parameter(0))?;
    let mut members = call.members()?;
    let version = members.required("documentationVersion", NAME_CHARS_MAX)?;
    let stage = members.string("stageName", NAME_CHARS_MAX)?.filter(|name| !name.is_empty());
    let description = members.string("description", DESCRIPTION_CHARS_MAX)?;
    members.finish()?;
    if change.tx.part::<DocumentationVersion>(&api.id, &version)?.is_some() {
        return Err(ApiError::conflict("Documentation version already exists"));
    }
    let max = change.settings.quotas.documentation_versions_per_api_max;
    if change.tx.part_count::<DocumentationVersion>(&api.id)? >= max {
        return Err(over_quota(
            max,
            "documentation versions of the API",
            "documentation_versions_per_api_max",
        ));
    }
    let snapshot = DocumentationSnapshot { version: version.clone(), parts: change.tx.parts(&api.id)? };
    change.tx.put_part(&api.id, &snapshot)?;
    if let Some(name) = stage {
        let mut stage: RestStage = part(change, &api.id, &name, "stage")?;
        stage.documentation_version = Some(version.clone());
        stage.updated_at_s = change.now_s;
        change.tx.put_part(&api.id, &stage)?;
    }
    let made = DocumentationVersion { version, description, created_at_s: change.now_s };
    change.tx.put_part(&api.id, &made)?;
    Ok(made.answer())
}

const PATCHES: Table<DocumentationVersion> = Table {
    input: "updateDocumentationVersionInput",
    wording: Wording::Listed,
    rules: &[rule("/description", REPLACE, |version, patch| {
        version.description = patch.optional_text(DESCRIPTION_CHARS_MAX)?;
        Ok(())
    })],
};

pub(in super::super) fn update(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let (api_id, mut version) = of_call::<DocumentationVersion>(change, call)?;
    patch::apply(&PATCHES, &mut version, call.members()?, Shown::answer)?;
    change.tx.put_part(&api_id, &version)?;
    Ok(version.answer())
}

pub(in super::super) fn delete(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let (api_id, DocumentationVersion { version, .. }) = of_call(change, call)?;
    let stages: Vec<RestStage> = change.tx.parts(&api_id)?;
    if let Some(stage) = stages.iter().find(|stage| stage.documentation_version.as_ref() == Some(&version)) {
        return Err(ApiError::conflict(format!(
            "Cannot delete documentation version '{version}', is referenced in stage: {}",
            stage.name
        )));
    }
    change.tx.delete_part::<DocumentationVersion>(&api_id, &version)?;
    change.tx.delete_part::<DocumentationSnapshot>(&api_id, &version)?;
    Ok(Value::Null)
}

impl Shown for DocumentationVersion {
    fn missing(_: &str) -> ApiError {
        ApiError::not_found("Invalid Documentation version specified")
    }

    fn answer(&self) -> Value {
        compact(json!({
            "createdDate": self.created_at_s,
            "description": self.description,
            "version": self.version,
        }))
    }
}
