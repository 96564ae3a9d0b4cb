//! Where a report goes: as text on standard output, and in the formats and files that the command line names.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::report::Report;

#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// The report as JSON; on standard output (in place of the text) without a FILE, or with '-'
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    pub json: Option<PathBuf>,
}

impl OutputArgs {
    /// Errors are sentences for the user.
    pub fn check(&self) -> Result<(), String> {
        match &self.json {
            Some(file) if file.to_string_lossy().contains("://") => Err(format!(
                "--json would write to a file named {}: put the URL first, or write --json=-",
                file.display()
            )),
            _ => Ok(()),
        }
    }

    /// Writes the report in every format that was asked for.
    pub fn write(&self, report: &Report) -> Result<(), String> {
        let mut text = report.to_string();
        if let Some(file) = &self.json {
            let json = serde_json::to_string_pretty(report)
                .map_err(|error| format!("the report can't be encoded: {error}"))?;
            match is_stdout(file) {
                true => text = json,
                false => write_file("--json", file, json.as_bytes())?,
            }
        }
        print(&text)
    }
}

fn is_stdout(file: &Path) -> bool {
    file.as_os_str() == "-"
}

fn write_file(option: &str, file: &Path, content: &[u8]) -> Result<(), String> {
    std::fs::write(file, content).map_err(|error| format!("{option} {}: {error}", file.display()))
}

/// A reader that has gone away is told of by an error, not by a panic.
fn print(text: &str) -> Result<(), String> {
    use std::io::Write;
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{text}")
        .and_then(|()| stdout.flush())
        .map_err(|error| format!("standard output: {error}"))
}
