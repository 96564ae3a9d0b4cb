//! `cache`: how a stage's response cache works beyond what AWS has, and what it is to forget.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::document;
use super::setting::{OfStage, Setting};

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
        of: OfStage,
        /// File with the document; - reads it from standard input
        #[arg(value_name = "FILE")]
        file: String,
    },
    /// Print the settings' document.
    Get {
        #[command(flatten)]
        of: OfStage,
    },
    /// Turn the cache of an HTTP API's stage off.
    Delete {
        #[command(flatten)]
        of: OfStage,
    },
    /// Forget every answer; done once the connected gateways have.
    Flush {
        #[command(flatten)]
        of: OfStage,
    },
    /// Forget the answers that have one of these tags in their Cache-Tag field; done once the connected gateways have.
    Purge {
        #[command(flatten)]
        of: OfStage,
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

pub(super) async fn run(args: CacheArgs) -> Result<(), String> {
    match args.command {
        CacheCommand::Put { of, file } => {
            let document = document::read(&file)?;
            of.setting("cache").await?.put(&document).await
        }
        CacheCommand::Get { of } => of.setting("cache").await?.show().await,
        CacheCommand::Delete { of } => of.setting("cache").await?.delete("turned the cache off").await,
        CacheCommand::Flush { of } => of.setting("cache/data").await?.delete("flushed").await,
        CacheCommand::Purge { of, tags } => {
            let Setting { client, target } = of.setting("cache/purge").await?;
            client.post(&target, &json!({"tags": tags})).await?;
            client.output.done(&Value::Null, "purged")
        }
    }
}
