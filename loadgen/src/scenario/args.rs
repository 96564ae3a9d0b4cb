//! Scenarios on the command line.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Scenario")]
pub struct ScenarioArgs {
    /// Send what a TOML file says: weighted requests and flows, templates, checks, extractions, think time; its paths
    /// are put behind the URL's, and full URLs go to the hosts that they name
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "method", "body", "body_bytes", "chunked", "path_list", "header_list", "no_keepalive",
    ])]
    pub scenario: Option<PathBuf>,
}
