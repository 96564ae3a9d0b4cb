//! The limiter alone, asked by as many threads as there are cores: no generator beside it could ask as often as
//! 1,000,000/s on one key takes.

use std::process::Command;

use serde::Deserialize;
use serde::de::DeserializeOwned;

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

/// What `turnpike-gateway measure-handover` prints.
#[derive(Debug, Deserialize)]
struct HandedOver {
    ms: f64,
    decisions: u64,
    p50_us: u64,
    worst_us: u64,
    refused: u64,
}

/// As many as a gateway keeps by default.
const LIMITS: &str = "1000000";
/// `limit_wait_ms`: a request that waits for longer is refused.
const WAIT_MS_MAX: f64 = 50.0;

pub(super) fn measure(bench: &Bench, section: &mut Section) -> Result<(), String> {
    for (limit, seconds) in ADMISSIONS {
        let (rate, burst) = limit.texts();
        let cores = layout::list(&bench.cores);
        let arguments = ["--cores", &cores, "--rate-per-s", &rate, "--burst-requests", &burst];
        let measured: Measured =
            ask(bench, "measure-limiter", &[&arguments[..], &["--seconds", &seconds.to_string()]].concat())?;
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
    hand_over(bench, section)
}

/// The buckets of a million keys, in an upgrade.
fn hand_over(bench: &Bench, section: &mut Section) -> Result<(), String> {
    let handed: HandedOver = ask(bench, "measure-handover", &["--limits", LIMITS])?;
    let worst_ms = handed.worst_us as f64 / 1_000.0;
    let figure = "limiter alone: while 1,000,000 limits are handed over, worst wait, ms";
    section.checks.push(Check::at_most(figure, worst_ms, WAIT_MS_MAX));
    section.notes.push(format!(
        "1,000,000 limits in use are handed over, as in an upgrade, in {:.0} ms; meanwhile {} decisions on limits that may not \
         have come yet: {} us at the median, {worst_ms:.1} ms at worst, {} refused",
        handed.ms,
        grouped(handed.decisions as f64),
        handed.p50_us,
        handed.refused,
    ));
    Ok(())
}

fn ask<T: DeserializeOwned>(bench: &Bench, what: &str, arguments: &[&str]) -> Result<T, String> {
    let binary = find_binary(&bench.binaries, "turnpike-gateway")?;
    let output = Command::new(&binary).arg(what).args(arguments).output();
    let output = output.map_err(|error| format!("{}: {error}", binary.display()))?;
    serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("{what}: {error}; {}", String::from_utf8_lossy(&output.stderr)))
}
