//! What the account has beside APIs: domain names with their mappings, usage plans with their stages, API keys.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::super::super::error::ApiError;
use super::super::super::members::Members;
use super::super::super::operations::Service;
use super::state::compared;
use super::{Apply, TEXT_CHARS_MAX, name_of, text, within};

impl Apply<'_, '_> {
    /// A domain name that has exactly these mappings.
    pub(super) fn domain(&mut self, mut members: Members) -> Result<(), ApiError> {
        let name = name_of(&mut members)?;
        let certificate = members.required("certificateArn", TEXT_CHARS_MAX)?;
        let policy = members.string("securityPolicy", TEXT_CHARS_MAX)?;
        let mut wanted = Map::new();
        for mut mapping in members.objects("mappings")?.unwrap_or_default() {
            let path = mapping.string("path", TEXT_CHARS_MAX)?.unwrap_or_default();
            let api_id = self.api_id(&mapping.required("api", TEXT_CHARS_MAX)?)?;
            let stage = mapping.required("stage", TEXT_CHARS_MAX)?;
            mapping.finish()?;
            wanted.insert(path.clone(), json!({"apiId": api_id, "stage": stage, "apiMappingKey": path}));
        }
        members.finish()?;
        let applied = self.put_domain(&name, &certificate, policy.as_deref(), &wanted);
        within("domain", &name, applied)
    }

    fn put_domain(
        &mut self,
        name: &str,
        certificate: &str,
        policy: Option<&str>,
        wanted: &Map<String, Value>,
    ) -> Result<(), ApiError> {
        let mut configuration = json!({"certificateArn": certificate, "endpointType": "REGIONAL"});
        if let Some(policy) = policy {
            configuration["securityPolicy"] = policy.into();
        }
        let body = json!({"domainNameConfigurations": [configuration]});
        let found = self.find(Service::V2, "GetDomainName", &[name])?;
        let mut lines = Vec::new();
        match &found {
            None => {
                let mut body = body;
                body["domainName"] = name.into();
                self.run(Service::V2, "CreateDomainName", &[], &body)?;
            }
            Some(found) => {
                let is = &found["domainNameConfigurations"][0];
                if is["certificateArn"] != certificate {
                    lines.push("~ certificate".to_owned());
                }
                if policy.is_some_and(|policy| is["securityPolicy"] != policy) {
                    lines.push("~ security policy".to_owned());
                }
                if !lines.is_empty() {
                    self.run(Service::V2, "UpdateDomainName", &[name], &body)?;
                }
            }
        }
        lines.extend(self.put_mappings(name, wanted)?);
        match found {
            None => self.note("domain", name, "create", lines),
            Some(_) if !lines.is_empty() => self.note("domain", name, "update", lines),
            Some(_) => {}
        }
        Ok(())
    }

    fn put_mappings(&mut self, domain: &str, wanted: &Map<String, Value>) -> Result<Vec<String>, ApiError> {
        let found = self.items(Service::V2, "GetApiMappings", &[domain])?;
        let (mut before, mut ids) = (Map::new(), Map::new());
        for mapping in &found {
            let [path, api_id, stage] =
                ["apiMappingKey", "apiId", "stage"].map(|member| text(mapping, member));
            ids.insert(path.clone(), mapping["apiMappingId"].clone());
            before.insert(path.clone(), json!({"apiId": api_id, "stage": stage, "apiMappingKey": path}));
        }
        let id = |path: &str| ids.get(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        for path in before.keys().filter(|path| !wanted.contains_key(*path)) {
            self.run(Service::V2, "DeleteApiMapping", &[domain, &id(path)], &Value::Null)?;
        }
        for (path, mapping) in wanted {
            match before.get(path) {
                None => drop(self.run(Service::V2, "CreateApiMapping", &[domain], mapping)?),
                Some(old) if old != mapping => {
                    self.run(Service::V2, "UpdateApiMapping", &[domain, &id(path)], mapping)?;
                }
                Some(_) => {}
            }
        }
        Ok(compared(&before, wanted, "/"))
    }

    /// A usage plan that has exactly these stages and limits.
    pub(super) fn plan(&mut self, mut members: Members) -> Result<(), ApiError> {
        let name = name_of(&mut members)?;
        let mut stages = Vec::new();
        for stage in members.list("stages")?.unwrap_or_default() {
            let (api, stage) = stage.rsplit_once(':').ok_or_else(|| {
                ApiError::bad_request(format!("A usage plan's stage has to be API:STAGE, not '{stage}'"))
            })?;
            stages.push(format!("{}:{stage}", self.api_id(api)?));
        }
        let throttle = match (members.number("rate")?, members.integer("burst", 0..=u32::MAX)?) {
            (Some(rate), Some(burst)) => json!({"rateLimit": rate, "burstLimit": burst}),
            (None, None) => Value::Null,
            _ => return Err(ApiError::bad_request(format!("plan {name}: rate and burst belong together"))),
        };
        let quota = members.integer("quota", 0..=u32::MAX)?;
        let (period, offset) =
            (members.string("period", TEXT_CHARS_MAX)?, members.integer("offset", 0..=u32::MAX)?);
        let quota = match (quota, period, offset) {
            (Some(limit), Some(period), offset) => {
                json!({"limit": limit, "offset": offset.unwrap_or(0), "period": period.to_uppercase()})
            }
            (None, None, None) => Value::Null,
            (None, None, Some(_)) => {
                return Err(ApiError::bad_request(format!(
                    "plan {name}: offset is a quota's, and there is none"
                )));
            }
            _ => return Err(ApiError::bad_request(format!("plan {name}: quota and period belong together"))),
        };
        members.finish()?;
        let applied = self.put_plan(&name, &stages, &throttle, &quota);
        within("plan", &name, applied)
    }

    fn put_plan(
        &mut self,
        name: &str,
        stages: &[String],
        throttle: &Value,
        quota: &Value,
    ) -> Result<(), ApiError> {
        let plans = self.items(Service::V1, "GetUsagePlans", &[])?;
        let found = match self.named(plans, name, "usage plans")? {
            Some(found) => found,
            None => {
                let made = self.run(Service::V1, "CreateUsagePlan", &[], &json!({"name": name}))?;
                self.note("plan", name, "create", Vec::new());
                made
            }
        };
        let mut operations = Vec::new();
        let mut lines = Vec::new();
        let before: BTreeSet<String> =
            found["apiStages"].as_array().into_iter().flatten().map(stage_key).collect();
        let wanted: BTreeSet<String> = stages.iter().cloned().collect();
        for gone in before.difference(&wanted) {
            operations.push(json!({"op": "remove", "path": "/apiStages", "value": gone}));
            lines.push(format!("- stage {}", self.shown_stage(gone)?));
        }
        for new in wanted.difference(&before) {
            operations.push(json!({"op": "add", "path": "/apiStages", "value": new}));
            lines.push(format!("+ stage {}", self.shown_stage(new)?));
        }
        // Not in the order of ids, which another try makes up anew.
        lines.sort();
        for (member, wanted) in [("throttle", throttle), ("quota", quota)] {
            if found[member] == *wanted {
                continue;
            }
            lines.push(format!("~ {member}"));
            match wanted.as_object() {
                None => operations.push(json!({"op": "remove", "path": format!("/{member}")})),
                Some(settings) => operations.extend(settings.iter().map(|(name, value)| {
                    let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    json!({"op": "replace", "path": format!("/{member}/{name}"), "value": value})
                })),
            }
        }
        if !operations.is_empty() {
            let body = json!({"patchOperations": operations});
            self.run(Service::V1, "UpdateUsagePlan", &[&text(&found, "id")], &body)?;
            self.note("plan", name, "update", lines);
        }
        Ok(())
    }

    /// An API key that is in exactly these usage plans. A value is given to a new one, or has to be the old one's.
    pub(super) fn key(&mut self, mut members: Members) -> Result<(), ApiError> {
        let name = name_of(&mut members)?;
        let value = members.string("value", TEXT_CHARS_MAX)?;
        let enabled = members.boolean("enabled")?.unwrap_or(true);
        let plans = members.list("plans")?.unwrap_or_default();
        members.finish()?;
        let applied = self.put_key(&name, value, enabled, &plans);
        within("key", &name, applied)
    }

    fn put_key(
        &mut self,
        name: &str,
        value: Option<String>,
        enabled: bool,
        plans: &[String],
    ) -> Result<(), ApiError> {
        let keys = self.items_with(Service::V1, "GetApiKeys", &[], "includeValues=true")?;
        let found = match self.named(keys, name, "API keys")? {
            Some(found) => found,
            None => {
                let mut body = json!({"name": name, "enabled": enabled});
                if let Some(value) = &value {
                    body["value"] = value.clone().into();
                }
                let made = self.run(Service::V1, "CreateApiKey", &[], &body)?;
                self.note("key", name, "create", Vec::new());
                made
            }
        };
        if value.is_some_and(|value| found["value"] != value) {
            return Err(ApiError::conflict(
                "It has another value, which can't be changed: delete the key first, or give it another name",
            ));
        }
        let id = text(&found, "id");
        let mut lines = Vec::new();
        if found["enabled"] != enabled {
            let patch = json!({"op": "replace", "path": "/enabled", "value": enabled.to_string()});
            self.run(Service::V1, "UpdateApiKey", &[&id], &json!({"patchOperations": [patch]}))?;
            lines.push("~ enabled".to_owned());
        }
        lines.extend(self.put_into_plans(&id, plans)?);
        if !lines.is_empty() {
            self.note("key", name, "update", lines);
        }
        Ok(())
    }

    fn put_into_plans(&mut self, key_id: &str, plans: &[String]) -> Result<Vec<String>, ApiError> {
        let mut lines = Vec::new();
        let all = self.items(Service::V1, "GetUsagePlans", &[])?;
        for wanted in plans {
            if self.named(all.clone(), wanted, "usage plans")?.is_none() {
                return Err(ApiError::bad_request(format!("There is no usage plan '{wanted}'")));
            }
        }
        // Out of plans first: two plans of a stage can't have the key at once.
        for wants in [false, true] {
            for plan in &all {
                let (plan_id, plan_name) = (text(plan, "id"), text(plan, "name"));
                let is_wanted = plans.contains(&plan_name);
                let is_in = self.find(Service::V1, "GetUsagePlanKey", &[&plan_id, key_id])?.is_some();
                if is_wanted != wants || is_in == wants {
                    continue;
                }
                if wants {
                    let body = json!({"keyId": key_id, "keyType": "API_KEY"});
                    self.run(Service::V1, "CreateUsagePlanKey", &[&plan_id], &body)?;
                    lines.push(format!("+ plan {plan_name}"));
                } else {
                    self.run(Service::V1, "DeleteUsagePlanKey", &[&plan_id, key_id], &Value::Null)?;
                    lines.push(format!("- plan {plan_name}"));
                }
            }
        }
        Ok(lines)
    }
}

fn stage_key(stage: &Value) -> String {
    format!("{}:{}", text(stage, "apiId"), text(stage, "stage"))
}
