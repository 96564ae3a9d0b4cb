//! `IntegrationResponse`: what an integration's answer is turned into. WebSocket APIs only.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::call::{Call, compact};
use super::super::error::ApiError;
use super::super::members::Members;
use super::integrations::CONTENT_HANDLING;
use super::responses::{Response, owner, put, take_key};
use super::{
    EXPRESSION_CHARS_MAX, MAPPING_CHARS_MAX, TEMPLATE_CHARS_MAX, check_entries, check_room, not_on, part_id,
};
use crate::change::{Change, View};
use crate::model::{
    ApiProtocol, HttpApi, HttpIntegration, HttpIntegrationResponse, check_message_response_mapping,
    check_selection,
};

/// What can select a template of an answer.
const ROOTS: [&str; 4] = [
    "request.body",
    "integration.response.statuscode",
    "integration.response.header.",
    "integration.response.multivalueheader.",
];

pub(in super::super) fn create(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let (api, integration) = owner::<HttpIntegrationResponse>(change, call)?;
    if api.protocol == ApiProtocol::Http {
        return Err(not_on(api.protocol, "An integration response"));
    }
    if integration.kind.is_proxy() {
        return Err(ApiError::bad_request(format!(
            "{} integrations have no integration responses: their upstream's answers are passed on as they are",
            integration.kind.name()
        )));
    }
    let mut members = call.members()?;
    let response = HttpIntegrationResponse {
        id: part_id()?,
        key: take_key::<HttpIntegrationResponse>(&mut members)?,
        content_handling: None,
        parameters: BTreeMap::new(),
        templates: BTreeMap::new(),
        template_selection: None,
    };
    let max = change.settings.quotas.responses_per_integration_max;
    let count = integration.responses.len();
    check_room(count, max, "integration", "integration responses", "responses_per_integration_max")?;
    put(change, &api, integration, response, members)
}

impl Response for HttpIntegrationResponse {
    type Owner = HttpIntegration;

    const NOUN: &'static str = "IntegrationResponse";
    const KEY: &'static str = "integrationResponseKey";

    fn all(owner: &HttpIntegration) -> &BTreeMap<String, Self> {
        &owner.responses
    }

    fn all_mut(owner: &mut HttpIntegration) -> &mut BTreeMap<String, Self> {
        &mut owner.responses
    }

    fn id(&self) -> &str {
        &self.id
    }

    fn key(&self) -> &str {
        &self.key
    }

    fn set_key(&mut self, key: String) {
        self.key = key;
    }

    /// `$default`, or an expression between slashes.
    fn check_key(&self) -> Result<(), ApiError> {
        let key = &self.key;
        let is_expression = key.len() > 2 && key.starts_with('/') && key.ends_with('/');
        match key == "$default" || is_expression {
            true => Ok(()),
            false => Err(ApiError::bad_request(format!(
                "{} has to be $default, or an expression between slashes such as /2\\d\\d/, not '{key}'",
                Self::KEY
            ))),
        }
    }

    fn apply(&mut self, _: &View<'_>, _: &HttpApi, members: &mut Members) -> Result<(), ApiError> {
        members.set_choice("contentHandlingStrategy", &CONTENT_HANDLING, &mut self.content_handling)?;
        let selection = &mut self.template_selection;
        members.set_text("templateSelectionExpression", EXPRESSION_CHARS_MAX, selection)?;
        selection
            .as_deref()
            .map_or(Ok(()), |text| check_selection(text, &ROOTS))
            .map_err(ApiError::bad_request)?;
        if let Some(templates) = members.texts("responseTemplates", TEMPLATE_CHARS_MAX)? {
            check_entries(templates.len(), "responseTemplates")?;
            self.templates = templates;
        }
        if let Some(parameters) = members.texts("responseParameters", MAPPING_CHARS_MAX)? {
            check_entries(parameters.len(), "responseParameters")?;
            for (key, value) in &parameters {
                check_message_response_mapping(key, value).map_err(ApiError::bad_request)?;
            }
            self.parameters = parameters;
        }
        Ok(())
    }

    fn answer(&self) -> Value {
        let some = |map: &BTreeMap<String, String>| (!map.is_empty()).then(|| map.clone());
        compact(json!({
            "contentHandlingStrategy": self.content_handling,
            "integrationResponseId": self.id,
            "integrationResponseKey": self.key,
            "responseParameters": some(&self.parameters),
            "responseTemplates": some(&self.templates),
            "templateSelectionExpression": self.template_selection,
        }))
    }
}
