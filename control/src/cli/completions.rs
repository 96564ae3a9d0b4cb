//! `completions`: what a shell needs to complete this command line.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::Cli;

#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    #[arg(value_enum, value_name = "SHELL", help = "Your shell")]
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs) -> Result<(), String> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "turnpike-control", &mut script);
    let script = String::from_utf8(script).map_err(|error| error.to_string())?;
    super::serve::say(script.trim_end())
}
