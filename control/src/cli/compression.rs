//! `compression`: from which size on an HTTP API's stage compresses bodies.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{Client, Reach, segment};
use super::output::pretty;
use super::serve::say;

#[derive(Debug, Args)]
pub(super) struct CompressionArgs {
    #[command(subcommand)]
    command: CompressionCommand,
}

#[derive(Debug, Subcommand)]
enum CompressionCommand {
    /// Compress answers for clients that take them so, and decompress requests.
    Set {
        #[command(flatten)]
        of: Of,
        /// Smallest body that is compressed or decompressed, 0 to 10485760
        #[arg(value_name = "BYTES")]
        minimum_size: u32,
    },
    /// Print the setting.
    Get {
        #[command(flatten)]
        of: Of,
    },
    /// Leave bodies as they are.
    Delete {
        #[command(flatten)]
        of: Of,
    },
}

/// Whose compression, and where to ask.
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

pub(super) async fn run(args: CompressionArgs) -> Result<(), String> {
    match args.command {
        CompressionCommand::Set { of, minimum_size } => {
            let (client, target) = of.compression().await?;
            let document = json!({"minimumCompressionSize": minimum_size});
            say(&pretty(&client.call("PUT", &target, document.to_string().as_bytes()).await?))
        }
        CompressionCommand::Get { of } => {
            let (client, target) = of.compression().await?;
            say(&pretty(&client.get(&target).await?))
        }
        CompressionCommand::Delete { of } => {
            let (client, target) = of.compression().await?;
            client.delete(&target).await?;
            client.output.done(&Value::Null, "turned compression off")
        }
    }
}

impl Of {
    async fn compression(self) -> Result<(Client, String), String> {
        let client = self.reach.client()?;
        let api = client.api(&self.api).await?;
        let (api, stage) = (segment(&api.id), segment(&self.stage));
        Ok((client, format!("/turnpike/v1/apis/{api}/stages/{stage}/compression")))
    }
}
