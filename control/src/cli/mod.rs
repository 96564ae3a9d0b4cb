//! The operator's command line.

mod api;
mod apply;
mod audit;
mod backup;
mod cache;
mod call;
mod canary;
mod checked;
mod client;
mod completions;
mod compression;
mod deploy;
mod diff;
mod document;
mod domain;
mod environment;
mod gateway_child;
mod gateways;
mod key;
mod limits;
mod lookup;
mod openapi;
mod options;
mod output;
mod plan;
mod route;
mod secrets_key;
mod serve;
mod setting;
mod signals;
mod stage;
mod status;
mod targets;
mod up;

use clap::{Parser, Subcommand};

use api::ApiArgs;
use apply::ApplyArgs;
use audit::AuditArgs;
use backup::{BackupArgs, RestoreArgs};
use cache::CacheArgs;
use canary::CanaryArgs;
use client::Reach;
use completions::CompletionsArgs;
use compression::CompressionArgs;
use deploy::{DeployArgs, RollbackArgs};
use diff::DiffArgs;
use domain::DomainArgs;
use key::KeyArgs;
use limits::LimitsArgs;
use openapi::{ExportArgs, ImportArgs};
use options::{ServeArgs, StatusArgs, StoreArgs, UpArgs};
use plan::PlanArgs;
use route::RouteArgs;
use stage::StageArgs;
use targets::TargetsArgs;

/// Turnpike's control plane: the management API of Amazon API Gateway, on your own hosts.
///
/// Every setting may be given as a flag, as an environment variable, or as a key of the file that --config
/// names; a flag wins over the environment, and the environment over the file. A key is the flag's name with
/// `_` for `-`; those of the gateway that `up` starts stand in the table [gateway]. Sizes are in bytes, times
/// in milliseconds unless the name says otherwise.
///
/// Commands other than serve, up, backup, restore and rotate-secrets-key call a running turnpike-control as the AWS CLI
/// does, and with its variables: AWS_ENDPOINT_URL, AWS_REGION or AWS_DEFAULT_REGION, AWS_ACCESS_KEY_ID and
/// AWS_SECRET_ACCESS_KEY. All end with 0 when done, with 1 when something failed, and with 2 when they were called
/// wrongly.
#[derive(Debug, Parser)]
#[command(name = "turnpike-control", version, max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the management API, and publish to gateways that are started elsewhere.
    ///
    /// Prints one line when ready. The root access key is made on first start and kept in the data directory;
    /// TURNPIKE_ROOT_ACCESS_KEY_ID and TURNPIKE_ROOT_SECRET_ACCESS_KEY set it.
    ///
    /// SIGTERM and SIGINT end it once open requests are answered. SIGHUP changes nothing: it has no log files to
    /// open anew. The end of the terminal that it runs in ends it too.
    Serve(Box<ServeArgs>),
    /// Serve the management API, start a gateway beside it, and print how to use both.
    ///
    /// The gateway is started again if it ends, drained when this process is told to stop, and ends with it
    /// whatever happens. What it writes to its standard output comes out of this process's.
    ///
    /// SIGTERM and SIGINT drain the gateway and end both, as does the end of the terminal that they run in. SIGHUP
    /// is passed on to the gateway, which opens its log files anew.
    Up(Box<UpArgs>),
    /// Show the newest version, which gateway serves which, how many targets VPC links and integrations have, and which
    /// settings aren't enforced yet.
    Status(StatusArgs),
    /// Put, get or delete what a VPC link or an integration leads to.
    ///
    /// Calls a running turnpike-control as the AWS CLI does, and with its variables: AWS_ACCESS_KEY_ID and
    /// AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL, AWS_REGION or AWS_DEFAULT_REGION.
    Targets(TargetsArgs),
    /// List, show, make and delete APIs.
    Api(ApiArgs),
    /// List, show, make and delete the routes of an API.
    Route(RouteArgs),
    /// List, show, make, change and delete the stages of an API.
    Stage(StageArgs),
    /// Deploy an API as it is now to a stage.
    Deploy(DeployArgs),
    /// Show what a deployment would change in the data plane: the routes that gateways would get, lose, or have lead
    /// elsewhere.
    ///
    /// Each line begins with + (added), - (removed) or ~ (changed). What a deployment would be refused for, it says.
    Diff(DiffArgs),
    /// Try a deployment on a share of a REST stage's clients; promote or remove it.
    Canary(CanaryArgs),
    /// Set, show and turn off what a stage's response cache does beyond AWS; flush it, or purge answers by their tags.
    Cache(CacheArgs),
    /// Choose what throttles let through at gateways that can't reach the store which they share them in.
    Limits(LimitsArgs),
    /// Set, show and turn off payload compression of an HTTP API's stage; a REST API's is AWS's to set.
    Compression(CompressionArgs),
    /// Make an API of an OpenAPI document, or let one become what the document says.
    ///
    /// Prints the API's id, and what of the document couldn't be taken.
    Import(ImportArgs),
    /// Make the server match a folder of OpenAPI documents and settings, after showing what would change.
    Apply(ApplyArgs),
    /// Write an API as an OpenAPI document, which import reads back.
    Export(ExportArgs),
    /// Let a stage serve an older deployment again.
    Rollback(RollbackArgs),
    /// List, show, make, change, import and delete API keys.
    Key(KeyArgs),
    /// List, show, make, change and delete usage plans.
    Plan(PlanArgs),
    /// List, show, make, map and delete custom domain names.
    Domain(DomainArgs),
    /// Show who changed what, and what policies refused, the newest first.
    Audit(AuditArgs),
    /// List the connected gateways, and which version each serves.
    Gateways(Reach),
    /// Write everything that the store holds to a file, while control serves from it.
    ///
    /// Reads the store itself, with the settings of the control that serves from it; nothing waits for it. Tells on
    /// standard error how far it is. Root access keys aren't in the file.
    Backup(BackupArgs),
    /// Make a new store of what `backup` wrote, in SQLite or PostgreSQL, whichever of the two the backup is of.
    ///
    /// The store must not exist yet: a data directory without control.db, or a database without the schema turnpike.
    /// It is there whole in the end, or not at all. The key that secrets are encrypted with is taken from
    /// TURNPIKE_SECRETS_KEY, from secrets.key in the data directory, or from the backup, if it is in there.
    Restore(RestoreArgs),
    /// Replace the key that opens the store's secrets, while control may be serving.
    ///
    /// The new one is made in secrets.key in the data directory; where TURNPIKE_SECRETS_KEY gives the key, it is the one
    /// that TURNPIKE_NEXT_SECRETS_KEY gives. Nothing is encrypted again: what the key opens is the key that the store
    /// was made with. Whoever has an older copy of the store and the old key can still read that copy.
    RotateSecretsKey(StoreArgs),
    /// Print a script that lets a shell complete this command line.
    ///
    /// For bash: turnpike-control completions bash > /etc/bash_completion.d/turnpike-control
    Completions(CompletionsArgs),
}

impl Cli {
    /// Runs the command to its end.
    ///
    /// # Errors
    /// What to tell the operator.
    pub fn run(self) -> Result<(), String> {
        // One thread beside those that wait for the store: gateways on this host need the cores.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("can't start the runtime: {error}"))?;
        let outcome = runtime.block_on(async {
            match self.command {
                Command::Serve(args) => serve::run(*args).await,
                Command::Up(args) => up::run(*args).await,
                Command::Status(args) => status::run(args).await,
                Command::Targets(args) => targets::run(args).await,
                Command::Cache(args) => cache::run(args).await,
                Command::Limits(args) => limits::run(args).await,
                Command::Compression(args) => compression::run(args).await,
                Command::Backup(args) => backup::write(args),
                Command::Restore(args) => backup::restore(args),
                Command::RotateSecretsKey(args) => secrets_key::rotate(args),
                Command::Api(args) => api::run(args).await,
                Command::Route(args) => route::run(args).await,
                Command::Stage(args) => stage::run(args).await,
                Command::Deploy(args) => deploy::deploy(args).await,
                Command::Diff(args) => diff::run(args).await,
                Command::Canary(args) => canary::run(args).await,
                Command::Import(args) => openapi::import(args).await,
                Command::Apply(args) => apply::run(args).await,
                Command::Export(args) => openapi::export(args).await,
                Command::Rollback(args) => deploy::rollback(args).await,
                Command::Key(args) => key::run(args).await,
                Command::Plan(args) => plan::run(args).await,
                Command::Domain(args) => domain::run(args).await,
                Command::Audit(args) => audit::run(args).await,
                Command::Gateways(reach) => gateways::run(&reach).await,
                Command::Completions(args) => completions::run(&args),
            }
        });
        // What still blocks in the store is a transaction that nobody was told of.
        runtime.shutdown_background();
        outcome
    }
}
