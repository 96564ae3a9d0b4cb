//! `Integration` of a method: put, get, update, delete.

mod check;

use serde_json::{Map, Value, json};

use super::super::call::{Call, compact};
use super::super::error::ApiError;
use super::super::members::Members;
use super::method_responses::change_method;
use super::patch::{self, ADD_REMOVE, ADD_REPLACE_REMOVE, Op, Patch, REPLACE, Table, Wording, rule};
use super::{NAME_CHARS_MAX, URI_CHARS_MAX, api, integration_responses, method, resource};
use crate::change::{Change, View};
use crate::model::{RestIntegration, RestIntegrationKind};
use check::{Place, check};

const TIMEOUT_MS_MIN: u32 = 50;
const INPUT: &str = "putIntegrationInput";
const PASSTHROUGH_BEHAVIORS: [&str; 3] = ["WHEN_NO_MATCH", "WHEN_NO_TEMPLATES", "NEVER"];
pub(super) const CONTENT_HANDLINGS: [&str; 2] = ["CONVERT_TO_BINARY", "CONVERT_TO_TEXT"];
const CONNECTION_TYPES: [&str; 2] = ["INTERNET", "VPC_LINK"];
const RESPONSE_TRANSFER_MODES: [&str; 2] = ["BUFFERED", "STREAM"];
const TEMPLATE_CHARS_MAX: usize = 307_200;

/// Replaces the integration that the method had, with its responses.
pub(in super::super) fn put(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    change_method(change, call, |view, _, method| {
        let integration = take(view, call.members()?, call.parameter(1))?;
        check(view, &Place::of(call), method, &integration)?;
        let answer = answer(&integration);
        method.integration = Some(integration);
        Ok(answer)
    })
}

pub(in super::super) fn get(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    Ok(answer(&of_call(view, call)?))
}

/// The integration that the path names.
pub(in super::super) fn of_call(view: &View<'_>, call: &Call) -> Result<RestIntegration, ApiError> {
    let api = api(view, call.parameter(0))?;
    let mut resource = resource(view, &api.id, call.parameter(1))?;
    method(&mut resource, call.parameter(2))?.integration.take().ok_or_else(no_integration)
}

pub(in super::super) fn update(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    change_method(change, call, |view, _, method| {
        let mut integration = method.integration.take().ok_or_else(no_integration)?;
        patch::apply(&PATCHES, &mut integration, call.members()?, answer)?;
        check(view, &Place::of(call), method, &integration)?;
        let answer = answer(&integration);
        method.integration = Some(integration);
        Ok(answer)
    })
}

pub(in super::super) fn delete(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    change_method(change, call, |_, _, method| {
        method.integration.take().ok_or_else(no_integration)?;
        Ok(Value::Null)
    })?;
    change.trim_targets(call.parameter(0));
    Ok(Value::Null)
}

pub(super) fn no_integration() -> ApiError {
    ApiError::not_found("Invalid Integration identifier specified")
}

fn take(view: &View<'_>, mut members: Members, resource_id: &str) -> Result<RestIntegration, ApiError> {
    let kinds = RestIntegrationKind::ALL.map(RestIntegrationKind::name);
    let kind = members.enumerated(INPUT, "type", &kinds)?;
    let kind = kind.as_deref().and_then(RestIntegrationKind::named);
    let kind = kind.ok_or_else(|| ApiError::bad_request("type is required and can't be empty"))?;
    let ceiling = view.settings.quotas.integration_timeout_ms_max;
    let behavior = members.choice("passthroughBehavior", &PASSTHROUGH_BEHAVIORS)?;
    let integration = RestIntegration {
        kind,
        method: members.text("httpMethod", NAME_CHARS_MAX)?,
        uri: members.text("uri", URI_CHARS_MAX)?,
        timeout_ms: members.integer("timeoutInMillis", TIMEOUT_MS_MIN..=ceiling)?.unwrap_or(ceiling),
        request_parameters: members.strings("requestParameters")?.unwrap_or_default(),
        request_templates: members.strings_or_null("requestTemplates")?.unwrap_or_default(),
        passthrough_behavior: behavior.unwrap_or_else(|| PASSTHROUGH_BEHAVIORS[0].to_owned()),
        content_handling: members.enumerated(INPUT, "contentHandling", &CONTENT_HANDLINGS)?,
        credentials: members.text("credentials", URI_CHARS_MAX)?,
        cache_namespace: members
            .text("cacheNamespace", NAME_CHARS_MAX)?
            .unwrap_or_else(|| resource_id.to_owned()),
        cache_key_parameters: members.list("cacheKeyParameters")?.unwrap_or_default(),
        connection_id: take_connection(&mut members)?,
        integration_target: members.text("integrationTarget", URI_CHARS_MAX)?,
        insecure_skip_verification: take_tls_config(&mut members)?,
        // Bodies always stream here, which gives everything that buffering promises.
        response_transfer_mode: members.enumerated(
            INPUT,
            "responseTransferMode",
            &RESPONSE_TRANSFER_MODES,
        )?,
        responses: std::collections::BTreeMap::new(),
    };
    members.finish()?;
    Ok(integration)
}

/// `connectionType` and `connectionId`, which go together.
fn take_connection(members: &mut Members) -> Result<Option<String>, ApiError> {
    let kind = members.enumerated(INPUT, "connectionType", &CONNECTION_TYPES)?;
    let id = members.text("connectionId", NAME_CHARS_MAX)?;
    match (kind.as_deref(), id) {
        (Some("VPC_LINK"), id) => Ok(Some(id.unwrap_or_default())),
        (_, Some(_)) => Err(ApiError::bad_request("connectionId needs connectionType VPC_LINK")),
        (_, None) => Ok(None),
    }
}

/// Whether an upstream's certificate may be of any issuer.
fn take_tls_config(members: &mut Members) -> Result<bool, ApiError> {
    let Some(mut config) = members.object("tlsConfig")? else { return Ok(false) };
    let insecure = config.boolean("insecureSkipVerification")?.unwrap_or(false);
    config.finish()?;
    Ok(insecure)
}

/// AWS's table lacks `/credentials`, which AWS takes.
const PATCHES: Table<RestIntegration> = Table {
    input: "updateIntegrationInput",
    wording: Wording::Bare,
    rules: &[
        rule("/cacheKeyParameters", ADD_REMOVE, |integration, patch| {
            let name = patch.required_text(NAME_CHARS_MAX)?;
            patch_cache_key(integration, patch.op, &name)
        }),
        rule("/cacheKeyParameters/{name}", ADD_REPLACE_REMOVE, |integration, patch| {
            patch_cache_key(integration, patch.op, patch.name())
        }),
        rule("/cacheNamespace", REPLACE, |integration, patch| {
            integration.cache_namespace = patch.required_text(NAME_CHARS_MAX)?;
            Ok(())
        }),
        rule("/connectionId", REPLACE, |integration, patch| {
            let id = patch.optional_text(NAME_CHARS_MAX)?;
            // Without one, the type has to be or become INTERNET.
            integration.connection_id = id.or(integration.connection_id.is_some().then(String::new));
            Ok(())
        }),
        rule("/connectionType", REPLACE, patch_connection_type),
        rule("/contentHandling", REPLACE, |integration, patch| {
            integration.content_handling = patch_content_handling(patch)?;
            Ok(())
        }),
        rule("/credentials", REPLACE, |integration, patch| {
            integration.credentials = patch.optional_text(URI_CHARS_MAX)?;
            Ok(())
        }),
        rule("/httpMethod", REPLACE, |integration, patch| {
            refuse_for_mock(integration, patch)?;
            integration.method = patch.optional_text(NAME_CHARS_MAX)?;
            Ok(())
        }),
        rule("/integrationTarget", REPLACE, |integration, patch| {
            integration.integration_target = patch.optional_text(URI_CHARS_MAX)?;
            Ok(())
        }),
        rule("/passthroughBehavior", REPLACE, |integration, patch| {
            integration.passthrough_behavior = patch.choice(&PASSTHROUGH_BEHAVIORS)?;
            Ok(())
        }),
        rule("/requestParameters/{name}", ADD_REPLACE_REMOVE, |integration, patch| {
            patch_text(&mut integration.request_parameters, patch)
        }),
        rule("/requestTemplates/{type}", ADD_REPLACE_REMOVE, |integration, patch| {
            patch_text(&mut integration.request_templates, patch)
        }),
        rule("/responseTransferMode", REPLACE, |integration, patch| {
            integration.response_transfer_mode = Some(patch.choice(&RESPONSE_TRANSFER_MODES)?);
            Ok(())
        }),
        rule("/timeoutInMillis", REPLACE, |integration, patch| {
            integration.timeout_ms = patch.integer(TIMEOUT_MS_MIN..=u32::MAX)?;
            Ok(())
        }),
        rule("/tlsConfig/insecureSkipVerification", REPLACE, |integration, patch| {
            integration.insecure_skip_verification = patch.boolean()?;
            Ok(())
        }),
        rule("/uri", REPLACE, |integration, patch| {
            refuse_for_mock(integration, patch)?;
            integration.uri = patch.optional_text(URI_CHARS_MAX)?;
            Ok(())
        }),
    ],
};

fn patch_cache_key(integration: &mut RestIntegration, op: Op, name: &str) -> Result<(), ApiError> {
    let parameters = &mut integration.cache_key_parameters;
    let known = parameters.iter().any(|parameter| parameter == name);
    if op == Op::Remove && !known {
        return Err(ApiError::not_found(format!("Invalid cache key parameter specified: {name}")));
    }
    match op {
        Op::Remove => parameters.retain(|parameter| parameter != name),
        _ if known => {}
        _ => parameters.push(name.to_owned()),
    }
    Ok(())
}

/// The id of the link can come before or after.
fn patch_connection_type(integration: &mut RestIntegration, patch: &Patch) -> Result<(), ApiError> {
    integration.connection_id = match patch.choice(&CONNECTION_TYPES)?.as_str() {
        "VPC_LINK" => Some(integration.connection_id.take().unwrap_or_default()),
        _ => None,
    };
    Ok(())
}

fn refuse_for_mock(integration: &RestIntegration, patch: &Patch) -> Result<(), ApiError> {
    match integration.kind {
        RestIntegrationKind::Mock => Err(ApiError::bad_request(format!(
            "Invalid patch path {}: an integration of the type MOCK has none",
            patch.path()
        ))),
        _ => Ok(()),
    }
}

/// An empty value unsets it.
pub(super) fn patch_content_handling(patch: &Patch) -> Result<Option<String>, ApiError> {
    match patch.value()? {
        "" => Ok(None),
        _ => patch.choice(&CONTENT_HANDLINGS).map(Some),
    }
}

/// A parameter's source, or a content type's template, which can be empty.
pub(super) fn patch_text(
    texts: &mut std::collections::BTreeMap<String, String>,
    patch: &Patch,
) -> Result<(), ApiError> {
    let known = texts.contains_key(patch.name());
    if patch.op == Op::Remove {
        texts.remove(patch.name());
        return match known {
            true => Ok(()),
            false => Err(ApiError::not_found(format!("Invalid patch path {}: there is none", patch.path()))),
        };
    }
    let text = if patch.has_value() { patch.text(TEMPLATE_CHARS_MAX)? } else { String::new() };
    texts.insert(patch.name().to_owned(), text);
    Ok(())
}

pub(super) fn answer(integration: &RestIntegration) -> Value {
    let responses = integration.responses.iter();
    let responses: Map<String, Value> =
        responses.map(|(code, r)| (code.clone(), integration_responses::answer(code, r))).collect();
    let parameters = &integration.request_parameters;
    let tls = integration.insecure_skip_verification.then(|| json!({"insecureSkipVerification": true}));
    compact(json!({
        "cacheKeyParameters": integration.cache_key_parameters,
        "cacheNamespace": integration.cache_namespace,
        "connectionId": integration.connection_id,
        "connectionType": connection_type(integration),
        "contentHandling": integration.content_handling,
        "credentials": integration.credentials,
        "httpMethod": integration.method,
        "integrationResponses": (!responses.is_empty()).then_some(responses),
        "integrationTarget": integration.integration_target,
        "passthroughBehavior": integration.passthrough_behavior,
        "requestParameters": (!parameters.is_empty()).then_some(parameters),
        "requestTemplates": templates_answer(&integration.request_templates),
        "responseTransferMode": integration.response_transfer_mode,
        "timeoutInMillis": integration.timeout_ms,
        "tlsConfig": tls,
        "type": integration.kind.name(),
        "uri": integration.uri,
    }))
}

/// AWS says it of HTTP integrations, and of all that lead through a link.
fn connection_type(integration: &RestIntegration) -> Option<&'static str> {
    match &integration.connection_id {
        Some(_) => Some("VPC_LINK"),
        None => integration.kind.is_http().then_some("INTERNET"),
    }
}

/// An empty template is `null`, as in AWS.
pub(super) fn templates_answer(templates: &std::collections::BTreeMap<String, String>) -> Option<Value> {
    let shown = |text: &String| if text.is_empty() { Value::Null } else { text.as_str().into() };
    let templates: Map<String, Value> =
        templates.iter().map(|(content_type, text)| (content_type.clone(), shown(text))).collect();
    (!templates.is_empty()).then_some(templates.into())
}
