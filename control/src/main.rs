//! `turnpike-control`: see the library of the same name.

use std::io::Write as _;

use clap::Parser as _;
use turnpike_control::cli::Cli;

fn main() -> std::process::ExitCode {
    match Cli::parse().run() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(message) => {
            // Where it can't be written, the status still tells.
            let _ = writeln!(std::io::stderr(), "turnpike-control: {message}");
            std::process::ExitCode::FAILURE
        }
    }
}
