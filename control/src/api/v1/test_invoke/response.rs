//! From the integration's answer to what the client gets.

use std::collections::BTreeMap;

use regex_lite::Regex;

use super::super::super::error::ApiError;
use super::Outcome;
use super::endpoint::{Answered, is_of_connection};
use super::mapping::Client;
use crate::model::{IntegrationResponse, Method, RestIntegration, RestIntegrationKind};

const METHOD_RESPONSE_HEADER: &str = "method.response.header.";
const INTEGRATION_RESPONSE_HEADER: &str = "integration.response.header.";
/// What REST APIs rename, as AWS does.
const REMAPPED: [&str; 3] = ["date", "server", "www-authenticate"];

/// What becomes of an answer.
#[derive(Debug)]
pub(super) enum Rules {
    /// It is passed on.
    Proxy,
    /// The first rule that fits decides.
    Mapped(Vec<Rule>),
}

#[derive(Debug)]
pub(super) struct Rule {
    /// Fits the integration's status; `None` fits every one that no other does.
    pattern: Option<Regex>,
    status: u16,
    /// By header.
    headers: BTreeMap<String, Source>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Values(Vec<String>),
    Header(String),
}

impl Rules {
    /// # Errors
    /// When a response needs what can't be done yet.
    pub(super) fn of(
        method: &Method,
        integration: &RestIntegration,
        client: &Client,
    ) -> Result<Self, ApiError> {
        if integration.kind == RestIntegrationKind::HttpProxy {
            return Ok(Self::Proxy);
        }
        let rules =
            integration.responses.iter().map(|(status, response)| rule(method, status, response, client));
        let mut rules = rules.collect::<Result<Vec<_>, _>>()?;
        // The default response is asked last.
        rules.sort_by_key(|rule| rule.pattern.is_none());
        Ok(Self::Mapped(rules))
    }
}

fn rule(
    method: &Method,
    status: &str,
    response: &IntegrationResponse,
    client: &Client,
) -> Result<Rule, ApiError> {
    if !response.templates.is_empty() {
        return Err(ApiError::unsupported(
            "TestInvokeMethod of an integration of type HTTP with responseTemplates",
        ));
    }
    if response.content_handling.is_some() {
        return Err(ApiError::unsupported("TestInvokeMethod of an integration with contentHandling"));
    }
    let pattern = response.selection_pattern.as_deref().filter(|pattern| !pattern.is_empty());
    let pattern = pattern.map(|pattern| Regex::new(&format!("^(?:{pattern})$"))).transpose();
    let pattern = pattern.map_err(|error| ApiError::bad_request(format!("selectionPattern: {error}")))?;
    let declared = method.responses.get(status);
    let mut headers = BTreeMap::new();
    for (target, source) in &response.parameters {
        let known = declared.is_some_and(|declared| declared.parameters.contains_key(target));
        if let Some(name) = target.strip_prefix(METHOD_RESPONSE_HEADER).filter(|_| known) {
            headers.insert(name.to_owned(), parse_source(source, client)?);
        }
    }
    let status =
        status.parse().map_err(|_| ApiError::bad_request(format!("Invalid status code '{status}'")))?;
    Ok(Rule { pattern, status, headers })
}

fn parse_source(source: &str, client: &Client) -> Result<Source, ApiError> {
    match source.strip_prefix(INTEGRATION_RESPONSE_HEADER) {
        Some(name) => Ok(Source::Header(name.to_owned())),
        None => client.values(source).map(Source::Values),
    }
}

/// # Errors
/// Says that no rule fits, as AWS does.
pub(super) fn of(rules: &Rules, answered: Answered) -> Result<Outcome, String> {
    match rules {
        Rules::Proxy => Ok(passed_on(answered)),
        Rules::Mapped(rules) => {
            let status = answered.status.to_string();
            let fits = |rule: &&Rule| rule.pattern.as_ref().is_none_or(|pattern| pattern.is_match(&status));
            let rule = rules.iter().find(fits).ok_or_else(|| {
                format!(
                    "Execution failed due to configuration error: No match for output mapping and no default output \
                     mapping configured. Endpoint Response Status Code: {status}"
                )
            })?;
            Ok(mapped(rule, answered))
        }
    }
}

fn passed_on(answered: Answered) -> Outcome {
    let rename =
        |(name, value): (String, String)| match REMAPPED.contains(&name.to_ascii_lowercase().as_str()) {
            true => (format!("x-amzn-Remapped-{name}"), value),
            false => (name, value),
        };
    let passing = answered.headers.into_iter().filter(|(name, _)| !is_of_connection(name));
    Outcome { status: answered.status, headers: passing.map(rename).collect(), body: answered.body }
}

fn mapped(rule: &Rule, answered: Answered) -> Outcome {
    let content_type = answered.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    let mut headers: Vec<(String, String)> = Vec::new();
    for (name, source) in &rule.headers {
        let values: Vec<String> = match source {
            Source::Values(values) => values.clone(),
            Source::Header(wanted) => {
                let found = answered.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
                found.map(|(_, value)| value.clone()).collect()
            }
        };
        headers.extend(values.into_iter().map(|value| (name.clone(), value)));
    }
    let named = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    headers.extend(content_type.filter(|_| !named).cloned());
    Outcome { status: rule.status, headers, body: answered.body }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16) -> Answered {
        let headers =
            [("Date", "now"), ("X", "1"), ("X", "2"), ("Connection", "close"), ("Content-Type", "a/b")];
        Answered {
            status,
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            body: "body".to_owned(),
        }
    }

    fn names(outcome: &Outcome) -> Vec<&str> {
        outcome.headers.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn a_proxy_passes_on_what_is_not_of_the_connection() {
        let outcome = of(&Rules::Proxy, answered(404)).expect("passed on");
        assert_eq!((outcome.status, outcome.body.as_str()), (404, "body"));
        assert_eq!(names(&outcome), ["x-amzn-Remapped-Date", "X", "X", "Content-Type"]);
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let mut method = Method::default();
        let mut integration = crate::model::RestIntegration {
            kind: RestIntegrationKind::Http,
            ..serde_json::from_str(
                r#"{"method":"GET","uri":"http://h","timeout_ms":50,"request_parameters":{},
                    "passthrough_behavior":"NEVER","cache_namespace":""}"#,
            )
            .expect("an integration")
        };
        let header = |name: &str| format!("{METHOD_RESPONSE_HEADER}{name}");
        let mut all = |status: &str, pattern: Option<&str>, parameters: &[(&str, &str)]| {
            let response = method.responses.entry(status.to_owned()).or_default();
            response.parameters.extend(parameters.iter().map(|(name, _)| (header(name), false)));
            let parameters =
                parameters.iter().map(|(name, source)| (header(name), (*source).to_owned())).collect();
            let selection_pattern = pattern.map(str::to_owned);
            let response =
                IntegrationResponse { selection_pattern, parameters, ..IntegrationResponse::default() };
            integration.responses.insert(status.to_owned(), response);
        };
        all("200", None, &[("y", "integration.response.header.x"), ("z", "'c'")]);
        all("400", Some("4\\d{2}"), &[]);
        let rules = Rules::of(&method, &integration, &Client::default()).expect("rules");
        let good = of(&rules, answered(201)).expect("the default");
        assert_eq!((good.status, names(&good)), (200, vec!["y", "y", "z", "Content-Type"]));
        assert_eq!(of(&rules, answered(404)).expect("a rule").status, 400);
        integration.responses.remove("200");
        let rules = Rules::of(&method, &integration, &Client::default()).expect("rules");
        assert!(of(&rules, answered(200)).expect_err("no rule").contains("Status Code: 200"));
    }
}
