//! A document of Turnpike's own that is set, shown and deleted: of a stage that somebody names, or of something else.

use clap::Args;
use serde_json::Value;

use super::client::{Client, Reach};
use super::output::pretty;
use super::serve::say;

/// Which stage, and where to ask.
#[derive(Debug, Args)]
pub(super) struct OfStage {
    /// The API's id, or its name if no other API has it
    #[arg(value_name = "API")]
    api: String,
    #[arg(value_name = "STAGE")]
    stage: String,
    #[command(flatten)]
    reach: Reach,
}

/// Where a running control has the document.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) client: Client,
    pub(super) target: String,
}

impl OfStage {
    pub(super) async fn setting(self, name: &str) -> Result<Setting, String> {
        let client = self.reach.client()?;
        let api = client.api(&self.api).await?;
        let target = format!("{}/{name}", api.extension_path(&self.stage));
        Ok(Setting { client, target })
    }
}

impl Setting {
    /// Prints what it is from then on.
    pub(super) async fn put(&self, document: &[u8]) -> Result<(), String> {
        say(&pretty(&self.client.call("PUT", &self.target, document).await?))
    }

    pub(super) async fn show(&self) -> Result<(), String> {
        say(&pretty(&self.client.get(&self.target).await?))
    }

    pub(super) async fn delete(&self, done: &str) -> Result<(), String> {
        self.client.delete(&self.target).await?;
        self.client.output.done(&Value::Null, done)
    }
}
