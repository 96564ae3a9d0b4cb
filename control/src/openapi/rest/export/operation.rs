//! A method as an operation.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::super::super::integration::INTEGRATION;
use super::super::methods::{OTHER, PLAIN, REQUEST_VALIDATOR, UPPER};
use super::{Described, Dialect, ExportError, RestExport, insert, prefix, schemes};

/// A method, and what is exported of it.
struct Exported<'x, 'e> {
    export: &'x RestExport<'e>,
    described: &'x Described,
    resource: &'x Value,
    path: &'x str,
    name: &'x str,
    method: &'x Value,
}

pub(super) fn operation(
    export: &RestExport<'_>,
    described: &Described,
    resource: &Value,
    name: &str,
    method: &Value,
) -> Result<Value, ExportError> {
    let path = resource["path"].as_str().unwrap_or_default();
    let exported = Exported { export, described, resource, path, name, method };
    exported.operation()
}

impl Exported<'_, '_> {
    fn operation(&self) -> Result<Value, ExportError> {
        let mut operation = json!({});
        for (name, value) in self.described.of_method(self.path, self.name) {
            insert(&mut operation, name, value);
        }
        insert(&mut operation, "operationId", self.method["operationName"].clone());
        self.add_request(&mut operation)?;
        self.add_responses(&mut operation)?;
        insert(&mut operation, "security", self.security()?);
        if self.export.extensions.postman && self.method["authorizationType"] == "AWS_IAM" {
            operation["x-postman-meta"] = self.postman_meta();
        }
        if self.export.extensions.validators {
            insert(&mut operation, REQUEST_VALIDATOR, self.validator()?);
        }
        if self.export.extensions.integrations {
            insert(&mut operation, INTEGRATION, self.integration()?);
        }
        Ok(operation)
    }

    fn unsayable(&self, what: &str) -> ExportError {
        ExportError(format!("{} {}: {what}", self.name, self.path))
    }

    fn add_request(&self, operation: &mut Value) -> Result<(), ExportError> {
        let mut parameters = self.parameters();
        let models = self.method["requestModels"].as_object();
        if let Some(models) = models.filter(|models| !models.is_empty()) {
            let description = self.described.of_body(self.path, self.name);
            match self.export.dialect {
                Dialect::Swagger2 => {
                    let name = self.shared_model(models)?;
                    let mut body =
                        json!({"in": "body", "name": name, "required": true, "schema": self.reference(name)});
                    insert(&mut body, "description", description);
                    parameters.push(body);
                    operation["consumes"] = models.keys().cloned().collect();
                }
                Dialect::OpenApi30 => {
                    let mut body = json!({"content": self.content(models), "required": true});
                    insert(&mut body, "description", description);
                    operation["requestBody"] = body;
                }
            }
        }
        insert(operation, "parameters", parameters.into());
        Ok(())
    }

    fn parameters(&self) -> Vec<Value> {
        let declared = self.method["requestParameters"].as_object().into_iter().flatten();
        let parameter = |(full, required): (&String, &Value)| {
            let (location, name) = full.strip_prefix("method.request.")?.split_once('.')?;
            let (within, kind) = match location {
                "path" => ("path", "PATH_PARAMETER"),
                "querystring" => ("query", "QUERY_PARAMETER"),
                _ => ("header", "REQUEST_HEADER"),
            };
            let mut parameter = json!({"name": name, "in": within, "required": required});
            self.add_type(&mut parameter);
            let description = self.described.of_parameter(kind, self.path, self.name, name);
            insert(&mut parameter, "description", description);
            Some(parameter)
        };
        declared.filter_map(parameter).collect()
    }

    fn add_type(&self, parameter: &mut Value) {
        match self.export.dialect {
            Dialect::Swagger2 => parameter["type"] = "string".into(),
            Dialect::OpenApi30 => parameter["schema"] = json!({"type": "string"}),
        }
    }

    fn add_responses(&self, operation: &mut Value) -> Result<(), ExportError> {
        let mut responses = Map::new();
        let mut produces = BTreeSet::new();
        for (code, response) in self.method["methodResponses"].as_object().into_iter().flatten() {
            let mut written = json!({"description": self.described.of_response(self.path, self.name, code)});
            insert(&mut written, "headers", self.headers(code, response));
            let models = response["responseModels"].as_object();
            if let Some(models) = models.filter(|models| !models.is_empty()) {
                match self.export.dialect {
                    Dialect::Swagger2 => {
                        written["schema"] = self.reference(self.shared_model(models)?);
                        produces.extend(models.keys().cloned());
                    }
                    Dialect::OpenApi30 => written["content"] = self.content(models),
                }
            }
            responses.insert(code.clone(), written);
        }
        insert(operation, "produces", produces.into_iter().collect());
        operation["responses"] = responses.into();
        Ok(())
    }

    fn headers(&self, code: &str, response: &Value) -> Value {
        let declared = response["responseParameters"].as_object().into_iter().flatten();
        let header = |(full, required): (&String, &Value)| {
            let name = full.strip_prefix("method.response.header.")?;
            let mut header = json!({});
            self.add_type(&mut header);
            // Swagger 2 has no such member, and takes it for an extension of a kind.
            if required == true {
                header["required"] = true.into();
            }
            insert(&mut header, "description", self.described.of_header(self.path, self.name, code, name));
            Some((name.to_owned(), header))
        };
        Value::Object(declared.filter_map(header).collect())
    }

    fn reference(&self, model: &str) -> Value {
        json!({"$ref": format!("{}{model}", prefix(self.export.dialect))})
    }

    fn content(&self, models: &Map<String, Value>) -> Value {
        let schema = |model: &Value| json!({"schema": self.reference(model.as_str().unwrap_or_default())});
        Value::Object(models.iter().map(|(kind, model)| (kind.clone(), schema(model))).collect())
    }

    /// The one that Swagger 2 can have.
    fn shared_model<'m>(&self, models: &'m Map<String, Value>) -> Result<&'m str, ExportError> {
        let json = models.get("application/json").and_then(Value::as_str);
        let mut all = models.values().filter_map(Value::as_str);
        let first = all.next().unwrap_or_default();
        match json {
            Some(model) => Ok(model),
            None if all.all(|other| other == first) => Ok(first),
            None => {
                Err(self.unsayable("only found non-JSON body models, and Swagger 2 has one schema for all"))
            }
        }
    }

    fn security(&self) -> Result<Value, ExportError> {
        let mut security = Vec::new();
        match self.method["authorizationType"].as_str().unwrap_or("NONE") {
            "NONE" => {}
            "AWS_IAM" => security.push(json!({schemes::name(self.export, schemes::IAM): []})),
            kind => {
                let id = &self.method["authorizerId"];
                let authorizer = self.export.authorizers.iter().find(|authorizer| authorizer["id"] == *id);
                let name = authorizer.and_then(|authorizer| authorizer["name"].as_str());
                let name = name.ok_or_else(|| {
                    self.unsayable(&format!(
                        "the authorizer {id} of its authorization {kind} doesn't exist any more"
                    ))
                })?;
                let scopes = self.method.get("authorizationScopes").cloned().unwrap_or_else(|| json!([]));
                security.push(json!({name: scopes}));
            }
        }
        if self.method["apiKeyRequired"] == true {
            security.push(json!({schemes::name(self.export, schemes::API_KEY): []}));
        }
        Ok(security.into())
    }

    fn validator(&self) -> Result<Value, ExportError> {
        let Some(id) = self.method.get("requestValidatorId") else { return Ok(Value::Null) };
        let validator = self.export.validators.iter().find(|validator| validator["id"] == *id);
        match validator.and_then(|validator| validator.get("name")) {
            Some(name) => Ok(name.clone()),
            None => {
                Err(self
                    .unsayable(&format!("the request validator {id} has no name, or doesn't exist any more")))
            }
        }
    }

    fn postman_meta(&self) -> Value {
        json!({
            "currentHelper": "awsSigV4",
            "helperAttributes": {
                "id": "awsSigV4", "region": self.export.region, "saveToRequest": true, "service": "execute-api",
            },
        })
    }

    fn integration(&self) -> Result<Value, ExportError> {
        let Some(integration) = self.method.get("methodIntegration") else { return Ok(Value::Null) };
        let mut written = json!({});
        for name in PLAIN.into_iter().chain(UPPER).chain(OTHER) {
            let value = integration[name].clone();
            let value = match (name, value.as_str()) {
                // What a method has that says nothing of it.
                ("cacheNamespace", Some(_)) if value == self.resource["id"] => continue,
                ("type" | "passthroughBehavior", Some(text)) => text.to_ascii_lowercase().into(),
                _ => value,
            };
            insert(&mut written, name, value);
        }
        let mut responses = Map::new();
        for (code, response) in integration["integrationResponses"].as_object().into_iter().flatten() {
            let pattern = response["selectionPattern"].as_str().filter(|pattern| !pattern.is_empty());
            let pattern = pattern.unwrap_or("default");
            let mut members = json!({"statusCode": code});
            for name in ["contentHandling", "responseParameters", "responseTemplates"] {
                insert(&mut members, name, response[name].clone());
            }
            if responses.insert(pattern.to_owned(), members).is_some() {
                let what = format!("two responses of its integration have the selection pattern '{pattern}'");
                return Err(self.unsayable(&what));
            }
        }
        insert(&mut written, "responses", responses.into());
        Ok(written)
    }
}
