//! APIs of OpenAPI documents, and their stages.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::super::super::call::Call;
use super::super::super::error::ApiError;
use super::super::super::members::Members;
use super::super::super::operations::Service;
use super::super::diff;
use super::state::{compared, difference};
use super::{Apply, DOCUMENT, TEXT_CHARS_MAX, name_of, text, within};
use crate::openapi::Document;

/// A document as it was sent.
struct Sent<'d> {
    read: &'d Arc<Document>,
    /// Whether a part that can't be taken is an error.
    strict: bool,
}

/// A stage as it is to be.
struct Stage {
    name: String,
    description: Option<String>,
    variables: BTreeMap<String, String>,
    /// HTTP APIs only.
    auto_deploy: bool,
}

impl Apply<'_, '_> {
    /// An API that becomes what its document says, and whose named stages serve that. One that is said to be `unchanged` is
    /// left alone, and only referred to.
    pub(super) fn api(&mut self, mut members: Members, read: &Arc<Document>) -> Result<(), ApiError> {
        members.value(DOCUMENT);
        let kind = members.choice("type", &["REST", "HTTP"])?.unwrap_or_else(|| "HTTP".to_owned());
        // A document of which a part can't be taken isn't what its owner wants, unless they say so.
        let strict = members.boolean("failOnWarnings")?.unwrap_or(true);
        let unchanged = members.boolean("unchanged")?.unwrap_or(false);
        let stages = members.objects("stages")?.unwrap_or_default();
        let stages: Vec<Stage> = stages.into_iter().map(take_stage).collect::<Result<_, _>>()?;
        members.finish()?;
        let name =
            read.title().ok_or_else(|| ApiError::bad_request("An OpenAPI document has no info.title"))?;
        if self.apis.contains_key(&name) {
            return Err(ApiError::bad_request(format!("Two documents have the title '{name}'")));
        }
        let is_rest = kind == "REST";
        if unchanged {
            let found = self.named_api(&name, is_rest)?;
            let id = found.ok_or_else(|| ApiError::conflict(format!("There is no API '{name}' any more")))?;
            self.apis.insert(name, id);
            return Ok(());
        }
        let sent = Sent { read, strict };
        let id = within("API", &name, self.import(&name, is_rest, &sent))?;
        self.apis.insert(name.clone(), id.clone());
        for stage in stages {
            let full = format!("{name}:{}", stage.name);
            let served =
                if is_rest { self.rest_stage(&id, &full, stage) } else { self.http_stage(&id, &full, stage) };
            within("stage", &full, served)?;
        }
        Ok(())
    }

    /// The API's id.
    fn import(&mut self, name: &str, is_rest: bool, document: &Sent<'_>) -> Result<String, ApiError> {
        let Some(id) = self.named_api(name, is_rest)? else {
            let made = self.send_document(is_rest, None, document)?;
            let id = text(&made, if is_rest { "id" } else { "apiId" });
            let lines = difference(&Value::Null, &self.state(is_rest, &id)?);
            let operations =
                lines.into_iter().filter(|line| line.contains('/') || line.ends_with("$default"));
            self.note("API", name, "create", operations.collect());
            return Ok(id);
        };
        let before = self.state(is_rest, &id)?;
        self.send_document(is_rest, Some(&id), document)?;
        let lines = difference(&before, &self.state(is_rest, &id)?);
        if !lines.is_empty() {
            self.note("API", name, "update", lines);
        }
        Ok(id)
    }

    /// The id of the one API of this name that a document can be of.
    fn named_api(&self, name: &str, is_rest: bool) -> Result<Option<String>, ApiError> {
        let (service, list, member) =
            if is_rest { (Service::V1, "GetRestApis", "id") } else { (Service::V2, "GetApis", "apiId") };
        let mut items = self.items(service, list, &[])?;
        items.retain(|item| item["protocolType"] != "WEBSOCKET");
        Ok(self.named(items, name, "APIs")?.map(|found| text(&found, member)))
    }

    fn state(&self, is_rest: bool, id: &str) -> Result<Value, ApiError> {
        if is_rest { self.rest_state(id) } else { self.http_state(id) }
    }

    fn send_document(
        &mut self,
        is_rest: bool,
        id: Option<&str>,
        &Sent { read, strict }: &Sent<'_>,
    ) -> Result<Value, ApiError> {
        let (service, operation, query) = match (is_rest, id) {
            (false, None) => (Service::V2, "ImportApi", format!("failOnWarnings={strict}")),
            (false, Some(_)) => (Service::V2, "ReimportApi", format!("failOnWarnings={strict}")),
            (true, None) => (Service::V1, "ImportRestApi", format!("mode=import&failonwarnings={strict}")),
            (true, Some(_)) => (Service::V1, "PutRestApi", format!("mode=overwrite&failonwarnings={strict}")),
        };
        let parameters: Vec<&str> = id.into_iter().collect();
        let document = Some(Arc::clone(read));
        let call = Call { query, document, ..Call::inner(&parameters, &Value::Null) };
        self.run_call(service, operation, &call)
    }

    fn rest_stage(&mut self, api_id: &str, full: &str, stage: Stage) -> Result<(), ApiError> {
        let Some(found) = self.find(Service::V1, "GetStage", &[api_id, &stage.name])? else {
            let mut body = json!({"stageName": stage.name, "variables": stage.variables});
            if let Some(description) = &stage.description {
                body["stageDescription"] = description.clone().into();
            }
            self.run(Service::V1, "CreateDeployment", &[api_id], &body)?;
            self.note("stage", full, "create", variables(&stage));
            return Ok(());
        };
        let live = self.change.stage_unit(api_id, &stage.name)?;
        let (mut lines, wanted) = changed_variables(&found["variables"], &stage);
        let escaped = |name: &str| name.replace('~', "~0").replace('/', "~1");
        let mut operations: Vec<Value> = Vec::new();
        for (name, value) in &stage.variables {
            let path = format!("/variables/{}", escaped(name));
            operations.push(json!({"op": "replace", "path": path, "value": value}));
        }
        for name in found["variables"].as_object().into_iter().flatten().map(|(name, _)| name) {
            if !wanted.contains_key(name) {
                operations.push(json!({"op": "remove", "path": format!("/variables/{}", escaped(name))}));
            }
        }
        if let Some(description) = stage.description.as_ref().filter(|text| found["description"] != **text) {
            operations.push(json!({"op": "replace", "path": "/description", "value": description}));
            lines.push("~ description".to_owned());
        }
        if !lines.is_empty() {
            self.run(
                Service::V1,
                "UpdateStage",
                &[api_id, &stage.name],
                &json!({"patchOperations": operations}),
            )?;
        }
        self.run(Service::V1, "CreateDeployment", &[api_id], &json!({"stageName": stage.name}))?;
        self.served(api_id, full, &stage.name, live.as_ref(), lines)
    }

    fn http_stage(&mut self, api_id: &str, full: &str, stage: Stage) -> Result<(), ApiError> {
        let Some(found) = self.find(Service::V2, "GetStage", &[api_id, &stage.name])? else {
            let mut body = json!({
                "stageName": stage.name, "stageVariables": stage.variables, "autoDeploy": stage.auto_deploy,
            });
            if let Some(description) = &stage.description {
                body["description"] = description.clone().into();
            }
            self.run(Service::V2, "CreateStage", &[api_id], &body)?;
            if !stage.auto_deploy {
                self.run(Service::V2, "CreateDeployment", &[api_id], &json!({"stageName": stage.name}))?;
            }
            self.note("stage", full, "create", variables(&stage));
            return Ok(());
        };
        let live = self.change.stage_unit(api_id, &stage.name)?;
        let (mut lines, mut wanted) = changed_variables(&found["stageVariables"], &stage);
        // An empty value removes one.
        for name in found["stageVariables"].as_object().into_iter().flatten().map(|(name, _)| name) {
            wanted.entry(name.clone()).or_insert_with(|| "".into());
        }
        let mut body = json!({"stageVariables": wanted});
        if found["autoDeploy"] != stage.auto_deploy {
            body["autoDeploy"] = stage.auto_deploy.into();
            lines.push("~ autoDeploy".to_owned());
        }
        if let Some(description) = stage.description.as_ref().filter(|text| found["description"] != **text) {
            body["description"] = description.clone().into();
            lines.push("~ description".to_owned());
        }
        if !lines.is_empty() {
            self.run(Service::V2, "UpdateStage", &[api_id, &stage.name], &body)?;
        }
        if stage.auto_deploy {
            // What changes is noted with the API.
            if !lines.is_empty() {
                self.note("stage", full, "update", lines);
            }
            return Ok(());
        }
        self.run(Service::V2, "CreateDeployment", &[api_id], &json!({"stageName": stage.name}))?;
        self.served(api_id, full, &stage.name, live.as_ref(), lines)
    }

    /// Notes what gateways have otherwise of the stage than before, besides what is in `lines`.
    fn served(
        &mut self,
        api_id: &str,
        full: &str,
        stage: &str,
        live: Option<&turnpike_snapshot::StageUnit>,
        mut lines: Vec<String>,
    ) -> Result<(), ApiError> {
        let next = self.change.stage_unit(api_id, stage)?;
        let routes = diff::difference(live, next.as_ref());
        for (member, sign) in [("added", '+'), ("removed", '-'), ("changed", '~')] {
            let each = routes[member].as_array().into_iter().flatten();
            lines.extend(each.map(|route| format!("{sign} {}", text(route, "route"))));
        }
        if !lines.is_empty() {
            self.note("stage", full, "update", lines);
        }
        Ok(())
    }
}

fn take_stage(mut members: Members) -> Result<Stage, ApiError> {
    let stage = Stage {
        name: name_of(&mut members)?,
        description: members.string("description", TEXT_CHARS_MAX)?,
        variables: members.strings("variables")?.unwrap_or_default(),
        auto_deploy: members.boolean("autoDeploy")?.unwrap_or(false),
    };
    members.finish()?;
    Ok(stage)
}

fn variables(stage: &Stage) -> Vec<String> {
    stage.variables.keys().map(|name| format!("+ variable {name}")).collect()
}

/// A line for each variable that isn't as wanted, and those that are wanted.
fn changed_variables(found: &Value, stage: &Stage) -> (Vec<String>, serde_json::Map<String, Value>) {
    let wanted: serde_json::Map<String, Value> =
        stage.variables.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
    let found = found.as_object().cloned().unwrap_or_default();
    (compared(&found, &wanted, "variable "), wanted)
}
