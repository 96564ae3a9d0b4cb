//! The `turnpike-loadgen` binary: command line in, report out.

use std::process::ExitCode;

use clap::Parser;
use turnpike_loadgen::cli::Args;
use turnpike_loadgen::report::Report;

const NOTHING_SUCCEEDED: u8 = 1;
const WRONG_COMMAND_LINE: u8 = 2;

fn main() -> ExitCode {
    let args = Args::parse();
    let settings = match args.check() {
        Ok(settings) => settings,
        Err(reason) => return fail(&reason, WRONG_COMMAND_LINE),
    };
    let report = match turnpike_loadgen::run(settings) {
        Ok(report) => report,
        Err(reason) => return fail(&reason, NOTHING_SUCCEEDED),
    };
    match render(&report, args.json) {
        Ok(text) => println!("{text}"),
        Err(reason) => return fail(&reason, NOTHING_SUCCEEDED),
    }
    if report.succeeded == 0 { ExitCode::from(NOTHING_SUCCEEDED) } else { ExitCode::SUCCESS }
}

fn render(report: &Report, json: bool) -> Result<String, String> {
    if json {
        serde_json::to_string_pretty(report).map_err(|error| format!("the report can't be encoded: {error}"))
    } else {
        Ok(report.to_string())
    }
}

fn fail(reason: &str, code: u8) -> ExitCode {
    eprintln!("turnpike-loadgen: {reason}");
    ExitCode::from(code)
}
