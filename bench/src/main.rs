//! `turnpike-bench`: two floors (a bare responder, a bare pass-through proxy) and the side-by-side comparison of
//! Turnpike with them and its peers. Everything runs on loopback.

/// In place of the standard library's, which panics where nobody reads standard error any more.
macro_rules! eprintln {
    ($($part:tt)*) => { $crate::output::tell(format_args!($($part)*)) };
}

mod compare;
mod floor;
mod output;
mod report;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Side-by-side benchmarks of Turnpike and its peers, on loopback.
#[derive(Debug, Parser)]
#[command(name = "turnpike-bench", version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A bare monoio responder: the origin behind the proxies, and the floor of any HTTP server
    Origin(floor::origin::Args),
    /// A bare monoio proxy: the floor of any HTTP proxy
    Passthrough(floor::passthrough::Args),
    /// Runs Turnpike, its peers and the floors in turn and prints them side by side
    #[command(alias = "run")]
    Compare(compare::Args),
    /// Makes a page, or the README's figures, of what `compare --json FILE` wrote
    Report(report::Args),
    /// Counts the instructions that the gateway executes for a request, against those that are kept
    Instructions(compare::instructions::Args),
}

fn main() -> ExitCode {
    let result = match Args::parse().command {
        Command::Origin(args) => floor::origin::run(&args),
        Command::Passthrough(args) => floor::passthrough::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Instructions(args) => compare::instructions::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("turnpike-bench: {reason}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Args::command().debug_assert();
    }
}
