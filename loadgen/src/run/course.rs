//! A run while it lasts: what the reactors have reported so far, what is shown of it, and whether it has to end early.

use std::sync::Arc;
use std::time::Duration;

use crate::beat::{Beat, Totals};
use crate::cli::{Length, Settings};
use crate::core_use::{CoreShares, CoreUse};
use crate::hdr_log::HdrLog;
use crate::report::Ending;
use crate::tally::Tally;
use crate::timeline::{Closed, INTERVALS_MAX, Interval, Slice, Slicing, Timeline};
use crate::view::View;

#[derive(Debug)]
pub(super) struct Course<'a> {
    settings: &'a Settings,
    beats: &'a [Arc<Beat>],
    timeline: Timeline,
    tally: Tally,
    cores: Vec<CoreUse>,
    /// When the last reactor was done, after the start.
    took: Duration,
    kept: Kept,
    view: View,
    /// Why the run was called off.
    called_off: Option<Ending>,
    /// When the last reactor's run ended, in nanoseconds since the start.
    end_ns: u64,
}

/// The intervals that are over.
#[derive(Debug)]
struct Kept {
    intervals: Vec<Interval>,
    /// Beyond as many as are kept.
    left_out: u64,
    log: Option<HdrLog>,
    /// Why the log ends early.
    log_failure: Option<String>,
}

/// What a run came to.
#[derive(Debug)]
pub(super) struct Sum {
    pub(super) tally: Tally,
    pub(super) cores: Vec<CoreShares>,
    pub(super) intervals: Vec<Interval>,
    /// Beyond as many as are kept.
    pub(super) intervals_left_out: u64,
    /// Without the warm-up.
    pub(super) duration_s: f64,
    pub(super) ending: Ending,
    /// What could not be written while it lasted.
    pub(super) unwritten: Option<String>,
}

impl<'a> Course<'a> {
    pub(super) fn new(
        settings: &'a Settings,
        slicing: Slicing,
        beats: &'a [Arc<Beat>],
        started: Duration,
    ) -> Result<Self, String> {
        let first_interval = started + settings.warmup;
        let log = settings.hdr_log.as_deref().map(|path| HdrLog::create(path, first_interval.as_secs_f64()));
        Ok(Self {
            settings,
            beats,
            timeline: Timeline::new(slicing, beats.len()),
            tally: Tally::new(settings.load.labels().len())?,
            cores: Vec::new(),
            took: Duration::ZERO,
            kept: Kept { intervals: Vec::new(), left_out: 0, log: log.transpose()?, log_failure: None },
            view: View::new(settings, slicing)?,
            called_off: None,
            end_ns: 0,
        })
    }

    pub(super) fn is_complete(&self) -> bool {
        self.cores.len() == self.beats.len()
    }

    pub(super) fn add_slice(&mut self, slice: &Slice) -> Result<(), String> {
        self.view.add_slice(slice)?;
        let closed = self.timeline.add(slice)?;
        closed.iter().for_each(|closed| self.kept.keep(closed));
        Ok(())
    }

    /// A reactor is done.
    pub(super) fn add_reactor(
        &mut self,
        tally: &Tally,
        last: &Slice,
        end_ns: u64,
        (core, took): (CoreUse, Duration),
    ) -> Result<(), String> {
        self.view.add_slice(last)?;
        self.view.end(last.reactor);
        let closed = self.timeline.add_last(last)?;
        closed.iter().for_each(|closed| self.kept.keep(closed));
        self.tally.add(tally)?;
        self.cores.push(core);
        self.took = self.took.max(took);
        self.end_ns = self.end_ns.max(end_ns);
        Ok(())
    }

    /// Shows how the run goes, and calls it off when it is to end early.
    pub(super) fn look(&mut self, elapsed: Duration, interrupted: bool) {
        let totals = Totals::of(self.beats.iter().map(Arc::as_ref));
        let spent =
            self.settings.budget.is_some_and(|budget| budget.is_spent_early(totals.failed(), totals.ended));
        if self.called_off.is_none() && (interrupted || spent) {
            self.called_off = Some(if interrupted { Ending::Interrupted } else { Ending::ErrorBudget });
            self.beats.iter().for_each(|beat| beat.call_off());
        }
        self.view.show(elapsed, &totals);
    }

    pub(super) fn close_view(&mut self) {
        self.view.close();
    }

    pub(super) fn finish(mut self) -> Result<Sum, String> {
        let warmup_ns = self.settings.warmup.as_nanos() as u64;
        let measured_s = self.end_ns.saturating_sub(warmup_ns).max(1) as f64 / 1e9;
        let (duration_s, planned) = match self.settings.length {
            Length::Duration(duration) => (measured_s.min(duration.as_secs_f64()), Ending::Duration),
            Length::Requests(_) => (measured_s, Ending::Requests),
        };
        let closed = self.timeline.finish(duration_s)?;
        closed.iter().for_each(|closed| self.kept.keep(closed));
        let unwritten = self.kept.end_log();
        Ok(Sum {
            tally: self.tally,
            cores: self.cores.iter().map(|core| core.shares_of(self.took)).collect(),
            intervals: self.kept.intervals,
            intervals_left_out: self.kept.left_out,
            duration_s,
            ending: self.called_off.unwrap_or(planned),
            unwritten,
        })
    }
}

impl Kept {
    /// A log that can't be written any more, as on a full disk, ends there; the run and its report go on.
    fn keep(&mut self, closed: &Closed) {
        if let Some(Err(reason)) = self.log.as_mut().map(|log| log.write(closed)) {
            self.log_failure = Some(reason);
            self.log = None;
        }
        if (self.intervals.len() as u64) < INTERVALS_MAX {
            self.intervals.push(closed.row.clone());
        } else {
            self.left_out += 1;
        }
    }

    /// Why the log isn't whole.
    fn end_log(&mut self) -> Option<String> {
        self.log_failure.take().or_else(|| self.log.take()?.finish().err())
    }
}
