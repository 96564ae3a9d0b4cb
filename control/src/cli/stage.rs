//! `stage`: what is served of an API, and with which variables.

use clap::{ArgGroup, Args, Subcommand};
use serde_json::{Map, Value, json};

use super::client::{Client, Reach, text};
use super::lookup::FoundApi;

#[derive(Debug, Args)]
pub(super) struct StageArgs {
    #[command(subcommand)]
    command: StageCommand,
}

#[derive(Debug, Subcommand)]
enum StageCommand {
    /// List the stages of an API.
    List {
        #[arg(value_name = "API", help = API_HELP)]
        api: String,
        #[command(flatten)]
        reach: Reach,
    },
    /// Show one stage.
    Show {
        #[command(flatten)]
        of: Of,
    },
    /// Make a stage. One of a REST API serves a deployment from the start: turnpike-control deploy makes both.
    Create {
        #[command(flatten)]
        of: Of,
        /// Deployment that it serves
        #[arg(long, value_name = "ID")]
        deployment: Option<String>,
        /// Serve each change of the API at once (HTTP APIs)
        #[arg(long, conflicts_with = "deployment")]
        auto_deploy: bool,
        #[command(flatten)]
        settings: Settings,
    },
    /// Change a stage's variables or description.
    #[command(group = ArgGroup::new("what").required(true).multiple(true).args(["variable", "description", "remove_variable"]))]
    Set {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        settings: Settings,
        /// Variable to remove; may come several times
        #[arg(long, value_name = "NAME")]
        remove_variable: Vec<String>,
    },
    /// Delete a stage: it is no longer served.
    Delete {
        #[command(flatten)]
        of: Of,
    },
}

const API_HELP: &str = "The API's id, or its name if no other API has it";

#[derive(Debug, Args)]
struct Of {
    #[arg(value_name = "API", help = API_HELP)]
    api: String,
    /// The stage's name
    #[arg(value_name = "STAGE")]
    stage: String,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Debug, Args)]
struct Settings {
    /// Stage variable; may come several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    variable: Vec<(String, String)>,
    #[arg(long, value_name = "TEXT", help = "What it is for")]
    description: Option<String>,
}

/// `NAME=VALUE`.
pub(super) fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it has to be NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

pub(super) async fn run(args: StageArgs) -> Result<(), String> {
    match args.command {
        StageCommand::List { api, reach } => {
            let client = reach.client()?;
            let api = client.api(&api).await?;
            let stages = client.stages(&api).await?;
            client.output.list(
                "stages",
                ["STAGE", "DEPLOYMENT", "AUTO", "VARIABLES", "DESCRIPTION"],
                &stages,
                |stage| {
                    let members =
                        ["stageName", "deploymentId", "autoDeploy"].map(|member| text(stage, member));
                    let [name, deployment, auto] = members;
                    [name, deployment, auto, variables(stage), text(stage, "description")]
                },
            )
        }
        StageCommand::Show { of } => {
            let (client, api) = found(&of).await?;
            let stage = client.get(&api.stage_path(&of.stage)).await?;
            show(&client, &stage)
        }
        StageCommand::Create { of, deployment, auto_deploy, settings } => {
            let (client, api) = found(&of).await?;
            create(&client, &api, &of.stage, deployment, auto_deploy, settings).await
        }
        StageCommand::Set { of, settings, remove_variable } => {
            let (client, api) = found(&of).await?;
            let stage = set(&client, &api, &of.stage, settings, &remove_variable).await?;
            show(&client, &stage)
        }
        StageCommand::Delete { of } => {
            let (client, api) = found(&of).await?;
            client.delete(&api.stage_path(&of.stage)).await?;
            client.output.done(&Value::Null, &format!("deleted stage {} of API {}", of.stage, api.id))
        }
    }
}

async fn found(of: &Of) -> Result<(Client, FoundApi), String> {
    let client = of.reach.client()?;
    let api = client.api(&of.api).await?;
    Ok((client, api))
}

fn show(client: &Client, stage: &Value) -> Result<(), String> {
    client.output.show(
        stage,
        [
            ("stage", text(stage, "stageName")),
            ("deployment", text(stage, "deploymentId")),
            ("auto-deploy", text(stage, "autoDeploy")),
            ("variables", variables(stage)),
            ("description", text(stage, "description")),
            ("last deployment", text(stage, "lastDeploymentStatusMessage")),
        ],
    )
}

/// Version 1 and 2 name them differently.
pub(super) fn variables_of(stage: &Value) -> Option<&Map<String, Value>> {
    stage["variables"].as_object().or_else(|| stage["stageVariables"].as_object())
}

fn variables(stage: &Value) -> String {
    let all = variables_of(stage).into_iter().flatten();
    let each: Vec<String> =
        all.map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or(""))).collect();
    each.join(" ")
}

async fn create(
    client: &Client,
    api: &FoundApi,
    stage: &str,
    deployment: Option<String>,
    auto_deploy: bool,
    settings: Settings,
) -> Result<(), String> {
    let variables: Map<String, Value> =
        settings.variable.into_iter().map(|(name, value)| (name, value.into())).collect();
    let mut body = json!({"stageName": stage});
    match api.is_rest() {
        true if auto_deploy => return Err("--auto-deploy is for HTTP APIs".to_owned()),
        true => {
            let deployment = deployment.ok_or_else(|| {
                format!("a stage of a REST API serves a deployment: make both with turnpike-control deploy {} {stage}", api.id)
            })?;
            body["deploymentId"] = deployment.into();
            body["variables"] = variables.into();
        }
        false => {
            body["autoDeploy"] = auto_deploy.into();
            body["stageVariables"] = variables.into();
            if let Some(deployment) = deployment {
                body["deploymentId"] = deployment.into();
            }
        }
    }
    if let Some(description) = settings.description {
        body["description"] = description.into();
    }
    let answer = client.post(&format!("{}/stages", api.path()), &body).await?;
    client.output.done(&answer, &format!("made stage {stage} of API {}", api.id))
}

async fn set(
    client: &Client,
    api: &FoundApi,
    stage: &str,
    settings: Settings,
    removed: &[String],
) -> Result<Value, String> {
    let body = match api.is_rest() {
        true => {
            let replace =
                |path: String, value: String| json!({"op": "replace", "path": path, "value": value});
            let variables =
                settings.variable.into_iter().map(|(name, value)| replace(variable_path(&name), value));
            let description =
                settings.description.into_iter().map(|text| replace("/description".to_owned(), text));
            let removed = removed.iter().map(|name| json!({"op": "remove", "path": variable_path(name)}));
            let operations: Vec<Value> = variables.chain(description).chain(removed).collect();
            json!({"patchOperations": operations})
        }
        false => {
            // An empty value removes a variable.
            let removed = removed.iter().map(|name| (name.clone(), Value::from("")));
            let given = settings.variable.into_iter().map(|(name, value)| (name, value.into()));
            let variables: Map<String, Value> = given.chain(removed).collect();
            let mut body = json!({"stageVariables": variables});
            if let Some(description) = settings.description {
                body["description"] = description.into();
            }
            body
        }
    };
    client.patch(&api.stage_path(stage), &body).await
}

/// A patch's path (RFC 6901).
pub(super) fn variable_path(name: &str) -> String {
    format!("/variables/{}", name.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::Cli;

    #[test]
    fn something_has_to_be_set() {
        let parse = |more: &[&str]| {
            let all = ["turnpike-control", "stage", "set", "pets", "prod"].iter().chain(more);
            Cli::try_parse_from(all).map(drop).map_err(|error| error.to_string())
        };
        assert!(parse(&[]).expect_err("nothing").contains("--remove-variable"));
        let all = ["--variable", "a=b", "--variable", "c=d", "--description", "x", "--remove-variable", "e"];
        for given in [&all[..], &all[..2], &all[4..6], &all[6..]] {
            assert_eq!(parse(given), Ok(()), "{given:?}");
        }
    }
}
