//! Where a report goes: as text on standard output, and in the formats and files that the command line names.

use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use crate::csv;
use crate::html;
use crate::report::Report;

#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// The report as JSON; on standard output (in place of the text) without a FILE, or with '-'
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    pub json: Option<PathBuf>,

    /// The intervals as CSV; on standard output with '-'
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,

    /// The report as one page with plots, for a browser; on standard output with '-'
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// A format, and where a report in it goes.
struct Target<'a> {
    option: &'static str,
    file: &'a Path,
    encode: Encode,
}

type Encode = fn(&Report) -> Result<String, String>;

impl OutputArgs {
    /// That everything can be written, before hours are spent on measuring. Errors are sentences for the user.
    pub fn check(&self) -> Result<(), String> {
        let targets = self.targets();
        if let Some(json) = targets.iter().find(|target| target.file.to_string_lossy().contains("://")) {
            let (option, file) = (json.option, json.file.display());
            return Err(format!(
                "{option} would write to a file named {file}: put the URL first, or write {option}=-"
            ));
        }
        if targets.iter().filter(|target| is_stdout(target.file)).count() > 1 {
            return Err("only one of --json, --csv and --html can go to standard output".to_owned());
        }
        let mut files = targets.iter().filter(|target| !is_stdout(target.file));
        files.try_for_each(|target| try_file(target.option, target.file))
    }

    /// Writes the report in every format that was asked for, whatever becomes of the others. Tells of each failure, and of
    /// what the run itself could not write, but for the last, which it returns.
    pub fn write(&self, report: &Report) -> Result<(), String> {
        let mut shown = report.to_string();
        let mut failures: Vec<String> = report.unwritten.iter().cloned().collect();
        for target in self.targets() {
            let written = (target.encode)(report).and_then(|text| {
                if is_stdout(target.file) {
                    shown = text;
                    return Ok(());
                }
                std::fs::write(target.file, text).map_err(|error| explain(target.option, target.file, &error))
            });
            failures.extend(written.err());
        }
        failures.extend(print(shown.trim_end()).err());
        let last = failures.pop();
        failures.iter().for_each(|reason| tell(reason));
        last.map_or(Ok(()), Err)
    }

    /// Shows a step of something long: beside the JSON where that takes standard output.
    pub fn print_step(&self, step: &impl Display) {
        // A reader that has gone is told of by what is printed at the end.
        let _ = match self.json.as_deref().is_some_and(is_stdout) {
            true => writeln!(std::io::stderr(), "{step}"),
            false => writeln!(std::io::stdout(), "{step}"),
        };
    }

    /// Writes what a command found, as text and where it is asked for as JSON.
    pub fn write_found<T: Serialize + Display>(&self, found: &T) -> Result<(), String> {
        match self.json.as_deref() {
            Some(file) if is_stdout(file) => print_as(found, true),
            Some(file) => {
                let written =
                    std::fs::write(file, to_json(found)?).map_err(|error| explain("--json", file, &error));
                written.and(print_as(found, false))
            }
            None => print_as(found, false),
        }
    }

    fn targets(&self) -> Vec<Target<'_>> {
        let targets: [(_, _, Encode); 3] = [
            ("--json", &self.json, to_json::<Report>),
            ("--csv", &self.csv, |report| Ok(csv::intervals(report))),
            ("--html", &self.html, |report| Ok(html::page(report))),
        ];
        targets
            .into_iter()
            .filter_map(|(option, file, encode)| Some(Target { option, file: file.as_deref()?, encode }))
            .collect()
    }
}

fn is_stdout(file: &Path) -> bool {
    file.as_os_str() == "-"
}

/// That the file can be written. It stays as it is; where there is none, none is left, as a run may end without a report.
fn try_file(option: &str, file: &Path) -> Result<(), String> {
    let is_new = file.symlink_metadata().is_err();
    let opened = std::fs::OpenOptions::new().create(true).append(true).open(file);
    let tried = opened.and_then(|_| if is_new { std::fs::remove_file(file) } else { Ok(()) });
    tried.map_err(|error| explain(option, file, &error))
}

fn explain(option: &str, file: &Path, error: &std::io::Error) -> String {
    format!("{option} {}: {error}", file.display())
}

/// Prints a text on standard output. A reader that has gone away is told of by an error, not by a panic.
pub fn print(text: &str) -> Result<(), String> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{text}")
        .and_then(|()| stdout.flush())
        .map_err(|error| format!("standard output: {error}"))
}

/// Tells the user something on standard error. One that nobody reads any more is no reason to panic.
pub fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "turnpike-loadgen: {text}");
}

/// Prints what a command found, as text or as JSON.
pub fn print_as<T: Serialize + Display>(found: &T, json: bool) -> Result<(), String> {
    match json {
        true => print(&to_json(found)?),
        false => print(found.to_string().trim_end()),
    }
}

fn to_json<T: Serialize>(found: &T) -> Result<String, String> {
    serde_json::to_string_pretty(found).map_err(|error| format!("the report can't be encoded: {error}"))
}
