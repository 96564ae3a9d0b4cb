//! `targets`: puts, shows and deletes what a VPC link or an integration leads to, by signed calls of a running
//! control that may be on another host.

use std::io::Read as _;

use clap::{ArgGroup, Args, Subcommand};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::call::{Answer, Caller};
use super::serve::say;
use crate::sigv4::AccessKey;

const ENDPOINT_URL: &str = "http://127.0.0.1:9080";
const REGION: &str = "us-east-1";
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// Above what control takes by default.
const DOCUMENT_BYTES_MAX: u64 = 64 << 20;

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
    endpoint: Endpoint,
}

/// A running control.
#[derive(Debug, Args)]
pub(super) struct Endpoint {
    /// Address of the management API [default: http://127.0.0.1:9080]
    #[arg(long, env = "AWS_ENDPOINT_URL", value_name = "URL")]
    endpoint_url: Option<String>,
    /// Its region; AWS_DEFAULT_REGION is taken too [default: us-east-1]
    #[arg(long, env = "AWS_REGION", value_name = "REGION")]
    region: Option<String>,
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
        TargetsCommand::Put { of, file } => ("PUT", of, read_document(&file)?),
        TargetsCommand::Get { of } => ("GET", of, Vec::new()),
        TargetsCommand::Delete { of } => ("DELETE", of, Vec::new()),
    };
    let called = of.endpoint.resolve()?;
    let caller = called.caller();
    let answer = caller.call(method, &of.owner.path(), &body).await?;
    match told(&answer)? {
        Some(document) => say(&document),
        None => Ok(()),
    }
}

/// Where to call, and as whom.
#[derive(Debug)]
pub(super) struct Called {
    authority: String,
    key: AccessKey,
    region: String,
}

impl Endpoint {
    /// # Errors
    /// When the environment has no access key, or the address isn't one.
    pub(super) fn resolve(&self) -> Result<Called, String> {
        let region = self.region.clone().or_else(|| variable("AWS_DEFAULT_REGION"));
        Ok(Called {
            authority: authority(self.endpoint_url.as_deref().unwrap_or(ENDPOINT_URL))?,
            key: access_key(variable)?,
            region: region.unwrap_or_else(|| REGION.to_owned()),
        })
    }
}

impl Called {
    pub(super) fn caller(&self) -> Caller<'_> {
        Caller {
            authority: &self.authority,
            key: &self.key,
            region: &self.region,
            address_hint: "Name its address with --endpoint-url or AWS_ENDPOINT_URL",
        }
    }
}

impl Owner {
    fn path(&self) -> String {
        let segment =
            |text: &Option<String>| utf8_percent_encode(text.as_deref().unwrap_or(""), SEGMENT).to_string();
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

fn read_document(file: &str) -> Result<Vec<u8>, String> {
    let mut document = Vec::new();
    let read = match file {
        "-" => std::io::stdin().lock().take(DOCUMENT_BYTES_MAX).read_to_end(&mut document),
        file => std::fs::File::open(file)
            .and_then(|opened| opened.take(DOCUMENT_BYTES_MAX).read_to_end(&mut document)),
    };
    let from = if file == "-" { "standard input" } else { file };
    match read {
        Ok(0) => Err(format!("{from} is empty: give the targets as JSON (see targets put --help)")),
        Ok(_) => Ok(document),
        Err(error) => Err(format!("can't read the targets from {from}: {error}")),
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The key that the AWS CLI takes from the environment too.
fn access_key(variable: impl Fn(&str) -> Option<String>) -> Result<AccessKey, String> {
    match (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY")) {
        (Some(id), Some(secret)) => Ok(AccessKey { id, secret }),
        _ => Err(
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY have to be set: turnpike-control up prints both as \
                  export lines, and the data directory's root-access-key.json holds them"
                .to_owned(),
        ),
    }
}

/// Host and port of `http://host:port`.
fn authority(url: &str) -> Result<String, String> {
    let rest = url.strip_prefix("http://").ok_or_else(|| {
        format!("the endpoint URL '{url}' has to begin with http://: the management API speaks plain HTTP")
    })?;
    let authority = rest.trim_end_matches('/');
    if authority.is_empty() || authority.contains(['/', '?', '#', '@']) {
        return Err(format!("the endpoint URL '{url}' has to be http://HOST:PORT"));
    }
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    Ok(if has_port { authority.to_owned() } else { format!("{authority}:80") })
}

/// What to print of a success.
pub(super) fn told(answer: &Answer) -> Result<Option<String>, String> {
    let Answer { status, body } = answer;
    let document: Option<Value> = serde_json::from_str(body).ok();
    let message = document.as_ref().and_then(|document| document["message"].as_str()).unwrap_or(body);
    match status {
        200 => {
            let document = document.ok_or("turnpike-control's answer isn't JSON")?;
            let pretty = serde_json::to_string_pretty(&document).map_err(|error| error.to_string())?;
            Ok(Some(pretty))
        }
        204 => Ok(None),
        403 => Err(format!(
            "turnpike-control answered 403: {message}. Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, and the region"
        )),
        _ => Err(format!("turnpike-control answered {status}: {message}")),
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

    #[test]
    fn endpoints_are_plain_http() {
        assert_eq!(authority("http://127.0.0.1:9080").as_deref(), Ok("127.0.0.1:9080"));
        assert_eq!(authority("http://h/").as_deref(), Ok("h:80"));
        assert_eq!(authority("http://[::1]:9080/").as_deref(), Ok("[::1]:9080"));
        for url in ["https://h", "h:9080", "http://", "http://h/x", "http://u@h"] {
            assert!(authority(url).expect_err(url).contains(url));
        }
    }

    #[test]
    fn answers_are_told() {
        let told = |status, body: &str| told(&Answer { status, body: body.to_owned() });
        assert_eq!(told(200, "{\"a\":1}"), Ok(Some("{\n  \"a\": 1\n}".to_owned())));
        assert_eq!(told(204, ""), Ok(None));
        assert!(told(400, "{\"message\":\"no\"}").expect_err("refused").ends_with("400: no"));
        assert!(told(403, "{\"message\":\"no\"}").expect_err("refused").contains("AWS_SECRET_ACCESS_KEY"));
        assert!(access_key(|name| (name == "AWS_ACCESS_KEY_ID").then(|| "x".to_owned())).is_err());
    }
}
