//! `deploy` and `rollback`: which deployment a stage serves.

use clap::Args;
use serde_json::{Value, json};

use super::client::{Client, Reach, text};
use super::lookup::{FoundApi, created};

#[derive(Debug, Args)]
pub(super) struct DeployArgs {
    /// The API's id, or its name if no other API has it
    #[arg(value_name = "API")]
    api: String,
    /// The stage that serves it; one that isn't there yet is made
    #[arg(value_name = "STAGE")]
    stage: String,
    #[arg(long, value_name = "TEXT", help = "What has changed")]
    description: Option<String>,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Debug, Args)]
pub(super) struct RollbackArgs {
    /// The API's id, or its name if no other API has it
    #[arg(value_name = "API")]
    api: String,
    #[arg(value_name = "STAGE", help = "The stage")]
    stage: String,
    /// Deployment to serve [default: the newest one before what the stage serves now]
    #[arg(long, value_name = "DEPLOYMENT")]
    to: Option<String>,
    /// Only list the API's deployments, the newest first
    #[arg(long, conflicts_with = "to")]
    list: bool,
    #[command(flatten)]
    reach: Reach,
}

pub(super) async fn deploy(args: DeployArgs) -> Result<(), String> {
    let client = args.reach.client()?;
    let api = client.api(&args.api).await?;
    let answer = make(&client, &api, &args.stage, args.description.as_deref()).await?;
    let (id, stage) = ([text(&answer, "id"), text(&answer, "deploymentId")].concat(), &args.stage);
    client.output.done(&answer, &format!("stage {stage} of API {} serves deployment {id}", api.id))
}

/// Makes a deployment, which the stage then serves.
pub(super) async fn make(
    client: &Client,
    api: &FoundApi,
    stage: &str,
    description: Option<&str>,
) -> Result<Value, String> {
    let mut body = json!({"stageName": stage});
    if let Some(description) = description {
        body["description"] = description.into();
    }
    // Version 2 has no stage made by the way.
    if !api.is_rest() && client.find(&api.stage_path(stage)).await?.is_none() {
        client.post(&format!("{}/stages", api.path()), &json!({"stageName": stage})).await?;
    }
    client.post(&format!("{}/deployments", api.path()), &body).await
}

pub(super) async fn rollback(args: RollbackArgs) -> Result<(), String> {
    let client = args.reach.client()?;
    let api = client.api(&args.api).await?;
    let stage = client.get(&api.stage_path(&args.stage)).await?;
    let serves = text(&stage, "deploymentId");
    let deployments = client.deployments(&api).await?;
    if args.list {
        return client.output.list(
            "deployments",
            ["DEPLOYMENT", "MADE", "SERVED", "DESCRIPTION"],
            &deployments,
            |each| {
                let id = id_of(each);
                let served = if id == serves { args.stage.clone() } else { String::new() };
                [id, made_at(each), served, text(each, "description")]
            },
        );
    }
    let to = match args.to {
        Some(to) => to,
        None => before(&deployments, &serves).map_err(|why| {
            format!(
                "API {} has {why} '{serves}', which stage {} serves: choose one with --to, of those that --list shows",
                api.id, args.stage
            )
        })?,
    };
    let answer = client.patch(&api.stage_path(&args.stage), &serve(&api, &to)).await?;
    client.output.done(&answer, &format!("stage {} of API {} serves deployment {to}", args.stage, api.id))
}

/// What makes a stage serve a deployment. An HTTP API's stage that deploys by itself would leave it at once.
fn serve(api: &FoundApi, deployment: &str) -> Value {
    match api.is_rest() {
        true => json!({"patchOperations": [{"op": "replace", "path": "/deploymentId", "value": deployment}]}),
        false => json!({"deploymentId": deployment, "autoDeploy": false}),
    }
}

fn id_of(deployment: &Value) -> String {
    [text(deployment, "id"), text(deployment, "deploymentId")].concat()
}

fn made_at(deployment: &Value) -> String {
    let at = &deployment["createdDate"];
    at.as_f64().map_or_else(|| text(deployment, "createdDate"), |at_s| crate::time::iso8601(at_s as i64))
}

/// The newest one before this one. Their times are whole seconds: of several that were made in one, nobody can say which
/// came first.
fn before(deployments: &[Value], served: &str) -> Result<String, &'static str> {
    let none = "no deployment before";
    let at = deployments.iter().find(|deployment| id_of(deployment) == served).map(created).ok_or(none)?;
    let others = deployments.iter().filter(|other| id_of(other) != served);
    let mut older: Vec<_> = others.map(|other| (created(other), id_of(other))).collect();
    older.retain(|(made, _)| *made <= at);
    older.sort();
    let (made, id) = older.pop().ok_or(none)?;
    match made == at || older.last().is_some_and(|(other, _)| *other == made) {
        true => Err("several deployments of one second that may be the one before"),
        false => Ok(id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_before_is_found() {
        let all = [("d", 4), ("a", 3), ("c", 2), ("b", 1)];
        let all = all.map(|(id, at_s)| json!({"id": id, "createdDate": at_s}));
        for (served, expected) in [("d", "a"), ("a", "c"), ("c", "b")] {
            assert_eq!(before(&all, served).as_deref(), Ok(expected));
        }
        assert!(before(&all, "b").is_err() && before(&all, "x").is_err());
    }

    #[test]
    fn what_was_made_in_one_second_has_no_order() {
        let at = |id: &str, second: u8| json!({"deploymentId": id, "createdDate": format!("2026-11-21T08:00:0{second}Z")});
        let all = [at("e", 3), at("c", 2), at("d", 2), at("b", 1), at("a", 1)];
        for served in ["e", "d", "c", "b", "a"] {
            assert!(before(&all, served).expect_err(served).contains("of one second"), "{served}");
        }
        assert_eq!(before(&all[2..4], "d").as_deref(), Ok("b"));
    }
}
