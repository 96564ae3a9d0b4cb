//! The `turnpike-loadgen` binary: command line in, report out.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use turnpike_loadgen::cli::{Cli, Command, Settings};
use turnpike_loadgen::compare::CompareArgs;
use turnpike_loadgen::limits::Listing;
use turnpike_loadgen::output::{self, OutputArgs};
use turnpike_loadgen::report::{Ending, Report};
use turnpike_loadgen::search::{Found, SearchArgs};
use turnpike_loadgen::self_test::SelfTestArgs;
use turnpike_loadgen::signals;

const FAILED: u8 = 1;
const WRONG_COMMAND_LINE: u8 = 2;
const BUDGET_SPENT: u8 = 3;
const REGRESSION: u8 = 4;
const GOAL_MISSED: u8 = 5;

fn main() -> ExitCode {
    let cli = Cli::of_this_process();
    let ended = match cli.command {
        None => run(cli.run.check(), &cli.run.output),
        Some(Command::Replay(replay)) => run(replay.check(), &replay.run.output),
        Some(Command::ImportOpenapi(import)) => import
            .run()
            .and_then(|text| output::print(text.trim_end()))
            .map(|()| ExitCode::SUCCESS)
            .map_err(failed),
        Some(Command::Show(show)) => show.run().map(|()| ExitCode::SUCCESS).map_err(failed),
        Some(Command::Limits) => {
            output::print(Listing.to_string().trim_end()).map(|()| ExitCode::SUCCESS).map_err(failed)
        }
        Some(Command::Compare(args)) => compare(&args),
        Some(Command::Search(args)) => search(&args),
        Some(Command::SelfTest(args)) => self_test(&args),
    };
    ended.unwrap_or_else(|(reason, status)| {
        output::tell(&reason);
        ExitCode::from(status)
    })
}

/// A reason for the user, and the exit status that goes with it.
type Failed = (String, u8);

fn failed(reason: String) -> Failed {
    (reason, FAILED)
}

/// What could not be measured: because a signal came first, or for another reason.
fn unmeasured(reason: String, interrupted: &AtomicBool) -> Failed {
    (reason, if interrupted.load(Ordering::Relaxed) { signals::INTERRUPTED } else { FAILED })
}

fn compare(args: &CompareArgs) -> Result<ExitCode, Failed> {
    let (before, after) = args.check().map_err(|reason| (reason, WRONG_COMMAND_LINE))?;
    let comparison = args.compare(before, after).map_err(failed)?;
    output::print_as(&comparison, args.json).map_err(failed)?;
    Ok(if comparison.regressions.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(REGRESSION) })
}

fn search(args: &SearchArgs) -> Result<ExitCode, Failed> {
    let search = args.check().map_err(|reason| (reason, WRONG_COMMAND_LINE))?;
    let interrupted = signals::watch().map_err(failed)?;
    let output = &args.run.output;
    let found = search
        .run(&interrupted, |trial| output.print_step(trial))
        .map_err(|reason| unmeasured(reason, &interrupted))?;
    output.write_found(&found).map_err(failed)?;
    Ok(match found {
        Found { interrupted: true, .. } => ExitCode::from(signals::INTERRUPTED),
        Found { rate_per_s: None, .. } => ExitCode::from(GOAL_MISSED),
        Found { .. } => ExitCode::SUCCESS,
    })
}

fn self_test(args: &SelfTestArgs) -> Result<ExitCode, Failed> {
    let cores = args.check().map_err(|reason| (reason, WRONG_COMMAND_LINE))?;
    let interrupted = signals::watch().map_err(failed)?;
    let found = args.run(cores, &interrupted).map_err(|reason| unmeasured(reason, &interrupted))?;
    output::print_as(&found, args.json).map_err(failed)?;
    Ok(ExitCode::SUCCESS)
}

fn run(settings: Result<Settings, String>, output: &OutputArgs) -> Result<ExitCode, Failed> {
    let settings = settings.map_err(|reason| (reason, WRONG_COMMAND_LINE))?;
    let interrupted = signals::watch().map_err(failed)?;
    let report =
        turnpike_loadgen::run(settings, &interrupted).map_err(|reason| unmeasured(reason, &interrupted))?;
    output.write(&report).map_err(failed)?;
    Ok(ExitCode::from(status(&report)))
}

fn status(report: &Report) -> u8 {
    match report {
        Report { ended_by: Ending::Interrupted, .. } => signals::INTERRUPTED,
        Report { budget_spent: Some(true), .. } => BUDGET_SPENT,
        Report { succeeded: 0, .. } => FAILED,
        _ => 0,
    }
}
