//! The command line: what the program is started for, and where its settings come from.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::low::LowArgs;
use crate::check::Output;

/// Turnpike's data plane: serves the APIs that turnpike-control publishes.
///
/// Every setting may be given as a flag, as an environment variable, or as a key of the file that --config
/// names; a flag wins over the environment, and the environment over the file. A key is the flag's name with
/// `_` for `-`: `--header-bytes-max 16384`, `TURNPIKE_GATEWAY_HEADER_BYTES_MAX=16384` and
/// `header_bytes_max = 16384` say the same. Sizes are in bytes, times in milliseconds.
#[derive(Parser, Debug)]
#[command(name = "turnpike-gateway", version, max_term_width = 110, args_conflicts_with_subcommands = true)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) typed: Typed,
    /// Without one, the gateway runs.
    #[command(subcommand)]
    pub(super) task: Option<TypedTask>,
}

/// What a gateway can be told to do other than to run.
#[derive(Subcommand, Debug)]
pub(super) enum TypedTask {
    /// Says what this host allows a gateway with these settings, and what to change. Ends with status 1 if it
    /// couldn't start, or couldn't hold what the settings promise
    Check {
        /// A table for people, or JSON for programs
        #[arg(long, value_name = "table|json", default_value = "table", value_enum)]
        output: Output,
        #[command(flatten)]
        typed: Box<Typed>,
    },
    /// Has the running gateway of this data directory start a new process, hand its sockets over to it, and drain:
    /// no connection is refused and no request fails. The new process gets the arguments and the environment that the
    /// running one was started with, and reads its settings file anew. Ends with status 1, and says why, if the new
    /// process doesn't become ready; the running one then goes on
    Upgrade {
        /// Binary to start [default: the one that the running gateway was started as]
        #[arg(long, value_name = "PATH")]
        binary: Option<PathBuf>,
        #[command(flatten)]
        typed: Box<Typed>,
    },
    /// Hands so many limits over from one limiter to another, as an upgrade does, and prints as JSON what came of it. For
    /// the benchmark: it serves nothing
    #[command(hide = true)]
    MeasureHandover {
        #[arg(long, value_name = "LIMITS")]
        limits: usize,
        #[command(flatten)]
        typed: Box<Typed>,
    },
    /// Asks the limiter for one limit's tokens from all cores at once, as fast as they can, and prints as JSON what came of
    /// it. For the benchmark: it serves nothing
    #[command(hide = true)]
    MeasureLimiter {
        #[arg(long, value_name = "REQUESTS")]
        rate_per_s: u32,
        #[arg(long, value_name = "REQUESTS")]
        burst_requests: u32,
        #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=60))]
        seconds: u32,
        #[command(flatten)]
        typed: Box<Typed>,
    },
}

/// Where settings come from.
#[derive(Args, Debug)]
pub(super) struct Typed {
    /// TOML file with settings; an unknown key in it is an error.
    #[arg(long, value_name = "FILE", env = "TURNPIKE_GATEWAY_CONFIG")]
    pub(super) config: Option<PathBuf>,
    #[command(flatten)]
    pub(super) low: LowArgs,
}
