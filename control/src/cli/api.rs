//! `api`: APIs of every kind.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::client::{Client, Reach, text};
use super::lookup::FoundApi;

#[derive(Debug, Args)]
pub(super) struct ApiArgs {
    #[command(subcommand)]
    command: ApiCommand,
}

#[derive(Debug, Subcommand)]
enum ApiCommand {
    /// List the APIs of every kind.
    List {
        #[command(flatten)]
        reach: Reach,
    },
    /// Show one API with its stages.
    Show {
        /// Its id, or its name if no other API has it
        #[arg(value_name = "API")]
        api: String,
        #[command(flatten)]
        reach: Reach,
    },
    /// Make an API, and print its id.
    ///
    /// With --target, an HTTP API passes every path on to it and is live at once.
    Create(CreateArgs),
    /// Delete an API with everything in it.
    Delete {
        /// Its id, or its name if no other API has it
        #[arg(value_name = "API")]
        api: String,
        #[command(flatten)]
        reach: Reach,
    },
}

#[derive(Debug, Args)]
struct CreateArgs {
    /// Its name
    #[arg(value_name = "NAME")]
    name: String,
    /// Which kind of API
    #[arg(long = "type", value_enum, default_value_t = Type::Http, value_name = "TYPE")]
    kind: Type,
    /// URL that an HTTP API passes everything on to
    #[arg(long, value_name = "URL")]
    target: Option<String>,
    #[arg(long, value_name = "TEXT", help = "What it is for")]
    description: Option<String>,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Type {
    Rest,
    Http,
    Websocket,
}

pub(super) async fn run(args: ApiArgs) -> Result<(), String> {
    match args.command {
        ApiCommand::List { reach } => list(&reach.client()?).await,
        ApiCommand::Show { api, reach } => show(&reach.client()?, &api).await,
        ApiCommand::Create(args) => create(args).await,
        ApiCommand::Delete { api, reach } => {
            let client = reach.client()?;
            let api = client.api(&api).await?;
            client.delete(&api.path()).await?;
            client.output.done(&serde_json::Value::Null, &format!("deleted API {} ({})", api.id, api.name))
        }
    }
}

async fn list(client: &Client) -> Result<(), String> {
    let apis = client.apis().await?;
    let answers: Vec<_> = apis.iter().map(|api| api.answer.clone()).collect();
    let kind = |id: &str| apis.iter().find(|api| api.id == id).map_or("", |api| api.kind.as_str());
    client.output.list("APIs", ["ID", "TYPE", "NAME", "DESCRIPTION"], &answers, |api| {
        let id = [text(api, "id"), text(api, "apiId")].concat();
        [id.clone(), kind(&id).to_owned(), text(api, "name"), text(api, "description")]
    })
}

async fn show(client: &Client, api: &str) -> Result<(), String> {
    let api = client.api(api).await?;
    let stages = client.stages(&api).await?;
    let stages: Vec<String> = stages.iter().map(|stage| text(stage, "stageName")).collect();
    let FoundApi { kind, id, name, answer } = &api;
    client.output.show(
        answer,
        [
            ("id", id.clone()),
            ("type", kind.as_str().to_owned()),
            ("name", name.clone()),
            ("description", text(answer, "description")),
            ("endpoint", text(answer, "apiEndpoint")),
            ("stages", stages.join(", ")),
        ],
    )
}

async fn create(args: CreateArgs) -> Result<(), String> {
    let client = args.reach.client()?;
    if args.target.is_some() && args.kind != Type::Http {
        return Err(
            "--target is for --type http: give the others routes (turnpike-control route create)".to_owned()
        );
    }
    let mut body = json!({"name": args.name});
    if let Some(description) = args.description {
        body["description"] = description.into();
    }
    let answer = match args.kind {
        Type::Rest => client.post("/restapis", &body).await?,
        Type::Http => {
            body["protocolType"] = "HTTP".into();
            if let Some(target) = args.target {
                body["target"] = target.into();
            }
            client.post("/v2/apis", &body).await?
        }
        Type::Websocket => {
            body["protocolType"] = "WEBSOCKET".into();
            body["routeSelectionExpression"] = "$request.body.action".into();
            client.post("/v2/apis", &body).await?
        }
    };
    let id = [text(&answer, "id"), text(&answer, "apiId")].concat();
    client.output.done(&answer, &id)
}
