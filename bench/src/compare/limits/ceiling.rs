//! The limiter alone, asked by as many threads as there are cores: no generator beside it could ask as often as
//! 1,000,000/s on one key takes.

use std::process::Command;

use serde::Deserialize;

use super::super::Bench;
use super::super::gateway::find_binary;
use super::super::layout;
use super::super::results::{Check, Section};
use super::super::stats::grouped;
use super::ADMISSIONS;
use super::admission::SHARE_MIN;

/// What `turnpike-gateway measure-limiter` prints.
#[derive(Debug, Deserialize)]
struct Measured {
    shards: usize,
    decisions: u64,
    admitted: u64,
    beyond: u64,
    share: f64,
    ns_per_decision: f64,
    ns_per_reading: f64,
}

pub(super) fn measure(bench: &Bench, section: &mut Section) -> Result<(), String> {
    let binary = find_binary(&bench.binaries, "turnpike-gateway")?;
    for (limit, seconds) in ADMISSIONS {
        let (rate, burst) = limit.texts();
        let mut command = Command::new(&binary);
        command.args(["measure-limiter", "--cores", &layout::list(&bench.cores)]);
        command.args(["--rate-per-s", &rate, "--burst-requests", &burst, "--seconds", &seconds.to_string()]);
        let output = command.output().map_err(|error| format!("{}: {error}", binary.display()))?;
        let measured: Measured = serde_json::from_slice(&output.stdout).map_err(|error| {
            format!("measure-limiter: {error}; {}", String::from_utf8_lossy(&output.stderr))
        })?;
        let rate = grouped(f64::from(limit.rate_per_s));
        let on = format!("limiter alone, {} threads: at {rate}/s", measured.shards);
        section.checks.push(Check::at_most(format!("{on}, beyond the bound"), measured.beyond as f64, 0.0));
        let share = measured.share * 100.0;
        section.checks.push(Check::at_least(
            format!("{on}, admitted of what is allowed, %"),
            share,
            SHARE_MIN * 100.0,
        ));
        section.notes.push(format!(
            "{on}: {} of {} decisions admitted in {seconds} s; a decision takes a thread {:.0} ns, {:.0} of them for the \
             measurement's own reading of the clock",
            grouped(measured.admitted as f64),
            grouped(measured.decisions as f64),
            measured.ns_per_decision,
            measured.ns_per_reading,
        ));
    }
    Ok(())
}
