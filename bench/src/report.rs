//! What a comparison found, from its JSON: as a self-contained page, and as the README's figures.

mod charts;
mod html;
mod markdown;

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::compare::facts::Facts;
use crate::compare::results::{Check, Titled};

/// What to make of it.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// What `compare --json FILE` wrote
    results: PathBuf,

    /// Writes a self-contained page
    #[arg(long, value_name = "FILE", required_unless_present = "readme")]
    html: Option<PathBuf>,

    /// Replaces the figures in this file, between the lines that mark them
    #[arg(long, value_name = "FILE")]
    readme: Option<PathBuf>,
}

/// The part of the JSON that is shown.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Found {
    facts: Facts,
    sections: Vec<FoundSection>,
}

#[derive(Debug, Clone, Deserialize)]
struct FoundSection {
    name: String,
    rows: Vec<FoundRow>,
    tables: Vec<Titled>,
    checks: Vec<Check>,
    notes: Vec<String>,
}

/// Medians of one proxy, and the rounds' requests/s.
#[derive(Debug, Clone, Deserialize)]
struct FoundRow {
    label: String,
    proxy: String,
    replies_per_s: f64,
    p50_us: f64,
    p99_us: f64,
    p99_9_us: f64,
    samples: Vec<FoundSample>,
}

#[derive(Debug, Clone, Deserialize)]
struct FoundSample {
    report: FoundReport,
}

#[derive(Debug, Clone, Deserialize)]
struct FoundReport {
    replies_per_s: f64,
}

pub(crate) fn run(args: &Args) -> Result<(), String> {
    let found =
        parse(&read(&args.results)?).map_err(|error| format!("{}: {error}", args.results.display()))?;
    if let Some(file) = &args.html {
        write_page(&found, file)?;
    }
    if let Some(file) = &args.readme {
        let text = markdown::replace(&read(file)?, &found)
            .map_err(|reason| format!("{}: {reason}", file.display()))?;
        write(file, &text)?;
    }
    Ok(())
}

pub(crate) fn parse(json: &str) -> Result<Found, String> {
    serde_json::from_str(json).map_err(|error| error.to_string())
}

pub(crate) fn write_page(found: &Found, file: &Path) -> Result<(), String> {
    write(file, &html::page(found))
}

fn read(file: &Path) -> Result<String, String> {
    fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))
}

fn write(file: &Path, text: &str) -> Result<(), String> {
    fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))
}

#[cfg(test)]
fn sample() -> Found {
    let row = |proxy: &str, replies_per_s: f64| {
        serde_json::json!({
            "label": "64 <connections>", "proxy": proxy, "replies_per_s": replies_per_s,
            "p50_us": 900.0, "p99_us": 2_000.0, "p99_9_us": 5_000.0,
            "samples": [
                {"report": {"replies_per_s": replies_per_s * 0.9}}, {"report": {"replies_per_s": replies_per_s * 1.1}},
            ],
        })
    };
    let check = |figure: &str, value: f64, goal: f64| serde_json::json!({"figure": figure, "value": value, "goal": goal, "at_least": true});
    let json = serde_json::json!({
        "facts": {
            "cpu_model": "A & B", "cores": 4, "kernel": "Linux 6.1", "memory_bytes": 1 << 30, "layout": "one each",
            "caveat": null, "versions": ["nginx/1.22"],
        },
        "sections": [{
            "name": "small",
            "rows": [row("turnpike", 100.0), row("nginx", 50.0)],
            "tables": [{"title": "64 <connections>", "table": {"rows": [["proxy", "requests/s"], ["nginx", "50"]]}}],
            "checks": [check("over nginx", 2.0, 1.5), check("over haproxy", 1.0, 1.25)],
            "notes": ["a note"],
        }],
    });
    parse(&json.to_string()).unwrap()
}
