//! `audit`: asks a running control for its audit log, and prints it as a table or as JSON.

use clap::{Args, ValueEnum};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::{Answer, Caller};
use super::serve::say;
use super::targets::{Endpoint, told};
use crate::change::{AuditRecord, AuditedDocument};

const PATH: &str = "/turnpike/v1/audit";
/// Most records of one call.
const PAGE_RECORDS: usize = 500;
/// Documents that a line of the table names.
const NAMED_DOCUMENTS: usize = 3;

#[derive(Debug, Args)]
pub(super) struct AuditArgs {
    /// Only what this user did, or was refused; `root` is the root access key
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Only this operation, such as UpdateStage
    #[arg(long, value_name = "NAME")]
    operation: Option<String>,
    /// Only resources whose ARN has this in it, such as restapis/a1b2c3
    #[arg(long, value_name = "TEXT")]
    resource: Option<String>,
    /// Only from this time on: 2026-11-21T08:00:00Z, 2026-11-21, or seconds since 1970
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only before this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// At most so many records, the newest
    #[arg(long, value_name = "RECORDS", default_value_t = 100)]
    limit: usize,
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    output: Output,
    #[command(flatten)]
    endpoint: Endpoint,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A line a record
    Table,
    /// Whole records, with the documents before and after
    Json,
}

/// One page as control answers it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    records: Vec<Value>,
    next_token: Option<String>,
}

pub(super) async fn run(args: AuditArgs) -> Result<(), String> {
    let called = args.endpoint.resolve()?;
    let caller = called.caller();
    let mut records: Vec<Value> = Vec::new();
    let mut token = None;
    loop {
        let wanted = (args.limit - records.len()).min(PAGE_RECORDS);
        let page = page_of(&caller, &args.query(wanted, token.as_deref())).await?;
        records.extend(page.records);
        token = page.next_token;
        if token.is_none() || records.len() >= args.limit {
            break;
        }
    }
    match args.output {
        Output::Table => say(&table(records)?),
        Output::Json => {
            let text = serde_json::to_string_pretty(&json!({"records": records}));
            say(&text.map_err(|error| error.to_string())?)
        }
    }
}

async fn page_of(caller: &Caller<'_>, query: &str) -> Result<Page, String> {
    let answer: Answer = caller.call("GET", &format!("{PATH}?{query}"), b"").await?;
    let text = told(&answer)?.unwrap_or_default();
    serde_json::from_str(&text).map_err(|error| format!("the answer can't be read: {error}"))
}

impl AuditArgs {
    fn query(&self, limit: usize, token: Option<&str>) -> String {
        let limit = limit.max(1).to_string();
        let pairs = [
            ("user", self.user.as_deref()),
            ("operation", self.operation.as_deref()),
            ("resource", self.resource.as_deref()),
            ("since", self.since.as_deref()),
            ("until", self.until.as_deref()),
            ("maxResults", Some(limit.as_str())),
            ("nextToken", token),
        ];
        let given = pairs.into_iter().filter_map(|(name, value)| {
            Some(format!("{name}={}", utf8_percent_encode(value?, NON_ALPHANUMERIC)))
        });
        given.collect::<Vec<_>>().join("&")
    }
}

/// The newest record comes first.
fn table(records: Vec<Value>) -> Result<String, String> {
    let mut rows =
        vec![["TIME", "USER", "FROM", "OPERATION", "OUTCOME", "RESOURCE", "CHANGED"].map(str::to_owned)];
    for record in records {
        let record: AuditRecord =
            serde_json::from_value(record).map_err(|error| format!("a record can't be read: {error}"))?;
        let changed = changed(&record.documents);
        let AuditRecord { time, user, source_address, operation, outcome, resource, .. } = record;
        let second = time.split('.').next().unwrap_or(&time).to_owned();
        rows.push([second, user, source_address, operation, outcome, resource, changed]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..7).map(width).collect();
    let lines = rows.iter().map(|row| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

/// `+` was made, `-` was removed, `~` was changed.
fn changed(documents: &[AuditedDocument]) -> String {
    let named = documents.iter().take(NAMED_DOCUMENTS).map(|document| {
        let sign = match (document.before.is_null(), document.after.is_null()) {
            (true, _) => '+',
            (_, true) => '-',
            _ => '~',
        };
        format!("{sign}{}/{}", document.kind, document.id)
    });
    let mut text = named.collect::<Vec<_>>().join(" ");
    if documents.len() > NAMED_DOCUMENTS {
        text += &format!(" and {} more", documents.len() - NAMED_DOCUMENTS);
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::{Cli, Command};
    use super::*;

    #[test]
    fn filters_are_asked_for() {
        let args =
            ["turnpike-control", "audit", "--user", "a b", "--since", "2026-11-21T08:00:00Z", "--limit", "7"];
        let Command::Audit(args) = Cli::parse_from(args).command else { panic!("another command") };
        assert_eq!(
            args.query(7, Some("61")),
            "user=a%20b&since=2026%2D11%2D21T08%3A00%3A00Z&maxResults=7&nextToken=61"
        );
    }

    #[test]
    fn records_are_lines() {
        let document = |id: &str, before: Value, after: Value| json!({"kind": "stage", "owner": "a", "id": id, "before": before, "after": after});
        let record = json!({
            "id": "1", "time": "2026-11-21T08:00:00.000001Z", "user": "ann", "userArn": "arn", "accessKeyId": "AK",
            "sourceAddress": "127.0.0.1", "service": "apigateway", "operation": "UpdateStage", "action": "apigateway:PATCH",
            "resource": "arn:x", "request": "PATCH /x", "requestId": "r", "outcome": "success", "version": 3,
            "documents": [document("p", json!({}), json!({})), document("q", Value::Null, json!({})),
                          document("r", json!({}), Value::Null), document("s", json!({}), json!({}))],
        });
        let text = table(vec![record]).expect("a table");
        assert_eq!(
            text,
            "TIME                 USER  FROM       OPERATION    OUTCOME  RESOURCE  CHANGED\n\
             2026-11-21T08:00:00  ann   127.0.0.1  UpdateStage  success  arn:x     ~stage/p +stage/q -stage/r and 1 more"
        );
    }
}
