//! `audit`: asks a running control for its audit log, and prints it as a table or as JSON.

use clap::Args;
use serde_json::Value;

use super::client::{Client, Reach, segment, text};

const PATH: &str = "/turnpike/v1/audit";
/// Most records of one call.
const PAGE_RECORDS: usize = 500;
/// Documents that a line of the table names.
const NAMED_DOCUMENTS: usize = 3;

#[derive(Debug, Args)]
pub(super) struct AuditArgs {
    /// Only what this user did, or was refused, by name or ARN; `root` is the root access key
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Only this operation, such as UpdateStage
    #[arg(long, value_name = "NAME")]
    operation: Option<String>,
    /// Only resources whose ARN has this in it, such as restapis/a1b2c3
    #[arg(long, value_name = "TEXT")]
    resource: Option<String>,
    /// Only changes (success), or only what policies refused (refused)
    #[arg(long, value_name = "OUTCOME", value_parser = ["success", "refused"])]
    outcome: Option<String>,
    /// Only from this time on: 2026-11-21T08:00:00Z, 2026-11-21, or seconds since 1970
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only before this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// At most so many records, the newest
    #[arg(long, value_name = "RECORDS", default_value = "100")]
    limit: std::num::NonZeroUsize,
    #[command(flatten)]
    reach: Reach,
}

pub(super) async fn run(args: AuditArgs) -> Result<(), String> {
    let client = args.reach.client()?;
    let records = args.records(&client).await?;
    client.output.list(
        "changes fit",
        ["TIME", "USER", "FROM", "OPERATION", "OUTCOME", "RESOURCE", "CHANGED"],
        &records,
        |record| {
            let time = text(record, "time");
            let second = time.split('.').next().unwrap_or(&time).to_owned();
            let field = |name| text(record, name);
            [
                second,
                field("user"),
                field("sourceAddress"),
                field("operation"),
                field("outcome"),
                field("resource"),
                changed(&record["documents"]),
            ]
        },
    )
}

impl AuditArgs {
    async fn records(&self, client: &Client) -> Result<Vec<Value>, String> {
        let limit = self.limit.get();
        let mut records = Vec::new();
        let mut token = None;
        loop {
            let wanted = (limit - records.len()).min(PAGE_RECORDS);
            let mut page = client.get(&format!("{PATH}?{}", self.query(wanted, token.as_deref()))).await?;
            match page["records"].take() {
                Value::Array(more) => records.extend(more),
                _ => return Err(format!("the answer to GET {PATH} has no records in it")),
            }
            token = page["nextToken"].as_str().map(str::to_owned);
            if token.is_none() || records.len() >= limit {
                return Ok(records);
            }
        }
    }

    fn query(&self, limit: usize, token: Option<&str>) -> String {
        let limit = limit.to_string();
        let pairs = [
            ("user", self.user.as_deref()),
            ("operation", self.operation.as_deref()),
            ("resource", self.resource.as_deref()),
            ("outcome", self.outcome.as_deref()),
            ("since", self.since.as_deref()),
            ("until", self.until.as_deref()),
            ("maxResults", Some(limit.as_str())),
            ("nextToken", token),
        ];
        let given = pairs.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", segment(value?))));
        given.collect::<Vec<_>>().join("&")
    }
}

/// `+` was made, `-` was removed, `~` was changed.
fn changed(documents: &Value) -> String {
    let documents = documents.as_array().map_or(&[][..], Vec::as_slice);
    let named = documents.iter().take(NAMED_DOCUMENTS).map(|document| {
        let sign = match (document["before"].is_null(), document["after"].is_null()) {
            (true, _) => '+',
            (_, true) => '-',
            _ => '~',
        };
        format!("{sign}{}/{}", text(document, "kind"), text(document, "id"))
    });
    let mut line = named.collect::<Vec<_>>().join(" ");
    if documents.len() > NAMED_DOCUMENTS {
        line += &format!(" and {} more", documents.len() - NAMED_DOCUMENTS);
    }
    line
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use serde_json::json;

    use super::super::{Cli, Command};
    use super::*;

    #[test]
    fn filters_are_asked_for() {
        let args = ["turnpike-control", "audit", "--user", "a b", "--since", "2026-11-21T08:00:00Z"];
        let Command::Audit(args) = Cli::parse_from(args).command else { panic!("another command") };
        let query = "user=a%20b&since=2026-11-21T08%3A00%3A00Z&maxResults=7&nextToken=61";
        assert_eq!(args.query(7, Some("61")), query);
        let none = ["turnpike-control", "audit", "--limit", "0"];
        assert!(Cli::try_parse_from(none).is_err());
    }

    #[test]
    fn changed_documents_are_named() {
        let document =
            |id: &str, before, after| json!({"kind": "stage", "id": id, "before": before, "after": after});
        let (none, some) = (Value::Null, json!({}));
        let all = json!([
            document("p", &some, &some),
            document("q", &none, &some),
            document("r", &some, &none),
            document("s", &some, &some),
        ]);
        assert_eq!(changed(&all), "~stage/p +stage/q -stage/r and 1 more");
        assert_eq!(changed(&Value::Null), "");
    }
}
