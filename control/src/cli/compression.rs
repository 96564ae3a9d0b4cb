//! `compression`: from which size on an HTTP API's stage compresses bodies.

use clap::{Args, Subcommand};
use serde_json::json;

use super::setting::OfStage;

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
        of: OfStage,
        /// Smallest body that is compressed or decompressed, 0 to 10485760
        #[arg(value_name = "BYTES")]
        minimum_size: u32,
    },
    /// Print the setting.
    Get {
        #[command(flatten)]
        of: OfStage,
    },
    /// Leave bodies as they are.
    Delete {
        #[command(flatten)]
        of: OfStage,
    },
}

pub(super) async fn run(args: CompressionArgs) -> Result<(), String> {
    match args.command {
        CompressionCommand::Set { of, minimum_size } => {
            let document = json!({"minimumCompressionSize": minimum_size});
            of.setting("compression").await?.put(document.to_string().as_bytes()).await
        }
        CompressionCommand::Get { of } => of.setting("compression").await?.show().await,
        CompressionCommand::Delete { of } => {
            of.setting("compression").await?.delete("turned compression off").await
        }
    }
}
