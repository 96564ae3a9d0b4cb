//! How long intervals are, as the command line says it.

use std::time::Duration;

use clap::Args;

use super::INTERVALS_MAX;
use crate::cli::{Length, parse_duration};

/// Without --interval, intervals are as long as it takes to have no more of them.
const DEFAULT_INTERVALS_MAX: u64 = 3_600;
const INTERVAL_MIN: Duration = Duration::from_millis(10);

#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Course of the run")]
pub struct IntervalArgs {
    /// Length of the intervals of which rate, errors and percentiles are kept [default: 1s; longer in runs of hours]
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    pub interval: Option<Duration>,
}

/// Intervals, and the slices that reactors hand over: a whole number of those makes an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slicing {
    pub(crate) slice_ns: u64,
    pub(crate) slices_each: u64,
}

impl IntervalArgs {
    /// Errors are sentences for the user.
    pub fn check(&self, length: &Length) -> Result<Duration, String> {
        let duration = match length {
            Length::Duration(duration) => Some(*duration),
            Length::Requests(_) => None,
        };
        let Some(interval) = self.interval else {
            let seconds = duration.map_or(1, |duration| duration.as_secs().div_ceil(DEFAULT_INTERVALS_MAX));
            return Ok(Duration::from_secs(seconds.max(1)));
        };
        if interval < INTERVAL_MIN {
            return Err(format!("--interval: {} ms or more", INTERVAL_MIN.as_millis()));
        }
        let intervals = duration.map_or(1, |duration| duration.as_nanos().div_ceil(interval.as_nanos()));
        if intervals > u128::from(INTERVALS_MAX) {
            return Err(format!(
                "--interval: the run would have {intervals} intervals, {INTERVALS_MAX} at most"
            ));
        }
        Ok(interval)
    }
}

impl Slicing {
    /// Slices of about the length that a view wants.
    pub(crate) fn new(interval: Duration, view: Option<Duration>) -> Self {
        let interval_ns = interval.as_nanos() as u64;
        let slices_each = view.map_or(1, |slice| (interval_ns / slice.as_nanos() as u64).max(1));
        Self { slice_ns: interval_ns / slices_each, slices_each }
    }

    pub(crate) fn interval_ns(&self) -> u64 {
        self.slice_ns * self.slices_each
    }

    pub(crate) fn interval_s(&self) -> f64 {
        self.interval_ns() as f64 / 1e9
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(interval: Option<Duration>, length: Length) -> Result<Duration, String> {
        IntervalArgs { interval }.check(&length)
    }

    #[test]
    fn a_second_is_the_default_and_hours_have_longer_ones() {
        let hours = |hours: u64| Length::Duration(Duration::from_secs(hours * 3_600));
        assert_eq!(check(None, hours(1)), Ok(Duration::from_secs(1)));
        assert_eq!(check(None, hours(24)), Ok(Duration::from_secs(24)));
        assert_eq!(check(None, Length::Requests(5)), Ok(Duration::from_secs(1)));
        assert_eq!(check(Some(Duration::from_millis(50)), hours(1)), Ok(Duration::from_millis(50)));
    }

    #[test]
    fn more_intervals_than_are_kept_are_refused() {
        let day = Length::Duration(Duration::from_secs(86_400));
        assert!(check(Some(Duration::from_millis(50)), day).unwrap_err().contains("1728000 intervals"));
        assert!(check(Some(Duration::from_micros(50)), Length::Requests(1)).is_err());
    }

    #[test]
    fn a_live_view_wants_slices_of_a_quarter_second_or_so() {
        let slice = Duration::from_millis(250);
        let of = |ms, live: bool| Slicing::new(Duration::from_millis(ms), live.then_some(slice));
        assert_eq!(of(1_000, true), Slicing { slice_ns: 250_000_000, slices_each: 4 });
        assert_eq!(of(1_000, false), Slicing { slice_ns: 1_000_000_000, slices_each: 1 });
        assert_eq!(of(100, true), Slicing { slice_ns: 100_000_000, slices_each: 1 });
        assert_eq!(of(1_100, true), Slicing { slice_ns: 275_000_000, slices_each: 4 });
    }
}
