//! What an import comes to: operations on the API, one by one, as if they had been called.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::super::import_settings::patches_of;
use crate::api::call::Call;
use crate::api::error::ApiError;
use crate::api::exports::all_items;
use crate::api::imports::{Import, text};
use crate::api::operations::Service;
use crate::openapi::{Place, Planned, PlannedIntegration, PlannedMethod, PlannedModel, RestPlan};

/// Puts a plan into an API. What there is and the plan has, too, becomes the plan's under the id that it has; with
/// `overwrite`, what the plan doesn't have goes.
pub(super) struct Fill<'f, 'i, 'c> {
    pub(super) import: &'f mut Import<'i, 'c>,
    pub(super) api_id: &'f str,
    pub(super) plan: &'f RestPlan,
    pub(super) overwrite: bool,
}

impl Fill<'_, '_, '_> {
    pub(super) fn run(mut self) -> Result<(), ApiError> {
        let before = self.items("GetResources", "embed=methods")?;
        self.drop_methods(&before)?;
        // What goes makes room for what comes, but for models that old ones still refer to.
        let referred = self.drop_models()?;
        self.put_models()?;
        let validators = self.put_named("RequestValidator", &self.plan.validators)?;
        let authorizers = self.put_named("Authorizer", &self.plan.authorizers)?;
        self.put_gateway_responses()?;
        let resources = self.put_resources(&before)?;
        for method in &self.plan.methods {
            self.put_method(method, &resources, &authorizers, &validators)?;
        }
        if referred.is_some()
            && let Some(error) = self.drop_models()?
        {
            return Err(error);
        }
        self.put_documentation()?;
        self.import.check()
    }

    fn items(&mut self, operation: &str, query: &str) -> Result<Vec<Value>, ApiError> {
        all_items(self.import.change, Service::V1, operation, &[self.api_id], query)
    }

    /// Methods that the plan puts anew; to overwrite, all, and the resources that the plan doesn't have.
    fn drop_methods(&mut self, before: &[Value]) -> Result<(), ApiError> {
        let planned: BTreeSet<(&str, &str)> =
            self.plan.methods.iter().map(|method| (&*method.path, &*method.http_method)).collect();
        for resource in before {
            let (id, path) = (text(resource, "id"), text(resource, "path"));
            for name in resource["resourceMethods"].as_object().into_iter().flat_map(|methods| methods.keys())
            {
                if self.overwrite || planned.contains(&(path.as_str(), name.as_str())) {
                    self.import.call("DeleteMethod", &[self.api_id, &id, name], &Value::Null)?;
                }
            }
        }
        let kept: BTreeSet<&str> = self.plan.resources.iter().map(|(path, _)| path.as_str()).collect();
        let mut gone: Vec<&Value> =
            before.iter().filter(|resource| !kept.contains(&*text(resource, "path"))).collect();
        // Those below first: a resource takes what is below it along.
        gone.sort_by_key(|resource| std::cmp::Reverse(text(resource, "path")));
        for resource in gone.into_iter().filter(|_| self.overwrite) {
            self.import.call("DeleteResource", &[self.api_id, &text(resource, "id")], &Value::Null)?;
        }
        Ok(())
    }

    /// Models that go round in a circle begin empty, so that each can refer to the others.
    fn put_models(&mut self) -> Result<(), ApiError> {
        let mut there: BTreeSet<String> =
            self.items("GetModels", "")?.iter().map(|model| text(model, "name")).collect();
        let mut unfinished = Vec::new();
        for model in &self.plan.models {
            let whole = model.references().iter().all(|name| there.contains(name));
            let known = there.contains(&model.name);
            if !known {
                let schema = if whole { model.schema(self.api_id) } else { "{}".to_owned() };
                let members =
                    json!({"name": model.name, "contentType": "application/json", "schema": schema});
                let what = format!("create model for '{}'", model.name);
                let made = self.import.run(&model.place, &what, "CreateModel", &[self.api_id], &members)?;
                if made.is_none() {
                    continue;
                }
            }
            there.insert(model.name.clone());
            if known || !whole {
                unfinished.push(model);
            }
        }
        unfinished.into_iter().try_for_each(|model| self.update_model(model))
    }

    fn update_model(&mut self, model: &PlannedModel) -> Result<(), ApiError> {
        let patch = json!({"op": "replace", "path": "/schema", "value": model.schema(self.api_id)});
        let what = format!("update model '{}'", model.name);
        let members = json!({"patchOperations": [patch]});
        self.import.run(&model.place, &what, "UpdateModel", &[self.api_id, &model.name], &members)?;
        Ok(())
    }

    /// To overwrite, drops models that nothing of the plan is, in any order in which none is still referred to. What
    /// keeps the rest.
    fn drop_models(&mut self) -> Result<Option<ApiError>, ApiError> {
        if !self.overwrite {
            return Ok(None);
        }
        let kept: BTreeSet<&str> = self.plan.models.iter().map(|model| model.name.as_str()).collect();
        let mut gone: Vec<String> = self.items("GetModels", "")?.iter().map(|m| text(m, "name")).collect();
        gone.retain(|name| !kept.contains(name.as_str()));
        while !gone.is_empty() {
            let (before, mut refused) = (gone.len(), None);
            let mut left = Vec::new();
            for name in gone {
                match self.import.call("DeleteModel", &[self.api_id, &name], &Value::Null) {
                    Ok(_) => {}
                    Err(error) if error.status == 409 => {
                        left.push(name);
                        refused = Some(error);
                    }
                    Err(error) => return Err(error),
                }
            }
            gone = left;
            if let Some(error) = refused.filter(|_| gone.len() == before) {
                return Ok(Some(error));
            }
        }
        Ok(None)
    }

    /// The ids by name, of what has an id of its own.
    fn put_named(&mut self, noun: &str, planned: &[Planned]) -> Result<BTreeMap<String, String>, ApiError> {
        let kept: BTreeSet<&str> = planned.iter().map(|planned| planned.name.as_str()).collect();
        let mut before: BTreeMap<String, Value> = BTreeMap::new();
        for entity in self.items(&format!("Get{noun}s"), "")? {
            let (id, name) = (text(&entity, "id"), text(&entity, "name"));
            if self.overwrite && !kept.contains(name.as_str()) {
                self.import.call(&format!("Delete{noun}"), &[self.api_id, &id], &Value::Null)?;
            } else {
                before.insert(name, entity);
            }
        }
        let mut ids = BTreeMap::new();
        for Planned { place, name, members } in planned {
            let mut known = before.remove(name);
            if let Some(other) = known.take_if(|known| self.overwrite && !is_patchable(known, members)) {
                let parameters = [self.api_id, &text(&other, "id")];
                self.import.call(&format!("Delete{noun}"), &parameters, &Value::Null)?;
            }
            let done = match &known {
                None => {
                    let what = format!("create {noun} '{name}'");
                    self.import.run(place, &what, &format!("Create{noun}"), &[self.api_id], members)?
                }
                Some(known) => {
                    let what = format!("update {noun} '{name}'");
                    let patches = patches_of(known, members);
                    let parameters = [self.api_id, &text(known, "id")];
                    self.import.run(place, &what, &format!("Update{noun}"), &parameters, &patches)?
                }
            };
            ids.extend(done.map(|done| (name.clone(), text(&done, "id"))));
        }
        Ok(ids)
    }

    /// AWS lists those that are the default's, too.
    fn put_gateway_responses(&mut self) -> Result<(), ApiError> {
        let planned: BTreeSet<&str> =
            self.plan.gateway_responses.iter().map(|response| response.name.as_str()).collect();
        for response in self.items("GetGatewayResponses", "")? {
            let kind = text(&response, "responseType");
            if self.overwrite && response["defaultResponse"] != true && !planned.contains(kind.as_str()) {
                self.import.call("DeleteGatewayResponse", &[self.api_id, &kind], &Value::Null)?;
            }
        }
        for Planned { place, name, members } in &self.plan.gateway_responses {
            let what = format!("put the gateway response {name}");
            self.import.run(place, &what, "PutGatewayResponse", &[self.api_id, name], members)?;
        }
        Ok(())
    }

    /// The ids by path.
    fn put_resources(&mut self, before: &[Value]) -> Result<BTreeMap<String, String>, ApiError> {
        let mut ids: BTreeMap<String, String> =
            before.iter().map(|resource| (text(resource, "path"), text(resource, "id"))).collect();
        for (path, place) in &self.plan.resources {
            if ids.contains_key(path) {
                continue;
            }
            let (parent, part) = path.rsplit_once('/').unwrap_or_default();
            let parent = if parent.is_empty() { "/" } else { parent };
            // A parent that couldn't be has been told of.
            let Some(parent) = ids.get(parent).cloned() else { continue };
            let what = format!("create resource at path '{path}'");
            let parameters = [self.api_id, &parent];
            let members = json!({"pathPart": part});
            let made = self.import.run(place, &what, "CreateResource", &parameters, &members)?;
            ids.extend(made.map(|made| (path.clone(), text(&made, "id"))));
        }
        Ok(ids)
    }

    fn put_method(
        &mut self,
        method: &PlannedMethod,
        resources: &BTreeMap<String, String>,
        authorizers: &BTreeMap<String, String>,
        validators: &BTreeMap<String, String>,
    ) -> Result<(), ApiError> {
        let PlannedMethod { place, path, http_method, .. } = method;
        let Some(resource) = resources.get(path) else { return Ok(()) };
        let mut members = method.members.clone();
        for (name, wanted, ids) in [
            ("authorizerId", &method.authorizer, authorizers),
            ("requestValidatorId", &method.validator, validators),
        ] {
            match wanted.as_ref().map(|wanted| ids.get(wanted)) {
                None => {}
                Some(Some(id)) => members[name] = id.as_str().into(),
                // What couldn't be has been told of.
                Some(None) => return Ok(()),
            }
        }
        let parameters = [self.api_id, resource, http_method];
        let of = format!("'{http_method}' on resource at path '{path}'");
        let put = self.import.run(place, &format!("put method {of}"), "PutMethod", &parameters, &members)?;
        if put.is_none() {
            return Ok(());
        }
        for response in &method.responses {
            let parameters = [self.api_id, resource, http_method, &response.status_code];
            let what = format!("put the response {} of method {of}", response.status_code);
            self.import.run(&response.place, &what, "PutMethodResponse", &parameters, &response.members)?;
        }
        method.integration.as_ref().map_or(Ok(()), |planned| self.put_integration(planned, &parameters, &of))
    }

    fn put_integration(
        &mut self,
        planned: &PlannedIntegration,
        parameters: &[&str; 3],
        of: &str,
    ) -> Result<(), ApiError> {
        let PlannedIntegration { place, members, responses } = planned;
        let what = format!("put integration {of}");
        if self.import.run(place, &what, "PutIntegration", parameters, members)?.is_none() {
            return Ok(());
        }
        for response in responses {
            let [api_id, resource, method] = parameters;
            let parameters = [*api_id, *resource, *method, &response.status_code];
            let what = format!("put integration response {} {of}", response.status_code);
            self.import.run(
                &response.place,
                &what,
                "PutIntegrationResponse",
                &parameters,
                &response.members,
            )?;
        }
        Ok(())
    }

    fn put_documentation(&mut self) -> Result<(), ApiError> {
        let Some(parts) = &self.plan.documentation else { return Ok(()) };
        let place = Place::default().at("x-amazon-apigateway-documentation");
        let document = json!({
            "swagger": "2.0",
            "x-amazon-apigateway-documentation": {"documentationParts": parts},
        });
        let query = if self.overwrite { "mode=overwrite" } else { "mode=merge" };
        let call = Call { query: query.to_owned(), ..Call::inner(&[self.api_id], &document) };
        let what = "import the documentation parts";
        let done = self.import.run_call(&place, what, "ImportDocumentationParts", &call)?;
        for warning in done.iter().flat_map(|done| done["warnings"].as_array().into_iter().flatten()) {
            self.import.problems.warn(&place, warning.as_str().unwrap_or_default());
        }
        Ok(())
    }
}

/// AWS has no patch for how tokens are checked, nor one that takes away what only functions, or only user pools, have.
fn is_patchable(before: &Value, after: &Value) -> bool {
    let asked = |authorizer: &Value| match authorizer["type"].as_str() {
        Some("TOKEN" | "REQUEST") => "a function".to_owned(),
        kind => kind.unwrap_or_default().to_owned(),
    };
    asked(before) == asked(after) && before.get("jwtConfiguration") == after.get("jwtConfiguration")
}
