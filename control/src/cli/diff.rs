//! `diff`: what a deployment would change in the data plane.

use clap::Args;
use serde_json::Value;

use super::client::{Reach, text};
use super::options::Output;
use super::output::{one_line, pretty};
use super::serve::say;

#[derive(Debug, Args)]
pub(super) struct DiffArgs {
    /// The API's id, or its name if no other API has it
    #[arg(value_name = "API")]
    api: String,
    #[arg(value_name = "STAGE", help = "The stage that it would be deployed to")]
    stage: String,
    #[command(flatten)]
    reach: Reach,
}

pub(super) async fn run(args: DiffArgs) -> Result<(), String> {
    let client = args.reach.client()?;
    let api = client.api(&args.api).await?;
    let difference = client.get(&format!("{}/diff", api.extension_path(&args.stage))).await?;
    match client.output {
        Output::Json => say(&pretty(&difference)),
        Output::Text => {
            let lines = lines(&difference);
            let nothing = || format!("stage {} of API {} serves the API as it is now", args.stage, api.id);
            say(&if lines.is_empty() { nothing() } else { lines.join("\n") })
        }
    }
}

/// A line a route that would change, by route.
pub(super) fn lines(difference: &Value) -> Vec<String> {
    let each = |member: &str| difference[member].as_array().into_iter().flatten();
    let added =
        each("added").map(|route| (route, format!("+ {} -> {}", named(route), leads(&route["leadsTo"]))));
    let removed =
        each("removed").map(|route| (route, format!("- {} -> {}", named(route), leads(&route["leadsTo"]))));
    let changed = each("changed").map(|route| {
        let (before, after) = (leads(&route["before"]), leads(&route["after"]));
        (route, format!("~ {} -> {after}, was {before}", named(route)))
    });
    let mut all: Vec<_> = added.chain(removed).chain(changed).collect();
    all.sort_by_key(|(route, _)| named(route));
    all.into_iter().map(|(_, line)| one_line(&line)).collect()
}

fn named(route: &Value) -> String {
    text(route, "route")
}

/// Where a route leads, with what isn't usual about it.
fn leads(leads: &Value) -> String {
    if let Some(reason) = leads["refused"].as_str() {
        return format!("500 ({reason})");
    }
    let mut told = format!("{} {}", text(leads, "method"), text(leads, "url")).trim().to_owned();
    for (member, value) in leads.as_object().into_iter().flatten() {
        if !matches!(member.as_str(), "method" | "url") {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            told = format!("{told} {member}={value}");
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lines_are_in_the_order_of_routes() {
        let leads = |url: &str| json!({"method": "GET", "url": url, "timeoutMs": 50});
        let difference = json!({
            "added": [{"route": "GET /b", "leadsTo": leads("http://b")}],
            "removed": [{"route": "GET /c", "leadsTo": {"refused": "an API key", "timeoutMs": 50}}],
            "changed": [{"route": "GET /a", "before": leads("http://a"), "after": {"url": "http://x"}}],
        });
        let expected = [
            "~ GET /a -> http://x, was GET http://a timeoutMs=50",
            "+ GET /b -> GET http://b timeoutMs=50",
            "- GET /c -> 500 (an API key)",
        ];
        assert_eq!(lines(&difference), expected);
        assert!(lines(&json!({"added": []})).is_empty());
    }
}
