//! `apply`: makes the server match a folder, after showing what would change.

mod folder;

use std::collections::BTreeSet;
use std::io::{BufRead as _, IsTerminal as _};
use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use super::client::{Reach, text, variable};
use super::options::Output;
use super::output::{one_line, pretty, progress};
use super::serve::say;

#[derive(Debug, Args)]
#[command(after_help = SETTINGS_HELP)]
pub(super) struct ApplyArgs {
    /// Folder with OpenAPI documents (.yaml, .yml, .json) and perhaps a turnpike.toml
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Apply without asking
    #[arg(long)]
    yes: bool,
    /// Only show what would change
    #[arg(long, conflicts_with = "yes")]
    plan: bool,
    #[command(flatten)]
    reach: Reach,
}

const SETTINGS_HELP: &str = "\
Each document is an API of the name in its info.title: one that isn't there is made, one that is becomes what the
document says. Everything is applied, or nothing; what the folder doesn't name stays as it is. turnpike.toml:

  [apis.pets]                              for pets.yaml, pets.yml or pets.json
  type = \"rest\"                            or http, which it is without
  fail_on_warnings = true                  a document with parts that can't be taken is refused
  [apis.pets.stages.prod]                  is deployed to when something has changed
  variables = { host = \"10.0.0.1:3000\" }   and no others
  description = \"what callers get\"
  auto_deploy = false                      HTTP APIs only

  [domains.\"api.example.com\"]
  certificate_arn = \"arn:aws:acm:...\"
  security_policy = \"TLS_1_2\"
  mappings = { \"\" = \"pets:prod\", \"v1\" = \"pets:prod\" }   and no others

  [plans.gold]                             a usage plan
  stages = [\"pets:prod\"]                 and no others
  rate = 10.0                              requests per second of each key
  burst = 20
  quota = 10000
  period = \"month\"                       or week, day
  offset = 0                               day of the week (0 is Sunday) or month on which it begins

  [keys.mobile]                            an API key
  value_env = \"MOBILE_KEY\"               variable with its value; without it, one is made of chance
  enabled = true
  plans = [\"gold\"]                       and no others
";

pub(super) async fn run(args: ApplyArgs) -> Result<(), String> {
    let client = args.reach.client()?;
    let mut wanted = folder::read(&args.dir, variable)?;
    let documents = wanted["apis"].as_array().map_or(0, Vec::len);
    progress(&format!("planning with {documents} documents of {} ...", args.dir.display()));
    let plan = client.post("/turnpike/v1/configuration/plan", &wanted).await?;
    let Some(changes) = plan["changes"].as_array().filter(|changes| !changes.is_empty()) else {
        return match client.output {
            Output::Json => say(&pretty(&plan)),
            Output::Text => say("nothing to do: the server matches the folder"),
        };
    };
    match client.output {
        Output::Json => say(&pretty(&plan))?,
        Output::Text => say(&told(changes))?,
    }
    if args.plan {
        return Ok(());
    }
    if !args.yes {
        ask()?;
    }
    mark_unchanged(&mut wanted, changes);
    // What is applied is what was shown.
    wanted["plan"] = plan["changes"].clone();
    progress(&format!("applying {} changes ...", changes.len()));
    let applied = client.post("/turnpike/v1/configuration/apply", &wanted).await?;
    let count = applied["changes"].as_array().map_or(0, Vec::len);
    client.output.done(&Value::Null, &format!("applied: {count} changes"))
}

/// A line for each thing, and one below it for each part that changes.
fn told(changes: &[Value]) -> String {
    let mut lines = Vec::new();
    for change in changes {
        let [kind, name, action] = ["kind", "name", "action"].map(|member| text(change, member));
        lines.push(one_line(&format!("{action} {kind} {name}")));
        let detail = change["detail"].as_array().into_iter().flatten().filter_map(Value::as_str);
        lines.extend(detail.map(|line| format!("  {}", one_line(line))));
    }
    lines.join("\n")
}

fn ask() -> Result<(), String> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(
            "nothing was applied: say --yes to apply without being asked, or --plan to only look".to_owned()
        );
    }
    say("Apply these changes? Only yes does.")?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer).map_err(|error| format!("can't read the answer: {error}"))?;
    match answer.trim() {
        "yes" => Ok(()),
        _ => Err("nothing was applied".to_owned()),
    }
}

/// APIs of which nothing changes needn't be imported and deployed anew; what refers to them still means them.
fn mark_unchanged(wanted: &mut Value, changes: &[Value]) {
    let changed = |change: &Value| match text(change, "kind").as_str() {
        "API" => Some(text(change, "name")),
        "stage" => text(change, "name").rsplit_once(':').map(|(api, _)| api.to_owned()),
        _ => None,
    };
    let changed: BTreeSet<String> = changes.iter().filter_map(changed).collect();
    for api in wanted["apis"].as_array_mut().into_iter().flatten() {
        api["unchanged"] = folder::title_of(api).is_some_and(|title| !changed.contains(&title)).into();
    }
}
