//! `GatewayResponse`: put, get, list, update, delete. Those that nobody customised have AWS's defaults.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::call::{Call, compact, page_answer};
use super::super::error::ApiError;
use super::parts::page_of;
use super::patch::{self, ADD_REPLACE_REMOVE, Op, Patch, REPLACE_REMOVE, Table, Wording, rule};
use super::{NAME_CHARS_MAX, PAGING, api};
use crate::change::{Change, View};
use crate::model::{GatewayResponse, gateway_response_types};

const PARAMETERS_MAX: usize = 100;
const TEMPLATES_MAX: usize = 100;
/// An arbitrary bound, that of a mapping template in AWS.
const TEMPLATE_CHARS_MAX: usize = 300 * 1_024;
const TARGET_PREFIX: &str = "gatewayresponse.header.";
/// What a header's value can come of, beside a constant in quotes.
const SOURCE_PREFIXES: [&str; 8] = [
    "context.",
    "stageVariables.",
    "method.request.body",
    "method.request.header.",
    "method.request.multivalueheader.",
    "method.request.multivaluequerystring.",
    "method.request.path.",
    "method.request.querystring.",
];

/// Replaces all of what was customised before.
pub(in super::super) fn put(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let (api_id, response) = of_call(change, call)?;
    let mut members = call.members()?;
    let status = members.string("statusCode", NAME_CHARS_MAX)?.filter(|text| !text.is_empty());
    let response = GatewayResponse {
        response_type: response.response.response_type,
        status: status.map(|text| parse_status(&text)).transpose()?,
        parameters: members.strings("responseParameters")?.unwrap_or_default(),
        templates: members.strings("responseTemplates")?.unwrap_or_default(),
    };
    members.finish()?;
    keep(change, &api_id, response)
}

pub(in super::super) fn get(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    Ok(answer(&of_call(view, call)?.1))
}

/// All types, whether customised or not.
pub(in super::super) fn list(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    let api = api(view, call.parameter(0))?;
    let paging = call.paging(&PAGING)?;
    let custom: Vec<GatewayResponse> = view.tx.parts(&api.id)?;
    let mut custom: BTreeMap<String, GatewayResponse> =
        custom.into_iter().map(|response| (response.response_type.clone(), response)).collect();
    let all = gateway_response_types().filter_map(|name| shown(name, custom.remove(name)));
    let page = page_of(all.collect(), &paging, |shown| &shown.response.response_type);
    Ok(page_answer(&page, &PAGING, answer))
}

const PATCHES: Table<GatewayResponse> = Table {
    input: "updateGatewayResponseInput",
    wording: Wording::Listed,
    rules: &[
        rule("/statusCode", REPLACE_REMOVE, |response, patch| {
            let text = patch.optional_text(NAME_CHARS_MAX)?;
            response.status = text.map(|text| parse_status(&text)).transpose()?;
            Ok(())
        }),
        rule("/responseParameters/{name}", ADD_REPLACE_REMOVE, |response, patch| {
            change_entry(&mut response.parameters, patch, "response parameter")
        }),
        rule("/responseTemplates/{contentType}", ADD_REPLACE_REMOVE, |response, patch| {
            change_entry(&mut response.templates, patch, "response template")
        }),
    ],
};

fn change_entry(entries: &mut BTreeMap<String, String>, patch: &Patch, noun: &str) -> Result<(), ApiError> {
    let name = patch.name().to_owned();
    match patch.op {
        Op::Remove => match entries.remove(&name) {
            Some(_) => Ok(()),
            None => Err(ApiError::not_found(format!("Invalid {noun} '{name}' specified"))),
        },
        _ => {
            entries.insert(name, patch.text(TEMPLATE_CHARS_MAX)?);
            Ok(())
        }
    }
}

/// What is changed of a default customises the type.
pub(in super::super) fn update(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let (api_id, Showing { mut response, .. }) = of_call(change, call)?;
    let as_shown =
        |response: &GatewayResponse| answer(&Showing { response: response.clone(), is_default: false });
    patch::apply(&PATCHES, &mut response, call.members()?, as_shown)?;
    keep(change, &api_id, response)
}

/// Back to the default.
pub(in super::super) fn delete(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let (api_id, found) = of_call(change, call)?;
    if found.is_default {
        return Err(ApiError::not_found("Gateway response type not defined on api"));
    }
    change.tx.delete_part::<GatewayResponse>(&api_id, &found.response.response_type)?;
    Ok(Value::Null)
}

fn keep(change: &Change<'_>, api_id: &str, response: GatewayResponse) -> Result<Value, ApiError> {
    check(&response)?;
    change.tx.put_part(api_id, &response)?;
    Ok(custom_answer(&response))
}

/// What is answered about one that isn't the default.
pub(super) fn custom_answer(response: &GatewayResponse) -> Value {
    answer(&Showing { response: response.clone(), is_default: false })
}

/// A response as an answer has it.
struct Showing {
    response: GatewayResponse,
    is_default: bool,
}

fn shown(response_type: &str, custom: Option<GatewayResponse>) -> Option<Showing> {
    match custom {
        Some(response) => Some(Showing { response, is_default: false }),
        None => {
            GatewayResponse::default_of(response_type).map(|response| Showing { response, is_default: true })
        }
    }
}

/// The API's id, and the response that the path names.
fn of_call(view: &View<'_>, call: &Call) -> Result<(String, Showing), ApiError> {
    let api = api(view, call.parameter(0))?;
    let name = call.parameter(1);
    let found = shown(name, view.tx.part(&api.id, name)?).ok_or_else(|| {
        let names = gateway_response_types().collect::<Vec<_>>().join(", ");
        ApiError::validation(&[format!(
            "Value '{name}' at 'responseType' failed to satisfy constraint: Member must satisfy enum value set: [{names}]"
        )])
    })?;
    Ok((api.id, found))
}

fn parse_status(text: &str) -> Result<u16, ApiError> {
    let status = text.parse().ok().filter(|status| text.len() == 3 && (100..600).contains(status));
    status.ok_or_else(|| ApiError::bad_request(format!("statusCode has to be 100 to 599, not '{text}'")))
}

fn check(response: &GatewayResponse) -> Result<(), ApiError> {
    if response.parameters.len() > PARAMETERS_MAX || response.templates.len() > TEMPLATES_MAX {
        return Err(ApiError::bad_request(format!(
            "A gateway response can have at most {PARAMETERS_MAX} parameters and {TEMPLATES_MAX} templates"
        )));
    }
    if let Some((name, _)) =
        response.templates.iter().find(|(_, text)| text.chars().count() > TEMPLATE_CHARS_MAX)
    {
        return Err(ApiError::bad_request(format!(
            "The template for {name} can have at most {TEMPLATE_CHARS_MAX} characters"
        )));
    }
    let invalid = |text: &str| ApiError::bad_request(format!("Invalid mapping expression specified: {text}"));
    for (target, source) in &response.parameters {
        if !target.strip_prefix(TARGET_PREFIX).is_some_and(is_token) {
            return Err(invalid(target));
        }
        if !is_source(source) {
            return Err(invalid(source));
        }
    }
    Ok(())
}

fn is_source(source: &str) -> bool {
    let constant = source.len() >= 2 && source.starts_with('\'') && source.ends_with('\'');
    constant || SOURCE_PREFIXES.iter().any(|prefix| source.starts_with(prefix))
}

/// RFC 9110 5.6.2.
fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

fn answer(showing: &Showing) -> Value {
    let GatewayResponse { response_type, status, parameters, templates } = &showing.response;
    compact(json!({
        "defaultResponse": showing.is_default,
        "responseParameters": parameters,
        "responseTemplates": templates,
        "responseType": response_type,
        "statusCode": status.map(|status| status.to_string()),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_and_their_sources() {
        let with = |target: &str, source: &str| {
            let mut response = GatewayResponse::default_of("THROTTLED").expect("a type");
            response.parameters.insert(target.to_owned(), source.to_owned());
            check(&response)
        };
        for source in ["'*'", "''", "context.requestId", "stageVariables.x", "method.request.header.h"] {
            assert_eq!(with("gatewayresponse.header.Retry-After", source), Ok(()), "{source}");
        }
        for (target, source) in [
            ("gatewayresponse.header.", "'x'"),
            ("gatewayresponse.header.a b", "'x'"),
            ("integration.response.header.a", "'x'"),
            ("gatewayresponse.header.a", "x"),
            ("gatewayresponse.header.a", "'x"),
            ("gatewayresponse.header.a", "'"),
            ("gatewayresponse.header.a", "integration.response.body"),
        ] {
            assert!(with(target, source).is_err(), "{target} {source}");
        }
    }

    #[test]
    fn statuses() {
        assert_eq!(parse_status("429"), Ok(429));
        for text in ["99", "600", "4xx", "+99", "0404", ""] {
            assert!(parse_status(text).is_err(), "{text}");
        }
    }
}
