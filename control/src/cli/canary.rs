//! `canary`: a deployment on trial, for a share of a REST stage's clients.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::client::{Client, Reach, text};
use super::lookup::FoundApi;
use super::stage::variable;

#[derive(Debug, Args)]
pub(super) struct CanaryArgs {
    #[command(subcommand)]
    command: CanaryCommand,
}

#[derive(Debug, Subcommand)]
enum CanaryCommand {
    /// Deploy the API as it is now to a share of the stage's clients.
    ///
    /// Which clients is chosen by their address: one that has the canary keeps it.
    Start {
        #[command(flatten)]
        of: Of,
        /// Share of the clients, 0 to 100
        #[arg(long, value_name = "PERCENT")]
        percent: f64,
        /// Stage variable that the canary has instead of the stage's; may come several times
        #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
        variable: Vec<(String, String)>,
        #[arg(long, value_name = "TEXT", help = "What has changed")]
        description: Option<String>,
    },
    /// Show a stage's canary.
    Show {
        #[command(flatten)]
        of: Of,
    },
    /// Change a canary's share of the clients.
    Set {
        #[command(flatten)]
        of: Of,
        /// Share of the clients, 0 to 100
        #[arg(long, value_name = "PERCENT")]
        percent: f64,
    },
    /// Serve the canary's deployment, with its variables, to all clients.
    Promote {
        #[command(flatten)]
        of: Of,
    },
    /// Serve the stage's own deployment to all clients again.
    Remove {
        #[command(flatten)]
        of: Of,
    },
}

#[derive(Debug, Args)]
struct Of {
    /// The REST API's id, or its name if no other API has it
    #[arg(value_name = "API")]
    api: String,
    #[arg(value_name = "STAGE", help = "The stage")]
    stage: String,
    #[command(flatten)]
    reach: Reach,
}

pub(super) async fn run(args: CanaryArgs) -> Result<(), String> {
    match args.command {
        CanaryCommand::Start { of, percent, variable, description } => {
            let (client, api) = found(&of).await?;
            let overrides: Map<String, Value> =
                variable.into_iter().map(|(name, value)| (name, value.into())).collect();
            let mut body = json!({
                "stageName": of.stage,
                "canarySettings": {"percentTraffic": percent, "stageVariableOverrides": overrides},
            });
            if let Some(description) = description {
                body["description"] = description.into();
            }
            let answer = client.post(&format!("{}/deployments", api.path()), &body).await?;
            let (id, stage) = (text(&answer, "id"), &of.stage);
            client
                .output
                .done(&answer, &format!("{percent} % of the clients of stage {stage} get deployment {id}"))
        }
        CanaryCommand::Show { of } => {
            let (client, api) = found(&of).await?;
            let stage = client.get(&api.stage_path(&of.stage)).await?;
            let canary = canary_of(&stage, &of)?;
            let overrides = canary["stageVariableOverrides"].as_object().into_iter().flatten();
            let overrides: Vec<String> =
                overrides.map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or(""))).collect();
            client.output.show(
                canary,
                [
                    ("percent", text(canary, "percentTraffic")),
                    ("deployment", text(canary, "deploymentId")),
                    ("stage's deployment", text(&stage, "deploymentId")),
                    ("variables", overrides.join(" ")),
                ],
            )
        }
        CanaryCommand::Set { of, percent } => {
            let (client, api) = found(&of).await?;
            canary_of(&client.get(&api.stage_path(&of.stage)).await?, &of)?;
            let operation = json!({"op": "replace", "path": "/canarySettings/percentTraffic", "value": percent.to_string()});
            let answer = patch(&client, &api, &of, vec![operation]).await?;
            client
                .output
                .done(&answer, &format!("{percent} % of the clients of stage {} get the canary", of.stage))
        }
        CanaryCommand::Promote { of } => {
            let (client, api) = found(&of).await?;
            let answer = promote(&client, &api, &of).await?;
            let id = text(&answer, "deploymentId");
            client
                .output
                .done(&answer, &format!("stage {} of API {} serves deployment {id}", of.stage, api.id))
        }
        CanaryCommand::Remove { of } => {
            let (client, api) = found(&of).await?;
            canary_of(&client.get(&api.stage_path(&of.stage)).await?, &of)?;
            let answer = patch(&client, &api, &of, vec![remove_all()]).await?;
            client.output.done(&answer, &format!("stage {} of API {} has no canary", of.stage, api.id))
        }
    }
}

async fn found(of: &Of) -> Result<(Client, FoundApi), String> {
    let client = of.reach.client()?;
    let api = client.api(&of.api).await?;
    match api.is_rest() {
        true => Ok((client, api)),
        false => Err(format!("API {} is no REST API: only stages of those have canaries", api.id)),
    }
}

fn canary_of<'s>(stage: &'s Value, of: &Of) -> Result<&'s Value, String> {
    match &stage["canarySettings"] {
        Value::Null => {
            Err(format!("stage {} has no canary: turnpike-control canary start makes one", of.stage))
        }
        canary => Ok(canary),
    }
}

/// As AWS documents it: the canary's deployment and variables become the stage's, then the canary goes.
async fn promote(client: &Client, api: &FoundApi, of: &Of) -> Result<Value, String> {
    let stage = client.get(&api.stage_path(&of.stage)).await?;
    let canary = canary_of(&stage, of)?;
    let operations = vec![
        // Of one moment: a canary that has been changed since is refused, not promoted.
        json!({"op": "test", "path": "/canarySettings/deploymentId", "value": canary["deploymentId"]}),
        json!({"op": "copy", "path": "/deploymentId", "from": "/canarySettings/deploymentId"}),
        json!({"op": "copy", "path": "/variables", "from": "/canarySettings/stageVariableOverrides"}),
        remove_all(),
    ];
    patch(client, api, of, operations).await
}

fn remove_all() -> Value {
    json!({"op": "remove", "path": "/canarySettings"})
}

async fn patch(client: &Client, api: &FoundApi, of: &Of, operations: Vec<Value>) -> Result<Value, String> {
    client.patch(&api.stage_path(&of.stage), &json!({"patchOperations": operations})).await
}
