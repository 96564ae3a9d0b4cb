//! `limits`: what throttles let through at gateways that can't reach the store which they share them in.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};

use super::client::{Reach, segment};
use super::setting::{OfStage, Setting};

#[derive(Debug, Args)]
pub(super) struct LimitsArgs {
    #[command(subcommand)]
    command: LimitsCommand,
}

#[derive(Debug, Subcommand)]
enum LimitsCommand {
    /// Choose it for a stage's throttles, in place of what was chosen before; it holds at once.
    Partition {
        #[command(flatten)]
        of: OfStage,
        /// Of all routes; without it, the gateways' setting limits_partition
        #[arg(value_name = "share|closed|open")]
        partition: Option<Partition>,
        /// Of one route, such as 'GET /pets/{id}=open'; may come several times
        #[arg(long = "route", value_name = "KEY=share|closed|open", value_parser = route)]
        routes: Vec<(String, Partition)>,
    },
    /// Choose it for the throttles of a usage plan.
    PartitionPlan {
        #[command(flatten)]
        of: OfPlan,
        #[arg(value_name = "share|closed|open")]
        partition: Partition,
    },
    /// Print what was chosen for a stage.
    Show {
        #[command(flatten)]
        of: OfStage,
    },
    /// Print what was chosen for a usage plan.
    ShowPlan {
        #[command(flatten)]
        of: OfPlan,
    },
    /// Leave it to the gateways' setting again.
    Reset {
        #[command(flatten)]
        of: OfStage,
    },
    /// Leave a usage plan's to the gateways' setting again.
    ResetPlan {
        #[command(flatten)]
        of: OfPlan,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Partition {
    /// Each gateway lets its share of rate and burst through
    Share,
    /// Nothing is let through
    Closed,
    /// Everything is let through
    Open,
}

#[derive(Debug, Args)]
struct OfPlan {
    /// The plan's id
    #[arg(value_name = "PLAN")]
    plan: String,
    #[command(flatten)]
    reach: Reach,
}

const RESET: &str = "left to the gateways' setting";

pub(super) async fn run(args: LimitsArgs) -> Result<(), String> {
    match args.command {
        LimitsCommand::Partition { of, partition, routes } => {
            let routes = routes.into_iter().map(|(key, partition)| (key, partition.name().into()));
            let mut document = json!({"routes": routes.collect::<Map<String, Value>>()});
            if let Some(partition) = partition {
                document["partition"] = partition.name().into();
            }
            of.setting("limits").await?.put(document.to_string().as_bytes()).await
        }
        LimitsCommand::PartitionPlan { of, partition } => {
            of.setting()?.put(json!({"partition": partition.name()}).to_string().as_bytes()).await
        }
        LimitsCommand::Show { of } => of.setting("limits").await?.show().await,
        LimitsCommand::ShowPlan { of } => of.setting()?.show().await,
        LimitsCommand::Reset { of } => of.setting("limits").await?.delete(RESET).await,
        LimitsCommand::ResetPlan { of } => of.setting()?.delete(RESET).await,
    }
}

fn route(typed: &str) -> Result<(String, Partition), String> {
    let (key, partition) =
        typed.rsplit_once('=').ok_or("write the route's key, `=`, and share, closed or open")?;
    Ok((key.to_owned(), Partition::from_str(partition, false)?))
}

impl Partition {
    fn name(self) -> &'static str {
        match self {
            Self::Share => "SHARE",
            Self::Closed => "CLOSED",
            Self::Open => "OPEN",
        }
    }
}

impl OfPlan {
    fn setting(self) -> Result<Setting, String> {
        let client = self.reach.client()?;
        Ok(Setting { client, target: format!("/turnpike/v1/usageplans/{}/limits", segment(&self.plan)) })
    }
}
