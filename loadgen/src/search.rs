//! `turnpike-loadgen search`: the highest rate at which a goal holds: doubled until it fails, then halved between what
//! held and what didn't, then confirmed.

mod bracket;
mod goal;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args as ClapArgs;
use serde::Serialize;

use crate::budget::Budget;
use crate::cli::{Args, Settings};
use crate::report::{Ending, Report};
use crate::schedule::OpenLoop;
use crate::view::{Progress, ViewKind};
use bracket::{Bracket, Next};
pub use goal::Goal;

/// A rate counts as carried when so much of it was answered within the trial.
const CARRIED_MIN: f64 = 0.99;
const TRIALS_MAX: usize = 100;

const METHOD: &str = "\
How it searches:
  Each trial is an open-loop run of --duration (10 s) at one rate. A trial
  holds when every goal does (of response times, which count from the intended
  send time), 99 % of the rate was answered, and no more failed than
  --max-errors says (no request at all without it). The rate is doubled from
  --start-rate until a trial fails, then halved between the highest that held
  and the lowest that failed until they are --precision apart; the highest is
  then tried --confirmations more times, and given up for a lower one if it
  fails. A trial of which the generator was the limit says so, and so does the
  end, when nothing else shows what the target could do.

Exit status: 0 when a rate was found, 1 when a trial could not be run, 2 for a
wrong command line, 5 when the goal holds at no rate, 130 when a signal ended
the search.";

/// Find the highest rate at which a latency goal holds
#[derive(Debug, Clone, ClapArgs)]
#[command(after_help = METHOD)]
pub struct SearchArgs {
    #[command(flatten)]
    pub run: Args,

    /// What must hold: mean, p50, p75, p90, p95, p99, p99.9, p99.99, p99.999 or max below a time: 'p99<5ms'; repeatable
    #[arg(long, required = true, value_name = "GOAL", value_parser = Goal::parse, help_heading = "Search")]
    pub goal: Vec<Goal>,

    /// The rate of the first trial
    #[arg(long, default_value_t = 100.0, value_name = "R", help_heading = "Search")]
    pub start_rate: f64,

    /// How near the highest rate has to be found
    #[arg(long, default_value = "5%", value_name = "P%", value_parser = Budget::parse, help_heading = "Search")]
    pub precision: Budget,

    /// How many more times the highest rate must hold
    #[arg(long, default_value_t = 2, value_name = "N", help_heading = "Search")]
    pub confirmations: u32,
}

/// A checked search.
#[derive(Debug)]
pub struct Search {
    settings: Settings,
    /// How requests are spaced, at whatever rate.
    pace: OpenLoop,
    goals: Vec<Goal>,
    bracket: Bracket,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Found {
    pub url: String,
    pub goals: Vec<String>,
    /// The highest rate at which they hold.
    pub rate_per_s: Option<f64>,
    /// The lowest rate at which a trial failed.
    pub failed_at_per_s: Option<f64>,
    /// Whether the generator, not the target, was the limit of the trial that failed at that rate.
    pub limited_by_generator: bool,
    pub interrupted: bool,
    pub trials: Vec<Trial>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trial {
    pub rate_per_s: f64,
    pub confirmation: bool,
    pub held: bool,
    /// Why it didn't hold; the goals' values where it did.
    pub reason: String,
    pub generator_was_limit: bool,
    pub replies: u64,
    pub replies_per_s: f64,
    pub errors: u64,
    /// The goals' values, in microseconds.
    pub values_us: Vec<f64>,
}

impl SearchArgs {
    /// Errors are sentences for the user.
    pub fn check(&self) -> Result<Search, String> {
        let run = &self.run;
        let refused = [
            (
                run.pace.rate.is_some() || run.pace.ramp.is_some() || run.pace.steps.is_some(),
                "--rate, --ramp, --steps",
            ),
            (run.requests.is_some(), "--requests"),
            (
                run.output.csv.is_some() || run.output.html.is_some() || run.hdr_log.is_some(),
                "--csv, --html, --hdr-log",
            ),
        ];
        if let Some((_, options)) = refused.iter().find(|(given, _)| *given) {
            return Err(format!("search makes many runs and chooses their rates: {options} can't be given"));
        }
        if !(1.0..=1e8).contains(&self.start_rate) {
            return Err("--start-rate: 1 to 100000000 requests/s".to_owned());
        }
        let Budget::Share(precision) = self.precision else {
            return Err("--precision: a share like 5%".to_owned());
        };
        if precision < 0.001 {
            return Err("--precision: 0.1% or more".to_owned());
        }
        let mut run = run.clone();
        run.pace.rate = Some(self.start_rate);
        let mut settings = run.check()?;
        let Some(pace) = settings.open.take() else {
            return Err("search needs the open loop".to_owned());
        };
        if run.view.progress == Progress::Auto && settings.view == ViewKind::Lines {
            // A trial has a line of its own.
            settings.view = ViewKind::Off;
        }
        settings.budget = Some(settings.budget.unwrap_or(Budget::Count(0)));
        let bracket = Bracket::new(self.start_rate, precision, self.confirmations);
        Ok(Search { settings, pace, goals: self.goal.clone(), bracket })
    }
}

impl Search {
    /// Runs the trials, and shows each one when it is over. Errors are sentences for the user.
    pub fn run(mut self, interrupted: &AtomicBool, show: impl Fn(&Trial)) -> Result<Found, String> {
        let mut trials: Vec<Trial> = Vec::new();
        let rate_per_s = loop {
            let (rate, confirmation) = match self.bracket.next() {
                Next::Done(found) => break found,
                Next::Try(rate) => (rate, false),
                Next::Confirm(rate) => (rate, true),
            };
            if trials.len() == TRIALS_MAX {
                return Err(format!(
                    "{TRIALS_MAX} trials found nothing that holds: the target is too unsteady"
                ));
            }
            let report = self.measure(rate, interrupted)?;
            if report.ended_by == Ending::Interrupted {
                return Ok(self.found(None, trials, interrupted));
            }
            let trial = self.judge(rate, confirmation, &report);
            show(&trial);
            self.bracket.tell(trial.held);
            trials.push(trial);
        };
        Ok(self.found(rate_per_s, trials, interrupted))
    }

    fn measure(&self, rate: f64, interrupted: &AtomicBool) -> Result<Report, String> {
        let settings = Settings { open: Some(self.pace.at(rate)), ..self.settings.clone() };
        crate::run(settings, interrupted)
    }

    fn judge(&self, rate: f64, confirmation: bool, report: &Report) -> Trial {
        let missed: Vec<String> = self
            .goals
            .iter()
            .filter(|goal| !goal.is_reached(report))
            .map(|goal| goal.shown(report))
            .collect();
        let failure = if report.budget_spent == Some(true) {
            Some(format!("{} errors", report.failed()))
        } else if !missed.is_empty() {
            Some(missed.join(", "))
        } else if report.replies_per_s < rate * CARRIED_MIN {
            Some(format!("only {:.0} /s were answered", report.replies_per_s))
        } else {
            None
        };
        let values = || self.goals.iter().map(|goal| goal.shown(report)).collect::<Vec<_>>().join(", ");
        Trial {
            rate_per_s: rate,
            confirmation,
            held: failure.is_none(),
            reason: failure.unwrap_or_else(values),
            generator_was_limit: report.generator_was_bottleneck(),
            replies: report.replies,
            replies_per_s: report.replies_per_s,
            errors: report.failed(),
            values_us: self.goals.iter().map(|goal| goal.value_us(report)).collect(),
        }
    }

    fn found(self, rate_per_s: Option<f64>, trials: Vec<Trial>, interrupted: &AtomicBool) -> Found {
        let failed_at_per_s = self.bracket.failed_at();
        let limits = |trial: &Trial| {
            Some(trial.rate_per_s) == failed_at_per_s && !trial.held && trial.generator_was_limit
        };
        Found {
            url: self.settings.url,
            goals: self.goals.iter().map(ToString::to_string).collect(),
            rate_per_s,
            failed_at_per_s,
            limited_by_generator: trials.iter().any(limits),
            interrupted: interrupted.load(Ordering::Relaxed),
            trials,
        }
    }
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.held { "holds" } else { "fails" };
        let again = if self.confirmation { " (again)" } else { "" };
        let limit = if self.generator_was_limit { "; the generator was the limit" } else { "" };
        write!(f, "  {:>12.1} /s   {verdict}{again}: {}{limit}", self.rate_per_s, self.reason)
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let goals = self.goals.join(" and ");
        match (self.rate_per_s, self.interrupted) {
            (_, true) => write!(f, "{}: the search was interrupted", self.url)?,
            (Some(rate), _) => {
                write!(f, "{}: {rate:.1} requests/s is the highest rate at which {goals}", self.url)?
            }
            (None, _) => write!(f, "{}: at no rate is {goals}", self.url)?,
        }
        if let Some(failed_at) = self.failed_at_per_s {
            write!(f, "; {failed_at:.1} failed")?;
        }
        if self.limited_by_generator {
            write!(
                f,
                "\n  warning: there the generator was the limit, not the target, which may well carry more: give it more \
                 --cores or --connections"
            )?;
        }
        Ok(())
    }
}
