//! Parameter mapping: what an integration changes of a request before it is sent, and of an answer before it is given.
//! HTTP APIs say `overwrite:header.x` (AWS: 'Transforming API requests and responses'), WebSocket APIs
//! `integration.request.header.x` (AWS: 'Setting up data mapping for WebSocket APIs').

use super::selection::check_variables;

const REQUEST_ROOTS: [&str; 6] = [
    "request.header.",
    "request.querystring.",
    "request.body",
    "request.path",
    "context.",
    "stageVariables.",
];
const RESPONSE_ROOTS: [&str; 4] = ["response.header.", "response.body", "context.", "stageVariables."];

/// Headers that no mapping may touch; AWS's list. A `*` at the end stands for anything.
const RESERVED_HEADERS: [&str; 22] = [
    "access-control-*",
    "apigw-*",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-location",
    "forwarded",
    "keep-alive",
    "origin",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailers",
    "transfer-encoding",
    "upgrade",
    "x-amz-*",
    "x-amzn-*",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "via",
];

/// A mapping of an HTTP API's request.
///
/// # Errors
/// Says what is wrong with the key or the value.
pub fn check_request_mapping(key: &str, value: &str) -> Result<(), String> {
    let known = match key.split_once(':') {
        Some(("overwrite", "path")) => true,
        Some(("append" | "overwrite" | "remove", place)) => match place.split_once('.') {
            Some(("header", name)) => return check_header_mapping(key, name, value, &REQUEST_ROOTS),
            Some(("querystring", name)) => !name.is_empty(),
            _ => false,
        },
        _ => false,
    };
    if !known {
        return Err(format!(
            "Invalid mapping expression parameter specified: '{key}'. Write append:, overwrite: or remove: and header.NAME \
             or querystring.NAME, or overwrite:path"
        ));
    }
    check_value(key, value, &REQUEST_ROOTS)
}

/// A mapping of an HTTP API's answers with the status code.
///
/// # Errors
/// Says what is wrong with the status code, the key or the value.
pub fn check_response_mapping(status: &str, key: &str, value: &str) -> Result<(), String> {
    check_status(status)?;
    match key.split_once(':') {
        Some(("overwrite", "statuscode")) => match value.parse::<u16>() {
            Ok(code) if !(200..=599).contains(&code) => {
                Err(format!("overwrite:statuscode has to be 200 to 599, not {code}"))
            }
            _ => check_value(key, value, &RESPONSE_ROOTS),
        },
        Some(("append" | "overwrite" | "remove", place)) if place.starts_with("header.") => {
            check_header_mapping(key, &place["header.".len()..], value, &RESPONSE_ROOTS)
        }
        _ => Err(format!(
            "Invalid mapping expression parameter specified: '{key}'. Write append:, overwrite: or remove: and \
             header.NAME, or overwrite:statuscode"
        )),
    }
}

/// The status codes that answers can be mapped by.
///
/// # Errors
/// Says which these are.
pub fn check_status(status: &str) -> Result<(), String> {
    match status.parse::<u16>() {
        Ok(code) if (200..=599).contains(&code) && status.len() == 3 => Ok(()),
        _ => Err(format!("The keys of responseParameters are status codes from 200 to 599, not '{status}'")),
    }
}

/// What a subtype's parameter gets.
///
/// # Errors
/// Says what is wrong with the value.
pub fn check_action_parameter(key: &str, value: &str) -> Result<(), String> {
    check_value(key, value, &REQUEST_ROOTS)
}

/// A mapping of a WebSocket API's request.
///
/// # Errors
/// Says what is wrong with the key or the value.
pub fn check_message_mapping(key: &str, value: &str) -> Result<(), String> {
    const PLACES: [&str; 5] = ["header", "multivalueheader", "querystring", "multivaluequerystring", "path"];
    let place = key.strip_prefix("integration.request.").and_then(|rest| rest.split_once('.'));
    if !place.is_some_and(|(place, name)| PLACES.contains(&place) && is_parameter_name(name)) {
        return Err(format!(
            "Invalid mapping expression parameter specified: '{key}'. Write integration.request. and header, querystring or \
             path (or multivalueheader, multivaluequerystring) and a name"
        ));
    }
    let is_request = |rest: &str| {
        rest == "body"
            || rest.strip_prefix("body.").is_some_and(|path| !path.is_empty())
            || rest
                .split_once('.')
                .is_some_and(|(place, name)| PLACES.contains(&place) && is_parameter_name(name))
    };
    check_source(value, &["route.request.", "method.request."], is_request)
}

/// A mapping of what a WebSocket API's integration answers.
///
/// # Errors
/// Says what is wrong with the key or the value.
pub fn check_message_response_mapping(key: &str, value: &str) -> Result<(), String> {
    let name = ["route.response.header.", "method.response.header."].iter().find_map(|p| key.strip_prefix(p));
    if !name.is_some_and(is_parameter_name) {
        return Err(format!(
            "Invalid mapping expression parameter specified: '{key}'. Write route.response.header. or \
             method.response.header. and a name"
        ));
    }
    let is_response = |rest: &str| {
        rest == "body"
            || rest.strip_prefix("body.").is_some_and(|path| !path.is_empty())
            || ["header.", "multivalueheader."]
                .iter()
                .any(|place| rest.strip_prefix(place).is_some_and(is_parameter_name))
    };
    check_source(value, &["integration.response."], is_response)
}

/// The key of a parameter that a WebSocket route takes: `route.request.header.x`.
///
/// # Errors
/// Says what it has to look like.
pub fn check_route_parameter(key: &str) -> Result<(), String> {
    const PLACES: [&str; 4] = ["header", "multivalueheader", "querystring", "multivaluequerystring"];
    let place = key.strip_prefix("route.request.").and_then(|rest| rest.split_once('.'));
    match place.is_some_and(|(place, name)| PLACES.contains(&place) && is_parameter_name(name)) {
        true => Ok(()),
        false => Err(format!(
            "Invalid mapping expression specified: '{key}': a request parameter is route.request. and header, querystring, \
             multivalueheader or multivaluequerystring and a name"
        )),
    }
}

/// A static value in quotes, or a variable.
fn check_source(value: &str, prefixes: &[&str], is_known: impl Fn(&str) -> bool) -> Result<(), String> {
    let quoted = value.len() > 1 && value.starts_with('\'') && value.ends_with('\'');
    let of_prefix = |prefix: &&str| value.strip_prefix(*prefix).is_some_and(&is_known);
    let named = |prefix: &str| value.strip_prefix(prefix).is_some_and(is_parameter_name);
    if quoted || prefixes.iter().any(of_prefix) || named("context.") || named("stageVariables.") {
        return Ok(());
    }
    Err(format!(
        "Invalid mapping expression specified: '{value}': it has to be 'a static value' in quotes, or begin with {}, context. or \
         stageVariables.",
        prefixes.join(", ")
    ))
}

fn check_header_mapping(key: &str, name: &str, value: &str, roots: &[&str]) -> Result<(), String> {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(format!("Invalid mapping expression parameter specified: '{key}' names no header"));
    }
    let lower = name.to_ascii_lowercase();
    let reserved = RESERVED_HEADERS.iter().any(|reserved| match reserved.strip_suffix('*') {
        Some(prefix) => lower.starts_with(prefix),
        None => lower == *reserved,
    });
    if reserved {
        return Err(format!("Operations on header {name} are restricted: '{key}'"));
    }
    check_value(key, value, roots)
}

/// What a removal is given means nothing; AWS's examples write `''`.
fn check_value(key: &str, value: &str, roots: &[&str]) -> Result<(), String> {
    if key.starts_with("remove:") {
        return Ok(());
    }
    check_variables(value, roots)
        .map_err(|why| format!("Invalid mapping expression specified for '{key}': '{value}': {why}"))
}

fn is_parameter_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._$-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_http_apis() {
        for (key, value) in [
            ("append:header.h", "$context.requestId"),
            ("overwrite:querystring.q", "${request.path.a} and ${request.header.b}"),
            ("remove:querystring.q", "''"),
            ("overwrite:path", "/a/$request.path.id"),
            ("overwrite:path", "$request.path"),
            ("overwrite:header.h", "static"),
            ("append:header.h", "$request.body.a"),
        ] {
            assert_eq!(check_request_mapping(key, value), Ok(()), "{key} {value}");
        }
        for (key, value, expected) in [
            ("append:path", "/", "parameter specified"),
            ("overwrite:header.", "x", "names no header"),
            ("overwrite:header.a b", "x", "names no header"),
            ("overwrite:header.Authorization", "x", "restricted"),
            ("append:header.X-Amz-Date", "x", "restricted"),
            ("set:header.h", "x", "parameter specified"),
            ("header.h", "x", "parameter specified"),
            ("overwrite:querystring.", "x", "parameter specified"),
            ("overwrite:statuscode", "200", "parameter specified"),
            ("append:header.h", "$response.header.x", "$response.header.x"),
            ("append:header.h", "$context.", "$context."),
        ] {
            let error = check_request_mapping(key, value).expect_err(key);
            assert!(error.contains(expected), "{key}: {error}");
        }
    }

    #[test]
    fn answers_of_http_apis() {
        for (status, key, value) in [
            ("500", "overwrite:statuscode", "403"),
            ("404", "append:header.error", "$stageVariables.environmentId"),
            ("200", "overwrite:header.a", "$response.body"),
            ("200", "remove:header.a", "''"),
        ] {
            assert_eq!(check_response_mapping(status, key, value), Ok(()), "{key}");
        }
        for (status, key, value) in [
            ("199", "append:header.a", "x"),
            ("600", "append:header.a", "x"),
            ("2xx", "append:header.a", "x"),
            ("+20", "append:header.a", "x"),
            ("200", "overwrite:statuscode", "99"),
            ("200", "append:querystring.a", "x"),
            ("200", "append:header.via", "x"),
            ("200", "append:header.a", "$request.header.x"),
        ] {
            assert!(check_response_mapping(status, key, value).is_err(), "{status} {key} {value}");
        }
    }

    #[test]
    fn messages_of_websocket_apis() {
        for (key, value) in [
            ("integration.request.header.connectionId", "context.connectionId"),
            ("integration.request.header.authToken", "route.request.querystring.authToken"),
            ("integration.request.querystring.stage", "'value1'"),
            ("integration.request.path.op", "route.request.body.a.b"),
            ("integration.request.header.a", "stageVariables.x"),
            ("integration.request.header.a", "route.request.body"),
        ] {
            assert_eq!(check_message_mapping(key, value), Ok(()), "{key} {value}");
        }
        for (key, value) in [
            ("integration.request.body.a", "'x'"),
            ("integration.request.header.", "'x'"),
            ("overwrite:header.a", "'x'"),
            ("integration.request.header.a", "x"),
            ("integration.request.header.a", "'"),
            ("integration.request.header.a", "route.request.cookie.x"),
            ("integration.request.header.a", "$context.x"),
        ] {
            assert!(check_message_mapping(key, value).is_err(), "{key} {value}");
        }
        assert_eq!(
            check_message_response_mapping("method.response.header.a", "integration.response.body.x"),
            Ok(())
        );
        assert_eq!(check_message_response_mapping("route.response.header.a", "'x'"), Ok(()));
        assert!(check_message_response_mapping("method.response.body.a", "'x'").is_err());
        assert!(check_message_response_mapping("method.response.header.a", "route.request.body").is_err());
    }

    #[test]
    fn parameters_of_routes() {
        assert_eq!(check_route_parameter("route.request.querystring.auth-Token"), Ok(()));
        for key in ["route.request.body.x", "route.request.header.", "header.x", "route.request.path.x"] {
            assert!(check_route_parameter(key).is_err(), "{key}");
        }
    }
}
