//! The live view: redrawn in place a few times a second. What it knows of latencies comes from the reactors' slices.

use std::collections::{BTreeMap, VecDeque};
use std::io::{Write, stderr};
use std::time::Duration;

use hdrhistogram::Histogram;

use super::frame::{State, lines};
use crate::beat::Totals;
use crate::cli::{Length, Settings};
use crate::report::us;
use crate::tally::{add, histogram};
use crate::timeline::{Slice, Slicing};

const REDRAW_INTERVAL: Duration = Duration::from_millis(250);
/// How much of the past the figures are about.
const WINDOW_NS: u64 = 1_000_000_000;
/// Most slices of which the sparkline remembers the 99th percentile.
const HISTORY_MAX: usize = 1_000;
/// Where the terminal doesn't tell.
const COLUMNS_DEFAULT: usize = 80;
const ROWS_DEFAULT: usize = 24;

#[derive(Debug)]
pub(crate) struct Live {
    title: String,
    warmup: Duration,
    length: Length,
    colour: bool,
    slice_ns: u64,
    /// How many slices each reactor has passed.
    passed: Vec<u64>,
    /// Slices that some reactor hasn't passed.
    open: BTreeMap<u64, Part>,
    /// The latest slices that all have passed.
    window: VecDeque<Part>,
    window_slices: usize,
    /// The window's latencies.
    recent: Histogram<u64>,
    history_us: VecDeque<f64>,
    next_draw: Duration,
    lines_drawn: usize,
    closed: bool,
}

#[derive(Debug)]
struct Part {
    replies: u64,
    latency: Histogram<u64>,
}

impl Live {
    pub(super) fn new(settings: &Settings, slicing: Slicing, colour: bool) -> Result<Self, String> {
        let pace = match &settings.open {
            Some(open) => format!("open loop, {open}"),
            None => "closed loop".to_owned(),
        };
        Ok(Self {
            title: format!("{}   {pace}   {} connections", settings.url, settings.connections),
            warmup: settings.warmup,
            length: settings.length,
            colour,
            slice_ns: slicing.slice_ns,
            passed: vec![0; settings.cores.len()],
            open: BTreeMap::new(),
            window: VecDeque::new(),
            window_slices: (WINDOW_NS / slicing.slice_ns).max(1) as usize,
            recent: histogram()?,
            history_us: VecDeque::new(),
            next_draw: Duration::ZERO,
            lines_drawn: 0,
            closed: false,
        })
    }

    pub(super) fn add_slice(&mut self, slice: &Slice) -> Result<(), String> {
        let part = match self.open.entry(slice.index) {
            std::collections::btree_map::Entry::Occupied(part) => part.into_mut(),
            std::collections::btree_map::Entry::Vacant(free) => {
                free.insert(Part { replies: 0, latency: histogram()? })
            }
        };
        part.replies += slice.replies;
        add(&mut part.latency, &slice.latency)?;
        self.passed[slice.reactor] = slice.index + 1;
        let passed = self.passed.iter().copied().min().unwrap_or(0);
        while let Some(first) = self.open.first_entry().filter(|first| *first.key() < passed) {
            let part = first.remove();
            push_bounded(&mut self.history_us, us(part.latency.value_at_quantile(0.99)), HISTORY_MAX);
            push_bounded(&mut self.window, part, self.window_slices);
        }
        self.recent.reset();
        self.window.iter().try_for_each(|part| add(&mut self.recent, &part.latency))
    }

    pub(super) fn end(&mut self, reactor: usize) {
        self.passed[reactor] = u64::MAX;
    }

    pub(super) fn show(&mut self, elapsed: Duration, totals: &Totals) {
        if elapsed < self.next_draw || self.closed {
            return;
        }
        self.next_draw = elapsed + REDRAW_INTERVAL;
        let (columns, rows) = terminal_size();
        let mut lines = self.frame(elapsed, totals, columns);
        lines.truncate(rows.saturating_sub(1));
        self.draw(&lines);
    }

    fn frame(&mut self, elapsed: Duration, totals: &Totals, columns: usize) -> Vec<String> {
        let latency = &self.recent;
        let window_s = self.window.len() as f64 * self.slice_ns as f64 / 1e9;
        let replies: u64 = self.window.iter().map(|part| part.replies).sum();
        let state = State {
            title: &self.title,
            elapsed,
            warmup: self.warmup,
            length: self.length,
            totals,
            replies_per_s: if window_s > 0.0 { replies as f64 / window_s } else { 0.0 },
            p50_us: us(latency.value_at_quantile(0.5)),
            p99_us: us(latency.value_at_quantile(0.99)),
            max_us: us(latency.max()),
            history_us: self.history_us.make_contiguous(),
        };
        lines(&state, columns, self.colour)
    }

    /// Draws over what was drawn before.
    fn draw(&mut self, lines: &[String]) {
        let mut out = self.erased();
        out.push_str("\x1b[?25l");
        for line in lines {
            out.push_str(line);
            out.push_str("\r\n");
        }
        self.lines_drawn = lines.len();
        // A terminal that has gone takes the view with it, not the run.
        self.closed |= stderr().write_all(out.as_bytes()).is_err();
    }

    /// Erases the view, so that what follows takes its place, and shows the cursor again.
    pub(super) fn close(&mut self) {
        if self.closed {
            return;
        }
        self.closed = true;
        let out = self.erased() + "\x1b[?25h";
        let _ = stderr().write_all(out.as_bytes());
    }

    fn erased(&self) -> String {
        match self.lines_drawn {
            0 => String::new(),
            lines => format!("\x1b[{lines}A\r\x1b[J"),
        }
    }
}

fn push_bounded<T>(queue: &mut VecDeque<T>, item: T, max: usize) {
    if queue.len() >= max {
        queue.pop_front();
    }
    queue.push_back(item);
}

/// Columns and rows.
fn terminal_size() -> (usize, usize) {
    match rustix::termios::tcgetwinsize(stderr()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
        _ => (COLUMNS_DEFAULT, ROWS_DEFAULT),
    }
}
