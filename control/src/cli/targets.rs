//! `targets`: puts, shows and deletes what a VPC link or an integration leads to, by signed calls of a running
//! control that may be on another host.

use clap::{ArgGroup, Args, Subcommand};
use serde_json::Value;

use super::client::{Reach, segment};
use super::document;
use super::output::pretty;
use super::serve::say;

#[derive(Debug, Args)]
pub(super) struct TargetsArgs {
    #[command(subcommand)]
    command: TargetsCommand,
}

#[derive(Debug, Subcommand)]
enum TargetsCommand {
    /// Replace the targets by a JSON document, and print it with every default filled in.
    ///
    /// They are in use at once: no deployment is needed.
    #[command(after_help = DOCUMENT_HELP, override_usage = usage("put", " <FILE>"))]
    Put {
        #[command(flatten)]
        of: Of,
        /// File with the document; - reads it from standard input
        #[arg(value_name = "FILE")]
        file: String,
    },
    /// Print the targets' document, with every default filled in.
    #[command(override_usage = usage("get", ""))]
    Get {
        #[command(flatten)]
        of: Of,
    },
    /// Delete the targets: a VPC link leads nowhere then, an integration to its URI's host.
    #[command(override_usage = usage("delete", ""))]
    Delete {
        #[command(flatten)]
        of: Of,
    },
}

/// clap would name each half of an owner as if it could stand alone.
fn usage(command: &str, file: &str) -> String {
    let command = format!("turnpike-control targets {command} [OPTIONS]");
    ["--vpc-link <ID>", "--api <ID> --integration <ID>", "--rest-api <ID> --resource <ID> --method <METHOD>"]
        .map(|owner| format!("{command} {owner}{file}"))
        .join("\n       ")
}

const DOCUMENT_HELP: &str = "\
The document, with its defaults; only targets has to be there, and an unknown member is an error:
  {
    \"targets\": [                       weight: 1 to 1000, its share relative to the others'
      {\"host\": \"10.0.0.1\", \"port\": 8080, \"weight\": 1},
      {\"srv\": \"_http._tcp.pets.internal\", \"weight\": 1},
      {\"unix\": \"/run/pets.sock\", \"weight\": 1}
    ],
    \"balancing\": {\"algorithm\": \"round_robin\"},   or least_request, hash_source_address,
                                                 or hash_header with \"header\": \"x-user\"
    \"slowStartMs\": 0,
    \"healthCheck\": null,               none; or an object of
      {\"protocol\": \"HTTP\", \"path\": \"/\", \"host\": null, \"matcher\": \"200-399\", \"port\": null,
       \"intervalMs\": 10000, \"timeoutMs\": 5000, \"healthyThreshold\": 2, \"unhealthyThreshold\": 3}
                                       protocol has to be given: HTTP asks in plain HTTP/1.1; TCP only
                                       connects, and has no path, host and matcher
    \"outlierEjection\": {               null turns it off
      \"consecutiveFailures\": 5, \"ejectionMs\": 30000, \"ejectionMsMax\": 300000,
      \"ejectedPercentMax\": 50},
    \"panicThresholdPercent\": 50,       with less than this healthy, all are used; 0: never
    \"retry\": {\"triesMax\": 2, \"tryTimeoutMs\": 0, \"budgetPercent\": 20, \"retriesMin\": 3,
              \"statuses\": []},         of 502, 503, 504
    \"circuitBreaker\": {                0 leaves it to the gateway's settings
      \"connectionsMax\": 0, \"pendingRequestsMax\": 0, \"requestsMax\": 0},
    \"protocolVersion\": \"HTTP1\",        or HTTP2, GRPC
    \"tls\": {                           for integrations with an https:// URI
      \"serverName\": null, \"insecureSkipVerification\": false, \"caPem\": null,
      \"clientCertificate\": null}
  }
";

/// Whose targets, and where to ask.
#[derive(Debug, Args)]
struct Of {
    #[command(flatten)]
    owner: Owner,
    #[command(flatten)]
    reach: Reach,
}

/// Exactly one of the three.
#[derive(Debug, Args)]
#[group(skip)]
#[command(group = ArgGroup::new("whose").required(true).args(["vpc_link", "api", "rest_api"]))]
struct Owner {
    /// VPC link, of either service
    #[arg(long, value_name = "ID")]
    vpc_link: Option<String>,
    /// HTTP API of an integration
    #[arg(long, value_name = "ID", requires = "integration")]
    api: Option<String>,
    /// The integration
    #[arg(long, value_name = "ID", requires = "api")]
    integration: Option<String>,
    /// REST API of a method's integration
    #[arg(long, value_name = "ID", requires_all = ["resource", "method"])]
    rest_api: Option<String>,
    /// The method's resource
    #[arg(long, value_name = "ID", requires = "rest_api")]
    resource: Option<String>,
    /// The method: GET, POST, ..., or ANY
    #[arg(long, value_name = "METHOD", requires = "rest_api")]
    method: Option<String>,
}

pub(super) async fn run(args: TargetsArgs) -> Result<(), String> {
    let (method, of, body) = match args.command {
        TargetsCommand::Put { of, file } => ("PUT", of, document::read(&file)?),
        TargetsCommand::Get { of } => ("GET", of, Vec::new()),
        TargetsCommand::Delete { of } => ("DELETE", of, Vec::new()),
    };
    match of.reach.client()?.call(method, &of.owner.path(), &body).await? {
        Value::Null => Ok(()),
        document => say(&pretty(&document)),
    }
}

impl Owner {
    fn path(&self) -> String {
        let segment = |text: &Option<String>| segment(text.as_deref().unwrap_or(""));
        let path = match self {
            Self { vpc_link: Some(_), .. } => format!("vpclinks/{}", segment(&self.vpc_link)),
            Self { api: Some(_), .. } => {
                format!("apis/{}/integrations/{}", segment(&self.api), segment(&self.integration))
            }
            _ => format!(
                "restapis/{}/resources/{}/methods/{}/integration",
                segment(&self.rest_api),
                segment(&self.resource),
                segment(&self.method)
            ),
        };
        format!("/turnpike/v1/{path}/targets")
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::{Cli, Command};
    use super::*;

    fn parse(args: &[&str]) -> Result<TargetsCommand, String> {
        let all = ["turnpike-control", "targets"].into_iter().chain(args.iter().copied());
        match Cli::try_parse_from(all).map_err(|error| error.to_string())?.command {
            Command::Targets(args) => Ok(args.command),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn owners_have_paths() {
        for (args, expected) in [
            (&["get", "--vpc-link", "a1"][..], "/turnpike/v1/vpclinks/a1/targets"),
            (
                &["get", "--api", "a/1", "--integration", "i1"],
                "/turnpike/v1/apis/a%2F1/integrations/i1/targets",
            ),
            (
                &["get", "--rest-api", "a1", "--resource", "r1", "--method", "GET"],
                "/turnpike/v1/restapis/a1/resources/r1/methods/GET/integration/targets",
            ),
        ] {
            let TargetsCommand::Get { of } = parse(args).expect("valid") else { panic!("another command") };
            assert_eq!(of.owner.path(), expected);
        }
    }

    #[test]
    fn an_owner_is_needed_whole_and_alone() {
        for (args, expected) in [
            (&["get"][..], "--vpc-link"),
            (&["get", "--api", "a"], "--integration"),
            (&["get", "--integration", "i"], "--api"),
            (&["get", "--rest-api", "a", "--resource", "r"], "--method"),
            (&["get", "--vpc-link", "l", "--api", "a", "--integration", "i"], "cannot be used with"),
            (&["put", "--vpc-link", "l"], "<FILE>"),
        ] {
            let error = parse(args).expect_err(expected);
            assert!(error.contains(expected), "{args:?}: {error}");
        }
    }
}
