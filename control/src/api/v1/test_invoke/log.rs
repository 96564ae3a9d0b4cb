//! What a test says of itself, as an execution log would: one line a step.

use std::time::Duration;

use super::Outcome;
use super::endpoint::Answered;
use super::request::Plan;
use crate::time::{iso8601, now_s};

/// Longer bodies are cut off in the log, which isn't where they are looked at.
const BODY_CHARS_MAX: usize = 10_000;

#[derive(Debug)]
pub(super) struct Log {
    request_id: String,
    text: String,
}

impl Log {
    /// Of the method's request and of what is made of it.
    pub(super) fn begin(plan: &Plan) -> Self {
        let (client, request_id) = (&plan.client, plan.request_id.clone());
        let mut log = Self { text: format!("Execution log for request {request_id}\n"), request_id };
        log.line(&format!("Starting execution for request: {}", log.request_id));
        log.line(&format!("HTTP Method: {}, Resource Path: {}", client.method, client.path));
        log.line(&format!("Method request path: {}", pairs(client.path_parameters.iter())));
        log.line(&format!("Method request query string: {{{}}}", client.query));
        log.line(&format!("Method request headers: {}", headers(&client.headers)));
        log.line(&format!("Method request body before transformations: {}", cut(&client.body)));
        log.line(&format!("Endpoint request URI: {}", plan.uri()));
        log.line(&format!("Endpoint request headers: {}", headers(&plan.headers)));
        log.line(&format!("Endpoint request body after transformations: {}", cut(&client.body)));
        log.line(&format!("Sending request to {}", plan.uri()));
        log
    }

    pub(super) fn answered(&mut self, answered: &Answered, latency: Duration) {
        let (status, latency_ms) = (answered.status, latency.as_millis());
        self.line(&format!("Received response. Status: {status}, Integration latency: {latency_ms} ms"));
        self.line(&format!("Endpoint response headers: {}", headers(&answered.headers)));
        self.line(&format!("Endpoint response body before transformations: {}", cut(&answered.body)));
    }

    pub(super) fn end(mut self, outcome: &Outcome) -> String {
        self.line(&format!("Method response body after transformations: {}", cut(&outcome.body)));
        self.line(&format!("Method response headers: {}", headers(&outcome.headers)));
        self.line(&format!("Method completed with status: {}", outcome.status));
        self.text
    }

    pub(super) fn line(&mut self, text: &str) {
        self.text.push_str(&format!("{} : {text}\n", iso8601(now_s())));
    }
}

fn headers(headers: &[(String, String)]) -> String {
    let shown = headers.iter().map(|(name, value)| {
        let secret = ["authorization", "x-api-key", "cookie", "set-cookie"]
            .iter()
            .any(|s| name.eq_ignore_ascii_case(s));
        (name, if secret { "***" } else { value.as_str() })
    });
    pairs(shown)
}

fn pairs<N: std::fmt::Display, V: std::fmt::Display>(pairs: impl Iterator<Item = (N, V)>) -> String {
    let texts: Vec<String> = pairs.map(|(name, value)| format!("{name}={value}")).collect();
    format!("{{{}}}", texts.join(", "))
}

fn cut(body: &str) -> String {
    match body.char_indices().nth(BODY_CHARS_MAX) {
        None => body.to_owned(),
        Some((at, _)) => format!("{} [TRUNCATED]", &body[..at]),
    }
}
