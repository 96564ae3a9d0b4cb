//! The live view: redrawn in place a few times a second. What it knows of latencies comes from the reactors' slices.

use std::io::{Write, stderr};
use std::time::Duration;

use super::frame::{State, lines};
use super::recent::Recent;
use crate::beat::Totals;
use crate::cli::{Length, Settings};
use crate::report::held;
use crate::timeline::{Slice, Slicing};

const REDRAW_INTERVAL: Duration = Duration::from_millis(250);
/// Where the terminal doesn't tell.
const COLUMNS_DEFAULT: usize = 80;
const ROWS_DEFAULT: usize = 24;

#[derive(Debug)]
pub(crate) struct Live {
    title: String,
    warmup: Duration,
    length: Length,
    colour: bool,
    recent: Recent,
    next_draw: Duration,
    lines_drawn: usize,
    closed: bool,
}

impl Live {
    pub(super) fn new(settings: &Settings, slicing: Slicing, colour: bool) -> Result<Self, String> {
        let pace = match (&settings.open, settings.carriage.held_per_s()) {
            (Some(open), _) => format!("open loop, {open}"),
            (None, Some(per_s)) => held(per_s),
            (None, None) => "closed loop".to_owned(),
        };
        Ok(Self {
            title: format!("{}   {pace}   {} connections", settings.url, settings.connections),
            warmup: settings.warmup,
            length: settings.length,
            colour,
            recent: Recent::new(slicing, settings.cores.len())?,
            next_draw: Duration::ZERO,
            lines_drawn: 0,
            closed: false,
        })
    }

    pub(super) fn add_slice(&mut self, slice: &Slice) -> Result<(), String> {
        self.recent.add(slice)
    }

    pub(super) fn end(&mut self, reactor: usize) {
        self.recent.end(reactor);
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
        let state = State {
            title: &self.title,
            elapsed,
            warmup: self.warmup,
            length: self.length,
            totals,
            replies_per_s: self.recent.replies_per_s(),
            p50_us: self.recent.quantile_us(0.5),
            p99_us: self.recent.quantile_us(0.99),
            max_us: self.recent.quantile_us(1.0),
            history_us: self.recent.p99_history.make_contiguous(),
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

/// Columns and rows.
fn terminal_size() -> (usize, usize) {
    match rustix::termios::tcgetwinsize(stderr()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
        _ => (COLUMNS_DEFAULT, ROWS_DEFAULT),
    }
}
