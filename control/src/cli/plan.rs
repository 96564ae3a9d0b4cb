//! `plan`: usage plans, which say who may use which stages, how fast and how much.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::client::{Client, Reach, segment, text};
use super::lookup::api_stage;

#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    #[command(subcommand)]
    command: PlanCommand,
}

#[derive(Debug, Subcommand)]
enum PlanCommand {
    /// List the usage plans.
    List {
        #[command(flatten)]
        reach: Reach,
    },
    /// Show one usage plan with the API keys in it.
    Show {
        #[arg(value_name = "PLAN", help = "The plan's id")]
        plan: String,
        #[command(flatten)]
        reach: Reach,
    },
    /// Make a usage plan, and print its id.
    Create(CreateArgs),
    /// Let a plan's keys use a stage.
    Attach {
        #[command(flatten)]
        of: OfStage,
    },
    /// No longer let a plan's keys use a stage.
    Detach {
        #[command(flatten)]
        of: OfStage,
    },
    /// Delete a usage plan, which can have no stages any more.
    Delete {
        #[arg(value_name = "PLAN", help = "The plan's id")]
        plan: String,
        #[command(flatten)]
        reach: Reach,
    },
}

#[derive(Debug, Args)]
struct CreateArgs {
    #[arg(value_name = "NAME", help = "Its name")]
    name: String,
    /// Stage that its keys may use; may come several times
    #[arg(long, value_name = "API:STAGE", value_parser = api_stage)]
    stage: Vec<(String, String)>,
    /// Requests per second of each key
    #[arg(long, value_name = "REQUESTS", requires = "burst")]
    rate: Option<f64>,
    /// Requests at once of each key
    #[arg(long, value_name = "REQUESTS", requires = "rate")]
    burst: Option<u32>,
    /// Requests in a period of each key
    #[arg(long, value_name = "REQUESTS", requires = "period")]
    quota: Option<u32>,
    /// The quota's period
    #[arg(long, value_enum, requires = "quota")]
    period: Option<QuotaPeriod>,
    /// Day on which a period begins: of the week (0 is Sunday, the default) or of the month (0 is the first)
    #[arg(long, value_name = "DAYS", requires = "quota")]
    offset: Option<u32>,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum QuotaPeriod {
    Day,
    Week,
    Month,
}

#[derive(Debug, Args)]
struct OfStage {
    #[arg(value_name = "PLAN", help = "The plan's id")]
    plan: String,
    #[arg(value_name = "API:STAGE", value_parser = api_stage, help = "The stage")]
    stage: (String, String),
    #[command(flatten)]
    reach: Reach,
}

pub(super) async fn run(args: PlanArgs) -> Result<(), String> {
    match args.command {
        PlanCommand::List { reach } => {
            let client = reach.client()?;
            let plans = client.list("/usageplans").await?;
            client.output.list("usage plans", ["ID", "NAME", "STAGES", "THROTTLE", "QUOTA"], &plans, |plan| {
                [text(plan, "id"), text(plan, "name"), stages(plan), throttle(plan), quota(plan)]
            })
        }
        PlanCommand::Show { plan, reach } => show(&reach.client()?, &plan).await,
        PlanCommand::Create(args) => create(args).await,
        PlanCommand::Attach { of } => change_stage(&of, "add").await,
        PlanCommand::Detach { of } => change_stage(&of, "remove").await,
        PlanCommand::Delete { plan, reach } => {
            let client = reach.client()?;
            client.delete(&format!("/usageplans/{}", segment(&plan))).await?;
            client.output.done(&Value::Null, &format!("deleted usage plan {plan}"))
        }
    }
}

async fn show(client: &Client, plan: &str) -> Result<(), String> {
    let target = format!("/usageplans/{}", segment(plan));
    let plan = client.get(&target).await?;
    let keys = client.list(&format!("{target}/keys")).await?;
    let keys: Vec<String> =
        keys.iter().map(|key| format!("{} ({})", text(key, "id"), text(key, "name"))).collect();
    client.output.show(
        &plan,
        [
            ("id", text(&plan, "id")),
            ("name", text(&plan, "name")),
            ("stages", stages(&plan)),
            ("throttle", throttle(&plan)),
            ("quota", quota(&plan)),
            ("keys", keys.join(", ")),
        ],
    )
}

async fn create(args: CreateArgs) -> Result<(), String> {
    let client = args.reach.client()?;
    let mut stages = Vec::new();
    for (api, stage) in &args.stage {
        stages.push(json!({"apiId": client.api(api).await?.id, "stage": stage}));
    }
    let mut body = json!({"name": args.name, "apiStages": stages});
    if let (Some(rate), Some(burst)) = (args.rate, args.burst) {
        body["throttle"] = json!({"rateLimit": rate, "burstLimit": burst});
    }
    if let (Some(limit), Some(period)) = (args.quota, args.period) {
        let period = match period {
            QuotaPeriod::Day => "DAY",
            QuotaPeriod::Week => "WEEK",
            QuotaPeriod::Month => "MONTH",
        };
        body["quota"] = json!({"limit": limit, "period": period, "offset": args.offset.unwrap_or(0)});
    }
    let answer = client.post("/usageplans", &body).await?;
    client.output.done(&answer, &text(&answer, "id"))
}

async fn change_stage(of: &OfStage, op: &str) -> Result<(), String> {
    let client = of.reach.client()?;
    let (api, stage) = &of.stage;
    let named = format!("{}:{stage}", client.api(api).await?.id);
    let patch = json!({"op": op, "path": "/apiStages", "value": named});
    let target = format!("/usageplans/{}", segment(&of.plan));
    let answer = client.patch(&target, &json!({"patchOperations": [patch]})).await?;
    client.output.done(&answer, &format!("usage plan {}: {}", of.plan, stages(&answer)))
}

fn stages(plan: &Value) -> String {
    let all = plan["apiStages"].as_array().into_iter().flatten();
    let each: Vec<String> =
        all.map(|stage| format!("{}:{}", text(stage, "apiId"), text(stage, "stage"))).collect();
    each.join(" ")
}

fn throttle(plan: &Value) -> String {
    match &plan["throttle"] {
        Value::Null => String::new(),
        throttle => format!("{}/s, {} at once", text(throttle, "rateLimit"), text(throttle, "burstLimit")),
    }
}

fn quota(plan: &Value) -> String {
    match &plan["quota"] {
        Value::Null => String::new(),
        quota => {
            let period = text(quota, "period").to_lowercase();
            let offset = match quota["offset"].as_u64() {
                None | Some(0) => String::new(),
                Some(days) => format!(" from day {days} of it on"),
            };
            format!("{} a {period}{offset}", text(quota, "limit"))
        }
    }
}
