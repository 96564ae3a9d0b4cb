//! `turnpike-control`: see the library of the same name.

use clap::Parser as _;
use turnpike_control::cli::Cli;

fn main() -> std::process::ExitCode {
    match Cli::parse().run() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("turnpike-control: {message}");
            std::process::ExitCode::FAILURE
        }
    }
}
