//! `domain`: custom domain names, and what their paths lead to.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{Client, Reach, segment, text};
use super::lookup::api_stage;

#[derive(Debug, Args)]
pub(super) struct DomainArgs {
    #[command(subcommand)]
    command: DomainCommand,
}

#[derive(Debug, Subcommand)]
enum DomainCommand {
    /// List the custom domain names.
    List {
        #[command(flatten)]
        reach: Reach,
    },
    /// Show one with what its paths lead to.
    Show {
        #[command(flatten)]
        of: Of,
    },
    /// Make a domain name with a certificate that was imported or issued.
    Create {
        #[command(flatten)]
        of: Of,
        /// ARN of the certificate, as aws acm import-certificate prints it
        #[arg(long, value_name = "ARN")]
        certificate: String,
        /// Which versions and ciphers of TLS clients may use
        #[arg(long, value_name = "POLICY", default_value = "TLS_1_2")]
        security_policy: String,
    },
    /// Let a path of a domain lead to a stage; without --path, all of them.
    Map {
        #[command(flatten)]
        of: Of,
        #[arg(value_name = "API:STAGE", value_parser = api_stage, help = "The stage")]
        stage: (String, String),
        /// Whole leading segments, such as v1 or v1/pets
        #[arg(long, value_name = "PATH", default_value = "")]
        path: String,
    },
    /// Take a mapping away.
    Unmap {
        #[command(flatten)]
        of: Of,
        /// The mapping's path
        #[arg(long, value_name = "PATH", default_value = "")]
        path: String,
    },
    /// Delete a domain name with its mappings.
    Delete {
        #[command(flatten)]
        of: Of,
    },
}

#[derive(Debug, Args)]
struct Of {
    #[arg(value_name = "DOMAIN", help = "The domain name")]
    domain: String,
    #[command(flatten)]
    reach: Reach,
}

impl Of {
    fn path(&self) -> String {
        format!("/v2/domainnames/{}", segment(&self.domain))
    }
}

pub(super) async fn run(args: DomainArgs) -> Result<(), String> {
    match args.command {
        DomainCommand::List { reach } => {
            let client = reach.client()?;
            let domains = client.list("/v2/domainnames").await?;
            client.output.list(
                "domain names",
                ["DOMAIN", "POINT DNS TO", "POLICY", "MUTUAL TLS"],
                &domains,
                |domain| {
                    let of = &domain["domainNameConfigurations"][0];
                    let [target, policy] =
                        ["apiGatewayDomainName", "securityPolicy"].map(|member| text(of, member));
                    [text(domain, "domainName"), target, policy, mutual_tls(domain)]
                },
            )
        }
        DomainCommand::Show { of } => show(&of.reach.client()?, &of).await,
        DomainCommand::Create { of, certificate, security_policy } => {
            let client = of.reach.client()?;
            let configuration = json!({"certificateArn": certificate, "endpointType": "REGIONAL", "securityPolicy": security_policy});
            let body = json!({"domainName": of.domain, "domainNameConfigurations": [configuration]});
            let answer = client.post("/v2/domainnames", &body).await?;
            let target = text(&answer["domainNameConfigurations"][0], "apiGatewayDomainName");
            client
                .output
                .done(&answer, &format!("made {}: point its DNS to {target}, or to the gateways", of.domain))
        }
        DomainCommand::Map { of, stage: (api, stage), path } => {
            let client = of.reach.client()?;
            let api = client.api(&api).await?;
            let body = json!({"apiId": api.id, "stage": stage, "apiMappingKey": path});
            let answer = match client.mapping(&of, &path).await? {
                Some(id) => {
                    client.patch(&format!("{}/apimappings/{}", of.path(), segment(&id)), &body).await?
                }
                None => client.post(&format!("{}/apimappings", of.path()), &body).await?,
            };
            client
                .output
                .done(&answer, &format!("{}/{path} leads to stage {stage} of API {}", of.domain, api.id))
        }
        DomainCommand::Unmap { of, path } => {
            let client = of.reach.client()?;
            let id = client.mapping(&of, &path).await?;
            let id = id.ok_or_else(|| format!("{} has no mapping of the path '{path}'", of.domain))?;
            client.delete(&format!("{}/apimappings/{}", of.path(), segment(&id))).await?;
            client.output.done(&Value::Null, &format!("{}/{path} leads nowhere", of.domain))
        }
        DomainCommand::Delete { of } => {
            let client = of.reach.client()?;
            client.delete(&of.path()).await?;
            client.output.done(&Value::Null, &format!("deleted {}", of.domain))
        }
    }
}

impl Client {
    /// The id of the mapping of this path.
    async fn mapping(&self, of: &Of, path: &str) -> Result<Option<String>, String> {
        let mappings = self.list(&format!("{}/apimappings", of.path())).await?;
        let found = mappings.iter().find(|mapping| text(mapping, "apiMappingKey") == path);
        Ok(found.map(|mapping| text(mapping, "apiMappingId")))
    }
}

async fn show(client: &Client, of: &Of) -> Result<(), String> {
    let domain = client.get(&of.path()).await?;
    let mappings = client.list(&format!("{}/apimappings", of.path())).await?;
    let each = mappings.iter().map(|mapping| {
        let [key, api, stage] = ["apiMappingKey", "apiId", "stage"].map(|member| text(mapping, member));
        format!("/{key} -> {api}:{stage}")
    });
    let configuration = &domain["domainNameConfigurations"][0];
    let [target, certificate, policy] = ["apiGatewayDomainName", "certificateArn", "securityPolicy"]
        .map(|member| text(configuration, member));
    client.output.show(
        &domain,
        [
            ("domain", text(&domain, "domainName")),
            ("point DNS to", target),
            ("certificate", certificate),
            ("policy", policy),
            ("mutual TLS", mutual_tls(&domain)),
            ("mappings", each.collect::<Vec<_>>().join(", ")),
        ],
    )
}

fn mutual_tls(domain: &Value) -> String {
    text(&domain["mutualTlsAuthentication"], "truststoreUri")
}
