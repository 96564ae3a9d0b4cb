//! `TestInvokeMethod`: calls a method's integration from here, as the data plane would for a client, and says what came of
//! each step. Nobody is asked whether the client may, and bodies aren't validated. Integrations that the data plane can't
//! run yet are refused by their type.

mod endpoint;
mod log;
mod mapping;
mod request;
mod response;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::super::call::Call;
use super::super::error::ApiError;
use crate::change::Control;
use endpoint::Fault;
use log::Log;
use request::Plan;

/// An operation that does more than look at the configuration or change it.
pub(in super::super) type Invocation = Pin<Box<dyn Future<Output = Result<Value, ApiError>> + Send>>;

/// What stands for the stage, which a test has none of; AWS's name.
const STAGE: &str = "test-invoke-stage";

pub(in super::super) fn invoke(control: Arc<Control>, call: Call) -> Invocation {
    Box::pin(async move {
        let plan = control.read_async(move |view| Plan::of(view, &call)).await?;
        let bytes_max = control.settings().quotas.test_invoke_body_bytes_max;
        Ok(run(plan, bytes_max).await)
    })
}

/// What the client would get.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Outcome {
    status: u16,
    /// In the order in which they came.
    headers: Vec<(String, String)>,
    body: String,
}

impl Outcome {
    /// What the gateway says itself.
    fn refusal(status: u16, error_type: &str, message: &str) -> Self {
        Self {
            status,
            headers: vec![("x-amzn-ErrorType".to_owned(), error_type.to_owned())],
            body: json!({"message": message}).to_string(),
        }
    }
}

async fn run(plan: Plan, bytes_max: usize) -> Value {
    let began = Instant::now();
    let mut log = Log::begin(&plan);
    let timeout = Duration::from_millis(u64::from(plan.timeout_ms));
    let called = tokio::time::timeout(timeout, endpoint::call(&plan, bytes_max)).await;
    let outcome = match called.unwrap_or(Err(Fault::Timeout(plan.timeout_ms))) {
        Ok(answered) => {
            log.answered(&answered, began.elapsed());
            response::of(&plan.rules, answered).unwrap_or_else(|why| {
                log.line(&why);
                Outcome::refusal(500, "InternalServerErrorException", "Internal server error")
            })
        }
        Err(fault) => {
            log.line(&format!("Execution failed due to configuration error: {fault}"));
            fault.outcome()
        }
    };
    let latency_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let log = log.end(&outcome);
    answer(&outcome, log, latency_ms)
}

fn answer(outcome: &Outcome, log: String, latency_ms: u64) -> Value {
    let mut all: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, value) in &outcome.headers {
        all.entry(name).or_default().push(value);
    }
    // Of several values of one name, the last.
    let last: Map<String, Value> =
        all.iter().map(|(name, values)| ((*name).to_owned(), values.last().copied().into())).collect();
    json!({
        "body": outcome.body,
        "headers": last,
        "latency": latency_ms,
        "log": log,
        "multiValueHeaders": all,
        "status": outcome.status,
    })
}
