//! A plain line each second, for logs and pipes: what was counted in the second before, and errors since the beginning.

use std::io::{Write, stderr};
use std::time::Duration;

use super::frame::errors;
use super::recent::Recent;
use crate::beat::Totals;
use crate::cli::Settings;
use crate::report::show_us;
use crate::timeline::{Slice, Slicing};

const INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Lines {
    warmup: Duration,
    next: Duration,
    recent: Recent,
    /// Slices that the last line was about.
    shown: u64,
}

impl Lines {
    pub(super) fn new(settings: &Settings, slicing: Slicing) -> Result<Self, String> {
        let recent = Recent::new(slicing, settings.cores.len())?;
        Ok(Self { warmup: settings.warmup, next: INTERVAL, recent, shown: 0 })
    }

    pub(super) fn add_slice(&mut self, slice: &Slice) -> Result<(), String> {
        self.recent.add(slice)
    }

    pub(super) fn end(&mut self, reactor: usize) {
        self.recent.end(reactor);
    }

    pub(super) fn show(&mut self, elapsed: Duration, totals: &Totals) {
        if let Some(line) = self.line(elapsed, totals) {
            // Whoever read the lines may have gone; the run goes on.
            let _ = writeln!(stderr(), "{line}");
        }
    }

    /// A line once it is time for one, and there is something to say.
    fn line(&mut self, elapsed: Duration, totals: &Totals) -> Option<String> {
        let in_warmup = elapsed < self.warmup;
        if elapsed < self.next || !(in_warmup || self.recent.slices > self.shown) {
            return None;
        }
        self.next += INTERVAL;
        let seconds = elapsed.as_secs();
        if in_warmup {
            return Some(format!("{seconds:>4} s   warm-up"));
        }
        self.shown = self.recent.slices;
        let [p50, p99, max] = [0.5, 0.99, 1.0].map(|quantile| show_us(self.recent.quantile_us(quantile)));
        Some(format!(
            "{seconds:>4} s   {:>9.0} replies/s   p50 {p50}   p99 {p99}   max {max}   errors {}   waiting {}",
            self.recent.replies_per_s(),
            errors(totals),
            totals.waiting
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Kind;
    use crate::tally::histogram;

    #[test]
    fn a_line_is_about_a_second_that_all_have_passed() {
        let slicing = Slicing { slice_ns: 1_000_000_000, slices_each: 1 };
        let (warmup, recent) = (Duration::from_secs(2), Recent::new(slicing, 1).unwrap());
        let mut lines = Lines { warmup, next: INTERVAL, recent, shown: 0 };
        let mut totals = Totals { waiting: 4, ..Totals::default() };
        totals.failures[Kind::Timeout as usize] = 3;
        let at = |lines: &mut Lines, ms: u64| lines.line(Duration::from_millis(ms), &totals);
        assert_eq!(at(&mut lines, 900), None);
        assert_eq!(at(&mut lines, 1_020).as_deref(), Some("   1 s   warm-up"));
        assert_eq!(at(&mut lines, 2_020), None, "nothing is known yet");
        let mut latency = histogram().unwrap();
        (0..50).for_each(|_| latency.saturating_record(200_000));
        lines.add_slice(&Slice { reactor: 0, index: 0, replies: 50, errors: 3, lost: 3, latency }).unwrap();
        let line = at(&mut lines, 3_050).unwrap();
        let wanted = "   3 s          50 replies/s   p50 200.";
        assert!(line.starts_with(wanted) && line.ends_with("errors timeout 3   waiting 4"), "{line}");
        assert_eq!(at(&mut lines, 4_050), None, "a second is told once");
    }
}
