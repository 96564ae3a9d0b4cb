//! What standard error shows of a run while it lasts: a live view on a terminal, plain lines elsewhere.

mod frame;
mod lines;
mod live;
mod recent;
mod spark;

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::beat::Totals;
use crate::cli::Settings;
use crate::timeline::{Slice, Slicing};
use lines::Lines;
use live::Live;

pub(crate) use spark::sparkline;

#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Course of the run")]
pub struct ViewArgs {
    /// What standard error shows while the run lasts; without a MODE, lines
    #[arg(long, value_enum, value_name = "MODE", num_args = 0..=1)]
    #[arg(default_value = "auto", default_missing_value = "lines")]
    pub progress: Progress,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Progress {
    /// Live on a terminal, lines elsewhere
    #[default]
    Auto,
    /// Redrawn in place a few times a second
    Live,
    /// A line each second
    Lines,
    Off,
}

/// What is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViewKind {
    Off,
    Lines,
    Live { colour: bool },
}

impl ViewArgs {
    pub fn check(&self) -> ViewKind {
        let variable = |name: &str| std::env::var_os(name).unwrap_or_default();
        // https://no-color.org: any value but an empty one.
        let live = ViewKind::Live { colour: variable("NO_COLOR").is_empty() };
        match self.progress {
            Progress::Auto if stderr().is_terminal() && variable("TERM") != "dumb" => live,
            Progress::Off => ViewKind::Off,
            Progress::Live => live,
            Progress::Auto | Progress::Lines => ViewKind::Lines,
        }
    }
}

impl ViewKind {
    /// How often the view has something new to show.
    pub(crate) fn slice(self) -> Option<Duration> {
        match self {
            Self::Off => None,
            Self::Lines => Some(Duration::from_secs(1)),
            Self::Live { .. } => Some(Duration::from_millis(250)),
        }
    }
}

#[derive(Debug)]
pub(crate) enum View {
    Off,
    Lines(Box<Lines>),
    Live(Box<Live>),
}

impl View {
    pub(crate) fn new(settings: &Settings, slicing: Slicing) -> Result<Self, String> {
        Ok(match settings.view {
            ViewKind::Off => Self::Off,
            ViewKind::Lines => Self::Lines(Box::new(Lines::new(settings, slicing)?)),
            ViewKind::Live { colour } => Self::Live(Box::new(Live::new(settings, slicing, colour)?)),
        })
    }

    pub(crate) fn add_slice(&mut self, slice: &Slice) -> Result<(), String> {
        match self {
            Self::Live(live) => live.add_slice(slice),
            Self::Lines(lines) => lines.add_slice(slice),
            Self::Off => Ok(()),
        }
    }

    /// A reactor is done, and passes everything that comes.
    pub(crate) fn end(&mut self, reactor: usize) {
        match self {
            Self::Live(live) => live.end(reactor),
            Self::Lines(lines) => lines.end(reactor),
            Self::Off => {}
        }
    }

    /// Shows how the run goes, when it is time for it.
    pub(crate) fn show(&mut self, elapsed: Duration, totals: &Totals) {
        match self {
            Self::Off => {}
            Self::Lines(lines) => lines.show(elapsed, totals),
            Self::Live(live) => live.show(elapsed, totals),
        }
    }

    /// Leaves the terminal as it was.
    pub(crate) fn close(&mut self) {
        if let Self::Live(live) = self {
            live.close();
        }
    }
}
