//! `turnpike-loadgen compare`: whether one side of runs is faster than another, or whether they differ by chance.

mod bootstrap;
mod metric;

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use crate::report::{Report, show_us};
use crate::show::read_report;
use bootstrap::{CONFIDENCE, Estimate, estimate, mean};
use metric::{METRICS, Metric, Unit};

/// Fewer intervals of a run say nothing about its noise.
const INTERVALS_MIN: usize = 5;
/// With fewer runs a side, how much runs differ is known badly.
const RUNS_ENOUGH: usize = 5;

const METHOD: &str = "\
How it is judged:
  Compared are means over the intervals of each side's runs (of a percentile:
  the mean of the intervals' percentiles). The interval of the ratio comes from
  a bootstrap: 2,000 times, each side's runs are drawn anew with replacement,
  and within each run blocks of consecutive intervals; 99 % of the ratios so
  found lie in it. Where it holds 1, the sides differ by no more than noise. One
  run a side knows only the noise within that run: take several, alternating.

Exit status: 0; 1 when the runs can't be compared, 2 for a wrong command line,
4 for a regression with --fail-on-regression.";

/// Compare runs that --json kept: ratios, and whether they are more than noise
#[derive(Debug, Clone, Args)]
#[command(after_help = METHOD)]
pub struct CompareArgs {
    /// Reports: BEFORE and AFTER; of several runs those before, with those after behind --against
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// The reports of the runs after
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub against: Vec<PathBuf>,

    /// Exit with status 4 when throughput fell, or a latency other than the maximum rose, by more than P % and by more
    /// than noise, or the share of errors rose by more than noise
    #[arg(long, value_name = "P%", value_parser = parse_percent)]
    pub fail_on_regression: Option<f64>,

    /// As JSON on standard output
    #[arg(long)]
    pub json: bool,
}

/// What became of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    pub before: Vec<String>,
    pub after: Vec<String>,
    pub rows: Vec<Row>,
    /// What makes the sides hard to compare.
    pub notes: Vec<String>,
    /// Which rows are worse by more than was allowed; empty without a limit.
    pub regressions: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    pub name: &'static str,
    /// Times in microseconds, errors as shares of 1.
    pub before: f64,
    pub after: f64,
    /// After over before; of errors, after less before.
    pub change: f64,
    pub change_low: f64,
    pub change_high: f64,
    pub verdict: Verdict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Better,
    Worse,
    WithinNoise,
}

/// `3%`, or a number of percent.
fn parse_percent(text: &str) -> Result<f64, String> {
    match text.trim_end_matches('%').trim().parse::<f64>() {
        Ok(percent) if (0.0..=1_000.0).contains(&percent) => Ok(percent / 100.0),
        _ => Err(format!("'{text}' is not a share like 3%")),
    }
}

impl CompareArgs {
    /// The two sides' files. Errors are sentences for the user.
    pub fn check(&self) -> Result<(&[PathBuf], &[PathBuf]), String> {
        match (self.files.as_slice(), self.against.as_slice()) {
            ([_, _], []) => Ok(self.files.split_at(1)),
            ([_], []) => Err("a second report is missing: BEFORE.json AFTER.json".to_owned()),
            (_, []) => Err("more than two reports: put those after behind --against".to_owned()),
            (before, after) => Ok((before, after)),
        }
    }

    pub fn compare(&self, before: &[PathBuf], after: &[PathBuf]) -> Result<Comparison, String> {
        let read =
            |files: &[PathBuf]| files.iter().map(|file| read_report(file)).collect::<Result<Vec<_>, _>>();
        let (before_reports, after_reports) = (read(before)?, read(after)?);
        let names = |files: &[PathBuf]| files.iter().map(|file| file.display().to_string()).collect();
        let files = before.iter().chain(after).map(PathBuf::as_path);
        check_intervals(files.zip(before_reports.iter().chain(&after_reports)))?;
        let rows = rows(&before_reports, &after_reports);
        let regressions = match self.fail_on_regression {
            Some(allowed) => {
                rows.iter().filter(|row| row.is_regression(allowed)).map(|row| row.name.to_owned()).collect()
            }
            None => Vec::new(),
        };
        let notes = notes(&before_reports, &after_reports, &rows);
        Ok(Comparison { before: names(before), after: names(after), rows, notes, regressions })
    }
}

fn check_intervals<'a>(runs: impl Iterator<Item = (&'a Path, &'a Report)>) -> Result<(), String> {
    let mut first_s = None;
    for (file, report) in runs {
        let whole = METRICS[0].values(report).len();
        if whole < INTERVALS_MIN {
            return Err(format!(
                "{}: {whole} whole intervals say nothing about noise; {INTERVALS_MIN} at least: run for longer, or with a \
                 shorter --interval",
                file.display()
            ));
        }
        if *first_s.get_or_insert(report.interval_s) != report.interval_s {
            return Err(format!(
                "{}: its intervals are of another length than the other runs'",
                file.display()
            ));
        }
    }
    Ok(())
}

fn rows(before: &[Report], after: &[Report]) -> Vec<Row> {
    METRICS.iter().filter_map(|metric| metric.row(before, after)).collect()
}

impl Metric {
    /// `None` where the runs have too few latencies for it.
    fn row(&self, before: &[Report], after: &[Report]) -> Option<Row> {
        let values = |side: &[Report]| -> Option<Vec<Vec<f64>>> {
            let runs: Vec<_> = side.iter().map(|report| self.values(report)).collect();
            runs.iter().all(|run| run.len() >= INTERVALS_MIN).then_some(runs)
        };
        let (before, after) = (values(before)?, values(after)?);
        let (relate, same): (fn(f64, f64) -> f64, f64) = match self.unit {
            Unit::Share => (|before, after| after - before, 0.0),
            Unit::PerSecond | Unit::Microseconds => (|before, after| after / before, 1.0),
        };
        let Estimate { value, low, high } = estimate(&before, &after, relate);
        if !value.is_finite() {
            return None;
        }
        let verdict = match (low > same, high < same) {
            (true, _) if self.more_is_better => Verdict::Better,
            (_, true) if !self.more_is_better => Verdict::Better,
            (false, false) => Verdict::WithinNoise,
            _ => Verdict::Worse,
        };
        Some(Row {
            name: self.name,
            before: mean(&before),
            after: mean(&after),
            change: value,
            change_low: low,
            change_high: high,
            verdict,
        })
    }
}

impl Row {
    fn is_regression(&self, allowed: f64) -> bool {
        let beyond = match self.name {
            "errors" => true,
            // Of each interval the one slowest reply: too much of a lottery to fail a build on.
            "max" => false,
            _ => (self.change - 1.0).abs() > allowed,
        };
        self.verdict == Verdict::Worse && beyond
    }
}

/// What the runs differ in besides their results, and how far they can be trusted.
fn notes(before: &[Report], after: &[Report], rows: &[Row]) -> Vec<String> {
    let mut notes = Vec::new();
    let all = || before.iter().chain(after);
    let mut differ = |what: &str, value: fn(&Report) -> String| {
        let mut values: Vec<String> = all().map(value).collect();
        values.sort();
        values.dedup();
        if values.len() > 1 {
            notes.push(format!("the runs differ in {what}: {}", values.join("; ")));
        }
    };
    differ("URL", |report| report.url.clone());
    differ("pace", Report::pace);
    differ("connections", |report| report.connections.to_string());
    differ("threads", |report| report.threads.to_string());
    differ("machine", |report| {
        format!("{} with {} cores, {}", report.machine.processor, report.machine.cores, report.machine.kernel)
    });
    if all().any(|report| report.rate_changes) {
        notes.push("the rate changes over a run: what changes with it counts as noise".to_owned());
    }
    let limited = all().filter(|report| report.generator_was_bottleneck()).count();
    if limited > 0 {
        notes.push(format!("in {limited} of the runs the generator was the limit, not the target"));
    }
    let fewest = before.len().min(after.len());
    if fewest == 1 {
        notes.push("one run on a side: how much runs differ from each other is not known".to_owned());
    } else if fewest < RUNS_ENOUGH {
        notes.push(format!("{fewest} runs on a side: how much runs differ from each other is known badly"));
    }
    for metric in METRICS.iter().filter(|metric| rows.iter().all(|row| row.name != metric.name)) {
        notes.push(format!("{} is left out: too few replies in an interval, or none", metric.name));
    }
    notes
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  before: {}", self.before.join(" "))?;
        writeln!(f, "  after:  {}\n", self.after.join(" "))?;
        let confidence = format!("{:.0} % interval", CONFIDENCE * 100.0);
        writeln!(f, "  {:<10} {:>12} {:>12} {:>9}   {confidence:<18}", "", "before", "after", "ratio")?;
        for row in &self.rows {
            row.write_line(f)?;
        }
        writeln!(f)?;
        for note in &self.notes {
            writeln!(f, "  note: {note}")?;
        }
        match self.regressions.as_slice() {
            [] => Ok(()),
            names => writeln!(f, "  regression: {}", names.join(", ")),
        }
    }
}

impl Row {
    fn write_line(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = METRICS
            .iter()
            .find(|metric| metric.name == self.name)
            .map_or(Unit::PerSecond, |metric| metric.unit);
        let show = |value: f64| match unit {
            Unit::PerSecond => format!("{value:.1}"),
            Unit::Microseconds => show_us(value),
            Unit::Share => format!("{:.3} %", value * 100.0),
        };
        let change = |value: f64| match unit {
            Unit::Share => format!("{:+.3} %", value * 100.0),
            Unit::PerSecond | Unit::Microseconds => format!("{value:.3}"),
        };
        let verdict = match self.verdict {
            Verdict::Better => "better",
            Verdict::Worse => "worse",
            Verdict::WithinNoise => "within noise",
        };
        let interval = format!("{} to {}", change(self.change_low), change(self.change_high));
        writeln!(
            f,
            "  {:<10} {:>12} {:>12} {:>9}   {interval:<18}  {verdict}",
            self.name,
            show(self.before),
            show(self.after),
            change(self.change)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Brief;
    use crate::schedule::SplitMix;
    use crate::timeline::Interval;

    /// A run of 40 intervals around these means, 5 % up and down by chance.
    fn run(replies_per_s: f64, p99_us: f64, errors: u64, seed: u64) -> Report {
        let mut random = SplitMix(seed);
        let mut around = |mean: f64| mean * (0.95 + 0.1 * random.next_unit());
        let interval = |index: u32| {
            let replies = around(replies_per_s) as u64;
            let latency_us = Brief {
                count: replies,
                mean: 1.0,
                p50: 1.0,
                p90: 2.0,
                p99: around(p99_us),
                p99_9: 9.0,
                max: 9.0,
            };
            Interval { start_s: f64::from(index), duration_s: 1.0, replies, errors, lost: 0, latency_us }
        };
        let intervals = (0..40).map(interval).collect();
        Report { interval_s: 1.0, intervals, ..Report::default() }
    }

    fn verdicts(rows: &[Row]) -> Vec<(&str, Verdict)> {
        let changed = rows.iter().filter(|row| row.verdict != Verdict::WithinNoise);
        changed.map(|row| (row.name, row.verdict)).collect()
    }

    #[test]
    fn a_change_has_a_direction_and_chance_has_none() {
        let before = [run(10_000.0, 500.0, 0, 1)];
        assert_eq!(verdicts(&rows(&before, &[run(10_000.0, 500.0, 0, 2)])), []);
        let faster = rows(&before, &[run(11_000.0, 400.0, 0, 3)]);
        assert_eq!(verdicts(&faster), [("replies/s", Verdict::Better), ("p99", Verdict::Better)]);
        assert!((faster[0].change - 1.1).abs() < 0.02 && faster[0].change_low > 1.05);
        let slower = rows(&before, &[run(9_000.0, 600.0, 5, 4)]);
        let expected = [("replies/s", Verdict::Worse), ("p99", Verdict::Worse), ("errors", Verdict::Worse)];
        assert_eq!(verdicts(&slower), expected);
    }

    #[test]
    fn a_regression_is_worse_by_more_than_is_allowed() {
        let slower = rows(&[run(10_000.0, 500.0, 0, 1)], &[run(9_500.0, 500.0, 1, 2)]);
        let regressions = |allowed: f64| -> Vec<&str> {
            slower.iter().filter(|row| row.is_regression(allowed)).map(|row| row.name).collect()
        };
        assert_eq!(regressions(0.03), ["replies/s", "errors"]);
        assert_eq!(regressions(0.2), ["errors"], "more errors are a regression however few they are");
    }

    #[test]
    fn percentiles_of_too_few_replies_are_left_out_with_a_note() {
        let (before, after) = ([run(150.0, 5.0, 0, 1)], [run(150.0, 5.0, 0, 2)]);
        let rows = rows(&before, &after);
        assert!(rows.iter().any(|row| row.name == "p99") && rows.iter().all(|row| row.name != "p99.9"));
        let notes = notes(&before, &after, &rows).join("\n");
        assert!(notes.contains("p99.9 is left out") && notes.contains("one run on a side"), "{notes}");
    }

    #[test]
    fn runs_that_cannot_be_compared_are_refused() {
        let mut short = run(100.0, 1.0, 0, 1);
        short.intervals.truncate(4);
        let check =
            |reports: &[Report]| check_intervals(reports.iter().map(|report| (Path::new("a.json"), report)));
        assert!(check(&[short]).unwrap_err().starts_with("a.json: 4 whole intervals"));
        let mut other = run(100.0, 1.0, 0, 1);
        other.interval_s = 0.5;
        assert!(check(&[run(100.0, 1.0, 0, 1), other]).unwrap_err().contains("another length"));
    }

    #[test]
    fn sides_are_told_apart() {
        let args = |files: &[&str], against: &[&str]| CompareArgs {
            files: files.iter().map(PathBuf::from).collect(),
            against: against.iter().map(PathBuf::from).collect(),
            fail_on_regression: None,
            json: false,
        };
        let sides = |files: &[&str], against: &[&str]| {
            args(files, against).check().map(|(before, after)| (before.len(), after.len()))
        };
        assert_eq!((sides(&["a", "b"], &[]), sides(&["a", "b"], &["c"])), (Ok((1, 1)), Ok((2, 1))));
        assert!(sides(&["a"], &[]).is_err() && sides(&["a", "b", "c"], &[]).is_err());
        assert_eq!([parse_percent("3%"), parse_percent("3")], [Ok(0.03), Ok(0.03)]);
        assert!(parse_percent("x%").is_err());
    }
}
