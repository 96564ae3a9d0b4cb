//! `turnpike-gateway check`: what this host allows a gateway with these settings, and what to change.
//!
//! It tries what the start will do (rings, ports, files) and undoes it, and reads what it can't try. It changes
//! nothing and leaves nothing behind, so that it can run beside a gateway that serves.

mod network;
mod process;
mod rings;
mod storage;

use std::fmt::Write as _;
use std::process::ExitCode;

use serde::Serialize;

use crate::settings::Settings;

/// How the findings are printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    #[default]
    Table,
    Json,
}

/// Ordered: the worst finding is the check's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Ok,
    /// It runs, but slower or with less than the settings promise.
    Warning,
    /// It can't start, or can't hold what the settings promise.
    Error,
}

impl Verdict {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    name: &'static str,
    verdict: Verdict,
    found: String,
    /// What to change; `None` where all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
}

impl Finding {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Ok, found: found.into(), mend: None }
    }

    fn warning(name: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Warning, found: found.into(), mend: Some(mend.into()) }
    }

    fn error(name: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Error, found: found.into(), mend: Some(mend.into()) }
    }
}

#[derive(Debug, Serialize)]
struct Report {
    verdict: Verdict,
    checks: Vec<Finding>,
}

/// Prints the findings; fails if one of them is an error.
pub(crate) fn run(settings: &Settings, output: Output) -> ExitCode {
    let report = look(settings);
    let text = match output {
        Output::Table => table(&report),
        Output::Json => serde_json::to_string_pretty(&report).expect("strings and names") + "\n",
    };
    print!("{text}");
    if report.verdict == Verdict::Error { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn look(settings: &Settings) -> Report {
    let running = storage::is_in_use(&settings.data_dir);
    let mut checks = vec![process::kernel(), process::cores(settings), rings::rings(settings)];
    checks.extend([process::descriptors(settings), network::backlog(settings), network::shared_ports()]);
    checks.extend(network::addresses(settings, running));
    checks.extend([
        storage::data_dir(settings, running),
        storage::access_logs(settings),
        storage::quotas(settings),
    ]);
    checks.push(process::file_sizes());
    checks.extend([process::clock_source(), process::time()]);
    let verdict = checks.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Ok);
    Report { verdict, checks }
}

fn table(report: &Report) -> String {
    let width = report.checks.iter().map(|finding| finding.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for Finding { name, verdict, found, mend } in &report.checks {
        // Writing into a string can't fail.
        let _ = writeln!(text, "{name:width$}  {:7}  {found}", verdict.name());
        if let Some(mend) = mend {
            let _ = writeln!(text, "{:width$}  {:7}  -> {mend}", "", "");
        }
    }
    let _ = match report.verdict {
        Verdict::Ok => writeln!(text, "\nThis host allows all that these settings ask for."),
        Verdict::Warning => writeln!(text, "\nA gateway runs here; see the warnings."),
        Verdict::Error => {
            writeln!(text, "\nThis host doesn't hold what these settings promise; see the errors.")
        }
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_what_to_change() {
        let checks =
            vec![Finding::ok("kernel", "Linux 6.1"), Finding::warning("time", "not kept", "run chrony")];
        let text = table(&Report { verdict: Verdict::Warning, checks });
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "kernel  ok       Linux 6.1");
        assert_eq!(lines[1], "time    warning  not kept");
        assert_eq!(lines[2], "                 -> run chrony");
    }

    #[test]
    fn the_worst_finding_counts() {
        assert!(Verdict::Error > Verdict::Warning && Verdict::Warning > Verdict::Ok);
    }
}
