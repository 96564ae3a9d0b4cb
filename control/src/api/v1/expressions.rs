//! Mapping expressions of methods and integrations: what names a parameter, and what fills one. Source: 'Request and
//! response data mapping reference' in AWS's developer guide.

use std::collections::BTreeMap;

use super::super::error::ApiError;
use crate::model::{INTEGRATION_REQUEST, METHOD_REQUEST, METHODS, Method, MethodResponse};

const PARAMETERS_MAX: usize = 100;
/// AWS's.
const TEMPLATE_CHARS_MAX: usize = 307_200;
const METHOD_RESPONSE: &str = "method.response.header.";

/// A method's declared parameters, such as `method.request.header.x`.
pub(super) fn check_method_parameters(parameters: &BTreeMap<String, bool>) -> Result<(), ApiError> {
    check_count(parameters.len(), "requestParameters")?;
    let mut names = std::collections::BTreeSet::new();
    for parameter in parameters.keys() {
        let locations = ["path.", "querystring.", "header."];
        let name = after(parameter, METHOD_REQUEST, &locations).ok_or_else(|| malformed(parameter))?;
        if !names.insert(name) {
            return Err(ApiError::bad_request(
                "Parameter names must be unique across querystring, header and path",
            ));
        }
    }
    Ok(())
}

/// What an integration's request is filled with, out of what the method declares.
pub(super) fn check_request_parameters(
    method: &Method,
    parameters: &BTreeMap<String, String>,
) -> Result<(), ApiError> {
    check_count(parameters.len(), "requestParameters")?;
    for (target, source) in parameters {
        after(target, INTEGRATION_REQUEST, &["path.", "querystring.", "header."])
            .ok_or_else(|| malformed(target))?;
        check_request_source(method, source)?;
    }
    Ok(())
}

fn check_request_source(method: &Method, source: &str) -> Result<(), ApiError> {
    if is_free_source(source) || is_body(source, "method.request.body") {
        return Ok(());
    }
    let declared = declared_name(source).ok_or_else(|| malformed(source))?;
    match method.request_parameters.contains_key(&declared) {
        true => Ok(()),
        false => Err(undeclared(source)),
    }
}

/// The name under which a method declares what an expression reads: a header's values together are the header's.
fn declared_name(source: &str) -> Option<String> {
    let rest = source.strip_prefix(METHOD_REQUEST)?;
    let (location, name) = rest.split_once('.').filter(|(_, name)| !name.is_empty())?;
    let location = match location {
        "multivalueheader" => "header",
        "multivaluequerystring" => "querystring",
        "path" | "querystring" | "header" => location,
        _ => return None,
    };
    Some(format!("{METHOD_REQUEST}{location}.{name}"))
}

/// A cache's key is made of parameters that the method declares, or the integration's request has.
pub(super) fn check_cache_key_parameters(
    method: &Method,
    request_parameters: &BTreeMap<String, String>,
    parameters: &[String],
) -> Result<(), ApiError> {
    check_count(parameters.len(), "cacheKeyParameters")?;
    let known =
        |name: &String| method.request_parameters.contains_key(name) || request_parameters.contains_key(name);
    match parameters.iter().find(|name| !known(name)) {
        None => Ok(()),
        Some(name) => Err(ApiError::bad_request(format!("Invalid cache key parameter specified: {name}"))),
    }
}

/// The headers that a method declares for a response, such as `method.response.header.x`.
pub(super) fn check_response_headers(parameters: &BTreeMap<String, bool>) -> Result<(), ApiError> {
    check_count(parameters.len(), "responseParameters")?;
    match parameters.keys().find(|name| after(name, METHOD_RESPONSE, &[""]).is_none()) {
        None => Ok(()),
        Some(name) => Err(malformed(name)),
    }
}

/// What the headers that a method's response declares are filled with.
pub(super) fn check_response_parameters(
    response: Option<&MethodResponse>,
    parameters: &BTreeMap<String, String>,
) -> Result<(), ApiError> {
    check_count(parameters.len(), "responseParameters")?;
    for (target, source) in parameters {
        after(target, METHOD_RESPONSE, &[""]).ok_or_else(|| malformed(target))?;
        let response = response.ok_or_else(|| invalid_mapping("No method response exists for method."))?;
        if !response.parameters.contains_key(target) {
            return Err(undeclared(target));
        }
        let headers = ["header.", "multivalueheader."];
        let known = is_free_source(source)
            || after(source, "integration.response.", &headers).is_some()
            || is_body(source, "integration.response.body");
        if !known {
            return Err(malformed(source));
        }
    }
    Ok(())
}

/// Templates by content type.
pub(super) fn check_templates(member: &str, templates: &BTreeMap<String, String>) -> Result<(), ApiError> {
    check_count(templates.len(), member)?;
    for (content_type, template) in templates {
        check_content_type(content_type)?;
        if template.chars().count() > TEMPLATE_CHARS_MAX {
            return Err(ApiError::bad_request(format!(
                "The template for {content_type} in {member} can have at most {TEMPLATE_CHARS_MAX} characters"
            )));
        }
    }
    Ok(())
}

/// Models by content type.
pub(super) fn check_content_types(member: &str, models: &BTreeMap<String, String>) -> Result<(), ApiError> {
    check_count(models.len(), member)?;
    models.keys().try_for_each(|content_type| check_content_type(content_type))
}

fn check_content_type(content_type: &str) -> Result<(), ApiError> {
    let halves = content_type.split_once('/');
    if content_type == "$default" || halves.is_some_and(|(kind, rest)| !kind.is_empty() && !rest.is_empty()) {
        return Ok(());
    }
    let message = format!("Invalid content type specified: {content_type}");
    Err(ApiError::bad_request(format!("Validation Result: warnings : [], errors : [{message}]")))
}

/// One of AWS's methods, or `ANY`.
pub(super) fn check_http_method(name: &str) -> Result<(), ApiError> {
    match METHODS.contains(&name) {
        true => Ok(()),
        false => Err(ApiError::bad_request(
            "Invalid HttpMethod specified. Valid options are GET,PUT,POST,DELETE,PATCH,OPTIONS,HEAD,ANY",
        )),
    }
}

/// Three digits, as AWS's model has them.
pub(super) fn check_status_code(code: &str) -> Result<(), ApiError> {
    let bytes = code.as_bytes();
    if bytes.len() == 3 && (b'1'..=b'5').contains(&bytes[0]) && bytes.iter().all(u8::is_ascii_digit) {
        return Ok(());
    }
    Err(ApiError::validation(&[format!(
        "Value '{code}' at 'statusCode' failed to satisfy constraint: Member must satisfy regular expression pattern: \
         [1-5]\\d\\d"
    )]))
}

/// What can be read anywhere: a text in quotes, the context, a stage variable.
fn is_free_source(source: &str) -> bool {
    let quoted = source.len() >= 2 && source.starts_with('\'') && source.ends_with('\'');
    let named = ["context.", "stageVariables."].iter().any(|prefix| after(source, prefix, &[""]).is_some());
    quoted || named
}

/// The body, or what a JSON path finds in it.
fn is_body(source: &str, body: &str) -> bool {
    source.strip_prefix(body).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// The name that follows the prefix and one of the locations.
fn after<'t>(text: &'t str, prefix: &str, locations: &[&str]) -> Option<&'t str> {
    let rest = text.strip_prefix(prefix)?;
    locations.iter().find_map(|location| rest.strip_prefix(location)).filter(|name| !name.is_empty())
}

fn check_count(count: usize, member: &str) -> Result<(), ApiError> {
    match count {
        0..=PARAMETERS_MAX => Ok(()),
        _ => Err(ApiError::bad_request(format!("{member} can have at most {PARAMETERS_MAX} entries"))),
    }
}

fn malformed(expression: &str) -> ApiError {
    invalid_mapping(&format!("Invalid mapping expression specified: {expression}"))
}

fn undeclared(parameter: &str) -> ApiError {
    invalid_mapping(&format!("Invalid mapping expression parameter specified: {parameter}"))
}

fn invalid_mapping(error: &str) -> ApiError {
    ApiError::bad_request(format!(
        "Invalid mapping expression specified: Validation Result: warnings : [], errors : [{error}]"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs<V: Clone>(pairs: &[(&str, V)]) -> BTreeMap<String, V> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
    }

    #[test]
    fn methods_declare_what_is_in_a_request() {
        let check = |names: &[&str]| {
            let named: Vec<(&str, bool)> = names.iter().map(|name| (*name, true)).collect();
            check_method_parameters(&pairs(&named)).map_err(|error| error.message)
        };
        assert_eq!(check(&["method.request.path.id", "method.request.header.x-a.b"]), Ok(()));
        for bad in ["x", "method.request.body.x", "method.request.header.", "integration.request.header.x"] {
            let message = check(&[bad]).expect_err(bad);
            assert!(
                message.ends_with(&format!("errors : [Invalid mapping expression specified: {bad}]")),
                "{message}"
            );
        }
        let twice = check(&["method.request.querystring.id", "method.request.header.id"]);
        assert!(twice.expect_err("twice").contains("must be unique"));
    }

    #[test]
    fn integrations_are_filled_with_what_is_declared() {
        let method = Method {
            request_parameters: pairs(&[("method.request.header.a", true), ("method.request.path.id", true)]),
            ..Method::default()
        };
        let check = |target: &str, source: &str| {
            check_request_parameters(&method, &pairs(&[(target, source.to_owned())])).map_err(|e| e.message)
        };
        for source in [
            "method.request.header.a",
            "method.request.multivalueheader.a",
            "method.request.path.id",
            "method.request.body",
            "method.request.body.a.b",
            "'static'",
            "''",
            "context.identity.sourceIp",
            "stageVariables.x",
        ] {
            assert_eq!(check("integration.request.header.x", source), Ok(()), "{source}");
        }
        for source in
            ["method.request.header.b", "method.request.path.x", "method.request.multivaluequerystring.a"]
        {
            let message = check("integration.request.path.x", source).expect_err(source);
            assert!(message.contains(&format!("expression parameter specified: {source}")), "{message}");
        }
        for source in ["static", "'", "context.", "method.request.cookie.a", "", "method.request.bodyx"] {
            let message = check("integration.request.querystring.x", source).expect_err(source);
            assert!(message.contains(&format!("mapping expression specified: {source}]")), "{message}");
        }
        assert!(check("integration.request.body.x", "'a'").is_err());
    }

    #[test]
    fn responses_are_filled_with_what_is_declared() {
        let name = "method.response.header.a";
        let declared = MethodResponse { parameters: pairs(&[(name, false)]), ..MethodResponse::default() };
        let check = |response, target: &str, source: &str| {
            check_response_parameters(response, &pairs(&[(target, source.to_owned())])).map_err(|e| e.message)
        };
        for source in [
            "integration.response.header.x",
            "integration.response.multivalueheader.x",
            "integration.response.body",
            "integration.response.body.a[0].b",
            "'*'",
        ] {
            assert_eq!(check(Some(&declared), name, source), Ok(()), "{source}");
        }
        for (response, target, source, expected) in [
            (None, name, "'*'", "No method response exists for method."),
            (
                Some(&declared),
                "method.response.header.b",
                "'*'",
                "parameter specified: method.response.header.b",
            ),
            (
                Some(&declared),
                "method.response.body.b",
                "'*'",
                "expression specified: method.response.body.b",
            ),
            (
                Some(&declared),
                name,
                "method.request.header.a",
                "expression specified: method.request.header.a",
            ),
        ] {
            let message = check(response, target, source).expect_err(target);
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn status_codes_and_content_types() {
        for code in ["100", "200", "599"] {
            assert_eq!(check_status_code(code), Ok(()));
        }
        for code in ["600", "099", "20", "2000", "2xx", ""] {
            assert_eq!(check_status_code(code).expect_err(code).code, "ValidationException");
        }
        for good in ["application/json", "$default", "text/*"] {
            assert_eq!(check_content_type(good), Ok(()));
        }
        for bad in ["", "123", "/", "text/"] {
            assert!(check_content_type(bad).is_err(), "{bad}");
        }
    }
}
