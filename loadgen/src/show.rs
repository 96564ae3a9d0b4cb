//! `turnpike-loadgen show`: a report that `--json` kept, as text or in the other formats.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::output::OutputArgs;
use crate::report::Report;

/// Show a report that --json kept
#[derive(Debug, Clone, Args)]
pub struct ShowArgs {
    /// A file written by --json
    pub file: PathBuf,

    #[command(flatten)]
    pub output: OutputArgs,
}

impl ShowArgs {
    pub fn run(&self) -> Result<(), String> {
        self.output.check()?;
        self.output.write(&read_report(&self.file)?)
    }
}

/// Errors are sentences for the user.
pub(crate) fn read_report(file: &Path) -> Result<Report, String> {
    let text = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    serde_json::from_slice(&text)
        .map_err(|error| format!("{} is not a report of turnpike-loadgen: {error}", file.display()))
}
