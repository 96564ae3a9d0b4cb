//! `import` and `export`: APIs from and to OpenAPI documents.

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::client::{Client, Reach, segment, text};
use super::deploy;
use super::document;
use super::lookup::{FoundApi, Kind};
use super::output::progress;
use super::serve::say;

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// OpenAPI 2 or 3 document, in JSON or YAML; - reads it from standard input
    #[arg(value_name = "FILE")]
    file: String,
    /// API that becomes what the document says, by id or name; without it, a new one is made
    #[arg(long, value_name = "API")]
    api: Option<String>,
    /// Which kind of API to make
    #[arg(long = "type", value_enum, default_value_t = ImportType::Http, conflicts_with = "api", value_name = "TYPE")]
    kind: ImportType,
    /// Whether what the document doesn't have stays in a REST API
    #[arg(long, value_enum, default_value_t = Mode::Overwrite, requires = "api")]
    mode: Mode,
    /// What to make of the document's base path
    #[arg(long, value_enum, value_name = "MODE")]
    base_path: Option<BasePath>,
    /// Import nothing if the document has something that can't be taken
    #[arg(long)]
    fail_on_warnings: bool,
    /// Deploy it to this stage afterwards
    #[arg(long, value_name = "STAGE")]
    deploy: Option<String>,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ImportType {
    Rest,
    Http,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    Merge,
    Overwrite,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum BasePath {
    Ignore,
    Prepend,
    Split,
}

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// The API's id, or its name if no other API has it
    #[arg(value_name = "API")]
    api: String,
    /// Export what this stage serves; REST APIs need one, others are exported as they are now without it
    #[arg(value_name = "STAGE")]
    stage: Option<String>,
    /// Which OpenAPI; HTTP APIs have version 3 only
    #[arg(long, value_enum, default_value_t = Specification::Oas30)]
    specification: Specification,
    /// How the document is written
    #[arg(long, value_enum, default_value_t = Format::Yaml)]
    format: Format,
    /// Leave out AWS's extensions, and so where integrations lead
    #[arg(long)]
    without_extensions: bool,
    /// File to write, which isn't to exist yet [default: standard output]
    #[arg(long, value_name = "FILE")]
    to: Option<std::path::PathBuf>,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Specification {
    Oas30,
    Swagger,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Yaml,
    Json,
}

pub(super) async fn import(args: ImportArgs) -> Result<(), String> {
    let client = args.reach.client()?;
    let document = document::read(&args.file)?;
    progress(&format!("importing {} bytes ...", document.len()));
    let api = match &args.api {
        Some(api) => Some(client.api(api).await?),
        None => None,
    };
    let answer = match &api {
        Some(api) if api.kind == Kind::WebSocket => {
            return Err(format!("API {} is a WebSocket API, which OpenAPI can't describe", api.id));
        }
        Some(api) if api.is_rest() => put(&client, &args, api, &document).await?,
        Some(api) => send_v2(&client, &args, &format!("/v2/apis/{}", segment(&api.id)), document).await?,
        None if args.kind == ImportType::Rest => {
            let target = format!("/restapis?mode=import{}", v1_options(&args));
            client.call("POST", &target, &document).await?
        }
        None => send_v2(&client, &args, "/v2/apis", document).await?,
    };
    let id = [text(&answer, "id"), text(&answer, "apiId")].concat();
    let mut said = vec![id.clone()];
    for member in ["warnings", "importInfo"] {
        let lines = answer[member].as_array().into_iter().flatten().filter_map(Value::as_str);
        said.extend(lines.map(|line| format!("warning: {line}")));
    }
    if let Some(stage) = &args.deploy {
        let deployed = deploy::make(&client, &client.api(&id).await?, stage, None).await;
        let deployed =
            deployed.map_err(|error| format!("API {id} was imported, but isn't deployed: {error}"))?;
        let deployment = [text(&deployed, "id"), text(&deployed, "deploymentId")].concat();
        said.push(format!("stage {stage} of API {id} serves deployment {deployment}"));
    }
    client.output.done(&answer, &said.join("\n"))
}

async fn put(client: &Client, args: &ImportArgs, api: &FoundApi, document: &[u8]) -> Result<Value, String> {
    let mode = match args.mode {
        Mode::Merge => "merge",
        Mode::Overwrite => "overwrite",
    };
    client.call("PUT", &format!("{}?mode={mode}{}", api.path(), v1_options(args)), document).await
}

async fn send_v2(
    client: &Client,
    args: &ImportArgs,
    target: &str,
    document: Vec<u8>,
) -> Result<Value, String> {
    if args.api.is_some() && args.mode == Mode::Merge {
        return Err("--mode merge is for REST APIs: an HTTP API becomes what the document says".to_owned());
    }
    let document = String::from_utf8(document).map_err(|_| format!("{} isn't UTF-8", args.file))?;
    let base_path = base_path(args).map_or_else(String::new, |mode| format!("&basepath={mode}"));
    let target = format!("{target}?failOnWarnings={}{base_path}", args.fail_on_warnings);
    client.put(&target, &json!({"body": document})).await
}

fn v1_options(args: &ImportArgs) -> String {
    let base_path = base_path(args).map_or_else(String::new, |mode| format!("&basepath={mode}"));
    format!("&failonwarnings={}{base_path}", args.fail_on_warnings)
}

fn base_path(args: &ImportArgs) -> Option<&'static str> {
    args.base_path.map(|mode| match mode {
        BasePath::Ignore => "ignore",
        BasePath::Prepend => "prepend",
        BasePath::Split => "split",
    })
}

pub(super) async fn export(args: ExportArgs) -> Result<(), String> {
    let client = args.reach.client()?;
    let api = client.api(&args.api).await?;
    let document = match api.is_rest() {
        true => export_v1(&client, &args, &api).await?,
        false => export_v2(&client, &args, &api).await?,
    };
    match &args.to {
        None => say(document.trim_end()),
        Some(file) => {
            let written = std::fs::File::create_new(file)
                .and_then(|mut made| std::io::Write::write_all(&mut made, document.as_bytes()));
            written.map_err(|error| format!("can't write {}: {error}", file.display()))
        }
    }
}

async fn export_v1(client: &Client, args: &ExportArgs, api: &FoundApi) -> Result<String, String> {
    let stage = args.stage.as_ref().ok_or_else(|| {
        format!(
            "what is exported of a REST API is what a stage serves: turnpike-control export {} STAGE",
            args.api
        )
    })?;
    let specification = match args.specification {
        Specification::Oas30 => "oas30",
        Specification::Swagger => "swagger",
    };
    let extensions = if args.without_extensions { "" } else { "?extensions=apigateway" };
    let accept = match args.format {
        Format::Yaml => "application/yaml",
        Format::Json => "application/json",
    };
    let target = format!("{}/exports/{specification}{extensions}", api.stage_path(stage));
    client.download(&target, accept).await
}

async fn export_v2(client: &Client, args: &ExportArgs, api: &FoundApi) -> Result<String, String> {
    if args.specification == Specification::Swagger {
        return Err("HTTP APIs are exported as OpenAPI 3 only: leave --specification out".to_owned());
    }
    let format = match args.format {
        Format::Yaml => "YAML",
        Format::Json => "JSON",
    };
    let stage =
        args.stage.as_ref().map_or_else(String::new, |stage| format!("&stageName={}", segment(stage)));
    let extensions = !args.without_extensions;
    let target =
        format!("{}/exports/OAS30?outputType={format}&includeExtensions={extensions}{stage}", api.path());
    client.download(&target, "*/*").await
}
