//! `cache`: how a stage's response cache works beyond what AWS has, and what it is to forget.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{Client, Reach, segment};
use super::document;
use super::output::pretty;
use super::serve::say;

#[derive(Debug, Args)]
pub(super) struct CacheArgs {
    #[command(subcommand)]
    command: CacheCommand,
}

#[derive(Debug, Subcommand)]
enum CacheCommand {
    /// Replace the settings by a JSON document, and print it with every default filled in.
    ///
    /// Of a REST API's stage, size, TTL and key are AWS's to set (aws apigateway update-stage, put-integration).
    #[command(after_help = DOCUMENT_HELP)]
    Put {
        #[command(flatten)]
        of: Of,
        /// File with the document; - reads it from standard input
        #[arg(value_name = "FILE")]
        file: String,
    },
    /// Print the settings' document.
    Get {
        #[command(flatten)]
        of: Of,
    },
    /// Turn the cache of an HTTP API's stage off.
    Delete {
        #[command(flatten)]
        of: Of,
    },
    /// Forget every answer; done once the connected gateways have.
    Flush {
        #[command(flatten)]
        of: Of,
    },
    /// Forget the answers that have one of these tags in their Cache-Tag field; done once the connected gateways have.
    Purge {
        #[command(flatten)]
        of: Of,
        #[arg(value_name = "TAG", required = true)]
        tags: Vec<String>,
    },
}

const DOCUMENT_HELP: &str = "\
The document, with its defaults; an unknown member is an error:
  {
    \"freshness\": \"ROUTE\",               answers are kept for the TTL; or ORIGIN: for as long as the origin
                                        says (RFC 9111), up to the TTL
    \"coalesced\": true                   requests for one answer wait for the first
  }
and of an HTTP API's stage, where sizeBytes has to be there:
    \"sizeBytes\": 536870912,             on one gateway
    \"ttlInSeconds\": 300,                0 to 3600
    \"keyParameters\": [],                beside the path: $request.querystring.NAME, $request.header.NAME
    \"invalidation\": \"SUCCEED_WITH_RESPONSE_HEADER\",
                                        what becomes of Cache-Control: max-age=0 of those who may not: this,
                                        SUCCEED_WITHOUT_RESPONSE_HEADER or FAIL_WITH_403; ANYONE: all may
    \"routes\": {                         other than that
      \"GET /pets\": {\"enabled\": true, \"ttlInSeconds\": 60, \"keyParameters\": []}
    }
";

/// Whose cache, and where to ask.
#[derive(Debug, Args)]
struct Of {
    /// The API's id, or its name if no other API has it
    #[arg(value_name = "API")]
    api: String,
    #[arg(value_name = "STAGE")]
    stage: String,
    #[command(flatten)]
    reach: Reach,
}

pub(super) async fn run(args: CacheArgs) -> Result<(), String> {
    match args.command {
        CacheCommand::Put { of, file } => {
            let document = document::read(&file)?;
            let (client, target) = of.cache().await?;
            say(&pretty(&client.call("PUT", &target, &document).await?))
        }
        CacheCommand::Get { of } => {
            let (client, target) = of.cache().await?;
            say(&pretty(&client.get(&target).await?))
        }
        CacheCommand::Delete { of } => {
            let (client, target) = of.cache().await?;
            client.delete(&target).await?;
            client.output.done(&Value::Null, "turned the cache off")
        }
        CacheCommand::Flush { of } => {
            let (client, target) = of.cache().await?;
            client.delete(&format!("{target}/data")).await?;
            client.output.done(&Value::Null, "flushed")
        }
        CacheCommand::Purge { of, tags } => {
            let (client, target) = of.cache().await?;
            client.post(&format!("{target}/purge"), &json!({"tags": tags})).await?;
            client.output.done(&Value::Null, "purged")
        }
    }
}

impl Of {
    async fn cache(self) -> Result<(Client, String), String> {
        let client = self.reach.client()?;
        let api = client.api(&self.api).await?;
        let target = format!("/turnpike/v1/apis/{}/stages/{}/cache", segment(&api.id), segment(&self.stage));
        Ok((client, target))
    }
}
